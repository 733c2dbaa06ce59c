// Two eigensystems of neighbouring blocks of a tridiagonal matrix become one (Cuppen 1981), by the roots of the secular equation and
// vectors of the numbers whose roots those exactly are (Gu and Eisenstat 1994): they are orthogonal however close the roots lie.
#include "factor.h"
#include "simd.h"

#if !defined(__wasm__)
namespace chainrule::VARIANT {
namespace {

constexpr double EPSILON = 1.1e-16;
constexpr double FAR = 1e300;          // a pole that no root feels
int whole(int n) { return (n + LANES_D - 1) / LANES_D * LANES_D; }

// f(mu) = 1 + sum of weight_j / (delta_j - mu): the terms of the poles left and right of mu, and their slopes.
struct Secular {
  double left, right, left_slope, right_slope;
  double value() const { return 1 + left + right; }
};

INLINE Secular evaluate(const double* delta, const double* weight, double mu, int n) {
  vd left = {}, right = {}, left_slope = {}, right_slope = {};
  const vd at = broadcast(mu), zero = {}, one = broadcast(1.0);
  for (int j = 0; j < n; j += LANES_D) {
    const vd gap = load(delta + j) - at, inverse = one / gap, term = load(weight + j) * inverse, slope = term * inverse;
    const vl below = gap < zero;
    left += select(below, term, zero), left_slope += select(below, slope, zero);
    right += select(below, zero, term), right_slope += select(below, zero, slope);
  }
  return {sum(left), sum(right), sum(left_slope), sum(right_slope)};
}

// One merge: `kept` poles in the order of their vectors, those with entries in the upper half only, in both, in the lower one only.
struct Poles {
  int count, room;                     // room: count in whole vectors
  double *place, *weight;              // weight: rho z^2
  int32_t* sorted;                     // positions by place
};

// Root i, between the sorted poles i and i + 1: each pole's distance from it is left in `delta`. Its value.
double root(const Poles& p, int i, double total, double* delta) {
  const bool last = i + 1 == p.count;
  const int here = p.sorted[i], next = last ? here : p.sorted[i + 1];
  const double gap = last ? total : p.place[next] - p.place[here];
  int origin = here;
  const auto shift = [&] {
    const double to = p.place[origin];
    for (int j = 0; j < p.room; j += LANES_D) store(delta + j, load(p.place + j) - broadcast(to));
  };
  shift();
  double low = 0, high = gap, mu = 0.5 * gap;
  Secular f = evaluate(delta, p.weight, mu, p.room);
  if (!last && f.value() < 0) {                             // the right pole is nearer: distances are exact from there
    origin = next;
    shift();
    low = mu = -0.5 * gap, high = 0;
  } else if (!last) {
    high = mu;
  }
  for (int round = 0; round < 100; ++round) {
    const double value = f.value(), slope = f.left_slope + f.right_slope;
    if (magnitude(value) <= EPSILON * (8 * (1 - f.left + f.right) + magnitude(mu) * slope)) break;
    (value < 0 ? low : high) = mu;
    // Left and right of mu a pole each and a constant, alike in value and slope.
    const double a = delta[here] - mu, b = delta[next] - mu;
    double step;
    if (last) {
      step = a + f.left_slope * a * a / (value - f.left_slope * a);
    } else {
      const double c = value - a * f.left_slope - b * f.right_slope, linear = (a + b) * value - a * b * slope, rest = a * b * value;
      const double inside = linear * linear - 4 * rest * c, length = inside > 0 ? __builtin_sqrt(inside) : 0;
      step = linear <= 0 ? (linear - length) / (2 * c) : 2 * rest / (linear + length);
    }
    double to = mu + step;
    if (!(to > low && to < high)) to = 0.5 * (low + high);
    if (to == mu || to == low || to == high) break;
    mu = to;
    f = evaluate(delta, p.weight, mu, p.room);
  }
  for (int j = 0; j < p.room; j += LANES_D) store(delta + j, load(delta + j) - broadcast(mu));
  return p.place[origin] + mu;
}

// Rows of the vectors of all roots, from the distances in u: entry j is z_j / (pole j - root), z such that the roots are exact.
void vectors(const Poles& p, const double* signs, double* z, double* u, int ld) {
  for (int j = 0; j < p.room; ++j) z[j] = 1;
  for (int i = 0; i < p.count; ++i) {
    const int self = p.sorted[i];
    const double* const delta = u + Index(i) * ld;
    const double before = z[self];
    for (int j = 0; j < p.room; j += LANES_D)
      store(z + j, load(z + j) * (load(delta + j) / (load(p.place + j) - broadcast(p.place[self]))));
    z[self] = before * delta[self];
  }
  for (int j = 0; j < p.room; ++j) z[j] = j >= p.count ? 0 : __builtin_copysign(__builtin_sqrt(magnitude(z[j])), signs[j]);
  parallel((p.count + 15) / 16, [&](int64_t task, int) {
    for (int i = int(task) * 16; i < p.count && i < int(task) * 16 + 16; ++i) {
      double* const row = u + Index(i) * ld;
      for (int j = 0; j < p.room; j += LANES_D) store(row + j, load(z + j) / load(row + j));
      scale(1 / __builtin_sqrt(dot(row, row, p.count)), row, p.count);
    }
  });
}

// What is left of the two systems when poles without weight and one of each two that are too close have been set aside.
struct Deflation {
  double *d, *v, *z;
  int ld, n;
  int32_t *kind, *kept, *dead;         // kind of a row: 0 upper half, 1 both, 2 lower
  int alive, put;

  void drop(int row) { dead[put++] = row; }
  // Of two rows in order, the first loses its weight if they are close.
  bool joined(int first, int second, double least) {
    double s = v[first], c = v[second];
    const double length = hypotenuse(s, c), gap = d[second] - d[first];
    c /= length, s /= length;
    if (magnitude(gap * c * s) > least) return false;
    v[second] = length, v[first] = 0;
    rotate(z + Index(first) * ld, z + Index(second) * ld, c, s, n);
    const double low = d[first], high = d[second];
    d[first] = low * c * c + high * s * s, d[second] = low * s * s + high * c * c;
    if (kind[first] != kind[second]) kind[first] = kind[second] = 1;
    return true;
  }
  void run(const int32_t* order, double rho) {
    double largest = 0;
    for (int i = 0; i < n; ++i) {
      largest = magnitude(d[i]) > largest ? magnitude(d[i]) : largest;
      largest = magnitude(v[i]) > largest ? magnitude(v[i]) : largest;
    }
    const double least = 8 * EPSILON * largest;
    int waiting = -1;
    for (int i = 0; i < n; ++i) {
      const int row = order[i];
      if (rho * magnitude(v[row]) <= least) {
        drop(row);
        continue;
      }
      if (waiting >= 0) {
        if (joined(waiting, row, least)) drop(waiting);
        else kept[alive++] = waiting;
      }
      waiting = row;
    }
    if (waiting >= 0) kept[alive++] = waiting;
  }
};

// Positions of both halves' rows by value; each half's are in order.
void merge_orders(const double* d, int n, int half, const int32_t* order, int32_t* to) {
  for (int i = 0, a = 0, b = half; i < n; ++i) {
    const bool first = b == n || (a < half && d[order[a]] <= d[half + order[b]]);
    to[i] = first ? order[a++] : half + order[b++];
  }
}

}  // namespace

size_t join_room(int n) { return size_t(Index(n) * whole(n) + Index(n) * n + 8 * Index(n) + 6 * LANES_D); }

void join(double* d, double* z, int ld, int n, int half, double rho, int32_t* order, double* room) {
  const int wide = whole(n);
  double *u = room, *packed = u + Index(n) * wide, *v = packed + Index(n) * n, *place = v + n, *weight = place + wide, *signs = weight + wide;
  double *fresh = signs + wide, *values = fresh + wide;
  int32_t *kind = reinterpret_cast<int32_t*>(values + n), *kept = kind + n, *dead = kept + n, *position = dead + n;
  const double unit = __builtin_sqrt(0.5);
  for (int i = 0; i < n; ++i) {
    v[i] = unit * (i < half ? z[Index(i) * ld + half - 1] : rho < 0 ? -z[Index(i) * ld + half] : z[Index(i) * ld + half]);
    kind[i] = i < half ? 0 : 2;
  }
  rho = 2 * magnitude(rho);
  merge_orders(d, n, half, order, position);
  Deflation left = {d, v, z, ld, n, kind, kept, dead, 0, 0};
  left.run(position, rho);
  const int count = left.alive;
  // Poles by kind; their rows and those set aside are packed, the vectors' way back.
  Poles p = {count, whole(count), place, weight, position};
  int ends[4] = {};
  for (int which = 0; which < 3; ++which) {
    ends[which + 1] = ends[which];
    for (int i = 0; i < count; ++i) if (kind[kept[i]] == which) position[i] = ends[which + 1]++;
  }
  const int upper = ends[2], lower = count - ends[1];
  double *const upper_rows = packed, *const lower_rows = packed + Index(upper) * half, *const others = lower_rows + Index(lower) * (n - half);
  double total = 0;
  for (int i = 0; i < p.room; ++i) place[i] = FAR, weight[i] = 0;
  for (int i = 0; i < count; ++i) {
    const int at = position[i], row = kept[i];
    place[at] = d[row], signs[at] = v[row], weight[at] = rho * v[row] * v[row];
    total += weight[at];
    const double* const from = z + Index(row) * ld;
    if (at < upper) __builtin_memcpy(upper_rows + Index(at) * half, from, size_t(half) * 8);
    if (at >= ends[1]) __builtin_memcpy(lower_rows + Index(at - ends[1]) * (n - half), from + half, size_t(n - half) * 8);
  }
  for (int i = 0; i < n - count; ++i) {
    __builtin_memcpy(others + Index(i) * n, z + Index(dead[i]) * ld, size_t(n) * 8);
    values[count + i] = d[dead[i]];
  }
  parallel((count + 15) / 16, [&](int64_t task, int) {
    for (int i = int(task) * 16; i < count && i < int(task) * 16 + 16; ++i) values[i] = root(p, i, total, u + Index(i) * wide);
  });
  vectors(p, signs, fresh, u, wide);
  const auto dense = [](double* at, int cols) { return Matrix{reinterpret_cast<char*>(at), FLOAT64, cols, 1}; };
  if (upper == 0 || lower == 0)
    for (int i = 0; i < count; ++i) clear(z + Index(i) * ld, n);
  if (upper > 0) multiply(dense(z, ld), count, half, dense(u, wide), upper, dense(upper_rows, half), false);
  if (lower > 0) multiply(dense(z + half, ld), count, n - half, dense(u + ends[1], wide), lower, dense(lower_rows, n - half), false);
  for (int i = 0; i < n - count; ++i) __builtin_memcpy(z + Index(count + i) * ld, others + Index(i) * n, size_t(n) * 8);
  __builtin_memcpy(d, values, size_t(n) * 8);
  order_by(d, n, order, false);
}

}  // namespace chainrule::VARIANT
#endif
