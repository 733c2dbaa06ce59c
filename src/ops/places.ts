import { LibError } from '../core/errors.js';
import { broadcastShapes, formatShape, needDims, needWhole, resolveDim, type Shape, sameShape, sizeOf } from '../core/shape.js';
import { specOf } from '../core/spec.js';
import { valuesOf } from '../tensor/capturing.js';
import { arange, zeros } from '../tensor/creation.js';
import { isTensor, type Tensor } from '../tensor/tensor.js';
import { defineComposite, type Op } from './define.js';
import { constantTable } from './fused.js';
import { indexPut, type ScatterReduceOptions, scatterReduce } from './indexing.js';
import { cat } from './join.js';
import { withAt } from './layout.js';
import { checkMask } from './mapTyped.js';
import { asIndex } from './scatterRows.js';
import { searchsorted } from './sort.js';

/** Rows that write to, look for or count places. */

export interface PutOptions {
  /** Add to what is there instead of replacing it. Default false. */
  readonly accumulate?: boolean;
}
/** A copy of x with the elements of `source` at those places of the flattened tensor that `index` (of the same shape) names. */
export const put: Op<[x: Tensor, index: Tensor, source: Tensor, options?: PutOptions]> = defineComposite({
  name: 'put',
  compose(x: Tensor, index: Tensor, source: Tensor, options: PutOptions = {}) {
    if (index.size !== source.size)
      throw new LibError('shape', `put: index and source must have equally many elements, got ${index.size} and ${source.size}.`);
    const ids = asIndex('put', index).reshape([index.size]);
    return indexPut(x.reshape([x.size]), [ids], source.reshape([source.size]), options).reshape(x.shape);
  },
  *samples(random): Iterable<[x: Tensor, index: Tensor, source: Tensor, options?: PutOptions]> {
    yield [random([3, 4]), random.integers([1], 0, 12), random([1])];
    yield [random([3, 4]), random.integers([2, 3], -12, 12), random([2, 3]), { accumulate: true }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, index: Tensor, source: Tensor, options?: PutOptions], string]> {
    yield [[random([3]), random.integers([2], 0, 3), random([3])], 'equally many elements'];
    yield [[random([3]), random.integers([2], 3, 4), random([2])], 'out of range'];
  },
  torch: { call: 'torch.Tensor.put(a[0], a[1].long(), a[2], **o)' },
});

type Reduction = 'prod' | 'mean' | 'amax' | 'amin';
type IndexReduce = Op<[x: Tensor, dim: number, index: Tensor, source: Tensor, reduce: Reduction, options?: ScatterReduceOptions]>;
/** A copy of x with the entries of `source` folded into those entries of a dim that a 1-D int tensor names. */
export const indexReduce: IndexReduce = defineComposite({
  name: 'indexReduce',
  compose(x: Tensor, dim: number, index: Tensor, source: Tensor, reduce: Reduction, options: ScatterReduceOptions = {}) {
    const d = resolveDim('indexReduce', dim, x.ndim);
    if (!['prod', 'mean', 'amax', 'amin'].includes(reduce))
      throw new LibError('value', `indexReduce: reduce must be prod, mean, amax or amin, got ${String(reduce)}.`);
    if (index.ndim > 1 || !sameShape(source.shape, withAt(x.shape, d, index.size))) {
      const got = `${formatShape(source.shape)} for ${formatShape(x.shape)} and ${index.size} indices along dim ${d}`;
      throw new LibError('shape', `indexReduce: the source must have the tensor's shape with the index's length, got ${got}.`);
    }
    const ids = asIndex('indexReduce', index).reshape(
      withAt(
        x.shape.map(() => 1),
        d,
        index.size,
      ),
    );
    return scatterReduce(x, d, ids.expand(source.shape), source, reduce, options);
  },
  *samples(random) {
    for (const reduce of ['prod', 'mean', 'amax', 'amin'] as const)
      yield [random([4, 3]), 0, random.integers([5], 0, 4), random([5, 3]), reduce];
    yield [random([2, 4]), 1, random.integers([3], 0, 4), random([2, 3]), 'mean', { includeSelf: false }];
  },
  *errors(random) {
    yield [[random([4, 3]), 0, random.integers([2], 0, 4), random([3, 3]), 'mean'], "the index's length"];
    yield [[random([4, 3]), 0, random.integers([2], 0, 4), random([2, 3]), 'sum' as 'mean'], 'reduce must be'];
  },
  torch: { call: 'torch.index_reduce(a[0], a[1], a[2].long(), a[3], a[4], **o)' },
});

/** A copy of x in which the elements under the bool mask (which broadcasts) are, in order, those of the flattened `source`. */
export const maskedScatter: Op<[x: Tensor, mask: Tensor, source: Tensor]> = defineComposite({
  name: 'maskedScatter',
  compose(x: Tensor, mask: Tensor, source: Tensor) {
    checkMask('maskedScatter', mask);
    if (source.dtype !== x.dtype)
      throw new LibError('dtype', `maskedScatter: source and tensor must have one type, got ${source.dtype} into ${x.dtype}.`);
    const shape = broadcastShapes('maskedScatter', x.shape, mask.shape);
    const [base, full] = [x.expand(shape), mask.expand(shape)];
    if (base.size === 0) return base.clone();
    const place = full.reshape([-1]).int().cumsum(0).sub(1).clamp({ min: 0 });
    if (source.size === 0 && valuesOf('maskedScatter', full.any())[0] === 0) return base.clone();
    return full.where(source.reshape([-1]).gather(0, place).reshape(shape), base);
  },
  *samples(random) {
    yield [random([3, 4]), random.bool([3, 4]), random([12])];
    yield [random([2, 3]), random.bool([3]), random([3, 2])];
    yield [random([3]), random.bool([2, 3]), random([3, 2])];
  },
  *errors(random) {
    yield [[random([3]), random([3]), random([3])], 'must be of type bool'];
    yield [
      [
        random([3]),
        random([3])
          .eq(random([3]))
          .logicalNot(),
        random([2]),
      ],
      'out of range',
    ];
  },
  torch: { call: 'a[0].masked_scatter(a[1], a[2])' },
});

export interface IsinOptions {
  /** Ask which elements are not there. Default false. */
  readonly invert?: boolean;
  /** No effect: kept for PyTorch's sake. */
  readonly assumeUnique?: boolean;
}
/** Whether each element of x is among the elements of `test`, as bool. */
export const isin: Op<[x: Tensor, test: Tensor | number, options?: IsinOptions]> = defineComposite({
  name: 'isin',
  compose(x: Tensor, test: Tensor | number, { invert = false }: IsinOptions = {}) {
    const found = isTensor(test) ? amongSorted(x.detach(), test.detach()) : x.detach().eq(test);
    return invert ? found.logicalNot() : found;
  },
  differentiable: false,
  *samples(random): Iterable<[x: Tensor, test: Tensor | number, options?: IsinOptions]> {
    yield [random.integers([3, 4], 0, 9), random.integers([3], 0, 9)];
    yield [random.integers([5], 0, 3), random.integers([2, 2], 0, 5), { invert: true }];
    yield [random.integers([5], 0, 3), 1];
    yield [random([3]), random([0])];
  },
});

function amongSorted(x: Tensor, test: Tensor): Tensor {
  if (test.size === 0) return zeros(x.shape, { dtype: 'bool', device: x.device });
  const sorted = test.reshape([-1]).sort().values;
  const place = searchsorted(sorted, x).clamp({ max: test.size - 1 });
  return sorted
    .gather(0, place.reshape([-1]))
    .reshape(x.shape)
    .eq(x);
}

/** Flat indices into a shape as one tensor of coordinates for each dim. */
export const unravelIndex: Op<[indices: Tensor, shape: Shape], Tensor[]> = defineComposite({
  name: 'unravelIndex',
  compose(indices: Tensor, shape: Shape) {
    const ids = asIndex('unravelIndex', indices);
    if (!shape.every((d) => Number.isInteger(d) && d >= (ids.size > 0 ? 1 : 0)))
      throw new LibError('shape', `unravelIndex: sizes must be positive integers, got ${formatShape(shape)}.`);
    return shape.map((size, d) => {
      const below = sizeOf(shape.slice(d + 1));
      return ids.div(Math.max(1, below), { roundingMode: 'floor' }).remainder(Math.max(1, size));
    });
  },
  differentiable: false,
  *samples(random) {
    yield [random.integers([5], 0, 24), [2, 3, 4]];
  },
  *errors(random) {
    yield [[random([2]), [2]], 'must be of type int32'];
    yield [[random.integers([2], 0, 3), [-1]], 'positive integers'];
    yield [[random.integers([2], 0, 3), [2, 0]], 'positive integers'];
  },
  torch: { call: 'torch.unravel_index(a[0].long(), a[1])' },
});

export interface CombinationsOptions {
  /** How many are taken together. Default 2. */
  readonly r?: number;
  /** Let one element be taken more than once. Default false. */
  readonly withReplacement?: boolean;
}
/** All ways to take `r` elements of a vector, in order: (ways, r). */
export const combinations: Op<[x: Tensor, options?: CombinationsOptions]> = defineComposite({
  name: 'combinations',
  compose(x: Tensor, { r = 2, withReplacement = false }: CombinationsOptions = {}) {
    needDims('combinations', x, 1, 1);
    needWhole('combinations', 'r', r, 0);
    if (r === 0) return x.narrow(0, 0, 0);
    const rows: number[] = [];
    const walk = (taken: readonly number[], from: number): void => {
      if (taken.length === r) rows.push(...taken);
      else for (let i = from; i < x.size; i++) walk([...taken, i], withReplacement ? i : i + 1);
    };
    walk([], 0);
    const key = `combinations${r}${withReplacement}`;
    const index = constantTable(x.device, key, specOf('int32', [rows.length]), () => Int32Array.from(rows));
    return x.indexSelect(0, index).reshape([rows.length / r, r]);
  },
  *samples(random): Iterable<[x: Tensor, options?: CombinationsOptions]> {
    yield [random([4])];
    yield [random([4]), { r: 3 }];
    yield [random([3]), { withReplacement: true }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, options?: CombinationsOptions], string]> {
    yield [[random([2, 2])], 'must have 1 dim'];
    yield [[random([2]), { r: -1 }], 'whole number of at least 0'];
  },
});

export interface NonzeroStaticOptions {
  /** How many rows the result has. */
  readonly size: number;
  /** What fills rows that no element needs. Default -1. */
  readonly fillValue?: number;
}
/** {@link nonzero} cut or filled to a fixed number of rows: (size, dims), int32. */
export const nonzeroStatic: Op<[x: Tensor, options: NonzeroStaticOptions]> = defineComposite({
  name: 'nonzeroStatic',
  compose(x: Tensor, { size, fillValue = -1 }: NonzeroStaticOptions) {
    needWhole('nonzeroStatic', 'size', size, 0);
    if (!Number.isInteger(fillValue)) throw new LibError('value', `nonzeroStatic: fillValue must be a whole number, got ${fillValue}.`);
    const flat = x.detach().ne(0).reshape([x.size]);
    const at = flat.int().cumsum(0).sub(1);
    const place = flat.logicalAnd(at.lt(size)).where(at, size); // all others go to a place that is cut off
    const places = arange(x.size, { device: x.device });
    const found = zeros([size + 1], { dtype: 'int32', device: x.device })
      .sub(1)
      .scatter(0, place, places)
      .narrow(0, 0, size)
      .unsqueeze(1);
    const rows = cat(
      [
        found.narrow(1, 0, 0),
        ...unravelIndex(
          found,
          x.shape.map((n) => Math.max(n, 1)),
        ),
      ],
      { dim: 1 },
    );
    return found.ge(0).where(rows, fillValue);
  },
  differentiable: false,
  *samples(random): Iterable<[x: Tensor, options: NonzeroStaticOptions]> {
    yield [random.bool([3, 4]), { size: 3 }];
    yield [random.bool([5]), { size: 8, fillValue: 100 }];
    yield [random.bool([2, 0, 3]), { size: 2 }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, options: NonzeroStaticOptions], string]> {
    yield [[random([2]), { size: -1 }], 'whole number of at least 0'];
    yield [[random([2]), { size: 1, fillValue: 0.5 }], 'a whole number'];
  },
});
