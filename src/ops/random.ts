import { isFloat } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import { broadcastShapes, formatShape, needWhole, type Shape } from '../core/shape.js';
import { specOf } from '../core/spec.js';
import { type Expr, input, scalar } from '../expr/expr.js';
import type { RandomKernel } from '../program/kernel.js';
import { isReadable } from '../tensor/capturing.js';
import type { TensorOptions } from '../tensor/creation.js';
import { defaultGenerator, drawn, dropoutGenerator, type Generator } from '../tensor/generator.js';
import { type RandomOptions, rand, randint, randn } from '../tensor/random.js';
import { isTensor, type Tensor } from '../tensor/tensor.js';
import { checkWritable } from './apply.js';
import { defineComposite, type Op } from './define.js';
import { needFloat } from './fused.js';
import { mapTyped, promoteAll } from './mapTyped.js';
import { checkProbability, type DropoutOptions } from './probability.js';

/** Random ops of a tensor. In-place ones fill the tensor in order of its elements, whatever its strides are. */

/** Draws into a tensor, then maps what was drawn (input 0) by an expression over some numbers. */
function refill(op: string, x: Tensor, by: RandomKernel['by'], generator: Generator, expr: Expr, scalars: readonly number[]): Tensor {
  if (!isFloat(x.dtype)) throw new LibError('dtype', `${op}: the tensor must be of a floating type, got ${x.dtype}.`);
  checkWritable(op, x);
  if (x.requiresGrad || !x.spec.contiguous) {
    const fresh = drawn(op, by, specOf(x.dtype, x.shape), x.device, generator);
    return x.copy_(expr === input(0) ? fresh : mapTyped(op, [fresh], expr, { scalars }));
  }
  drawn(op, by, x.spec, x.device, generator, { into: x });
  return expr === input(0) ? x : mapTyped(op, [x], expr, { scalars, into: [x] });
}

const affine = input(0).mul(scalar(0)).add(scalar(1));

/** Fills the tensor with uniform numbers in [low, high). */
export function uniform_(x: Tensor, low = 0, high = 1, { generator = defaultGenerator() }: RandomOptions = {}): Tensor {
  if (!(low <= high)) throw new LibError('value', `uniform_: low must not exceed high, got ${low} and ${high}.`);
  return refill('uniform_', x, 'uniform', generator, low === 0 && high === 1 ? input(0) : affine, [high - low, low]);
}
/** Fills the tensor with normal numbers. */
export function normal_(x: Tensor, mean = 0, std = 1, { generator = defaultGenerator() }: RandomOptions = {}): Tensor {
  if (!(std >= 0)) throw new LibError('value', `normal_: the deviation must not be negative, got ${std}.`);
  return refill('normal_', x, 'normal', generator, mean === 0 && std === 1 ? input(0) : affine, [std, mean]);
}
/** Fills the tensor with exponentially distributed numbers of mean 1 / lambd. */
export function exponential_(x: Tensor, lambd = 1, { generator = defaultGenerator() }: RandomOptions = {}): Tensor {
  if (!(lambd > 0)) throw new LibError('value', `exponential_: the rate must be positive, got ${lambd}.`);
  return refill('exponential_', x, 'uniform', generator, input(0).neg().log1p().neg().div(scalar(0)), [lambd]);
}
/** Fills the tensor with ones, each with probability p, and zeros. */
export function bernoulli_(x: Tensor, p = 0.5, { generator = defaultGenerator() }: RandomOptions = {}): Tensor {
  checkProbability('bernoulli_', p);
  return refill('bernoulli_', x, 'uniform', generator, input(0).less(scalar(0)), [p]);
}

/** Uniform numbers in [0, 1) with the shape, type and device of `x`. */
export function randLike(x: Tensor, options: TensorOptions & RandomOptions = {}): Tensor {
  return rand(x.shape, { dtype: x.dtype, device: x.device, ...options });
}
/** Normal numbers with the shape, type and device of `x`. */
export function randnLike(x: Tensor, options: TensorOptions & RandomOptions = {}): Tensor {
  return randn(x.shape, { dtype: x.dtype, device: x.device, ...options });
}

/** Ones where a uniform number falls below the probability `p`, elementwise; zeros elsewhere. No gradient flows. */
export function bernoulli(p: Tensor, options: RandomOptions = {}): Tensor {
  const { generator = defaultGenerator() } = options;
  const u = drawn('bernoulli', 'uniform', specOf(p.dtype, p.shape), p.device, generator);
  return mapTyped('bernoulli', [u, p.detach()], input(0).less(input(1)));
}

export interface MultinomialOptions extends RandomOptions {
  /** Allow an index to be drawn more than once. Default false. */
  readonly replacement?: boolean;
}
/**
 * Indices drawn with probabilities proportional to the rows of `weights`, (…, n) to (…, count) in int32.
 * @example tensor([0, 1, 0]).multinomial(1) // [1]
 */
export function multinomial(weights: Tensor, count: number, options: MultinomialOptions = {}): Tensor {
  const { replacement = false, generator = defaultGenerator() } = options;
  const w = weights.detach();
  if (w.ndim < 1 || w.ndim > 2 || w.size === 0)
    throw new LibError('shape', `multinomial: the weights must be (n,) or (rows, n) with n > 0, got shape ${formatShape(w.shape)}.`);
  checkWeights(w);
  needWhole('multinomial', 'the count', count, 1);
  const n = w.shape.at(-1) ?? 1;
  if (!replacement) {
    if (count > n)
      throw new LibError(
        'value',
        `multinomial: without replacement at most ${n} can be drawn, got count ${count}.`,
        'pass { replacement: true }.',
      );
    // The largest of weight / exponential number is a draw in proportion to the weights (an exponential race).
    const race = drawn('multinomial', 'uniform', specOf('float64', w.shape), w.device, generator);
    const times = mapTyped('multinomial', [w, race], input(0).div(input(1).neg().log1p().neg()), { dtype: 'float64' });
    return times.topk(count).indices;
  }
  const edges = w.double().cumsum(-1);
  const shape = [...w.shape.slice(0, -1), count];
  const u = drawn('multinomial', 'uniform', specOf('float64', shape), w.device, generator);
  const total = edges.narrow(-1, n - 1, 1);
  return edges
    .contiguous()
    .searchsorted(u.mul(total), { right: true })
    .clamp({ max: n - 1 });
}

/** Weights that no distribution has: refused where values can be read. */
function checkWeights(w: Tensor): void {
  if (!isReadable(w)) return;
  const values = w.toArray();
  const n = w.sizeAt(-1);
  for (let row = 0; row < values.length; row += n) {
    let total = 0;
    for (let i = row; i < row + n; i++) {
      const v = values[i] as number;
      if (!(v >= 0 && v < Number.POSITIVE_INFINITY))
        throw new LibError('value', `multinomial: weights must be finite and at least 0, got ${v}.`);
      total += v;
    }
    if (total === 0) throw new LibError('value', `multinomial: weights must not all be 0, got zeros in row ${row / n}.`);
  }
}

const kept = scalar(0)
  .lessEqual(input(1))
  .select(input(0).mul(scalar(1)), 0);
/**
 * Zeros each element with probability p and scales the rest by 1 / (1 - p), so that the mean stays. With `inverted: false` the rest
 * keeps its size in training and everything is scaled by 1 - p otherwise, as in the first paper (Srivastava et al. 2014).
 */
export const dropout: Op<[x: Tensor, options?: DropoutOptions & { readonly inverted?: boolean }]> = defineComposite({
  name: 'dropout',
  compose(x: Tensor, options: DropoutOptions & { readonly inverted?: boolean } = {}) {
    const { p = 0.5, training = true, inverted = true, generator = dropoutGenerator() } = options;
    checkProbability('dropout', p);
    if (p === 0 || (!training && inverted)) return x;
    needFloat('dropout', x);
    if (!training) return mapTyped('dropout', [x], input(0).mul(scalar(0)), { scalars: [1 - p], dtype: x.dtype });
    const u = drawn('dropout', 'uniform', specOf('float32', x.shape), x.device, generator);
    const scale = inverted && p !== 1 ? 1 / (1 - p) : 1;
    return mapTyped('dropout', [x, u], kept, { scalars: [p, scale], dtype: x.dtype });
  },
  torch: null,
  *samples(random): Iterable<[x: Tensor, options?: DropoutOptions & { readonly inverted?: boolean }]> {
    yield [random([4, 5])];
    yield [random([3, 7]), { p: 0.2 }];
    yield [random([5]), { p: 1 }];
    yield [random([5]), { training: false }];
    yield [random([5]), { p: 0.3, inverted: false }];
    yield [random([5]), { p: 0.3, inverted: false, training: false }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, options?: DropoutOptions], string]> {
    yield [[random([2]), { p: 1.5 }], 'must be in [0, 1]'];
  },
});

/** Fills the tensor with numbers of the Cauchy distribution around `median`, half of them within `sigma` of it. */
export function cauchy_(x: Tensor, median = 0, sigma = 1, { generator = defaultGenerator() }: RandomOptions = {}): Tensor {
  if (!(sigma > 0)) throw new LibError('value', `cauchy_: sigma must be positive, got ${sigma}.`);
  const expr = input(0).sub(0.5).mul(Math.PI).tan().mul(scalar(1)).add(scalar(0));
  return refill('cauchy_', x, 'uniform', generator, expr, [median, sigma]);
}
/** Fills the tensor with numbers whose logarithms are normal with `mean` and `std`. */
export function logNormal_(x: Tensor, mean = 1, std = 2, { generator = defaultGenerator() }: RandomOptions = {}): Tensor {
  if (!(std > 0)) throw new LibError('value', `logNormal_: the deviation must be positive, got ${std}.`);
  return refill('logNormal_', x, 'normal', generator, affine.exp(), [std, mean]);
}
/** Fills the tensor with counts of trials up to the first success, of probability p: 1, 2, … */
export function geometric_(x: Tensor, p: number, { generator = defaultGenerator() }: RandomOptions = {}): Tensor {
  if (!(p > 0 && p < 1)) throw new LibError('value', `geometric_: the probability p must be in (0, 1), got ${p}.`);
  const expr = input(0).neg().log1p().div(scalar(0)).floor().add(1);
  return refill('geometric_', x, 'uniform', generator, expr, [Math.log1p(-p)]);
}
/** Fills the tensor with integers from `from` (default 0) up to, not including, `to` (default: as many as the type holds exactly). */
export function random_(
  x: Tensor,
  from = 0,
  to: number = largestOf[x.dtype],
  { generator = defaultGenerator() }: RandomOptions = {},
): Tensor {
  return x.copy_(randint(from, to, x.shape, { device: x.device, dtype: 'int32', generator }));
}
/** One more than the largest number of each type that its neighbours do not skip. */
const largestOf = {
  bool: 2,
  uint8: 256,
  int32: 2 ** 31 - 1,
  bfloat16: 2 ** 8,
  float16: 2 ** 11,
  float32: 2 ** 24,
  float64: 2 ** 31 - 1,
} as const;

type LikeOptions = TensorOptions & RandomOptions;
/** Random integers in [low, high) with the shape, type and device of `x`; `low` may be left out and is then 0. */
export function randintLike(x: Tensor, high: number, options?: LikeOptions): Tensor;
export function randintLike(x: Tensor, low: number, high: number, options?: LikeOptions): Tensor;
export function randintLike(x: Tensor, first: number, second?: number | LikeOptions, third?: LikeOptions): Tensor {
  const [low, high] = typeof second === 'number' ? [first, second] : [0, first];
  const options = (typeof second === 'number' ? third : second) ?? {};
  const { dtype = x.dtype, ...rest } = options;
  const drawnIntegers = randint(low, high, x.shape, { device: x.device, ...rest, dtype: 'int32', requiresGrad: false }).to(dtype);
  return options.requiresGrad ? drawnIntegers.requiresGrad_() : drawnIntegers;
}

export interface NormalOptions extends TensorOptions, RandomOptions {
  /** The shape, where neither mean nor deviation is a tensor. */
  readonly size?: Shape;
}
/** Normal random numbers with a mean and deviation for each element (tensors, which broadcast) or for all. No gradient flows. */
export function normal(mean: Tensor | number, std: Tensor | number = 1, given: NormalOptions = {}): Tensor {
  const { size, ...options } = given;
  const [m, s] = [mean, std].map((v) => (isTensor(v) ? v.detach() : v)) as [Tensor | number, Tensor | number];
  const tensors = [m, s].filter(isTensor);
  if ((tensors.length === 0) !== (size !== undefined)) {
    throw new LibError(
      'option',
      `normal: size must be given for numbers and not for tensors, got ${size === undefined ? 'none' : 'both'}.`,
    );
  }
  const least = typeof s === 'number' ? s : isReadable(s) && s.size > 0 ? s.amin().itemNow() : 0;
  if (!(least >= 0)) throw new LibError('value', `normal: the deviation must not be negative, got ${least}.`);
  const shape = size ?? tensors.reduce<Shape>((all, t) => broadcastShapes('normal', all, t.shape), []);
  const like = tensors[0] ? { dtype: promoteAll(tensors), device: tensors[0].device } : {};
  return randn(shape, { ...like, ...options })
    .mul(s)
    .add(m);
}
