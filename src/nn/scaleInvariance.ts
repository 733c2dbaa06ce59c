import { LibError } from '../core/errors.js';
import { noGrad } from '../tensor/autograd.js';
import type { Tensor } from '../tensor/tensor.js';

export interface ScaleInvariance {
  /** ‖w‖. */
  readonly norm: number;
  /** lr / ‖w‖²: how far a step turns the weight, which is all that a norm behind it lets through. */
  readonly effectiveStep: number;
  /** The cosine of w and its gradient: 0 where the scale of w does not matter. */
  readonly cosine: number;
  /** Whether that is so, to `tolerance`. */
  readonly invariant: boolean;
}

/**
 * What the scale of a weight before a norm does (van Laarhoven 2017): nothing to the output, everything to the effective step. Reads the
 * gradient that backward left.
 */
export function scaleInvariance(weight: Tensor, lr: number, { tolerance = 1e-4 }: { readonly tolerance?: number } = {}): ScaleInvariance {
  const gradient = weight.grad;
  if (gradient === null) {
    throw new LibError('grad', 'scaleInvariance: the weight must have a gradient, got none.', 'call it after backward().');
  }
  return noGrad(() => {
    const length = (x: Tensor): number => Math.sqrt(x.square().sum().itemNow());
    const [norm, slope] = [length(weight), length(gradient)];
    const along = weight.mul(gradient).sum().itemNow();
    const cosine = norm === 0 || slope === 0 ? 0 : along / (norm * slope);
    return { norm, effectiveStep: lr / norm ** 2, cosine, invariant: Math.abs(cosine) <= tolerance };
  });
}
