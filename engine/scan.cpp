// Running folds along one dim. Floats are folded in double, so that a long line does not lose its end; integers wrap.
#include "convert.h"
#include "kernels.h"
#include "math.h"
#include "pool.h"

namespace chainrule::VARIANT {
namespace {

enum By : int32_t { SUM, PROD, MAX, MIN, LOG_SUM_EXP };

constexpr int BLOCK = 256;             // elements, or lines side by side, that are in flight
constexpr int64_t GRAIN = 1 << 14;     // elements of a task, at least

struct Scan {
  int32_t by, length, rank;
  const int32_t* dims;
  bool winners;
  View x, y, indices;
  // Strides of the three along the line, and along the last of the other dims.
  int64_t along(const View& v) const { return v.strides[rank]; }
  int64_t across(const View& v) const { return rank > 0 ? v.strides[rank - 1] : 0; }
};

Scan read_scan(const Step& step) {
  Reader in(step);
  Scan s = {};
  s.by = in.next(), s.length = in.next(), s.rank = in.next();
  s.dims = in.ints(s.rank);
  s.winners = in.next() > 1;
  s.x = in.view(s.rank + 1), s.y = in.view(s.rank + 1);
  if (s.winners) s.indices = in.view(s.rank + 1);
  return s;
}

template <class T> INLINE T combine(By by, T a, T b) { return by == SUM ? a + b : a * b; }
template <> INLINE int32_t combine(By by, int32_t a, int32_t b) {
  return int32_t(by == SUM ? uint32_t(a) + uint32_t(b) : uint32_t(a) * uint32_t(b));
}
// NaN takes part like a number larger (max) or smaller (min) than all others, and the last of equals wins.
template <class T> INLINE bool wins(By by, T x, T best) { return x != x || (by == MAX ? x >= best : x <= best); }

// log(e^a + e^b); infinities of one sign are their own sum.
INLINE vd log_sum_exp(vd a, vd b) {
  const vd larger = select(b < a, a, b);
  const vd y = larger + log1p(exp(-abs(a - b)));
  return select(a == b, a + broadcast(0.6931471805599453), y);
}
void log_sum_exp(double* total, const double* x, int n) {
  for (int i = 0; i < n; i += LANES_D) {
    const vd t = load_first(total + i, n - i < LANES_D ? n - i : LANES_D);
    const vd v = load_first(x + i, n - i < LANES_D ? n - i : LANES_D);
    store_first(total + i, log_sum_exp(t, v), n - i < LANES_D ? n - i : LANES_D);
  }
}

// What a fold has come to, for each line of a block.
template <class T> struct State {
  T total[BLOCK];
  int32_t winner[BLOCK];
};

// One more element of n lines; `first` starts them.
template <class T> INLINE void add(By by, State<T>& state, const T* x, int n, int32_t position) {
  if (position == 0) {
    for (int i = 0; i < n; ++i) state.total[i] = x[i], state.winner[i] = 0;
  } else if (by == LOG_SUM_EXP) {
    if constexpr (sizeof(T) == 8) log_sum_exp(state.total, x, n);
  } else if (by == MAX || by == MIN) {
    for (int i = 0; i < n; ++i) {
      if (!wins(by, x[i], state.total[i])) continue;
      state.total[i] = x[i], state.winner[i] = position;
    }
  } else {
    for (int i = 0; i < n; ++i) state.total[i] = combine(by, state.total[i], x[i]);
  }
}

char* element(const View& v, int64_t offset) { return v.data + offset * bytes_of(v.dtype); }

// n neighbouring lines at once, element by element: memory is read along the lines' fast side.
template <class T> void scan_columns(const Scan& s, By by, const int64_t* at, int n) {
  State<T> state;
  T x[BLOCK];
  for (int32_t j = 0; j < s.length; ++j) {
    load_tile(s.x.dtype, element(s.x, at[0] + j * s.along(s.x)), 0, s.across(s.x), 1, n, x);
    add(by, state, x, n, j);
    store_tile(s.y.dtype, state.total, element(s.y, at[1] + j * s.along(s.y)), 0, s.across(s.y), 1, n);
    if (!s.winners) continue;
    store_tile(s.indices.dtype, state.winner, element(s.indices, at[2] + j * s.along(s.indices)), 0, s.across(s.indices), 1, n);
  }
}

// One line, a stretch at a time.
template <class T> void scan_line(const Scan& s, By by, const int64_t* at) {
  T x[BLOCK], total = T(0);
  int32_t indices[BLOCK], winner = 0;
  for (int32_t start = 0; start < s.length; start += BLOCK) {
    const int n = s.length - start < BLOCK ? s.length - start : BLOCK;
    load_tile(s.x.dtype, element(s.x, at[0] + start * s.along(s.x)), 0, s.along(s.x), 1, n, x);
    int i = 0;
    if (start == 0) total = x[0], indices[0] = 0, i = 1;
    if (by == MAX || by == MIN) {
      for (; i < n; ++i) {
        if (wins(by, x[i], total)) total = x[i], winner = start + i;
        x[i] = total, indices[i] = winner;
      }
    } else {
      for (; i < n; ++i) x[i] = total = combine(by, total, x[i]);
    }
    store_tile(s.y.dtype, x, element(s.y, at[1] + start * s.along(s.y)), 0, s.along(s.y), 1, n);
    if (!s.winners) continue;
    store_tile(s.indices.dtype, indices, element(s.indices, at[2] + start * s.along(s.indices)), 0, s.along(s.indices), 1, n);
  }
}

constexpr int ABREAST = 8, APART = BLOCK + 8;          // lines apart by no power of two: none waits for another's stores

// Sums and products of several neighbouring lines: none waits for the sum before it.
template <class T> void scan_lines(const Scan& s, By by, const int64_t* at) {
  T x[ABREAST][APART], total[ABREAST];
  for (int32_t start = 0; start < s.length; start += BLOCK) {
    const int n = s.length - start < BLOCK ? s.length - start : BLOCK;
    for (int k = 0; k < ABREAST; ++k)
      load_tile(s.x.dtype, element(s.x, at[0] + k * s.across(s.x) + start * s.along(s.x)), 0, s.along(s.x), 1, n, x[k]);
    int i = 0;
    if (start == 0)
      for (int k = 0; k < ABREAST; ++k) total[k] = x[k][0], i = 1;
    for (; i < n; ++i)
      for (int k = 0; k < ABREAST; ++k) x[k][i] = total[k] = combine(by, total[k], x[k][i]);
    for (int k = 0; k < ABREAST; ++k)
      store_tile(s.y.dtype, x[k], element(s.y, at[1] + k * s.across(s.y) + start * s.along(s.y)), 0, s.along(s.y), 1, n);
  }
}

#if CHAINRULE_AVX512 || CHAINRULE_AVX2
constexpr bool IN_LANES = true;

// Lane i + BY takes lane i; `front` comes in before them.
template <int BY> INLINE vd behind(vd v, vd front) {
#if CHAINRULE_AVX512
  if constexpr (BY == 1) return __builtin_shufflevector(v, front, 8, 0, 1, 2, 3, 4, 5, 6);
  else if constexpr (BY == 2) return __builtin_shufflevector(v, front, 8, 8, 0, 1, 2, 3, 4, 5);
  else return __builtin_shufflevector(v, front, 8, 8, 8, 8, 0, 1, 2, 3);
#else
  if constexpr (BY == 1) return __builtin_shufflevector(v, front, 4, 0, 1, 2);
  else return __builtin_shufflevector(v, front, 4, 4, 0, 1);
#endif
}

// Sums or products of a line of float32, a vector at a time: of its lanes, then with what came before.
template <By by> void scan_lanes(const float* x, float* y, int32_t n) {
  typedef float Floats __attribute__((vector_size(LANES_D * 4), aligned(4), may_alias));
  const vd none = broadcast(by == SUM ? -0.0 : 1.0);
  const auto join = [](vd a, vd b) { return by == SUM ? a + b : a * b; };
  vd before = none;
  int32_t i = 0;
  for (; i + LANES_D <= n; i += LANES_D) {
    vd v = __builtin_convertvector(*reinterpret_cast<const Floats*>(x + i), vd);
    v = join(v, behind<1>(v, none));
    v = join(v, behind<2>(v, none));
    if constexpr (LANES_D == 8) v = join(v, behind<4>(v, none));
    v = join(v, before);
    *reinterpret_cast<Floats*>(y + i) = __builtin_convertvector(v, Floats);
    before = broadcast(v[LANES_D - 1]);
  }
  double total = before[0];
  for (; i < n; ++i) y[i] = float(total = by == SUM ? total + x[i] : total * x[i]);
}
#else
constexpr bool IN_LANES = false;
template <By by> void scan_lanes(const float*, float*, int32_t) {}
#endif

int64_t size_of(int64_t x) { return x < 0 ? -x : x; }

template <class T> void scan_all(const Scan& s, By by) {
  // Side by side where neighbouring lines are nearer in memory than a line's own elements; and for what needs full vectors.
  const bool columns = s.rank > 0 && (by == LOG_SUM_EXP || size_of(s.across(s.x)) < size_of(s.along(s.x)));
  const bool blocks = columns || by == LOG_SUM_EXP;
  const int64_t side = columns ? s.dims[s.rank - 1] : 1, width = side < BLOCK ? side : BLOCK, strips = (side + width - 1) / width;
  const int rank = columns ? s.rank - 1 : s.rank;
  const int64_t units = product(s.dims, rank) * strips, work = width * s.length;
  const bool folds = !blocks && (by == SUM || by == PROD);
  const bool lanes = folds && IN_LANES && s.x.dtype == FLOAT32 && s.y.dtype == FLOAT32 && s.along(s.x) == 1 && s.along(s.y) == 1;
  const bool abreast = folds && !lanes && s.rank > 0;
  const int64_t least = work >= GRAIN ? 1 : GRAIN / work + 1, grain = abreast ? quotient_up(least, ABREAST) * ABREAST : least;
  parallel((units + grain - 1) / grain, [&](int64_t task, int) {
    Walk<3> walk = {rank, s.dims, {s.x.strides, s.y.strides, s.winners ? s.indices.strides : s.y.strides}, {}, {}};
    const int64_t end = (task + 1) * grain < units ? (task + 1) * grain : units;
    for (int64_t unit = task * grain; unit < end; ++unit) {
      if (abreast && unit % s.dims[rank - 1] + ABREAST <= s.dims[rank - 1] && unit + ABREAST <= end) {
        walk.seek(unit);
        const int64_t at[2] = {walk.offset[0], walk.offset[1]};
        scan_lines<T>(s, by, at);
        unit += ABREAST - 1;
        continue;
      }
      const int64_t strip = unit % strips, first = strip * width;
      if (strip == 0 || unit == task * grain) walk.seek(unit / strips);
      const int64_t at[3] = {walk.offset[0] + first * s.across(s.x), walk.offset[1] + first * s.across(s.y),
                             walk.offset[2] + (s.winners ? first * s.across(s.indices) : 0)};
      if (lanes) {
        const auto scan_of = by == SUM ? scan_lanes<SUM> : scan_lanes<PROD>;
        scan_of(reinterpret_cast<const float*>(element(s.x, at[0])), reinterpret_cast<float*>(element(s.y, at[1])), s.length);
      } else if (blocks) scan_columns<T>(s, by, at, int(side - first < width ? side - first : width));
      else scan_line<T>(s, by, at);
    }
  });
}

}  // namespace

int32_t scan(const Step& step) {
  const Scan s = read_scan(step);
  if (compute_of(s.x.dtype) == COMPUTE_INT32 && s.by != LOG_SUM_EXP) scan_all<int32_t>(s, By(s.by));
  else scan_all<double>(s, By(s.by));
  return ENGINE_OK;
}

}  // namespace chainrule::VARIANT
