import { LibError } from '../core/errors.js';
import { epochKey, orderKey, uniforms } from '../data/random.js';
import type { Tensor } from '../tensor/tensor.js';
import { type Experiment, type ExperimentOptions, withValues } from './experiment.js';
import { expectedImprovement, GaussianProcess } from './gaussianProcess.js';
import { runExperiment } from './runExperiment.js';

/** What one value may be. Ranges are continuous; `log` draws their exponent evenly, `integer` rounds. A list holds the choices. */
export type SearchDimension =
  | {
      readonly low: number;
      readonly high: number;
      readonly log?: boolean;
      readonly integer?: boolean /** Points of a grid. Default 3. */;
      readonly steps?: number;
    }
  | readonly (string | number | boolean)[];
export type SearchSpace = Readonly<Record<string, SearchDimension>>;
export type SearchPoint = Readonly<Record<string, string | number | boolean>>;

export interface Trial {
  /** Counted from 0. */
  readonly trial: number;
  readonly point: SearchPoint;
  /** What the objective gave; lower is better. Points that diverge have Infinity. */
  readonly value: number;
  readonly seconds: number;
}

export interface SearchOptions {
  /** 'grid': all combinations; 'random' (default); 'bayesian': a Gaussian process picks the point of largest expected improvement. */
  readonly method?: 'grid' | 'random' | 'bayesian';
  /** The budget: how often the objective is called. Default 20; a grid that is larger is refused. */
  readonly trials?: number;
  /** Default 0. */
  readonly seed?: number;
  /** 'min' (default) or 'max'. */
  readonly mode?: 'min' | 'max';
  readonly onTrial?: (trial: Trial, best: Trial) => void;
  readonly signal?: AbortSignal;
}
export interface SearchResult {
  readonly best: Trial;
  readonly trials: readonly Trial[];
}

const isList = (d: SearchDimension): d is readonly (string | number | boolean)[] => Array.isArray(d);

function checkSpace(space: SearchSpace): void {
  if (Object.keys(space).length === 0) throw new LibError('option', 'search: the space must have dimensions, got none.');
  for (const [name, d] of Object.entries(space)) {
    if (isList(d)) {
      if (d.length === 0) throw new LibError('option', `search: '${name}' must have choices, got none.`);
      continue;
    }
    if (!(Number.isFinite(d.low) && Number.isFinite(d.high) && d.low < d.high))
      throw new LibError('option', `search: '${name}' must have finite low < high, got ${d.low} and ${d.high}.`);
    if (d.log === true && d.low <= 0)
      throw new LibError('option', `search: '${name}' must be positive to be drawn by its logarithm, got low ${d.low}.`);
  }
}

/** The value at a share 0..1 of a dimension. */
function valueAt(d: SearchDimension, u: number): string | number | boolean {
  if (isList(d)) return d[Math.min(d.length - 1, Math.floor(u * d.length))] as string | number | boolean;
  const { low, high, log = false, integer = false } = d;
  if (integer && !log) return Math.min(Math.floor(high), Math.ceil(low) + Math.floor(u * (Math.floor(high) - Math.ceil(low) + 1)));
  const value = log ? Math.exp(Math.log(low) + u * Math.log(high / low)) : low + u * (high - low);
  return integer ? Math.round(value) : value;
}
const pointAt = (space: SearchSpace, shares: readonly number[]): SearchPoint =>
  Object.fromEntries(Object.entries(space).map(([name, d], i) => [name, valueAt(d, shares[i] as number)]));

/** Where a value lies for the model of the objective: choices at the middle of their part. */
function placeOf(d: SearchDimension, value: string | number | boolean): number {
  if (isList(d)) return (d.indexOf(value) + 0.5) / d.length;
  const v = value as number;
  return d.log === true ? Math.log(v / d.low) / Math.log(d.high / d.low) : (v - d.low) / (d.high - d.low);
}

/** All combinations of choices and of evenly spread values. */
export function gridOf(space: SearchSpace): SearchPoint[] {
  checkSpace(space);
  let points: SearchPoint[] = [{}];
  for (const [name, d] of Object.entries(space)) {
    const steps = isList(d) ? d.length : (d.steps ?? 3);
    const ends = (i: number): number => (steps === 1 ? 0.5 : i / (steps - 1));
    const one = (i: number): string | number | boolean => {
      if (isList(d)) return d[i] as string | number | boolean;
      const { low, high, log = false, integer = false } = d;
      const v = log ? Math.exp(Math.log(low) + ends(i) * Math.log(high / low)) : low + ends(i) * (high - low);
      return integer ? Math.round(v) : v;
    };
    const values = [...new Set(Array.from({ length: steps }, (_, i) => one(i)))];
    points = points.flatMap((p) => values.map((v) => ({ ...p, [name]: v })));
  }
  return points;
}

/**
 * Looks for the point with the lowest objective within a fixed budget. The objective must be measured on validation data: what was chosen
 * on the test set cannot be tested any more.
 * @example
 * const { best } = await search(({ x }) => (Number(x) - 2) ** 2, { x: { low: 0, high: 4 } }, { method: 'bayesian', trials: 12 });
 * console.assert(Math.abs(Number(best.point.x) - 2) < 0.5);
 */
export async function search(
  objective: (point: SearchPoint, trial: number) => number | Promise<number>,
  space: SearchSpace,
  { method = 'random', trials = 20, seed = 0, mode = 'min', onTrial, signal }: SearchOptions = {},
): Promise<SearchResult> {
  checkSpace(space);
  if (!Number.isInteger(trials) || trials < 1) throw new LibError('value', `search: trials must be a positive integer, got ${trials}.`);
  if (method !== 'grid' && method !== 'random' && method !== 'bayesian')
    throw new LibError('option', `search: method must be grid, random or bayesian, got ${String(method)}.`);
  const grid = method === 'grid' ? gridOf(space) : [];
  if (grid.length > trials)
    throw new LibError('value', `search: the grid must fit into the budget, got ${grid.length} points for ${trials} trials.`);
  const sign = mode === 'max' ? -1 : 1;
  const done: Trial[] = [];
  const score = (t: Trial): number => sign * t.value;
  const count = method === 'grid' ? grid.length : trials;
  for (let trial = 0; trial < count && signal?.aborted !== true; trial++) {
    const point = method === 'grid' ? (grid[trial] as SearchPoint) : nextPoint(space, method, seed, done, score);
    const started = performance.now();
    const given = await objective(point, trial);
    const value = Number.isFinite(given) ? given : sign * Number.POSITIVE_INFINITY;
    const record = { trial, point, value, seconds: (performance.now() - started) / 1000 };
    done.push(record);
    onTrial?.(record, bestOf(done, score));
  }
  if (done.length === 0) throw new LibError('state', 'search: there must be a trial, got an interruption before the first.');
  return { best: bestOf(done, score), trials: done };
}

const bestOf = (trials: readonly Trial[], score: (t: Trial) => number): Trial => trials.reduce((a, b) => (score(b) < score(a) ? b : a));

/** Candidates that a Gaussian process is asked about. */
const CANDIDATES = 512;

function nextPoint(
  space: SearchSpace,
  method: 'random' | 'bayesian',
  seed: number,
  done: readonly Trial[],
  score: (t: Trial) => number,
): SearchPoint {
  const dims = Object.keys(space).length;
  const key = orderKey('search', seed);
  const first = Array.from(uniforms(dims, epochKey(key, 'trial', done.length)));
  const finite = done.filter((t) => Number.isFinite(t.value));
  if (method === 'random' || finite.length < Math.max(3, dims + 1)) return pointAt(space, first);
  const entries = Object.entries(space);
  const place = (p: SearchPoint): number[] => entries.map(([name, d]) => placeOf(d, p[name] as number));
  const worst = Math.max(...finite.map(score));
  const model = new GaussianProcess(
    done.map((t) => place(t.point)),
    done.map((t) => (Number.isFinite(t.value) ? score(t) : worst)), // what diverged is as bad as the worst
  );
  const best = bestOf(finite, score);
  const draws = uniforms(CANDIDATES * dims, epochKey(key, 'candidates', done.length));
  const known = new Set(done.map((t) => JSON.stringify(t.point)));
  let [chosen, most] = [pointAt(space, first), Number.NEGATIVE_INFINITY];
  const home = place(best.point);
  for (let c = 0; c < CANDIDATES; c++) {
    // Half of them all over the space, half near the best point.
    const shares = home.map((h, i) => {
      const u = draws[c * dims + i] as number;
      return c % 2 === 0 ? u : Math.min(1, Math.max(0, h + 0.2 * (u - 0.5)));
    });
    const point = pointAt(space, shares);
    const gain = known.has(JSON.stringify(point)) ? -1 : expectedImprovement(model.at(place(point)), score(best));
    if (gain > most) [chosen, most] = [point, gain];
  }
  return chosen;
}

export interface SearchExperimentOptions extends SearchOptions {
  /** Which validation score is made small or large: 'loss' (default) or a metric's name. `mode` follows from the metric. */
  readonly monitor?: string;
  /** Values that hold for all trials, by dotted path: `{ epochs: 2 }`. */
  readonly set?: Readonly<Record<string, unknown>>;
  /** One line a trial, for people. */
  readonly print?: (line: string) => void;
}

/**
 * Searches values of an experiment by dotted path ('optimizer.lr', 'batchSize'): each trial trains with them and is judged by its best
 * validation score. The test data are not touched.
 * @example await searchExperiment(exp, { 'optimizer.lr': { low: 1e-4, high: 1e-1, log: true } }, { trials: 10, method: 'bayesian' })
 */
export async function searchExperiment<B = readonly [Tensor, Tensor]>(
  exp: Experiment<B>,
  space: SearchSpace,
  { monitor = exp.monitor ?? 'loss', set = {}, print, onTrial, ...options }: SearchExperimentOptions = {},
): Promise<SearchResult> {
  const metric = exp.metrics?.find((m) => m.name === monitor);
  if (monitor !== 'loss' && metric === undefined)
    throw new LibError('option', `search: monitor must be loss or a metric of the experiment, got '${monitor}'.`);
  withValues(exp, {
    ...set,
    ...pointAt(
      space,
      Object.keys(space).map(() => 0),
    ),
  }); // wrong paths are found before the first trial
  const mode = options.mode ?? (metric?.better === 'higher' ? 'max' : 'min');
  const untested: Experiment<B> = { ...exp, data: withoutTest(exp.data) };
  const run = async (point: SearchPoint): Promise<number> => {
    const { best, history } = await runExperiment<B>(untested, {
      set: { ...set, monitor, ...point },
      ...(options.signal && { signal: options.signal }),
    });
    if (history.every((h) => h.validation === null))
      throw new LibError('data', 'search: the experiment must have validation data, got none.', 'data: return { train, validation }.');
    return best?.value ?? Number.NaN;
  };
  const tell = (trial: Trial, best: Trial): void => {
    print?.(lineOf(trial, best, monitor));
    onTrial?.(trial, best);
  };
  return search(run, space, { ...options, mode, onTrial: tell });
}

const shown = (v: unknown): string => (typeof v === 'number' ? `${Number(v.toPrecision(4))}` : String(v));
function lineOf({ trial, point, value, seconds }: Trial, best: Trial, monitor: string): string {
  const values = Object.entries(point).map(([name, v]) => `${name}=${shown(v)}`);
  const mark = best.trial === trial ? '  best so far' : '';
  return `trial ${trial + 1}  ${values.join('  ')}  ${monitor} ${shown(value)}  ${seconds.toFixed(1)} s${mark}`;
}

/** The same data without those for the test. */
function withoutTest<B>(data: ExperimentOptions<B>['data']): ExperimentOptions<B>['data'] {
  const drop = async (make: () => ReturnType<Extract<typeof data, () => unknown>>) => {
    const { test: _, ...rest } = await make();
    return rest;
  };
  if (typeof data === 'function') return () => drop(data);
  return { ...data, make: (settings: never) => drop(() => data.make(settings)) };
}
