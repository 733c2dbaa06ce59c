import { LibError } from '../core/errors.js';
import { formatShape, type Shape } from '../core/shape.js';
import { batchNorm, groupNorm, instanceNorm, layerNorm, rmsNorm } from '../ops/norm.js';
import { noGrad } from '../tensor/autograd.js';
import { ones, zeros } from '../tensor/creation.js';
import { isRecomputing } from '../tensor/recomputing.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkSizes } from './linear.js';
import { Buffer, Module, Parameter } from './module.js';
import { type BatchStatistics, normalizeBy, statisticsOf, trackStatistics } from './syncNorm.js';

export interface BatchNormOptions {
  /** Added to the variance. Default 1e-5. */
  readonly eps?: number;
  /** A share in the running statistics, whose is said by `momentumOf`; null: their plain average. Default 0.1. */
  readonly momentum?: number | null;
  /** 'new': momentum is the share of the new batch, as in PyTorch; 'old': of the old statistics (0.9 says what 0.1 does). Default 'new'. */
  readonly momentumOf?: 'new' | 'old';
  /** Learn a scale and a shift per feature. Default true. */
  readonly affine?: boolean;
  /** With the scale, learn a shift too. Default true. */
  readonly bias?: boolean;
  /** Keep running statistics for evaluation. Default true. */
  readonly trackRunningStats?: boolean;
}

type Defaulted = Required<Omit<BatchNormOptions, 'momentumOf' | 'bias'>>;

function checkEps(name: string, eps: number): void {
  if (!(eps > 0)) throw new LibError('value', `${name}: eps must be positive, got ${eps}.`);
}

/** What batch and instance norms keep: scale and shift, and running statistics that count their batches. */
abstract class TrackingNorm extends Module {
  readonly weight: Parameter | null;
  readonly bias: Parameter | null;
  readonly runningMean: Buffer | null;
  readonly runningVar: Buffer | null;
  readonly numBatchesTracked: Buffer | null;
  readonly eps: number;
  /** The share of a new batch; null: 1 / (batches seen). */
  momentum: number | null;
  /** Normalize by the running statistics even in training, and leave them as they are. */
  statisticsFrozen = false;
  protected abstract readonly ranks: readonly number[];

  constructor(
    readonly numFeatures: number,
    { eps, momentum, momentumOf = 'new', affine, bias = true, trackRunningStats }: Defaulted & BatchNormOptions,
  ) {
    super();
    checkSizes(new.target.name, { numFeatures });
    checkEps(new.target.name, eps);
    if (momentum !== null && !(momentum >= 0 && momentum <= 1)) {
      throw new LibError('value', `${new.target.name}: momentum must be in [0, 1] or null, got ${momentum}.`);
    }
    if (momentumOf !== 'new' && momentumOf !== 'old') {
      throw new LibError('option', `${new.target.name}: momentumOf must be 'new' or 'old', got '${String(momentumOf)}'.`);
    }
    this.eps = eps;
    this.momentum = momentum !== null && momentumOf === 'old' ? 1 - momentum : momentum;
    this.weight = affine ? new Parameter(ones([numFeatures])) : null;
    this.bias = affine && bias ? new Parameter(zeros([numFeatures])) : null;
    this.runningMean = trackRunningStats ? new Buffer(zeros([numFeatures])) : null;
    this.runningVar = trackRunningStats ? new Buffer(ones([numFeatures])) : null;
    this.numBatchesTracked = trackRunningStats ? new Buffer(zeros([], { dtype: 'int32' })) : null;
  }

  protected checkRank(x: Tensor): void {
    if (this.ranks.includes(x.ndim)) return;
    const wanted = this.ranks.join(' or ');
    throw new LibError('shape', `${this.constructor.name}: the input must have ${wanted} dimensions, got shape ${formatShape(x.shape)}.`);
  }

  /** Freezes the statistics, so that `train()` no longer wakes them, or the scale and shift, or both (default). */
  freeze({ statistics = true, affine = true }: { readonly statistics?: boolean; readonly affine?: boolean } = {}): this {
    if (statistics) this.statisticsFrozen = true;
    if (affine) for (const p of [this.weight, this.bias]) p?.requiresGrad_(false);
    return this;
  }
  /** Undoes {@link freeze}. */
  unfreeze({ statistics = true, affine = true }: { readonly statistics?: boolean; readonly affine?: boolean } = {}): this {
    if (statistics) this.statisticsFrozen = false;
    if (affine) for (const p of [this.weight, this.bias]) p?.requiresGrad_(true);
    return this;
  }

  /** Forgets what was seen: mean 0, variance 1, no batches. */
  resetRunningStats(): void {
    noGrad(() => {
      this.runningMean?.fill_(0);
      this.runningVar?.fill_(1);
      this.numBatchesTracked?.fill_(0);
    });
  }

  override extraRepr(): string {
    return `${this.numFeatures}, eps=${this.eps}, momentum=${this.momentum}`;
  }
}

/** Normalization over the batch and all positions, per feature (Ioffe & Szegedy 2015). */
export abstract class BatchNorm extends TrackingNorm {
  /** Combines a batch's statistics with those of other workers before they are used. Default: none. */
  syncStatistics: ((local: BatchStatistics) => BatchStatistics) | null = null;

  constructor(
    numFeatures: number,
    { eps = 1e-5, momentum = 0.1, affine = true, trackRunningStats = true, ...rest }: BatchNormOptions = {},
  ) {
    super(numFeatures, { eps, momentum, affine, trackRunningStats, ...rest });
  }

  override forward(x: Tensor): Tensor {
    this.checkRank(x);
    const { weight, bias, runningMean, runningVar, eps, syncStatistics } = this;
    const training = (this.training && !this.statisticsFrozen) || runningMean === null;
    const momentum = training ? this.countBatch() : 0;
    if (!training || syncStatistics === null) {
      return batchNorm(x, { runningMean, runningVar, weight, bias, training, momentum, eps });
    }
    const statistics = syncStatistics(statisticsOf(x));
    trackStatistics(statistics, this, momentum);
    return normalizeBy(x, statistics, this);
  }

  /** Counts the batch and gives its share; with `momentum: null` each batch weighs the same. */
  private countBatch(): number | Tensor {
    const counter = this.numBatchesTracked;
    if (counter !== null && this.training && !isRecomputing()) noGrad(() => counter.add_(1));
    if (this.momentum !== null) return this.momentum;
    return counter === null ? 0 : noGrad(() => counter.to(this.runningMean?.dtype ?? 'float32').reciprocal());
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

/** Normalization of each feature of each example by itself (Ulyanov et al. 2016). */
abstract class InstanceNorm extends TrackingNorm {
  constructor(
    numFeatures: number,
    { eps = 1e-5, momentum = 0.1, affine = false, trackRunningStats = false, ...rest }: BatchNormOptions = {},
  ) {
    super(numFeatures, { eps, momentum, affine, trackRunningStats, ...rest });
  }

  override forward(x: Tensor): Tensor {
    this.checkRank(x);
    const [least = 2] = this.ranks;
    const batched = x.ndim === least ? x.unsqueeze(0) : x;
    if (batched.sizeAt(1) !== this.numFeatures) {
      const got = `${batched.sizeAt(1)} of ${formatShape(x.shape)}`;
      throw new LibError('shape', `${this.constructor.name}: the input must have ${this.numFeatures} features, got ${got}.`);
    }
    const { weight, bias, runningMean, runningVar, eps } = this;
    const useInputStats = (this.training && !this.statisticsFrozen) || runningMean === null;
    const y = instanceNorm(batched, { runningMean, runningVar, weight, bias, eps, useInputStats, momentum: this.momentum ?? 0 });
    return batched === x ? y : y.squeeze({ dim: 0 });
  }
}
/** Instance normalization of (batch, features, length) or (features, length) (torch.nn.InstanceNorm1d). */
export class InstanceNorm1d extends InstanceNorm {
  protected override readonly ranks: readonly number[] = [2, 3];
}
/** Instance normalization of (batch, features, height, width), or without batch (torch.nn.InstanceNorm2d). */
export class InstanceNorm2d extends InstanceNorm {
  protected override readonly ranks: readonly number[] = [3, 4];
}
/** Instance normalization of (batch, features, depth, height, width), or without batch (torch.nn.InstanceNorm3d). */
export class InstanceNorm3d extends InstanceNorm {
  protected override readonly ranks: readonly number[] = [4, 5];
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
    { eps = 1e-5, affine = true, bias = true }: { readonly eps?: number; readonly affine?: boolean; readonly bias?: boolean } = {},
  ) {
    super();
    checkSizes('GroupNorm', { numGroups, numChannels });
    if (numChannels % numGroups !== 0) {
      throw new LibError('value', `GroupNorm: numGroups must divide numChannels, got ${numGroups} for ${numChannels}.`);
    }
    this.eps = eps;
    this.weight = affine ? new Parameter(ones([numChannels])) : null;
    this.bias = affine && bias ? new Parameter(zeros([numChannels])) : null;
  }
  override forward(x: Tensor): Tensor {
    return groupNorm(x, this.numGroups, { weight: this.weight, bias: this.bias, eps: this.eps });
  }
}
