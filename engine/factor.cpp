// Factorizations of batches of dense matrices: the step itself, and Cholesky, LU, triangular systems and the exponential.
#include "factor.h"
#include "kernels.h"
#include "simd.h"

namespace chainrule::VARIANT {

NOINLINE Matrix Matrix::at(Index r, Index c) const { return {data + (r * row + c * col) * bytes_of(dtype), dtype, row, col}; }

NOINLINE void read(const Matrix& a, int rows, int cols, double* to) {
  load_tile(COMPUTE_FLOAT64, a.dtype, a.data, a.row, a.col, rows, cols, to);
}
NOINLINE void write(const double* from, const Matrix& a, int rows, int cols) {
  store_tile(COMPUTE_FLOAT64, a.dtype, from, a.data, a.row, a.col, rows, cols);
}
void clear(double* x, Index n) { __builtin_memset(x, 0, size_t(n) * sizeof(double)); }

NOINLINE double dot(const double* x, const double* y, int n) {
  vd total = {};
  int i = 0;
  if (BLOCKED) {
    vd a = {}, b = {}, c = {}, d = {};                       // four chains: none waits for the sum before it
    for (; i + 4 * LANES_D <= n; i += 4 * LANES_D) {
      a = fma(load(x + i), load(y + i), a);
      b = fma(load(x + i + LANES_D), load(y + i + LANES_D), b);
      c = fma(load(x + i + 2 * LANES_D), load(y + i + 2 * LANES_D), c);
      d = fma(load(x + i + 3 * LANES_D), load(y + i + 3 * LANES_D), d);
    }
    total = (a + b) + (c + d);
  }
  for (; i + LANES_D <= n; i += LANES_D) total = fma(load(x + i), load(y + i), total);
  if (MASKED && i < n) total = fma(load_first(x + i, n - i), load_first(y + i, n - i), total), i = n;
  double all = sum(total);
  for (; i < n; ++i) all += x[i] * y[i];
  return all;
}

NOINLINE void axpy(double factor, const double* x, double* y, int n) {
  const vd f = broadcast(factor);
  int i = 0;
  for (; i + LANES_D <= n; i += LANES_D) store(y + i, fma(f, load(x + i), load(y + i)));
  if (MASKED && i < n) store_first(y + i, fma(f, load_first(x + i, n - i), load_first(y + i, n - i)), n - i), i = n;
  for (; i < n; ++i) y[i] += factor * x[i];
}

NOINLINE void scale(double factor, double* x, int n) {
  const vd f = broadcast(factor);
  int i = 0;
  for (; i + LANES_D <= n; i += LANES_D) store(x + i, f * load(x + i));
  for (; i < n; ++i) x[i] *= factor;
}

NOINLINE void multiply(const Matrix& c, int m, int n, const Matrix& a, int k, const Matrix& b, bool accumulate) {
  if (m == 0 || n == 0) return;
  Gemm g;
  g.dtype = g.cdtype = DType(c.dtype);
  g.m = m, g.n = n, g.k = k;
  g.a = a.data, g.b = b.data, g.c = c.data;
  g.as.row = a.row, g.as.col = a.col, g.bs.row = b.row, g.bs.col = b.col, g.cs.row = c.row, g.cs.col = c.col;
  g.accumulate = accumulate;
  gemm_run(g);
}

namespace {

INLINE void copy_matrix(const Matrix& from, const Matrix& to, int rows, int cols) {
  load_tile(compute_of(from.dtype), from.dtype, from.data, from.row, from.col, rows, cols, to.data);
}

// The same on a matrix in memory, in strips of columns; `negated` becomes -X.
void solve_strips(const double* d, int n, int32_t flags, const Matrix& x, int cols, double* room, const Matrix& negated) {
  constexpr int STRIP = 64;
  parallel((cols + STRIP - 1) / STRIP, [&](int64_t task, int) {
    const int first = int(task) * STRIP, width = cols - first < STRIP ? cols - first : STRIP;
    double* const strip = room + Index(first) * n;
    read(x.at(0, first), n, width, strip);
    solve_rows(d, n, n, flags, strip, width, width);
    write(strip, x.at(0, first), n, width);
    scale(-1, strip, n * width);
    write(strip, negated.at(0, first), n, width);
  });
}

// Room for a block, a strip of as many rows in float64, and its negative in any type.
INLINE size_t strip_bytes(int width, Index rows) { return size_t(width) * size_t(width + 2 * rows) * 8; }
INLINE Matrix dense_at(void* memory, int32_t dtype, Index cols) { return {static_cast<char*>(memory), dtype, cols, 1}; }

// L L^T = A, from A's lower triangle.
int cholesky(const Matrix* o, int n) {
  const Matrix& l = o[1];
  copy_matrix(o[0], l, n, n);
  const int width = block_size(n, BLOCK);
  const Room room(strip_bytes(width, n + NARROW));
  if (room.memory == nullptr) return OUT_OF_MEMORY;
  double* const block = room.doubles();
  double* const strip = block + Index(width) * width;
  int info = 0;
  for (int j = 0; j < n && info == 0; j += width) {
    const int size = block_size(n - j, BLOCK), rest = n - j - size;
    read(l.at(j, j), size, size, block);
    info = cholesky_block(block, size, strip);
    if (info != 0) info += j;
    write(block, l.at(j, j), size, size);
    if (!BLOCKED || info != 0 || rest == 0) continue;
    const Matrix below = l.at(j + size, j), negated = dense_at(strip + Index(size) * rest, l.dtype, rest);
    solve_strips(block, size, 0, below.transposed(), rest, strip, negated);
    for (int c = 0; c < rest; c += 4 * BLOCK) {            // the lower triangle, in steps
      const int columns = rest - c < 4 * BLOCK ? rest - c : 4 * BLOCK;
      multiply(l.at(j + size + c, j + size + c), rest - c, columns, below.at(c, 0), size, negated.at(0, c), true);
    }
  }
  for (int i = 0; i + 1 < n; ++i) __builtin_memset(l.at(i, i + 1).data, 0, size_t(n - 1 - i) * bytes_of(l.dtype));
  return info;
}

void swap_rows(const Matrix& a, int r, int s, int from, int to) {
  if (r == s || from >= to) return;
  char *x = a.at(r, from).data, *y = a.at(s, from).data;
  for (Index i = 0; i < Index(to - from) * bytes_of(a.dtype); i += 4) {
    uint32_t u, v;
    __builtin_memcpy(&u, x + i, 4), __builtin_memcpy(&v, y + i, 4);
    __builtin_memcpy(x + i, &v, 4), __builtin_memcpy(y + i, &u, 4);
  }
}

int lu(const Matrix* o, int m, int n) {
  const Matrix& w = o[1];
  copy_matrix(o[0], w, m, n);
  const int count = m < n ? m : n, width = BLOCKED ? block_size(count, BLOCK) : n;
  const Room room((size_t(width) * size_t(Index(m) + 2 * Index(n)) + size_t(NARROW) * size_t(m)) * 8);
  if (room.memory == nullptr) return OUT_OF_MEMORY;
  double* const panel = room.doubles();
  double* const narrow = panel + Index(width) * m;
  double* const strip = narrow + Index(NARROW) * m;
  int32_t* const pivots = reinterpret_cast<int32_t*>(o[2].data);
  int info = 0;
  for (int j = 0; j < count; j += width) {
    const int size = BLOCKED ? block_size(count - j, BLOCK) : n, rest = n - j - size;
    read(w.at(j, j), m - j, size, panel);
    const int failed = lu_panel(panel, m - j, size, pivots + j, narrow);
    if (failed != 0 && info == 0) info = j + failed;
    write(panel, w.at(j, j), m - j, size);
    for (int c = j; BLOCKED && c < j + size; ++c) {
      const int other = pivots[c] += j;
      swap_rows(w, c, other, 0, j);
      swap_rows(w, c, other, j + size, n);
    }
    if (!BLOCKED || rest == 0) continue;
    const Matrix negated = dense_at(strip + Index(size) * rest, w.dtype, rest);
    solve_strips(panel, size, UNIT, w.at(j, j + size), rest, strip, negated);
    multiply(w.at(j + size, j + size), m - j - size, rest, w.at(j + size, j), size, negated, true);
  }
  for (int c = 0; c < count; ++c) ++pivots[c];              // counted from 1, as in LAPACK
  return info;
}

int triangular(const Matrix* o, int n, int cols, int32_t flags) {
  const Matrix &a = o[0], &x = o[2];
  if (!BLOCKED) {
    const Room room(size_t(n) * size_t(Index(n) + cols) * 8);
    if (room.memory == nullptr) return OUT_OF_MEMORY;
    double* const d = room.doubles();
    double* const rows = d + Index(n) * n;
    read(a, n, n, d), read(o[1], n, cols, rows);
    solve_rows(d, n, n, flags, rows, cols, cols);
    write(rows, x, n, cols);
    return 0;
  }
  copy_matrix(o[1], x, n, cols);
  const int width = block_size(n, BLOCK);
  const Room room(strip_bytes(width, cols));
  if (room.memory == nullptr) return OUT_OF_MEMORY;
  double* const block = room.doubles();
  double* const strip = block + Index(width) * width;
  const Matrix negated = dense_at(strip + Index(width) * cols, x.dtype, cols);
  const int blocks = n == 0 ? 0 : (n + width - 1) / width;
  for (int k = 0; k < blocks; ++k) {
    const int j = (flags & UPPER ? blocks - 1 - k : k) * width, size = block_size(n - j, BLOCK), next = j + size;
    read(a.at(j, j), size, size, block);
    solve_strips(block, size, flags, x.at(j, 0), cols, strip, negated);
    if (flags & UPPER) multiply(x, j, cols, a.at(0, j), size, negated, true);
    else multiply(x.at(next, 0), n - next, cols, a.at(next, j), size, negated, true);
  }
  return 0;
}

// The order of rows after the swaps (counted from 1); the position of a pivot outside, from 1.
int permutation(const Matrix* o, int rows, int count) {
  const int32_t* const pivots = reinterpret_cast<const int32_t*>(o[0].data);
  int32_t* const order = reinterpret_cast<int32_t*>(o[1].data);
  for (int i = 0; i < rows; ++i) order[i] = i;
  for (int i = 0; i < count; ++i) {
    const int32_t other = pivots[i * o[0].row] - 1;
    if (other < 0 || other >= rows) return i + 1;
    const int32_t kept = order[i];
    order[i] = order[other], order[other] = kept;
  }
  return 0;
}

// exp(A) = exp(A / 2^s)^(2^s): the first terms of the series, by Horner's rule, where the norm is at most 1/4.
int exponential(const Matrix* o, int n) {
  const Index size = Index(n) * n;
  const Room room(size_t(3 * size) * 8);
  double* const a = room.doubles();
  if (a == nullptr) return OUT_OF_MEMORY;
  double *sum = a + size, *next = sum + size;
  read(o[0], n, n, a);
  double norm = 0;
  for (int r = 0; r < n; ++r) {
    double row = 0;
    for (int c = 0; c < n; ++c) row += magnitude(a[Index(r) * n + c]);
    if (!(row <= norm)) norm = row;
  }
  const auto times = [&](const double* left) {
    multiply(dense_at(next, FLOAT64, n), n, n, dense_at(const_cast<double*>(left), FLOAT64, n), n, dense_at(sum, FLOAT64, n), false);
    double* const swap = sum;
    sum = next, next = swap;
  };
  int squarings = 0;
  for (; norm > 0.25 && norm - norm == 0; norm /= 2) ++squarings, scale(0.5, a, int(size));
  clear(sum, size);
  for (int k = 13; k >= 1; --k) {                            // sum = I + A sum / k; the first sum is I
    if (k < 13) times(a), scale(1.0 / k, sum, int(size));
    for (int r = 0; r < n; ++r) sum[Index(r) * n + r] += 1;
  }
  for (; squarings > 0; --squarings) times(sum);
  write(sum, o[1], n, n);
  return 0;
}

struct Factor {
  int32_t by, flags, m, n, columns, rank, operands;
  const int32_t* dims;
  View views[4];
};

int factor_one(const Factor& f, const Matrix* o) {
  switch (f.by) {
    case CHOLESKY: return cholesky(o, f.n);
    case LU: return lu(o, f.m, f.n);
    case QR: return factor_qr(o, f.m, f.n);
    case EIGH: return factor_eigh(o, f.n, f.flags);
    case SVD: return factor_svd(o, f.m, f.n, f.flags);
    case TRIANGULAR: return triangular(o, f.n, f.columns, f.flags);
    case PERMUTATION: return permutation(o, f.columns, f.m);
    case EIG: return factor_eig(o, f.n, f.flags);
    default: return exponential(o, f.n);
  }
}

}  // namespace

int32_t factor(const Step& step) {
  Reader in(step);
  Factor f = {};
  f.by = in.next(), f.flags = in.next(), f.m = in.next(), f.n = in.next(), f.columns = in.next(), f.rank = in.next();
  f.dims = in.ints(f.rank);
  f.operands = in.next();
  for (int k = 0; k < f.operands; ++k) f.views[k] = in.view(f.rank + 2);
  const int64_t count = product(f.dims, f.rank);
  const bool reports = f.by == CHOLESKY || f.by == LU;        // the last output says how each matrix fared
  const int64_t work = int64_t(f.m) * f.n * (f.m < f.n ? f.m : f.n) + 1;
  const int64_t grain = work < 20000 ? 20000 / work + 1 : 1;
  uint64_t first = ~0ull;                                     // failure: the batch element above, the order below
  parallel((count + grain - 1) / grain, [&](int64_t task, int) {
    Walk<4> walk = {f.rank, f.dims, {f.views[0].strides, f.views[1].strides, f.views[2].strides, f.views[3].strides}, {}, {}};
    for (int k = f.operands; k < 4; ++k) walk.strides[k] = f.views[0].strides;
    const int64_t end = (task + 1) * grain < count ? (task + 1) * grain : count;
    for (int64_t i = task * grain; i < end; ++i) {
      walk.seek(i);
      Matrix o[4] = {};
      for (int k = 0; k < f.operands; ++k) {
        const View& v = f.views[k];
        o[k] = {v.data + walk.offset[k] * bytes_of(v.dtype), v.dtype, v.strides[f.rank], v.strides[f.rank + 1]};
      }
      const int info = factor_one(f, o);
      if (reports && info >= 0) *reinterpret_cast<int32_t*>(o[f.operands - 1].data) = info;
      if (info == 0) continue;
      const uint64_t mine = info < 0 ? 0 : uint64_t(i + 1) << 32 | uint32_t(info);
      uint64_t known = __atomic_load_n(&first, __ATOMIC_RELAXED);
      while (mine < known && !__atomic_compare_exchange_n(&first, &known, mine, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED)) {}
    }
  });
  if (first == 0) return step.fail(ENGINE_MEMORY);
  if (first == ~0ull || (f.flags & STRICT) == 0) return ENGINE_OK;
  return step.fail(ENGINE_FACTOR, f.by, double((first >> 32) - 1), double(uint32_t(first)));
}

}  // namespace chainrule::VARIANT
