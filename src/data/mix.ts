import { LibError } from '../core/errors.js';
import { oneHot } from '../ops/functions.js';
import { randnLike } from '../ops/random.js';
import { noGrad } from '../tensor/autograd.js';
import { tensor } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { epochKey, type Key, orderKey, permutation, uniforms } from './random.js';

export interface MixOptions {
  /** Both parameters of the Beta distribution of the share λ. Default 1: uniform. */
  readonly alpha?: number;
  /** Needed where labels are class numbers: they become rows of shares. */
  readonly numClasses?: number;
  /** Makes the draw repeatable. Default: the library's stream of data order. */
  readonly seed?: number;
}

export interface Mixed {
  readonly x: Tensor;
  /** Shares of the classes (batch, classes), for losses that take probabilities as targets. */
  readonly y: Tensor;
  /** The share of the sample itself. */
  readonly lambda: number;
}

/** A draw of Beta(alpha, alpha) by Jöhnk's rejection for small alpha, by gamma draws (Marsaglia & Tsang 2000) for others. */
function beta(alpha: number, key: Key): number {
  let draws = 0;
  const uniform = (): number => uniforms(1, epochKey(key, 'beta', draws++))[0] as number;
  const normal = (): number => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  const gamma = (shape: number): number => {
    if (shape < 1) return gamma(shape + 1) * (1 - uniform()) ** (1 / shape);
    const d = shape - 1 / 3;
    for (;;) {
      const z = normal();
      const v = (1 + z / Math.sqrt(9 * d)) ** 3;
      if (v > 0 && Math.log(1 - uniform()) < z * z * 0.5 + d - d * v + d * Math.log(v)) return d * v;
    }
  };
  const [a, b] = [gamma(alpha), gamma(alpha)];
  return a + b === 0 ? 0.5 : a / (a + b);
}

interface Draw {
  readonly partners: Tensor;
  readonly lambda: number;
  readonly key: Key;
}

function drawOf(op: string, x: Tensor, { alpha = 1, seed }: MixOptions): Draw {
  if (!(Number.isFinite(alpha) && alpha > 0)) throw new LibError('value', `${op}: alpha must be a finite number > 0, got ${alpha}.`);
  const key = orderKey(op, seed);
  const count = x.shape[0] ?? 0;
  const partners = tensor(permutation(count, epochKey(key, 'partners', 0)), { device: x.device });
  return { partners, lambda: beta(alpha, key), key };
}

/** Targets of the samples and of their partners, λ to 1 - λ. */
function mixTargets(op: string, y: Tensor, { partners }: Draw, lambda: number, { numClasses }: MixOptions): Tensor {
  const isShares = y.dtype.startsWith('float') || y.dtype === 'bfloat16';
  if (!isShares && numClasses === undefined) {
    throw new LibError('option', `${op}: class numbers need the number of classes, got labels of type ${y.dtype}.`, 'pass { numClasses }.');
  }
  const shares = isShares ? y : oneHot(y, numClasses === undefined ? {} : { numClasses }).float();
  return shares.mul(lambda).add(shares.indexSelect(0, partners).mul(1 - lambda));
}

/**
 * Every sample of a batch mixed with another one: λ x + (1 - λ) x', targets alike (Zhang et al. 2018). For training only.
 * @example const { x, y } = mixup(randn([4, 3]), tensor([0, 1, 2, 1], { dtype: 'int32' }), { numClasses: 3 });
 */
export function mixup(x: Tensor, y: Tensor, options: MixOptions = {}): Mixed {
  return noGrad(() => {
    const draw = drawOf('mixup', x, options);
    const { lambda } = draw;
    const mixed = x.mul(lambda).add(x.indexSelect(0, draw.partners).mul(1 - lambda));
    return { x: mixed, y: mixTargets('mixup', y, draw, lambda, options), lambda };
  });
}

/**
 * A rectangle of every image (batch, channels, height, width) replaced by that of another one; targets by area (Yun et al. 2019). For
 * training only.
 */
export function cutmix(x: Tensor, y: Tensor, options: MixOptions = {}): Mixed {
  const [, , height, width] = x.dims(4);
  return noGrad(() => {
    const draw = drawOf('cutmix', x, options);
    const [u = 0, v = 0] = uniforms(2, epochKey(draw.key, 'place', 0));
    const half = Math.sqrt(1 - draw.lambda) / 2;
    const range = (at: number, size: number): [number, number] => {
      const [middle, reach] = [Math.floor(at * size), Math.floor(half * size)];
      return [Math.max(0, middle - reach), Math.min(size, middle + reach)];
    };
    const [[top, bottom], [left, right]] = [range(v, height), range(u, width)];
    const mixed = x.clone();
    const patch = (t: Tensor): Tensor => t.narrow(2, top, bottom - top).narrow(3, left, right - left);
    if (bottom > top && right > left) patch(mixed).copy_(patch(x.indexSelect(0, draw.partners)));
    const lambda = 1 - ((bottom - top) * (right - left)) / (height * width);
    return { x: mixed, y: mixTargets('cutmix', y, draw, lambda, options), lambda };
  });
}

/** x + N(0, std²), in training only. For linear least squares it is ridge regression with λ = std² (Bishop 1995). */
export function gaussianNoise(x: Tensor, std: number, { training = true }: { readonly training?: boolean } = {}): Tensor {
  if (!(Number.isFinite(std) && std >= 0)) throw new LibError('value', `gaussianNoise: std must be a finite number >= 0, got ${std}.`);
  return training && std > 0 ? x.add(randnLike(x).mul(std)) : x;
}
