import { dtypes } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import { formatShape } from '../core/shape.js';
import { toDevice } from '../io/hostArray.js';
import type { Tensor } from '../tensor/tensor.js';

/** A function on batches of images or features. */
export type Transform = (x: Tensor) => Tensor;

/** Float32 values; whole numbers 0..255 of uint8 become 0..1, as with torchvision's `ToTensor`. */
export function toFloat(x: Tensor): Tensor {
  if (x.dtype === 'uint8') return x.to('float32').div(255);
  return dtypes[x.dtype].kind === 'float' ? x : x.to('float32');
}

/**
 * (x - mean) / std, on values that {@link toFloat} made. Lists hold one number a channel: dimension 1 of (batch, channels, ...).
 * @example normalize(0.1307, 0.3081)(images)
 */
export function normalize(mean: number | readonly number[], std: number | readonly number[]): Transform {
  const numbers = [mean, std].flat();
  if (!numbers.every(Number.isFinite) || [std].flat().some((s) => s <= 0)) {
    throw new LibError('value', `normalize: mean must be finite and std positive, got mean ${mean} and std ${std}.`);
  }
  return (x) => {
    const per = (value: number | readonly number[]): number | Tensor => (typeof value === 'number' ? value : perChannel(value, x));
    return toFloat(x).sub(per(mean)).div(per(std));
  };
}

function perChannel(values: readonly number[], x: Tensor): Tensor {
  const channels = x.shape[1];
  if (channels !== values.length) {
    throw new LibError(
      'shape',
      `normalize: there must be one number per channel (dimension 1), got ${values.length} for shape ${formatShape(x.shape)}.`,
    );
  }
  const shape = x.shape.map((_, d) => (d === 1 ? values.length : 1));
  return toDevice({ dtype: 'float32', shape, data: Float32Array.from(values) }, x.device);
}

/** One transform after the other. */
export function compose(...transforms: readonly Transform[]): Transform {
  return (x) => transforms.reduce((value, transform) => transform(value), x);
}
