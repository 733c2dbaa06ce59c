import { isFloat } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import { formatShape, sameShape } from '../core/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import { isRecorded } from './apply.js';
import { copy_ } from './assign.js';

type Call = (x: Tensor, ...rest: readonly unknown[]) => unknown;

/** What `name_` does: the row's result, written over its first argument, whose shape and type stay. */
export function over(row: string, op: Call): (x: Tensor, ...rest: readonly unknown[]) => Tensor {
  return (x, ...rest) => {
    // What the gradient rule keeps must not be what is written over.
    const y = op(isRecorded([x]) ? x.clone() : x, ...rest) as Tensor;
    if (!sameShape(y.shape, x.shape))
      throw new LibError(
        'shape',
        `${row}_: the result must have the tensor's shape, got ${formatShape(y.shape)} over ${formatShape(x.shape)}.`,
      );
    if (isFloat(y.dtype) && !isFloat(x.dtype))
      throw new LibError('dtype', `${row}_: the result must fit the tensor's type, got ${y.dtype} over ${x.dtype}.`);
    return copy_(x, y);
  };
}
