import { moons, sines } from '../data/synthetic.js';
import { type MonteCarloResult, monteCarloDropout } from '../nn/index.js';
import { crossEntropy, mseLoss } from '../ops/loss.js';
import type { Tensor } from '../tensor/tensor.js';
import { Mlp } from './mlp.js';
import { supervisedTask, type TinyTask } from './task.js';

/** Dropout as a heuristic for what a model does not know (Gal & Ghahramani 2016): an MLP that is asked with its masks on. */
export class McRegressor extends Mlp {
  constructor(
    inFeatures: number,
    { dropout = 0.1, hidden = [64, 64] }: { readonly dropout?: number; readonly hidden?: readonly number[] } = {},
  ) {
    super(inFeatures, 1, { hidden, dropout, activation: 'tanh' });
  }
  /** Mean and deviation over passes, and the band of about 95 % between `low` and `high`: all (batch, 1). */
  band(x: Tensor, samples: number = 50): { readonly mean: Tensor; readonly std: Tensor; readonly low: Tensor; readonly high: Tensor } {
    const { mean, variance } = monteCarloDropout(this, () => this.forward(x), { samples });
    const std = variance.sqrt();
    return { mean, std, low: mean.sub(std.mul(1.96)), high: mean.add(std.mul(1.96)) };
  }
}

export class McClassifier extends Mlp {
  constructor(
    inFeatures: number,
    classes: number,
    { dropout = 0.2, hidden = [64, 64] }: { readonly dropout?: number; readonly hidden?: readonly number[] } = {},
  ) {
    super(inFeatures, classes, { hidden, dropout });
  }
  /** Mean probabilities over passes, their entropy, and the part of it that is the model's own doubt. */
  predict(x: Tensor, samples: number = 50): MonteCarloResult {
    return monteCarloDropout(this, () => this.forward(x).softmax(), { samples });
  }
}

export const mcRegressorTiny: TinyTask<McRegressor> = supervisedTask({
  id: 'ARC-33',
  name: 'MC dropout, regression',
  build: () => new McRegressor(1),
  batch: (step) => {
    const { x, y } = sines({ samples: 64, noise: 0.05, seed: step + 1 });
    return [x, y];
  },
  loss: (model, x: Tensor, y: Tensor) => mseLoss(model.forward(x), y),
  steps: 200,
  lr: 5e-3,
});
export const mcClassifierTiny: TinyTask<McClassifier> = supervisedTask({
  id: 'ARC-33',
  name: 'MC dropout, classification',
  build: () => new McClassifier(2, 2),
  batch: (step) => {
    const { x, y } = moons({ samples: 128, seed: step + 1 });
    return [x, y];
  },
  loss: (model, x: Tensor, y: Tensor) => crossEntropy(model.forward(x), y),
  steps: 150,
});
