import { LibError } from '../core/errors.js';
import { formatShape, resolveDim, type Shape, sameShape, sizeOf } from '../core/shape.js';
import { warnOnce } from '../core/warning.js';
import { input } from '../expr/expr.js';
import type { Tensor } from '../tensor/tensor.js';
import { defineComposite, type Op } from './define.js';
import { functional, fuse, fuseSum, needFloat } from './fused.js';
import { affine, normalizeOver, rmsOver, standardize, updateRunning } from './normRows.js';

export interface AffineOptions {
  /** Multiplies the result. Default: none. */
  readonly weight?: Tensor | null;
  /** Is added to the result. Default: none. */
  readonly bias?: Tensor | null;
}

export interface LayerNormOptions extends AffineOptions {
  /** Added to the variance. Default 1e-5. */
  readonly eps?: number;
}

/** The last dims of x must be `shape`; gives their numbers. */
function trailing(op: string, x: Tensor, shape: Shape): number[] {
  const start = x.ndim - shape.length;
  if (shape.length === 0 || !sameShape(x.shape.slice(Math.max(start, 0)), shape)) {
    throw new LibError(
      'shape',
      `${op}: the last dims of the tensor must be normalizedShape, got ${formatShape(x.shape)} and ${formatShape(shape)}.`,
    );
  }
  return shape.map((_, i) => start + i);
}

function checkAffine(op: string, shape: Shape, { weight, bias }: AffineOptions): void {
  for (const [name, t] of [
    ['weight', weight],
    ['bias', bias],
  ] as const) {
    if (t && !sameShape(t.shape, shape)) {
      throw new LibError('shape', `${op}: the ${name} must have shape ${formatShape(shape)}, got ${formatShape(t.shape)}.`);
    }
  }
}

/** (x - mean) / √(var + eps) over the last dims, then · weight + bias, which have the shape `normalizedShape`. */
export const layerNorm: Op<[x: Tensor, normalizedShape: Shape, options?: LayerNormOptions]> = defineComposite({
  name: 'layerNorm',
  compose(x: Tensor, normalizedShape: Shape, { weight = null, bias = null, eps = 1e-5 }: LayerNormOptions = {}) {
    needFloat('layerNorm', x);
    const dims = trailing('layerNorm', x, normalizedShape);
    checkAffine('layerNorm', normalizedShape, { weight, bias });
    return normalizeOver('layerNorm', x, dims, eps, weight, bias)[0];
  },
  *samples(random): Iterable<[x: Tensor, normalizedShape: Shape, options?: LayerNormOptions]> {
    yield [random([2, 3, 4]), [4]];
    yield [random([2, 3, 4]), [4], { weight: random([4]), bias: random([4]) }];
    yield [random([2, 3, 4]), [3, 4], { weight: random([3, 4]), eps: 1e-3 }];
    yield [random([4, 6], { low: 1000, high: 1010 }), [6]]; // a large mean must not eat the variance
  },
  *errors(random): Iterable<readonly [[x: Tensor, normalizedShape: Shape, options?: LayerNormOptions], string]> {
    yield [[random([2, 3]), [4]], 'must be normalizedShape'];
    yield [[random([2, 3]), [3], { weight: random([2]) }], 'the weight must have shape'];
  },
  torch: functional('layer_norm'),
});

export interface RmsNormOptions {
  /** Multiplies the result. Default: none. */
  readonly weight?: Tensor | null;
  /** Added to the mean square. Default: the smallest step of the type above 1. */
  readonly eps?: number;
}

/** x / √(mean(x²) + eps) over the last dims, then · weight, which has the shape `normalizedShape`. */
export const rmsNorm: Op<[x: Tensor, normalizedShape: Shape, options?: RmsNormOptions]> = defineComposite({
  name: 'rmsNorm',
  compose(x: Tensor, normalizedShape: Shape, { weight = null, eps = x.dtype === 'float64' ? 2 ** -52 : 2 ** -23 }: RmsNormOptions = {}) {
    needFloat('rmsNorm', x);
    const dims = trailing('rmsNorm', x, normalizedShape);
    checkAffine('rmsNorm', normalizedShape, { weight });
    return rmsOver(x, dims, eps, weight);
  },
  *samples(random): Iterable<[x: Tensor, normalizedShape: Shape, options?: RmsNormOptions]> {
    yield [random([2, 3, 4]), [4]];
    yield [random([2, 3, 4]), [3, 4], { weight: random([3, 4]), eps: 1e-5 }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, normalizedShape: Shape, options?: RmsNormOptions], string]> {
    yield [[random([2, 3]), [2]], 'must be normalizedShape'];
  },
  torch: functional('rms_norm'),
});

export interface BatchNormOptions extends LayerNormOptions {
  /** The running mean, (channels,): read when not training, moved towards the batch's when training. */
  readonly runningMean?: Tensor | null;
  /** The running variance, (channels,), unbiased. */
  readonly runningVar?: Tensor | null;
  /** Normalize by the batch's own statistics. Default false. */
  readonly training?: boolean;
  /** How far running statistics move: the weight of the new batch. A tensor of one element is read at each run. Default 0.1. */
  readonly momentum?: number | Tensor;
}

/**
 * Normalizes each channel of x (batch, channels, …), then · weight + bias. Training: by mean and (biased) variance of the batch, and
 * the running ones are moved in place; else by the running ones.
 */
export const batchNorm: Op<[x: Tensor, options?: BatchNormOptions]> = defineComposite({
  name: 'batchNorm',
  compose(x: Tensor, options: BatchNormOptions = {}) {
    const { runningMean = null, runningVar = null, weight = null, bias = null, training = false, momentum = 0.1, eps = 1e-5 } = options;
    needFloat('batchNorm', x);
    if (x.ndim < 2) throw new LibError('shape', `batchNorm: the tensor must be (batch, channels, …), got shape ${formatShape(x.shape)}.`);
    const channels = x.sizeAt(1);
    checkAffine('batchNorm', [channels], { weight, bias });
    checkRunning('batchNorm', channels, runningMean, runningVar);
    const shape = x.shape.map((size, d) => (d === 1 ? size : 1));
    const shaped = (t: Tensor | null): Tensor | null => t?.reshape(shape) ?? null;
    if (!training) {
      if (runningMean === null || runningVar === null) {
        throw new LibError('value', 'batchNorm: without training, runningMean and runningVar must be given, got none.');
      }
      const centered = standardize(x, runningMean.reshape(shape), runningVar.reshape(shape), eps);
      return affine('batchNorm', centered, shaped(weight), shaped(bias));
    }
    if (x.size === 0) return affine('batchNorm', x, shaped(weight), shaped(bias));
    const count = x.size / channels;
    if (count === 1)
      throw new LibError('value', `batchNorm: training needs more than one value for each channel, got shape ${formatShape(x.shape)}.`);
    if (count < 16) warnOfFew(count);
    const dims = x.shape.flatMap((_, d) => (d === 1 ? [] : [d]));
    if (!(eps > 0)) throw new LibError('value', `batchNorm: eps must be positive in training, got ${eps}.`);
    const [y, mean, variance] = normalizeOver('batchNorm', x, dims, eps, shaped(weight), shaped(bias));
    if (runningMean !== null) updateRunning(runningMean, mean, momentum, 1);
    if (runningVar !== null) updateRunning(runningVar, variance, momentum, count / (count - 1));
    return y;
  },
  *samples(random): Iterable<[x: Tensor, options?: BatchNormOptions]> {
    yield [random([4, 3]), { training: true }];
    yield [random([0, 3, 2]), { training: true, weight: random([3]) }];
    yield [random([2, 3, 2, 2]), { training: true, weight: random([3]), bias: random([3]), eps: 1e-3 }];
    yield [
      random([2, 3, 4]),
      { runningMean: random([3]), runningVar: random([3], { low: 0.5, high: 2 }), weight: random([3]), bias: random([3]) },
    ];
  },
  *errors(random): Iterable<readonly [[x: Tensor, options?: BatchNormOptions], string]> {
    yield [[random([2, 3])], 'must be given'];
    yield [[random([1, 3]), { training: true }], 'more than one value'];
    yield [[random([3]), { training: true }], 'must be (batch, channels'];
    yield [[random([2, 3]), { training: true, eps: 0 }], 'eps must be positive in training'];
    yield [[random([2, 3]), { training: true, weight: random([2]) }], 'the weight must have shape'];
    yield [[random([2, 3]), { training: true, runningMean: random([2]) }], 'runningMean must be'];
  },
  torch: {
    call:
      'torch.nn.functional.batch_norm(a[0], *[t if t is None else t.detach() for t in (o.pop("running_mean", None), ' +
      'o.pop("running_var", None))], **o)',
  },
});

function warnOfFew(count: number): void {
  const advice = 'statistics of so few are noise; groupNorm, layerNorm or synchronized statistics do not depend on the batch';
  warnOnce('batchNorm', `batchNorm: training with ${count} values for each channel: ${advice}.`);
}

function checkRunning(op: string, channels: number, mean: Tensor | null, variance: Tensor | null): void {
  for (const [name, t] of [
    ['runningMean', mean],
    ['runningVar', variance],
  ] as const) {
    if (t && !sameShape(t.shape, [channels])) {
      throw new LibError('shape', `${op}: ${name} must be (${channels},), got ${formatShape(t.shape)}.`);
    }
  }
}

/** Normalizes each group of neighbouring channels of each example of x (batch, channels, …), then · weight + bias (channels). */
export const groupNorm: Op<[x: Tensor, numGroups: number, options?: LayerNormOptions]> = defineComposite({
  name: 'groupNorm',
  compose: (x: Tensor, numGroups: number, options: LayerNormOptions = {}) => normalizeGroups('groupNorm', x, numGroups, options),
  *samples(random): Iterable<[x: Tensor, numGroups: number, options?: LayerNormOptions]> {
    yield [random([2, 4, 3]), 2];
    yield [random([2, 6, 2, 2]), 3, { weight: random([6]), bias: random([6]) }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, numGroups: number, options?: LayerNormOptions], string]> {
    yield [[random([2, 4, 3]), 3], 'must divide the channels'];
    yield [[random([2, 0, 3]), 1], 'at least one channel'];
    yield [[random([2, 4, 0]), 2], 'at least one channel and one place'];
  },
  torch: functional('group_norm'),
});

function normalizeGroups(op: string, x: Tensor, groups: number, { weight = null, bias = null, eps = 1e-5 }: LayerNormOptions): Tensor {
  needFloat(op, x);
  const [batch = 0, channels = 0, ...spatial] = x.shape;
  if (x.ndim < 2 || !Number.isInteger(groups) || groups < 1 || channels % groups !== 0) {
    throw new LibError(
      'shape',
      `${op}: the number of groups must divide the channels, got ${groups} groups for shape ${formatShape(x.shape)}.`,
    );
  }
  if (x.size === 0 && batch > 0)
    throw new LibError('shape', `${op}: there must be at least one channel and one place, got shape ${formatShape(x.shape)}.`);
  checkAffine(op, [channels], { weight, bias });
  const inGroup = channels / groups;
  const wide = [batch, groups, inGroup, sizeOf(spatial)];
  const shaped = (t: Tensor | null): Tensor | null => t?.reshape([groups, inGroup, 1]) ?? null;
  return normalizeOver(op, x.reshape(wide), [2, 3], eps, shaped(weight), shaped(bias))[0].reshape(x.shape);
}

export interface InstanceNormOptions extends Omit<BatchNormOptions, 'training'> {
  /** Normalize by each example's own statistics; else by the running ones. Default true. */
  readonly useInputStats?: boolean;
}

/** Moves running statistics towards the mean over examples of each channel's mean and unbiased variance. */
function updateInstances(x: Tensor, { runningMean, runningVar, momentum = 0.1 }: InstanceNormOptions): void {
  if (!runningMean && !runningVar) return;
  if (x.size === 0) return;
  const rows = x.detach().reshape([x.sizeAt(0), x.sizeAt(1), -1]);
  if (runningMean) updateRunning(runningMean, rows.mean({ dim: [0, 2] }), momentum, 1);
  if (runningVar) updateRunning(runningVar, rows.var({ dim: 2 }).mean({ dim: 0 }), momentum, 1);
}

/** Normalizes each channel of each example of x (batch, channels, …) by itself, then · weight + bias (channels). */
export const instanceNorm: Op<[x: Tensor, options?: InstanceNormOptions]> = defineComposite({
  name: 'instanceNorm',
  compose(x: Tensor, options: InstanceNormOptions = {}) {
    const { useInputStats = true, runningMean = null, runningVar = null, weight = null, bias = null, eps = 1e-5 } = options;
    if (x.ndim < 2)
      throw new LibError('shape', `instanceNorm: the tensor must be (batch, channels, …), got shape ${formatShape(x.shape)}.`);
    const channels = x.sizeAt(1);
    checkRunning('instanceNorm', channels, runningMean, runningVar);
    if (!useInputStats) return batchNorm(x, { runningMean, runningVar, weight, bias, eps });
    if (sizeOf(x.shape.slice(2)) <= 1) {
      throw new LibError('value', `instanceNorm: each channel needs more than one value, got shape ${formatShape(x.shape)}.`);
    }
    const y = normalizeGroups('instanceNorm', x, channels, { weight, bias, eps });
    updateInstances(x, options);
    return y;
  },
  *samples(random): Iterable<[x: Tensor, options?: InstanceNormOptions]> {
    yield [random([2, 3, 4])];
    yield [random([2, 3, 2, 2]), { weight: random([3]), bias: random([3]) }];
    yield [random([2, 3, 4]), { useInputStats: false, runningMean: random([3]), runningVar: random([3], { low: 0.5, high: 2 }) }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, options?: InstanceNormOptions], string]> {
    yield [[random([2, 3, 4]), { bias: random([4]) }], 'the bias must have shape'];
    yield [[random([2, 3, 1])], 'each channel needs more than one value'];
    yield [[random([2, 3, 4]), { useInputStats: false }], 'must be given'];
    yield [[random([2, 3, 4]), { runningMean: random([2]) }], 'runningMean must be'];
  },
  torch: {
    call:
      'torch.nn.functional.instance_norm(a[0], *[t if t is None else t.detach() for t in (o.pop("running_mean", None), ' +
      'o.pop("running_var", None))], **o)',
  },
});

export interface AdaptiveNormOptions {
  /** Added to the variances. Default 1e-5. */
  readonly eps?: number;
}

/** Gives each channel of x (N, C, …) the mean and deviation of that channel in style (N, C, …) (AdaIN; Huang & Belongie 2017). */
export const adaptiveInstanceNorm: Op<[x: Tensor, style: Tensor, options?: AdaptiveNormOptions]> = defineComposite({
  name: 'adaptiveInstanceNorm',
  compose(x: Tensor, style: Tensor, { eps = 1e-5 }: AdaptiveNormOptions = {}) {
    const op = 'adaptiveInstanceNorm';
    needFloat(op, x, style);
    if (x.ndim < 3 || style.ndim < 3 || !sameShape(x.shape.slice(0, 2), style.shape.slice(0, 2))) {
      const got = `${formatShape(x.shape)} and ${formatShape(style.shape)}`;
      throw new LibError('shape', `${op}: x and style must be (N, C, …) with the same N and C, got ${got}.`);
    }
    const [count, channels] = [x.sizeAt(0), x.sizeAt(1)];
    const rows = style.reshape([count, channels, -1]);
    const mean = rows.mean({ dim: 2, keepdim: true });
    const deviation = fuse(op, [rows.var({ dim: 2, keepdim: true, correction: 0 })], input(0).add(eps).sqrt());
    const normal = normalizeOver(op, x.reshape([count, channels, -1]), [2], eps, null, null)[0];
    return fuse(op, [normal, deviation, mean], input(0).mul(input(1)).add(input(2))).reshape(x.shape);
  },
  *samples(random): Iterable<[x: Tensor, style: Tensor, options?: AdaptiveNormOptions]> {
    yield [random([2, 3, 4]), random([2, 3, 4])];
    yield [random([2, 3, 2, 2]), random([2, 3, 5]), { eps: 1e-3 }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, style: Tensor, options?: AdaptiveNormOptions], string]> {
    yield [[random([2, 3, 4]), random([2, 2, 4])], 'with the same N and C'];
  },
  torch: {
    call:
      '(lambda x, s, e: F.instance_norm(x, eps=e) * (s.flatten(2).var(2, unbiased=False) + e).sqrt().reshape(*s.shape[:2], ' +
      '*[1] * (x.dim() - 2)) + s.flatten(2).mean(2).reshape(*s.shape[:2], *[1] * (x.dim() - 2)))(*a, o.get("eps", 1e-5))',
  },
});

export interface NormalizeOptions {
  /** Which norm. Default 2. */
  readonly p?: number;
  /** Default 1. */
  readonly dim?: number;
  /** The least that is divided by. Default 1e-12. */
  readonly eps?: number;
}

/** x / max(‖x‖ₚ, eps) along `dim`. */
export const normalize: Op<[x: Tensor, options?: NormalizeOptions]> = defineComposite({
  name: 'normalize',
  compose(x: Tensor, { p = 2, dim = 1, eps = 1e-12 }: NormalizeOptions = {}) {
    needFloat('normalize', x);
    if (p === 0 || !Number.isFinite(p)) return x.div(x.norm({ p, dim, keepdim: true }).clamp({ min: eps }));
    const size = input(0).abs();
    const powers = fuseSum(
      'normalize',
      [x],
      p === 2 ? size.mul(size) : p === 1 ? size : size.pow(p),
      [resolveDim('normalize', dim, x.ndim)],
      { keepdim: true },
    );
    const norm = p === 2 ? input(1).sqrt() : p === 1 ? input(1) : input(1).pow(1 / p);
    return fuse('normalize', [x, powers], input(0).div(norm.less(eps).select(eps, norm)));
  },
  *samples(random): Iterable<[x: Tensor, options?: NormalizeOptions]> {
    yield [random([2, 3])];
    yield [random([2, 3, 4], { low: 0.5, high: 2 }), { p: 1, dim: -1 }];
    yield [random([5]), { dim: 0, p: 3 }];
    yield [random([2, 3]), { p: 0 }];
    yield [random([2, 3]), { p: Number.POSITIVE_INFINITY }];
  },
  torch: { call: 'F.normalize(a[0], **{k: (float("inf") if k == "p" and v is None else v) for k, v in o.items()})' },
});
