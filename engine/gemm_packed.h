// The kernel that large products spend their time in: both operands are packed, so that every address is a pointer plus a
// constant, and what comes next is fetched while this tile is computed.
#pragma once
#include "gemm_kernels.h"

namespace chainrule::VARIANT {

// Element r of A and k index p lies at a[p * ROWS + r], vector v of B at b[(p * VECTORS + v) * lanes].
template <class T> struct PackedFeed {
  const T* a;
  T* b;
  int k;
  bool add;                                        // to what C holds
  const T* bias;                                   // one for each column, or null
  const T* nextC;                                  // the tile after this one, with the same distance between its rows
  // What is fetched for every row of the tile: so many rows of the next panel of B, packed or as it lies; so many lines of A.
  const T* nextB;
  int64_t nextStep;
  int nextRows;
  const T* nextA;
  int nextLines;
  const T* raw;                                    // of a panel that is not packed yet: B as it lies, its rows `rawStep` apart
  int64_t rawStep;
};

// GCC moves a sum from one register to another and back at every step unless it may name them anew.
#if defined(__GNUC__) && !defined(__clang__)
#define RENAMED __attribute__((optimize("rename-registers")))
#else
#define RENAMED
#endif

// c[r * ld + v * lanes] = the tile; with `add`, += the tile. FIRST reads B as it lies and packs it for the tiles that follow.
template <class T, int ROWS, int VECTORS, bool FIRST> RENAMED void packed_kernel(const PackedFeed<T>& feed, T* c, int64_t ld) {
  constexpr int L = lanes<T>, LINE = 64 / int(sizeof(T));
  typedef Vec<T> V;
  V acc[ROWS][VECTORS] = {};
  const T *a = feed.a, *nextC = feed.nextC, *nextB = feed.nextB, *nextA = feed.nextA, *from = FIRST ? feed.raw : feed.b;
  T* to = feed.b;
  const int share = max(4, (feed.k + ROWS - 1) / ROWS);
  const int64_t step = FIRST ? feed.rawStep : VECTORS * L;
  for (int left = feed.k; left > 0; left -= share) {
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; ++v) __builtin_prefetch(nextC + v * L, 1);
    for (int row = feed.nextRows; row > 0; --row, nextB += feed.nextStep)
#pragma GCC unroll 4
      for (int line = 0; line < VECTORS * L; line += LINE) __builtin_prefetch(nextB + line, 0, 2);
    for (int line = feed.nextLines; line > 0; --line, nextA += LINE) __builtin_prefetch(nextA, 0, 2);
    nextC += ld;
    for (int p = min(left, share); p > 0; --p, a += ROWS, from += FIRST ? step : VECTORS * L) {
      V x[VECTORS];
#pragma GCC unroll 4
      for (int v = 0; v < VECTORS; ++v) x[v] = load(from + v * L);
      if constexpr (FIRST) {
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; ++v) store(to + v * L, x[v]);
        to += VECTORS * L;
      }
#pragma GCC unroll 16
      for (int r = 0; r < ROWS; ++r) {
        const V y = broadcast(a[r]);
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; ++v) acc[r][v] = fma(y, x[v], acc[r][v]);
      }
    }
  }
  finish_tile<T, ROWS, VECTORS>(acc, c, ld, feed.add, feed.bias);
}

template <class T> using PackedKernel = void (*)(const PackedFeed<T>&, T*, int64_t);

// `first`: of a whole panel of B that is not packed yet.
template <class T, int MOST, int WIDE, int ROWS = 1> PackedKernel<T> packed_kernel_for(int rows, int vectors, bool first) {
  if constexpr (ROWS < MOST)
    if (rows > ROWS) return packed_kernel_for<T, MOST, WIDE, ROWS + 1>(rows, vectors, first);
  static constexpr PackedKernel<T> byWidth[4] = {packed_kernel<T, ROWS, 1, false>, packed_kernel<T, ROWS, 2, false>,
                                                 packed_kernel<T, ROWS, WIDE == 4 ? 3 : 1, false>,
                                                 packed_kernel<T, ROWS, WIDE == 4 ? 4 : 1, false>};
  return first ? packed_kernel<T, ROWS, WIDE, true> : byWidth[vectors - 1];
}

}  // namespace chainrule::VARIANT
