import { LibError } from '../core/errors.js';
import { formatShape, needDims, resolveDim } from '../core/shape.js';
import { specOf } from '../core/spec.js';
import { constant, input, scalar } from '../expr/expr.js';
import { drawn, dropoutGenerator, type Generator } from '../tensor/generator.js';
import type { Tensor } from '../tensor/tensor.js';
import { defineComposite, type Op } from './define.js';
import { fuse, needFloat } from './fused.js';
import { checkNumber } from './lossParts.js';
import { mapTyped } from './mapTyped.js';
import { scatterOnto } from './scatterRows.js';
import { softmax } from './softmax.js';

/** Activations of more than one number: learned or random slopes, gates, relaxed choices. */

const [a, b] = [input(0), input(1)];
const bent = a.lessEqual(0).select(a.mul(b), a);

/**
 * x where x > 0, else weight · x. The weight is one number, or one for each channel, the second dim of x.
 * @example prelu(tensor([-4, 4]), tensor([0.25])) // [-1, 4]
 */
export const prelu: Op<[x: Tensor, weight: Tensor]> = defineComposite({
  name: 'prelu',
  compose(x: Tensor, weight: Tensor) {
    needFloat('prelu', x, weight);
    const channels = x.ndim > 1 ? x.sizeAt(1) : 1;
    if (weight.ndim > 1 || (weight.size !== 1 && weight.size !== channels)) {
      const got = `${formatShape(weight.shape)} for x ${formatShape(x.shape)}`;
      throw new LibError('shape', `prelu: the weight must hold one number or one for each of the ${channels} channels, got ${got}.`);
    }
    const shape = x.shape.map((_, d) => (d === 1 ? weight.size : 1));
    return fuse('prelu', [x, weight.reshape(weight.size === 1 ? [] : shape)], bent);
  },
  *samples(random): Iterable<[x: Tensor, weight: Tensor]> {
    yield [random([5]), random([1])];
    yield [random([2, 3]), random([3])];
    yield [random([2, 3, 4]), random([3])];
    yield [random([2, 3]), random([])];
  },
  *errors(random): Iterable<readonly [[x: Tensor, weight: Tensor], string]> {
    yield [[random([2, 3]), random([2])], 'one for each of the 3 channels, got (2,) for x (2, 3)'];
    yield [[random([2, 3]), random([3, 1])], 'the weight must hold one number'];
  },
});

export interface RreluOptions {
  /** Least slope. Default 1/8. */
  readonly lower?: number;
  /** Largest slope. Default 1/3. */
  readonly upper?: number;
  /** Draw a slope for each element; else the mean of both is used. Default false. */
  readonly training?: boolean;
  readonly generator?: Generator;
}

const randomSlope = a.lessEqual(0).select(a.mul(b.mul(scalar(1)).add(scalar(0))), a);
const meanSlope = a.lessEqual(0).select(a.mul(scalar(0)), a);

/** x where x > 0, else x times a slope: drawn from [lower, upper) for each element in training, their mean otherwise. */
export const rrelu: Op<[x: Tensor, options?: RreluOptions]> = defineComposite({
  name: 'rrelu',
  compose(x: Tensor, { lower = 1 / 8, upper = 1 / 3, training = false, generator = dropoutGenerator() }: RreluOptions = {}) {
    needFloat('rrelu', x);
    if (!(lower <= upper)) throw new LibError('value', `rrelu: lower must not exceed upper, got ${lower} and ${upper}.`);
    if (!training) return fuse('rrelu', [x], meanSlope, [(lower + upper) / 2]);
    const u = drawn('rrelu', 'uniform', specOf('float32', x.shape), x.device, generator);
    return fuse('rrelu', [x, u], randomSlope, [lower, upper - lower]);
  },
  *samples(random): Iterable<[x: Tensor, options?: RreluOptions]> {
    yield [random([7])];
    yield [random([2, 3]), { lower: 0.1, upper: 0.5 }];
    yield [random([2, 3]), { lower: 0.25, upper: 0.25, training: true }]; // a draw without chance, so that values can be compared
  },
  *errors(random): Iterable<readonly [[x: Tensor, options?: RreluOptions], string]> {
    yield [[random([2]), { lower: 0.5 }], 'lower must not exceed upper, got 0.5'];
  },
  torch: { call: 'torch.nn.functional.rrelu(a[0], **o)' },
});

export interface GluOptions {
  /** The dim that holds both halves. Default -1. */
  readonly dim?: number;
}

/** The first half of x along `dim`, gated by the second: a · sigmoid(b). */
export const glu: Op<[x: Tensor, options?: GluOptions]> = defineComposite({
  name: 'glu',
  compose(x: Tensor, { dim = -1 }: GluOptions = {}) {
    needFloat('glu', x);
    needDims('glu', x, 1);
    const at = resolveDim('glu', dim, x.ndim);
    const size = x.sizeAt(at);
    if (size % 2 !== 0) throw new LibError('shape', `glu: dim ${at} must have an even size, got ${size} of ${formatShape(x.shape)}.`);
    return fuse('glu', x.split([size / 2, size / 2], { dim: at }), a.mul(b.sigmoid()));
  },
  *samples(random): Iterable<[x: Tensor, options?: GluOptions]> {
    yield [random([6])];
    yield [random([2, 4, 3]), { dim: 1 }];
    yield [random([2, 4], { low: -60, high: 60 })];
  },
  *errors(random): Iterable<readonly [[x: Tensor, options?: GluOptions], string]> {
    yield [[random([2, 3])], 'must have an even size, got 3'];
    yield [[random([2, 4]), { dim: 2 }], 'dim 2 is out of range'];
  },
  torch: { call: 'torch.nn.functional.glu(a[0], **o)' },
});

export interface SwishOptions {
  /** Sharpness: 0 gives x / 2, large ones relu. A tensor broadcasts, so it can be learned. Default 1. */
  readonly beta?: number | Tensor;
}

/** x · sigmoid(beta · x) (Ramachandran et al. 2017); {@link silu} is beta = 1. */
export const swish: Op<[x: Tensor, options?: SwishOptions]> = defineComposite({
  name: 'swish',
  compose(x: Tensor, { beta = 1 }: SwishOptions = {}) {
    needFloat('swish', x);
    if (typeof beta === 'number') return fuse('swish', [x], a.mul(a.mul(scalar(0)).sigmoid()), [beta]);
    return fuse('swish', [x, beta], a.mul(a.mul(b).sigmoid()));
  },
  *samples(random): Iterable<[x: Tensor, options?: SwishOptions]> {
    yield [random([5])];
    yield [random([2, 3]), { beta: 2.5 }];
    yield [random([2, 3]), { beta: random([3]) }];
  },
  torch: { call: 'a[0] * torch.sigmoid(a[0] * o.get("beta", 1))' },
});

export interface GumbelOptions {
  /** Temperature: small ones come close to a choice. Default 1. */
  readonly tau?: number;
  /** Give the one-hot choice, differentiated as if it were the soft one. Default false. */
  readonly hard?: boolean;
  /** Default -1. */
  readonly dim?: number;
  readonly generator?: Generator;
}

// -log of an exponential number; the least uniform number is lifted off 0, whose logarithm is infinite
const perturbed = a
  .sub(
    b
      .max(2 ** -26)
      .neg()
      .log1p()
      .neg()
      .log(),
  )
  .div(scalar(0));

/** softmax((logits + Gumbel noise) / tau): a differentiable draw from the classes (Jang et al. 2017). */
export const gumbelSoftmax: Op<[logits: Tensor, options?: GumbelOptions]> = defineComposite({
  name: 'gumbelSoftmax',
  compose(logits: Tensor, { tau = 1, hard = false, dim = -1, generator = dropoutGenerator() }: GumbelOptions = {}) {
    needFloat('gumbelSoftmax', logits);
    checkNumber('gumbelSoftmax', 'tau', tau, tau > 0, 'positive');
    const at = resolveDim('gumbelSoftmax', dim, logits.ndim);
    const u = drawn('gumbelSoftmax', 'uniform', specOf('float32', logits.shape), logits.device, generator);
    const soft = softmax(mapTyped('gumbelSoftmax', [logits, u], perturbed, { scalars: [tau], dtype: logits.dtype }), { dim: at });
    if (!hard) return soft;
    const values = soft.detach();
    const choice = values.argmax({ dim: at, keepdim: true });
    const chosen = scatterOnto(
      fuse('gumbelSoftmax', [values], constant(0)),
      at,
      choice,
      fuse('gumbelSoftmax', [choice], constant(1), [], logits.dtype),
    );
    return fuse('gumbelSoftmax', [chosen, values, soft], a.sub(b).add(input(2)));
  },
  *samples(random): Iterable<[logits: Tensor, options?: GumbelOptions]> {
    yield [random([4, 5])];
    yield [random([3, 4]), { tau: 0.5, dim: 0 }];
  },
  *errors(random): Iterable<readonly [[logits: Tensor, options?: GumbelOptions], string]> {
    yield [[random([2, 3]), { tau: 0 }], 'tau must be positive, got 0'];
    yield [[random([2, 3]), { dim: 2 }], 'dim 2 is out of range'];
  },
  torch: null,
});
