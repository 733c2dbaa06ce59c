import type { DType } from '../core/dtype.js';
import { resolveDim } from '../core/shape.js';
import { input } from '../expr/expr.js';
import type { Tensor } from '../tensor/tensor.js';
import { defineComposite, defineCustom, type Op } from './define.js';
import { cast, functional, fuse, fuseSum, maxOver, needFloat } from './fused.js';

interface DimParams {
  readonly dim: number;
}

export interface SoftmaxOptions {
  /** The dim whose entries sum to 1. Default -1. */
  readonly dim?: number;
  /** The type to compute and answer in. Default: that of x. */
  readonly dtype?: DType;
}

type Softmax = Op<[x: Tensor, options?: SoftmaxOptions]>;

const prepared = (op: string, x: Tensor, { dim = -1, dtype }: SoftmaxOptions = {}): { inputs: readonly Tensor[]; params: DimParams } => {
  const from = dtype === undefined ? x : cast(x, dtype);
  needFloat(op, from);
  return { inputs: [from], params: { dim: resolveDim(op, dim, x.ndim) } };
};

/** Expressions over (x, max) and over (gradient, result, sum). */
const shifted = input(0).sub(input(1));
const power = shifted.exp();
const backward = { softmax: input(1).mul(input(0).sub(input(2))), logSoftmax: input(0).sub(input(1).exp().mul(input(2))) } as const;
const product = input(0).mul(input(1));

function* samples(
  random: (shape: readonly number[], range?: { low: number; high: number }) => Tensor,
): Iterable<[x: Tensor, options?: SoftmaxOptions]> {
  yield [random([5]), { dim: 0 }];
  yield [random([2, 3, 4]), { dim: -1 }];
  yield [random([2, 3, 4]), { dim: 1 }];
  yield [random([3, 4], { low: -200, high: 200 }), { dim: 1 }]; // overflows without the shift
  yield [random([2, 3]), { dim: 0, dtype: 'float64' }];
}

/**
 * e^x / Σ e^x over `dim`: positive numbers that sum to 1.
 * @example tensor([0, 0]).softmax() // [0.5, 0.5]
 */
export const softmax: Softmax = defineCustom({
  name: 'softmax',
  args: (x: Tensor, options?: SoftmaxOptions) => prepared('softmax', x, options),
  forward: ([x], { dim }: DimParams) => {
    const a = x as Tensor;
    const dims = a.ndim === 0 ? [] : [dim];
    const most = maxOver(a, dims);
    const powers = fuse('softmax', [a, most], power);
    const total = fuseSum('softmax', [powers], input(0), dims, { keepdim: true });
    return [fuse('softmax', [powers, fuse('softmax', [total], input(0).reciprocal())], product)];
  },
  keeps: [0],
  grad: ([g], { output: y, params: { dim } }) => {
    if (!g) return [null];
    const mean = fuseSum('softmaxBackward', [g, y], product, y.ndim === 0 ? [] : [dim], { keepdim: true });
    return [fuse('softmaxBackward', [g, y, mean], backward.softmax)];
  },
  samples,
  *errors(random): Iterable<readonly [[x: Tensor, options?: SoftmaxOptions], string]> {
    yield [[random([2, 3]), { dim: 2 }], 'dim 2 is out of range'];
    yield [[random.integers([3], 0, 5)], 'must be of a floating type'];
  },
});

/** log(softmax(x)) over `dim`, without the loss of small probabilities. */
export const logSoftmax: Softmax = defineCustom({
  name: 'logSoftmax',
  args: (x: Tensor, options?: SoftmaxOptions) => prepared('logSoftmax', x, options),
  forward: ([x], { dim }: DimParams) => {
    const a = x as Tensor;
    const dims = a.ndim === 0 ? [] : [dim];
    const most = maxOver(a, dims);
    const total = fuseSum('logSoftmax', [a, most], power, dims, { keepdim: true });
    return [fuse('logSoftmax', [a, most, fuse('logSoftmax', [total], input(0).log())], shifted.sub(input(2)))];
  },
  keeps: [0],
  grad: ([g], { output: y, params: { dim } }) => {
    if (!g) return [null];
    const total = fuseSum('logSoftmaxBackward', [g], input(0), y.ndim === 0 ? [] : [dim], { keepdim: true });
    return [fuse('logSoftmaxBackward', [g, y, total], backward.logSoftmax)];
  },
  samples,
  *errors(random): Iterable<readonly [[x: Tensor, options?: SoftmaxOptions], string]> {
    yield [[random([2, 3]), { dim: 2 }], 'dim 2 is out of range'];
    yield [[random.integers([3], 0, 5)], 'must be of a floating type'];
  },
});

/** softmax(-x) over `dim`. */
export const softmin: Softmax = defineComposite({
  name: 'softmin',
  compose: (x: Tensor, options?: SoftmaxOptions) => softmax(x.neg(), options),
  samples,
  torch: functional('softmin'),
});
