import { LibError } from '../core/errors.js';
import { formatShape } from '../core/shape.js';
import type { AnyModule, Parameter } from '../nn/module.js';
import { SparseRows } from '../nn/sparseRows.js';
import { stack } from '../ops/join.js';
import { grad, noGrad } from '../tensor/autograd.js';
import { zerosLike } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkNumber } from './optimizer.js';

export interface ClipGradNormOptions {
  /** Which norm: 2, 1, Infinity or any positive p. Default 2. */
  readonly normType?: number;
  /** Throw when the norm is NaN or infinite instead of scaling by it. Reads the norm at once. Default false. */
  readonly errorIfNonfinite?: boolean;
}

/**
 * Scales all gradients together so that their joint norm is at most `maxNorm`; returns the norm before
 * (PyTorch: torch.nn.utils.clip_grad_norm_). Never reads a value, so it costs no waiting.
 */
export function clipGradNorm_(
  parameters: Iterable<Parameter>,
  maxNorm: number,
  { normType = 2, errorIfNonfinite = false }: ClipGradNormOptions = {},
): Tensor {
  checkNumber('clipGradNorm_', 'maxNorm', maxNorm, (v) => v >= 0, 'a finite number >= 0');
  const grads = gradsOf('clipGradNorm_', parameters);
  return noGrad(() => {
    const total = stack(grads.map((g) => sizeOf(g).norm({ p: normType }))).norm({ p: normType });
    if (errorIfNonfinite && !Number.isFinite(total.itemNow())) {
      throw new LibError(
        'value',
        `clipGradNorm_: the gradients' norm must be finite, got ${total.itemNow()}.`,
        'lower the learning rate, or look for the op that made it with anomaly mode.',
      );
    }
    const factor = total.add(1e-6).reciprocal().mul(maxNorm).clamp({ max: 1 });
    for (const g of grads) valuesOf(g).mul_(factor);
    return total;
  });
}

/**
 * Sets the gradients of a model to the mean over examples of their own gradients, each scaled down to a joint norm of at most `maxNorm`;
 * returns the norms before, (n). `loss` is that of one example: inputs are slices (1, …) of `batch`. For private training, or against
 * single examples that rule a batch.
 * @example
 * const net = new Linear(2, 1);
 * clipGradPerExample_(net, (x, y) => mseLoss(net.forward(x), y), [randn([4, 2]), zeros([4, 1])], 1); // (4,)
 */
export function clipGradPerExample_(
  model: AnyModule,
  loss: (...example: Tensor[]) => Tensor,
  batch: readonly Tensor[],
  maxNorm: number,
): Tensor {
  checkNumber('clipGradPerExample_', 'maxNorm', maxNorm, (v) => v >= 0, 'a finite number >= 0');
  const parameters = model.parameters().filter((p) => p.requiresGrad);
  const count = batch[0]?.shape[0] ?? 0;
  if (parameters.length === 0 || count === 0)
    throw new LibError('value', `clipGradPerExample_: there must be parameters and examples, got ${parameters.length} and ${count}.`);
  const norms: Tensor[] = [];
  const sums = parameters.map((p) => zerosLike(p).detach());
  for (let i = 0; i < count; i++) {
    const found = grad(loss(...batch.map((t) => t.narrow(0, i, 1))), parameters, { allowUnused: true });
    noGrad(() => {
      const norm = getTotalNorm(found.flatMap((g) => (g === null ? [] : [g])));
      const share = norm.add(1e-6).reciprocal().mul(maxNorm).clamp({ max: 1 }).div(count);
      for (const [k, g] of found.entries()) if (g !== null) (sums[k] as Tensor).add_(g.mul(share));
      norms.push(norm);
    });
  }
  for (const [k, p] of parameters.entries()) p.grad = sums[k] as Tensor;
  return stack(norms);
}

/** The norm of several tensors as of one vector (torch.nn.utils.get_total_norm). */
export function getTotalNorm(tensors: Iterable<Tensor>, { normType = 2 }: Pick<ClipGradNormOptions, 'normType'> = {}): Tensor {
  const list = [...tensors];
  if (list.length === 0) throw new LibError('value', 'getTotalNorm: there must be tensors, got none.');
  return stack(list.map((t) => t.norm({ p: normType }))).norm({ p: normType });
}

/** Scales all gradients by maxNorm / totalNorm where that is less than 1 (torch.nn.utils.clip_grads_with_norm_). */
export function clipGradsWithNorm_(parameters: Iterable<Parameter>, maxNorm: number, totalNorm: Tensor): void {
  checkNumber('clipGradsWithNorm_', 'maxNorm', maxNorm, (v) => v >= 0, 'a finite number >= 0');
  noGrad(() => {
    const factor = totalNorm.add(1e-6).reciprocal().mul(maxNorm).clamp({ max: 1 });
    for (const g of gradsOf('clipGradsWithNorm_', parameters)) valuesOf(g).mul_(factor);
  });
}

/** The norm of all gradients together, as {@link clipGradNorm_} takes it (PyTorch: torch.nn.utils.get_total_norm). */
export function gradNorm(parameters: Iterable<Parameter>, { normType = 2 }: Pick<ClipGradNormOptions, 'normType'> = {}): Tensor {
  const grads = gradsOf('gradNorm', parameters);
  return noGrad(() => stack(grads.map((g) => sizeOf(g).norm({ p: normType }))).norm({ p: normType }));
}

type Gradient = Tensor | SparseRows;
const valuesOf = (g: Gradient): Tensor => (g instanceof SparseRows ? g.values : g);

/** What a norm is taken of: a row that comes several times counts once, as the sum. */
function sizeOf(g: Gradient): Tensor {
  if (!(g instanceof SparseRows)) return g;
  const { values, first } = g.totals();
  return values.mul(first.unsqueeze(1));
}

/** Clamps every element of every gradient to [-clipValue, clipValue] (PyTorch: torch.nn.utils.clip_grad_value_). */
export function clipGradValue_(parameters: Iterable<Parameter>, clipValue: number): void {
  checkNumber('clipGradValue_', 'clipValue', clipValue, (v) => v >= 0, 'a finite number >= 0');
  noGrad(() => {
    for (const p of withGradients('clipGradValue_', parameters)) {
      p.grad?.clamp_({ min: -clipValue, max: clipValue });
      if (p.sparseGrad === null) continue;
      // Its sums are what is clamped, each told once.
      const { indices, values, first } = p.sparseGrad.totals();
      p.sparseGrad = new SparseRows(indices, values.clamp({ min: -clipValue, max: clipValue }).mul(first.unsqueeze(1)), p.shape);
    }
  });
}

/**
 * Sets `.grad` to the mean of the gradients of each sample's loss, of which each was first scaled to a joint norm of at most `maxNorm`:
 * no single sample can do more. `losses` is (samples); one backward pass for each. Returns the norms before, (samples).
 */
export function clipPerSample_(
  parameters: Iterable<Parameter>,
  losses: Tensor,
  maxNorm: number,
  { normType = 2 }: Pick<ClipGradNormOptions, 'normType'> = {},
): Tensor {
  checkNumber('clipPerSample_', 'maxNorm', maxNorm, (v) => v >= 0, 'a finite number >= 0');
  if (losses.ndim !== 1 || losses.size === 0) {
    throw new LibError('shape', `clipPerSample_: there must be one loss for each sample, got shape ${formatShape(losses.shape)}.`);
  }
  const params = [...parameters].filter((p) => p.requiresGrad);
  const count = losses.size;
  const norms: Tensor[] = [];
  const sums = params.map((p) => zerosLike(p));
  for (let i = 0; i < count; i++) {
    const grads = grad(losses.select(0, i), params, { retainGraph: i < count - 1, allowUnused: true });
    noGrad(() => {
      const present = grads.filter((g) => g !== null);
      if (present.length === 0) throw new LibError('grad', 'clipPerSample_: losses must depend on the parameters, got none that does.');
      const total = stack(present.map((g) => g.norm({ p: normType }))).norm({ p: normType });
      const factor = total.add(1e-6).reciprocal().mul(maxNorm).clamp({ max: 1 }).div(count);
      grads.forEach((g, k) => {
        if (g !== null) sums[k]?.add_(g.mul(factor));
      });
      norms.push(total);
    });
  }
  params.forEach((p, k) => {
    p.grad = sums[k] as Tensor;
  });
  return stack(norms);
}

function withGradients(op: string, parameters: Iterable<Parameter>): Parameter[] {
  const params = [...parameters].filter((p) => p.grad !== null || p.sparseGrad !== null);
  if (params.length === 0)
    throw new LibError('grad', `${op}: some parameter must have a gradient, got none.`, 'call it after loss.backward().');
  return params;
}

const gradsOf = (op: string, parameters: Iterable<Parameter>): Gradient[] =>
  withGradients(op, parameters).flatMap((p) => [p.grad, p.sparseGrad].filter((g) => g !== null));
