import type { Tensor } from '../tensor/tensor.js';
import { type Pointwise, unary } from './elementwise.js';
import * as of from './specialExprs.js';

const WIDE = [-30, -9, -8, -1, 0, 1e-3, 2, 7.9, 8.1, 60] as const;

/** The modified Bessel function of the first kind of order 0. */
export const i0: Pointwise<[x: Tensor]> = unary('i0', {
  expr: of.i0,
  grad: (g, x) => g.mul(of.i1(x)),
  points: WIDE,
});
