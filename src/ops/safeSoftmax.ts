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

/** softmax over the last dim that gives zeros, not NaN, where all of a row is -∞: a query that may look nowhere. */
export const safeSoftmax: Op<[x: Tensor]> = defineCustom({
  name: 'safeSoftmax',
  args: (x: Tensor) => {
    needFloat('safeSoftmax', x);
    return { inputs: [x], params: null };
  },
  forward: ([x]) => {
    const a = x as Tensor;
    const dims = [a.ndim - 1];
    const most = maxOver(a, dims);
    return [fuse('safeSoftmax', [a, most, fuseSum('safeSoftmax', [a, most], power, dims, { keepdim: true })], share)];
  },
  keeps: [0],
  grad: ([g], { output: y }) => {
    if (!g) return [null];
    const mean = fuseSum('safeSoftmaxBackward', [g, y], product, [y.ndim - 1], { keepdim: true });
    return [fuse('safeSoftmaxBackward', [g, y, mean], backward)];
  },
  *samples(random): Iterable<[x: Tensor]> {
    yield [random([2, 3, 4])];
    yield [
      random([2, 3])
        .div(random([2, 3]).gt(0).to('float32'))
        .neg()
        .abs()
        .neg(),
    ];
  },
  torch: { call: 'torch._safe_softmax(a[0], -1)' },
});
