// Between storage types and the three compute types: one number, a stretch, a strided tile.
#pragma once
#include "ops.h"
#include "tape.h"

#define NOINLINE __attribute__((noinline))  // what is long and called from many instances

namespace chainrule::VARIANT {

struct boolean { uint8_t value; };

// Where to add and multiply: integers wrap.
template <class T> struct WrapOf { typedef T type; };
template <> struct WrapOf<int32_t> { typedef uint32_t type; };
template <class T> using Wrap = typename WrapOf<T>::type;

// ---- one number ---------------------------------------------------------------------------------------------------------

template <class T> INLINE T widen_to(float x) { return T(x); }
template <> INLINE int32_t widen_to<int32_t>(float x) { return wrap_int(x); }
template <class T> INLINE T widen_to(double x) { return T(x); }
template <> INLINE int32_t widen_to<int32_t>(double x) { return wrap_int(x); }
template <class T> INLINE T widen_to(int32_t x) { return T(x); }
template <class T> INLINE T widen_to(uint8_t x) { return T(x); }
template <class T> INLINE T widen_to(boolean x) { return T(x.value != 0); }
template <class T> INLINE T widen_to(bf16 x) {
  const uint32_t bits = uint32_t(x.bits) << 16;
  float value;
  __builtin_memcpy(&value, &bits, sizeof value);
  return widen_to<T>(value);
}
template <class T> INLINE T widen_to(f16 x) { return widen_to<T>(to_float(x)); }

template <class S> struct Narrow {
  template <class T> static INLINE S from(T x) { return S(x); }
};
template <> struct Narrow<int32_t> {
  static INLINE int32_t from(int32_t x) { return x; }
  template <class T> static INLINE int32_t from(T x) { return wrap_int(x); }
};
template <> struct Narrow<uint8_t> {
  template <class T> static INLINE uint8_t from(T x) { return uint8_t(Narrow<int32_t>::from(x)); }
};
template <> struct Narrow<boolean> {
  template <class T> static INLINE boolean from(T x) { return {uint8_t(x != T(0))}; }
};
template <> struct Narrow<bf16> {
  template <class T> static INLINE bf16 from(T x) {
    const float value = float(x);
    uint32_t u;
    __builtin_memcpy(&u, &value, sizeof u);
    return {uint16_t(value != value ? (u >> 16) | 0x40u : (u + 0x7fffu + ((u >> 16) & 1u)) >> 16)};
  }
};
template <> struct Narrow<f16> {
  template <class T> static INLINE f16 from(T x) { return to_f16(float(x)); }
};

// Calls f with a null pointer of the storage type, for it to know the type.
template <class F> INLINE auto with_type(int32_t dtype, F f) {
  switch (dtype) {
    case FLOAT32: return f(static_cast<float*>(nullptr));
    case FLOAT64: return f(static_cast<double*>(nullptr));
    case BFLOAT16: return f(static_cast<bf16*>(nullptr));
    case FLOAT16: return f(static_cast<f16*>(nullptr));
    case INT32: return f(static_cast<int32_t*>(nullptr));
    case UINT8: return f(static_cast<uint8_t*>(nullptr));
    default: return f(static_cast<boolean*>(nullptr));
  }
}

// ---- a stretch ------------------------------------------------------------------------------------------------------------

template <class S, class T> INLINE void load_stretch(const S* from, T* to, int n) {
  for (int i = 0; i < n; ++i) to[i] = widen_to<T>(from[i]);
}
template <class S, class T> INLINE void store_stretch(const T* from, S* to, int n) {
  for (int i = 0; i < n; ++i) to[i] = Narrow<S>::from(from[i]);
}
// 16-bit floats a vector at a time.
template <class S> INLINE void load_halves(const S* from, float* to, int n) {
  int i = 0;
  for (; i + LANES <= n; i += LANES) store(to + i, load(from + i));
  for (; i < n; ++i) to[i] = widen_to<float>(from[i]);
}
template <class S> INLINE void store_halves(const float* from, S* to, int n) {
  int i = 0;
  for (; i + LANES <= n; i += LANES) store(to + i, load(from + i));
  for (; i < n; ++i) to[i] = Narrow<S>::from(from[i]);
}
INLINE void load_stretch(const bf16* from, float* to, int n) { load_halves(from, to, n); }
INLINE void load_stretch(const f16* from, float* to, int n) { load_halves(from, to, n); }
INLINE void store_stretch(const float* from, bf16* to, int n) { store_halves(from, to, n); }
INLINE void store_stretch(const float* from, f16* to, int n) { store_halves(from, to, n); }

// ---- a tile: rows x columns elements, dense on one side, strided on the other -------------------------------------------------

template <class T> INLINE void fill(T* to, T value, int64_t n) {
  for (int64_t i = 0; i < n; ++i) to[i] = value;
}

template <class S, class T> void load_tile_of(const S* from, int64_t row, int64_t column, int rows, int columns, T* to) {
  if (column == 1) {
    for (int r = 0; r < rows; ++r) load_stretch(from + r * row, to + int64_t(r) * columns, columns);
  } else if (column == 0) {
    for (int r = 0; r < rows; ++r) fill(to + int64_t(r) * columns, widen_to<T>(from[r * row]), columns);
  } else if (row == 1) {                                  // transposed: memory is walked down the columns
    for (int c = 0; c < columns; ++c)
      for (int r = 0; r < rows; ++r) to[int64_t(r) * columns + c] = widen_to<T>(from[c * column + r]);
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

template <class T>
NOINLINE inline void load_tile(int32_t dtype, const char* from, int64_t row, int64_t column, int rows, int columns, T* to) {
  with_type(dtype, [&](auto* type) {
    const auto* typed = static_cast<decltype(type)>(static_cast<void*>(const_cast<char*>(from)));
    load_tile_of(typed, row, column, rows, columns, to);
  });
}
template <class T>
NOINLINE inline void store_tile(int32_t dtype, const T* from, char* to, int64_t row, int64_t column, int rows, int columns) {
  with_type(dtype, [&](auto* type) {
    store_tile_of(from, static_cast<decltype(type)>(static_cast<void*>(to)), row, column, rows, columns);
  });
}
template <class T> NOINLINE inline T load_one(int32_t dtype, const char* from) {
  return with_type(dtype, [&](auto* type) { return widen_to<T>(*static_cast<decltype(type)>(static_cast<void*>(const_cast<char*>(from)))); });
}
template <class T> NOINLINE inline void store_one(int32_t dtype, char* to, T value) {
  with_type(dtype, [&](auto* type) {
    auto* typed = static_cast<decltype(type)>(static_cast<void*>(to));
    store_stretch(&value, typed, 1);
  });
}

template <class T> struct DTypeOf;
template <> struct DTypeOf<float> { static constexpr int32_t value = FLOAT32; };
template <> struct DTypeOf<double> { static constexpr int32_t value = FLOAT64; };
template <> struct DTypeOf<int32_t> { static constexpr int32_t value = INT32; };

}  // namespace chainrule::VARIANT
