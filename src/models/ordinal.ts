import { ordinalAges } from '../data/synthetic.js';
import { Linear, Module, OrdinalHead, orderedThresholds, Parameter, rankOfLogits } from '../nn/index.js';
import { coralLoss, cumulativeLinkLoss } from '../ops/lossTasks.js';
import { linspace } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { supervisedTask, type TinyTask } from './task.js';

/** Predicts ordered classes: (batch, features) to what its loss takes; `predict` gives ranks 0 … classes - 1. */
export abstract class OrdinalRegressor extends Module {
  readonly hidden: Linear;
  constructor(features: number, width: number = 32) {
    super();
    this.hidden = new Linear(features, width);
  }
  protected features(x: Tensor): Tensor {
    return this.hidden.forward(x).relu();
  }
  abstract loss(x: Tensor, rank: Tensor): Tensor;
  abstract predict(x: Tensor): Tensor;
}

/** One weight and a bias for each "above rank k", so that the answers cannot contradict each other (CORAL; Cao et al. 2020). */
export class Coral extends OrdinalRegressor {
  readonly head: OrdinalHead;
  constructor(features: number, classes: number, width: number = 32) {
    super(features, width);
    this.head = new OrdinalHead(width, classes);
  }
  /** Logits of "above rank k", (batch, classes - 1). */
  override forward(x: Tensor): Tensor {
    return this.head.forward(this.features(x));
  }
  override loss(x: Tensor, rank: Tensor): Tensor {
    return coralLoss(this.forward(x), rank);
  }
  override predict(x: Tensor): Tensor {
    return rankOfLogits(this.forward(x));
  }
}

/** A score and rising thresholds between the classes: proportional odds (McCullagh 1980). */
export class CumulativeLink extends OrdinalRegressor {
  readonly score: Linear;
  /** Thresholds are the first of these plus the softplus of the others, added up. */
  readonly raw: Parameter;
  constructor(features: number, classes: number, width: number = 32) {
    super(features, width);
    this.score = new Linear(width, 1);
    const first = linspace(-(classes - 2) / 2, 0, classes - 1);
    this.raw = new Parameter(first);
  }
  /** Scores, (batch,). */
  override forward(x: Tensor): Tensor {
    return this.score.forward(this.features(x)).squeeze({ dim: -1 });
  }
  thresholds(): Tensor {
    return orderedThresholds(this.raw);
  }
  override loss(x: Tensor, rank: Tensor): Tensor {
    return cumulativeLinkLoss(this.forward(x), this.thresholds(), rank);
  }
  override predict(x: Tensor): Tensor {
    return rankOfLogits(this.forward(x).unsqueeze(-1).sub(this.thresholds()));
  }
}

const task = <M extends OrdinalRegressor>(name: string, build: () => M): TinyTask<M> =>
  supervisedTask({
    id: 'ARC-28',
    name,
    build,
    batch: (step) => {
      const { x, y } = ordinalAges({ samples: 128, seed: step + 1 });
      return [x, y];
    },
    loss: (model, x: Tensor, y: Tensor) => model.loss(x, y),
    steps: 250,
    lr: 0.02,
  });
export const coralTiny: TinyTask<Coral> = task('CORAL', () => new Coral(8, 5));
export const cumulativeLinkTiny: TinyTask<CumulativeLink> = task('cumulative link', () => new CumulativeLink(8, 5));
