import { LibError } from '../core/errors.js';
import { checkNumber } from './optimizer.js';
import { checkMomentum, perGroup, positiveInteger, type Schedulable, Scheduler, type SchedulerState, setMomentum } from './scheduler.js';
import { type CosineOptions, checkStrategy } from './schedules.js';

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
  /** One for all groups or a list. Default 0.85. */
  readonly baseMomentum?: number | readonly number[];
  /** One for all groups or a list. Default 0.95. */
  readonly maxMomentum?: number | readonly number[];
  /** The first lr is maxLr / divFactor. Default 25. */
  readonly divFactor?: number;
  /** The last lr is the first / finalDivFactor. Default 1e4. */
  readonly finalDivFactor?: number;
  /** Fall back to the first lr as fast as it rose, and only then to the last one. Default false. */
  readonly threePhase?: boolean;
}

/** A stretch of the cycle: until `end`, from one level to the next (0: first, 1: highest, 2: last). */
interface Phase {
  readonly end: number;
  readonly from: number;
  readonly to: number;
}

/** Up to `maxLr` and down to almost nothing in one cycle; step it every batch (Smith & Topin 2018; torch.optim.lr_scheduler.OneCycleLR). */
export class OneCycleLR extends Scheduler {
  readonly totalSteps: number;
  readonly maxLrs: readonly number[];
  private readonly phases: readonly Phase[];
  private readonly momenta: readonly (readonly [high: number, low: number])[] | null;
  private readonly options: { readonly annealStrategy: 'cos' | 'linear'; readonly divFactor: number; readonly finalDivFactor: number };

  constructor(optimizer: Schedulable, maxLr: number | readonly number[], options: OneCycleOptions) {
    super(optimizer);
    const { pctStart = 0.3, annealStrategy = 'cos', cycleMomentum = true, divFactor = 25, finalDivFactor = 1e4 } = options;
    this.unit = 'batch';
    this.maxLrs = perGroup('OneCycleLR', 'maxLr', maxLr, optimizer);
    for (const lr of this.maxLrs) checkNumber('OneCycleLR', 'maxLr', lr, (v) => v > 0, 'a finite number > 0');
    this.totalSteps = options.totalSteps ?? (options.epochs ?? Number.NaN) * (options.stepsPerEpoch ?? Number.NaN);
    positiveInteger('OneCycleLR', 'totalSteps (or epochs · stepsPerEpoch)', this.totalSteps);
    checkNumber('OneCycleLR', 'pctStart', pctStart, (v) => v >= 0 && v <= 1, 'in [0, 1]');
    checkNumber('OneCycleLR', 'divFactor', divFactor, (v) => v > 0, 'a finite number > 0');
    checkNumber('OneCycleLR', 'finalDivFactor', finalDivFactor, (v) => v > 0, 'a finite number > 0');
    checkStrategy('OneCycleLR', annealStrategy);
    this.options = { annealStrategy, divFactor, finalDivFactor };
    this.phases = phasesOf(pctStart * this.totalSteps, this.totalSteps - 1, options.threePhase ?? false);
    this.momenta = cycleMomentum ? momentaOf('OneCycleLR', optimizer, options.baseMomentum ?? 0.85, options.maxMomentum ?? 0.95) : null;
    this.set();
  }

  /** Where the cycle stands at step t, between levels. */
  private anneal(t: number, levels: readonly number[]): number {
    let start = 0;
    for (const [i, { end, from, to }] of this.phases.entries()) {
      if (t > end && i < this.phases.length - 1) {
        start = end;
        continue;
      }
      const [a, b] = [levels[from] ?? 0, levels[to] ?? 0];
      const share = end === start ? 1 : (t - start) / (end - start);
      return this.options.annealStrategy === 'linear' ? a + (b - a) * share : b + ((a - b) / 2) * (1 + Math.cos(Math.PI * share));
    }
    return levels[0] ?? 0;
  }

  override lrAt(t: number, _baseLr: number, group: number): number {
    const highest = this.maxLrs[group] ?? 0;
    const first = highest / this.options.divFactor;
    return this.anneal(t, [first, highest, first / this.options.finalDivFactor]);
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
    this.optimizer.paramGroups.forEach((group, i) => {
      const [high, low] = this.momenta?.[i] ?? [0, 0];
      if (this.momenta !== null) setMomentum(group, this.anneal(this.lastEpoch, [high, low, high]));
    });
  }
}

function phasesOf(rise: number, last: number, three: boolean): Phase[] {
  const up = { end: rise - 1, from: 0, to: 1 };
  if (!three) return [up, { end: last, from: 1, to: 2 }];
  return [up, { end: 2 * rise - 2, from: 1, to: 0 }, { end: last, from: 0, to: 2 }];
}

function momentaOf(
  op: string,
  optimizer: Schedulable,
  low: number | readonly number[],
  high: number | readonly number[],
): (readonly [high: number, low: number])[] {
  checkMomentum(op, optimizer);
  const lows = perGroup(op, 'baseMomentum', low, optimizer);
  return perGroup(op, 'maxMomentum', high, optimizer).map((m, i) => [m, lows[i] ?? m] as const);
}

export interface CyclicOptions {
  /** Steps from the lower rate to the upper one. Default 2000. */
  readonly stepSizeUp?: number;
  /** Steps back. Default: stepSizeUp. */
  readonly stepSizeDown?: number;
  /** Cycles of one height, of half the height each time, or scaled by gamma^t. Default 'triangular'. */
  readonly mode?: 'triangular' | 'triangular2' | 'expRange';
  /** For 'expRange'. Default 1. */
  readonly gamma?: number;
  /** Scales the height in place of `mode`. */
  readonly scaleFn?: (x: number) => number;
  /** What `scaleFn` is given: the number of the cycle, from 1, or the step. Default 'cycle'. */
  readonly scaleMode?: 'cycle' | 'iterations';
  /** Move momentum (or Adam's first beta) against lr. Default true. */
  readonly cycleMomentum?: boolean;
  /** One for all groups or a list. Default 0.8. */
  readonly baseMomentum?: number | readonly number[];
  /** One for all groups or a list. Default 0.9. */
  readonly maxMomentum?: number | readonly number[];
}

const modes: Readonly<Record<string, { readonly by: 'cycle' | 'iterations'; readonly scale: (gamma: number) => (x: number) => number }>> = {
  triangular: { by: 'cycle', scale: () => () => 1 },
  triangular2: { by: 'cycle', scale: () => (x) => 1 / 2 ** (x - 1) },
  expRange: { by: 'iterations', scale: (gamma) => (x) => gamma ** x },
};

/** Up and down between two rates, again and again; step it every batch (Smith 2017; torch.optim.lr_scheduler.CyclicLR). */
export class CyclicLR extends Scheduler {
  private readonly maxLrs: readonly number[];
  private readonly length: number;
  private readonly turn: number;
  private readonly scale: (t: number, cycle: number) => number;
  private readonly momenta: readonly (readonly [high: number, low: number])[] | null;

  constructor(optimizer: Schedulable, baseLr: number | readonly number[], maxLr: number | readonly number[], options: CyclicOptions = {}) {
    super(optimizer);
    const { stepSizeUp = 2000, stepSizeDown = stepSizeUp, mode = 'triangular', gamma = 1, scaleFn, cycleMomentum = true } = options;
    this.unit = 'batch';
    this.baseLrs.splice(0, this.baseLrs.length, ...perGroup('CyclicLR', 'baseLr', baseLr, optimizer));
    this.maxLrs = perGroup('CyclicLR', 'maxLr', maxLr, optimizer);
    positiveInteger('CyclicLR', 'stepSizeUp', stepSizeUp);
    positiveInteger('CyclicLR', 'stepSizeDown', stepSizeDown);
    const row = modes[mode];
    if (row === undefined) {
      throw new LibError('option', `CyclicLR: mode must be one of ${Object.keys(modes).join(', ')}, got '${mode}'.`);
    }
    this.length = stepSizeUp + stepSizeDown;
    this.turn = stepSizeUp / this.length;
    const by = scaleFn === undefined ? row.by : (options.scaleMode ?? 'cycle');
    const scale = scaleFn ?? row.scale(gamma);
    this.scale = (t, cycle) => scale(by === 'cycle' ? cycle : t);
    this.momenta = cycleMomentum ? momentaOf('CyclicLR', optimizer, options.baseMomentum ?? 0.8, options.maxMomentum ?? 0.9) : null;
    this.set();
  }

  /** How high above the lower end, 0..1, scaled. */
  private height(t: number): number {
    const cycle = Math.floor(1 + t / this.length);
    const x = 1 + t / this.length - cycle;
    return (x <= this.turn ? x / this.turn : (x - 1) / (this.turn - 1)) * this.scale(t, cycle);
  }

  override lrAt(t: number, baseLr: number, group: number): number {
    return baseLr + ((this.maxLrs[group] ?? baseLr) - baseLr) * this.height(t);
  }

  protected override set(): void {
    super.set();
    this.optimizer.paramGroups.forEach((group, i) => {
      const [high, low] = this.momenta?.[i] ?? [0, 0];
      if (this.momenta !== null) setMomentum(group, high - (high - low) * this.height(this.lastEpoch));
    });
  }
}

export interface WarmRestartsOptions extends CosineOptions {
  /** How much longer each period is than the one before. Default 1. */
  readonly tMult?: number;
}

/**
 * A half cosine from lr down to etaMin, again and again: first over `t0` steps. The loss rises for a while after each restart
 * (Loshchilov & Hutter 2017; torch.optim.lr_scheduler.CosineAnnealingWarmRestarts).
 */
export class CosineAnnealingWarmRestarts extends Scheduler {
  readonly tMult: number;
  readonly etaMin: number;
  /** Where the schedule stands: `lastEpoch` and a fraction. */
  private position = 0;
  /** Whether the last step began a new period. `fit` notes it: losses rise there. */
  restarted = false;

  constructor(
    optimizer: Schedulable,
    readonly t0: number,
    { tMult = 1, etaMin = 0 }: WarmRestartsOptions = {},
  ) {
    super(optimizer);
    positiveInteger('CosineAnnealingWarmRestarts', 't0', t0);
    positiveInteger('CosineAnnealingWarmRestarts', 'tMult', tMult);
    this.tMult = tMult;
    this.etaMin = etaMin;
    this.set();
  }

  /** The number of the period that a time is in, where in it, and how long it is. */
  private place(t: number): readonly [index: number, within: number, length: number] {
    if (this.tMult === 1) return [Math.floor(t / this.t0), t % this.t0, this.t0];
    let [index, within, length] = [0, t, this.t0];
    for (; within >= length; index++) {
      within -= length;
      length *= this.tMult;
    }
    return [index, within, length];
  }
  private period(): number {
    return this.place(this.position)[0];
  }

  override lrAt(t: number, baseLr: number): number {
    const [, within, period] = this.place(t);
    return this.etaMin + ((baseLr - this.etaMin) * (1 + Math.cos((Math.PI * within) / period))) / 2;
  }
  protected override advance(_lr: number, _t: number, baseLr: number): number {
    return this.lrAt(this.position, baseLr);
  }

  /** By one; or to `epoch`, which may be fractional: epoch + batch / batches. */
  override step(epoch?: number): void {
    if (epoch !== undefined) checkNumber('CosineAnnealingWarmRestarts', 'epoch', epoch, (v) => v >= 0, 'a finite number >= 0');
    const before = this.period();
    this.position = epoch ?? this.position + 1;
    this.lastEpoch = Math.floor(this.position);
    this.restarted = this.period() > before;
    this.set();
  }
  override begin(): void {
    this.position = 0;
    super.begin();
  }
  override loadStateDict(state: SchedulerState): void {
    super.loadStateDict(state);
    this.position = state.lastEpoch;
  }
}
