import { LibError } from '../core/errors.js';
import { needDims, needWhole, resolveDim } from '../core/shape.js';
import { valuesOf } from '../tensor/capturing.js';
import { isTensor, type Tensor } from '../tensor/tensor.js';
import { defineComposite, defineCustom, type Op } from './define.js';
import { constantView } from './fused.js';
import { cat, type JoinOptions, stack } from './join.js';

export type SplitOptions = JoinOptions;

interface PieceParams {
  readonly dim: number;
  readonly sizes: readonly number[];
}

/** Missing gradients are zeros, so that the pieces' gradients can be put together in one copy. */
function filledIn(gradients: readonly (Tensor | null)[], pieces: readonly Tensor[]): Tensor[] {
  return pieces.map(({ device, dtype, shape }, i) => gradients[i] ?? constantView(device, dtype, shape, 0));
}

/**
 * Cuts a dim into pieces of `size` (the last may be smaller), or into pieces of the given sizes. The pieces are views.
 * @example arange(5).split(2) // [0, 1], [2, 3], [4]
 */
export const split: Op<[x: Tensor, size: number | readonly number[], options?: SplitOptions], Tensor[]> = defineCustom({
  name: 'split',
  args: (x: Tensor, size: number | readonly number[], { dim = 0 }: SplitOptions = {}) => {
    return { inputs: [x], params: { dim, sizes: sizesOf('split', x, size, dim) } };
  },
  forward: ([x], { dim, sizes }: PieceParams) => {
    let start = 0;
    return sizes.map((size) => {
      start += size;
      return (x as Tensor).narrow(dim, start - size, size);
    });
  },
  grad: (gradients, { outputs, params: { dim } }) => [cat(filledIn(gradients, outputs), { dim })],
  result: (outputs) => [...outputs],
  *samples(random): Iterable<[x: Tensor, size: number | readonly number[], options?: SplitOptions]> {
    yield [random([5, 2]), 2];
    yield [random([2, 6]), [1, 2, 3], { dim: 1 }];
    yield [random([2, 6]), 3, { dim: -1 }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, size: number | readonly number[], options?: SplitOptions], string]> {
    yield [[random([5]), [2, 2]], 'must sum to the size'];
    yield [[random([5]), 0], 'must be a whole number of at least 1'];
    yield [[random([5]), 1, { dim: 1 }], 'dim 1 is out of range'];
  },
});

function sizesOf(op: string, x: Tensor, size: number | readonly number[], dim: number): readonly number[] {
  const length = x.shape[resolveDim(op, dim, x.ndim)] ?? 0;
  if (typeof size !== 'number') {
    const total = size.reduce((a, b) => a + b, 0);
    if (total === length && size.every((s) => Number.isInteger(s) && s >= 0)) return size;
    throw new LibError('shape', `${op}: sizes must sum to the size of the dim, got [${size.join(', ')}] for size ${length}.`);
  }
  needWhole(op, 'the size of pieces', size, 1);
  const count = Math.max(1, Math.ceil(length / size));
  return Array.from({ length: count }, (_, i) => Math.min(size, length - i * size));
}

/** Cuts a dim into at most `chunks` pieces of equal size (the last may be smaller). The pieces are views. */
export const chunk: Op<[x: Tensor, chunks: number, options?: SplitOptions], Tensor[]> = defineComposite({
  name: 'chunk',
  compose(x: Tensor, chunks: number, { dim = 0 }: SplitOptions = {}) {
    needWhole('chunk', 'the count', chunks, 1);
    return split(x, Math.max(1, Math.ceil(x.sizeAt(dim) / chunks)), { dim });
  },
  *samples(random): Iterable<[x: Tensor, chunks: number, options?: SplitOptions]> {
    yield [random([2, 6]), 3, { dim: 1 }];
    yield [random([5]), 2];
  },
  *errors(random): Iterable<readonly [[x: Tensor, chunks: number, options?: SplitOptions], string]> {
    yield [[random([5]), 0], 'must be a whole number of at least 1'];
  },
});

/** The places where a dim is cut: a count of equal parts, or bounds; as a tensor they are read now. */
type Sections = number | readonly number[] | Tensor;
/** Cuts a dim into exactly `sections` pieces (the first ones may be longer by 1), or before each of the given indices. */
export const tensorSplit: Op<[x: Tensor, sections: Sections, options?: SplitOptions], Tensor[]> = defineComposite({
  name: 'tensorSplit',
  compose(x: Tensor, where: Sections, { dim = 0 }: SplitOptions = {}) {
    const length = x.sizeAt(dim);
    const read = isTensor(where) ? [...valuesOf('tensorSplit', where)] : [];
    const sections = isTensor(where) ? (where.ndim === 0 ? (read[0] as number) : read) : where;
    if (typeof sections === 'number') {
      needWhole('tensorSplit', 'the count', sections, 1);
      const [base, longer] = [Math.floor(length / sections), length % sections];
      return split(
        x,
        Array.from({ length: sections }, (_, i) => base + Number(i < longer)),
        { dim },
      );
    }
    const bounds = [0, ...sections.map((i) => Math.min(Math.max(i < 0 ? i + length : i, 0), length)), length];
    return bounds.slice(1).map((end, i) => x.narrow(dim, bounds[i] ?? 0, Math.max(0, end - (bounds[i] ?? 0))));
  },
  *samples(random): Iterable<[x: Tensor, sections: Sections, options?: SplitOptions]> {
    yield [random([7]), 3];
    yield [random([2, 5]), [1, 3], { dim: 1 }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, sections: Sections, options?: SplitOptions], string]> {
    yield [[random([5]), 0], 'must be a whole number of at least 1'];
  },
  torch: { call: 'torch.tensor_split(a[0], tuple(a[1]) if isinstance(a[1], list) else a[1], **o)' },
});

/** The entries of a dim, one tensor each. They are views. */
export const unbind: Op<[x: Tensor, options?: SplitOptions], Tensor[]> = defineCustom({
  name: 'unbind',
  args: (x: Tensor, { dim = 0 }: SplitOptions = {}) => {
    needDims('unbind', x, 1);
    return { inputs: [x], params: { dim: resolveDim('unbind', dim, x.ndim) } };
  },
  forward: ([x], { dim }: JoinParams) => Array.from({ length: x?.shape[dim] ?? 0 }, (_, i) => (x as Tensor).select(dim, i)),
  grad: (gradients, { outputs, params: { dim } }) => [stack(filledIn(gradients, outputs), { dim })],
  result: (outputs) => [...outputs],
  *samples(random): Iterable<[x: Tensor, options?: SplitOptions]> {
    yield [random([3, 2])];
    yield [random([3, 2]), { dim: -1 }];
    yield [random([0, 2])];
  },
  *errors(random): Iterable<readonly [[x: Tensor, options?: SplitOptions], string]> {
    yield [[random([3]), { dim: 2 }], 'dim 2 is out of range'];
    yield [[random([])], 'must have at least 1 dim'];
  },
});

interface JoinParams {
  readonly dim: number;
}
