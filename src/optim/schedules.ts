import { LibError } from '../core/errors.js';
import { checkNumber } from './optimizer.js';

/** Anything whose groups have a learning rate. */
export interface Schedulable {
  readonly paramGroups: readonly ScheduledGroup[];
}
interface ScheduledGroup {
  lr: number;
  initialLr?: number;
  momentum?: number;
  betas?: readonly [number, number];
}

export interface SchedulerState {
  readonly lastEpoch: number;
  readonly baseLrs: readonly number[];
  readonly lastLr: readonly number[];
}

/**
 * Sets the learning rates of an optimizer as a function of how often `step()` was called (PyTorch: torch.optim.lr_scheduler).
 * Whether a step is an epoch or a batch is the caller's choice; `unit` says what the schedule is made for.
 */
export abstract class Scheduler {
  readonly baseLrs: number[];
  /** How many steps were taken. PyTorch's name; it counts whatever `step()` is called for. */
  lastEpoch = 0;
  readonly unit: 'epoch' | 'batch' = 'epoch';

  constructor(readonly optimizer: Schedulable) {
    for (const group of optimizer.paramGroups) group.initialLr ??= group.lr;
    this.baseLrs = optimizer.paramGroups.map((g) => g.initialLr ?? g.lr);
  }

  /** The learning rate of a group after `t` steps, in closed form. */
  abstract lrAt(t: number, baseLr: number, group: number): number;

  /** Sets the rates of the current step; subclasses call it when they are constructed. */
  protected set(): void {
    this.optimizer.paramGroups.forEach((group, i) => {
      group.lr = this.lrAt(this.lastEpoch, this.baseLrs[i] ?? group.lr, i);
    });
  }

  step(): void {
    this.lastEpoch++;
    this.set();
  }

  getLastLr(): number[] {
    return this.optimizer.paramGroups.map((g) => g.lr);
  }

  stateDict(): SchedulerState {
    return { lastEpoch: this.lastEpoch, baseLrs: [...this.baseLrs], lastLr: this.getLastLr() };
  }
  loadStateDict(state: SchedulerState): void {
    if (state.baseLrs.length !== this.baseLrs.length) {
      throw new LibError('state', `Scheduler: the state must have as many groups, got ${state.baseLrs.length} for ${this.baseLrs.length}.`);
    }
    this.lastEpoch = state.lastEpoch;
    this.baseLrs.splice(0, this.baseLrs.length, ...state.baseLrs);
    this.set();
  }
}

const positiveInteger = (op: string, key: string, value: number): void =>
  checkNumber(op, key, value, (v) => Number.isInteger(v) && v > 0, 'a positive integer');

/** lr · gamma every `stepSize` steps (torch.optim.lr_scheduler.StepLR). */
export class StepLR extends Scheduler {
  constructor(
    optimizer: Schedulable,
    readonly stepSize: number,
    readonly gamma: number = 0.1,
  ) {
    super(optimizer);
    positiveInteger('StepLR', 'stepSize', stepSize);
    this.set();
  }
  override lrAt(t: number, baseLr: number): number {
    return baseLr * this.gamma ** Math.floor(t / this.stepSize);
  }
}

/** lr · gamma at each milestone (torch.optim.lr_scheduler.MultiStepLR). */
export class MultiStepLR extends Scheduler {
  constructor(
    optimizer: Schedulable,
    readonly milestones: readonly number[],
    readonly gamma: number = 0.1,
  ) {
    super(optimizer);
    this.set();
  }
  override lrAt(t: number, baseLr: number): number {
    return baseLr * this.gamma ** this.milestones.filter((m) => m <= t).length;
  }
}

/** lr · gamma^t (torch.optim.lr_scheduler.ExponentialLR). */
export class ExponentialLR extends Scheduler {
  constructor(
    optimizer: Schedulable,
    readonly gamma: number,
  ) {
    super(optimizer);
    this.set();
  }
  override lrAt(t: number, baseLr: number): number {
    return baseLr * this.gamma ** t;
  }
}

/** From startFactor · lr to endFactor · lr in `totalIters` equal steps: a warm-up (torch.optim.lr_scheduler.LinearLR). */
export class LinearLR extends Scheduler {
  readonly startFactor: number;
  readonly endFactor: number;
  readonly totalIters: number;
  constructor(
    optimizer: Schedulable,
    {
      startFactor = 1 / 3,
      endFactor = 1,
      totalIters = 5,
    }: { readonly startFactor?: number; readonly endFactor?: number; readonly totalIters?: number } = {},
  ) {
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
}

/** factor · lr for `totalIters` steps, then lr (torch.optim.lr_scheduler.ConstantLR). */
export class ConstantLR extends Scheduler {
  readonly factor: number;
  readonly totalIters: number;
  constructor(optimizer: Schedulable, { factor = 1 / 3, totalIters = 5 }: { readonly factor?: number; readonly totalIters?: number } = {}) {
    super(optimizer);
    this.factor = factor;
    this.totalIters = totalIters;
    this.set();
  }
  override lrAt(t: number, baseLr: number): number {
    return t < this.totalIters ? baseLr * this.factor : baseLr;
  }
}

/** A half cosine from lr down to etaMin over `tMax` steps (Loshchilov & Hutter 2017; torch.optim.lr_scheduler.CosineAnnealingLR). */
export class CosineAnnealingLR extends Scheduler {
  readonly etaMin: number;
  constructor(
    optimizer: Schedulable,
    readonly tMax: number,
    { etaMin = 0 }: { readonly etaMin?: number } = {},
  ) {
    super(optimizer);
    positiveInteger('CosineAnnealingLR', 'tMax', tMax);
    this.etaMin = etaMin;
    this.set();
  }
  override lrAt(t: number, baseLr: number): number {
    return this.etaMin + ((baseLr - this.etaMin) * (1 + Math.cos((Math.PI * t) / this.tMax))) / 2;
  }
}

/** lr · factor(t) with any function, one or one per group (torch.optim.lr_scheduler.LambdaLR). */
export class LambdaLR extends Scheduler {
  private readonly lambdas: readonly ((t: number) => number)[];
  constructor(optimizer: Schedulable, lrLambda: ((t: number) => number) | readonly ((t: number) => number)[]) {
    super(optimizer);
    this.lambdas = typeof lrLambda === 'function' ? this.baseLrs.map(() => lrLambda) : lrLambda;
    this.set();
  }
  override lrAt(t: number, baseLr: number, group: number): number {
    return baseLr * (this.lambdas[group]?.(t) ?? 1);
  }
}

export interface OneCycleOptions {
  /** Total steps of the cycle. Or give epochs and stepsPerEpoch. */
  readonly totalSteps?: number;
  readonly epochs?: number;
  readonly stepsPerEpoch?: number;
  /** Share of the cycle in which lr rises. Default 0.3. */
  readonly pctStart?: number;
  /** Default 'cos'. */
  readonly annealStrategy?: 'cos' | 'linear';
  /** Move momentum (or Adam's first beta) against lr. Default true. */
  readonly cycleMomentum?: boolean;
  /** Default 0.85. */
  readonly baseMomentum?: number;
  /** Default 0.95. */
  readonly maxMomentum?: number;
  /** The first lr is maxLr / divFactor. Default 25. */
  readonly divFactor?: number;
  /** The last lr is the first / finalDivFactor. Default 1e4. */
  readonly finalDivFactor?: number;
}

/** Up to `maxLr` and down to almost nothing in one cycle; step it every batch (Smith & Topin 2018; torch.optim.lr_scheduler.OneCycleLR). */
export class OneCycleLR extends Scheduler {
  override readonly unit: 'epoch' | 'batch' = 'batch';
  readonly totalSteps: number;
  private readonly options: Required<Omit<OneCycleOptions, 'totalSteps' | 'epochs' | 'stepsPerEpoch'>>;

  constructor(
    optimizer: Schedulable,
    readonly maxLr: number,
    { totalSteps, epochs, stepsPerEpoch, ...options }: OneCycleOptions,
  ) {
    super(optimizer);
    checkNumber('OneCycleLR', 'maxLr', maxLr, (v) => v > 0, 'a finite number > 0');
    this.totalSteps = totalSteps ?? (epochs ?? Number.NaN) * (stepsPerEpoch ?? Number.NaN);
    positiveInteger('OneCycleLR', 'totalSteps (or epochs · stepsPerEpoch)', this.totalSteps);
    const standard = { pctStart: 0.3, annealStrategy: 'cos', cycleMomentum: true, baseMomentum: 0.85, maxMomentum: 0.95 } as const;
    this.options = { ...standard, divFactor: 25, finalDivFactor: 1e4, ...options };
    checkNumber('OneCycleLR', 'pctStart', this.options.pctStart, (v) => v >= 0 && v <= 1, 'in [0, 1]');
    this.set();
  }

  /** Where the cycle stands at step t: from one value to the next, and how far between them. */
  private anneal(t: number, low: number, high: number, last: number): number {
    const { pctStart, annealStrategy } = this.options;
    const peak = pctStart * this.totalSteps - 1;
    const end = this.totalSteps - 1;
    const [from, to, share] = t <= peak ? [low, high, peak > 0 ? t / peak : 1] : [high, last, end > peak ? (t - peak) / (end - peak) : 1];
    if (annealStrategy === 'linear') return from + (to - from) * share;
    return to + ((from - to) / 2) * (1 + Math.cos(Math.PI * share));
  }

  override lrAt(t: number): number {
    const first = this.maxLr / this.options.divFactor;
    return this.anneal(t, first, this.maxLr, first / this.options.finalDivFactor);
  }

  protected override set(): void {
    if (this.lastEpoch > this.totalSteps) {
      throw new LibError(
        'value',
        `OneCycleLR: step() may be called ${this.totalSteps} times, got call ${this.lastEpoch}.`,
        'give the real number of steps: epochs times batches per epoch.',
      );
    }
    super.set();
    const { cycleMomentum, baseMomentum, maxMomentum } = this.options;
    if (!cycleMomentum) return;
    const momentum = this.anneal(this.lastEpoch, maxMomentum, baseMomentum, maxMomentum);
    for (const group of this.optimizer.paramGroups) {
      if (group.betas !== undefined) group.betas = [momentum, group.betas[1]];
      else if (group.momentum !== undefined && group.momentum > 0) group.momentum = momentum;
    }
  }
}

/** Schedules one after the other; each begins at its milestone (torch.optim.lr_scheduler.SequentialLR). */
export class SequentialLR extends Scheduler {
  constructor(
    optimizer: Schedulable,
    readonly schedulers: readonly Scheduler[],
    readonly milestones: readonly number[],
  ) {
    super(optimizer);
    if (schedulers.length !== milestones.length + 1) {
      throw new LibError(
        'value',
        `SequentialLR: there must be one milestone between two schedules, got ${schedulers.length} and ${milestones.length}.`,
      );
    }
    this.set();
  }
  override lrAt(t: number, baseLr: number, group: number): number {
    const phase = this.milestones.filter((m) => m <= t).length;
    const start = phase === 0 ? 0 : (this.milestones[phase - 1] ?? 0);
    return this.schedulers[phase]?.lrAt(t - start, baseLr, group) ?? baseLr;
  }
}

/** The product of several schedules' factors (torch.optim.lr_scheduler.ChainedScheduler). */
export class ChainedScheduler extends Scheduler {
  constructor(
    optimizer: Schedulable,
    readonly schedulers: readonly Scheduler[],
  ) {
    super(optimizer);
    this.set();
  }
  override lrAt(t: number, baseLr: number, group: number): number {
    return this.schedulers.reduce((lr, s) => (baseLr === 0 ? 0 : lr * (s.lrAt(t, baseLr, group) / baseLr)), baseLr);
  }
}

export interface PlateauOptions {
  /** Default 'min'. */
  readonly mode?: 'min' | 'max';
  /** Default 0.1. */
  readonly factor?: number;
  /** Steps without improvement that are waited for. Default 10. */
  readonly patience?: number;
  /** Smallest change that counts. Default 1e-4. */
  readonly threshold?: number;
  /** Whether the threshold is a share of the best value or absolute. Default 'rel'. */
  readonly thresholdMode?: 'rel' | 'abs';
  /** Steps after a cut during which nothing is counted. Default 0. */
  readonly cooldown?: number;
  /** Default 0. */
  readonly minLr?: number;
  /** Cuts smaller than this are not made. Default 1e-8. */
  readonly eps?: number;
}

/** Cuts lr when a metric has stopped improving; call `step(metric)` (torch.optim.lr_scheduler.ReduceLROnPlateau). */
export class ReduceLROnPlateau {
  best: number;
  numBadEpochs = 0;
  private cooldownLeft = 0;
  private readonly options: Required<PlateauOptions>;

  constructor(
    readonly optimizer: Schedulable,
    options: PlateauOptions = {},
  ) {
    const standard = { mode: 'min', factor: 0.1, patience: 10, threshold: 1e-4, thresholdMode: 'rel' } as const;
    this.options = { ...standard, cooldown: 0, minLr: 0, eps: 1e-8, ...options };
    checkNumber('ReduceLROnPlateau', 'factor', this.options.factor, (v) => v > 0 && v < 1, 'in (0, 1)');
    this.best = this.options.mode === 'min' ? Number.POSITIVE_INFINITY : Number.NEGATIVE_INFINITY;
  }

  private improves(metric: number): boolean {
    const { mode, threshold, thresholdMode } = this.options;
    const sign = mode === 'min' ? -1 : 1;
    if (!Number.isFinite(this.best)) return sign * (metric - this.best) > 0;
    return thresholdMode === 'rel' ? sign * (metric - this.best * (1 + sign * threshold)) > 0 : sign * (metric - this.best) > threshold;
  }

  step(metric: number): void {
    if (this.improves(metric)) {
      this.best = metric;
      this.numBadEpochs = 0;
    } else this.numBadEpochs++;
    if (this.cooldownLeft > 0) {
      this.cooldownLeft--;
      this.numBadEpochs = 0;
    }
    if (this.numBadEpochs <= this.options.patience) return;
    this.cut();
    this.cooldownLeft = this.options.cooldown;
    this.numBadEpochs = 0;
  }

  private cut(): void {
    const { factor, minLr, eps } = this.options;
    for (const group of this.optimizer.paramGroups) {
      const next = Math.max(group.lr * factor, minLr);
      if (group.lr - next > eps) group.lr = next;
    }
  }

  getLastLr(): number[] {
    return this.optimizer.paramGroups.map((g) => g.lr);
  }
  stateDict(): { readonly best: number; readonly numBadEpochs: number; readonly cooldownLeft: number } {
    return { best: this.best, numBadEpochs: this.numBadEpochs, cooldownLeft: this.cooldownLeft };
  }
  loadStateDict(state: { readonly best: number; readonly numBadEpochs: number; readonly cooldownLeft: number }): void {
    Object.assign(this, state);
  }
}
