import { openRecorder } from '#recorder';
import { LibError } from '../core/errors.js';
import type { AnyModule } from '../nn/module.js';
import { manualSeed } from '../tensor/random.js';
import type { Tensor } from '../tensor/tensor.js';
import { type Evaluation, evaluate, forwardPair } from './evaluate.js';
import type { TrainEvent, ValidationEvent } from './events.js';
import { type Experiment, type ExperimentData, plainValues, settingsOf, withValues } from './experiment.js';
import { type FitResult, fit } from './fit.js';
import { batchesFrom, type FitOptions, type TrainOptimizer } from './options.js';
import type { Recorder, RunConfig, SavedRun } from './recorder.js';
import { TestLock } from './testLock.js';

export interface RunExperimentOptions {
  /** Values to change, by dotted path: `{ 'optimizer.lr': 3e-4, epochs: 5 }`. */
  readonly set?: Readonly<Record<string, unknown>>;
  /** Folder for the run. Default: nothing is written. */
  readonly runDir?: string;
  readonly recorder?: Recorder;
  readonly resume?: SavedRun;
  readonly signal?: AbortSignal;
  readonly onEvent?: (event: TrainEvent) => void;
  readonly onEvaluate?: (done: number) => void;
  /** Why test data in a {@link TestLock} are used once more by this experiment. */
  readonly testOverride?: string;
}

export interface ExperimentResult extends FitResult {
  readonly model: AnyModule;
  /** Scores on the test data with the best weights; null without test data, or when the run was stopped before its end. */
  readonly test: Evaluation | null;
}

/**
 * Carries out an experiment: seeds, builds, trains, and tests the best weights once.
 * @example const { test } = await runExperiment(exp, { set: { epochs: 1 }, runDir: 'runs/first' })
 */
export async function runExperiment<B = readonly [Tensor, Tensor]>(
  exp: Experiment<B>,
  options: RunExperimentOptions = {},
): Promise<ExperimentResult> {
  const made = await prepare(exp, options.set ?? {});
  const { chosen, model, data } = made;
  const { seed = 0, batchSize = 32 } = chosen;
  const result = await fit<B>({ ...fitOptions(made), ...passedOn(options), config: configOf(chosen, options), seed });
  const interrupted = result.stopped === 'interrupted';
  if (data.test === undefined || interrupted) return { ...result, model, test: null };
  const { loss, metrics = [], forward = forwardPair } = chosen;
  const measure = (given: unknown): Promise<Evaluation> => {
    const loader = batchesFrom<B>(given as never, chosen.validationBatchSize ?? 4 * batchSize, false);
    return evaluate<B>(model, loader, { loss, metrics, forward, ...(options.onEvaluate && { onBatch: options.onEvaluate }) });
  };
  const { testOverride: override } = options;
  const test =
    data.test instanceof TestLock
      ? await data.test.use(chosen.name ?? 'experiment', measure, { ...(override !== undefined && { override }) })
      : await measure(data.test);
  const event: ValidationEvent = {
    type: 'test',
    epoch: result.best?.epoch ?? result.epochs,
    step: result.best?.step ?? result.steps,
    ...test,
  };
  await recordTest(options, event);
  return { ...result, model, test };
}

/** An experiment with its values chosen, seeded and built. */
export interface Prepared<B> {
  readonly chosen: Experiment<B>;
  readonly model: AnyModule;
  readonly data: ExperimentData<B>;
  readonly optimizer: TrainOptimizer;
}

/** Seeds all streams, then makes the model, the data and the optimizer. */
export async function prepare<B>(exp: Experiment<B>, set: Readonly<Record<string, unknown>>): Promise<Prepared<B>> {
  const chosen = withValues(exp, set);
  manualSeed(chosen.seed ?? 0);
  const model = modelOf(chosen);
  const data = await dataOf(chosen);
  return { chosen, model, data, optimizer: optimizerOf(chosen.optimizer, model) };
}

/** What the run log keeps: every plain value, and which of them were changed for this run. */
const configOf = <B>(exp: Experiment<B>, { set = {} }: RunExperimentOptions): RunConfig => ({
  ...plainValues(exp as unknown as Experiment<never>),
  set,
});

async function recordTest({ onEvent, recorder, runDir }: RunExperimentOptions, event: ValidationEvent): Promise<void> {
  onEvent?.(event);
  const log = recorder ?? (runDir === undefined ? null : await openRecorder(runDir, {}));
  log?.event(event);
  await log?.close();
}

/** The options of `fit` that are not the experiment's. */
function passedOn({ runDir, recorder, resume, signal, onEvent, onEvaluate }: RunExperimentOptions): Omit<RunExperimentOptions, 'set'> {
  const given = { runDir, recorder, resume, signal, onEvent, onEvaluate };
  return Object.fromEntries(Object.entries(given).filter(([, value]) => value !== undefined));
}

function fitOptions<B>({ chosen, model, data, optimizer }: Prepared<B>): FitOptions<B> {
  const { name: _n, kind: _k, model: _m, data: _d, classes: _c, optimizer: _o, callbacks, schedule, ...rest } = chosen;
  return {
    ...rest,
    model,
    train: data.train as never,
    ...(data.validation !== undefined && { validation: data.validation as never }),
    optimizer,
    ...(schedule !== undefined && {
      schedule: typeof schedule === 'function' ? schedule : (o, length) => schedule.make(o, settingsOf(schedule) as never, length),
    }),
    ...(callbacks !== undefined && { callbacks: callbacks() }),
  };
}

function optimizerOf(part: Experiment<never>['optimizer'], model: AnyModule): TrainOptimizer {
  if (typeof part === 'function') return part(model);
  return new part.type(model.parameters(), settingsOf(part) as never);
}

function modelOf<B>({ model: part }: Experiment<B>): AnyModule {
  const model = typeof part === 'function' ? part() : new part.type(settingsOf(part) as never);
  if (typeof model?.parameters === 'function') return model;
  throw new LibError(
    'option',
    `experiment: model must make a Module, got ${model === null ? 'null' : typeof model}.`,
    'model: () => new Net().',
  );
}

async function dataOf<B>({ data: part }: Experiment<B>): Promise<ExperimentData<B>> {
  const data = await (typeof part === 'function' ? part() : part.make(settingsOf(part) as never));
  if (data?.train === undefined)
    throw new LibError('option', "experiment: data must have 'train', got none.", 'data: () => ({ train, validation, test }).');
  return data;
}
