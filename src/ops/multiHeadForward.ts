import { LibError } from '../core/errors.js';
import { formatShape } from '../core/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import { defineComposite, type Op, type Random } from './define.js';
import { functional } from './fused.js';
import { type Attended, attend } from './multiHeadAttention.js';

export interface MultiHeadAttentionForwardOptions {
  /** Drop weights. Default true. */
  readonly training?: boolean;
  /** (batch, sources), true or -∞ where a key is padding. Default: none. */
  readonly keyPaddingMask?: Tensor | null;
  /** Give the weights too. Default true. */
  readonly needWeights?: boolean;
  /** (targets, sources) or (batch · heads, targets, sources): true where a query must not look, or floats added to the scores. Default: none. */
  readonly attnMask?: Tensor | null;
  /** Queries, keys and values have weights of their own. Default false. */
  readonly useSeparateProjWeight?: boolean;
  readonly qProjWeight?: Tensor | null;
  readonly kProjWeight?: Tensor | null;
  readonly vProjWeight?: Tensor | null;
  /** Projected keys (batch · heads, sources, width / heads) to use instead. Default: none. */
  readonly staticK?: Tensor | null;
  /** Projected values to use instead. Default: none. */
  readonly staticV?: Tensor | null;
  /** Average the weights over the heads. Default true. */
  readonly averageAttnWeights?: boolean;
  /** Says that `attnMask` is the causal one. Default false. */
  readonly isCausal?: boolean;
}

type Args = [
  query: Tensor,
  key: Tensor,
  value: Tensor,
  embedDimToCheck: number,
  numHeads: number,
  inProjWeight: Tensor | null,
  inProjBias: Tensor | null,
  biasK: Tensor | null,
  biasV: Tensor | null,
  addZeroAttn: boolean,
  dropoutP: number,
  outProjWeight: Tensor,
  outProjBias: Tensor | null,
  options?: MultiHeadAttentionForwardOptions,
];

/**
 * Attention of several heads (Vaswani et al. 2017): query (targets, batch, width), key and value (sources, batch, ·) or without the
 * batch dim, to the output, of the query's shape, and the weights (batch, targets, sources) or null. See `nn.MultiheadAttention`.
 */
export const multiHeadAttentionForward: Op<Args, Attended> = defineComposite({
  name: 'multiHeadAttentionForward',
  compose(...args: Args): Attended {
    const [query, key, value, , numHeads, inProjWeight, inProjBias, biasK, biasV, addZeroAttn, dropoutP, outProjWeight, outProjBias] = args;
    const { training = true, keyPaddingMask = null, useSeparateProjWeight = false, ...rest } = args[13] ?? {};
    const { attnMask = null, isCausal = false, needWeights = true, averageAttnWeights = true } = rest;
    check(args, useSeparateProjWeight);
    if (isCausal && attnMask === null) {
      throw new LibError('option', 'multiHeadAttentionForward: isCausal must come with the attnMask that it describes, got none.');
    }
    const single = query.ndim === 2;
    const [q, k, v] = single ? unsqueezed(query, key, value) : [query, key, value];
    const [output, weights] = attend(q, k, v, {
      ...rest,
      ...{ op: 'multiHeadAttentionForward', numHeads, inProjBias, biasK, biasV, addZeroAttn, outProjWeight, outProjBias },
      ...{ inProjWeight: useSeparateProjWeight ? null : inProjWeight, dropoutP: training ? dropoutP : 0, batchFirst: false },
      ...{ attnMask, isCausal, needWeights, averageAttnWeights },
      keyPaddingMask: single && keyPaddingMask ? keyPaddingMask.unsqueeze(0) : keyPaddingMask,
    });
    return single ? [output.squeeze({ dim: 1 }), weights?.squeeze({ dim: 0 }) ?? null] : [output, weights];
  },
  *samples(random): Iterable<Args> {
    const x = random([3, 2, 4]);
    const none: [null, null, boolean, number] = [null, null, false, 0];
    const own = [random([12, 4]), random([12])] as const;
    const out = [random([4, 4]), random([4])] as const;
    yield [x, x, x, 4, 2, ...own, ...none, ...out];
    yield [x, random([2, 2, 4]), random([2, 2, 4]), 4, 2, random([12, 4]), null, ...none, random([4, 4]), null, { needWeights: false }];
    yield [random([2, 4]), random([3, 4]), random([3, 4]), 4, 1, ...own, random([1, 1, 4]), random([1, 1, 4]), true, 0, ...out];
    yield [x, random([2, 2, 3]), random([2, 2, 5]), 4, 2, null, random([12]), ...none, ...out, separate(random)];
  },
  *errors(random): Iterable<readonly [Args, string]> {
    const x = random([3, 2, 4]);
    const end = [random([12, 4]), null, null, null, false, 0, random([4, 4]), null] as const;
    yield [[x, x, x, 6, 2, ...end], 'width of the query must be 6'];
    yield [[x, x, x, 4, 3, ...end], 'must divide the width'];
    yield [[random([4]), x, x, 4, 2, ...end], 'must have 2 (unbatched) or 3 dims'];
    yield [[x, x, x, 4, 2, ...end, { isCausal: true }], 'must come with the attnMask'];
    yield [[x, x, x, 4, 2, ...end, { attnMask: random([2, 3]) }], 'attnMask must be (3, 3) or (4, 3, 3)'];
    yield [[x, x, x, 4, 2, ...end, { keyPaddingMask: random.bool([3, 2]) }], 'keyPaddingMask must be (2, 3)'];
    yield [[x, x, x, 4, 2, ...end, { attnMask: random.integers([3, 3], 0, 2) }], 'must be of type bool or float32'];
  },
  torch: functional('multi_head_attention_forward'),
});

const unsqueezed = (...inputs: readonly [Tensor, Tensor, Tensor]): readonly [Tensor, Tensor, Tensor] => {
  const [q, k, v] = inputs;
  const [query, key] = [q.unsqueeze(1), k === q ? null : k.unsqueeze(1)];
  const keys = key ?? query;
  return [query, keys, v === k ? keys : v.unsqueeze(1)];
};

function check([query, key, value, embedDim, numHeads, inProjWeight]: Args, separate: boolean): void {
  const op = 'multiHeadAttentionForward';
  const ranks = [query, key, value].map((x) => x.ndim);
  if (!ranks.every((r) => r === query.ndim && (r === 2 || r === 3))) {
    const got = [query, key, value].map((x) => formatShape(x.shape)).join(', ');
    throw new LibError('shape', `${op}: query, key and value must have 2 (unbatched) or 3 dims, got ${got}.`);
  }
  if (query.sizeAt(-1) !== embedDim) {
    throw new LibError('shape', `${op}: the width of the query must be ${embedDim}, got ${query.sizeAt(-1)}.`);
  }
  if (!Number.isInteger(numHeads) || numHeads < 1 || embedDim % numHeads !== 0) {
    throw new LibError('value', `${op}: the number of heads must divide the width, got ${numHeads} for ${embedDim}.`);
  }
  if (inProjWeight === null && !separate) {
    throw new LibError('option', `${op}: inProjWeight must be given unless useSeparateProjWeight holds, got neither.`);
  }
  if (key.sizeAt(0) === value.sizeAt(0) && (key.ndim === 2 || key.sizeAt(1) === value.sizeAt(1))) return;
  throw new LibError(
    'shape',
    `${op}: key and value must agree but for the last dim, got ${formatShape(key.shape)} and ${formatShape(value.shape)}.`,
  );
}

const separate = (random: Random): MultiHeadAttentionForwardOptions => ({
  useSeparateProjWeight: true,
  qProjWeight: random([4, 4]),
  kProjWeight: random([4, 3]),
  vProjWeight: random([4, 5]),
  averageAttnWeights: false,
  attnMask: random([3, 2]),
});
