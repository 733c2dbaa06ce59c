import { LibError } from '../core/errors.js';
import { formatShape } from '../core/shape.js';
import { type Spec, specOf } from '../core/spec.js';
import { input, scalar } from '../expr/expr.js';
import type { Tensor } from '../tensor/tensor.js';
import { defineComposite, defineOp, type Op } from './define.js';
import { constantView, fuse } from './fused.js';
import { pNorm } from './pNorm.js';
import { asIndex, scatterOnto } from './scatterRows.js';

export interface EmbeddingOptions {
  /** Rows at this index get no gradient: padding stays as it is. Default: none. */
  readonly paddingIdx?: number;
  /** Rows that are looked up and longer than this are scaled to this length first, in place, as in PyTorch. Default: none. */
  readonly maxNorm?: number;
  /** Which p-norm `maxNorm` limits. Default 2. */
  readonly normType?: number;
  /** Divide a row's gradient by how often the indices name it. Default false. */
  readonly scaleGradByFreq?: boolean;
  /** No effect here, where gradients are dense: `Embedding` keeps gradients of rows. */
  readonly sparse?: boolean;
}

interface LookupParams {
  readonly paddingIdx: number | null;
  readonly byFrequency: boolean;
}

/** Rows of weight (count, width) named by ids (n, 1) seen as (n, width). */
const lookup: Op<[weight: Tensor, ids: Tensor, params: LookupParams]> = defineOp({
  name: 'embedding',
  args: (weight: Tensor, ids: Tensor, params: LookupParams) => ({
    inputs: [weight, ids],
    params,
    key: `${params.paddingIdx}${params.byFrequency}`,
  }),
  infer: ([weight, ids]) => specOf((weight as Spec).dtype, (ids as Spec).shape),
  kernel: () => ({ family: 'gather', dim: 0, wrap: false }),
  saves: [1],
  grad: ([g], { inputs: [weight, ids], params: { paddingIdx, byFrequency } }: { inputs: readonly Tensor[]; params: LookupParams }) => {
    if (!g || !weight || !ids) return [null, null];
    const kept = paddingIdx === null ? g : fuse('embeddingBackward', [g, ids], input(1).equal(paddingIdx).select(0, input(0)));
    const shared = byFrequency ? kept.div(frequencies(ids, weight.sizeAt(0), g)) : kept;
    return [scatterOnto(constantView(g.device, g.dtype, weight.shape, 0), 0, ids, shared), null];
  },
  *samples() {},
});

/** For each id of (n, width), how often it stands in its column. */
function frequencies(ids: Tensor, count: number, like: Tensor): Tensor {
  const column = ids.narrow(1, 0, Math.min(1, ids.sizeAt(1)));
  const none = constantView(like.device, like.dtype, [count, column.sizeAt(1)], 0);
  const counts = scatterOnto(none, 0, column, constantView(like.device, like.dtype, column.shape, 1));
  return counts.gather(0, column);
}

/** Scales the rows of `weight` that `ids` name and whose norm is above `maxNorm` down to it, in place. No gradient flows through it. */
function renormalizeRows(weight: Tensor, ids: Tensor, maxNorm: number, normType: number): void {
  const rows = weight.detach();
  const length = pNorm(rows, { p: normType, dim: 1, keepdim: true });
  const none = constantView(weight.device, weight.dtype, [weight.sizeAt(0)], 0);
  const named = scatterOnto(none, 0, ids, constantView(weight.device, weight.dtype, ids.shape, 1), { by: 'set' });
  const factor = input(0)
    .equal(0)
    .select(
      1,
      scalar(0)
        .less(input(1))
        .select(scalar(0).div(input(1).add(1e-7)), 1),
    );
  rows.mul_(fuse('embedding', [named.unsqueeze(1), length], factor, [maxNorm]));
}

/** Rows of `weight` (count, width) for indices (…): (…, width). */
export const embedding: Op<[indices: Tensor, weight: Tensor, options?: EmbeddingOptions]> = defineComposite({
  name: 'embedding',
  compose(indices: Tensor, weight: Tensor, options: EmbeddingOptions = {}) {
    const { paddingIdx, maxNorm, normType = 2, scaleGradByFreq: byFrequency = false } = options;
    if (weight.ndim !== 2)
      throw new LibError('shape', `embedding: the weight must be (count, width), got shape ${formatShape(weight.shape)}.`);
    const [count, width] = weight.dims(2);
    if (paddingIdx !== undefined && (paddingIdx < -count || paddingIdx >= count)) {
      throw new LibError('index', `embedding: paddingIdx must be in ${-count}..${count - 1}, got ${paddingIdx}.`);
    }
    const padding = paddingIdx === undefined ? null : (paddingIdx + count) % count;
    const ids = asIndex('embedding', indices);
    if (maxNorm !== undefined) {
      if (!(maxNorm >= 0)) throw new LibError('value', `embedding: maxNorm must not be negative, got ${maxNorm}.`);
      renormalizeRows(weight, ids.reshape([ids.size]), maxNorm, normType);
    }
    const params = { paddingIdx: padding, byFrequency };
    const rows = lookup(weight, ids.reshape([ids.size, 1]).expand([ids.size, width]), params);
    return ids.ndim === 1 ? rows : rows.reshape([...ids.shape, width]);
  },
  *samples(random): Iterable<[indices: Tensor, weight: Tensor, options?: EmbeddingOptions]> {
    yield [random.integers([5], 0, 4), random([4, 3])];
    yield [random.integers([2, 3], 0, 4), random([4, 2])];
  },
  *errors(random): Iterable<readonly [[indices: Tensor, weight: Tensor, options?: EmbeddingOptions], string]> {
    yield [[random.integers([2], 4, 5), random([4, 3])], 'out of range for dimension of size 4'];
    yield [[random([2]), random([4, 3])], 'must be of type int32'];
    yield [[random.integers([2], 0, 4), random([4])], 'must be (count, width)'];
    yield [[random.integers([2], 0, 4), random([4, 3]), { paddingIdx: 4 }], 'paddingIdx must be'];
    yield [[random.integers([2], 0, 4), random([4, 3]), { maxNorm: -1 }], 'maxNorm must not be negative'];
  },
  torch: { call: 'torch.nn.functional.embedding(a[0].long(), a[1], **o)' },
});
