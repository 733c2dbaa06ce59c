import { LibError } from '../core/errors.js';
import { formatShape } from '../core/shape.js';
import { type Attended, attend } from '../ops/multiHeadAttention.js';
import { empty, zeros } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { xavierNormal_, xavierUniform_ } from './init.js';
import { checkSizes, Linear } from './linear.js';
import { Module, Parameter } from './module.js';

export interface MultiheadAttentionOptions {
  /** In training, the chance that a weight is dropped. Default 0. */
  readonly dropout?: number;
  /** Learn biases of the projections. Default true. */
  readonly bias?: boolean;
  /** Learn one more key and value. Default false. */
  readonly addBiasKv?: boolean;
  /** Add a key and a value of zeros. Default false. */
  readonly addZeroAttn?: boolean;
  /** Width of the keys. Default: embedDim. */
  readonly kdim?: number;
  /** Width of the values. Default: embedDim. */
  readonly vdim?: number;
  /** Sequences are (batch, time, width) instead of (time, batch, width). Default false. */
  readonly batchFirst?: boolean;
}

export interface AttentionMasks {
  /** (batch, sources): true where a key is padding and must not be seen, or floats added to the scores. Default: none. */
  readonly keyPaddingMask?: Tensor | null;
  /** (targets, sources) or (batch · heads, targets, sources): true where a query must not look, or floats added to the scores. Default: none. */
  readonly attnMask?: Tensor | null;
  /** Give the weights too; without them less is computed. Default true. */
  readonly needWeights?: boolean;
  /** Average the weights over the heads, else (batch, heads, targets, sources). Default true. */
  readonly averageAttnWeights?: boolean;
  /** Says that `attnMask` is the causal one, which is then not read where nothing else is asked for. Default false. */
  readonly isCausal?: boolean;
}

/**
 * Attention of several heads (Vaswani et al. 2017): query (targets, batch, embedDim), key (sources, batch, kdim) and value (sources,
 * batch, vdim), or without the batch dim, to the output, of the query's shape, and the weights (batch, targets, sources) or null
 * (torch.nn.MultiheadAttention).
 *
 * @example
 * const x = randn([2, 5, 8]);
 * const [y] = new MultiheadAttention(8, 2, { batchFirst: true }).forward(x, x, x, { needWeights: false });
 */
export class MultiheadAttention extends Module<readonly [query: Tensor, key: Tensor, value: Tensor, masks?: AttentionMasks], Attended> {
  /** (3 · embedDim, embedDim), or null where keys or values are of another width. */
  readonly inProjWeight: Parameter | null;
  readonly qProjWeight: Parameter | null;
  readonly kProjWeight: Parameter | null;
  readonly vProjWeight: Parameter | null;
  readonly inProjBias: Parameter | null;
  readonly outProj: Linear;
  readonly biasK: Parameter | null;
  readonly biasV: Parameter | null;
  readonly dropout: number;
  readonly addZeroAttn: boolean;
  readonly batchFirst: boolean;

  constructor(
    readonly embedDim: number,
    readonly numHeads: number,
    options: MultiheadAttentionOptions = {},
  ) {
    super();
    const { dropout = 0, bias = true, addBiasKv = false, kdim = embedDim, vdim = embedDim } = options;
    checkSizes('MultiheadAttention', { embedDim, numHeads, kdim, vdim });
    if (embedDim % numHeads !== 0) {
      throw new LibError('value', `MultiheadAttention: numHeads must divide embedDim, got ${numHeads} for ${embedDim}.`);
    }
    if (!(dropout >= 0 && dropout <= 1)) {
      throw new LibError('value', `MultiheadAttention: dropout must be a probability in [0, 1], got ${dropout}.`);
    }
    const packed = kdim === embedDim && vdim === embedDim;
    const draw = (width: number, rows = embedDim): Parameter => new Parameter(xavierUniform_(empty([rows, width])));
    const row = (): Parameter | null => (addBiasKv ? new Parameter(xavierNormal_(empty([1, 1, embedDim]))) : null);
    this.qProjWeight = packed ? null : draw(embedDim);
    this.kProjWeight = packed ? null : draw(kdim);
    this.vProjWeight = packed ? null : draw(vdim);
    this.inProjWeight = packed ? draw(embedDim, 3 * embedDim) : null;
    this.inProjBias = bias ? new Parameter(zeros([3 * embedDim])) : null;
    this.outProj = new Linear(embedDim, embedDim, { bias });
    if (this.outProj.bias !== null) this.outProj.bias.detach().zero_();
    this.biasK = row();
    this.biasV = row();
    this.dropout = dropout;
    this.addZeroAttn = options.addZeroAttn ?? false;
    this.batchFirst = options.batchFirst ?? false;
  }

  override forward(query: Tensor, key: Tensor, value: Tensor, masks: AttentionMasks = {}): Attended {
    const { keyPaddingMask = null, attnMask = null, needWeights = true, averageAttnWeights = true, isCausal = false } = masks;
    const { inProjWeight, qProjWeight, kProjWeight, vProjWeight, inProjBias, biasK, biasV, addZeroAttn, numHeads, batchFirst } = this;
    this.check(query, key, value);
    if (isCausal && attnMask === null) {
      throw new LibError('option', 'MultiheadAttention: isCausal must come with the attnMask that it describes, got none.');
    }
    const single = query.ndim === 2;
    const lift = (x: Tensor): Tensor => x.unsqueeze(batchFirst ? 0 : 1);
    const q = single ? lift(query) : query;
    const k = key === query ? q : single ? lift(key) : key;
    const v = value === key ? k : single ? lift(value) : value;
    const [output, weights] = attend(q, k, v, {
      ...{ op: 'MultiheadAttention', numHeads, inProjWeight, qProjWeight, kProjWeight, vProjWeight, inProjBias, biasK, biasV, addZeroAttn },
      ...{ outProjWeight: this.outProj.weight, outProjBias: this.outProj.bias, dropoutP: this.training ? this.dropout : 0, batchFirst },
      ...{ attnMask, needWeights, averageAttnWeights, isCausal },
      keyPaddingMask: single && keyPaddingMask !== null ? keyPaddingMask.unsqueeze(0) : keyPaddingMask,
    });
    if (!single) return [output, weights];
    return [output.squeeze({ dim: batchFirst ? 0 : 1 }), weights?.squeeze({ dim: 0 }) ?? null];
  }

  private check(...[query, key, value]: readonly [Tensor, Tensor, Tensor]): void {
    const width = (p: Parameter | null): number => p?.sizeAt(1) ?? this.embedDim;
    const widths = [this.embedDim, width(this.kProjWeight), width(this.vProjWeight)];
    const fits = [query, key, value].every((x, i) => x.ndim === query.ndim && x.shape.at(-1) === widths[i]);
    if (fits && (query.ndim === 2 || query.ndim === 3)) return;
    const got = [query, key, value].map((x) => formatShape(x.shape)).join(', ');
    throw new LibError(
      'shape',
      `MultiheadAttention: query, key and value must have 2 (unbatched) or 3 dims and widths ${widths.join(', ')}, got ${got}.`,
    );
  }

  override extraRepr(): string {
    return `${this.embedDim}, ${this.numHeads}`;
  }
}
