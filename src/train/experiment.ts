import { LibError, nearest } from '../core/errors.js';
import type { Dataset } from '../data/dataset.js';
import type { Metric } from '../metrics/metric.js';
import type { AnyModule, Parameter } from '../nn/module.js';
import type { Tensor } from '../tensor/tensor.js';
import type { Callback } from './callbacks.js';
import type { ForwardFn, LossFn } from './evaluate.js';
import { checkRange, type DataSource, type Precision, type RunLength, type TrainOptimizer, type TrainSchedule } from './options.js';
import type { TestLock } from './testLock.js';

/** Data of an experiment: training, and if there are any, validation (after each epoch) and test (once, in the end). */
export interface ExperimentData<B = readonly [Tensor, Tensor]> {
  readonly train: DataSource<B> | Dataset<unknown>;
  readonly validation?: DataSource<B> | Dataset<unknown>;
  /** In a {@link TestLock}, the same experiment is tested once: a second run needs `testOverride`. */
  readonly test?: DataSource<B> | Dataset<unknown> | TestLock<DataSource<B> | Dataset<unknown>>;
}

/** Plain values that the command line, a search or a form can change. */
export type Settings = Readonly<Record<string, unknown>>;

/** A part of an experiment: what makes it, and plain values that it is made with. */
export interface ModelPart {
  /** A module class, called with `new`; its only argument are the other values of this part. */
  readonly type: new (
    settings: never,
  ) => AnyModule;
}
export interface OptimizerPart {
  /** An optimizer class, called with the model's parameters and the other values of this part. */
  readonly type: new (
    params: Parameter[],
    settings: never,
  ) => TrainOptimizer;
}
export interface SchedulePart {
  /** Makes the schedule; called with the optimizer, the other values of this part, and how long training will be. */
  readonly make: (optimizer: TrainOptimizer, settings: never, length: RunLength) => TrainSchedule;
}
export interface DataPart<B> {
  /** Loads the data; its only argument are the other values of this part. */
  readonly make: (settings: never) => ExperimentData<B> | Promise<ExperimentData<B>>;
}

/** Everything that defines a training run and nothing about the machine: no paths, no engines, no processes. */
export interface ExperimentOptions<B = readonly [Tensor, Tensor]> {
  /** For run folders and titles. Default: the file's name. */
  readonly name?: string;
  readonly model: (() => AnyModule) | (ModelPart & Settings);
  readonly data: (() => ExperimentData<B> | Promise<ExperimentData<B>>) | (DataPart<B> & Settings);
  readonly loss: LossFn;
  readonly optimizer: ((model: AnyModule) => TrainOptimizer) | (OptimizerPart & Settings);
  readonly schedule?: ((optimizer: TrainOptimizer, length: RunLength) => TrainSchedule) | (SchedulePart & Settings);
  readonly scheduleEvery?: 'step' | 'epoch';
  readonly metrics?: readonly Metric[];
  /** Made anew for each run: callbacks remember things. */
  readonly callbacks?: () => readonly Callback[];
  /** Default 1. */
  readonly epochs?: number;
  /** Default 32. */
  readonly batchSize?: number;
  /** Default: four times batchSize. */
  readonly validationBatchSize?: number;
  /** Default 0. */
  readonly seed?: number;
  readonly clipGradNorm?: number;
  readonly accumulate?: number;
  readonly forward?: ForwardFn<B>;
  readonly monitor?: string;
  readonly evaluateTrain?: boolean;
  /** Replay captured steps. Default: where that works. */
  readonly compile?: boolean;
  /** What products are computed in. Default 'float32'. */
  readonly precision?: Precision;
  /** Names of the classes, for confusion matrices. */
  readonly classes?: readonly string[];
}

/** An experiment that was checked. */
export interface Experiment<B = readonly [Tensor, Tensor]> extends ExperimentOptions<B> {
  readonly kind: 'chainrule experiment';
}

const parts = { model: 'type', data: 'make', optimizer: 'type', schedule: 'make' } as const;

/**
 * Describes a training run, for `npx chainrule train`, a page or a search to carry out. The default export of an experiment file.
 * A part is a function, or an object with its maker and plain values, which `--set optimizer.lr=3e-4` can change.
 * @example
 * export default experiment({
 *   model: Net,
 *   data: mnist, …
 * })
 */
export function experiment<B = readonly [Tensor, Tensor]>(options: ExperimentOptions<B>): Experiment<B> {
  checkExperiment(options);
  return { ...options, kind: 'chainrule experiment' };
}

function checkExperiment(options: object): void {
  const given = options as Readonly<Record<string, unknown>>;
  for (const key of ['model', 'data', 'loss', 'optimizer']) {
    if (given[key] === undefined) throw new LibError('option', `experiment: '${key}' must be given, got an experiment without it.`);
  }
  if (typeof given.loss !== 'function') throw new LibError('option', `experiment: loss must be a function, got ${typeof given.loss}.`);
  for (const [key, maker] of Object.entries(parts)) checkPart(key, maker, given[key]);
  for (const key of ['epochs', 'batchSize', 'validationBatchSize', 'accumulate']) checkRange('experiment', key, given[key], true, 1);
  checkRange('experiment', 'seed', given.seed, true, 0);
  checkRange('experiment', 'clipGradNorm', given.clipGradNorm, false, 0);
}

function checkPart(key: string, maker: string, part: unknown): void {
  if (part === undefined || typeof part === 'function') return;
  const given = typeof part === 'object' && part !== null ? (part as Settings)[maker] : undefined;
  if (typeof given === 'function') return;
  throw new LibError(
    'option',
    `experiment: ${key} must be a function or an object with '${maker}' and plain values, got ${describe(part)}.`,
  );
}

const describe = (value: unknown): string =>
  typeof value === 'object' && value !== null ? `an object with ${Object.keys(value).join(', ') || 'nothing'}` : String(value);

/** The plain values of a part, without its maker. */
export function settingsOf(part: unknown): Settings {
  if (typeof part !== 'object' || part === null) return {};
  return Object.fromEntries(Object.entries(part).filter(([, value]) => typeof value !== 'function'));
}

/** Every plain value of an experiment, for the run's config. */
export function plainValues(exp: Experiment<never>): Readonly<Record<string, unknown>> {
  const plain: Record<string, unknown> = {};
  for (const [key, value] of Object.entries(exp)) {
    if (key === 'kind' || key === 'metrics') continue;
    if (key in parts) plain[key] = typeof value === 'function' ? value.name : { ...settingsOf(value), ...makerName(key, value) };
    else if (typeof value !== 'function') plain[key] = value;
  }
  return plain;
}

function makerName(key: string, part: unknown): Settings {
  const maker = parts[key as keyof typeof parts];
  const made = (part as Settings)[maker];
  return typeof made === 'function' && made.name !== '' && made.name !== maker ? { [maker]: made.name } : {};
}

/**
 * An experiment with some plain values changed, by dotted path. Unknown paths are errors: a typing mistake must not train something else.
 * @example withValues(exp, { 'optimizer.lr': 3e-4, epochs: 5 })
 */
export function withValues<B>(exp: Experiment<B>, values: Readonly<Record<string, unknown>>): Experiment<B> {
  let changed: Record<string, unknown> = { ...exp };
  for (const [path, value] of Object.entries(values)) changed = setPath(changed, path, value);
  const { kind: _, ...options } = changed;
  checkExperiment(options);
  return changed as unknown as Experiment<B>;
}

const topLevel = [
  'epochs',
  'batchSize',
  'validationBatchSize',
  'seed',
  'clipGradNorm',
  'accumulate',
  'monitor',
  'scheduleEvery',
  'evaluateTrain',
  'compile',
  'precision',
  'name',
];

function setPath(target: Record<string, unknown>, path: string, value: unknown): Record<string, unknown> {
  const [head = '', ...rest] = path.split('.');
  if (rest.length === 0) {
    if (topLevel.includes(head)) return { ...target, [head]: value };
    throw unknownPath(path, target);
  }
  const part = target[head];
  if (!(head in parts) || typeof part !== 'object' || part === null) throw unknownPath(path, target);
  return { ...target, [head]: setInside(part as Settings, rest, value, path, target) };
}

function setInside(part: Settings, [key = '', ...rest]: readonly string[], value: unknown, path: string, all: object): Settings {
  const old = part[key];
  if (!(key in part) || typeof old === 'function') throw unknownPath(path, all);
  if (rest.length === 0) return { ...part, [key]: checkKind(path, old, value) };
  if (typeof old !== 'object' || old === null) throw unknownPath(path, all);
  return { ...part, [key]: setInside(old as Settings, rest, value, path, all) };
}

function checkKind(path: string, old: unknown, value: unknown): unknown {
  const [was, is] = [Array.isArray(old) ? 'a list' : typeof old, Array.isArray(value) ? 'a list' : typeof value];
  if (was === is || old === null || old === undefined || value === null) return value;
  throw new LibError('option', `experiment: ${path} must be ${was === 'a list' ? was : `a ${was}`}, got ${JSON.stringify(value)}.`);
}

function unknownPath(path: string, target: object): LibError {
  const paths = [...topLevel, ...Object.keys(parts).flatMap((key) => pathsIn(key, settingsOf((target as Settings)[key])))];
  const guess = nearest(path, paths);
  const message = `experiment: values that can be set are ${paths.join(', ')}, got '${path}'.`;
  const hint = 'write the part as an object with plain values: optimizer: { type: AdamW, lr: 1e-3 }.';
  return new LibError('option', message, guess === undefined ? hint : `did you mean '${guess}'?`);
}

function pathsIn(prefix: string, settings: Settings): string[] {
  return Object.entries(settings).flatMap(([key, value]) => {
    const path = `${prefix}.${key}`;
    return typeof value === 'object' && value !== null && !Array.isArray(value) ? pathsIn(path, value as Settings) : [path];
  });
}
