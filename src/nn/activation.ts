import { LibError } from '../core/errors.js';
import { formatShape } from '../core/shape.js';
import { prelu, rrelu, swish } from '../ops/activations.js';
import { full } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { byName } from './byName.js';
import { checkSizes } from './linear.js';
import { Module, Parameter } from './module.js';

/** Activations as layers. Each calls the op of the same name; see there for the formula. */

/** max(x, 0) (torch.nn.ReLU). */
export class ReLU extends Module {
  override forward(x: Tensor): Tensor {
    return x.relu();
  }
}

/** x for x > 0, else negativeSlope · x (torch.nn.LeakyReLU). */
export class LeakyReLU extends Module {
  readonly negativeSlope: number;
  constructor(options?: number | { readonly negativeSlope?: number }) {
    super();
    this.negativeSlope = byName(['negativeSlope'], options).negativeSlope ?? 0.01;
  }
  override forward(x: Tensor): Tensor {
    return x.leakyRelu({ negativeSlope: this.negativeSlope });
  }
}

/** A leaky ReLU whose slope is learned, one or one per channel (torch.nn.PReLU). Leave it out of weight decay. */
export class PReLU extends Module {
  readonly weight: Parameter;
  constructor({ numParameters = 1, init = 0.25 }: { readonly numParameters?: number; readonly init?: number } = {}) {
    super();
    checkSizes('PReLU', { numParameters });
    this.weight = new Parameter(full([numParameters], init));
  }
  override forward(x: Tensor): Tensor {
    return prelu(x, this.weight);
  }
}

/** A leaky ReLU whose slopes are drawn in training; in evaluation their mean (torch.nn.RReLU). */
export class RReLU extends Module {
  readonly lower: number;
  readonly upper: number;
  constructor(first?: number | { readonly lower?: number; readonly upper?: number }, second?: number) {
    super();
    const { lower = 1 / 8, upper = 1 / 3 } = byName(['lower', 'upper'], first, second);
    this.lower = lower;
    this.upper = upper;
  }
  override forward(x: Tensor): Tensor {
    return rrelu(x, { lower: this.lower, upper: this.upper, training: this.training });
  }
}

/** x for x > 0, else alpha · (eˣ − 1) (torch.nn.ELU). */
export class ELU extends Module {
  readonly alpha: number;
  constructor(options?: number | { readonly alpha?: number }) {
    super();
    this.alpha = byName(['alpha'], options).alpha ?? 1;
  }
  override forward(x: Tensor): Tensor {
    return x.elu({ alpha: this.alpha });
  }
}

/** Self-normalizing ELU (torch.nn.SELU). */
export class SELU extends Module {
  override forward(x: Tensor): Tensor {
    return x.selu();
  }
}

/** x · Φ(x), or its tanh approximation (torch.nn.GELU). */
export class GELU extends Module {
  readonly approximate: 'none' | 'tanh';
  constructor({ approximate = 'none' }: { readonly approximate?: 'none' | 'tanh' } = {}) {
    super();
    this.approximate = approximate;
  }
  override forward(x: Tensor): Tensor {
    return x.gelu({ approximate: this.approximate });
  }
}

/** x · sigmoid(x) (torch.nn.SiLU). */
export class SiLU extends Module {
  override forward(x: Tensor): Tensor {
    return x.silu();
  }
}

/** x · tanh(softplus(x)) (torch.nn.Mish). */
export class Mish extends Module {
  override forward(x: Tensor): Tensor {
    return x.mish();
  }
}

/** 1 / (1 + e⁻ˣ) (torch.nn.Sigmoid). */
export class Sigmoid extends Module {
  override forward(x: Tensor): Tensor {
    return x.sigmoid();
  }
}

/** Hyperbolic tangent (torch.nn.Tanh). */
export class Tanh extends Module {
  override forward(x: Tensor): Tensor {
    return x.tanh();
  }
}

/** log(1 + exp(beta · x)) / beta, smooth ReLU; linear where beta · x exceeds the threshold (torch.nn.Softplus). */
export class Softplus extends Module {
  readonly beta: number;
  readonly threshold: number;
  constructor(first?: number | { readonly beta?: number; readonly threshold?: number }, second?: number) {
    super();
    const { beta = 1, threshold = 20 } = byName(['beta', 'threshold'], first, second);
    this.beta = beta;
    this.threshold = threshold;
  }
  override forward(x: Tensor): Tensor {
    return x.softplus({ beta: this.beta, threshold: this.threshold });
  }
}

export interface SoftmaxOptions {
  /** Along which probabilities sum to 1. Default -1. */
  readonly dim?: number;
  /** Divides the logits: above 1 probabilities come closer to each other, below 1 they part. Default 1. */
  readonly temperature?: number;
}

/** Probabilities along `dim` (torch.nn.Softmax). */
export class Softmax extends Module {
  readonly dim: number;
  readonly temperature: number;
  constructor(options?: number | SoftmaxOptions) {
    super();
    const { dim = -1, temperature = 1 } = byName<SoftmaxOptions>(['dim'], options);
    if (!(temperature > 0)) throw new LibError('value', `Softmax: temperature must be positive, got ${temperature}.`);
    this.dim = dim;
    this.temperature = temperature;
  }
  override forward(x: Tensor): Tensor {
    return (this.temperature === 1 ? x : x.div(this.temperature)).softmax({ dim: this.dim });
  }
}

/** Log-probabilities along `dim` (torch.nn.LogSoftmax). */
export class LogSoftmax extends Module {
  readonly dim: number;
  readonly temperature: number;
  constructor(options?: number | SoftmaxOptions) {
    super();
    const { dim = -1, temperature = 1 } = byName<SoftmaxOptions>(['dim'], options);
    if (!(temperature > 0)) throw new LibError('value', `LogSoftmax: temperature must be positive, got ${temperature}.`);
    this.dim = dim;
    this.temperature = temperature;
  }
  override forward(x: Tensor): Tensor {
    return (this.temperature === 1 ? x : x.div(this.temperature)).logSoftmax({ dim: this.dim });
  }
}

/** min(max(x, 0), 6) (torch.nn.ReLU6). */
export class ReLU6 extends Module {
  override forward(x: Tensor): Tensor {
    return x.relu6();
  }
}

/** x for x > 0, else alpha · (exp(x / alpha) − 1) (torch.nn.CELU). */
export class CELU extends Module {
  readonly alpha: number;
  constructor(options?: number | { readonly alpha?: number }) {
    super();
    this.alpha = byName(['alpha'], options).alpha ?? 1;
  }
  override forward(x: Tensor): Tensor {
    return x.celu({ alpha: this.alpha });
  }
}

/** x cut off to [minVal, maxVal] (torch.nn.Hardtanh). */
export class Hardtanh extends Module {
  readonly minVal: number;
  readonly maxVal: number;
  constructor(first?: number | { readonly minVal?: number; readonly maxVal?: number }, second?: number) {
    super();
    const { minVal = -1, maxVal = 1 } = byName(['minVal', 'maxVal'], first, second);
    this.minVal = minVal;
    this.maxVal = maxVal;
    if (!(minVal < maxVal)) throw new LibError('value', `Hardtanh: minVal must be below maxVal, got ${minVal} and ${maxVal}.`);
  }
  override forward(x: Tensor): Tensor {
    return x.hardtanh({ minVal: this.minVal, maxVal: this.maxVal });
  }
}

/** min(max(x / 6 + 1/2, 0), 1) (torch.nn.Hardsigmoid). */
export class Hardsigmoid extends Module {
  override forward(x: Tensor): Tensor {
    return x.hardsigmoid();
  }
}

/** x · hardsigmoid(x) (torch.nn.Hardswish). */
export class Hardswish extends Module {
  override forward(x: Tensor): Tensor {
    return x.hardswish();
  }
}

/** x, but 0 within lambd of 0 (torch.nn.Hardshrink). */
export class Hardshrink extends Module {
  readonly lambd: number;
  constructor(options?: number | { readonly lambd?: number }) {
    super();
    this.lambd = byName(['lambd'], options).lambd ?? 0.5;
  }
  override forward(x: Tensor): Tensor {
    return x.hardshrink({ lambd: this.lambd });
  }
}

/** x moved towards 0 by lambd (torch.nn.Softshrink). */
export class Softshrink extends Module {
  readonly lambd: number;
  constructor(options?: number | { readonly lambd?: number }) {
    super();
    this.lambd = byName(['lambd'], options).lambd ?? 0.5;
  }
  override forward(x: Tensor): Tensor {
    return x.softshrink({ lambd: this.lambd });
  }
}

/** x − tanh(x) (torch.nn.Tanhshrink). */
export class Tanhshrink extends Module {
  override forward(x: Tensor): Tensor {
    return x.tanhshrink();
  }
}

/** log(sigmoid(x)) (torch.nn.LogSigmoid). */
export class LogSigmoid extends Module {
  override forward(x: Tensor): Tensor {
    return x.logsigmoid();
  }
}

/** x / (1 + |x|) (torch.nn.Softsign). */
export class Softsign extends Module {
  override forward(x: Tensor): Tensor {
    return x.softsign();
  }
}

/** x where x > limit, else value (torch.nn.Threshold). */
export class Threshold extends Module {
  constructor(
    readonly threshold: number,
    readonly value: number,
  ) {
    super();
  }
  override forward(x: Tensor): Tensor {
    return x.threshold(this.threshold, this.value);
  }
}

/** The first half along `dim`, gated by the sigmoid of the second (torch.nn.GLU). */
export class GLU extends Module {
  readonly dim: number;
  constructor(options?: number | { readonly dim?: number }) {
    super();
    this.dim = byName(['dim'], options).dim ?? -1;
  }
  override forward(x: Tensor): Tensor {
    return x.glu({ dim: this.dim });
  }
}

/** softmax(−x) along `dim` (torch.nn.Softmin). */
export class Softmin extends Module {
  readonly dim: number;
  constructor(options?: number | { readonly dim?: number }) {
    super();
    this.dim = byName(['dim'], options).dim ?? -1;
  }
  override forward(x: Tensor): Tensor {
    return x.softmin({ dim: this.dim });
  }
}

/** Probabilities over the channels at each place of (N, C, H, W) or (C, H, W) (torch.nn.Softmax2d). */
export class Softmax2d extends Module {
  override forward(x: Tensor): Tensor {
    if (x.ndim !== 3 && x.ndim !== 4)
      throw new LibError('shape', `Softmax2d: the input must be (N, C, H, W) or (C, H, W), got shape ${formatShape(x.shape)}.`);
    return x.softmax({ dim: -3 });
  }
}

export interface SwishOptions {
  /** Sharpness at the start. Default 1. */
  readonly beta?: number;
  /** Learn it, as a parameter `beta` of one element. Default true. */
  readonly learned?: boolean;
}

/** x · sigmoid(beta · x) with a learned or fixed beta (Ramachandran et al. 2017); SiLU is beta = 1. */
export class Swish extends Module {
  readonly beta: Parameter | number;
  constructor({ beta = 1, learned = true }: SwishOptions = {}) {
    super();
    this.beta = learned ? new Parameter(full([1], beta)) : beta;
  }
  override forward(x: Tensor): Tensor {
    return swish(x, { beta: this.beta });
  }
}
