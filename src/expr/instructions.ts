import { roundEven } from '../core/dtype.js';
import type { Expr } from './expr.js';

/**
 * The scalar instruction set: the one table. A row says what an instruction means (`js`) and how it is differentiated (`d`:
 * the derivative by each argument, given the arguments and the result); its position is its opcode in the CPU engine, where
 * `op_<name>` is the vector function of the same meaning. Every pointwise op, epilogue and optimizer update is built from these.
 */
export interface Unary {
  readonly arity: 1;
  /** null: expr/specials.ts has it, for backends that run expressions in JavaScript. Such instructions are not folded. */
  readonly js: ((a: number) => number) | null;
  readonly d?: (a: Expr, y: Expr) => readonly [Expr];
}
export interface Binary {
  readonly arity: 2;
  readonly js: ((a: number, b: number) => number) | null;
  readonly d?: (a: Expr, b: Expr, y: Expr) => readonly [Expr | null, Expr | null];
}
export interface Ternary {
  readonly arity: 3;
  readonly js: (a: number, b: number, c: number) => number;
  readonly d?: (a: Expr, b: Expr, c: Expr, y: Expr) => readonly [Expr | null, Expr | null, Expr | null];
}

const unary = (js: Unary['js'], d?: Unary['d']): Unary => (d ? { arity: 1, js, d } : { arity: 1, js });
const binary = (js: Binary['js'], d?: Binary['d']): Binary => (d ? { arity: 2, js, d } : { arity: 2, js });
const ternary = (js: Ternary['js'], d?: Ternary['d']): Ternary => (d ? { arity: 3, js, d } : { arity: 3, js });

type UnaryName =
  | 'neg'
  | 'abs'
  | 'sign'
  | 'floor'
  | 'ceil'
  | 'trunc'
  | 'round'
  | 'sqrt'
  | 'rsqrt'
  | 'reciprocal'
  | 'exp'
  | 'exp2'
  | 'expm1'
  | 'log'
  | 'log2'
  | 'log10'
  | 'log1p'
  | 'sin'
  | 'cos'
  | 'tan'
  | 'asin'
  | 'acos'
  | 'atan'
  | 'sinh'
  | 'cosh'
  | 'tanh'
  | 'asinh'
  | 'acosh'
  | 'atanh'
  | 'sigmoid'
  | 'erf'
  | 'erfc'
  | 'erfinv'
  | 'lgamma'
  | 'digamma'
  | 'isnan'
  | 'not'
  | 'bitNot';
type BinaryName =
  | 'add'
  | 'sub'
  | 'mul'
  | 'div'
  | 'max'
  | 'min'
  | 'pow'
  | 'atan2'
  | 'fmod'
  | 'remainder'
  | 'floorDiv'
  | 'polygamma'
  | 'less'
  | 'lessEqual'
  | 'equal'
  | 'notEqual'
  | 'and'
  | 'or'
  | 'xor'
  | 'shiftLeft'
  | 'shiftRight';
type TernaryName = 'select';
type Table = Readonly<Record<UnaryName, Unary> & Record<BinaryName, Binary> & Record<TernaryName, Ternary>>;

const LN2 = Math.LN2;
const TWO_OVER_SQRT_PI = 2 / Math.sqrt(Math.PI);
/** max and min carry NaN through, as PyTorch's do. */
const max = (a: number, b: number): number => (Number.isNaN(a) || Number.isNaN(b) ? Number.NaN : Math.max(a, b));
const min = (a: number, b: number): number => (Number.isNaN(a) || Number.isNaN(b) ? Number.NaN : Math.min(a, b));
const zero = (a: Expr): readonly [Expr] => [a.constant(0)];

/** The table. Only append: engines know the rows by position. */
export const instructions: Table = {
  add: binary(
    (a, b) => a + b,
    (a) => [a.constant(1), a.constant(1)],
  ),
  sub: binary(
    (a, b) => a - b,
    (a) => [a.constant(1), a.constant(-1)],
  ),
  mul: binary(
    (a, b) => a * b,
    (a, b) => [b, a],
  ),
  div: binary(
    (a, b) => a / b,
    (_, b, y) => [b.reciprocal(), y.div(b).neg()],
  ),
  max: binary(max, (a, b) => [b.less(a).add(a.equal(b).mul(0.5)), a.less(b).add(a.equal(b).mul(0.5))]),
  min: binary(min, (a, b) => [a.less(b).add(a.equal(b).mul(0.5)), b.less(a).add(a.equal(b).mul(0.5))]),
  pow: binary(power, (a, b, y) => [
    b.equal(0).select(0, b.mul(a.pow(b.sub(1)))),
    a.equal(0).mul(b.less(0).not()).select(0, y.mul(a.log())), // the limit of 0^b log 0
  ]),
  atan2: binary(Math.atan2, (a, b) => {
    const square = a.mul(a).add(b.mul(b));
    return [b.div(square), a.neg().div(square)];
  }),
  fmod: binary(
    (a, b) => a % b,
    (a, b) => [a.constant(1), a.div(b).trunc().neg()],
  ),
  remainder: binary(
    (a, b) => floorMod(a, b),
    (a, b) => [a.constant(1), a.div(b).floor().neg()],
  ),
  floorDiv: binary(
    (a, b) => Math.floor(a / b),
    (a) => [a.constant(0), a.constant(0)],
  ),
  polygamma: binary(null, (n, x) => [null, n.add(1).polygamma(x)]),
  less: binary(
    (a, b) => Number(a < b),
    (a) => [a.constant(0), a.constant(0)],
  ),
  lessEqual: binary(
    (a, b) => Number(a <= b),
    (a) => [a.constant(0), a.constant(0)],
  ),
  equal: binary(
    (a, b) => Number(a === b),
    (a) => [a.constant(0), a.constant(0)],
  ),
  notEqual: binary(
    (a, b) => Number(a !== b),
    (a) => [a.constant(0), a.constant(0)],
  ),
  and: binary((a, b) => a & b),
  or: binary((a, b) => a | b),
  xor: binary((a, b) => a ^ b),
  shiftLeft: binary((a, b) => a << b),
  shiftRight: binary((a, b) => a >> b),
  select: ternary(
    (c, a, b) => (c !== 0 ? a : b),
    (c, a) => [null, c.select(1, 0), c.select(a.constant(0), 1)],
  ),
  neg: unary(
    (a) => -a,
    (a) => [a.constant(-1)],
  ),
  abs: unary(Math.abs, (a) => [a.sign()]),
  sign: unary(Math.sign, zero),
  floor: unary(Math.floor, zero),
  ceil: unary(Math.ceil, zero),
  trunc: unary(Math.trunc, zero),
  round: unary(roundEven, zero),
  sqrt: unary(Math.sqrt, (_, y) => [y.reciprocal().mul(0.5)]),
  rsqrt: unary(
    (a) => 1 / Math.sqrt(a),
    (_, y) => [y.mul(y).mul(y).mul(-0.5)],
  ),
  reciprocal: unary(
    (a) => 1 / a,
    (_, y) => [y.mul(y).neg()],
  ),
  exp: unary(Math.exp, (_, y) => [y]),
  exp2: unary(
    (a) => 2 ** a,
    (_, y) => [y.mul(LN2)],
  ),
  expm1: unary(Math.expm1, (_, y) => [y.add(1)]),
  log: unary(Math.log, (a) => [a.reciprocal()]),
  log2: unary(Math.log2, (a) => [a.mul(LN2).reciprocal()]),
  log10: unary(Math.log10, (a) => [a.mul(Math.LN10).reciprocal()]),
  log1p: unary(Math.log1p, (a) => [a.add(1).reciprocal()]),
  sin: unary(Math.sin, (a) => [a.cos()]),
  cos: unary(Math.cos, (a) => [a.sin().neg()]),
  tan: unary(Math.tan, (_, y) => [y.mul(y).add(1)]),
  asin: unary(Math.asin, (a) => [a.constant(1).sub(a.mul(a)).rsqrt()]),
  acos: unary(Math.acos, (a) => [a.constant(1).sub(a.mul(a)).rsqrt().neg()]),
  atan: unary(Math.atan, (a) => [a.mul(a).add(1).reciprocal()]),
  sinh: unary(Math.sinh, (a) => [a.cosh()]),
  cosh: unary(Math.cosh, (a) => [a.sinh()]),
  tanh: unary(Math.tanh, (_, y) => [y.constant(1).sub(y.mul(y))]),
  asinh: unary(Math.asinh, (a) => [a.mul(a).add(1).rsqrt()]),
  acosh: unary(Math.acosh, (a) => [a.mul(a).sub(1).rsqrt()]),
  atanh: unary(Math.atanh, (a) => [a.constant(1).sub(a.mul(a)).reciprocal()]),
  sigmoid: unary(sigmoid, (_, y) => [y.mul(y.constant(1).sub(y))]),
  erf: unary(null, (a) => [a.mul(a).neg().exp().mul(TWO_OVER_SQRT_PI)]),
  erfc: unary(null, (a) => [a.mul(a).neg().exp().mul(-TWO_OVER_SQRT_PI)]),
  erfinv: unary(null, (_, y) => [
    y
      .mul(y)
      .exp()
      .mul(1 / TWO_OVER_SQRT_PI),
  ]),
  lgamma: unary(null, (a) => [a.digamma()]),
  digamma: unary(null, (a) => [a.constant(1).polygamma(a)]),
  isnan: unary((a) => Number(Number.isNaN(a)), zero),
  not: unary((a) => Number(a === 0), zero),
  bitNot: unary((a) => ~a),
};

export type InstructionName = keyof Table;
export const opcodes: readonly InstructionName[] = Object.keys(instructions) as InstructionName[];
export type Operation = Unary | Binary | Ternary;

/** IEEE pow, where JavaScript's differs: 1 to any power is 1, and so is -1 to an infinite one. */
function power(a: number, b: number): number {
  if (a === 1 || (a === -1 && Math.abs(b) === Number.POSITIVE_INFINITY)) return 1;
  return a ** b;
}

/** The remainder with the divisor's sign, as Python's %. */
function floorMod(a: number, b: number): number {
  const r = a % b;
  return r !== 0 && r < 0 !== b < 0 ? r + b : r;
}

/** 1 / (1 + e^-x), from the side on which nothing overflows. */
function sigmoid(x: number): number {
  if (x >= 0) return 1 / (1 + Math.exp(-x));
  const e = Math.exp(x);
  return e / (1 + e);
}
