// Pooling over dense planes: maxima with their places, means, and the transpose of means.
#include "convert.h"
#include "kernels.h"
#include "pool.h"
#include "views.h"

namespace chainrule::VARIANT {
namespace {

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

Window read_window(const Step& step) {
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
  return w;
}

Span span_of(const Window& w, int axis, int32_t o) {
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
bool make_spans(Window& w) {
  const size_t count = size_t(w.output[0]) + size_t(w.output[1]) + size_t(w.output[2]);
  Span* next = static_cast<Span*>(pool_scratch(pool_this_worker(), count * sizeof(Span), SHARED));
  if (next == nullptr) return false;
  for (int axis = 0; axis < 3; ++axis) {
    w.spans[axis] = next;
    for (int32_t o = 0; o < w.output[axis]; ++o) *next++ = span_of(w, axis, o);
  }
  return true;
}

double divisor_of(const Window& w, const Span& z, const Span& y, const Span& x) {
  if (w.divisor == GIVEN) return w.given;
  if (w.divisor == REAL) return double(z.count) * y.count * x.count;
  return double(z.padded) * y.padded * x.padded;
}

// ---- one output at a time: any geometry, any type -------------------------------------------------------------------------

// Calls body(p, n) for each row of the window: n elements from p, step(2) apart.
template <class T, class Body> INLINE void each_row(const Window& w, T* plane, const Span& z, const Span& y, const Span& x, Body body) {
  for (int32_t k = 0; k < z.count; ++k)
    for (int32_t j = 0; j < y.count; ++j) {
      const int64_t depth = z.first + k * w.step(0), row = y.first + j * w.step(1);
      body(plane + (depth * w.input[1] + row) * w.input[2] + x.first, x.count);
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
  each_row(w, plane, z, y, x, [&](T* p, int32_t n) {
    if (w.step(2) == 1) for (int32_t i = 0; i < n; ++i) p[i] += share;
    else for (int32_t i = 0; i < n; ++i) p[i * w.step(2)] += share;
  });
}

// ---- a vector of outputs at a time: float32, neighbouring windows one or two elements apart -------------------------------

template <int STRIDE> INLINE vf load_every(const float* p);
template <> INLINE vf load_every<1>(const float* p) { return load(p); }
template <> INLINE vf load_every<2>(const float* p) {
  const vf a = load(p), b = load(p + LANES);
#if CHAINRULE_AVX512
  return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14, 16, 18, 20, 22, 24, 26, 28, 30);
#elif CHAINRULE_AVX2
  return __builtin_shufflevector(a, b, 0, 2, 4, 6, 8, 10, 12, 14);
#else
  return __builtin_shufflevector(a, b, 0, 2, 4, 6);
#endif
}

INLINE void put(float* to, vf v, int lanes) {
  if (lanes == LANES) store(to, v);
  else store_first(to, v, lanes);
}
INLINE void put(int32_t* to, vi v, int lanes) { put(reinterpret_cast<float*>(to), (vf)v, lanes); }

INLINE vi iota() {
  vi out;
  for (int i = 0; i < LANES; ++i) out[i] = i;
  return out;
}

struct Row {
  const float* plane;
  const float* end;                    // of all planes: nothing is read from here on
  Span z, y;
  float* values;                       // of output column 0
  int32_t* winners;                    // likewise, or null
};

// Outputs [from, from + lanes) whose windows lie within the row.
template <int STRIDE> void max_lanes(const Window& w, const Row& row, int32_t from, int lanes) {
  const int32_t start = from * STRIDE - w.padding[2];
  const vi offsets = iota() * STRIDE;
  vf best = {};
  vi at = {};
  bool first = true;
  for (int32_t k = 0; k < row.z.count; ++k)
    for (int32_t j = 0; j < row.y.count; ++j) {
      const int32_t line = ((row.z.first + k * w.dilation[0]) * w.input[1] + row.y.first + j * w.dilation[1]) * w.input[2] + start;
      for (int32_t u = 0; u < w.kernel[2]; ++u) {
        const int32_t place = line + u * w.dilation[2];
        const vf v = load_every<STRIDE>(row.plane + place);
        const vi wins = (v > best) | ((v != v) & (best == best)) | (first ? -1 : 0);
        best = select(wins, v, best);
        at = select(wins, offsets + place, at);
        first = false;
      }
    }
  put(row.values + from, best, lanes);
  if (row.winners != nullptr) put(row.winners + from, at, lanes);
}

template <int STRIDE> void mean_lanes(const Window& w, const Row& row, int32_t from, int lanes) {
  const int32_t start = from * STRIDE - w.padding[2];
  vf total = {};
  for (int32_t k = 0; k < row.z.count; ++k)
    for (int32_t j = 0; j < row.y.count; ++j) {
      const int32_t line = ((row.z.first + k * w.dilation[0]) * w.input[1] + row.y.first + j * w.dilation[1]) * w.input[2] + start;
      for (int32_t u = 0; u < w.kernel[2]; ++u) total += load_every<STRIDE>(row.plane + line + u * w.dilation[2]);
    }
  const Span x = {0, w.kernel[2], w.kernel[2]};
  put(row.values + from, total / broadcast(float(divisor_of(w, row.z, row.y, x))), lanes);
}

// The four elements of each 2 x 2 window from four loads and shuffles: the pooling that most networks do.
void max_two_by_two(const Window& w, const Row& row, int32_t from, int lanes) {
  const int32_t place = row.y.first * w.input[2] + row.z.first * w.input[1] * w.input[2] + 2 * from;
  const vi at = iota() * 2 + place;
  vf best = load_every<2>(row.plane + place);
  vi winner = at;
  const int32_t further[3] = {1, w.input[2], w.input[2] + 1};
  for (const int32_t offset : further) {
    const vf v = load_every<2>(row.plane + place + offset);
    const vi wins = (v > best) | ((v != v) & (best == best));
    best = select(wins, v, best);
    winner = select(wins, at + offset, winner);
  }
  put(row.values + from, best, lanes);
  if (row.winners != nullptr) put(row.winners + from, winner, lanes);
}

typedef void (*Lanes)(const Window&, const Row&, int32_t from, int lanes);

// What computes a vector of outputs of this geometry, or null.
Lanes lanes_for(const Window& w) {
  if (w.adaptive || w.kernel[2] > 16 || (w.stride[2] != 1 && w.stride[2] != 2)) return nullptr;
  if (w.by == MEAN) return w.stride[2] == 1 ? mean_lanes<1> : mean_lanes<2>;
  const bool two = w.kernel[2] == 2 && w.kernel[1] == 2 && w.kernel[0] == 1 && w.dilation[1] == 1 && w.dilation[2] == 1;
  const bool inside = w.padding[0] + w.padding[1] + w.padding[2] == 0 && (w.output[1] - 1) * w.stride[1] + 2 <= w.input[1];
  if (two && inside && w.stride[2] == 2) return max_two_by_two;
  return w.stride[2] == 1 ? max_lanes<1> : max_lanes<2>;
}

// ---- rows, planes, tasks ------------------------------------------------------------------------------------------------------

template <class T>
INLINE void one_output(const Window& w, const T* plane, const Span& z, const Span& y, int32_t o, T* value, int32_t* winner) {
  if (w.by == MAX) max_at(w, plane, z, y, w.spans[2][o], value, winner);
  else mean_at(w, plane, z, y, w.spans[2][o], value);
}

// A row of outputs, with vectors where whole windows lie inside the plane.
void float_row(const Window& w, const Row& row, Lanes lanes) {
  const int32_t outputs = w.output[2], stride = w.stride[2], reach = (w.kernel[2] - 1) * w.dilation[2];
  const auto scalar = [&](int32_t o) {
    one_output(w, row.plane, row.z, row.y, o, row.values + o, row.winners == nullptr ? nullptr : row.winners + o);
  };
  int32_t from = 0, to = 0;                              // the outputs that a vector may compute
  const int32_t room = w.input[2] - 1 - reach + w.padding[2];
  if (lanes != nullptr && room >= 0 && row.z.count > 0 && row.y.count > 0) {
    from = (w.padding[2] + stride - 1) / stride, to = room / stride + 1;
    to = to < outputs ? to : outputs;
    from = from < to ? from : to;
  }
  for (int32_t o = 0; o < from; ++o) scalar(o);
  const int64_t depth = row.z.first + (row.z.count - 1) * w.step(0), height = row.y.first + (row.y.count - 1) * w.step(1);
  const float* const lowest = row.plane + (depth * w.input[1] + height) * w.input[2];
  int32_t o = from;
  for (; o < to; o += LANES) {
    const float* const last = lowest + o * stride - w.padding[2] + reach + stride * LANES;   // how far the loads go
    if (last > row.end) break;
    lanes(w, row, o, to - o < LANES ? to - o : LANES);
  }
  for (o = o < to ? o : to; o < outputs; ++o) scalar(o);
}

// Rows [first, last) of a plane's outputs, counted over depth and height.
template <class T>
void plane_rows(const Window& w, const T* plane, const T* end, T* values, int32_t* winners, int64_t first, int64_t last, Lanes lanes) {
  for (int64_t r = first; r < last; ++r) {
    const Span& z = w.spans[0][r / w.output[1]];
    const Span& y = w.spans[1][r % w.output[1]];
    T* const out = values + r * w.output[2];
    int32_t* const at = winners == nullptr ? nullptr : winners + r * w.output[2];
    if constexpr (__is_same(T, float)) float_row(w, {plane, end, z, y, out, at}, lanes);
    else for (int32_t o = 0; o < w.output[2]; ++o) one_output(w, plane, z, y, o, out + o, at == nullptr ? nullptr : at + o);
  }
}

template <class T> void plane_adjoint(const Window& w, const T* gradients, T* plane) {
  fill(plane, T(0), w.inputs);
  const T* next = gradients;
  for (int32_t k = 0; k < w.output[0]; ++k)
    for (int32_t j = 0; j < w.output[1]; ++j)
      for (int32_t i = 0; i < w.output[2]; ++i) scatter_mean(w, plane, w.spans[0][k], w.spans[1][j], w.spans[2][i], *next++);
}

// Gives each window's gradient to its winner, in order, the rest of the plane being zero.
template <class T> void give_to_winners(const Window& w, const T* gradients, const int32_t* winners, T* plane) {
  fill(plane, T(0), w.inputs);
  for (int64_t i = 0; i < w.outputs; ++i)
    if (winners[i] >= 0) plane[winners[i]] += gradients[i];
}

// Windows of 2 x 2 that do not meet, without gaps: every element is written once, next to its neighbour.
INLINE bool is_two_by_two(const Window& w) {
  const auto halves = [&](int axis) {
    return w.kernel[axis] == 2 && w.stride[axis] == 2 && w.padding[axis] == 0 && w.dilation[axis] == 1 && w.input[axis] == 2 * w.output[axis];
  };
  return !w.adaptive && w.input[0] == 1 && w.kernel[0] == 1 && halves(1) && halves(2);
}
void give_two_by_two(const Window& w, const float* gradients, const int32_t* winners, float* plane) {
  const int32_t wide = w.output[2], line = w.input[2];
  for (int32_t y = 0; y < w.output[1]; ++y, gradients += wide, winners += wide) {
    float* row = plane + 2 * int64_t(y) * line;
    int32_t x = 0;
    for (; x + LANES <= wide; x += LANES) {
      const vf g = load(gradients + x);
      const vi at = load(winners + x) - (iota() * 2 + (2 * y * line + 2 * x));
      for (int32_t down = 0; down < 2; ++down) {
        const vf left = select(at == down * line, g, vf{}), right = select(at == down * line + 1, g, vf{});
        store(row + down * line + 2 * x, zip_low(left, right));
        store(row + down * line + 2 * x + LANES, zip_high(left, right));
      }
    }
    for (; x < wide; ++x)
      for (int32_t corner = 0; corner < 4; ++corner) {
        const int32_t place = (2 * y + corner / 2) * line + 2 * x + corner % 2;
        plane[place] = winners[x] == place ? gradients[x] : 0.0f;
      }
  }
}

template <class T> void plane_back(const Window& w, const T* x, const int32_t* winners, T* y) {
  if (w.by == MEAN_ADJOINT) return plane_adjoint(w, x, y);
  if constexpr (__is_same(T, float))
    if (is_two_by_two(w)) return give_two_by_two(w, x, winners, y);
  give_to_winners(w, x, winners, y);
}

// Elements in the compute type: planes are used where they lie, or cut into tasks by rows if there are few.
template <class T> void run_direct(const Window& w) {
  const T* const x = w.x.as<T>();
  T* const y = w.y.as<T>();
  int32_t* const winners = w.indexed ? w.winners.as<int32_t>() : nullptr;
  const auto winners_of = [&](int64_t p) { return winners == nullptr ? nullptr : winners + w.start(w.winners, p, w.outputs); };
  if (w.is_adjoint()) {
    const int64_t grain = w.inputs >= GRAIN ? 1 : GRAIN / w.inputs + 1;
    parallel((w.planes + grain - 1) / grain, [&](int64_t task, int) {
      const int64_t end = (task + 1) * grain < w.planes ? (task + 1) * grain : w.planes;
      for (int64_t p = task * grain; p < end; ++p)
        plane_back(w, x + w.start(w.x, p, w.outputs), winners_of(p), y + w.start(w.y, p, w.inputs));
    });
    return;
  }
  const Lanes lanes = lanes_for(w);
  const T* const readable = x + w.start(w.x, w.planes - 1, w.inputs) + w.inputs;
  const int64_t rows = int64_t(w.output[0]) * w.output[1], cost = w.inputs / rows + w.output[2];
  const int64_t grain = cost >= GRAIN ? 1 : GRAIN / cost + 1, all = rows * w.planes;
  parallel((all + grain - 1) / grain, [&](int64_t task, int) {
    const int64_t end = (task + 1) * grain < all ? (task + 1) * grain : all;
    for (int64_t r = task * grain; r < end;) {
      const int64_t p = r / rows, first = r % rows, last = end - p * rows < rows ? end - p * rows : rows;
      plane_rows(w, x + w.start(w.x, p, w.inputs), readable, y + w.start(w.y, p, w.outputs), winners_of(p), first, last, lanes);
      r = p * rows + last;
    }
  });
}

// Elements of another type: each plane is converted into scratch memory and back.
template <class T> bool run_converted(const Window& w) {
  const int64_t reads = w.reads(), writes = w.writes();
  int32_t* const winners = w.indexed ? w.winners.as<int32_t>() : nullptr;
  const Lanes lanes = lanes_for(w);
  const int64_t rows = int64_t(w.output[0]) * w.output[1];
  int32_t failed = 0;
  parallel(w.planes, [&](int64_t p, int worker) {
    T* const x = static_cast<T*>(pool_scratch(worker, size_t(reads + writes) * sizeof(T)));
    if (x == nullptr) return __atomic_store_n(&failed, 1, __ATOMIC_RELAXED);
    T* const y = x + reads;
    int32_t* const at = winners == nullptr ? nullptr : winners + w.start(w.winners, p, w.outputs);
    const int64_t from = w.start(w.x, p, reads), to = w.start(w.y, p, writes);
    for (int64_t i = 0; i < reads; i += 4096) {
      const int n = int(reads - i < 4096 ? reads - i : 4096);
      load_tile(w.x.dtype, w.x.data + (from + i) * bytes_of(w.x.dtype), 0, 1, 1, n, x + i);
    }
    if (w.is_adjoint()) plane_back(w, x, at, y);
    else plane_rows(w, x, x + reads, y, at, 0, rows, lanes);
    for (int64_t i = 0; i < writes; i += 4096) {
      const int n = int(writes - i < 4096 ? writes - i : 4096);
      store_tile(w.y.dtype, y + i, w.y.data + (to + i) * bytes_of(w.y.dtype), 0, 1, 1, n);
    }
  });
  return failed == 0;
}

}  // namespace

int32_t window(const Step& step) {
  Window w = read_window(step);
  bool done = make_spans(w);
  if (!done) return step.fail(ENGINE_MEMORY);
  if (w.x.dtype == FLOAT32 && w.y.dtype == FLOAT32) run_direct<float>(w);
  else if (w.x.dtype == FLOAT64 && w.y.dtype == FLOAT64) run_direct<double>(w);
  else if (w.x.dtype == INT32 && w.y.dtype == INT32) run_direct<int32_t>(w);
  else if (compute_of(w.x.dtype) == COMPUTE_FLOAT32) done = run_converted<float>(w);
  else done = run_converted<int32_t>(w);
  return done ? int32_t(ENGINE_OK) : step.fail(ENGINE_MEMORY);
}

}  // namespace chainrule::VARIANT
