import { LibError } from '../core/errors.js';
import { customGrad } from '../ops/customGrad.js';
import type { Tensor } from '../tensor/tensor.js';
import { Module } from './module.js';

export interface SurrogateOptions {
  /** Gradients pass where |x| is at most this. Default 1. */
  readonly width?: number;
}

function widthOf(op: string, { width = 1 }: SurrogateOptions): number {
  if (width > 0) return width;
  throw new LibError('value', `${op}: width must be positive, got ${width}.`);
}

/**
 * 1 where x > 0, else 0, with the gradient of the identity where |x| <= width, 0 elsewhere: the straight-through estimator, with which
 * networks of steps learn (Bengio et al. 2013). The gradient is not that of the function: finite differences find 0.
 * @example
 * const x = tensor([-2, -0.5, 0.5], { requiresGrad: true });
 * straightThroughStep(x).sum().backward(); // x.grad is [0, 1, 1]
 */
export function straightThroughStep(x: Tensor, options: SurrogateOptions = {}): Tensor {
  const params = { width: widthOf('straightThroughStep', options) };
  return customGrad({
    name: 'straightThroughStep',
    inputs: [x],
    params,
    saves: [0],
    compute: () => x.gt(0).to(x.dtype),
    grad: (g, { inputs: [given], params: { width } }) => [g.mul((given as Tensor).abs().le(width))],
  });
}

/** {@link straightThroughStep} as a layer. */
export class StraightThroughStep extends Module {
  readonly width: number;
  constructor(options: SurrogateOptions = {}) {
    super();
    this.width = widthOf('StraightThroughStep', options);
  }
  override forward(x: Tensor): Tensor {
    return straightThroughStep(x, { width: this.width });
  }
}
