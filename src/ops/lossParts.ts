import { LibError } from '../core/errors.js';
import { formatShape, range, sameShape } from '../core/shape.js';
import { constant, type Expr, input } from '../expr/expr.js';
import type { Tensor } from '../tensor/tensor.js';
import { fuse, fuseSum, needFloat } from './fused.js';

/** What the rows of losses have in common. */

/** 'mean' over elements (or examples), 'sum', or 'none' to get each one. Default 'mean'. */
export type LossReduction = 'mean' | 'sum' | 'none';

export interface LossOptions {
  /** Default 'mean'. */
  readonly reduction?: LossReduction;
}

export interface WeightedOptions extends LossOptions {
  /** Multiplies each element's loss; of the input's shape. Default: none. */
  readonly weight?: Tensor | null;
}

/** max(0, x), NaN staying NaN. */
export const positivePart = (x: Expr): Expr => x.lessEqual(0).select(0, x);
/** log(1 + e^-x) without overflow; |x| and max(-x, 0) are said by one comparison, so that derivatives of every order are right at 0. */
export const softplusOfMinus = (x: Expr): Expr => {
  const left = x.less(0);
  return left.select(x.neg(), 0).add(left.select(x, x.neg()).exp().log1p());
};
/** -(t log σ(x) + (1 - t) log(1 - σ(x))). */
export const logitLoss = (x: Expr, target: Expr): Expr => constant(1).sub(target).mul(x).add(softplusOfMinus(x));

export const allDims = ({ ndim }: Tensor): number[] => range(ndim);

/** A loss that is an expression of each element, in one pass with its reduction. */
export function elementwise(op: string, tensors: readonly Tensor[], expr: Expr, reduction: LossReduction): Tensor {
  const first = tensors[0] as Tensor;
  needFloat(op, first);
  checkReduction(op, reduction);
  if (reduction === 'none') return fuse(op, tensors, expr);
  return fuseSum(op, tensors, expr, allDims(first), { divisor: reduction === 'sum' ? 1 : first.size });
}

/** The same, each element times its weight; the mean is over the weights' sum, or over elements. */
export function weighted(
  op: string,
  tensors: readonly Tensor[],
  expr: Expr,
  { weight, reduction = 'mean' }: WeightedOptions,
  mean: 'of weights' | 'of elements' = 'of weights',
): Tensor {
  if (!weight) return elementwise(op, tensors, expr, reduction);
  checkShapes(op, tensors[0] as Tensor, weight, 'weight');
  const each = expr.mul(input(tensors.length));
  if (reduction !== 'mean' || mean === 'of elements') return elementwise(op, [...tensors, weight], each, reduction);
  return fuse(op, [elementwise(op, [...tensors, weight], each, 'sum'), weight.sum()], input(0).div(input(1)));
}

/** Reduces what each example lost. */
export function reduced(op: string, each: Tensor, reduction: LossReduction): Tensor {
  checkReduction(op, reduction);
  return reduction === 'none' ? each : elementwise(op, [each], input(0), reduction);
}

export function checkReduction(op: string, reduction: string): void {
  if (reduction !== 'mean' && reduction !== 'sum' && reduction !== 'none') {
    throw new LibError('option', `${op}: reduction must be 'mean', 'sum' or 'none', got '${String(reduction)}'.`);
  }
}

export function checkShapes(op: string, x: Tensor, target: Tensor, name = 'target'): void {
  if (sameShape(x.shape, target.shape)) return;
  throw new LibError(
    'shape',
    `${op}: input and ${name} must have one shape, got ${formatShape(x.shape)} and ${formatShape(target.shape)}.`,
  );
}

/** Refuses a number outside an interval: `rule` says which. */
export function checkNumber(op: string, name: string, value: number, holds: boolean, rule: string): void {
  if (!holds) throw new LibError('value', `${op}: ${name} must be ${rule}, got ${value}.`);
}
