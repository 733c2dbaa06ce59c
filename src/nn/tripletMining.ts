import { LibError } from '../core/errors.js';
import { formatShape } from '../core/shape.js';
import { where } from '../ops/compare.js';
import { normalize } from '../ops/norm.js';
import { eye } from '../tensor/creation.js';
import { isTensor, type Tensor } from '../tensor/tensor.js';
import { Module } from './module.js';

export interface TripletMiningOptions {
  /**
   * Which negatives an anchor is compared with. 'hard': the farthest positive and the nearest negative of each anchor (Hermans et al.
   * 2017). 'semiHard' (default): for each positive the nearest negative that is farther than it; where there is none within the margin,
   * the farthest negative (Schroff et al. 2015). 'all': every triplet that violates the margin.
   */
  readonly mining?: 'hard' | 'semiHard' | 'all';
  /** By how much negatives must be farther than positives. Default 0.2. */
  readonly margin?: number;
  /** Squared distances. Default true. */
  readonly squared?: boolean;
  /** Put embeddings on the unit sphere first. Default true. */
  readonly normalized?: boolean;
}

/** Distances of all pairs, (n, n). The root has gradient 0 where points coincide. */
function distances(x: Tensor, squared: boolean): Tensor {
  const norms = x.square().sum({ dim: 1, keepdim: true });
  const squares = norms.add(norms.t()).sub(x.matmul(x.t()).mul(2)).clamp({ min: 0 });
  if (squared) return squares;
  const apart = squares.gt(0);
  return where(apart, where(apart, squares, 1).sqrt(), 0);
}

/** The mean of `values` where `mask` is 1, and 0 where it is nowhere. */
const meanWhere = (values: Tensor, mask: Tensor): Tensor =>
  values
    .mul(mask)
    .sum()
    .div(mask.sum().clamp({ min: 1 }));

const FAR = 1e30;

/** Each anchor with its farthest positive and nearest negative. */
function hardest(d: Tensor, same: Tensor, other: Tensor, margin: number): Tensor {
  const positive = where(same, d, -FAR).amax({ dim: 1 });
  const negative = where(other, d, FAR).amin({ dim: 1 });
  const both = same.any({ dim: 1 }).logicalAnd(other.any({ dim: 1 }));
  return meanWhere(where(both, positive.sub(negative).add(margin), 0).relu(), both.to(d.dtype));
}

/** Each anchor and positive (a, p) with one negative n. */
function semiHardest(d: Tensor, same: Tensor, other: Tensor, margin: number): Tensor {
  const farther = d.unsqueeze(1).gt(d.unsqueeze(2)).logicalAnd(other.unsqueeze(1)); // (a, p, n)
  const nearest = where(farther, d.unsqueeze(1), FAR).amin({ dim: 2 });
  const farthest = where(other, d, -FAR).amax({ dim: 1, keepdim: true });
  const negative = where(farther.any({ dim: 2 }), nearest, farthest);
  const usable = same.logicalAnd(other.any({ dim: 1, keepdim: true }));
  return meanWhere(where(usable, d.sub(negative).add(margin), 0).relu(), usable.to(d.dtype));
}

/** Every triplet (a, p, n) whose loss is above 0. */
function violating(d: Tensor, same: Tensor, other: Tensor, margin: number): Tensor {
  const triplets = same.unsqueeze(2).logicalAnd(other.unsqueeze(1));
  const losses = where(triplets, d.unsqueeze(2).sub(d.unsqueeze(1)).add(margin), 0).relu();
  return meanWhere(losses, losses.gt(0).to(d.dtype));
}

const rules = { hard: hardest, semiHard: semiHardest, all: violating } as const;

/**
 * The triplet loss over triplets that are mined within a batch: embeddings (n, features), labels (n). No value is read, so it compiles.
 * A batch without usable triplets gives 0.
 * @example minedTripletLoss(randn([6, 4]), tensor([0, 0, 1, 1, 2, 2], { dtype: 'int32' }), { mining: 'hard' })
 */
export function minedTripletLoss(embeddings: Tensor, labels: Tensor, options: TripletMiningOptions = {}): Tensor {
  const { mining = 'semiHard', margin = 0.2, squared = true, normalized = true } = options;
  if (!isTensor(embeddings) || embeddings.ndim !== 2 || labels.ndim !== 1 || labels.size !== embeddings.sizeAt(0)) {
    const got = `${formatShape(embeddings.shape)} and ${formatShape(labels.shape)}`;
    throw new LibError('shape', `minedTripletLoss: embeddings must be (n, features) and labels (n), got ${got}.`);
  }
  if (!(margin >= 0)) throw new LibError('value', `minedTripletLoss: margin must be at least 0, got ${margin}.`);
  const rule = rules[mining];
  if (rule === undefined) throw new LibError('option', `minedTripletLoss: mining must be hard, semiHard or all, got '${String(mining)}'.`);
  const equal = labels.unsqueeze(0).eq(labels.unsqueeze(1));
  const self = eye(labels.size, { dtype: 'bool', device: labels.device });
  const x = normalized ? normalize(embeddings, { dim: 1 }) : embeddings;
  return rule(distances(x, squared), equal.logicalAnd(self.logicalNot()), equal.logicalNot(), margin);
}

/** {@link minedTripletLoss} as a module: forward(embeddings, labels). */
export class MinedTripletLoss extends Module<readonly [embeddings: Tensor, labels: Tensor]> {
  constructor(readonly options: TripletMiningOptions = {}) {
    super();
  }
  override forward(embeddings: Tensor, labels: Tensor): Tensor {
    return minedTripletLoss(embeddings, labels, this.options);
  }
}
