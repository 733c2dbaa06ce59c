import { LibError } from '../core/errors.js';
import { range } from '../core/shape.js';
import { input } from '../expr/expr.js';
import { tensor } from '../tensor/creation.js';
import { isTensor, type Tensor } from '../tensor/tensor.js';
import { customGrad } from './customGrad.js';
import { defineComposite, type Op, type Random } from './define.js';
import { type DimOptions, foldRow, type Overloaded, shareEvenly, type ValuesIndices } from './foldRows.js';
import { cat } from './join.js';
import { maximum, minimum } from './pointwise.js';
import { lineOf, order, pick } from './sortRow.js';

type Reduction = Op<[x: Tensor, options?: DimOptions]>;

export interface OneDimOptions {
  /** The dimension to reduce. */
  readonly dim: number;
  /** Keep the reduced dimension, with size 1. Default false. */
  readonly keepdim?: boolean;
}

const TIES = [1, 3, 3, -2, -2] as const;
const extremeRow = (name: string, by: 'max' | 'min'): Reduction =>
  foldRow(name, {
    by,
    needsElements: true,
    saves: [0, 'output'],
    grad: ([g], { inputs: [x], output, params: { dims } }) => [g && x ? shareEvenly(g, x, output, dims) : null],
  });

/** The largest value over `dim`; NaN if there is one. Ties share the gradient evenly. */
export const amax: Reduction = extremeRow('amax', 'max');
/** The smallest value over `dim`; NaN if there is one. Ties share the gradient evenly. */
export const amin: Reduction = extremeRow('amin', 'min');

/** The smallest and the largest value over `dim`. */
export const aminmax: Op<[x: Tensor, options?: DimOptions], { readonly min: Tensor; readonly max: Tensor }> = defineComposite({
  name: 'aminmax',
  compose: (x: Tensor, options: DimOptions = {}) => ({ min: amin(x, options), max: amax(x, options) }),
  *samples(random): Iterable<[x: Tensor, options?: DimOptions]> {
    yield [random([7])];
    yield [random([3, 4]), { dim: 1, keepdim: true }];
  },
});

type ArgOptions = Partial<OneDimOptions>;
type Arg = Op<[x: Tensor, options?: ArgOptions]>;
function argRow(name: string, by: 'argmax' | 'argmin'): Arg {
  return foldRow(name, {
    by,
    expr: input(0),
    dtype: () => 'int32',
    needsElements: true,
    *samples(random) {
      yield [random([7])];
      yield [random([3, 4])];
      yield [random([3, 4]), { dim: 1 }];
      yield [random([2, 3, 4]), { dim: 0, keepdim: true }];
      yield [tensor(TIES)];
    },
  });
}
/** The index of the largest value along `dim` (the first of equals; NaN wins), or in the flattened tensor. int32. */
export const argmax: Arg = argRow('argmax', 'argmax');
/** The index of the smallest value along `dim` (the first of equals; NaN wins), or in the flattened tensor. int32. */
export const argmin: Arg = argRow('argmin', 'argmin');

/** The methods of functions that mean three things, as PyTorch's max does. */
export interface ExtremumMethod {
  /** Over all elements. */
  (): Tensor;
  /** Along one dim, with indices. */
  (options: OneDimOptions): ValuesIndices;
  /** Elementwise with another tensor. */
  (other: Tensor): Tensor;
}
export interface Extremum extends Overloaded<ExtremumMethod> {
  (x: Tensor): Tensor;
  (x: Tensor, options: OneDimOptions): ValuesIndices;
  (x: Tensor, other: Tensor): Tensor;
}

function extremum(name: string, all: Reduction, arg: Arg, pairwise: (a: Tensor, b: Tensor) => Tensor): Extremum {
  const op = defineComposite({
    name,
    compose(x: Tensor, second?: Tensor | OneDimOptions): Tensor | ValuesIndices {
      if (second === undefined) return all(x);
      if (isTensor(second)) return pairwise(x, second);
      if (typeof second.dim !== 'number')
        throw new LibError('option', `${name}: dim must be one number, got ${String(second.dim)}.`, `use a${name}() for several dims.`);
      const { line, at } = lineOf(name, x, second.dim);
      return pick(x, line, at, arg(line.detach(), { dim: at, keepdim: true }), second.keepdim ?? false);
    },
    *samples(random: Random): Iterable<[x: Tensor, second?: Tensor | OneDimOptions]> {
      yield [random([2, 3])];
      yield [random([2, 3]), { dim: 1 }];
      yield [random([2, 3, 4]), { dim: -2, keepdim: true }];
      yield [random([2, 3]), random([3])];
    },
    *errors(random: Random): Iterable<readonly [[x: Tensor, second?: Tensor | OneDimOptions], string]> {
      yield [[random([2, 3]), { dim: 5 }], 'dim 5 is out of range'];
    },
  });
  return op as unknown as Extremum;
}
/**
 * The largest value: of all elements (ties share the gradient), along `dim` with its index (the gradient goes there), or
 * elementwise with another tensor.
 * @example tensor([[1, 4], [3, 2]]).max({ dim: 1 }).indices // [1, 0]
 */
export const max: Extremum = extremum('max', amax, argmax, maximum);
/** The smallest value: of all elements, along `dim` with its index, or elementwise with another tensor. */
export const min: Extremum = extremum('min', amin, argmin, minimum);

export interface MedianMethod {
  (): Tensor;
  (options: OneDimOptions): ValuesIndices;
}
export interface Median extends Overloaded<MedianMethod> {
  (x: Tensor): Tensor;
  (x: Tensor, options: OneDimOptions): ValuesIndices;
}

/** Where the median of a line is: in the middle of its order, or at its first NaN. */
function medianIndex(line: Tensor, at: number, skipNan: boolean): Tensor {
  const plain = line.detach();
  const { indices } = order(plain, at, false);
  const size = line.shape[at] ?? 1;
  const nans = plain.isnan().sum({ dim: at, keepdim: true });
  if (skipNan)
    return indices.gather(
      at,
      nans
        .neg()
        .add(size - 1)
        .clamp({ min: 0 })
        .floorDivide(2),
    );
  const middle = indices.narrow(at, (size - 1) >> 1, 1);
  return nans.gt(0).where(argmax(plain, { dim: at, keepdim: true }), middle);
}

function medianRow(name: string, skipNan: boolean): Median {
  const along = (x: Tensor, { dim, keepdim = false }: OneDimOptions): ValuesIndices => {
    const { line, at } = lineOf(name, x, dim);
    if (line.shape[at] === 0) throw new LibError('shape', `${name}: there must be elements to choose from, got none along dim ${at}.`);
    return pick(x, line, at, medianIndex(line, at, skipNan), keepdim);
  };
  const whole = (x: Tensor): Tensor =>
    customGrad({
      name,
      inputs: [x],
      params: null,
      saves: [0, 'output'],
      compute: () => along(x.reshape([-1]), { dim: 0 }).values,
      grad: (g, { inputs: [of], output }) => [of ? shareEvenly(g, of, output, range(of.ndim)) : null],
    });
  const op = defineComposite({
    name,
    compose: (x: Tensor, options?: OneDimOptions): Tensor | ValuesIndices => (options === undefined ? whole(x) : along(x, options)),
    *samples(random: Random): Iterable<[x: Tensor, options?: OneDimOptions]> {
      yield [random([7])];
      yield [random([2, 4]), { dim: 1 }];
      yield [random([3, 2]), { dim: 0, keepdim: true }];
      if (skipNan)
        yield [
          tensor([
            [1, Number.NaN, 3],
            [4, 6, 5],
          ]),
          { dim: 1 },
        ];
    },
  });
  return op as unknown as Median;
}
/** The median, the lower one of two: of all elements, or along `dim` with its index. NaN if there is one. */
export const median: Median = medianRow('median', false);
/** The median of what is not NaN. */
export const nanmedian: Median = medianRow('nanmedian', true);

/** The most frequent value along `dim` (the smallest of equals) with the index of its last place. */
export const mode: Op<[x: Tensor, options?: ArgOptions], ValuesIndices> = defineComposite({
  name: 'mode',
  compose(x: Tensor, { dim = -1, keepdim = false }: ArgOptions = {}) {
    const { line, at } = lineOf('mode', x, dim);
    const { values, indices } = order(line.detach(), at, false);
    const size = line.shape[at] ?? 1;
    if (size < 2) return pick(x, line, at, indices, keepdim);
    // In sorted order, an element's place in its run of equals is how far it is from where its value was first seen.
    const place = tensor(
      Int32Array.from({ length: size - 1 }, (_, i) => i + 1),
      { device: x.device, shape: alongDim(line, at, size - 1) },
    );
    const starts = values
      .narrow(at, 1, size - 1)
      .ne(values.narrow(at, 0, size - 1))
      .where(place, 0);
    const runs = place.sub(starts.cummax(at).values);
    const winner = indices.gather(at, cat([runs.narrow(at, 0, 1).mul(0), runs], { dim: at }).argmax({ dim: at, keepdim: true }));
    return pick(x, line, at, winner, keepdim);
  },
  torch: null, // PyTorch's choice among equal places is not specified
  *samples(random): Iterable<[x: Tensor, options?: ArgOptions]> {
    yield [random.integers([9], 0, 4)];
    yield [random.integers([3, 6], 0, 3), { dim: 1 }];
    yield [random([1])];
  },
});

/** The shape of a vector that lies along one dim of x and broadcasts over the others. */
const alongDim = (x: Tensor, at: number, size: number): number[] => x.shape.map((_, i) => (i === at ? size : 1));
