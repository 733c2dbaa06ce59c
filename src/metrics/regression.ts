import { dtypes } from '../core/dtype.js';
import { sizeOf } from '../core/shape.js';
import { stack } from '../ops/join.js';
import type { Tensor } from '../tensor/tensor.js';
import { addTo, checkSameShape, forms, type Metric, type MetricForms, ratio } from './metric.js';

type NoOptions = Readonly<Record<never, never>>;

/** Differences in a floating type. */
function errors(op: string, output: Tensor, target: Tensor): Tensor {
  checkSameShape(op, output, target);
  const float = dtypes[output.dtype].kind === 'float' ? output : output.to('float64');
  return float.sub(target.to(float.dtype));
}

const meanOf = (name: string, each: (error: Tensor) => Tensor, value: Metric['value'] = ratio): MetricForms<NoOptions> =>
  forms(() => ({
    name,
    better: 'lower',
    measure: (output, target) => each(errors(name, output, target)).sum(),
    add: (tally, values, { output }) => addTo(tally, values[0] ?? 0, sizeOf(output)),
    value,
  }));

/** The mean of (y - t)² over all elements. @example meanSquaredError([1, 2, 4], [1, 3, 2]) // 1.6666666666666667 */
export const meanSquaredError: MetricForms<NoOptions> = meanOf('mse', (e) => e.square());

/** The root of {@link meanSquaredError}, in the unit of the targets. @example rootMeanSquaredError([1, 4], [2, 3]) // 1 */
export const rootMeanSquaredError: MetricForms<NoOptions> = meanOf(
  'rmse',
  (e) => e.square(),
  (tally) => Math.sqrt(ratio(tally)),
);

/** The mean of |y - t| over all elements. @example meanAbsoluteError([1, 2, 4], [1, 3, 2]) // 1 */
export const meanAbsoluteError: MetricForms<NoOptions> = meanOf('mae', (e) => e.abs());

/** The median of |y - t| over all elements: half of the errors are smaller. @example medianAbsoluteError([1, 2, 9], [1, 3, 2]) // 1 */
export const medianAbsoluteError: MetricForms<NoOptions> = forms(() => ({
  name: 'median absolute error',
  better: 'lower',
  evaluationOnly: true,
  measure: (output, target) => errors('medianAbsoluteError', output, target).abs().reshape([-1]),
  add: (tally, values) => {
    for (const v of values) tally.push(v);
  },
  value(tally) {
    const sorted = Float64Array.from(tally).sort();
    const middle = sorted.length >> 1;
    if (sorted.length === 0) return Number.NaN;
    return sorted.length % 2 === 1 ? (sorted[middle] as number) : ((sorted[middle - 1] as number) + (sorted[middle] as number)) / 2;
  },
}));

/** Per column: count, sum of squared errors, mean and sum of squared deviations of the targets, merged batch by batch (Chan et al. 1983). */
function mergeColumns(tally: number[], values: ArrayLike<number>, count: number): void {
  const columns = values.length / 3;
  if (count === 0) return;
  for (let c = 0; c < columns; c++) {
    const [sse, mean, m2] = [values[c] as number, values[columns + c] as number, values[2 * columns + c] as number];
    const [n = 0, before = 0, old = 0, oldM2 = 0] = tally.slice(4 * c, 4 * c + 4);
    const delta = mean - old;
    const all = n + count;
    tally.splice(4 * c, 4, all, before + sse, old + (delta * count) / all, oldM2 + m2 + (delta * delta * n * count) / all);
  }
}

/**
 * Coefficient of determination 1 - Σ (y - t)² / Σ (t - mean t)², the mean over output columns. Constant targets give 1 where they are
 * met, else 0.
 * @example r2Score([1, 2, 3], [1, 2, 4]) // 0.7857142857142857
 */
export const r2Score: MetricForms<NoOptions> = forms(() => ({
  name: 'r2',
  better: 'higher',
  evaluationOnly: true,
  measure(output, target) {
    const rows = [output.shape[0] ?? 1, -1];
    const e = errors('r2Score', output, target).reshape(rows);
    const t = target.to(e.dtype).reshape(rows);
    const mean = t.mean({ dim: 0 });
    return stack([e.square().sum({ dim: 0 }), mean, t.sub(mean).square().sum({ dim: 0 })]);
  },
  add: (tally, values, { examples }) => mergeColumns(tally, values, examples),
  value(tally) {
    const columns = tally.length / 4;
    const each = Array.from({ length: columns }, (_, c) => {
      const [, sse = 0, , m2 = 0] = tally.slice(4 * c, 4 * c + 4);
      if (m2 === 0) return sse === 0 ? 1 : 0;
      return 1 - sse / m2;
    });
    return columns === 0 ? Number.NaN : each.reduce((a, b) => a + b, 0) / columns;
  },
}));

export interface OrdinalOptions {
  /** 'thresholds' (default): (batch, ranks - 1) logits of "more than rank k"; 'classes': (batch, ranks) logits; 'ranks': ranks. */
  readonly from?: 'thresholds' | 'classes' | 'ranks';
}

/** Ranks that outputs stand for. */
function ranksOf(output: Tensor, from: OrdinalOptions['from']): Tensor {
  if (from === 'ranks' || output.ndim === 1) return output;
  return from === 'classes' ? output.argmax({ dim: 1 }) : output.gt(0).sum({ dim: 1 });
}

/**
 * How many ranks predictions are off, on average.
 * @example ordinalError([[2, 1, -1], [-1, -2, -3]], [2, 2]) // 1
 */
export const ordinalError: MetricForms<OrdinalOptions> = forms(({ from = 'thresholds' }) => ({
  name: 'rank error',
  better: 'lower',
  measure: (output, target) => errors('ordinalError', ranksOf(output, from).to('float32'), target).abs().sum(),
  add: (tally, values, { examples }) => addTo(tally, values[0] ?? 0, examples),
  value: ratio,
}));

/**
 * The share of examples whose outputs (batch, ranks - 1) contradict themselves: "more than rank k + 1" is likelier than "more than k".
 * @example rankViolations([[2, 1, -1], [0, 1, -1]], [2, 2]) // 0.5
 */
export const rankViolations: MetricForms<NoOptions> = forms(() => ({
  name: 'rank violations',
  better: 'lower',
  measure(output) {
    const last = (output.shape[1] ?? 1) - 1;
    return output
      .narrow(1, 1, last)
      .gt(output.narrow(1, 0, last))
      .any({ dim: 1 })
      .sum();
  },
  add: (tally, values, { examples }) => addTo(tally, values[0] ?? 0, examples),
  value: ratio,
}));
