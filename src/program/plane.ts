import { broadcastStrides, type Shape } from '../core/shape.js';
import type { Spec } from '../core/spec.js';

/**
 * The row and column strides of a tensor that is broadcast to `shape` and seen as a matrix, all dims but the last being its rows; null
 * where rows are not evenly apart.
 */
export function planeStrides({ shape: own, strides }: Spec, shape: Shape): readonly [row: number, column: number] | null {
  const all = broadcastStrides(own, strides, shape);
  let [row, rows] = [0, 1];
  for (let d = shape.length - 2; d >= 0; d--) {
    const [size, stride] = [shape[d] as number, all[d] as number];
    if (size === 1) continue;
    if (rows === 1) row = stride;
    else if (stride !== row * rows) return null;
    rows *= size;
  }
  return [row, all.at(-1) ?? 0];
}
