import { LibError } from '../core/errors.js';
import { formatShape, needDims, type Shape } from '../core/shape.js';
import { isTensor, type Tensor } from '../tensor/tensor.js';
import { defineComposite, type Op } from './define.js';
import type { Overloaded } from './foldRows.js';
import { pad } from './pad.js';
import { diag, flip } from './rearrange.js';
import { composed } from './shortRows.js';
import { type SplitOptions, split, tensorSplit } from './split.js';
import { mT, permute, reshape, view } from './view.js';

/** Rows that are other views under another name or with fewer words. */

/** The tensor with its dims in reverse order: the transpose of a matrix. A view. */
export const T: Op<[x: Tensor]> = composed(
  'T',
  (x) =>
    permute(
      x,
      x.shape.map((_, i) => x.ndim - 1 - i),
    ),
  (random) => [[random([2, 3])], [random([4])]],
  { torch: 'a[0].T' },
);
/** The transpose of a matrix, which for real numbers is its adjoint too. A view. */
export const H: Op<[x: Tensor]> = composed(
  'H',
  (x) => {
    if (x.ndim !== 2 && x.ndim !== 0)
      throw new LibError('shape', `H: the tensor must be a matrix, got shape ${formatShape(x.shape)}.`, 'use mT() for batches.');
    return x.ndim === 0 ? x : mT(x);
  },
  (random) => [[random([2, 3])]],
  { torch: 'a[0].H', errors: (random) => [[[random([3])], 'must be a matrix']] },
);
/** The transpose of each matrix in the last two dims: the adjoint of real matrices. A view. */
export const adjoint: Op<[x: Tensor]> = composed(
  'adjoint',
  (x) => {
    needDims('adjoint', x, 2);
    return mT(x);
  },
  (random) => [[random([2, 3, 4])]],
  { errors: (random) => [[[random([3])], 'at least 2 dims']] },
);
/** Another name of {@link adjoint}. */
export const mH: Op<[x: Tensor]> = composed(
  'mH',
  (x) => {
    needDims('mH', x, 2);
    return mT(x);
  },
  (random) => [[random([2, 3])]],
  { torch: 'a[0].mH' },
);

/** All elements in one dim: a view where the strides allow it. */
export const ravel: Op<[x: Tensor]> = composed(
  'ravel',
  (x) => reshape(x, [-1]),
  (random) => [[random([2, 3])], [random([])]],
);
/** {@link reshape} to the shape of another tensor. */
export const reshapeAs: Op<[x: Tensor, other: Tensor]> = composed(
  'reshapeAs',
  (x, other) => reshape(x, other.shape),
  (random) => [[random([2, 3]), random([3, 2])]],
);
/** {@link view} with the shape of another tensor. */
export const viewAs: Op<[x: Tensor, other: Tensor]> = composed(
  'viewAs',
  (x, other) => view(x, other.shape),
  (random) => [[random([2, 3]), random([6])]],
);
/** Sums what broadcasting from `shape` to the tensor's shape would have stretched: the transpose of {@link expand}. */
export const sumToSize: Op<[x: Tensor, shape: Shape]> = composed(
  'sumToSize',
  (x, shape) => {
    if (!Array.isArray(shape)) throw new LibError('value', `sumToSize: the size must be a list, got ${typeof shape}.`);
    const lead = x.ndim - shape.length;
    if (lead < 0 || !shape.every((d, i) => d === 1 || d === x.shape[i + lead])) {
      throw new LibError(
        'shape',
        `sumToSize: the size must broadcast to the tensor's shape, got ${formatShape(shape)} for ${formatShape(x.shape)}.`,
      );
    }
    return (x.dtype === 'bool' && x.ndim > 0 ? x.int() : x).sumToShape(shape);
  },
  (random) => [
    [random([2, 3, 4]), [3, 1]],
    [random([2, 3]), []],
    [random([2, 3]), [2, 3]],
  ],
  {
    torch: 'a[0].sum_to_size(tuple(a[1]))',
    errors: (random) => [
      [[random([2, 3]), [2]], 'must broadcast'],
      [[random([2, 3]), {} as unknown as Shape], 'must be a list'],
    ],
  },
);

/** Columns in reverse order (dim 1). Copies. */
export const fliplr: Op<[x: Tensor]> = composed(
  'fliplr',
  (x) => {
    needDims('fliplr', x, 2);
    return flip(x, 1);
  },
  (random) => [[random([2, 3])]],
  { errors: (random) => [[[random([3])], 'at least 2 dims']] },
);
/** Rows in reverse order (dim 0). Copies. */
export const flipud: Op<[x: Tensor]> = composed(
  'flipud',
  (x) => {
    needDims('flipud', x, 1);
    return flip(x, 0);
  },
  (random) => [[random([2, 3])], [random([4])]],
  { errors: (random) => [[[random([])], 'at least 1 dim']] },
);

type Split = Op<[x: Tensor, sections: number | readonly number[]], Tensor[]>;

/** Cuts along one dim, into equal pieces or before indices; `dimOf` says which dim. */
function splitRow(name: string, least: number, dimOf: (x: Tensor) => number): Split {
  return defineComposite({
    name,
    compose(x: Tensor, sections: number | readonly number[]) {
      needDims(name, x, least);
      const dim = dimOf(x);
      const size = x.sizeAt(dim);
      if (typeof sections === 'number' && (!(sections > 0) || size % sections !== 0)) {
        throw new LibError('value', `${name}: the count must divide the size of dim ${dim}, got ${sections} for size ${size}.`);
      }
      return tensorSplit(x, sections, { dim });
    },
    *samples(random): Iterable<[x: Tensor, sections: number | readonly number[]]> {
      yield [random([4, 6, 2]), 2];
      yield [random([3, 5, 4]), [1, 2]];
    },
    *errors(random): Iterable<readonly [[x: Tensor, sections: number | readonly number[]], string]> {
      yield [[random([5, 5, 5]), 2], 'must divide'];
      yield [[random([]), 1], 'must have at least'];
      yield [[random([4, 4, 4]), {} as unknown as number], 'sections must be a list of whole numbers or a whole number'];
    },
    torch: { call: `torch.${name}(a[0], tuple(a[1]) if isinstance(a[1], list) else a[1])` },
  });
}
/** Cuts along dim 1 (dim 0 of a vector): into equal pieces, or before each index. The pieces are views. */
export const hsplit: Split = splitRow('hsplit', 1, (x) => (x.ndim === 1 ? 0 : 1));
/** Cuts along dim 0: into equal pieces, or before each index. The pieces are views. */
export const vsplit: Split = splitRow('vsplit', 2, () => 0);
/** Cuts along dim 2: into equal pieces, or before each index. The pieces are views. */
export const dsplit: Split = splitRow('dsplit', 3, () => 2);

export type AtLeastMethod = () => Tensor;
/** A tensor, or each tensor of a list, with leading (and for 3 dims trailing) dims of size 1 where it has too few. */
export interface AtLeast extends Overloaded<AtLeastMethod> {
  (x: Tensor): Tensor;
  (tensors: readonly Tensor[]): Tensor[];
}
function atLeast(name: string, torch: string, shapeOf: (shape: Shape) => Shape): AtLeast {
  const widen = (x: Tensor): Tensor => reshape(x, shapeOf(x.shape));
  return composed<[x: Tensor | readonly Tensor[]], Tensor | Tensor[]>(
    name,
    (x) => (isTensor(x) ? widen(x) : x.map(widen)),
    (random) => [[random([])], [random([2])], [random([2, 3])], [[random([2]), random([2, 3, 1])]]],
    { torch: `torch.${torch}(*(a[0] if isinstance(a[0], list) else [a[0]]))` },
  ) as unknown as AtLeast;
}
/** At least one dim: a scalar becomes a vector. A list gives a list. */
export const atleast1d: AtLeast = atLeast('atleast1d', 'atleast_1d', (shape) => (shape.length === 0 ? [1] : shape));
/** At least two dims: a vector becomes a row. A list gives a list. */
export const atleast2d: AtLeast = atLeast('atleast2d', 'atleast_2d', (shape) => (shape.length < 2 ? [1, shape[0] ?? 1] : shape));
/** At least three dims: a vector becomes (1, n, 1), a matrix (rows, columns, 1). A list gives a list. */
export const atleast3d: AtLeast = atLeast('atleast3d', 'atleast_3d', (shape) => {
  if (shape.length === 2) return [...shape, 1];
  return shape.length < 2 ? [1, shape[0] ?? 1, 1] : shape;
});

export interface DiagflatOptions {
  /** Which diagonal: 0 is the main one, positive ones lie above. Default 0. */
  readonly offset?: number;
}
/** A matrix with the elements of the flattened tensor on a diagonal. */
export const diagflat: Op<[x: Tensor, options?: DiagflatOptions]> = composed(
  'diagflat',
  (x, { offset = 0 } = {}) => diag(reshape(x, [x.size]), { diagonal: offset }),
  (random) => [[random([2, 2])], [random([3]), { offset: -1 }]],
);
/** {@link pad} with a constant, 0 unless said. */
export const constantPadNd: Op<[x: Tensor, pads: readonly number[], value?: number]> = composed(
  'constantPadNd',
  (x, pads, value = 0) => pad(x, pads, { value }),
  (random) => [
    [random([2, 3]), [1, 2]],
    [random([2, 3]), [1, 0, -1, 2], 1.5],
  ],
);
/** {@link split} into pieces of the given sizes. The pieces are views. */
export const splitWithSizes: Op<[x: Tensor, sizes: readonly number[], options?: SplitOptions], Tensor[]> = composed(
  'splitWithSizes',
  (x, sizes, options = {}) => split(x, sizes, options),
  (random) => [
    [random([5]), [2, 3]],
    [random([2, 4]), [1, 3], { dim: 1 }],
  ],
  { torch: 'torch.split(*a, **o)' },
);
