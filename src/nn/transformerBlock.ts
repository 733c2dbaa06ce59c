import { LibError } from '../core/errors.js';
import { formatShape } from '../core/shape.js';
import { scaledDotProductAttention } from '../ops/attention.js';
import { rotaryEmbedding } from '../ops/positions.js';
import type { Tensor } from '../tensor/tensor.js';
import { Dropout } from './dropout.js';
import { FeedForward, type FeedForwardActivation, GatedFeedForward } from './feedForward.js';
import { checkSizes, Linear } from './linear.js';
import { Module } from './module.js';
import { LayerNorm, RMSNorm } from './norm.js';
import { alibiBias } from './positions.js';
import { generateSquareSubsequentMask } from './transformer.js';

export interface SelfAttentionOptions {
  /** Each position looks at earlier ones and itself only. Default false. */
  readonly causal?: boolean;
  /** Heads of keys and values, each shared by a group of queries' heads; divides the heads. Default: as many. */
  readonly numKvHeads?: number;
  /** How positions enter the scores: turned queries and keys, or a bias by distance. Default 'none'. */
  readonly positions?: 'none' | 'rotary' | 'alibi';
  /** The base of rotary positions. Default 10000. */
  readonly rotaryBase?: number;
  /** In training, the chance that a weight is dropped. Default 0. */
  readonly dropout?: number;
  /** Default true. */
  readonly bias?: boolean;
}

export interface SelfAttentionMask {
  /** Broadcasts to (batch, heads, time, time): true where a position may look, or floats added to the scores. Default: none. */
  readonly attnMask?: Tensor | null;
}

/** Attention of several heads of a sequence to itself: (batch, time, width) → (batch, time, width). */
export class SelfAttention extends Module<readonly [x: Tensor, mask?: SelfAttentionMask]> {
  /** Queries, keys and values in one projection. */
  readonly qkv: Linear;
  readonly out: Linear;
  readonly causal: boolean;
  readonly numKvHeads: number;
  readonly positions: 'none' | 'rotary' | 'alibi';
  readonly rotaryBase: number;
  readonly dropout: number;

  constructor(
    readonly width: number,
    readonly numHeads: number,
    options: SelfAttentionOptions = {},
  ) {
    super();
    const { causal = false, numKvHeads = numHeads, positions = 'none', rotaryBase = 10000, dropout = 0, bias = true } = options;
    checkSizes('SelfAttention', { width, numHeads, numKvHeads });
    if (width % numHeads !== 0 || numHeads % numKvHeads !== 0) {
      const got = `${numHeads} and ${numKvHeads} for width ${width}`;
      throw new LibError('value', `SelfAttention: numHeads must divide the width, and numKvHeads numHeads, got ${got}.`);
    }
    if (!['none', 'rotary', 'alibi'].includes(positions)) {
      throw new LibError('option', `SelfAttention: positions must be 'none', 'rotary' or 'alibi', got '${String(positions)}'.`);
    }
    this.qkv = new Linear(width, width + (2 * numKvHeads * width) / numHeads, { bias });
    this.out = new Linear(width, width, { bias });
    this.causal = causal;
    this.numKvHeads = numKvHeads;
    this.positions = positions;
    this.rotaryBase = rotaryBase;
    this.dropout = dropout;
  }

  override forward(x: Tensor, { attnMask = null }: SelfAttentionMask = {}): Tensor {
    if (x.ndim !== 3) throw new LibError('shape', `SelfAttention: the input must be (batch, time, width), got ${formatShape(x.shape)}.`);
    const [batch, time] = x.dims(3);
    const headWidth = this.width / this.numHeads;
    const kv = this.numKvHeads * headWidth;
    const heads = (z: Tensor): Tensor => z.reshape([batch, time, z.sizeAt(2) / headWidth, headWidth]).transpose(1, 2);
    const [q, k, v] = this.qkv.forward(x).split([this.width, kv, kv], { dim: 2 }).map(heads) as [Tensor, Tensor, Tensor];
    const turned = (z: Tensor): Tensor => (this.positions === 'rotary' ? rotaryEmbedding(z, { base: this.rotaryBase }) : z);
    const mask = this.mask(x, attnMask);
    const y = scaledDotProductAttention(turned(q), turned(k), v, {
      attnMask: mask,
      dropoutP: this.training ? this.dropout : 0,
      isCausal: this.causal && mask === null,
      enableGqa: this.numKvHeads !== this.numHeads,
    });
    return this.out.forward(y.transpose(1, 2).reshape([batch, time, this.width]));
  }

  /** The mask that attention has not built in: null where there is nothing, or only the causal one. */
  private mask(x: Tensor, given: Tensor | null): Tensor | null {
    const alibi = this.positions === 'alibi';
    if (!alibi && (given === null || !this.causal)) return given;
    const [time, place] = [x.sizeAt(1), { dtype: x.dtype, device: x.device }];
    const own = alibi ? alibiBias(this.numHeads, time, time, { ...place, causal: this.causal }) : generateSquareSubsequentMask(time, place);
    if (given === null) return own;
    return given.dtype === 'bool' ? own.maskedFill(given.logicalNot(), Number.NEGATIVE_INFINITY) : own.add(given);
  }
}

export interface TransformerBlockOptions extends SelfAttentionOptions {
  /** Norms before the parts ('pre', stable when deep; add one after the last block) or after the sums ('post'). Default 'pre'. */
  readonly normPosition?: 'pre' | 'post';
  /** Default 'layer'. */
  readonly norm?: 'layer' | 'rms';
  /** Added to the variance in the norms. Default 1e-5. */
  readonly eps?: number;
  /** Default 'gelu'. */
  readonly activation?: FeedForwardActivation;
  /** W₂ (φ(W₁ x) ⊙ W₃ x) instead of W₂ φ(W₁ x): with 'silu', SwiGLU. Default false. */
  readonly gated?: boolean;
  /** Hidden width. Default 4 · width, gated 8/3 · width. */
  readonly hidden?: number;
}

/** Self-attention and a feed-forward part with residual connections: (batch, time, width) → (batch, time, width). */
export class TransformerBlock extends Module<readonly [x: Tensor, mask?: SelfAttentionMask]> {
  readonly norm1: LayerNorm | RMSNorm;
  readonly attention: SelfAttention;
  readonly norm2: LayerNorm | RMSNorm;
  readonly feedForward: FeedForward | GatedFeedForward;
  readonly drop: Dropout;
  readonly normPosition: 'pre' | 'post';

  constructor(
    readonly width: number,
    numHeads: number,
    options: TransformerBlockOptions = {},
  ) {
    super();
    const { normPosition = 'pre', norm = 'layer', eps = 1e-5, activation = 'gelu', gated = false, hidden, ...attention } = options;
    const { bias = true, dropout = 0 } = attention;
    if ((normPosition !== 'pre' && normPosition !== 'post') || (norm !== 'layer' && norm !== 'rms')) {
      const got = `'${String(normPosition)}' and '${String(norm)}'`;
      throw new LibError('option', `TransformerBlock: normPosition must be 'pre' or 'post' and norm 'layer' or 'rms', got ${got}.`);
    }
    const makeNorm = (): LayerNorm | RMSNorm => (norm === 'rms' ? new RMSNorm(width, { eps }) : new LayerNorm(width, { eps, bias }));
    const inner = { bias, dropout, ...(hidden !== undefined && { hidden }) };
    this.norm1 = makeNorm();
    this.attention = new SelfAttention(width, numHeads, attention);
    this.norm2 = makeNorm();
    this.feedForward = gated ? new GatedFeedForward(width, activation, inner) : new FeedForward(width, { ...inner, activation });
    this.drop = new Dropout(dropout);
    this.normPosition = normPosition;
  }

  override forward(x: Tensor, mask: SelfAttentionMask = {}): Tensor {
    const attended = (h: Tensor): Tensor => this.drop.forward(this.attention.forward(h, mask));
    if (this.normPosition === 'pre') {
      const h = x.add(attended(this.norm1.forward(x)));
      return h.add(this.feedForward.forward(this.norm2.forward(h)));
    }
    const h = this.norm1.forward(x.add(attended(x)));
    return this.norm2.forward(h.add(this.feedForward.forward(h)));
  }
}
