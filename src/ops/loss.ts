import { computeType, isFloat } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import { broadcastShapes, formatShape, sameShape } from '../core/shape.js';
import { constant, type Expr, input } from '../expr/expr.js';
import { isReadable } from '../tensor/capturing.js';
import { tensor } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { defineComposite, type Op } from './define.js';
import { constantView, functional, functionalOf, fuse, fuseSum, needFloat } from './fused.js';
import {
  allDims,
  checkNumber,
  checkReduction,
  checkShapes,
  elementwise,
  type LossOptions,
  type LossReduction,
  logitLoss,
  positivePart,
  softplusOfMinus,
  type WeightedOptions,
  weighted,
} from './lossParts.js';
import { type ClassOptions, classEntropy, negativeLogLikelihood, probabilityEntropy, smoothedEntropy } from './lossRows.js';
import { map } from './map.js';

export type { LossOptions, LossReduction, WeightedOptions } from './lossParts.js';

const [a, b, c, d] = [input(0), input(1), input(2), input(3)];
const squareOff = a.sub(b).mul(a.sub(b));
const sizeOff = a.sub(b).abs();
const softplus = softplusOfMinus(a);
const ofLogits = logitLoss(a, b);

/** The mean of (x - target)²; with weights, the weighted mean. */
export const mseLoss: Op<[x: Tensor, target: Tensor, options?: WeightedOptions]> = defineComposite({
  name: 'mseLoss',
  expects: 'values',
  compose(x: Tensor, target: Tensor, options: WeightedOptions = {}) {
    checkShapes('mseLoss', x, target);
    return weighted('mseLoss', [x, target], squareOff, options);
  },
  *samples(random): Iterable<[x: Tensor, target: Tensor, options?: WeightedOptions]> {
    yield [random([3, 2]), random([3, 2])];
    yield [random([3, 2]), random([3, 2]), { reduction: 'none' }];
    yield [random([4]), random([4]), { reduction: 'sum' }];
    yield [random([3, 2]), random([3, 2]), { weight: random([3, 2], { low: 0.1, high: 1 }) }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, target: Tensor, options?: WeightedOptions], string]> {
    yield [[random([3, 1]), random([3])], 'must have one shape, got (3, 1) and (3,)'];
    yield [[random([3]), random([3]), { reduction: 'average' as 'mean' }], "'sum', got 'average'"];
    yield [[random([3]), random([3]), { weight: random([2]) }], 'input and weight must have one shape'];
  },
  torch: functional('mse_loss'),
});

/** The mean of |x - target|; with weights, the weighted mean. */
export const l1Loss: Op<[x: Tensor, target: Tensor, options?: WeightedOptions]> = defineComposite({
  name: 'l1Loss',
  expects: 'values',
  compose(x: Tensor, target: Tensor, options: WeightedOptions = {}) {
    checkShapes('l1Loss', x, target);
    return weighted('l1Loss', [x, target], sizeOff, options);
  },
  *samples(random): Iterable<[x: Tensor, target: Tensor, options?: WeightedOptions]> {
    yield [random([3, 2]), random([3, 2])];
    yield [random([3]), random([3]), { reduction: 'none' }];
    yield [random([3, 2]), random([3, 2]), { weight: random([3, 2], { low: 0.1, high: 1 }) }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, target: Tensor, options?: WeightedOptions], string]> {
    yield [[random([3, 1]), random([3])], 'must have one shape'];
    yield [[random([3]), random([3]), { reduction: 'average' as 'mean' }], "'sum', got 'average'"];
  },
  torch: functional('l1_loss'),
});

export interface SmoothL1Options extends LossOptions {
  /** Where the parabola ends. Default 1. */
  readonly beta?: number;
}

/** Half a square over beta for errors below beta, |error| - beta / 2 beyond. */
export const smoothL1Loss: Op<[x: Tensor, target: Tensor, options?: SmoothL1Options]> = defineComposite({
  name: 'smoothL1Loss',
  expects: 'values',
  compose(x: Tensor, target: Tensor, { reduction = 'mean', beta = 1 }: SmoothL1Options = {}) {
    checkShapes('smoothL1Loss', x, target);
    checkNumber('smoothL1Loss', 'beta', beta, beta >= 0, 'at least 0');
    const off = a.sub(b);
    const expr =
      beta === 0
        ? off.abs()
        : off
            .abs()
            .less(beta)
            .select(off.mul(off).mul(0.5 / beta), off.abs().sub(0.5 * beta));
    return elementwise('smoothL1Loss', [x, target], expr, reduction);
  },
  *samples(random): Iterable<[x: Tensor, target: Tensor, options?: SmoothL1Options]> {
    yield [random([3, 4]), random([3, 4])];
    yield [random([3, 4]), random([3, 4]), { beta: 0.5, reduction: 'sum' }];
    yield [random([3, 4]), random([3, 4]), { beta: 0, reduction: 'none' }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, target: Tensor, options?: SmoothL1Options], string]> {
    yield [[random([3]), random([4])], 'must have one shape'];
    yield [[random([3]), random([3]), { beta: -1 }], 'beta must be at least 0, got -1'];
  },
  torch: functional('smooth_l1_loss'),
});

export interface HuberOptions extends WeightedOptions {
  /** Where the parabola ends. Default 1. */
  readonly delta?: number;
}

/** Half a square for errors below delta, delta · (|error| - delta / 2) beyond. */
export const huberLoss: Op<[x: Tensor, target: Tensor, options?: HuberOptions]> = defineComposite({
  name: 'huberLoss',
  expects: 'values',
  compose(x: Tensor, target: Tensor, { delta = 1, ...options }: HuberOptions = {}) {
    checkShapes('huberLoss', x, target);
    checkNumber('huberLoss', 'delta', delta, delta > 0, 'positive');
    const off = a.sub(b);
    const expr = off
      .abs()
      .lessEqual(delta)
      .select(
        off.mul(off).mul(0.5),
        off
          .abs()
          .sub(0.5 * delta)
          .mul(delta),
      );
    return weighted('huberLoss', [x, target], expr, options, 'of elements');
  },
  *samples(random): Iterable<[x: Tensor, target: Tensor, options?: HuberOptions]> {
    yield [random([3, 4]), random([3, 4])];
    yield [random([3, 4]), random([3, 4]), { delta: 0.5 }];
    yield [random([3, 4]), random([3, 4]), { weight: random([3, 4], { low: 0.1, high: 1 }) }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, target: Tensor, options?: HuberOptions], string]> {
    yield [[random([3]), random([4])], 'must have one shape'];
    yield [[random([3]), random([3]), { delta: 0 }], 'delta must be positive, got 0'];
  },
  torch: functional('huber_loss'),
});

export interface BinaryOptions extends LossOptions {
  /** Multiplies each element's loss; broadcasts. */
  readonly weight?: Tensor | null;
}

/** -(t log x + (1 - t) log(1 - x)) for probabilities x in [0, 1]; logarithms end at -100. */
export const binaryCrossEntropy: Op<[x: Tensor, target: Tensor, options?: BinaryOptions]> = defineComposite({
  name: 'binaryCrossEntropy',
  expects: 'probabilities',
  compose(x: Tensor, target: Tensor, { reduction = 'mean', weight = null }: BinaryOptions = {}) {
    checkShapes('binaryCrossEntropy', x, target);
    needFloat('binaryCrossEntropy', x);
    needProbabilities('binaryCrossEntropy', x, target);
    const bounded = (p: Expr): Expr => p.log().less(-100).select(-100, p.log());
    const no = constant(1).sub(a);
    const expr = b
      .mul(bounded(a))
      .add(constant(1).sub(b).mul(bounded(no)))
      .neg();
    // The slope of the unbounded logarithm, so that a saturated wrong answer still learns.
    const slopes = [c.mul(a.sub(b)).div(a.mul(no).max(1e-12)), c.mul(bounded(no).sub(bounded(a)))];
    const each = map([x, target], { name: 'binaryCrossEntropy', expr, dtype: x.dtype, compute: computeType(x.dtype), slopes });
    return weight
      ? elementwise('binaryCrossEntropy', [each, weight], a.mul(b), reduction)
      : elementwise('binaryCrossEntropy', [each], a, reduction);
  },
  *samples(random): Iterable<[x: Tensor, target: Tensor, options?: BinaryOptions]> {
    const inside = { low: 0.1, high: 0.9 };
    yield [random([3, 2], inside), random([3, 2], inside)];
    yield [random([3, 2], inside), random([3, 2], inside), { weight: random([2], inside), reduction: 'none' }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, target: Tensor, options?: BinaryOptions], string]> {
    yield [[random([3, 1]), random([3])], 'must have one shape'];
    yield [[tensor([0.5, 1.5]), tensor([0, 1])], 'must hold values in [0, 1], got 1.5'];
    yield [[tensor([0.5, 0.5]), tensor([0, -1])], 'must hold values in [0, 1], got -1'];
  },
  torch: functionalOf('binary_cross_entropy', '*a', 'weight'),
});

const [under, over] = [a.min(b).less(0), constant(1).less(a.max(b))];
const beyondUnit = under.max(over);
/** Looked at where values can be read at once: not in captures or mapped functions, whose losses are then NaN. */
function needProbabilities(name: string, x: Tensor, target: Tensor): void {
  if (!isReadable(x) || !isReadable(target) || x.size === 0) return;
  if (fuseSum(name, [x.detach(), target.detach()], beyondUnit, allDims(x)).itemNow() === 0) return;
  const wrong = [...x.toArray(), ...target.toArray()].find((p) => p < 0 || p > 1);
  const hint = 'logits are for binaryCrossEntropyWithLogits().';
  throw new LibError('value', `${name}: x and target must hold values in [0, 1], got ${wrong}.`, hint);
}

export interface LogitsOptions extends BinaryOptions {
  /** Multiplies the loss of positive targets; broadcasts. */
  readonly posWeight?: Tensor | null;
}

/** {@link binaryCrossEntropy} of sigmoid(x), computed so that nothing overflows. */
export const binaryCrossEntropyWithLogits: Op<[x: Tensor, target: Tensor, options?: LogitsOptions]> = defineComposite({
  name: 'binaryCrossEntropyWithLogits',
  expects: 'logits',
  compose(x: Tensor, target: Tensor, { reduction = 'mean', weight = null, posWeight = null }: LogitsOptions = {}) {
    checkShapes('binaryCrossEntropyWithLogits', x, target);
    const loss = posWeight
      ? constant(1)
          .sub(b)
          .mul(a)
          .add(b.mul(c.sub(1)).add(1).mul(softplus))
      : ofLogits;
    const tensors = [x, target, ...(posWeight ? [posWeight] : []), ...(weight ? [weight] : [])];
    const expr = weight ? loss.mul(posWeight ? d : c) : loss;
    return elementwise('binaryCrossEntropyWithLogits', tensors, expr, reduction);
  },
  *samples(random): Iterable<[x: Tensor, target: Tensor, options?: LogitsOptions]> {
    const unit = { low: 0, high: 1 };
    yield [random([3, 2]), random([3, 2], unit)];
    yield [random([3, 2], { low: -50, high: 50 }), random([3, 2], unit), { reduction: 'sum' }];
    yield [random([3, 2]), random([3, 2], unit), { weight: random([3, 1], unit), posWeight: random([2], unit), reduction: 'none' }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, target: Tensor, options?: LogitsOptions], string]> {
    yield [[random([3, 1]), random([3])], 'must have one shape'];
  },
  torch: functionalOf('binary_cross_entropy_with_logits', '*a', 'weight', 'pos_weight'),
});

export interface CrossEntropyOptions extends ClassOptions {
  /** How much of each target is spread evenly over all classes, 0 to 1. Default 0. */
  readonly labelSmoothing?: number;
}

/**
 * The cross entropy of softmax(x) over the class dim: x is (C), (N, C) or (N, C, d1, …); targets are class indices (int32) of shape
 * (), (N) or (N, d1, …), or probabilities of x's own shape. The mean leaves out targets that equal `ignoreIndex` (default -100).
 * @example crossEntropy(logits, labels) // logits (batch, classes), labels (batch)
 */
export const crossEntropy: Op<[x: Tensor, target: Tensor, options?: CrossEntropyOptions]> = defineComposite({
  name: 'crossEntropy',
  expects: 'logits',
  compose(x: Tensor, target: Tensor, options: CrossEntropyOptions = {}) {
    const { weight = null, reduction = 'mean', labelSmoothing = 0 } = options;
    needFloat('crossEntropy', x);
    checkReduction('crossEntropy', reduction);
    if (!(labelSmoothing >= 0 && labelSmoothing <= 1)) {
      throw new LibError('option', `crossEntropy: labelSmoothing must be in 0..1, got ${labelSmoothing}.`);
    }
    if (isFloat(target.dtype)) return probabilityEntropy(x, target, options);
    return weight === null && labelSmoothing === 0 ? classEntropy(x, target, options) : smoothedEntropy(x, target, options);
  },
  *samples(random): Iterable<[x: Tensor, target: Tensor, options?: CrossEntropyOptions]> {
    const positive = { low: 0.1, high: 1 };
    yield [random([4, 3]), random.integers([4], 0, 3)];
    yield [random([4, 3]), random.integers([4], 0, 3), { reduction: 'none', ignoreIndex: 1 }];
    yield [random([2, 3, 2, 2]), random.integers([2, 2, 2], 0, 3), { reduction: 'sum' }];
    yield [random([4, 3]), random.integers([4], 0, 3), { weight: random([3], positive), labelSmoothing: 0.1 }];
    yield [random([4, 3]), random.integers([4], 0, 3), { weight: random([3], positive), ignoreIndex: 2 }];
    yield [random([4, 3]), random([4, 3], positive), { labelSmoothing: 0.2 }];
    yield [random([2, 3, 2]), random([2, 3, 2], positive), { weight: random([3], positive), reduction: 'none' }];
    yield [random([3]), random.integers([], 0, 3)];
  },
  *errors(random): Iterable<readonly [[x: Tensor, target: Tensor, options?: CrossEntropyOptions], string]> {
    yield [[random([4, 3]), random.integers([4], 3, 4)], 'out of range for dimension of size 3'];
    yield [[random([4, 3]), random.integers([5], 0, 3)], 'got (4, 3) and (5,)'];
    yield [[random([4, 3]), random([4, 2])], 'got (4, 3) and (4, 2)'];
    yield [[random([4, 3]), random([4, 3]), { ignoreIndex: 1 }], 'ignoreIndex is for class targets'];
    yield [[random([4, 3]), random.integers([4], 0, 3), { labelSmoothing: 2 }], 'must be in 0..1'];
    yield [[random([4, 3]), random.integers([4], 0, 3), { weight: random([4]) }], 'the weight must be (3,)'];
  },
  torch: functionalOf('cross_entropy', 'a[0], a[1] if a[1].is_floating_point() else a[1].long()', 'weight'),
});

/** The mean of -x[target]: {@link crossEntropy} for x that are log-probabilities already. Shapes as there. */
export const nllLoss: Op<[x: Tensor, target: Tensor, options?: ClassOptions]> = defineComposite({
  name: 'nllLoss',
  expects: 'logProbabilities',
  compose(x: Tensor, target: Tensor, options: ClassOptions = {}) {
    needFloat('nllLoss', x);
    checkReduction('nllLoss', options.reduction ?? 'mean');
    return negativeLogLikelihood('nllLoss', x, target, options);
  },
  *samples(random): Iterable<[x: Tensor, target: Tensor, options?: ClassOptions]> {
    yield [random([4, 3]), random.integers([4], 0, 3)];
    yield [random([4, 3]), random.integers([4], 0, 3), { weight: random([3], { low: 0.1, high: 1 }), ignoreIndex: 0 }];
    yield [random([2, 3, 4]), random.integers([2, 4], 0, 3), { reduction: 'none' }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, target: Tensor, options?: ClassOptions], string]> {
    yield [[random([4, 3]), random.integers([4], -5, -4)], 'out of range for dimension of size 3'];
    yield [[random([4, 3]), random.integers([4, 3], 0, 3)], 'got (4, 3) and (4, 3)'];
  },
  torch: functionalOf('nll_loss', 'a[0], a[1].long()', 'weight'),
});

export interface KlDivOptions {
  /** 'batchmean' divides the sum by the first dim, which is the divergence proper. Default 'mean'. */
  readonly reduction?: LossReduction | 'batchmean';
  /** Targets are log-probabilities too. Default false. */
  readonly logTarget?: boolean;
}

/** target · (log target - x) for log-probabilities x: the Kullback–Leibler divergence of x from the target. */
export const klDiv: Op<[x: Tensor, target: Tensor, options?: KlDivOptions]> = defineComposite({
  name: 'klDiv',
  expects: 'logProbabilities',
  compose(x: Tensor, target: Tensor, { reduction = 'mean', logTarget = false }: KlDivOptions = {}) {
    checkShapes('klDiv', x, target);
    // 0 log 0 is 0
    const expr = logTarget
      ? b.exp().mul(b.sub(a))
      : b
          .equal(0)
          .select(0, b.mul(b.equal(0).select(1, b).log()))
          .sub(b.mul(a));
    if (reduction !== 'batchmean') return elementwise('klDiv', [x, target], expr, reduction);
    return elementwise('klDiv', [x, target], expr.mul(constant(1 / (x.shape[0] ?? 1))), 'sum');
  },
  *samples(random): Iterable<[x: Tensor, target: Tensor, options?: KlDivOptions]> {
    yield [random([3, 4]), random([3, 4], { low: 0.1, high: 1 })];
    yield [random([3, 4]), random([3, 4], { low: 0.1, high: 1 }), { reduction: 'batchmean' }];
    yield [random([3, 4]), random([3, 4]), { logTarget: true, reduction: 'sum' }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, target: Tensor, options?: KlDivOptions], string]> {
    yield [[random([3]), random([4])], 'must have one shape'];
    yield [[random([3]), random([3]), { reduction: 'average' as 'mean' }], "'sum', got 'average'"];
  },
  torch: functional('kl_div'),
});

export interface PoissonOptions extends LossOptions {
  /** x is the logarithm of the rate. Default true. */
  readonly logInput?: boolean;
  /** Add Stirling's approximation of log target! (for targets above 1). Default false. */
  readonly full?: boolean;
  /** Added to the rate before its logarithm is taken. Default 1e-8. */
  readonly eps?: number;
}

/** The negative log-likelihood of counts under Poisson distributions. */
export const poissonNllLoss: Op<[x: Tensor, target: Tensor, options?: PoissonOptions]> = defineComposite({
  name: 'poissonNllLoss',
  expects: 'values',
  compose(x: Tensor, target: Tensor, { reduction = 'mean', logInput = true, full = false, eps = 1e-8 }: PoissonOptions = {}) {
    checkShapes('poissonNllLoss', x, target);
    const loss = logInput ? a.exp().sub(b.mul(a)) : a.sub(b.mul(a.add(eps).log()));
    const large = b.lessEqual(1).select(1, b);
    const stirling = large
      .mul(large.log())
      .sub(large)
      .add(
        large
          .mul(2 * Math.PI)
          .log()
          .mul(0.5),
      );
    return elementwise('poissonNllLoss', [x, target], full ? loss.add(b.lessEqual(1).select(0, stirling)) : loss, reduction);
  },
  *samples(random): Iterable<[x: Tensor, target: Tensor, options?: PoissonOptions]> {
    yield [random([3, 4]), random([3, 4], { low: 0.5, high: 4 })];
    yield [random([3, 4], { low: 0.5, high: 2 }), random([3, 4], { low: 1.5, high: 4 }), { logInput: false, full: true }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, target: Tensor, options?: PoissonOptions], string]> {
    yield [[random([3]), random([4])], 'must have one shape'];
    yield [[random([3]), random([3]), { reduction: 'average' as 'mean' }], "'sum', got 'average'"];
  },
  torch: functional('poisson_nll_loss'),
});

export interface GaussianOptions extends LossOptions {
  /** Add the constant log(2π) / 2. Default false. */
  readonly full?: boolean;
  /** The least variance. Default 1e-6. */
  readonly eps?: number;
}

/** (log v + (x - target)² / v) / 2: the negative log-likelihood under Gaussians of mean x and the given variance, which broadcasts. */
export const gaussianNllLoss: Op<[x: Tensor, target: Tensor, variance: Tensor | number, options?: GaussianOptions]> = defineComposite({
  name: 'gaussianNllLoss',
  expects: 'values',
  compose(x: Tensor, target: Tensor, variance: Tensor | number, { reduction = 'mean', full = false, eps = 1e-6 }: GaussianOptions = {}) {
    if (!broadcasts(x.shape, target.shape)) checkShapes('gaussianNllLoss', x, target);
    needFloat('gaussianNllLoss', x);
    const given = varianceFor(x, variance);
    const least = typeof variance !== 'number' && isReadable(given) && given.size > 0 ? given.detach().amin().itemNow() : 0;
    if (least < 0) throw negativeVariance(least);
    // As in PyTorch, the floor does not stop the gradient.
    const slopes = [b];
    const spread = map([given], { name: 'gaussianNllLoss', expr: a.max(eps), dtype: x.dtype, compute: computeType(x.dtype), slopes });
    const v = c;
    const off = a.sub(b);
    const loss = v.log().add(off.mul(off).div(v)).mul(0.5);
    return elementwise('gaussianNllLoss', [x, target, spread], full ? loss.add(0.5 * Math.log(2 * Math.PI)) : loss, reduction);
  },
  *samples(random): Iterable<[x: Tensor, target: Tensor, variance: Tensor | number, options?: GaussianOptions]> {
    yield [random([3, 4]), random([3, 4]), random([3, 4], { low: 0.5, high: 2 })];
    yield [random([3, 4]), random([3, 4]), random([3, 1], { low: 0.5, high: 2 }), { full: true, reduction: 'none' }];
    yield [random([3, 4]), random([3, 4]), random([3], { low: 0.5, high: 2 }), { reduction: 'sum' }];
    yield [random([3, 4]), random([3, 1]), random([3, 4], { low: 0.5, high: 2 })];
  },
  *errors(random): Iterable<readonly [[x: Tensor, target: Tensor, variance: Tensor | number, options?: GaussianOptions], string]> {
    yield [[random([3]), random([4]), random([3])], 'must have one shape'];
    yield [[random([3]), random([3]), -1], 'must not be negative, got -1'];
    yield [[random([3]), random([3]), tensor([1, -2, 1])], 'must not be negative, got -2'];
    yield [[random([2, 3]), random([2, 3]), random([2, 2])], 'variance must have the shape of x'];
  },
  torch: functional('gaussian_nll_loss'),
});

/** Whether `shape` stretches to the other: PyTorch lets a target stand for several predictions here. */
const broadcasts = (wide: readonly number[], shape: readonly number[]): boolean =>
  shape.length <= wide.length && shape.every((d, i) => d === 1 || d === wide[i + wide.length - shape.length]);

const negativeVariance = (got: number): LibError =>
  new LibError('value', `gaussianNllLoss: the variance must not be negative, got ${got}.`);
/** A variance for each element, for each row (…,) or (…, 1), or one for all. */
function varianceFor(x: Tensor, variance: Tensor | number): Tensor {
  if (typeof variance === 'number') {
    if (!(variance >= 0)) throw negativeVariance(variance);
    return constantView(x.device, x.dtype, [], variance);
  }
  if (sameShape(x.shape.slice(0, -1), variance.shape) && x.ndim > 0) return variance.unsqueeze(-1);
  const off = x.shape.filter((size, d) => variance.shape[d] !== size).length;
  if (variance.ndim === x.ndim && off <= 1 && variance.shape.every((size, d) => size === x.shape[d] || size === 1)) return variance;
  throw new LibError(
    'shape',
    `gaussianNllLoss: the variance must have the shape of x, of one of its dims 1, or without the last, got ${formatShape(variance.shape)} ` +
      `for ${formatShape(x.shape)}.`,
  );
}

export interface MarginOptions extends LossOptions {
  /** How far apart is far enough. */
  readonly margin?: number;
}

/** x for targets 1, max(0, margin - x) for targets -1. Margin: default 1. */
export const hingeEmbeddingLoss: Op<[x: Tensor, target: Tensor, options?: MarginOptions]> = defineComposite({
  name: 'hingeEmbeddingLoss',
  expects: 'distances',
  compose(x: Tensor, target: Tensor, { reduction = 'mean', margin = 1 }: MarginOptions = {}) {
    checkShapes('hingeEmbeddingLoss', x, target);
    return elementwise('hingeEmbeddingLoss', [x, target], hinge(margin), reduction);
  },
  *samples(random): Iterable<[x: Tensor, target: Tensor, options?: MarginOptions]> {
    yield [random([6]), random.integers([6], 0, 2).mul(2).sub(1)];
    yield [random([6]), random.integers([6], 0, 2).mul(2).sub(1), { margin: 0.5, reduction: 'none' }];
    yield [random([4]), tensor([1, -1, 0, 2]), { reduction: 'none' }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, target: Tensor, options?: MarginOptions], string]> {
    yield [[random([3]), random([4])], 'must have one shape'];
  },
  torch: functional('hinge_embedding_loss'),
});

/** x for targets 1, max(0, margin - x) for targets -1; as in PyTorch, both for any other. */
const hinge = (margin: number): Expr => {
  const apart = positivePart(constant(margin).sub(a));
  return b.equal(1).select(a, b.equal(-1).select(apart, apart.add(a)));
};

/** max(0, -target · (x1 - x2) + margin): target 1 wants x1 above x2, -1 below. Margin: default 0. */
export const marginRankingLoss: Op<[x1: Tensor, x2: Tensor, target: Tensor, options?: MarginOptions]> = defineComposite({
  name: 'marginRankingLoss',
  expects: 'scores',
  compose(x1: Tensor, x2: Tensor, target: Tensor, { reduction = 'mean', margin = 0 }: MarginOptions = {}) {
    checkShapes('marginRankingLoss', x1, x2, 'second input');
    checkShapes('marginRankingLoss', x1, target);
    return elementwise('marginRankingLoss', [x1, x2, target], positivePart(c.mul(b.sub(a)).add(margin)), reduction);
  },
  *samples(random): Iterable<[x1: Tensor, x2: Tensor, target: Tensor, options?: MarginOptions]> {
    yield [random([6]), random([6]), random.integers([6], 0, 2).mul(2).sub(1), { margin: 0.3 }];
  },
  *errors(random): Iterable<readonly [[x1: Tensor, x2: Tensor, target: Tensor, options?: MarginOptions], string]> {
    yield [[random([3]), random([4]), random([3])], 'must have one shape'];
  },
  torch: functional('margin_ranking_loss'),
});

/** log(1 + e^(-target · x)) for targets 1 and -1. */
export const softMarginLoss: Op<[x: Tensor, target: Tensor, options?: LossOptions]> = defineComposite({
  name: 'softMarginLoss',
  expects: 'logits',
  compose(x: Tensor, target: Tensor, { reduction = 'mean' }: LossOptions = {}) {
    checkShapes('softMarginLoss', x, target);
    const score = b.mul(a);
    return elementwise('softMarginLoss', [x, target], softplusOfMinus(score), reduction);
  },
  *samples(random): Iterable<[x: Tensor, target: Tensor, options?: LossOptions]> {
    yield [random([6]), random.integers([6], 0, 2).mul(2).sub(1)];
  },
  *errors(random): Iterable<readonly [[x: Tensor, target: Tensor, options?: LossOptions], string]> {
    yield [[random([3]), random([4])], 'must have one shape'];
  },
  torch: functional('soft_margin_loss'),
});

export interface CosineOptions {
  /** The dim that holds the vectors. Default 1. */
  readonly dim?: number;
  /** The least that a length counts as. Default 1e-8. */
  readonly eps?: number;
}

/** The cosine of the angle between vectors along `dim`. Shapes broadcast. */
export const cosineSimilarity: Op<[x1: Tensor, x2: Tensor, options?: CosineOptions]> = defineComposite({
  name: 'cosineSimilarity',
  compose(x1: Tensor, x2: Tensor, { dim = 1, eps = 1e-8 }: CosineOptions = {}) {
    needFloat('cosineSimilarity', x1, x2);
    if (!(eps >= 0)) throw new LibError('value', `cosineSimilarity: eps must not be negative, got ${eps}.`);
    const rank = Math.max(x1.ndim, x2.ndim);
    // A scalar is a vector of one element.
    if (rank === 0) return cosineSimilarity(x1.reshape([1]), x2.reshape([1]), { dim, eps }).reshape([]);
    const across = dim < 0 ? dim + rank : dim;
    if (across < 0 || across >= rank)
      throw new LibError('index', `cosineSimilarity: dim must be in ${-rank}..${rank - 1}, got dim ${dim} is out of range.`);
    const shape = broadcastShapes('cosineSimilarity', x1.shape, x2.shape);
    const [u, v] = [x1, x2].map((x) => (sameShape(x.shape, shape) ? x : x.expand(shape))) as [Tensor, Tensor];
    const inner = fuseSum('cosineSimilarity', [u, v], a.mul(b), [across]);
    const square = (t: Tensor): Tensor => fuseSum('cosineSimilarity', [t], a.mul(a), [across]);
    const length = (s: Expr): Expr =>
      s.less(eps * eps).select(
        eps,
        s
          .less(eps * eps)
          .select(1, s)
          .sqrt(),
      );
    return fuse('cosineSimilarity', [inner, square(u), square(v)], a.div(length(b).mul(length(c))));
  },
  *samples(random): Iterable<[x1: Tensor, x2: Tensor, options?: CosineOptions]> {
    yield [random([3, 4]), random([3, 4])];
    yield [random([2, 3, 4]), random([2, 1, 4]), { dim: -1 }];
    yield [random([]), random([]), { dim: 0 }];
  },
  *errors(random): Iterable<readonly [[x1: Tensor, x2: Tensor, options?: CosineOptions], string]> {
    yield [[random([2, 3]), random([2, 3]), { eps: -1 }], 'eps must not be negative'];
  },
  torch: functional('cosine_similarity'),
});

/** 1 - cos for targets 1, max(0, cos - margin) for targets -1; x1 and x2 are (N, D) or (D). Margin: default 0. */
export const cosineEmbeddingLoss: Op<[x1: Tensor, x2: Tensor, target: Tensor, options?: MarginOptions]> = defineComposite({
  name: 'cosineEmbeddingLoss',
  expects: 'embeddings',
  compose(x1: Tensor, x2: Tensor, target: Tensor, { reduction = 'mean', margin = 0 }: MarginOptions = {}) {
    checkShapes('cosineEmbeddingLoss', x1, x2, 'second input');
    const similarity = cosineSimilarity(x1, x2, { dim: -1, eps: 1e-12 });
    checkShapes('cosineEmbeddingLoss', similarity, target);
    return elementwise(
      'cosineEmbeddingLoss',
      [similarity, target],
      b.equal(1).select(constant(1).sub(a), positivePart(a.sub(margin))),
      reduction,
    );
  },
  *samples(random): Iterable<[x1: Tensor, x2: Tensor, target: Tensor, options?: MarginOptions]> {
    yield [random([5, 4]), random([5, 4]), random.integers([5], 0, 2).mul(2).sub(1), { margin: 0.1 }];
  },
  *errors(random): Iterable<readonly [[x1: Tensor, x2: Tensor, target: Tensor, options?: MarginOptions], string]> {
    yield [[random([3, 2]), random([3, 2]), random([2])], 'must have one shape'];
  },
  torch: functional('cosine_embedding_loss'),
});

export interface TripletOptions extends MarginOptions {
  /** Which norm measures distances. Default 2. */
  readonly p?: number;
  /** Added to each difference. Default 1e-6. */
  readonly eps?: number;
  /** Also use the distance from positive to negative where it is smaller. Default false. */
  readonly swap?: boolean;
}

/** max(0, d(anchor, positive) - d(anchor, negative) + margin) over the last dim. Margin: default 1. */
export const tripletMarginLoss: Op<[anchor: Tensor, positive: Tensor, negative: Tensor, options?: TripletOptions]> = defineComposite({
  name: 'tripletMarginLoss',
  expects: 'embeddings',
  compose(anchor: Tensor, positive: Tensor, negative: Tensor, options: TripletOptions = {}) {
    const { reduction = 'mean', margin = 1, p = 2, eps = 1e-6, swap = false } = options;
    checkShapes('tripletMarginLoss', anchor, positive, 'positive');
    checkShapes('tripletMarginLoss', anchor, negative, 'negative');
    checkNumber('tripletMarginLoss', 'margin', margin, margin > 0, 'positive');
    needFloat('tripletMarginLoss', anchor);
    const distance = (x: Tensor, y: Tensor): Tensor => {
      const off = a.sub(b).add(eps).abs();
      const powers = fuseSum('tripletMarginLoss', [x, y], p === 2 ? off.mul(off) : off.pow(p), [anchor.ndim - 1]);
      return fuse('tripletMarginLoss', [powers], p === 2 ? a.sqrt() : a.pow(1 / p));
    };
    const far = distance(anchor, negative);
    const least = swap ? fuse('tripletMarginLoss', [far, distance(positive, negative)], a.min(b)) : far;
    return elementwise('tripletMarginLoss', [distance(anchor, positive), least], positivePart(a.sub(b).add(margin)), reduction);
  },
  *samples(random): Iterable<[anchor: Tensor, positive: Tensor, negative: Tensor, options?: TripletOptions]> {
    yield [random([4, 3]), random([4, 3]), random([4, 3])];
    yield [random([4, 3]), random([4, 3]), random([4, 3]), { swap: true, margin: 2, reduction: 'none' }];
  },
  *errors(random): Iterable<readonly [[anchor: Tensor, positive: Tensor, negative: Tensor, options?: TripletOptions], string]> {
    yield [[random([3, 2]), random([3, 1]), random([3, 2])], 'must have one shape'];
    yield [[random([3, 2]), random([3, 2]), random([3, 2]), { margin: 0 }], 'margin must be positive, got 0'];
  },
  torch: functional('triplet_margin_loss'),
});
