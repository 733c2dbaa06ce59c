import { resolveDim } from '../core/shape.js';
import { type Spec, specOf } from '../core/spec.js';
import { zeros } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { defineOp, type Op } from './define.js';
import type { ValuesIndices } from './foldRows.js';

interface OrderParams {
  readonly dim: number;
  readonly descending: boolean;
  /** How many to keep; all when absent. */
  readonly k?: number;
}

/** The stable sort kernel as a row. A scalar sorts as a vector of one. */
export const order: Op<[x: Tensor, dim: number, descending: boolean, k?: number], ValuesIndices> = defineOp({
  name: 'sort',
  args: (x: Tensor, dim: number, descending: boolean, k?: number) => ({
    inputs: [x],
    params: { dim, descending, ...(k !== undefined && { k }) },
    key: `${dim}|${descending}|${k}`,
  }),
  infer([x], { dim, k }: OrderParams) {
    const { shape, dtype } = x as Spec;
    const kept = shape.map((d, i) => (i === dim ? Math.min(k ?? d, d) : d));
    return [specOf(dtype, kept), specOf('int32', kept)];
  },
  kernel: (params: OrderParams) => ({ family: 'sort', ...params }),
  saves: ['output'],
  differentiable: [0],
  grad: ([g], { inputs: [x], outputs: [, indices], params: { dim } }) => [g && x && indices ? routeBack(g, x, dim, indices) : null],
  result: ([values, indices]) => ({ values: values as Tensor, indices: indices as Tensor }),
  *samples() {},
});

/** The adjoint of picking elements by index along a dim. */
export function routeBack(g: Tensor, x: Tensor, dim: number, indices: Tensor): Tensor {
  return zeros(x.shape, { dtype: g.dtype, device: g.device }).scatterAdd(dim, indices, g);
}

/** A tensor with at least one dim, and the dim in it that is meant. */
export function lineOf(op: string, x: Tensor, dim: number): { readonly line: Tensor; readonly at: number } {
  const at = resolveDim(op, dim, x.ndim);
  return { line: x.ndim === 0 ? x.reshape([1]) : x, at };
}

/** The elements that keepdim-shaped indices point at, and both without the dim unless it is kept. */
export function pick(x: Tensor, line: Tensor, at: number, indices: Tensor, keepdim: boolean): ValuesIndices {
  const values = line.gather(at, indices);
  const shape = keepdim ? x.shape.map((d, i) => (i === at ? 1 : d)) : x.shape.filter((_, i) => i !== at);
  return { values: values.reshape(shape), indices: indices.reshape(shape) };
}
