import { LibError, nearest } from '../core/errors.js';
import { elu, gelu, leakyRelu, logsigmoid, mish, relu, selu, silu, softplus } from '../ops/functions.js';
import { enableGrad, grad } from '../tensor/autograd.js';
import type { Tensor } from '../tensor/tensor.js';
import { exactGain } from './initModel.js';

/** What is known of an activation, as data: for advice, for cards, for tests. */

type Interval = readonly [low: number, high: number];

interface Card {
  readonly formula: string;
  /** Of values; ends that are not reached are ends all the same. */
  readonly range: Interval;
  /** Of the slope. */
  readonly slopes: Interval;
  /** Whether the mean of outputs is within 0.2 of 0 for standard normal inputs. */
  readonly zeroCentred: boolean;
  /** Where the slope goes to 0: units there learn slowly, or not at all. */
  readonly saturates: 'nowhere' | 'left' | 'right' | 'both sides' | 'everywhere';
  /** The initializer of the weights before it. */
  readonly init: 'xavierUniform_' | 'kaimingNormal_' | 'lecunNormal_' | 'none';
  readonly use: string;
  readonly weakness: string;
  value(x: Tensor): Tensor;
}

export interface ActivationFacts extends Card {
  readonly name: string;
  /** E[φ(z)²] for standard normal z. */
  readonly secondMoment: number;
  /** 1 / √secondMoment: the gain with which one layer keeps the second moment. */
  readonly gain: number;
  slope(x: Tensor): Tensor;
  /** The second derivative; 0 at bends. */
  curvature(x: Tensor): Tensor;
}

const { POSITIVE_INFINITY: up, NEGATIVE_INFINITY: down } = Number;
const lambda = 1.0507009873554805;
const alpha = 1.6732632423543772;

export type KnownActivation =
  | 'Identity'
  | 'Step'
  | 'Sigmoid'
  | 'Tanh'
  | 'ReLU'
  | 'LeakyReLU'
  | 'PReLU'
  | 'RReLU'
  | 'ELU'
  | 'SELU'
  | 'Softplus'
  | 'LogSigmoid'
  | 'GELU'
  | 'SiLU'
  | 'Mish';

const cards: Readonly<Record<KnownActivation, Card>> = {
  Identity: {
    formula: 'x',
    ...{ range: [down, up], slopes: [1, 1], zeroCentred: true, saturates: 'nowhere', init: 'xavierUniform_' },
    use: 'outputs of regression',
    weakness: 'a network of nothing else is one affine map',
    value: (x) => x,
  },
  Step: {
    formula: '1 for x > 0, else 0',
    ...{ range: [0, 1], slopes: [0, 0], zeroCentred: false, saturates: 'everywhere', init: 'none' },
    use: "the perceptron's answer",
    weakness: 'no gradient at all: nothing before it learns',
    value: (x) => x.gt(0).to(x.dtype),
  },
  Sigmoid: {
    formula: '1 / (1 + e^-x)',
    ...{ range: [0, 1], slopes: [0, 0.25], zeroCentred: false, saturates: 'both sides', init: 'xavierUniform_' },
    use: 'probabilities of two classes or several labels, gates',
    weakness: 'the slope is at most 1/4 and below 0.0067 beyond ±5, outputs are all positive: deep stacks hardly learn',
    value: (x) => x.sigmoid(),
  },
  Tanh: {
    formula: '2 σ(2x) - 1',
    ...{ range: [-1, 1], slopes: [0, 1], zeroCentred: true, saturates: 'both sides', init: 'xavierUniform_' },
    use: 'states of recurrent cells, bounded outputs',
    weakness: 'saturates far from 0',
    value: (x) => x.tanh(),
  },
  ReLU: {
    formula: 'max(0, x)',
    ...{ range: [0, up], slopes: [0, 1], zeroCentred: false, saturates: 'left', init: 'kaimingNormal_' },
    use: 'hidden layers, by default',
    weakness: 'a unit that is below 0 for all data gets no gradient',
    value: (x) => relu(x),
  },
  LeakyReLU: {
    formula: 'x for x > 0, else 0.01 x',
    ...{ range: [down, up], slopes: [0.01, 1], zeroCentred: false, saturates: 'nowhere', init: 'kaimingNormal_' },
    use: 'in the place of ReLU where units die',
    weakness: 'one more number to choose',
    value: (x) => leakyRelu(x),
  },
  PReLU: {
    formula: 'x for x > 0, else a x with learned a, at first 0.25',
    ...{ range: [down, up], slopes: [0.25, 1], zeroCentred: false, saturates: 'nowhere', init: 'kaimingNormal_' },
    use: 'in the place of ReLU, with data enough to learn the slope',
    weakness: 'the slope must stay out of weight decay, which would make a ReLU of it',
    value: (x) => leakyRelu(x, { negativeSlope: 0.25 }),
  },
  RReLU: {
    formula: 'x for x > 0, else a x; a is drawn from [1/8, 1/3] in training, 11/48 in evaluation',
    ...{ range: [down, up], slopes: [11 / 48, 1], zeroCentred: false, saturates: 'nowhere', init: 'kaimingNormal_' },
    use: 'small data: the noise regularizes',
    weakness: 'training and evaluation differ',
    value: (x) => leakyRelu(x, { negativeSlope: 11 / 48 }),
  },
  ELU: {
    formula: 'x for x > 0, else e^x - 1',
    ...{ range: [-1, up], slopes: [0, 1], zeroCentred: true, saturates: 'left', init: 'kaimingNormal_' },
    use: 'hidden layers whose mean is to stay near 0',
    weakness: 'an exponential for each negative input; saturates at -1',
    value: (x) => elu(x),
  },
  SELU: {
    formula: `${lambda} x for x > 0, else ${lambda} · ${alpha} (e^x - 1)`,
    ...{ range: [-lambda * alpha, up], slopes: [0, lambda * alpha], zeroCentred: true, saturates: 'left', init: 'lecunNormal_' },
    use: 'plain deep feed-forward stacks, with LeCun normal weights and alpha dropout',
    weakness: 'the promise (mean 0, variance 1) holds for such stacks only',
    value: (x) => selu(x),
  },
  Softplus: {
    formula: 'log(1 + e^x)',
    ...{ range: [0, up], slopes: [0, 1], zeroCentred: false, saturates: 'left', init: 'kaimingNormal_' },
    use: 'positive outputs: rates, variances',
    weakness: 'outputs are all positive; exceeds ReLU by log 2 at 0',
    value: (x) => softplus(x),
  },
  LogSigmoid: {
    formula: '-log(1 + e^-x)',
    ...{ range: [down, 0], slopes: [0, 1], zeroCentred: false, saturates: 'right', init: 'xavierUniform_' },
    use: 'log-probabilities of two classes',
    weakness: 'for losses, not for hidden layers',
    value: (x) => logsigmoid(x),
  },
  GELU: {
    formula: 'x Φ(x)',
    ...{ range: [-0.16997, up], slopes: [-0.1289, 1.1289], zeroCentred: false, saturates: 'left', init: 'kaimingNormal_' },
    use: 'Transformers and very deep networks',
    weakness: 'no gain is stable over depth: needs norms or residual paths',
    value: (x) => gelu(x),
  },
  SiLU: {
    formula: 'x σ(x)',
    ...{ range: [-0.27846, up], slopes: [-0.0998, 1.0998], zeroCentred: false, saturates: 'left', init: 'kaimingNormal_' },
    use: 'deep convolutional networks, the gate of SwiGLU',
    weakness: 'no gain is stable over depth: needs norms or residual paths',
    value: (x) => silu(x),
  },
  Mish: {
    formula: 'x tanh(log(1 + e^x))',
    ...{ range: [-0.30884, up], slopes: [-0.1125, 1.0885], zeroCentred: false, saturates: 'left', init: 'kaimingNormal_' },
    use: 'as SiLU',
    weakness: 'three functions for each input; needs norms or residual paths',
    value: (x) => mish(x),
  },
};

/** The activations that {@link activationFacts} knows, by their layer's name. */
export const knownActivations: readonly KnownActivation[] = Object.keys(cards) as KnownActivation[];

/**
 * What is known of an activation: its formula, range and slopes, where it saturates, its second moment, which weights fit, what it is for.
 * @example activationFacts('Sigmoid').slopes // [0, 0.25]
 */
export function activationFacts(name: KnownActivation): ActivationFacts {
  const card: Card | undefined = cards[name];
  if (card === undefined) {
    const guess = nearest(String(name), knownActivations);
    throw new LibError(
      'option',
      `activationFacts: the activation must be known, got '${String(name)}'.`,
      guess && `did you mean '${guess}'?`,
    );
  }
  const gain = exactGain(card.value);
  const slopeOf = (f: (x: Tensor) => Tensor, x: Tensor, createGraph: boolean): Tensor => {
    const at = createGraph ? x : x.detach().requiresGrad_();
    const y = enableGrad(() => f(at));
    const [slope] = y.requiresGrad ? grad(y.sum(), [at], { createGraph, allowUnused: true }) : [null];
    return slope ?? x.detach().mul(0);
  };
  return {
    name,
    ...card,
    gain,
    secondMoment: 1 / gain ** 2,
    slope: (x) => slopeOf(card.value, x, false),
    curvature: (x) => slopeOf((t) => slopeOf(card.value, t, true), x, false),
  };
}
