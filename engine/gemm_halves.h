// 16-bit storage where products are of floats: numbers widened before, rounded after.
#pragma once
#include "gemm.h"

namespace chainrule::VARIANT {

INLINE void put(bf16& to, float x) { to = to_bf16(x); }
INLINE void put(f16& to, float x) { to = to_f16(x); }
INLINE void put(float& to, float x) { to = x; }
template <class S> INLINE float rounded(float x) {
  S half;
  put(half, x);
  return to_float(half);
}

template <class From, class To> NOINLINE void convert(const From* from, To* to, int64_t count) {
  int64_t i = 0;
  for (; i + LANES <= count; i += LANES) store(to + i, load(from + i));
  for (; i < count; ++i) put(to[i], to_float(from[i]));
}

// A dense copy of a (rows x cols) matrix in the order it lies in memory, as floats.
template <class S> NOINLINE Strided<float> widen(const S* from, int64_t row, int64_t col, int rows, int cols, float* to) {
  if (row == 1 && col != 1) {
    const Strided<float> turned = widen(from, col, row, cols, rows, to);
    return {to, turned.col, turned.row};
  }
  for (int i = 0; i < rows; ++i, to += cols) {
    if (col == 1) convert(from + i * row, to, cols);
    else for (int j = 0; j < cols; ++j) to[j] = to_float(from[i * row + j * col]);
  }
  return {to - int64_t(rows) * cols, cols, 1};
}

// What a product of numbers of type S reads as B: the same, of floats rounded first.
template <class S> Strided<float> right_matrix(const Gemm& g, int64_t at, float* to) {
  const MatrixStrides& by = g.bs;
  if (g.bdtype != FLOAT32) return widen(static_cast<const S*>(g.b) + at, by.row, by.col, g.k, g.n, to);
  const Strided<float> copy = widen(static_cast<const float*>(g.b) + at, by.row, by.col, g.k, g.n, to);
  for (int64_t i = 0; i < int64_t(g.k) * g.n; ++i) to[i] = rounded<S>(to[i]);
  return copy;
}

}  // namespace chainrule::VARIANT
