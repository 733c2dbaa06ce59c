import { LibError } from '../core/errors.js';
import type { AnyModule } from '../nn/module.js';
import type { OptimizerState } from '../optim/optimizer.js';
import { type PlateauOptions, ReduceLROnPlateau } from '../optim/plateau.js';
import type { Schedulable } from '../optim/scheduler.js';
import type { Tensor } from '../tensor/tensor.js';
import type { EpochEvent, StepEvent, ValidationEvent } from './events.js';

/** What a callback can do to a run. */
export interface RunControl {
  readonly model: AnyModule;
  readonly optimizer: Schedulable;
  /** Ends training after this step, for the given reason. With `keep: false` the state is not saved: it is not worth going on from. */
  stop(reason: string, options?: { readonly keep?: boolean }): void;
  /** Saves the state after this step. */
  checkpoint(): void;
  /** Steps of the optimizer so far. */
  readonly step: number;
  /** A copy of weights, optimizer state and buffers as they are now. */
  snapshot(): RunSnapshot;
  /** Goes back to such a copy, without going back in the data or the schedule; learning rates are multiplied by `lrFactor` from now on. */
  restore(snapshot: RunSnapshot, options?: { readonly lrFactor?: number }): void;
  /** Writes into the run log. */
  note(text: string, level?: 'info' | 'warning'): void;
}

/** What {@link RunControl.restore} goes back to. */
export interface RunSnapshot {
  readonly step: number;
  readonly model: ReadonlyMap<string, Tensor>;
  readonly optimizer: OptimizerState;
}

/** Code that is called while a model trains. Callbacks with a state are saved and resumed with the run. */
export interface Callback {
  readonly name: string;
  onStart?(run: RunControl): void | Promise<void>;
  onStep?(event: StepEvent, run: RunControl): void;
  /** After an epoch's validation; without validation data, `validation` is null. */
  onEpoch?(event: EpochEvent, validation: ValidationEvent | null, run: RunControl): void | Promise<void>;
  onEnd?(run: RunControl): void | Promise<void>;
  stateDict?(): unknown;
  loadStateDict?(state: never): void;
}

export interface MonitorOptions {
  /** The score to watch: 'loss' or a metric's name; of validation if there is one, else of training. Default 'loss'. */
  readonly monitor?: string;
  /** Whether lower ('min') or higher ('max') is better. Default: 'min' for names that hold 'loss', else 'max'. */
  readonly mode?: 'min' | 'max';
}

function monitored(op: string, monitor: string, epoch: EpochEvent, validation: ValidationEvent | null): number {
  const scores = validation?.scores ?? epoch.train;
  const value = scores[monitor];
  if (value !== undefined) return value;
  throw new LibError('option', `${op}: monitor must be one of ${Object.keys(scores).join(', ')}, got '${monitor}'.`);
}
const modeOf = (monitor: string, mode?: 'min' | 'max'): 'min' | 'max' => mode ?? (/loss|error/i.test(monitor) ? 'min' : 'max');

export interface EarlyStoppingOptions extends MonitorOptions {
  /** Epochs without improvement that are waited for. Default 10. */
  readonly patience?: number;
  /** Smallest change that counts as one. Default 0. */
  readonly minDelta?: number;
}

/** Stops when a score has not improved for `patience` epochs. */
export function earlyStopping({ monitor = 'loss', mode, patience = 10, minDelta = 0 }: EarlyStoppingOptions = {}): Callback {
  if (!(patience >= 0)) throw new LibError('value', `earlyStopping: patience must not be negative, got ${patience}.`);
  const sign = modeOf(monitor, mode) === 'min' ? -1 : 1;
  let best = Number.NEGATIVE_INFINITY;
  let waited = 0;
  return {
    name: 'earlyStopping',
    onEpoch(epoch, validation, run) {
      const value = sign * monitored('earlyStopping', monitor, epoch, validation);
      if (value > best + minDelta) {
        best = value;
        waited = 0;
      } else waited++;
      if (waited >= patience) run.stop(`no better ${monitor} for ${patience} epoch${patience === 1 ? '' : 's'}`);
    },
    stateDict: () => ({ best, waited }),
    loadStateDict(state: { readonly best: number; readonly waited: number }) {
      ({ best, waited } = state);
    },
  };
}

/** Cuts the learning rate when a score has stopped improving ({@link ReduceLROnPlateau}). */
export function plateau({ monitor = 'loss', mode, ...options }: MonitorOptions & Omit<PlateauOptions, 'mode'> = {}): Callback {
  let schedule: ReduceLROnPlateau | null = null;
  let saved: Parameters<ReduceLROnPlateau['loadStateDict']>[0] | null = null;
  const start = (run: RunControl): ReduceLROnPlateau => {
    schedule ??= new ReduceLROnPlateau(run.optimizer, { mode: modeOf(monitor, mode), ...options });
    if (saved !== null) schedule.loadStateDict(saved);
    saved = null;
    return schedule;
  };
  return {
    name: 'plateau',
    onStart: (run) => void start(run),
    onEpoch(epoch, validation, run) {
      const reducer = start(run);
      const before = reducer.getLastLr();
      reducer.step(monitored('plateau', monitor, epoch, validation));
      const after = reducer.getLastLr();
      if (`${before}` !== `${after}`) run.note(`plateau: learning rate ${before.join(', ')} -> ${after.join(', ')}`);
    },
    stateDict: () => schedule?.stateDict(),
    loadStateDict(state: Parameters<ReduceLROnPlateau['loadStateDict']>[0]) {
      saved = state;
    },
  };
}

/** Saves the state every so many steps, besides the end of each epoch. */
export function checkpoint({ everySteps }: { readonly everySteps: number }): Callback {
  if (!Number.isInteger(everySteps) || everySteps < 1) {
    throw new LibError('value', `checkpoint: everySteps must be a positive integer, got ${everySteps}.`);
  }
  return {
    name: 'checkpoint',
    onStep({ step }, run) {
      if (step % everySteps === 0) run.checkpoint();
    },
  };
}

/** Stops at the first loss that is NaN or infinite; part of every `fit()` unless `stopOnNonFinite` is false. */
export function nanStop(): Callback {
  return {
    name: 'nanStop',
    onStep({ loss, step }, run) {
      if (Number.isFinite(loss)) return;
      run.note(`the loss of step ${step} is ${loss}`, 'warning');
      run.stop(`the loss became ${loss} in step ${step}`, { keep: false });
    },
  };
}

/** Writes the learning rates into the run log whenever they differ from those of the last note, at most every `every` steps. */
export function lrLogging({ every = 100 }: { readonly every?: number } = {}): Callback {
  if (!(every >= 1)) throw new LibError('value', `lrLogging: every must be at least 1, got ${every}.`);
  let last = '';
  return {
    name: 'lrLogging',
    onStep({ step, lr }, run) {
      const now = lr.map((x) => x.toPrecision(4)).join(', ');
      if (step % every !== 0 || now === last) return;
      last = now;
      run.note(`learning rate ${now}`);
    },
  };
}
