import { computeType } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import { type Spec, specOf } from '../core/spec.js';
import { type Expr, input } from '../expr/expr.js';
import type { ReduceKernel } from '../program/kernel.js';
import type { Tensor } from '../tensor/tensor.js';
import { defineOp, type Op } from './define.js';
import { countOf, type DimOptions, type FoldParams, foldParams, shareEvenly, spread } from './foldRows.js';
import { mapTyped } from './mapTyped.js';

/** The reduction under all norms. */

export interface PNormOptions extends DimOptions {
  /** 2 or 'fro': Euclidean (the default). 1: sum of sizes. ±Infinity: largest or smallest size. 0: how many are not 0. */
  readonly p?: number | 'fro';
}
interface NormParams extends FoldParams {
  readonly p: number;
}
type Norm = Op<[x: Tensor, options?: PNormOptions]>;

/** How a norm folds: Σ |x|ᵖ to the 1/p, or an extreme of |x|. */
function normFold(p: number): Pick<ReduceKernel, 'by' | 'expr' | 'finish'> {
  const size = input(0).abs();
  if (p === Number.POSITIVE_INFINITY) return { by: 'max', expr: size };
  if (p === Number.NEGATIVE_INFINITY) return { by: 'min', expr: size };
  if (p === 0) return { by: 'sum', expr: input(0).notEqual(0) };
  if (p === 1) return { by: 'sum', expr: size };
  if (p === 2) return { by: 'sum', expr: input(0).mul(input(0)), finish: input(0).sqrt() };
  return { by: 'sum', expr: size.pow(p), finish: input(0).pow(1 / p) };
}

/** The gradient over (gradient, x, norm): 0 where the norm is, and at elements that are 0. */
function normSlope(p: number): Expr {
  const [g, x, y] = [input(0), input(1), input(2)];
  if (p === 1) return g.mul(x.sign());
  if (p === 2) return y.equal(0).select(0, g.mul(x).div(y));
  return x.equal(0).select(
    0,
    g.mul(x.sign()).mul(
      x
        .abs()
        .div(y)
        .pow(p - 1),
    ),
  );
}

/** The p-norm over `dim`. Its gradient at zero is 0. */
export const pNorm: Norm = defineOp({
  name: 'norm',
  args(x: Tensor, { p = 2, ...options }: PNormOptions = {}) {
    const params: NormParams = { ...foldParams('norm', x, options), p: p === 'fro' ? 2 : p };
    return { inputs: [x], params, key: `${params.p}|${params.dims}|${params.keepdim}` };
  },
  infer([x], { out, dtype, p, dims }: NormParams) {
    if (computeType(dtype) === 'int32')
      throw new LibError('dtype', `norm: the tensor must be of a floating type, got ${dtype}.`, 'convert with float() first.');
    if (Number.isNaN(p)) throw new LibError('value', 'norm: p must be a number, got NaN.');
    if (Math.abs(p) === Number.POSITIVE_INFINITY && countOf((x as Spec).shape, dims) === 0) {
      throw new LibError('shape', 'norm: there must be elements to choose from, got none.');
    }
    return specOf(dtype, out);
  },
  kernel: ({ p, dims }: NormParams, [x]) => {
    const { shape, dtype } = x as Spec;
    return { family: 'reduce', ...normFold(p), dims, shape, compute: computeType(dtype) };
  },
  saves: ({ p }) => (p === 0 ? [] : [0, 'output']),
  grad([g], { inputs: [x], output, params: { p, dims } }) {
    if (!g || !x || p === 0) return [null];
    if (Math.abs(p) === Number.POSITIVE_INFINITY) return [shareEvenly(g, x.abs(), output, dims).mul(x.detach().sign())];
    const inputs = [spread(g, x, dims), x, spread(output, x, dims)];
    return [mapTyped('normBackward', inputs, normSlope(p), { dtype: x.dtype })];
  },
  *samples(random): Iterable<[x: Tensor, options?: PNormOptions]> {
    yield [random([3]), { p: 3 }];
  },
  torch: null,
});
