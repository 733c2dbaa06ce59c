import { LibError } from '../core/errors.js';
import type { Measured, Metric } from '../metrics/metric.js';
import type { AnyModule } from '../nn/module.js';
import { autocast } from '../ops/autocast.js';
import { noGrad } from '../tensor/autograd.js';
import { isTensor, type Tensor, type TensorData } from '../tensor/tensor.js';
import { CompiledPart } from './compiled.js';
import type { Scores } from './events.js';
import { withMode } from './modes.js';
import type { Precision } from './options.js';
import { pause } from './pause.js';
import { ReadQueue } from './readQueue.js';

/** From outputs and targets to one number, the mean over the batch. */
export type LossFn = (output: Tensor, target: Tensor) => Tensor;

/** What a model makes of a batch, and what it should have made. */
export interface Outcome {
  readonly output: Tensor;
  readonly target: Tensor;
}
export type ForwardFn<B> = (model: AnyModule, batch: B) => Outcome;

/** What is to be read back of one batch: the loss, then the metrics. */
export interface BatchValues {
  readonly values: readonly Tensor[];
  readonly shapes: Measured;
}

/** Sums over the batches of a pass, as plain numbers. */
export class Tally {
  /** By metric; the loss is the first entry. */
  sums: Record<string, number[]> = {};
  examples = 0;

  constructor(private readonly metrics: readonly Metric[]) {}

  add(loss: number, values: readonly TensorData[], batch: Measured): void {
    const losses = this.sumsOf('loss');
    losses[0] = (losses[0] ?? 0) + loss * batch.examples;
    this.examples += batch.examples;
    for (const [i, m] of this.metrics.entries()) m.add(this.sumsOf(m.name), values[i] as TensorData, batch);
  }

  private sumsOf(name: string): number[] {
    this.sums[name] ??= [];
    return this.sums[name];
  }

  /** The loss's mean and every metric that is a number. */
  scores(): Scores {
    const scores: Record<string, number> = { loss: (this.sums.loss?.[0] ?? Number.NaN) / this.examples };
    for (const m of this.metrics) {
      const value = m.value(this.sums[m.name] ?? []);
      if (typeof value === 'number') scores[m.name] = value;
    }
    return scores;
  }

  tables(): Record<string, number[][]> {
    const tables: Record<string, number[][]> = {};
    for (const m of this.metrics) {
      const value = m.value(this.sums[m.name] ?? []);
      if (typeof value !== 'number') tables[m.name] = value;
    }
    return tables;
  }
}

export interface EvaluateOptions<B> {
  readonly loss: LossFn;
  readonly metrics?: readonly Metric[];
  /** How the model is applied to a batch. Default: `[input, target]` batches, `model.forward(input)`. */
  readonly forward?: ForwardFn<B>;
  /** Called after each batch with the share that is done. */
  readonly onBatch?: (done: number) => void;
  readonly signal?: AbortSignal;
  /** What products are computed in. Default 'float32'. */
  readonly precision?: Precision;
}

/** Runs `body` under autocast where products are to run in a reduced type. */
export const inPrecision = <R>(precision: Precision, body: () => R): R =>
  precision === 'float32' ? body() : autocast(body, { dtype: precision });

export interface Evaluation {
  readonly scores: Scores;
  readonly tables: Readonly<Record<string, number[][]>>;
  readonly examples: number;
  readonly seconds: number;
}

/** The default way to apply a model to a batch. */
export function forwardPair(model: AnyModule, batch: unknown): Outcome {
  const [input, target] = Array.isArray(batch) ? (batch as readonly unknown[]) : [];
  if (!isTensor(input) || !isTensor(target)) {
    throw new LibError(
      'data',
      'fit: batches must be [input, target] tensors, got something else.',
      'give a forward function that says what a batch is.',
    );
  }
  return { output: (model as unknown as { forward(x: Tensor): Tensor }).forward(input), target };
}

const firstTensor = (batch: unknown): Tensor | undefined => (isTensor(batch) ? batch : Object.values(batch ?? {}).find(isTensor));

/** How many examples a batch has: the first dimension of its first tensor. */
export const examplesIn = (batch: unknown): number => firstTensor(batch)?.shape[0] ?? 1;

/** How many token ids a batch has: the size of its first tensor, where that holds whole numbers of shape (batch, time). */
export function tokensIn(batch: unknown): number {
  const first = firstTensor(batch);
  return first !== undefined && first.ndim === 2 && first.dtype === 'int32' ? first.size : 0;
}

export const shapesOf = (batch: unknown, { output, target }: Outcome): Measured => ({
  examples: examplesIn(batch),
  output: output.shape,
  target: target.shape,
});

/**
 * Scores a model on data: evaluation mode, no gradients, sample-weighted means. The modes of before come back, also after an error.
 * @example const { scores } = await evaluate(model, testLoader, { loss: crossEntropy, metrics: [accuracy()] })
 */
export function evaluate<B>(
  model: AnyModule,
  data: AsyncIterable<B> & { readonly length: number },
  { loss, metrics = [], forward = forwardPair, precision = 'float32', ...options }: EvaluateOptions<B>,
): Promise<Evaluation> {
  const compiled = new CompiledPart(
    'evaluation step',
    evaluationStep(model, { loss, metrics, forward, precision }),
    'auto',
    () => undefined,
  );
  return evaluateWith((batch) => compiled.run(batch), model, data, { metrics, ...options });
}

/** The loss and the metrics of one batch. */
export function evaluationStep<B>(
  model: AnyModule,
  { loss, metrics, forward, precision }: Required<Pick<EvaluateOptions<B>, 'loss' | 'metrics' | 'forward' | 'precision'>>,
): (batch: B) => BatchValues {
  return (batch) =>
    noGrad(() => {
      const { made, value } = inPrecision(precision, () => {
        const outcome = forward(model, batch);
        return { made: outcome, value: loss(outcome.output, outcome.target) };
      });
      const measured = metrics.map((m) => m.measure(made.output, made.target));
      return { values: [value, ...measured], shapes: shapesOf(batch, made) };
    });
}

/** A pass over data with a step that is given. */
export function evaluateWith<B>(
  step: (batch: B) => BatchValues,
  model: AnyModule,
  data: AsyncIterable<B> & { readonly length: number },
  { metrics = [], onBatch, signal }: Pick<EvaluateOptions<B>, 'metrics' | 'onBatch' | 'signal'>,
): Promise<Evaluation> {
  return withMode(model, false, async () => {
    const started = performance.now();
    const tally = new Tally(metrics);
    const queue = new ReadQueue();
    let done = 0;
    for await (const batch of data) {
      const { values, shapes } = step(batch);
      await queue.push(values, ([value, ...measured]) => tally.add(value?.[0] ?? Number.NaN, measured, shapes));
      onBatch?.(++done / data.length);
      await pause();
      if (signal?.aborted) break;
    }
    await queue.drain();
    return { scores: tally.scores(), tables: tally.tables(), examples: tally.examples, seconds: (performance.now() - started) / 1000 };
  });
}
