import { derivative, type Expr } from '../expr/expr.js';
import type { Tensor } from '../tensor/tensor.js';
import { binary, type Pointwise, type TensorOrNumber, unary } from './elementwise.js';
import * as of from './specialExprs.js';

/** torch.special beyond torch: Bessel functions, the normal distribution, the zeta function. Functions of `special`, and no methods. */

type Unary = Pointwise<[x: Tensor]>;
type Binary = Pointwise<[a: Tensor, b: TensorOrNumber]>;

const special = (name: string): { readonly call: string } => ({ call: `torch.special.${name}(a[0])` });
/** Where PyTorch has no gradient. */
const undifferentiated = (name: string): { readonly call: string } => ({ call: `torch.special.${name}(a[0].detach())` });
/** A slope with a removable singularity at 0. */
const filled = (x: Expr, atZero: number, slope: Expr): Expr => x.equal(0).select(atZero, slope);
const WIDE = [-30, -9, -8, -1, 0, 1e-3, 2, 7.9, 8.1, 60] as const;
const POSITIVE = [0.5, 1.9, 2.1, 30] as const;
const AWAY = [-30, -9, -8, -1, 2, 7.9, 8.1, 60] as const;

/** exp(-|x|) · i0(x), which does not overflow. */
export const i0e: Unary = unary('i0e', {
  expr: of.i0e,
  grad: (g, x, y) => g.mul(of.i1e(x).sub(x.sign().mul(y))),
  points: AWAY,
  torch: special('i0e'),
});
/** The modified Bessel function of the first kind of order 1. */
export const i1: Unary = unary('i1', {
  expr: of.i1,
  grad: (g, x, y) => g.mul(filled(x, 0.5, of.i0(x).sub(y.div(x)))),
  points: WIDE,
  torch: special('i1'),
});
/** exp(-|x|) · {@link i1}(x), which does not overflow. */
export const i1e: Unary = unary('i1e', {
  expr: of.i1e,
  grad: (g, x, y) => g.mul(filled(x, 0.5, of.i0e(x).sub(y.mul(x.sign().add(x.reciprocal()))))),
  points: AWAY,
  torch: special('i1e'),
});
/** The Bessel function of the first kind of order 0. */
export const besselJ0: Unary = unary('besselJ0', {
  expr: of.j0,
  grad: (g, x) => g.mul(of.j1(x)).neg(),
  points: WIDE,
  torch: special('bessel_j0'),
});
/** The Bessel function of the first kind of order 1. */
export const besselJ1: Unary = unary('besselJ1', {
  expr: of.j1,
  grad: (g, x, y) => g.mul(filled(x, 0.5, of.j0(x).sub(y.div(x)))),
  points: WIDE,
  torch: special('bessel_j1'),
});
/** The Bessel function of the second kind of order 0, for x > 0. */
export const besselY0: Unary = unary('besselY0', {
  expr: of.y0,
  grad: (g, x) => g.mul(of.y1(x)).neg(),
  domain: [0.3, 4.5],
  points: POSITIVE,
  torch: special('bessel_y0'),
});
/** The Bessel function of the second kind of order 1, for x > 0. */
export const besselY1: Unary = unary('besselY1', {
  expr: of.y1,
  grad: (g, x, y) => g.mul(of.y0(x).sub(y.div(x))),
  domain: [0.3, 4.5],
  points: POSITIVE,
  torch: special('bessel_y1'),
});
/** The modified Bessel function of the first kind of order 0: another name of {@link i0}. */
export const modifiedBesselI0: Unary = unary('modifiedBesselI0', {
  expr: of.i0,
  grad: (g, x) => g.mul(of.i1(x)),
  torch: special('modified_bessel_i0'),
});
/** The modified Bessel function of the first kind of order 1: another name of {@link i1}. */
export const modifiedBesselI1: Unary = unary('modifiedBesselI1', {
  expr: of.i1,
  grad: (g, x, y) => g.mul(filled(x, 0.5, of.i0(x).sub(y.div(x)))),
  torch: special('modified_bessel_i1'),
});
/** The modified Bessel function of the second kind of order 0, for x > 0. */
export const modifiedBesselK0: Unary = unary('modifiedBesselK0', {
  expr: of.k0,
  grad: (g, x) => g.mul(of.k1(x)).neg(),
  domain: [0.3, 6],
  points: POSITIVE,
  torch: special('modified_bessel_k0'),
});
/** The modified Bessel function of the second kind of order 1, for x > 0. */
export const modifiedBesselK1: Unary = unary('modifiedBesselK1', {
  expr: of.k1,
  grad: (g, x, y) => g.mul(of.k0(x).add(y.div(x))).neg(),
  domain: [0.3, 6],
  points: POSITIVE,
  torch: special('modified_bessel_k1'),
});
/** exp(x) · {@link modifiedBesselK0}(x), which does not underflow. */
export const scaledModifiedBesselK0: Unary = unary('scaledModifiedBesselK0', {
  expr: of.k0e,
  grad: (g, x, y) => g.mul(y.sub(of.k1e(x))),
  domain: [0.3, 6],
  points: POSITIVE,
  torch: undifferentiated('scaled_modified_bessel_k0'),
});
/** exp(x) · {@link modifiedBesselK1}(x), which does not underflow. */
export const scaledModifiedBesselK1: Unary = unary('scaledModifiedBesselK1', {
  expr: of.k1e,
  grad: (g, x, y) => g.mul(y.sub(of.k0e(x)).sub(y.div(x))),
  domain: [0.3, 6],
  points: POSITIVE,
  torch: undifferentiated('scaled_modified_bessel_k1'),
});
/** sin(x) / x, and 1 at 0: the spherical Bessel function of order 0. */
export const sphericalBesselJ0: Unary = unary('sphericalBesselJ0', {
  expr: (x) => x.equal(0).select(1, x.sin().div(x)),
  grad: (g, x, y) => x.equal(0).select(0, g.mul(x.cos().sub(y)).div(x)),
  points: [1, -2.5, 40],
  torch: undifferentiated('spherical_bessel_j0'),
});
/** The Airy function Ai. */
export const airyAi: Unary = unary('airyAi', {
  expr: of.airyAi,
  domain: [-6, 6],
  points: [-20, -4.1, -3.9, 0.1, 3.9, 4.1, 10],
  torch: null, // PyTorch 2.15 has 4 digits in places
});

/** exp(x²) · erfc(x), which does not underflow for large x. */
export const erfcx: Unary = unary('erfcx', {
  expr: of.erfcx,
  grad: (g, x, y) =>
    g.mul(
      x
        .mul(y)
        .mul(2)
        .sub(2 / Math.sqrt(Math.PI)),
    ),
  points: [-2, 0, 1, 30, 1000],
  torch: special('erfcx'),
});
/** -x · log x; 0 at 0, -∞ below: the terms of an entropy. */
export const entr: Unary = unary('entr', {
  expr: (x) => x.equal(0).select(0, x.less(0).select(Number.NEGATIVE_INFINITY, x.mul(x.log()).neg())),
  grad: (g, x) => g.mul(x.log().add(1)).neg(),
  domain: [0.1, 3],
  points: [0.5, 1],
  torch: special('entr'),
});
/** The area under the normal density up to x. */
export const ndtr: Unary = unary('ndtr', {
  expr: of.ndtr,
  grad: (g, x) => g.mul(x.mul(x).mul(-0.5).exp()).mul(1 / Math.sqrt(2 * Math.PI)),
  points: [-20, -3, 0, 3],
  torch: special('ndtr'),
});
/** The logarithm of {@link ndtr}, exact far below 0. */
export const logNdtr: Unary = unary('logNdtr', {
  expr: of.logNdtr,
  grad: (g, x) => g.mul(Math.sqrt(2 / Math.PI)).div(of.erfcx(x.mul(-Math.SQRT1_2))),
  points: [-6, -1, 0, 3],
  torch: special('log_ndtr'),
});
/** The inverse of {@link ndtr}: infinite at 0 and 1, NaN outside. */
export const ndtri: Unary = unary('ndtri', {
  expr: of.ndtri,
  grad: (g, _, y) => g.mul(y.mul(y).mul(0.5).exp()).mul(Math.sqrt(2 * Math.PI)),
  domain: [0.05, 0.95],
  points: [0.01, 0.13, 0.14, 0.5, 0.86, 0.87, 0.99],
  torch: special('ndtri'),
});

/** a · log(1 + b), which is 0 where a is 0 (unless b is NaN). */
export const xlog1py: Binary = binary('xlog1py', {
  expr: (a, b) => a.equal(0).mul(b.isnan().not()).select(0, a.mul(b.log1p())),
  grad: (g, a, b) => [a.equal(0).mul(b.lessEqual(-1)).select(0, g.mul(b.log1p())), g.mul(a).div(b.add(1))],
  result: 'float',
  domain: [-0.6, 3],
  points: [
    [0, 2],
    [1, 0.5],
    [0, 0.25],
  ],
  torch: { call: 'torch.special.xlog1py(a[0], a[1])' },
});
/** Hurwitz's zeta function Σ (b + k)^-a over k ≥ 0, a > 1. */
export const zeta: Binary = binary('zeta', {
  expr: of.zeta,
  grad: (g, s, q) => [g.mul(derivative(of.zeta(s, q), 0)), g.mul(s.mul(of.zeta(s.add(1), q))).neg()],
  result: 'float',
  domain: [1.3, 4],
  points: [
    [2, 0.1],
    [1, 2],
    [6.5, 20],
  ],
  torch: { call: 'torch.special.zeta(a[0], a[1])' },
});
