import { LibError } from '../core/errors.js';
import type { Expr } from '../expr/expr.js';
import type { Tensor } from '../tensor/tensor.js';
import { defineComposite } from './define.js';
import { type Pointwise, unary } from './elementwise.js';
import { tuned } from './tuned.js';

type Unary = Pointwise<[x: Tensor]>;
/** Places where activations go wrong: far out, and around zero. */
const FAR = [-100, -20, -1e-3, 1e-3, 20, 100] as const;
/** The same without what finite differences cannot see near a bend at 0. */
const BENT = [-100, -20, -0.5, 0.5, 20, 100] as const;

/** log(1 + eˣ) where the exponent is never positive; by one comparison, so that derivatives of every order are right at 0. */
const logOnePlusExp = (x: Expr): Expr => x.less(0).select(0, x).add(x.less(0).select(x, x.neg()).exp().log1p());

/** max(x, 0). The gradient at 0 is 0. */
export const relu: Unary = unary('relu', {
  expr: (x) => x.lessEqual(0).select(0, x), // NaN stays NaN
  grad: (g, _, y) => y.lessEqual(0).select(0, g),
  result: 'same',
  points: BENT,
});
/** min(max(x, 0), 6). The gradient is 0 outside (0, 6). */
export const relu6: Unary = unary('relu6', {
  expr: (x) => x.max(0).min(6),
  grad: (g, _, y) => y.lessEqual(0).max(y.equal(6)).select(0, g),
  result: 'same',
  domain: [-2, 8],
  torch: { call: 'torch.nn.functional.relu6(a[0])' },
});

export interface LeakyReluOptions {
  /** Slope for x ≤ 0. Default 0.01. */
  readonly negativeSlope?: number;
}
/** x where x > 0, else negativeSlope · x. */
export const leakyRelu: Pointwise<[x: Tensor, options?: LeakyReluOptions]> = tuned('leakyRelu', {
  numbers: (_, { negativeSlope = 0.01 }: LeakyReluOptions = {}) => [negativeSlope],
  expr: (x, slope) => x.lessEqual(0).select(x.mul(slope), x),
  points: BENT,
  calls: [[], [{ negativeSlope: 0.2 }]],
  torch: { call: 'torch.nn.functional.leaky_relu(a[0], **o)' },
});

/** A slope that is `left` below 0, a constant at 0 and 1 above: its own slope at 0 is 0, as in PyTorch. */
const bend = (x: Expr, left: Expr, middle: Expr | number): Expr => x.less(0).select(left, x.lessEqual(0).select(middle, 1));

export interface AlphaScale {
  /** Depth of the negative side. Default 1. */
  readonly alpha?: number;
}
/** x where x > 0, else alpha · (eˣ - 1). */
export const elu: Pointwise<[x: Tensor, options?: AlphaScale]> = tuned('elu', {
  numbers: (_, { alpha = 1 }: AlphaScale = {}) => [alpha],
  expr: (x, alpha) => x.lessEqual(0).select(x.expm1().mul(alpha), x),
  grad: (g, x, _, alpha) => g.mul(bend(x, x.exp().mul(alpha), alpha)),
  points: BENT,
  calls: [[], [{ alpha: 0.5 }]],
  torch: { call: 'torch.nn.functional.elu(a[0], **o)' },
});
/** x where x > 0, else alpha · (exp(x / alpha) - 1): an elu with slope 1 on both sides of 0. */
export const celu: Pointwise<[x: Tensor, options?: AlphaScale]> = tuned('celu', {
  numbers(_, { alpha = 1 }: AlphaScale = {}) {
    if (alpha === 0) throw new LibError('value', 'celu: alpha must not be 0, got 0.');
    return [alpha];
  },
  expr: (x, alpha) => x.lessEqual(0).select(x.div(alpha).expm1().mul(alpha), x),
  grad: (g, x, _, alpha) => g.mul(bend(x, x.div(alpha).exp(), 1)),
  points: BENT,
  calls: [[], [{ alpha: 0.5 }]],
  wrong: [[[{ alpha: 0 }], 'alpha must not be 0']],
});

const SELU_ALPHA = 1.6732632423543772;
const SELU_SCALE = 1.0507009873554805;
/** The scaled elu whose fixed point is mean 0 and variance 1 (Klambauer et al. 2017). */
export const selu: Unary = unary('selu', {
  expr: (x) => x.lessEqual(0).select(x.expm1().mul(SELU_ALPHA), x).mul(SELU_SCALE),
  grad: (g, x) => bend(x, x.exp().mul(SELU_ALPHA), SELU_ALPHA).mul(SELU_SCALE).mul(g),
  points: BENT,
});

const exactGelu: Unary = unary('gelu', {
  // With erfc the far left tail would keep its relative precision too, but it takes several times as long.
  expr: (x) => x.mul(0.5).mul(x.mul(Math.SQRT1_2).erf().add(1)),
  grad: (g, x) => {
    const cdf = x.mul(Math.SQRT1_2).erf().add(1).mul(0.5);
    const pdf = x
      .mul(x)
      .mul(-0.5)
      .exp()
      .mul(1 / Math.sqrt(2 * Math.PI));
    return cdf.add(x.mul(pdf)).mul(g);
  },
  points: FAR,
});
const tanhGelu: Unary = unary('gelu', {
  // x · (1 + tanh u) / 2 is x · sigmoid(2u), whose tails do not cancel.
  expr: (x) =>
    x.mul(
      x
        .mul(x)
        .mul(x)
        .mul(0.044715)
        .add(x)
        .mul(2 * Math.sqrt(2 / Math.PI))
        .sigmoid(),
    ),
  points: FAR,
});
function geluForm({ approximate = 'none' }: GeluOptions): Unary {
  if (approximate !== 'none' && approximate !== 'tanh')
    throw new LibError('option', `gelu: approximate must be 'none' or 'tanh', got '${approximate as string}'.`);
  return approximate === 'tanh' ? tanhGelu : exactGelu;
}
export interface GeluOptions {
  /** 'tanh' for the cheaper approximation of the GPT papers. Default 'none'. */
  readonly approximate?: 'none' | 'tanh';
}
/** x · Φ(x), Φ the normal distribution function. */
export const gelu: Pointwise<[x: Tensor, options?: GeluOptions]> = Object.assign(
  defineComposite({
    name: 'gelu',
    compose: (x: Tensor, options: GeluOptions = {}) => geluForm(options)(x),
    torch: { call: 'torch.nn.functional.gelu(a[0], **o)' },
    *samples(random): Iterable<[x: Tensor, options?: GeluOptions]> {
      yield* exactGelu.row.samples(random) as Iterable<[Tensor]>;
      for (const [x] of tanhGelu.row.samples(random) as Iterable<[Tensor]>) yield [x, { approximate: 'tanh' }];
    },
    *errors(random): Iterable<readonly [[x: Tensor, options?: GeluOptions], string]> {
      yield [[random([2]), { approximate: 'asdf' as 'tanh' }], "approximate must be 'none' or 'tanh', got 'asdf'"];
    },
  }),
  { inPlace: (x: Tensor, options: GeluOptions = {}) => geluForm(options).inPlace(x) },
);

/** x · sigmoid(x). */
export const silu: Unary = unary('silu', {
  expr: (x) => x.mul(x.sigmoid()),
  points: FAR,
  torch: { call: 'torch.nn.functional.silu(a[0])' },
});
/** x · tanh(softplus(x)). */
export const mish: Unary = unary('mish', {
  expr: (x) => x.mul(logOnePlusExp(x).tanh()),
  grad: (g, x) => {
    const t = logOnePlusExp(x).tanh();
    return t.add(x.mul(x.sigmoid()).mul(t.mul(t).neg().add(1))).mul(g);
  },
  points: FAR,
  torch: { call: 'torch.nn.functional.mish(a[0])' },
});

export interface SoftplusOptions {
  /** Sharpness. Default 1. */
  readonly beta?: number;
  /** The function is linear where beta · x exceeds this. Default 20. */
  readonly threshold?: number;
}
/**
 * log(1 + exp(beta · x)) / beta, without overflow.
 * @example tensor([0]).softplus() // [0.6931]
 */
export const softplus: Pointwise<[x: Tensor, options?: SoftplusOptions]> = tuned('softplus', {
  numbers: (_, { beta = 1, threshold = 20 }: SoftplusOptions = {}) => [beta, threshold],
  expr: (x, beta, threshold) => {
    const scaled = x.mul(beta);
    return threshold.less(scaled).select(x, logOnePlusExp(scaled).div(beta));
  },
  grad: (g, x, _, beta, threshold) => {
    const scaled = x.mul(beta);
    return threshold.less(scaled).select(g, g.mul(scaled.sigmoid()));
  },
  points: [-100, -19, -1e-3, 0, 1e-3, 19, 100],
  calls: [[], [{ beta: 2 }], [{ threshold: 5 }]],
  torch: { call: 'torch.nn.functional.softplus(a[0], **o)' },
});
/** log(sigmoid(x)) = -softplus(-x), without overflow. */
export const logsigmoid: Unary = unary('logsigmoid', {
  expr: (x) => x.min(0).sub(x.abs().neg().exp().log1p()),
  grad: (g, x) => g.mul(x.neg().sigmoid()),
  points: [...FAR, 0],
  torch: { call: 'torch.nn.functional.logsigmoid(a[0])' },
});

export interface HardtanhOptions {
  /** Default -1. */
  readonly minVal?: number;
  /** Default 1. */
  readonly maxVal?: number;
}
/** x cut off to [minVal, maxVal]. The gradient is 0 outside the open interval. */
export const hardtanh: Pointwise<[x: Tensor, options?: HardtanhOptions]> = tuned('hardtanh', {
  numbers(_, { minVal = -1, maxVal = 1 }: HardtanhOptions = {}) {
    if (!(minVal <= maxVal)) throw new LibError('value', `hardtanh: minVal must not exceed maxVal, got ${minVal} and ${maxVal}.`);
    return [minVal, maxVal];
  },
  expr: (x, low, high) => x.max(low).min(high),
  grad: (g, x, _, low, high) => low.less(x).mul(x.less(high)).select(g, 0),
  result: 'same',
  points: BENT,
  calls: [[], [{ minVal: -0.5, maxVal: 2 }]],
  wrong: [[[{ minVal: 2, maxVal: 1 }], 'must not exceed']],
  torch: { call: 'torch.nn.functional.hardtanh(a[0], **o)' },
});
/** min(max(x / 6 + 1/2, 0), 1). */
export const hardsigmoid: Unary = unary('hardsigmoid', {
  expr: (x) => x.add(3).max(0).min(6).div(6),
  grad: (g, x) => x.abs().less(3).select(g.div(6), 0),
  domain: [-5, 5],
  points: BENT,
  torch: { call: 'torch.nn.functional.hardsigmoid(a[0])' },
});
/** x · hardsigmoid(x). */
export const hardswish: Unary = unary('hardswish', {
  expr: (x) => x.mul(x.add(3).max(0).min(6).div(6)),
  grad: (g, x) => x.less(-3).select(0, x.lessEqual(3).select(g.mul(x.div(3).add(0.5)), g)),
  domain: [-5, 5],
  points: BENT,
  torch: { call: 'torch.nn.functional.hardswish(a[0])' },
});
/** x / (1 + |x|). */
export const softsign: Unary = unary('softsign', {
  expr: (x) => x.div(x.abs().add(1)),
  grad: (g, x) => {
    const d = x.abs().add(1);
    return g.div(d.mul(d));
  },
  points: BENT,
  torch: { call: 'torch.nn.functional.softsign(a[0])' },
});
/** x - tanh(x). */
export const tanhshrink: Unary = unary('tanhshrink', {
  expr: (x) => x.sub(x.tanh()),
  points: FAR,
  torch: { call: 'torch.nn.functional.tanhshrink(a[0])' },
});

export interface ShrinkOptions {
  /** Half the width of the flat middle. Default 0.5. */
  readonly lambd?: number;
}
/** x moved towards 0 by lambd, and 0 within it. */
export const softshrink: Pointwise<[x: Tensor, options?: ShrinkOptions]> = tuned('softshrink', {
  numbers(_, { lambd = 0.5 }: ShrinkOptions = {}) {
    if (!(lambd >= 0)) throw new LibError('value', `softshrink: lambd must be at least 0, got ${lambd}.`);
    return [lambd];
  },
  expr: (x, lambd) => lambd.less(x).select(x.sub(lambd), x.less(lambd.neg()).select(x.add(lambd), x.mul(0))),
  grad: (g, x, _, lambd) => x.abs().lessEqual(lambd).select(0, g),
  points: [-100, -20, -0.2, 0.2, 20, 100],
  calls: [[], [{ lambd: 1 }]],
  wrong: [[[{ lambd: -0.5 }], 'must be at least 0']],
  torch: { call: 'torch.nn.functional.softshrink(a[0], **o)' },
});
/** x, but 0 within lambd of 0. */
export const hardshrink: Pointwise<[x: Tensor, options?: ShrinkOptions]> = tuned('hardshrink', {
  numbers: (_, { lambd = 0.5 }: ShrinkOptions = {}) => [lambd],
  expr: (x, lambd) => x.abs().lessEqual(lambd).select(0, x),
  grad: (g, x, _, lambd) => x.abs().lessEqual(lambd).select(0, g),
  points: [-100, -20, -0.2, 0.2, 20, 100],
  calls: [[], [{ lambd: 1 }]],
});
/** x where x > limit, else value. */
export const threshold: Pointwise<[x: Tensor, limit: number, value: number]> = tuned('threshold', {
  numbers: (_, limit: number, value: number) => [limit, value],
  expr: (x, limit, value) => x.lessEqual(limit).select(value, x),
  grad: (g, x, _, limit) => x.lessEqual(limit).select(0, g),
  result: 'same',
  points: BENT,
  calls: [
    [0.1, 20],
    [-1, 0],
  ],
});
