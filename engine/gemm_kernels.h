// The kernels: a tile of C in registers, up to MR rows by NV vectors.
#pragma once
#include "simd.h"

namespace chainrule::VARIANT {

#if CHAINRULE_AVX512
constexpr int MR = 12, NV = 2;                     // 24 accumulators of 32 registers
#elif CHAINRULE_AVX2
constexpr int MR = 6, NV = 2;                      // 12 of 16
#elif defined(__ARM_NEON)
constexpr int MR = 6, NV = 4;                      // 24 of 32
#elif defined(__wasm_relaxed_simd__)
constexpr int MR = 3, NV = 3;                      // 9 of 16, and 6 for A and B: V8 loads all of them first, and keeps one for itself
#else
constexpr int MR = 4, NV = 2;                      // 8 of 16: a separate multiplication needs one more
#endif
#ifdef __wasm__
constexpr int BLOCK_ROWS = 4, BLOCK_VECTORS = 2;   // of gemm_block.h: files that know no relaxed SIMD lay out its panels
#else
constexpr int BLOCK_ROWS = MR, BLOCK_VECTORS = NV;
#endif
#if CHAINRULE_AVX512
constexpr int PACKED_ROWS = 14;                    // one pointer for all rows leaves registers for more; behind sums in slices, no gain
#else
constexpr int PACKED_ROWS = MR;
#endif
constexpr int GROUP = 3;                           // rows of A that share a pointer
constexpr int KERNEL_ROWS = max(max(MR, BLOCK_ROWS), GROUP), KERNEL_VECTORS = max(NV, BLOCK_VECTORS);
constexpr int GROUPS = (KERNEL_ROWS + GROUP - 1) / GROUP;

// What a kernel reads: row r of A starts at a[r / GROUP] + r % GROUP * aRow, its next element lies aNext further; B's
// vector v of row p lies at b[v] + p * bNext. Indexed kernels read B at b[v] + offsets[p]; stepped ones first move A's pointers by
// offsets[p]. Strided kernels run `repeat` times over k, with aSkip between the runs (the rows of an image inside a padded one).
// A number is read once for all vectors of a row: processors load two vectors in a cycle, as many as they multiply.
enum Reading { STRIDED, INDEXED, STEPPED };
template <class T> struct Feed {
  const T* a[GROUPS];
  int64_t aRow, aNext, aSkip = 0, aJump = 0;
  const T* b[KERNEL_VECTORS];
  int64_t bNext = 0;
  const int32_t* offsets = nullptr;
  int k, repeat = 1, images = 1;
  bool add = false;                                // to what C holds
  const T* bias = nullptr;                         // of strided kernels
  int tiles = 1;                                   // one below the other, of a strided kernel in WASM, where a call is dear
  int64_t aTile = 0;                               // from A's rows of one tile to those of the next
};

// Keeps the compiler from computing one address for every row beforehand: it has too few registers for that.
template <class T> INLINE void one_pointer(T*& p) {
#if !defined(__wasm__)
  asm("" : "+r"(p));
#endif
}

// Engines compute the address of every row again at every step, unless it has a pointer of its own.
#ifdef __wasm__
constexpr bool ROW_POINTERS = true, MANY_TILES = true;
#else
constexpr bool ROW_POINTERS = false, MANY_TILES = false;
#endif

// c[r * ld + v * lanes] = the tile, plus a bias for each column if there is one; with `add`, += that.
template <class T, int ROWS, int VECTORS>
INLINE void finish_tile(Vec<T> (&acc)[ROWS][VECTORS], T* c, int64_t ld, bool add, const T* bias) {
  constexpr int L = lanes<T>;
  if (bias) {
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; ++v) {
      const Vec<T> more = load(bias + v * L);
#pragma GCC unroll 16
      for (int r = 0; r < ROWS; ++r) acc[r][v] += more;
    }
  }
  if (add) {
    const T* from = c;
#pragma GCC unroll 16
    for (int r = 0; r < ROWS; ++r, from += ld) {
#pragma GCC unroll 4
      for (int v = 0; v < VECTORS; ++v) acc[r][v] += load(from + v * L);
      one_pointer(from);
    }
  }
#pragma GCC unroll 16
  for (int r = 0; r < ROWS; ++r, c += ld) {
#pragma GCC unroll 4
    for (int v = 0; v < VECTORS; ++v) store(c + v * L, acc[r][v]);
    one_pointer(c);
  }
}

// c = the tile; with `add`, += the tile.
template <class T, Reading READING, int ROWS, int VECTORS> INLINE void one_tile(const Feed<T>& feed, int64_t from, T* c, int64_t ld) {
  constexpr int EACH = ROW_POINTERS ? 1 : GROUP, G = (ROWS + EACH - 1) / EACH, L = lanes<T>;
  typedef Vec<T> V;
  V acc[ROWS][VECTORS] = {};
  const T* a[G];
  const T* b[VECTORS];
  const ptrdiff_t aRow = ptrdiff_t(feed.aRow), aNext = ptrdiff_t(feed.aNext), aSkip = ptrdiff_t(feed.aSkip);
  const ptrdiff_t bNext = ptrdiff_t(feed.bNext);
#pragma GCC unroll 4
  for (int g = 0; g < G; ++g) a[g] = (ROW_POINTERS ? feed.a[g / GROUP] + g % GROUP * aRow : feed.a[g]) + from;
#pragma GCC unroll 4
  for (int v = 0; v < VECTORS; ++v) b[v] = READING == INDEXED ? feed.b[v] : feed.b[0] + v * L;
  const int32_t* offset = feed.offsets;
  int line = feed.repeat;
  for (int run = READING == STRIDED ? feed.repeat * feed.images : 1; run > 0; --run) {
    for (int p = feed.k; p > 0; --p) {
      V x[VECTORS];
      if constexpr (READING == STEPPED) {
        const ptrdiff_t step = *offset++;
#pragma GCC unroll 4
        for (int g = 0; g < G; ++g) a[g] += step;
      }
      if constexpr (READING == INDEXED) {
        const ptrdiff_t o = *offset++;
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; ++v) x[v] = load(b[v] + o);
      } else {
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; ++v) x[v] = load(b[0] + v * L);
        b[0] += bNext;
      }
#pragma GCC unroll 16
      for (int r = 0; r < ROWS; ++r) {
        const V y = broadcast(a[r / EACH][r % EACH * aRow]);
#pragma GCC unroll 4
        for (int v = 0; v < VECTORS; ++v) acc[r][v] = fma(y, x[v], acc[r][v]);
      }
      if constexpr (READING != STEPPED) {
#pragma GCC unroll 4
        for (int g = 0; g < G; ++g) a[g] += aNext;
      }
    }
    ptrdiff_t skip = aSkip;
    if (READING == STRIDED && --line == 0) line = feed.repeat, skip += ptrdiff_t(feed.aJump);
#pragma GCC unroll 4
    for (int g = 0; g < G; ++g) a[g] += skip;
  }
  finish_tile<T, ROWS, VECTORS>(acc, c, ld, READING == STRIDED && feed.add, READING == STRIDED ? feed.bias : nullptr);
}

template <class T, Reading READING, int ROWS, int VECTORS> void kernel(const Feed<T>& feed, T* c, int64_t ld) {
  if constexpr (!MANY_TILES || READING != STRIDED) return one_tile<T, READING, ROWS, VECTORS>(feed, 0, c, ld);
  for (int tile = 0; tile < feed.tiles; ++tile, c += ROWS * ld) one_tile<T, READING, ROWS, VECTORS>(feed, tile * feed.aTile, c, ld);
}

template <class T> using Kernel = void (*)(const Feed<T>&, T*, int64_t);

// All kernels of a kind, by rows and vectors.
template <class T, Reading READING> struct KernelTable {
  Kernel<T> at[KERNEL_ROWS][KERNEL_VECTORS];
  template <int ROWS, int VECTORS> constexpr void fill() {
    constexpr bool used = (ROWS <= max(MR, GROUP) && VECTORS <= NV) || (ROWS <= BLOCK_ROWS && VECTORS <= BLOCK_VECTORS);
    if constexpr (used) at[ROWS - 1][VECTORS - 1] = kernel<T, READING, ROWS, VECTORS>;
    if constexpr (VECTORS < KERNEL_VECTORS) fill<ROWS, VECTORS + 1>();
    else if constexpr (ROWS < KERNEL_ROWS) fill<ROWS + 1, 1>();
  }
  constexpr KernelTable() : at{} { fill<1, 1>(); }
};

template <class T, Reading READING> INLINE Kernel<T> kernel_for(int rows, int vectors) {
  static constexpr KernelTable<T, READING> table;
  return table.at[rows - 1][vectors - 1];
}

}  // namespace chainrule::VARIANT
