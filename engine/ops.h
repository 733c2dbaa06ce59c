// The instruction set (src/expr/instructions.ts), lane by lane: op_<name> for vectors of float, double and int32.
// The block VM and the loops compiled ahead of time both call these, so they give the same bits.
#pragma once
#include "math.h"

// Every instruction in opcode order; the position is the opcode. C: a few machine instructions; F: a function of math.h;
// D: one whose float32 form works in double; B: on bits of int32; the digit is the number of operands.
#define CHAINRULE_INSTRUCTIONS(C1, C2, C3, F1, F2, D1, D2, B1, B2)                                                    \
  C2(add) C2(sub) C2(mul) C2(div) C2(max) C2(min) F2(pow) F2(atan2) D2(fmod) D2(remainder) C2(floorDiv) D2(polygamma) \
  C2(less) C2(lessEqual) C2(equal) C2(notEqual) B2(and) B2(or) B2(xor) B2(shiftLeft) B2(shiftRight) C3(select)        \
  C1(neg) C1(abs) C1(sign) C1(floor) C1(ceil) C1(trunc) C1(round) C1(sqrt) C1(rsqrt) C1(reciprocal)                   \
  F1(exp) F1(exp2) F1(expm1) F1(log) F1(log2) F1(log10) F1(log1p) F1(sin) F1(cos) F1(tan) F1(asin) F1(acos) F1(atan)  \
  F1(sinh) F1(cosh) F1(tanh) F1(asinh) F1(acosh) F1(atanh) F1(sigmoid) F1(erf) D1(erfc) D1(erfinv) D1(lgamma)         \
  D1(digamma) C1(isnan) C1(not) B1(bitNot)

namespace chainrule::VARIANT {

template <class V> struct LaneOf;
template <> struct LaneOf<vf> { typedef float type; typedef vi mask; };
template <> struct LaneOf<vd> { typedef double type; typedef vl mask; };
template <> struct LaneOf<vi> { typedef int32_t type; typedef vi mask; };
template <class V> using Lane = typename LaneOf<V>::type;
template <class V> using MaskOf = typename LaneOf<V>::mask;

template <class V> INLINE V all(Lane<V> x) { return broadcast(x); }
// A comparison as 0 or 1.
template <class V> INLINE V truth(MaskOf<V> mask) { return (V)(mask & (MaskOf<V>)all<V>(1)); }

// Doubles as int32 with JavaScript's wrap-around: NaN and what is beyond 2^63 count as 0.
INLINE int32_t wrap_int(double x) { return x > -9.2e18 && x < 9.2e18 ? int32_t(int64_t(x)) : 0; }
INLINE int32_t wrap_int(float x) { return x > -9.2e18f && x < 9.2e18f ? int32_t(int64_t(x)) : 0; }

// A function of one or two lanes, for what has no vector form.
template <class V, class F> INLINE V lane_by_lane(V a, F f) {
  V out = a;
#pragma GCC unroll 1
  for (int i = 0; i < int(sizeof(V) / sizeof(Lane<V>)); ++i) out[i] = f(a[i]);
  return out;
}
template <class V, class F> INLINE V lane_by_lane(V a, V b, F f) {
  V out = a;
#pragma GCC unroll 1
  for (int i = 0; i < int(sizeof(V) / sizeof(Lane<V>)); ++i) out[i] = f(a[i], b[i]);
  return out;
}

// ---- arithmetic: floats and, wrapping, integers -------------------------------------------------------------------------

template <class V> INLINE V op_add(V a, V b) { return a + b; }
template <class V> INLINE V op_sub(V a, V b) { return a - b; }
template <class V> INLINE V op_mul(V a, V b) { return a * b; }
INLINE vi op_add(vi a, vi b) { return (vi)((vu)a + (vu)b); }
INLINE vi op_sub(vi a, vi b) { return (vi)((vu)a - (vu)b); }
INLINE vi op_mul(vi a, vi b) { return (vi)((vu)a * (vu)b); }
template <class V> INLINE V op_div(V a, V b) { return a / b; }
INLINE vi op_div(vi a, vi b) {
  return lane_by_lane(a, b, [](int32_t x, int32_t y) { return y == 0 ? 0 : int32_t(int64_t(x) / y); });
}
// Either operand's NaN comes through. (max and min of simd.h answer b where the comparison fails.)
template <class V> INLINE V op_max(V a, V b) { return select(a != a, a, max(a, b)); }
template <class V> INLINE V op_min(V a, V b) { return select(a != a, a, min(a, b)); }
INLINE vi op_max(vi a, vi b) { return a > b ? a : b; }
INLINE vi op_min(vi a, vi b) { return a < b ? a : b; }
template <class V> INLINE V op_neg(V a) { return -a; }
INLINE vi op_neg(vi a) { return (vi)(0u - (vu)a); }
template <class V> INLINE V op_abs(V a) { return abs(a); }
INLINE vi op_abs(vi a) { return a < 0 ? op_neg(a) : a; }
template <class V> INLINE V op_sign(V a) { return select(a > 0, all<V>(1), select(a < 0, all<V>(-1), a)); }
template <class V> INLINE V op_floor(V a) { return floor(a); }
template <class V> INLINE V op_ceil(V a) { return ceil(a); }
template <class V> INLINE V op_trunc(V a) { return trunc(a); }
template <class V> INLINE V op_round(V a) { return rint(a); }
INLINE vi op_floor(vi a) { return a; }
INLINE vi op_ceil(vi a) { return a; }
INLINE vi op_trunc(vi a) { return a; }
INLINE vi op_round(vi a) { return a; }
template <class V> INLINE V op_sqrt(V a) { return sqrt(a); }
template <class V> INLINE V op_rsqrt(V a) { return all<V>(1) / sqrt(a); }
template <class V> INLINE V op_reciprocal(V a) { return all<V>(1) / a; }
INLINE vi op_sqrt(vi a) {
  return lane_by_lane(a, [](int32_t x) { return x < 0 ? 0 : int32_t(sqrt(broadcast(double(x)))[0]); });
}
INLINE vi op_rsqrt(vi a) { return truth<vi>(a == 1); }
INLINE vi op_reciprocal(vi a) { return select((a == 1) | (a == -1), a, vi{}); }
template <class V> INLINE V op_floorDiv(V a, V b) { return floor(a / b); }
INLINE vi op_floorDiv(vi a, vi b) {
  return lane_by_lane(a, b, [](int32_t x, int32_t y) {
    if (y == 0) return 0;
    const int64_t quotient = int64_t(x) / y;
    return int32_t(quotient - (int64_t(x) % y != 0 && (x < 0) != (y < 0)));
  });
}

// ---- comparisons and bits: 1 and 0; on floats, bits are those of the value as an int32 ------------------------------------

template <class V> INLINE V op_less(V a, V b) { return truth<V>(a < b); }
template <class V> INLINE V op_lessEqual(V a, V b) { return truth<V>(a <= b); }
template <class V> INLINE V op_equal(V a, V b) { return truth<V>(a == b); }
template <class V> INLINE V op_notEqual(V a, V b) { return truth<V>(a != b); }
template <class V> INLINE V op_isnan(V a) { return truth<V>(a != a); }
template <class V> INLINE V op_not(V a) { return truth<V>(a == 0); }
template <class V> INLINE V op_select(V c, V a, V b) { return select(c != 0, a, b); }

INLINE vi op_and(vi a, vi b) { return a & b; }
INLINE vi op_or(vi a, vi b) { return a | b; }
INLINE vi op_xor(vi a, vi b) { return a ^ b; }
INLINE vi op_bitNot(vi a) { return ~a; }
INLINE vi op_shiftLeft(vi a, vi b) { return (vi)((vu)a << ((vu)b & 31u)); }
INLINE vi op_shiftRight(vi a, vi b) { return a >> (b & 31); }
#define CHAINRULE_BITS(name, expression)                                                              \
  template <class V> INLINE V op_##name(V a, V b) {                                                   \
    return lane_by_lane(a, b, [](Lane<V> p, Lane<V> q) {                                              \
      const int32_t x = wrap_int(p), y = wrap_int(q);                                                 \
      return Lane<V>(int32_t(expression));                                                            \
    });                                                                                               \
  }
CHAINRULE_BITS(and, x & y)
CHAINRULE_BITS(or, x | y)
CHAINRULE_BITS(xor, x ^ y)
CHAINRULE_BITS(shiftLeft, uint32_t(x) << (y & 31))
CHAINRULE_BITS(shiftRight, x >> (y & 31))
#undef CHAINRULE_BITS
template <class V> INLINE V op_bitNot(V a) {
  return lane_by_lane(a, [](Lane<V> x) { return Lane<V>(~wrap_int(x)); });
}

// ---- functions: floats only; the VM computes those of integers in double ---------------------------------------------------

#define CHAINRULE_FUNCTION(name) template <class V> INLINE V op_##name(V a) { return name(a); }
CHAINRULE_FUNCTION(exp) CHAINRULE_FUNCTION(exp2) CHAINRULE_FUNCTION(expm1) CHAINRULE_FUNCTION(log) CHAINRULE_FUNCTION(log2)
CHAINRULE_FUNCTION(log10) CHAINRULE_FUNCTION(log1p) CHAINRULE_FUNCTION(sin) CHAINRULE_FUNCTION(cos) CHAINRULE_FUNCTION(tan)
CHAINRULE_FUNCTION(asin) CHAINRULE_FUNCTION(acos) CHAINRULE_FUNCTION(atan) CHAINRULE_FUNCTION(sinh) CHAINRULE_FUNCTION(cosh)
CHAINRULE_FUNCTION(tanh) CHAINRULE_FUNCTION(asinh) CHAINRULE_FUNCTION(acosh) CHAINRULE_FUNCTION(atanh) CHAINRULE_FUNCTION(sigmoid)
CHAINRULE_FUNCTION(erf) CHAINRULE_FUNCTION(erfc) CHAINRULE_FUNCTION(erfinv) CHAINRULE_FUNCTION(lgamma) CHAINRULE_FUNCTION(digamma)
#undef CHAINRULE_FUNCTION
template <class V> INLINE V op_pow(V a, V b) { return pow(a, b); }
template <class V> INLINE V op_atan2(V a, V b) { return atan2(a, b); }
template <class V> INLINE V op_remainder(V a, V b) { return remainder(a, b); }

INLINE vi op_remainder(vi a, vi b) {
  return lane_by_lane(a, b, [](int32_t x, int32_t y) {
    if (y == 0) return 0;
    const int32_t r = int32_t(int64_t(x) % y);
    return r != 0 && (r < 0) != (y < 0) ? r + y : r;
  });
}
INLINE vi op_fmod(vi a, vi b) {
  return lane_by_lane(a, b, [](int32_t x, int32_t y) { return y == 0 ? 0 : int32_t(int64_t(x) % y); });
}
template <class V> INLINE V op_fmod(V a, V b) { return fmod(a, b); }

template <class V> INLINE V op_polygamma(V order, V x) { return polygamma(order, x); }

// Wrapping powers; a negative exponent leaves only those of 1 and -1.
INLINE vi op_pow(vi a, vi b) {
  return lane_by_lane(a, b, [](int32_t base, int32_t exponent) {
    if (exponent < 0) return base == 1 || base == -1 ? (exponent & 1 ? base : 1) : 0;
    uint32_t out = 1;
    for (uint32_t square = uint32_t(base); exponent > 0; exponent >>= 1, square *= square)
      if (exponent & 1) out *= square;
    return int32_t(out);
  });
}

}  // namespace chainrule::VARIANT
