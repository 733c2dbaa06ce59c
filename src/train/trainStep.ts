import { LibError } from '../core/errors.js';
import { formatShape } from '../core/shape.js';
import type { Metric } from '../metrics/metric.js';
import type { AnyModule } from '../nn/module.js';
import { clipGradNorm_ } from '../optim/clip.js';
import type { GradScaler } from '../optim/gradScaler.js';
import { noGrad } from '../tensor/autograd.js';
import type { Tensor } from '../tensor/tensor.js';
import { type BatchValues, examplesIn, type ForwardFn, inPrecision, type LossFn, shapesOf } from './evaluate.js';
import type { Precision, TrainOptimizer } from './options.js';

export interface StepValues {
  readonly parts: readonly BatchValues[];
  /** The gradient's norm before clipping. */
  readonly norm: Tensor | null;
}

interface StepSetup<B> {
  readonly model: AnyModule;
  readonly optimizer: TrainOptimizer;
  readonly loss: LossFn;
  readonly forward: ForwardFn<B>;
  readonly metrics: readonly Metric[];
  readonly clipGradNorm: number | null;
  readonly precision: Precision;
  readonly scaler: GradScaler | null;
}

/** One step of the optimizer on a group of batches, in the order that the names say: a function of tensors that compile() can take. */
export function trainStep<B>(setup: StepSetup<B>): (group: readonly B[]) => StepValues {
  const { model, optimizer, clipGradNorm } = setup;
  return (group) => {
    optimizer.zeroGrad();
    const parts = backward(group, setup);
    if (setup.scaler !== null) return { parts, norm: null };
    const norm = clipGradNorm === null ? null : clipGradNorm_(model.parameters(), clipGradNorm);
    optimizer.step();
    return { parts, norm };
  };
}

/** With a scaler, the second half of a step: whether gradients overflowed must be known, so no program can hold it. Gives the norm. */
export function finishStep({
  model,
  optimizer,
  clipGradNorm,
  scaler,
}: Pick<StepSetup<never>, 'model' | 'optimizer' | 'clipGradNorm' | 'scaler'>): (() => Tensor | null) | null {
  if (scaler === null) return null;
  const scaled = { paramGroups: [{ params: model.parameters() }], step: () => optimizer.step() };
  return () => {
    scaler.unscale_(scaled);
    const norm = clipGradNorm === null ? null : clipGradNorm_(model.parameters(), clipGradNorm);
    scaler.step(scaled);
    scaler.update();
    return norm;
  };
}

/** Gradients of the mean loss over all examples of the group. */
function backward<B>(group: readonly B[], { model, forward, loss, metrics, precision, scaler }: StepSetup<B>): BatchValues[] {
  const total = group.reduce((n, batch) => n + examplesIn(batch), 0);
  return group.map((batch) => {
    const { outcome, value } = inPrecision(precision, () => {
      const made = forward(model, batch);
      return { outcome: made, value: loss(made.output, made.target) };
    });
    if (value.size !== 1)
      throw new LibError('shape', `fit: the loss must be one number, got shape ${formatShape(value.shape)}.`, "use reduction: 'mean'.");
    const share = examplesIn(batch) / total;
    const part = share === 1 ? value : value.mul(share);
    (scaler === null ? part : scaler.scale(part)).backward();
    const output = outcome.output.detach();
    const measured = noGrad(() => metrics.map((m) => m.measure(output, outcome.target)));
    return { values: [value.detach(), ...measured], shapes: shapesOf(batch, outcome) };
  });
}
