import { LibError } from '../core/errors.js';
import { checkNumber } from './optimizer.js';

/** Anything whose groups have a learning rate. */
export interface Schedulable {
  readonly paramGroups: readonly ScheduledGroup[];
  /** How many steps the optimizer has taken, where it counts them. */
  readonly stepCount?: number;
}
export interface ScheduledGroup {
  lr: number;
  initialLr?: number;
  momentum?: number;
  betas?: readonly [number, number];
}

export interface SchedulerState {
  readonly lastEpoch: number;
  readonly baseLrs: readonly number[];
  readonly lastLr: readonly number[];
  /** Of schedules made of others: theirs. */
  readonly schedulers?: readonly SchedulerState[];
}

/** What one step of a schedule stands for. */
export type ScheduleUnit = 'epoch' | 'batch';

/**
 * Sets the learning rates of an optimizer as a function of how often `step()` was called (PyTorch: torch.optim.lr_scheduler).
 * Each step changes the rates that are there, so several schedules of one optimizer multiply; `lrAt` is the closed form of one alone.
 */
export abstract class Scheduler {
  readonly baseLrs: number[];
  /** How many steps were taken. PyTorch's name; it counts whatever `step()` is called for. */
  lastEpoch = 0;
  /** What `step()` is to be called for: the trainer goes by it. */
  unit: ScheduleUnit = 'epoch';

  constructor(readonly optimizer: Schedulable) {
    for (const group of optimizer.paramGroups) group.initialLr ??= group.lr;
    this.baseLrs = optimizer.paramGroups.map((g) => g.initialLr ?? g.lr);
  }

  /** Declares what `step()` is called for. */
  per(unit: ScheduleUnit): this {
    this.unit = unit;
    return this;
  }

  /** The learning rate of a group after `t` steps, in closed form. */
  abstract lrAt(t: number, baseLr: number, group: number): number;

  /** The rate after step `t` (0: when the schedule begins), from the one before. Schedules that multiply override it. */
  protected advance(_lr: number, t: number, baseLr: number, group: number): number {
    return this.lrAt(t, baseLr, group);
  }

  /** Sets the rates of the current step; subclasses call it when they are constructed. */
  protected set(): void {
    this.optimizer.paramGroups.forEach((group, i) => {
      group.lr = this.advance(group.lr, this.lastEpoch, this.baseLrs[i] ?? group.lr, i);
    });
  }

  /** Goes on by one; after the optimizer's step. */
  step(): void {
    if (this.lastEpoch === 0) noteOrder(this.constructor.name, this.optimizer);
    this.lastEpoch++;
    this.set();
  }

  /** @internal Begins now, whatever the rates were: how one schedule takes over from another. */
  begin(): void {
    this.lastEpoch = 0;
    this.optimizer.paramGroups.forEach((group, i) => {
      group.lr = this.lrAt(0, this.baseLrs[i] ?? group.lr, i);
    });
  }

  /** The rate of each group now. */
  getLastLr(): number[] {
    return this.optimizer.paramGroups.map((g) => g.lr);
  }

  stateDict(): SchedulerState {
    return { lastEpoch: this.lastEpoch, baseLrs: [...this.baseLrs], lastLr: this.getLastLr() };
  }
  /** Goes on where the schedule of this state was, with its rates. */
  loadStateDict(state: SchedulerState): void {
    if (state.baseLrs.length !== this.baseLrs.length) {
      throw new LibError('state', `Scheduler: the state must have as many groups, got ${state.baseLrs.length} for ${this.baseLrs.length}.`);
    }
    this.lastEpoch = state.lastEpoch;
    this.baseLrs.splice(0, this.baseLrs.length, ...state.baseLrs);
    this.optimizer.paramGroups.forEach((group, i) => {
      group.lr = state.lastLr[i] ?? group.lr;
    });
  }
}

/** A schedule that begins before the optimizer has moved skips its first rate. */
function noteOrder(name: string, { stepCount }: Schedulable): void {
  if (stepCount !== 0) return;
  console.warn(
    `${name}: step() was called before the optimizer's, so the first learning rate is never used.\n` +
      '  Hint: call optimizer.step() first, then schedule.step().',
  );
}

export const positiveInteger = (op: string, key: string, value: number): void =>
  checkNumber(op, key, value, (v) => Number.isInteger(v) && v > 0, 'a positive integer');

/** One value for all groups, or a list with one for each. */
export function perGroup<T>(op: string, key: string, value: T | readonly T[], { paramGroups }: Schedulable): T[] {
  const wrong = [value].flat().find((v) => typeof v === 'number' && !(v >= 0));
  if (wrong !== undefined) throw new LibError('value', `${op}: ${key} must be a number >= 0, got ${String(wrong)}.`);
  if (!Array.isArray(value)) return paramGroups.map(() => value as T);
  if (value.length === paramGroups.length) return [...(value as readonly T[])];
  throw new LibError('value', `${op}: ${key} must have one entry for each group, got ${value.length} for ${paramGroups.length}.`);
}

/** Whether momentum can be cycled: every group must have one, or betas. */
export function checkMomentum(op: string, { paramGroups }: Schedulable): void {
  if (paramGroups.every((g) => g.betas !== undefined || g.momentum !== undefined)) return;
  throw new LibError(
    'option',
    `${op}: cycleMomentum needs an optimizer with momentum or betas, got one without.`,
    'pass { cycleMomentum: false }.',
  );
}

export function setMomentum(group: ScheduledGroup, momentum: number): void {
  if (group.betas !== undefined) group.betas = [momentum, group.betas[1]];
  else group.momentum = momentum;
}
