import { LibError } from '../core/errors.js';
import { formatShape, type Shape, sizeOf } from '../core/shape.js';
import { type Spec, specOf } from '../core/spec.js';
import type { WindowGeometry, WindowKernel } from '../program/kernel.js';
import type { Tensor } from '../tensor/tensor.js';
import { batched, type PerDim, perDim, triple } from './convShape.js';
import { defineOp, type Op } from './define.js';
import { needFloat } from './fused.js';
import type { AvgPoolOptions, MaxPoolOptions, OutputSize } from './pool.js';

/** The window kernels as rows, and the ways from PyTorch's arguments to them. */

export type Indexed = readonly [values: Tensor, indices: Tensor];

interface WindowSizes {
  readonly geometry: WindowGeometry;
  /** Of the result. */
  readonly shape: Shape;
  /** Names the geometry in caches. */
  readonly key: string;
}

interface WindowParams extends WindowSizes {
  readonly divisor: WindowKernel['divisor'];
}

const area = (sizes: readonly number[]): number => sizeOf(sizes);

const maxWindows: Op<[x: Tensor, params: WindowParams], Indexed> = defineOp({
  name: 'maxPool',
  args: (x: Tensor, params: WindowParams) => ({ inputs: [x.contiguous()], params, key: params.key }),
  infer: ([x], { shape }: WindowParams) => [specOf((x as Spec).dtype, shape), specOf('int32', shape)],
  kernel: ({ geometry, divisor }: WindowParams) => ({ family: 'window', by: 'max', geometry, divisor }),
  saves: ['output'],
  differentiable: [0],
  grad: ([g], { inputs: [x], outputs: [, indices], params }) => [g && x && indices ? maxAdjoint(g, indices, params, x.shape) : null],
  result: ([values, indices]) => [values as Tensor, indices as Tensor],
  *samples() {},
});

/** A gradient of each window, handed to its winner in a tensor of shape `back`. */
const maxAdjoint: Op<[g: Tensor, indices: Tensor, params: WindowParams, back: Shape]> = defineOp({
  name: 'maxPoolBackward',
  args: (g: Tensor, indices: Tensor, params: WindowParams, back: Shape) => ({
    inputs: [g.contiguous(), indices.contiguous()],
    params: { ...params, back },
    key: params.key,
  }),
  infer: ([g], { back }: WindowParams & { readonly back: Shape }) => specOf((g as Spec).dtype, back),
  kernel: ({ geometry, divisor }) => ({ family: 'window', by: 'maxAdjoint', geometry, divisor }),
  saves: [1],
  grad: ([g], { inputs: [, indices], params: { geometry, shape } }) => {
    if (!g || !indices) return [];
    const flat = (t: Tensor, inner: readonly number[]): Tensor => t.reshape([geometry.planes, area(inner)]);
    return [flat(g, geometry.input).gather(1, flat(indices, geometry.output)).reshape(shape), null];
  },
  *samples() {},
});

type Means = Op<[x: Tensor, params: WindowParams, back: Shape]>;

/** The mean of each window, and its transpose; `back` is the shape of what goes in, for the way back. */
function meanRow(by: 'mean' | 'meanAdjoint', transposed: () => Means): Means {
  return defineOp<[x: Tensor, params: WindowParams, back: Shape], WindowParams & { readonly back: Shape }>({
    name: by === 'mean' ? 'avgPool' : 'avgPoolBackward',
    args: (x, params, back) => ({
      inputs: [x.contiguous()],
      params: { ...params, back },
      key: `${params.key}${params.divisor}${params.shape}`,
    }),
    infer: ([x], { shape }) => specOf((x as Spec).dtype, shape),
    kernel: ({ geometry, divisor }) => ({ family: 'window', by, geometry, divisor }),
    grad: ([g], { params: { back, ...params } }) => [g ? transposed()(g, { ...params, shape: back }, params.shape) : null],
    *samples() {},
  });
}
const meanWindows: Means = meanRow('mean', () => meanAdjoint);
const meanAdjoint: Means = meanRow('meanAdjoint', () => meanWindows);

interface Pooled extends WindowSizes {
  readonly whole: Tensor;
  readonly finish: (y: Tensor) => Tensor;
}

const plans = new Map<string, WindowSizes>();

/** Adds the batch dim, and finds or makes the sizes that a call's shapes and options come to. */
function prepare(rank: number, op: string, x: Tensor, options: string, make: (input: Shape) => WindowSizes): Pooled {
  const whole = batched(op, x, rank);
  if (whole.size === 0 && whole.shape[0] !== 0)
    throw new LibError('shape', `${op}: sizes other than the batch's must be at least 1, got shape ${formatShape(x.shape)}.`);
  const signature = `${rank}|${whole.shape}|${options}`;
  let sizes = plans.get(signature);
  if (sizes === undefined) {
    sizes = make(whole.shape.slice(2));
    plans.set(signature, sizes);
  }
  const { geometry, shape, key } = sizes;
  return { whole, geometry, shape, key, finish: (y) => (x.ndim === rank + 1 ? y.reshape(shape.slice(1)) : y) };
}

type WindowOptions = Omit<WindowGeometry, 'planes' | 'input' | 'output'>;

function sized([batch = 1, channels = 1, ...input]: Shape, output: readonly number[], options: WindowOptions): WindowSizes {
  const geometry = { ...options, planes: batch * channels, input: triple(input, 1), output: triple(output, 1) };
  return { geometry, shape: [batch, channels, ...output], key: JSON.stringify(geometry) };
}

function windowed(op: string, rank: number, x: Tensor, kernelSize: PerDim, options: MaxPoolOptions): Pooled {
  const { stride, padding, dilation, ceilMode } = options;
  const words = `${kernelSize}|${stride}|${padding}|${dilation}|${ceilMode}`;
  return prepare(rank, op, x, words, (input) => {
    const { output, sizes } = windowSizes(op, rank, input, kernelSize, options);
    return sized(batched(op, x, rank).shape, output, sizes);
  });
}

/** The shape that pooling gives, with its batch dim. */
export const windowsOf = (op: string, rank: number, x: Tensor, kernelSize: PerDim, options: MaxPoolOptions): Shape =>
  windowed(op, rank, x, kernelSize, options).shape;

interface Windows {
  readonly output: readonly number[];
  readonly sizes: WindowOptions;
}

/** As in PyTorch, an empty list of strides says nothing. */
const isGiven = (stride: PerDim | undefined): stride is PerDim => stride !== undefined && (typeof stride === 'number' || stride.length > 0);

function windowSizes(op: string, rank: number, input: Shape, kernelSize: PerDim, options: MaxPoolOptions): Windows {
  const kernel = perDim(op, 'kernelSize', kernelSize, rank, 1);
  const stride = isGiven(options.stride) ? perDim(op, 'stride', options.stride, rank, 1) : kernel;
  const padding = perDim(op, 'padding', options.padding ?? 0, rank, 0);
  const dilation = perDim(op, 'dilation', options.dilation ?? 1, rank, 1);
  const output = input.map((size, i) => {
    const [k, s, p, d] = [kernel[i] ?? 1, stride[i] ?? 1, padding[i] ?? 0, dilation[i] ?? 1];
    const reach = d * (k - 1) + 1;
    if (p > Math.floor(reach / 2))
      throw new LibError('value', `${op}: padding must be at most half the kernel, got padding ${p} for kernel ${k}.`);
    const steps = (size + 2 * p - reach) / s;
    const count = (options.ceilMode ? Math.ceil(steps) : Math.floor(steps)) + 1;
    // The last window must start inside the input or the padding before it.
    return options.ceilMode && (count - 1) * s >= size + p ? count - 1 : count;
  });
  if (output.some((n) => n < 1)) {
    throw new LibError(
      'shape',
      `${op}: the window must fit the padded input, got input (${input.join(', ')}) and kernel (${kernel.join(', ')}).`,
    );
  }
  const sizes = {
    kernel: triple(kernel, 1),
    stride: triple(stride, 1),
    padding: triple(padding, 0),
    dilation: triple(dilation, 1),
    adaptive: false,
  };
  return { output, sizes };
}

const UNUSED: WindowOptions = { kernel: [1, 1, 1], stride: [1, 1, 1], padding: [0, 0, 0], dilation: [1, 1, 1], adaptive: true };

function adaptive(op: string, rank: number, x: Tensor, outputSize: OutputSize): Pooled {
  return prepare(rank, op, x, `adaptive ${JSON.stringify(outputSize)}`, (input) => {
    const sizes = typeof outputSize === 'number' ? new Array<number>(rank).fill(outputSize) : outputSize;
    const output = sizes.map((size, i) => size ?? input[i] ?? 1);
    if (output.length !== rank || !output.every((n) => Number.isInteger(n) && n >= 1)) {
      throw new LibError(
        'value',
        `${op}: outputSize must be a whole number of at least 1, or ${rank} of them, got [${output.join(', ')}].`,
      );
    }
    return sized(batched(op, x, rank).shape, output, UNUSED);
  });
}

function maxOf({ whole, geometry, shape, key, finish }: Pooled): Indexed {
  const [values, indices] = maxWindows(whole, { geometry, divisor: 'real', shape, key });
  return [finish(values), finish(indices)];
}

function meanOf({ whole, geometry, shape, key, finish }: Pooled, divisor: WindowKernel['divisor']): Tensor {
  return finish(meanWindows(whole, { geometry, divisor, shape, key }, whole.shape));
}

export const largest = (op: string, rank: number, x: Tensor, kernelSize: PerDim, options: MaxPoolOptions): Indexed =>
  maxOf(windowed(op, rank, x, kernelSize, options));

export const adaptiveMax = (op: string, rank: number, x: Tensor, outputSize: OutputSize): Indexed =>
  maxOf(adaptive(op, rank, x, outputSize));

export function average(op: string, rank: number, x: Tensor, kernelSize: PerDim, options: AvgPoolOptions): Tensor {
  needFloat(op, x);
  const { countIncludePad = true, divisorOverride } = options;
  if (divisorOverride === 0) throw new LibError('value', `${op}: divisorOverride must not be 0, got 0.`);
  return meanOf(windowed(op, rank, x, kernelSize, options), divisorOverride ?? (countIncludePad ? 'padded' : 'real'));
}

export function adaptiveAverage(op: string, rank: number, x: Tensor, outputSize: OutputSize): Tensor {
  needFloat(op, x);
  return meanOf(adaptive(op, rank, x, outputSize), 'real');
}
