import { blobs, linearWithOutliers } from '../data/synthetic.js';
import { Linear, l1Penalty, l2Penalty, Module, Perceptron } from '../nn/index.js';
import { binaryCrossEntropyWithLogits, crossEntropy, mseLoss, poissonNllLoss } from '../ops/loss.js';
import { hingeLoss } from '../ops/lossTasks.js';
import type { Tensor } from '../tensor/tensor.js';
import { customTask, supervisedTask, type TinyTask } from './task.js';

/** The distribution of the answers. Each has its canonical link, whose inverse turns the linear function into the mean. */
export type GlmFamily = 'gaussian' | 'bernoulli' | 'categorical' | 'poisson';

interface Family {
  mean(eta: Tensor): Tensor;
  /** The negative log-likelihood of y given the linear function, up to constants. */
  loss(eta: Tensor, y: Tensor): Tensor;
}
const families: Readonly<Record<GlmFamily, Family>> = {
  gaussian: { mean: (eta) => eta, loss: (eta, y) => mseLoss(eta, y) },
  bernoulli: { mean: (eta) => eta.sigmoid(), loss: (eta, y) => binaryCrossEntropyWithLogits(eta, y.to(eta.dtype).reshape(eta.shape)) },
  categorical: { mean: (eta) => eta.softmax(), loss: (eta, y) => crossEntropy(eta, y) },
  poisson: { mean: (eta) => eta.exp(), loss: (eta, y) => poissonNllLoss(eta, y.to(eta.dtype).reshape(eta.shape)) },
};

export interface GlmOptions {
  /** Default 'gaussian'. */
  readonly family?: GlmFamily;
  /** Numbers predicted; classes of 'categorical'. Default 1. */
  readonly outputs?: number;
  /** λ of λ Σ|w|. Default 0. */
  readonly l1?: number;
  /** λ of (λ/2) Σw². Default 0. */
  readonly l2?: number;
}

/** A generalized linear model: (batch, inFeatures) to the linear function η; `predict` gives the mean, `objective` what is minimized. */
export class GeneralizedLinear extends Module {
  readonly linear: Linear;
  readonly family: GlmFamily;
  readonly l1: number;
  readonly l2: number;

  constructor(inFeatures: number, { family = 'gaussian', outputs = 1, l1 = 0, l2 = 0 }: GlmOptions = {}) {
    super();
    this.linear = new Linear(inFeatures, outputs);
    this.family = family;
    this.l1 = l1;
    this.l2 = l2;
  }
  override forward(x: Tensor): Tensor {
    return this.linear.forward(x);
  }
  predict(x: Tensor): Tensor {
    return families[this.family].mean(this.forward(x));
  }
  /** The negative log-likelihood, with the penalties on the weights (not on the bias). */
  objective(x: Tensor, y: Tensor): Tensor {
    const weights = [this.linear.weight];
    const data = families[this.family].loss(this.forward(x), y);
    return data.add(l1Penalty(weights, this.l1)).add(l2Penalty(weights, this.l2));
  }
}

type Penalties = Omit<GlmOptions, 'family' | 'outputs'>;
/** Least squares, with L2 ridge and with L1 lasso regression. */
export const linearRegression = (inFeatures: number, options: Penalties = {}): GeneralizedLinear =>
  new GeneralizedLinear(inFeatures, { ...options, family: 'gaussian' });
export const logisticRegression = (inFeatures: number, options: Penalties = {}): GeneralizedLinear =>
  new GeneralizedLinear(inFeatures, { ...options, family: 'bernoulli' });
export const multinomialRegression = (inFeatures: number, classes: number, options: Penalties = {}): GeneralizedLinear =>
  new GeneralizedLinear(inFeatures, { ...options, family: 'categorical', outputs: classes });
export const poissonRegression = (inFeatures: number, options: Penalties = {}): GeneralizedLinear =>
  new GeneralizedLinear(inFeatures, { ...options, family: 'poisson' });

/** A linear classifier of the widest margin (Cortes & Vapnik 1995): hinge loss plus (λ/2) Σw². Scores (batch,), the class is the sign. */
export class MaxMargin extends Module {
  readonly linear: Linear;
  constructor(
    inFeatures: number,
    readonly l2: number = 0.01,
  ) {
    super();
    this.linear = new Linear(inFeatures, 1);
  }
  override forward(x: Tensor): Tensor {
    return this.linear.forward(x).squeeze({ dim: -1 });
  }
  /** For classes 0 and 1. */
  objective(x: Tensor, y: Tensor): Tensor {
    const sign = y.to(x.dtype).mul(2).sub(1);
    return hingeLoss(this.forward(x), sign).add(l2Penalty([this.linear.weight], this.l2));
  }
  /** The width of the street between the classes: 2 / ‖w‖. */
  margin(): number {
    return 2 / this.linear.weight.detach().square().sum().sqrt().itemNow();
  }
}

const pair = (step: number, centers: number): [Tensor, Tensor] => {
  const { x, y } = blobs({ samples: 64, centers, spread: 2, std: 0.7, seed: step + 1 });
  return [x, y];
};
const objective = <M extends GeneralizedLinear | MaxMargin>(model: M, x: Tensor, y: Tensor): Tensor => model.objective(x, y);

export const perceptronTiny: TinyTask<Perceptron> = customTask({
  id: 'ARC-01',
  name: 'perceptron',
  build: () => new Perceptron(2),
  train: (model) => {
    const [x, y] = pair(0, 2);
    const errors = (): number => model.forward(x).ne(y).to('float32').mean().itemNow();
    const before = errors();
    model.fit(x, y);
    return [before, errors()];
  },
});
export const linearTiny: TinyTask<GeneralizedLinear> = supervisedTask({
  id: 'ARC-01',
  name: 'linear regression',
  build: () => linearRegression(4, { l2: 1e-3 }),
  batch: (step) => {
    const { x, y } = linearWithOutliers({ samples: 64, features: 4, outliers: 0, seed: step + 1 });
    return [x, y];
  },
  loss: objective,
  steps: 100,
  lr: 0.05,
});
export const logisticTiny: TinyTask<GeneralizedLinear> = supervisedTask({
  id: 'ARC-01',
  name: 'logistic regression',
  build: () => logisticRegression(2, { l1: 1e-3 }),
  batch: (step) => pair(step, 2),
  loss: objective,
  steps: 60,
  lr: 0.1,
});
export const multinomialTiny: TinyTask<GeneralizedLinear> = supervisedTask({
  id: 'ARC-01',
  name: 'multinomial logistic regression',
  build: () => multinomialRegression(2, 4),
  batch: (step) => pair(step, 4),
  loss: objective,
  steps: 60,
  lr: 0.1,
});
export const maxMarginTiny: TinyTask<MaxMargin> = supervisedTask({
  id: 'ARC-02',
  name: 'max-margin classifier',
  build: () => new MaxMargin(2),
  batch: (step) => pair(step, 2),
  loss: objective,
  steps: 60,
  lr: 0.1,
});
