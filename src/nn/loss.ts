import type { LossInput, Op } from '../ops/define.js';
import {
  binaryCrossEntropy,
  binaryCrossEntropyWithLogits,
  type CrossEntropyOptions,
  cosineEmbeddingLoss,
  crossEntropy,
  type GaussianOptions,
  gaussianNllLoss,
  type HuberOptions,
  hingeEmbeddingLoss,
  huberLoss,
  type KlDivOptions,
  klDiv,
  type LogitsOptions,
  type LossOptions,
  l1Loss,
  type MarginOptions,
  marginRankingLoss,
  mseLoss,
  nllLoss,
  type PoissonOptions,
  poissonNllLoss,
  type SmoothL1Options,
  smoothL1Loss,
  softMarginLoss,
  type TripletOptions,
  tripletMarginLoss,
} from '../ops/loss.js';
import {
  type MultilabelOptions,
  type MultiMarginOptions,
  multilabelMarginLoss,
  multilabelSoftMarginLoss,
  multiMarginLoss,
  type TripletDistanceOptions,
  tripletMarginWithDistanceLoss,
} from '../ops/lossMargin.js';
import type { ClassOptions } from '../ops/lossRows.js';
import type { Tensor } from '../tensor/tensor.js';
import { Buffer, Module } from './module.js';

/** Losses as modules. `forward` calls the op of the same name; see there for shapes and formulas. */
type Pair = readonly [input: Tensor, target: Tensor];
type Triple = readonly [x1: Tensor, x2: Tensor, target: Tensor];
type LossOp<Inputs extends readonly Tensor[], Options> = Op<[...inputs: Inputs, options?: Options]>;

abstract class Loss<Options extends object, Inputs extends readonly Tensor[] = Pair> extends Module<Inputs> {
  protected abstract readonly loss: LossOp<Inputs, Options>;
  constructor(readonly options: Options = {} as Options) {
    super();
  }
  /** What the first input must hold: logits, log-probabilities, probabilities, … */
  get expects(): LossInput {
    return this.loss.row.expects as LossInput;
  }
  override forward(...inputs: Inputs): Tensor {
    return this.loss(...inputs, this.settings());
  }
  protected settings(): Options {
    return this.options;
  }
  override extraRepr(): string {
    return Object.entries(this.options)
      .filter(([, value]) => typeof value === 'number' || typeof value === 'string' || typeof value === 'boolean')
      .map(([name, value]) => `${name}=${value}`)
      .join(', ');
  }
}

/** The weight is part of the state, as in PyTorch. */
abstract class WeightedLoss<Options extends { readonly weight?: Tensor | null }> extends Loss<Options> {
  readonly weight: Buffer | null;
  constructor(options: Options = {} as Options) {
    super(options);
    this.weight = options.weight ? new Buffer(options.weight) : null;
  }
  protected override settings(): Options {
    return { ...this.options, weight: this.weight };
  }
}

/** Softmax cross entropy of logits with class indices or probabilities (torch.nn.CrossEntropyLoss). */
export class CrossEntropyLoss extends WeightedLoss<CrossEntropyOptions> {
  protected override readonly loss: LossOp<Pair, CrossEntropyOptions> = crossEntropy;
}
/** Negative log-likelihood of log-probabilities (torch.nn.NLLLoss). */
export class NLLLoss extends WeightedLoss<ClassOptions> {
  protected override readonly loss: LossOp<Pair, ClassOptions> = nllLoss;
}
type BinaryOptions = Omit<LogitsOptions, 'posWeight'>;
/** Binary cross entropy of probabilities (torch.nn.BCELoss). */
export class BCELoss extends WeightedLoss<BinaryOptions> {
  protected override readonly loss: LossOp<Pair, BinaryOptions> = binaryCrossEntropy;
}
/** Binary cross entropy of logits (torch.nn.BCEWithLogitsLoss). */
export class BCEWithLogitsLoss extends WeightedLoss<LogitsOptions> {
  readonly posWeight: Buffer | null;
  protected override readonly loss: LossOp<Pair, LogitsOptions> = binaryCrossEntropyWithLogits;
  constructor(options: LogitsOptions = {}) {
    super(options);
    this.posWeight = options.posWeight ? new Buffer(options.posWeight) : null;
  }
  protected override settings(): LogitsOptions {
    return { ...super.settings(), posWeight: this.posWeight };
  }
}
export interface MSEOptions extends LossOptions {
  /** Half of it, so that the gradient of the sum is input − target. Default false. */
  readonly half?: boolean;
}
/** Mean squared error (torch.nn.MSELoss). */
export class MSELoss extends Loss<LossOptions> {
  protected override readonly loss: LossOp<Pair, LossOptions> = mseLoss;
  readonly halved: boolean;
  constructor({ half = false, ...options }: MSEOptions = {}) {
    super(options);
    this.halved = half;
  }
  override forward(...inputs: Pair): Tensor {
    const loss = super.forward(...inputs);
    return this.halved ? loss.mul(0.5) : loss;
  }
}
/** Mean absolute error (torch.nn.L1Loss). */
export class L1Loss extends Loss<LossOptions> {
  protected override readonly loss: LossOp<Pair, LossOptions> = l1Loss;
}
/** Squared near zero, absolute beyond beta (torch.nn.SmoothL1Loss). */
export class SmoothL1Loss extends Loss<SmoothL1Options> {
  protected override readonly loss: LossOp<Pair, SmoothL1Options> = smoothL1Loss;
}
/** Huber's loss (torch.nn.HuberLoss). */
export class HuberLoss extends Loss<HuberOptions> {
  protected override readonly loss: LossOp<Pair, HuberOptions> = huberLoss;
}
/** Kullback–Leibler divergence from log-probabilities (torch.nn.KLDivLoss). */
export class KLDivLoss extends Loss<KlDivOptions> {
  protected override readonly loss: LossOp<Pair, KlDivOptions> = klDiv;
}
/** Negative log-likelihood of counts (torch.nn.PoissonNLLLoss). */
export class PoissonNLLLoss extends Loss<PoissonOptions> {
  protected override readonly loss: LossOp<Pair, PoissonOptions> = poissonNllLoss;
}
/** Negative log-likelihood under Gaussians: forward(mean, target, variance) (torch.nn.GaussianNLLLoss). */
export class GaussianNLLLoss extends Loss<GaussianOptions, readonly [input: Tensor, target: Tensor, variance: Tensor]> {
  protected override readonly loss: LossOp<readonly [input: Tensor, target: Tensor, variance: Tensor], GaussianOptions> = gaussianNllLoss;
}
/** Distances of pairs: small for target 1, beyond the margin for -1 (torch.nn.HingeEmbeddingLoss). */
export class HingeEmbeddingLoss extends Loss<MarginOptions> {
  protected override readonly loss: LossOp<Pair, MarginOptions> = hingeEmbeddingLoss;
}
/** Cosines of pairs: forward(x1, x2, target) (torch.nn.CosineEmbeddingLoss). */
export class CosineEmbeddingLoss extends Loss<MarginOptions, Triple> {
  protected override readonly loss: LossOp<Triple, MarginOptions> = cosineEmbeddingLoss;
}
/** Which of two scores should be higher: forward(x1, x2, target) (torch.nn.MarginRankingLoss). */
export class MarginRankingLoss extends Loss<MarginOptions, Triple> {
  protected override readonly loss: LossOp<Triple, MarginOptions> = marginRankingLoss;
}
/** Logistic loss of targets ±1 (torch.nn.SoftMarginLoss). */
export class SoftMarginLoss extends Loss<LossOptions> {
  protected override readonly loss: LossOp<Pair, LossOptions> = softMarginLoss;
}
/** Multi-class hinge loss (torch.nn.MultiMarginLoss). */
export class MultiMarginLoss extends WeightedLoss<MultiMarginOptions> {
  protected override readonly loss: LossOp<Pair, MultiMarginOptions> = multiMarginLoss;
}
/** Hinge loss between listed and other labels (torch.nn.MultiLabelMarginLoss). */
export class MultiLabelMarginLoss extends Loss<LossOptions> {
  protected override readonly loss: LossOp<Pair, LossOptions> = multilabelMarginLoss;
}
/** Mean over classes of binary cross entropies of logits (torch.nn.MultiLabelSoftMarginLoss). */
export class MultiLabelSoftMarginLoss extends WeightedLoss<MultilabelOptions> {
  protected override readonly loss: LossOp<Pair, MultilabelOptions> = multilabelSoftMarginLoss;
}
type Triplet = readonly [anchor: Tensor, positive: Tensor, negative: Tensor];
/** Nearer to the positive than to the negative: forward(anchor, positive, negative) (torch.nn.TripletMarginLoss). */
export class TripletMarginLoss extends Loss<TripletOptions, Triplet> {
  protected override readonly loss: LossOp<Triplet, TripletOptions> = tripletMarginLoss;
}
/** The same for a distance of your own (torch.nn.TripletMarginWithDistanceLoss). */
export class TripletMarginWithDistanceLoss extends Loss<TripletDistanceOptions, Triplet> {
  protected override readonly loss: LossOp<Triplet, TripletDistanceOptions> = tripletMarginWithDistanceLoss;
}
