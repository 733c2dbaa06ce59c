import { computeType, type DType, dtypes, isFloat, typedArray, writeElement } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import { broadcastShapes, type Shape } from '../core/shape.js';
import { type Spec, specOf } from '../core/spec.js';
import { type Expr, input } from '../expr/expr.js';
import type { Device } from '../tensor/device.js';
import { Tensor } from '../tensor/tensor.js';
import { defineOp, type Op, type TorchName } from './define.js';
import { reducedShape } from './layout.js';
import { map, reduceMap } from './map.js';

/** Short forms of the generic kernels, for rows that are built of a few fused passes. */

/** expr(inputs), broadcast, in one kernel; the result has the type of the first input unless told otherwise. */
export function fuse(name: string, inputs: readonly Tensor[], expr: Expr, scalars: readonly number[] = [], dtype: DType = typeOf(inputs)): Tensor {
  return map(inputs, { name, expr, dtype, compute: computeType(dtype) }, scalars);
}

export interface FoldOptions {
  readonly keepdim?: boolean;
  readonly scalars?: readonly number[];
  readonly dtype?: DType;
}

/** Σ over `dims` of expr(inputs), broadcast, in one kernel. */
export function fuseSum(name: string, inputs: readonly Tensor[], expr: Expr, dims: readonly number[], options: FoldOptions = {}): Tensor {
  const { keepdim = false, scalars = [], dtype = typeOf(inputs) } = options;
  const shape = inputs.reduce<Shape>((s, t) => broadcastShapes(name, s, t.shape), []);
  const out = reducedShape(shape, dims, keepdim);
  return reduceMap(inputs, { name, by: 'sum', expr, dims, keepdim, shape, out, dtype, compute: computeType(dtype) }, scalars);
}

interface FoldParams {
  readonly by: 'sum' | 'max';
  readonly expr: Expr;
  readonly finish: Expr | null;
  readonly dims: readonly number[];
}

/** A fold that no gradient goes through, for forward passes of custom rows: of the inputs' expression, then of `finish`. */
const folded: Op<[inputs: readonly Tensor[], params: FoldParams]> = defineOp({
  name: 'fold',
  args: (inputs: readonly Tensor[], params: FoldParams) => {
    const { by, expr, finish, dims } = params;
    return { inputs, params, key: `${by}${expr.id}|${finish?.id}|${dims}` };
  },
  infer: (specs, { dims }: FoldParams) => specOf((specs[0] as Spec).dtype, reducedShape(broadcastOf(specs), dims, true)),
  kernel: ({ by, expr, finish, dims }: FoldParams, specs) => {
    const compute = computeType((specs[0] as Spec).dtype);
    return { family: 'reduce', by, dims, expr, ...(finish && { finish }), shape: broadcastOf(specs), compute };
  },
  *samples() {},
  torch: null,
});

const broadcastOf = (specs: readonly Spec[]): Shape => specs.reduce<Shape>((s, t) => broadcastShapes('fold', s, t.shape), []);

/** The largest value over `dims`, which stay with size 1. Has no gradient: for rows whose result does not depend on it. */
export const maxOver = (x: Tensor, dims: readonly number[]): Tensor => folded([x], { by: 'max', expr: input(0), finish: null, dims });

/** The mean over `dims` of an expression; the dims stay with size 1. Has no gradient. */
export function meanOver(inputs: readonly Tensor[], expr: Expr, dims: readonly number[]): Tensor {
  const shape = broadcastOf(inputs.map((t) => t.spec));
  const count = dims.reduce((n, d) => n * (shape[d] ?? 1), 1);
  return folded(inputs, { by: 'sum', expr, finish: input(0).mul(1 / count), dims });
}

const typeOf = (inputs: readonly Tensor[]): DType => inputs[0]?.dtype ?? 'float32';

/** The tensor in another element type; itself when it has that type already. */
export function cast(x: Tensor, dtype: DType): Tensor {
  if (x.dtype === dtype) return x;
  const wider = isFloat(x.dtype) && !isFloat(dtype) ? x.dtype : dtype;
  return map([x], { name: 'to', expr: input(0), dtype, compute: computeType(wider) });
}

const tables = new Map<string, Tensor>();
const TABLES = 64;

/** A constant that rows use again and again (index ranges, masks), made on its device once. The oldest are forgotten. */
export function constantTable(device: Device, key: string, spec: Spec, make: () => ArrayBufferView): Tensor {
  const name = `${device.id}|${spec.id}|${key}`;
  let known = tables.get(name);
  if (known === undefined) {
    const bytes = make();
    known = new Tensor(spec, device.allocate(spec.bytes), 0, device);
    device.upload(known.storage, 0, new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength));
    const [oldest] = tables.keys();
    if (tables.size >= TABLES && oldest !== undefined) tables.delete(oldest);
    tables.set(name, known);
  }
  return known;
}

/** 0, step, 2·step, … as int32 (count,). */
export function range(device: Device, count: number, step = 1): Tensor {
  return constantTable(device, `range${step}`, specOf('int32', [count]), () => Int32Array.from({ length: count }, (_, i) => i * step));
}

/** One number at every place of a shape, in the memory of one element. For reading only. */
export function constantView(device: Device, dtype: DType, shape: Shape, value: number): Tensor {
  const element = constantTable(device, `${value}`, specOf(dtype, []), () => {
    const one = typedArray(dtype, new ArrayBuffer(dtypes[dtype].bytes), 0, 1);
    writeElement(dtype, one, 0, value);
    return one;
  });
  return shape.length === 0 ? element : element.expand(shape);
}

/** Refuses integers where only floats make sense. */
export function needFloat(op: string, ...tensors: readonly (Tensor | undefined)[]): void {
  for (const t of tensors) {
    if (t && !isFloat(t.dtype)) throw new LibError('dtype', `${op}: the tensors must be of floating type, got ${t.dtype}.`, "convert with to('float32').");
  }
}

/** The PyTorch spelling of a row that lives in torch.nn.functional under its own snake_case name. */
export const functional = (name: string): TorchName => ({ call: `torch.nn.functional.${name}(*a, **o)` });

/** The same, where PyTorch has no gradient by some of the options (class weights, running statistics). */
export function functionalOf(name: string, args: string, ...constants: readonly string[]): TorchName {
  const options = `{k: v.detach() if k in ${JSON.stringify(constants)} else v for k, v in o.items()}`;
  return { call: `torch.nn.functional.${name}(${args}, **${options})` };
}
