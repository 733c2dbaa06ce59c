import { LibError } from '../core/errors.js';

/** log Γ(x) for x > 0 (Lanczos 1964, g = 7). */
function logGamma(x: number): number {
  const c = [
    0.99999999999980993, 676.5203681218851, -1259.1392167224028, 771.32342877765313, -176.61502916214059, 12.507343278686905,
    -0.13857109526572012, 9.9843695780195716e-6, 1.5056327351493116e-7,
  ];
  if (x < 0.5) return Math.log(Math.PI / Math.sin(Math.PI * x)) - logGamma(1 - x);
  const z = x - 1;
  const sum = c.slice(1).reduce((s, v, i) => s + v / (z + i + 1), c[0] as number);
  const t = z + 7.5;
  return 0.5 * Math.log(2 * Math.PI) + (z + 0.5) * Math.log(t) - t + Math.log(sum);
}

/** The regularized incomplete beta function I_x(a, b), by its continued fraction (Lentz 1976). */
function incompleteBeta(x: number, a: number, b: number): number {
  if (x <= 0) return 0;
  if (x >= 1) return 1;
  if (x > (a + 1) / (a + b + 2)) return 1 - incompleteBeta(1 - x, b, a);
  const front = Math.exp(a * Math.log(x) + b * Math.log1p(-x) + logGamma(a + b) - logGamma(a) - logGamma(b)) / a;
  const guard = (v: number): number => (Math.abs(v) < 1e-300 ? 1e-300 : v);
  let [c, d] = [1, 1 / guard(1 - ((a + b) * x) / (a + 1))];
  let f = d;
  for (let m = 1; m < 500; m++) {
    for (const term of [
      (m * (b - m) * x) / ((a + 2 * m - 1) * (a + 2 * m)),
      (-(a + m) * (a + b + m) * x) / ((a + 2 * m) * (a + 2 * m + 1)),
    ]) {
      d = 1 / guard(1 + term * d);
      c = guard(1 + term / c);
      f *= c * d;
    }
    if (Math.abs(c * d - 1) < 1e-16) break;
  }
  return front * f;
}

/** P(T <= t) of Student's distribution. @example studentCdf(0, 4) // 0.5 */
export function studentCdf(t: number, degrees: number): number {
  if (!(degrees > 0)) throw new LibError('value', `studentCdf: degrees must be positive, got ${degrees}.`);
  const tail = incompleteBeta(degrees / (degrees + t * t), degrees / 2, 0.5) / 2;
  return t > 0 ? 1 - tail : tail;
}

/** The t with P(T <= t) = p. @example studentQuantile(0.975, 4) // 2.7764451051977987 */
export function studentQuantile(p: number, degrees: number): number {
  if (!(p > 0 && p < 1) || !(degrees > 0))
    throw new LibError('value', `studentQuantile: p must be in (0, 1) and degrees positive, got ${p} and ${degrees}.`);
  if (p < 0.5) return -studentQuantile(1 - p, degrees);
  let [low, high] = [0, 1];
  while (studentCdf(high, degrees) < p) high *= 2;
  for (let i = 0; i < 200 && high - low > 1e-15 * high; i++) {
    const middle = (low + high) / 2;
    if (studentCdf(middle, degrees) < p) low = middle;
    else high = middle;
  }
  return (low + high) / 2;
}

/** Values of repeated runs, in short. */
export interface Estimate {
  readonly values: readonly number[];
  readonly mean: number;
  /** Sample standard deviation (n - 1); NaN for one value. */
  readonly std: number;
  /** The interval of the mean at the level asked for, by Student's distribution. */
  readonly interval: readonly [low: number, high: number];
}

/**
 * Mean, standard deviation and confidence interval of the mean.
 * @example estimate([1, 2, 3]).mean // 2
 */
export function estimate(values: readonly number[], { level = 0.95 }: { readonly level?: number } = {}): Estimate {
  if (!(level > 0 && level < 1)) throw new LibError('value', `estimate: level must be in (0, 1), got ${level}.`);
  const n = values.length;
  if (n === 0) throw new LibError('value', 'estimate: there must be values, got none.');
  const mean = values.reduce((a, b) => a + b, 0) / n;
  const std = Math.sqrt(values.reduce((s, v) => s + (v - mean) ** 2, 0) / (n - 1));
  const half = n < 2 ? Number.NaN : (studentQuantile((1 + level) / 2, n - 1) * std) / Math.sqrt(n);
  return { values, mean, std: n < 2 ? Number.NaN : std, interval: [mean - half, mean + half] };
}

/** How two variants differ, run by run. */
export interface PairedComparison extends Estimate {
  /** Student's t of the mean difference, and its two-sided chance if there were none. */
  readonly t: number;
  readonly p: number;
  /** Whether the interval leaves out 0. */
  readonly differs: boolean;
}

/**
 * Compares variants that ran with the same seeds (or on the same folds): the differences a - b, seed by seed (paired t test).
 * @example comparePaired([3, 4, 5.5], [1, 2, 3]).differs // true
 */
export function comparePaired(
  a: readonly number[],
  b: readonly number[],
  { level = 0.95 }: { readonly level?: number } = {},
): PairedComparison {
  if (a.length !== b.length || a.length < 2)
    throw new LibError('value', `comparePaired: there must be as many runs of both, two at least, got ${a.length} and ${b.length}.`);
  const facts = estimate(
    a.map((v, i) => v - (b[i] as number)),
    { level },
  );
  const error = facts.std / Math.sqrt(a.length);
  const t = facts.mean === 0 ? 0 : facts.mean / error;
  const p = Number.isFinite(t) ? 2 * (1 - studentCdf(Math.abs(t), a.length - 1)) : 0;
  const [low, high] = facts.interval;
  return { ...facts, t, p, differs: low > 0 || high < 0 };
}

export interface SeedOptions {
  /** Default: 0, 1, 2, 3, 4. */
  readonly seeds?: readonly number[];
  /** Of the intervals. Default 0.95. */
  readonly level?: number;
  /** Told after each run. */
  readonly onRun?: (seed: number, scores: Readonly<Record<string, number>>) => void;
}

/**
 * Runs the same thing with several seeds: mean, standard deviation and interval of every score.
 * @example
 * const { loss } = await overSeeds((seed) => ({ loss: seed }));
 * console.assert(loss?.mean === 2);
 */
export async function overSeeds(
  run: (seed: number) => Readonly<Record<string, number>> | Promise<Readonly<Record<string, number>>>,
  { seeds = [0, 1, 2, 3, 4], level = 0.95, onRun }: SeedOptions = {},
): Promise<Record<string, Estimate>> {
  if (seeds.length < 2 || new Set(seeds).size < seeds.length)
    throw new LibError('value', `overSeeds: there must be two different seeds at least, got [${seeds.join(', ')}].`);
  const all: Readonly<Record<string, number>>[] = [];
  for (const seed of seeds) {
    const scores = await run(seed);
    all.push(scores);
    onRun?.(seed, scores);
  }
  return summarize(all, level);
}

/** Estimates of every score that all runs have. */
export function summarize(all: readonly Readonly<Record<string, number>>[], level = 0.95): Record<string, Estimate> {
  const names = Object.keys(all[0] ?? {}).filter((name) => all.every((s) => s[name] !== undefined));
  return Object.fromEntries(
    names.map((name) => [
      name,
      estimate(
        all.map((s) => s[name] as number),
        { level },
      ),
    ]),
  );
}
