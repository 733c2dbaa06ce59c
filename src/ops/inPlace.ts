import { LibError } from '../core/errors.js';
import { formatShape } from '../core/shape.js';
import type { Tensor } from '../tensor/tensor.js';

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
/** Takes this tensor out of the graph: no gradient flows through it any more. */
export function detach_(x: Tensor): Tensor {
  if (x.viewOf !== null) throw new LibError('grad', 'detach_: the tensor must not be a view, got one.', 'use detach().');
  x.node = null;
  x.requiresGrad = false;
  return x;
}
