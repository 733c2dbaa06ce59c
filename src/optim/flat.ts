import type { Parameter } from '../nn/module.js';
import { cat } from '../ops/join.js';
import { zerosLike } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';

/** One vector of tensors' elements. */
export const flatten = (tensors: readonly Tensor[]): Tensor => cat(tensors.map((t) => t.reshape([-1])));

/** The gradients as one vector; of parameters without one, zeros. */
export const flatGradient = (params: readonly Parameter[]): Tensor => flatten(params.map((p) => p.grad ?? zerosLike(p)));

/** A vector as tensors of the parameters' shapes. */
export function unflatten(vector: Tensor, params: readonly Parameter[]): Tensor[] {
  let at = 0;
  return params.map((p) => {
    const part = vector.narrow(0, at, p.size).reshape(p.shape);
    at += p.size;
    return part;
  });
}

/** params += t · direction. */
export function moveAlong(params: readonly Parameter[], direction: Tensor, t: number): void {
  unflatten(direction, params).forEach((d, i) => {
    params[i]?.add_(d.mul(t));
  });
}

export const dot = (a: Tensor, b: Tensor): number => a.mul(b).sum().itemNow();
