import { LibError } from '../core/errors.js';
import { broadcastShapes, formatShape, type Shape } from '../core/shape.js';
import { tensor } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { fusedAttention, hasAttention } from './attentionRows.js';
import { attentionScores } from './attentionScores.js';
import { defineComposite, type Op } from './define.js';
import { functional } from './fused.js';
import { matmul } from './matmul.js';
import { safeSoftmax } from './safeSoftmax.js';
import { softmax } from './softmax.js';

export interface AttentionOptions {
  /** Broadcasts to (…, queries, keys): bool, true where a query may look, or floats that are added to the scores. */
  readonly attnMask?: Tensor | null;
  /** The chance that a weight is dropped. Default 0. */
  readonly dropoutP?: number;
  /** Each query looks at keys up to its own position only. Default false. */
  readonly isCausal?: boolean;
  /** Multiplies the scores. Default 1 / √(width). */
  readonly scale?: number;
  /** q has a multiple of the heads of k and v (their third dim from the end), which are shared in groups. Default false. */
  readonly enableGqa?: boolean;
}

/**
 * softmax(q kᵀ · scale + mask) v, for q (…, queries, width), k (…, keys, width), v (…, keys, values): (…, queries, values). Without
 * dropout and in float32 the engines run it as one kernel that never writes the weights down.
 */
export const scaledDotProductAttention: Op<[q: Tensor, k: Tensor, v: Tensor, options?: AttentionOptions]> = defineComposite({
  name: 'scaledDotProductAttention',
  compose(q: Tensor, keys: Tensor, values: Tensor, options: AttentionOptions = {}) {
    const { attnMask = null, dropoutP = 0, isCausal = false, scale, enableGqa = false } = options;
    const [k, v] = enableGqa ? sharedHeads(q, keys, values) : [keys, values];
    if (q.ndim < 2 || k.ndim < 2 || v.ndim < 2 || q.sizeAt(-1) !== k.sizeAt(-1) || k.sizeAt(-2) !== v.sizeAt(-2)) {
      const got = `${formatShape(q.shape)}, ${formatShape(k.shape)} and ${formatShape(v.shape)}`;
      throw new LibError('shape', `scaledDotProductAttention: q (…, n, d), k (…, m, d) and v (…, m, e) must agree, got ${got}.`);
    }
    if (attnMask !== null && isCausal) {
      throw new LibError('option', 'scaledDotProductAttention: attnMask and isCausal exclude each other, got both.');
    }
    const factor = scale ?? 1 / Math.sqrt(q.sizeAt(-1));
    if (dropoutP !== 0 || !hasAttention(q, k, v, attnMask)) return composed(q, k, v, attnMask, isCausal, factor, dropoutP);
    const batch = [k, v].reduce<Shape>((shape, t) => broadcastShapes(op, shape, t.shape.slice(0, -2)), q.shape.slice(0, -2));
    const whole = (t: Tensor, ends: Shape = t.shape.slice(-2)): Tensor => t.expand([...batch, ...ends]);
    const mask = attnMask && whole(attnMask, [q.sizeAt(-2), k.sizeAt(-2)]);
    return fusedAttention(composed, whole(q), whole(k), whole(v), mask, isCausal, factor);
  },
  *samples(random): Iterable<[q: Tensor, k: Tensor, v: Tensor, options?: AttentionOptions]> {
    yield [random([2, 2, 3, 4]), random([2, 2, 5, 4]), random([2, 2, 5, 2])];
    yield [random([2, 3, 4]), random([2, 3, 4]), random([2, 3, 4]), { isCausal: true }];
    yield [random([2, 3, 4]), random([2, 5, 4]), random([2, 5, 4]), { attnMask: random([3, 5]), scale: 0.7 }];
    yield [random([1, 4, 3, 2]), random([1, 2, 3, 2]), random([1, 2, 3, 2]), { enableGqa: true, isCausal: true }];
    yield [random([2, 3, 4]), random([2, 2, 4]), random([2, 2, 4]), { attnMask: oneRowHidden() }];
    yield [random([2, 1, 1, 3]), random([1, 2, 4, 3]), random([4, 1]), { attnMask: random([2, 1, 1, 4]) }];
  },
  *errors(random): Iterable<readonly [[q: Tensor, k: Tensor, v: Tensor, options?: AttentionOptions], string]> {
    yield [[random([3, 4]), random([3, 5]), random([3, 4])], 'must agree'];
    yield [[random([3, 4]), random([3, 4]), random([3, 4]), { isCausal: true, attnMask: random([3, 3]) }], 'exclude each other'];
    yield [[random([4, 3, 2]), random([3, 3, 2]), random([3, 3, 2]), { enableGqa: true }], 'must be a multiple'];
    yield [[random([3, 4]), random([3, 4]), random([3, 4]), { dropoutP: 2 }], 'must be in [0, 1]'];
    yield [[random([3, 4]), random([3, 4]), random([3, 4]), { attnMask: random.integers([3, 3], 0, 2) }], 'bool or of floating type'];
  },
  torch: functional('scaled_dot_product_attention'),
});

/** The second query may look nowhere: its result is zero. */
const oneRowHidden = (): Tensor => tensor([1, 0, 0, 0, 1, 1], { shape: [3, 2], dtype: 'bool' });

/** k and v with each head repeated for the heads of q that share it. */
function sharedHeads(q: Tensor, k: Tensor, v: Tensor): readonly [Tensor, Tensor] {
  const heads = q.ndim < 3 ? 1 : q.sizeAt(-3);
  const repeated = (x: Tensor): Tensor => {
    const own = x.ndim < 3 ? 1 : x.sizeAt(-3);
    if (own === 0 || heads % own !== 0) {
      throw new LibError('shape', `scaledDotProductAttention: heads of q must be a multiple of those of k and v, got ${heads} and ${own}.`);
    }
    return own === heads ? x : x.repeatInterleave(heads / own, { dim: -3 });
  };
  return [repeated(k), repeated(v)];
}

const op = 'scaledDotProductAttention';

/** The definition. */
function composed(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | null, causal: boolean, factor: number, dropoutP = 0): Tensor {
  const scores = attentionScores(q, k, mask, causal, factor);
  const weights = mask === null ? softmax(scores) : safeSoftmax(scores, -1);
  return matmul(dropoutP > 0 ? weights.dropout({ p: dropoutP }) : weights, v);
}
