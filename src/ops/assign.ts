import { computeType, type DType } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import { formatShape, type Shape } from '../core/shape.js';
import { type Spec, specOf } from '../core/spec.js';
import { scalar } from '../expr/expr.js';
import type { GradContext } from '../tensor/graph.js';
import type { Tensor } from '../tensor/tensor.js';
import { apply, type Definition } from './apply.js';
import { map } from './map.js';

/** Writing in place: only methods, for a function could not say what it changes. */

interface AssignParams {
  readonly dtype: DType;
  readonly shape: Shape;
}

const assign = {
  name: 'copy',
  args: () => ({ inputs: [], params: null }),
  *samples() {},
  infer: (_: readonly Spec[], { dtype, shape }: AssignParams) => specOf(dtype, shape),
  kernel: () => ({ family: 'copy' }),
  grad: ([g]: readonly (Tensor | null)[], { inputs: [x] }: GradContext<AssignParams>) => [g && x ? g.to(x.dtype) : null],
  plans: new Map(),
  foreign: false,
} as unknown as Definition;

/** Writes `source`, broadcast and cast to this tensor's shape and type, over this tensor. */
export function copy_(x: Tensor, source: Tensor): Tensor {
  if (source.ndim > x.ndim) {
    throw new LibError(
      'shape',
      `copy_: the source must broadcast to the tensor written to, got ${formatShape(source.shape)} into ${formatShape(x.shape)}.`,
    );
  }
  const moved = source.device === x.device ? source : source.to(x.device);
  apply(assign, { inputs: [moved.expand(x.shape)], params: { dtype: x.dtype, shape: x.shape } }, [x]);
  return x;
}

const value = scalar(0);

/** Writes one number over every element. */
export function fill_(x: Tensor, number: number): Tensor {
  map([], { name: 'fill', expr: value, dtype: x.dtype, compute: computeType(x.dtype), shape: x.shape }, [number], [x]);
  return x;
}

/** Writes zeros over every element. */
export const zero_ = (x: Tensor): Tensor => fill_(x, 0);
