import { LibError } from '../core/errors.js';
import { checkNumber } from './optimizer.js';
import { perGroup, positiveInteger, type Schedulable, Scheduler } from './scheduler.js';

export interface GammaOptions {
  /** What the rate is multiplied by. Default 0.1. */
  readonly gamma?: number;
}

/**
 * lr · gamma every `stepSize` steps (torch.optim.lr_scheduler.StepLR).
 * @example new StepLR(new SGD([new Parameter(zeros([1]))], { lr: 1 }), 30).lrAt(60, 1, 0) // 0.01
 */
export class StepLR extends Scheduler {
  readonly gamma: number;
  constructor(
    optimizer: Schedulable,
    readonly stepSize: number,
    { gamma = 0.1 }: GammaOptions = {},
  ) {
    super(optimizer);
    positiveInteger('StepLR', 'stepSize', stepSize);
    checkNumber('StepLR', 'gamma', gamma, (v) => v >= 0, 'a finite number >= 0');
    this.gamma = gamma;
    this.set();
  }
  override lrAt(t: number, baseLr: number): number {
    return baseLr * this.gamma ** Math.floor(t / this.stepSize);
  }
  protected override advance(lr: number, t: number): number {
    return t > 0 && t % this.stepSize === 0 ? lr * this.gamma : lr;
  }
}

/** lr · gamma at each milestone (torch.optim.lr_scheduler.MultiStepLR). */
export class MultiStepLR extends Scheduler {
  readonly gamma: number;
  constructor(
    optimizer: Schedulable,
    readonly milestones: readonly number[],
    { gamma = 0.1 }: GammaOptions = {},
  ) {
    super(optimizer);
    checkNumber('MultiStepLR', 'gamma', gamma, (v) => v >= 0, 'a finite number >= 0');
    this.gamma = gamma;
    this.set();
  }
  override lrAt(t: number, baseLr: number): number {
    return baseLr * this.gamma ** this.milestones.filter((m) => m <= t).length;
  }
  protected override advance(lr: number, t: number): number {
    return t > 0 ? lr * this.gamma ** this.milestones.filter((m) => m === t).length : lr;
  }
}

/** lr · gamma^t (torch.optim.lr_scheduler.ExponentialLR). */
export class ExponentialLR extends Scheduler {
  constructor(
    optimizer: Schedulable,
    readonly gamma: number,
  ) {
    super(optimizer);
    checkNumber('ExponentialLR', 'gamma', gamma, (v) => v >= 0, 'a finite number >= 0');
    this.set();
  }
  override lrAt(t: number, baseLr: number): number {
    return baseLr * this.gamma ** t;
  }
  protected override advance(lr: number, t: number): number {
    return t > 0 ? lr * this.gamma : lr;
  }
}

export interface LinearLROptions {
  /** Default 1/3. */
  readonly startFactor?: number;
  /** Default 1. */
  readonly endFactor?: number;
  /** Default 5. */
  readonly totalIters?: number;
}

/** From startFactor · lr to endFactor · lr in `totalIters` equal steps: a warm-up (torch.optim.lr_scheduler.LinearLR). */
export class LinearLR extends Scheduler {
  readonly startFactor: number;
  readonly endFactor: number;
  readonly totalIters: number;
  constructor(optimizer: Schedulable, { startFactor = 1 / 3, endFactor = 1, totalIters = 5 }: LinearLROptions = {}) {
    super(optimizer);
    checkNumber('LinearLR', 'startFactor', startFactor, (v) => v > 0 && v <= 1, 'in (0, 1]');
    checkNumber('LinearLR', 'endFactor', endFactor, (v) => v >= 0 && v <= 1, 'in [0, 1]');
    positiveInteger('LinearLR', 'totalIters', totalIters);
    this.startFactor = startFactor;
    this.endFactor = endFactor;
    this.totalIters = totalIters;
    this.set();
  }
  override lrAt(t: number, baseLr: number): number {
    const share = Math.min(t, this.totalIters) / this.totalIters;
    return baseLr * (this.startFactor + (this.endFactor - this.startFactor) * share);
  }
  protected override advance(lr: number, t: number): number {
    if (t === 0) return lr * this.startFactor;
    if (t > this.totalIters) return lr;
    const rise = this.endFactor - this.startFactor;
    return lr * (1 + rise / (this.totalIters * this.startFactor + (t - 1) * rise));
  }
}

export interface ConstantLROptions {
  /** Default 1/3. */
  readonly factor?: number;
  /** Default 5. */
  readonly totalIters?: number;
}

/** factor · lr for `totalIters` steps, then lr (torch.optim.lr_scheduler.ConstantLR). */
export class ConstantLR extends Scheduler {
  readonly factor: number;
  readonly totalIters: number;
  constructor(optimizer: Schedulable, { factor = 1 / 3, totalIters = 5 }: ConstantLROptions = {}) {
    super(optimizer);
    checkNumber('ConstantLR', 'factor', factor, (v) => v >= 0 && v <= 1, 'in [0, 1]');
    checkNumber('ConstantLR', 'totalIters', totalIters, (v) => Number.isInteger(v) && v >= 0, 'an integer >= 0');
    this.factor = factor;
    this.totalIters = totalIters;
    this.set();
  }
  override lrAt(t: number, baseLr: number): number {
    return t < this.totalIters ? baseLr * this.factor : baseLr;
  }
  protected override advance(lr: number, t: number, baseLr: number): number {
    if (t === 0) return lr * this.factor;
    if (t !== this.totalIters) return lr;
    return this.factor === 0 ? baseLr : lr / this.factor;
  }
}

export interface PolynomialLROptions {
  /** Default 5. */
  readonly totalIters?: number;
  /** Default 1: a straight line. */
  readonly power?: number;
}

/** lr · (1 - t / totalIters)^power, then 0 (torch.optim.lr_scheduler.PolynomialLR). */
export class PolynomialLR extends Scheduler {
  readonly totalIters: number;
  readonly power: number;
  constructor(optimizer: Schedulable, { totalIters = 5, power = 1 }: PolynomialLROptions = {}) {
    super(optimizer);
    positiveInteger('PolynomialLR', 'totalIters', totalIters);
    checkNumber('PolynomialLR', 'power', power, () => true, 'a finite number');
    this.totalIters = totalIters;
    this.power = power;
    this.set();
  }
  override lrAt(t: number, baseLr: number): number {
    return baseLr * (1 - Math.min(t, this.totalIters) / this.totalIters) ** this.power;
  }
  protected override advance(lr: number, t: number): number {
    if (t === 0 || t > this.totalIters) return lr;
    return lr * ((this.totalIters - t) / (this.totalIters - t + 1)) ** this.power;
  }
}

export interface CosineOptions {
  /** The lowest rate. Default 0. */
  readonly etaMin?: number;
}

/** A half cosine from lr down to etaMin over `tMax` steps (Loshchilov & Hutter 2017; torch.optim.lr_scheduler.CosineAnnealingLR). */
export class CosineAnnealingLR extends Scheduler {
  readonly etaMin: number;
  constructor(
    optimizer: Schedulable,
    readonly tMax: number,
    { etaMin = 0 }: CosineOptions = {},
  ) {
    super(optimizer);
    positiveInteger('CosineAnnealingLR', 'tMax', tMax);
    checkNumber('CosineAnnealingLR', 'etaMin', etaMin, () => true, 'a finite number');
    this.etaMin = etaMin;
    this.set();
  }
  override lrAt(t: number, baseLr: number): number {
    return this.etaMin + ((baseLr - this.etaMin) * this.height(t)) / 2;
  }
  private height(t: number): number {
    return 1 + Math.cos((Math.PI * t) / this.tMax);
  }
  protected override advance(lr: number, t: number, baseLr: number): number {
    const { etaMin, tMax } = this;
    if (t === 0) return lr;
    // From the lowest point the ratio of heights is unknown: the cosine rises by its first step.
    if ((t - 1 - tMax) % (2 * tMax) === 0) return lr + ((baseLr - etaMin) * (1 - Math.cos(Math.PI / tMax))) / 2;
    return (this.height(t) / this.height(t - 1)) * (lr - etaMin) + etaMin;
  }
}

/** lr · factor(t) with any function, one or one per group (torch.optim.lr_scheduler.LambdaLR). */
export class LambdaLR extends Scheduler {
  private readonly lambdas: readonly ((t: number) => number)[];
  constructor(optimizer: Schedulable, lrLambda: ((t: number) => number) | readonly ((t: number) => number)[]) {
    super(optimizer);
    this.lambdas = perGroup('LambdaLR', 'lrLambda', lrLambda, optimizer);
    this.set();
  }
  override lrAt(t: number, baseLr: number, group: number): number {
    return baseLr * (this.lambdas[group]?.(t) ?? 1);
  }
}

/** lr · factor(1) · … · factor(t) with any function, one or one per group (torch.optim.lr_scheduler.MultiplicativeLR). */
export class MultiplicativeLR extends Scheduler {
  private readonly lambdas: readonly ((t: number) => number)[];
  constructor(optimizer: Schedulable, lrLambda: ((t: number) => number) | readonly ((t: number) => number)[]) {
    super(optimizer);
    this.lambdas = perGroup('MultiplicativeLR', 'lrLambda', lrLambda, optimizer);
    this.set();
  }
  override lrAt(t: number, baseLr: number, group: number): number {
    let lr = baseLr;
    for (let i = 1; i <= t; i++) lr *= this.lambdas[group]?.(i) ?? 1;
    return lr;
  }
  protected override advance(lr: number, t: number, _baseLr: number, group: number): number {
    return t > 0 ? lr * (this.lambdas[group]?.(t) ?? 1) : lr;
  }
}

export interface SWALROptions {
  /** Steps until `swaLr` is reached. Default 10. */
  readonly annealEpochs?: number;
  /** Default 'cos'. */
  readonly annealStrategy?: 'cos' | 'linear';
}

/** From the rate that is there to a constant `swaLr`, at which weights are averaged (torch.optim.swa_utils.SWALR). */
export class SWALR extends Scheduler {
  private readonly swaLrs: readonly number[];
  private readonly annealEpochs: number;
  private readonly annealStrategy: 'cos' | 'linear';
  constructor(optimizer: Schedulable, swaLr: number | readonly number[], { annealEpochs = 10, annealStrategy = 'cos' }: SWALROptions = {}) {
    super(optimizer);
    this.swaLrs = perGroup('SWALR', 'swaLr', swaLr, optimizer);
    checkNumber('SWALR', 'annealEpochs', annealEpochs, (v) => Number.isInteger(v) && v >= 0, 'an integer >= 0');
    checkStrategy('SWALR', annealStrategy);
    this.annealEpochs = annealEpochs;
    this.annealStrategy = annealStrategy;
    this.set();
  }
  /** How far the way to the new rate is done, 0..1. */
  private share(t: number): number {
    const linear = Math.max(0, Math.min(1, t / Math.max(1, this.annealEpochs)));
    return this.annealStrategy === 'linear' ? linear : (1 - Math.cos(Math.PI * linear)) / 2;
  }
  override lrAt(t: number, baseLr: number, group: number): number {
    const share = this.share(this.annealEpochs === 0 ? Math.max(1, t) : t);
    return (this.swaLrs[group] ?? baseLr) * share + baseLr * (1 - share);
  }
  protected override advance(lr: number, t: number, _baseLr: number, group: number): number {
    const step = this.annealEpochs === 0 ? Math.max(1, t) : t;
    const target = this.swaLrs[group] ?? lr;
    const [before, now] = [this.share(step - 1), this.share(step)];
    const start = before === 1 ? target : (lr - before * target) / (1 - before);
    return target * now + start * (1 - now);
  }
}

export function checkStrategy(op: string, strategy: string): void {
  if (strategy === 'cos' || strategy === 'linear') return;
  throw new LibError('option', `${op}: annealStrategy must be 'cos' or 'linear', got '${strategy}'.`);
}
