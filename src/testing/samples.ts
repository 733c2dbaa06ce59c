import type { DType } from '../core/dtype.js';
import type { Shape } from '../core/shape.js';
import { sizeOf } from '../core/shape.js';
import type { Random } from '../ops/define.js';
import { tensor } from '../tensor/creation.js';
import { isTensor, Tensor } from '../tensor/tensor.js';

/** A sample maker whose draws depend on nothing but the seed: the same everywhere, and in the committed PyTorch fixtures. */
export function seededRandom(seed: number): Random {
  let state = (Math.imul(seed, 2654435761) >>> 0) % 2147483646 || 1;
  const draw = (): number => {
    state = (state * 48271) % 2147483647; // Park & Miller's minimal standard generator
    return state / 2147483647;
  };
  const fill = (shape: Shape, dtype: DType, value: () => number): Tensor =>
    tensor(Float64Array.from({ length: sizeOf(shape) }, value), { shape, dtype });
  const random = (shape: Shape, { low = -2, high = 2 } = {}): Tensor => fill(shape, 'float32', () => low + (high - low) * draw());
  return Object.assign(random, {
    integers: (shape: Shape, low: number, high: number): Tensor => fill(shape, 'int32', () => Math.floor(low + (high - low) * draw())),
    bool: (shape: Shape): Tensor => fill(shape, 'bool', () => Number(draw() < 0.5)),
  });
}

/** Rebuilds a call's arguments with every tensor replaced, however deep it is nested. */
export function mapTensors(value: unknown, replace: (t: Tensor) => unknown): unknown {
  if (isTensor(value)) return replace(value);
  if (Array.isArray(value)) return value.map((v) => mapTensors(v, replace));
  if (value !== null && typeof value === 'object' && Object.getPrototypeOf(value) === Object.prototype) {
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, mapTensors(v, replace)]));
  }
  return value;
}

/** Every tensor in a call's arguments or results, in order. */
export function tensorsIn(value: unknown): Tensor[] {
  const found: Tensor[] = [];
  mapTensors(value, (t) => void found.push(t));
  return found;
}

/** The same values in another floating type; integers and masks stay as they are. */
export function castFloats(value: unknown, dtype: DType): unknown {
  return mapTensors(value, (t) => (t.dtype === 'float32' || t.dtype === 'float64' ? t.detach().to(dtype) : t));
}

/** The same values behind unusual strides: every tensor of two or more dims is laid out transposed, and offset into a larger one. */
export function scatterLayout(value: unknown): unknown {
  return mapTensors(value, (t) => {
    if (t.ndim < 2) return t;
    const swapped = t.detach().transpose(-1, -2).contiguous();
    return swapped.transpose(-1, -2);
  });
}
