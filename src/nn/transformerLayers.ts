import { LibError } from '../core/errors.js';
import { gelu, relu } from '../ops/pointwiseActivations.js';
import type { Tensor } from '../tensor/tensor.js';
import { MultiheadAttention } from './attention.js';
import { Dropout } from './dropout.js';
import { Linear } from './linear.js';
import { Module } from './module.js';
import { LayerNorm } from './norm.js';

export interface TransformerLayerOptions {
  /** Hidden width of the feed-forward part. Default 2048. */
  readonly dimFeedforward?: number;
  /** In training, the chance that an attention weight, a hidden unit or an output of a part is dropped. Default 0.1. */
  readonly dropout?: number;
  /** Between the feed-forward part's two layers. Default 'relu'. */
  readonly activation?: 'relu' | 'gelu' | ((x: Tensor) => Tensor);
  /** Added to the variance in the norms. Default 1e-5. */
  readonly layerNormEps?: number;
  /** Sequences are (batch, time, width) instead of (time, batch, width). Default false. */
  readonly batchFirst?: boolean;
  /** Normalize what each part reads (pre-norm) instead of its sum with the input. Default false. */
  readonly normFirst?: boolean;
  /** Learn biases everywhere. Default true. */
  readonly bias?: boolean;
}

/** @internal */
export interface LayerSettings {
  readonly dimFeedforward: number;
  readonly dropout: number;
  readonly phi: (x: Tensor) => Tensor;
  readonly eps: number;
  readonly batchFirst: boolean;
  readonly normFirst: boolean;
  readonly bias: boolean;
}

/** @internal With the defaults; throws where an activation is unknown. */
export function layerSettings(op: string, options: TransformerLayerOptions): LayerSettings {
  const { dimFeedforward = 2048, dropout = 0.1, activation = 'relu', layerNormEps: eps = 1e-5 } = options;
  const { batchFirst = false, normFirst = false, bias = true } = options;
  if (typeof activation !== 'function' && activation !== 'relu' && activation !== 'gelu') {
    throw new LibError('option', `${op}: activation must be 'relu', 'gelu' or a function, got '${String(activation)}'.`);
  }
  const named = { relu: (x: Tensor) => relu(x), gelu: (x: Tensor) => gelu(x) } as const;
  const phi = typeof activation === 'function' ? activation : named[activation];
  return { dimFeedforward, dropout, phi, eps, batchFirst, normFirst, bias };
}

export interface EncoderMasks {
  /** (time, time) or (batch · heads, time, time): true where a position must not look, or floats added to the scores. Default: none. */
  readonly srcMask?: Tensor | null;
  /** (batch, time): true where the input is padding. Default: none. */
  readonly srcKeyPaddingMask?: Tensor | null;
  /** Says that `srcMask` is the causal one. Default false. */
  readonly isCausal?: boolean;
}

/** Self-attention and a feed-forward part, each with a residual connection and a norm (torch.nn.TransformerEncoderLayer). */
export class TransformerEncoderLayer extends Module<readonly [src: Tensor, masks?: EncoderMasks]> {
  readonly selfAttn: MultiheadAttention;
  readonly linear1: Linear;
  readonly dropout: Dropout;
  readonly linear2: Linear;
  readonly norm1: LayerNorm;
  readonly norm2: LayerNorm;
  readonly dropout1: Dropout;
  readonly dropout2: Dropout;
  readonly normFirst: boolean;
  readonly activation: (x: Tensor) => Tensor;

  constructor(
    readonly dModel: number,
    readonly nhead: number,
    options: TransformerLayerOptions = {},
  ) {
    super();
    const { dimFeedforward, dropout, phi, eps, batchFirst, normFirst, bias } = layerSettings('TransformerEncoderLayer', options);
    this.selfAttn = new MultiheadAttention(dModel, nhead, { dropout, bias, batchFirst });
    this.linear1 = new Linear(dModel, dimFeedforward, { bias });
    this.dropout = new Dropout(dropout);
    this.linear2 = new Linear(dimFeedforward, dModel, { bias });
    this.norm1 = new LayerNorm(dModel, { eps, bias });
    this.norm2 = new LayerNorm(dModel, { eps, bias });
    this.dropout1 = new Dropout(dropout);
    this.dropout2 = new Dropout(dropout);
    this.normFirst = normFirst;
    this.activation = phi;
  }

  override forward(src: Tensor, { srcMask = null, srcKeyPaddingMask = null, isCausal = false }: EncoderMasks = {}): Tensor {
    const masks = { attnMask: srcMask, keyPaddingMask: srcKeyPaddingMask, needWeights: false, isCausal };
    const attended = (x: Tensor): Tensor => this.dropout1.forward(this.selfAttn.forward(x, x, x, masks)[0]);
    if (this.normFirst) {
      const h = src.add(attended(this.norm1.forward(src)));
      return h.add(this.feedForward(this.norm2.forward(h)));
    }
    const h = this.norm1.forward(src.add(attended(src)));
    return this.norm2.forward(h.add(this.feedForward(h)));
  }

  private feedForward(x: Tensor): Tensor {
    return this.dropout2.forward(this.linear2.forward(this.dropout.forward(this.activation(this.linear1.forward(x)))));
  }
}

export interface DecoderMasks {
  /** (targets, targets) or (batch · heads, targets, targets): true where a position must not look, or floats. Default: none. */
  readonly tgtMask?: Tensor | null;
  /** (targets, sources) or (batch · heads, targets, sources): the same for the encoder's output. Default: none. */
  readonly memoryMask?: Tensor | null;
  /** (batch, targets): true where the target is padding. Default: none. */
  readonly tgtKeyPaddingMask?: Tensor | null;
  /** (batch, sources): true where the encoder's output is padding. Default: none. */
  readonly memoryKeyPaddingMask?: Tensor | null;
  /** Says that `tgtMask` is the causal one. Default false. */
  readonly tgtIsCausal?: boolean;
  /** Says that `memoryMask` is the causal one. Default false. */
  readonly memoryIsCausal?: boolean;
}

/** Self-attention, attention to an encoder's output and a feed-forward part, each with residual and norm (torch.nn.TransformerDecoderLayer). */
export class TransformerDecoderLayer extends Module<readonly [tgt: Tensor, memory: Tensor, masks?: DecoderMasks]> {
  readonly selfAttn: MultiheadAttention;
  readonly multiheadAttn: MultiheadAttention;
  readonly linear1: Linear;
  readonly dropout: Dropout;
  readonly linear2: Linear;
  readonly norm1: LayerNorm;
  readonly norm2: LayerNorm;
  readonly norm3: LayerNorm;
  readonly dropout1: Dropout;
  readonly dropout2: Dropout;
  readonly dropout3: Dropout;
  readonly normFirst: boolean;
  readonly activation: (x: Tensor) => Tensor;

  constructor(
    readonly dModel: number,
    readonly nhead: number,
    options: TransformerLayerOptions = {},
  ) {
    super();
    const { dimFeedforward, dropout, phi, eps, batchFirst, normFirst, bias } = layerSettings('TransformerDecoderLayer', options);
    this.selfAttn = new MultiheadAttention(dModel, nhead, { dropout, bias, batchFirst });
    this.multiheadAttn = new MultiheadAttention(dModel, nhead, { dropout, bias, batchFirst });
    this.linear1 = new Linear(dModel, dimFeedforward, { bias });
    this.dropout = new Dropout(dropout);
    this.linear2 = new Linear(dimFeedforward, dModel, { bias });
    this.norm1 = new LayerNorm(dModel, { eps, bias });
    this.norm2 = new LayerNorm(dModel, { eps, bias });
    this.norm3 = new LayerNorm(dModel, { eps, bias });
    this.dropout1 = new Dropout(dropout);
    this.dropout2 = new Dropout(dropout);
    this.dropout3 = new Dropout(dropout);
    this.normFirst = normFirst;
    this.activation = phi;
  }

  override forward(tgt: Tensor, memory: Tensor, masks: DecoderMasks = {}): Tensor {
    const own = (x: Tensor): Tensor => {
      const { tgtMask: attnMask = null, tgtKeyPaddingMask: keyPaddingMask = null, tgtIsCausal: isCausal = false } = masks;
      return this.dropout1.forward(this.selfAttn.forward(x, x, x, { attnMask, keyPaddingMask, needWeights: false, isCausal })[0]);
    };
    const across = (x: Tensor): Tensor => {
      const { memoryMask: attnMask = null, memoryKeyPaddingMask: keyPaddingMask = null, memoryIsCausal: isCausal = false } = masks;
      const settings = { attnMask, keyPaddingMask, needWeights: false, isCausal };
      return this.dropout2.forward(this.multiheadAttn.forward(x, memory, memory, settings)[0]);
    };
    const { norm1, norm2, norm3 } = this;
    if (this.normFirst) {
      const h = tgt.add(own(norm1.forward(tgt)));
      const met = h.add(across(norm2.forward(h)));
      return met.add(this.feedForward(norm3.forward(met)));
    }
    const h = norm1.forward(tgt.add(own(tgt)));
    const met = norm2.forward(h.add(across(h)));
    return norm3.forward(met.add(this.feedForward(met)));
  }

  private feedForward(x: Tensor): Tensor {
    return this.dropout3.forward(this.linear2.forward(this.dropout.forward(this.activation(this.linear1.forward(x)))));
  }
}
