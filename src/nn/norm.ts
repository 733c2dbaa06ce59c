import { LibError } from '../core/errors.js';
import { formatShape, type Shape } from '../core/shape.js';
import { batchNorm, groupNorm, layerNorm, rmsNorm } from '../ops/norm.js';
import { noGrad } from '../tensor/autograd.js';
import { ones, zeros } from '../tensor/creation.js';
import { isRecomputing } from '../tensor/recomputing.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkSizes } from './linear.js';
import { Buffer, Module, Parameter } from './module.js';

export interface BatchNormOptions {
  /** Added to the variance. Default 1e-5. */
  readonly eps?: number;
  /** Share of a new batch in the running statistics; null: their plain average. Default 0.1. */
  readonly momentum?: number | null;
  /** Learn a scale and a shift per feature. Default true. */
  readonly affine?: boolean;
  /** Keep running statistics for evaluation. Default true. */
  readonly trackRunningStats?: boolean;
}

/** Normalization over the batch and all positions, per feature (Ioffe & Szegedy 2015). */
abstract class BatchNorm extends Module {
  readonly weight: Parameter | null;
  readonly bias: Parameter | null;
  readonly runningMean: Buffer | null;
  readonly runningVar: Buffer | null;
  readonly numBatchesTracked: Buffer | null;
  readonly eps: number;
  readonly momentum: number | null;
  protected abstract readonly ranks: readonly number[];

  constructor(
    readonly numFeatures: number,
    { eps = 1e-5, momentum = 0.1, affine = true, trackRunningStats = true }: BatchNormOptions = {},
  ) {
    super();
    checkSizes('BatchNorm', { numFeatures });
    this.eps = eps;
    this.momentum = momentum;
    this.weight = affine ? new Parameter(ones([numFeatures])) : null;
    this.bias = affine ? new Parameter(zeros([numFeatures])) : null;
    this.runningMean = trackRunningStats ? new Buffer(zeros([numFeatures])) : null;
    this.runningVar = trackRunningStats ? new Buffer(ones([numFeatures])) : null;
    this.numBatchesTracked = trackRunningStats ? new Buffer(zeros([], { dtype: 'int32' })) : null;
  }

  override forward(x: Tensor): Tensor {
    if (!this.ranks.includes(x.ndim)) {
      throw new LibError(
        'shape',
        `${this.constructor.name}: the input must have ${this.ranks.join(' or ')} dimensions, got shape ${formatShape(x.shape)}.`,
      );
    }
    const { weight, bias, runningMean, runningVar, eps } = this;
    const training = this.training || runningMean === null;
    return batchNorm(x, { runningMean, runningVar, weight, bias, training, momentum: this.nextMomentum(), eps });
  }

  /** Counts the batch; with `momentum: null` each batch weighs the same. */
  private nextMomentum(): number {
    const counter = this.numBatchesTracked;
    if (counter !== null && this.training && !isRecomputing()) noGrad(() => counter.add_(1));
    if (this.momentum !== null) return this.momentum;
    return counter === null ? 0 : 1 / Math.max(1, counter.itemNow());
  }

  override extraRepr(): string {
    return `${this.numFeatures}, eps=${this.eps}, momentum=${this.momentum}`;
  }
}

/** Batch normalization of (batch, features) or (batch, features, length) (torch.nn.BatchNorm1d). */
export class BatchNorm1d extends BatchNorm {
  protected override readonly ranks: readonly number[] = [2, 3];
}
/** Batch normalization of (batch, features, height, width) (torch.nn.BatchNorm2d). */
export class BatchNorm2d extends BatchNorm {
  protected override readonly ranks: readonly number[] = [4];
}
/** Batch normalization of (batch, features, depth, height, width) (torch.nn.BatchNorm3d). */
export class BatchNorm3d extends BatchNorm {
  protected override readonly ranks: readonly number[] = [5];
}

export interface LayerNormOptions {
  /** Added to the variance. Default 1e-5. */
  readonly eps?: number;
  /** Learn a scale and a shift per element. Default true. */
  readonly elementwiseAffine?: boolean;
  /** With the scale, learn a shift too. Default true. */
  readonly bias?: boolean;
}

/** Normalization over the last dims, whose shape is given (Ba et al. 2016; torch.nn.LayerNorm). */
export class LayerNorm extends Module {
  readonly normalizedShape: Shape;
  readonly weight: Parameter | null;
  readonly bias: Parameter | null;
  readonly eps: number;

  constructor(normalizedShape: number | Shape, { eps = 1e-5, elementwiseAffine = true, bias = true }: LayerNormOptions = {}) {
    super();
    this.normalizedShape = typeof normalizedShape === 'number' ? [normalizedShape] : normalizedShape;
    this.eps = eps;
    this.weight = elementwiseAffine ? new Parameter(ones(this.normalizedShape)) : null;
    this.bias = elementwiseAffine && bias ? new Parameter(zeros(this.normalizedShape)) : null;
  }
  override forward(x: Tensor): Tensor {
    return layerNorm(x, this.normalizedShape, { weight: this.weight, bias: this.bias, eps: this.eps });
  }
  override extraRepr(): string {
    return `${formatShape(this.normalizedShape)}, eps=${this.eps}`;
  }
}

/** Division by the root mean square over the last dims (Zhang & Sennrich 2019; torch.nn.RMSNorm). */
export class RMSNorm extends Module {
  readonly normalizedShape: Shape;
  readonly weight: Parameter | null;
  readonly eps: number | undefined;

  constructor(normalizedShape: number | Shape, { eps, elementwiseAffine = true }: Omit<LayerNormOptions, 'bias'> = {}) {
    super();
    this.normalizedShape = typeof normalizedShape === 'number' ? [normalizedShape] : normalizedShape;
    this.eps = eps;
    this.weight = elementwiseAffine ? new Parameter(ones(this.normalizedShape)) : null;
  }
  override forward(x: Tensor): Tensor {
    return rmsNorm(x, this.normalizedShape, { weight: this.weight, ...(this.eps !== undefined && { eps: this.eps }) });
  }
}

/** Normalization over groups of channels of (batch, channels, …) (Wu & He 2018; torch.nn.GroupNorm). */
export class GroupNorm extends Module {
  readonly weight: Parameter | null;
  readonly bias: Parameter | null;
  readonly eps: number;

  constructor(
    readonly numGroups: number,
    readonly numChannels: number,
    { eps = 1e-5, affine = true }: { readonly eps?: number; readonly affine?: boolean } = {},
  ) {
    super();
    checkSizes('GroupNorm', { numGroups, numChannels });
    if (numChannels % numGroups !== 0) {
      throw new LibError('value', `GroupNorm: numGroups must divide numChannels, got ${numGroups} for ${numChannels}.`);
    }
    this.eps = eps;
    this.weight = affine ? new Parameter(ones([numChannels])) : null;
    this.bias = affine ? new Parameter(zeros([numChannels])) : null;
  }
  override forward(x: Tensor): Tensor {
    return groupNorm(x, this.numGroups, { weight: this.weight, bias: this.bias, eps: this.eps });
  }
}
