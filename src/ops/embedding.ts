import { LibError } from '../core/errors.js';
import { formatShape } from '../core/shape.js';
import { type Spec, specOf } from '../core/spec.js';
import { input } from '../expr/expr.js';
import type { Tensor } from '../tensor/tensor.js';
import { defineComposite, defineOp, type Op } from './define.js';
import { constantView, fuse } from './fused.js';
import { asIndex, scatterOnto } from './scatterRows.js';

export interface EmbeddingOptions {
  /** Rows at this index get no gradient: padding stays as it is. Default: none. */
  readonly paddingIdx?: number;
}

interface LookupParams {
  readonly paddingIdx: number | null;
}

/** Rows of weight (count, width) named by ids (n, 1) seen as (n, width). */
const lookup: Op<[weight: Tensor, ids: Tensor, paddingIdx: number | null]> = defineOp({
  name: 'embedding',
  args: (weight: Tensor, ids: Tensor, paddingIdx: number | null) => ({
    inputs: [weight, ids],
    params: { paddingIdx },
    key: `${paddingIdx}`,
  }),
  infer: ([weight, ids]) => specOf((weight as Spec).dtype, (ids as Spec).shape),
  kernel: () => ({ family: 'gather', dim: 0, wrap: false }),
  saves: [1],
  grad: ([g], { inputs: [weight, ids], params: { paddingIdx } }: { inputs: readonly Tensor[]; params: LookupParams }) => {
    if (!g || !weight || !ids) return [null, null];
    const kept = paddingIdx === null ? g : fuse('embeddingBackward', [g, ids], input(1).equal(paddingIdx).select(0, input(0)));
    return [scatterOnto(constantView(g.device, g.dtype, weight.shape, 0), 0, ids, kept), null];
  },
  *samples() {},
});

/** Rows of `weight` (count, width) for indices (…): (…, width). */
export const embedding: Op<[indices: Tensor, weight: Tensor, options?: EmbeddingOptions]> = defineComposite({
  name: 'embedding',
  compose(indices: Tensor, weight: Tensor, { paddingIdx }: EmbeddingOptions = {}) {
    if (weight.ndim !== 2)
      throw new LibError('shape', `embedding: the weight must be (count, width), got shape ${formatShape(weight.shape)}.`);
    const [count, width] = weight.dims(2);
    if (paddingIdx !== undefined && (paddingIdx < -count || paddingIdx >= count)) {
      throw new LibError('index', `embedding: paddingIdx must be in ${-count}..${count - 1}, got ${paddingIdx}.`);
    }
    const padding = paddingIdx === undefined ? null : (paddingIdx + count) % count;
    const ids = asIndex('embedding', indices);
    const rows = lookup(weight, ids.reshape([ids.size, 1]).expand([ids.size, width]), padding);
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
  },
  torch: { call: 'torch.nn.functional.embedding(a[0].long(), a[1], **o)' },
});
