import { LibError } from '../core/errors.js';
import { type Schedulable, Scheduler, type SchedulerState } from './scheduler.js';

function checkSame(op: string, optimizer: Schedulable, schedulers: readonly Scheduler[]): void {
  if (schedulers.length === 0) throw new LibError('value', `${op}: there must be a schedule, got an empty list.`);
  const other = schedulers.findIndex((s) => s.optimizer !== optimizer);
  if (other >= 0) throw new LibError('value', `${op}: all schedules must be of one optimizer, got another one for schedule ${other}.`);
  const units = new Set(schedulers.map((s) => s.unit));
  if (units.size > 1) {
    throw new LibError(
      'option',
      `${op}: all schedules must step for the same thing, got ${[...units].join(' and ')}.`,
      'declare it: per(unit).',
    );
  }
}

/** Loads the states of parts. */
function loadParts(op: string, parts: readonly Scheduler[], { schedulers = [] }: SchedulerState): void {
  if (schedulers.length !== parts.length) {
    throw new LibError('state', `${op}: the state must be of as many schedules, got ${schedulers.length} for ${parts.length}.`);
  }
  parts.forEach((part, i) => {
    part.loadStateDict(schedulers[i] as SchedulerState);
  });
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
    checkSame('SequentialLR', optimizer, schedulers);
    this.unit = schedulers[0]?.unit ?? 'epoch';
    // When they were made, all schedules have set the rate; only the first is to.
    this.part(0).begin();
  }

  private part(t: number): Scheduler {
    return this.schedulers[this.phase(t)] as Scheduler;
  }
  private phase(t: number): number {
    return this.milestones.filter((m) => m <= t).length;
  }

  override lrAt(t: number, baseLr: number, group: number): number {
    const phase = this.phase(t);
    return this.part(t).lrAt(t - (phase === 0 ? 0 : (this.milestones[phase - 1] ?? 0)), baseLr, group);
  }
  override step(): void {
    this.lastEpoch++;
    const part = this.part(this.lastEpoch);
    if (this.milestones.includes(this.lastEpoch)) part.begin();
    else part.step();
  }
  override begin(): void {
    this.lastEpoch = 0;
    this.part(0).begin();
  }
  override stateDict(): SchedulerState {
    return { ...super.stateDict(), schedulers: this.schedulers.map((s) => s.stateDict()) };
  }
  override loadStateDict(state: SchedulerState): void {
    loadParts('SequentialLR', this.schedulers, state);
    super.loadStateDict(state);
  }
}

/**
 * Several schedules of one optimizer, all stepped together: their factors multiply (torch.optim.lr_scheduler.ChainedScheduler).
 * @example new ChainedScheduler([new ConstantLR(optimizer), new ExponentialLR(optimizer, 0.9)])
 */
export class ChainedScheduler extends Scheduler {
  constructor(readonly schedulers: readonly Scheduler[]) {
    const first = schedulers[0];
    if (first === undefined) throw new LibError('value', 'ChainedScheduler: there must be a schedule, got an empty list.');
    super(first.optimizer);
    checkSame('ChainedScheduler', first.optimizer, schedulers);
    this.unit = first.unit;
  }
  override lrAt(t: number, baseLr: number, group: number): number {
    return this.schedulers.reduce((lr, s) => (baseLr === 0 ? 0 : lr * (s.lrAt(t, baseLr, group) / baseLr)), baseLr);
  }
  override step(): void {
    this.lastEpoch++;
    for (const s of this.schedulers) s.step();
  }
  override begin(): void {
    super.begin();
    for (const s of this.schedulers) s.lastEpoch = 0;
  }
  override stateDict(): SchedulerState {
    return { ...super.stateDict(), schedulers: this.schedulers.map((s) => s.stateDict()) };
  }
  override loadStateDict(state: SchedulerState): void {
    loadParts('ChainedScheduler', this.schedulers, state);
    super.loadStateDict(state);
  }
}
