import { LibError } from '../core/errors.js';
import { sameShape, sizeOf } from '../core/shape.js';
import { crossEntropy, logSoftmax, nllLoss } from '../ops/functions.js';
import { cat, stack } from '../ops/join.js';
import { zeros } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import {
  addPair,
  addTo,
  asTensor,
  checkFrom,
  forms,
  type Metric,
  type MetricForms,
  measureOnce,
  ratio,
  type ScoreOptions,
  type Values,
} from './metric.js';

/** Probabilities over dimension 1; one output a target becomes two classes. */
function probabilities(op: string, output: Tensor, target: Tensor | null, options: ScoreOptions): Tensor {
  const ready = checkFrom(op, options) === 'probabilities';
  if (output.ndim > 1 && !(target !== null && sameShape(output.shape, target.shape))) return ready ? output : output.softmax({ dim: 1 });
  const p = ready ? output : output.sigmoid();
  const column = p.reshape([-1, 1]);
  return cat([column.neg().add(1), column], { dim: 1 });
}

/** How sure each prediction is, and whether it is right: (n) each. */
function judgements(op: string, output: Tensor, target: Tensor, options: ScoreOptions): [Tensor, Tensor] {
  const p = probabilities(op, output, target, options);
  const sure = p.amax({ dim: 1 }).reshape([-1]);
  return [
    sure,
    p
      .argmax({ dim: 1 })
      .reshape([-1])
      .eq(target.to('int32').reshape([-1]))
      .to(sure.dtype),
  ];
}

export interface CalibrationOptions extends ScoreOptions {
  /** Equal parts of the confidences 0..1. Default 15. */
  readonly bins?: number;
}

/** One part of the confidences. */
export interface CalibrationBin {
  /** The part is (low, high]. */
  readonly low: number;
  readonly high: number;
  readonly count: number;
  /** Means over its examples; NaN where there are none. */
  readonly confidence: number;
  readonly accuracy: number;
}

/** Rows of counts, summed confidences and right answers by bin. */
function binned(name: string, options: CalibrationOptions, value: Metric['value']): Metric {
  const { bins = 15 } = options;
  if (!Number.isInteger(bins) || bins < 1) throw new LibError('value', `${name}: bins must be a positive integer, got ${bins}.`);
  return {
    name,
    better: 'lower',
    measure(output, target) {
      const [sure, right] = judgements(name, output, target, options);
      const at = sure
        .mul(bins)
        .ceil()
        .sub(1)
        .clamp({ min: 0, max: bins - 1 })
        .to('int32')
        .unsqueeze(0)
        .expand([3, sure.size]);
      const facts = stack([sure.mul(0).add(1), sure, right]);
      return zeros([3, bins], { dtype: sure.dtype, device: output.device }).scatterAdd(1, at, facts);
    },
    add(tally, values) {
      for (const [i, v] of values.entries()) tally[i] = (tally[i] ?? 0) + v;
    },
    value,
  };
}

function gapOf(tally: readonly number[]): number {
  const bins = tally.length / 3;
  let [gap, count] = [0, 0];
  for (let i = 0; i < bins; i++) {
    count += tally[i] as number;
    gap += Math.abs((tally[bins + i] as number) - (tally[2 * bins + i] as number));
  }
  return count === 0 ? Number.NaN : gap / count;
}

/**
 * Expected calibration error (Guo et al. 2017): the mean over examples of |accuracy - confidence| of their confidence bin.
 * @example expectedCalibrationError([[0.3, 0.7], [0.1, 0.9]], [1, 0], { from: 'probabilities' }) // 0.6
 */
export const expectedCalibrationError: MetricForms<CalibrationOptions> = forms((options) => binned('ece', options, gapOf));

/** What {@link expectedCalibrationError} is the sum of: confidence and accuracy by bin, as reliability diagrams show them. */
export function calibrationBins(output: Values, target: Values, options: CalibrationOptions = {}): CalibrationBin[] {
  const { bins = 15 } = options;
  let rows: readonly number[] = [];
  const metric = binned('calibrationBins', options, (tally) => {
    rows = tally;
    return 0;
  });
  measureOnce(metric, asTensor(output, false), asTensor(target, true));
  return Array.from({ length: bins }, (_, i) => {
    const count = rows[i] ?? 0;
    const mean = (row: number): number => (rows[row * bins + i] ?? 0) / count;
    return { low: i / bins, high: (i + 1) / bins, count, confidence: mean(1), accuracy: mean(2) };
  });
}

/** Sums of a tensor's elements, counted. */
const meanOver = (name: string, better: Metric['better'], each: (output: Tensor, target: Tensor) => Tensor): Metric => ({
  name,
  better,
  measure(output, target) {
    const values = each(output, target);
    return stack([values.sum(), values.mul(0).add(1).sum()]);
  },
  add: addPair,
  value: ratio,
});

/** The mean of the largest probability. Well calibrated outputs are as sure as they are right. */
export const meanConfidence: MetricForms<ScoreOptions> = forms((options) =>
  meanOver('confidence', 'higher', (output, target) => judgements('meanConfidence', output, target, options)[0]),
);

/** -Σ p log p over dimension 1, in nats: how unsure predictions are. */
export function entropyOf(p: Tensor): Tensor {
  return p
    .mul(p.clamp({ min: 1e-30 }).log())
    .sum({ dim: 1 })
    .neg();
}

/**
 * The mean entropy of predictions, in nats: 0 for one sure class, log(classes) for none preferred.
 * @example predictiveEntropy([[0.5, 0.5]], [0], { from: 'probabilities' }) // 0.6931471805599453
 */
export const predictiveEntropy: MetricForms<ScoreOptions> = forms((options) =>
  meanOver('entropy', 'lower', (output, target) => entropyOf(probabilities('predictiveEntropy', output, target, options))),
);

/**
 * The mean of -log p(target), in nats. `from: 'probabilities'` takes the logarithm of what is given.
 * @example negativeLogLikelihood([[0.5, 0.5]], [0], { from: 'probabilities' }) // 0.6931471805599453
 */
export const negativeLogLikelihood: MetricForms<ScoreOptions> = forms((options) => ({
  name: 'nll',
  better: 'lower',
  measure(output, target) {
    if (checkFrom('negativeLogLikelihood', options) === 'logits' && !sameShape(output.shape, target.shape))
      return crossEntropy(output, target, { reduction: 'sum' });
    const p = probabilities('negativeLogLikelihood', output, target, options);
    return nllLoss(p.clamp({ min: 1e-30 }).log(), target.to('int32').reshape([-1, ...p.shape.slice(2)]), { reduction: 'sum' });
  },
  add: (tally, values, { target }) => addTo(tally, values[0] ?? 0, sizeOf(target)),
  value: ratio,
}));

export interface TokenOptions {
  /** Targets with this value are left out: padding. Default -100. */
  readonly ignoreIndex?: number;
}

/** -log p of the targets, summed, and how many there are. */
function tokenLoss(output: Tensor, target: Tensor, { ignoreIndex = -100 }: TokenOptions): Tensor {
  const sum = nllLoss(logSoftmax(output, { dim: 1 }), target, { reduction: 'sum', ignoreIndex });
  return stack([sum, target.ne(ignoreIndex).sum().to(sum.dtype)]);
}
const overTokens = (name: string, value: (nats: number) => number): MetricForms<TokenOptions> =>
  forms((options) => ({
    name,
    better: 'lower',
    measure: (output, target) => tokenLoss(output, target, options),
    add: addPair,
    value: (tally) => value(ratio(tally)),
  }));

/**
 * exp of the mean -log p(token), over all tokens of all batches: logits (batch, vocabulary, ...) and token numbers (batch, ...).
 * @example perplexity([[0, 0, 0, 0]], [2]) // 4
 */
export const perplexity: MetricForms<TokenOptions> = overTokens('perplexity', Math.exp);

/**
 * The mean -log2 p(token), over all tokens of all batches. 2 to its power is {@link perplexity}.
 * @example bitsPerToken([[0, 0, 0, 0]], [2]) // 2
 */
export const bitsPerToken: MetricForms<TokenOptions> = overTokens('bits per token', (nats) => nats / Math.LN2);
