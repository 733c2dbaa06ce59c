// Products too small to be cut, packed or shared out: nothing is planned, and the operands are read where they lie. Tiles are low and
// wide, so that a step of k loads 10 vectors for 24 multiplications (14 in the tiles of gemm.h, whose B lies in the second-level cache).
#include "gemm_small.h"

namespace chainrule::VARIANT {

#if CHAINRULE_AVX512

namespace {

constexpr int SUMS = 24, WIDE = 4;                 // of 32 registers; vectors in a tile
constexpr int FEW_ROWS = 160, NEAR_B = 128 * 128;  // where no other thread could help

// The kernels of tiles of so many vectors, by their rows.
template <int VECTORS> struct Tiles {
  static constexpr int ROWS = min(SUMS / VECTORS, KERNEL_ROWS);
  Kernel<float> at[ROWS];
  template <int N> constexpr void fill() {
    at[N - 1] = kernel<float, STRIDED, N, VECTORS>;
    if constexpr (N > 1) fill<N - 1>();
  }
  constexpr Tiles() : at{} { fill<ROWS>(); }
};

// All rows of C, of VECTORS vectors from column j on.
template <int VECTORS> void strip(const MatMul<float>& job, Strided<float> a, Strided<float> b, int j) {
  constexpr int L = lanes<float>;
  static constexpr Tiles<VECTORS> tiles;
  const RowPanels panels(job.m, Tiles<VECTORS>::ROWS);
  Feed<float> feed;
  feed.k = job.k, feed.add = job.accumulate, feed.bias = job.perCol ? job.perCol + j : nullptr;
  feed.b[0] = b.data + j, feed.bNext = b.row, feed.aRow = a.row, feed.aNext = a.col;
  float* c = job.c + j;
  const float* from = a.data;
  for (int panel = 0; panel < panels.count; ++panel) {
    const int rows = panels.rows(panel);
    for (int g = 0; g * GROUP < rows; ++g) feed.a[g] = from + g * GROUP * a.row;
    for (int r = 0; r < rows; ++r)                 // C comes from far away: fetch it while the tile is computed
#pragma GCC unroll 4
      for (int v = 0; v < VECTORS; ++v) __builtin_prefetch(c + r * job.ld + v * L, 1);
    tiles.at[rows - 1](feed, c, job.ld);
    c += rows * job.ld, from += rows * a.row;
  }
}

}  // namespace

// Tiles read B again and again: it has to stay in the first-level cache, or nearly so.
static bool is_small(const MatMul<float>& job, Strided<float> b, bool alone) {
  if (b.col != 1 || job.n % lanes<float> != 0 || job.k > KC || job.perRow) return false;
  if (small_work(job.m, job.n, job.k)) return true;
  return alone && job.m <= FEW_ROWS && job.n * job.k <= NEAR_B && b.row * int64_t(sizeof(float)) % PAGE_BYTES != 0;
}

bool small_product(const MatMul<float>& job, Strided<float> a, Strided<float> b, bool alone) {
  constexpr int L = lanes<float>;
  if (!is_small(job, b, alone)) return false;
  int j = 0;
  for (; j + WIDE * L <= job.n; j += WIDE * L) strip<WIDE>(job, a, b, j);
  switch ((job.n - j) / L) {
    case 3: strip<3>(job, a, b, j); break;
    case 2: strip<2>(job, a, b, j); break;
    case 1: strip<1>(job, a, b, j); break;
    default: break;
  }
  if (const Epilogue* const then = job.epilogue) then->apply(then->ctx, job.batch, 0, 0, job.m, job.n, job.c, int(job.ld));
  return true;
}

#endif

}  // namespace chainrule::VARIANT
