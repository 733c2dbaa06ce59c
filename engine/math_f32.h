// Single precision: polynomials for the formulas of math.h, and the functions that need one of their own. The rare ones
// run in double, half a vector at a time.
#pragma once
#include "math.h"

namespace chainrule::VARIANT {

template <> struct Real<vf> {
  typedef float Scalar;
  typedef vu Bits;
  typedef uint32_t Bit;
  static constexpr int MANTISSA = 23;
  static constexpr Bit BIAS = 127, SQRT_HALF_BITS = 0x3f3504f3u;
  static constexpr float ONE = 1, TWO = 2, HALF = 0.5f, QUARTER = 0.25f, INF = __builtin_inff(), NOT_A_NUMBER = __builtin_nanf("");
  static constexpr float SHIFT = 0x1.8p23f, MIN_NORMAL = 0x1p-126f, TO_NORMAL = 0x1p25f, TO_NORMAL_LOG2 = 25;
  static constexpr float EXP_MIN = -104, EXP_MAX = 90, EXPM1_MIN = -18, EXPM1_MAX = 89, EXP2_MIN = -151, EXP2_MAX = 129;
  static constexpr float TINY = 0x1p-26f;
  static constexpr float LOG2E = 1.44269502f, LOG10E = 0.434294492f, LN2 = 0.693147182f;
  static constexpr float LN2_HI = 0x1.62e4p-1f, LN2_LO = 1.42860677e-6f;                       // n * LN2_HI is exact
  static constexpr float LOG10_2_HI = 0x1.344p-2f, LOG10_2_LO = 4.60503898e-6f;
  static constexpr float PIO2_HI = 0x1.921fb6p+0f, PIO2_LO = -4.37113883e-8f, PIO2_LAST = -1.71512450e-15f;
  static constexpr float TAN_PI_8 = 0.414213562f, TAN_3PI_8 = 2.41421356f;
  static constexpr float LOG1P_BIG = 0x1p30f, SQUARE_IS_ALL = 0x1p14f, HUGE_SIZE = 0x1p120f;

  static INLINE vf exponent(vu from_root) { return to_float((vi)from_root >> MANTISSA); }
  // (e^r - 1 - r) / r^2, |r| <= ln2 / 2: 2^-28 of e^r.
  static INLINE vf exp_tail(vf r) { return horner(r, 0.5f, 0.166665196f, 0.0416662097f, 0.00836887956f, 0.00139502704f); }
  // 2^r, |r| <= 1/2: 2^-29.
  static INLINE vf exp2_unit(vf r) {
    return horner(r, 1.0f, 0.693147182f, 0.240226507f, 0.055503279f, 0.00961800385f, 0.00134002662f, 0.000154762049f);
  }
  // log(1 + f) + k ln2, 1 + f in [sqrt(1/2), sqrt(2)]: f - f^2/2 + f^3 P(f), 2^-30 of the whole.
  static INLINE vf log_core(vf f, vf k) {
    const vf z = f * f;
    const vf p = horner(f, 0.333333105f, -0.249999866f, 0.200022265f, -0.166692495f, 0.142186612f, -0.123843648f,
                        0.118729696f, -0.117897213f, 0.0691529289f);
    const vf tail = fnma(z, all_lanes<vf>(0.5f), fma(k, all_lanes<vf>(LN2_LO), f * z * p));
    return fma(k, all_lanes<vf>(LN2_HI), f + tail);
  }
  // (sinh x - x) / x^3 in z = x^2 <= 1: 2^-34.
  static INLINE vf sinh_tail(vf z) { return horner(z, 0.166666672f, 0.00833335053f, 0.000198360663f, 2.81743905e-06f); }
  // (asin x - x) / x^3 in z = x^2 <= 1/4: 2^-28.
  static INLINE vf asin_tail(vf z) {
    return horner(z, 0.166667536f, 0.0749524236f, 0.0454770066f, 0.0241480414f, 0.0422178321f);
  }
  // (atan t - t) / t^3 in z = t^2 <= tan(pi/8)^2: 2^-30.
  static INLINE vf atan_tail(vf z) {
    return horner(z, -0.333333164f, 0.199984893f, -0.142438427f, 0.105959468f, -0.0608329624f);
  }
};

// ---- a vector of floats as two of doubles ---------------------------------------------------------------------------------

typedef float vf_half __attribute__((vector_size(VECTOR_BYTES / 2)));

INLINE vd low_half(vf x) {
  vf_half h;
  __builtin_memcpy(&h, &x, sizeof h);
  return __builtin_convertvector(h, vd);
}
INLINE vd high_half(vf x) {
  vf_half h;
  __builtin_memcpy(&h, reinterpret_cast<const char*>(&x) + sizeof h, sizeof h);
  return __builtin_convertvector(h, vd);
}
INLINE vf join(vd low, vd high) {
  const vf_half a = __builtin_convertvector(low, vf_half), b = __builtin_convertvector(high, vf_half);
  vf x;
  __builtin_memcpy(&x, &a, sizeof a);
  __builtin_memcpy(reinterpret_cast<char*>(&x) + sizeof a, &b, sizeof b);
  return x;
}

INLINE vf erfc(vf x) { return join(erfc(low_half(x)), erfc(high_half(x))); }
INLINE vf erfinv(vf x) { return join(erfinv(low_half(x)), erfinv(high_half(x))); }
INLINE vf lgamma(vf x) { return join(lgamma(low_half(x)), lgamma(high_half(x))); }
INLINE vf digamma(vf x) { return join(digamma(low_half(x)), digamma(high_half(x))); }
INLINE vf polygamma(vf n, vf x) { return join(polygamma(low_half(n), low_half(x)), polygamma(high_half(n), high_half(x))); }
INLINE vf fmod(vf x, vf y) { return join(fmod(low_half(x), low_half(y)), fmod(high_half(x), high_half(y))); }

// ---- sine, cosine, tangent ------------------------------------------------------------------------------------------------

// x less n quarter turns, in double: with |n| < 2^20 and 33 bits of pi/2 the first product and difference are exact.
INLINE vd reduce_quarter(vd x, vd& n) {
  n = fma(x, all_lanes<vd>(0x1.45f306dc9c883p-1), all_lanes<vd>(Real<vd>::SHIFT)) - Real<vd>::SHIFT;
  return (x - n * 0x1.921fb544p+0) - n * 0x1.0b4611a626331p-34;
}

// The remainder in [-pi/4, pi/4]; the low two bits of quadrant count the quarter turns.
INLINE vf reduce_angle(vf x, vi& quadrant) {
  typedef Real<vf> R;
  const vi hard = (abs(x) > 1.6e6f) & (abs(x) < R::INF);
  vf r, turns;
  if constexpr (FUSED) {                                       // x - n * (24 bits of pi/2) is exact, the rest rounds once
    turns = fma(x, all_lanes<vf>(0.636619772f), all_lanes<vf>(R::SHIFT));
    const vf n = turns - R::SHIFT;
    r = fnma(n, all_lanes<vf>(R::PIO2_LO), fnma(n, all_lanes<vf>(R::PIO2_HI), x));
    r = fnma(n, all_lanes<vf>(R::PIO2_LAST), r);
  } else {
    vd n_low, n_high;
    const vd r_low = reduce_quarter(low_half(x), n_low), r_high = reduce_quarter(high_half(x), n_high);
    r = join(r_low, r_high);
    turns = join(n_low, n_high) + R::SHIFT;
  }
  quadrant = (vi)turns;
  if (__builtin_expect(any(hard), 0)) {
    for (int i = 0; i < LANES; ++i) {
      if (!hard[i]) continue;
      double high, low;
      quadrant[i] = int32_t(reduce_any_angle(x[i], high, low));
      r[i] = float(high);
    }
  }
  return r;
}

// sin (2^-28) and cos (2^-33) of |r| <= pi/4.
INLINE vf sin_kernel(vf r) {
  const vf z = r * r;
  return fma(r * z, horner(z, -0.166666552f, 0.008332178f, -0.00019517263f), r);
}
INLINE vf cos_kernel(vf r) {
  const vf z = r * r;
  return fma(z * z, horner(z, 0.0416666456f, -0.00138873677f, 2.44384428e-05f), fnma(z, all_lanes<vf>(0.5f), all_lanes<vf>(1.0f)));
}
INLINE vf sin_of(vf r, vi quadrant) {
  const vf y = select((quadrant & 1) != 0, cos_kernel(r), sin_kernel(r));
  return (vf)((vu)y ^ ((vu)(quadrant & 2) << 30));
}
INLINE vf sin(vf x) {
  vi quadrant;
  const vf r = reduce_angle(x, quadrant);
  return select(x == vf{}, x, sin_of(r, quadrant));
}
INLINE vf cos(vf x) {
  vi quadrant;
  const vf r = reduce_angle(x, quadrant);
  return sin_of(r, quadrant + 1);
}
INLINE vf tan(vf x) {
  vi quadrant;
  const vf r = reduce_angle(x, quadrant), s = sin_kernel(r), c = cos_kernel(r);
  const vi odd = (quadrant & 1) != 0;
  return select(x == vf{}, x, select(odd, -c, s) / select(odd, s, c));
}

// ---- hyperbolic tangent, error function ---------------------------------------------------------------------------------

INLINE vf tanh(vf x) {
  const vf a = abs(x), z = a * a;
  // (tanh x - x) / x^3 in z <= 0.4: 2^-28.
  const vf small = fma(a * z, horner(z, -0.333332777f, 0.133313298f, -0.0537292585f, 0.0206020866f, -0.00566086732f), a);
  const vf doubled = min(all_lanes<vf>(40.0f), a + a);
  const vf large = 1.0f - divide_tame(all_lanes<vf>(2.0f), exp(doubled) + 1.0f);
  return copysign(select(a < 0.625f, small, large), x);
}

#if CHAINRULE_AVX512
// erf(k / 4 + d), less d for k = 0, in d: a polynomial for each k, whose coefficients are looked up. |d| <= 1/8, for the last k d <= 0.21.
INLINE vf erf(vf x) {
  alignas(64) static constexpr float C[6][16] = {
      {0, 0.276326388f, 0.520499885f, 0.711155653f, 0.842700779f, 0.92290014f, 0.966105163f, 0.986671686f, 0.995322287f, 0.998537302f,
       0.999593019f, 0.999899387f, 0.999977887f, 0.999995708f, 0.999999285f, 0.999999881f},
      {0.128379166f, 1.06001413f, 0.87878257f, 0.642931044f, 0.415107489f, 0.236521125f, 0.118930288f, 0.0527749956f, 0.0206669848f,
       0.00714231888f, 0.00217828434f, 0.00058627734f, 0.000139253098f, 2.91890465e-05f, 5.39943358e-06f, 8.8102604e-07f},
      {0, -0.264997989f, -0.43938446f, -0.482194632f, -0.415108114f, -0.295654297f, -0.178398088f, -0.092357479f, -0.0413340405f,
       -0.016069822f, -0.00544532714f, -0.00161203451f, -0.000417657371f, -9.48278903e-05f, -1.88872109e-05f, -3.30444959e-06f},
      {-0.376122713f, -0.309168577f, -0.146464497f, 0.0267862752f, 0.138367087f, 0.16753529f, 0.138752654f, 0.0901581123f,
       0.0482234284f, 0.0217246469f, 0.00835001562f, 0.00276030018f, 0.000789046928f, 0.000195786284f, 4.22874691e-05f, 8.05827221e-06f},
      {0, 0.126034856f, 0.181910977f, 0.150058091f, 0.0692907274f, -0.0056624976f, -0.0441468768f, -0.0478918403f, -0.0344335586f,
       -0.0191510431f, -0.00868785661f, -0.00329699367f, -0.00106175116f, -0.000292779441f, -6.95540875e-05f, -1.41572546e-05f},
      {0.112210386f, 0.0796753541f, 0.00744898291f, -0.0528122857f, -0.0688301697f, -0.0470956936f, -0.0149767483f, 0.00648272783f,
       0.0130098779f, 0.0106418133f, 0.00612995774f, 0.00277092052f, 0.001025707f, 0.000317792059f, 8.34864913e-05f, 1.4576578e-05f}};
  const vf a = min(all_lanes<vf>(3.96f), abs(x)), near = min(all_lanes<vf>(3.75f), a);
  const vf shifted = fma(near, all_lanes<vf>(4), all_lanes<vf>(Real<vf>::SHIFT));
  const vf d = fnma(shifted - Real<vf>::SHIFT, all_lanes<vf>(0.25f), a);
  const auto term = [&](int i) { return (vf)_mm512_permutexvar_ps((__m512i)shifted, (__m512)load(C[i])); };
  vf y = term(5);
#pragma GCC unroll 4
  for (int i = 4; i > 0; --i) y = fma(d, y, term(i));
  return copysign(fma(d, y, select(a <= 0.125f, d, term(0))), x);
}
#else
INLINE vf erf(vf x) {
  const vf a = abs(x), z = a * a, t = (min(all_lanes<vf>(3.94f), a) - 2.47f) * 0.680272109f;
  // erf(x) / x - 1 in z <= 1: 2^-30.
  const vf small = fma(a, horner(z, 0.128379166f, -0.37612626f, 0.112836003f, -0.0268544443f, 0.00518953474f,
                                 -0.000802083756f, 7.88911202e-05f), a);
  // erfc(2.47 + 1.47 t), |t| <= 1: 2^-27, absolute.
  const vf rest = horner(t, 0.000477434369f, -0.00371682714f, 0.013495815f, -0.0299949087f, 0.0447258428f, -0.0454684198f,
                         0.0293116607f, -0.00722685969f, -0.00720845582f, 0.00937031582f, -0.00364829577f, -0.001580387f,
                         0.00172457541f, -3.25111941e-05f, -0.000228957972f);
  return copysign(select(a < 1.0f, small, 1.0f - rest), x);
}
#endif

// ---- powers: |base|^exponent in double, to a third of a float's last bit ---------------------------------------------------

INLINE vd short_power(vd size, vd exponent) {
  typedef Real<vd> R;
  vd k, unscale, n;
  const vd f = split_log(size, k, unscale), s = f / (f + 2.0), z = s * s;
  // log as in Real<vd>::log_core, to 2^-37.
  const vd l = fma(k, all_lanes<vd>(R::LN2), s * fma(z, horner(z, 0.6666666564481709, 0.40000335323292946, 0.2853730058764028,
                                                                0.23582297669859525), all_lanes<vd>(2.0)));
  const vd e = exponent * log_special(size, l);
  const vd r = reduce_exp(min(all_lanes<vd>(700.0), max(all_lanes<vd>(-700.0), e)), n);
  // e^r as in exp_tail, to 2^-34; results stay normal doubles, so one factor scales them.
  const vd p = fma(r * r, horner(r, 0.5000000077839994, 0.16666666859045637, 0.04166627014140308, 0.008333264668125822,
                                 0.0013946059172507852, 0.00019918238369911537), r) + 1.0;
  return p * (vd)(((vul)(n + R::SHIFT) + R::BIAS) << R::MANTISSA);
}

INLINE vf pow(vf base, vf exponent) {
  const vf size = abs(base);
  const vf y = join(short_power(low_half(size), low_half(exponent)), short_power(high_half(size), high_half(exponent)));
  return pow_special(base, exponent, y);
}

}  // namespace chainrule::VARIANT
