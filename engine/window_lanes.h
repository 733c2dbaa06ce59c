// Windows of float32 planes, a vector of outputs at a time.
#pragma once
#include "folds.h"
#include "views.h"
#include "window.h"

namespace chainrule::VARIANT {

// ---- neighbouring windows one or two elements apart -------------------------------------------------------------------------

// Lanes 0, 2, 4, ... of a and b in a row, and lanes 1, 3, 5, ...
template <int first, int... I> INLINE vf every_other(vf a, vf b, Indices<I...>) { return __builtin_shufflevector(a, b, (2 * I + first)...); }
INLINE vf evens(vf a, vf b) { return every_other<0>(a, b, UpTo<LANES>::type{}); }
INLINE vf odds(vf a, vf b) { return every_other<1>(a, b, UpTo<LANES>::type{}); }

template <int STRIDE> INLINE vf load_every(const float* p) {
  if constexpr (STRIDE == 1) return load(p);
  else return evens(load(p), load(p + LANES));
}

INLINE void put(float* to, vf v, int lanes) {
  if (lanes == LANES) store(to, v);
  else store_first(to, v, lanes);
}
INLINE void put(int32_t* to, vi v, int lanes) { put(reinterpret_cast<float*>(to), (vf)v, lanes); }

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
  const vi offsets = lane_numbers() * STRIDE;
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

typedef void (*Lanes)(const Window&, const Row&, int32_t from, int lanes);

// What computes a vector of outputs of this geometry, or null.
inline Lanes lanes_for(const Window& w) {
  if (w.adaptive || w.kernel[2] > 16 || (w.stride[2] != 1 && w.stride[2] != 2)) return nullptr;
  if (w.by == MEAN) return w.stride[2] == 1 ? mean_lanes<1> : mean_lanes<2>;
  return w.stride[2] == 1 ? max_lanes<1> : max_lanes<2>;
}

template <class T>
INLINE void one_output(const Window& w, const T* plane, const Span& z, const Span& y, int32_t o, T* value, int32_t* winner) {
#if CHAINRULE_AVX512 || CHAINRULE_AVX2
  if constexpr (__is_same(T, float)) {
    const Span& x = w.spans[2][o];
    if (w.by == MAX && w.step(2) == 1 && x.count > 2 && y.count * x.count * z.count > 8) return max_of_rows(w, plane, z, y, x, value, winner);
  }
#endif
  if (w.by == MAX) max_at(w, plane, z, y, w.spans[2][o], value, winner);
  else mean_at(w, plane, z, y, w.spans[2][o], value);
}

#ifndef __wasm__
constexpr int WIDEST = 512;

// Means of windows that are several columns wide or apart: first the columns of all rows are added up, then, in double, those of a window.
inline bool mean_row(const Window& w, const Row& row) {
  constexpr int MOST_ROWS = 64;        // that a lane adds up
  const int32_t wide = w.input[2], rows = row.z.count * row.y.count;
  if (w.by != MEAN || w.step(2) != 1 || w.output[2] < 2 || wide > WIDEST || rows == 0 || rows > MOST_ROWS) return false;
  float columns[WIDEST];
  for (int32_t c = 0; c < wide; c += LANES) {
    vf total = {};
    for (int32_t k = 0; k < row.z.count; ++k) {
      const float* p = row.plane + (int64_t(row.z.first + k * w.step(0)) * w.input[1] + row.y.first) * wide + c;
      for (int32_t j = 0; j < row.y.count; ++j, p += w.step(1) * wide) total += wide - c >= LANES ? load(p) : load_first(p, wide - c);
    }
    store(columns + c, total);
  }
  for (int32_t o = 0; o < w.output[2]; ++o) {
    const Span& x = w.spans[2][o];
    double total = 0;
    for (int32_t i = 0; i < x.count; ++i) total += columns[x.first + i];
    row.values[o] = x.count == 0 ? 0.0f : float(total / divisor_of(w, row.z, row.y, x));
  }
  return true;
}
#endif

// A row of outputs, with vectors where whole windows lie inside the plane.
inline void float_row(const Window& w, const Row& row, Lanes lanes) {
#ifndef __wasm__
  if (lanes == nullptr && mean_row(w, row)) return;
#endif
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

// ---- windows of 2 x 2 that lie side by side, which is the pooling that most networks do -----------------------------------

// A whole vector wherever the memory behind it is ours: to read, or to write before the rows that come next are written.
template <class T> INLINE Vec<T> load_within(const T* p, int64_t room) {
  return room >= LANES ? load(p) : load_first(p, room > 0 ? int(room) : 0);
}
template <class T> INLINE void store_within(T* p, Vec<T> v, int64_t room, int wanted) {
  if (room >= LANES) store(p, v);
  else if (wanted > 0) store_first(p, v, wanted < LANES ? wanted : LANES);
}

struct Pick {
  vf value;
  vi at;
};
// The better one of two, the first of equals; NaN is the largest.
INLINE Pick better(Pick a, Pick b) {
  const vi wins = (b.value > a.value) | ((b.value != b.value) & (a.value == a.value));
  return {select(wins, b.value, a.value), select(wins, b.at, a.at)};
}

// The best of four, in the order of their places, by as few compares as numbers need.
INLINE Pick best_of(vf a, vf b, vf c, vf d, vi at, int32_t line) {
#if CHAINRULE_AVX512
  const vf all = (a + b) + (c + d);
  if (_mm512_cmp_ps_mask((__m512)all, (__m512)all, _CMP_UNORD_Q) == 0) [[likely]] {
    const auto pick = [](Pick x, vf value, auto at_of) -> Pick {
      const __mmask16 wins = _mm512_cmp_ps_mask((__m512)value, (__m512)x.value, _CMP_GT_OQ);
      return {(vf)_mm512_max_ps((__m512)value, (__m512)x.value), at_of(wins)};     // of equals the second operand, which is the first
    };
    const auto next = [](vi at) {
      return [at](__mmask16 wins) { return (vi)_mm512_mask_add_epi32((__m512i)at, wins, (__m512i)at, _mm512_set1_epi32(1)); };
    };
    const Pick upper = pick({a, at}, b, next(at)), lower = pick({c, at + line}, d, next(at + line));
    return pick(upper, lower.value, [&](__mmask16 wins) { return (vi)_mm512_mask_mov_epi32((__m512i)upper.at, wins, (__m512i)lower.at); });
  }
#endif
  return better(better({a, at}, {b, at + 1}), better({c, at + line}, {d, at + line + 1}));
}

// Rows [first, last) of a plane's outputs; nothing is read from `end` on.
inline void max_two_by_two(const Window& w, const float* plane, const float* end, float* values, int32_t* winners, int64_t first,
                           int64_t last) {
  const int32_t wide = w.output[2], line = w.input[2];
  const vi doubled = lane_numbers() * 2;
  for (int64_t y = first; y < last; ++y) {
    for (int32_t x = 0; x < wide; x += LANES) {
      const int32_t place = int32_t(2 * y) * line + 2 * x;
      const int64_t out = y * wide + x, room = last * wide - out;
      const float* const top = plane + place;
      const float* const bottom = top + line;
      const vf a = load_within(top, end - top), b = load_within(top + LANES, end - top - LANES);
      const vf c = load_within(bottom, end - bottom), d = load_within(bottom + LANES, end - bottom - LANES);
      const Pick best = best_of(evens(a, b), odds(a, b), evens(c, d), odds(c, d), doubled + place, line);
      store_within(values + out, best.value, room, wide - x);
      if (winners != nullptr) store_within(winners + out, best.at, room, wide - x);
    }
  }
}

// Every element of the plane lies in one window: two rows at a time are written from a row of windows.
inline void give_two_by_two(const Window& w, const float* gradients, const int32_t* winners, float* plane) {
  const int32_t wide = w.output[2], line = 2 * wide;
  const vi doubled = lane_numbers() * 2;
  for (int32_t y = 0; y < w.output[1]; ++y) {
    for (int32_t x = 0; x < wide; x += LANES) {
      const int64_t window = int64_t(y) * wide + x, room = w.outputs - window;
      const int32_t place = 2 * y * line + 2 * x, rest = line - 2 * x;
      const vf g = load_within(gradients + window, room);
      const vi at = load_within(winners + window, room) - (doubled + place);
      for (int32_t down = 0; down <= line; down += line) {
        const vf left = select(at == down, g, vf{}), right = select(at == down + 1, g, vf{});
        put(plane + place + down, zip_low(left, right), rest < LANES ? rest : LANES);
        if (rest > LANES) put(plane + place + down + LANES, zip_high(left, right), rest < 2 * LANES ? rest - LANES : LANES);
      }
    }
  }
}

}  // namespace chainrule::VARIANT
