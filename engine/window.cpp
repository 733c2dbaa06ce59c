// Pooling over dense planes: maxima with their places, means, and the transposes of both.
#include "kernels.h"
#include "window_lanes.h"

namespace chainrule::VARIANT {
namespace {

// ---- rows, planes, tasks ------------------------------------------------------------------------------------------------------

// Rows [first, last) of a plane's outputs, counted over depth and height.
template <class T>
void plane_rows(const Window& w, const T* plane, const T* end, T* values, int32_t* winners, int64_t first, int64_t last, Lanes lanes) {
  if constexpr (__is_same(T, float))
    if (w.by == MAX && w.two_by_two) return max_two_by_two(w, plane, end, values, winners, first, last);
  for (int64_t r = first; r < last; ++r) {
    const Span& z = w.spans[0][r / w.output[1]];
    const Span& y = w.spans[1][r % w.output[1]];
    T* const out = values + r * w.output[2];
    int32_t* const at = winners == nullptr ? nullptr : winners + r * w.output[2];
    if constexpr (__is_same(T, float)) float_row(w, {plane, end, z, y, out, at}, lanes);
    else for (int32_t o = 0; o < w.output[2]; ++o) one_output(w, plane, z, y, o, out + o, at == nullptr ? nullptr : at + o);
  }
}

#ifndef __wasm__
// Flat planes and windows of one column: of each input row the gradients of all windows over it are added up.
bool adjoint_of_columns(const Window& w, const float* gradients, float* plane) {
  const int32_t wide = w.input[2];
  if (w.adaptive || w.input[0] != 1 || w.output[0] != 1 || w.dilation[1] != 1) return false;
  if (w.kernel[2] != 1 || w.padding[2] != 0 || w.stride[2] != 1 || w.output[2] != wide) return false;
  for (int32_t r = 0; r < w.input[1]; ++r) {
    float* const to = plane + int64_t(r) * wide;
    fill(to, 0.0f, wide);
    for (int32_t o = 0; o < w.output[1]; ++o) {
      const Span& y = w.spans[1][o];
      if (r < y.first || r >= y.first + y.count) continue;
      const float divisor = float(divisor_of(w, w.spans[0][0], y, w.spans[2][0]));
      const float* const from = gradients + int64_t(o) * wide;
      for (int32_t i = 0; i < wide; ++i) to[i] += from[i] / divisor;
    }
  }
  return true;
}

// Flat planes whose windows overlap a step apart: of each input row the shares of all windows over it are added up, and then, column by
// column, those of the windows over it.
bool adjoint_of_steps(const Window& w, const float* gradients, float* plane) {
  const int32_t wide = w.input[2], out = w.output[2], kernel = w.kernel[2], reach = kernel - 1;
  if (w.adaptive || w.input[0] != 1 || w.output[0] != 1 || w.stride[2] != 1 || w.dilation[2] != 1 || w.dilation[1] != 1) return false;
  const int32_t furthest = wide + w.padding[2] > out ? wide + w.padding[2] : out;
  if (furthest + reach + LANES > WIDEST || kernel > 16) return false;
  const Span& z = w.spans[0][0];
  float widths[WIDEST];                // of the windows, or what all are divided by
  for (int32_t i = 0; i < out; ++i) {
    const Span& x = w.spans[2][i];
    widths[i] = w.divisor == GIVEN ? float(w.given) : float(w.divisor == REAL ? x.count : x.padded);
  }
  for (int32_t r = 0; r < w.input[1]; ++r) {
    float sums[WIDEST] = {};
    float* const shares = sums + reach;
    for (int32_t o = 0; o < w.output[1]; ++o) {
      const Span& y = w.spans[1][o];
      if (r < y.first || r >= y.first + y.count) continue;
      const float rows = w.divisor == GIVEN ? 1.0f : float(w.divisor == REAL ? z.count * y.count : z.padded * y.padded);
      for (int32_t i = 0; i < out; i += LANES) {
        const int part = out - i < LANES ? out - i : LANES;
        const vf share = load_first(gradients + int64_t(o) * out + i, part) / (load(widths + i) * rows);
        store(shares + i, load(shares + i) + select(lanes_below(i, out), share, vf{}));
      }
    }
    // The window that begins at column c - padding is number c.
    float* const to = plane + int64_t(r) * wide;
    for (int32_t c = 0; c < wide; c += LANES) {
      const int32_t last = c + w.padding[2];
      vf total = {};
      for (int32_t u = 0; u < kernel; ++u) total += load(shares + last - u);
      store_first(to + c, total, wide - c < LANES ? wide - c : LANES);
    }
  }
  return true;
}

// Flat planes and any other windows without holes: what a row of windows gives to each column is added to all rows that it covers.
bool adjoint_of_rows(const Window& w, const float* gradients, float* plane) {
  const int32_t wide = w.input[2], out = w.output[2];
  if (w.input[0] != 1 || w.output[0] != 1 || w.step(1) != 1 || w.step(2) != 1 || out < 2 || wide > WIDEST) return false;
  fill(plane, 0.0f, w.inputs);
  for (int32_t o = 0; o < w.output[1]; ++o, gradients += out) {
    const Span& y = w.spans[1][o];
    float columns[WIDEST];
    for (int32_t c = 0; c < wide; c += LANES) store(columns + c, vf{});
    for (int32_t i = 0; i < out; ++i) {
      const Span& x = w.spans[2][i];
      const float share = float(gradients[i] / divisor_of(w, w.spans[0][0], y, x));
      for (int32_t c = 0; c < x.count; ++c) columns[x.first + c] += share;
    }
    for (int32_t r = 0; r < y.count; ++r) {
      float* const to = plane + int64_t(y.first + r) * wide;
      for (int32_t c = 0; c < wide; c += LANES) {
        const int part = wide - c < LANES ? wide - c : LANES;
        store_first(to + c, load_first(to + c, part) + load(columns + c), part);
      }
    }
  }
  return true;
}
#endif

template <class T> void plane_adjoint(const Window& w, const T* gradients, T* plane) {
#ifndef __wasm__
  if constexpr (__is_same(T, float))
    if (adjoint_of_columns(w, gradients, plane) || adjoint_of_steps(w, gradients, plane) || adjoint_of_rows(w, gradients, plane)) return;
#endif
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

template <class T> void plane_back(const Window& w, const T* x, const int32_t* winners, T* y) {
  if (w.by == MEAN_ADJOINT) return plane_adjoint(w, x, y);
  if constexpr (__is_same(T, float))
    if (w.two_by_two && w.inputs == 4 * w.outputs) return give_two_by_two(w, x, winners, y);
  give_to_winners(w, x, winners, y);
}

// Elements in the compute type: planes are used where they lie, or cut into tasks by rows if there are few.
template <class T> void run_direct(const Window& w) {
  const T* const x = w.x.as<T>();
  T* const y = w.y.as<T>();
  int32_t* const winners = w.indexed ? w.winners.as<int32_t>() : nullptr;
  const auto winners_of = [&](int64_t p) { return winners == nullptr ? nullptr : winners + w.start(w.winners, p, w.outputs); };
  if (w.is_adjoint()) {
    const int64_t grain = w.inputs >= GRAIN ? 1 : GRAIN / w.inputs + 1, ahead = rows_ahead(w.outputs * int64_t(sizeof(T)));
    parallel((w.planes + grain - 1) / grain, [&](int64_t task, int) {
      const int64_t end = (task + 1) * grain < w.planes ? (task + 1) * grain : w.planes;
      for (int64_t p = task * grain; p < end; ++p) {
        const int64_t soon = p + ahead < end ? p + ahead : p;
        prefetch(x + w.start(w.x, soon, w.outputs), w.outputs);
        if (winners != nullptr) prefetch(winners_of(soon), w.outputs);
        plane_back(w, x + w.start(w.x, p, w.outputs), winners_of(p), y + w.start(w.y, p, w.inputs));
      }
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
