import { type DType, dtypes, isFloat } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import { sameShape } from '../core/shape.js';
import { valuesOf } from '../tensor/capturing.js';
import type { Tensor } from '../tensor/tensor.js';
import { promoteTensors, type TensorOrNumber } from './elementwise.js';
import { promoteNumbers } from './mapTyped.js';

/** What is to be known of a tensor without its values. */

/** How many elements. */
export const numel = (x: Tensor): number => x.size;
/** How many elements: {@link numel}. */
export const nelement = (x: Tensor): number => x.size;
/** How many dims. */
export const ndimension = (x: Tensor): number => x.ndim;
/** The bytes of one element. */
export const elementSize = (x: Tensor): number => dtypes[x.dtype].bytes;
/** Where the first element is in the storage, counted in elements. */
export const storageOffset = (x: Tensor): number => x.offset;
export const isFloatingPoint = (x: Tensor): boolean => isFloat(x.dtype);
/** Always false: there are no complex types. */
export const isComplex = (_: Tensor): boolean => false;
/** Whether elements may be negative. */
export const isSigned = (x: Tensor): boolean => x.dtype !== 'uint8' && x.dtype !== 'bool';
export const isSameSize = (x: Tensor, other: Tensor): boolean => sameShape(x.shape, other.shape);
/** Whether two tensors show the same elements of the same storage. */
export const isSetTo = (x: Tensor, other: Tensor): boolean =>
  x.storage === other.storage && x.offset === other.offset && x.spec === other.spec;
/** Whether the one element is not 0. Reads it. */
export function isNonzero(x: Tensor): boolean {
  if (x.size !== 1) throw new LibError('shape', `isNonzero: the tensor must have one element, got ${x.size}.`);
  return valuesOf('isNonzero', x)[0] !== 0;
}

/** The type in which two operands meet, numbers counting by their kind alone. */
export function resultType(x: Tensor, other: TensorOrNumber): DType {
  return typeof other === 'number' ? promoteNumbers(x.dtype, [other]) : promoteTensors(x, other);
}
