import { computeType, type DType, promoteNumber } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import { type Expr, input, scalar } from '../expr/expr.js';
import { isTensor, type Tensor } from '../tensor/tensor.js';
import { promoteTensors, type TensorOrNumber } from './elementwise.js';
import { type MapParams, map } from './map.js';

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
export function promoteAll(tensors: readonly Tensor[]): DType {
  let widest = tensors[0] as Tensor;
  let { dtype } = widest;
  for (let i = 1; i < tensors.length; i++) {
    const t = tensors[i] as Tensor;
    dtype = promoteTensors(widest, t);
    if (dtype === t.dtype) widest = t;
  }
  return dtype;
}

/** What a row computes from its operands, which are inputs where they are tensors and scalars where they are numbers. */
interface Form {
  readonly expr: Expr;
  readonly slopes?: readonly (Expr | null)[];
}
type Operand = TensorOrNumber | undefined;
type BuildForm = (first: Expr, second: Expr | null, third: Expr | null, tensors: number) => Form;
type FormCall = (first: Operand, second: Operand, third: Operand, dtype?: DType, into?: readonly Tensor[]) => Tensor;

/**
 * Calls of up to three operands, each a tensor, a number or left out. The expression is built once for each pattern of these.
 * Unless a type is given, it is promoted: an integer tensor meets a fraction as a float.
 */
export function forms(name: string, build: BuildForm): FormCall {
  const known = new Map<string, MapParams>();
  return (first, second, third, dtype, into) => {
    const operands = [first, second, third];
    const tensors: Tensor[] = [];
    const scalars: number[] = [];
    let pattern = '';
    for (const x of operands) {
      if (typeof x === 'number') scalars.push(x);
      else if (x !== undefined) tensors.push(x);
      pattern += typeof x === 'number' ? 'n' : x === undefined ? '-' : 't';
    }
    const type = dtype ?? promoteNumbers(promoteAll(tensors), scalars);
    let params = known.get(pattern + type);
    if (params === undefined) {
      params = { name, ...buildForm(build, operands, tensors.length), dtype: type, compute: computeType(type) };
      known.set(pattern + type, params);
    }
    return map(tensors, params, scalars, into);
  };
}

function buildForm(build: BuildForm, operands: readonly Operand[], tensors: number): Form {
  let [inputs, scalars] = [0, 0];
  const [first, second, third] = operands.map((x) => (x === undefined ? null : isTensor(x) ? input(inputs++) : scalar(scalars++)));
  return build(first as Expr, second ?? null, third ?? null, tensors);
}

/** The type after numbers have joined in; infinities and NaN fit any. */
export function promoteNumbers(dtype: DType, numbers: readonly number[]): DType {
  let type = dtype;
  for (const n of numbers) if (Number.isFinite(n)) type = promoteNumber(type, n);
  return type;
}

/** Conditions are of type bool, as in PyTorch. */
export function checkMask(op: string, mask: Tensor): void {
  if (mask.dtype !== 'bool')
    throw new LibError('dtype', `${op}: the mask must be of type bool, got ${mask.dtype}.`, 'compare first, e.g. x.ne(0).');
}
