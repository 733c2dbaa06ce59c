import { broadcastStrides, type Shape } from '../core/shape.js';
import type { Spec } from '../core/spec.js';
import type { GemmKernel } from './kernel.js';

/**
 * The strides of a tensor that is broadcast to the shape of a product's result and seen as a batch of matrices, as the product makes them:
 * all dims but the last are the rows of one matrix; of a convolution, each image is a matrix of channels and pixels. Null where the
 * dims that become one are not evenly apart.
 */
export function planeStrides(
  { shape: own, strides }: Spec,
  shape: Shape,
  { views }: GemmKernel,
): readonly [batch: number, row: number, column: number] | null {
  const all = broadcastStrides(own, strides, shape);
  const [rows, columns] = views === 'dense' ? [0, shape.length - 1] : [1, 2];
  const found = [strideOf(shape, all, 0, rows), strideOf(shape, all, rows, columns), strideOf(shape, all, columns, shape.length)];
  return found.every((s) => s !== null) ? (found as [number, number, number]) : null;
}

/** From one element to the next of the dims [from, to), seen as one. */
function strideOf(shape: Shape, strides: readonly number[], from: number, to: number): number | null {
  let [step, count] = [0, 1];
  for (let d = to - 1; d >= from; d--) {
    const [size, stride] = [shape[d] as number, strides[d] as number];
    if (size === 1) continue;
    if (count === 1) step = stride;
    else if (stride !== step * count) return null;
    count *= size;
  }
  return step;
}
