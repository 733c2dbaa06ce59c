import { isFloat } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import { formatShape, needDims } from '../core/shape.js';
import { input, scalar } from '../expr/expr.js';
import { isReadable } from '../tensor/capturing.js';
import { tensor } from '../tensor/creation.js';
import { isTensor, type Tensor } from '../tensor/tensor.js';
import { defineComposite, type Op } from './define.js';
import { fuse, needFloat } from './fused.js';
import { composed } from './shortRows.js';
import { lineOf, order } from './sortRow.js';

/** Covariances and quantiles. */

export interface CovOptions {
  /** What the count is lessened by. Default 1. */
  readonly correction?: number;
  /** How often each observation counts: integers (observations). */
  readonly fweights?: Tensor;
  /** How much each observation weighs (observations). */
  readonly aweights?: Tensor;
}

function checkWeights(name: string, weights: Tensor | undefined, count: number): void {
  if (weights && (weights.ndim !== 1 || weights.size !== count)) {
    throw new LibError(
      'shape',
      `cov: ${name} must be a vector with one entry for each observation, got ${formatShape(weights.shape)} for ${count}.`,
    );
  }
}

/** The covariance matrix of variables in rows and observations in columns; a vector is one variable, with a 0-d result. */
export const cov: Op<[x: Tensor, options?: CovOptions]> = defineComposite({
  name: 'cov',
  compose(x: Tensor, { correction = 1, fweights, aweights }: CovOptions = {}) {
    if (!Number.isInteger(correction)) throw new LibError('value', `cov: correction must be a whole number, got ${correction}.`);
    needDims('cov', x, 0, 2);
    const rows = x.ndim === 2 ? x : x.reshape([1, -1]);
    const data = rows.dtype === 'bool' || rows.dtype === 'int32' || rows.dtype === 'uint8' ? rows.float() : rows;
    const count = data.sizeAt(1);
    checkWeights('fweights', fweights, count);
    checkWeights('aweights', aweights, count);
    for (const [name, weights] of [
      ['fweights', fweights],
      ['aweights', aweights],
    ] as const) {
      if (weights && isReadable(weights) && weights.toArray().some((w) => !(w >= 0)))
        throw new LibError('value', `cov: ${name} must not be negative, got ${weights.toArray().find((w) => !(w >= 0))}.`);
    }
    if (fweights && isFloat(fweights.dtype)) throw new LibError('dtype', `cov: fweights must be integers, got ${fweights.dtype}.`);
    const [f, a] = [fweights?.to(data.dtype), aweights?.to(data.dtype)];
    const weights = f && a ? a.mul(f) : (a ?? f);
    const total = weights?.sum();
    const mean = weights && total ? data.mul(weights).sum({ dim: 1, keepdim: true }).div(total) : data.mean({ dim: 1, keepdim: true });
    const off = data.sub(mean);
    const left = weights ? off.mul(weights) : off;
    const product = left.matmul(off.t());
    const square = weights && total ? product.div(divisor(weights, total, correction, a)) : product.div(Math.max(0, count - correction));
    return square.squeeze();
  },
  *samples(random): Iterable<[x: Tensor, options?: CovOptions]> {
    yield [random([3, 5])];
    yield [random([6]), { correction: 0 }];
    yield [random([2, 4]), { fweights: random.integers([4], 1, 4) }];
    yield [random([2, 4]), { aweights: random([4], { low: 0.5, high: 2 }), fweights: random.integers([4], 1, 4), correction: 2 }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, options?: CovOptions], string]> {
    yield [[random([2, 2, 2])], 'at most 2 dims'];
    yield [[random([2, 4]), { correction: 0.5 }], 'a whole number'];
    yield [[random([2, 4]), { aweights: random([3]) }], 'one entry for each observation'];
    yield [[random([2, 4]), { fweights: random.integers([4], 1, 3).to('float32') }], 'fweights must be integers'];
    yield [[random([2, 4]), { fweights: random.integers([4], -3, 0) }], 'fweights must not be negative'];
    yield [[random([2, 4]), { aweights: random([4], { low: -2, high: -1 }) }], 'aweights must not be negative'];
  },
});

/** The sum of weights, less the correction in units of the mean weight. */
function divisor(weights: Tensor, total: Tensor, correction: number, aweights: Tensor | undefined): Tensor {
  const factor = aweights ? weights.mul(aweights).sum().div(total) : null;
  return (factor ? total.sub(factor.mul(correction)) : total.sub(correction)).clamp({ min: 0 });
}

/** The correlations of variables in rows and observations in columns: covariances over the deviations, within [-1, 1]. */
export const corrcoef: Op<[x: Tensor]> = composed(
  'corrcoef',
  (x) => {
    const c = cov(x);
    if (c.ndim === 0) return c.div(c);
    const deviation = c.diagonal().sqrt();
    return c.div(deviation.unsqueeze(1)).div(deviation.unsqueeze(0)).clamp({ min: -1, max: 1 });
  },
  (random) => [[random([3, 5])], [random([4])]],
  { kinks: true, errors: (random) => [[[random([2, 2, 2])], 'at most 2 dims']] },
);

export interface QuantileOptions {
  /** Default: all elements. */
  readonly dim?: number;
  /** Keep the reduced dimension, with size 1. Default false. */
  readonly keepdim?: boolean;
  /** What to do between two elements. Default 'linear'. */
  readonly interpolation?: 'linear' | 'lower' | 'higher' | 'nearest' | 'midpoint';
}
type Quantile = Op<[x: Tensor, q: number | Tensor, options?: QuantileOptions]>;

const checkQ = (op: string, q: number): void => {
  if (!(q >= 0 && q <= 1)) throw new LibError('value', `${op}: q must be in [0, 1], got ${q}.`);
};

/** How the place between two elements is rounded, where the answer is one of them. */
const rounding = { lower: 'floor', higher: 'ceil', nearest: 'round' } as const;

function quantileOf(op: string, x: Tensor, q: number | Tensor, options: QuantileOptions, ignoreNan: boolean): Tensor {
  const { dim, keepdim = false, interpolation = 'linear' } = options;
  needFloat(op, x);
  if (typeof q === 'number') checkQ(op, q);
  const places = isTensor(q) ? q : tensor(q, { dtype: x.dtype, device: x.device });
  if (places.ndim > 1 || places.dtype !== x.dtype) {
    throw new LibError(
      'value',
      `${op}: q must be a number or a vector of the tensor's type, got ${places.dtype} of shape ${formatShape(places.shape)}.`,
    );
  }
  if (x.size === 0) throw new LibError('shape', `${op}: there must be elements to choose from, got shape ${formatShape(x.shape)}.`);
  const { line, at } = dim === undefined ? { line: x.reshape([-1]), at: 0 } : lineOf(op, x, dim);
  const sorted = order(line, at, false).values.movedim(at, -1);
  const last = sorted.sizeAt(-1) - 1;
  const nan = sorted.detach().isnan();
  const slots = places.reshape([-1]);
  const rank = ignoreNan
    ? slots.mul(nan.logicalNot().sum({ dim: -1, keepdim: true }).sub(1).to(x.dtype)).clamp({ min: 0 })
    : nan.any({ dim: -1, keepdim: true }).where(last, slots.mul(last));
  const value = between(sorted, rank, interpolation);
  const rest = line.shape.filter((_, i) => i !== at);
  const kept = dim === undefined ? x.shape.map(() => 1) : x.shape.map((d, i) => (i === at ? 1 : d));
  const reduced = keepdim ? kept : dim === undefined || x.ndim === 0 ? [] : rest;
  return value.movedim(-1, 0).reshape(places.ndim === 0 ? reduced : [places.size, ...reduced]);
}

const straight = input(0).add(input(2).mul(input(1).sub(input(0))));

/** What lies at fractional places of sorted lines. */
function between(sorted: Tensor, rank: Tensor, interpolation: NonNullable<QuantileOptions['interpolation']>): Tensor {
  const shape = [...sorted.shape.slice(0, -1), rank.sizeAt(-1)];
  const read = (place: Tensor): Tensor => sorted.gather(-1, place.detach().int().expand(shape));
  if (interpolation !== 'linear' && interpolation !== 'midpoint') return read(rank[rounding[interpolation]]());
  const [low, high] = [read(rank.floor()), read(rank.ceil())];
  // Equal ends are kept as they are: the difference of two infinities is not 0.
  const same = input(0).equal(input(1));
  if (interpolation === 'midpoint')
    return fuse('lerp', [low, high], same.select(input(0), input(0).add(input(1).sub(input(0)).mul(scalar(0)))), [0.5]);
  const weight = rank.sub(rank.detach().floor()).expand(shape);
  return fuse('lerp', [low, high, weight], straight);
}

/** The q-quantile, 0 ≤ q ≤ 1, of all elements or along `dim`; several q (a vector) come as a new first dim. NaN makes NaN. */
export const quantile: Quantile = defineComposite({
  name: 'quantile',
  compose: (x: Tensor, q: number | Tensor, options: QuantileOptions = {}) => quantileOf('quantile', x, q, options, false),
  *samples(random): Iterable<[x: Tensor, q: number | Tensor, options?: QuantileOptions]> {
    yield [random([7]), 0.3];
    yield [random([3, 4]), 0.5, { dim: 1 }];
    yield [random([3, 4]), 0.9, { dim: 0, keepdim: true, interpolation: 'lower' }];
    yield [random([6]), 0.5, { interpolation: 'nearest' }];
    // One line only: the gradient by q sums over lines, in an order that fusion may change.
    yield [random([7]), tensor([0.2, 0.7])];
    yield [random([1, 4]), tensor([0.2, 0.7]), { dim: 1, keepdim: true }];
    yield [random([3, 4]), 0.4, { dim: 1, interpolation: 'midpoint' }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, q: number | Tensor, options?: QuantileOptions], string]> {
    yield [[random([3]), 1.5], 'q must be in [0, 1]'];
    yield [[random([3]), random([2, 2])], 'a number or a vector'];
    yield [[random([0]), 0.5], 'there must be elements'];
  },
});

/** {@link quantile} of the elements that are not NaN; NaN where there are none. */
export const nanquantile: Quantile = defineComposite({
  name: 'nanquantile',
  compose: (x: Tensor, q: number | Tensor, options: QuantileOptions = {}) => quantileOf('nanquantile', x, q, options, true),
  *samples(random): Iterable<[x: Tensor, q: number | Tensor, options?: QuantileOptions]> {
    yield [tensor([3, Number.NaN, 1, 2, Number.NaN]), 0.4];
    yield [random([3, 4]), 0.5, { dim: 1, keepdim: true }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, q: number | Tensor, options?: QuantileOptions], string]> {
    yield [[random([3]), -1], 'q must be in [0, 1]'];
  },
});
