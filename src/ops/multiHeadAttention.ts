import { LibError } from '../core/errors.js';
import { formatShape } from '../core/shape.js';
import { input } from '../expr/expr.js';
import { zeros } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { scaledDotProductAttention } from './attention.js';
import { fuse } from './fused.js';
import { cat } from './join.js';
import { linear, matmul } from './matmul.js';
import { pad } from './pad.js';
import { softmax } from './softmax.js';

/** The arithmetic of multi-head attention, for the functional form and for the module, which may hold (batch, time, width). */
export interface MultiHeadSettings {
  readonly op: string;
  readonly numHeads: number;
  /** (3 · width, width): the projections of queries, keys and values; or null with three of their own. */
  readonly inProjWeight: Tensor | null;
  readonly qProjWeight?: Tensor | null;
  readonly kProjWeight?: Tensor | null;
  readonly vProjWeight?: Tensor | null;
  readonly inProjBias: Tensor | null;
  /** (1, 1, width): one more key and value for every query, learned. */
  readonly biasK: Tensor | null;
  readonly biasV: Tensor | null;
  /** One more key and value of zeros. */
  readonly addZeroAttn: boolean;
  readonly outProjWeight: Tensor;
  readonly outProjBias: Tensor | null;
  readonly dropoutP: number;
  readonly batchFirst: boolean;
  readonly staticK?: Tensor | null;
  readonly staticV?: Tensor | null;
  readonly keyPaddingMask: Tensor | null;
  readonly attnMask: Tensor | null;
  readonly needWeights: boolean;
  readonly averageAttnWeights: boolean;
  readonly isCausal: boolean;
}

export type Attended = [output: Tensor, weights: Tensor | null];

/** Inputs of 3 dims; see the functional form for the shapes. */
export function attend(query: Tensor, key: Tensor, value: Tensor, s: MultiHeadSettings): Attended {
  const [batchDim, timeDim] = s.batchFirst ? [0, 1] : [1, 0];
  const [batch, targets, width] = [query.sizeAt(batchDim), query.sizeAt(timeDim), query.sizeAt(2)];
  const headWidth = width / s.numHeads;
  // (batch, heads, time, width of a head), in place
  const heads = (x: Tensor): Tensor => {
    const [a, b] = x.dims(3);
    return x.reshape([a, b, s.numHeads, headWidth]).permute(s.batchFirst ? [0, 2, 1, 3] : [1, 2, 0, 3]);
  };
  const [q, keys, values] = projected(query, key, value, width, s);
  let [k, v] = [withRow(keys, s.biasK, timeDim), withRow(values, s.biasV, timeDim)].map(heads) as [Tensor, Tensor];
  if (s.staticK) k = s.staticK.reshape([batch, s.numHeads, -1, headWidth]);
  if (s.staticV) v = s.staticV.reshape([batch, s.numHeads, -1, headWidth]);
  if (s.addZeroAttn) {
    const none = zeros([batch, s.numHeads, 1, headWidth], { dtype: k.dtype, device: k.device });
    [k, v] = [cat([k, none], { dim: 2 }), cat([v, none], { dim: 2 })];
  }
  const causal = s.isCausal && s.keyPaddingMask === null && !s.needWeights;
  const mask = causal ? null : merged(s, q, batch, targets, k.sizeAt(2));
  const { dropoutP } = s;
  const [context, weights] = s.needWeights
    ? weighed(heads(q), k, v, mask, dropoutP)
    : [scaledDotProductAttention(heads(q), k, v, { attnMask: mask, dropoutP, isCausal: causal }), null];
  const merge = context.permute(s.batchFirst ? [0, 2, 1, 3] : [2, 0, 1, 3]);
  const output = linear(merge.reshape([...query.shape.slice(0, 2), width]), s.outProjWeight, s.outProjBias);
  return [output, weights !== null && s.averageAttnWeights ? weights.mean({ dim: 1 }) : weights];
}

/** One product where the inputs are one tensor. */
function projected(query: Tensor, key: Tensor, value: Tensor, width: number, s: MultiHeadSettings): readonly [Tensor, Tensor, Tensor] {
  const part = (x: Tensor, start: number, count: number): Tensor[] => {
    const weight = (s.inProjWeight as Tensor).narrow(0, start * width, count * width);
    return linear(x, weight, s.inProjBias?.narrow(0, start * width, count * width)).split(width, { dim: -1 });
  };
  if (s.inProjWeight === null) {
    const own = (x: Tensor, weight: Tensor | null | undefined, at: number): Tensor =>
      linear(x, weight as Tensor, s.inProjBias?.narrow(0, at * width, width));
    return [own(query, s.qProjWeight, 0), own(key, s.kProjWeight, 1), own(value, s.vProjWeight, 2)];
  }
  if (key !== value) return [...part(query, 0, 1), ...part(key, 1, 1), ...part(value, 2, 1)] as [Tensor, Tensor, Tensor];
  if (query !== key) return [...part(query, 0, 1), ...part(key, 1, 2)] as [Tensor, Tensor, Tensor];
  return part(query, 0, 3) as [Tensor, Tensor, Tensor];
}

/** One more step at the end of each sequence. */
function withRow(x: Tensor, row: Tensor | null, timeDim: number): Tensor {
  return row === null ? x : cat([x, row.expand(x.shape.map((d, i) => (i === timeDim ? 1 : d)))], { dim: timeDim });
}

function weighed(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | null, p: number): readonly [context: Tensor, weights: Tensor] {
  const scores = matmul(q.mul(1 / Math.sqrt(q.sizeAt(-1))), k.transpose(-2, -1));
  const all = softmax(mask === null ? scores : scores.add(mask));
  const weights = p > 0 ? all.dropout({ p }) : all;
  return [matmul(weights, v), weights];
}

/** Both masks as one that is added to the scores (batch, heads, targets, sources); added keys are never hidden. */
function merged(s: MultiHeadSettings, q: Tensor, batch: number, targets: number, sources: number): Tensor | null {
  const extra = Number(s.biasK !== null) + Number(s.addZeroAttn);
  const given = sources - extra;
  const padding = s.keyPaddingMask && added(s.op, 'keyPaddingMask', s.keyPaddingMask, q);
  if (padding !== null && `${padding.shape}` !== `${[batch, given]}`) {
    throw new LibError('shape', `${s.op}: keyPaddingMask must be (${batch}, ${given}), got ${formatShape(padding.shape)}.`);
  }
  const mask = s.attnMask && fullMask(s, added(s.op, 'attnMask', s.attnMask, q), batch, targets, given);
  const filled = (x: Tensor): Tensor => (extra === 0 ? x : pad(x, [0, extra]));
  const columns = padding && filled(padding.reshape([batch, 1, 1, given]));
  if (mask === null) return columns;
  return columns === null ? filled(mask) : filled(mask).add(columns);
}

/** (targets, sources) or (batch · heads, targets, sources) as something that broadcasts over (batch, heads). */
function fullMask({ op, numHeads }: MultiHeadSettings, mask: Tensor, batch: number, targets: number, sources: number): Tensor {
  const [one, each] = [
    [targets, sources],
    [batch * numHeads, targets, sources],
  ] as const;
  if (mask.ndim === 2 && `${mask.shape}` === `${one}`) return mask;
  if (`${mask.shape}` === `${each}`) return mask.reshape([batch, numHeads, targets, sources]);
  throw new LibError('shape', `${op}: attnMask must be ${formatShape(one)} or ${formatShape(each)}, got ${formatShape(mask.shape)}.`);
}

/** Where a bool mask holds nothing may be seen: -∞; else 0. */
function added(op: string, name: string, mask: Tensor, like: Tensor): Tensor {
  if (mask.dtype === 'bool') return fuse(op, [mask], input(0).select(Number.NEGATIVE_INFINITY, 0), [], like.dtype);
  if (mask.dtype === like.dtype) return mask;
  throw new LibError('dtype', `${op}: ${name} must be of type bool or ${like.dtype}, got ${mask.dtype}.`);
}
