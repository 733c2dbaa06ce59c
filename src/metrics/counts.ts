import { LibError } from '../core/errors.js';
import { ANSWERS, type CountOptions, confusionMatrix, fromCounts } from './classification.js';
import { forms, type MetricForms, type Values } from './metric.js';

export interface AverageOptions extends CountOptions {
  /**
   * 'binary': of the class `positive` alone; 'macro': the mean over classes that occur; 'weighted': weighted by how often they occur;
   * 'micro': of all classes' counts together. Default: 'binary' where there are two classes, else 'macro'.
   */
  readonly average?: 'binary' | 'macro' | 'micro' | 'weighted';
  /** The class that 'binary' is about. Default 1. */
  readonly positive?: number;
}

/** Right positives, all that were called positive, all that are. */
export interface ClassCounts {
  readonly truePositive: number;
  readonly predicted: number;
  readonly actual: number;
}
type Formula = (counts: ClassCounts) => number;

/** 0 where there is nothing to divide by. */
const share = (part: number, whole: number): number => (whole === 0 ? 0 : part / whole);
const formulas = {
  precision: ({ truePositive, predicted }: ClassCounts) => share(truePositive, predicted),
  recall: ({ truePositive, actual }: ClassCounts) => share(truePositive, actual),
  f1: ({ truePositive, predicted, actual }: ClassCounts) => share(2 * truePositive, predicted + actual),
  iou: ({ truePositive, predicted, actual }: ClassCounts) => share(truePositive, predicted + actual - truePositive),
};

type Matrix = readonly (readonly number[])[];
const countsOf = (matrix: Matrix): ClassCounts[] =>
  matrix.map((row, c) => ({
    truePositive: row[c] ?? 0,
    predicted: matrix.reduce((n, r) => n + (r[c] ?? 0), 0),
    actual: row.reduce((n, v) => n + v, 0),
  }));
const total = (all: readonly ClassCounts[], key: keyof ClassCounts): number => all.reduce((n, c) => n + c[key], 0);

function averaged(op: string, matrix: Matrix, formula: Formula, { average, positive = 1 }: AverageOptions): number {
  const all = countsOf(matrix);
  const how = average ?? (matrix.length <= 2 ? 'binary' : 'macro');
  if (how === 'binary') {
    if (matrix.length > 2)
      throw new LibError(
        'value',
        `${op}: average 'binary' needs two classes, got ${matrix.length}.`,
        "average: 'macro', 'micro' or 'weighted'.",
      );
    return formula(all[positive] ?? { truePositive: 0, predicted: 0, actual: 0 });
  }
  if (how === 'micro')
    return formula({ truePositive: total(all, 'truePositive'), predicted: total(all, 'predicted'), actual: total(all, 'actual') });
  const present = all.filter((c) => c.predicted + c.actual > 0);
  const weights = present.map((c) => (how === 'weighted' ? c.actual : 1));
  return share(
    present.reduce((sum, c, i) => sum + formula(c) * (weights[i] as number), 0),
    weights.reduce((a, b) => a + b, 0),
  );
}

const averages = ['binary', 'macro', 'micro', 'weighted'];
function averageMetric(name: string, formula: Formula): MetricForms<AverageOptions> {
  return forms((options) => {
    const { average } = options;
    if (average !== undefined && !averages.includes(average))
      throw new LibError('option', `${name}: average must be one of ${averages.join(', ')}, got ${JSON.stringify(average)}.`);
    return fromCounts({ name, better: 'higher', value: (matrix) => averaged(name, matrix, formula, options) }, options);
  }, ANSWERS);
}

/**
 * The share of right ones among those called positive, TP / (TP + FP); 0 where none was.
 * @example precision([1, 1, 0, 1], [1, 0, 0, 1]) // 0.6666666666666666
 */
export const precision: MetricForms<AverageOptions> = averageMetric('precision', formulas.precision);

/**
 * The share of positives that were found, TP / (TP + FN); 0 where there are none.
 * @example recall([1, 0, 0, 1], [1, 1, 0, 1]) // 0.6666666666666666
 */
export const recall: MetricForms<AverageOptions> = averageMetric('recall', formulas.recall);

/**
 * The harmonic mean of precision and recall, 2 TP / (2 TP + FP + FN); 0 where undefined. It ignores true negatives, and speaks of the
 * rare class only where that is the positive one.
 * @example f1([1, 1, 0, 0], [1, 0, 0, 1]) // 0.5
 */
export const f1: MetricForms<AverageOptions> = averageMetric('f1', formulas.f1);

/**
 * Intersection over union (Jaccard index) of predicted and true places, of masks or of classes (batch, classes, ...).
 * @example iou([[0, 1], [1, 1]], [[0, 1], [0, 1]]) // 0.6666666666666666
 */
export const iou: MetricForms<AverageOptions> = averageMetric('iou', formulas.iou);

/**
 * Dice coefficient 2 |A ∩ B| / (|A| + |B|) of predicted and true places. J = D / (2 - D) is {@link iou}.
 * @example dice([[0, 1], [1, 1]], [[0, 1], [0, 1]]) // 0.8
 */
export const dice: MetricForms<AverageOptions> = averageMetric('dice', formulas.f1);

/** The mean over classes of their recall: accuracy as if all classes were equally frequent. */
export const balancedAccuracy: MetricForms<CountOptions> = forms(
  (options) => fromCounts({ name: 'balanced accuracy', better: 'higher', value: balanced }, options),
  ANSWERS,
);
function balanced(matrix: Matrix): number {
  const present = countsOf(matrix).filter((c) => c.actual > 0);
  return present.reduce((sum, c) => sum + formulas.recall(c), 0) / present.length;
}

export interface ClassReport {
  readonly precision: number;
  readonly recall: number;
  readonly f1: number;
  /** How often the class occurs. */
  readonly support: number;
}

/**
 * Precision, recall, F1 and frequency of every class.
 * @example classReport([0, 1, 1], [0, 1, 0]).map((c) => c.support) // [2, 1]
 */
export function classReport(output: Values, target: Values, options: CountOptions = {}): ClassReport[] {
  return countsOf(confusionMatrix(output, target, options)).map((c) => ({
    precision: formulas.precision(c),
    recall: formulas.recall(c),
    f1: formulas.f1(c),
    support: c.actual,
  }));
}
