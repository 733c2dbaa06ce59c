// Eigenvalues of symmetric matrices: tridiagonal, small blocks by QL, which are joined. WASM, where code is dear, has Jacobi's rotations
// (factor_orthogonal.cpp).
#include "factor_spectral.h"

#if !defined(__wasm__)
namespace chainrule::VARIANT {

size_t reflect_room(int n) { return size_t(3 * PANEL) * size_t(n) + PANEL * PANEL; }

// PANEL at a time.
void reflect_rows(const double* vectors, const double* tau, int count, int shift, double* z, int n, double* room) {
  const int ld = padded(n);
  const auto dense = [](double* at, int cols) { return Matrix{reinterpret_cast<char*>(at), FLOAT64, cols, 1}; };
  double *const v = room, *const inner = v + Index(PANEL) * n, *const turned = inner + Index(PANEL) * n, *const t = turned + Index(PANEL) * n;
  for (int first = (count - 1) / PANEL * PANEL; first >= 0 && count > 0; first -= PANEL) {
    const int size = count - first < PANEL ? count - first : PANEL, at = first + shift, length = n - at;
    for (int i = 0; i < size; ++i) {
      double* const row = v + Index(i) * length;
      clear(row, i);
      __builtin_memcpy(row + i, vectors + Index(first + i) * ld + at + i, size_t(length - i) * 8);
    }
    block_factor(v, size, length, tau + first, t);
    scale(-1, t, size * size);
    multiply(dense(inner, size), n, size, dense(z + at, ld), length, dense(v, length).transposed(), false);
    multiply(dense(turned, size), n, size, dense(inner, size), size, dense(t, size).transposed(), false);
    multiply(dense(z + at, ld), n, length, dense(turned, size), size, dense(v, length), true);
  }
}

void set_identity(double* z, int n) {
  const int ld = padded(n);
  clear(z, Index(n) * ld);
  for (int i = 0; i < n; ++i) z[Index(i) * ld + i] = 1;
}

namespace {

// What a step owes a row, from the diagonal on, is paid: x -= b w + c v. Its product with the next step's vector u is returned; the
// row's share in the products of those below, by symmetry, is added to `products`.
INLINE double update_row(double* x, double b, const double* w, double c, const double* v, const double* u, double* products, int r, int n) {
  const vd by_w = broadcast(-b), by_v = broadcast(-c), share = broadcast(u[r]);
  vd total = {};
  int i = r / LANES_D * LANES_D;
  if (i < r) {                                               // nothing left of the diagonal
    int64_t right[LANES_D];
    for (int k = 0; k < LANES_D; ++k) right[k] = i + k < r ? 0 : -1;
    const vd y = select(load(right), fma(by_v, load(v + i), fma(by_w, load(w + i), load(x + i))), vd{});
    store(x + i, y);
    total = y * load(u + i), store(products + i, fma(share, y, load(products + i)));
    i += LANES_D;
  }
  for (; i < n; i += LANES_D) {
    const vd y = fma(by_v, load(v + i), fma(by_w, load(w + i), load(x + i)));
    store(x + i, y);
    total = fma(y, load(u + i), total), store(products + i, fma(share, y, load(products + i)));
  }
  return sum(total) - u[r] * x[r];                           // the diagonal counts once
}

// Q^T A Q = T for symmetric A, of which the upper triangle is read: T's diagonal d and subdiagonal e. The v of the i-th reflection is
// left in row i of a, from i + 1 on. A step brings a row up to date and multiplies it with the next v while it is in cache.
// w: 3 padded(n) numbers.
void tridiagonalize(double* a, int n, double* d, double* e, double* tau, double* w) {
  const int ld = padded(n);
  double *next = w + ld, *const none = w + 2 * Index(ld);
  clear(w, 3 * Index(ld));
  const double* before = none;                               // the last v; w is its vector
  for (int i = 0; i < n; ++i) {
    double* const v = a + Index(i) * ld;
    if (i > 0) axpy(-before[i], w + i, v + i, n - i), axpy(-w[i], before + i, v + i, n - i);
    d[i] = v[i];
    const int size = n - 1 - i;
    if (size == 0) break;
    e[i] = reflector(v + i + 1, size, tau + i);
    clear(next, ld);
    for (int r = i + 1; r < n; ++r)
      next[r] += update_row(a + Index(r) * ld, before[r], w, w[r], before, v, next, r, n);
    scale(tau[i], next + i + 1, size);
    axpy(-0.5 * tau[i] * dot(next + i + 1, v + i + 1, size), v + i + 1, next + i + 1, size);
    double* const swap = w;
    w = next, next = swap, before = v;
  }
}

// Eigenvalues of the tridiagonal matrix, in d, by implicit QL; rows are rotated along. False: no convergence.
bool tridiagonal_ql(double* d, double* e, int n, Sweeps* z) {
  for (int l = 0; l < n; ++l) {
    for (int round = 0;; ++round) {
      int m = l;
      for (; m + 1 < n; ++m)
        if (magnitude(e[m]) <= 1.1e-16 * (magnitude(d[m]) + magnitude(d[m + 1]))) break;
      if (m == l) break;
      if (round == 60) return false;
      double g = (d[l + 1] - d[l]) / (2 * e[l]);
      const double root = hypotenuse(g, 1);
      g = d[m] - d[l] + e[l] / (g + (g < 0 ? -root : root));
      double s = 1, c = 1, p = 0;
      int i = m - 1;
      if (z != nullptr) z->begin(m, -1);
      for (; i >= l; --i) {
        const double f = s * e[i], b = c * e[i];
        const double r = hypotenuse(f, g);
        e[i + 1] = r;
        if (r == 0) {
          d[i + 1] -= p, e[m] = 0;
          break;
        }
        s = f / r, c = g / r;
        g = d[i + 1] - p;
        const double t = (d[i] - g) * s + 2 * c * b;
        p = s * t;
        d[i + 1] = g + p, g = c * t - b;
        if (z != nullptr) z->add(c, s);
      }
      if (i >= l) continue;
      d[l] -= p, e[l] = g, e[m] = 0;
    }
  }
  if (z != nullptr) z->flush();
  return true;
}

// Eigenvalues and, in rows of z, vectors of a tridiagonal matrix, `order` by value: small ones by QL, halves are joined.
bool divide(double* d, double* e, double* z, int ld, int n, int32_t* order, double* room) {
  constexpr int SMALL = 32;
  if (n <= SMALL) {
    Sweeps sweeps(z, n, ld, room);
    if (!tridiagonal_ql(d, e, n, &sweeps)) return false;
    order_by(d, n, order, false);
    return true;
  }
  const int half = n / 2;
  const double rho = e[half - 1];
  d[half - 1] -= magnitude(rho), d[half] -= magnitude(rho);
  if (!divide(d, e, z, ld, half, order, room)) return false;
  if (!divide(d + half, e + half, z + Index(half) * ld + half, ld, n - half, order + half, room)) return false;
  join(d, z, ld, n, half, rho, order, room);
  return true;
}

}  // namespace

size_t symmetric_room(int n) {
  const size_t a = join_room(n), b = Sweeps::room(n), c = reflect_room(n), most = a > b ? a : b;
  return (most > c ? most : c) + size_t(2 * n) + size_t(3 * padded(n));
}

bool eigenvalues(double* a, int n, double* d, double* z, int32_t* order, double* room) {
  const int ld = padded(n);
  double *const e = room, *const tau = e + n, *const w = tau + n, *const rest = w + 3 * Index(ld);
  tridiagonalize(a, n, d, e, tau, w);
  if (z == nullptr) {
    if (!tridiagonal_ql(d, e, n, nullptr)) return false;
    order_by(d, n, order, false);
    return true;
  }
  set_identity(z, n);
  double largest = 0;
  for (int i = 0; i < n; ++i) {
    largest = magnitude(d[i]) > largest ? magnitude(d[i]) : largest;
    if (i + 1 < n) largest = magnitude(e[i]) > largest ? magnitude(e[i]) : largest;
  }
  if (largest > 0) for (int i = 0; i < n; ++i) d[i] /= largest, e[i] = i + 1 < n ? e[i] / largest : 0;
  if (!divide(d, e, z, ld, n, order, rest)) return false;
  scale(largest, d, n);
  reflect_rows(a, tau, n - 1, 1, z, n, rest);
  return true;
}

// A = V diag(w) V^T from the lower triangle: w ascending, V's columns.
int factor_eigh(const Matrix* o, int n, int32_t flags) {
  const bool vectors = (flags & VECTORS) != 0;
  const int ld = padded(n);
  const Index size = Index(n) * ld;
  const Room room((size_t((vectors ? 2 : 1) * size + (3 + LINE) * Index(n)) + symmetric_room(n)) * 8);
  if (room.memory == nullptr) return OUT_OF_MEMORY;
  double *a = room.doubles(), *z = vectors ? a + size : nullptr, *d = a + (vectors ? 2 : 1) * size, *signs = d + 2 * n, *rows = signs + n;
  int32_t* const order = reinterpret_cast<int32_t*>(d + n);
  read_symmetric(o[0], n, a, ld);
  if (!all_finite(a, size)) return 1;
  if (!eigenvalues(a, n, d, z, order, rows + LINE * Index(n))) return n;
  for (int i = 0; i < n; ++i) write(d + order[i], o[1].at(i, 0), 1, 1);
  for (int i = 0; i < n && vectors; ++i) signs[i] = sign_of(z + Index(order[i]) * ld, n);
  if (vectors) write_columns(z, ld, order, signs, n, n, o[2], rows);
  return 0;
}

}  // namespace chainrule::VARIANT
#endif
