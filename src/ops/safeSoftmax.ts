import type { DType } from '../core/dtype.js';
import { resolveDim } from '../core/shape.js';
import { input } from '../expr/expr.js';
import type { Tensor } from '../tensor/tensor.js';
import { defineCustom, type Op } from './define.js';
import { fuse, fuseSum, maxOver, needFloat } from './fused.js';

/** Over (x, max, Σ e^(x - max)): where nothing is allowed the max is -∞ and the sum 0. */
const shift = input(1).equal(Number.NEGATIVE_INFINITY).select(0, input(1));
const power = input(0).sub(shift).exp();
const share = power.div(input(2).equal(0).select(1, input(2)));
const product = input(0).mul(input(1));
const backward = input(1).mul(input(0).sub(input(2)));

export interface SafeSoftmaxOptions {
  /** Cast to this type first. Default: the tensor's own. */
  readonly dtype?: DType;
}
/** softmax over a dim that gives zeros, not NaN, where all of a row is -∞: a query that may look nowhere (torch._safe_softmax). */
export const safeSoftmax: Op<[x: Tensor, dim: number, options?: SafeSoftmaxOptions]> = defineCustom({
  name: 'safeSoftmax',
  args: (given: Tensor, dim: number, { dtype = given.dtype }: SafeSoftmaxOptions = {}) => {
    const x = given.to(dtype);
    needFloat('safeSoftmax', x);
    return { inputs: [x], params: [resolveDim('safeSoftmax', dim, x.ndim)] };
  },
  forward: ([x], dims: readonly number[]) => {
    const a = x as Tensor;
    const most = maxOver(a, dims);
    return [fuse('safeSoftmax', [a, most, fuseSum('safeSoftmax', [a, most], power, dims, { keepdim: true })], share)];
  },
  keeps: [0],
  grad: ([g], { output: y, params: dims }) => {
    if (!g) return [null];
    const mean = fuseSum('safeSoftmaxBackward', [g, y], product, dims, { keepdim: true });
    return [fuse('safeSoftmaxBackward', [g, y, mean], backward)];
  },
  *samples(random): Iterable<[x: Tensor, dim: number]> {
    yield [random([2, 3, 4]), -1];
    yield [random([2, 3, 4]), 1];
    yield [
      random([2, 3])
        .div(random([2, 3]).gt(0).to('float32'))
        .neg()
        .abs()
        .neg(),
      1,
    ];
  },
  *errors(random): Iterable<readonly [[x: Tensor, dim: number], string]> {
    yield [[random([2]), 1], 'out of range'];
    yield [[random.integers([2], 0, 3), 0], 'float'];
  },
  torch: { call: 'torch._safe_softmax(*a)' },
});
