import { isFloat } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import { formatShape, resolveDim, sameShape } from '../core/shape.js';
import { isReadable, valuesOf } from '../tensor/capturing.js';
import { ones, tensor, zeros } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { defineComposite, type Op } from './define.js';
import type { ValuesIndices } from './foldRows.js';
import { needFloat } from './fused.js';
import { lineOf, order, pick } from './sortRow.js';

export interface SortOptions {
  /** Default -1: the last. */
  readonly dim?: number;
  /** From large to small. Default false. */
  readonly descending?: boolean;
  /** Equal elements keep their order: they always do here. */
  readonly stable?: boolean;
}
type Sort<R> = Op<[x: Tensor, options?: SortOptions], R>;

/** Sorts along `dim`: values, and where they were (int32). Stable; NaN counts as the largest. */
export const sort: Sort<ValuesIndices> = defineComposite({
  name: 'sort',
  compose(x: Tensor, { dim = -1, descending = false }: SortOptions = {}) {
    const { line, at } = lineOf('sort', x, dim);
    const { values, indices } = order(line, at, descending);
    return { values: values.reshape(x.shape), indices: indices.reshape(x.shape) };
  },
  torch: { call: 'torch.sort(a[0], stable=True, **o)' },
  *samples(random): Iterable<[x: Tensor, options?: SortOptions]> {
    yield [random([7])];
    yield [random([3, 4]), { dim: 0, descending: true }];
    yield [random([2, 3, 4]), { dim: 1 }];
    yield [random.integers([8], 0, 4), { descending: true }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, options?: SortOptions], string]> {
    yield [[random([2, 3]), { dim: 5 }], 'dim 5 is out of range'];
  },
});

/** Where the sorted elements are: the indices of {@link sort}. */
export const argsort: Sort<Tensor> = defineComposite({
  name: 'argsort',
  compose: (x: Tensor, options: SortOptions = {}) => sort(x.detach(), options).indices,
  differentiable: false,
  torch: { call: 'torch.sort(a[0], stable=True, **o).indices' },
  *samples(random): Iterable<[x: Tensor, options?: SortOptions]> {
    yield [random([7])];
    yield [random([3, 4]), { dim: 0, descending: true }];
  },
});

/** The values sorted along the first dim. */
export const msort: Op<[x: Tensor]> = defineComposite({
  name: 'msort',
  compose: (x: Tensor) => sort(x, { dim: 0 }).values,
  *samples(random): Iterable<[x: Tensor]> {
    yield [random([5, 2])];
  },
});

export interface TopkOptions {
  /** Default -1. */
  readonly dim?: number;
  /** Take the largest; else the smallest. Default true. */
  readonly largest?: boolean;
  /** The result is in order either way; kept for PyTorch's sake. */
  readonly sorted?: boolean;
}
/** The k largest (or smallest) elements along `dim`, in order, and where they were. */
export const topk: Op<[x: Tensor, k: number, options?: TopkOptions], ValuesIndices> = defineComposite({
  name: 'topk',
  compose(x: Tensor, k: number, { dim = -1, largest = true }: TopkOptions = {}) {
    const { line, at } = lineOf('topk', x, dim);
    const size = line.shape[at] ?? 1;
    if (!Number.isInteger(k) || k < 0 || k > size)
      throw new LibError('value', `topk: k must be in 0..${size}, got ${k} for shape ${formatShape(x.shape)}.`);
    if (x.ndim > 0) return order(line, at, largest, k);
    return { values: x.clone(), indices: zeros([], { dtype: 'int32', device: x.device }) };
  },
  *samples(random): Iterable<[x: Tensor, k: number, options?: TopkOptions]> {
    yield [random([7]), 3];
    yield [random([3, 5]), 2, { dim: 0, largest: false }];
    yield [random([2, 5, 3]), 4, { dim: 1 }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, k: number], string]> {
    yield [[random([3]), 4], 'k must be in 0..3'];
  },
});

export interface KthOptions {
  /** Default -1. */
  readonly dim?: number;
  /** Keep the reduced dimension, with size 1. Default false. */
  readonly keepdim?: boolean;
}
/** The k-th smallest element along `dim` (k counts from 1), and where it is. */
export const kthvalue: Op<[x: Tensor, k: number, options?: KthOptions], ValuesIndices> = defineComposite({
  name: 'kthvalue',
  compose(x: Tensor, k: number, { dim = -1, keepdim = false }: KthOptions = {}) {
    const { line, at } = lineOf('kthvalue', x, dim);
    const size = line.shape[at] ?? 1;
    if (!Number.isInteger(k) || k < 1 || k > size) throw new LibError('value', `kthvalue: k must be in 1..${size}, got ${k}.`);
    return pick(x, line, at, order(line.detach(), at, false, k).indices.narrow(at, k - 1, 1), keepdim);
  },
  *samples(random): Iterable<[x: Tensor, k: number, options?: KthOptions]> {
    yield [random([7]), 3];
    yield [random([3, 5]), 2, { dim: 0, keepdim: true }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, k: number], string]> {
    yield [[random([3]), 0], 'k must be in 1..3'];
  },
});

export interface BincountOptions {
  /** What each element counts. Default 1. */
  readonly weights?: Tensor;
  /** The least size of the result. Default 0. */
  readonly minlength?: number;
}
/** How often each of 0, 1, 2 … occurs in a vector of non-negative integers. The largest one is read now. */
export const bincount: Op<[x: Tensor, options?: BincountOptions]> = defineComposite({
  name: 'bincount',
  compose(x: Tensor, { weights, minlength = 0 }: BincountOptions = {}) {
    if (!(minlength >= 0)) throw new LibError('value', `bincount: minlength must be at least 0, got ${minlength}.`);
    const values = valuesOf('bincount', x);
    let [least, most] = [0, -1];
    for (const v of values) [least, most] = [Math.min(least, v), Math.max(most, v)];
    if (x.ndim !== 1 || least < 0) {
      throw new LibError(
        'value',
        `bincount: the tensor must be a vector of non-negative integers, got shape ${formatShape(x.shape)} with least ${least}.`,
      );
    }
    if (weights && !sameShape(weights.shape, x.shape)) {
      throw new LibError(
        'shape',
        `bincount: weights must have the tensor's shape, got ${formatShape(weights.shape)} for ${formatShape(x.shape)}.`,
      );
    }
    const wide = weights && !isFloat(weights.dtype) ? weights.double() : weights;
    const counted = wide ?? ones(x.shape, { dtype: 'int32', device: x.device });
    return zeros([Math.max(most + 1, minlength)], { dtype: counted.dtype, device: x.device }).scatterAdd(0, x.int(), counted);
  },
  *samples(random): Iterable<[x: Tensor, options?: BincountOptions]> {
    yield [random.integers([9], 0, 5)];
    yield [random.integers([9], 0, 5), { minlength: 8 }];
    yield [random.integers([4], 0, 3), { weights: random([4]) }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, options?: BincountOptions], string]> {
    yield [[tensor([-1, 2], { dtype: 'int32' })], 'non-negative integers'];
    yield [[random.integers([2, 2], 0, 3)], 'must be a vector'];
    yield [[random.integers([2], 0, 3), { minlength: -1 }], 'at least 0'];
  },
});

export interface HistcOptions {
  /** Default 100. */
  readonly bins?: number;
  /** Lower end; with min = max, the data's range, which is read now. Default 0. */
  readonly min?: number;
  /** Upper end, included. Default 0. */
  readonly max?: number;
}
/** How many elements fall into each of `bins` equal intervals of [min, max]; others are left out. */
export const histc: Op<[x: Tensor, options?: HistcOptions]> = defineComposite({
  name: 'histc',
  compose(x: Tensor, { bins = 100, min = 0, max = 0 }: HistcOptions = {}) {
    needFloat('histc', x);
    const flat = x.detach().reshape([-1]);
    let [low, high] = [min, max];
    if (min === max && x.size > 0) {
      const [least, most] = [flat.amin(), flat.amax()];
      if (!isReadable(flat)) {
        const one = least.eq(most).to(x.dtype);
        return countIn(flat, bins, least.sub(one), most.add(one), most.sub(least).add(one.mul(2)));
      }
      [low, high] = [least.itemNow(), most.itemNow()];
    }
    if (low === high) [low, high] = [low - 1, high + 1];
    if (!(low < high && Number.isFinite(high - low)))
      throw new LibError('value', `histc: the range must be finite and rise, got ${low} to ${high}.`);
    return countIn(flat, bins, low, high, high - low);
  },
  differentiable: false,
  *samples(random): Iterable<[x: Tensor, options?: HistcOptions]> {
    yield [random([20]), { bins: 4, min: -1, max: 1 }];
    yield [random([20]), { bins: 5 }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, options?: HistcOptions], string]> {
    yield [[random([3]), { min: 2, max: 1 }], 'must be finite and rise'];
  },
});

function countIn(x: Tensor, bins: number, low: Tensor | number, high: Tensor | number, width: Tensor | number): Tensor {
  const inside = x.ge(low).logicalAnd(x.le(high));
  const place = x
    .sub(low)
    .div(width)
    .mul(bins)
    .clamp({ min: 0, max: bins - 1 });
  return zeros([bins], { dtype: x.dtype, device: x.device }).scatterAdd(0, inside.where(place, 0).int(), inside.to(x.dtype));
}

export interface SearchOptions {
  /** Count elements ≤ v instead of < v. Default false. */
  readonly right?: boolean;
  /** PyTorch's wish for int32 in place of int64: counts are int32 here in any case. */
  readonly outInt32?: boolean;
}
export interface SearchsortedOptions extends SearchOptions {
  /** The same as `right`, in words. */
  readonly side?: 'left' | 'right';
  /** Where the elements come from that make the sequence sorted: the indices of `argsort`, of its shape. */
  readonly sorter?: Tensor;
}
/**
 * For each v, how many elements of the sorted last dim are < v (≤ v with `right`): where v would be inserted. int32.
 * `sorted` is (n) or has the leading dims of `values`.
 */
export const searchsorted: Op<[sorted: Tensor, values: Tensor, options?: SearchsortedOptions]> = defineComposite({
  name: 'searchsorted',
  compose(sequence: Tensor, values: Tensor, options: SearchsortedOptions = {}) {
    const { side, right = side === 'right', sorter } = options;
    if (side !== undefined && (side === 'right') !== right)
      throw new LibError('option', `searchsorted: side and right must say the same, got side ${side} and right ${right}.`);
    const sorted = sorter ? sequence.detach().gather(-1, sorter) : sequence;
    const n = sorted.shape.at(-1) ?? 1;
    const lead = values.shape.slice(0, -1);
    if (sorted.ndim !== 1 && !sameShape(sorted.shape.slice(0, -1), lead)) {
      throw new LibError(
        'shape',
        `searchsorted: leading dims must agree, got ${formatShape(sorted.shape)} for values ${formatShape(values.shape)}.`,
      );
    }
    const wanted = sorted.ndim === 1 ? values.detach().reshape([-1]) : values.detach();
    const at = resolveDim('searchsorted', -1, wanted.ndim);
    let place = zeros(wanted.shape, { dtype: 'int32', device: values.device });
    if (n === 0) return place.reshape(values.shape);
    // A binary search of all values at once: the answer's bits from the highest down.
    for (let step = 2 ** Math.floor(Math.log2(n)); step >= 1; step /= 2) {
      const next = place.add(step);
      const there = sorted.detach().gather(at, next.sub(1).clamp({ max: n - 1 }));
      const below = right ? there.le(wanted) : there.lt(wanted);
      place = below.logicalAnd(next.le(n)).where(next, place);
    }
    return place.reshape(values.shape);
  },
  differentiable: false,
  *samples(random): Iterable<[sorted: Tensor, values: Tensor, options?: SearchsortedOptions]> {
    yield [tensor([-1, 0, 0, 1, 2]), random([2, 3])];
    yield [tensor([-1, 0, 0, 1, 2]), tensor([0, 2, 3, -4]), { right: true }];
    yield [tensor([2, 0, 1]), tensor([0, 1.5]), { side: 'right', sorter: tensor([1, 2, 0], { dtype: 'int32' }) }];
    yield [
      tensor([
        [0, 1, 2],
        [0, 0.5, 1],
      ]),
      random([2, 4]),
    ];
  },
  *errors(random): Iterable<readonly [[sorted: Tensor, values: Tensor, options?: SearchsortedOptions], string]> {
    yield [[random([2, 3]), random([4])], 'leading dims must agree'];
    yield [[random([3]), random([4]), { side: 'left', right: true }], 'must say the same'];
  },
  torch: { call: 'torch.searchsorted(a[0], a[1], **{k: v.long() if k == "sorter" else v for k, v in o.items()})' },
});

/** The index of the bucket of each value between sorted boundaries: {@link searchsorted} with the arguments turned round. */
export const bucketize: Op<[values: Tensor, boundaries: Tensor, options?: SearchOptions]> = defineComposite({
  name: 'bucketize',
  compose: (values: Tensor, boundaries: Tensor, options: SearchOptions = {}) => searchsorted(boundaries, values, options),
  differentiable: false,
  *samples(random): Iterable<[values: Tensor, boundaries: Tensor, options?: SearchOptions]> {
    yield [random([2, 3]), tensor([-1, 0, 1])];
    yield [tensor([0, 1, 2]), tensor([0, 1, 2]), { right: true }];
  },
});
