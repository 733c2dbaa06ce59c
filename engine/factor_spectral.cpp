// Eigenvalues of symmetric matrices by tridiagonal QL, singular values by bidiagonal QR. WASM, where code is dear, has Jacobi's
// rotations for both (factor_orthogonal.cpp).
#include "factor.h"
#include "simd.h"

#if !defined(__wasm__)
namespace chainrule::VARIANT {
namespace {

constexpr int LINE = 8;                // numbers in a line of the cache

// The rows of a square matrix lie an odd number of cache lines apart: neither columns nor pairs of rows crowd the cache.
int padded(int n) { return (n + LINE - 1) / LINE / 2 * 2 * LINE + LINE; }

// Rotations of neighbouring rows of z (n x n) that wait: many sweeps over the rows are then made on a strip of columns in cache.
struct Sweeps {
  static constexpr int MOST = 32, STRIP = 4 * LANES_D;
  double* z;
  int n, ld, used;
  double *cosines, *sines;             // MOST x n each
  int first[MOST], step[MOST], count[MOST];

  static size_t room(int n) { return size_t(2 * MOST) * size_t(n); }
  Sweeps(double* rows, int size, double* memory)
      : z(rows), n(size), ld(padded(size)), used(0), cosines(memory), sines(memory + Index(MOST) * size) {}

  // Starts a sweep: rows from, from + by, .. . Rotation k takes (x, y), the rows k and k + 1, to (c x + s y, c y - s x).
  void begin(int from, int by) {
    if (used == MOST) flush();
    first[used] = from, step[used] = by, count[used++] = 0;
  }
  INLINE void add(double c, double s) {
    const Index at = Index(used - 1) * n + count[used - 1]++;
    cosines[at] = c, sines[at] = s;
  }

  template <int W> void turn(int column) const {
    for (int k = 0; k < used; ++k) {
      const double *c = cosines + Index(k) * n, *s = sines + Index(k) * n;
      double* row = z + Index(first[k]) * ld + column;
      const Index by = Index(step[k]) * ld;
      vd x[W];
#pragma GCC unroll 4
      for (int w = 0; w < W; ++w) x[w] = load(row + w * LANES_D);
      for (int i = 0; i < count[k]; ++i, row += by) {
#pragma GCC unroll 4
        for (int w = 0; w < W; ++w) {
          const vd y = load(row + by + w * LANES_D);
          store(row + w * LANES_D, c[i] * x[w] + s[i] * y);
          x[w] = c[i] * y - s[i] * x[w];
        }
      }
#pragma GCC unroll 4
      for (int w = 0; w < W; ++w) store(row + w * LANES_D, x[w]);
    }
  }
  void turn_one(int column) const {
    for (int k = 0; k < used; ++k) {
      double* row = z + Index(first[k]) * ld + column;
      for (int i = 0; i < count[k]; ++i, row += Index(step[k]) * ld) {
        const double c = cosines[Index(k) * n + i], s = sines[Index(k) * n + i], x = row[0], y = row[Index(step[k]) * ld];
        row[0] = c * x + s * y, row[Index(step[k]) * ld] = c * y - s * x;
      }
    }
  }
  void flush() {
    parallel((n + STRIP - 1) / STRIP, [&](int64_t task, int) {
      int column = int(task) * STRIP;
      const int end = n - column < STRIP ? n : column + STRIP;
      if (column + STRIP <= end) return turn<4>(column);
      for (; column + LANES_D <= end; column += LANES_D) turn<1>(column);
      for (; column < end; ++column) turn_one(column);
    });
    used = 0;
  }
};

// Rows of z become H0 H1 .. of them: H_i = I - tau_i v v^T, where v is row i of `vectors` and begins at i + shift.
void reflect_rows(const double* vectors, const double* tau, int count, int shift, double* z, int n) {
  constexpr int TOGETHER = 8;
  const int ld = padded(n);
  parallel((n + TOGETHER - 1) / TOGETHER, [&](int64_t task, int) {
    const int first = int(task) * TOGETHER, end = first + TOGETHER < n ? first + TOGETHER : n;
    for (int i = count - 1; i >= 0; --i) {
      const int at = i + shift;
      for (int r = first; r < end; ++r) reflect(vectors + Index(i) * ld + at, tau[i], z + Index(r) * ld + at, n - at);
    }
  });
}

void set_identity(double* z, int n) {
  const int ld = padded(n);
  clear(z, Index(n) * ld);
  for (int i = 0; i < n; ++i) z[Index(i) * ld + i] = 1;
}

// Q^T A Q = T for symmetric A: T's diagonal d and subdiagonal e. The v of the i-th reflection is left in row i of a, from i + 1 on.
// A step brings a row up to date and multiplies it with the next v while it is in cache.
void tridiagonalize(double* a, int n, double* d, double* e, double* tau, double* w) {
  const int ld = padded(n);
  double* const next = w + n;
  for (int i = 0; i < n; ++i) {
    d[i] = a[Index(i) * ld + i];
    const int size = n - 1 - i;
    if (size == 0) break;
    double* const v = a + Index(i) * ld + i + 1;
    double* const below = a + Index(i + 1) * ld + i + 1;
    // What the step before owes this row; w is its vector, from this row's own entry on.
    e[i] = reflector(v, size, tau + i);
    const double* const before = i > 0 ? a + Index(i - 1) * ld + i + 1 : nullptr;
    for (int r = 0; r < size; ++r) {
      double* const row = below + Index(r) * ld;
      if (before != nullptr && tau[i - 1] != 0) axpy(-before[r], w + 1, row, size), axpy(-w[r + 1], before, row, size);
      next[r] = tau[i] == 0 ? 0 : tau[i] * dot(row, v, size);
    }
    if (tau[i] != 0) axpy(-0.5 * tau[i] * dot(next, v, size), v, next, size);
    __builtin_memcpy(w, next, size_t(size) * 8);
    if (tau[i] == 0) continue;
    // The next row and its diagonal are needed at once.
    if (size > 0) axpy(-v[0], w, below, size), axpy(-w[0], v, below, size);
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

}  // namespace

// A = V diag(w) V^T from the lower triangle: w ascending, V's columns.
int factor_eigh(const Matrix* o, int n, int32_t flags) {
  const bool vectors = (flags & VECTORS) != 0;
  const int ld = padded(n);
  const Index size = Index(n) * ld;
  const Room room(size_t((vectors ? 2 : 1) * size + 5 * Index(n) + (vectors ? Index(Sweeps::room(n)) : 0)) * 8);
  if (room.memory == nullptr) return OUT_OF_MEMORY;
  double *d = room.doubles(), *e = d + n, *tau = e + n, *w = tau + n, *a = w + 2 * n, *z = vectors ? a + size : nullptr;
  int32_t* const order = reinterpret_cast<int32_t*>(w + n);
  read_symmetric(o[0], n, a, ld);
  if (!all_finite(a, size)) return 1;
  tridiagonalize(a, n, d, e, tau, w);
  if (vectors) set_identity(z, n);
  Sweeps sweeps(z, n, vectors ? z + size : nullptr);
  if (!tridiagonal_ql(d, e, n, vectors ? &sweeps : nullptr)) return n;
  order_by(d, n, order, false);
  for (int i = 0; i < n; ++i) write(d + order[i], o[1].at(i, 0), 1, 1);
  if (!vectors) return 0;
  reflect_rows(a, tau, n - 1, 1, z, n);
  for (int r = 0; r < n; ++r) {
    double* const row = z + Index(order[r]) * ld;
    scale(sign_of(row, n), row, n);
    write(row, o[2].at(0, r), n, 1);
  }
  return 0;
}

// A = U diag(s) V^T with s descending. A is Q R, unless it is square, R (or A) is U B V^T with B bidiagonal.
int factor_svd(const Matrix* given, int rows, int cols, int32_t flags) {
  const bool vectors = (flags & VECTORS) != 0, wide = rows < cols, square = rows == cols;
  const int m = wide ? cols : rows, n = wide ? rows : cols;
  const Matrix x = wide ? given[0] : given[0].transposed();     // columns as rows
  const int ld = padded(n);
  const Index size = Index(n) * ld;
  const Room room(size_t(Index(n) * m + 4 * size + m + 9 * Index(n) + 2 * Index(Sweeps::room(n))) * 8);
  if (room.memory == nullptr) return OUT_OF_MEMORY;
  double *d = room.doubles(), *e = d + n, *tau = e + n, *diagonal = tau + n, *tau_u = diagonal + n, *tau_v = tau_u + n, *column = tau_v + n;
  double *spare = column + m, *p = spare + 2 * n, *g = p + Index(n) * m, *u = g + size, *left = u + size, *right = left + size;
  int32_t* const order = reinterpret_cast<int32_t*>(spare + n);
  read(x, n, m, p);
  if (!all_finite(p, Index(n) * m)) return 1;
  if (!square) qr_rows(p, n, m, tau, diagonal);
  for (int r = 0; r < n; ++r)
    for (int c = 0; c < n; ++c) g[Index(r) * ld + c] = c > r || square ? p[Index(c) * m + r] : c == r ? diagonal[r] : 0;
  bidiagonalize(g, n, u, d, e, tau_u, tau_v, spare);
  Sweeps lefts(left, n, right + size), rights(right, n, right + size + Sweeps::room(n));
  if (vectors) set_identity(left, n), set_identity(right, n);
  if (!bidiagonal_qr(d, e, n, vectors ? &lefts : nullptr, vectors ? &rights : nullptr)) return n;
  order_by(d, n, order, true);
  const Matrix& s = given[vectors ? 2 : 1];
  for (int i = 0; i < n; ++i) write(d + order[i], s.at(i, 0), 1, 1);
  if (!vectors) return 0;
  reflect_rows(u, tau_u, n, 0, left, n);
  reflect_rows(g, tau_v, n - 1, 1, right, n);
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
