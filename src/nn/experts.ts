import { LibError } from '../core/errors.js';
import { formatShape } from '../core/shape.js';
import { cat } from '../ops/join.js';
import { arange, empty, zeros } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { activationNamed, type FeedForwardActivation } from './feedForward.js';
import { uniform_ } from './init.js';
import { checkSizes, Linear } from './linear.js';
import { Module, Parameter } from './module.js';

export interface MixtureOfExpertsOptions {
  /** Default 8. */
  readonly numExperts?: number;
  /** Experts that each token is sent to. Default 2. */
  readonly topK?: number;
  /** Hidden width of an expert. Default 4 · width. */
  readonly hidden?: number;
  /** Default 'gelu'. */
  readonly activation?: FeedForwardActivation;
  /** An expert takes at most this share of what an even split would give it, rounded up; what exceeds it is passed by. Default 1.25. */
  readonly capacityFactor?: number;
  /** Factor of the balance loss. Default 0.01. */
  readonly balance?: number;
}

/** Where tokens go: one entry for each choice, all first choices before the second ones. */
interface Routes {
  /** (choices · tokens): expert · capacity + place, or the last slot for those without a place. */
  readonly slots: Tensor;
  /** (choices · tokens, 1) */
  readonly shares: Tensor;
  readonly balanceLoss: Tensor;
}

/**
 * Feed-forward experts, of which a router picks `topK` for each token (Shazeer et al. 2017, Fedus et al. 2021): (…, width) to the
 * weighted sum of their results, and balance · experts · Σ (share of the choices · mean probability), which is least, `balance`, when
 * all experts are used alike. Add that to the loss.
 */
export class MixtureOfExperts extends Module<readonly [x: Tensor], readonly [output: Tensor, balanceLoss: Tensor]> {
  readonly router: Linear;
  /** (experts, width, hidden) */
  readonly weight1: Parameter;
  /** (experts, 1, hidden) */
  readonly bias1: Parameter;
  /** (experts, hidden, width) */
  readonly weight2: Parameter;
  /** (experts, 1, width) */
  readonly bias2: Parameter;
  readonly numExperts: number;
  readonly topK: number;
  readonly activation: FeedForwardActivation;
  readonly capacityFactor: number;
  readonly balance: number;

  constructor(
    readonly width: number,
    options: MixtureOfExpertsOptions = {},
  ) {
    super();
    const { numExperts = 8, topK = 2, hidden = 4 * width, activation = 'gelu', capacityFactor = 1.25, balance = 0.01 } = options;
    checkSizes('MixtureOfExperts', { width, numExperts, topK, hidden });
    activationNamed('MixtureOfExperts', activation);
    if (topK > numExperts) throw new LibError('value', `MixtureOfExperts: topK must be at most numExperts, got ${topK} of ${numExperts}.`);
    if (!(capacityFactor > 0)) throw new LibError('value', `MixtureOfExperts: capacityFactor must be positive, got ${capacityFactor}.`);
    const draw = (fanIn: number, ...shape: number[]): Parameter =>
      new Parameter(uniform_(empty(shape), -1 / Math.sqrt(fanIn), 1 / Math.sqrt(fanIn)));
    this.router = new Linear(width, numExperts, { bias: false });
    this.weight1 = draw(width, numExperts, width, hidden);
    this.bias1 = draw(width, numExperts, 1, hidden);
    this.weight2 = draw(hidden, numExperts, hidden, width);
    this.bias2 = draw(hidden, numExperts, 1, width);
    this.numExperts = numExperts;
    this.topK = topK;
    this.activation = activation;
    this.capacityFactor = capacityFactor;
    this.balance = balance;
  }

  override forward(x: Tensor): readonly [output: Tensor, balanceLoss: Tensor] {
    if (x.shape.at(-1) !== this.width) {
      throw new LibError('shape', `MixtureOfExperts: the input must be (…, ${this.width}), got shape ${formatShape(x.shape)}.`);
    }
    const tokens = x.reshape([-1, this.width]);
    const count = tokens.sizeAt(0);
    const capacity = Math.ceil((this.capacityFactor * count * this.topK) / this.numExperts);
    const { slots, shares, balanceLoss } = this.route(tokens, capacity);
    const places = this.numExperts * capacity;
    const none = { dtype: x.dtype, device: x.device };
    const sent = zeros([places + 1, this.width], none).indexAdd(0, slots, cat(new Array<Tensor>(this.topK).fill(tokens)));
    const results = this.experts(sent.narrow(0, 0, places).reshape([this.numExperts, capacity, this.width]));
    const back = cat([results.reshape([places, this.width]), zeros([1, this.width], none)]).indexSelect(0, slots);
    const output = back.mul(shares).reshape([this.topK, count, this.width]).sum({ dim: 0 });
    return [output.reshape(x.shape), balanceLoss];
  }

  /** All experts at once: (experts, capacity, width). */
  private experts(x: Tensor): Tensor {
    const hidden = activationNamed('MixtureOfExperts', this.activation)(x.matmul(this.weight1).add(this.bias1));
    return hidden.matmul(this.weight2).add(this.bias2);
  }

  private route(tokens: Tensor, capacity: number): Routes {
    const { numExperts, topK } = this;
    const probabilities = this.router.forward(tokens).softmax(); // (tokens, experts)
    const { values, indices } = probabilities.topk(topK);
    const shares = topK === 1 ? values : values.div(values.sum({ dim: -1, keepdim: true }));
    const chosen = indices.transpose(0, 1).reshape([-1, 1]); // first choices of all tokens, then second ones
    const oneHot = chosen.eq(arange(numExperts, { dtype: 'int32', device: tokens.device }));
    const hits = oneHot.to('int32');
    const place = hits.cumsum(0).sub(1).mul(hits).sum({ dim: 1 }); // how many came to this expert before
    const slots = chosen.squeeze({ dim: 1 }).mul(capacity).add(place);
    const overflow = place.ge(capacity);
    const used = oneHot.to(tokens.dtype).mean({ dim: 0 });
    const balanceLoss = used
      .mul(probabilities.mean({ dim: 0 }))
      .sum()
      .mul(this.balance * numExperts);
    return { slots: slots.maskedFill(overflow, numExperts * capacity), shares: shares.transpose(0, 1).reshape([-1, 1]), balanceLoss };
  }

  /** Parameters in all, and those that work on one token. */
  countParameters(): { readonly total: number; readonly active: number } {
    const one = [this.weight1, this.bias1, this.weight2, this.bias2].reduce((n, p) => n + p.size, 0) / this.numExperts;
    const shared = this.router.weight.size;
    return { total: shared + one * this.numExperts, active: shared + one * this.topK };
  }
}
