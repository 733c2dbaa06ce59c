// Elementary functions, lane by lane, for vectors of float and double. WASM has no libm, so every one of them is ours.
//
// Results depend on the value in the lane only: not on its neighbours, its place in the array or the number of threads.
// Branch-free but for arguments hardly anybody uses (sine of a million), which take a scalar detour that is right as well.
// Between variants the last bit may differ, because only some of them have a fused multiply-add; all meet the same bounds.
// Build with -ffp-contract=off and without -ffast-math.
//
// Accuracy, as sampled by test/math_test.cpp (every 509th float, or each one on request): within 2 ulp exp exp2 expm1 log log1p
// tanh erf sin cos pow, within 4 ulp the others. Doubles within 4 ulp, but for erfinv (4e-15 relative), pow (2e-15), digamma
// (2e-15), and lgamma and digamma near those of their zeros that are not 1 or 2 (1e-13 absolute). Special values are C99's;
// remainder takes the sign of the divisor, as Python's does.
//
// This file holds the functions that are one formula for both widths; math_f64.h, math_gamma.h and math_f32.h hold the
// polynomials and what differs. Coefficients are our own minimax fits (Remez, 50 digits), but for AS 241's in erfinv; the
// note beside each is its range and its error.
#pragma once
#include "simd.h"

namespace chainrule::VARIANT {

typedef uint64_t vul __attribute__((vector_size(VECTOR_BYTES)));

// Constants and polynomials of one width; specialised for vf and vd in the files included below.
template <class V> struct Real;
template <class V> using ScalarOf = typename Real<V>::Scalar;
template <class V> INLINE V all_lanes(ScalarOf<V> c) { return broadcast(c); }

// c0 + c1 x + c2 x^2 + ...
template <class V> INLINE V horner(V, ScalarOf<V> c) { return broadcast(c); }
template <class V, class... Rest> INLINE V horner(V x, ScalarOf<V> c, Rest... rest) {
  return fma(x, horner(x, rest...), broadcast(c));
}

// a + b as a rounded sum and its exact error (Knuth).
template <class V> INLINE V two_sum(V a, V b, V& error) {
  const V sum = a + b, from_b = sum - a;
  error = (a - (sum - from_b)) + (b - from_b);
  return sum;
}

// a / b to about an ulp where b is nowhere near overflow or underflow: AVX-512 divides sixteen floats slowly.
template <class V> INLINE V divide_tame(V a, V b) {
#if CHAINRULE_AVX512
  if constexpr (sizeof(ScalarOf<V>) == 4) {
    const V guess = (V)_mm512_rcp14_ps((__m512)b), inverse = fma(guess, fnma(b, guess, all_lanes<V>(1.0f)), guess);
    const V q = a * inverse;
    return fma(fnma(b, q, a), inverse, q);
  }
#endif
  return a / b;
}

// ---- exponentials -----------------------------------------------------------------------------------------------------

// p * 2^n for an integer n in about +-2 * the exponent range; subnormal results are rounded once.
template <class V> INLINE V scale_by_power(V p, V n) {
#if CHAINRULE_AVX512
  if constexpr (sizeof(ScalarOf<V>) == 4) return (V)_mm512_scalef_ps((__m512)p, (__m512)n);
  else return (V)_mm512_scalef_pd((__m512d)p, (__m512d)n);
#else
  typedef Real<V> R;
  typedef typename R::Bits Bits;
  // Adding 1.5 * 2^mantissa leaves the integer in the low bits; half the power at a time stays within the exponent.
  const V half = n * R::HALF + R::SHIFT, rest = (n - (half - R::SHIFT)) + R::SHIFT;
  const V first = (V)(((Bits)half + R::BIAS) << R::MANTISSA), second = (V)(((Bits)rest + R::BIAS) << R::MANTISSA);
  return p * first * second;
#endif
}

// x = n ln2 + r with |r| <= ln2 / 2. Out of range is clamped to where results have long over- or underflowed; NaN stays.
template <class V> INLINE V reduce_exp(V x, V& n) {
  typedef Real<V> R;
  n = fma(x, all_lanes<V>(R::LOG2E), all_lanes<V>(R::SHIFT)) - R::SHIFT;
  return fnma(n, all_lanes<V>(R::LN2_LO), fnma(n, all_lanes<V>(R::LN2_HI), x));
}

// e^(x - low) / 2^halvings, where low is a correction of a few ulp of x. (Subtracting a constant zero costs nothing.)
// What underflows to zero, above all the -inf of masks, is not computed: results below the normal numbers are slow.
template <class V> INLINE V exp_scaled(V x, V low, ScalarOf<V> halvings) {
  typedef Real<V> R;
  const auto vanishes = x < all_lanes<V>(R::EXP_MIN);
  x = min(all_lanes<V>(R::EXP_MAX), select(vanishes, V{}, x));
  V n;
  const V r = reduce_exp(x, n) - low;
  const V p = fma(r * r, R::exp_tail(r), r) + R::ONE;
  return select(vanishes, V{}, scale_by_power(p, n - halvings));
}

template <class V> INLINE V exp(V x) { return exp_scaled(x, V{}, 0); }

template <class V> INLINE V exp2(V x) {
  typedef Real<V> R;
  x = min(all_lanes<V>(R::EXP2_MAX), max(all_lanes<V>(R::EXP2_MIN), x));
  const V n = (x + R::SHIFT) - R::SHIFT;
  return scale_by_power(R::exp2_unit(x - n), n);
}

template <class V> INLINE V expm1(V x) {
  typedef Real<V> R;
  const V clamped = min(all_lanes<V>(R::EXPM1_MAX), max(all_lanes<V>(R::EXPM1_MIN), x));
  V n;
  const V r = reduce_exp(clamped, n);
  const V p = fma(r * r, R::exp_tail(r), r);
  // 2^n p + (2^n - 1), halved until the end: 2^(n-1) is a float even where 2^n is not.
  const V power = scale_by_power(all_lanes<V>(R::HALF), n);
  const V y = (p * power + (power - R::HALF)) * R::TWO;
  return select(abs(x) < R::TINY, x, y);
}

template <class V> INLINE V sigmoid(V x) {
  typedef Real<V> R;
  const V e = exp(-abs(x));
  return divide_tame(select(x < V{}, e, all_lanes<V>(R::ONE)), e + R::ONE);
}

template <class V> INLINE V sinh(V x) {
  typedef Real<V> R;
  const V a = abs(x), half_exp = exp_scaled(a, V{}, 1), z = a * a;
  const V small = fma(a * z, R::sinh_tail(z), a);
  return copysign(select(a < R::ONE, small, half_exp - R::QUARTER / half_exp), x);
}

template <class V> INLINE V cosh(V x) {
  const V half_exp = exp_scaled(abs(x), V{}, 1);
  return half_exp + Real<V>::QUARTER / half_exp;
}

// ---- logarithms ---------------------------------------------------------------------------------------------------------

// x = 2^k (1 + f) with 1 + f in [sqrt(1/2), sqrt(2)), for positive normal x. unscale is 2^-k.
template <class V> INLINE V split_log(V x, V& k, V& unscale) {
  typedef Real<V> R;
  typedef typename R::Bits Bits;
  const Bits from_root = (Bits)x - R::SQRT_HALF_BITS;
  const Bits mantissa = from_root & (((typename R::Bit)1 << R::MANTISSA) - 1);
  k = R::exponent(from_root);
  unscale = (V)(((typename R::Bit)R::BIAS << R::MANTISSA) - (from_root - mantissa));
  return (V)(mantissa + R::SQRT_HALF_BITS) - R::ONE;
}

// The same for any positive x.
template <class V> INLINE V split_log_any(V x, V& k) {
  typedef Real<V> R;
  const auto tiny = x < R::MIN_NORMAL;
  V unscale;
  const V f = split_log(select(tiny, x * R::TO_NORMAL, x), k, unscale);
  k = select(tiny, k - R::TO_NORMAL_LOG2, k);
  return f;
}

// y = log(x) where x is positive and finite; what it is elsewhere.
template <class V> INLINE V log_special(V x, V y) {
  typedef Real<V> R;
  const V outside = select(x == V{}, all_lanes<V>(-R::INF), all_lanes<V>(R::NOT_A_NUMBER));
  return select(x <= V{}, outside, select(x < R::INF, y, x));
}

template <class V> INLINE V log(V x) {
  V k;
  const V f = split_log_any(x, k);
  return log_special(x, Real<V>::log_core(f, k));
}

template <class V> INLINE V log2(V x) {
  typedef Real<V> R;
  V k;
  const V f = split_log_any(x, k);
  return log_special(x, fma(R::log_core(f, V{}), all_lanes<V>(R::LOG2E), k));
}

template <class V> INLINE V log10(V x) {
  typedef Real<V> R;
  V k;
  const V f = split_log_any(x, k);
  const V low = fma(k, all_lanes<V>(R::LOG10_2_LO), R::log_core(f, V{}) * R::LOG10E);
  return log_special(x, fma(k, all_lanes<V>(R::LOG10_2_HI), low));
}

template <class V> INLINE V log1p(V x) {
  typedef Real<V> R;
  V error, k, unscale;
  const V u = two_sum(all_lanes<V>(R::ONE), x, error);
  const V f = split_log(u, k, unscale);
  const V y = R::log_core(f + select(x < R::LOG1P_BIG, error * unscale, V{}), k);
  return copysign(log_special(u, select(x < R::INF, y, x)), x);
}

template <class V> INLINE V asinh(V x) {
  typedef Real<V> R;
  const V a = abs(x), z = a * a;
  const auto big = a > R::SQUARE_IS_ALL;                       // sqrt(a^2 + 1) is a
  const V t = select(big, a - R::ONE, a + z / (sqrt(z + R::ONE) + R::ONE));
  return copysign(log1p(t) + select(big, all_lanes<V>(R::LN2), V{}), x);
}

template <class V> INLINE V acosh(V x) {
  typedef Real<V> R;
  const auto big = x > R::SQUARE_IS_ALL;
  const V t = x - R::ONE;
  const V y = log1p(select(big, t, t + sqrt(t * (t + R::TWO)))) + select(big, all_lanes<V>(R::LN2), V{});
  return select(x < R::ONE, all_lanes<V>(R::NOT_A_NUMBER), y);
}

template <class V> INLINE V atanh(V x) {
  typedef Real<V> R;
  const V a = abs(x);
  return copysign(log1p((a + a) / (R::ONE - a)) * R::HALF, x);
}

// ---- inverse trigonometry -----------------------------------------------------------------------------------------------

template <class V> INLINE V asin(V x) {
  typedef Real<V> R;
  const V a = abs(x);
  const auto big = a > R::HALF;                                // asin(a) = pi/2 - 2 asin(sqrt((1 - a) / 2))
  const V z = select(big, (R::ONE - a) * R::HALF, a * a), s = select(big, sqrt(z), a);
  const V p = fma(s * z, R::asin_tail(z), s);
  return copysign(select(big, R::PIO2_HI - (p + p - R::PIO2_LO), p), x);
}

template <class V> INLINE V acos(V x) {
  typedef Real<V> R;
  const V a = abs(x);
  const auto big = a > R::HALF;
  const V z = select(big, (R::ONE - a) * R::HALF, a * a), s = select(big, sqrt(z), x);
  const V tail = s * z * R::asin_tail(z), twice = (s + tail) * R::TWO;
  const V small = R::PIO2_HI - (s - (R::PIO2_LO - tail));
  return select(big, select(x < V{}, R::PIO2_HI * R::TWO - (twice - R::PIO2_LO * R::TWO), twice), small);
}

// atan(a / b) for a, b >= 0, in the first quadrant: one division and |t| <= tan(pi/8).
template <class V> INLINE V atan_quotient(V a, V b) {
  typedef Real<V> R;
  const auto steep = a > b * R::TAN_3PI_8, middle = a > b * R::TAN_PI_8;
  const V t = select(steep, -b, select(middle, a - b, a)) / select(steep, a, select(middle, a + b, b));
  const V z = t * t;
  const V high = select(steep, all_lanes<V>(R::PIO2_HI), select(middle, all_lanes<V>(R::PIO2_HI * R::HALF), V{}));
  const V low = select(steep, all_lanes<V>(R::PIO2_LO), select(middle, all_lanes<V>(R::PIO2_LO * R::HALF), V{}));
  return high + (fma(t * z, R::atan_tail(z), low) + t);
}

template <class V> INLINE V atan(V x) { return copysign(atan_quotient(abs(x), all_lanes<V>(Real<V>::ONE)), x); }

template <class V> INLINE V atan2(V y, V x) {
  typedef Real<V> R;
  V a = abs(y), b = abs(x);
  const V larger = max(a, b);
  const V up = select(larger < R::MIN_NORMAL * 8, all_lanes<V>(R::TO_NORMAL), all_lanes<V>(R::ONE));
  const V scale = select(larger > R::HUGE_SIZE, all_lanes<V>(R::QUARTER), up);
  const auto same = (a == b);                                  // both zero or both infinite: 0 / 0 has an answer here
  const V unit = select(a == V{}, V{}, all_lanes<V>(R::ONE));
  a = select(same, unit, a * scale);
  b = select(same, all_lanes<V>(R::ONE), b * scale);
  const V t = atan_quotient(a, b);
  const V sign_x = copysign(all_lanes<V>(R::ONE), x);          // -0 counts as negative
  return copysign(select(sign_x < V{}, R::PIO2_HI * R::TWO - (t - R::PIO2_LO * R::TWO), t), y);
}

// ---- powers, remainders -------------------------------------------------------------------------------------------------

template <class V> INLINE V rsqrt(V x) { return Real<V>::ONE / sqrt(x); }

// C99's special cases, given y = |base| ^ exponent.
template <class V> INLINE V pow_special(V base, V exponent, V y) {
  typedef Real<V> R;
  const V halved = exponent * R::HALF, one = all_lanes<V>(R::ONE);
  const auto whole = trunc(exponent) == exponent, even = trunc(halved) == halved;
  const auto negative = copysign(one, base) < V{};
  y = select(negative & whole & ~even, -y, y);
  y = select((base < V{}) & ~whole & (base > -R::INF), all_lanes<V>(R::NOT_A_NUMBER), y);
  y = select((base == -R::ONE) & (abs(exponent) == R::INF), one, y);
  return select((base == R::ONE) | (exponent == V{}), one, y);
}


}  // namespace chainrule::VARIANT

#include "math_f64.h"
#include "math_gamma.h"
#include "math_f32.h"

namespace chainrule::VARIANT {

// The sign of the divisor, as in Python and PyTorch.
template <class V> INLINE V remainder(V x, V y) {
  const V r = fmod(x, y);
  return select((r != V{}) & ((r < V{}) != (y < V{})), r + y, r);
}

// ---- one number at a time, with the same bits as in a vector --------------------------------------------------------------

#define CHAINRULE_SCALAR(name)                                             \
  INLINE float name(float x) { return name(broadcast(x))[0]; }             \
  INLINE double name(double x) { return name(broadcast(x))[0]; }
#define CHAINRULE_SCALAR2(name)                                                                \
  INLINE float name(float x, float y) { return name(broadcast(x), broadcast(y))[0]; }          \
  INLINE double name(double x, double y) { return name(broadcast(x), broadcast(y))[0]; }
CHAINRULE_SCALAR(exp) CHAINRULE_SCALAR(exp2) CHAINRULE_SCALAR(expm1) CHAINRULE_SCALAR(log) CHAINRULE_SCALAR(log2)
CHAINRULE_SCALAR(log10) CHAINRULE_SCALAR(log1p) CHAINRULE_SCALAR(tanh) CHAINRULE_SCALAR(sigmoid) CHAINRULE_SCALAR(sin)
CHAINRULE_SCALAR(cos) CHAINRULE_SCALAR(tan) CHAINRULE_SCALAR(asin) CHAINRULE_SCALAR(acos) CHAINRULE_SCALAR(atan)
CHAINRULE_SCALAR(sinh) CHAINRULE_SCALAR(cosh) CHAINRULE_SCALAR(asinh) CHAINRULE_SCALAR(acosh) CHAINRULE_SCALAR(atanh)
CHAINRULE_SCALAR(erf) CHAINRULE_SCALAR(erfc) CHAINRULE_SCALAR(erfinv) CHAINRULE_SCALAR(lgamma) CHAINRULE_SCALAR(digamma)
CHAINRULE_SCALAR(rsqrt)
CHAINRULE_SCALAR2(pow) CHAINRULE_SCALAR2(atan2) CHAINRULE_SCALAR2(fmod) CHAINRULE_SCALAR2(remainder)
CHAINRULE_SCALAR2(polygamma)
#undef CHAINRULE_SCALAR
#undef CHAINRULE_SCALAR2

}  // namespace chainrule::VARIANT
