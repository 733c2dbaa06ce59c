import { linearWithOutliers } from '../data/synthetic.js';
import { Buffer, Module } from '../nn/index.js';
import { lstsq } from '../ops/linalg.js';
import { mseLoss } from '../ops/loss.js';
import { noGrad } from '../tensor/autograd.js';
import { zeros } from '../tensor/creation.js';
import { randn } from '../tensor/random.js';
import type { Tensor } from '../tensor/tensor.js';
import { customTask, measured, type TinyTask } from './task.js';

/**
 * Random features relu(x W) / √width and a linear layer that is solved for, not trained (Rahimi & Recht 2007). With more features than
 * examples many fit exactly; the shortest is taken, and the error falls again beyond the peak: double descent (Belkin et al. 2019).
 */
export class RandomFeatures extends Module {
  /** (inFeatures, width), never changed. */
  readonly directions: Buffer;
  /** (width, 1) */
  readonly weight: Buffer;
  constructor(
    readonly inFeatures: number,
    readonly width: number,
  ) {
    super();
    this.directions = new Buffer(randn([inFeatures, width], { dtype: 'float64' }));
    this.weight = new Buffer(zeros([width, 1], { dtype: 'float64' }));
  }
  features(x: Tensor): Tensor {
    return x.double().matmul(this.directions).relu().div(Math.sqrt(this.width));
  }
  override forward(x: Tensor): Tensor {
    return this.features(x).matmul(this.weight);
  }
  /** The least squares solution for x (samples, inFeatures) and y (samples, 1); of many, the one of least norm. Gives that norm. */
  fit(x: Tensor, y: Tensor): number {
    return noGrad(() => {
      const { solution } = lstsq(this.features(x), y.double(), { driver: 'gelsd' });
      this.weight.copy_(solution);
      return solution.square().sum().sqrt().itemNow();
    });
  }
}

export interface DescentPoint {
  readonly width: number;
  readonly trainError: number;
  readonly testError: number;
  /** ‖w‖ */
  readonly norm: number;
}
const line = (samples: number, seed: number): [x: Tensor, y: Tensor] => {
  const { x, y } = linearWithOutliers({ samples, features: 8, noise: 0.3, outliers: 0, seed });
  return [x, y];
};
/** Mean squared errors of each width after fitting 40 noisy examples, averaged over `repeats` draws of directions and data. */
export function doubleDescent(
  widths: readonly number[],
  { samples = 40, repeats = 5 }: { samples?: number; repeats?: number } = {},
): DescentPoint[] {
  const held = line(200, 0);
  return widths.map((width) => {
    const runs = Array.from({ length: repeats }, (_, i) => {
      const model = new RandomFeatures(8, width);
      const train = line(samples, i + 1);
      const norm = model.fit(...train);
      const error = ([x, y]: readonly [Tensor, Tensor]): number => mseLoss(model.forward(x), y.double()).itemNow();
      return { trainError: error(train), testError: error(held), norm };
    });
    const mean = (key: 'trainError' | 'testError' | 'norm'): number => runs.reduce((sum, run) => sum + run[key], 0) / repeats;
    return { width, trainError: mean('trainError'), testError: mean('testError'), norm: mean('norm') };
  });
}

export const randomFeaturesTiny: TinyTask<RandomFeatures> = customTask({
  id: 'ARC-34',
  name: 'random features, least norm',
  build: () => new RandomFeatures(8, 800),
  train: (model) => {
    const held = line(200, 0);
    const loss = (): number => measured(model, () => mseLoss(model.forward(held[0]), held[1].double()));
    const before = loss();
    model.fit(...line(80, 1));
    return [before, loss()];
  },
});
