import { computeType, type DType, promoteNumber } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import { type Expr, input, scalar } from '../expr/expr.js';
import { isTensor, type Tensor } from '../tensor/tensor.js';
import { promoteTensors, type TensorOrNumber } from './elementwise.js';
import { map } from './map.js';

export interface MapTypedOptions {
  readonly scalars?: readonly number[];
  readonly slopes?: readonly (Expr | null)[];
  /** Write over this tensor instead of a new one. */
  readonly into?: readonly Tensor[];
  /** The result's type. Default: promoted from the tensors. */
  readonly dtype?: DType;
  /** The type that arithmetic runs in follows from this one. Default: `dtype`. */
  readonly working?: DType;
}

/** Applies an expression to tensors whose types are promoted together: the form under rows of three and more operands. */
export function mapTyped(name: string, inputs: readonly Tensor[], expr: Expr, options: MapTypedOptions = {}): Tensor {
  const { scalars = [], slopes, into } = options;
  const dtype = options.dtype ?? promoteAll(inputs);
  const compute = computeType(options.working ?? dtype);
  return map(inputs, { name, expr, dtype, compute, ...(slopes && { slopes }) }, scalars, into);
}

/** The promoted type of several tensors. */
export function promoteAll([first, ...rest]: readonly Tensor[]): DType {
  let dtype = (first as Tensor).dtype;
  let widest = first as Tensor;
  for (const t of rest) {
    dtype = promoteTensors(widest, t);
    if (dtype === t.dtype) widest = t;
  }
  return dtype;
}

/** Operands of a row: tensors take the next input, numbers the next scalar. */
export class Operands {
  readonly tensors: Tensor[] = [];
  readonly scalars: number[] = [];

  add(value: TensorOrNumber): Expr {
    return isTensor(value) ? input(this.tensors.push(value) - 1) : scalar(this.scalars.push(value) - 1);
  }

  /** The common type; an integer tensor meets a fraction as a float. */
  dtype(): DType {
    return this.scalars.filter(Number.isFinite).reduce(promoteNumber, promoteAll(this.tensors));
  }
}

/** Conditions are of type bool, as in PyTorch. */
export function checkMask(op: string, mask: Tensor): void {
  if (mask.dtype !== 'bool') throw new LibError('dtype', `${op}: the mask must be of type bool, got ${mask.dtype}.`, 'compare first, e.g. x.ne(0).');
}
