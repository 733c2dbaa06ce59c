import { tripletIdentities } from '../data/synthetic.js';
import { LayerNorm, Linear, Module } from '../nn/index.js';
import { cat } from '../ops/join.js';
import { tripletMarginLoss } from '../ops/loss.js';
import { contrastiveLoss } from '../ops/lossTasks.js';
import { ones, zeros } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { supervisedTask, type TinyTask } from './task.js';

/** One tower for all pictures: (batch, features) to a point of the unit sphere (batch, width), as FaceNet's (Schroff et al. 2015). */
export class EmbeddingTower extends Module {
  readonly norm: LayerNorm;
  readonly first: Linear;
  readonly second: Linear;
  constructor(features: number, width: number = 16, hidden: number = 64) {
    super();
    this.norm = new LayerNorm(features);
    this.first = new Linear(features, hidden);
    this.second = new Linear(hidden, width);
  }
  override forward(x: Tensor): Tensor {
    return this.second.forward(this.first.forward(this.norm.forward(x)).relu()).normalize({ dim: -1 });
  }
}

/** Two pictures through the same tower: the distance of their points, (batch,). */
export class Siamese extends Module<readonly [a: Tensor, b: Tensor]> {
  constructor(
    readonly tower: Module,
    readonly margin: number = 0.5,
  ) {
    super();
  }
  override forward(a: Tensor, b: Tensor): Tensor {
    return this.tower.forward(a).sub(this.tower.forward(b)).square().sum({ dim: -1 }).sqrt();
  }
  /** Contrastive: `similar` (batch,) is 1 for pairs of one identity and 0 for others, which are pushed apart up to the margin. */
  pairLoss(a: Tensor, b: Tensor, similar: Tensor): Tensor {
    return contrastiveLoss(this.tower.forward(a), this.tower.forward(b), similar, { margin: this.margin });
  }
  /** Triplet: the anchor is nearer to the positive than to the negative, by the margin. */
  tripletLoss(anchor: Tensor, positive: Tensor, negative: Tensor): Tensor {
    const [a, p, n] = [anchor, positive, negative].map((x) => this.tower.forward(x)) as [Tensor, Tensor, Tensor];
    return tripletMarginLoss(a, p, n, { margin: this.margin });
  }
}

const triplets = (step: number): [Tensor, Tensor, Tensor] => {
  const { anchor, positive, negative } = tripletIdentities({ samples: 64, seed: step + 1 });
  return [anchor, positive, negative];
};
export const siameseTiny: TinyTask<Siamese> = supervisedTask({
  id: 'ARC-23',
  name: 'Siamese, contrastive',
  build: () => new Siamese(new EmbeddingTower(16), 1),
  batch: triplets,
  loss: (model, anchor: Tensor, positive: Tensor, negative: Tensor) => {
    const count = anchor.sizeAt(0);
    return model.pairLoss(cat([anchor, anchor]), cat([positive, negative]), cat([ones([count]), zeros([count])]));
  },
  steps: 100,
});
export const tripletTiny: TinyTask<Siamese> = supervisedTask({
  id: 'ARC-23',
  name: 'triplet network',
  build: () => new Siamese(new EmbeddingTower(16)),
  batch: triplets,
  loss: (model, anchor: Tensor, positive: Tensor, negative: Tensor) => model.tripletLoss(anchor, positive, negative),
  steps: 100,
});
