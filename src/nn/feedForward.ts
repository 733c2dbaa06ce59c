import { LibError } from '../core/errors.js';
import { sigmoid } from '../ops/pointwise.js';
import { gelu, relu, silu } from '../ops/pointwiseActivations.js';
import type { Tensor } from '../tensor/tensor.js';
import { Dropout } from './dropout.js';
import { checkSizes, Linear } from './linear.js';
import { Module } from './module.js';

export type FeedForwardActivation = 'relu' | 'gelu' | 'silu' | 'sigmoid';

const activations: Readonly<Record<FeedForwardActivation, (x: Tensor) => Tensor>> = {
  relu: (x) => relu(x),
  gelu: (x) => gelu(x),
  silu: (x) => silu(x),
  sigmoid: (x) => sigmoid(x),
};

/** @internal */
export function activationNamed(op: string, name: FeedForwardActivation): (x: Tensor) => Tensor {
  const found = activations[name];
  if (found !== undefined) return found;
  throw new LibError('option', `${op}: activation must be one of ${Object.keys(activations).join(', ')}, got '${String(name)}'.`);
}

export interface FeedForwardOptions {
  /** Hidden width. Default 4 · width. */
  readonly hidden?: number;
  /** Default 'gelu'. */
  readonly activation?: FeedForwardActivation;
  /** Default true. */
  readonly bias?: boolean;
  /** In training, the chance that an output is dropped. Default 0. */
  readonly dropout?: number;
}

/** W₂ φ(W₁ x + b₁) + b₂ at each position: (…, width) → (…, width). */
export class FeedForward extends Module {
  readonly linear1: Linear;
  readonly linear2: Linear;
  readonly dropout: Dropout;
  readonly activation: FeedForwardActivation;

  constructor(width: number, { hidden = 4 * width, activation = 'gelu', bias = true, dropout = 0 }: FeedForwardOptions = {}) {
    super();
    activationNamed('FeedForward', activation);
    this.linear1 = new Linear(width, hidden, { bias });
    this.linear2 = new Linear(hidden, width, { bias });
    this.dropout = new Dropout(dropout);
    this.activation = activation;
  }
  override forward(x: Tensor): Tensor {
    return this.dropout.forward(this.linear2.forward(activationNamed('FeedForward', this.activation)(this.linear1.forward(x))));
  }
}

export interface GatedFeedForwardOptions {
  /** Hidden width. Default 8/3 · width, rounded up to `multipleOf`: as many parameters as an ungated block of 4 · width. */
  readonly hidden?: number;
  /** Default 8. */
  readonly multipleOf?: number;
  /** Default false. */
  readonly bias?: boolean;
  /** In training, the chance that an output is dropped. Default 0. */
  readonly dropout?: number;
}

/** W₂ (φ(W₁ x) ⊙ W₃ x) at each position: (…, width) → (…, width) (Shazeer 2020). */
export class GatedFeedForward extends Module {
  readonly linear1: Linear;
  readonly linear2: Linear;
  readonly linear3: Linear;
  readonly dropout: Dropout;

  constructor(
    readonly width: number,
    readonly activation: FeedForwardActivation,
    { hidden, multipleOf = 8, bias = false, dropout = 0 }: GatedFeedForwardOptions = {},
  ) {
    super();
    activationNamed('GatedFeedForward', activation);
    checkSizes('GatedFeedForward', { width, multipleOf });
    const inner = hidden ?? Math.ceil((8 * width) / 3 / multipleOf) * multipleOf;
    this.linear1 = new Linear(width, inner, { bias });
    this.linear2 = new Linear(inner, width, { bias });
    this.linear3 = new Linear(width, inner, { bias });
    this.dropout = new Dropout(dropout);
  }
  override forward(x: Tensor): Tensor {
    const gate = activationNamed('GatedFeedForward', this.activation)(this.linear1.forward(x));
    return this.dropout.forward(this.linear2.forward(gate.mul(this.linear3.forward(x))));
  }
}

/** A feed-forward block gated by SiLU, as in Llama and PaLM: see {@link GatedFeedForward}. */
export class SwiGLU extends GatedFeedForward {
  constructor(width: number, options: GatedFeedForwardOptions = {}) {
    super(width, 'silu', options);
  }
}
/** A feed-forward block gated by GELU: see {@link GatedFeedForward}. */
export class GeGLU extends GatedFeedForward {
  constructor(width: number, options: GatedFeedForwardOptions = {}) {
    super(width, 'gelu', options);
  }
}
/** A feed-forward block gated by ReLU: see {@link GatedFeedForward}. */
export class ReGLU extends GatedFeedForward {
  constructor(width: number, options: GatedFeedForwardOptions = {}) {
    super(width, 'relu', options);
  }
}
