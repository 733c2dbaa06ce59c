import { LibError } from '../core/errors.js';
import type { Parameter } from '../nn/module.js';
import { stack } from '../ops/join.js';
import { noGrad } from '../tensor/autograd.js';
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
    const total = stack(grads.map((g) => g.norm({ p: normType }))).norm({ p: normType });
    if (errorIfNonfinite && !Number.isFinite(total.itemNow())) {
      throw new LibError(
        'value',
        `clipGradNorm_: the gradients' norm must be finite, got ${total.itemNow()}.`,
        'lower the learning rate, or look for the op that made it with anomaly mode.',
      );
    }
    const factor = total.add(1e-6).reciprocal().mul(maxNorm).clamp({ max: 1 });
    for (const g of grads) g.mul_(factor);
    return total;
  });
}

/** Clamps every element of every gradient to [-clipValue, clipValue] (PyTorch: torch.nn.utils.clip_grad_value_). */
export function clipGradValue_(parameters: Iterable<Parameter>, clipValue: number): void {
  checkNumber('clipGradValue_', 'clipValue', clipValue, (v) => v >= 0, 'a finite number >= 0');
  noGrad(() => {
    for (const g of gradsOf('clipGradValue_', parameters)) g.clamp_({ min: -clipValue, max: clipValue });
  });
}

function gradsOf(op: string, parameters: Iterable<Parameter>): Tensor[] {
  const grads = [...parameters].flatMap((p) => (p.grad === null ? [] : [p.grad]));
  if (grads.length === 0)
    throw new LibError('grad', `${op}: some parameter must have a gradient, got none.`, 'call it after loss.backward().');
  return grads;
}
