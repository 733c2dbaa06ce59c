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

// 16 x 16 words, dense on both sides, by squares of four.
INLINE void transpose_square(const uint32_t* from, uint32_t* to, int64_t to_row) {
  typedef uint32_t Four __attribute__((vector_size(16)));
  typedef Four Unaligned __attribute__((aligned(4), may_alias));
  for (int i = 0; i < 16; i += 4) {
    for (int j = 0; j < 16; j += 4) {
      const uint32_t* const p = from + j * 16 + i;
      const Four a = *reinterpret_cast<const Unaligned*>(p), b = *reinterpret_cast<const Unaligned*>(p + 16);
      const Four c = *reinterpret_cast<const Unaligned*>(p + 32), d = *reinterpret_cast<const Unaligned*>(p + 48);
      const Four ac = __builtin_shufflevector(a, c, 0, 4, 1, 5), bd = __builtin_shufflevector(b, d, 0, 4, 1, 5);
      const Four AC = __builtin_shufflevector(a, c, 2, 6, 3, 7), BD = __builtin_shufflevector(b, d, 2, 6, 3, 7);
      uint32_t* const q = to + i * to_row + j;
      *reinterpret_cast<Unaligned*>(q) = __builtin_shufflevector(ac, bd, 0, 4, 1, 5);
      *reinterpret_cast<Unaligned*>(q + to_row) = __builtin_shufflevector(ac, bd, 2, 6, 3, 7);
      *reinterpret_cast<Unaligned*>(q + 2 * to_row) = __builtin_shufflevector(AC, BD, 0, 4, 1, 5);
      *reinterpret_cast<Unaligned*>(q + 3 * to_row) = __builtin_shufflevector(AC, BD, 2, 6, 3, 7);
    }
  }
}
template <class S> INLINE void transpose_square(const S* from, S* to, int64_t to_row) {
  for (int i = 0; i < 16; ++i)
    for (int j = 0; j < 16; ++j) to[i * to_row + j] = from[j * 16 + i];
}

// A patch read down its columns and written along its rows, by squares that pass through a buffer of our own: cache lines
// are read and written whole and once, whatever the strides are, and the next square's are already on their way.
template <class S> NOINLINE void transpose_patch(const S* x, S* out, int64_t x_column, int64_t out_row, int rows, int columns) {
  alignas(64) S square[16 * 16];
  for (int r = 0; r < rows; r += 16) {
    for (int c = 0; c < columns; c += 16) {
      const S* const from = x + c * x_column + r;
      S* const to = out + r * out_row + c;
      if (rows - r < 16 || columns - c < 16) {
        for (int j = 0; j < columns - c && j < 16; ++j)
          for (int i = 0; i < rows - r && i < 16; ++i) to[i * out_row + j] = from[j * x_column + i];
        continue;
      }
      if (PREFETCHES && columns - c >= 32)
        for (int j = 16; j < 32; ++j) __builtin_prefetch(from + j * x_column);
      for (int j = 0; j < 16; ++j) __builtin_memcpy(square + 16 * j, from + j * x_column, sizeof(S) * 16);
      transpose_square(square, to, out_row);
    }
  }
}

template <class T> struct DTypeOf;
template <> struct DTypeOf<float> { static constexpr int32_t value = FLOAT32; };
template <> struct DTypeOf<double> { static constexpr int32_t value = FLOAT64; };
template <> struct DTypeOf<int32_t> { static constexpr int32_t value = INT32; };

// The storage type that is the compute type itself, and its size.
INLINE int32_t dtype_of(Compute compute) { return compute == COMPUTE_FLOAT32 ? FLOAT32 : compute == COMPUTE_FLOAT64 ? FLOAT64 : INT32; }
INLINE int size_of(Compute compute) { return compute == COMPUTE_FLOAT64 ? 8 : 4; }

// Tiles from and to memory of any storage type; `to` and `from` are dense and of the compute type. (convert.cpp)
void load_tile(Compute compute, int32_t dtype, const char* from, int64_t row, int64_t column, int rows, int columns, void* to);
void store_tile(Compute compute, int32_t dtype, const void* from, char* to, int64_t row, int64_t column, int rows, int columns);
// A number n times.
void fill_block(Compute compute, void* to, double value, int n);

template <class T> INLINE void load_tile(int32_t dtype, const char* from, int64_t row, int64_t column, int rows, int columns, T* to) {
  load_tile(compute_of(DTypeOf<T>::value), dtype, from, row, column, rows, columns, to);
}
template <class T> INLINE void store_tile(int32_t dtype, const T* from, char* to, int64_t row, int64_t column, int rows, int columns) {
  store_tile(compute_of(DTypeOf<T>::value), dtype, from, to, row, column, rows, columns);
}

}  // namespace chainrule::VARIANT
