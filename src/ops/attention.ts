import { LibError } from '../core/errors.js';
import { formatShape } from '../core/shape.js';
import { specOf } from '../core/spec.js';
import { input, scalar } from '../expr/expr.js';
import type { Tensor } from '../tensor/tensor.js';
import { defineComposite, type Op } from './define.js';
import { constantTable, functional, fuse } from './fused.js';
import { matmul } from './matmul.js';
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
}

/** softmax(q kᵀ · scale + mask) v, for q (…, queries, width), k (…, keys, width), v (…, keys, values): (…, queries, values). */
export const scaledDotProductAttention: Op<[q: Tensor, k: Tensor, v: Tensor, options?: AttentionOptions]> = defineComposite({
  name: 'scaledDotProductAttention',
  compose(q: Tensor, k: Tensor, v: Tensor, { attnMask = null, dropoutP = 0, isCausal = false, scale }: AttentionOptions = {}) {
    if (q.ndim < 2 || k.ndim < 2 || v.ndim < 2 || q.sizeAt(-1) !== k.sizeAt(-1) || k.sizeAt(-2) !== v.sizeAt(-2)) {
      const got = `${formatShape(q.shape)}, ${formatShape(k.shape)} and ${formatShape(v.shape)}`;
      throw new LibError('shape', `scaledDotProductAttention: q (…, n, d), k (…, m, d) and v (…, m, e) must agree, got ${got}.`);
    }
    if (attnMask !== null && isCausal) {
      throw new LibError('option', 'scaledDotProductAttention: attnMask and isCausal exclude each other, got both.');
    }
    const factor = scale ?? 1 / Math.sqrt(q.sizeAt(-1));
    const scores = masked(matmul(q, k.transpose(-2, -1)), isCausal ? causalMask(q, k) : attnMask, factor);
    const weights = softmax(scores);
    return matmul(dropoutP > 0 ? weights.dropout({ p: dropoutP }) : weights, v);
  },
  *samples(random): Iterable<[q: Tensor, k: Tensor, v: Tensor, options?: AttentionOptions]> {
    yield [random([2, 2, 3, 4]), random([2, 2, 5, 4]), random([2, 2, 5, 2])];
    yield [random([2, 3, 4]), random([2, 3, 4]), random([2, 3, 4]), { isCausal: true }];
    yield [random([2, 3, 4]), random([2, 5, 4]), random([2, 5, 4]), { attnMask: random([3, 5]), scale: 0.7 }];
  },
  *errors(random): Iterable<readonly [[q: Tensor, k: Tensor, v: Tensor, options?: AttentionOptions], string]> {
    yield [[random([3, 4]), random([3, 5]), random([3, 4])], 'must agree'];
    yield [[random([3, 4]), random([3, 4]), random([3, 4]), { isCausal: true, attnMask: random([3, 3]) }], 'exclude each other'];
  },
  torch: functional('scaled_dot_product_attention'),
});

/** Scores times scale, plus the mask or -∞ where it forbids, in one pass. */
function masked(scores: Tensor, mask: Tensor | null, factor: number): Tensor {
  const op = 'scaledDotProductAttention';
  const scaled = input(0).mul(scalar(0));
  if (mask === null) return fuse(op, [scores], scaled, [factor]);
  const expr = mask.dtype === 'bool' ? input(1).select(scaled, Number.NEGATIVE_INFINITY) : scaled.add(input(1));
  return fuse(op, [scores, mask], expr, [factor]);
}

function causalMask(q: Tensor, k: Tensor): Tensor {
  const [n, m] = [q.sizeAt(-2), k.sizeAt(-2)];
  return constantTable(q.device, 'causal', specOf('bool', [n, m]), () =>
    Uint8Array.from({ length: n * m }, (_, i) => Number(i % m <= Math.floor(i / m))),
  );
}
