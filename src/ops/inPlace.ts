import { isFloat } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import { formatShape, sameShape } from '../core/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import { isRecorded } from './apply.js';
import { copy_ } from './assign.js';
import type { AnyRow } from './define.js';
import { igamma, igammac } from './gamma.js';
import { indexAdd, indexCopy, indexFill, indexPut, scatter, scatterAdd, scatterReduce } from './indexing.js';
import { addbmm, addmm, addmv, baddbmm } from './matmul.js';
import { indexReduce, maskedScatter, put } from './places.js';
import { floatPower, mvlgamma, nextafter, polygamma } from './pointwiseNumbers.js';
import { addr, renorm } from './products.js';
import { tril, triu } from './rearrange.js';
import { cumprod, cumsum } from './scan.js';

/** Rows written over their first argument, whose shape and type stay: only methods, for a function could not say what it changes. */

type Row = (x: Tensor, ...rest: never[]) => Tensor;
type Over<F extends Row> = F extends (x: Tensor, ...rest: infer Rest) => Tensor ? (x: Tensor, ...rest: Rest) => Tensor : never;

function over<F extends Row & { readonly row: AnyRow }>(op: F): Over<F> {
  const call = op as unknown as (x: Tensor, ...rest: readonly unknown[]) => Tensor;
  const name = `${op.row.name}_`;
  return ((x: Tensor, ...rest: readonly unknown[]) => {
    // What the gradient rule keeps must not be what is written over.
    const y = call(isRecorded([x]) ? x.clone() : x, ...rest);
    if (!sameShape(y.shape, x.shape))
      throw new LibError(
        'shape',
        `${name}: the result must have the tensor's shape, got ${formatShape(y.shape)} over ${formatShape(x.shape)}.`,
      );
    if (isFloat(y.dtype) && !isFloat(x.dtype))
      throw new LibError('dtype', `${name}: the result must fit the tensor's type, got ${y.dtype} over ${x.dtype}.`);
    return copy_(x, y);
  }) as Over<F>;
}

/** {@link addbmm}, written over this tensor. */
export const addbmm_: Over<typeof addbmm> = over(addbmm);
/** {@link addmm}, written over this tensor. */
export const addmm_: Over<typeof addmm> = over(addmm);
/** {@link addmv}, written over this tensor. */
export const addmv_: Over<typeof addmv> = over(addmv);
/** {@link addr}, written over this tensor. */
export const addr_: Over<typeof addr> = over(addr);
/** {@link baddbmm}, written over this tensor. */
export const baddbmm_: Over<typeof baddbmm> = over(baddbmm);
/** {@link cumprod}, written over this tensor. */
export const cumprod_: Over<typeof cumprod> = over(cumprod);
/** {@link cumsum}, written over this tensor. */
export const cumsum_: Over<typeof cumsum> = over(cumsum);
/** {@link floatPower}, written over this tensor. */
export const floatPower_: Over<typeof floatPower> = over(floatPower);
/** {@link igamma}, written over this tensor. */
export const igamma_: Over<typeof igamma> = over(igamma);
/** {@link igammac}, written over this tensor. */
export const igammac_: Over<typeof igammac> = over(igammac);
/** {@link indexAdd}, written over this tensor. */
export const indexAdd_: Over<typeof indexAdd> = over(indexAdd);
/** {@link indexCopy}, written over this tensor. */
export const indexCopy_: Over<typeof indexCopy> = over(indexCopy);
/** {@link indexFill}, written over this tensor. */
export const indexFill_: Over<typeof indexFill> = over(indexFill);
/** {@link indexPut}, written over this tensor. */
export const indexPut_: Over<typeof indexPut> = over(indexPut);
/** {@link indexReduce}, written over this tensor. */
export const indexReduce_: Over<typeof indexReduce> = over(indexReduce);
/** {@link maskedScatter}, written over this tensor. */
export const maskedScatter_: Over<typeof maskedScatter> = over(maskedScatter);
/** {@link mvlgamma}, written over this tensor. */
export const mvlgamma_: Over<typeof mvlgamma> = over(mvlgamma);
/** {@link nextafter}, written over this tensor. */
export const nextafter_: Over<typeof nextafter> = over(nextafter);
/** {@link polygamma}, written over this tensor. */
export const polygamma_: Over<typeof polygamma> = over(polygamma);
/** {@link put}, written over this tensor. */
export const put_: Over<typeof put> = over(put);
/** {@link renorm}, written over this tensor. */
export const renorm_: Over<typeof renorm> = over(renorm);
/** {@link scatter}, written over this tensor. */
export const scatter_: Over<typeof scatter> = over(scatter);
/** {@link scatterAdd}, written over this tensor. */
export const scatterAdd_: Over<typeof scatterAdd> = over(scatterAdd);
/** {@link scatterReduce}, written over this tensor. */
export const scatterReduce_: Over<typeof scatterReduce> = over(scatterReduce);
/** {@link tril}, written over this tensor. */
export const tril_: Over<typeof tril> = over(tril);
/** {@link triu}, written over this tensor. */
export const triu_: Over<typeof triu> = over(triu);

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
