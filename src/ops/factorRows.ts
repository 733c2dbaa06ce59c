import { dtypes, typedArray, writeElement } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import { broadcastShapes, formatShape, needDims, type Shape } from '../core/shape.js';
import { type Spec, specOf } from '../core/spec.js';
import type { FactorKernel } from '../program/kernel.js';
import type { Tensor } from '../tensor/tensor.js';
import { customGrad } from './customGrad.js';
import { defineOp, type Op, type TorchName } from './define.js';
import { constantTable } from './fused.js';
import { sumToShape } from './reduce.js';

/** The factor kernels as functions of tensors, without gradients but for triangular systems: what the rows of linear algebra are made of. */

type Raw = Op<Tensor[], readonly Tensor[]>;
const rows = new Map<string, Raw>();

/** One factor kernel, in errors called `name`. */
function run(name: string, kernel: FactorKernel, inputs: readonly Tensor[], infer: (specs: readonly Spec[]) => readonly Spec[]): Tensor[] {
  const key = `${name}|${JSON.stringify(kernel)}`;
  let row = rows.get(key);
  if (row === undefined) {
    row = defineOp<Tensor[], null, readonly Tensor[]>({
      name,
      args: (...tensors: Tensor[]) => ({ inputs: tensors, params: null }),
      infer,
      kernel: () => kernel,
      result: (outputs) => outputs,
      *samples() {},
      torch: null,
    });
    rows.set(key, row);
  }
  return [...row(...inputs)];
}

const sizesOf = ({ shape }: Spec): { readonly batch: Shape; readonly m: number; readonly n: number } => ({
  batch: shape.slice(0, -2),
  m: shape.at(-2) ?? 1,
  n: shape.at(-1) ?? 1,
});

/** a → [l, info]. */
export const choleskyOf = (name: string, a: Tensor, strict: boolean): Tensor[] =>
  run(name, { family: 'factor', by: 'cholesky', strict }, [a], ([spec]) => {
    const { batch } = sizesOf(spec as Spec);
    return [spec as Spec, specOf('int32', batch)];
  });

/** a → [lu, pivots, info]. */
export const luOf = (name: string, a: Tensor, strict: boolean): Tensor[] =>
  run(name, { family: 'factor', by: 'lu', strict }, [a], ([spec]) => {
    const { batch, m, n } = sizesOf(spec as Spec);
    return [spec as Spec, specOf('int32', [...batch, Math.min(m, n)]), specOf('int32', batch)];
  });

/** a → [packed, tau]. */
export const qrOf = (name: string, a: Tensor): Tensor[] =>
  run(name, { family: 'factor', by: 'qr' }, [a], ([spec]) => {
    const { batch, m, n } = sizesOf(spec as Spec);
    return [spec as Spec, specOf((spec as Spec).dtype, [...batch, Math.min(m, n)])];
  });

/** a → [w] or [w, v]. */
export const eighOf = (name: string, a: Tensor, vectors: boolean): Tensor[] =>
  run(name, { family: 'factor', by: 'eigh', vectors, strict: true }, [a], ([spec]) => {
    const { batch, n } = sizesOf(spec as Spec);
    const w = specOf((spec as Spec).dtype, [...batch, n]);
    return vectors ? [w, spec as Spec] : [w];
  });

/** a → [w] or [w, v, lead], pairs for complex numbers. */
export const eigOf = (name: string, a: Tensor, vectors: boolean): Tensor[] =>
  run(name, { family: 'factor', by: 'eig', vectors, strict: true }, [a], ([spec]) => {
    const { dtype, shape } = spec as Spec;
    const vector = shape.slice(0, -1);
    const w = specOf(dtype, [...vector, 2]);
    return vectors ? [w, specOf(dtype, [...shape, 2]), specOf('int32', vector)] : [w];
  });

/** a → [s] or [u, s, vh]. */
export const svdOf = (name: string, a: Tensor, vectors: boolean): Tensor[] =>
  run(name, { family: 'factor', by: 'svd', vectors, strict: true }, [a], ([spec]) => {
    const { dtype } = spec as Spec;
    const { batch, m, n } = sizesOf(spec as Spec);
    const k = Math.min(m, n);
    const s = specOf(dtype, [...batch, k]);
    return vectors ? [specOf(dtype, [...batch, m, k]), s, specOf(dtype, [...batch, k, n])] : [s];
  });

export const expOf = (name: string, a: Tensor): Tensor =>
  run(name, { family: 'factor', by: 'exp' }, [a], ([spec]) => [spec as Spec])[0] as Tensor;

/** Swaps (…, k), counted from 1, as the order (…, rows) of rows after them. */
export const permutationOf = (name: string, pivots: Tensor, size: number): Tensor =>
  run(name, { family: 'factor', by: 'permutation', rows: size, strict: true }, [pivots], ([spec]) => [
    specOf('int32', [...(spec as Spec).shape.slice(0, -1), size]),
  ])[0] as Tensor;

export interface Triangle {
  readonly upper: boolean;
  /** Ones stand for the diagonal, whatever is there. */
  readonly unit?: boolean;
}

/** x with a x = b for a triangle a (…, n, n) and b (…, n, k), whose batches broadcast. */
export function triangular(name: string, a: Tensor, b: Tensor, { upper, unit = false }: Triangle): Tensor {
  return customGrad({
    name,
    inputs: [a, b],
    params: null,
    saves: [0, 'output'],
    compute: () =>
      run(name, { family: 'factor', by: 'triangularSolve', upper, unit }, [a, b], ([left, right]) => {
        const [x, y] = [sizesOf(left as Spec), sizesOf(right as Spec)];
        return [specOf((left as Spec).dtype, [...broadcastShapes(name, x.batch, y.batch), y.m, y.n])];
      })[0] as Tensor,
    grad(g, { inputs: [t, rhs], output, needs }) {
      const back = triangular(name, (t as Tensor).transpose(-2, -1), g, { upper: !upper, unit });
      const full = needs[0] ? back.neg().matmul(output.transpose(-2, -1)) : null;
      const diagonal = unit ? 1 : 0;
      const part = full && (upper ? full.triu({ diagonal }) : full.tril({ diagonal: -diagonal }));
      return [part && sumToShape(part, (t as Tensor).shape), needs[1] ? sumToShape(back, (rhs as Tensor).shape) : null];
    },
  });
}

/** The rows of x (…, m, n) in the given order (…, m); batches broadcast. */
export function reorder(name: string, x: Tensor, order: Tensor): Tensor {
  const batch = broadcastShapes(name, x.shape.slice(0, -2), order.shape.slice(0, -1));
  const [rows, cols] = [x.sizeAt(-2), x.sizeAt(-1)];
  return x.expand([...batch, rows, cols]).gather(-2, order.unsqueeze(-1).expand([...batch, rows, cols]));
}

/** Ones on the diagonal, zeros elsewhere. */
export function identity({ device, dtype }: Tensor, rows: number, cols: number = rows): Tensor {
  const make = (): ArrayBufferView => {
    const data = typedArray(dtype, new ArrayBuffer(rows * cols * dtypes[dtype].bytes), 0, rows * cols);
    for (let i = 0; i < Math.min(rows, cols); i++) writeElement(dtype, data, i * cols + i, 1);
    return data;
  };
  return constantTable(device, 'identity', specOf(dtype, [rows, cols]), make);
}

/** A unit lower triangle: what is strictly below the diagonal of x, and ones. */
export const unitLower = (x: Tensor): Tensor => x.tril({ diagonal: -1 }).add(identity(x, x.sizeAt(-2), x.sizeAt(-1)));

export function needReal(op: string, ...tensors: readonly Tensor[]): void {
  for (const { dtype } of tensors) {
    if (dtype !== 'float32' && dtype !== 'float64')
      throw new LibError('dtype', `${op}: the tensors must be of type float32 or float64, got ${dtype}.`, "convert with to('float32').");
  }
  const [first, ...rest] = tensors;
  const other = rest.find((t) => t.dtype !== first?.dtype);
  if (other) throw new LibError('dtype', `${op}: the tensors must have one type, got ${first?.dtype} and ${other.dtype}.`);
}

export function needMatrix(op: string, ...tensors: readonly Tensor[]): void {
  needReal(op, ...tensors);
  for (const x of tensors) needDims(op, x, 2);
}

export function needSquare(op: string, ...tensors: readonly Tensor[]): void {
  needMatrix(op, ...tensors);
  for (const { shape } of tensors) {
    if (shape.at(-1) !== shape.at(-2)) throw new LibError('shape', `${op}: the matrices must be square, got shape ${formatShape(shape)}.`);
  }
}

/** PyTorch's torch.linalg, where the row's own name is not enough. */
export const torchLinalg = (name: string): TorchName => ({ call: `torch.linalg.${name}(*a, **o)` });

/** Leads a sample to a symmetric positive definite matrix; `spd` is its name in fixtures/make.py. */
export const positiveDefinite = (x: Tensor): Tensor => x.matmul(x.transpose(-2, -1)).add(identity(x, x.sizeAt(-1)));
/** Leads a sample to a symmetric matrix; `sym` in fixtures/make.py. */
export const symmetric = (x: Tensor): Tensor => x.add(x.transpose(-2, -1));
