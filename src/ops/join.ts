import { type DType, promote } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import { contiguousStrides, formatShape, resolveDim, type Shape } from '../core/shape.js';
import { type Spec, specOf } from '../core/spec.js';
import type { Tensor } from '../tensor/tensor.js';
import { defineComposite, defineOp, type Op } from './define.js';
import { withAt, without } from './layout.js';

export interface JoinOptions {
  /** The dim along which tensors are joined. Default 0. */
  readonly dim?: number;
}

interface JoinParams {
  readonly dim: number;
}

/** PyTorch lets empty (0,) tensors stand for "nothing" in a cat. */
const isNothing = ({ shape }: { readonly shape: Shape }): boolean => shape.length === 1 && shape[0] === 0;

export function needTensors(op: string, tensors: readonly Tensor[]): Tensor {
  const [first] = tensors;
  if (first === undefined) throw new LibError('value', `${op}: there must be at least one tensor, got none.`);
  return first;
}

const commonType = (specs: readonly Spec[]): DType =>
  specs.reduce<DType>((type, s) => promote(type, s.dtype), specs[0]?.dtype ?? 'float32');

/**
 * Joins tensors along an existing dim; their other sizes must agree. Types are promoted.
 * @example cat([tensor([1, 2]), tensor([3])]) // [1, 2, 3]
 */
export const cat: Op<[tensors: readonly Tensor[], options?: JoinOptions]> = defineOp({
  name: 'cat',
  args: (tensors: readonly Tensor[], { dim = 0 }: JoinOptions = {}) => {
    const first = needTensors('cat', tensors);
    const real = tensors.some((x) => !isNothing(x)) ? tensors.filter((x) => !isNothing(x)) : [first];
    return { inputs: real, params: { dim }, key: `${dim}` };
  },
  infer: (specs, { dim }: JoinParams) => specOf(commonType(specs), catShape(specs, dim)),
  kernel: ({ dim }: JoinParams, specs) => {
    const shape = catShape(specs, dim);
    const d = resolveDim('cat', dim, shape.length);
    const strides = contiguousStrides(shape);
    let start = 0;
    const places = specs.map((s) => {
      const offset = start * (strides[d] ?? 1);
      start += s.shape[d] ?? 0;
      return { offset, strides };
    });
    return { family: 'copy', places };
  },
  grad: ([g], { inputs, params: { dim }, needs }) => {
    let start = 0;
    return inputs.map((x, i) => {
      const size = x.sizeAt(dim);
      start += size;
      return g && needs[i] ? g.narrow(dim, start - size, size) : null;
    });
  },
  *samples(random): Iterable<[tensors: readonly Tensor[], options?: JoinOptions]> {
    yield [[random([2, 3]), random([4, 3])]];
    yield [[random([2, 1]), random([2, 3]), random([2, 2])], { dim: -1 }];
    yield [[random([3]), random([0]), random([2])]];
    yield [[random([2, 3, 2])], { dim: 1 }];
  },
  *errors(random): Iterable<readonly [[tensors: readonly Tensor[], options?: JoinOptions], string]> {
    yield [[[]], 'at least one tensor'];
    yield [[[random([2, 3]), random([2, 4])]], 'must agree outside dim 0'];
    yield [[[random([2]), random([2])], { dim: 1 }], 'dim 1 is out of range'];
  },
});

function catShape(specs: readonly Spec[], dim: number): Shape {
  const shape = specs[0]?.shape ?? [];
  if (shape.length === 0) throw new LibError('shape', 'cat: tensors must have at least one dim, got shape ().', 'use stack() for scalars.');
  const d = resolveDim('cat', dim, shape.length);
  let total = 0;
  for (const s of specs) {
    const fits = s.shape.length === shape.length && s.shape.every((size, i) => i === d || size === shape[i]);
    if (!fits)
      throw new LibError('shape', `cat: shapes must agree outside dim ${dim}, got ${formatShape(shape)} and ${formatShape(s.shape)}.`);
    total += s.shape[d] ?? 0;
  }
  return withAt(shape, d, total);
}

/** Another name of {@link cat}. */
export const concat: Op<[tensors: readonly Tensor[], options?: JoinOptions]> = defineComposite({
  name: 'concat',
  compose: (tensors: readonly Tensor[], options?: JoinOptions) => cat(tensors, options),
  *samples(random): Iterable<[tensors: readonly Tensor[], options?: JoinOptions]> {
    yield [[random([2, 3]), random([1, 3])]];
  },
});

/** Joins tensors of one shape along a new dim: n of (a, b) become (n, a, b). */
export const stack: Op<[tensors: readonly Tensor[], options?: JoinOptions]> = defineOp({
  name: 'stack',
  args: (tensors: readonly Tensor[], { dim = 0 }: JoinOptions = {}) => {
    needTensors('stack', tensors);
    return { inputs: tensors, params: { dim }, key: `${dim}` };
  },
  infer: (specs, { dim }: JoinParams) => specOf(commonType(specs), stackShape(specs, dim).shape),
  kernel: ({ dim }: JoinParams, specs) => {
    const { shape, d } = stackShape(specs, dim);
    const strides = contiguousStrides(shape);
    return { family: 'copy', places: specs.map((_, i) => ({ offset: i * (strides[d] ?? 1), strides: without(strides, d) })) };
  },
  grad: ([g], { inputs, params: { dim }, needs }) => inputs.map((_, i) => (g && needs[i] ? g.select(dim, i) : null)),
  *samples(random): Iterable<[tensors: readonly Tensor[], options?: JoinOptions]> {
    yield [[random([2, 3]), random([2, 3])]];
    yield [[random([2, 3]), random([2, 3])], { dim: -1 }];
    yield [[random([]), random([]), random([])]];
  },
  *errors(random): Iterable<readonly [[tensors: readonly Tensor[], options?: JoinOptions], string]> {
    yield [[[random([2, 3]), random([3, 2])]], 'all shapes must be equal'];
    yield [[[]], 'at least one tensor'];
  },
});

function stackShape(specs: readonly Spec[], dim: number): { readonly shape: Shape; readonly d: number } {
  const shape = specs[0]?.shape ?? [];
  const other = specs.find((s) => `${s.shape}` !== `${shape}`);
  if (other) throw new LibError('shape', `stack: all shapes must be equal, got ${formatShape(shape)} and ${formatShape(other.shape)}.`);
  const d = resolveDim('stack', dim, shape.length + 1);
  return { shape: [...shape.slice(0, d), specs.length, ...shape.slice(d)], d };
}

/** Joins side by side: along dim 1, or along dim 0 for tensors of one dim. */
export const hstack: Op<[tensors: readonly Tensor[]]> = defineComposite({
  name: 'hstack',
  compose(tensors: readonly Tensor[]) {
    const first = needTensors('hstack', tensors);
    const rows = tensors.map((x) => (x.ndim === 0 ? x.reshape([1]) : x));
    return cat(rows, { dim: first.ndim < 2 ? 0 : 1 });
  },
  *samples(random) {
    yield [[random([3]), random([2])]];
    yield [[random([2, 3]), random([2, 1])]];
  },
  *errors() {
    yield [[[]], 'at least one tensor'];
  },
});

/** Joins one below the other: along dim 0, tensors of one dim counting as rows. */
export const vstack: Op<[tensors: readonly Tensor[]]> = defineComposite({
  name: 'vstack',
  compose(tensors: readonly Tensor[]) {
    needTensors('vstack', tensors);
    return cat(tensors.map((x) => (x.ndim < 2 ? x.reshape([1, x.size]) : x)));
  },
  *samples(random) {
    yield [[random([3]), random([3])]];
    yield [[random([2, 3]), random([1, 3])]];
  },
  *errors() {
    yield [[[]], 'at least one tensor'];
  },
});

/** Joins along dim 2, tensors of fewer dims counting as (rows, columns, 1). */
export const dstack: Op<[tensors: readonly Tensor[]]> = defineComposite({
  name: 'dstack',
  compose(tensors: readonly Tensor[]) {
    needTensors('dstack', tensors);
    const deep = tensors.map((x) => (x.ndim < 2 ? x.reshape([1, x.size, 1]) : x.ndim === 2 ? x.unsqueeze(2) : x));
    return cat(deep, { dim: 2 });
  },
  *samples(random) {
    yield [[random([3]), random([3])]];
    yield [[random([2, 3]), random([2, 3])]];
  },
});
