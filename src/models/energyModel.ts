import { moons, sines } from '../data/synthetic.js';
import { Linear, Module } from '../nn/index.js';
import { cat } from '../ops/join.js';
import { energyMarginLoss, energyNllLoss } from '../ops/lossTasks.js';
import { grad, noGrad } from '../tensor/autograd.js';
import { arange, linspace, zeros } from '../tensor/creation.js';
import { rand } from '../tensor/random.js';
import type { Tensor } from '../tensor/tensor.js';
import { supervisedTask, type TinyTask } from './task.js';

/** A number for each pair of a question and an answer, low where they fit (LeCun et al. 2006): x (batch, a), y (batch, b) → (batch,). */
export class EnergyModel extends Module<readonly [x: Tensor, y: Tensor]> {
  readonly first: Linear;
  readonly second: Linear;
  readonly energy: Linear;
  constructor(xFeatures: number, yFeatures: number, hidden: number = 64) {
    super();
    this.first = new Linear(xFeatures + yFeatures, hidden);
    this.second = new Linear(hidden, hidden);
    this.energy = new Linear(hidden, 1);
  }
  override forward(x: Tensor, y: Tensor): Tensor {
    const h = this.first.forward(cat([x, y], { dim: -1 })).tanh();
    return this.energy.forward(this.second.forward(h).tanh()).squeeze({ dim: -1 });
  }

  /** The best of a list of answers (answers, b) for each question, as positions (batch,). */
  choose(x: Tensor, answers: Tensor): Tensor {
    return noGrad(() => this.energies(x, answers).argmin({ dim: 1 }));
  }
  /** Of every answer for every question: (batch, answers). */
  energies(x: Tensor, answers: Tensor): Tensor {
    const [count, options] = [x.sizeAt(0), answers.sizeAt(0)];
    const questions = x
      .unsqueeze(1)
      .expand([count, options, x.sizeAt(1)])
      .reshape([count * options, -1]);
    const all = answers
      .unsqueeze(0)
      .expand([count, options, answers.sizeAt(1)])
      .reshape([count * options, -1]);
    return this.forward(questions, all).reshape([count, options]);
  }

  /** Answers by going downhill in y from `start` (batch, b). */
  infer(x: Tensor, start: Tensor, { steps = 100, lr = 0.05 }: { readonly steps?: number; readonly lr?: number } = {}): Tensor {
    let y = start.detach();
    for (let i = 0; i < steps; i++) {
      const from = y.requiresGrad_();
      const [slope] = grad(this.forward(x, from).sum(), [from]);
      y = noGrad(() => from.sub((slope as Tensor).mul(lr))).detach();
    }
    return y;
  }
}

/** Two answers: (1, 0) and (0, 1). Right ones must have less energy than wrong ones, by a margin. */
export const energyClassTiny: TinyTask<EnergyModel> = supervisedTask({
  id: 'ARC-29',
  name: 'energy-based classifier, margin',
  build: () => new EnergyModel(2, 2, 32),
  batch: (step) => {
    const { x, y } = moons({ samples: 128, seed: step + 1 });
    const right = y
      .unsqueeze(1)
      .eq(arange(2, { dtype: 'int32' }))
      .to('float32');
    return [x, right] as const;
  },
  loss: (model, x: Tensor, right: Tensor) => energyMarginLoss(model.forward(x, right), model.forward(x, right.neg().add(1)), { margin: 1 }),
  steps: 120,
});

/** The answer is a number: its energy against that of answers drawn at random. */
export const energyCurveTiny: TinyTask<EnergyModel> = supervisedTask({
  id: 'ARC-29',
  name: 'energy-based regression',
  build: () => new EnergyModel(1, 1),
  batch: (step) => {
    const { x, y } = sines({ samples: 64, noise: 0.02, seed: step + 1 });
    return [x, y];
  },
  loss: (model, x: Tensor, y: Tensor) => {
    const count = x.sizeAt(0);
    // The right answer first, then 31 others between -1.5 and 1.5.
    const answers = cat([y.unsqueeze(1), rand([count, 31, 1]).mul(3).sub(1.5)], { dim: 1 });
    const questions = x.unsqueeze(1).expand([count, 32, 1]);
    const energies = model.forward(questions.reshape([-1, 1]), answers.reshape([-1, 1])).reshape([count, 32]);
    return energyNllLoss(energies, zeros([count], { dtype: 'int32' }));
  },
  steps: 250,
});

/** Where an energy of one number is least, on a grid of 121 from -1.5 to 1.5, and then downhill: (batch, 1). */
export function inferNumber(model: EnergyModel, x: Tensor): Tensor {
  const grid = linspace(-1.5, 1.5, 121).unsqueeze(1);
  return model.infer(x, grid.indexSelect(0, model.choose(x, grid)), { steps: 20, lr: 1e-3 });
}
