import { LibError } from '../core/errors.js';
import { zeros } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { Conv2d } from './conv.js';
import { constant_ } from './init.js';
import { checkSizes, Linear } from './linear.js';
import { Module, Parameter } from './module.js';

/**
 * The last layer of a model, by task. `forward` gives what the task's loss takes (logits, log-variances); the activation lives in the
 * loss, or in `predict`, which turns those outputs into predictions.
 */
abstract class Head<Output = Tensor, Prediction = Tensor> extends Module<readonly [x: Tensor], Output> {
  abstract predict(output: Output): Prediction;
}

/** One linear layer over features (…, inFeatures). */
abstract class LinearHead extends Head {
  readonly linear: Linear;
  constructor(
    readonly inFeatures: number,
    readonly outFeatures: number,
  ) {
    super();
    this.linear = new Linear(inFeatures, outFeatures);
  }
  override forward(x: Tensor): Tensor {
    return this.linear.forward(x);
  }
}

/** Real values, as they come. */
export class RegressionHead extends LinearHead {
  constructor(inFeatures: number, outFeatures: number = 1) {
    super(inFeatures, outFeatures);
  }
  override predict(output: Tensor): Tensor {
    return output;
  }
}

/** Positive values: softplus or exp of what is learned. */
export class PositiveHead extends LinearHead {
  constructor(
    inFeatures: number,
    outFeatures: number = 1,
    readonly link: 'softplus' | 'exp' = 'softplus',
  ) {
    super(inFeatures, outFeatures);
    if (link !== 'softplus' && link !== 'exp') {
      throw new LibError('option', `PositiveHead: link must be 'softplus' or 'exp', got '${String(link)}'.`);
    }
  }
  override predict(output: Tensor): Tensor {
    return this.link === 'exp' ? output.exp() : output.softplus();
  }
}

/** One class or not: a logit (…, 1); the probability is its sigmoid. */
export class BinaryHead extends LinearHead {
  constructor(inFeatures: number) {
    super(inFeatures, 1);
  }
  override predict(output: Tensor): Tensor {
    return output.sigmoid();
  }
}

/** One of several classes: logits (…, classes); probabilities that sum to 1. */
export class ClassHead extends LinearHead {
  override predict(output: Tensor): Tensor {
    return output.softmax();
  }
}

/** Any of several labels: logits (…, labels), each with a probability of its own. */
export class MultiLabelHead extends LinearHead {
  override predict(output: Tensor): Tensor {
    return output.sigmoid();
  }
}

/**
 * Ordered classes (Cao et al. 2020): K − 1 logits that y exceeds each rank, with one weight and a bias for each, so that their order
 * cannot be broken. The prediction is the number of ranks that are more likely exceeded than not, int32.
 */
export class OrdinalHead extends Head {
  readonly linear: Linear;
  readonly bias: Parameter;
  constructor(
    readonly inFeatures: number,
    readonly classes: number,
  ) {
    super();
    checkSizes('OrdinalHead', { inFeatures, thresholds: classes - 1 });
    this.linear = new Linear(inFeatures, 1, { bias: false });
    this.bias = new Parameter(zeros([classes - 1]));
  }
  override forward(x: Tensor): Tensor {
    return this.linear.forward(x).add(this.bias);
  }
  override predict(output: Tensor): Tensor {
    return output.gt(0).to('int32').sum({ dim: -1 });
  }
}

/** A normal distribution for each output: the mean and the logarithm of the variance (`gaussianNllLoss` takes its exp). */
export class GaussianHead extends Head<readonly [mean: Tensor, logVariance: Tensor], { readonly mean: Tensor; readonly std: Tensor }> {
  readonly mean: Linear;
  readonly logVariance: Linear;
  /** Learned: the logarithm of the variance, or what softplus makes the variance of (kept above 1e-6). */
  constructor(
    inFeatures: number,
    outFeatures: number = 1,
    readonly link: 'exp' | 'softplus' = 'exp',
  ) {
    super();
    if (link !== 'exp' && link !== 'softplus') {
      throw new LibError('option', `GaussianHead: link must be 'exp' or 'softplus', got '${String(link)}'.`);
    }
    this.mean = new Linear(inFeatures, outFeatures);
    this.logVariance = new Linear(inFeatures, outFeatures);
  }
  override forward(x: Tensor): readonly [mean: Tensor, logVariance: Tensor] {
    const raw = this.logVariance.forward(x);
    return [this.mean.forward(x), this.link === 'exp' ? raw : raw.softplus().add(1e-6).log()];
  }
  override predict([mean, logVariance]: readonly [mean: Tensor, logVariance: Tensor]): { readonly mean: Tensor; readonly std: Tensor } {
    return { mean, std: logVariance.mul(0.5).exp() };
  }
}

/** A class for each pixel: a 1×1 convolution of (batch, channels, height, width) to (batch, classes, height, width). */
export class SegmentationHead extends Head {
  readonly conv: Conv2d;
  constructor(inChannels: number, classes: number) {
    super();
    this.conv = new Conv2d(inChannels, classes, 1);
  }
  override forward(x: Tensor): Tensor {
    return this.conv.forward(x);
  }
  override predict(output: Tensor): Tensor {
    return output.softmax({ dim: 1 });
  }
}

export interface DetectionOutput {
  /** (batch, anchors · height · width, classes): logits, or probabilities from `predict`. */
  readonly scores: Tensor;
  /** (batch, anchors · height · width, 4): offsets to the anchors. */
  readonly boxes: Tensor;
}

export interface DetectionHeadOptions {
  /** Boxes proposed at each place. Default 1. */
  readonly anchors?: number;
  /** The chance of each class before training; rare objects then cost little at first (Lin et al. 2017). Default 0.01. */
  readonly prior?: number;
}

/** Class logits and box offsets for each anchor of a feature map (batch, channels, height, width), place by place. */
export class DetectionHead extends Head<DetectionOutput, DetectionOutput> {
  readonly scores: Conv2d;
  readonly boxes: Conv2d;
  constructor(
    inChannels: number,
    readonly classes: number,
    { anchors = 1, prior = 0.01 }: DetectionHeadOptions = {},
  ) {
    super();
    if (!(prior > 0 && prior < 1)) throw new LibError('value', `DetectionHead: prior must be a probability in (0, 1), got ${prior}.`);
    this.scores = new Conv2d(inChannels, anchors * classes, 3, { padding: 1 });
    this.boxes = new Conv2d(inChannels, anchors * 4, 3, { padding: 1 });
    if (this.scores.bias !== null) constant_(this.scores.bias, -Math.log((1 - prior) / prior));
  }
  override forward(x: Tensor): DetectionOutput {
    const rows = (map: Tensor, width: number): Tensor => {
      const [batch, channels, height, across] = map.dims(4);
      return map.permute([0, 2, 3, 1]).reshape([batch, (channels / width) * height * across, width]);
    };
    return { scores: rows(this.scores.forward(x), this.classes), boxes: rows(this.boxes.forward(x), 4) };
  }
  override predict({ scores, boxes }: DetectionOutput): DetectionOutput {
    return { scores: scores.sigmoid(), boxes };
  }
}

/** Symbols of a sequence and CTC's blank, which is number 0: logits (…, symbols + 1); log-probabilities are what `ctcLoss` takes. */
export class CtcHead extends LinearHead {
  constructor(inFeatures: number, symbols: number) {
    super(inFeatures, symbols + 1);
  }
  override predict(output: Tensor): Tensor {
    return output.logSoftmax();
  }
}
