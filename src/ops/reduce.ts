import { computeType, type DType, isFloat } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import { type Shape, sameShape } from '../core/shape.js';
import { type Spec, specOf } from '../core/spec.js';
import { type Expr, input } from '../expr/expr.js';
import { tensor } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { isRecorded } from './apply.js';
import { defineComposite, defineOp, type Op, type Random } from './define.js';
import { countOf, type DimOptions, type FoldParams, foldParams, foldRow, productsBefore, spread } from './foldRows.js';
import { needFloat } from './fused.js';
import { reduceMap } from './map.js';

export interface ReduceOptions extends DimOptions {
  /** Type of the result; default: the input's, int32 for integers and bool. */
  readonly dtype?: DType;
}
type Reduction = Op<[x: Tensor, options?: ReduceOptions]>;

const widened = (dtype: DType): DType => (isFloat(dtype) ? dtype : 'int32');

/** Σ of an expression over dims, divided by `divisor`, in one kernel. */
function total(name: string, x: Tensor, expr: Expr, { dtype = widened(x.dtype), ...options }: ReduceOptions, mean = false): Tensor {
  const { dims, keepdim, out } = foldParams(name, x, options);
  const divisor = mean ? countOf(x.shape, dims) : 1;
  return reduceMap([x], { name, by: 'sum', expr, dims, keepdim, shape: x.shape, out, divisor, dtype, compute: computeType(dtype) });
}

function* reductionSamples(random: Random): Iterable<[x: Tensor, options?: ReduceOptions]> {
  yield [random([7])];
  yield [random([2, 3, 4])];
  yield [random([2, 3, 4]), { dim: -1 }];
  yield [random([2, 3, 4]), { dim: [0, 2], keepdim: true }];
  yield [random([])];
}
function* reductionErrors(random: Random): Iterable<readonly [[x: Tensor, options?: ReduceOptions], string]> {
  yield [[random([2, 3]), { dim: 5 }], 'dim 5 is out of range'];
}

/** The sum over `dim`. */
export const sum: Reduction = defineComposite({
  name: 'sum',
  compose: (x: Tensor, options: ReduceOptions = {}) => total('sum', x, input(0), options),
  *samples(random): Iterable<[x: Tensor, options?: ReduceOptions]> {
    yield* reductionSamples(random);
    yield [random([0, 3]), { dim: 0 }];
    yield [random.integers([2, 3], -5, 6), { dim: 1 }];
    yield [random.bool([6])];
  },
  errors: reductionErrors,
});

/** The arithmetic mean over `dim`. Integers need a floating `dtype`. */
export const mean: Reduction = defineComposite({
  name: 'mean',
  compose(x: Tensor, options: ReduceOptions = {}) {
    if (options.dtype === undefined) needFloat('mean', x);
    else if (!isFloat(options.dtype)) throw new LibError('dtype', `mean: the type must be a floating one, got ${options.dtype}.`);
    return total('mean', x, input(0), options, true);
  },
  samples: reductionSamples,
  *errors(random): Iterable<readonly [[x: Tensor, options?: ReduceOptions], string]> {
    yield* reductionErrors(random);
    yield [[random.integers([3], 0, 5)], 'must be of a floating type'];
    yield [[random([3]), { dtype: 'int32' }], 'must be a floating one'];
  },
});

const withoutNan = input(0).isnan().select(0, input(0));
/** The sum over `dim` of what is not NaN. */
export const nansum: Reduction = defineComposite({
  name: 'nansum',
  compose: (x: Tensor, options: ReduceOptions = {}) => total('nansum', x, withoutNan, options),
  samples: nanSamples,
  errors: reductionErrors,
});
/** The mean over `dim` of what is not NaN. */
export const nanmean: Reduction = defineComposite({
  name: 'nanmean',
  compose(x: Tensor, options: ReduceOptions = {}) {
    needFloat('nanmean', x);
    const { dtype = x.dtype, ...dims } = options;
    const counted = total('nanmean', x, input(0).isnan().not(), { ...dims, dtype });
    return total('nanmean', x, withoutNan, { ...dims, dtype }).div(counted);
  },
  samples: nanSamples,
  errors: reductionErrors,
});
function* nanSamples(random: Random): Iterable<[x: Tensor, options?: ReduceOptions]> {
  yield* reductionSamples(random);
  yield [
    tensor([
      [1, Number.NaN, 3],
      [4, 5, Number.NaN],
    ]),
    { dim: 1 },
  ];
}

/** How many elements are not zero, in int32. */
export const countNonzero: Op<[x: Tensor, options?: Pick<DimOptions, 'dim'>]> = foldRow('countNonzero', {
  by: 'sum',
  expr: input(0).notEqual(0),
  dtype: () => 'int32',
  *samples(random) {
    yield [random.integers([3, 4], -1, 2)];
    yield [random.integers([3, 4], -1, 2), { dim: 1 }];
    yield [random([5])];
  },
});

function* truthSamples(random: Random): Iterable<[x: Tensor, options?: DimOptions]> {
  yield [random.bool([3, 4])];
  yield [random.bool([3, 4]), { dim: 1 }];
  yield [random.integers([3, 4], 0, 3), { dim: 0, keepdim: true }];
  yield [random.bool([0, 3]), { dim: 0 }];
}
/** Whether all elements are nonzero, as bool; true of nothing. */
export const all: Op<[x: Tensor, options?: DimOptions]> = foldRow('all', {
  by: 'sum',
  expr: input(0).equal(0),
  finish: input(0).equal(0),
  dtype: () => 'bool',
  samples: truthSamples,
});
/** Whether any element is nonzero, as bool; false of nothing. */
export const any: Op<[x: Tensor, options?: DimOptions]> = foldRow('any', {
  by: 'sum',
  expr: input(0).notEqual(0),
  finish: input(0).notEqual(0),
  dtype: () => 'bool',
  samples: truthSamples,
});

/** The product over `dim`. The gradient is right where elements are zero. */
export const prod: Reduction = defineOp({
  name: 'prod',
  args(x: Tensor, { dtype = widened(x.dtype), ...options }: ReduceOptions = {}) {
    const params = foldParams('prod', x, options, dtype);
    return { inputs: [x], params, key: `${params.dims}|${params.keepdim}|${dtype}` };
  },
  infer: (_, { out, dtype }: FoldParams) => specOf(dtype, out),
  kernel: ({ dims, dtype }: FoldParams, [x]) => ({
    family: 'reduce',
    by: 'prod',
    dims,
    expr: input(0),
    shape: (x as Spec).shape,
    compute: computeType(dtype),
  }),
  saves: [0, 'output'],
  grad([g], { inputs: [x], output, params: { dims } }) {
    if (!g || !x) return [null];
    // Where this is differentiated again, what the quotient leaves out beside zeros counts.
    if (isRecorded([x])) return [productOfOthers(x, dims).mul(spread(g, x, dims))];
    // An element that is the only zero gets the product of the others; beside a zero, everything else gets nothing.
    const zero = x.detach().eq(0);
    const onlyZero = zero.logicalAnd(spread(zero.sum({ dim: dims, keepdim: true }).eq(1), x, dims));
    const others = zero.where(1, x).prod({ dim: dims, keepdim: true });
    const beside = zero.where(0, spread(output, x, dims).div(zero.where(1, x)));
    return [onlyZero.where(others, beside).mul(spread(g, x, dims))];
  },
  torch: { call: 'torch.prod(a[0], **o)' },
  *samples(random): Iterable<[x: Tensor, options?: ReduceOptions]> {
    yield [random([5])];
    yield [random([2, 3]), { dim: 1 }];
    yield [random([2, 3]), { dim: 0, keepdim: true }];
    yield [
      tensor([
        [1, 0, 3],
        [0.5, 2, 0],
        [2, 3, 4],
      ]),
      { dim: 1 },
    ];
    yield [random.integers([4], 1, 5)];
  },
  errors: reductionErrors,
});

/** For each element, the product of all others over `dims`: products of what is before it and of what is behind it. */
function productOfOthers(x: Tensor, dims: readonly number[]): Tensor {
  const order = [...x.shape.keys()].filter((d) => !dims.includes(d)).concat(dims);
  const moved = x.permute(order);
  const kept = moved.shape.slice(0, x.ndim - dims.length);
  const line = moved.reshape([...kept, countOf(x.shape, dims)]);
  const behind = productsBefore(line.flip(-1)).flip(-1);
  return productsBefore(line)
    .mul(behind)
    .reshape(moved.shape)
    .permute(order.map((_, d) => order.indexOf(d)));
}
/** The adjoint of broadcasting: sums away whatever broadcasting had stretched to get from `shape` to x's shape. */
export function sumToShape(x: Tensor, shape: Shape): Tensor {
  if (sameShape(x.shape, shape)) return x;
  const lead = x.ndim - shape.length;
  const dims = x.shape.flatMap((d, i) => (i < lead || (shape[i - lead] === 1 && d !== 1) ? [i] : []));
  const params = { name: 'sum', by: 'sum', expr: input(0), dims, keepdim: false, shape: x.shape, out: shape, dtype: x.dtype } as const;
  return reduceMap([x], { ...params, compute: computeType(x.dtype) });
}
