// Factorizations with orthogonal factors: QR by Householder's reflections and, in WASM, eigenvalues and singular values by Jacobi.
#include "factor.h"
#include "simd.h"

namespace chainrule::VARIANT {

// H = I - tau v v^T with v[0] = 1 that takes x to (beta, 0, ..): v replaces x. As LAPACK does: beta has the other sign than x[0].
NOINLINE double reflector(double* x, int n, double* tau) {
  double largest = 0;
  for (int i = 1; i < n; ++i) largest = magnitude(x[i]) > largest || x[i] != x[i] ? magnitude(x[i]) : largest;
  const double head = x[0], most = magnitude(head) > largest ? magnitude(head) : largest;
  *tau = 0;
  if (largest != 0 && (most < 1e-140 || (most > 1e140 && most - most == 0))) {      // squares would leave the range
    const double unit = most < 1 ? 0x1p600 : 0x1p-600;
    scale(unit, x, n);
    return reflector(x, n, tau) / unit;
  }
  x[0] = 1;
  if (largest == 0) return head;
  const double length = __builtin_sqrt(head * head + dot(x + 1, x + 1, n - 1)), beta = head > 0 ? -length : length;
  *tau = (beta - head) / beta;
  scale(1 / (head - beta), x + 1, n - 1);
  return beta;
}

NOINLINE void reflect(const double* v, double tau, double* x, int n) { axpy(-tau * dot(v, x, n), v, x, n); }

// Reduces `count` columns of `length`, each in a row of p, to the upper triangle; v stays below it. diagonal: of the triangle.
// The v are left with their leading 1 in place.
NOINLINE void qr_rows(double* p, int count, int length, double* tau, double* diagonal) {
  for (int c = 0; c < count; ++c) {
    double* const v = p + Index(c) * length + c;
    if (c >= length) break;
    diagonal[c] = reflector(v, length - c, tau + c);
    for (int j = c + 1; j < count; ++j) reflect(v, tau[c], p + Index(j) * length + c, length - c);
  }
}

// T of H1 H2 ... = I - V T V^T, upper triangular; v are rows of vt.
void block_factor(const double* vt, int count, int length, const double* tau, double* t) {
  double products[PANEL];
  for (int c = 0; c < count; ++c) {
    for (int r = 0; r < c; ++r) products[r] = dot(vt + Index(r) * length, vt + Index(c) * length, length);
    for (int r = 0; r < count; ++r) {
      double sum = 0;
      for (int k = r; k < c; ++k) sum += t[r * count + k] * products[k];
      t[r * count + c] = r < c ? -tau[c] * sum : r == c ? tau[c] : 0;
    }
  }
}

// Rotates two rows: (x, y) becomes (c x - s y, s x + c y).
NOINLINE void rotate(double* x, double* y, double c, double s, int n) {
  const vd cs = broadcast(c), sn = broadcast(s);
  int i = 0;
  for (; i + LANES_D <= n; i += LANES_D) {
    const vd a = load(x + i), b = load(y + i);
    store(x + i, cs * a - sn * b), store(y + i, sn * a + cs * b);
  }
  for (; i < n; ++i) {
    const double a = x[i], b = y[i];
    x[i] = c * a - s * b, y[i] = s * a + c * b;
  }
}

// A vector and its negative serve alike. The first entry that has at least half the largest magnitude is made positive.
double sign_of(const double* v, int n) {
  double largest = 0;
  for (int i = 0; i < n; ++i) largest = magnitude(v[i]) > largest ? magnitude(v[i]) : largest;
  for (int i = 0; i < n; ++i)
    if (magnitude(v[i]) >= 0.5 * largest) return v[i] < 0 ? -1 : 1;
  return 1;
}

// Positions in order of value; equal values stay in their order.
void order_by(const double* values, int n, int32_t* order, bool descending) {
  for (int i = 0; i < n; ++i) {
    int j = i;
    for (; j > 0 && (descending ? values[order[j - 1]] < values[i] : values[order[j - 1]] > values[i]); --j) order[j] = order[j - 1];
    order[j] = i;
  }
}

bool all_finite(const double* x, Index n) {
  double sum = 0;
  for (Index i = 0; i < n; ++i) sum += x[i] - x[i];
  return sum == 0;
}

NOINLINE double hypotenuse(double a, double b) {
  const double x = magnitude(a), y = magnitude(b), most = x > y ? x : y, sum = a * a + b * b;
  if (sum > 1e-280 && sum < 1e280) return __builtin_sqrt(sum);
  if (most == 0) return 0;
  return most * __builtin_sqrt(x / most * (x / most) + y / most * (y / most));
}

#if defined(__wasm__)
namespace {

// The rows p and q of g become orthogonal; `norms` are their squared lengths. False: they were already.
bool orthogonalize(double* g, double* v, double* norms, int p, int q, int length, int n) {
  double *x = g + Index(p) * length, *y = g + Index(q) * length;
  const double product = dot(x, y, length);
  norms[p] = dot(x, x, length), norms[q] = dot(y, y, length);
  const double bound = 1e-15 * __builtin_sqrt(norms[p]) * __builtin_sqrt(norms[q]);
  if (!(magnitude(product) > bound) || magnitude(product) < 1e-290) return false;
  const double zeta = (norms[q] - norms[p]) / (2 * product);
  const double t = (zeta < 0 ? -1 : 1) / (magnitude(zeta) + hypotenuse(1, zeta));
  const double c = 1 / hypotenuse(1, t), s = c * t;
  rotate(x, y, c, s, length);
  if (v != nullptr) rotate(v + Index(p) * n, v + Index(q) * n, c, s, n);
  return true;
}

// Jacobi: rotates the rows of g (n x n) until they are orthogonal, and the rows of v alike. Each round pairs all rows, two and
// two, so that the pairs of a round can be worked on at the same time.
bool jacobi(double* g, double* v, double* norms, int n) {
  const int even = n + n % 2, pairs = even / 2;
  for (int sweep = 0; sweep < 60; ++sweep) {
    int32_t turned = 0;
    for (int round = 0; round + 1 < even; ++round) {
      const auto pair = [&](int64_t k, int) {
        const auto place = [&](int i) { return i == 0 ? 0 : (i - 1 + round) % (even - 1) + 1; };
        const int a = place(int(k)), b = place(even - 1 - int(k));
        if (a >= n || b >= n) return;
        if (orthogonalize(g, v, norms, a < b ? a : b, a < b ? b : a, n, n)) __atomic_store_n(&turned, 1, __ATOMIC_RELAXED);
      };
      if (BLOCKED && n >= 192) parallel(pairs, pair);
      else for (int k = 0; k < pairs; ++k) pair(k, 0);
    }
    if (turned == 0) return true;
  }
  return false;
}

// Gives row i, which is zero, a direction orthogonal to all rows before it.
void complete(double* rows, int i, int n) {
  double* const x = rows + Index(i) * n;
  for (int k = 0; k < n; ++k) {
    clear(x, n);
    x[k] = 1;
    for (int j = 0; j < 2 * i; ++j) axpy(-dot(x, rows + Index(j % i) * n, n), rows + Index(j % i) * n, x, n);
    const double length = __builtin_sqrt(dot(x, x, n));
    if (length * length * (n + 1) < 0.5) continue;
    scale(1 / length, x, n);
    return;
  }
}

}  // namespace
#endif

void read_symmetric(const Matrix& from, int n, double* a, int ld) {
  for (int r = 0; r < n; ++r) {
    read(from.at(r, 0), 1, r + 1, a + Index(r) * ld);
    for (int c = 0; c < r; ++c) a[Index(c) * ld + r] = a[Index(r) * ld + c];
    clear(a + Index(r) * ld + n, ld - n);
  }
}

void write_columns(const double* x, int ld, const int32_t* order, const double* factors, int n, int length, const Matrix& to, double* rows) {
  for (int i = 0; i < n; i += LINE) {
    const int cols = n - i < LINE ? n - i : LINE;
    for (int k = 0; k < cols; ++k) {
      const double* const row = x + Index(order[i + k]) * ld;
      for (int r = 0; r < length; ++r) rows[Index(r) * cols + k] = factors[i + k] * row[r];
    }
    write(rows, to.at(0, i), length, cols);
  }
}

int factor_qr(const Matrix* o, int m, int n) {
  const Matrix& w = o[1];
  load_tile(compute_of(w.dtype), w.dtype, o[0].data, o[0].row, o[0].col, m, n, w.data);
  const int count = m < n ? m : n;
  // The panel and a copy in w's type; V^T C and T^T V^T C; T, tau and the diagonal.
  const int width = BLOCKED ? block_size(count, PANEL) : n;
  const Room room(size_t((BLOCKED ? 2 : 1) * Index(width) * m + (BLOCKED ? 2 : 0) * Index(width) * (n + width) + 2 * width) * 8);
  if (room.memory == nullptr) return OUT_OF_MEMORY;
  double* const tau = room.doubles();
  double* const diagonal = tau + width;
  double* const p = diagonal + width;
  double* const copy = p + Index(width) * m;
  double* const inner = copy + Index(width) * m;
  double* const turned = inner + Index(width) * n;
  double* const t = turned + Index(width) * n;
  double* const t_copy = t + Index(width) * width;
  for (int j = 0; j < count; j += width) {
    const int size = BLOCKED ? block_size(count - j, PANEL) : n, rows = m - j, rest = n - j - size;
    const Matrix panel = w.at(j, j).transposed();
    read(panel, size, rows, p);
    qr_rows(p, size, rows, tau, diagonal);
    for (int c = 0; c < size && c < rows; ++c) p[Index(c) * rows + c] = diagonal[c];
    write(p, panel, size, rows);
    write(tau, o[2].at(j, 0), size < rows ? size : rows, 1);
    if (!BLOCKED || rest == 0) continue;
    for (int c = 0; c < size; ++c) {
      clear(p + Index(c) * rows, c);
      p[Index(c) * rows + c] = 1;
    }
    block_factor(p, size, rows, tau, t);
    scale(-1, t, size * size);
    const auto typed = [&](double* at, int cols) { return Matrix{reinterpret_cast<char*>(at), w.dtype, cols, 1}; };
    const Matrix v = typed(copy, rows), small = typed(t_copy, size), first = typed(inner, rest), second = typed(turned, rest);
    write(p, v, size, rows), write(t, small, size, size);
    const Matrix c = w.at(j, j + size);
    multiply(first, size, rest, v, rows, c, false);
    multiply(second, size, rest, small.transposed(), size, first, false);
    multiply(c, rows, rest, v.transposed(), size, second, true);
  }
  return 0;
}

// A = V diag(w) V^T from the lower triangle: w ascending, V's columns.
#if defined(__wasm__)
// The little code there is for it: moved by its norm, twice, A is positive definite, and the singular values will do.
int factor_eigh(const Matrix* o, int n, int32_t flags) {
  const Room room(size_t(Index(n) * n + 3 * Index(n)) * 8);
  if (room.memory == nullptr) return OUT_OF_MEMORY;
  double *norms = room.doubles(), *w = norms + n, *a = w + 2 * n;
  int32_t* const order = reinterpret_cast<int32_t*>(w + n);
  read_symmetric(o[0], n, a, n);
  if (!all_finite(a, Index(n) * n)) return 1;
  double shift = 0;
  for (int r = 0; r < n; ++r) {
    double sum = 0;
    for (int c = 0; c < n; ++c) sum += magnitude(a[Index(r) * n + c]);
    if (2 * sum > shift) shift = 2 * sum;
  }
  if (shift == 0) shift = 1;
  for (int r = 0; r < n; ++r) a[Index(r) * n + r] += shift;
  if (!jacobi(a, nullptr, norms, n)) return n;
  for (int r = 0; r < n; ++r) {
    double* const row = a + Index(r) * n;
    const double length = __builtin_sqrt(dot(row, row, n));
    w[r] = length - shift;
    scale(sign_of(row, n) / length, row, n);
  }
  order_by(w, n, order, false);
  for (int i = 0; i < n; ++i) {
    write(w + order[i], o[1].at(i, 0), 1, 1);
    if ((flags & VECTORS) != 0) write(a + Index(order[i]) * n, o[2].at(0, i), n, 1);
  }
  return 0;
}

// A = U diag(s) V^T with s descending. A = Q R, and Jacobi's rotations on the rows of R: R = W diag(s) V^T, U = Q W.
int factor_svd(const Matrix* given, int rows, int cols, int32_t flags) {
  const bool vectors = (flags & VECTORS) != 0, wide = rows < cols;
  const int m = wide ? cols : rows, n = wide ? rows : cols;
  const Matrix x = wide ? given[0] : given[0].transposed();     // columns as rows
  const Index square = Index(n) * n;
  const Room room(size_t(Index(n) * m + 2 * square + m + 5 * Index(n)) * 8);
  if (room.memory == nullptr) return OUT_OF_MEMORY;
  double *norms = room.doubles(), *tau = norms + n, *diagonal = tau + n, *column = diagonal + n, *p = column + m;
  double *g = p + Index(n) * m, *w = vectors ? g + square : nullptr;
  int32_t* const order = reinterpret_cast<int32_t*>(g + 2 * square);
  read(x, n, m, p);
  if (!all_finite(p, Index(n) * m)) return 1;
  qr_rows(p, n, m, tau, diagonal);
  for (int r = 0; r < n; ++r) {
    for (int c = 0; c < n; ++c) {
      g[Index(r) * n + c] = c > r ? p[Index(c) * m + r] : c == r ? diagonal[r] : 0;
      if (vectors) w[Index(r) * n + c] = r == c;
    }
  }
  if (!jacobi(g, w, norms, n)) return n;
  for (int i = 0; i < n; ++i) norms[i] = __builtin_sqrt(dot(g + Index(i) * n, g + Index(i) * n, n));
  order_by(norms, n, order, true);
  const Matrix& s = given[vectors ? 2 : 1];
  for (int i = 0; i < n; ++i) write(norms + order[i], s.at(i, 0), 1, 1);
  if (!vectors) return 0;
  // In order, for a zero row is given a direction that all before it leave.
  const Room sorted(size_t(square) * 8);
  if (sorted.memory == nullptr) return OUT_OF_MEMORY;
  double* const v = sorted.doubles();
  for (int i = 0; i < n; ++i) {
    double* const row = v + Index(i) * n;
    const double norm = norms[order[i]];
    __builtin_memcpy(row, g + Index(order[i]) * n, size_t(n) * 8);
    if (norm > 0) for (int c = 0; c < n; ++c) row[c] /= norm;
    else complete(v, i, n);
  }
  const Matrix left = wide ? given[3].transposed() : given[1], right = wide ? given[1].transposed() : given[3];
  for (int i = 0; i < n; ++i) {
    clear(column, m);
    __builtin_memcpy(column, w + Index(order[i]) * n, size_t(n) * 8);
    for (int c = n - 1; c >= 0; --c) reflect(p + Index(c) * m + c, tau[c], column + c, m - c);
    double* const row = v + Index(i) * n;
    const double sign = wide ? sign_of(row, n) : sign_of(column, m);
    scale(sign, column, m), scale(sign, row, n);
    write(column, left.at(0, i), m, 1);
    write(row, right.at(i, 0), 1, n);
  }
  return 0;
}
#endif

}  // namespace chainrule::VARIANT
