import { LibError } from '../core/errors.js';
import { formatShape, type Shape, sameShape, sizeOf } from '../core/shape.js';
import type { Tensor, TensorData } from '../tensor/tensor.js';

/** The shapes that a metric was measured on. */
export interface Measured {
  readonly examples: number;
  readonly output: Shape;
  readonly target: Shape;
}

/**
 * A measure of how good outputs are, summed up over batches. The device computes a small tensor a batch; the rest happens in plain numbers.
 * Tallies are plain lists, so that an interrupted epoch can be resumed.
 */
export interface Metric {
  readonly name: string;
  readonly better: 'higher' | 'lower';
  /** Left out of training steps: measured in validation and test only. Default false. */
  readonly evaluationOnly?: boolean;
  measure(output: Tensor, target: Tensor): Tensor;
  /** Adds a batch to the tally, which starts as []. */
  add(tally: number[], values: TensorData, batch: Measured): void;
  value(tally: readonly number[]): number | number[][];
}

const addTo = (tally: number[], sum: number, count: number): void => {
  tally[0] = (tally[0] ?? 0) + sum;
  tally[1] = (tally[1] ?? 0) + count;
};
const ratio = ([sum = 0, count = 0]: readonly number[]): number => (count === 0 ? Number.NaN : sum / count);

/** A mean over examples of what `measure` gives for each batch, a scalar tensor that is itself a mean. */
export function runningMean(
  name: string,
  measure: Metric['measure'],
  { better = 'lower' }: { readonly better?: Metric['better'] } = {},
): Metric {
  return {
    name,
    better,
    measure,
    add: (tally, values, { examples }) => addTo(tally, (values[0] ?? 0) * examples, examples),
    value: ratio,
  };
}

/** What targets are, seen from the outputs: class indices, one class distribution an example, or one number an output. */
function kindOf(metric: string, output: Shape, target: Shape): 'indices' | 'soft' | 'binary' {
  if (sameShape(output, target)) return output.length > 1 && (output[1] ?? 1) > 1 ? 'soft' : 'binary';
  if (sameShape([output[0] ?? 1, ...output.slice(2)], target)) return 'indices';
  throw new LibError(
    'shape',
    `${metric}: targets must be class indices or have the outputs' shape, got ${formatShape(target)} for outputs ${formatShape(output)}.`,
  );
}

export interface AccuracyOptions {
  /** One output a target: above this it counts as 1. Default 0, for logits; 0.5 for probabilities. */
  readonly threshold?: number;
}

/**
 * The share of right answers: the largest output along dimension 1 against class indices (or the largest of soft targets), or, with one
 * output a target, outputs above `threshold` against 0 and 1.
 */
export function accuracy({ threshold = 0 }: AccuracyOptions = {}): Metric {
  return {
    name: 'accuracy',
    better: 'higher',
    measure(output, target) {
      const kind = kindOf('accuracy', output.shape, target.shape);
      if (kind === 'binary') return output.gt(threshold).eq(target.gt(0.5)).sum();
      return output
        .argmax({ dim: 1 })
        .eq(kind === 'soft' ? target.argmax({ dim: 1 }) : target)
        .sum();
    },
    add(tally, values, { output, target }) {
      const kind = kindOf('accuracy', output, target);
      addTo(tally, values[0] ?? 0, kind === 'soft' ? sizeOf(target) / (target[1] ?? 1) : sizeOf(target));
    },
    value: ratio,
  };
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

/** How often each true class (row) was taken for each class (column). Measured in validation and test. */
export function confusionMatrix(): Metric {
  return {
    name: 'confusion',
    better: 'higher',
    evaluationOnly: true,
    // One number an example: the cell that it belongs to.
    measure: (output, target) =>
      target
        .to('int32')
        .mul(output.shape[1] ?? 1)
        .add(output.argmax({ dim: 1 })),
    add(tally, values, { output }) {
      const cells = (output[1] ?? 1) ** 2;
      while (tally.length < cells) tally.push(0);
      for (const cell of values) tally[cell] = (tally[cell] ?? 0) + 1;
    },
    value(tally) {
      const classes = Math.sqrt(tally.length);
      return Array.from({ length: classes }, (_, i) => tally.slice(i * classes, (i + 1) * classes));
    },
  };
}
