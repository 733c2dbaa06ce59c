import { prototypeDigits } from '../data/synthetic.js';
import { Linear, Module } from '../nn/index.js';
import { cat } from '../ops/join.js';
import { crossEntropy } from '../ops/loss.js';
import { ntXentLoss } from '../ops/lossTasks.js';
import { noGrad } from '../tensor/autograd.js';
import { rand, randn } from '../tensor/random.js';
import type { Tensor } from '../tensor/tensor.js';
import { Mlp } from './mlp.js';
import { supervisedTask, type TinyTask, trainSteps } from './task.js';

/**
 * Learns without labels that two views of one picture belong together (Chen et al. 2020). The projection is thrown away afterwards:
 * `features` are what a probe reads. (batch, inFeatures) → (batch, projected).
 */
export class SimCLR extends Module {
  readonly encoder: Mlp;
  readonly projection: Mlp;
  constructor(
    inFeatures: number,
    readonly width: number = 64,
    readonly temperature: number = 0.5,
  ) {
    super();
    this.encoder = new Mlp(inFeatures, width, { hidden: [128] });
    this.projection = new Mlp(width, 32, { hidden: [width] });
  }
  features(x: Tensor): Tensor {
    return this.encoder.forward(x).relu();
  }
  override forward(x: Tensor): Tensor {
    return this.projection.forward(this.features(x));
  }
  /** NT-Xent of two random views of each picture. */
  loss(x: Tensor): Tensor {
    const both = this.forward(cat([randomView(x), randomView(x)]));
    const count = x.sizeAt(0);
    return ntXentLoss(both.narrow(0, 0, count), both.narrow(0, count, count), { temperature: this.temperature });
  }
}

/** A picture (batch, pixels) in another light, with noise and some pixels gone. */
export function randomView(x: Tensor): Tensor {
  const [count] = x.shape as readonly [number];
  const gain = rand([count, 1]).add(0.5);
  const kept = rand(x.shape).ge(0.15).to(x.dtype);
  return x.mul(gain).add(randn(x.shape).mul(0.1)).mul(kept);
}

/** How well a linear layer on frozen features tells classes apart: accuracy on `held` after training on `train`. */
export function linearProbe(
  features: (x: Tensor) => Tensor,
  classes: number,
  train: readonly [x: Tensor, y: Tensor],
  held: readonly [x: Tensor, y: Tensor],
): number {
  const [x, heldX] = noGrad(() => [features(train[0]), features(held[0])] as const);
  const probe = new Linear(x.sizeAt(1), classes);
  const [, y] = train;
  trainSteps(
    probe,
    (): [Tensor, Tensor] => [x, y],
    (a: Tensor, b: Tensor) => crossEntropy(probe.forward(a), b),
    { steps: 100 },
  );
  return noGrad(() => probe.forward(heldX).argmax({ dim: -1 }).eq(held[1]).to('float32').mean().itemNow());
}

export const simclrTiny: TinyTask<SimCLR> = supervisedTask({
  id: 'ARC-24',
  name: 'SimCLR',
  // A low temperature: the loss of a perfect encoder is then small, though pictures of one digit are alike.
  build: () => new SimCLR(64, 64, 0.2),
  batch: (step) => [prototypeDigits({ samples: 10, noise: 0.1, seed: step + 1 }).x.reshape([10, 64])] as const,
  loss: (model, x: Tensor) => model.loss(x),
  steps: 150,
  lr: 3e-3,
});
