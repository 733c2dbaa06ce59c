import { LibError } from '../core/errors.js';
import { formatShape, type Shape, sizeOf } from '../core/shape.js';
import { where } from '../ops/compare.js';
import type { LossInput } from '../ops/define.js';
import { cat } from '../ops/join.js';
import { type LinearCrossEntropyOptions, linearCrossEntropy } from '../ops/lossSequence.js';
import { capturing } from '../tensor/capturing.js';
import type { Tensor } from '../tensor/tensor.js';
import { ModuleList, Sequential } from './containers.js';
import { checkSizes, Linear } from './linear.js';
import { Buffer, Module } from './module.js';

export interface LinearLossOptions extends Omit<LinearCrossEntropyOptions, 'linearBias'> {
  /** Further dims of the targets. Default []. */
  readonly outFeatures?: Shape;
  /** Learn a bias. Default false. */
  readonly bias?: boolean;
}

/** A linear layer and the cross entropy of its logits: forward(features, target) (torch.nn.LinearCrossEntropyLoss). */
export class LinearCrossEntropyLoss extends Module<readonly [x: Tensor, target: Tensor]> {
  readonly weight: Buffer | null;
  readonly linear: Linear;
  readonly outFeatures: Shape;
  readonly options: Omit<LinearCrossEntropyOptions, 'linearBias'>;

  constructor(
    readonly inFeatures: number,
    readonly numClasses: number,
    { outFeatures = [], bias = false, weight = null, ...options }: LinearLossOptions = {},
  ) {
    super();
    checkSizes('LinearCrossEntropyLoss', { inFeatures, numClasses });
    this.weight = weight ? new Buffer(weight) : null;
    this.linear = new Linear(inFeatures, numClasses * sizeOf(outFeatures), { bias });
    this.outFeatures = outFeatures;
    this.options = options;
  }
  get expects(): LossInput {
    return linearCrossEntropy.row.expects as LossInput;
  }
  override forward(x: Tensor, target: Tensor): Tensor {
    const { weight, bias } = this.linear;
    const linearWeight = weight.reshape([this.numClasses, ...this.outFeatures, this.inFeatures]);
    return linearCrossEntropy(x, linearWeight, target, { ...this.options, linearBias: bias, weight: this.weight });
  }
}

export interface AdaptiveSoftmaxOptions {
  /** How much narrower each rarer cluster's features are. Default 4. */
  readonly divValue?: number;
  /** Learn a bias in the head. Default false. */
  readonly headBias?: boolean;
}
export interface AdaptiveSoftmaxOutput {
  /** The log-probability of each example's target, (N,). */
  readonly output: Tensor;
  /** The mean of -output. */
  readonly loss: Tensor;
}

/**
 * Softmax over many classes, numbered from common to rare and cut into clusters: the head knows the first classes and the clusters, and
 * each cluster has a narrower layer of its own (Grave et al. 2017; torch.nn.AdaptiveLogSoftmaxWithLoss).
 */
export class AdaptiveLogSoftmaxWithLoss extends Module<readonly [x: Tensor, target: Tensor], AdaptiveSoftmaxOutput> {
  readonly cutoffs: readonly number[];
  readonly head: Linear;
  readonly tail: ModuleList<Sequential>;
  readonly expects: LossInput = 'features';

  constructor(
    readonly inFeatures: number,
    readonly nClasses: number,
    cutoffs: readonly number[],
    { divValue = 4, headBias = false }: AdaptiveSoftmaxOptions = {},
  ) {
    super();
    checkSizes('AdaptiveLogSoftmaxWithLoss', { inFeatures, nClasses });
    const rising = cutoffs.every((c, i) => Number.isInteger(c) && c > (i === 0 ? 0 : (cutoffs[i - 1] as number)) && c < nClasses);
    if (!(divValue > 0)) throw new LibError('value', `AdaptiveLogSoftmaxWithLoss: divValue must be positive, got ${divValue}.`);
    if (cutoffs.length === 0 || !rising) {
      const rule = `cutoffs must be rising whole numbers from 1 to ${nClasses - 1}`;
      throw new LibError('value', `AdaptiveLogSoftmaxWithLoss: ${rule}, got [${cutoffs.join(', ')}].`);
    }
    this.cutoffs = [...cutoffs, nClasses];
    this.head = new Linear(inFeatures, (cutoffs[0] as number) + cutoffs.length, { bias: headBias });
    this.tail = new ModuleList(
      cutoffs.map((low, i) => {
        const hidden = Math.max(1, Math.floor(inFeatures / divValue ** (i + 1)));
        const size = (this.cutoffs[i + 1] as number) - low;
        return new Sequential(new Linear(inFeatures, hidden, { bias: false }), new Linear(hidden, size, { bias: false }));
      }),
    );
  }

  override forward(x: Tensor, target: Tensor): AdaptiveSoftmaxOutput {
    const batched = x.ndim === 2;
    if ((x.ndim !== 1 && !batched) || target.ndim !== x.ndim - 1 || (batched && target.sizeAt(0) !== x.sizeAt(0))) {
      const got = `${formatShape(x.shape)} and ${formatShape(target.shape)}`;
      throw new LibError('shape', `AdaptiveLogSoftmaxWithLoss: input must be (N, features) and targets (N,), got ${got}.`);
    }
    const output = this.targetLogProb(batched ? x : x.unsqueeze(0), target.reshape([-1])).reshape(target.shape);
    return { output, loss: output.neg().mean() };
  }

  /** Each cluster's layer sees its own examples only. While compile() captures, which these are is not known, and it sees all. */
  private targetLogProb(x: Tensor, t: Tensor): Tensor {
    const short = this.cutoffs[0] as number;
    const cluster = this.cutoffs.map((low) => t.ge(low).int()).reduce((a, b) => a.add(b));
    const entry = where(t.lt(short), t, cluster.add(short - 1)).unsqueeze(1);
    let output = this.head.forward(x).logSoftmax({ dim: 1 }).gather(1, entry).squeeze({ dim: 1 });
    for (const [i, layer] of [...this.tail].entries()) {
      const low = this.cutoffs[i] as number;
      const inside = cluster.eq(i + 1);
      const own = (rows: Tensor, local: Tensor): Tensor =>
        layer.forward(rows).logSoftmax({ dim: 1 }).gather(1, local.unsqueeze(1)).squeeze({ dim: 1 });
      if (capturing() !== null) {
        const size = (this.cutoffs[i + 1] as number) - low;
        output = output.add(where(inside, own(x, t.sub(low).clamp({ min: 0, max: size - 1 })), 0));
        continue;
      }
      const rows = inside.nonzero().squeeze({ dim: 1 });
      if (rows.size > 0) output = output.indexAdd(0, rows, own(x.indexSelect(0, rows), t.indexSelect(0, rows).sub(low)));
    }
    return output;
  }

  /** The log-probabilities of all classes: (N, nClasses) for x (N, features). */
  logProb(x: Tensor): Tensor {
    const short = this.cutoffs[0] as number;
    const head = this.head.forward(x).logSoftmax({ dim: 1 });
    const clusters = [...this.tail].map((layer, i) =>
      layer
        .forward(x)
        .logSoftmax({ dim: 1 })
        .add(head.narrow(1, short + i, 1)),
    );
    return cat([head.narrow(1, 0, short), ...clusters], { dim: 1 });
  }

  /** The likeliest class of each example, (N,). */
  predict(x: Tensor): Tensor {
    return this.logProb(x).argmax({ dim: 1 });
  }
}
