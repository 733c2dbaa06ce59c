// The blocks of Cholesky's and LU's factors and of triangular systems, in float64. NARROW columns are factored one by one; what they
// owe the columns right of them is paid at once.
#include "factor.h"
#include "simd.h"

namespace chainrule::VARIANT {

namespace {

#if defined(__wasm__)
constexpr int WIDE = 4;
#else
constexpr int WIDE = 8;                // vectors of sums in registers
#endif

// W vectors of columns of X = D^-1 X: a row's sums stay in registers.
template <int W> INLINE void solve_columns(const double* d, int ld, int n, int32_t flags, double* x, int ldx) {
  const bool upper = (flags & UPPER) != 0;
  for (int k = 0; k < n; ++k) {
    const int i = upper ? n - 1 - k : k, end = upper ? n : i;
    const double* const line = d + Index(i) * ld;
    double* const row = x + Index(i) * ldx;
    vd sum[W];
#pragma GCC unroll 8
    for (int w = 0; w < W; ++w) sum[w] = load(row + w * LANES_D);
    for (int j = upper ? i + 1 : 0; j < end; ++j) {
      const vd factor = broadcast(-line[j]);
      const double* const other = x + Index(j) * ldx;
#pragma GCC unroll 8
      for (int w = 0; w < W; ++w) sum[w] = fma(factor, load(other + w * LANES_D), sum[w]);
    }
    const double pivot = (flags & UNIT) != 0 ? 1 : line[i];
#pragma GCC unroll 8
    for (int w = 0; w < W; ++w) store(row + w * LANES_D, sum[w] / broadcast(pivot));
  }
}

}  // namespace

void solve_rows(const double* d, int ld, int n, int32_t flags, double* x, int ldx, int cols) {
  int c = 0;
  for (; c + WIDE * LANES_D <= cols; c += WIDE * LANES_D) solve_columns<WIDE>(d, ld, n, flags, x + c, ldx);
  for (; c + LANES_D <= cols; c += LANES_D) solve_columns<1>(d, ld, n, flags, x + c, ldx);
  for (; c < cols; ++c) {
    const bool upper = (flags & UPPER) != 0;
    for (int k = 0; k < n; ++k) {
      const int i = upper ? n - 1 - k : k;
      double sum = x[Index(i) * ldx + c];
      for (int j = upper ? i + 1 : 0; j < (upper ? n : i); ++j) sum = fma(-d[Index(i) * ld + j], x[Index(j) * ldx + c], sum);
      x[Index(i) * ldx + c] = (flags & UNIT) != 0 ? sum : sum / d[Index(i) * ld + i];
    }
  }
}

namespace {

// W vectors of columns of X -= L T for L (rows x NARROW, the first `depth` of each) and T (depth rows).
template <int W> INLINE void subtract_columns(double* x, int ldx, int rows, const double* l, int depth, const double* t, int ldt) {
  for (int r = 0; r < rows; ++r, x += ldx, l += NARROW) {
    vd sum[W];
#pragma GCC unroll 8
    for (int w = 0; w < W; ++w) sum[w] = load(x + w * LANES_D);
    for (int k = 0; k < depth; ++k) {
      const vd factor = broadcast(-l[k]);
#pragma GCC unroll 8
      for (int w = 0; w < W; ++w) sum[w] = fma(factor, load(t + Index(k) * ldt + w * LANES_D), sum[w]);
    }
#pragma GCC unroll 8
    for (int w = 0; w < W; ++w) store(x + w * LANES_D, sum[w]);
  }
}

NOINLINE void subtract(double* x, int ldx, int rows, int cols, const double* l, int depth, const double* t, int ldt) {
  int c = 0;
  for (; c + WIDE * LANES_D <= cols; c += WIDE * LANES_D) subtract_columns<WIDE>(x + c, ldx, rows, l, depth, t + c, ldt);
  for (; c + LANES_D <= cols; c += LANES_D) subtract_columns<1>(x + c, ldx, rows, l, depth, t + c, ldt);
  for (; c < cols; ++c)
    for (int r = 0; r < rows; ++r)
      for (int k = 0; k < depth; ++k) x[Index(r) * ldx + c] -= l[Index(r) * NARROW + k] * t[Index(k) * ldt + c];
}

// Column c of rows [first, last) of p (NARROW numbers each) by the pivot, and what is right of it less `line` times it.
NOINLINE void eliminate(double* p, int first, int last, int c, double pivot, const double* line) {
  constexpr int V = NARROW / LANES_D;
  int64_t right[NARROW];
  for (int k = 0; k < NARROW; ++k) right[k] = k > c ? -1 : 0;
  vd with[V];
  vl mask[V];
  for (int v = 0; v < V; ++v) with[v] = load(line + v * LANES_D), mask[v] = load(right + v * LANES_D);
  for (int r = first; r < last; ++r) {
    double* const row = p + Index(r) * NARROW;
    const double factor = row[c] / pivot;
#pragma GCC unroll 4
    for (int v = 0; v < V; ++v) {
      const vd x = load(row + v * LANES_D);
      store(row + v * LANES_D, select(mask[v], fma(broadcast(-factor), with[v], x), x));
    }
    row[c] = factor;
  }
}

// Between a strip of at most NARROW columns and rows of NARROW numbers, the others 0.
void take_narrow(const double* from, int ld, int rows, int cols, double* to) {
  for (int r = 0; r < rows; ++r)
    for (int k = 0; k < NARROW; ++k) to[Index(r) * NARROW + k] = k < cols ? from[Index(r) * ld + k] : 0;
}
void give_narrow(const double* from, int ld, int rows, int cols, double* to) {
  for (int r = 0; r < rows; ++r)
    for (int k = 0; k < cols; ++k) to[Index(r) * ld + k] = from[Index(r) * NARROW + k];
}

void swap_numbers(double* x, double* y, int n) {
  if (x == y) return;
  int i = 0;
  for (; i + LANES_D <= n; i += LANES_D) {
    const vd kept = load(x + i);
    store(x + i, load(y + i)), store(y + i, kept);
  }
  for (; i < n; ++i) {
    const double kept = x[i];
    x[i] = y[i], y[i] = kept;
  }
}

// P L U of rows of NARROW numbers by partial pivoting; the first column without a pivot, from 1.
int lu_narrow(double* p, int rows, int cols, int32_t* pivots) {
  int info = 0;
  for (int c = 0; c < cols; ++c) {
    int best = c;
    double most = magnitude(p[Index(c) * NARROW + c]);
    for (int r = c + 1; r < rows; ++r) {
      const double size = magnitude(p[Index(r) * NARROW + c]);
      if (size > most) most = size, best = r;
    }
    pivots[c] = best;
    double* const row = p + Index(c) * NARROW;
    swap_numbers(row, p + Index(best) * NARROW, NARROW);
    if (row[c] == 0 && info == 0) info = c + 1;
    if (row[c] != 0) eliminate(p, c + 1, rows, c, row[c], row);
  }
  return info;
}

}  // namespace

int cholesky_block(double* d, int n, double* room) {
  double* const strip = room + Index(NARROW) * n;
  for (int c = 0; c < n; c += NARROW) {
    const int size = n - c < NARROW ? n - c : NARROW, rest = n - c - size;
    double* const corner = d + Index(c) * n + c;
    take_narrow(corner, n, n - c, size, strip);
    for (int k = 0; k < size; ++k) {
      double line[NARROW];
      const double pivot = strip[k * NARROW + k];
      if (!(pivot > 0)) return c + k + 1;
      const double root = __builtin_sqrt(pivot);
      for (int i = 0; i < NARROW; ++i) line[i] = i < size ? strip[i * NARROW + k] / root : 0;
      eliminate(strip, k, n - c, k, root, line);
    }
    give_narrow(strip, n, n - c, size, corner);
    for (int k = 0; k < size; ++k)
      for (int i = 0; i < rest; ++i) room[Index(k) * rest + i] = strip[Index(size + i) * NARROW + k];
    for (int i = 0; i < rest; i += 4 * NARROW)               // below the diagonal, in steps
      subtract(corner + Index(size + i) * n + size + i, n, rest - i, rest - i < 4 * NARROW ? rest - i : 4 * NARROW,
               strip + Index(size + i) * NARROW, size, room + i, rest);
  }
  return 0;
}

int lu_panel(double* p, int rows, int cols, int32_t* pivots, double* strip) {
  const int count = rows < cols ? rows : cols;
  int info = 0;
  for (int c = 0; c < count; c += NARROW) {
    const int size = count - c < NARROW ? count - c : NARROW, right = c + size;
    double* const corner = p + Index(c) * cols + c;
    take_narrow(corner, cols, rows - c, size, strip);
    const int failed = lu_narrow(strip, rows - c, size, pivots + c);
    if (failed != 0 && info == 0) info = c + failed;
    give_narrow(strip, cols, rows - c, size, corner);
    for (int k = c; k < right; ++k) {
      double *const row = p + Index(k) * cols, *const other = p + Index(pivots[k] += c) * cols;
      swap_numbers(row, other, c), swap_numbers(row + right, other + right, cols - right);
    }
    solve_rows(corner, cols, size, UNIT, corner + size, cols, cols - right);
    subtract(corner + Index(size) * cols + size, cols, rows - right, cols - right, strip + Index(size) * NARROW, size, corner + size, cols);
  }
  return info;
}

}  // namespace chainrule::VARIANT
