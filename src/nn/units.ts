import { LibError } from '../core/errors.js';
import { formatShape } from '../core/shape.js';
import { mv } from '../ops/matmul.js';
import { noGrad } from '../tensor/autograd.js';
import { zeros } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkSizes, Linear, type LinearOptions } from './linear.js';
import { Module, Parameter } from './module.js';

export interface MaxoutOptions extends LinearOptions {
  /** Affine pieces of each output. Default 2. */
  readonly pieces?: number;
}

/** The largest of `pieces` affine functions for each output (Goodfellow et al. 2013): (…, inFeatures) → (…, outFeatures). */
export class Maxout extends Module {
  /** Piece p of output j is row j · pieces + p. */
  readonly linear: Linear;
  readonly pieces: number;

  constructor(
    readonly inFeatures: number,
    readonly outFeatures: number,
    { pieces = 2, bias = true }: MaxoutOptions = {},
  ) {
    super();
    checkSizes('Maxout', { inFeatures, outFeatures, pieces });
    this.linear = new Linear(inFeatures, outFeatures * pieces, { bias });
    this.pieces = pieces;
  }
  override forward(x: Tensor): Tensor {
    const all = this.linear.forward(x);
    return all.reshape([...x.shape.slice(0, -1), this.outFeatures, this.pieces]).max({ dim: -1 }).values;
  }
}

export interface PerceptronOptions {
  /** Size of a step. Default 1. */
  readonly lr?: number;
  /** Passes over the data at most. Default 1000. */
  readonly maxEpochs?: number;
}

export interface PerceptronResult {
  readonly epochs: number;
  /** Wrong answers, and so steps, in all. */
  readonly updates: number;
  /** Wrong answers in the last pass: 0 where the classes were separated. */
  readonly mistakes: number;
}

/** Rosenblatt's unit (1958): 1 where w · x + b > 0, else 0. It has no gradient; `fit` teaches it by its own rule. */
export class Perceptron extends Module {
  readonly weight: Parameter;
  readonly bias: Parameter;

  constructor(readonly inFeatures: number) {
    super();
    checkSizes('Perceptron', { inFeatures });
    this.weight = new Parameter(zeros([inFeatures]), { requiresGrad: false });
    this.bias = new Parameter(zeros([]), { requiresGrad: false });
  }

  /** (…, inFeatures) → (…), zeros and ones. */
  override forward(x: Tensor): Tensor {
    return x.matmul(this.weight).add(this.bias).gt(0).to(x.dtype);
  }

  /**
   * w ← w + lr (y − ŷ) x at each wrong answer, in the order of x (samples, inFeatures) and y (samples), zeros and ones, until a pass
   * makes no mistake. Between two steps all answers are found at once.
   */
  fit(x: Tensor, y: Tensor, { lr = 1, maxEpochs = 1000 }: PerceptronOptions = {}): PerceptronResult {
    if (x.ndim !== 2 || y.ndim !== 1 || x.sizeAt(0) !== y.size || x.sizeAt(1) !== this.inFeatures) {
      const got = `${formatShape(x.shape)} and ${formatShape(y.shape)}`;
      throw new LibError('shape', `Perceptron: x must be (samples, ${this.inFeatures}) and y (samples,), got ${got}.`);
    }
    let [epochs, updates, mistakes] = [0, 0, 1];
    while (mistakes > 0 && epochs < maxEpochs) {
      mistakes = noGrad(() => this.pass(x, y.to(x.dtype), lr));
      updates += mistakes;
      epochs++;
    }
    return { epochs, updates, mistakes };
  }

  private pass(x: Tensor, y: Tensor, lr: number): number {
    const count = y.size;
    let mistakes = 0;
    for (let from = 0; from < count; from++) {
      const [rows, labels] = [x.narrow(0, from, count - from), y.narrow(0, from, count - from)];
      const wrong = mv(rows, this.weight).add(this.bias).gt(0).to(x.dtype).ne(labels).toArray().indexOf(1);
      if (wrong < 0) break;
      const step = lr * (2 * labels.select(0, wrong).itemNow() - 1);
      this.weight.add_(rows.select(0, wrong).mul(step));
      this.bias.add_(step);
      from += wrong;
      mistakes++;
    }
    return mistakes;
  }
}
