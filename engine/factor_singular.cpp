// Singular values: of float32 by the eigenvalues of the squares in float64, where digits allow it, or by bidiagonal QR. WASM, where code
// is dear, has Jacobi's rotations (factor_orthogonal.cpp).
#include "factor_spectral.h"

#if !defined(__wasm__)
namespace chainrule::VARIANT {
namespace {

// U^T A V = B for square A: B's diagonal d and e above it, e[i] over d[i + 1]. Left reflections are left in the rows of u, from i on,
// right ones in those of a, from i + 1 on.
void bidiagonalize(double* a, int n, double* u, double* d, double* e, double* tau_u, double* tau_v, double* w) {
  const int ld = padded(n);
  for (int i = 0; i < n; ++i) {
    double* const left = u + Index(i) * ld + i;
    for (int r = i; r < n; ++r) left[r - i] = a[Index(r) * ld + i];
    d[i] = reflector(left, n - i, tau_u + i);
    const int size = n - 1 - i;
    if (size == 0) break;
    clear(w, size);
    for (int r = i; r < n; ++r) axpy(left[r - i], a + Index(r) * ld + i + 1, w, size);
    double* const v = a + Index(i) * ld + i + 1;
    axpy(-tau_u[i], w, v, size);
    e[i + 1] = reflector(v, size, tau_v + i);
    for (int r = i + 1; r < n; ++r) {
      double* const row = a + Index(r) * ld + i + 1;
      axpy(-tau_u[i] * left[r - i], w, row, size);
      reflect(v, tau_v[i], row, size);
    }
  }
}

// Singular values of the bidiagonal matrix, in d, none negative, by implicit QR (Golub and Reinsch 1970); the rows of both are
// rotated along. False: no convergence.
bool bidiagonal_qr(double* d, double* e, int n, Sweeps* left, Sweeps* right) {
  double norm = 0;
  e[0] = 0;
  for (int i = 0; i < n; ++i) {
    const double both = magnitude(d[i]) + magnitude(e[i]);
    norm = both > norm ? both : norm;
  }
  const double least = 1.1e-16 * norm;
  for (int k = n - 1; k >= 0; --k) {
    for (int round = 0;; ++round) {
      int l = k;
      while (magnitude(e[l]) > least && magnitude(d[l - 1]) > least) --l;      // e[0] is 0
      if (magnitude(e[l]) > least) {                                           // d[l - 1] is 0: so e[l] can be
        double c = 0, s = 1;
        if (left != nullptr) left->flush();
        for (int i = l; i <= k; ++i) {
          const double f = s * e[i];
          e[i] = c * e[i];
          if (magnitude(f) <= least) break;
          const double g = d[i], h = hypotenuse(f, g);
          d[i] = h, c = g / h, s = -f / h;
          if (left != nullptr) rotate(left->z + Index(l - 1) * left->ld, left->z + Index(i) * left->ld, c, -s, n);
        }
      }
      double z = d[k];
      if (l == k) {
        if (z >= 0) break;
        d[k] = -z;
        if (right != nullptr) right->flush(), scale(-1, right->z + Index(k) * right->ld, n);
        break;
      }
      if (round == 75) return false;
      double x = d[l], y = d[k - 1], g = e[k - 1], h = e[k];
      double f = ((y - z) * (y + z) + (g - h) * (g + h)) / (2 * h * y);
      g = hypotenuse(f, 1);
      f = ((x - z) * (x + z) + h * (y / (f + (f < 0 ? -g : g)) - h)) / x;
      double c = 1, s = 1;
      if (left != nullptr) left->begin(l, 1), right->begin(l, 1);
      for (int j = l; j < k; ++j) {
        g = e[j + 1], y = d[j + 1];
        h = s * g, g = c * g;
        z = hypotenuse(f, h);
        e[j] = z;
        if (z != 0) c = f / z, s = h / z;
        else c = 1, s = 0;
        f = x * c + g * s, g = g * c - x * s;
        h = y * s, y *= c;
        if (right != nullptr) right->add(c, s);
        z = hypotenuse(f, h);
        d[j] = z;
        if (z != 0) c = f / z, s = h / z;
        f = c * g + s * y, x = c * y - s * g;
        if (left != nullptr) left->add(c, s);
      }
      e[l] = 0, e[k] = f, d[k] = x;
    }
  }
  if (left != nullptr) left->flush(), right->flush();
  return true;
}

// By the eigenvalues of A^T A, where A (its columns, p's rows) has few enough digits that float64 holds twice as many, and is far enough
// from singular that none are lost which it has: 0. Otherwise 1.
int by_squares(const double* p, int m, int n, bool wide, const Matrix* given, bool vectors) {
  const int ld = padded(n);
  const Index size = Index(n) * ld;
  const Room room((size_t(2 * size + Index(n) * m + Index(LINE) * m + 3 * Index(n)) + symmetric_room(n)) * 8);
  if (room.memory == nullptr) return OUT_OF_MEMORY;
  double *g = room.doubles(), *z = g + size, *left = z + size, *rows = left + Index(n) * m, *d = rows + Index(LINE) * m, *factors = d + n;
  int32_t* const order = reinterpret_cast<int32_t*>(factors + n);
  const auto dense = [](const double* at, int cols) {
    return Matrix{reinterpret_cast<char*>(const_cast<double*>(at)), FLOAT64, cols, 1};
  };
  clear(g, size);
  multiply(dense(g, ld), n, n, dense(p, m), m, dense(p, m).transposed(), false);
  if (!eigenvalues(g, n, d, vectors ? z : nullptr, order, factors + 2 * n)) return 1;
  if (n > 0 && !(d[order[0]] > 1e-8 * d[order[n - 1]])) return 1;
  for (int i = 0; i < n / 2; ++i) {
    const int32_t kept = order[i];
    order[i] = order[n - 1 - i], order[n - 1 - i] = kept;
  }
  for (int i = 0; i < n; ++i) {
    const double value = __builtin_sqrt(d[order[i]]);
    write(&value, given[vectors ? 2 : 1].at(i, 0), 1, 1);
  }
  if (!vectors) return 0;
  multiply(dense(left, m), n, m, dense(z, ld), n, dense(p, m), false);
  for (int i = 0; i < n; ++i)
    factors[i] = wide ? sign_of(z + Index(order[i]) * ld, n) : sign_of(left + Index(order[i]) * m, m);
  write_columns(z, ld, order, factors, n, n, wide ? given[1] : given[3].transposed(), rows);
  for (int i = 0; i < n; ++i) factors[i] /= __builtin_sqrt(d[order[i]]);
  write_columns(left, m, order, factors, n, m, wide ? given[3].transposed() : given[1], rows);
  return 0;
}

}  // namespace

// A = U diag(s) V^T with s descending. A is Q R, unless it is square, R (or A) is U B V^T with B bidiagonal.
int factor_svd(const Matrix* given, int rows, int cols, int32_t flags) {
  const bool vectors = (flags & VECTORS) != 0, wide = rows < cols, square = rows == cols;
  const int m = wide ? cols : rows, n = wide ? rows : cols;
  const Matrix x = wide ? given[0] : given[0].transposed();     // columns as rows
  const int ld = padded(n);
  const Index size = Index(n) * ld;
  const Room room((size_t(Index(n) * m + 4 * size + m + 9 * Index(n)) + 2 * Sweeps::room(n) + reflect_room(n)) * 8);
  if (room.memory == nullptr) return OUT_OF_MEMORY;
  double *d = room.doubles(), *e = d + n, *tau = e + n, *diagonal = tau + n, *tau_u = diagonal + n, *tau_v = tau_u + n, *column = tau_v + n;
  double *spare = column + m, *p = spare + 2 * n, *g = p + Index(n) * m, *u = g + size, *left = u + size, *right = left + size;
  int32_t* const order = reinterpret_cast<int32_t*>(spare + n);
  read(x, n, m, p);
  if (!all_finite(p, Index(n) * m)) return 1;
  if (given[0].dtype != FLOAT64) {
    const int found = by_squares(p, m, n, wide, given, vectors);
    if (found != 1) return found;
  }
  double unit = 0;                                           // squares stay in range
  for (Index i = 0; i < Index(n) * m; ++i) unit = magnitude(p[i]) > unit ? magnitude(p[i]) : unit;
  unit = unit > 1e100 ? 0x1p600 : unit < 1e-100 ? 0x1p-600 : 1;
  if (unit != 1) scale(1 / unit, p, Index(n) * m);
  if (!square) qr_rows(p, n, m, tau, diagonal);
  for (int r = 0; r < n; ++r)
    for (int c = 0; c < n; ++c) g[Index(r) * ld + c] = c > r || square ? p[Index(c) * m + r] : c == r ? diagonal[r] : 0;
  bidiagonalize(g, n, u, d, e, tau_u, tau_v, spare);
  Sweeps lefts(left, n, ld, right + size), rights(right, n, ld, right + size + Sweeps::room(n));
  if (vectors) set_identity(left, n), set_identity(right, n);
  if (!bidiagonal_qr(d, e, n, vectors ? &lefts : nullptr, vectors ? &rights : nullptr)) return n;
  order_by(d, n, order, true);
  scale(unit, d, n);
  const Matrix& s = given[vectors ? 2 : 1];
  for (int i = 0; i < n; ++i) write(d + order[i], s.at(i, 0), 1, 1);
  if (!vectors) return 0;
  reflect_rows(u, tau_u, n, 0, left, n, right + size);
  reflect_rows(g, tau_v, n - 1, 1, right, n, right + size);
  const Matrix u_out = wide ? given[3].transposed() : given[1], v_out = wide ? given[1].transposed() : given[3];
  for (int i = 0; i < n; ++i) {
    clear(column, m);
    __builtin_memcpy(column, left + Index(order[i]) * ld, size_t(n) * 8);
    for (int c = n - 1; c >= 0 && !square; --c) reflect(p + Index(c) * m + c, tau[c], column + c, m - c);
    double* const row = right + Index(order[i]) * ld;
    const double sign = wide ? sign_of(row, n) : sign_of(column, m);
    scale(sign, column, m), scale(sign, row, n);
    write(column, u_out.at(0, i), m, 1);
    write(row, v_out.at(i, 0), 1, n);
  }
  return 0;
}

}  // namespace chainrule::VARIANT
#endif
