import { LibError } from '../core/errors.js';
import { formatShape, type Shape, sameShape } from '../core/shape.js';
import { noGrad } from '../tensor/autograd.js';
import { tensor } from '../tensor/creation.js';
import { isTensor, type NestedNumbers, type Tensor, type TensorData } from '../tensor/tensor.js';

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

/** What plain calls take: a tensor, a typed array, or numbers (nested where they have several dims). */
export type Values = Tensor | TensorData | readonly boolean[] | readonly NestedNumbers[];

/**
 * A metric in two forms: `f1(outputs, targets)` is its value on what is given; `f1()` or `f1(options)` is a {@link Metric} for `fit` and
 * `evaluate`, which sum it up over batches.
 */
export interface MetricForms<O, R = number> {
  (output: Values, target: Values, options?: O): R;
  (options?: O): Metric;
}

const isValues = (x: unknown): x is Values => isTensor(x) || Array.isArray(x) || ArrayBuffer.isView(x);

/** Plain numbers as a tensor: int32 where all are whole and `classes` says that they may be class numbers, else float64. */
export function asTensor(values: Values, classes: boolean): Tensor {
  if (isTensor(values)) return values;
  if (ArrayBuffer.isView(values)) return tensor(values as TensorData);
  const list = values as readonly (number | boolean | NestedNumbers)[];
  const whole = list.flat(9).every((v) => typeof v === 'boolean' || Number.isInteger(v));
  const numbers = list.map((v) => (typeof v === 'boolean' ? Number(v) : v)) as NestedNumbers[];
  return tensor(numbers, { dtype: classes && whole ? 'int32' : 'float64' });
}

/** The value of a metric on one batch that is all there is. */
export function measureOnce(metric: Metric, output: Tensor, target: Tensor): number | number[][] {
  const tally: number[] = [];
  const batch = { examples: output.shape[0] ?? 1, output: output.shape, target: target.shape };
  metric.add(tally, noGrad(() => metric.measure(output, target)).toArray(), batch);
  return metric.value(tally);
}

/** Both forms of a metric that `make` makes. `outputs` says what plain whole numbers are: answers (classes), or scores like any other. */
export function forms<O extends object, R = number>(
  make: (options: O) => Metric,
  { outputs = 'scores' }: { readonly outputs?: 'answers' | 'scores' } = {},
): MetricForms<O, R> {
  const call = (first?: Values | O, target?: Values, options?: O): unknown => {
    if (!isValues(first)) return make((first ?? {}) as O);
    const metric = make((options ?? {}) as O);
    if (target === undefined)
      throw new LibError(
        'value',
        `${metric.name}: outputs must come with targets, got outputs alone.`,
        `${metric.name}(outputs, targets).`,
      );
    const answers = outputs === 'answers' && !(options !== undefined && 'threshold' in options);
    return measureOnce(metric, asTensor(first, answers), asTensor(target, true));
  };
  return call as MetricForms<O, R>;
}

/** Adds a sum and what it is a sum over. */
export const addTo = (tally: number[], sum: number, count: number): void => {
  tally[0] = (tally[0] ?? 0) + sum;
  tally[1] = (tally[1] ?? 0) + count;
};
export const ratio = ([sum = 0, count = 0]: readonly number[]): number => (count === 0 ? Number.NaN : sum / count);
/** `add` of metrics whose measure is [sum, count]. */
export const addPair = (tally: number[], values: TensorData): void => addTo(tally, values[0] ?? 0, values[1] ?? 0);

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

/** A metric that needs all rows at once: keeps what `measure` gives, (examples, width), and judges in the end. For evaluation only. */
export function collected(
  name: string,
  better: Metric['better'],
  measure: Metric['measure'],
  value: (rows: readonly (readonly number[])[]) => number,
): Metric {
  return {
    name,
    better,
    evaluationOnly: true,
    measure,
    add(tally, values, { examples }) {
      if (examples === 0) return;
      tally[0] ??= values.length / examples;
      for (const v of values) tally.push(v);
    },
    value([width = 0, ...all]) {
      const count = width === 0 ? 0 : all.length / width;
      return value(Array.from({ length: count }, (_, i) => all.slice(i * width, (i + 1) * width)));
    },
  };
}

/** Refuses outputs and targets of different shapes, which would broadcast into something else. */
export function checkSameShape(op: string, output: Tensor, target: Tensor): void {
  if (sameShape(output.shape, target.shape)) return;
  const got = `${formatShape(output.shape)} and ${formatShape(target.shape)}`;
  throw new LibError('shape', `${op}: outputs and targets must have one shape, got ${got}.`);
}

/** What outputs are: numbers before the last function of the model, or its probabilities. */
export interface ScoreOptions {
  /** 'logits' (default) pass through softmax, or sigmoid where there is one output a target. */
  readonly from?: 'logits' | 'probabilities';
}

export function checkFrom(op: string, { from = 'logits' }: ScoreOptions): 'logits' | 'probabilities' {
  if (from === 'logits' || from === 'probabilities') return from;
  throw new LibError('option', `${op}: from must be 'logits' or 'probabilities', got ${JSON.stringify(from)}.`);
}
