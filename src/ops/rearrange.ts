import { LibError } from '../core/errors.js';
import { contiguousStrides, formatShape, needDims, range, resolveDim, resolveDims, type Shape } from '../core/shape.js';
import { type Spec, specOf } from '../core/spec.js';
import { input } from '../expr/expr.js';
import { valuesOf } from '../tensor/capturing.js';
import { isTensor, type Tensor } from '../tensor/tensor.js';
import { defineComposite, defineOp, type Op } from './define.js';
import { constantTable, fuse } from './fused.js';
import { indexSelect } from './indexing.js';
import { cat } from './join.js';
import { clone, type DiagonalDims, diagonal } from './view.js';
import { embed } from './viewRows.js';

interface FlipParams {
  readonly dims: readonly number[];
}

/** The order of entries reversed along the given dim or dims. Copies. */
export const flip: Op<[x: Tensor, dims: number | readonly number[]]> = defineOp({
  name: 'flip',
  args: (x: Tensor, dims: number | readonly number[]) => {
    const resolved = typeof dims !== 'number' && dims.length === 0 ? [] : resolveDims('flip', dims, x.ndim);
    return { inputs: [x], params: { dims: resolved }, key: `${resolved}` };
  },
  infer: ([x]) => specOf((x as Spec).dtype, (x as Spec).shape),
  kernel: ({ dims }: FlipParams, [x]) => {
    const { shape } = x as Spec;
    const strides = contiguousStrides(shape);
    const offset = dims.reduce((sum, d) => sum + Math.max((shape[d] ?? 1) - 1, 0) * (strides[d] ?? 0), 0);
    return { family: 'copy', places: [{ offset, strides: strides.map((s, d) => (dims.includes(d) ? -s : s)) }] };
  },
  grad: ([g], { params: { dims } }) => [g ? flip(g, dims) : null],
  *samples(random) {
    yield [random([2, 3]), 1];
    yield [random([2, 3, 4]), [0, -1]];
    yield [random([3]), []];
  },
  *errors(random) {
    yield [[random([2, 3]), [0, 0]], 'each dim may appear once'];
  },
  torch: { call: 'torch.flip(a[0], a[1] if isinstance(a[1], list) else [a[1]])' },
});

export interface RollOptions {
  /** Dims to roll, one for each shift; default: the flattened tensor is rolled. */
  readonly dims?: number | readonly number[];
}

/** Moves entries on by `shifts` places along a dim; those that fall off the end come in at the start. */
export const roll: Op<[x: Tensor, shifts: number | readonly number[], options?: RollOptions]> = defineComposite({
  name: 'roll',
  compose(x: Tensor, shifts: number | readonly number[], { dims }: RollOptions = {}) {
    const steps = [shifts].flat();
    if (x.ndim === 0 && dims !== undefined && [dims].flat().length > 0)
      throw new LibError('index', `roll: a tensor of no dims has none to roll along, got dims ${[dims].flat().join(', ')}.`);
    if (steps.length === 0) throw new LibError('value', 'roll: there must be at least one shift, got none.');
    if (dims === undefined && steps.length > 1)
      throw new LibError('value', `roll: without dims there must be one shift, got ${steps.length}.`);
    if (dims === undefined) return rollOne(x.reshape([x.size]), steps[0] ?? 0, 0).reshape(x.shape);
    const along = [dims].flat();
    if (along.length !== steps.length) {
      throw new LibError('value', `roll: there must be one shift for each dim, got ${steps.length} shifts and ${along.length} dims.`);
    }
    return along.reduce((y, dim, i) => rollOne(y, steps[i] ?? 0, resolveDim('roll', dim, x.ndim)), x);
  },
  *samples(random): Iterable<[x: Tensor, shifts: number | readonly number[], options?: RollOptions]> {
    yield [random([2, 3]), 1];
    yield [random([4, 3]), -1, { dims: 0 }];
    yield [random([4, 3]), [1, 2], { dims: [0, 1] }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, shifts: number | readonly number[], options?: RollOptions], string]> {
    yield [[random([4]), [1, 2], { dims: 0 }], 'one shift for each dim'];
    yield [[random([4]), []], 'at least one shift'];
    yield [[random([]), 1, { dims: 0 }], 'a tensor of no dims has none'];
    yield [[random([4]), [1, 2]], 'without dims there must be one shift'];
  },
});

function rollOne(x: Tensor, shift: number, dim: number): Tensor {
  const size = x.shape[dim] ?? 1;
  const by = size === 0 ? 0 : ((shift % size) + size) % size;
  if (by === 0) return clone(x);
  return cat(x.split([size - by, by], { dim }).reverse(), { dim });
}

/** The tensor laid side by side `repeats[i]` times along each dim; leading dims are added when there are more counts than dims. */
export const repeat: Op<[x: Tensor, repeats: Shape]> = defineComposite({
  name: 'repeat',
  compose(x: Tensor, repeats: Shape) {
    if (repeats.length < x.ndim) {
      throw new LibError(
        'value',
        `repeat: there must be a count for each dim, got [${repeats.join(', ')}] for shape ${formatShape(x.shape)}.`,
      );
    }
    const shape = [...new Array<number>(repeats.length - x.ndim).fill(1), ...x.shape];
    const spread = x.reshape(shape.flatMap((d) => [1, d])).expand(shape.flatMap((d, i) => [repeats[i] ?? 1, d]));
    return clone(spread).reshape(shape.map((d, i) => d * (repeats[i] ?? 1)));
  },
  *samples(random) {
    yield [random([2, 3]), [2, 2]];
    yield [random([3]), [2, 1, 2]];
  },
  *errors(random) {
    yield [[random([2, 3]), [2]], 'a count for each dim'];
  },
  torch: { call: 'a[0].repeat(a[1])' },
});

/** Like {@link repeat}, but counts are filled up with leading ones, as in NumPy. */
export const tile: Op<[x: Tensor, repeats: Shape]> = defineComposite({
  name: 'tile',
  compose(x: Tensor, repeats: Shape) {
    return repeat(x, [...new Array<number>(Math.max(0, x.ndim - repeats.length)).fill(1), ...repeats]);
  },
  *samples(random) {
    yield [random([2, 3]), [2]];
    yield [random([3]), [2, 1]];
  },
});

export interface RepeatInterleaveOptions {
  /** The dim whose entries are repeated; default: those of the flattened tensor. */
  readonly dim?: number;
  /** The size that the dim will have: checked. Default: what the counts add up to. */
  readonly outputSize?: number;
}

/** Each entry of a dim repeated in place: `repeats` times, or as often as an int tensor says for each. */
export const repeatInterleave: Op<[x: Tensor, repeats: number | Tensor, options?: RepeatInterleaveOptions]> = defineComposite({
  name: 'repeatInterleave',
  compose(x: Tensor, repeats: number | Tensor, { dim, outputSize }: RepeatInterleaveOptions = {}) {
    const along = dim === undefined ? 0 : resolveDim('repeatInterleave', dim, x.ndim);
    const y = interleave(dim === undefined ? x.reshape([x.size]) : x, repeats, along);
    if (outputSize !== undefined && y.sizeAt(along) !== outputSize)
      throw new LibError(
        'value',
        `repeatInterleave: outputSize must be what the counts add up to, got ${outputSize} for ${y.sizeAt(along)}.`,
      );
    return y;
  },
  *samples(random): Iterable<[x: Tensor, repeats: number | Tensor, options?: RepeatInterleaveOptions]> {
    yield [random([2, 3]), 2];
    yield [random([2, 3]), 3, { dim: 1 }];
    yield [random([2, 4]), random.integers([4], 0, 4), { dim: -1 }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, repeats: number | Tensor, options?: RepeatInterleaveOptions], string]> {
    yield [[random([2, 3]), random.integers([2], 1, 3), { dim: 1 }], 'one count for each entry'];
    yield [[random([2]), -1], 'must not be negative'];
    yield [[random([2]), 3, { outputSize: 5 }], 'outputSize must be what the counts add up to, got 5 for 6'];
  },
});

function interleave(x: Tensor, repeats: number | Tensor, dim: number): Tensor {
  const size = x.shape[dim] ?? 1;
  const [before, after] = [x.shape.slice(0, dim), x.shape.slice(dim + 1)];
  if (!isTensor(repeats)) {
    if (repeats < 0) throw new LibError('value', `repeatInterleave: counts must not be negative, got ${repeats}.`);
    return clone(x.unsqueeze(dim + 1).expand([...before, size, repeats, ...after])).reshape([...before, size * repeats, ...after]);
  }
  if (repeats.ndim > 1 || (repeats.size !== size && repeats.size !== 1)) {
    throw new LibError(
      'shape',
      `repeatInterleave: there must be one count for each entry, got shape ${formatShape(repeats.shape)} for size ${size}.`,
    );
  }
  const counts = [...valuesOf('repeatInterleave', repeats)];
  if (counts.some((c) => c < 0)) throw new LibError('value', `repeatInterleave: counts must not be negative, got ${Math.min(...counts)}.`);
  const index = range(size).flatMap((i) => new Array<number>(counts[counts.length === 1 ? 0 : i] ?? 0).fill(i));
  const table = constantTable(x.device, `repeat${counts.join()}`, specOf('int32', [index.length]), () => Int32Array.from(index));
  return indexSelect(x, dim, table);
}

export interface TriangleOptions {
  /** The last diagonal kept: 0 is the main one, positive ones lie above. Default 0. */
  readonly diagonal?: number;
}

/** Keeps elements whose mask is set, in one pass; the mask is a constant of the shape and the diagonal. */
function triangle(name: 'tril' | 'triu', x: Tensor, k: number): Tensor {
  needDims(name, x, 2);
  const [rows, columns] = [x.sizeAt(-2), x.sizeAt(-1)];
  const keep = name === 'tril' ? (i: number, j: number) => j - i <= k : (i: number, j: number) => j - i >= k;
  const mask = constantTable(x.device, `${name}${k}`, specOf('bool', [rows, columns]), () =>
    Uint8Array.from({ length: rows * columns }, (_, at) => Number(keep(Math.floor(at / columns), at % columns))),
  );
  return fuse(name, [x, mask], input(1).select(input(0), 0));
}

/** The lower triangle of each matrix in the last two dims; zeros above. */
export const tril: Op<[x: Tensor, options?: TriangleOptions]> = defineComposite({
  name: 'tril',
  compose: (x: Tensor, { diagonal: k = 0 }: TriangleOptions = {}) => triangle('tril', x, k),
  *samples(random): Iterable<[x: Tensor, options?: TriangleOptions]> {
    yield [random([3, 4])];
    yield [random([2, 3, 3]), { diagonal: -1 }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, options?: TriangleOptions], string]> {
    yield [[random([3])], 'at least 2 dims'];
  },
});

/** The upper triangle of each matrix in the last two dims; zeros below. */
export const triu: Op<[x: Tensor, options?: TriangleOptions]> = defineComposite({
  name: 'triu',
  compose: (x: Tensor, { diagonal: k = 0 }: TriangleOptions = {}) => triangle('triu', x, k),
  *samples(random): Iterable<[x: Tensor, options?: TriangleOptions]> {
    yield [random([4, 3])];
    yield [random([2, 3, 3]), { diagonal: 1 }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, options?: TriangleOptions], string]> {
    yield [[random([3])], 'at least 2 dims'];
  },
});

/** A matrix with the given diagonal, or the diagonal of a matrix (a copy). */
export const diag: Op<[x: Tensor, options?: TriangleOptions]> = defineComposite({
  name: 'diag',
  compose(x: Tensor, { diagonal: offset = 0 }: TriangleOptions = {}) {
    if (x.ndim === 1) return diagEmbed(x, { offset });
    if (x.ndim === 2) return clone(diagonal(x, { offset }));
    throw new LibError(
      'shape',
      `diag: the tensor must have 1 or 2 dims, got shape ${formatShape(x.shape)}.`,
      'use diagonal() or diagEmbed().',
    );
  },
  *samples(random): Iterable<[x: Tensor, options?: TriangleOptions]> {
    yield [random([3])];
    yield [random([3]), { diagonal: -1 }];
    yield [random([3, 4]), { diagonal: 1 }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, options?: TriangleOptions], string]> {
    yield [[random([2, 2, 2])], '1 or 2 dims'];
  },
});

/** Matrices (in dims `dim1`, default -2, and `dim2`, default -1) whose diagonals are the rows of x; zeros elsewhere. */
export const diagEmbed: Op<[x: Tensor, options?: DiagonalDims]> = defineComposite({
  name: 'diagEmbed',
  compose(x: Tensor, { offset = 0, dim1 = -2, dim2 = -1 }: DiagonalDims = {}) {
    const rank = x.ndim + 1;
    const [i, j] = [resolveDim('diagEmbed', dim1, rank), resolveDim('diagEmbed', dim2, rank)];
    if (i === j) throw new LibError('index', `diagEmbed: dim1 and dim2 must differ, got ${dim1} and ${dim2}.`);
    const size = x.sizeAt(-1) + Math.abs(offset);
    const rest = [...x.shape.slice(0, -1)];
    const shape = Array.from({ length: rank }, (_, k) => (k === i || k === j ? size : (rest.shift() ?? 1)));
    const strides = contiguousStrides(shape);
    const [down, right] = [strides[i] ?? 0, strides[j] ?? 0];
    const layout = {
      shape: x.shape,
      strides: [...strides.filter((_, k) => k !== i && k !== j), down + right],
      offset: offset >= 0 ? offset * right : -offset * down,
    };
    return embed(x, shape, layout);
  },
  *samples(random): Iterable<[x: Tensor, options?: DiagonalDims]> {
    yield [random([2, 3])];
    yield [random([2, 3]), { offset: 1, dim1: 0, dim2: 2 }];
    yield [random([3]), { offset: -2 }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, options?: DiagonalDims], string]> {
    yield [[random([3]), { dim1: 1 }], 'must differ'];
  },
});

export interface Rot90Options {
  /** Quarter turns from the first dim towards the second. Default 1. */
  readonly k?: number;
  /** The plane of the turn. Default [0, 1]. */
  readonly dims?: readonly [number, number];
}

/** Quarter turns in the plane of two dims. */
export const rot90: Op<[x: Tensor, options?: Rot90Options]> = defineComposite({
  name: 'rot90',
  compose(x: Tensor, { k = 1, dims = [0, 1] }: Rot90Options = {}) {
    const [a, b, ...others] = dims;
    if (others.length > 0) throw new LibError('value', `rot90: there must be two dims, got ${dims.length}.`);
    if (resolveDim('rot90', a, x.ndim) === resolveDim('rot90', b, x.ndim)) {
      throw new LibError('index', `rot90: the two dims must differ, got ${a} and ${b}.`);
    }
    const turns = ((k % 4) + 4) % 4;
    if (turns === 1) return flip(x, b).transpose(a, b);
    if (turns === 2) return flip(x, [a, b]);
    return turns === 3 ? flip(x.transpose(a, b), b) : clone(x);
  },
  *samples(random): Iterable<[x: Tensor, options?: Rot90Options]> {
    yield [random([2, 3])];
    yield [random([2, 3]), { k: 2 }];
    yield [random([2, 3, 4]), { k: -1, dims: [1, 2] }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, options?: Rot90Options], string]> {
    yield [[random([2, 3]), { dims: [0, 0] }], 'must differ'];
    yield [[random([2, 3]), { dims: [0, 1, 0] as unknown as [number, number] }], 'two dims'];
  },
});
