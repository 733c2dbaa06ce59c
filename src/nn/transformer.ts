import { LibError } from '../core/errors.js';
import { formatShape } from '../core/shape.js';
import { full, type TensorOptions } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { xavierUniform_ } from './init.js';
import { checkSizes } from './linear.js';
import { Module } from './module.js';
import { LayerNorm } from './norm.js';
import {
  type DecoderMasks,
  type EncoderMasks,
  layerSettings,
  TransformerDecoderLayer,
  TransformerEncoderLayer,
  type TransformerLayerOptions,
} from './transformerLayers.js';

/** The mask of causal attention, to be added to scores: (size, size), -∞ above the diagonal, else 0. */
export function generateSquareSubsequentMask(size: number, options: TensorOptions = {}): Tensor {
  return full([size, size], Number.NEGATIVE_INFINITY, options).triu({ diagonal: 1 });
}

export interface EncoderStackMasks extends Omit<EncoderMasks, 'srcMask'> {
  /** As a layer's `srcMask`. Default: none. */
  readonly mask?: Tensor | null;
}

type EncoderLayer = Module<readonly [src: Tensor, masks?: EncoderMasks]>;

/** Copies of one encoder layer, and a norm after the last if given (torch.nn.TransformerEncoder). */
export class TransformerEncoder extends Module<readonly [src: Tensor, masks?: EncoderStackMasks]> {
  readonly layers: readonly EncoderLayer[];
  readonly norm: Module | null;

  constructor(
    encoderLayer: EncoderLayer,
    readonly numLayers: number,
    { norm = null }: { readonly norm?: Module | null } = {},
  ) {
    super();
    checkSizes('TransformerEncoder', { numLayers });
    this.layers = Array.from({ length: numLayers }, () => encoderLayer.clone());
    this.norm = norm;
  }

  override forward(src: Tensor, { mask = null, ...rest }: EncoderStackMasks = {}): Tensor {
    let h = src;
    for (const layer of this.layers) h = layer.forward(h, { srcMask: mask, ...rest });
    return this.norm === null ? h : this.norm.forward(h);
  }
}

type DecoderLayer = Module<readonly [tgt: Tensor, memory: Tensor, masks?: DecoderMasks]>;

/** Copies of one decoder layer, and a norm after the last if given (torch.nn.TransformerDecoder). */
export class TransformerDecoder extends Module<readonly [tgt: Tensor, memory: Tensor, masks?: DecoderMasks]> {
  readonly layers: readonly DecoderLayer[];
  readonly norm: Module | null;

  constructor(
    decoderLayer: DecoderLayer,
    readonly numLayers: number,
    { norm = null }: { readonly norm?: Module | null } = {},
  ) {
    super();
    checkSizes('TransformerDecoder', { numLayers });
    this.layers = Array.from({ length: numLayers }, () => decoderLayer.clone());
    this.norm = norm;
  }

  override forward(tgt: Tensor, memory: Tensor, masks: DecoderMasks = {}): Tensor {
    let h = tgt;
    for (const layer of this.layers) h = layer.forward(h, memory, masks);
    return this.norm === null ? h : this.norm.forward(h);
  }
}

export interface TransformerOptions extends TransformerLayerOptions {
  /** Default 512. */
  readonly dModel?: number;
  /** Heads of each attention. Default 8. */
  readonly nhead?: number;
  /** Default 6. */
  readonly numEncoderLayers?: number;
  /** Default 6. */
  readonly numDecoderLayers?: number;
  /** Used instead of the encoder. */
  readonly customEncoder?: Module<readonly [src: Tensor, masks?: EncoderStackMasks]>;
  /** Used instead of the decoder. */
  readonly customDecoder?: DecoderLayer;
}

export interface TransformerMasks extends Omit<EncoderMasks, 'isCausal'>, DecoderMasks {
  /** Says that `srcMask` is the causal one. Default false. */
  readonly srcIsCausal?: boolean;
}

/**
 * An encoder and a decoder (Vaswani et al. 2017): src (sources, batch, dModel) and tgt (targets, batch, dModel) to (targets, batch,
 * dModel), or all with the batch first, or without it (torch.nn.Transformer).
 */
export class Transformer extends Module<readonly [src: Tensor, tgt: Tensor, masks?: TransformerMasks]> {
  readonly encoder: Module<readonly [src: Tensor, masks?: EncoderStackMasks]>;
  readonly decoder: DecoderLayer;
  readonly dModel: number;
  readonly batchFirst: boolean;

  constructor({ dModel = 512, nhead = 8, numEncoderLayers = 6, numDecoderLayers = 6, ...options }: TransformerOptions = {}) {
    super();
    const { customEncoder, customDecoder, ...layer } = options;
    const { eps, bias, batchFirst } = layerSettings('Transformer', layer);
    const norm = (): LayerNorm => new LayerNorm(dModel, { eps, bias });
    this.encoder =
      customEncoder ?? new TransformerEncoder(new TransformerEncoderLayer(dModel, nhead, layer), numEncoderLayers, { norm: norm() });
    this.decoder =
      customDecoder ?? new TransformerDecoder(new TransformerDecoderLayer(dModel, nhead, layer), numDecoderLayers, { norm: norm() });
    this.dModel = dModel;
    this.batchFirst = batchFirst;
    for (const p of this.parameters()) if (p.ndim > 1) xavierUniform_(p);
  }

  override forward(src: Tensor, tgt: Tensor, masks: TransformerMasks = {}): Tensor {
    const { srcMask = null, srcKeyPaddingMask = null, srcIsCausal = false, ...rest } = masks;
    const batchDim = this.batchFirst ? 0 : 1;
    const fits = src.ndim === tgt.ndim && (src.ndim === 2 || (src.ndim === 3 && src.shape[batchDim] === tgt.shape[batchDim]));
    if (!fits || src.sizeAt(-1) !== this.dModel || tgt.sizeAt(-1) !== this.dModel) {
      const got = `${formatShape(src.shape)} and ${formatShape(tgt.shape)}`;
      throw new LibError('shape', `Transformer: src and tgt must have 2 or 3 dims, one batch size and width ${this.dModel}, got ${got}.`);
    }
    const memory = this.encoder.forward(src, { mask: srcMask, srcKeyPaddingMask, isCausal: srcIsCausal });
    return this.decoder.forward(tgt, memory, rest);
  }

  static generateSquareSubsequentMask(size: number, options: TensorOptions = {}): Tensor {
    return generateSquareSubsequentMask(size, options);
  }
}
