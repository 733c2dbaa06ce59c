import { isFloat } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import { broadcastShapes, formatShape, resolveDim, sameShape } from '../core/shape.js';
import { input } from '../expr/expr.js';
import { valuesOf } from '../tensor/capturing.js';
import { tensor } from '../tensor/creation.js';
import { isTensor, type Tensor } from '../tensor/tensor.js';
import { type IndexList, resolveIndices, trueIndices, trueRows } from './advancedIndex.js';
import { defineComposite, defineOp, type Op } from './define.js';
import type { Overloaded } from './foldRows.js';
import { constantView, fuse } from './fused.js';
import { withAt } from './layout.js';
import {
  alongDim,
  asIndex,
  checkIndexShape,
  checkSource,
  fitAround,
  gathering,
  gatherRow,
  type ScatterParams,
  scattering,
  scatterRow,
} from './scatterRows.js';

/**
 * out[i, j, …] = x[index[i, j, …], j, …] for dim 0, and likewise for other dims. The result has the shape of `index`, which has as
 * many dims as x and may be smaller.
 * @example tensor([[1, 2], [3, 4]]).gather(1, tensor([[1], [0]], { dtype: 'int32' })) // [[2], [3]]
 */
export const gather: Op<[x: Tensor, dim: number, index: Tensor]> = defineOp({
  name: 'gather',
  ...gathering,
  args: (x: Tensor, dim: number, index: Tensor) => {
    const d = resolveDim('gather', dim, x.ndim);
    const ids = asIndex('gather', index);
    // As in PyTorch, a scalar counts as a vector of one entry.
    const scalar = x.ndim === 0 && ids.ndim === 1;
    const line = scalar ? x.reshape([1]) : ids.size === 0 ? emptyLine(x, ids) : x;
    checkIndexShape('gather', line, d, ids);
    return { inputs: [fitAround(line, d, ids.shape), ids], params: { dim: d, wrap: false }, key: `${d}` };
  },
  *samples(random) {
    yield [random([3, 4]), 1, random.integers([3, 2], 0, 4)];
    yield [random([3, 4]), 0, random.integers([5, 3], 0, 3)];
    yield [random([2, 3, 4]), -1, random.integers([2, 3, 4], 0, 4)];
    yield [random([]), 0, random.integers([1], 0, 1)];
    yield [random([5]), 0, random.integers([2, 0], 0, 1)];
  },
  *errors(random) {
    yield [[random([3, 4]), 1, random.integers([3, 2], 4, 5)], 'out of range'];
    yield [[random([3, 4]), 1, random.integers([4, 2], 0, 4)], 'fit it outside dim 1'];
    yield [[random([3, 4]), 1, random([3, 2])], 'must be of type int32'];
  },
  torch: { call: 'torch.gather(a[0], a[1], a[2].long())' },
});

/** No entries need no fit: nothing of x, in the shape of an index without elements. */
const emptyLine = (x: Tensor, ids: Tensor): Tensor => x.reshape([x.size]).narrow(0, 0, 0).reshape(ids.shape);

/** The arguments that all scatters have in common. */
function scatterArgs(op: string, x: Tensor, dim: number, index: Tensor, src: Tensor | number, by: ScatterParams['by']) {
  const d = resolveDim(op, dim, x.ndim);
  const ids = asIndex(op, index);
  const source = isTensor(src) ? src : constantView(x.device, x.dtype, ids.shape, src);
  checkIndexShape(op, x, d, ids);
  checkSource(op, x, ids, source);
  const covered = fitAround(source, -1, ids.shape);
  return { inputs: [x, ids, covered], params: { dim: d, wrap: false, by }, key: `${d}${by}` };
}

const plainScatter: Op<[x: Tensor, dim: number, index: Tensor, src: Tensor | number]> = defineOp({
  name: 'scatter',
  ...scattering,
  args: (x: Tensor, dim: number, index: Tensor, src: Tensor | number) => scatterArgs('scatter', x, dim, index, src, 'set'),
  *samples() {},
});

export interface ScatterOptions {
  /** Add or multiply what is there instead of replacing it, as `scatterReduce` does. Default: replace. */
  readonly reduce?: 'add' | 'multiply';
}
type ScatterCall = [x: Tensor, dim: number, index: Tensor, src: Tensor | number, options?: ScatterOptions];

/** A copy of x with x[index[i, j], j] = src[i, j] for dim 0, likewise for other dims; `src` may be a number. The last of equals wins. */
export const scatter: Op<ScatterCall> = defineComposite({
  name: 'scatter',
  compose(x: Tensor, dim: number, index: Tensor, src: Tensor | number, { reduce }: ScatterOptions = {}) {
    if (reduce === undefined) return plainScatter(x, dim, index, src);
    const source = isTensor(src) ? src : constantView(x.device, x.dtype, index.shape, src);
    return reduce === 'add' ? scatterAdd(x, dim, index, source) : combine(x, dim, index, source, 'prod');
  },
  *samples(random): Iterable<ScatterCall> {
    yield [
      random([4, 3]),
      0,
      tensor(
        [
          [3, 0, 2],
          [1, 2, 0],
        ],
        { dtype: 'int32' },
      ),
      random([2, 3]),
    ];
    yield [
      random([3, 5]),
      -1,
      tensor(
        [
          [4, 0],
          [1, 2],
        ],
        { dtype: 'int32' },
      ),
      random([2, 2]),
    ];
    yield [random([3, 5]), 1, random.integers([2, 2], 0, 5), 1.5];
    yield [random([3, 5]), 1, random.integers([2, 2], 0, 5), 1.5, { reduce: 'add' }];
    yield [random.integers([3, 5], 1, 5), 1, random.integers([3, 4], 0, 5), random.integers([3, 4], 1, 4), { reduce: 'multiply' }];
  },
  *errors(random): Iterable<readonly [ScatterCall, string]> {
    yield [[random([3, 4]), 0, random.integers([2, 4], 3, 4), random([2, 4])], 'out of range'];
    yield [[random([3, 4]), 0, random.integers([2, 4], 0, 3), random([1, 4])], 'must cover the index'];
    yield [[random([3, 4]), 0, random.integers([2, 4], 0, 3), random.integers([2, 4], 0, 9)], 'must have one type'];
  },
  torch: { call: 'torch.scatter(a[0], a[1], a[2].long(), a[3], **o)' },
});

/** A copy of x with src added at the places that {@link scatter} would set; what meets at one place adds up. */
export const scatterAdd: Op<[x: Tensor, dim: number, index: Tensor, src: Tensor]> = defineOp({
  name: 'scatterAdd',
  ...scattering,
  args: (x: Tensor, dim: number, index: Tensor, src: Tensor) => scatterArgs('scatterAdd', x, dim, index, src, 'sum'),
  *samples(random) {
    yield [random([4, 3]), 0, random.integers([6, 3], 0, 4), random([6, 3])];
    yield [random([3, 5]), -1, random.integers([2, 3], 0, 5), random([2, 3])];
  },
  *errors(random) {
    yield [[random([3, 4]), 0, random.integers([2, 4], 3, 4), random([2, 4])], 'out of range'];
  },
  torch: { call: 'torch.scatter_add(a[0], a[1], a[2].long(), a[3])' },
});

export interface ScatterReduceOptions {
  /** Let the values of x take part. Default true. */
  readonly includeSelf?: boolean;
}

/** The least and the largest number of int32, and of uint8. */
const wholeRange = [
  [-(2 ** 31), 2 ** 31 - 1],
  [0, 255],
] as const;

type Reduction = 'sum' | 'prod' | 'mean' | 'amax' | 'amin';
const kernelOf = { prod: 'prod', amax: 'max', amin: 'min' } as const;

/** Like {@link scatterAdd} with another way to combine what meets at one place. Equal extremes share the gradient. */
export const scatterReduce: Op<[x: Tensor, dim: number, index: Tensor, src: Tensor, reduce: Reduction, options?: ScatterReduceOptions]> =
  defineComposite({
    name: 'scatterReduce',
    compose(x: Tensor, dim: number, index: Tensor, src: Tensor, reduce: Reduction, { includeSelf = true }: ScatterReduceOptions = {}) {
      const [least, most] = isFloat(x.dtype)
        ? [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY]
        : wholeRange[x.dtype === 'int32' ? 0 : 1];
      const neutral = { sum: 0, mean: 0, prod: 1, amax: least, amin: most }[reduce];
      const self = includeSelf ? x : scatter(x, dim, index, neutral);
      if (reduce === 'sum') return scatterAdd(self, dim, index, src);
      if (reduce !== 'mean') return combine(self, dim, index, src, kernelOf[reduce]);
      const ones = (shape: readonly number[]): Tensor => constantView(x.device, x.dtype, shape, 1);
      const counts = scatterAdd(includeSelf ? ones(x.shape) : scatter(ones(x.shape), dim, index, 0), dim, index, ones(index.shape));
      return scatterAdd(self, dim, index, src).div(counts.clamp({ min: 1 }), isFloat(x.dtype) ? {} : { roundingMode: 'floor' });
    },
    *samples(random) {
      const reductions: readonly Reduction[] = ['sum', 'prod', 'mean', 'amax', 'amin'];
      for (const reduce of reductions) yield [random([4, 3]), 0, random.integers([6, 3], 0, 4), random([6, 3]), reduce];
      yield [random([4, 3]), 0, random.integers([6, 3], 0, 4), random([6, 3]), 'mean', { includeSelf: false }];
      yield [random([4, 3]), 0, random.integers([6, 3], 0, 4), random([6, 3]), 'amax', { includeSelf: false }];
      yield [
        random.integers([4, 3], 0, 9),
        0,
        random.integers([5, 3], 0, 4),
        random.integers([5, 3], 0, 9),
        'amin',
        { includeSelf: false },
      ];
      yield [random.integers([4, 3], -9, 9), 0, random.integers([5, 3], 0, 4), random.integers([5, 3], -9, 9), 'mean'];
    },
    *errors(random) {
      yield [[random([3, 4]), 0, random.integers([2, 4], 3, 4), random([2, 4]), 'amax'], 'out of range'];
    },
    torch: { call: 'torch.scatter_reduce(a[0], a[1], a[2].long(), a[3], a[4], **o)' },
  });

const combine: Op<[x: Tensor, dim: number, index: Tensor, src: Tensor, by: 'prod' | 'max' | 'min']> = defineOp({
  name: 'scatterReduce',
  args: (x: Tensor, dim: number, index: Tensor, src: Tensor, by: 'prod' | 'max' | 'min') =>
    scatterArgs('scatterReduce', x, dim, index, src, by),
  infer: scattering.infer,
  kernel: scattering.kernel,
  saves: [0, 1, 2, 'output'],
  grad: ([g], { inputs: [x, index, src], output, params: { dim, by } }) => {
    if (!g || !x || !index || !src) return [null, null, null];
    const at = (y: Tensor): Tensor => gather(y, dim, index);
    if (by === 'prod') return productGradient(g, x, dim, index, src);
    const fromX = fuse('equal', [x, output], input(0).equal(input(1)));
    const fromSrc = fuse('equal', [src, at(output)], input(0).equal(input(1)));
    const share = g.div(scatterAdd(fromX, dim, index, fromSrc));
    return [share.mul(fromX), null, at(share).mul(fromSrc)];
  },
  *samples(random) {
    yield [random([4, 3]), 0, random.integers([6, 3], 0, 4), random([6, 3]), 'prod'];
  },
  torch: null,
});

/** Each factor's gradient is the product of the others: the product over the factor, or without it where it is the only zero. */
function productGradient(g: Tensor, x: Tensor, dim: number, index: Tensor, src: Tensor): (Tensor | null)[] {
  const [isZero, orOne] = [input(0).equal(0), input(0).equal(0).select(1, input(0))];
  const [zerosX, zerosSrc] = [fuse('equal', [x], isZero), fuse('equal', [src], isZero)];
  const zeros = scatterAdd(zerosX, dim, index, zerosSrc);
  const nonzero = combine(fuse('where', [x], orOne), dim, index, fuse('where', [src], orOne), 'prod');
  // g · (product of the others), from (g, product of the nonzero factors, count of zeros, factor)
  const others = input(2)
    .sub(input(3).equal(0))
    .equal(0)
    .select(input(1).div(input(3).equal(0).select(1, input(3))), 0);
  const at = (y: Tensor): Tensor => gather(y, dim, index);
  return [
    fuse('scatterReduceBackward', [g, nonzero, zeros, x], input(0).mul(others)),
    null,
    fuse('scatterReduceBackward', [at(g), at(nonzero), at(zeros), src], input(0).mul(others)),
  ];
}

const selectRow = gatherRow('indexSelect');

/** The entries of a dim that a 1-D int tensor names, in its order. */
export const indexSelect: Op<[x: Tensor, dim: number, index: Tensor]> = defineComposite({
  name: 'indexSelect',
  compose(x: Tensor, dim: number, index: Tensor) {
    const d = resolveDim('indexSelect', dim, x.ndim);
    return selectRow(x, d, alongDim('indexSelect', index, d, x.shape));
  },
  *samples(random) {
    yield [random([4, 3]), 0, random.integers([5], 0, 4)];
    yield [random([2, 3, 4]), -1, random.integers([2], 0, 4)];
  },
  *errors(random) {
    yield [[random([4, 3]), 0, random.integers([2], 4, 5)], 'out of range'];
    yield [[random([4, 3]), 0, random.integers([2, 2], 0, 4)], 'must have one dim'];
  },
  torch: { call: 'torch.index_select(a[0], a[1], a[2].long())' },
});

const indexRows = { indexAdd: scatterRow('indexAdd'), indexCopy: scatterRow('indexCopy'), indexFill: scatterRow('indexFill') } as const;

function indexWrite(op: keyof typeof indexRows, x: Tensor, dim: number, index: Tensor, source: Tensor | number): Tensor {
  const d = resolveDim(op, dim, x.ndim);
  const shape = withAt(x.shape, d, index.size);
  const src = isTensor(source) ? source : constantView(x.device, x.dtype, shape, source);
  if (!sameShape(src.shape, shape)) {
    const got = `${formatShape(src.shape)} for ${formatShape(x.shape)} and ${index.size} indices along dim ${d}`;
    throw new LibError('shape', `${op}: the source must have the tensor's shape with the index's length, got ${got}.`);
  }
  if (src.dtype !== x.dtype) throw new LibError('dtype', `${op}: source and tensor must have one type, got ${src.dtype} into ${x.dtype}.`);
  return indexRows[op](x, d, alongDim(op, index, d, shape), src, { by: op === 'indexAdd' ? 'sum' : 'set' });
}

export interface IndexAddOptions {
  /** Multiplies the source. Default 1. */
  readonly alpha?: number;
}

/** A copy of x with the entries of `source` added to those entries of a dim that a 1-D int tensor names. */
export const indexAdd: Op<[x: Tensor, dim: number, index: Tensor, source: Tensor, options?: IndexAddOptions]> = defineComposite({
  name: 'indexAdd',
  compose(x: Tensor, dim: number, index: Tensor, source: Tensor, { alpha = 1 }: IndexAddOptions = {}) {
    return indexWrite('indexAdd', x, dim, index, alpha === 1 ? source : source.mul(alpha));
  },
  *samples(random): Iterable<[x: Tensor, dim: number, index: Tensor, source: Tensor, options?: IndexAddOptions]> {
    yield [random([4, 3]), 0, random.integers([5], 0, 4), random([5, 3])];
    yield [random([2, 4]), 1, random.integers([3], 0, 4), random([2, 3]), { alpha: -0.5 }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, dim: number, index: Tensor, source: Tensor, options?: IndexAddOptions], string]> {
    yield [[random([4, 3]), 0, random.integers([2], 4, 5), random([2, 3])], 'out of range'];
    yield [[random([4, 3]), 0, random.integers([2], 0, 4), random([3, 3])], "the index's length"];
  },
  torch: { call: 'torch.index_add(a[0], a[1], a[2].long(), a[3], **o)' },
});

/** A copy of x with the entries of `source` in place of those entries of a dim that a 1-D int tensor names. */
export const indexCopy: Op<[x: Tensor, dim: number, index: Tensor, source: Tensor]> = defineComposite({
  name: 'indexCopy',
  compose: (x: Tensor, dim: number, index: Tensor, source: Tensor) => indexWrite('indexCopy', x, dim, index, source),
  *samples(random) {
    yield [random([4, 3]), 0, random.integers([1], 0, 4), random([1, 3])];
  },
  *errors(random) {
    yield [[random([4, 3]), 0, random.integers([2], 4, 5), random([2, 3])], 'out of range'];
  },
  torch: { call: 'torch.index_copy(a[0], a[1], a[2].long(), a[3])' },
});

/** A copy of x with a number (or a 0-d tensor) in those entries of a dim that a 1-D int tensor names. */
export const indexFill: Op<[x: Tensor, dim: number, index: Tensor, value: number | Tensor]> = defineComposite({
  name: 'indexFill',
  compose(x: Tensor, dim: number, index: Tensor, value: number | Tensor) {
    if (!isTensor(value)) return indexWrite('indexFill', x, dim, index, value);
    // Through a mask: an entry named twice counts once in the value's gradient.
    const line = x.ndim === 0 ? x.reshape([1]) : x;
    const d = resolveDim('indexFill', dim, line.ndim);
    const none = constantView(x.device, 'bool', line.shape, 0);
    const mask = indexWrite('indexFill', none, d, index, 1);
    return mask.where(value.to(x.dtype), line).reshape(x.shape);
  },
  *samples(random) {
    yield [random([4, 3]), 1, random.integers([2], 0, 3), -1.5];
    yield [random([4, 3]), 1, random.integers([1], 0, 3), random([])];
    yield [random([4, 3]), 0, tensor([2, 0, 2], { dtype: 'int32' }), random([])];
  },
  *errors(random) {
    yield [[random([4, 3]), 1, random.integers([2], 3, 4), 0], 'out of range'];
  },
  torch: { call: 'torch.index_fill(a[0], a[1], a[2].long(), a[3])' },
});

const takeRow = gatherRow('take');

/** The elements of the flattened tensor that `index` (of any shape) names; negative indices count from the end. */
export const take: Op<[x: Tensor, index: Tensor]> = defineComposite({
  name: 'take',
  compose: (x: Tensor, index: Tensor) =>
    takeRow(x.reshape([x.size]), 0, asIndex('take', index).reshape([index.size]), true).reshape(index.shape),
  *samples(random) {
    yield [random([3, 4]), random.integers([2, 2], -12, 12)];
  },
  *errors(random) {
    yield [[random([3, 4]), random.integers([2], 12, 13)], 'out of range'];
  },
  torch: { call: 'torch.take(a[0], a[1].long())' },
});

const alongRow = gatherRow('takeAlongDim');

export interface TakeAlongDimOptions {
  /** Default: the flattened tensors. */
  readonly dim?: number;
}

/** {@link gather} with an index that broadcasts against x outside `dim`; negative indices count from the end. */
export const takeAlongDim: Op<[x: Tensor, index: Tensor, options?: TakeAlongDimOptions]> = defineComposite({
  name: 'takeAlongDim',
  compose(x: Tensor, index: Tensor, { dim }: TakeAlongDimOptions = {}) {
    if (dim === undefined) return takeRow(x.reshape([x.size]), 0, asIndex('takeAlongDim', index).reshape([index.size]), true);
    const d = resolveDim('takeAlongDim', dim, x.ndim);
    if (index.ndim !== x.ndim) {
      throw new LibError(
        'shape',
        `takeAlongDim: index and tensor must have equally many dims, got ${formatShape(index.shape)} for ${formatShape(x.shape)}.`,
      );
    }
    const around = broadcastShapes('takeAlongDim', withAt(x.shape, d, 1), withAt(index.shape, d, 1));
    const ids = asIndex('takeAlongDim', index).expand(withAt(around, d, index.shape[d] ?? 1));
    return alongRow(x.expand(withAt(around, d, x.shape[d] ?? 1)), d, ids, true);
  },
  *samples(random): Iterable<[x: Tensor, index: Tensor, options?: TakeAlongDimOptions]> {
    yield [random([3, 4]), random.integers([3, 1], 0, 4), { dim: 1 }];
    yield [random([3, 4]), random.integers([5], 0, 12)];
    yield [random([3, 4]), random.integers([1, 2], -4, 4), { dim: -1 }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, index: Tensor, options?: TakeAlongDimOptions], string]> {
    yield [[random([3, 4]), random.integers([3], 0, 4), { dim: 1 }], 'equally many dims'];
  },
  torch: { call: 'torch.take_along_dim(a[0], a[1].long(), **o)' },
});

export interface NonzeroOptions<AsTuple extends boolean = boolean> {
  /** One vector of indices for each dim instead of one matrix: what `index` takes. Default false. */
  readonly asTuple?: AsTuple;
}
export interface NonzeroMethod {
  (options: Required<NonzeroOptions<true>>): Tensor[];
  (options?: NonzeroOptions<false>): Tensor;
}
export interface Nonzero extends Overloaded<NonzeroMethod> {
  (x: Tensor, options: Required<NonzeroOptions<true>>): Tensor[];
  (x: Tensor, options?: NonzeroOptions<false>): Tensor;
}
/** The indices of elements that are not 0, one row each: (n, dims), int32. Reads the values, so the device must be one that can wait. */
export const nonzero: Nonzero = defineComposite({
  name: 'nonzero',
  compose(x: Tensor, { asTuple = false }: NonzeroOptions = {}): Tensor | Tensor[] {
    if (!asTuple) return trueRows('nonzero', x);
    const line = x.ndim === 0 ? x.reshape([1]) : x;
    const rows = trueRows('nonzero', line);
    return line.shape.map((_, d) => rows.select(1, d));
  },
  differentiable: false,
  *samples(random): Iterable<[x: Tensor, options?: NonzeroOptions]> {
    yield [random.integers([3, 4], 0, 2)];
    yield [random.bool([5])];
    yield [random.bool([2, 3]), { asTuple: true }];
  },
}) as unknown as Nonzero;

/** Another name of {@link nonzero}. */
export const argwhere: Op<[x: Tensor]> = defineComposite({
  name: 'argwhere',
  compose: (x: Tensor) => trueRows('argwhere', x),
  differentiable: false,
  *samples(random) {
    yield [random.bool([2, 3])];
  },
});

const maskRow = gatherRow('maskedSelect');

/** The elements where `mask` (bool, broadcast) is set, as a 1-D tensor. Reads the mask, so the device must be one that can wait. */
export const maskedSelect: Op<[x: Tensor, mask: Tensor]> = defineComposite({
  name: 'maskedSelect',
  compose(x: Tensor, mask: Tensor) {
    if (mask.dtype !== 'bool') throw new LibError('dtype', `maskedSelect: the mask must be of type bool, got ${mask.dtype}.`);
    const shape = broadcastShapes('maskedSelect', x.shape, mask.shape);
    const flat = x.expand(shape).reshape([shape.reduce((n, d) => n * d, 1)]);
    return maskRow(flat, 0, trueIndices('maskedSelect', mask.expand(shape)));
  },
  *samples(random) {
    yield [random([3, 4]), random.bool([3, 4])];
    yield [random([3, 1]), random.bool([4])];
  },
  *errors(random) {
    yield [[random([3]), random.integers([3], 0, 2)], 'must be of type bool'];
    yield [[random([3]), random.bool([4])], 'do not broadcast'];
  },
});

const indexRow = gatherRow('index');

/**
 * PyTorch's x[i0, i1, …] with int tensors (negative values count from the end), bool masks, and null for a whole dim. Index tensors
 * broadcast together; their dims take the place of the indexed ones, or come first when a null stands between them.
 * @example x.index([rows, null, columns])
 */
export const index: Op<[x: Tensor, indices: IndexList]> = defineComposite({
  name: 'index',
  compose(x: Tensor, indices: IndexList) {
    const { flat, rows, restore, count } = resolveIndices('index', x, indices);
    const table = rows(x);
    return restore(indexRow(table, 0, flat.reshape([count, 1]).expand([count, table.sizeAt(1)]), true));
  },
  *samples(random) {
    yield [random([4, 3]), [random.integers([5], -4, 4)]];
    yield [random([4, 3, 2]), [random.integers([2, 1], 0, 4), random.integers([3], 0, 3)]];
    yield [random([4, 3, 2]), [null, random.integers([3], 0, 3), random.integers([3], 0, 2)]];
    yield [random([4, 3, 2]), [random.integers([3], 0, 4), null, random.integers([3], 0, 2)]];
    yield [random([4, 3]), [random.bool([4])]];
    yield [random([4, 3]), [random.bool([4, 3])]];
  },
  *errors(random) {
    yield [[random([4, 3]), [random.integers([2], 4, 5)]], 'out of range for dimension of size 4'];
    yield [[random([4]), [random.integers([2], 0, 4), random.integers([2], 0, 4)]], 'at most one index for each dim'];
    yield [[random([4, 3]), [random.bool([3])]], 'must have the size of the dim'];
  },
  torch: { call: 'a[0][tuple(slice(None) if i is None else i if i.dtype == torch.bool else i.long() for i in a[1])]' },
});

export interface IndexPutOptions {
  /** Add to what is there (repeated places add up) instead of replacing it. Default false. */
  readonly accumulate?: boolean;
}

const putRow = scatterRow('indexPut');

/** A copy of x with `values` (broadcast) at the places that {@link index} would read. */
export const indexPut: Op<[x: Tensor, indices: IndexList, values: Tensor, options?: IndexPutOptions]> = defineComposite({
  name: 'indexPut',
  compose(x: Tensor, indices: IndexList, values: Tensor, { accumulate = false }: IndexPutOptions = {}) {
    if (values.dtype !== x.dtype)
      throw new LibError('dtype', `indexPut: values and tensor must have one type, got ${values.dtype} into ${x.dtype}.`);
    const { flat, rows, unrows, unrestore, count } = resolveIndices('indexPut', x, indices);
    const table = rows(x);
    const src = unrestore(values);
    const ids = flat.reshape([count, 1]).expand([count, table.sizeAt(1)]);
    return unrows(putRow(table, 0, ids, src, { by: accumulate ? 'sum' : 'set', wrap: true }));
  },
  *samples(random): Iterable<[x: Tensor, indices: IndexList, values: Tensor, options?: IndexPutOptions]> {
    yield [random([4, 3]), [random.integers([1], 0, 4)], random([3])];
    yield [random([4, 3, 2]), [random.integers([5], 0, 4), null, random.integers([5], 0, 2)], random([5, 3]), { accumulate: true }];
    yield [random([4, 3, 2]), [null, random.integers([5], -3, 3)], random([4, 5, 2]), { accumulate: true }];
    yield [random([4, 3]), [random.bool([4, 3])], random([])];
  },
  *errors(random): Iterable<readonly [[x: Tensor, indices: IndexList, values: Tensor, options?: IndexPutOptions], string]> {
    yield [[random([4, 3]), [random.integers([2], 4, 5)], random([2, 3])], 'out of range'];
    yield [[random([4, 3]), [random.integers([2], 0, 4)], random([3, 3])], 'must broadcast'];
  },
  torch: {
    call:
      'torch.ops.aten.index_put(a[0], [i if i is None or i.dtype == torch.bool else i.long() for i in a[1]], a[2], ' +
      'o.get("accumulate", False))',
  },
});

export interface OneHotOptions {
  /** How many classes; default -1: one more than the largest value, which is read for it. */
  readonly numClasses?: number;
}

const hotRow = scatterRow('oneHot');

/** Classes (…) as rows of zeros with a 1: (…, numClasses), int32. */
export const oneHot: Op<[x: Tensor, options?: OneHotOptions]> = defineComposite({
  name: 'oneHot',
  compose(x: Tensor, { numClasses = -1 }: OneHotOptions = {}) {
    const ids = asIndex('oneHot', x).reshape([...x.shape, 1]);
    const classes = numClasses >= 0 ? numClasses : Math.max(-1, ...valuesOf('oneHot', ids)) + 1;
    const zeros = constantView(x.device, 'int32', [...x.shape, classes], 0);
    return hotRow(zeros, x.ndim, ids, constantView(x.device, 'int32', ids.shape, 1), { by: 'set' });
  },
  differentiable: false,
  *samples(random): Iterable<[x: Tensor, options?: OneHotOptions]> {
    yield [random.integers([4], 0, 3), { numClasses: 3 }];
    yield [random.integers([2, 3], 0, 5)];
  },
  *errors(random): Iterable<readonly [[x: Tensor, options?: OneHotOptions], string]> {
    yield [[random.integers([4], 3, 4), { numClasses: 3 }], 'out of range'];
    yield [[random([4])], 'must be of type int32'];
  },
  torch: { call: 'torch.nn.functional.one_hot(a[0].long(), **o)' },
});

export type { IndexList };
