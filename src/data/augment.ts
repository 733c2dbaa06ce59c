import { LibError } from '../core/errors.js';
import { formatShape } from '../core/shape.js';
import { affineGrid, gridSample, stack, where } from '../ops/functions.js';
import { noGrad } from '../tensor/autograd.js';
import { arange } from '../tensor/creation.js';
import { augmentGenerator } from '../tensor/generator.js';
import { rand } from '../tensor/random.js';
import type { Tensor } from '../tensor/tensor.js';

/** One uniform number in [low, high) for each sample, from the stream of augmentation. */
const drawn = (x: Tensor, low: number, high: number, shape: readonly number[] = [x.sizeAt(0)]): Tensor =>
  rand([...shape], { generator: augmentGenerator(), device: x.device })
    .mul(high - low)
    .add(low);

function checkRank(op: string, x: Tensor, ranks: readonly number[], what: string): void {
  if (ranks.includes(x.ndim)) return;
  throw new LibError('shape', `${op}: the batch must be ${what}, got shape ${formatShape(x.shape)}.`);
}

function checkRange(op: string, key: string, value: number, most: number): void {
  if (Number.isFinite(value) && value >= 0 && value <= most) return;
  throw new LibError('value', `${op}: ${key} must be in [0, ${most}], got ${value}.`);
}

/** Pictures seen through one affine map each: rows (a, b, c) and (d, e, f) of sampling positions in [-1, 1]. */
function warped(x: Tensor, rows: readonly (readonly Tensor[])[], mode: 'bilinear' | 'nearest'): Tensor {
  const theta = stack(
    rows.map((row) => stack(row, { dim: 1 })),
    { dim: 1 },
  ); // (batch, 2, 3)
  return gridSample(x, affineGrid(theta, [...x.shape] as [number, number, number, number], { alignCorners: false }), {
    mode,
    paddingMode: 'zeros',
    alignCorners: false,
  });
}

export interface FlipOptions {
  /** Probability of a flip. Default 0.5. */
  readonly p?: number;
  /** Which way: left and right (default), or top and bottom. */
  readonly direction?: 'horizontal' | 'vertical';
}

/**
 * Mirrors each picture of a batch (batch, channels, height, width) with probability `p` (torchvision: RandomHorizontalFlip).
 * @example
 * randomFlip(rand([8, 3, 32, 32]));
 */
export function randomFlip(x: Tensor, { p = 0.5, direction = 'horizontal' }: FlipOptions = {}): Tensor {
  checkRank('randomFlip', x, [4], '(batch, channels, height, width)');
  checkRange('randomFlip', 'p', p, 1);
  return noGrad(() => where(drawn(x, 0, 1, [x.sizeAt(0), 1, 1, 1]).lt(p), x.flip([direction === 'horizontal' ? 3 : 2]), x));
}

/**
 * Moves each picture by whole pixels, up to `padding` each way, with zeros behind it: a crop of the padded picture (torchvision:
 * RandomCrop with padding).
 */
export function randomCrop(x: Tensor, { padding = 4 }: { readonly padding?: number } = {}): Tensor {
  checkRank('randomCrop', x, [4], '(batch, channels, height, width)');
  checkRange('randomCrop', 'padding', padding, Math.min(x.sizeAt(2), x.sizeAt(3)));
  return noGrad(() => {
    const [one, zero] = [drawn(x, 1, 1), drawn(x, 0, 0)];
    const pixels = (size: number): Tensor =>
      drawn(x, -padding, padding + 1)
        .floor()
        .clamp({ max: padding })
        .mul(2 / size);
    return warped(
      x,
      [
        [one, zero, pixels(x.sizeAt(3))],
        [zero, one, pixels(x.sizeAt(2))],
      ],
      'nearest',
    );
  });
}

/** Turns each picture about its middle by up to `degrees` either way, with zeros in the corners (torchvision: RandomRotation). */
export function randomRotation(x: Tensor, { degrees = 10 }: { readonly degrees?: number } = {}): Tensor {
  checkRank('randomRotation', x, [4], '(batch, channels, height, width)');
  checkRange('randomRotation', 'degrees', degrees, 180);
  return noGrad(() => {
    const angle = drawn(x, -degrees, degrees).mul(Math.PI / 180);
    const [cos, sin, zero] = [angle.cos(), angle.sin(), drawn(x, 0, 0)];
    const aspect = x.sizeAt(2) / x.sizeAt(3); // positions run from -1 to 1 along both sides
    return warped(
      x,
      [
        [cos, sin.mul(-aspect), zero],
        [sin.div(aspect), cos, zero],
      ],
      'bilinear',
    );
  });
}

/** True where position i of `size` lies in a window of `width` that starts anywhere, one window for each sample: (batch, size). */
function windows(x: Tensor, size: number, width: number): Tensor {
  const start = drawn(x, 0, size - width + 1, [x.sizeAt(0), 1]).floor();
  const position = arange(size, { dtype: 'float32', device: x.device }).unsqueeze(0);
  return position.ge(start).logicalAnd(position.lt(start.add(width)));
}

/** Blanks a square of `size` pixels somewhere in each picture (DeVries & Taylor 2017). */
export function cutout(x: Tensor, { size = 8 }: { readonly size?: number } = {}): Tensor {
  checkRank('cutout', x, [4], '(batch, channels, height, width)');
  checkRange('cutout', 'size', size, Math.min(x.sizeAt(2), x.sizeAt(3)));
  return noGrad(() => {
    const rows = windows(x, x.sizeAt(2), size).unsqueeze(1).unsqueeze(3);
    const columns = windows(x, x.sizeAt(3), size).unsqueeze(1).unsqueeze(2);
    return x.maskedFill(rows.logicalAnd(columns), 0);
  });
}

export interface ColorJitterOptions {
  /** Brightness is multiplied by 1 ± this. Default 0.2. */
  readonly brightness?: number;
  /** The distance from the picture's mean is multiplied by 1 ± this. Default 0.2. */
  readonly contrast?: number;
}

/** Changes brightness and contrast of each picture (torchvision: ColorJitter, without saturation and hue). */
export function colorJitter(x: Tensor, { brightness = 0.2, contrast = 0.2 }: ColorJitterOptions = {}): Tensor {
  checkRank('colorJitter', x, [4], '(batch, channels, height, width)');
  checkRange('colorJitter', 'brightness', brightness, 1);
  checkRange('colorJitter', 'contrast', contrast, 1);
  return noGrad(() => {
    const factor = (by: number): Tensor => drawn(x, 1 - by, 1 + by, [x.sizeAt(0), 1, 1, 1]);
    const mean = x.mean({ dim: [1, 2, 3], keepdim: true });
    return x.sub(mean).mul(factor(contrast)).add(mean).mul(factor(brightness));
  });
}

/** Moves each sequence (batch, time, …) by up to `max` steps either way, with zeros where nothing comes from. */
export function timeShift(x: Tensor, { max = 1 }: { readonly max?: number } = {}): Tensor {
  checkRank('timeShift', x, [2, 3, 4], '(batch, time, …)');
  checkRange('timeShift', 'max', max, x.sizeAt(1));
  return noGrad(() => {
    const time = x.sizeAt(1);
    const shift = drawn(x, -max, max + 1, [x.sizeAt(0), 1])
      .floor()
      .clamp({ max });
    const from = arange(time, { dtype: 'float32', device: x.device }).unsqueeze(0).sub(shift); // (batch, time)
    const whole = (t: Tensor): Tensor => t.reshape([x.sizeAt(0), time, ...Array<number>(x.ndim - 2).fill(1)]).expand([...x.shape]);
    const inside = from.ge(0).logicalAnd(from.lt(time));
    const moved = x.gather(1, whole(from.clamp({ min: 0, max: time - 1 }).to('int32')));
    return moved.maskedFill(whole(inside).logicalNot(), 0);
  });
}

/** Replaces each token of (batch, time) by `value` with probability `p`. */
export function tokenDrop(ids: Tensor, { p = 0.1, value = 0 }: { readonly p?: number; readonly value?: number } = {}): Tensor {
  checkRank('tokenDrop', ids, [2], '(batch, time)');
  checkRange('tokenDrop', 'p', p, 1);
  return noGrad(() => ids.maskedFill(drawn(ids, 0, 1, ids.shape).lt(p), value));
}

/** Blanks `width` steps of time of each spectrogram (batch, frequencies, time) (SpecAugment, Park et al. 2019). */
export function timeMask(x: Tensor, { width = 8 }: { readonly width?: number } = {}): Tensor {
  checkRank('timeMask', x, [3], '(batch, frequencies, time)');
  checkRange('timeMask', 'width', width, x.sizeAt(2));
  return noGrad(() => x.maskedFill(windows(x, x.sizeAt(2), width).unsqueeze(1), 0));
}

/** Blanks `width` frequencies of each spectrogram (batch, frequencies, time) (SpecAugment, Park et al. 2019). */
export function frequencyMask(x: Tensor, { width = 8 }: { readonly width?: number } = {}): Tensor {
  checkRank('frequencyMask', x, [3], '(batch, frequencies, time)');
  checkRange('frequencyMask', 'width', width, x.sizeAt(1));
  return noGrad(() => x.maskedFill(windows(x, x.sizeAt(1), width).unsqueeze(2), 0));
}
