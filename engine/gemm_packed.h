// The kernel that large products spend their time in: both operands are packed, so that every address is a pointer plus a
// constant, and what comes next is fetched while this tile is computed.
#pragma once
#include "gemm_kernels.h"

namespace chainrule::VARIANT {

// Element r of A and k index p lies at a[p * ROWS + r], vector v of B at b[(p * VECTORS + v) * lanes].
template <class T> struct PackedFeed {
  const T* a;
  const T* b;
  int k;
  bool add;                                        // to what C holds
  const T* bias;                                   // one for each column, or null
  const T* nextC;                                  // the tile after this one, with the same distance between its rows
  const T* nextB;                                  // a part of the panel after this one, of so many lines for every row of A
  int nextLines;
};

// c[r * ld + v * lanes] = the tile; with `add`, += the tile.
template <class T, int ROWS, int VECTORS> void packed_kernel(const PackedFeed<T>& feed, T* c, int64_t ld) {
  constexpr int L = lanes<T>, LINE = 64 / int(sizeof(T));
  typedef Vec<T> V;
  V acc[ROWS][VECTORS] = {};
  const T *a = feed.a, *b = feed.b, *nextC = feed.nextC, *nextB = feed.nextB;
  const int share = max(4, (feed.k + ROWS - 1) / ROWS);
  for (int left = feed.k; left > 0; left -= share) {
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; ++v) __builtin_prefetch(nextC + v * L, 1);
    for (int line = feed.nextLines; line > 0; --line, nextB += LINE) __builtin_prefetch(nextB, 0, 2);
    nextC += ld;
    for (int p = min(left, share); p > 0; --p, a += ROWS, b += VECTORS * L) {
      V x[VECTORS];
#pragma GCC unroll 4
      for (int v = 0; v < VECTORS; ++v) x[v] = load(b + v * L);
#pragma GCC unroll 16
      for (int r = 0; r < ROWS; ++r)
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; ++v) acc[r][v] = fma_from(a + r, x[v], acc[r][v]);
    }
  }
  finish_tile<T, ROWS, VECTORS>(acc, c, ld, feed.add, feed.bias);
}

template <class T> using PackedKernel = void (*)(const PackedFeed<T>&, T*, int64_t);

template <class T, int MOST, int WIDE, int ROWS = 1> PackedKernel<T> packed_kernel_for(int rows, int vectors) {
  if constexpr (ROWS < MOST)
    if (rows > ROWS) return packed_kernel_for<T, MOST, WIDE, ROWS + 1>(rows, vectors);
  static constexpr PackedKernel<T> byWidth[4] = {packed_kernel<T, ROWS, 1>, packed_kernel<T, ROWS, 2>,
                                                 packed_kernel<T, ROWS, WIDE == 4 ? 3 : 1>, packed_kernel<T, ROWS, WIDE == 4 ? 4 : 1>};
  return byWidth[vectors - 1];
}

}  // namespace chainrule::VARIANT
