import { isFloat } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import { contiguousStrides, formatShape, needDims, resolveDim, resolveDims, type Shape, sizeOf } from '../core/shape.js';
import type { Spec } from '../core/spec.js';
import { valuesOf } from '../tensor/capturing.js';
import { isTensor, type Tensor } from '../tensor/tensor.js';
import { defineComposite, defineView, type Op } from './define.js';
import { clampRange, viewStrides, withAt, without } from './layout.js';
import { clone, contiguous, stridedView } from './viewRows.js';

export { clone, contiguous };

export interface AsStridedOptions {
  /** Position of the first element in the memory. Default: where the tensor itself begins. */
  readonly storageOffset?: number;
}

/**
 * Any sizes and strides (in elements) over the tensor's memory, without copying; elements may overlap.
 * @example arange(5).asStrided([3, 3], [1, 1]) // [[0, 1, 2], [1, 2, 3], [2, 3, 4]]
 */
export const asStrided: Op<[x: Tensor, size: Shape, stride: readonly number[], options?: AsStridedOptions]> = defineComposite({
  name: 'asStrided',
  compose(x: Tensor, size: Shape, stride: readonly number[], { storageOffset = x.offset }: AsStridedOptions = {}) {
    if (size.length !== stride.length) {
      throw new LibError('value', `asStrided: there must be a stride for each size, got ${stride.length} for ${size.length}.`);
    }
    if (x.requiresGrad && !x.spec.contiguous)
      throw new LibError('value', `asStrided: a tensor that requires grad must be dense, got strides [${x.stride().join(', ')}].`);
    return stridedView(x, { shape: size, strides: stride, offset: storageOffset - x.offset });
  },
  *samples(random): Iterable<[x: Tensor, size: Shape, stride: readonly number[], options?: AsStridedOptions]> {
    yield [random([3, 4]), [2, 2], [4, 1], { storageOffset: 1 }];
    yield [random([6]), [3, 3], [1, 1]];
  },
  *errors(random): Iterable<readonly [[x: Tensor, size: Shape, stride: readonly number[]], string]> {
    yield [[random([4]), [2], [1, 1]], 'a stride for each size'];
    yield [[random([4]), [3, 3], [2, 1]], "inside the tensor's memory"];
    yield [[random([4]), [2], [-1]], 'of at least 0'];
  },
  torch: { call: 'torch.as_strided(a[0], a[1], a[2], o.get("storage_offset"))' },
});

/**
 * The same elements under another shape; one size may be -1. A view where the strides allow it, else a copy.
 * @example tensor([1, 2, 3, 4]).reshape([2, -1]) // [[1, 2], [3, 4]]
 */
export const reshape: Op<[x: Tensor, shape: Shape]> = defineComposite({
  name: 'reshape',
  compose(x: Tensor, shape: Shape) {
    const target = completeShape('reshape', x, shape);
    return viewStrides(x.spec, target) === null ? denseReshape(clone(x), target) : denseReshape(x, target);
  },
  *samples(random) {
    yield [random([2, 6]), [3, 4]];
    yield [random([2, 3, 4]), [2, -1]];
    yield [random([2, 3]).transpose(0, 1), [6]];
  },
  *errors(random) {
    yield [[random([2, 3]), [4]], 'element counts differ'];
    yield [[random([2, 3]), [-1, 4]], 'element counts differ'];
  },
});

/** Like {@link reshape}, but never copies: an error where the strides do not allow a view. */
export const view: Op<[x: Tensor, shape: Shape]> = defineComposite({
  name: 'view',
  compose(x: Tensor, shape: Shape) {
    const target = completeShape('view', x, shape);
    if (viewStrides(x.spec, target) !== null) return denseReshape(x, target);
    const got = `${formatShape(x.shape)} with strides [${x.stride().join(', ')}] into ${formatShape(target)}`;
    throw new LibError(
      'shape',
      `view: the strides must allow the new shape without a copy, got ${got}.`,
      'use reshape(), which copies where it has to.',
    );
  },
  *samples(random) {
    yield [random([2, 6]), [3, -1]];
    yield [random([2, 3, 4]).permute([1, 2, 0]), [12, 2]];
  },
  *errors(random) {
    yield [[random([2, 3]).transpose(0, 1), [6]], 'without a copy'];
  },
});

const denseReshape: Op<[x: Tensor, shape: Shape]> = defineView({
  name: 'reshape',
  args: (x: Tensor, shape: Shape) => ({ inputs: [x], params: shape, key: `${shape}` }),
  view: (spec, shape) => ({ shape, strides: viewStrides(spec, shape) ?? contiguousStrides(shape), offset: 0 }),
  grad: (g, base) => reshape(g, base.shape),
  *samples(random) {
    yield [random([2, 6]), [3, 4]];
  },
});

export interface FlattenOptions {
  /** First dim to merge. Default 0. */
  readonly startDim?: number;
  /** Last dim to merge. Default -1. */
  readonly endDim?: number;
}

/** Merges dims `startDim`..`endDim` into one: (2, 3, 4) becomes (2, 12) from startDim 1. */
export const flatten: Op<[x: Tensor, options?: FlattenOptions]> = defineComposite({
  name: 'flatten',
  compose(x: Tensor, { startDim = 0, endDim = -1 }: FlattenOptions = {}) {
    const [start, end] = [resolveDim('flatten', startDim, x.ndim), resolveDim('flatten', endDim, x.ndim)];
    if (start > end) throw new LibError('index', `flatten: startDim must not come after endDim, got ${startDim} and ${endDim}.`);
    return reshape(x, [...x.shape.slice(0, start), sizeOf(x.shape.slice(start, end + 1)), ...x.shape.slice(end + 1)]);
  },
  *samples(random): Iterable<[x: Tensor, options?: FlattenOptions]> {
    yield [random([2, 3, 4])];
    yield [random([2, 3, 4]), { startDim: 1 }];
    yield [random([2, 3, 4]), { endDim: 1 }];
    yield [random([])];
  },
  *errors(random): Iterable<readonly [[x: Tensor, options?: FlattenOptions], string]> {
    yield [[random([2, 3]), { startDim: 1, endDim: 0 }], 'must not come after'];
  },
});

/** Splits dim `dim` into `sizes`, one of which may be -1: the inverse of {@link flatten}. */
export const unflatten: Op<[x: Tensor, dim: number, sizes: Shape]> = defineComposite({
  name: 'unflatten',
  compose(x: Tensor, dim: number, sizes: Shape) {
    const d = resolveDim('unflatten', dim, x.ndim);
    const size = x.shape[d] ?? 1;
    const rest = sizeOf(sizes.filter((s) => s !== -1));
    const full = sizes.map((s) => (s === -1 ? size / rest : s));
    if (sizeOf(full) !== size || !full.every(Number.isInteger)) {
      throw new LibError('shape', `unflatten: the sizes must multiply to the dim's, got [${sizes.join(', ')}] for size ${size}.`);
    }
    return reshape(x, [...x.shape.slice(0, d), ...full, ...x.shape.slice(d + 1)]);
  },
  *samples(random) {
    yield [random([2, 12]), 1, [3, -1]];
    yield [random([6, 2]), -2, [2, 3]];
  },
  *errors(random) {
    yield [[random([2, 12]), 1, [5, 2]], 'must multiply'];
  },
});

export interface SqueezeOptions {
  /** Dim or dims to drop if their size is 1; default: all of size 1. */
  readonly dim?: number | readonly number[];
}

/** Drops dims of size 1. */
export const squeeze: Op<[x: Tensor, options?: SqueezeOptions]> = defineComposite({
  name: 'squeeze',
  compose(x: Tensor, { dim }: SqueezeOptions = {}) {
    const dims = typeof dim === 'object' && dim.length === 0 ? [] : resolveDims('squeeze', dim, x.ndim);
    return reshape(
      x,
      x.shape.filter((size, i) => size !== 1 || !dims.includes(i)),
    );
  },
  *samples(random): Iterable<[x: Tensor, options?: SqueezeOptions]> {
    yield [random([1, 3, 1])];
    yield [random([1, 3, 1]), { dim: 0 }];
    yield [random([1, 3, 1]), { dim: 1 }];
    yield [random([1, 3, 1]), { dim: [0, -1] }];
  },
  torch: { call: 'torch.squeeze(a[0], **{k: tuple(v) if isinstance(v, list) else v for k, v in o.items()})' },
});

/** Inserts a dim of size 1 before position `dim`; -1 appends it. */
export const unsqueeze: Op<[x: Tensor, dim: number]> = defineComposite({
  name: 'unsqueeze',
  compose(x: Tensor, dim: number) {
    const d = resolveDim('unsqueeze', dim, x.ndim + 1);
    return reshape(x, [...x.shape.slice(0, d), 1, ...x.shape.slice(d)]);
  },
  *samples(random) {
    yield [random([2, 3]), 1];
    yield [random([2, 3]), -1];
    yield [random([]), 0];
  },
  *errors(random) {
    yield [[random([2, 3]), 4], 'dim 4 is out of range'];
  },
});

function completeShape(op: string, x: Tensor, shape: Shape): Shape {
  const open = shape.indexOf(-1);
  const rest = sizeOf(shape.filter((d) => d !== -1));
  const completed = open < 0 ? shape : shape.map((d, i) => (i === open ? x.size / rest : d));
  const wrong = completed.some((d) => !Number.isInteger(d) || d < 0) || sizeOf(completed) !== x.size;
  if (wrong) {
    throw new LibError(
      'shape',
      `${op}: element counts must agree, got ${formatShape(x.shape)} into ${formatShape(shape)}: the element counts differ.`,
    );
  }
  return completed;
}

/** Stretches dims of size 1 to `shape` without copying; -1 keeps a size. */
export const expand: Op<[x: Tensor, shape: Shape]> = defineView({
  name: 'expand',
  args: (x: Tensor, shape: Shape) => ({ inputs: [x], params: shape, key: `${shape}` }),
  view: (spec, shape) => {
    const lead = shape.length - spec.shape.length;
    const full = shape.map((d, i) => (d === -1 ? (spec.shape[i - lead] ?? -1) : d));
    const fits = lead >= 0 && full.every((d, i) => d >= 0 && (i < lead || spec.shape[i - lead] === d || spec.shape[i - lead] === 1));
    if (!fits) {
      throw new LibError(
        'shape',
        `expand: only dims of size 1 can be stretched, got ${formatShape(spec.shape)} into ${formatShape(shape)}.`,
      );
    }
    const strides = full.map((d, i) => (i < lead || (spec.shape[i - lead] === 1 && d !== 1) ? 0 : (spec.strides[i - lead] ?? 0)));
    return { shape: full, strides, offset: 0 };
  },
  grad: (g, base) => g.sumToShape(base.shape),
  *samples(random) {
    yield [random([3, 1]), [2, 3, 4]];
    yield [random([3, 1]), [-1, 4]];
  },
  *errors(random) {
    yield [[random([3, 2]), [3, 4]], 'only dims of size 1'];
  },
});

/** `x` stretched to the shape of `other`. */
export const expandAs: Op<[x: Tensor, other: Tensor]> = defineComposite({
  name: 'expandAs',
  compose: (x: Tensor, other: Tensor) => expand(x, other.shape),
  *samples(random) {
    yield [random([3, 1]), random([2, 3, 4])];
  },
  torch: { call: 'a[0].expand_as(a[1])' },
});

/** `x` stretched to `shape` by the rules of broadcasting, without copying. */
export const broadcastTo: Op<[x: Tensor, shape: Shape]> = defineComposite({
  name: 'broadcastTo',
  compose: (x: Tensor, shape: Shape) => expand(x, shape),
  *samples(random) {
    yield [random([3]), [2, 3]];
  },
});

/** Puts dims in another order without copying: `x.permute([2, 0, 1])`. */
export const permute: Op<[x: Tensor, dims: readonly number[]]> = defineView({
  name: 'permute',
  args: (x: Tensor, dims: readonly number[]) => ({ inputs: [x], params: dims, key: `${dims}` }),
  view: (spec, dims) => {
    const order = permutation(spec, dims);
    return { shape: order.map((d) => spec.shape[d] ?? 1), strides: order.map((d) => spec.strides[d] ?? 1), offset: 0 };
  },
  grad: (g, base, dims) => {
    const order = permutation(base, dims);
    return g.permute(order.map((_, i) => order.indexOf(i)));
  },
  *samples(random) {
    yield [random([2, 3, 4]), [2, 0, 1]];
  },
  *errors(random) {
    yield [[random([2, 3]), [0, 0]], 'each dim once'];
  },
});

function permutation(spec: Spec, dims: readonly number[]): number[] {
  const rank = spec.shape.length;
  const order = dims.map((d) => resolveDim('permute', d, rank));
  if (order.length !== rank || new Set(order).size !== rank) {
    throw new LibError('index', `permute: dims must name each dim once, got [${dims.join(', ')}] for shape ${formatShape(spec.shape)}.`);
  }
  return order;
}

/** The tensor with two dims exchanged, without copying. */
export const transpose: Op<[x: Tensor, dim0: number, dim1: number]> = defineView({
  name: 'transpose',
  args: (x: Tensor, dim0: number, dim1: number) => ({ inputs: [x], params: [dim0, dim1] as const, key: `${dim0},${dim1}` }),
  view: ({ shape, strides }, [dim0, dim1]: readonly [number, number]) => {
    const [i, j] = [resolveDim('transpose', dim0, shape.length), resolveDim('transpose', dim1, shape.length)];
    const exchanged = (list: readonly number[]): number[] => list.map((v, k) => (k === i ? (list[j] ?? v) : k === j ? (list[i] ?? v) : v));
    return { shape: exchanged(shape), strides: exchanged(strides), offset: 0 };
  },
  grad: (g, _, [dim0, dim1]) => transpose(g, dim0, dim1),
  *samples(random) {
    yield [random([2, 3, 4]), 0, 2];
    yield [random([2, 3, 4]), -1, 1];
  },
  *errors(random) {
    yield [[random([2, 3]), 0, 2], 'dim 2 is out of range'];
  },
});

/** Another name of {@link transpose}, as in NumPy. */
export const swapaxes: Op<[x: Tensor, axis0: number, axis1: number]> = defineComposite({
  name: 'swapaxes',
  compose: (x: Tensor, axis0: number, axis1: number) => transpose(x, axis0, axis1),
  *samples(random) {
    yield [random([2, 3]), 0, 1];
  },
});

/** The transpose of a matrix; tensors of fewer dims stay as they are. */
export const t: Op<[x: Tensor]> = defineComposite({
  name: 't',
  compose(x: Tensor) {
    needDims('t', x, 0, 2, 'use mT() or transpose().');
    return x.ndim === 2 ? transpose(x, 0, 1) : x;
  },
  *samples(random) {
    yield [random([2, 3])];
  },
  *errors(random) {
    yield [[random([2, 3, 4])], 'at most 2 dims'];
  },
});

/** The transpose of each matrix in the last two dims. */
export const mT: Op<[x: Tensor]> = defineComposite({
  name: 'mT',
  compose(x: Tensor) {
    needDims('mT', x, 2);
    return transpose(x, -2, -1);
  },
  *samples(random) {
    yield [random([2, 3, 4])];
  },
  *errors(random) {
    yield [[random([3])], 'at least 2 dims'];
  },
  torch: { call: 'a[0].mT' },
});

/** Moves dims from positions `source` to `destination`; the others keep their order. */
export const movedim: Op<[x: Tensor, source: number | readonly number[], destination: number | readonly number[]]> = defineComposite({
  name: 'movedim',
  compose(x: Tensor, source: number | readonly number[], destination: number | readonly number[]) {
    const resolve = (dims: number | readonly number[]): number[] => [dims].flat().map((d) => resolveDim('movedim', d, x.ndim));
    const [from, to] = [resolve(source), resolve(destination)];
    if (from.length !== to.length || new Set(from).size !== from.length || new Set(to).size !== to.length) {
      throw new LibError(
        'index',
        `movedim: source and destination must pair distinct dims, got [${from.join(', ')}] and [${to.join(', ')}].`,
      );
    }
    const rest = x.shape.map((_, i) => i).filter((i) => !from.includes(i));
    return permute(
      x,
      x.shape.map((_, i) => (to.includes(i) ? (from[to.indexOf(i)] ?? 0) : (rest.shift() ?? 0))),
    );
  },
  *samples(random) {
    yield [random([2, 3, 4]), 0, 2];
    yield [random([2, 3, 4]), [0, 1], [-1, 0]];
  },
  *errors(random) {
    yield [[random([2, 3]), [0, 0], [0, 1]], 'distinct dims'];
  },
});

/** `length` entries of one dim, from `start` on (negative: from the end). */
export const narrow: Op<[x: Tensor, dim: number, start: number | Tensor, length: number]> = defineView({
  name: 'narrow',
  args: (x: Tensor, dim: number, first: number | Tensor, length: number) => {
    if (isTensor(first) && (first.ndim > 0 || first.dtype === 'bool' || isFloat(first.dtype)))
      throw new LibError(
        'value',
        `narrow: a start that is a tensor must hold one whole number, got a ${first.dtype} tensor of shape ${formatShape(first.shape)}.`,
      );
    const start = typeof first === 'number' ? first : (valuesOf('narrow', first)[0] as number);
    return { inputs: [x], params: [dim, start, length] as const, key: `${dim},${start},${length}` };
  },
  view: ({ shape, strides }, [dim, start, length]: readonly [number, number, number]) => {
    needDims('narrow', { shape }, 1);
    const d = resolveDim('narrow', dim, shape.length);
    const size = shape[d] ?? 1;
    const from = start < 0 ? start + size : start;
    if (from < 0 || length < 0 || from + length > size) {
      throw new LibError(
        'index',
        `narrow: start and length must stay inside the dim, got start ${start} and length ${length} for size ${size}.`,
      );
    }
    return { shape: withAt(shape, d, length), strides, offset: from * (strides[d] ?? 0) };
  },
  *samples(random) {
    yield [random([5, 3]), 0, 1, 3];
    yield [random([2, 5]), -1, -2, 2];
  },
  *errors(random) {
    yield [[random([2, 3]), 0, random.integers([2], 0, 1), 1], 'must hold one whole number'];
    yield [[random([5]), 0, 3, 3], 'must stay inside'];
    yield [[random([]), 0, 0, 1], 'must have at least 1 dim'];
    yield [[random([3]), 0, random.bool([]), 1], 'must hold one whole number, got a bool tensor'];
  },
});

/** One entry of a dim, which goes away: x[…, index, …]. */
export const select: Op<[x: Tensor, dim: number, index: number]> = defineView({
  name: 'select',
  args: (x: Tensor, dim: number, index: number) => ({ inputs: [x], params: [dim, index] as const, key: `${dim},${index}` }),
  view: ({ shape, strides }, [dim, index]: readonly [number, number]) => {
    const d = resolveDim('select', dim, shape.length);
    const size = shape[d] ?? 0;
    const at = index < 0 ? index + size : index;
    if (!Number.isInteger(at) || at < 0 || at >= size) {
      throw new LibError(
        'index',
        `select: the index must be in ${-size}..${size - 1}, got index ${index} is out of range for size ${size}.`,
      );
    }
    return { shape: without(shape, d), strides: without(strides, d), offset: at * (strides[d] ?? 0) };
  },
  *samples(random) {
    yield [random([3, 4]), 0, 1];
    yield [random([3, 4]), 1, -1];
  },
  *errors(random) {
    yield [[random([3, 4]), 1, 4], 'index 4 is out of range'];
    yield [[random([3, 4]), 2, 0], 'dim 2 is out of range'];
  },
});

/** [start, end) or [start, end, step] of a dim, as in Python's x[start:end:step]; null, or an entry null or left out: no bound. */
export type Range = readonly [start?: number | null, end?: number | null, step?: number] | null;

/**
 * A part of each dim, like Python's x[a:b, c:d:e]. Negative bounds count from the end, bounds outside are clamped, steps are positive;
 * dims without a range stay whole.
 * @example tensor([[1, 2, 3], [4, 5, 6]]).slice(null, [0, 2]) // [[1, 2], [4, 5]]
 */
export const slice: Op<[x: Tensor, ...ranges: Range[]]> = defineView({
  name: 'slice',
  args: (x: Tensor, ...ranges: Range[]) => ({ inputs: [x], params: ranges }),
  view: ({ shape, strides }, ranges: readonly Range[]) => {
    if (ranges.length > shape.length) {
      throw new LibError('index', `slice: there may be one range for each dim, got ${ranges.length} for shape ${formatShape(shape)}.`);
    }
    let offset = 0;
    const dims = shape.map((size, i) => {
      const [start, end, step = 1] = ranges[i] ?? [];
      if (!Number.isInteger(step) || step < 1)
        throw new LibError('value', `slice: steps must be positive integers, got ${step}.`, 'use flip() to reverse.');
      const { from, to } = clampRange(size, start ?? 0, end ?? size);
      offset += from < size ? from * (strides[i] ?? 0) : 0;
      return { size: Math.ceil((to - from) / step), stride: (strides[i] ?? 0) * step };
    });
    return { shape: dims.map((d) => d.size), strides: dims.map((d) => d.stride), offset };
  },
  *samples(random) {
    yield [random([5, 4]), [1, 4], null];
    yield [random([5, 4]), [0, 5, 2], [-3, -1]];
    yield [random([5]), [-100, 100]];
    yield [random([5]), [4, 2]];
  },
  *errors(random) {
    yield [[random([5]), [0, 5, -1]], 'positive integers'];
    yield [[random([5]), null, null], 'one range for each dim'];
  },
  torch: { call: 'a[0][tuple(slice(None) if r is None else slice(*r) for r in a[1:])]' },
});

export interface DiagonalDims {
  /** Which diagonal: above (positive) or below the main one. Default 0. */
  readonly offset?: number;
  /** Default 0. */
  readonly dim1?: number;
  /** Default 1. */
  readonly dim2?: number;
}

/** A diagonal of the matrices in two dims, as a new last dim. */
export const diagonal: Op<[x: Tensor, options?: DiagonalDims]> = defineView({
  name: 'diagonal',
  args: (x: Tensor, { offset = 0, dim1 = 0, dim2 = 1 }: DiagonalDims = {}) => ({ inputs: [x], params: { offset, dim1, dim2 } }),
  view: ({ shape, strides }, { offset, dim1, dim2 }: Required<DiagonalDims>) => {
    const [i, j] = [resolveDim('diagonal', dim1, shape.length), resolveDim('diagonal', dim2, shape.length)];
    if (i === j) throw new LibError('index', `diagonal: dim1 and dim2 must differ, got ${dim1} and ${dim2}.`);
    const [rows, columns, down, right] = [shape[i] ?? 1, shape[j] ?? 1, strides[i] ?? 0, strides[j] ?? 0];
    const length = Math.max(0, offset >= 0 ? Math.min(rows, columns - offset) : Math.min(rows + offset, columns));
    const others = (list: readonly number[]): number[] => list.filter((_, k) => k !== i && k !== j);
    const start = length === 0 ? 0 : offset >= 0 ? offset * right : -offset * down;
    return { shape: [...others(shape), length], strides: [...others(strides), down + right], offset: start };
  },
  *samples(random): Iterable<[x: Tensor, options?: DiagonalDims]> {
    yield [random([3, 4])];
    yield [random([3, 4]), { offset: 2 }];
    yield [random([2, 3, 4]), { offset: -1, dim1: 1, dim2: -1 }];
    yield [random([2, 2]), { offset: 5 }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, options?: DiagonalDims], string]> {
    yield [[random([3, 4]), { dim2: 0 }], 'must differ'];
  },
});

/** Windows of `size` entries of a dim, `step` apart, as a new last dim. They share memory where they overlap. */
export const unfold: Op<[x: Tensor, dim: number, size: number, step: number]> = defineView({
  name: 'unfold',
  args: (x: Tensor, dim: number, size: number, step: number) => ({
    inputs: [x],
    params: [dim, size, step] as const,
    key: `${dim},${size},${step}`,
  }),
  view: ({ shape, strides }, [dim, size, step]: readonly [number, number, number]) => {
    const d = resolveDim('unfold', dim, shape.length);
    const length = shape[d] ?? 1;
    if (size < 0 || size > length || !Number.isInteger(step) || step < 1) {
      throw new LibError(
        'value',
        `unfold: windows must fit the dim and step be positive, got size ${size} and step ${step} for size ${length}.`,
      );
    }
    const stride = strides[d] ?? 1;
    const counted = withAt(shape, d, Math.floor((length - size) / step) + 1);
    return { shape: [...counted, size], strides: [...withAt(strides, d, stride * step), stride], offset: 0 };
  },
  *samples(random) {
    yield [random([7]), 0, 3, 2];
    yield [random([2, 5, 2]), 1, 3, 1];
  },
  *errors(random) {
    yield [[random([4]), 0, 5, 1], 'must fit the dim'];
  },
  torch: { call: 'a[0].unfold(a[1], a[2], a[3])' },
});
