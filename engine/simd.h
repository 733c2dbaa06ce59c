// Vectors as wide as the instruction set of the variant being compiled, on GCC's and Clang's vector extensions.
//
// A kernel file is compiled once per variant with -DVARIANT=avx512|avx2|baseline|neon|wasm|wasm_relaxed and everything
// that depends on the instruction set lives in namespace chainrule::VARIANT, so that the copies never meet in the linker.
//
//   vf, vd, vi, vl    vectors of float, double, int32, int64; a comparison of vf gives vi, of vd gives vl (0 or -1)
//   LANES, LANES_D    floats (and int32) and doubles (and int64) in a vector
//   + - * / < == & |  are the compiler's, lane by lane; the functions below are what it lacks
#pragma once
#include <stddef.h>
#include <stdint.h>
#if defined(__AVX512F__) || defined(__AVX2__)
#pragma GCC diagnostic push                        // GCC 12's own headers trip these
#pragma GCC diagnostic ignored "-Wuninitialized"
#if !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif
#include <immintrin.h>
#pragma GCC diagnostic pop
#elif defined(__SSE2__)
#include <emmintrin.h>
#elif defined(__ARM_NEON)
#include <arm_neon.h>
#endif

#ifndef VARIANT
#define VARIANT baseline
#endif
#define INLINE inline __attribute__((always_inline))
#define NOINLINE __attribute__((noinline))         // called from several places: one copy is enough
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wpsabi"           // vectors never cross a call: every function here is inlined
#pragma GCC diagnostic ignored "-Wignored-attributes"
#endif

namespace chainrule::VARIANT {

#if defined(__AVX512F__)
#define CHAINRULE_AVX512 1
constexpr bool MASKED = true;                      // load_first and store_first are single instructions
constexpr int VECTOR_BYTES = 64;
#elif defined(__AVX2__)
#define CHAINRULE_AVX2 1
constexpr bool MASKED = true;
constexpr int VECTOR_BYTES = 32;
#else
constexpr bool MASKED = false;
constexpr int VECTOR_BYTES = 16;
#endif

#if defined(__wasm__)
constexpr bool PREFETCHES = false;                 // __builtin_prefetch is nothing, but a loop of it is a loop
#else
constexpr bool PREFETCHES = true;
#endif

constexpr int LANES = VECTOR_BYTES / 4;
constexpr int LANES_D = VECTOR_BYTES / 8;

typedef float vf __attribute__((vector_size(VECTOR_BYTES)));
typedef double vd __attribute__((vector_size(VECTOR_BYTES)));
typedef int32_t vi __attribute__((vector_size(VECTOR_BYTES)));
typedef int64_t vl __attribute__((vector_size(VECTOR_BYTES)));
typedef uint32_t vu __attribute__((vector_size(VECTOR_BYTES)));

// The vector of a scalar type: Vec<float> is vf.
template <class T> struct VecOf;
template <> struct VecOf<float> { typedef vf type; };
template <> struct VecOf<double> { typedef vd type; };
template <> struct VecOf<int32_t> { typedef vi type; };
template <> struct VecOf<int64_t> { typedef vl type; };
template <class T> using Vec = typename VecOf<T>::type;
template <class T> constexpr int lanes = VECTOR_BYTES / int(sizeof(T));

// ---- memory: any alignment ------------------------------------------------------------------------------------------

template <class T> INLINE Vec<T> load(const T* p) {
  typedef Vec<T> V;
  typedef V Unaligned __attribute__((aligned(sizeof(T)), may_alias));
  return *reinterpret_cast<const Unaligned*>(p);
}

template <class T> INLINE void store(T* p, Vec<T> v) {
  typedef Vec<T> V;
  typedef V Unaligned __attribute__((aligned(sizeof(T)), may_alias));
  *reinterpret_cast<Unaligned*>(p) = v;
}

// The numbers below `count`, to name lanes by: shuffle(..., typename UpTo<count>::type{}).
template <int... I> struct Indices {};
template <int count> struct UpTo;
template <> struct UpTo<2> { typedef Indices<0, 1> type; };
template <> struct UpTo<4> { typedef Indices<0, 1, 2, 3> type; };
template <> struct UpTo<8> { typedef Indices<0, 1, 2, 3, 4, 5, 6, 7> type; };
template <> struct UpTo<16> { typedef Indices<0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15> type; };

INLINE vf broadcast(float x) { return x - vf{}; }
INLINE vd broadcast(double x) { return x - vd{}; }
INLINE vi broadcast(int32_t x) { return x + vi{}; }
INLINE vl broadcast(int64_t x) { return x + vl{}; }

// 0, 1, 2, ..
INLINE vi lane_numbers() {
  vi lane;
#pragma GCC unroll 16
  for (int i = 0; i < LANES; ++i) lane[i] = i;
  return lane;
}

// The first n lanes of p, the others zero; memory beyond is not touched. 0 <= n <= lanes.
template <class T> INLINE Vec<T> load_first(const T* p, int n) {
#if CHAINRULE_AVX512
  if constexpr (sizeof(T) == 4) return (Vec<T>)_mm512_maskz_loadu_ps((__mmask16)((1u << n) - 1), p);
  else return (Vec<T>)_mm512_maskz_loadu_pd((__mmask8)((1u << n) - 1), p);
#elif CHAINRULE_AVX2
  static const int32_t window[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
  if constexpr (sizeof(T) == 4) {
    const vi mask = load(window + 8 - n);
    return (Vec<T>)_mm256_maskload_ps(reinterpret_cast<const float*>(p), (__m256i)mask);
  } else {
    const vi mask = load(window + 8 - 2 * n);
    return (Vec<T>)_mm256_maskload_pd(reinterpret_cast<const double*>(p), (__m256i)mask);
  }
#else
  T lane[lanes<T>] = {};
  for (int i = 0; i < n; ++i) lane[i] = p[i];
  return load(lane);
#endif
}

// Stores the first n lanes only.
template <class T> INLINE void store_first(T* p, Vec<T> v, int n) {
#if CHAINRULE_AVX512
  if constexpr (sizeof(T) == 4) _mm512_mask_storeu_ps(p, (__mmask16)((1u << n) - 1), (__m512)v);
  else _mm512_mask_storeu_pd(p, (__mmask8)((1u << n) - 1), (__m512d)v);
#elif CHAINRULE_AVX2
  static const int32_t window[16] = {-1, -1, -1, -1, -1, -1, -1, -1};
  if constexpr (sizeof(T) == 4) {
    const vi mask = load(window + 8 - n);
    _mm256_maskstore_ps(reinterpret_cast<float*>(p), (__m256i)mask, (__m256)v);
  } else {
    const vi mask = load(window + 8 - 2 * n);
    _mm256_maskstore_pd(reinterpret_cast<double*>(p), (__m256i)mask, (__m256d)v);
  }
#else
  T lane[lanes<T>];
  store(lane, v);
  for (int i = 0; i < n; ++i) p[i] = lane[i];
#endif
}

// ---- arithmetic -----------------------------------------------------------------------------------------------------

// a * b + c, rounded once where the target can (AVX2, AVX-512, NEON, relaxed WASM); FUSED says whether it does.
#if CHAINRULE_AVX512
constexpr bool FUSED = true;
INLINE vf fma(vf a, vf b, vf c) { return (vf)_mm512_fmadd_ps((__m512)a, (__m512)b, (__m512)c); }
INLINE vd fma(vd a, vd b, vd c) { return (vd)_mm512_fmadd_pd((__m512d)a, (__m512d)b, (__m512d)c); }
#elif CHAINRULE_AVX2
constexpr bool FUSED = true;
INLINE vf fma(vf a, vf b, vf c) { return (vf)_mm256_fmadd_ps((__m256)a, (__m256)b, (__m256)c); }
INLINE vd fma(vd a, vd b, vd c) { return (vd)_mm256_fmadd_pd((__m256d)a, (__m256d)b, (__m256d)c); }
#elif defined(__ARM_NEON) && defined(__aarch64__)
constexpr bool FUSED = true;
INLINE vf fma(vf a, vf b, vf c) { return (vf)vfmaq_f32((float32x4_t)c, (float32x4_t)a, (float32x4_t)b); }
INLINE vd fma(vd a, vd b, vd c) { return (vd)vfmaq_f64((float64x2_t)c, (float64x2_t)a, (float64x2_t)b); }
#elif defined(__wasm_relaxed_simd__)
constexpr bool FUSED = false;                      // the engine may or may not fuse: never rely on either
INLINE vf fma(vf a, vf b, vf c) { return (vf)__builtin_wasm_relaxed_madd_f32x4(a, b, c); }
INLINE vd fma(vd a, vd b, vd c) { return (vd)__builtin_wasm_relaxed_madd_f64x2(a, b, c); }
#else
constexpr bool FUSED = false;
INLINE vf fma(vf a, vf b, vf c) { return a * b + c; }
INLINE vd fma(vd a, vd b, vd c) { return a * b + c; }
#endif
INLINE vi fma(vi a, vi b, vi c) { return a * b + c; }
INLINE float fma(float a, float b, float c) { return FUSED ? __builtin_fmaf(a, b, c) : a * b + c; }
INLINE double fma(double a, double b, double c) { return FUSED ? __builtin_fma(a, b, c) : a * b + c; }
INLINE int32_t fma(int32_t a, int32_t b, int32_t c) { return int32_t(uint32_t(a) * uint32_t(b) + uint32_t(c)); }

// c - a * b
template <class V> INLINE V fnma(V a, V b, V c) { return fma(-a, b, c); }

// mask (0 or -1 in each lane) ? a : b
INLINE vf select(vi mask, vf a, vf b) { return mask ? a : b; }
INLINE vi select(vi mask, vi a, vi b) { return mask ? a : b; }
INLINE vd select(vl mask, vd a, vd b) { return mask ? a : b; }
INLINE vl select(vl mask, vl a, vl b) { return mask ? a : b; }

// a < b ? a : b and a > b ? a : b, lane by lane or for scalars: with a NaN the answer is b.
template <class T> INLINE constexpr T min(T a, T b) { return a < b ? a : b; }
template <class T> INLINE constexpr T max(T a, T b) { return a > b ? a : b; }
#if CHAINRULE_AVX512
template <> INLINE vf min(vf a, vf b) { return (vf)_mm512_min_ps((__m512)a, (__m512)b); }
template <> INLINE vf max(vf a, vf b) { return (vf)_mm512_max_ps((__m512)a, (__m512)b); }
template <> INLINE vd min(vd a, vd b) { return (vd)_mm512_min_pd((__m512d)a, (__m512d)b); }
template <> INLINE vd max(vd a, vd b) { return (vd)_mm512_max_pd((__m512d)a, (__m512d)b); }
#elif CHAINRULE_AVX2
template <> INLINE vf min(vf a, vf b) { return (vf)_mm256_min_ps((__m256)a, (__m256)b); }
template <> INLINE vf max(vf a, vf b) { return (vf)_mm256_max_ps((__m256)a, (__m256)b); }
template <> INLINE vd min(vd a, vd b) { return (vd)_mm256_min_pd((__m256d)a, (__m256d)b); }
template <> INLINE vd max(vd a, vd b) { return (vd)_mm256_max_pd((__m256d)a, (__m256d)b); }
#elif defined(__SSE2__)
template <> INLINE vf min(vf a, vf b) { return (vf)_mm_min_ps((__m128)a, (__m128)b); }
template <> INLINE vf max(vf a, vf b) { return (vf)_mm_max_ps((__m128)a, (__m128)b); }
template <> INLINE vd min(vd a, vd b) { return (vd)_mm_min_pd((__m128d)a, (__m128d)b); }
template <> INLINE vd max(vd a, vd b) { return (vd)_mm_max_pd((__m128d)a, (__m128d)b); }
#endif

INLINE vf abs(vf x) { return (vf)((vi)x & 0x7fffffff); }
INLINE vd abs(vd x) { return (vd)((vl)x & 0x7fffffffffffffffll); }
// The size of x with the sign of s.
INLINE vf copysign(vf x, vf s) { return (vf)(((vi)x & 0x7fffffff) | ((vi)s & (int32_t)0x80000000)); }
INLINE vd copysign(vd x, vd s) { return (vd)(((vl)x & 0x7fffffffffffffffll) | ((vl)s & (int64_t)0x8000000000000000ull)); }

// sqrt, floor, ceil, trunc and rint (to nearest, ties to even).
#if CHAINRULE_AVX512
INLINE vf sqrt(vf x) { return (vf)_mm512_sqrt_ps((__m512)x); }
INLINE vd sqrt(vd x) { return (vd)_mm512_sqrt_pd((__m512d)x); }
#define CHAINRULE_ROUND(name, mode) \
  INLINE vf name(vf x) { return (vf)_mm512_roundscale_ps((__m512)x, mode | 8); } \
  INLINE vd name(vd x) { return (vd)_mm512_roundscale_pd((__m512d)x, mode | 8); }
CHAINRULE_ROUND(rint, 0) CHAINRULE_ROUND(floor, 1) CHAINRULE_ROUND(ceil, 2) CHAINRULE_ROUND(trunc, 3)
#elif CHAINRULE_AVX2
INLINE vf sqrt(vf x) { return (vf)_mm256_sqrt_ps((__m256)x); }
INLINE vd sqrt(vd x) { return (vd)_mm256_sqrt_pd((__m256d)x); }
#define CHAINRULE_ROUND(name, mode) \
  INLINE vf name(vf x) { return (vf)_mm256_round_ps((__m256)x, mode | 8); } \
  INLINE vd name(vd x) { return (vd)_mm256_round_pd((__m256d)x, mode | 8); }
CHAINRULE_ROUND(rint, 0) CHAINRULE_ROUND(floor, 1) CHAINRULE_ROUND(ceil, 2) CHAINRULE_ROUND(trunc, 3)
#elif defined(__wasm__)
INLINE vf sqrt(vf x) { return (vf)__builtin_wasm_sqrt_f32x4(x); }
INLINE vd sqrt(vd x) { return (vd)__builtin_wasm_sqrt_f64x2(x); }
#define CHAINRULE_ROUND(name, builtin) \
  INLINE vf name(vf x) { return (vf)builtin##_f32x4(x); } \
  INLINE vd name(vd x) { return (vd)builtin##_f64x2(x); }
CHAINRULE_ROUND(rint, __builtin_wasm_nearest) CHAINRULE_ROUND(floor, __builtin_wasm_floor)
CHAINRULE_ROUND(ceil, __builtin_wasm_ceil) CHAINRULE_ROUND(trunc, __builtin_wasm_trunc)
#elif defined(__ARM_NEON) && defined(__aarch64__)
INLINE vf sqrt(vf x) { return (vf)vsqrtq_f32((float32x4_t)x); }
INLINE vd sqrt(vd x) { return (vd)vsqrtq_f64((float64x2_t)x); }
#define CHAINRULE_ROUND(name, letter) \
  INLINE vf name(vf x) { return (vf)vrnd##letter##q_f32((float32x4_t)x); } \
  INLINE vd name(vd x) { return (vd)vrnd##letter##q_f64((float64x2_t)x); }
CHAINRULE_ROUND(rint, n) CHAINRULE_ROUND(floor, m) CHAINRULE_ROUND(ceil, p) CHAINRULE_ROUND(trunc, )
#else
#if defined(__SSE2__)
INLINE vf sqrt(vf x) { return (vf)_mm_sqrt_ps((__m128)x); }
INLINE vd sqrt(vd x) { return (vd)_mm_sqrt_pd((__m128d)x); }
#else
INLINE vf sqrt(vf x) { for (int i = 0; i < LANES; ++i) x[i] = __builtin_sqrtf(x[i]); return x; }
INLINE vd sqrt(vd x) { for (int i = 0; i < LANES_D; ++i) x[i] = __builtin_sqrt(x[i]); return x; }
#endif
#define CHAINRULE_ROUND(name, builtin) \
  INLINE vf name(vf x) { for (int i = 0; i < LANES; ++i) x[i] = builtin##f(x[i]); return x; } \
  INLINE vd name(vd x) { for (int i = 0; i < LANES_D; ++i) x[i] = builtin(x[i]); return x; }
CHAINRULE_ROUND(rint, __builtin_rint) CHAINRULE_ROUND(floor, __builtin_floor)
CHAINRULE_ROUND(ceil, __builtin_ceil) CHAINRULE_ROUND(trunc, __builtin_trunc)
#endif
#undef CHAINRULE_ROUND

// float -> int32 towards zero and back. Out of range and NaN: undefined (clamp first).
INLINE vi to_int(vf x) { return __builtin_convertvector(x, vi); }
INLINE vf to_float(vi x) { return __builtin_convertvector(x, vf); }

// ---- across the lanes, always in the same order: halves are folded onto each other ------------------------------------

template <class T, class V, class F> INLINE T fold(V v, F combine) {
  constexpr int count = int(sizeof(V) / sizeof(T));
#ifndef __wasm__
  if constexpr (count == 2) {
    return combine(T(v[0]), T(v[1]));
  } else if constexpr (requires { combine(v, v); }) {   // in registers
    if constexpr (count == 16)
      return fold<T>(combine(__builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7),
                             __builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15)), combine);
    else if constexpr (count == 8)
      return fold<T>(combine(__builtin_shufflevector(v, v, 0, 1, 2, 3), __builtin_shufflevector(v, v, 4, 5, 6, 7)), combine);
    else
      return fold<T>(combine(__builtin_shufflevector(v, v, 0, 1), __builtin_shufflevector(v, v, 2, 3)), combine);
  }
#endif
  T lane[count];
  __builtin_memcpy(lane, &v, sizeof v);
  for (int half = count / 2; half > 0; half /= 2)
    for (int i = 0; i < half; ++i) lane[i] = combine(lane[i], lane[i + half]);
  return lane[0];
}
INLINE float sum(vf v) { return fold<float>(v, [](auto a, auto b) { return a + b; }); }
INLINE double sum(vd v) { return fold<double>(v, [](auto a, auto b) { return a + b; }); }
INLINE int32_t sum(vi v) { return fold<int32_t>(v, [](int32_t a, int32_t b) { return int32_t(uint32_t(a) + uint32_t(b)); }); }
INLINE float lane_min(vf v) { return fold<float>(v, [](auto a, auto b) { return a < b ? a : b; }); }
INLINE float lane_max(vf v) { return fold<float>(v, [](auto a, auto b) { return a > b ? a : b; }); }
INLINE double lane_min(vd v) { return fold<double>(v, [](auto a, auto b) { return a < b ? a : b; }); }
INLINE double lane_max(vd v) { return fold<double>(v, [](auto a, auto b) { return a > b ? a : b; }); }

// Is any lane / every lane of a comparison true?
#if CHAINRULE_AVX512
INLINE bool any(vi mask) { return _mm512_test_epi32_mask((__m512i)mask, (__m512i)mask) != 0; }
#elif CHAINRULE_AVX2
INLINE bool any(vi mask) { return _mm256_movemask_epi8((__m256i)mask) != 0; }
#elif defined(__SSE2__)
INLINE bool any(vi mask) { return _mm_movemask_epi8((__m128i)mask) != 0; }
#elif defined(__wasm__)
INLINE bool any(vi mask) { return __builtin_wasm_any_true_v128(mask); }
#else
INLINE bool any(vi mask) { return fold<int32_t>(mask, [](auto a, auto b) { return a | b; }) != 0; }
#endif
INLINE bool all(vi mask) { return fold<int32_t>(mask, [](auto a, auto b) { return a & b; }) != 0; }
INLINE bool any(vl mask) { return any((vi)mask); }
INLINE bool all(vl mask) { return all((vi)mask); }

// ---- 16-bit storage: bfloat16 and float16 bits <-> float, to nearest even, NaN stays NaN -------------------------------

struct bf16 { uint16_t bits; };
struct f16 { uint16_t bits; };
typedef uint16_t u16_lanes __attribute__((vector_size(VECTOR_BYTES / 2)));

INLINE vu widen(const uint16_t* p) {
  u16_lanes narrow;
  __builtin_memcpy(&narrow, p, sizeof narrow);
  return __builtin_convertvector(narrow, vu);
}
INLINE void narrow(uint16_t* p, vu v) {
  const u16_lanes half = __builtin_convertvector(v, u16_lanes);
  __builtin_memcpy(p, &half, sizeof half);
}

INLINE vf bf16_to_float(vu bits) { return (vf)(bits << 16); }
INLINE vu float_to_bf16(vf x) {
  const vu u = (vu)x, rounded = (u + 0x7fffu + ((u >> 16) & 1u)) >> 16, nan = (u >> 16) | 0x40u;
  return (vu)select((vi)(x != x), (vi)nan, (vi)rounded);
}

// float16 by exponent arithmetic on the float: exact for subnormals too.
INLINE vf f16_to_float(vu bits) {
  const vu sign = (bits & 0x8000u) << 16, magnitude = (bits & 0x7fffu) << 13;
  const vf scaled = (vf)magnitude * 0x1p112f;                              // rebias; a float16 subnormal becomes normal
  const vi special = (vi)(magnitude >= 0x0f800000u);                      // infinity and NaN keep their payload
  return (vf)((vu)select(special, (vf)(magnitude | 0x7f800000u), scaled) | sign);
}
INLINE vu float_to_f16(vf x) {
  const vu u = (vu)x, sign = (u >> 16) & 0x8000u, magnitude = u & 0x7fffffffu;
  const vu normal = (magnitude - 0x38000000u + 0xfffu + ((magnitude >> 13) & 1u)) >> 13;
  const vf shifted = (vf)magnitude + 0.5f;                                 // the adder rounds a subnormal at bit 2^-24
  const vu subnormal = (vu)shifted - 0x3f000000u;
  vi out = select((vi)(magnitude < 0x38800000u), (vi)subnormal, (vi)normal);
  out = select((vi)(magnitude >= 0x47800000u), vi{} + 0x7c00, out);        // 65536 and more, infinity
  out = select((vi)(magnitude > 0x7f800000u), vi{} + 0x7e00, out);         // NaN
  return (vu)out | sign;
}

INLINE vf load(const bf16* p) { return bf16_to_float(widen(&p->bits)); }
INLINE void store(bf16* p, vf v) { narrow(&p->bits, float_to_bf16(v)); }
#if CHAINRULE_AVX512
INLINE vf load(const f16* p) { return (vf)_mm512_cvtph_ps(_mm256_loadu_si256(reinterpret_cast<const __m256i*>(p))); }
INLINE void store(f16* p, vf v) { _mm256_storeu_si256(reinterpret_cast<__m256i*>(p), _mm512_cvtps_ph((__m512)v, 0)); }
#elif defined(__F16C__) && CHAINRULE_AVX2
INLINE vf load(const f16* p) { return (vf)_mm256_cvtph_ps(_mm_loadu_si128(reinterpret_cast<const __m128i*>(p))); }
INLINE void store(f16* p, vf v) { _mm_storeu_si128(reinterpret_cast<__m128i*>(p), _mm256_cvtps_ph((__m256)v, 0)); }
#else
INLINE vf load(const f16* p) { return f16_to_float(widen(&p->bits)); }
INLINE void store(f16* p, vf v) { narrow(&p->bits, float_to_f16(v)); }
#endif

INLINE float to_float(float x) { return x; }
INLINE float to_float(bf16 x) { return bf16_to_float(vu{} + uint32_t(x.bits))[0]; }
INLINE float to_float(f16 x) { return f16_to_float(vu{} + uint32_t(x.bits))[0]; }
INLINE bf16 to_bf16(float x) { return {uint16_t(float_to_bf16(broadcast(x))[0])}; }
INLINE f16 to_f16(float x) { return {uint16_t(float_to_f16(broadcast(x))[0])}; }

}  // namespace chainrule::VARIANT
