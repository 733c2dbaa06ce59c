import { LibError } from '../core/errors.js';
import { formatShape } from '../core/shape.js';
import { isReadable } from '../tensor/capturing.js';
import { arange, tensor, zeros } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { defineComposite, type Op } from './define.js';
import { type EmbeddingOptions, embedding } from './embedding.js';
import { scatterReduce } from './indexing.js';
import { asIndex } from './scatterRows.js';
import { searchsorted } from './sort.js';

export interface EmbeddingBagOptions extends Pick<EmbeddingOptions, 'maxNorm' | 'normType' | 'scaleGradByFreq' | 'sparse'> {
  /** Where each bag begins in a vector of indices, from 0 on. Rows of a matrix of indices are bags of their own. */
  readonly offsets?: Tensor;
  /** How the rows of a bag are joined. Default 'mean'. */
  readonly mode?: 'sum' | 'mean' | 'max';
  /** A factor for each index, for mode 'sum'. */
  readonly perSampleWeights?: Tensor;
  /** The last offset is the count of indices and begins no bag. Default false. */
  readonly includeLastOffset?: boolean;
  /** Rows at this index take no part and get no gradient. Default: none. */
  readonly paddingIdx?: number;
}

interface Bags {
  readonly ids: Tensor;
  /** For each index, the bag that it belongs to. */
  readonly bag: Tensor;
  readonly count: number;
}

function bagsOf(indices: Tensor, { offsets, includeLastOffset = false }: EmbeddingBagOptions): Bags {
  const ids = asIndex('embeddingBag', indices);
  const made = { dtype: 'int32', device: indices.device } as const;
  if (ids.ndim === 2) {
    if (offsets) throw new LibError('option', `embeddingBag: a matrix of indices has no offsets, got shape ${formatShape(ids.shape)}.`);
    const [count, length] = ids.dims(2);
    const bag = arange(count, made).reshape([count, 1]).expand([count, length]).reshape([ids.size]);
    return { ids: ids.reshape([ids.size]), bag, count };
  }
  if (ids.ndim !== 1 || !offsets || offsets.ndim !== 1) {
    throw new LibError(
      'shape',
      `embeddingBag: indices must be a matrix, or a vector with a vector of offsets, got shape ${formatShape(ids.shape)}.`,
    );
  }
  const starts = asIndex('embeddingBag', offsets);
  const count = Math.max(0, starts.size - Number(includeLastOffset));
  if (count > 0 && isReadable(starts) && starts.select(0, 0).itemNow() !== 0)
    throw new LibError('value', `embeddingBag: the first offset must be 0, got ${starts.select(0, 0).itemNow()}.`);
  const bag = searchsorted(starts.narrow(0, 0, count), arange(ids.size, made), { right: true }).sub(1);
  return { ids, bag, count };
}

/** Sums, means or maxima of rows of `weight` (count, width) over bags of indices: (bags, width). Empty bags give 0. */
export const embeddingBag: Op<[indices: Tensor, weight: Tensor, options?: EmbeddingBagOptions]> = defineComposite({
  name: 'embeddingBag',
  compose(indices: Tensor, weight: Tensor, options: EmbeddingBagOptions = {}) {
    const { mode = 'mean', perSampleWeights: factors, paddingIdx, offsets: _, includeLastOffset: __, ...lookup } = options;
    if (weight.ndim !== 2)
      throw new LibError('shape', `embeddingBag: the weight must be (count, width), got shape ${formatShape(weight.shape)}.`);
    if (factors && (mode !== 'sum' || `${factors.shape}` !== `${indices.shape}`)) {
      const got = `mode ${mode} and shape ${formatShape(factors.shape)} for ${formatShape(indices.shape)}`;
      throw new LibError('option', `embeddingBag: perSampleWeights must have the indices' shape and are for mode sum, got ${got}.`);
    }
    const { ids, bag, count } = bagsOf(indices, options);
    const rows = embedding(ids, weight, { ...lookup, ...(paddingIdx !== undefined && { paddingIdx }) });
    const padding = paddingIdx === undefined ? null : ids.eq(paddingIdx < 0 ? paddingIdx + weight.sizeAt(0) : paddingIdx);
    const real = padding?.logicalNot().to(weight.dtype) ?? null;
    const start = zeros([count, weight.sizeAt(1)], { dtype: weight.dtype, device: weight.device });
    if (mode === 'max') return largestOf(start, bag, rows, padding);
    const scaled = factors ? rows.mul(factors.reshape([ids.size, 1])) : rows;
    const sum = start.indexAdd(0, bag, real ? scaled.mul(real.unsqueeze(1)) : scaled);
    if (mode === 'sum') return sum;
    const ones = real ?? zeros([ids.size], { dtype: weight.dtype, device: weight.device }).add(1);
    const counts = zeros([count], { dtype: weight.dtype, device: weight.device }).indexAdd(0, bag, ones);
    return sum.div(counts.clamp({ min: 1 }).unsqueeze(1));
  },
  *samples(random): Iterable<[indices: Tensor, weight: Tensor, options?: EmbeddingBagOptions]> {
    const offsets = tensor([0, 2, 4], { dtype: 'int32' });
    yield [random.integers([3, 2], 0, 5), random([5, 3])];
    yield [random.integers([6], 0, 5), random([5, 3]), { offsets, mode: 'sum' }];
    yield [random.integers([6], 0, 5), random([5, 3]), { offsets, mode: 'max' }];
    yield [random.integers([6], 0, 5), random([5, 3]), { offsets, mode: 'mean', paddingIdx: 1 }];
    yield [random.integers([4], 0, 5), random([5, 3]), { offsets, mode: 'sum', perSampleWeights: random([4]), includeLastOffset: true }];
  },
  *errors(random): Iterable<readonly [[indices: Tensor, weight: Tensor, options?: EmbeddingBagOptions], string]> {
    yield [[random.integers([4], 0, 5), random([5, 3])], 'a vector of offsets'];
    yield [[random.integers([2, 2], 0, 5), random([5])], 'must be (count, width)'];
    yield [[random.integers([2, 2], 5, 6), random([5, 3])], 'out of range'];
    yield [[random.integers([2, 2], 0, 5), random([5, 3]), { perSampleWeights: random([2, 2]) }], 'for mode sum'];
  },
  torch: {
    call: 'torch.nn.functional.embedding_bag(a[0].long(), a[1], **{k: v.long() if k == "offsets" else v for k, v in o.items()})',
  },
});

function largestOf(start: Tensor, bag: Tensor, rows: Tensor, padding: Tensor | null): Tensor {
  const [, width] = rows.dims(2);
  const values = padding ? padding.unsqueeze(1).where(Number.NEGATIVE_INFINITY, rows) : rows;
  const index = bag.unsqueeze(1).expand([bag.size, width]);
  const best = scatterReduce(start, 0, index, values, 'amax', { includeSelf: false });
  return padding ? best.maskedFill(best.detach().eq(Number.NEGATIVE_INFINITY), 0) : best;
}
