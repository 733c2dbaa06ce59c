import { dtypes } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import { checkShape, formatShape, type Shape, sameShape, sizeOf } from '../core/shape.js';
import { specOf } from '../core/spec.js';
import type { Storage } from '../program/backend.js';
import { checkReadable } from '../tensor/capturing.js';
import { empty } from '../tensor/creation.js';
import { replaceData } from '../tensor/replace.js';
import { Tensor } from '../tensor/tensor.js';

/** Writing in place, where there is no row: only methods, for a function could not say what it changes. */

export interface FillDiagonalOptions {
  /** Begin again below the square part of a tall matrix. Default false. */
  readonly wrap?: boolean;
}
/** Writes a number over the main diagonal: of a matrix, or where all of more dims, which must be equal, have one index. */
export function fillDiagonal_(x: Tensor, value: number, { wrap = false }: FillDiagonalOptions = {}): Tensor {
  if (x.ndim < 2 || (x.ndim > 2 && x.shape.some((size) => size !== x.shape[0])))
    throw new LibError('shape', `fillDiagonal_: the tensor must be a matrix, or have dims of one size, got shape ${formatShape(x.shape)}.`);
  const step = x.stride().reduce((sum, s) => sum + s, 0);
  const [rows, columns] = [x.sizeAt(0), x.sizeAt(1)];
  const length = Math.min(...x.shape);
  x.asStrided([length], [step]).fill_(value);
  if (!wrap || x.ndim > 2 || rows <= columns) return x;
  // As in PyTorch, one row is left out between the squares.
  for (let from = columns + 1; from < rows; from += columns + 1)
    x.narrow(0, from, Math.min(columns, rows - from))
      .diagonal()
      .fill_(value);
  return x;
}
/**
 * Gives this tensor another shape over the bytes that it has, in the order of memory. Where it has too few, it moves to new ones, of which
 * those behind the old are unset, and its views keep the old ones. Not for tensors that require grad.
 */
export function resize_(x: Tensor, size: Shape): Tensor {
  checkReadable('resize_', x);
  if (x.requiresGrad) throw new LibError('grad', 'resize_: the tensor must not require grad, got requiresGrad = true.', 'use reshape().');
  if (sameShape(size, x.shape)) return x;
  checkShape('resize_', size);
  const { storage, offset, device, dtype } = x;
  const flat = (count: number, at: Storage): Tensor => new Tensor(specOf(dtype, [count]), at, 0, device);
  const held = Math.floor(storage.byteLength / dtypes[dtype].bytes);
  const needed = offset + sizeOf(size);
  const home = needed > held ? empty([needed], { dtype, device }).storage : storage;
  if (home !== storage) flat(held, home).copy_(flat(held, storage));
  // What saved this tensor for a backward pass finds that it has changed.
  home.version = storage.version + 1;
  replaceData('resize_', x, new Tensor(specOf(dtype, size), home, offset, device));
  return x;
}
/** {@link resize_} to the shape of another tensor. */
export const resizeAs_ = (x: Tensor, other: Tensor): Tensor => resize_(x, other.shape);
/** Takes this tensor out of the graph: no gradient flows through it any more. */
export function detach_(x: Tensor): Tensor {
  if (x.viewOf !== null) throw new LibError('grad', 'detach_: the tensor must not be a view, got one.', 'use detach().');
  x.node = null;
  x.requiresGrad = false;
  return x;
}
