import { dtypes } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import { sameShape } from '../core/shape.js';
import { cat } from '../ops/join.js';
import type { Tensor } from '../tensor/tensor.js';
import { asTensor, checkFrom, collected, forms, type MetricForms, type ScoreOptions, type Values } from './metric.js';

/** One point of a curve: what calling everything at or above `threshold` positive comes to. */
export interface RankPoint {
  readonly threshold: number;
  readonly truePositives: number;
  readonly falsePositives: number;
}

/** Points at each distinct score, from high to low. `positives[i]` is 1 or 0. */
export function rankPoints(scores: ArrayLike<number>, positives: ArrayLike<number>): RankPoint[] {
  const order = Uint32Array.from({ length: scores.length }, (_, i) => i).sort((a, b) => (scores[b] as number) - (scores[a] as number));
  const points: RankPoint[] = [];
  let [truePositives, falsePositives] = [0, 0];
  for (const [at, i] of order.entries()) {
    if (positives[i]) truePositives++;
    else falsePositives++;
    const next = order[at + 1];
    if (next === undefined || scores[next] !== scores[i]) points.push({ threshold: scores[i] as number, truePositives, falsePositives });
  }
  return points;
}

const last = (points: readonly RankPoint[]): RankPoint => points.at(-1) ?? { threshold: 0, truePositives: 0, falsePositives: 0 };

/** The chance that a positive scores higher than a negative, ties half; NaN where one kind is missing. */
function areaUnderRoc(points: readonly RankPoint[]): number {
  const { truePositives: positives, falsePositives: negatives } = last(points);
  let [area, tp, fp] = [0, 0, 0];
  for (const p of points) {
    area += ((p.falsePositives - fp) * (p.truePositives + tp)) / 2;
    [tp, fp] = [p.truePositives, p.falsePositives];
  }
  return area / (positives * negatives);
}

/** Σ (recall step) × precision. */
function precisionSum(points: readonly RankPoint[]): number {
  const { truePositives: positives } = last(points);
  let [sum, tp] = [0, 0];
  for (const p of points) {
    sum += ((p.truePositives - tp) * p.truePositives) / (p.truePositives + p.falsePositives);
    tp = p.truePositives;
  }
  return sum / positives;
}

/** The trapezoids under precision over recall; the curve begins at its first point's precision. */
function areaUnderPrecision(points: readonly RankPoint[]): number {
  const { truePositives: positives } = last(points);
  let [area, tp, before] = [0, 0, 1];
  for (const p of points) {
    const now = p.truePositives / (p.truePositives + p.falsePositives);
    area += ((p.truePositives - tp) * (now + before)) / 2;
    [tp, before] = [p.truePositives, now];
  }
  return area / positives;
}

export interface RankOptions extends ScoreOptions {
  /** With more than two classes, the one-against-the-rest values' mean ('macro', default) or their mean by frequency ('weighted'). */
  readonly average?: 'macro' | 'weighted';
}

/** Scores and targets side by side: (examples, columns + 1). Two classes are one column. */
function side(op: string, output: Tensor, target: Tensor, options: RankOptions): Tensor {
  const probabilities = checkFrom(op, options) === 'probabilities';
  const float = dtypes[output.dtype].kind === 'float' ? output : output.to('float32');
  const t = target.to(float.dtype).reshape([-1, 1]);
  if (sameShape(output.shape, target.shape)) return cat([float.reshape([-1, 1]), t], { dim: 1 });
  if (output.ndim !== 2 || output.shape[0] !== target.shape[0])
    throw new LibError('shape', `${op}: outputs must be (examples) or (examples, classes), got (${output.shape.join(', ')}).`);
  const p = probabilities ? float : float.softmax({ dim: 1 });
  return cat([output.shape[1] === 2 ? p.narrow(1, 1, 1) : p, t], { dim: 1 });
}

function judged(op: string, rows: readonly (readonly number[])[], area: (points: RankPoint[]) => number, how: string): number {
  const columns = (rows[0]?.length ?? 2) - 1;
  const targets = rows.map((r) => r[columns] as number);
  if (columns === 1) {
    const odd = targets.find((t) => t !== 0 && t !== 1);
    if (odd !== undefined) throw new LibError('value', `${op}: targets of one output must be 0 or 1, got ${odd}.`);
    return area(
      rankPoints(
        rows.map((r) => r[0] as number),
        targets,
      ),
    );
  }
  let [sum, weight] = [0, 0];
  for (let c = 0; c < columns; c++) {
    const positives = targets.map((t) => Number(t === c));
    const count = positives.reduce((a, b) => a + b, 0);
    if (count === 0 || count === rows.length) continue; // undefined for this class
    const w = how === 'weighted' ? count : 1;
    sum +=
      w *
      area(
        rankPoints(
          rows.map((r) => r[c] as number),
          positives,
        ),
      );
    weight += w;
  }
  return weight === 0 ? Number.NaN : sum / weight;
}

const ranked = (name: string, area: (points: RankPoint[]) => number): MetricForms<RankOptions> =>
  forms((options) =>
    collected(
      name,
      'higher',
      (output, target) => side(name, output, target, options),
      (rows) => judged(name, rows, area, options.average ?? 'macro'),
    ),
  );

/**
 * Area under the ROC curve: the chance that a positive scores above a negative. NaN where one kind is missing.
 * @example rocAuc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]) // 0.75
 */
export const rocAuc: MetricForms<RankOptions> = ranked('rocAuc', areaUnderRoc);

/**
 * Average precision Σ (R_n - R_n-1) P_n, the usual area under the precision-recall curve.
 * @example averagePrecision([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]) // 0.8333333333333333
 */
export const averagePrecision: MetricForms<RankOptions> = ranked('averagePrecision', precisionSum);

/**
 * Area under the precision-recall curve by trapezoids, which is a little optimistic ({@link averagePrecision} is not).
 * @example prAuc([0.1, 0.4, 0.35, 0.8], [0, 0, 1, 1]) // 0.7916666666666666
 */
export const prAuc: MetricForms<RankOptions> = ranked('prAuc', areaUnderPrecision);

export interface CurvePoint extends RankPoint {
  readonly truePositiveRate: number;
  readonly falsePositiveRate: number;
  readonly precision: number;
}

/** Every operating point of scores against 0 and 1, from the highest threshold to the lowest: what ROC and precision-recall curves plot. */
export function rankCurve(scores: Values, target: Values): CurvePoint[] {
  const points = rankPoints(asTensor(scores, false).toArray(), asTensor(target, true).toArray());
  const { truePositives: positives, falsePositives: negatives } = last(points);
  return points.map((p) => ({
    ...p,
    truePositiveRate: p.truePositives / positives,
    falsePositiveRate: p.falsePositives / negatives,
    precision: p.truePositives / (p.truePositives + p.falsePositives),
  }));
}

/** Counts at one threshold. */
export interface ThresholdCounts {
  readonly truePositives: number;
  readonly falsePositives: number;
  readonly trueNegatives: number;
  readonly falseNegatives: number;
}
const goals = {
  f1: ({ truePositives: tp, falsePositives: fp, falseNegatives: fn }: ThresholdCounts) => (tp === 0 ? 0 : (2 * tp) / (2 * tp + fp + fn)),
  accuracy: ({ truePositives: tp, falsePositives: fp, trueNegatives: tn, falseNegatives: fn }: ThresholdCounts) =>
    (tp + tn) / (tp + tn + fp + fn),
  /** Sensitivity + specificity - 1. */
  youden: ({ truePositives: tp, falsePositives: fp, trueNegatives: tn, falseNegatives: fn }: ThresholdCounts) =>
    tp / (tp + fn) + tn / (tn + fp) - 1,
};

export interface ThresholdOptions {
  /** What to make as large as possible: 'f1' (default), 'accuracy', 'youden', or a function of the counts. */
  readonly goal?: 'f1' | 'accuracy' | 'youden' | ((counts: ThresholdCounts) => number);
}

/**
 * The threshold on validation scores with the best goal: scores above it count as 1. It lies midway between two scores. Choose it on
 * validation data, and report the test with it.
 * @example tuneThreshold([0.1, 0.2, 0.3, 0.9], [0, 0, 1, 1]).threshold // 0.25
 */
export function tuneThreshold(
  scores: Values,
  target: Values,
  { goal = 'f1' }: ThresholdOptions = {},
): { threshold: number; score: number } {
  const judge = typeof goal === 'function' ? goal : goals[goal];
  if (judge === undefined)
    throw new LibError('option', `tuneThreshold: goal must be one of ${Object.keys(goals).join(', ')} or a function, got ${String(goal)}.`);
  const points = rankPoints(asTensor(scores, false).toArray(), asTensor(target, true).toArray());
  if (points.length === 0) throw new LibError('value', 'tuneThreshold: there must be scores, got none.');
  const { truePositives: positives, falsePositives: negatives } = last(points);
  const countsAt = ({ truePositives, falsePositives }: Omit<RankPoint, 'threshold'>): ThresholdCounts => ({
    truePositives,
    falsePositives,
    trueNegatives: negatives - falsePositives,
    falseNegatives: positives - truePositives,
  });
  let best = { threshold: points[0]?.threshold ?? 0, score: judge(countsAt({ truePositives: 0, falsePositives: 0 })) };
  for (const [i, p] of points.entries()) {
    const score = judge(countsAt(p));
    if (!(score > best.score)) continue;
    const below = points[i + 1]?.threshold;
    best = {
      threshold: below === undefined ? p.threshold - Math.max(1e-6, Math.abs(p.threshold) * 1e-6) : (p.threshold + below) / 2,
      score,
    };
  }
  return best;
}

/**
 * The share of right answers of a verification (same or different) at its best threshold; outputs are similarities, targets 1 for the same.
 * @example verificationAccuracy([0.9, 0.2, 0.6, 0.4], [1, 0, 0, 1]) // 0.75
 */
export const verificationAccuracy: MetricForms<ScoreOptions> = forms((options) =>
  collected(
    'verification accuracy',
    'higher',
    (output, target) => side('verificationAccuracy', output, target, options),
    (rows) => {
      if (rows.length === 0) return Number.NaN;
      const [scores, same] = [rows.map((r) => r[0] as number), rows.map((r) => r[1] as number)];
      return tuneThreshold(scores, same, { goal: 'accuracy' }).score;
    },
  ),
);
