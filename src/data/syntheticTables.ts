import { LibError } from '../core/errors.js';
import { tensor } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkCounts, Draws, floats, integers, type SyntheticOptions, table } from './draws.js';

/** Small made-up tasks over points and rows: (samples, features) in float32; classes in int32. Nothing is downloaded. */

/** Inputs and what to predict from them. */
export interface Labelled {
  readonly x: Tensor;
  readonly y: Tensor;
}

interface PointOptions extends SyntheticOptions {
  readonly samples?: number;
  /** Deviation of the normal noise on each coordinate. */
  readonly noise?: number;
}

const rowsAndClasses = (samples: number, make: (i: number) => readonly [row: readonly number[], label: number]): Labelled => {
  const made = Array.from({ length: samples }, (_, i) => make(i));
  return { x: table(samples, (i) => made[i]?.[0] ?? []), y: integers(made.map(([, label]) => label)) };
};

export interface BlobsOptions extends SyntheticOptions {
  /** Default 100. */
  readonly samples?: number;
  /** Classes, each a normal blob. Default 3. */
  readonly centers?: number;
  /** Default 2. */
  readonly features?: number;
  /** Deviation of a blob. Default 1. */
  readonly std?: number;
  /** Centers lie in a cube of this half width, the same ones for every `seed`. Default 6. */
  readonly spread?: number;
}
/** Normal blobs: x (samples, features), y the blob. In the plane the centers lie on a circle, so that any number keeps apart. */
export function blobs({ samples = 100, centers = 3, features = 2, std = 1, spread = 6, seed = 0 }: BlobsOptions = {}): Labelled {
  checkCounts('blobs', { samples, centers, features });
  if (!(std >= 0)) throw new LibError('value', `blobs: std must not be negative, got ${std}.`);
  const draws = new Draws('blobs', seed);
  const places = new Draws('blob centers');
  const angle = (c: number): number => (2 * Math.PI * c) / centers;
  const center = Array.from({ length: centers }, (_, c) =>
    features === 2
      ? [spread * Math.cos(angle(c)), spread * Math.sin(angle(c))]
      : Array.from({ length: features }, () => places.uniform(-spread, spread)),
  );
  return rowsAndClasses(samples, (i) => {
    const label = i % centers;
    return [(center[label] ?? []).map((c) => draws.normal(c, std)), label];
  });
}

/** Two half circles that hook into each other: x (samples, 2), y 0 or 1. Defaults 100 samples, noise 0.1. */
export function moons({ samples = 100, noise = 0.1, seed = 0 }: PointOptions = {}): Labelled {
  checkCounts('moons', { samples });
  const draws = new Draws('moons', seed);
  return rowsAndClasses(samples, (i) => {
    const t = draws.uniform(0, Math.PI);
    const [x, y] = i % 2 === 0 ? [Math.cos(t), Math.sin(t)] : [1 - Math.cos(t), 0.5 - Math.sin(t)];
    return [[draws.normal(x, noise), draws.normal(y, noise)], i % 2];
  });
}

/** Arms that wind around each other: x (samples, 2) within the unit circle, y the arm. Defaults 200, 2 arms, 1.5 turns, noise 0.02. */
export function spirals(options: PointOptions & { readonly arms?: number; readonly turns?: number } = {}): Labelled {
  const { samples = 200, noise = 0.02, arms = 2, turns = 1.5, seed = 0 } = options;
  checkCounts('spirals', { samples, arms });
  const draws = new Draws('spirals', seed);
  return rowsAndClasses(samples, (i) => {
    const r = Math.sqrt(draws.uniform(0.01, 1));
    const angle = 2 * Math.PI * (turns * r + (i % arms) / arms);
    return [[draws.normal(r * Math.cos(angle), noise), draws.normal(r * Math.sin(angle), noise)], i % arms];
  });
}

/** The corners (±1, ±1) with noise: y is 1 where the signs differ. Defaults 100 samples, noise 0.1; noise 0 and 4 samples is the truth table. */
export function xor({ samples = 100, noise = 0.1, seed = 0 }: PointOptions = {}): Labelled {
  checkCounts('xor', { samples });
  const draws = new Draws('xor', seed);
  return rowsAndClasses(samples, (i) => {
    const [a, b] = [(i >> 1) & 1, i & 1];
    return [[draws.normal(2 * a - 1, noise), draws.normal(2 * b - 1, noise)], a ^ b];
  });
}

interface CurveOptions extends PointOptions {
  /** Inputs lie in [low, high]. */
  readonly low?: number;
  readonly high?: number;
}
const curve = (task: string, options: Required<CurveOptions>, value: (x: number) => number): Labelled => {
  const { samples, noise, low, high, seed } = options;
  checkCounts(task, { samples });
  const draws = new Draws(task, seed);
  const xs = Array.from({ length: samples }, () => draws.uniform(low, high));
  return { x: table(samples, (i) => [xs[i] as number]), y: table(samples, (i) => [draws.normal(value(xs[i] as number), noise)]) };
};

/** y = sin x + noise: x and y (samples, 1). Defaults 100 samples, noise 0, x in [-π, π]. */
export const sines = ({ samples = 100, noise = 0, low = -Math.PI, high = Math.PI, seed = 0 }: CurveOptions = {}): Labelled =>
  curve('sines', { samples, noise, low, high, seed }, Math.sin);

/** A saw of `teeth` teeth over [0, 1], from -1 to 1 each: x and y (samples, 1). Defaults 100 samples, noise 0, 4 teeth. */
export const sawtooth = (options: Omit<CurveOptions, 'low' | 'high'> & { readonly teeth?: number } = {}): Labelled => {
  const { samples = 100, noise = 0, teeth = 4, seed = 0 } = options;
  checkCounts('sawtooth', { teeth });
  return curve('sawtooth', { samples, noise, low: 0, high: 1, seed }, (x) => 2 * ((x * teeth) % 1) - 1);
};

export interface LinearOutliers extends Labelled {
  /** The line: (features,) and a number. */
  readonly weight: Tensor;
  readonly bias: number;
  /** 1 for outliers, (samples,) in int32. */
  readonly outlier: Tensor;
}
/** y = w · x + b + noise, with a share of answers far off: x (samples, features), y (samples, 1). Defaults 100, 1, 0.1, 0.1. */
export function linearWithOutliers(
  options: PointOptions & { readonly features?: number; readonly outliers?: number } = {},
): LinearOutliers {
  const { samples = 100, features = 1, noise = 0.1, outliers = 0.1, seed = 0 } = options;
  checkCounts('linearWithOutliers', { samples, features });
  const line = new Draws('line');
  const weight = Array.from({ length: features }, () => line.uniform(-2, 2));
  const bias = 0.5;
  const draws = new Draws('linearWithOutliers', seed);
  const made = Array.from({ length: samples }, () => {
    const x = weight.map(() => draws.uniform(-1, 1));
    const off = draws.uniform() < outliers;
    const y = x.reduce((sum, v, j) => sum + v * (weight[j] as number), bias) + draws.normal(0, noise);
    return { x, y: off ? y + (draws.uniform() < 0.5 ? -1 : 1) * draws.uniform(5, 10) : y, off };
  });
  const [x, y] = [table(samples, (i) => made[i]?.x ?? []), table(samples, (i) => [made[i]?.y ?? 0])];
  return { x, y, weight: floats(weight), bias, outlier: integers(made.map(({ off }) => (off ? 1 : 0))) };
}

/**
 * Card payments, one in `1 / rate` a fraud: x (samples, 6), y 0 or 1. Frauds are larger, at night, abroad and in bursts, each only more
 * often than honest ones. Defaults 10,000 samples, rate 0.001.
 */
export function fraudTable({
  samples = 10_000,
  rate = 0.001,
  seed = 0,
}: SyntheticOptions & { samples?: number; rate?: number } = {}): Labelled {
  checkCounts('fraudTable', { samples });
  const draws = new Draws('fraudTable', seed);
  const frauds = new Set(draws.order(samples).slice(0, Math.max(1, Math.round(samples * rate))));
  return rowsAndClasses(samples, (i) => {
    const bad = frauds.has(i) ? 1 : 0;
    const row = [
      draws.normal(1.8 * bad), // log amount
      draws.normal(1.5 * bad), // distance from the usual hour
      draws.uniform() < 0.05 + 0.6 * bad ? 1 : 0, // abroad
      draws.normal(1.5 * bad), // payments in the last hour
      draws.normal(), // age of the account
      draws.normal(), // size of the basket
    ];
    return [row, bad];
  });
}

/** Ages in `ranks` ordered groups, from noisy measurements that grow with age: x (samples, features), y 0 … ranks - 1. Defaults 200, 8, 5. */
export function ordinalAges(options: PointOptions & { readonly features?: number; readonly ranks?: number } = {}): Labelled {
  const { samples = 200, features = 8, ranks = 5, noise = 0.3, seed = 0 } = options;
  checkCounts('ordinalAges', { samples, features, ranks });
  const body = new Draws('ageing');
  const slope = Array.from({ length: features }, () => body.uniform(-2, 2));
  const bend = Array.from({ length: features }, () => body.uniform(-1, 1));
  const draws = new Draws('ordinalAges', seed);
  return rowsAndClasses(samples, () => {
    const age = draws.uniform();
    const row = slope.map((s, j) => draws.normal(s * age + (bend[j] as number) * age * age, noise));
    return [row, Math.min(ranks - 1, Math.floor(age * ranks))];
  });
}

/** Documents as counts of words, of which a few topics use different ones: x (samples, vocabulary), mostly zeros, y the topic. */
export function bagOfWords(
  options: SyntheticOptions & { samples?: number; vocabulary?: number; topics?: number; words?: number } = {},
): Labelled {
  const { samples = 200, vocabulary = 200, topics = 4, words = 12, seed = 0 } = options;
  checkCounts('bagOfWords', { samples, vocabulary, topics, words });
  const draws = new Draws('bagOfWords', seed);
  const own = Math.floor(vocabulary / (2 * topics)); // half of the words belong to a topic
  return rowsAndClasses(samples, (i) => {
    const topic = i % topics;
    const counts = new Array<number>(vocabulary).fill(0);
    for (let w = 0; w < words; w++) {
      // Rank r of a common word comes with chance ~ 1 / r.
      const common = topics * own + Math.floor((vocabulary - topics * own) ** draws.uniform()) - 1;
      const word = draws.uniform() < 0.4 && own > 0 ? topic * own + draws.below(own) : Math.min(common, vocabulary - 1);
      counts[word] = (counts[word] ?? 0) + 1;
    }
    return [counts, topic];
  });
}

/** One sine: `support` points to learn it from and `query` points to be asked, all (points, 1). */
export interface SineTask {
  readonly amplitude: number;
  readonly phase: number;
  readonly support: Labelled;
  readonly query: Labelled;
}
/** Tasks y = a sin(x - φ), a in [0.1, 5], φ in [0, π], x in [-5, 5] (Finn et al. 2017). Defaults 10 tasks of 10 + 10 points. */
export function fewShotSines(options: SyntheticOptions & { tasks?: number; shots?: number; queries?: number } = {}): SineTask[] {
  const { tasks = 10, shots = 10, queries = 10, seed = 0 } = options;
  checkCounts('fewShotSines', { tasks, shots, queries });
  const draws = new Draws('fewShotSines', seed);
  return Array.from({ length: tasks }, () => {
    const [amplitude, phase] = [draws.uniform(0.1, 5), draws.uniform(0, Math.PI)];
    const points = (count: number): Labelled => {
      const xs = Array.from({ length: count }, () => draws.uniform(-5, 5));
      return { x: table(count, (i) => [xs[i] as number]), y: table(count, (i) => [amplitude * Math.sin((xs[i] as number) - phase)]) };
    };
    return { amplitude, phase, support: points(shots), query: points(queries) };
  });
}

/** Points of a mixture of normals on a circle: (samples, dims), y the component. Defaults 200, 8 components, 2 dims (or 1), radius 2, std 0.1. */
export function gaussianMixture(
  options: SyntheticOptions & { samples?: number; components?: number; dims?: 1 | 2; radius?: number; std?: number } = {},
): Labelled {
  const { samples = 200, components = 8, dims = 2, radius = 2, std = 0.1, seed = 0 } = options;
  checkCounts('gaussianMixture', { samples, components, dims });
  const draws = new Draws('gaussianMixture', seed);
  return rowsAndClasses(samples, () => {
    const c = draws.below(components);
    const angle = (2 * Math.PI * c) / components;
    const line = components === 1 ? 0 : radius * ((2 * c) / (components - 1) - 1);
    const center = dims === 1 ? [line] : [radius * Math.cos(angle), radius * Math.sin(angle)];
    return [center.map((m) => draws.normal(m, std)), c];
  });
}

export type DensityName = 'ring' | 'checkerboard' | 'swissRoll' | 'grid';
/** Points of a shape in the plane that a generator should learn: (samples, 2), about within [-2, 2]². Default 200 samples. */
export function density2d(name: DensityName, { samples = 200, seed = 0 }: SyntheticOptions & { readonly samples?: number } = {}): Tensor {
  checkCounts('density2d', { samples });
  const draws = new Draws(`density2d ${name}`, seed);
  const shapes: Readonly<Record<DensityName, () => readonly [number, number]>> = {
    ring: () => polar(draws.normal(1.5, 0.08), draws.uniform(0, 2 * Math.PI)),
    checkerboard: () => {
      const [row, half] = [draws.below(4), draws.below(2)];
      return [draws.uniform() + 2 * half + (row % 2) - 2, draws.uniform() + row - 2];
    },
    swissRoll: () => {
      const t = Math.sqrt(draws.uniform(0.05, 1));
      const [x, y] = polar(2 * t, 3 * Math.PI * t);
      return [draws.normal(x, 0.05), draws.normal(y, 0.05)];
    },
    grid: () => [draws.normal(draws.below(3) - 1, 0.08) * 1.5, draws.normal(draws.below(3) - 1, 0.08) * 1.5],
  };
  return tensor(Array.from({ length: samples }, shapes[name]), { dtype: 'float32' });
}
const polar = (r: number, angle: number): readonly [number, number] => [r * Math.cos(angle), r * Math.sin(angle)];
