import { LibError } from '../core/errors.js';
import { formatShape, type Shape } from '../core/shape.js';
import type { ConvGeometry } from '../program/kernel.js';
import type { Tensor } from '../tensor/tensor.js';
import { conv, convInput } from './convRows.js';
import { batched, checkWeight, convGeometry, type PerDim, perDim, transposedGeometry } from './convShape.js';
import { defineComposite, type Op } from './define.js';
import { functional } from './fused.js';
import { pad } from './pad.js';

export interface ConvOptions {
  /** One number for each output channel. */
  readonly bias?: Tensor | null;
  /** How far the kernel moves between outputs. Default 1. */
  readonly stride?: PerDim;
  /** Zeros around the input: a count, one for each spatial dim, 'valid' (0) or 'same' (the output has the input's size). Default 0. */
  readonly padding?: PerDim | 'same' | 'valid';
  /** The distance between taps of the kernel. Default 1. */
  readonly dilation?: PerDim;
  /** Channels fall into this many groups that do not see each other. Default 1. */
  readonly groups?: number;
}

export interface ConvTransposeOptions extends Omit<ConvOptions, 'padding'> {
  /** What the forward convolution pads; the output shrinks by it. Default 0. */
  readonly padding?: PerDim;
  /** Added to one end of the output, to choose among the sizes that a strided convolution maps to one. Default 0. */
  readonly outputPadding?: PerDim;
}

/** What a call's shapes and options come to. Decided once: equal calls find the same object, and gradients reuse its geometry. */
interface ConvPlan {
  readonly geometry: ConvGeometry;
  /** Zeros that padding 'same' puts on the far ends of x beyond the symmetric ones; null: none. */
  readonly extra: readonly number[] | null;
}

const plans = new Map<string, ConvPlan>();

function planned(signature: string, make: () => ConvPlan): ConvPlan {
  let known = plans.get(signature);
  if (known === undefined) {
    known = make();
    plans.set(signature, known);
  }
  return known;
}

function checkBias(op: string, bias: Tensor | null, channels: number, weight: Tensor): void {
  if (bias !== null && bias.dtype !== weight.dtype)
    throw new LibError('dtype', `${op}: weight and bias must have one type, got ${weight.dtype} and ${bias.dtype}.`);
  if (bias !== null && (bias.ndim !== 1 || bias.size !== channels)) {
    throw new LibError('shape', `${op}: the bias must be (${channels},), got ${formatShape(bias.shape)}.`);
  }
}

function planConv(
  op: string,
  rank: number,
  x: Shape,
  weight: Shape,
  { stride = 1, padding = 0, dilation = 1, groups = 1 }: ConvOptions,
): ConvPlan {
  const numbers = { stride: perDim(op, 'stride', stride, rank, 1), dilation: perDim(op, 'dilation', dilation, rank, 1), groups };
  if (padding !== 'same') {
    const pads = perDim(op, 'padding', padding === 'valid' ? 0 : padding, rank, 0);
    return { geometry: convGeometry(op, x, weight, { ...numbers, padding: pads }), extra: null };
  }
  if (numbers.stride.some((s) => s !== 1)) {
    throw new LibError('value', `${op}: padding 'same' needs stride 1, got stride [${numbers.stride.join(', ')}].`);
  }
  const total = numbers.dilation.map((d, i) => d * ((weight[i + 2] ?? 1) - 1));
  const odd = total.map((t) => t % 2);
  const padded = x.map((size, d) => size + (odd[d - 2] ?? 0));
  const geometry = convGeometry(op, padded, weight, { ...numbers, padding: total.map((t) => Math.floor(t / 2)) });
  return { geometry, extra: odd.some((o) => o > 0) ? [...odd].reverse().flatMap((o) => [0, o]) : null };
}

function convolve(op: string, rank: number, x: Tensor, weight: Tensor, options: ConvOptions): Tensor {
  const { bias = null, stride, padding, dilation, groups } = options;
  checkWeight(op, x, weight, rank);
  checkBias(op, bias, weight.shape[0] ?? 0, weight);
  const whole = batched(op, x, rank);
  const signature = `${rank}|${whole.shape}|${weight.shape}|${stride}|${padding}|${dilation}|${groups}`;
  const { geometry, extra } = planned(signature, () => planConv(op, rank, whole.shape, weight.shape, options));
  const y = conv(extra ? pad(whole, extra) : whole, weight, geometry, rank, bias ?? undefined);
  return x.ndim === rank + 1 ? y.reshape(y.shape.slice(1)) : y;
}

function convolveTransposed(op: string, rank: number, x: Tensor, weight: Tensor, options: ConvTransposeOptions): Tensor {
  const { bias = null, stride = 1, padding = 0, outputPadding = 0, dilation = 1, groups = 1 } = options;
  checkWeight(op, x, weight, rank);
  checkBias(op, bias, (weight.shape[1] ?? 0) * groups, weight);
  const whole = batched(op, x, rank);
  const signature = `T${rank}|${whole.shape}|${weight.shape}|${stride}|${padding}|${outputPadding}|${dilation}|${groups}`;
  const { geometry } = planned(signature, () => {
    const numbers = {
      stride: perDim(op, 'stride', stride, rank, 1),
      padding: perDim(op, 'padding', padding, rank, 0),
      dilation: perDim(op, 'dilation', dilation, rank, 1),
      groups,
    };
    const extra = perDim(op, 'outputPadding', outputPadding, rank, 0);
    return { geometry: transposedGeometry(op, whole.shape, weight.shape, numbers, extra), extra: null };
  });
  const product = convInput(whole, weight, geometry, rank);
  const y = bias === null ? product : product.add(bias.reshape([bias.size, ...new Array<number>(rank).fill(1)]));
  return x.ndim === rank + 1 ? y.reshape(y.shape.slice(1)) : y;
}

type Conv = Op<[x: Tensor, weight: Tensor, options?: ConvOptions]>;
type ConvTranspose = Op<[x: Tensor, weight: Tensor, options?: ConvTransposeOptions]>;

/** Correlates x (batch, in, length) with weight (out, in / groups, kernel), plus bias. The batch dim may be missing. */
export const conv1d: Conv = defineComposite({
  name: 'conv1d',
  compose: (x: Tensor, weight: Tensor, options: ConvOptions = {}) => convolve('conv1d', 1, x, weight, options),
  *samples(random): Iterable<[x: Tensor, weight: Tensor, options?: ConvOptions]> {
    yield [random([2, 3, 7]), random([4, 3, 3])];
    yield [random([2, 4, 9]), random([6, 2, 3]), { bias: random([6]), stride: 2, padding: 1, dilation: 2, groups: 2 }];
    yield [random([3, 6]), random([2, 3, 4]), { padding: 'same' }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, weight: Tensor, options?: ConvOptions], string]> {
    yield [[random([2, 3, 7]), random([4, 2, 3])], 'must agree in channels'];
    yield [[random([2, 3, 2]), random([4, 3, 3])], 'must fit the padded input'];
    yield [[random([2, 3, 7]), random([4, 3, 3]), { stride: 0 }], 'stride must be a whole number of at least 1'];
    yield [[random([3]), random([4, 3, 3])], 'must be (batch, channels, length)'];
  },
  torch: functional('conv1d'),
});

/**
 * Correlates x (batch, in, height, width) with weight (out, in / groups, kh, kw), plus bias. The batch dim may be missing. In float32 the
 * native engine takes Winograd's way where taps are 3 x 3 and the stride is 1: an infinity or NaN makes NaN of all results whose 2 x 2
 * tile reads it, and errors are relative to the largest value of a tile, not of a window.
 */
export const conv2d: Conv = defineComposite({
  name: 'conv2d',
  compose: (x: Tensor, weight: Tensor, options: ConvOptions = {}) => convolve('conv2d', 2, x, weight, options),
  *samples(random): Iterable<[x: Tensor, weight: Tensor, options?: ConvOptions]> {
    yield [random([2, 3, 5, 6]), random([4, 3, 3, 3]), { bias: random([4]) }];
    yield [random([1, 2, 6, 6]), random([3, 2, 3, 3]), { stride: 2, padding: 1 }];
    yield [random([1, 4, 7, 5]), random([4, 2, 3, 2]), { dilation: [2, 1], groups: 2, padding: [1, 0] }];
    yield [random([1, 2, 4, 4]), random([2, 1, 2, 3]), { groups: 2, padding: 'same' }];
    yield [random([2, 4, 4]), random([1, 2, 3, 3]), { padding: 'valid' }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, weight: Tensor, options?: ConvOptions], string]> {
    yield [[random([1, 3, 5, 5]), random([4, 2, 3, 3])], 'must agree in channels'];
    yield [[random([1, 3, 5, 5]), random([4, 3, 3])], 'must have 4 dims'];
    yield [[random([1, 3, 5, 5]), random([4, 3, 3, 3]), { bias: random([3]) }], 'the bias must be'];
    yield [[random([1, 3, 5, 5]), random([4, 3, 3, 3]), { bias: random.integers([4], 0, 3) }], 'weight and bias must have one type'];
    yield [[random([1, 3, 5, 5]), random([4, 3, 3, 3]), { stride: 2, padding: 'same' }], "padding 'same' needs stride 1"];
  },
  torch: functional('conv2d'),
});

/**
 * Correlates x (batch, in, depth, height, width) with weight (out, in / groups, kd, kh, kw), plus bias. The batch dim may be missing. Where
 * kh and kw are 3 and the stride is 1, values that are not finite and errors are as in conv2d.
 */
export const conv3d: Conv = defineComposite({
  name: 'conv3d',
  compose: (x: Tensor, weight: Tensor, options: ConvOptions = {}) => convolve('conv3d', 3, x, weight, options),
  *samples(random): Iterable<[x: Tensor, weight: Tensor, options?: ConvOptions]> {
    yield [random([1, 2, 3, 4, 4]), random([2, 2, 2, 3, 2]), { bias: random([2]), stride: [1, 2, 1], padding: [0, 1, 1] }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, weight: Tensor, options?: ConvOptions], string]> {
    yield [[random([1, 3, 5, 5]).select(0, 0).select(0, 0), random([4, 3, 3, 3, 3])], 'must be (batch, channels, depth'];
  },
  torch: functional('conv3d'),
});

/** The transpose (adjoint) of {@link conv1d}: x (batch, in, length), weight (in, out / groups, kernel). */
export const convTranspose1d: ConvTranspose = defineComposite({
  name: 'convTranspose1d',
  compose: (x: Tensor, weight: Tensor, options: ConvTransposeOptions = {}) => convolveTransposed('convTranspose1d', 1, x, weight, options),
  *samples(random): Iterable<[x: Tensor, weight: Tensor, options?: ConvTransposeOptions]> {
    yield [random([2, 3, 4]), random([3, 2, 3]), { bias: random([2]) }];
    yield [random([1, 4, 4]), random([4, 1, 3]), { stride: 2, padding: 1, outputPadding: 1, groups: 2 }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, weight: Tensor, options?: ConvTransposeOptions], string]> {
    yield [[random([2, 3, 4]), random([2, 3, 3])], 'must agree in channels'];
    yield [[random([2, 3, 4]), random([3, 2, 3]), { outputPadding: 1 }], 'must be less than stride or dilation'];
  },
  torch: functional('conv_transpose1d'),
});

/** The transpose (adjoint) of {@link conv2d}: x (batch, in, height, width), weight (in, out / groups, kh, kw). */
export const convTranspose2d: ConvTranspose = defineComposite({
  name: 'convTranspose2d',
  compose: (x: Tensor, weight: Tensor, options: ConvTransposeOptions = {}) => convolveTransposed('convTranspose2d', 2, x, weight, options),
  *samples(random): Iterable<[x: Tensor, weight: Tensor, options?: ConvTransposeOptions]> {
    yield [random([1, 2, 3, 4]), random([2, 3, 3, 2])];
    yield [random([2, 2, 3, 3]), random([2, 1, 3, 3]), { bias: random([1]), stride: 2, padding: 1, outputPadding: [1, 0] }];
    yield [random([2, 3, 3]), random([2, 1, 2, 2]), { groups: 2, dilation: 2 }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, weight: Tensor, options?: ConvTransposeOptions], string]> {
    yield [[random([1, 2, 3, 3]), random([2, 3, 3, 3]), { padding: 3 }], 'must not be empty'];
  },
  torch: functional('conv_transpose2d'),
});

/** The transpose (adjoint) of {@link conv3d}: x (batch, in, depth, height, width), weight (in, out / groups, kd, kh, kw). */
export const convTranspose3d: ConvTranspose = defineComposite({
  name: 'convTranspose3d',
  compose: (x: Tensor, weight: Tensor, options: ConvTransposeOptions = {}) => convolveTransposed('convTranspose3d', 3, x, weight, options),
  *samples(random): Iterable<[x: Tensor, weight: Tensor, options?: ConvTransposeOptions]> {
    yield [random([1, 2, 2, 3, 2]), random([2, 2, 2, 2, 3]), { bias: random([2]), stride: [1, 2, 1], padding: [0, 1, 1] }];
  },
  torch: functional('conv_transpose3d'),
});
