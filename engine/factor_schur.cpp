// The real Schur form of general matrices: Hessenberg form by reflections, then double-shift QR steps (Francis 1961; Golub & Van Loan,
// Matrix Computations, 7.4-7.5), whose reflections are made near the diagonal and reach the rest of the matrix in chains.
#include "factor_schur.h"
#include "views.h"

namespace chainrule::VARIANT {
namespace {

// What the step before owes a row is paid: x -= b y + c u. Its product with v is returned; its share in v^T A goes to `products`.
INLINE double update_row(double* x, double b, const double* y, double c, const double* u, const double* v, double share, double* products,
                         int from, int n) {
  const vd by_y = broadcast(-b), by_u = broadcast(-c), by_x = broadcast(share);
  vd total = {};
  for (int i = from / LANES_D * LANES_D; i < n; i += LANES_D) {
    const vd e = fma(by_u, load(u + i), fma(by_y, load(y + i), load(x + i)));
    store(x + i, e);
    total = fma(e, load(v + i), total), store(products + i, fma(by_x, e, load(products + i)));
  }
  return sum(total);
}

// I + t v^T with v = (1, v1, v2) and t = -tau v.
struct Reflection {
  double v1, v2, t0, t1, t2;
};

// The one that takes (x, y, z) to (x', 0, 0), and x'.
INLINE Reflection reflection(double& x, double y, double z) {
  const double most = magnitude(x) + magnitude(y) + magnitude(z);
  if (y == 0 && z == 0) return {};
  const double unit = 1 / most, a = x * unit, b = y * unit, c = z * unit;
  const double length = __builtin_sqrt(a * a + b * b + c * c), beta = a > 0 ? -length : length, by = 1 / (a - beta), first = (a - beta) / beta;
  x = beta * most;
  return {b * by, c * by, first, first * b * by, first * c * by};
}

constexpr int CHAIN = 14;              // reflections in a chain
constexpr int TILE = CHAIN + 2;        // what they turn

// A chain turns rows: the i-th reflection those at i, i + 1 and i + 2, W vectors wide.
template <int W> INLINE void turn_rows(const Reflection* h, int count, double* row, Index ld) {
  vd a[W], b[W];
#pragma GCC unroll 4
  for (int w = 0; w < W; ++w) a[w] = load(row + w * LANES_D), b[w] = load(row + ld + w * LANES_D);
  for (int i = 0; i < count; ++i, row += ld) {
    const vd v1 = broadcast(h[i].v1), v2 = broadcast(h[i].v2), t0 = broadcast(h[i].t0), t1 = broadcast(h[i].t1), t2 = broadcast(h[i].t2);
#pragma GCC unroll 4
    for (int w = 0; w < W; ++w) {
      const vd c = load(row + 2 * ld + w * LANES_D), along = fma(v2, c, fma(v1, b[w], a[w]));
      store(row + w * LANES_D, fma(t0, along, a[w]));
      a[w] = fma(t1, along, b[w]), b[w] = fma(t2, along, c);
    }
  }
#pragma GCC unroll 4
  for (int w = 0; w < W; ++w) store(row + w * LANES_D, a[w]), store(row + ld + w * LANES_D, b[w]);
}

NOINLINE void chain_rows(const Reflection* h, int count, double* row, int ld, int from, int to) {
  if (BLOCKED)
    for (; from + 4 * LANES_D <= to; from += 4 * LANES_D) turn_rows<4>(h, count, row + from, ld);
  for (; from < to; from += LANES_D) turn_rows<1>(h, count, row + from, ld);
}

// The same on columns, from `column` on, of rows from .. to.
NOINLINE void turn_columns(const Reflection* h, int count, double* t, int ld, int column, int from, int to) {
  for (int r = from; r < to; ++r) {
    double* e = t + Index(r) * ld + column;
    for (int i = 0; i < count; ++i, ++e) {
      const double along = e[0] + h[i].v1 * e[1] + h[i].v2 * e[2];
      e[0] += h[i].t0 * along, e[1] += h[i].t1 * along, e[2] += h[i].t2 * along;
    }
  }
}

// The same where there are many: a few of them are transposed, turned, and transposed back.
NOINLINE void chain_columns(const Reflection* h, int count, double* t, int ld, int column, int from, int to) {
  constexpr int ROWS = 2 * LANES_D;
  const int first = column + TILE <= ld ? column : ld < TILE ? 0 : ld - TILE, wide = ld < TILE ? ld : TILE;
  double tile[(TILE + 3) * ROWS] = {}, none[TILE] = {};
  for (; from < to; from += ROWS) {
    for (int pass = 0; pass < 2; ++pass) {
      const bool back = pass > 0;
      for (int c = 0; c < wide; c += LANES_D) {
#pragma GCC unroll 2
        for (int half = 0; half < ROWS; half += LANES_D) {
          vd v[LANES_D];
          double* const rows = t + Index(from + half) * ld + first + c;
          const auto place = [&](int i) { return from + half + i < to ? rows + Index(i) * ld : none + c; };
#pragma GCC unroll 8
          for (int i = 0; i < LANES_D; ++i) v[i] = load(back ? tile + (c + i) * ROWS + half : place(i));
          transpose(v);
#pragma GCC unroll 8
          for (int i = 0; i < LANES_D; ++i) store(back ? place(i) : tile + (c + i) * ROWS + half, v[i]);
        }
      }
      if (!back) turn_rows<2>(h, count, tile + (column - first) * ROWS, ROWS);
    }
  }
}

}  // namespace

// A step's products A v and v^T A are taken while a row is in cache that pays for the step before: A -= u y^T + p u^T.
void hessenberg(double* a, int n, double* vectors, double* tau, double* room) {
  const int ld = padded(n);
  double *const none = room, *const u = none + ld, *y = u + ld, *p = y + ld, *next_y = p + ld, *next_p = next_y + ld;
  clear(room, schur_room(n)), clear(vectors, Index(n) * ld);
  const double* before = none;
  const auto pay = [&](int r, int c) -> double& { return a[Index(r) * ld + c] -= before[r] * y[c] + p[r] * before[c]; };
  for (int k = 0; k + 2 < n; ++k) {
    double* const v = vectors + Index(k) * ld;
    const int rest = n - 1 - k;
    for (int r = 0; r < n; ++r) {
      double& x = pay(r, k);
      if (r > k) v[r] = x, x = 0;
    }
    a[Index(k + 1) * ld + k] = reflector(v + k + 1, rest, tau + k);
    __builtin_memcpy(u, before, size_t(ld) * 8);
    clear(u, k + 1), clear(y, k + 1), clear(next_y, ld);     // columns up to k stay
    for (int r = 0; r < n; ++r)
      next_p[r] = tau[k] * update_row(a + Index(r) * ld, before[r], y, p[r], u, v, v[r], next_y, k + 1, n);
    axpy(-dot(v + k + 1, next_p + k + 1, rest), v + k + 1, next_y + k + 1, rest);
    scale(tau[k], next_y + k + 1, rest);
    double *const old_y = y, *const old_p = p;
    y = next_y, p = next_p, next_y = old_y, next_p = old_p, before = v;
  }
  for (int r = 0; r < n; ++r)
    for (int c = n < 2 ? 0 : n - 2; c < n; ++c) pay(r, c);
}

// Where the last block that is left begins: what is below it is negligible, and becomes zero.
int Schur::start_of(int high, double norm) const {
  for (int k = high; k > 0; --k) {
    const double beside = magnitude(at(k, k)) + magnitude(at(k - 1, k - 1));
    const double below = magnitude(at(k, k - 1));
    if (below > 2.2e-16 * (beside == 0 ? norm : beside) && below > 1e-250) continue;
    at(k, k - 1) = 0;
    return k;
  }
  return 0;
}

// A block of two, k - 1 and k: its eigenvalues. If they are real, a rotation makes it a triangle.
void Schur::finish_pair(int k) const {
  const double a = at(k - 1, k - 1), b = at(k - 1, k), c = at(k, k - 1), d = at(k, k), half = (a - d) / 2, square = half * half + b * c;
  re[k - 1] = re[k] = d + half;
  im[k - 1] = square < 0 ? __builtin_sqrt(-square) : 0, im[k] = -im[k - 1];
  if (square < 0) return;
  const double far = half + (half < 0 ? -1 : 1) * __builtin_sqrt(square), length = hypotenuse(far, c), cosine = far / length, sine = c / length;
  re[k - 1] = d + far, re[k] = far == 0 ? d : d - b * c / far;
  if (z == nullptr) return;
  rotate(&at(k - 1, k - 1), &at(k, k - 1), cosine, -sine, n - k + 1);
  for (int r = 0; r <= k; ++r) rotate(&at(r, k - 1), &at(r, k), cosine, -sine, 1);
  rotate(z + Index(k - 1) * ld, z + Index(k) * ld, cosine, -sine, n);
  at(k - 1, k - 1) = re[k - 1], at(k, k) = re[k], at(k, k - 1) = 0;
}

// A double step with the eigenvalues of the last two rows, or twice the real one that is nearer to the last entry. It begins below a pair
// of neighbours under the diagonal whose product is negligible. Now and then other shifts, against cycles.
void Schur::step(int low, int high, int round) const {
  double a = at(high - 1, high - 1), b = at(high - 1, high), c = at(high, high - 1), d = at(high, high);
  if (round % 10 == 9) {
    const double size = magnitude(c) + magnitude(at(high - 1, high - 2));
    a = d += 0.75 * size, b = -0.4375 * size, c = size;
  }
  const double half = (a - d) / 2, square = half * half + b * c, root = __builtin_sqrt(magnitude(square));
  const double far = half < 0 ? half - root : half + root, turn = square < 0 ? root : 0;
  const double shift = square < 0 ? d + half : far == 0 ? d : d - b * c / far;
  for (int k = high - 2;; --k) {
    const double p = at(k, k) - shift, q = at(k + 1, k + 1) - shift, below = at(k + 1, k);
    const double unit = 1 / (magnitude(p) + turn + magnitude(below));
    const double x = below * unit * at(k, k + 1) + p * (p * unit) + turn * (turn * unit), y = below * unit * (p + q);
    const double w = below * unit * at(k + 2, k + 1);
    if (k > low) {
      const double near = magnitude(at(k, k)) + magnitude(at(k - 1, k - 1)) + magnitude(at(k + 1, k + 1));
      if (magnitude(at(k, k - 1)) * (magnitude(y) + magnitude(w)) > 2.2e-16 * magnitude(x) * near) continue;
    }
    return sweep(low, k, high, x, y, w);
  }
}

// The first reflection of a sweep is that of (x, y, w); the others bring the matrix back to Hessenberg form.
void Schur::sweep(int low, int first, int high, double x, double y, double w) const {
  Reflection chain[CHAIN];
  for (int begin = first; begin < high; begin += CHAIN) {
    const int end = begin + CHAIN < high ? begin + CHAIN : high, near = (end + 1 + LANES_D) / LANES_D * LANES_D, columns = near < ld ? near : ld;
    for (int k = begin; k < end; ++k) {
      const bool three = k + 2 <= high;
      double* const row = &at(k, 0);
      if (k > first) x = row[k - 1], y = row[ld + k - 1], w = three ? row[2 * Index(ld) + k - 1] : 0;
      const Reflection g = chain[k - begin] = reflection(x, y, w);
      if (k == first && k > low) x = row[k - 1] * (1 + g.t0);
      chain_rows(&g, 1, row, ld, k / LANES_D * LANES_D, columns);
      if (k > low) row[k - 1] = x, row[ld + k - 1] = 0;
      if (k > low && three) row[2 * Index(ld) + k - 1] = 0;
      turn_columns(&g, 1, t, ld, k, begin, k + 3 < high ? k + 4 : high + 1);
    }
    chain_rows(chain, end - begin, &at(begin, 0), ld, columns, z != nullptr ? ld : high + 1);
    (BLOCKED ? chain_columns : turn_columns)(chain, end - begin, t, ld, begin, z != nullptr ? 0 : low, begin);
    if (z != nullptr) chain_rows(chain, end - begin, z + Index(begin) * ld, ld, 0, ld);
  }
}

bool Schur::run() const {
  double norm = 0;
  for (int r = 0; r < n; ++r)
    for (int c = 0; c < n; ++c) norm += magnitude(at(r, c));
  int left = 30 * (n < 10 ? 10 : n);
  for (int high = n - 1, round = 0; high >= 0; ++round) {
    const int low = start_of(high, norm);
    if (high - low > 1) {
      if (left-- == 0) return false;
      step(low, high, round);
      continue;
    }
    if (low < high) finish_pair(high);
    else re[high] = at(high, high), im[high] = 0;
    high = low - 1, round = -1;
  }
  return true;
}

}  // namespace chainrule::VARIANT
