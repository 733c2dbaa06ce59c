/**
 * Chebyshev coefficients of special functions, computed from integrals when they are first asked for (a millisecond each). `u` is in
 * [0, 1], t = 2u - 1. The absolute error of each series is about 5e-16 of its largest value.
 */

export type Fit = () => readonly number[];

function fit(terms: number, f: (u: number) => number): Fit {
  let known: readonly number[] | undefined;
  return () => {
    known ??= chebyshev(terms, f);
    return known;
  };
}

/** From the values at the zeros of T_n, which hold neither end. */
function chebyshev(n: number, f: (u: number) => number): readonly number[] {
  const cos = (odd: number): number => Math.cos((Math.PI * (odd % (4 * n))) / (2 * n));
  const values = Array.from({ length: n }, (_, j) => f((1 + cos(2 * j + 1)) / 2));
  return values.map((_, k) => values.reduce((sum, y, j) => sum + y * cos(k * (2 * j + 1)), 0) * ((k === 0 ? 1 : 2) / n));
}

interface Complex {
  readonly p: number;
  readonly q: number;
}

/**
 * p + iq = ∫ exp(-s) s^(ν - 1/2) (1 + c s / 2z)^(ν - 1/2) ds / Γ(ν + 1/2) over s > 0, c = i or 1: what Hankel's function, or K, is beyond
 * its phase and √z. With s = exp(v) the trapezoidal rule errs by less than exp(-2π · (π / 2) / step), whatever z is; the sum is of what
 * differs from 1.
 */
function hankel(order: number, z: number, c: 'i' | 1 = 'i'): Complex {
  let [norm, p, q] = [0, 0, 0];
  const power = order - 0.5;
  for (let v = -80; v < 4; v += 0.25) {
    const s = Math.exp(v);
    const weight = Math.exp((order + 0.5) * v - s);
    const t = s / (2 * z);
    const size = power * (c === 'i' ? Math.log1p(t * t) / 2 : Math.log1p(t));
    const angle = c === 'i' ? power * Math.atan(t) : 0;
    norm += weight;
    p += weight * (Math.expm1(size) - 2 * Math.exp(size) * Math.sin(angle / 2) ** 2);
    q += weight * Math.exp(size) * Math.sin(angle);
  }
  return { p: 1 + p / norm, q: q / norm };
}

/** √x exp(-x) I(x), the mean of exp(x (cos a - 1)) cos(na) over a circle. */
function scaledI(order: number, x: number): number {
  const count = 1024;
  let sum = 0;
  for (let k = 0; k < count; k++) {
    const a = (Math.PI * (k + 0.5)) / count;
    sum += Math.exp(-2 * x * Math.sin(a / 2) ** 2) * Math.cos(order * a);
  }
  return (sum / count) * Math.sqrt(x);
}
const scaledK = (order: number, x: number): number => Math.sqrt(Math.PI / 2) * hankel(order, x, 1).p;

/** J and Y. */
function bessel(order: number, x: number): { readonly j: number; readonly y: number } {
  const { p, q } = hankel(order, x);
  const phase = x - (order * Math.PI) / 2 - Math.PI / 4;
  const scale = Math.sqrt(2 / (Math.PI * x));
  const [cos, sin] = [scale * Math.cos(phase), scale * Math.sin(phase)];
  return { j: p * cos - q * sin, y: p * sin + q * cos };
}
const logarithmic = 2 / Math.PI;

/** sqrt(x) exp(-x) I0(x), x = 8 / u. */
export const I0E_FAR: Fit = fit(23, (u) => scaledI(0, 8 / u));
/** sqrt(x) exp(-x) I1(x), x = 8 / u. */
export const I1E_FAR: Fit = fit(23, (u) => scaledI(1, 8 / u));
/** sqrt(x) exp(x) K0(x), x = 2 / u. */
export const K0E_FAR: Fit = fit(22, (u) => scaledK(0, 2 / u));
/** sqrt(x) exp(x) K1(x), x = 2 / u. */
export const K1E_FAR: Fit = fit(22, (u) => scaledK(1, 2 / u));

/** Of functions of x² up to 64. */
const near = (f: (x: number) => number): Fit => fit(17, (u) => f(8 * Math.sqrt(u)));
/** J0(x), x^2 = 64u. */
export const J0_NEAR: Fit = near((x) => bessel(0, x).j);
/** J1(x) / x, x^2 = 64u. */
export const J1_NEAR: Fit = near((x) => bessel(1, x).j / x);
/** Y0(x) - 2 / pi log(x) J0(x), x^2 = 64u. */
export const Y0_NEAR: Fit = near((x) => {
  const { j, y } = bessel(0, x);
  return y - logarithmic * Math.log(x) * j;
});
/** (Y1(x) - 2 / pi (log(x) J1(x) - 1 / x)) / x, x^2 = 64u. */
export const Y1_NEAR: Fit = near((x) => {
  const { j, y } = bessel(1, x);
  return (y - logarithmic * (Math.log(x) * j - 1 / x)) / x;
});

/** P of order 0, (8 / x)^2 = u. */
export const P0_FAR: Fit = fit(12, (u) => hankel(0, 8 / Math.sqrt(u)).p);
/** x Q of order 0, (8 / x)^2 = u. */
export const Q0_FAR: Fit = fit(14, (u) => (hankel(0, 8 / Math.sqrt(u)).q * 8) / Math.sqrt(u));
/** P of order 1, (8 / x)^2 = u. */
export const P1_FAR: Fit = fit(12, (u) => hankel(1, 8 / Math.sqrt(u)).p);
/** x Q of order 1, (8 / x)^2 = u. */
export const Q1_FAR: Fit = fit(14, (u) => (hankel(1, 8 / Math.sqrt(u)).q * 8) / Math.sqrt(u));

// Airy's function is K, or Hankel's, of order 1/3 at 2/3 |x|^1.5.
const third = 1 / 3;
const rootPi = Math.sqrt(Math.PI);
/** Ai(x), x = 4u - 4. */
export const AIRY_LEFT: Fit = fit(26, (u) => {
  const x = 4 - 4 * u;
  const z = (2 / 3) * x ** 1.5;
  const { p, q } = hankel(third, z);
  return (p * Math.cos(z - Math.PI / 4) - q * Math.sin(z - Math.PI / 4)) / (rootPi * x ** 0.25);
});
/** Ai(x) exp(2/3 x^1.5) (1 + x)^0.25, sqrt(x) = 2u. */
export const AIRY_RIGHT: Fit = fit(32, (u) => {
  const x = 4 * u * u;
  return (hankel(third, (2 / 3) * x ** 1.5, 1).p * (1 + 1 / x) ** 0.25) / (2 * rootPi);
});
/** Ai(x) exp(z) x^0.25 for z = 2/3 x^1.5 = 16 / (3u). */
export const AIRY_FAR: Fit = fit(15, (u) => hankel(third, 16 / (3 * u), 1).p / (2 * rootPi));
/** The even part of Ai(-x) x^0.25 for z = 2/3 x^1.5, (16 / (3z))^2 = u. */
export const AIRY_P: Fit = fit(16, (u) => hankel(third, 16 / (3 * Math.sqrt(u))).p / rootPi);
/** z times the odd part. */
export const AIRY_Q: Fit = fit(20, (u) => {
  const z = 16 / (3 * Math.sqrt(u));
  return (-z * hankel(third, z).q) / rootPi;
});

/** (1 + 2x) exp(x²) erfc(x) from the integral of 2 / √π · exp(-s² - 2xs) over s = exp(v) > 0. */
function scaledErfc(x: number): number {
  let sum = 0;
  for (let v = -60; v < 2; v += 0.125) sum += Math.exp(v - Math.exp(v) * (Math.exp(v) + 2 * x));
  return ((sum * 0.25) / rootPi) * (1 + 2 * x);
}
/** (1 + 2x) exp(x^2) erfc(x), t = (x - 4) / (x + 4). */
export const ERFCX: Fit = fit(24, (u) => scaledErfc((4 * u) / (1 - u)));

/** (x + r) r for the x with ndtr(x) = p, r = sqrt(-2 log p), 1 / r from 1 / `to` to 1 / `from`: by Newton's steps on the logarithm. */
const quantile = (terms: number, from: number, to: number): Fit =>
  fit(terms, (u) => {
    const r = 1 / (1 / to + u * (1 / from - 1 / to));
    // x = d / r - r, with d between 2 and 7: log ndtr(x) + r² / 2 without the squares that cancel.
    let d = 2 * Math.log(r) + 1.8;
    for (let i = 0; i < 8; i++) {
      const z = (r - d / r) * Math.SQRT1_2;
      const scaled = scaledErfc(z) / (1 + 2 * z);
      const miss = Math.log(scaled / 2) + d - (d * d) / (2 * r * r);
      d -= (miss * r * scaled) / Math.sqrt(logarithmic);
    }
    return d;
  });
/** 1 / r from 1 / 6 to 1 / 2. */
export const NDTRI_TAIL: Fit = quantile(26, 2, 6);
/** 1 / r from 1 / 39 to 1 / 6. */
export const NDTRI_FAR: Fit = quantile(41, 6, 39);
