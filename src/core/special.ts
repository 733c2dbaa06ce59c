import { horner, lgammaFar } from './stirling.js';

/** The elementary functions of float64 that JavaScript's Math lacks. All but lgamma and digamma are good to a few ulp. */

// Minimax fits of our own (Remez, 50 digits), the same as the engine's (engine/math_f64.h).

/** erf(x) / x - 1 in x^2 <= 1: error 2^-62. */
const ERF = [
  0.1283791670955126, -0.3761263890318375, 0.11283791670954885, -0.026866170645077868, 0.005223977624828384, -0.0008548326981423567,
  0.00012055331132903206, -1.4925595771308313e-5, 1.646100846950011e-6, -1.635039619170617e-7, 1.4660328878822248e-8,
  -1.1374957695372553e-9, 5.960690849894627e-11,
];

/** (1 + 2x) exp(x^2) erfc(x) in t = (x - 4) / (x + 4), x >= 0.45: error 2^-59. */
const ERFC = [
  1.2329951186255526, -0.13962111684056247, 0.015379652102619696, 0.06809705425468776, -0.10103906603630024, 0.09373283499856092,
  -0.06633036581234424, 0.0371675155333278, -0.016197734055919677, 0.005031970023056462, -0.0007577733042634588, -0.00019925699144952036,
  0.00015062175663392804, -2.439796382732041e-5, -1.1222301142761349e-5, 5.7062818537098475e-6, 2.9440591559407133e-7,
  -8.192115160871534e-7, 7.381650870617286e-8, 1.0302472904375574e-7, -1.729220804736733e-8, -9.57454030984969e-9, 1.635377762842242e-9,
];

/** log Gamma(2 + z) / z, |z| <= 1/2: error 2^-58. */
const LGAMMA = [
  0.42278433509846713, 0.32246703342411326, -0.06735230105319817, 0.020580808427780335, -0.007385551028664107, 0.002890510331036758,
  -0.0011927539121671983, 0.0005096695153486314, -0.00022315474732630572, 9.945767439909425e-5, -4.492639061524313e-5, 2.050558438653685e-5,
  -9.438190497050409e-6, 4.38473186455707e-6, -2.045981289167719e-6, 9.199899937774983e-7, -4.2809202915358514e-7, 2.7879992177970305e-7,
  -1.3614054570712147e-7,
];

/** The asymptotic series of digamma: B(2k) / 2k. */
const DIGAMMA = [1 / 12, -1 / 120, 1 / 252, -1 / 240, 1 / 132, -691 / 32760, 1 / 12, -3617 / 8160, 43867 / 14364, -174611 / 6600];

const erfNear = (x: number): number => x + x * horner(x * x, ERF);

/** erfc(a), a >= 0.45. Splitting a at 2^-26 makes the square of its head exact, so that exp loses nothing. */
function erfcFar(a: number): number {
  if (a > 27.5) return 0;
  const head = Math.round(a * 2 ** 21) / 2 ** 21;
  const rest = (head - a) * (head + a);
  return (Math.exp(-head * head) * Math.exp(rest) * horner((a - 4) / (a + 4), ERFC)) / (1 + 2 * a);
}

/**
 * The error function, 2 / sqrt(pi) * integral of exp(-t^2) from 0 to x.
 * @example erf(1) // 0.8427007929497149
 */
export function erf(x: number): number {
  const a = Math.abs(x);
  if (a < 1) return erfNear(x);
  return x < 0 ? erfcFar(a) - 1 : 1 - erfcFar(a);
}

/**
 * 1 - erf(x), accurate where erf is nearly 1.
 * @example erfc(5) // 1.537459794428035e-12
 */
export function erfc(x: number): number {
  const a = Math.abs(x);
  if (a < 0.5) return 0.5 + (0.5 - erfNear(x));
  return x < 0 ? 2 - erfcFar(a) : erfcFar(a);
}

/**
 * The x with erf(x) = y; infinite at -1 and 1, NaN beyond.
 * @example erfinv(0.5) // 0.4769362762044699
 */
export function erfinv(y: number): number {
  const a = Math.abs(y);
  if (!(a < 1)) return a === 1 ? y * Number.POSITIVE_INFINITY : Number.NaN;
  if (a < 1e-9) return y * HALF_ROOT_PI;
  // Starting from Winitzki's formula (2e-3), Halley's steps cube the error: three are one more than enough.
  const l = Math.log1p(-a * a);
  const b = 4.330746750799873 + l / 2;
  let x = Math.sqrt(Math.max(0, Math.sqrt(b * b - l / 0.147) - b));
  if (a < 0.5) x = Math.min(x, a);
  for (let i = 0; i < 3; i++) {
    const miss = a < 0.5 ? erf(x) - a : 1 - a - erfc(x);
    const step = miss * HALF_ROOT_PI * Math.exp(x * x);
    x -= step / (1 + x * step);
  }
  return y < 0 ? -x : x;
}

const HALF_ROOT_PI = 0.886226925452758;

/** sin(pi x) and cos(pi x) of |x| <= 1/2, exact at 0 and 1/2. */
const sinPi = (x: number): number => (Math.abs(x) > 0.25 ? Math.sign(x) * Math.cos(Math.PI * (0.5 - Math.abs(x))) : Math.sin(Math.PI * x));
const cosPi = (x: number): number => sinPi(0.5 - Math.abs(x));

/** x less the nearest integer. */
const fromInteger = (x: number): number => x - Math.round(x);

/**
 * log |Gamma(x)|; infinite at 0, -1, -2, ... Relative accuracy is lost only near its zeros below 0.
 * @example lgamma(10) // 12.801827480081469
 */
export function lgamma(x: number): number {
  if (Math.abs(x) === Number.POSITIVE_INFINITY) return Number.POSITIVE_INFINITY;
  if (x <= 0) {
    if (Number.isInteger(x)) return Number.POSITIVE_INFINITY;
    if (x > -(2 ** -60)) return -Math.log(-x);
    return 1.1447298858494002 - Math.log(-x * Math.abs(sinPi(fromInteger(x)))) - lgamma(-x);
  }
  if (x >= 8) return lgammaFar(x);
  if (x < 0.5) return x * horner(x, LGAMMA) - Math.log(x * (x + 1));
  if (x < 1.5) return (x - 1) * horner(x - 1, LGAMMA) - (x < 0.75 ? Math.log(x) : Math.log1p(x - 1));
  let y = x;
  let product = 1;
  for (; y > 2.5; product *= y) y -= 1;
  return (y - 2) * horner(y - 2, LGAMMA) + Math.log(product);
}

/**
 * The derivative of lgamma; -Infinity at 0 (as PyTorch), NaN at -1, -2, ... Absolute accuracy 1e-15 near its zeros.
 * @example digamma(1) // -0.5772156649015329, minus Euler's constant
 */
export function digamma(x: number): number {
  if (x === 0) return -1 / x;
  if (x < 0) {
    if (Number.isInteger(x) || x === Number.NEGATIVE_INFINITY) return Number.NaN;
    const r = fromInteger(x);
    return digamma(1 - x) - (Math.PI * cosPi(r)) / sinPi(r);
  }
  let sum = 0;
  let y = x;
  for (; y < 8; y++) sum += 1 / y;
  const z = 1 / (y * y);
  return Math.log(y) - 0.5 / y - z * horner(z, DIGAMMA) - sum;
}

/** B(2j) / (2j)! */
const EULER_MACLAURIN = [
  1 / 12,
  -1 / 720,
  1 / 30240,
  -1 / 1209600,
  1 / 47900160,
  -691 / 1307674368000,
  1 / 74724249600,
  -3617 / 10670622842880000,
];

/** Sum of (q + k)^-s over k >= 0, for an integer s >= 2 and q > 0: terms up to q = s + 12, then Euler and Maclaurin. */
function hurwitzZeta(s: number, q: number): number {
  let sum = 0;
  let a = q;
  for (; a < s + 12; a++) sum += a ** -s;
  const power = a ** -s;
  let factor = s / a;
  let series = 0.5 + a / (s - 1);
  EULER_MACLAURIN.forEach((c, j) => {
    series += c * factor;
    factor *= ((s + 2 * j + 1) * (s + 2 * j + 2)) / (a * a);
  });
  return sum + power * series;
}

/**
 * The n-th derivative of digamma at x, n a non-negative integer; infinite at 0, -1, -2, ... for n > 0.
 * @example polygamma(1, 1) // 1.6449340668482264, pi^2 / 6
 */
export function polygamma(n: number, x: number): number {
  if (n === 0) return digamma(x);
  if (!(n > 0 && Number.isInteger(n)) || Number.isNaN(x)) return Number.NaN;
  const s = n + 1;
  let factor = n % 2 === 0 ? -1 : 1;
  for (let i = 2; i <= n; i++) factor *= i;
  if (x > 0) return x === Number.POSITIVE_INFINITY ? factor * 0 : factor * hurwitzZeta(s, x);
  if (x === Number.NEGATIVE_INFINITY) return Number.NaN;
  const f = x - Math.floor(x);
  if (f === 0) return factor * Number.POSITIVE_INFINITY;
  // The terms below zero, f - 1 down to x, are the first ones of another zeta function.
  const below = hurwitzZeta(s, 1 - f) - hurwitzZeta(s, 1 - x);
  return factor * (hurwitzZeta(s, f) + (s % 2 === 0 ? below : -below));
}
