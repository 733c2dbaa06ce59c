import { dtypes } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import { formatShape, type Shape, sameShape, sizeOf } from '../core/shape.js';
import { where } from '../ops/functions.js';
import { cat, stack } from '../ops/join.js';
import { full, ones, zeros } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { addPair, addTo, forms, type Metric, type MetricForms, ratio } from './metric.js';

/** What targets are, seen from the outputs: class indices, one class distribution an example, or one number an output. */
function kindOf(metric: string, output: Shape, target: Shape): 'indices' | 'soft' | 'binary' {
  if (sameShape(output, target)) return output.length > 1 && (output[1] ?? 1) > 1 ? 'soft' : 'binary';
  if (areIndices(output, target)) return 'indices';
  throw misfit(metric, output, target);
}
const areIndices = (output: Shape, target: Shape): boolean => sameShape([output[0] ?? 1, ...output.slice(2)], target) && output.length > 1;
const misfit = (metric: string, output: Shape, target: Shape): LibError =>
  new LibError(
    'shape',
    `${metric}: targets must be class indices or have the outputs' shape, got ${formatShape(target)} for outputs ${formatShape(output)}.`,
  );
const isFloat = (x: Tensor): boolean => dtypes[x.dtype].kind === 'float';

/** Whole numbers in plain calls are classes. */
export const ANSWERS = { outputs: 'answers' } as const;

export interface AccuracyOptions {
  /** One output a target: above this it counts as 1. Default 0, for logits; 0.5 for probabilities. */
  readonly threshold?: number;
  /** Targets with this value are left out. Default: none. */
  readonly ignoreIndex?: number;
}

function isRight(output: Tensor, target: Tensor, threshold: number): Tensor {
  if (!isFloat(output) && sameShape(output.shape, target.shape)) return output.eq(target);
  const kind = kindOf('accuracy', output.shape, target.shape);
  if (kind === 'binary') return output.gt(threshold).eq(target.gt(0.5));
  return output.argmax({ dim: 1 }).eq(kind === 'soft' ? target.argmax({ dim: 1 }) : target);
}

/**
 * The share of right answers: the largest output along dimension 1 against class indices (or the largest of soft targets), or, with one
 * output a target, outputs above `threshold` against 0 and 1. Outputs of an integer type (in plain calls: whole numbers) are answers.
 * @example accuracy([0, 2, 1, 1], [0, 2, 2, 1]) // 0.75
 */
export const accuracy: MetricForms<AccuracyOptions> = forms(
  ({ threshold = 0, ignoreIndex }) => ({
    name: 'accuracy',
    better: 'higher',
    measure(output, target) {
      const right = isRight(output, target, threshold);
      if (ignoreIndex === undefined) return right.sum();
      const counted = target.ne(ignoreIndex);
      return stack([right.logicalAnd(counted).sum(), counted.sum()]);
    },
    add(tally, values, { output, target }) {
      if (ignoreIndex !== undefined) return addPair(tally, values);
      const soft = sameShape(output, target) && output.length > 1 && (output[1] ?? 1) > 1;
      addTo(tally, values[0] ?? 0, soft && values.length === 1 ? answersIn(output) : sizeOf(target));
    },
    value: ratio,
  }),
  ANSWERS,
);

/** Soft targets have one answer an example and place. */
const answersIn = (shape: Shape): number => sizeOf(shape) / (shape[1] ?? 1);

export interface TopKOptions {
  /** How many of the largest outputs count. Default 5. */
  readonly k?: number;
}

/** The share of examples whose class is among the `k` largest outputs (batch, classes). */
export function topK(k: number): Metric {
  if (!Number.isInteger(k) || k < 1) throw new LibError('value', `topK: k must be a positive integer, got ${k}.`);
  return {
    name: `top${k}`,
    better: 'higher',
    measure: (output, target) => output.topk(k, { dim: 1 }).indices.eq(target.unsqueeze(1)).sum(),
    add: (tally, values, { examples }) => addTo(tally, values[0] ?? 0, examples),
    value: ratio,
  };
}

/**
 * {@link topK} in both forms: the share of examples whose class is among the `k` largest of (examples, classes).
 * @example topKAccuracy([[0.1, 0.5, 0.4], [0.6, 0.3, 0.1]], [2, 2], { k: 2 }) // 0.5
 */
export const topKAccuracy: MetricForms<TopKOptions> = forms(({ k = 5 }) => topK(k));

export interface CountOptions {
  /** How many classes there are. Default: the outputs' dimension 1; 2 for one output a target. Answers need it in `fit`. */
  readonly numClasses?: number;
  /** One output a target: above this it counts as class 1. Default 0, for logits; 0.5 for probabilities. */
  readonly threshold?: number;
  /** Targets with this value are left out. Default -100. */
  readonly ignoreIndex?: number;
}

/** The predicted classes, and how many there can be; null: to be found out from the values. */
function decided(op: string, output: Tensor, target: Tensor, { numClasses, threshold = 0 }: CountOptions): [Tensor, number | null] {
  if (areIndices(output.shape, target.shape)) return [output.argmax({ dim: 1 }), output.shape[1] as number];
  if (!sameShape(output.shape, target.shape)) throw misfit(op, output.shape, target.shape);
  if (isFloat(output)) return [output.gt(threshold).to('int32'), 2];
  return [output.to('int32'), numClasses ?? (output.dtype === 'bool' ? 2 : null)];
}

/**
 * Counts of (true, predicted) on the device. First the number of classes k, then k² + 2 cells; where those are more than the examples, or
 * k is not known, first -k (or 0), then the true and the predicted classes.
 */
function countCells(op: string, output: Tensor, target: Tensor, options: CountOptions): Tensor {
  const { ignoreIndex = -100 } = options;
  const { device } = output;
  const [predicted, known] = decided(op, output, target, options);
  const [p, t] = [predicted.to('int32').reshape([-1]), target.to('int32').reshape([-1])];
  const cells = (known ?? 0) ** 2;
  if (known === null || cells > t.size) return cat([full([1], -(known ?? 0), { device, dtype: 'int32' }), t, p]);
  const outside = t.ge(known).logicalOr(t.lt(0)).logicalOr(p.ge(known)).logicalOr(p.lt(0));
  // Two cells more: what is left out, and what lies outside.
  const inside = where(outside, full([], cells + 1, { device, dtype: 'int32' }), t.mul(known).add(p));
  const place = where(t.eq(ignoreIndex), full([], cells, { device, dtype: 'int32' }), inside);
  const counts = zeros([cells + 2], { device }).scatterAdd(0, place, ones([t.size], { device }));
  return cat([full([1], known, { device }), counts]);
}

/** Tallies hold the number of classes, then the cells. */
function addCells(op: string, tally: number[], [head = 0, ...values]: readonly number[], ignore: number): void {
  if (head > 0) {
    if ((values[head * head + 1] ?? 0) > 0) throw outside(op, head);
    growTo(tally, head);
    for (let i = 0; i < head * head; i++) tally[i + 1] = (tally[i + 1] ?? 0) + (values[i] ?? 0);
    return;
  }
  const known = head === 0 ? Number.POSITIVE_INFINITY : -head;
  if (head < 0) growTo(tally, known);
  const count = values.length / 2;
  for (let i = 0; i < count; i++) {
    const [t, p] = [values[i] as number, values[count + i] as number];
    if (t === ignore) continue;
    if (t < 0 || p < 0 || Math.max(t, p) >= known) throw outside(op, known);
    growTo(tally, Math.max(t, p) + 1);
    const cell = 1 + t * (tally[0] ?? 0) + p;
    tally[cell] = (tally[cell] ?? 0) + 1;
  }
}
const outside = (op: string, classes: number): LibError =>
  new LibError('value', `${op}: classes must be in 0..${classes - 1} (or ignoreIndex), got one outside.`);

function growTo(tally: number[], classes: number): void {
  const before = tally[0] ?? 0;
  if (before >= classes) return;
  const old = tally.slice(1);
  tally.length = 0;
  tally.push(classes);
  for (let i = 0; i < classes * classes; i++) {
    const [row, column] = [Math.floor(i / classes), i % classes];
    tally.push(row < before && column < before ? (old[row * before + column] ?? 0) : 0);
  }
}

export interface CountMetric {
  readonly name: string;
  readonly better: Metric['better'];
  value(matrix: readonly (readonly number[])[]): number | number[][];
}

/** A metric that follows from the confusion matrix. Measured in validation and test. */
export function fromCounts({ name, better, value }: CountMetric, options: CountOptions): Metric {
  const { ignoreIndex = -100, numClasses } = options;
  if (numClasses !== undefined && !(Number.isInteger(numClasses) && numClasses > 0))
    throw new LibError('value', `${name}: numClasses must be a positive integer, got ${numClasses}.`);
  return {
    name,
    better,
    evaluationOnly: true,
    measure: (output, target) => countCells(name, output, target, options),
    add: (tally, values) => addCells(name, tally, [...values], ignoreIndex),
    value([classes = 0, ...cells]) {
      return value(Array.from({ length: classes }, (_, i) => cells.slice(i * classes, (i + 1) * classes)));
    },
  };
}

/**
 * How often each true class (row) was taken for each class (column). In `fit` measured in validation and test.
 * @example confusionMatrix([0, 1, 1, 0], [0, 1, 0, 0]) // [[2, 1], [0, 1]]
 */
export const confusionMatrix: MetricForms<CountOptions, number[][]> = forms(
  (options) => fromCounts({ name: 'confusion', better: 'higher', value: (matrix) => matrix.map((row) => [...row]) }, options),
  ANSWERS,
);
