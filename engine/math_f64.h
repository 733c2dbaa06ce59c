// Double precision: polynomials for the formulas of math.h, and the functions that need one of their own.
#pragma once
#include "math.h"

namespace chainrule::VARIANT {

template <> struct Real<vd> {
  typedef double Scalar;
  typedef vul Bits;
  typedef uint64_t Bit;
  static constexpr int MANTISSA = 52;
  static constexpr Bit BIAS = 1023, SQRT_HALF_BITS = 0x3fe6a09e667f3bcdull;
  static constexpr double ONE = 1, TWO = 2, HALF = 0.5, QUARTER = 0.25, INF = __builtin_inf(), NOT_A_NUMBER = __builtin_nan("");
  static constexpr double SHIFT = 0x1.8p52, MIN_NORMAL = 0x1p-1022, TO_NORMAL = 0x1p54, TO_NORMAL_LOG2 = 54;
  static constexpr double EXP_MIN = -746, EXP_MAX = 712, EXPM1_MIN = -40, EXPM1_MAX = 710, EXP2_MIN = -1080, EXP2_MAX = 1025;
  static constexpr double TINY = 0x1p-55;
  static constexpr double LOG2E = 0x1.71547652b82fep+0, LOG10E = 0x1.bcb7b1526e50ep-2, LN2 = 0x1.62e42fefa39efp-1;
  static constexpr double LN2_HI = 0x1.62e42feep-1, LN2_LO = 0x1.a39ef35793c76p-33;            // n * LN2_HI is exact
  static constexpr double LOG10_2_HI = 0x1.34413508p-2, LOG10_2_LO = 0x1.f79fef311f12bp-34;
  static constexpr double PIO2_HI = 0x1.921fb54442d18p+0, PIO2_LO = 0x1.1a62633145c07p-54;
  static constexpr double TAN_PI_8 = 0.41421356237309503, TAN_3PI_8 = 2.414213562373095;
  static constexpr double LOG1P_BIG = 0x1p60, SQUARE_IS_ALL = 0x1p29, HUGE_SIZE = 0x1p1000;

  // The k of split_log, an integer in -1074..1024, as a double: SSE2 and AVX2 can neither shift nor convert int64.
  static INLINE vd exponent(vul from_root) {
    const vul biased = (from_root + (BIAS << MANTISSA)) >> MANTISSA;
    return (vd)(biased | 0x4330000000000000ull) - (0x1p52 + double(BIAS));
  }
  // (e^r - 1 - r) / r^2, |r| <= ln2 / 2: 2^-58 of e^r.
  static INLINE vd exp_tail(vd r) {
    return horner(r, 0.5000000000000012, 0.166666666666667, 0.04166666666651554, 0.008333333333307234, 0.0013888888946979416,
                  0.00019841269917327044, 2.480148998342641e-05, 2.755721635901486e-06, 2.76312645380546e-07,
                  2.511783902487159e-08);
  }
  static INLINE vd exp2_unit(vd r) {
    const vd x = r * LN2;
    return fma(x * x, exp_tail(x), fma(r, all_lanes<vd>(0x1.abc9e3b39803fp-56), x)) + ONE;
  }
  // log(1 + f) + k ln2 by s = f / (2 + f): log = 2 s + s z Q(z), z = s^2 <= 0.0295: 2^-59 of the whole.
  static INLINE vd log_core(vd f, vd k) {
    const vd s = f / (f + TWO), z = s * s, half_square = f * f * HALF;
    const vd tail = z * horner(z, 0.6666666666666734, 0.3999999999941438, 0.2857142874245617, 0.22222198565841064,
                               0.18183564725954957, 0.15314039823151854, 0.14796062300208862);
    const vd low = s * (half_square + tail) + k * LN2_LO;
    return k * LN2_HI - ((half_square - low) - f);
  }
  // (sinh x - x) / x^3 in z = x^2 <= 1: 2^-63.
  static INLINE vd sinh_tail(vd z) {
    return horner(z, 0.16666666666666669, 0.008333333333333139, 0.00019841269841437668, 2.7557319155342004e-06,
                  2.5052123397678473e-08, 1.6057240413880332e-10, 7.759309882926427e-13);
  }
  // (asin x - x) / x^3 in z = x^2 <= 1/4: 2^-60.
  static INLINE vd asin_tail(vd z) {
    return horner(z, 0.16666666666666763, 0.07499999999970246, 0.044642857175134006, 0.0303819426830521, 0.022372215674667875,
                  0.017351599857628554, 0.013980964009950305, 0.011397756850814787, 0.010786627369738191,
                  0.0036827008340492655, 0.021764262903697047, -0.021078287799443686, 0.032677463537637945);
  }
  // (atan t - t) / t^3 in z = t^2 <= tan(pi/8)^2: 2^-59.
  static INLINE vd atan_tail(vd z) {
    return horner(z, -0.333333333333332, 0.19999999999954055, -0.14285714280245193, 0.11111110785953253, -0.09090897830656601,
                  0.07692061526404924, -0.06663119048175921, 0.058479987004794155, -0.05039797500268699,
                  0.03807705644734289, -0.017920850816185097);
  }
};

// ---- exact products ----------------------------------------------------------------------------------------------------

// a * b as a rounded product and its exact error; without a fused multiply-add by Dekker's splitting (|a|, |b| < 2^995).
template <class V> INLINE V two_product(V a, V b, V& error) {
  const V product = a * b;
  if constexpr (FUSED) {
    error = fma(a, b, -product);
  } else {
    const V ta = a * 134217729.0, tb = b * 134217729.0, ah = ta - (ta - a), bh = tb - (tb - b), al = a - ah, bl = b - bh;
    error = ((ah * bh - product) + ah * bl + al * bh) + al * bl;
  }
  return product;
}

// ---- sine, cosine, tangent ---------------------------------------------------------------------------------------------

// An angle less its multiple of pi/2: high + low in [-pi/4, pi/4]; quadrant's low two bits count the quarter turns.
struct Angle { vd high, low; vl quadrant; };

// Bits of 2/pi after the binary point, behind two words of zeros.
constexpr uint32_t TWO_OVER_PI[] = {
    0,           0,           0xa2f9836eu, 0x4e441529u, 0xfc2757d1u, 0xf534ddc0u, 0xdb629599u, 0x3c439041u, 0xfe5163abu,
    0xdebbc561u, 0xb7246e3au, 0x424dd2e0u, 0x06492eeau, 0x09d1921cu, 0xfe1deb1cu, 0xb129a73eu, 0xe88235f5u, 0x2ebb4484u,
    0xe99c7026u, 0xb45f7e41u, 0x3991d639u, 0x835339f4u, 0x9c845f8bu, 0xbdf9283bu, 0x1ff897ffu, 0xde05980fu, 0xef2f118bu,
    0x5a0a6d1fu, 0x6d367ecfu, 0x27cb09b7u, 0x4f463f66u, 0x9e5fea2du, 0x7527bac7u, 0xebe5f17bu, 0x3d0739f7u, 0x8a5292eau,
    0x6bfb5fb1u, 0x1f8d5d08u, 0x56033046u, 0xfc7b6babu, 0xf0cfbc20u, 0x9af4361du, 0xa9e39161u};

// Any finite |x| >= 2^-30, to full relative precision: x times just those 192 bits of 2/pi that matter modulo 4
// (Payne and Hanek).
inline __attribute__((noinline)) int64_t reduce_any_angle(double x, double& high, double& low) {
  uint64_t bits;
  __builtin_memcpy(&bits, &x, 8);
  const uint64_t mantissa = (bits & 0xfffffffffffffull) | 0x10000000000000ull;
  const int exponent = int((bits >> 52) & 0x7ff) - 1075;               // |x| = mantissa * 2^exponent
  const int start = exponent - 2 + 64, word = start >> 5, shift = start & 31;
  uint32_t product[6];                                                 // mantissa * window mod 2^192, low word first
  uint32_t window[6];
  uint64_t carry = 0;
  for (int i = 0; i < 6; ++i) {
    const uint64_t pair = uint64_t(TWO_OVER_PI[word + 5 - i]) << 32 | TWO_OVER_PI[word + 6 - i];
    window[i] = uint32_t(pair >> (32 - shift));
    carry += uint64_t(window[i]) * uint32_t(mantissa);
    product[i] = uint32_t(carry);
    carry >>= 32;
  }
  carry = 0;
  for (int i = 1; i < 6; ++i) {
    carry += uint64_t(window[i - 1]) * uint32_t(mantissa >> 32) + product[i];
    product[i] = uint32_t(carry);
    carry >>= 32;
  }
  int64_t quadrant = product[5] >> 30;
  const bool negative = (product[5] >> 29) & 1;                        // a fraction above one half: count from the next turn
  product[5] &= 0x3fffffffu;
  if (negative) {
    ++quadrant;
    carry = 1;
    for (int i = 0; i < 6; ++i) {
      carry += uint32_t(~product[i]);
      product[i] = uint32_t(carry);
      carry >>= 32;
    }
    product[5] &= 0x3fffffffu;
  }
  double head = 0, tail = 0, weight = 0x1p-30;                         // the fraction as head + tail
  for (int i = 5; i >= 0; --i, weight *= 0x1p-32) {
    double error;
    head = two_sum(head, double(product[i]) * weight, error);
    tail += error;
  }
  double error;
  const double p = two_product(head, Real<vd>::PIO2_HI, error);
  error += head * Real<vd>::PIO2_LO + tail * Real<vd>::PIO2_HI;
  high = p + error;
  low = (p - high) + error;
  if (negative != (x < 0)) { high = -high; low = -low; }
  return x < 0 ? -quadrant : quadrant;
}

INLINE Angle reduce_angle(vd x) {
  typedef Real<vd> R;
  const vd shifted = fma(x, all_lanes<vd>(0x1.45f306dc9c883p-1), all_lanes<vd>(R::SHIFT)), n = shifted - R::SHIFT;
  // pi/2 in pieces of 33 bits: their products with |n| < 2^20 are exact, and so is the first difference.
  const vd a = x - n * 0x1.921fb544p+0;
  vd error;
  const vd b = two_sum(a, -(n * 0x1.0b4611a6p-34), error);
  const vd tail = error - n * 0x1.3198a2e037073p-69;
  Angle r;
  r.high = b + tail;
  r.low = (b - r.high) + tail;
  r.quadrant = (vl)shifted;
  const vl hard = ((abs(x) > 1.6e6) & (abs(x) < R::INF)) | ((abs(r.high) < 0x1p-20) & (n != vd{}));
  if (__builtin_expect(any(hard), 0)) {
    for (int i = 0; i < LANES_D; ++i) {
      if (!hard[i]) continue;
      double high, low;
      r.quadrant[i] = reduce_any_angle(x[i], high, low);
      r.high[i] = high;
      r.low[i] = low;
    }
  }
  return r;
}

// sin and cos of |high + low| <= pi/4; polynomials to 2^-58 of sin and 2^-64 of cos.
INLINE vd sin_kernel(vd high, vd low) {
  const vd z = high * high, v = z * high;
  const vd rest = horner(z, 0.00833333333332242, -0.00019841269829813099, 2.755731369385269e-06, -2.505075843242043e-08,
                         1.5896814806336727e-10);
  return high - ((z * (low * 0.5 - v * rest) - low) - v * -0.16666666666666632);
}
INLINE vd cos_kernel(vd high, vd low) {
  const vd z = high * high, half = z * 0.5, w = 1.0 - half;
  const vd rest = z * horner(z, 0.0416666666666666, -0.0013888888888874133, 2.4801587289488046e-05, -2.755731435402818e-07,
                             2.0875723504396303e-09, -1.1359659851501492e-11);
  return w + (((1.0 - w) - half) + (z * rest - high * low));
}

INLINE vd sin_of(const Angle& r, int64_t turn) {
  const vl q = r.quadrant + turn;
  const vd y = select((q & 1) != 0, cos_kernel(r.high, r.low), sin_kernel(r.high, r.low));
  return (vd)((vl)y ^ (vl)((vul)(q & 2) << 62));
}
INLINE vd sin(vd x) { return select(x == vd{}, x, sin_of(reduce_angle(x), 0)); }
INLINE vd cos(vd x) { return sin_of(reduce_angle(x), 1); }
INLINE vd tan(vd x) {
  const Angle r = reduce_angle(x);
  const vd s = sin_kernel(r.high, r.low), c = cos_kernel(r.high, r.low);
  const vl odd = (r.quadrant & 1) != 0;
  return select(x == vd{}, x, select(odd, -c, s) / select(odd, s, c));
}

// ---- hyperbolic tangent, error function ------------------------------------------------------------------------------

INLINE vd tanh(vd x) {
  typedef Real<vd> R;
  const vd a = abs(x), t = expm1(min(all_lanes<vd>(44.0), a + a));
  const vl small = a < R::ONE;
  return copysign(select(small, vd{}, all_lanes<vd>(R::ONE)) + select(small, t, all_lanes<vd>(-R::TWO)) / (t + R::TWO), x);
}

// erf(x) / x - 1 in z = x^2 <= 1: 2^-62.
INLINE vd erf_tail(vd z) {
  return horner(z, 0.1283791670955126, -0.3761263890318375, 0.11283791670954885, -0.026866170645077868, 0.005223977624828384,
                -0.0008548326981423567, 0.00012055331132903206, -1.4925595771308313e-05, 1.646100846950011e-06,
                -1.635039619170617e-07, 1.4660328878822248e-08, -1.1374957695372553e-09, 5.960690849894627e-11);
}

// erfc(a) for a >= 0.45: exp(-a^2) P(t) / (1 + 2a) with t = (a - 4) / (a + 4): 2^-59.
INLINE vd erfc_positive(vd a) {
  a = min(all_lanes<vd>(27.5), a);
  vd error;
  const vd square = two_product(a, a, error), t = (a - 4.0) / (a + 4.0);
  const vd p = horner(t, 1.2329951186255526, -0.13962111684056247, 0.015379652102619696, 0.06809705425468776,
                      -0.10103906603630024, 0.09373283499856092, -0.06633036581234424, 0.0371675155333278,
                      -0.016197734055919677, 0.005031970023056462, -0.0007577733042634588, -0.00019925699144952036,
                      0.00015062175663392804, -2.439796382732041e-05, -1.1222301142761349e-05, 5.7062818537098475e-06,
                      2.9440591559407133e-07, -8.192115160871534e-07, 7.381650870617286e-08, 1.0302472904375574e-07,
                      -1.729220804736733e-08, -9.57454030984969e-09, 1.635377762842242e-09);
  return exp_scaled(-square, error, 0) * (p / (a * 2.0 + 1.0));
}

INLINE vd erf(vd x) {
  const vd a = abs(x), z = x * x;
  return select(a < 1.0, fma(x, erf_tail(z), x), copysign(1.0 - erfc_positive(a), x));
}
INLINE vd erfc(vd x) {
  const vd a = abs(x), tail = erfc_positive(a);
  const vd near = 0.5 + (0.5 - fma(x, erf_tail(x * x), x));
  return select(a < 0.5, near, select(x < vd{}, 2.0 - tail, tail));
}

// The quantile of the normal distribution at 1/2 + q, times sqrt(1/2): Wichura's AS 241. tail is 1/2 - |q|.
INLINE vd erfinv(vd y) {
  const vd q = y * 0.5, near = 0.180625 - q * q;
  const vd inner = q * horner(near, 3.3871328727963666080e0, 1.3314166789178437745e2, 1.9715909503065514427e3,
      1.3731693765509461125e4, 4.5921953931549871457e4, 6.7265770927008700853e4, 3.3430575583588128105e4, 2.5090809287301226727e3)
    / horner(near, 1.0, 4.2313330701600911252e1, 6.8718700749205790830e2, 5.3941960214247511077e3, 2.1213794301586595867e4,
      3.9307895800092710610e4, 2.8729085735721942674e4, 5.2264952788528545610e3);
  const vd r = sqrt(-log((1.0 - abs(y)) * 0.5)), m = r - 1.6, f = r - 5.0;
  const vd middle = horner(m, 1.42343711074968357734e0, 4.63033784615654529590e0, 5.76949722146069140550e0,
      3.64784832476320460504e0, 1.27045825245236838258e0, 2.41780725177450611770e-1, 2.27238449892691845833e-2, 7.74545014278341407640e-4)
    / horner(m, 1.0, 2.05319162663775882187e0, 1.67638483018380384940e0, 6.89767334985100004550e-1, 1.48103976427480074590e-1,
      1.51986665636164571966e-2, 5.47593808499534494600e-4, 1.05075007164441684324e-9);
  const vd far = horner(f, 6.65790464350110377720e0, 5.46378491116411436990e0, 1.78482653991729133580e0, 2.96560571828504891230e-1,
      2.65321895265761230930e-2, 1.24266094738807843860e-3, 2.71155556874348757815e-5, 2.01033439929228813265e-7)
    / horner(f, 1.0, 5.99832206555887937690e-1, 1.36929880922735805310e-1, 1.48753612908506148525e-2, 7.86869131145613259100e-4,
      1.84631831751005468180e-5, 1.42151175831644588870e-7, 2.04426310338993978564e-15);
  const vd outer = copysign(select(r <= 5.0, middle, far), y);
  const vd z = select(abs(q) <= 0.425, inner, outer) * 0x1.6a09e667f3bcdp-1;
  return select(abs(y) == 1.0, copysign(all_lanes<vd>(Real<vd>::INF), y), z);
}

// ---- powers -----------------------------------------------------------------------------------------------------------

// log(x) of a positive finite x as high + low, good to about 2^-59.
INLINE vd log_pair(vd x, vd& low) {
  typedef Real<vd> R;
  vd k, d_low, p_low, z_low, low0;
  const vd f = split_log_any(x, k), d = two_sum(all_lanes<vd>(2.0), f, d_low), s = f / d, p = two_product(s, d, p_low);
  const vd s_low = (((f - p) - p_low) - s * d_low) / d, z = two_product(s, s, z_low);
  const vd tail = s * (z + (z_low + 2.0 * s * s_low)) * horner(z, 0.6666666666666734, 0.3999999999941438, 0.2857142874245617,
      0.22222198565841064, 0.18183564725954957, 0.15314039823151854, 0.14796062300208862);
  const vd high0 = two_sum(k * R::LN2_HI, s + s, low0);
  const vd rest = (tail + (s_low + s_low)) + (low0 + k * R::LN2_LO);
  const vd high = high0 + rest;
  low = (high0 - high) + rest;
  return high;
}

INLINE vd pow(vd base, vd exponent) {
  const vd size = abs(base);
  vd low, error;
  const vd l = log_pair(size, low), high = log_special(size, l);
  const vl ordinary = high == l;
  // Beyond 2^70 every power but that of 1 has long over- or underflowed.
  const vd y = min(all_lanes<vd>(0x1p70), max(all_lanes<vd>(-0x1p70), exponent)), e = two_product(y, high, error);
  const vd correction = select(ordinary & (abs(e) < 800.0), -(error + y * low), vd{});
  return pow_special(base, exponent, exp_scaled(e, correction, 0));
}

// ---- remainder --------------------------------------------------------------------------------------------------------

// x mod y for positive finite x >= y, exactly: long division, eleven bits at a time.
inline __attribute__((noinline)) double fmod_any(double x, double y) {
  int ex = 0, ey = 0;
  const auto split = [](double v, int& e) -> uint64_t {
    uint64_t bits;
    __builtin_memcpy(&bits, &v, 8);
    e = int(bits >> 52);
    if (e == 0) { e = 1; return bits; }
    return (bits & 0xfffffffffffffull) | 0x10000000000000ull;
  };
  uint64_t mx = split(x, ex), my = split(y, ey);
  mx %= my;
  for (; ex > ey && mx != 0;) {
    const int step = ex - ey < 11 ? ex - ey : 11;
    mx = (mx << step) % my;
    ex -= step;
  }
  if (mx == 0) return 0;
  for (; mx < 0x10000000000000ull && ey > 1; --ey) mx <<= 1;
  const uint64_t bits = mx < 0x10000000000000ull ? mx : (mx & 0xfffffffffffffull) | uint64_t(ey) << 52;
  double r;
  __builtin_memcpy(&r, &bits, 8);
  return r;
}

// C's fmod: exact, the sign of x.
INLINE vd fmod(vd x, vd y) {
  typedef Real<vd> R;
  const vd a = abs(x), b = abs(y), q = trunc(a / b);
  vd error;
  const vd p = two_product(q, b, error);
  vd r = (a - p) - error;                                      // the quotient may be one off
  r = select(r < vd{}, r + b, r);
  r = select(r >= b, r - b, r);
  const vl finite = (a < R::INF) & (b < R::INF) & (b > vd{});
  const vl hard = finite & (a >= b) & ((q > 0x1p51) | (a > 0x1p900) | (b < 0x1p-900));
  if (__builtin_expect(any(hard), 0)) {
    for (int i = 0; i < LANES_D; ++i)
      if (hard[i]) r[i] = fmod_any(a[i], b[i]);
  }
  r = select(finite, select(a < b, a, r), select((b == R::INF) & (a < R::INF), a, all_lanes<vd>(R::NOT_A_NUMBER)));
  return copysign(r, x);
}

}  // namespace chainrule::VARIANT
