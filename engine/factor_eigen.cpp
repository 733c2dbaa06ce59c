// Eigenvalues and eigenvectors of general matrices: balanced, by the real Schur form, vectors by back substitution.
#include "factor_schur.h"

namespace chainrule::VARIANT {
namespace {

// What makes A's rows and columns alike: P^-1 D^-1 A D P, where rows and columns that hold an eigenvalue alone come last and first.
struct Balance {
  double* a;
  int n, ld, low, high;                // what is left: low .. high - 1
  int32_t* swaps;
  double* scales;
  double& at(int r, int c) const { return a[Index(r) * ld + c]; }

  // Moves row and column i to a place where no other is.
  void move(int i, int to) {
    swaps[to] = i;
    for (int k = 0; k < n && i != to; ++k) exchange(at(i, k), at(to, k));
    for (int k = 0; k < n && i != to; ++k) exchange(at(k, i), at(k, to));
  }
  static void exchange(double& x, double& y) {
    const double kept = x;
    x = y, y = kept;
  }
  bool alone(int i, bool row) const {
    for (int k = low; k < high; ++k)
      if (k != i && (row ? at(i, k) : at(k, i)) != 0) return false;
    return true;
  }
  void order() {
    low = 0, high = n;
    for (int pass = 0; pass < 2; ++pass)
      for (int i = high - 1; i >= low; --i) {
        if (!alone(i, pass == 0)) continue;
        move(i, pass == 0 ? --high : low++);
        i = high;
      }
  }

  // By powers of two, until no column and row of one number differ much in length.
  void even() {
    for (int i = 0; i < n; ++i) scales[i] = 1;
    for (bool again = true; again;) {
      again = false;
      for (int i = low; i < high; ++i) {
        double column = 0, row = 0, by = 1;
        for (int k = low; k < high; ++k)
          if (k != i) column += magnitude(at(k, i)), row += magnitude(at(i, k));
        if (column == 0 || row == 0) continue;
        double c = column;
        for (; c < row / 2; c *= 4) by *= 2;
        for (; c >= row * 2; c /= 4) by /= 2;
        if (column * by + row / by >= 0.95 * (column + row)) continue;
        again = true, scales[i] *= by;
        scale(1 / by, &at(i, 0), n);
        for (int k = 0; k < n; ++k) at(k, i) *= by;
      }
    }
  }

  void undo(double* v) const {
    for (int i = low; i < high; ++i) v[i] *= scales[i];
    for (int i = low - 1; i >= 0; --i) exchange(v[i], v[swaps[i]]);
    for (int i = high; i < n; ++i) exchange(v[i], v[swaps[i]]);
  }
};

struct Complex {
  double re, im;
  Complex operator-(Complex b) const { return {re - b.re, im - b.im}; }
  Complex operator*(double b) const { return {re * b, im * b}; }
  Complex operator*(Complex b) const { return {re * b.re - im * b.im, re * b.im + im * b.re}; }
  Complex operator/(Complex b) const {
    const double unit = 1 / b.size();
    const Complex c = b * unit;
    return (*this * unit) * Complex{c.re, -c.im} * (1 / (c.re * c.re + c.im * c.im));
  }
  double size() const { return magnitude(re) + magnitude(im); }
};

// x with (T - value) x = 0 for the eigenvalue of a block of T that ends with `last`, from there upwards; imaginary parts in y.
struct Substitution {
  const Schur& s;
  double *x, *y;
  int last;
  Complex value;
  double least;

  // Minus what the entries that are known contribute to row r.
  Complex rest(int r, int from) const {
    const int count = last + 1 - from;
    return {-dot(&s.at(r, from), x + from, count), value.im == 0 ? 0 : -dot(&s.at(r, from), y + from, count)};
  }
  Complex kept(Complex z) const { return z.size() < least ? Complex{least, 0} : z; }
  // Where the next entry would leave the range (Jordan blocks), all that is known is divided; by what it is multiplied.
  double shrink(double size, int from) const {
    if (!(size > 1e100)) return 1;
    scale(1 / size, x + from, last + 1 - from), scale(1 / size, y + from, last + 1 - from);
    return 1 / size;
  }
  void put(int r, Complex z) { x[r] = z.re, y[r] = z.im; }

  void run(int from) {
    for (int j = from; j >= 0; --j) {
      const bool two = j > 0 && s.at(j, j - 1) != 0;
      Complex q = rest(j, j + 1), p = two ? rest(j - 1, j + 1) : Complex{0, 0};
      const double by = shrink(q.size() + p.size(), j + 1);
      q = q * by, p = p * by;
      if (two) pair(--j, p, q);
      else put(j, q / kept(Complex{s.at(j, j), 0} - value));
      shrink(Complex{x[j], y[j]}.size() + (two ? Complex{x[j + 1], y[j + 1]}.size() : 0), j);
    }
  }
  // The entries of a block, of whose rows the rests are p and q; the larger entry of its first column is the pivot.
  void pair(int j, Complex p, Complex q) {
    const Complex a = Complex{s.at(j, j), 0} - value, d = Complex{s.at(j + 1, j + 1), 0} - value;
    const double b = s.at(j, j + 1), c = s.at(j + 1, j);
    if (a.size() > magnitude(c)) {
      const Complex factor = Complex{c, 0} / a, second = (q - factor * p) / kept(d - factor * b);
      put(j + 1, second), put(j, (p - second * b) / a);
    } else {
      const Complex factor = a * (1 / c), second = (p - factor * q) / kept(Complex{b, 0} - factor * d);
      put(j + 1, second), put(j, (q - d * second) * (1 / c));
    }
  }
};

// Rows of x: of a real eigenvalue its vector, of a pair the parts of the first one's.
void substitute(const Schur& s, double* x, double* spare) {
  clear(x, Index(s.n + 1) * s.ld);
  for (int i = 0; i < s.n; ++i) {
    const Complex value = {s.re[i], s.im[i]};
    const bool two = value.im != 0;
    double *const re = x + Index(i) * s.ld, *const im = two ? re + s.ld : spare;
    const double least = 2.2e-16 * value.size();
    Substitution run = {s, re, im, two ? i + 1 : i, value, least > 1e-150 ? least : 1e-150};
    if (two) {                                               // by the row of the block whose other entry is larger
      const double a = s.at(i, i), b = s.at(i, i + 1), c = s.at(i + 1, i), d = s.at(i + 1, i + 1);
      const bool first = magnitude(b) > magnitude(c);
      run.put(i, first ? Complex{b, 0} : value - Complex{d, 0});
      run.put(i + 1, first ? value - Complex{a, 0} : Complex{c, 0});
    } else run.put(i, {1, 0});
    run.run(i - 1);
    i += two;
  }
}

// To length 1, with a phase that makes the largest entry, the first of about that size, real and positive: its place.
int normalize(double* re, double* im, int n) {
  double most = 0, largest = 0, square = 0;
  for (int i = 0; i < n; ++i) {
    const double size = Complex{re[i], im[i]}.size();
    most = size > most ? size : most;
  }
  scale(1 / most, re, n), scale(1 / most, im, n);
  const auto size = [&](int i) { return re[i] * re[i] + im[i] * im[i]; };
  for (int i = 0; i < n; ++i) square += size(i), largest = size(i) > largest ? size(i) : largest;
  int lead = 0;
  while (size(lead) < 0.998 * largest) ++lead;
  const double unit = 1 / __builtin_sqrt(square * size(lead));
  const Complex turn = {re[lead] * unit, -im[lead] * unit};
  for (int i = 0; i < n; ++i) {
    const Complex z = Complex{re[i], im[i]} * turn;
    re[i] = z.re, im[i] = i == lead ? 0 : z.im;
  }
  return lead;
}

// Q times the vectors, which are rows of z.
void reflect_vectors(const double* vectors, const double* tau, double* z, int n, double* room) {
#if defined(__wasm__)
  const int ld = padded(n);
  for (int r = 0; r < n; ++r)
    for (int i = n - 3; i >= 0; --i) reflect(vectors + Index(i) * ld + i + 1, tau[i], z + Index(r) * ld + i + 1, n - 1 - i);
#else
  reflect_rows(vectors, tau, n - 2, 1, z, n, room);
#endif
}

size_t reflection_room(int n) {
#if defined(__wasm__)
  return 0;
#else
  return reflect_room(n);
#endif
}

}  // namespace

// A V = V diag(w): w ascending by real, then imaginary parts.
int factor_eig(const Matrix* o, int n, int32_t flags) {
  const bool vectors = (flags & VECTORS) != 0;
  const int ld = padded(n);
  const Index size = Index(n + 1) * ld;
  const Room room(size_t((vectors ? 4 : 2) * size + (8 + 2 * LINE) * Index(n) + schur_room(n)) * 8 + reflection_room(n) * 8);
  if (room.memory == nullptr) return OUT_OF_MEMORY;
  double *a = room.doubles(), *reflections = a + size, *z = vectors ? reflections + size : nullptr, *x = z + size;
  double *re = a + (vectors ? 4 : 2) * size, *im = re + n, *tau = im + n, *scales = tau + n, *factors = scales + n, *rest = factors + 2 * n;
  int32_t *order = reinterpret_cast<int32_t*>(rest), *swaps = order + n, *sources = swaps + n;
  rest += 2 * n;
  clear(a, size);
  for (int r = 0; r < n; ++r) read(o[0].at(r, 0), 1, n, a + Index(r) * ld);
  if (!all_finite(a, size)) return 1;
  double unit = 0;                                           // squares stay in range
  for (Index i = 0; i < size; ++i) unit = magnitude(a[i]) > unit ? magnitude(a[i]) : unit;
  unit = unit > 1e100 ? 0x1p600 : unit < 1e-100 ? 0x1p-600 : 1;
  if (unit != 1) scale(1 / unit, a, int(size));
  Balance balance = {a, n, ld, 0, 0, swaps, scales};
  balance.order(), balance.even();
  hessenberg(a, n, reflections, tau, rest);
  const Schur schur = {a, z, re, im, n, ld};
  if (vectors) clear(z, size);
  for (int i = 0; i < n && vectors; ++i) z[Index(i) * ld + i] = 1;
  if (!schur.run()) return n;
  const auto before = [&](int i, int j) { return re[i] < re[j] || (re[i] == re[j] && im[i] < im[j]); };
  for (int i = 0, j; i < n; ++i) {
    for (j = i; j > 0 && before(i, order[j - 1]); --j) order[j] = order[j - 1];
    order[j] = i;
  }
  for (int i = 0; i < n; ++i) {
    const double value[2] = {re[order[i]] * unit, im[order[i]] * unit};
    write(value, o[1].at(i, 0), 1, 2);
  }
  if (!vectors) return 0;
  substitute(schur, x, rest);
  const auto dense = [&](double* at) { return Matrix{reinterpret_cast<char*>(at), FLOAT64, ld, 1}; };
  multiply(dense(a), n, n, dense(x), n, dense(z), false);
  reflect_vectors(reflections, tau, a, n, rest);
  clear(a + Index(n) * ld, ld);                              // the imaginary part of real vectors
  int32_t* const leads = reinterpret_cast<int32_t*>(x);
  for (int i = 0; i < n; ++i) {
    const bool two = im[i] != 0;
    double *const first = a + Index(i) * ld, *const second = two ? first + ld : a + Index(n) * ld;
    balance.undo(first);
    if (two) balance.undo(second);
    leads[i] = normalize(first, second, n);
    if (two) leads[i + 1] = leads[i], ++i;
  }
  for (int i = 0; i < n; ++i) {
    const int from = order[i], pair = im[from] < 0 ? from - 1 : from;
    sources[2 * i] = pair, sources[2 * i + 1] = im[from] == 0 ? n : pair + 1;
    factors[2 * i] = 1, factors[2 * i + 1] = im[from] < 0 ? -1 : 1;
    *reinterpret_cast<int32_t*>(o[3].at(i, 0).data) = leads[from];
  }
  write_columns(a, ld, sources, factors, 2 * n, n, {o[2].data, o[2].dtype, o[2].row, 1}, rest);
  return 0;
}

}  // namespace chainrule::VARIANT
