// Windows over dense planes: their geometry, and one output at a time for any geometry and any type.
#pragma once
#include "pool.h"
#include "rows.h"

namespace chainrule::VARIANT {

enum By : int32_t { MAX, MEAN, MEAN_ADJOINT, MAX_ADJOINT };
enum Divisor : int32_t { PADDED, REAL, GIVEN };

constexpr int64_t GRAIN = 1 << 15;     // elements read by a task, at least

// Where the window of one output meets one axis.
struct Span {
  int32_t first;                       // coordinate of its first element inside the plane
  int32_t count;                       // elements inside, `dilation` apart
  int32_t padded;                      // elements inside the padding too
};

struct Window {
  int32_t by, adaptive, divisor;
  double given;
  int32_t planes, side;                // side: planes that follow each other in memory, before a jump
  const int32_t *input, *kernel, *output, *stride, *padding, *dilation;
  View x, y, winners;                  // stride: of the jumps
  bool indexed;
  bool two_by_two;                     // windows of 2 x 2 side by side, in flat planes
  const Span* spans[3];                // of each axis' outputs
  int64_t inputs, outputs;             // elements of a plane

  int32_t step(int axis) const { return adaptive ? 1 : dilation[axis]; }
  bool is_adjoint() const { return by == MEAN_ADJOINT || by == MAX_ADJOINT; }
  // Where a plane of this many elements begins, in elements.
  int64_t start(const View& v, int64_t plane, int64_t size) const {
    const int64_t jumps = quotient(plane, side);
    return jumps * v.strides[0] + (plane - jumps * side) * size;
  }
  int64_t reads() const { return is_adjoint() ? outputs : inputs; }
  int64_t writes() const { return is_adjoint() ? inputs : outputs; }
};

inline bool is_two_by_two(const Window& w) {
  const auto is_halved = [&](int axis) {
    const bool halves = w.kernel[axis] == 2 && w.stride[axis] == 2 && w.padding[axis] == 0 && w.dilation[axis] == 1;
    return halves && 2 * w.output[axis] <= w.input[axis];
  };
  return !w.adaptive && w.input[0] == 1 && w.kernel[0] == 1 && w.padding[0] == 0 && is_halved(1) && is_halved(2);
}

inline Window read_window(const Step& step) {
  Reader in(step);
  Window w = {};
  w.by = in.next(), w.adaptive = in.next(), w.divisor = in.next();
  w.given = in.real();
  w.planes = in.next(), w.side = in.next();
  w.input = in.ints(3), w.kernel = in.ints(3), w.output = in.ints(3);
  w.stride = in.ints(3), w.padding = in.ints(3), w.dilation = in.ints(3);
  w.indexed = in.next() > 1;
  w.x = in.view(1), w.y = in.view(1);
  if (w.indexed) w.winners = in.view(1);
  w.inputs = product(w.input, 3), w.outputs = product(w.output, 3);
  w.two_by_two = is_two_by_two(w);
  return w;
}

inline Span span_of(const Window& w, int axis, int32_t o) {
  const int64_t size = w.input[axis];
  if (w.adaptive) {
    const int64_t outputs = w.output[axis], start = o * size / outputs, end = ((o + 1) * size + outputs - 1) / outputs;
    return {int32_t(start), int32_t(end - start), int32_t(end - start)};
  }
  const int32_t step = w.dilation[axis], start = o * w.stride[axis] - w.padding[axis];
  Span span = {0, 0, 0};
  for (int32_t u = 0; u < w.kernel[axis]; ++u) {
    const int32_t at = start + u * step;
    if (at < size + w.padding[axis]) ++span.padded;      // with ceil mode a window may reach beyond the padding
    if (at < 0 || at >= size) continue;
    if (span.count++ == 0) span.first = at;
  }
  return span;
}

// Fills in the spans, in memory that lasts until the next kernel.
inline bool make_spans(Window& w) {
  const size_t count = size_t(w.output[0]) + size_t(w.output[1]) + size_t(w.output[2]);
  Span* next = static_cast<Span*>(pool_scratch(pool_this_worker(), count * sizeof(Span), SHARED));
  if (next == nullptr) return false;
  for (int axis = 0; axis < 3; ++axis) {
    w.spans[axis] = next;
    for (int32_t o = 0; o < w.output[axis]; ++o) *next++ = span_of(w, axis, o);
  }
  return true;
}

inline double divisor_of(const Window& w, const Span& z, const Span& y, const Span& x) {
  if (w.divisor == GIVEN) return w.given;
  if (w.divisor == REAL) return double(z.count) * y.count * x.count;
  return double(z.padded) * y.padded * x.padded;
}

// ---- one output at a time: any geometry, any type -------------------------------------------------------------------------

// Calls body(p, n) for each row of the window: n elements from p, step(2) apart. Whole rows of the plane are one.
template <class T, class Body> INLINE void each_row(const Window& w, T* plane, const Span& z, const Span& y, const Span& x, Body body) {
  const bool whole = x.count == w.input[2] && w.step(1) == 1 && w.step(2) == 1;
  const int32_t rows = whole && y.count > 0 ? 1 : y.count, wide = whole ? x.count * y.count : x.count;
  for (int32_t k = 0; k < z.count; ++k)
    for (int32_t j = 0; j < rows; ++j) {
      const int64_t depth = z.first + k * w.step(0), row = y.first + j * w.step(1);
      body(plane + (depth * w.input[1] + row) * w.input[2] + x.first, wide);
    }
}

template <class T> constexpr T LOWEST = T(-__builtin_inf());
template <> constexpr int32_t LOWEST<int32_t> = INT32_MIN;

template <class T> void max_at(const Window& w, const T* plane, const Span& z, const Span& y, const Span& x, T* value, int32_t* winner) {
  T best = LOWEST<T>;
  int64_t at = -1;
  each_row(w, plane, z, y, x, [&](const T* p, int32_t n) {
    for (int32_t i = 0; i < n; ++i) {
      const T v = p[i * w.step(2)];
      if (at >= 0 && !(v > best) && !(v != v && best == best)) continue;
      best = v, at = p - plane + i * w.step(2);
    }
  });
  *value = best;
  if (winner != nullptr) *winner = int32_t(at);
}

#if CHAINRULE_AVX512 || CHAINRULE_AVX2
// The same of rows whose elements are neighbours: each lane keeps its best and where it was; the first of equal lanes is the answer.
INLINE void max_of_rows(const Window& w, const float* plane, const Span& z, const Span& y, const Span& x, float* value, int32_t* winner) {
  vf best = broadcast(LOWEST<float>);
  vi at = broadcast(INT32_MAX);
  each_row(w, plane, z, y, x, [&](const float* p, int32_t n) {
    for (int32_t i = 0; i < n; i += LANES) {
      const int part = n - i < LANES ? n - i : LANES;
      const vi real = lane_numbers() < part;
      const vf v = select(real, load_first(p + i, part), broadcast(LOWEST<float>));
      const vi wins = (v > best) | ((v != v) & (best == best)) | (real & (at == INT32_MAX));
      best = select(wins, v, best);
      at = select(wins, lane_numbers() + int32_t(p - plane + i), at);
    }
  });
  const vi nan = best != best;
  const bool spoiled = any(nan);
  const float most = spoiled ? __builtin_nanf("") : lane_max(best);
  *value = most;
  if (winner == nullptr) return;
  const vi places = select(spoiled ? nan : best == broadcast(most), at, broadcast(INT32_MAX));
  *winner = fold<int32_t>(places, [](auto a, auto b) { return a < b ? a : b; });
}
#endif

// The sum of neighbours, in a few running vectors: each adds up few enough to stay exact to the last bits.
INLINE double sum_run(const float* p, int32_t n) {
  vf total[4] = {};
  int32_t i = 0;
  for (; i + 4 * LANES <= n; i += 4 * LANES)
    for (int r = 0; r < 4; ++r) total[r] += load(p + i + r * LANES);
  for (; i < n; i += LANES) total[0] += load_first(p + i, n - i < LANES ? n - i : LANES);
  return sum((total[0] + total[1]) + (total[2] + total[3]));
}
template <class T> INLINE double sum_run(const T* p, int32_t n) {
  double total = 0;
  for (int32_t i = 0; i < n; ++i) total += p[i];
  return total;
}

template <class T> void mean_at(const Window& w, const T* plane, const Span& z, const Span& y, const Span& x, T* value) {
  double total = 0;
  if constexpr (MASKED && __is_same(T, float)) {
    if (w.step(2) == 1 && x.count < LANES && z.count * y.count <= 64) {       // short rows, few enough to add up in lanes
      vf rows = {};
      each_row(w, plane, z, y, x, [&](const T* p, int32_t n) {
        for (int32_t i = 0; i < n; i += LANES) rows += load_first(p + i, n - i < LANES ? n - i : LANES);
      });
      *value = x.count * y.count * z.count == 0 ? 0 : T(sum(rows) / divisor_of(w, z, y, x));
      return;
    }
  }
  each_row(w, plane, z, y, x, [&](const T* p, int32_t n) {
    if (w.step(2) == 1 && n >= LANES) {
      total += sum_run(p, n);
      return;
    }
    for (int32_t i = 0; i < n; ++i) total += p[i * w.step(2)];
  });
  const bool empty = z.count == 0 || y.count == 0 || x.count == 0;
  *value = empty ? T(0) : T(total / divisor_of(w, z, y, x));
}

template <class T> void scatter_mean(const Window& w, T* plane, const Span& z, const Span& y, const Span& x, T gradient) {
  const T share = T(gradient / divisor_of(w, z, y, x));
  if constexpr (MASKED && __is_same(T, float)) {
    if (w.step(2) == 1) {
      each_row(w, plane, z, y, x, [&](T* p, int32_t n) {
        for (int32_t i = 0; i < n; i += LANES) {
          const int part = n - i < LANES ? n - i : LANES;
          store_first(p + i, load_first(p + i, part) + share, part);
        }
      });
      return;
    }
  }
  each_row(w, plane, z, y, x, [&](T* p, int32_t n) {
    if (w.step(2) == 1) for (int32_t i = 0; i < n; ++i) p[i] += share;
    else for (int32_t i = 0; i < n; ++i) p[i * w.step(2)] += share;
  });
}

}  // namespace chainrule::VARIANT
