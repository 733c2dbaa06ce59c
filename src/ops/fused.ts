import { computeType, type DType, dtypes, isFloat, typedArray, writeElement } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import { broadcastShapes, type Shape, sameShape } from '../core/shape.js';
import { type Spec, specOf } from '../core/spec.js';
import { type Expr, input } from '../expr/expr.js';
import type { Device } from '../tensor/device.js';
import { Tensor } from '../tensor/tensor.js';
import { defineOp, type Op, type TorchName } from './define.js';
import { reducedShape } from './layout.js';
import { map, reduceMap } from './map.js';

/** Short forms of the generic kernels, for rows that are built of a few fused passes. */

/** expr(inputs), broadcast, in one kernel; the result has the type of the first input unless told otherwise. */
export function fuse(
  name: string,
  inputs: readonly Tensor[],
  expr: Expr,
  scalars: readonly number[] = [],
  dtype: DType = typeOf(inputs),
): Tensor {
  return map(inputs, { name, expr, dtype, compute: computeType(dtype) }, scalars);
}

export interface FoldOptions {
  readonly keepdim?: boolean;
  readonly scalars?: readonly number[];
  readonly dtype?: DType;
  /** What the sum is divided by. Default 1. */
  readonly divisor?: number;
}

/** Σ over `dims` of expr(inputs), broadcast, in one kernel. */
export function fuseSum(name: string, inputs: readonly Tensor[], expr: Expr, dims: readonly number[], options: FoldOptions = {}): Tensor {
  const { keepdim = false, scalars = [], dtype = typeOf(inputs), divisor = 1 } = options;
  const shape = broadcastOf(name, inputs);
  const out = reducedShape(shape, dims, keepdim);
  return reduceMap(inputs, { name, by: 'sum', expr, dims, keepdim, shape, out, divisor, dtype, compute: computeType(dtype) }, scalars);
}

function broadcastOf(name: string, inputs: readonly Tensor[]): Shape {
  let shape = inputs[0]?.shape ?? [];
  for (let i = 1; i < inputs.length; i++) {
    const next = (inputs[i] as Tensor).shape;
    if (!sameShape(shape, next)) shape = broadcastShapes(name, shape, next);
  }
  return shape;
}

/** The mean over `dims` of an expression; the dims stay with size 1. */
export function meanOver(name: string, inputs: readonly Tensor[], expr: Expr, dims: readonly number[]): Tensor {
  const shape = broadcastOf(name, inputs);
  return fuseSum(name, inputs, expr, dims, { keepdim: true, divisor: dims.reduce((n, d) => n * (shape[d] ?? 1), 1) });
}

interface MaxParams {
  readonly dims: readonly number[];
}

/** The largest value over `dims`, which stay with size 1. Has no gradient: for rows whose result does not depend on it. */
export const maxOver: Op<[x: Tensor, dims: readonly number[]]> = defineOp({
  name: 'maxOver',
  args: (x: Tensor, dims: readonly number[]) => ({ inputs: [x], params: { dims }, key: `${dims}` }),
  infer: ([x], { dims }: MaxParams) => specOf((x as Spec).dtype, reducedShape((x as Spec).shape, dims, true)),
  kernel: ({ dims }: MaxParams, [x]) => {
    const { shape, dtype } = x as Spec;
    return { family: 'reduce', by: 'max', dims, expr: input(0), shape, compute: computeType(dtype) };
  },
  *samples(random) {
    yield [random([2, 3, 4]), [1]];
  },
  torch: null,
});

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
    if (t && !isFloat(t.dtype))
      throw new LibError('dtype', `${op}: the tensors must be of a floating type, got ${t.dtype}.`, "convert with to('float32').");
  }
}

/** The PyTorch spelling of a row that lives in torch.nn.functional under its own snake_case name. */
export const functional = (name: string): TorchName => ({ call: `torch.nn.functional.${name}(*a, **o)` });

/** The same, where PyTorch has no gradient by some of the options (class weights, running statistics). */
export function functionalOf(name: string, args: string, ...constants: readonly string[]): TorchName {
  const options = `{k: v.detach() if k in ${JSON.stringify(constants)} else v for k, v in o.items()}`;
  return { call: `torch.nn.functional.${name}(${args}, **${options})` };
}
