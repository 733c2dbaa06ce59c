import { LibError } from '../core/errors.js';
import { linear } from '../ops/matmul.js';
import { empty } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { kaimingUniform_, uniform_ } from './init.js';
import { Module, Parameter } from './module.js';

/** @internal Sizes of layers must be positive whole numbers. */
export function checkSizes(op: string, sizes: Readonly<Record<string, number>>): void {
  for (const [name, value] of Object.entries(sizes)) {
    if (!Number.isInteger(value) || value <= 0) throw new LibError('value', `${op}: ${name} must be a positive integer, got ${value}.`);
  }
}

export interface LinearOptions {
  /** Learn an additive bias. Default true. */
  readonly bias?: boolean;
}

/**
 * y = x Wᵀ + b on the last dim: (…, inFeatures) → (…, outFeatures). `weight` is (outFeatures, inFeatures), drawn as in PyTorch:
 * uniform within ±1/√inFeatures (torch.nn.Linear).
 *
 * @example new Linear(784, 10).forward(zeros([32, 784])) // (32, 10)
 */
export class Linear extends Module {
  readonly weight: Parameter;
  readonly bias: Parameter | null;

  constructor(
    readonly inFeatures: number,
    readonly outFeatures: number,
    { bias = true }: LinearOptions = {},
  ) {
    super();
    checkSizes('Linear', { inFeatures, outFeatures });
    this.weight = new Parameter(kaimingUniform_(empty([outFeatures, inFeatures]), { a: Math.sqrt(5) }));
    const bound = 1 / Math.sqrt(inFeatures);
    this.bias = bias ? new Parameter(uniform_(empty([outFeatures]), -bound, bound)) : null;
  }

  override forward(x: Tensor): Tensor {
    return linear(x, this.weight, this.bias);
  }
  override extraRepr(): string {
    return `inFeatures=${this.inFeatures}, outFeatures=${this.outFeatures}, bias=${this.bias !== null}`;
  }
}

/** Passes its input through (torch.nn.Identity). */
export class Identity extends Module {
  override forward(x: Tensor): Tensor {
    return x;
  }
}
