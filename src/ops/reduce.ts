import { computeType, type DType, isFloat } from '../core/dtype.js';
import { resolveDims, sameShape, type Shape } from '../core/shape.js';
import { input } from '../expr/expr.js';
import type { Tensor } from '../tensor/tensor.js';
import { defineComposite, type Op } from './define.js';
import { reducedShape } from './layout.js';
import { reduceMap } from './map.js';

export interface ReduceOptions {
  /** Dimension or dimensions to reduce; default: all of them. */
  readonly dim?: number | readonly number[];
  /** Keep each reduced dimension, with size 1. Default false. */
  readonly keepdim?: boolean;
  /** Type of the result; default: the input's, int32 for integers and bool. */
  readonly dtype?: DType;
}

/** The sum over `dim`. */
export const sum: Op<[x: Tensor, options?: ReduceOptions]> = defineComposite({
  name: 'sum',
  compose(x: Tensor, { dim, keepdim = false, dtype = isFloat(x.dtype) ? x.dtype : 'int32' }: ReduceOptions = {}) {
    const dims = resolveDims('sum', dim, x.ndim);
    const out = reducedShape(x.shape, dims, keepdim);
    return reduceMap([x], { name: 'sum', by: 'sum', expr: input(0), dims, keepdim, shape: x.shape, out, dtype, compute: computeType(dtype) });
  },
  *samples(random): Iterable<[x: Tensor, options?: ReduceOptions]> {
    yield [random([7])];
    yield [random([2, 3, 4])];
    yield [random([2, 3, 4]), { dim: -1 }];
    yield [random([2, 3, 4]), { dim: [0, 2], keepdim: true }];
    yield [random([0, 3]), { dim: 0 }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, options?: ReduceOptions], string]> {
    yield [[random([2, 3]), { dim: 5 }], 'dim 5 is out of range'];
  },
});

/** The adjoint of broadcasting: sums away whatever broadcasting had stretched to get from `shape` to x's shape. */
export function sumToShape(x: Tensor, shape: Shape): Tensor {
  if (sameShape(x.shape, shape)) return x;
  const lead = x.ndim - shape.length;
  const dims = x.shape.flatMap((d, i) => (i < lead || (shape[i - lead] === 1 && d !== 1) ? [i] : []));
  const params = { name: 'sum', by: 'sum', expr: input(0), dims, keepdim: false, shape: x.shape, out: shape, dtype: x.dtype } as const;
  return reduceMap([x], { ...params, compute: computeType(x.dtype) });
}
