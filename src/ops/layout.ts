import { contiguousStrides, type Shape } from '../core/shape.js';
import type { Spec } from '../core/spec.js';
import type { ViewLayout } from './define.js';

/** Strides under which a tensor shows `shape` without a copy, or null. Splits and merges runs of dims that lie densely. */
export function viewStrides(spec: Spec, shape: Shape): number[] | null {
  if (spec.contiguous || spec.size === 0) return contiguousStrides(shape);
  const from = spec.shape.map((size, i) => ({ size, stride: spec.strides[i] ?? 0 })).filter(({ size }) => size !== 1);
  const strides = new Array<number>(shape.length).fill(1);
  let j = shape.length - 1;
  for (let i = from.length - 1; i >= 0; i--) {
    const start = from[i] as { size: number; stride: number };
    let run = start.size;
    while (i > 0 && from[i - 1]?.stride === (from[i]?.size ?? 1) * (from[i]?.stride ?? 0)) run *= from[--i]?.size ?? 1;
    let step = start.stride;
    for (let left = run; left > 1; j--) {
      const d = shape[j] ?? 0;
      if (d === 0 || left % d !== 0) return null;
      strides[j] = step;
      step *= d;
      left /= d;
    }
  }
  return strides;
}

/** Whether two elements of a view share bytes. Sorted by stride, each step must clear what lies below it. */
export function overlaps({ shape, strides }: ViewLayout): boolean {
  const steps = shape.map((size, i) => ({ size, stride: strides[i] ?? 0 })).filter(({ size }) => size > 1);
  steps.sort((a, b) => a.stride - b.stride);
  let extent = 0;
  for (const { size, stride } of steps) {
    if (stride <= extent) return true;
    extent += stride * (size - 1);
  }
  return false;
}

/** The shape that is left of `shape` when `dims` are folded. */
export function reducedShape(shape: Shape, dims: readonly number[], keepdim: boolean): Shape {
  return keepdim ? shape.map((d, i) => (dims.includes(i) ? 1 : d)) : shape.filter((_, i) => !dims.includes(i));
}

/** [0, start) etc. of Python's x[start:end:step], clamped to a dim of `size`. */
export function clampRange(size: number, start: number, end: number): { readonly from: number; readonly to: number } {
  const place = (i: number): number => Math.min(Math.max(i < 0 ? i + size : i, 0), size);
  const from = place(start);
  return { from, to: Math.max(from, place(end)) };
}

/** `list` with the entry at `i` replaced. */
export const withAt = (list: readonly number[], i: number, value: number): number[] => list.map((v, k) => (k === i ? value : v));

/** `list` without the entry at `i`. */
export const without = (list: readonly number[], i: number): number[] => list.filter((_, k) => k !== i);
