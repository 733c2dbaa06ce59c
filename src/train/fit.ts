import { openRecorder } from '#recorder';
import { LibError } from '../core/errors.js';
import { GradScaler } from '../optim/gradScaler.js';
import { defaultDevice } from '../tensor/device.js';
import { manualSeed } from '../tensor/random.js';
import type { Tensor } from '../tensor/tensor.js';
import type { Callback } from './callbacks.js';
import { divergence } from './divergence.js';
import { forwardPair } from './evaluate.js';
import { batchesFrom, checkFitOptions, type FitOptions, type RunLength, type TrainSchedule } from './options.js';
import type { Best, EpochRecord } from './progress.js';
import type { Recorder } from './recorder.js';
import { type Setup, Trainer } from './trainer.js';

export interface FitResult {
  /** One record an epoch, also those before a resumption. */
  readonly history: readonly EpochRecord[];
  /** The best weights by validation; the model has them now. Null without validation data. */
  readonly best: Best | null;
  /** 'finished', 'interrupted' or the reason that a callback gave. */
  readonly stopped: string;
  readonly epochs: number;
  readonly steps: number;
  /** Training time of this call, validation included. */
  readonly seconds: number;
  /** Where the run was written, or null. */
  readonly folder: string | null;
}

/**
 * Trains a model: zero gradients, forward, loss, backward, clip, optimizer step, schedule step; a validation pass after each epoch; the
 * best weights in the end. A run with `runDir` leaves its log, weights and a checkpoint there.
 * @example
 * const optimizer = new AdamW(model.parameters());
 * await fit({ model, train, validation, loss: crossEntropy, optimizer, metrics: [accuracy()], epochs: 3 });
 */
export async function fit<B = readonly [Tensor, Tensor]>(options: FitOptions<B>): Promise<FitResult> {
  checkFitOptions(options);
  if (options.seed !== undefined) manualSeed(options.seed);
  const setup = setupOf(options);
  const trainer = new Trainer(setup);
  if (options.resume !== undefined) {
    trainer.resume(options.resume);
    const { epoch } = trainer.progress;
    if (epoch >= setup.epochs) {
      throw new LibError(
        'option',
        `fit: a resumed run needs epochs that are left, got ${epoch} done of ${setup.epochs}.`,
        `ask for more epochs than ${epoch}.`,
      );
    }
  }
  const recorder = options.recorder ?? (options.runDir === undefined ? null : await openRecorder(options.runDir, options.config ?? {}));
  trainer.recorder = recorder;
  const started = performance.now();
  try {
    trainer.announce(options.seed ?? 0, options.resume !== undefined, defaultDevice().describe());
    await trainer.run();
  } finally {
    await recorder?.close();
  }
  const { history, best, epoch, step } = trainer.progress;
  const seconds = (performance.now() - started) / 1000;
  return { history, best, stopped: trainer.stopped ?? 'finished', epochs: epoch, steps: step, seconds, folder: folderOf(recorder) };
}

const folderOf = (recorder: Recorder | null): string | null => recorder?.folder ?? null;

/** A schedule made for epochs is over after a few batches, and one made for batches never gets anywhere by epochs. */
function whenToStep(schedule: TrainSchedule | null, asked: 'step' | 'epoch' | undefined): 'step' | 'epoch' {
  const declared = schedule?.unit === 'epoch' ? 'epoch' : 'step';
  if (schedule === null || asked === undefined || asked === declared) return asked ?? declared;
  throw new LibError(
    'option',
    `fit: scheduleEvery must be what the schedule declares, got '${asked}' for one that steps per ${schedule.unit}.`,
    `declare it: schedule.per('${asked === 'step' ? 'batch' : 'epoch'}').`,
  );
}

/** What watches the loss: a policy; by default, a note of losses that are far too high and a stop at the first that is not finite. */
function guards<B>({ divergence: policy }: FitOptions<B>, stopOnNonFinite: boolean): Callback[] {
  if (policy !== undefined) return [divergence(typeof policy === 'string' ? { action: policy } : policy)];
  return stopOnNonFinite ? [divergence({ action: 'note' })] : [];
}

/** Fills in what was left open. */
function setupOf<B>(options: FitOptions<B>): Setup<B> {
  const { model, batchSize = 32, epochs = 1, accumulate = 1, forward = forwardPair, callbacks = [], stopOnNonFinite = true } = options;
  const train = batchesFrom(options.train, batchSize, true);
  const { validationBatchSize = 4 * train.batchSize } = options;
  const optimizer = typeof options.optimizer === 'function' ? options.optimizer(model) : options.optimizer;
  const stepsPerEpoch = Math.ceil(train.length / accumulate);
  const length: RunLength = { epochs, stepsPerEpoch, totalSteps: epochs * stepsPerEpoch };
  const schedule = typeof options.schedule === 'function' ? options.schedule(optimizer, length) : (options.schedule ?? null);
  return {
    model,
    train,
    validation: options.validation === undefined ? null : batchesFrom(options.validation, validationBatchSize, false),
    loss: options.loss,
    forward,
    optimizer,
    schedule,
    scheduleEvery: whenToStep(schedule, options.scheduleEvery),
    metrics: options.metrics ?? [],
    epochs,
    clipGradNorm: options.clipGradNorm ?? null,
    accumulate,
    callbacks: [...guards(options, stopOnNonFinite), ...callbacks],
    monitor: options.monitor ?? 'loss',
    evaluateTrain: options.evaluateTrain ?? false,
    restoreBest: options.restoreBest ?? true,
    compile: options.detectAnomaly === true ? false : (options.compile ?? 'auto'),
    precision: options.precision ?? 'float32',
    scaler: options.precision === 'float16' ? new GradScaler(options.gradScaler) : null,
    detectAnomaly: options.detectAnomaly ?? false,
    signal: options.signal ?? null,
    onEvent: options.onEvent ?? (() => undefined),
    onEvaluate: options.onEvaluate ?? (() => undefined),
  };
}
