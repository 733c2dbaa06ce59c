import { isFloat } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import { needWhole } from '../core/shape.js';
import { constant, type Expr, input } from '../expr/expr.js';
import { ones } from '../tensor/creation.js';
import { isTensor, type Tensor } from '../tensor/tensor.js';
import { defineComposite, type Op } from './define.js';
import { binary, noTensor, type Pointwise, promoteTensors, type TensorOrNumber, unary } from './elementwise.js';
import { mapTyped } from './mapTyped.js';
import { pow } from './pointwise.js';

/** Rows about how numbers are made: signs, divisors, exponents, neighbours; and gamma functions of a whole-number order. */

type Unary = Pointwise<[x: Tensor]>;
type Binary = Pointwise<[a: Tensor, b: TensorOrNumber]>;

/** The angle of a number in the complex plane: π below 0, else 0. The gradient is zero. */
export const angle: Unary = unary('angle', {
  expr: (x) => x.isnan().select(x, x.less(0).select(Math.PI, 0)),
  grad: () => null,
  kinks: true,
  points: [-1, 0, 1, Number.NaN],
});
/** -1, 0 or 1: for real numbers the same as {@link sign}. */
export const sgn: Unary = unary('sgn', { expr: (x) => x.sign(), result: 'same', kinks: true, points: [-2, 0, 3] });

/** Whether elements are real numbers: all are. */
export const isreal: Op<[x: Tensor]> = defineComposite({
  name: 'isreal',
  compose: (x: Tensor) => ones(x.shape, { dtype: 'bool', device: x.device }),
  differentiable: false,
  *samples(random): Iterable<[x: Tensor]> {
    yield [random([3])];
  },
});

/** Euclid's algorithm has taken int32 numbers to 0 after this many divisions. */
const DIVISIONS = 46;
function commonDivisor(a: Expr, b: Expr): Expr {
  let [x, y] = [a.abs(), b.abs()];
  for (let i = 0; i < DIVISIONS; i++) [x, y] = [y.equal(0).select(x, y), y.equal(0).select(0, x.fmod(y.equal(0).select(1, y)))];
  return x;
}
/** The greatest common divisor of integers; of 0 and 0 it is 0. */
export const gcd: Binary = binary('gcd', {
  expr: commonDivisor,
  only: 'int',
  torch: { call: 'torch.gcd(a[0], torch.as_tensor(a[1], dtype=torch.int32))' },
});
/** The least common multiple of integers; 0 where one of them is. */
export const lcm: Binary = binary('lcm', {
  expr: (a, b) => {
    const divisor = commonDivisor(a, b);
    return divisor.equal(0).select(0, a.floorDiv(divisor.equal(0).select(1, divisor)).mul(b).abs());
  },
  only: 'int',
  torch: { call: 'torch.lcm(a[0], torch.as_tensor(a[1], dtype=torch.int32))' },
});

/** a to the power b in float64. */
export const floatPower: Op<[a: Tensor, b: TensorOrNumber]> = defineComposite({
  name: 'floatPower',
  compose(a: Tensor, b: TensorOrNumber) {
    if (!isTensor(a)) throw noTensor('floatPower', a);
    return pow(a.double(), isTensor(b) ? b.double() : b);
  },
  *samples(random): Iterable<[a: Tensor, b: TensorOrNumber]> {
    yield [random([3], { low: 0.5, high: 2 }), random([2, 3])];
    yield [random.integers([4], 1, 5), -2];
  },
  *errors(random): Iterable<readonly [[a: Tensor, b: TensorOrNumber], string]> {
    yield [[2 as unknown as Tensor, random([2])], 'must be a tensor, got 2'];
  },
});

/** The exponent of a finite x ≠ 0 as frexp counts it, from a logarithm that may miss by one. */
function exponentOf(x: Expr): Expr {
  const guess = x.abs().log2().floor().add(1);
  const size = scaledDown(x.abs(), guess);
  const low = size.less(0.5);
  return guess.add(constant(1).lessEqual(size)).sub(low);
}
/** x · 2^-e, in two steps, for 2^-e alone may overflow. */
function scaledDown(x: Expr, e: Expr): Expr {
  const half = e.mul(0.5).floor();
  return x.mul(half.neg().exp2()).mul(half.sub(e).exp2());
}
const special = (x: Expr): Expr => x.equal(0).max(x.abs().less(Number.POSITIVE_INFINITY).not());
const mantissaExpr = special(input(0)).select(input(0), scaledDown(input(0), exponentOf(input(0))));
const exponentExpr = special(input(0)).select(0, exponentOf(input(0)));

export interface Frexp {
  /** In ±[0.5, 1), or 0. */
  readonly mantissa: Tensor;
  /** int32. */
  readonly exponent: Tensor;
}
/** x as mantissa · 2^exponent. */
export const frexp: Op<[x: Tensor], Frexp> = defineComposite({
  name: 'frexp',
  compose(x: Tensor): Frexp {
    if (!isFloat(x.dtype)) throw new LibError('dtype', `frexp: the tensor must be of a floating type, got ${x.dtype}.`);
    return {
      mantissa: mapTyped('frexp', [x], mantissaExpr),
      exponent: mapTyped('frexp', [x.detach()], exponentExpr, { dtype: 'int32', working: x.dtype }),
    };
  },
  *samples(random): Iterable<[x: Tensor]> {
    yield [random([2, 3], { low: -100, high: 100 })];
    yield [random([4], { low: -1e-3, high: 1e-3 })];
  },
  *errors(random): Iterable<readonly [[x: Tensor], string]> {
    yield [[random.integers([3], 0, 5)], 'must be of a floating type'];
  },
});

interface Format {
  /** Half the distance from 1 to its upper neighbour. */
  readonly unit: number;
  /** The least positive number. */
  readonly least: number;
  /** Where numbers begin to be that far apart, and a power of two that lifts them out of there. */
  readonly small: number;
  readonly lift: number;
}
const formats: Readonly<Record<'float32' | 'float64', Format>> = {
  float32: { unit: 2 ** -24, least: 2 ** -149, small: 2 ** -125, lift: 2 ** 60 },
  float64: { unit: 2 ** -53, least: 2 ** -1074, small: 2 ** -1021, lift: 2 ** 200 },
};

/** The neighbour of a away from 0, or towards it: Rump, Zimmermann, Boldo, Melquiond, BIT Numerical Mathematics 49 (2009). */
function neighbour(a: Expr, outward: Expr, { unit, least, small, lift }: Format): Expr {
  const direction = outward.select(1, -1);
  const nudge = (x: Expr): Expr => x.add(x.mul(direction.mul(unit * (1 + 2 * unit))));
  const lifted = nudge(a.mul(lift)).mul(1 / lift);
  const plain = a.less(small * lift ** 0.5).select(lifted, nudge(a));
  return a.less(small).select(a.add(direction.mul(least)), plain);
}
function nextExpr(format: Format): Expr {
  const [x, to] = [input(0), input(1)];
  const away = x.less(to).equal(constant(0).less(x));
  const near = neighbour(x.abs(), away, format);
  const moved = x.less(0).select(near.neg(), near);
  const fromZero = constant(0).less(to).select(format.least, -format.least);
  const changed = x.equal(0).select(fromZero, moved);
  const largest = format === formats.float64 ? Number.MAX_VALUE : 3.4028234663852886e38;
  const inward = x.abs().equal(Number.POSITIVE_INFINITY).select(x.sign().mul(largest), changed);
  return x.equal(to).select(to, x.isnan().max(to.isnan()).select(Number.NaN, inward));
}
const nextExprs = { float32: nextExpr(formats.float32), float64: nextExpr(formats.float64) } as const;

/** The next number of the type after a in the direction of b. The gradient by a is 1 wherever it moves. */
export const nextafter: Op<[a: Tensor, b: Tensor]> = defineComposite({
  name: 'nextafter',
  compose(a: Tensor, b: Tensor) {
    const dtype = promoteTensors(a, b);
    if (dtype !== 'float32' && dtype !== 'float64')
      throw new LibError('dtype', `nextafter: the tensors must be of type float32 or float64, got ${dtype}.`);
    return mapTyped('nextafter', [a, b], nextExprs[dtype], { slopes: [input(2).mul(input(0).notEqual(input(1))), null] });
  },
  kinks: true,
  *samples(random): Iterable<[a: Tensor, b: Tensor]> {
    yield [random([3, 4]), random([4])];
    yield [random([4]).round(), random([4])];
  },
  *errors(random): Iterable<readonly [[a: Tensor, b: Tensor], string]> {
    yield [[random.integers([2], 0, 3), random.integers([2], 0, 3)], 'float32 or float64'];
  },
});

const gammas = new Map<number, Unary>();
/** The n-th derivative of {@link digamma}, as a row of one tensor. */
function polygammaOf(n: number): Unary {
  const known = gammas.get(n) ?? unary('polygamma', { expr: (x) => (n === 0 ? x.digamma() : constant(n).polygamma(x)) });
  gammas.set(n, known);
  return known;
}
/** The n-th derivative of {@link digamma}: `x.polygamma(n)`; as a function the order comes first. */
export const polygamma: Op<[x: Tensor, n: number]> = defineComposite({
  name: 'polygamma',
  compose(x: Tensor, n: number) {
    needWhole('polygamma', 'the order', n, 0);
    return polygammaOf(n)(x);
  },
  *samples(random): Iterable<[x: Tensor, n: number]> {
    for (const n of [0, 1, 2, 4]) yield [random([5], { low: 0.5, high: 4 }), n];
    yield [random([3], { low: -2.9, high: -2.1 }), 1];
  },
  *errors(random): Iterable<readonly [[x: Tensor, n: number], string]> {
    yield [[random([2]), -1], 'whole number of at least 0'];
  },
  torch: { call: 'torch.polygamma(a[1], a[0])' },
});

const multivariate = new Map<number, Unary>();
function mvlgammaOf(p: number): Unary {
  const terms = (x: Expr): Expr =>
    Array.from({ length: p }, (_, i) => x.sub(i / 2).lgamma()).reduce(
      (sum, term) => sum.add(term),
      constant((p * (p - 1) * Math.log(Math.PI)) / 4),
    );
  const known = multivariate.get(p) ?? unary('mvlgamma', { expr: terms });
  multivariate.set(p, known);
  return known;
}
/** The logarithm of the multivariate gamma function of dimension p. */
export const mvlgamma: Op<[x: Tensor, p: number]> = defineComposite({
  name: 'mvlgamma',
  compose(x: Tensor, p: number) {
    needWhole('mvlgamma', 'p', p, 1);
    return mvlgammaOf(p)(x);
  },
  *samples(random): Iterable<[x: Tensor, p: number]> {
    for (const p of [1, 3, 5]) yield [random([4], { low: 3, high: 6 }), p];
  },
  *errors(random): Iterable<readonly [[x: Tensor, p: number], string]> {
    yield [[random([2]), 0], 'a whole number of at least 1'];
  },
});
