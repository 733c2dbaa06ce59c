// The gamma function's relatives in double precision; floats take them too, half a vector at a time.
#pragma once
#include "math.h"

namespace chainrule::VARIANT {

// |sin| and cos of pi r for |r| <= 1/2, exact at the ends.
INLINE vd sin_pi(vd r) {
  const vd a = abs(r);
  const vl steep = a > 0.25;
  const vd t = select(steep, 0.5 - a, a) * 0x1.921fb54442d18p+1;
  return select(steep, cos_kernel(t, vd{}), sin_kernel(t, vd{}));
}
INLINE vd cos_pi(vd r) { return sin_pi(0.5 - abs(r)); }

// log Gamma(x), x > 0: Stirling's series from 8 on, below it steps of one to 2 + z with |z| <= 1/2.
INLINE vd lgamma_positive(vd x) {
  const vl stirling = x >= 8.0, below = x < 1.5;
  vd y = x, product = all_lanes<vd>(1.0);
  for (int i = 0; i < 6; ++i) {
    const vl step = (y > 2.5) & ~stirling;
    y = select(step, y - 1.0, y);
    product = select(step, product * y, product);
  }
  product = select(below, select(x < 0.5, x * (x + 1.0), x), product);
  const vd z = select(x < 0.5, x, select(below, x - 1.0, y - 2.0));
  // log Gamma(2 + z) / z: 2^-58.
  const vd near = z * horner(z, 0.42278433509846713, 0.32246703342411326, -0.06735230105319817, 0.020580808427780335,
      -0.007385551028664107, 0.002890510331036758, -0.0011927539121671983, 0.0005096695153486314, -0.00022315474732630572,
      9.945767439909425e-05, -4.492639061524313e-05, 2.050558438653685e-05, -9.438190497050409e-06, 4.38473186455707e-06,
      -2.045981289167719e-06, 9.199899937774983e-07, -4.2809202915358514e-07, 2.7879992177970305e-07, -1.3614054570712147e-07);
  const vd l = log(select(stirling, x, product)), w = 1.0 / x;
  const vd series = w * horner(w * w, 1.0 / 12, -1.0 / 360, 1.0 / 1260, -1.0 / 1680, 1.0 / 1188, -691.0 / 360360, 1.0 / 156,
                               -3617.0 / 122400, 43867.0 / 244188);
  const vd far = (x - 0.5) * (l - 1.0) + (0.41893853320467274 + series);
  return select(stirling, far, near + select(below, -l, l));
}

INLINE vd lgamma(vd x) {
  typedef Real<vd> R;
  vd y = lgamma_positive(abs(x));
  const vl negative = x < vd{};
  if (__builtin_expect(any(negative), 0)) {                    // the reflection formula
    const vd mirrored = 1.1447298858494002 - log(abs(x) * sin_pi(x - rint(x))) - y;
    y = select(negative & (abs(x) > 0x1p-60), mirrored, y);
  }
  const vl pole = negative & (rint(x) == x);
  return select(pole | (abs(x) == R::INF), all_lanes<vd>(R::INF), y);
}

// digamma(x), x > 0: the asymptotic series from 8 on, recurrence below (its sum of reciprocals kept as one fraction).
INLINE vd digamma_positive(vd x) {
  vd y = x, top = vd{}, bottom = all_lanes<vd>(1.0);
  for (int i = 0; i < 8; ++i) {
    const vl step = y < 8.0;
    top = select(step, top * y + bottom, top);
    bottom = select(step, bottom * y, bottom);
    y = select(step, y + 1.0, y);
  }
  const vd w = 1.0 / y, z = w * w;
  const vd series = z * horner(z, 1.0 / 12, -1.0 / 120, 1.0 / 252, -1.0 / 240, 1.0 / 132, -691.0 / 32760, 1.0 / 12,
                               -3617.0 / 8160, 43867.0 / 14364, -174611.0 / 6600);
  return (log(y) - 0.5 * w - series) - top / bottom;
}

INLINE vd digamma(vd x) {
  const vl negative = x < vd{};
  vd y = digamma_positive(select(negative, 1.0 - x, x));
  if (__builtin_expect(any(negative), 0)) {
    const vd r = x - rint(x), cotangent = copysign(cos_pi(r) / sin_pi(r), r);
    y = select(negative, select(r == vd{}, all_lanes<vd>(Real<vd>::NOT_A_NUMBER), y - 3.141592653589793 * cotangent), y);
  }
  return y;
}

// Sum of (q + k)^-s over k >= 0, for an integer s >= 2 and q > 0: terms up to q = s + 12, then Euler and Maclaurin.
inline __attribute__((noinline)) double hurwitz_zeta(int s, double q) {
  static const double bernoulli[8] = {1.0 / 12, -1.0 / 720, 1.0 / 30240, -1.0 / 1209600, 1.0 / 47900160,   // B(2j) / (2j)!
                                      -691.0 / 1307674368000.0, 1.0 / 74724249600.0, -3617.0 / 10670622842880000.0};
  const auto power = [s](double a) {                           // a^-s
    double y = 1;
    for (int e = s; e > 0; e >>= 1, a *= a)
      if (e & 1) y *= a;
    return 1 / y;
  };
  double sum = 0, a = q;
  for (; a < s + 12; a += 1) sum += power(a);
  double factor = s / a, series = 0.5 + a / (s - 1);
  for (int j = 0; j < 8; ++j) {
    series += bernoulli[j] * factor;
    factor *= (double(s) + 2 * j + 1) * (double(s) + 2 * j + 2) / (a * a);
  }
  return sum + power(a) * series;
}

// The n-th derivative of digamma for one n >= 1. Larger n than 170 has a factorial beyond any double.
inline __attribute__((noinline)) double polygamma_any(double order, double x) {
  const double inf = Real<vd>::INF, nan = Real<vd>::NOT_A_NUMBER;
  if (!(order >= 1 && order <= 1000) || order != double(int(order)) || x != x || x == -inf) return nan;
  const int n = int(order);
  double factor = n % 2 == 0 ? -1 : 1;
  for (int i = 2; i <= n; ++i) factor *= i;
  if (x > 0) return x == inf ? factor * 0.0 : factor * hurwitz_zeta(n + 1, x);
  const double f = x - floor(broadcast(x))[0];
  if (f == 0) return factor * inf;
  // The terms below zero, f - 1 down to x, are the first ones of another zeta function.
  const double below = hurwitz_zeta(n + 1, 1 - f) - hurwitz_zeta(n + 1, 1 - x);
  return factor * (hurwitz_zeta(n + 1, f) + (n % 2 == 1 ? below : -below));
}

// A rare function, lane by lane; of order 0 it is digamma.
INLINE vd polygamma(vd order, vd x) {
  const vl zero = order == vd{};
  vd y = x;
  if (any(zero)) y = digamma(x);
  for (int i = 0; i < LANES_D; ++i)
    if (!zero[i]) y[i] = polygamma_any(order[i], x[i]);
  return y;
}

}  // namespace chainrule::VARIANT
