import { LibError, nearest } from '../core/errors.js';
import type { AsyncDataset, Dataset } from '../data/dataset.js';
import { DataLoader } from '../data/loader.js';
import type { Metric } from '../metrics/metric.js';
import type { AnyModule } from '../nn/module.js';
import type { GradScalerOptions } from '../optim/gradScaler.js';
import type { OptimizerState } from '../optim/optimizer.js';
import type { Schedulable, SchedulerState } from '../optim/scheduler.js';
import type { Tensor } from '../tensor/tensor.js';
import type { Callback } from './callbacks.js';
import type { DivergenceOptions } from './divergence.js';
import type { ForwardFn, LossFn } from './evaluate.js';
import type { TrainEvent } from './events.js';
import type { Recorder, RunConfig, SavedRun } from './recorder.js';

/** What products are computed in; weights, sums, norms and losses are float32 in any case. */
export type Precision = 'float32' | 'bfloat16' | 'float16';

/** What the loop needs of an optimizer. */
export interface TrainOptimizer extends Schedulable {
  step(): void;
  zeroGrad(): void;
  stateDict(): OptimizerState;
  loadStateDict(state: OptimizerState): void;
}

/** What the loop needs of a schedule. */
export interface TrainSchedule {
  /** What one step of the schedule stands for. */
  readonly unit: 'epoch' | 'batch';
  /** Whether the last step began the rates anew (warm restarts). */
  readonly restarted?: boolean;
  step(): void;
  stateDict(): SchedulerState;
  loadStateDict(state: SchedulerState): void;
}

/** How long training will be: what one-cycle and cosine schedules are made of. */
export interface RunLength {
  readonly epochs: number;
  /** Steps of the optimizer an epoch: batches divided by `accumulate`, rounded up. */
  readonly stepsPerEpoch: number;
  readonly totalSteps: number;
}

/** Batches that can be taken up in the middle of an epoch. A DataLoader is one. */
export interface Batches<B> extends AsyncIterable<B> {
  readonly length: number;
  readonly batchSize: number;
  batchesOf(epoch: number, from?: number): AsyncIterable<B>;
}
export type DataSource<B> = Batches<B> | Dataset<unknown> | AsyncDataset<B>;

export interface FitOptions<B = readonly [Tensor, Tensor]> {
  readonly model: AnyModule;
  /** Training data: a loader, or a dataset (then it is shuffled and batched here). */
  readonly train: DataSource<B>;
  /** Data for a validation pass after each epoch; it decides which weights are the best. */
  readonly validation?: DataSource<B>;
  readonly loss: LossFn;
  /** An optimizer, or what makes one. */
  readonly optimizer: TrainOptimizer | ((model: AnyModule) => TrainOptimizer);
  /** A learning rate schedule, or what makes one. */
  readonly schedule?: TrainSchedule | ((optimizer: TrainOptimizer, length: RunLength) => TrainSchedule);
  /** When the schedule steps. Default: what it was made for. */
  readonly scheduleEvery?: 'step' | 'epoch';
  readonly metrics?: readonly Metric[];
  /** Passes over the training data, in all: a resumed run does what is left. Default 1. */
  readonly epochs?: number;
  /** For datasets. Default 32. */
  readonly batchSize?: number;
  /** For validation datasets. Default: four times batchSize. */
  readonly validationBatchSize?: number;
  /** Largest norm of the gradient; larger ones are scaled down. Default: no clipping. */
  readonly clipGradNorm?: number;
  /** Batches per step of the optimizer: gradients are averaged over them, weighted by their sizes. Default 1. */
  readonly accumulate?: number;
  readonly callbacks?: readonly Callback[];
  /** Seeds all random streams of the library before training. Default: they stay as they are. */
  readonly seed?: number;
  /** How the model is applied to a batch. Default: `[input, target]` batches, `model.forward(input)`. */
  readonly forward?: ForwardFn<B>;
  /** Which validation score decides about the best weights: 'loss' or a metric's name. Default 'loss'. */
  readonly monitor?: string;
  /** Measure training scores again at the end of each epoch, in evaluation mode. Default false. */
  readonly evaluateTrain?: boolean;
  /** Give the model its best weights in the end. Default true. */
  readonly restoreBest?: boolean;
  /** Stop when a loss is NaN or infinite. Default true. */
  readonly stopOnNonFinite?: boolean;
  /**
   * Capture steps as programs and replay them. Default: where that works, with a note where it does not; `true`: an error instead of the
   * note; `false`: eagerly, op by op.
   */
  readonly compile?: boolean;
  /**
   * `bfloat16`, `float16`: forward and backward under autocast, weights and optimizer state in float32. float16 scales losses
   * ({@link GradScaler}) and skips steps whose gradients overflow. Default 'float32'.
   */
  readonly precision?: Precision;
  /** How losses are scaled in float16. */
  readonly gradScaler?: GradScalerOptions;
  /** What to do when the loss diverges: see {@link divergence}. Default 'note': a warning, and NaN and Infinity stop the run. */
  readonly divergence?: 'stop' | 'restore' | 'note' | DivergenceOptions;
  /** Run each step under {@link detectAnomaly}, eagerly: slow, for finding the first NaN. Default false. */
  readonly detectAnomaly?: boolean;
  /** Folder for the run's log, weights and checkpoint. Default: nothing is written. */
  readonly runDir?: string;
  /** Keeps the run instead of a folder. */
  readonly recorder?: Recorder;
  /** What the run log says about how this run was set up. */
  readonly config?: RunConfig;
  /** Go on with an earlier run: `await loadRun(folder)`. */
  readonly resume?: SavedRun;
  /** Stops after the current step, with a checkpoint. */
  readonly signal?: AbortSignal;
  /** Told of everything that happens. */
  readonly onEvent?: (event: TrainEvent) => void;
  /** Told how far a validation pass is, 0..1. */
  readonly onEvaluate?: (done: number) => void;
}

export function checkRange(op: string, key: string, value: unknown, integer: boolean, least: number): void {
  if (value === undefined) return;
  const right = typeof value === 'number' && (integer ? Number.isSafeInteger(value) : Number.isFinite(value)) && value >= least;
  if (!right)
    throw new LibError('value', `${op}: ${key} must be ${integer ? 'an integer' : 'a finite number'} >= ${least}, got ${String(value)}.`);
}

export function checkFitOptions<B>(options: FitOptions<B>): void {
  for (const key of ['model', 'train', 'loss', 'optimizer'] as const) {
    if (options[key] === undefined) throw new LibError('option', `fit: '${key}' must be given, got undefined.`);
  }
  if (typeof options.loss !== 'function') {
    throw new LibError(
      'option',
      `fit: loss must be a function of output and target, got ${typeof options.loss}.`,
      'a function like crossEntropy, or (y, t) => loss.forward(y, t).',
    );
  }
  checkRange('fit', 'epochs', options.epochs, true, 1);
  checkRange('fit', 'batchSize', options.batchSize, true, 1);
  checkRange('fit', 'validationBatchSize', options.validationBatchSize, true, 1);
  checkRange('fit', 'accumulate', options.accumulate, true, 1);
  checkRange('fit', 'seed', options.seed, true, 0);
  checkRange('fit', 'clipGradNorm', options.clipGradNorm, false, 0);
  const { precision = 'float32' } = options;
  if (!['float32', 'bfloat16', 'float16'].includes(precision)) {
    throw new LibError('option', `fit: precision must be float32, bfloat16 or float16, got ${String(precision)}.`);
  }
  checkMonitor(options.monitor, options.metrics ?? []);
}

function checkMonitor(monitor: string | undefined, metrics: readonly Metric[]): void {
  const names = ['loss', ...metrics.map((m) => m.name)];
  if (monitor === undefined || names.includes(monitor)) return;
  const guess = nearest(monitor, names);
  throw new LibError('option', `fit: monitor must be one of ${names.join(', ')}, got '${monitor}'.`, guess && `did you mean '${guess}'?`);
}

/** A loader as it is; a dataset in batches. */
export function batchesFrom<B>(data: DataSource<B>, batchSize: number, shuffle: boolean): Batches<B> {
  if ('batchesOf' in data) return data;
  return new DataLoader<unknown, B>(data, { batchSize, shuffle });
}
