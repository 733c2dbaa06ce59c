// Tiles between the storage types and the compute types: each pair of types is compiled here, and nowhere else.
#include "convert.h"

namespace chainrule::VARIANT {

namespace {

template <class S, class T> INLINE void transpose_or_cast(const S* x, T* out, int64_t x_column, int64_t out_row, int rows, int columns) {
  for (int c = 0; c < columns; ++c)
    for (int r = 0; r < rows; ++r) out[r * out_row + c] = widen_to<T>(x[c * x_column + r]);
}
INLINE void transpose_or_cast(const float* x, float* out, int64_t x_column, int64_t out_row, int rows, int columns) {
  typedef uint32_t Word __attribute__((may_alias));
  transpose_patch(reinterpret_cast<const Word*>(x), reinterpret_cast<Word*>(out), x_column, out_row, rows, columns);
}

template <class S, class T> void load_tile_of(const S* from, int64_t row, int64_t column, int rows, int columns, T* to) {
  if (column == 1) {
    for (int r = 0; r < rows; ++r) load_stretch(from + r * row, to + int64_t(r) * columns, columns);
  } else if (column == 0) {
    for (int r = 0; r < rows; ++r) fill(to + int64_t(r) * columns, widen_to<T>(from[r * row]), columns);
  } else if (row == 1) {                                  // transposed: memory is walked down the columns
    transpose_or_cast(from, to, column, columns, rows, columns);
  } else {
    for (int r = 0; r < rows; ++r)
      for (int c = 0; c < columns; ++c) to[int64_t(r) * columns + c] = widen_to<T>(from[r * row + c * column]);
  }
}

template <class S, class T> void store_tile_of(const T* from, S* to, int64_t row, int64_t column, int rows, int columns) {
  for (int r = 0; r < rows; ++r) {
    if (column == 1) store_stretch(from + int64_t(r) * columns, to + r * row, columns);
    else for (int c = 0; c < columns; ++c) to[r * row + c * column] = Narrow<S>::from(from[int64_t(r) * columns + c]);
  }
}

template <class T> void load_as(int32_t dtype, const char* from, int64_t row, int64_t column, int rows, int columns, void* to) {
  with_type(dtype, [&](auto* type) {
    const auto* typed = static_cast<decltype(type)>(static_cast<void*>(const_cast<char*>(from)));
    load_tile_of(typed, row, column, rows, columns, static_cast<T*>(to));
  });
}
template <class T> void store_as(int32_t dtype, const void* from, char* to, int64_t row, int64_t column, int rows, int columns) {
  with_type(dtype, [&](auto* type) {
    store_tile_of(static_cast<const T*>(from), static_cast<decltype(type)>(static_cast<void*>(to)), row, column, rows, columns);
  });
}

}  // namespace

void load_tile(Compute compute, int32_t dtype, const char* from, int64_t row, int64_t column, int rows, int columns, void* to) {
  if (compute == COMPUTE_FLOAT32) load_as<float>(dtype, from, row, column, rows, columns, to);
  else if (compute == COMPUTE_FLOAT64) load_as<double>(dtype, from, row, column, rows, columns, to);
  else load_as<int32_t>(dtype, from, row, column, rows, columns, to);
}

void store_tile(Compute compute, int32_t dtype, const void* from, char* to, int64_t row, int64_t column, int rows, int columns) {
  if (compute == COMPUTE_FLOAT32) store_as<float>(dtype, from, to, row, column, rows, columns);
  else if (compute == COMPUTE_FLOAT64) store_as<double>(dtype, from, to, row, column, rows, columns);
  else store_as<int32_t>(dtype, from, to, row, column, rows, columns);
}

void fill_block(Compute compute, void* to, double value, int n) {
  if (compute == COMPUTE_FLOAT32) fill(static_cast<float*>(to), widen_to<float>(value), n);
  else if (compute == COMPUTE_FLOAT64) fill(static_cast<double*>(to), value, n);
  else fill(static_cast<int32_t*>(to), widen_to<int32_t>(value), n);
}

}  // namespace chainrule::VARIANT
