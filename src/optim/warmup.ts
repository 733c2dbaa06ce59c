import { checkNumber } from './optimizer.js';
import { positiveInteger, type Schedulable, Scheduler } from './scheduler.js';

export interface WarmupOptions {
  /** The schedule whose rates are warmed up. Default: a constant rate. */
  readonly after?: Scheduler;
}

/**
 * min(1, (t + 1) / warmupSteps) times the rate of any other schedule; step it every batch (Goyal et al. 2017).
 * @example
 * const optimizer = new SGD([new Parameter(zeros([1]))], { lr: 1 });
 * new WarmupLR(optimizer, 10, { after: new CosineAnnealingLR(optimizer, 100) });
 * console.assert(optimizer.paramGroups[0].lr === 0.1);
 */
export class WarmupLR extends Scheduler {
  private readonly after: Scheduler | null;
  constructor(
    optimizer: Schedulable,
    readonly warmupSteps: number,
    { after }: WarmupOptions = {},
  ) {
    super(optimizer);
    positiveInteger('WarmupLR', 'warmupSteps', warmupSteps);
    this.after = after ?? null;
    this.unit = after?.unit ?? 'batch';
    this.set();
  }
  override lrAt(t: number, baseLr: number, group: number): number {
    return Math.min(1, (t + 1) / this.warmupSteps) * (this.after?.lrAt(t, baseLr, group) ?? baseLr);
  }
}

export interface WarmupCosineOptions {
  /** Steps of the linear rise. Default: 3 % of totalSteps, at least 1. */
  readonly warmupSteps?: number;
  /** The last rate, as a share of the highest. Default 0.1. */
  readonly finalFactor?: number;
}

/** A linear rise to lr, then a half cosine down to a tenth of it: how language models are trained. Step it every batch. */
export class WarmupCosineLR extends Scheduler {
  readonly warmupSteps: number;
  readonly finalFactor: number;
  constructor(
    optimizer: Schedulable,
    readonly totalSteps: number,
    { warmupSteps = Math.max(1, Math.round(0.03 * totalSteps)), finalFactor = 0.1 }: WarmupCosineOptions = {},
  ) {
    super(optimizer);
    positiveInteger('WarmupCosineLR', 'totalSteps', totalSteps);
    checkNumber('WarmupCosineLR', 'warmupSteps', warmupSteps, (v) => Number.isInteger(v) && v >= 0 && v <= totalSteps, 'in 0..totalSteps');
    checkNumber('WarmupCosineLR', 'finalFactor', finalFactor, (v) => v >= 0 && v <= 1, 'in [0, 1]');
    this.warmupSteps = warmupSteps;
    this.finalFactor = finalFactor;
    this.unit = 'batch';
    this.set();
  }
  override lrAt(t: number, baseLr: number): number {
    if (t < this.warmupSteps) return (baseLr * (t + 1)) / this.warmupSteps;
    const share = Math.min(1, (t - this.warmupSteps) / Math.max(1, this.totalSteps - this.warmupSteps));
    return baseLr * (this.finalFactor + ((1 - this.finalFactor) * (1 + Math.cos(Math.PI * share))) / 2);
  }
}

export interface InverseSqrtOptions {
  /** Width of the model: the rate is divided by its root. Default 1. */
  readonly modelDim?: number;
}

/** lr · modelDim^-½ · min(s^-½, s · warmupSteps^-1.5) at step s = t + 1, every batch (Vaswani et al. 2017). */
export class InverseSqrtLR extends Scheduler {
  readonly modelDim: number;
  constructor(
    optimizer: Schedulable,
    readonly warmupSteps: number,
    { modelDim = 1 }: InverseSqrtOptions = {},
  ) {
    super(optimizer);
    positiveInteger('InverseSqrtLR', 'warmupSteps', warmupSteps);
    positiveInteger('InverseSqrtLR', 'modelDim', modelDim);
    this.modelDim = modelDim;
    this.unit = 'batch';
    this.set();
  }
  override lrAt(t: number, baseLr: number): number {
    const s = t + 1;
    return (baseLr / Math.sqrt(this.modelDim)) * Math.min(1 / Math.sqrt(s), s / this.warmupSteps ** 1.5);
  }
}

export interface LinearDecayOptions {
  /** The rate at the end and after. Default 0. */
  readonly endLr?: number;
}

/** lr · (1 - t / totalIters) + endLr · t / totalIters. */
export class LinearDecayLR extends Scheduler {
  readonly endLr: number;
  constructor(
    optimizer: Schedulable,
    readonly totalIters: number,
    { endLr = 0 }: LinearDecayOptions = {},
  ) {
    super(optimizer);
    positiveInteger('LinearDecayLR', 'totalIters', totalIters);
    checkNumber('LinearDecayLR', 'endLr', endLr, (v) => v >= 0, 'a finite number >= 0');
    this.endLr = endLr;
    this.set();
  }
  override lrAt(t: number, baseLr: number): number {
    const share = Math.min(1, t / this.totalIters);
    return baseLr * (1 - share) + this.endLr * share;
  }
}
