import { LibError } from '../core/errors.js';
import { formatShape, needWhole, sameShape } from '../core/shape.js';
import { valuesOf } from '../tensor/capturing.js';
import { linspace, onesLike, tensor, zeros } from '../tensor/creation.js';
import { isTensor, type Tensor } from '../tensor/tensor.js';
import { defineComposite, type Op } from './define.js';
import { needFloat } from './fused.js';
import { searchsorted } from './sort.js';

/** Histograms with their edges, of numbers and of points. */

export interface HistogramOptions {
  /** The lower and the upper end of the bins. Default: those of the data, which are read now. */
  readonly range?: readonly [low: number, high: number];
  /** What each element counts (the tensor's shape). Default 1. */
  readonly weight?: Tensor;
  /** Divide by the sum and the widths, so that the integral is 1. Default false. */
  readonly density?: boolean;
}
export interface HistogramddOptions extends Omit<HistogramOptions, 'range'> {
  /** Lower and upper end for each dim, flat. Default: those of the data. */
  readonly range?: readonly number[];
}
export interface Histogram {
  readonly hist: Tensor;
  readonly binEdges: Tensor;
}
export interface Histogramdd {
  readonly hist: Tensor;
  readonly binEdges: readonly Tensor[];
}
type Bins = number | Tensor;

/** A rising list of edges: given, or evenly between the ends. */
function edgesOf(op: string, values: Tensor, bins: Bins, range: readonly number[] | undefined): Tensor {
  const made = { dtype: values.dtype, device: values.device };
  if (isTensor(bins)) {
    if (bins.ndim !== 1 || bins.size < 1)
      throw new LibError('shape', `${op}: edges must be a vector with elements, got shape ${formatShape(bins.shape)}.`);
    return bins.detach().to(values.dtype);
  }
  needWhole(op, 'the count of bins', bins, 1);
  if (range && range.length !== 2) throw new LibError('value', `${op}: the range must have two ends, got ${range.length} numbers.`);
  let [low, high] = range ?? (values.size > 0 ? [values.amin(), values.amax()].map((x) => valuesOf(op, x)[0]) : [0, 0]);
  if (low === undefined || high === undefined || !(low <= high && Number.isFinite(high - low)))
    throw new LibError('value', `${op}: the range must be finite and rise, got ${low} to ${high}.`);
  if (low === high) [low, high] = [low - 0.5, high + 0.5];
  return linspace(low, high, bins + 1, made);
}

/** The bin of each value; the last one holds its upper edge too. Values outside get a bin beyond either end. */
function binOf(values: Tensor, edges: Tensor): Tensor {
  const at = searchsorted(edges, values, { right: true }).sub(1);
  return values.eq(edges.narrow(0, edges.size - 1, 1)).where(edges.size - 2, at);
}

function count(op: string, columns: readonly Tensor[], edges: readonly Tensor[], options: HistogramOptions): Tensor {
  const { weight, density = false } = options;
  const first = columns[0] as Tensor;
  const sizes = edges.map((e) => e.size - 1);
  if (weight && weight.size !== first.size)
    throw new LibError('shape', `${op}: there must be a weight for each element, got ${weight.size} for ${first.size}.`);
  let place = zeros([first.size], { dtype: 'int32', device: first.device });
  let inside = place.eq(0);
  columns.forEach((values, d) => {
    const at = binOf(values, edges[d] as Tensor);
    const size = sizes[d] as number;
    inside = inside.logicalAnd(at.ge(0)).logicalAnd(at.lt(size));
    place = place.mul(size).add(at);
  });
  const each = weight ? weight.detach().reshape([weight.size]).to(first.dtype) : inside.to(first.dtype);
  const total = sizes.reduce((n, s) => n * s, 1);
  const none = zeros([total], { dtype: first.dtype, device: first.device });
  const hist = (total === 0 ? none : none.scatterAdd(0, inside.where(place, 0), inside.where(each, 0))).reshape(sizes);
  if (!density) return hist;
  const volumes = edges.reduce((v, e, d) => {
    const widths = e.narrow(0, 1, e.size - 1).sub(e.narrow(0, 0, e.size - 1));
    return v.mul(widths.reshape(sizes.map((s, i) => (i === d ? s : 1))));
  }, onesLike(hist));
  return hist.div(volumes).div(hist.sum());
}

/**
 * How many elements fall between neighbouring edges: `bins` of equal width, or edges in rising order. Not differentiable.
 * @example histogram(tensor([1, 2, 1]), 4, { range: [0, 4] }).hist // [0, 2, 1, 0]
 */
export const histogram: Op<[x: Tensor, bins: Bins, options?: HistogramOptions], Histogram> = defineComposite({
  name: 'histogram',
  compose(x: Tensor, bins: Bins, options: HistogramOptions = {}) {
    needFloat('histogram', x);
    if (options.weight && !sameShape(options.weight.shape, x.shape))
      throw new LibError(
        'shape',
        `histogram: weights must have the tensor's shape, got ${formatShape(options.weight.shape)} for ${formatShape(x.shape)}.`,
      );
    const values = x.detach().reshape([x.size]);
    const binEdges = edgesOf('histogram', values, bins, options.range);
    return { hist: count('histogram', [values], [binEdges], options), binEdges };
  },
  differentiable: false,
  *samples(random): Iterable<[x: Tensor, bins: Bins, options?: HistogramOptions]> {
    yield [random([20]), 4, { range: [-1, 1] }];
    yield [random([3, 5]), 3];
    yield [random([9]), tensor([-1, -0.5, 0.5, 2]), { density: true }];
    yield [random([6]), 3, { range: [-2, 2], weight: random([6], { low: 0.5, high: 2 }), density: true }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, bins: Bins, options?: HistogramOptions], string]> {
    yield [[random([3]), 0], 'a whole number of at least 1'];
    yield [[random([3]), random([2, 2])], 'edges must be a vector'];
    yield [[random([3]), 2, { range: [1, 0] }], 'finite and rise'];
    yield [[random([3]), 2, { range: [0, 1, 2] as unknown as [number, number] }], 'two ends'];
    yield [[random([3]), 2, { weight: random([2]) }], "the tensor's shape"];
  },
  torch: {
    call: 'torch.histogram(*[t.detach() if torch.is_tensor(t) else t for t in a], **{k: v.detach() if k == "weight" else tuple(v) if k == "range" else v for k, v in o.items()})',
  },
});

/** Bins for all dims alike, or for each: counts, or edges. */
type ManyBins = number | readonly number[] | readonly Tensor[];

/** How many points (…, D) fall into the cells of a grid in D dims, whose edges are given or evenly spaced. Not differentiable. */
export const histogramdd: Op<[x: Tensor, bins: ManyBins, options?: HistogramddOptions], Histogramdd> = defineComposite({
  name: 'histogramdd',
  compose(x: Tensor, bins: ManyBins, { range, ...options }: HistogramddOptions = {}) {
    needFloat('histogramdd', x);
    if (x.ndim < 2 || x.sizeAt(-1) === 0)
      throw new LibError('shape', `histogramdd: points must be (…, D), got shape ${formatShape(x.shape)}.`);
    const dims = x.sizeAt(-1);
    const each = typeof bins === 'number' ? new Array<number>(dims).fill(bins) : bins;
    if (each.length !== dims) throw new LibError('value', `histogramdd: there must be bins for each of ${dims} dims, got ${each.length}.`);
    if (range && range.length !== 2 * dims)
      throw new LibError('value', `histogramdd: the range must have two ends for each of ${dims} dims, got ${range.length} numbers.`);
    const points = x.detach().reshape([x.size / Math.max(1, dims), dims]);
    const columns = each.map((_, d) => points.select(1, d).contiguous());
    const binEdges = columns.map((c, d) => edgesOf('histogramdd', c, each[d] as Bins, range?.slice(2 * d, 2 * d + 2)));
    return { hist: count('histogramdd', columns, binEdges, options), binEdges };
  },
  differentiable: false,
  *samples(random): Iterable<[x: Tensor, bins: ManyBins, options?: HistogramddOptions]> {
    yield [random([12, 2]), [2, 3], { range: [-1, 1, -1, 1] }];
    yield [random([3, 4, 1]), 3];
    yield [random([8, 2]), [tensor([-1, 0, 1]), tensor([-1, 0.5, 2])], { density: true, weight: random([8], { low: 0.5, high: 2 }) }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, bins: ManyBins, options?: HistogramddOptions], string]> {
    yield [[random([3]), 2], 'must be (…, D)'];
    yield [[random([3, 2]), [2]], 'bins for each of 2 dims'];
    yield [[random([3, 2]), 2, { range: [0, 1] }], 'two ends for each'];
  },
  torch: {
    call: 'torch.histogramdd(a[0].detach(), [t.detach() for t in a[1]] if isinstance(a[1], list) and torch.is_tensor(a[1][0]) else a[1], **{k: v.detach() if k == "weight" else v for k, v in o.items()})',
  },
});
