import { LibError } from '../core/errors.js';

export interface ScalingLaw {
  /** What is left at any scale. */
  readonly E: number;
  readonly A: number;
  readonly alpha: number;
  /** Share of the variance of the losses that the law explains. */
  readonly r2: number;
  /** The loss that the law says for `x`. */
  predict(x: number): number;
}

function checkPoints(op: string, x: readonly number[], y: readonly number[], least: number): void {
  if (x.length !== y.length || new Set(x).size < least)
    throw new LibError(
      'value',
      `${op}: there must be as many losses as scales, ${least} different ones at least, got ${x.length} and ${y.length}.`,
    );
  const bad = [...x, ...y].find((v) => !(Number.isFinite(v) && v > 0));
  if (bad !== undefined) throw new LibError('value', `${op}: scales and losses must be positive, got ${bad}.`);
}

/** Least squares for E >= 0 and A at a given exponent. */
function linear(x: readonly number[], y: readonly number[], alpha: number): { E: number; A: number; error: number } {
  const z = x.map((v) => v ** -alpha);
  const n = x.length;
  const [mz, my] = [z.reduce((a, b) => a + b, 0) / n, y.reduce((a, b) => a + b, 0) / n];
  const covariance = z.reduce((s, v, i) => s + (v - mz) * ((y[i] as number) - my), 0);
  const variance = z.reduce((s, v) => s + (v - mz) ** 2, 0);
  let A = variance === 0 ? 0 : covariance / variance;
  let E = my - A * mz;
  if (E < 0) {
    E = 0;
    A = z.reduce((s, v, i) => s + v * (y[i] as number), 0) / z.reduce((s, v) => s + v * v, 0);
  }
  return { E, A, error: z.reduce((s, v, i) => s + (E + A * v - (y[i] as number)) ** 2, 0) };
}

/**
 * Fits loss = E + A x^-α by least squares, over parameters, data or compute. Scales are best spread over a decade at least.
 * @example fitScalingLaw([1, 4, 16, 64], [3, 2, 1.5, 1.25]).alpha // 0.5
 */
export function fitScalingLaw(scales: readonly number[], losses: readonly number[]): ScalingLaw {
  checkPoints('fitScalingLaw', scales, losses, 3);
  const unit = Math.exp(scales.reduce((s, v) => s + Math.log(v), 0) / scales.length); // keeps x^-α near 1
  const x = scales.map((v) => v / unit);
  const errorAt = (logAlpha: number): number => linear(x, losses, Math.exp(logAlpha)).error;
  const grid = Array.from({ length: 161 }, (_, i) => Math.log(0.005) + (i / 160) * Math.log(5 / 0.005));
  const best = grid.reduce((a, b) => (errorAt(b) < errorAt(a) ? b : a));
  const alpha = Math.exp(narrowed(errorAt, best - 0.06, best + 0.06));
  const { E, A, error } = linear(x, losses, alpha);
  const mean = losses.reduce((a, b) => a + b, 0) / losses.length;
  const spread = losses.reduce((s, v) => s + (v - mean) ** 2, 0);
  const predict = (v: number): number => E + A * (v / unit) ** -alpha;
  return { E, A: A * unit ** alpha, alpha, r2: spread === 0 ? 1 : 1 - error / spread, predict };
}

/** The minimum of a function with one valley (golden section). */
function narrowed(f: (x: number) => number, from: number, to: number): number {
  const g = (Math.sqrt(5) - 1) / 2;
  let [a, b] = [from, to];
  for (let i = 0; i < 80; i++) {
    const [c, d] = [b - g * (b - a), a + g * (b - a)];
    if (f(c) <= f(d)) b = d;
    else a = c;
  }
  return (a + b) / 2;
}

/** The law of the smaller scales, and how far it is off at the largest ones, as shares of the losses there. */
export function scalingExtrapolation(
  scales: readonly number[],
  losses: readonly number[],
  { held = 1 }: { readonly held?: number } = {},
): { readonly law: ScalingLaw; readonly errors: readonly number[] } {
  if (!Number.isInteger(held) || held < 1)
    throw new LibError('value', `scalingExtrapolation: held must be a positive integer, got ${held}.`);
  const order = scales.map((_, i) => i).sort((a, b) => (scales[a] as number) - (scales[b] as number));
  const [small, large] = [order.slice(0, -held), order.slice(-held)];
  const pick = (from: readonly number[], at: readonly number[]): number[] => at.map((i) => from[i] as number);
  const law = fitScalingLaw(pick(scales, small), pick(losses, small));
  return { law, errors: large.map((i) => law.predict(scales[i] as number) / (losses[i] as number) - 1) };
}

/** Squared error in its parts, over resamples of the training data. */
export interface BiasVariance {
  readonly bias2: number;
  readonly variance: number;
  readonly noise: number;
  /** bias² + variance + noise. */
  readonly total: number;
  /** The squared error against noisy targets that was measured: equals the total up to sampling. */
  readonly measured: number;
}

export interface BiasVarianceOptions {
  /** How many resamples. Default 50. */
  readonly resamples?: number;
  /** Variance of the noise of the targets. Default 0. */
  readonly noise?: number;
}

/**
 * Trains on many resamples and parts the expected squared error: how far the mean prediction is off, and how far predictions scatter.
 * `train(i)` draws the i-th training set, fits and predicts at fixed points; `truth` holds the noise-free values there, and `targets(i)`
 * noisy ones to measure against (default: the truth plus the noise variance).
 */
export async function biasVariance(
  train: (resample: number) => ArrayLike<number> | Promise<ArrayLike<number>>,
  truth: ArrayLike<number>,
  { resamples = 50, noise = 0, targets }: BiasVarianceOptions & { readonly targets?: (resample: number) => ArrayLike<number> } = {},
): Promise<BiasVariance> {
  if (!Number.isInteger(resamples) || resamples < 2)
    throw new LibError('value', `biasVariance: resamples must be at least 2, got ${resamples}.`);
  if (!(noise >= 0)) throw new LibError('value', `biasVariance: noise must be a variance >= 0, got ${noise}.`);
  const n = truth.length;
  const [sum, squares] = [new Float64Array(n), new Float64Array(n)];
  let measured = 0;
  for (let r = 0; r < resamples; r++) {
    const y = await train(r);
    if (y.length !== n) throw new LibError('shape', `biasVariance: predictions must be as many as true values, got ${y.length} for ${n}.`);
    const against = targets?.(r) ?? truth;
    for (let i = 0; i < n; i++) {
      const v = y[i] as number;
      sum[i] = (sum[i] as number) + v;
      squares[i] = (squares[i] as number) + v * v;
      measured += ((v - (against[i] as number)) ** 2 + (targets === undefined ? noise : 0)) / (n * resamples);
    }
  }
  let [bias2, variance] = [0, 0];
  for (let i = 0; i < n; i++) {
    const mean = (sum[i] as number) / resamples;
    bias2 += (mean - (truth[i] as number)) ** 2 / n;
    variance += Math.max(0, (squares[i] as number) / resamples - mean * mean) / n;
  }
  return { bias2, variance, noise, total: bias2 + variance + noise, measured };
}

/** Scores of training and validation at one point of a curve. */
export interface SweepPoint<T> {
  readonly value: T;
  readonly train: number;
  readonly validation: number;
}

export interface Sweep<T> {
  readonly points: readonly SweepPoint<T>[];
  /** Where validation is lowest. */
  readonly best: SweepPoint<T>;
  /** The first value whose training error is at most `interpolationAt`: the model can fit every example; null: none. */
  readonly interpolation: SweepPoint<T> | null;
  /** Validation errors that stand above both neighbours: with double descent there is one near the interpolation threshold. */
  readonly peaks: readonly SweepPoint<T>[];
}

export interface SweepOptions<T> {
  /** A training error that counts as none. Default 1e-3. */
  readonly interpolationAt?: number;
  readonly onPoint?: (point: SweepPoint<T>) => void;
}

/**
 * Errors over widths, depths, features, epochs (capacity) or numbers of samples (learning curve), from small to large: `run` trains and
 * returns both errors, lower is better.
 * @example
 * const { best } = await sweep([1, 2, 3], (w) => ({ train: 1 / w, validation: Math.abs(w - 2) }));
 * console.assert(best.value === 2);
 */
export async function sweep<T>(
  values: readonly T[],
  run: (
    value: T,
  ) => { readonly train: number; readonly validation: number } | Promise<{ readonly train: number; readonly validation: number }>,
  { interpolationAt = 1e-3, onPoint }: SweepOptions<T> = {},
): Promise<Sweep<T>> {
  if (values.length === 0) throw new LibError('value', 'sweep: there must be values, got none.');
  const points: SweepPoint<T>[] = [];
  for (const value of values) {
    const { train, validation } = await run(value);
    const point = { value, train, validation };
    points.push(point);
    onPoint?.(point);
  }
  const best = points.reduce((a, b) => (b.validation < a.validation ? b : a));
  const peaks = points.filter((p, i) => {
    const [before, after] = [points[i - 1], points[i + 1]];
    return before !== undefined && after !== undefined && p.validation > before.validation && p.validation > after.validation;
  });
  return { points, best, interpolation: points.find((p) => p.train <= interpolationAt) ?? null, peaks };
}

export interface GrowthOptions {
  /** Gap of validation over training error, as a share of the former, that counts as overfitting. Default 0.1. */
  readonly gap?: number;
  /** Smallest relative gain of validation that another size must bring. Default 0.01. */
  readonly gain?: number;
}
export interface Growth<T> {
  readonly tried: readonly SweepPoint<T>[];
  readonly chosen: SweepPoint<T>;
  /** Why the search ended, and what to do next. */
  readonly next: 'regularize' | 'grow' | 'enough';
  readonly reason: string;
}

/**
 * The design procedure for depth and width: from a baseline on, larger and larger models are trained until validation says that the model
 * overfits (then: regularize) or that size brings nothing more; `sizes` are in order of their parameters and within the budget.
 */
export async function growModel<T>(
  sizes: readonly T[],
  run: (
    size: T,
  ) => { readonly train: number; readonly validation: number } | Promise<{ readonly train: number; readonly validation: number }>,
  { gap = 0.1, gain = 0.01 }: GrowthOptions = {},
): Promise<Growth<T>> {
  if (sizes.length === 0) throw new LibError('value', 'growModel: there must be sizes, got none.');
  const tried: SweepPoint<T>[] = [];
  for (const value of sizes) {
    const point = { value, ...(await run(value)) };
    const before = tried.at(-1);
    tried.push(point);
    const over = (p: SweepPoint<T>): boolean => p.validation - p.train > gap * p.validation;
    if (before === undefined || point.validation < before.validation * (1 - gain)) continue;
    const chosen = tried.reduce((a, b) => (b.validation < a.validation ? b : a));
    if (over(point))
      return { tried, chosen, next: 'regularize', reason: 'the larger model fits training better and validation no better: it overfits' };
    return {
      tried,
      chosen,
      next: 'enough',
      reason: 'a larger model brings nothing, and there is no gap to regularize: look at data and training',
    };
  }
  const chosen = tried.reduce((a, b) => (b.validation < a.validation ? b : a));
  return { tried, chosen, next: 'grow', reason: 'validation was still falling at the largest size: the budget is the limit' };
}
