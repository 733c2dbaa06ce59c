import type { Expr } from '../expr/expr.js';
import type { Tensor } from '../tensor/tensor.js';
import { asTensor, binary, type Pointwise, type TensorOrNumber, unary } from './elementwise.js';

type Unary = Pointwise<[x: Tensor]>;
type Binary = Pointwise<[a: Tensor, b: TensorOrNumber]>;
/** Pairs that are less, equal and greater. */
const ORDERED = [
  [1, 2],
  [2, 2],
  [3, 2],
  [-1, 0],
] as const;
/** All four cases of two truth values. */
const TRUTHS = [
  [0, 0],
  [0, 1.5],
  [-2, 0],
  [3, 4],
] as const;

/** a = b, as bool. NaN equals nothing. */
export const eq: Binary = binary('eq', { expr: (a, b) => a.equal(b), result: 'bool', points: ORDERED });
/** a ≠ b, as bool. */
export const ne: Binary = binary('ne', { expr: (a, b) => a.notEqual(b), result: 'bool', points: ORDERED });
/** a < b, as bool. */
export const lt: Binary = binary('lt', { expr: (a, b) => a.less(b), result: 'bool', points: ORDERED });
/** a ≤ b, as bool. */
export const le: Binary = binary('le', { expr: (a, b) => a.lessEqual(b), result: 'bool', points: ORDERED });
/** a > b, as bool. */
export const gt: Binary = binary('gt', { expr: (a, b) => b.less(a), result: 'bool', points: ORDERED });
/** a ≥ b, as bool. */
export const ge: Binary = binary('ge', { expr: (a, b) => b.lessEqual(a), result: 'bool', points: ORDERED });

/** False: integers are never infinite. */
const never = (x: Expr): Expr => x.notEqual(x);

/** Whether an element is NaN. */
export const isnan: Unary = unary('isnan', { expr: (x) => x.isnan(), result: 'bool', points: [0, Number.NaN, Number.POSITIVE_INFINITY] });
/** Whether an element is +∞ or -∞. */
export const isinf: Unary = unary('isinf', {
  expr: (x) => x.abs().equal(Number.POSITIVE_INFINITY),
  ints: never,
  result: 'bool',
  points: [0, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
});
/** Whether an element is +∞. */
export const isposinf: Unary = unary('isposinf', {
  expr: (x) => x.equal(Number.POSITIVE_INFINITY),
  ints: never,
  result: 'bool',
  points: [0, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
});
/** Whether an element is -∞. */
export const isneginf: Unary = unary('isneginf', {
  expr: (x) => x.equal(Number.NEGATIVE_INFINITY),
  ints: never,
  result: 'bool',
  points: [0, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
});
/** Whether an element is neither NaN nor infinite. */
export const isfinite: Unary = unary('isfinite', {
  expr: (x) => x.abs().less(Number.POSITIVE_INFINITY),
  ints: (x) => x.equal(x),
  result: 'bool',
  points: [0, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY],
});
/** Whether an element has a minus sign, -0 included. */
export const signbit: Unary = unary('signbit', {
  expr: (x) => x.equal(0).select(x.reciprocal(), x).less(0),
  result: 'bool',
  points: [-0, 0, -3],
});

/** Whether both are nonzero. */
export const logicalAnd: Binary = binary('logicalAnd', {
  expr: (a, b) => a.notEqual(0).mul(b.notEqual(0)),
  result: 'bool',
  points: TRUTHS,
  torch: asTensor('logical_and'),
});
/** Whether either is nonzero. */
export const logicalOr: Binary = binary('logicalOr', {
  expr: (a, b) => a.notEqual(0).max(b.notEqual(0)),
  result: 'bool',
  points: TRUTHS,
  torch: asTensor('logical_or'),
});
/** Whether exactly one is nonzero. */
export const logicalXor: Binary = binary('logicalXor', {
  expr: (a, b) => a.notEqual(0).notEqual(b.notEqual(0)),
  result: 'bool',
  points: TRUTHS,
  torch: asTensor('logical_xor'),
});
/** Whether an element is zero. */
export const logicalNot: Unary = unary('logicalNot', { expr: (x) => x.equal(0), result: 'bool', points: [0, -0, 1] });

/** The bits that are set in both. Integers and bool. */
export const bitwiseAnd: Binary = binary('bitwiseAnd', { expr: (a, b) => a.and(b), only: 'int' });
/** The bits that are set in either. Integers and bool. */
export const bitwiseOr: Binary = binary('bitwiseOr', { expr: (a, b) => a.or(b), only: 'int' });
/** The bits that are set in exactly one. Integers and bool. */
export const bitwiseXor: Binary = binary('bitwiseXor', { expr: (a, b) => a.xor(b), only: 'int' });
/** All bits flipped; the opposite truth for bool. */
export const bitwiseNot: Unary = unary('bitwiseNot', { expr: (x) => x.bitNot(), bools: (x) => x.not(), result: 'same', only: 'int' });
/** a · 2ᵇ in integers. */
export const bitwiseLeftShift: Binary = binary('bitwiseLeftShift', { expr: (a, b) => a.shiftLeft(b), only: 'int' });
/** a / 2ᵇ, rounded down, in integers. */
export const bitwiseRightShift: Binary = binary('bitwiseRightShift', { expr: (a, b) => a.shiftRight(b), only: 'int' });
