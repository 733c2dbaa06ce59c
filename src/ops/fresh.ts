import type { Shape } from '../core/shape.js';
import {
  type DataOptions,
  empty,
  emptyStrided,
  full,
  type NestedData,
  ones,
  type TensorOptions,
  tensor,
  zeros,
} from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';

/** New tensors of a tensor's type and device: only methods, as in PyTorch. */

const like = (x: Tensor, options: TensorOptions): TensorOptions => ({ dtype: x.dtype, device: x.device, ...options });

/** A tensor from JavaScript data, of this tensor's type and on its device. */
export const newTensor = (x: Tensor, data: NestedData, options: DataOptions = {}): Tensor =>
  tensor(data, { ...like(x, options), ...options });
/** Zeros of a size, of this tensor's type and on its device. */
export const newZeros = (x: Tensor, size: Shape, options: TensorOptions = {}): Tensor => zeros(size, like(x, options));
/** Ones of a size, of this tensor's type and on its device. */
export const newOnes = (x: Tensor, size: Shape, options: TensorOptions = {}): Tensor => ones(size, like(x, options));
/** One value at every place, of this tensor's type and on its device. */
export const newFull = (x: Tensor, size: Shape, value: number | boolean, options: TensorOptions = {}): Tensor =>
  full(size, value, like(x, options));
/** Unset bytes of a size, of this tensor's type and on its device. */
export const newEmpty = (x: Tensor, size: Shape, options: TensorOptions = {}): Tensor => empty(size, like(x, options));
/** Unset bytes under given strides, of this tensor's type and on its device. */
export const newEmptyStrided = (x: Tensor, size: Shape, stride: readonly number[], options: TensorOptions = {}): Tensor =>
  emptyStrided(size, stride, like(x, options));
