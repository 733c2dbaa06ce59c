import { constant, type Expr } from '../expr/expr.js';
import * as fits from './specialFits.js';

/** Special functions as expressions: series of specialFits.ts on the parts of the line, joined. */

/** Σ c[k] T_k(t) by Clenshaw's recurrence. */
function series(t: Expr, fit: fits.Fit): Expr {
  const c = fit();
  let [next, last]: [Expr, Expr] = [constant(0), constant(0)];
  const twice = t.mul(2);
  for (let k = c.length - 1; k > 0; k--)
    [next, last] = [
      twice
        .mul(next)
        .sub(last)
        .add(c[k] as number),
      next,
    ];
  return t
    .mul(next)
    .sub(last)
    .add(c[0] as number);
}
/** The series in u from 0 to 1. */
const unit = (u: Expr, fit: fits.Fit): Expr => series(u.mul(2).sub(1), fit);

/** Σ weight(k) t^k / (k! (k + order)!): of I and K near the origin, t = x² / 4. The terms fall and hardly cancel. */
function powers(t: Expr, order: 0 | 1, count: number, weight: (k: number) => number = () => 1): Expr {
  const c: number[] = [];
  for (let k = 0, falling = 1; k < count; k++, falling /= k * (k + order)) c.push(weight(k) * falling);
  return c.reduceRight((sum, v) => sum.mul(t).add(v), constant(0));
}
const quarter = (x: Expr): Expr => x.mul(x).mul(1 / 4);
const EULER_GAMMA = 0.5772156649015329;
/** Digamma at k + 1. */
const psi = (k: number): number => (k === 0 ? -EULER_GAMMA : psi(k - 1) + 1 / k);

/** exp(-|x|) I(x) from its power series up to 8 and from the fit beyond, times `sign`. */
function scaledI(a: Expr, series8: Expr, far: fits.Fit, sign: Expr): Expr {
  const u = constant(8).div(a);
  return a.lessEqual(8).select(series8.mul(a.neg().exp()), unit(u, far).mul(a.rsqrt()).mul(sign));
}
/** exp(-|x|) I0(x). */
export function i0e(x: Expr): Expr {
  const a = x.abs();
  return scaledI(a, powers(quarter(x), 0, 25), fits.I0E_FAR, constant(1));
}
/** exp(-|x|) I1(x). */
export function i1e(x: Expr): Expr {
  const a = x.abs();
  return scaledI(a, powers(quarter(x), 1, 25).mul(x.mul(0.5)), fits.I1E_FAR, x.sign());
}
export const i0 = (x: Expr): Expr => i0e(x).mul(x.abs().exp());
export const i1 = (x: Expr): Expr => i1e(x).mul(x.abs().exp());

/** Joins K at 2; infinite at 0, NaN below. */
const joinedK = (x: Expr, near: Expr, far: Expr): Expr =>
  x.equal(0).select(Number.POSITIVE_INFINITY, x.less(0).select(Number.NaN, x.lessEqual(2).select(near, far)));
function k0Parts(x: Expr): readonly [near: Expr, far: Expr] {
  const t = quarter(x);
  const near = powers(t, 0, 12, psi).sub(
    x
      .mul(0.5)
      .log()
      .mul(powers(t, 0, 12)),
  );
  return [near, unit(constant(2).div(x), fits.K0E_FAR).mul(x.rsqrt())];
}
function k1Parts(x: Expr): readonly [near: Expr, far: Expr] {
  const [t, half] = [quarter(x), x.mul(0.5)];
  const near = half
    .log()
    .mul(powers(t, 1, 12))
    .sub(powers(t, 1, 12, (k) => psi(k) / 2 + psi(k + 1) / 2))
    .mul(half)
    .add(x.reciprocal());
  return [near, unit(constant(2).div(x), fits.K1E_FAR).mul(x.rsqrt())];
}
export function k0(x: Expr): Expr {
  const [near, far] = k0Parts(x);
  return joinedK(x, near, far.mul(x.neg().exp()));
}
export function k1(x: Expr): Expr {
  const [near, far] = k1Parts(x);
  return joinedK(x, near, far.mul(x.neg().exp()));
}
/** exp(x) K0(x). */
export function k0e(x: Expr): Expr {
  const [near, far] = k0Parts(x);
  return joinedK(x, near.mul(x.exp()), far);
}
/** exp(x) K1(x). */
export function k1e(x: Expr): Expr {
  const [near, far] = k1Parts(x);
  return joinedK(x, near.mul(x.exp()), far);
}

/** P and Q of order n at a > 8, over √(π a), and sin a ± cos a: what J and Y are made of far out. */
function hankel(a: Expr, p: fits.Fit, q: fits.Fit): { p: Expr; q: Expr; plus: Expr; minus: Expr } {
  const u = constant(64).div(a.mul(a));
  const scale = a.mul(Math.PI).rsqrt();
  const [sin, cos] = [a.sin(), a.cos()];
  return { p: unit(u, p).mul(scale), q: unit(u, q).div(a).mul(scale), plus: sin.add(cos), minus: sin.sub(cos) };
}
export function j0(x: Expr): Expr {
  const a = x.abs();
  const { p, q, plus, minus } = hankel(a, fits.P0_FAR, fits.Q0_FAR);
  return a.lessEqual(8).select(unit(a.mul(a).mul(1 / 64), fits.J0_NEAR), p.mul(plus).sub(q.mul(minus)));
}
export function j1(x: Expr): Expr {
  const a = x.abs();
  const { p, q, plus, minus } = hankel(a, fits.P1_FAR, fits.Q1_FAR);
  const far = p.mul(minus).add(q.mul(plus)).mul(x.sign());
  return a.lessEqual(8).select(unit(a.mul(a).mul(1 / 64), fits.J1_NEAR).mul(x), far);
}
const TWO_OVER_PI = 2 / Math.PI;
const joinedY = (x: Expr, near: Expr, far: Expr): Expr =>
  x.equal(0).select(Number.NEGATIVE_INFINITY, x.less(0).select(Number.NaN, x.lessEqual(8).select(near, far)));
export function y0(x: Expr): Expr {
  const u = x.mul(x).mul(1 / 64);
  const { p, q, plus, minus } = hankel(x, fits.P0_FAR, fits.Q0_FAR);
  const near = unit(u, fits.Y0_NEAR).add(x.log().mul(unit(u, fits.J0_NEAR)).mul(TWO_OVER_PI));
  return joinedY(x, near, p.mul(minus).add(q.mul(plus)));
}
export function y1(x: Expr): Expr {
  const u = x.mul(x).mul(1 / 64);
  const { p, q, plus, minus } = hankel(x, fits.P1_FAR, fits.Q1_FAR);
  const regular = unit(u, fits.Y1_NEAR).mul(x);
  const singular = x.log().mul(unit(u, fits.J1_NEAR)).mul(x).sub(x.reciprocal()).mul(TWO_OVER_PI);
  return joinedY(x, regular.add(singular), q.mul(minus).sub(p.mul(plus)));
}

export function airyAi(x: Expr): Expr {
  const a = x.abs();
  const r = a.sqrt();
  const zeta = a.mul(r).mul(2 / 3);
  const middle = unit(r.mul(0.5), fits.AIRY_RIGHT).mul(zeta.neg().exp()).mul(a.add(1).sqrt().rsqrt());
  const u = constant(16 / 3).div(zeta);
  const far = unit(u, fits.AIRY_FAR).mul(zeta.neg().exp()).mul(r.rsqrt());
  const right = x.lessEqual(4).select(middle, far);
  const [sin, cos] = [zeta.sin(), zeta.cos()];
  const even = unit(u.mul(u), fits.AIRY_P).mul(cos.add(sin));
  const odd = unit(u.mul(u), fits.AIRY_Q).div(zeta).mul(sin.sub(cos));
  const wave = even.add(odd).mul(Math.SQRT1_2).mul(r.rsqrt());
  const left = x.less(-4).select(wave, series(x.mul(0.5).add(1), fits.AIRY_LEFT));
  return x.less(0).select(left, right);
}

/** exp(x²) erfc(x). */
export function erfcx(x: Expr): Expr {
  const a = x.less(0).select(x.neg(), x); // |x|, but with a slope at 0
  const y = series(constant(1).sub(constant(8).div(a.add(4))), fits.ERFCX).div(a.mul(2).add(1));
  return x.less(0).select(x.mul(x).exp().mul(2).sub(y), y);
}
export function logNdtr(x: Expr): Expr {
  const z = x.mul(Math.SQRT1_2);
  const tail = erfcx(z.neg()).mul(0.5).log().sub(z.mul(z));
  return x.less(-1).select(tail, z.erfc().mul(-0.5).log1p());
}
export const ndtr = (x: Expr): Expr => x.mul(-Math.SQRT1_2).erfc().mul(0.5);

/** The x with ndtr(x) = p. */
export function ndtri(p: Expr): Expr {
  const upper = constant(0.5).less(p);
  const small = upper.select(constant(1).sub(p), p);
  const r = small.log().mul(-2).sqrt();
  const w = r.reciprocal();
  const at = (from: number, to: number): Expr =>
    w
      .sub(1 / to)
      .mul(2 / (1 / from - 1 / to))
      .sub(1);
  const tail = r
    .less(6)
    .select(series(at(2, 6), fits.NDTRI_TAIL), series(at(6, 39), fits.NDTRI_FAR))
    .mul(w)
    .sub(r);
  const far = upper.select(tail.neg(), tail);
  const near = p.mul(2).sub(1).erfinv().mul(Math.SQRT2);
  const inside = small.less(Math.exp(-2)).select(far, near);
  return p.equal(0).select(Number.NEGATIVE_INFINITY, p.equal(1).select(Number.POSITIVE_INFINITY, inside));
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
const DIRECT = 20;

/** Σ (q + k)^-s over k ≥ 0, s > 1: the first terms, then Euler and Maclaurin's series. */
export function zeta(s: Expr, q: Expr): Expr {
  const minus = s.neg();
  let sum = q.pow(minus);
  for (let k = 1; k < DIRECT; k++) sum = sum.add(q.add(k).pow(minus));
  const a = q.add(DIRECT);
  const [power, inverse] = [a.pow(minus), a.reciprocal()];
  let tail = a.div(s.sub(1)).add(0.5);
  let factor = s.mul(inverse);
  EULER_MACLAURIN.forEach((b, j) => {
    tail = tail.add(factor.mul(b));
    factor = factor
      .mul(s.add(2 * j + 1))
      .mul(s.add(2 * j + 2))
      .mul(inverse)
      .mul(inverse);
  });
  const pole = q.lessEqual(0).mul(q.floor().equal(q));
  const wild = q.less(0).mul(s.floor().notEqual(s));
  const value = pole.select(Number.POSITIVE_INFINITY, wild.select(Number.NaN, sum.add(tail.mul(power))));
  return s.equal(1).select(Number.POSITIVE_INFINITY, s.less(1).select(Number.NaN, value));
}
