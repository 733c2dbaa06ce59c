import { isFloat } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import { constant, type Expr, input, scalar } from '../expr/expr.js';
import type { Tensor } from '../tensor/tensor.js';
import { defineComposite } from './define.js';
import { asTensor, binary, type Pointwise, type TensorOrNumber, unary } from './elementwise.js';
import { mapTyped } from './mapTyped.js';
import { tuned } from './tuned.js';

type Unary = Pointwise<[x: Tensor]>;
type Binary = Pointwise<[a: Tensor, b: TensorOrNumber]>;

export interface AlphaOptions {
  /** What the second operand is multiplied by first. Default 1. */
  readonly alpha?: number;
}
type Scaled = Pointwise<[a: Tensor, b: TensorOrNumber, options?: AlphaOptions]>;

const plainAdd: Binary = binary('add', { expr: (a, b) => a.add(b) });
const plainSub: Binary = binary('sub', { expr: (a, b) => a.sub(b) });

/** The three-argument form of addition: `sign` · alpha scales the second operand. */
function scaled(name: string, plain: Binary, sign: 1 | -1): Scaled {
  const expr = input(0).add(input(1).mul(scalar(0)));
  const call = (a: Tensor, b: TensorOrNumber, { alpha = 1 }: AlphaOptions, into?: readonly Tensor[]): Tensor => {
    if (alpha === 1 || typeof b === 'number') {
      const right = typeof b === 'number' ? b * alpha : b;
      return into === undefined ? plain(a, right) : plain.inPlace(a, right);
    }
    return mapTyped(name, [a, b], expr, { scalars: [sign * alpha], into });
  };
  const op = defineComposite({
    name,
    compose: (a: Tensor, b: TensorOrNumber, options: AlphaOptions = {}) => call(a, b, options),
    *samples(random): Iterable<[a: Tensor, b: TensorOrNumber, options?: AlphaOptions]> {
      yield* plain.row.samples(random) as Iterable<[a: Tensor, b: TensorOrNumber]>;
      yield [random([2, 3]), random([3]), { alpha: 2.5 }];
      yield [random([3]), 2, { alpha: -0.5 }];
      yield [random.integers([4], -5, 6), random.integers([4], -5, 6)];
    },
    *errors(random): Iterable<readonly [[a: Tensor, b: TensorOrNumber], string]> {
      yield [[random([2, 3]), random([4])], 'do not broadcast'];
    },
  });
  return Object.assign(op, { inPlace: (a: Tensor, b: TensorOrNumber, options: AlphaOptions = {}) => call(a, b, options, [a]) });
}

/** a + alpha · b. */
export const add: Scaled = scaled('add', plainAdd, 1);
/** a - alpha · b. */
export const sub: Scaled = scaled('sub', plainSub, -1);
const plainRsub: Binary = binary('rsub', { expr: (a, b) => b.sub(a) });
/** b - alpha · a. */
export const rsub: Scaled = Object.assign(
  defineComposite({
    name: 'rsub',
    compose: (a: Tensor, b: TensorOrNumber, { alpha = 1 }: AlphaOptions = {}) => plainRsub(alpha === 1 ? a : mul(a, alpha), b),
    *samples(random): Iterable<[a: Tensor, b: TensorOrNumber, options?: AlphaOptions]> {
      yield* plainRsub.row.samples(random) as Iterable<[a: Tensor, b: TensorOrNumber]>;
      yield [random([2, 3]), random([3]), { alpha: 2.5 }];
    },
    *errors(random): Iterable<readonly [[a: Tensor, b: TensorOrNumber], string]> {
      yield [[random([2, 3]), random([4])], 'do not broadcast'];
    },
  }),
  {
    inPlace: (a: Tensor, b: TensorOrNumber, { alpha = 1 }: AlphaOptions = {}) =>
      plainRsub.inPlace(alpha === 1 ? a : mul.inPlace(a, alpha), b),
  },
);
/** a · b. */
export const mul: Binary = binary('mul', { expr: (a, b) => a.mul(b) });

export interface DivOptions {
  /** 'trunc' rounds the quotient towards zero, 'floor' down; both keep integers integer. Default: no rounding. */
  readonly roundingMode?: 'trunc' | 'floor';
}

/** a / b rounded down, exactly as Python's //: not the floor of a rounded quotient. */
const floorQuotient = (a: Expr, b: Expr): Expr => {
  const rest = a.fmod(b);
  const below = rest.notEqual(0).mul(b.less(0).notEqual(rest.less(0)));
  return b.equal(0).select(a.div(b), a.sub(rest).div(b).sub(below).round());
};
const trueDiv: Binary = binary('div', { expr: (a, b) => a.div(b), result: 'float', domain: [1, 3] });
const truncDiv: Binary = binary('div', { expr: (a, b) => a.div(b).trunc(), kinks: true });

/** a / b rounded down. Integers stay integers; float division by 0 gives infinities and NaN. The gradient is zero. */
export const floorDivide: Binary = binary('floorDivide', {
  expr: floorQuotient,
  ints: (a, b) => a.floorDiv(b),
  domain: [0.6, 3],
  points: [
    [-7, 2],
    [7, -2],
    [1, 0.1],
    [6, 3],
    [-6, 3],
  ],
  kinks: true,
});

const quotients = { none: trueDiv, trunc: truncDiv, floor: floorDivide } as const;
/** a / b. Integers divide to floats, unless `roundingMode` is given. */
export const div: Pointwise<[a: Tensor, b: TensorOrNumber, options?: DivOptions]> = Object.assign(
  defineComposite({
    name: 'div',
    compose: (a: Tensor, b: TensorOrNumber, { roundingMode }: DivOptions = {}) => quotients[roundingMode ?? 'none'](a, b),
    *samples(random): Iterable<[a: Tensor, b: TensorOrNumber, options?: DivOptions]> {
      yield* trueDiv.row.samples(random) as Iterable<[a: Tensor, b: TensorOrNumber]>;
      yield [random.integers([5], -9, 10), random.integers([5], 1, 5)];
      yield [random.integers([5], -9, 10), random.integers([5], 1, 5), { roundingMode: 'trunc' }];
      yield [random.integers([5], -9, 10), random.integers([5], 1, 5), { roundingMode: 'floor' }];
    },
    *errors(random): Iterable<readonly [[a: Tensor, b: TensorOrNumber], string]> {
      yield [[random([2, 3]), random([4])], 'do not broadcast'];
    },
  }),
  {
    inPlace: (a: Tensor, b: TensorOrNumber, { roundingMode }: DivOptions = {}) => quotients[roundingMode ?? 'none'].inPlace(a, b),
  },
);

/** The remainder of a / b with the sign of a (C's %). */
export const fmod: Binary = binary('fmod', {
  expr: (a, b) => a.fmod(b),
  domain: [0.6, 3],
  points: [
    [-7, 3],
    [7, -3],
    [-0.5, 2],
  ],
  kinks: true,
});
/** The remainder of a / b with the sign of b (Python's %). */
export const remainder: Binary = binary('remainder', {
  expr: (a, b) => a.remainder(b),
  domain: [0.6, 3],
  points: [
    [-7.5, 3],
    [7.5, -3],
    [-0.5, 2],
  ],
  kinks: true,
});
/** The larger of a and b; NaN if either is. Ties share the gradient evenly. */
export const maximum: Binary = binary('maximum', { expr: (a, b) => a.max(b), torch: asTensor('maximum') });
/** The smaller of a and b; NaN if either is. Ties share the gradient evenly. */
export const minimum: Binary = binary('minimum', { expr: (a, b) => a.min(b), torch: asTensor('minimum') });
/** The larger of a and b; where one is NaN, the other. Ties give their gradient to a. */
export const fmax: Binary = binary('fmax', {
  expr: (a, b) => a.isnan().select(b, b.isnan().select(a, a.max(b))),
  grad: (g, a, b) => {
    const first = b.lessEqual(a).max(b.isnan());
    return [first.select(g, 0), first.select(constant(0), g)];
  },
  torch: asTensor('fmax'),
});
/** The smaller of a and b; where one is NaN, the other. Ties give their gradient to a. */
export const fmin: Binary = binary('fmin', {
  expr: (a, b) => a.isnan().select(b, b.isnan().select(a, a.min(b))),
  grad: (g, a, b) => {
    const first = a.lessEqual(b).max(b.isnan());
    return [first.select(g, 0), first.select(constant(0), g)];
  },
  torch: asTensor('fmin'),
});
/** The angle of the point (b, a) in (-π, π]: the arc tangent of a / b in the right quadrant. The gradient at (0, 0) is 0. */
export const atan2: Binary = binary('atan2', {
  expr: (a, b) => a.atan2(b),
  grad: (g, a, b) => {
    const square = a.mul(a).add(b.mul(b));
    const slope = square.equal(0).select(0, g.div(square));
    return [slope.mul(b), slope.mul(a).neg()];
  },
  result: 'float',
  torch: asTensor('atan2'),
});
/** √(a² + b²), without overflow of the squares. The gradient at (0, 0) is 0. */
export const hypot: Binary = binary('hypot', {
  expr: (a, b) => {
    const [x, y] = [a.abs(), b.abs()];
    const [long, short] = [x.max(y), x.min(y)];
    const ratio = short.div(long);
    const easy = long.equal(0);
    const far = x.equal(Number.POSITIVE_INFINITY).max(y.equal(Number.POSITIVE_INFINITY)); // even beside NaN
    return far.select(Number.POSITIVE_INFINITY, easy.select(long, long.mul(ratio.mul(ratio).add(1).sqrt())));
  },
  grad: (g, a, b, y) => [y.equal(0).select(0, g.mul(a).div(y)), y.equal(0).select(0, g.mul(b).div(y))],
  points: [
    [3, 4],
    [-5, 12],
    [1, 0],
  ],
  result: 'float',
  torch: asTensor('hypot'),
});
/** log(eᵃ + eᵇ), without overflow; logarithms of probabilities add so. */
export const logaddexp: Binary = binary('logaddexp', {
  expr: (a, b) => a.equal(b).select(a.add(Math.LN2), a.max(b).add(a.sub(b).abs().neg().exp().log1p())),
  grad: (g, a, b) => {
    const apart = a.sub(b);
    const share = apart.isnan().select(0.5, apart.sigmoid()); // two equal infinities
    return [g.mul(share), g.mul(share.neg().add(1))];
  },
  points: [
    [100, -100],
    [-100, -100],
    [90, 91],
    [0, 0],
  ],
  result: 'float',
  torch: asTensor('logaddexp'),
});
/** log₂(2ᵃ + 2ᵇ), without overflow. */
export const logaddexp2: Binary = binary('logaddexp2', {
  expr: (a, b) => a.equal(b).select(a.add(1), a.max(b).add(a.sub(b).abs().neg().exp2().log1p().mul(Math.LOG2E))),
  grad: (g, a, b) => {
    const apart = a.sub(b);
    const share = apart.isnan().select(0.5, apart.mul(Math.LN2).sigmoid());
    return [g.mul(share), g.mul(share.neg().add(1))];
  },
  points: [
    [100, -100],
    [-100, -100],
    [90, 91],
    [0, 0],
  ],
  result: 'float',
  torch: asTensor('logaddexp2'),
});
/** a · log b, which is 0 where a is 0 (unless b is NaN). */
export const xlogy: Binary = binary('xlogy', {
  expr: (a, b) => a.equal(0).mul(b.isnan().not()).select(0, a.mul(b.log())),
  grad: (g, a, b) => [a.equal(0).mul(b.lessEqual(0)).select(0, g.mul(b.log())), g.mul(a).div(b)],
  result: 'float',
  domain: [0.3, 3],
  points: [
    [0, 2],
    [1, 0.5],
    [0, 0.25],
  ],
});
/** |a| with the sign of b, that of -0 too. */
export const copysign: Binary = binary('copysign', {
  expr: (a, b) => b.equal(0).select(b.reciprocal(), b).less(0).select(a.abs().neg(), a.abs()),
  grad: (g, a, _, y) => [a.equal(0).select(0, y.div(a).mul(g)), null],
  result: 'float',
  points: [
    [1.5, -0],
    [-1.5, 0],
    [2, -3],
  ],
  kinks: true,
});
/** a · 2ᵇ. */
export const ldexp: Binary = binary('ldexp', { expr: (a, b) => a.mul(b.exp2()), result: 'float', torch: asTensor('ldexp') });
/** 0 where a < 0, 1 where a > 0, and b where a is 0. Not differentiable. */
export const heaviside: Binary = binary('heaviside', {
  expr: (a, b) => a.equal(0).select(b, constant(0).less(a)),
  grad: () => [null, null],
  points: [
    [0, 0.5],
    [-1, 0.5],
    [1, 0.5],
  ],
  kinks: true,
  torch: { call: 'torch.heaviside(a[0], torch.as_tensor(a[1], dtype=a[0].dtype))' },
});

const generalPow: Binary = binary('pow', { expr: (a, b) => a.pow(b), domain: [0.3, 3] });
const root: Unary = unary('pow', { expr: (x) => x.sqrt() });
const inverse: Unary = unary('pow', { expr: (x) => x.reciprocal() });
const inverseRoot: Unary = unary('pow', { expr: (x) => x.rsqrt() });
const squared: Unary = unary('pow', { expr: (x) => x.mul(x), result: 'same' });
const cubed: Unary = unary('pow', { expr: (x) => x.mul(x).mul(x), result: 'same' });
const cheapPowers: ReadonlyMap<number, Unary> = new Map([
  [2, squared],
  [3, cubed],
  [0.5, root],
  [-0.5, inverseRoot],
  [-1, inverse],
]);

function power(a: Tensor, b: TensorOrNumber): readonly [Binary | Unary, TensorOrNumber] {
  if (typeof b !== 'number') return [generalPow, b];
  if (!isFloat(a.dtype) && Number.isInteger(b) && b < 0) {
    throw new LibError(
      'value',
      `pow: integers can only be raised to non-negative integers, got exponent ${b}.`,
      'convert with float() first.',
    );
  }
  return [cheapPowers.get(b) ?? generalPow, b];
}

/** a to the power b. Powers 2, 3, 0.5, -0.5 and -1 are a few multiplications or a root. */
export const pow: Binary = Object.assign(
  defineComposite({
    name: 'pow',
    compose(a: Tensor, b: TensorOrNumber): Tensor {
      const [op, exponent] = power(a, b);
      return (op as Binary)(a, exponent);
    },
    *samples(random): Iterable<[a: Tensor, b: TensorOrNumber]> {
      yield* generalPow.row.samples(random) as Iterable<[a: Tensor, b: TensorOrNumber]>;
      for (const b of [0, 1, 2, 3, 0.5, -0.5, -1, 2.5]) yield [random([5], { low: 0.3, high: 3 }), b];
      yield [random([5]), 2];
      yield [random([5]), -3];
      yield [random.integers([5], -5, 6), 3];
    },
    *errors(random): Iterable<readonly [[a: Tensor, b: TensorOrNumber], string]> {
      yield [[random([2, 3]), random([4])], 'do not broadcast'];
      yield [[random.integers([3], 1, 5), -2], 'non-negative'];
    },
  }),
  {
    inPlace(a: Tensor, b: TensorOrNumber): Tensor {
      const [op, exponent] = power(a, b);
      return op.inPlace(a, exponent);
    },
  },
);

/** -x. */
export const neg: Unary = unary('neg', { expr: (x) => x.neg(), result: 'same', noBools: 'logicalNot() is the opposite of bools.' });
/** +x: the values as they are. */
export const positive: Unary = unary('positive', { expr: (x) => x, result: 'same' });
/** |x|. The gradient at 0 is 0. */
export const abs: Unary = unary('abs', { expr: (x) => x.abs(), result: 'same' });
/** -1, 0 or 1. The gradient is zero. */
export const sign: Unary = unary('sign', { expr: (x) => x.sign(), result: 'same', points: [-2, 0, 3], kinks: true });
/** eˣ. */
export const exp: Unary = unary('exp', { expr: (x) => x.exp() });
/** 2ˣ. */
export const exp2: Unary = unary('exp2', { expr: (x) => x.exp2() });
/** eˣ - 1, exact near 0. */
export const expm1: Unary = unary('expm1', { expr: (x) => x.expm1(), points: [1e-6, -1e-6, 0, -30] });
/** The natural logarithm: -∞ at 0, NaN below. */
export const log: Unary = unary('log', { expr: (x) => x.log(), domain: [0.1, 4] });
/** The logarithm to base 2. */
export const log2: Unary = unary('log2', { expr: (x) => x.log2(), domain: [0.1, 4] });
/** The logarithm to base 10. */
export const log10: Unary = unary('log10', { expr: (x) => x.log10(), domain: [0.1, 4] });
/** log(1 + x), exact near 0. */
export const log1p: Unary = unary('log1p', { expr: (x) => x.log1p(), domain: [-0.8, 4], points: [1e-6, -1e-6, 0] });
/** √x; NaN below 0. */
export const sqrt: Unary = unary('sqrt', { expr: (x) => x.sqrt(), domain: [0.1, 4] });
/** 1 / √x. */
export const rsqrt: Unary = unary('rsqrt', { expr: (x) => x.rsqrt(), domain: [0.1, 4] });
/** x². */
export const square: Unary = unary('square', { expr: (x) => x.mul(x), result: 'same' });
/** 1 / x. */
export const reciprocal: Unary = unary('reciprocal', { expr: (x) => x.reciprocal(), domain: [0.3, 3] });
/** The sine of x radians. */
export const sin: Unary = unary('sin', { expr: (x) => x.sin(), points: [100, -100] });
/** The cosine of x radians. */
export const cos: Unary = unary('cos', { expr: (x) => x.cos(), points: [100, -100] });
/** The tangent of x radians. */
export const tan: Unary = unary('tan', { expr: (x) => x.tan(), domain: [-1.3, 1.3] });
/** The arc sine, for x in [-1, 1]. */
export const asin: Unary = unary('asin', { expr: (x) => x.asin(), domain: [-0.9, 0.9] });
/** The arc cosine, for x in [-1, 1]. */
export const acos: Unary = unary('acos', { expr: (x) => x.acos(), domain: [-0.9, 0.9] });
/** The arc tangent. */
export const atan: Unary = unary('atan', { expr: (x) => x.atan() });
/** The hyperbolic sine. */
export const sinh: Unary = unary('sinh', { expr: (x) => x.sinh() });
/** The hyperbolic cosine. */
export const cosh: Unary = unary('cosh', { expr: (x) => x.cosh() });
/** The hyperbolic tangent. */
export const tanh: Unary = unary('tanh', { expr: (x) => x.tanh(), points: [-100, -1e-3, 0, 1e-3, 100] });
/** The inverse of sinh. */
export const asinh: Unary = unary('asinh', { expr: (x) => x.asinh() });
/** The inverse of cosh, for x ≥ 1. */
export const acosh: Unary = unary('acosh', { expr: (x) => x.acosh(), domain: [1.2, 4] });
/** The inverse of tanh, for |x| < 1. */
export const atanh: Unary = unary('atanh', { expr: (x) => x.atanh(), domain: [-0.9, 0.9] });
/** 1 / (1 + e⁻ˣ). */
export const sigmoid: Unary = unary('sigmoid', { expr: (x) => x.sigmoid(), points: [-100, -1e-3, 0, 1e-3, 100] });
/** The error function, 2/√π ∫₀ˣ exp(-t²) dt. */
export const erf: Unary = unary('erf', { expr: (x) => x.erf(), points: [-3, 0, 3] });
/** 1 - erf(x), exact for large x. */
export const erfc: Unary = unary('erfc', { expr: (x) => x.erfc(), points: [-3, 0, 2.5] });
/** The inverse of erf, for x in [-1, 1]. */
export const erfinv: Unary = unary('erfinv', { expr: (x) => x.erfinv(), domain: [-0.9, 0.9] });
/** log |Γ(x)|. */
export const lgamma: Unary = unary('lgamma', { expr: (x) => x.lgamma(), domain: [0.3, 5] });
/** The derivative of lgamma. */
export const digamma: Unary = unary('digamma', { expr: (x) => x.digamma(), domain: [0.3, 5] });
/** The largest integer ≤ x. The gradient is zero. */
export const floor: Unary = unary('floor', { expr: (x) => x.floor(), result: 'same', kinks: true });
/** The smallest integer ≥ x. The gradient is zero. */
export const ceil: Unary = unary('ceil', { expr: (x) => x.ceil(), result: 'same', kinks: true });
/** x without its fraction. The gradient is zero. */
export const trunc: Unary = unary('trunc', { expr: (x) => x.trunc(), result: 'same', kinks: true });
/** The fraction of x, with its sign. */
export const frac: Unary = unary('frac', { expr: (x) => x.sub(x.trunc()), result: 'same', kinks: true });
/** sin(πx) / (πx), and 1 at 0. */
export const sinc: Unary = unary('sinc', {
  expr: (x) => {
    const angle = x.mul(Math.PI);
    return x.equal(0).select(1, angle.sin().div(angle));
  },
  grad: (g, x, y) => x.equal(0).select(0, g.mul(x.mul(Math.PI).cos().sub(y)).div(x)),
  points: [1, -2.5],
});
/** From degrees to radians. */
export const deg2rad: Unary = unary('deg2rad', { expr: (x) => x.mul(Math.PI / 180), domain: [-360, 360] });
/** From radians to degrees. */
export const rad2deg: Unary = unary('rad2deg', { expr: (x) => x.mul(180 / Math.PI) });

export interface RoundOptions {
  /** Decimal places to keep; negative ones round to tens and hundreds. Default 0. */
  readonly decimals?: number;
}
const wholeRound: Unary = unary('round', { expr: (x) => x.round(), result: 'same', points: [0.5, 1.5, -2.5, 2.4], kinks: true });
/** Scaled by one factor and back by its inverse, of which one is a whole number: powers of ten below 1 are not exact. */
const scaledRound: Pointwise<[x: Tensor, options: Required<RoundOptions>]> = tuned('round', {
  numbers: (_, { decimals }: Required<RoundOptions>) => (decimals > 0 ? [10 ** decimals, 1] : [1, 10 ** -decimals]),
  expr: (x, up, down) => x.mul(up).div(down).round().div(up).mul(down),
  result: 'same',
  calls: [[{ decimals: 1 }], [{ decimals: -1 }]],
  kinks: true,
});
/** The nearest integer (or decimal place), halves to even. The gradient is zero. */
export const round: Pointwise<[x: Tensor, options?: RoundOptions]> = Object.assign(
  defineComposite({
    name: 'round',
    compose: (x: Tensor, { decimals = 0 }: RoundOptions = {}) => (decimals === 0 ? wholeRound(x) : scaledRound(x, { decimals })),
    kinks: true,
    *samples(random): Iterable<[x: Tensor, options?: RoundOptions]> {
      yield* wholeRound.row.samples(random) as Iterable<[x: Tensor]>;
      yield [random([5], { low: -20, high: 20 }), { decimals: 1 }];
      yield [random([5], { low: -900, high: 900 }), { decimals: -2 }];
    },
  }),
  {
    inPlace: (x: Tensor, { decimals = 0 }: RoundOptions = {}) =>
      decimals === 0 ? wholeRound.inPlace(x) : scaledRound.inPlace(x, { decimals }),
  },
);

export interface LogitOptions {
  /** Clamp x to [eps, 1 - eps] first. Default: no clamping. */
  readonly eps?: number;
}
/** log(x / (1 - x)): the inverse of the sigmoid. */
export const logit: Pointwise<[x: Tensor, options?: LogitOptions]> = tuned('logit', {
  numbers: (_, { eps = -1 }: LogitOptions = {}) => (eps < 0 ? [Number.NEGATIVE_INFINITY, Number.POSITIVE_INFINITY] : [eps, 1 - eps]),
  expr: (x, low, high) => {
    const p = x.less(low).select(low, high.less(x).select(high, x)); // the lower bound wins, as in PyTorch
    return p.div(p.neg().add(1)).log();
  },
  grad: (g, x, _, low, high) => {
    const inside = low.lessEqual(x).mul(x.lessEqual(high));
    return inside.select(g.div(x.mul(x.neg().add(1))), 0);
  },
  domain: [0.05, 0.95],
  calls: [[], [{ eps: 0.2 }]],
});

export interface NanToNumOptions {
  /** What replaces NaN. Default 0. */
  readonly nan?: number;
  /** What replaces +∞. Default: the type's largest number. */
  readonly posinf?: number;
  /** What replaces -∞. Default: the type's lowest number. */
  readonly neginf?: number;
}
const largest = { float64: Number.MAX_VALUE, float32: 3.4028234663852886e38, bfloat16: 3.3895313892515355e38, float16: 65504 } as const;
const largestOf = ({ dtype }: Tensor): number => (dtype in largest ? largest[dtype as keyof typeof largest] : 0);
/** x with numbers in place of NaN and infinities, which get no gradient. */
export const nanToNum: Pointwise<[x: Tensor, options?: NanToNumOptions]> = tuned('nanToNum', {
  numbers: (x, { nan = 0, posinf = largestOf(x), neginf = -largestOf(x) }: NanToNumOptions = {}) => [nan, posinf, neginf],
  expr: (x, nan, posinf, neginf) => {
    const finite = x.equal(Number.NEGATIVE_INFINITY).select(neginf, x);
    return x.isnan().select(nan, x.equal(Number.POSITIVE_INFINITY).select(posinf, finite));
  },
  ints: (x) => x,
  grad: (g, x) => x.abs().less(Number.POSITIVE_INFINITY).select(g, 0),
  result: 'same',
  points: [1, -2, 0],
  calls: [[], [{ nan: 1, posinf: 2, neginf: -2 }]],
  torch: { call: 'torch.nan_to_num(a[0], **o)' },
});
