import { LibError } from '../core/errors.js';
import { formatShape } from '../core/shape.js';
import { isReadable } from '../tensor/capturing.js';
import { arange, full, tensor } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { defineComposite, type Op } from './define.js';
import { scatterReduce } from './indexing.js';
import { asIndex } from './scatterRows.js';
import { searchsorted } from './sort.js';

export interface SegmentReduceOptions {
  /** How many entries each segment has, (…, segments); the dims before are the data's. */
  readonly lengths?: Tensor;
  /** Instead of lengths: where each segment begins and, last, where all end, (…, segments + 1). */
  readonly offsets?: Tensor;
  /** The dim that is segmented: the last one of lengths, and default. */
  readonly axis?: number;
  /** Do not check that lengths add up. Default false. */
  readonly unsafe?: boolean;
  /** What every segment begins with. Default: what changes nothing; of empty segments, the mean is NaN then. */
  readonly initial?: number;
}
export type SegmentReduction = 'sum' | 'mean' | 'prod' | 'max' | 'min';
/** What scatterReduce calls the reductions, and where they begin. */
const reductions: Readonly<Record<SegmentReduction, readonly ['sum' | 'prod' | 'amax' | 'amin', number]>> = {
  sum: ['sum', 0],
  mean: ['sum', 0],
  prod: ['prod', 1],
  max: ['amax', Number.NEGATIVE_INFINITY],
  min: ['amin', Number.POSITIVE_INFINITY],
};

/** The lengths of segments and where they begin and end, checked as far as values can be read. */
function segmentsOf(x: Tensor, { lengths, offsets, unsafe = false }: SegmentReduceOptions): { lengths: Tensor; offsets: Tensor } {
  const op = 'segmentReduce';
  if ((lengths === undefined) === (offsets === undefined))
    throw new LibError('option', `${op}: either lengths or offsets must be given, got ${lengths ? 'both' : 'none'}.`);
  const given = asIndex(op, (lengths ?? offsets) as Tensor);
  const axis = given.ndim - 1;
  if (axis < 0 || axis >= x.ndim || given.shape.some((n, d) => d < axis && n !== x.shape[d]))
    throw new LibError(
      'shape',
      `${op}: the dims before segments must be the data's, got ${formatShape(given.shape)} for ${formatShape(x.shape)}.`,
    );
  if (lengths === undefined) return { lengths: given.diff(), offsets: given };
  const ends = given.cumsum(-1);
  if (!unsafe && isReadable(given)) {
    const least = given.size > 0 ? given.amin().itemNow() : 0;
    if (least < 0) throw new LibError('value', `${op}: lengths must not be negative, got ${least}.`);
    const wrong = given
      .sum({ dim: -1 })
      .reshape([-1])
      .toArray()
      .find((n) => n !== x.sizeAt(axis));
    if (wrong !== undefined)
      throw new LibError('value', `${op}: lengths must add up to ${x.sizeAt(axis)}, the entries there are, got ${wrong}.`);
  }
  return { lengths: given, offsets: ends.pad([1, 0]) };
}

/**
 * Reduces neighbouring entries of a dim: (…, n, rest) to (…, segments, rest), in PyTorch's words by 'sum', 'mean', 'prod', 'max' or 'min'.
 * @example segmentReduce(tensor([1, 2, 4]), 'sum', { lengths: tensor([1, 2], { dtype: 'int32' }) }) // [1, 6]
 */
export const segmentReduce: Op<[x: Tensor, reduce: SegmentReduction, options: SegmentReduceOptions]> = defineComposite({
  name: 'segmentReduce',
  compose(x: Tensor, reduce: SegmentReduction, options: SegmentReduceOptions) {
    const { lengths, offsets } = segmentsOf(x, options);
    const axis = lengths.ndim - 1;
    if ((options.axis ?? axis) !== axis && options.axis !== axis - x.ndim)
      throw new LibError('index', `segmentReduce: axis must be the last dim of the segments, ${axis}, got ${options.axis}.`);
    const [by, neutral] = reductions[reduce];
    const [n, count] = [x.sizeAt(axis), lengths.sizeAt(-1)];
    // Places 0 and count + 1 take what lies before and behind all segments.
    const places = arange(n, { dtype: 'int32', device: x.device })
      .expand([...lengths.shape.slice(0, -1), n])
      .contiguous();
    const ids = searchsorted(offsets.contiguous(), places, { right: true });
    const rest = x.shape.slice(axis + 1);
    const wide = (t: Tensor): Tensor => t.reshape([...t.shape, ...rest.map(() => 1)]);
    const start = full([...x.shape.slice(0, axis), count + 2, ...rest], options.initial ?? neutral, { dtype: x.dtype, device: x.device });
    const made = scatterReduce(start, axis, wide(ids).expand(x.shape), x, by).narrow(axis, 1, count);
    if (reduce !== 'mean') return made;
    const size = wide(lengths).to(x.dtype);
    return made.div(options.initial === undefined ? size : size.clamp({ min: 1 }));
  },
  torch: {
    call: 'torch.segment_reduce(a[0], a[1], **{k: v.long() if k in ("lengths", "offsets") else v for k, v in o.items()})',
  },
  kinks: true,
  *samples(random): Iterable<[x: Tensor, reduce: SegmentReduction, options: SegmentReduceOptions]> {
    const int = (...values: number[]): Tensor => tensor(values, { dtype: 'int32' });
    for (const reduce of ['sum', 'mean', 'prod', 'max', 'min'] as const) yield [random([6, 2]), reduce, { lengths: int(2, 1, 3) }];
    for (const reduce of ['sum', 'mean', 'max'] as const) yield [random([5]), reduce, { lengths: int(3, 0, 2), initial: 0.5 }];
    yield [random([6]), 'sum', { offsets: int(1, 2, 5) }];
    yield [
      random([2, 4, 2]),
      'mean',
      {
        lengths: tensor(
          [
            [1, 3],
            [2, 2],
          ],
          { dtype: 'int32' },
        ),
        axis: 1,
      },
    ];
    yield [
      random([2, 4]),
      'sum',
      {
        lengths: tensor(
          [
            [1, 2],
            [1, 1],
          ],
          { dtype: 'int32' },
        ),
        axis: 1,
        unsafe: true,
      },
    ];
  },
  *errors(random): Iterable<readonly [[x: Tensor, reduce: SegmentReduction, options: SegmentReduceOptions], string]> {
    const int = (...values: number[]): Tensor => tensor(values, { dtype: 'int32' });
    yield [[random([4]), 'sum', {}], 'either lengths or offsets'];
    yield [[random([4]), 'sum', { lengths: int(3, 2) }], 'must add up to 4'];
    yield [[random([4]), 'sum', { lengths: int(-1, 5) }], 'must not be negative'];
    yield [[random([4]), 'sum', { lengths: tensor([[4]], { dtype: 'int32' }) }], "must be the data's"];
    yield [[random([4]), 'sum', { lengths: int(4), axis: 1 }], 'axis must be the last dim'];
    yield [[random([4]), 'sum', { lengths: random([1]) }], 'int32'];
  },
});
