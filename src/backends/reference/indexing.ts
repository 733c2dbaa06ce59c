import { isFloat } from '../../core/dtype.js';
import { KernelError } from '../../core/errors.js';
import { contiguousStrides } from '../../core/shape.js';
import type { GatherKernel, ScatterKernel } from '../../program/kernel.js';
import { type Run, Walk } from './view.js';

/** out[i…] = x[i… with i[dim] replaced by index[i…]]. */
export function gather({ dim, wrap }: GatherKernel): Run {
  return ([x, index], [out]) => {
    if (!x || !index || !out) return;
    const walk = new Walk(
      out.shape,
      [withoutDim(x.strides, dim), index.stridesIn(out.shape), out.strides],
      [x.offset, index.offset, out.offset],
    );
    const [size, stride] = [x.shape[dim] ?? 1, x.strides[dim] ?? 0];
    for (let i = 0; i < walk.size; i++, walk.step()) {
      const j = checked(index.get(walk.position(1)), size, wrap, i);
      out.set(walk.position(2), x.get(walk.position(0) + j * stride));
    }
  };
}

/** out = self, then for every element of src: out[i… with i[dim] replaced by index[i…]] (by)= src[i…]. */
export function scatter({ dim, wrap, by }: ScatterKernel): Run {
  return ([self, index, src], [out]) => {
    if (!self || !index || !src || !out) return;
    const result = self.load(out.shape);
    const strides = contiguousStrides(out.shape);
    const combine = by === 'prod' && !isFloat(out.dtype) ? Math.imul : combiners[by];
    const walk = new Walk(src.shape, [withoutDim(strides, dim), index.stridesIn(src.shape), src.strides], [0, index.offset, src.offset]);
    const [size, stride] = [out.shape[dim] ?? 1, strides[dim] ?? 0];
    for (let i = 0; i < walk.size; i++, walk.step()) {
      const at = walk.position(0) + checked(index.get(walk.position(1)), size, wrap, i) * stride;
      result[at] = combine(result[at] as number, src.get(walk.position(2)));
    }
    out.store(result);
  };
}

const combiners: Readonly<Record<ScatterKernel['by'], (old: number, value: number) => number>> = {
  set: (_, value) => value,
  sum: (old, value) => old + value,
  prod: (old, value) => old * value,
  max: Math.max,
  min: Math.min,
};

const withoutDim = (strides: readonly number[], dim: number): number[] => strides.map((s, d) => (d === dim ? 0 : s));

function checked(index: number, size: number, wrap: boolean, element: number): number {
  const resolved = wrap && index < 0 ? index + size : index;
  if (resolved >= 0 && resolved < size) return resolved;
  throw new KernelError('index', `index ${index} at element ${element} is out of range for dimension of size ${size}`);
}
