import { type DType, isFloat } from '../core/dtype.js';
import type { Shape } from '../core/shape.js';
import { sizeOf } from '../core/shape.js';
import type { Random } from '../ops/define.js';
import { tensor } from '../tensor/creation.js';
import { isTensor, type Tensor } from '../tensor/tensor.js';

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

const isPlainObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  value !== null && typeof value === 'object' && Object.getPrototypeOf(value) === Object.prototype;

/** Rebuilds a call's arguments with every tensor replaced, however deep it is nested. */
export function mapTensors(value: unknown, replace: (t: Tensor) => unknown): unknown {
  if (isTensor(value)) return replace(value);
  if (Array.isArray(value)) return value.map((v) => mapTensors(v, replace));
  if (isPlainObject(value)) return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, mapTensors(v, replace)]));
  return value;
}

/** Every tensor in a call's arguments or results, in order. */
export function tensorsIn(value: unknown): Tensor[] {
  const found: Tensor[] = [];
  mapTensors(value, (t) => void found.push(t));
  return found;
}

/** What of a result is not tensors: numbers, booleans, lists of them. */
export const plainPart = (value: unknown): unknown => mapTensors(value, () => 'a tensor');

/** The same values in another type; integers and masks stay as they are. */
export function castFloats(value: unknown, dtype: DType): unknown {
  return mapTensors(value, (t) => (isFloat(t.dtype) ? t.detach().to(dtype) : t));
}

/** The same values behind unusual strides: dims in reverse order in memory, with gaps between them, and not at the start. */
export function scatterLayout(value: unknown): unknown {
  return mapTensors(value, scattered);
}

/** Read by mistake, a gap spoils the result. */
const gapOf = (dtype: DType): number => (isFloat(dtype) ? Number.NaN : dtype === 'bool' ? 1 : 101);

function scattered(t: Tensor): Tensor {
  const shape = t.ndim === 0 ? [1] : t.shape;
  const reversed = shape.toReversed();
  const roomy = [...reversed.slice(0, -1), 2 * (reversed.at(-1) ?? 1) + 1];
  const values = new Float64Array(sizeOf(roomy)).fill(gapOf(t.dtype));
  const source = t.toArray();
  for (let i = 0; i < source.length; i++) values[placeOf(i, shape)] = source[i] as number;
  const base = tensor(values, { shape: roomy, dtype: t.dtype, device: t.device });
  const everySecond = base.slice(...reversed.slice(0, -1).map(() => null), [1, null, 2]);
  const view = everySecond.permute(shape.map((_, d) => shape.length - 1 - d));
  return t.ndim === 0 ? view.select(0, 0) : view;
}

/** Where element `flat` of `shape` lies in the roomy, reversed base. */
function placeOf(flat: number, shape: Shape): number {
  const roomyFirst = 2 * (shape[0] ?? 1) + 1;
  let [rest, place, stride] = [flat, 0, roomyFirst * sizeOf(shape.slice(1))];
  for (let d = shape.length - 1; d > 0; d--) {
    const size = shape[d] as number;
    const index = rest % size;
    stride /= size;
    place += index * stride;
    rest = (rest - index) / size;
  }
  return place + 1 + 2 * rest;
}
