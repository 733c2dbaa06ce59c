import { spirals } from '../data/synthetic.js';
import { AlphaDropout, init, Linear, Module } from '../nn/index.js';
import { crossEntropy } from '../ops/loss.js';
import type { Tensor } from '../tensor/tensor.js';
import { supervisedTask, type TinyTask } from './task.js';

export interface SelfNormalizingOptions {
  /** Hidden layers. Default 8. */
  readonly depth?: number;
  /** Width of each. Default 64. */
  readonly width?: number;
  /** In training, the chance that a unit goes to SELU's lower limit. Default 0.05. */
  readonly dropout?: number;
}

/**
 * SELU, LeCun-normal weights and alpha dropout: activations keep mean 0 and variance 1 through any depth without a norm (Klambauer et
 * al. 2017). (batch, inFeatures) → (batch, outFeatures).
 */
export class SelfNormalizing extends Module {
  readonly layers: readonly Linear[];
  readonly output: Linear;
  readonly drop: AlphaDropout;

  constructor(inFeatures: number, outFeatures: number, { depth = 8, width = 64, dropout = 0.05 }: SelfNormalizingOptions = {}) {
    super();
    this.layers = Array.from({ length: depth }, (_, i) => new Linear(i === 0 ? inFeatures : width, width));
    this.output = new Linear(width, outFeatures);
    this.drop = new AlphaDropout(dropout);
    for (const layer of [...this.layers, this.output]) {
      init.lecunNormal_(layer.weight);
      if (layer.bias !== null) init.zeros_(layer.bias);
    }
  }
  /** What each hidden layer gives. */
  activations(x: Tensor): Tensor[] {
    const found: Tensor[] = [];
    let h = x;
    for (const layer of this.layers) {
      h = this.drop.forward(layer.forward(h).selu());
      found.push(h);
    }
    return found;
  }
  override forward(x: Tensor): Tensor {
    return this.output.forward(this.activations(x).at(-1) ?? x);
  }
}

export const selfNormalizingTiny: TinyTask<SelfNormalizing> = supervisedTask({
  id: 'ARC-04',
  name: 'self-normalizing MLP',
  build: () => new SelfNormalizing(2, 2, { width: 32 }),
  batch: (step) => {
    const { x, y } = spirals({ samples: 128, turns: 0.75, seed: step + 1 });
    return [x.mul(2), y]; // of about unit variance
  },
  loss: (model, x: Tensor, y: Tensor) => crossEntropy(model.forward(x), y),
  steps: 200,
  lr: 3e-3,
});
