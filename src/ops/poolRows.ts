import { LibError } from '../core/errors.js';
import { type Shape, sizeOf } from '../core/shape.js';
import { type Spec, specOf } from '../core/spec.js';
import type { WindowGeometry, WindowKernel } from '../program/kernel.js';
import type { Tensor } from '../tensor/tensor.js';
import { batched, type PerDim, perDim, triple } from './convShape.js';
import { defineOp, type Op } from './define.js';
import { constantView, needFloat } from './fused.js';
import type { AvgPoolOptions, MaxPoolOptions, OutputSize } from './pool.js';
import { scatterOnto } from './scatterRows.js';

/** The window kernels as rows, and the ways from PyTorch's arguments to them. */

export type Indexed = readonly [values: Tensor, indices: Tensor];

interface WindowParams {
  readonly geometry: WindowGeometry;
  readonly divisor: WindowKernel['divisor'];
  /** Of the result. */
  readonly shape: Shape;
}

const area = (sizes: readonly number[]): number => sizeOf(sizes);

const maxWindows: Op<[x: Tensor, params: WindowParams], Indexed> = defineOp({
  name: 'maxPool',
  args: (x: Tensor, params: WindowParams) => ({ inputs: [x.contiguous()], params }),
  infer: ([x], { shape }: WindowParams) => [specOf((x as Spec).dtype, shape), specOf('int32', shape)],
  kernel: ({ geometry, divisor }: WindowParams) => ({ family: 'window', by: 'max', geometry, divisor }),
  saves: ['output'],
  differentiable: [0],
  grad: ([g], { inputs: [x], outputs: [, indices], params: { geometry } }) => {
    if (!g || !x || !indices) return [null];
    const planes = [geometry.planes, area(geometry.input)];
    const flat = (t: Tensor): Tensor => t.reshape([geometry.planes, area(geometry.output)]);
    return [scatterOnto(constantView(g.device, g.dtype, planes, 0), 1, flat(indices), flat(g)).reshape(x.shape)];
  },
  result: ([values, indices]) => [values as Tensor, indices as Tensor],
  *samples() {},
});

type Means = Op<[x: Tensor, params: WindowParams, back: Shape]>;

/** The mean of each window, and its transpose; `back` is the shape of what goes in, for the way back. */
function meanRow(by: 'mean' | 'meanAdjoint', transposed: () => Means): Means {
  return defineOp<[x: Tensor, params: WindowParams, back: Shape], WindowParams & { readonly back: Shape }>({
    name: by === 'mean' ? 'avgPool' : 'avgPoolBackward',
    args: (x, params, back) => ({ inputs: [x.contiguous()], params: { ...params, back } }),
    infer: ([x], { shape }) => specOf((x as Spec).dtype, shape),
    kernel: ({ geometry, divisor }) => ({ family: 'window', by, geometry, divisor }),
    grad: ([g], { params: { geometry, divisor, shape, back } }) => [g ? transposed()(g, { geometry, divisor, shape: back }, shape) : null],
    *samples() {},
  });
}
const meanWindows: Means = meanRow('mean', () => meanAdjoint);
const meanAdjoint: Means = meanRow('meanAdjoint', () => meanWindows);

interface Pooled {
  readonly whole: Tensor;
  readonly geometry: WindowGeometry;
  readonly shape: Shape;
  readonly finish: (y: Tensor) => Tensor;
}

function prepare(op: string, rank: number, x: Tensor, sizes: Omit<WindowGeometry, 'planes' | 'input' | 'output'>, output: readonly number[]): Pooled {
  const whole = batched(op, x, rank);
  const [batch = 1, channels = 1, ...input] = whole.shape;
  const geometry = { ...sizes, planes: batch * channels, input: triple(input, 1), output: triple(output, 1) };
  const shape = [batch, channels, ...output];
  return { whole, geometry, shape, finish: (y) => (x.ndim === rank + 1 ? y.reshape(shape.slice(1)) : y) };
}

function windowed(op: string, rank: number, x: Tensor, kernelSize: PerDim, options: MaxPoolOptions): Pooled {
  const kernel = perDim(op, 'kernelSize', kernelSize, rank, 1);
  const stride = options.stride === undefined ? kernel : perDim(op, 'stride', options.stride, rank, 1);
  const padding = perDim(op, 'padding', options.padding ?? 0, rank, 0);
  const dilation = perDim(op, 'dilation', options.dilation ?? 1, rank, 1);
  const input = batched(op, x, rank).shape.slice(2);
  const output = input.map((size, i) => {
    const [k, s, p, d] = [kernel[i] ?? 1, stride[i] ?? 1, padding[i] ?? 0, dilation[i] ?? 1];
    const reach = d * (k - 1) + 1;
    if (p > Math.floor(reach / 2)) throw new LibError('value', `${op}: padding must be at most half the kernel, got padding ${p} for kernel ${k}.`);
    const steps = (size + 2 * p - reach) / s;
    const count = (options.ceilMode ? Math.ceil(steps) : Math.floor(steps)) + 1;
    // The last window must start inside the input or the padding before it.
    return options.ceilMode && (count - 1) * s >= size + p ? count - 1 : count;
  });
  if (output.some((n) => n < 1)) {
    throw new LibError('shape', `${op}: the window must fit the padded input, got input (${input.join(', ')}) and kernel (${kernel.join(', ')}).`);
  }
  const sizes = { kernel: triple(kernel, 1), stride: triple(stride, 1), padding: triple(padding, 0), dilation: triple(dilation, 1), adaptive: false };
  return prepare(op, rank, x, sizes, output);
}

function adaptive(op: string, rank: number, x: Tensor, outputSize: OutputSize): Pooled {
  const input = batched(op, x, rank).shape.slice(2);
  const sizes = typeof outputSize === 'number' ? new Array<number>(rank).fill(outputSize) : outputSize;
  const output = sizes.map((size, i) => size ?? input[i] ?? 1);
  if (output.length !== rank || !output.every((n) => Number.isInteger(n) && n >= 1)) {
    throw new LibError('value', `${op}: outputSize must be a whole number of at least 1, or ${rank} of them, got [${output.join(', ')}].`);
  }
  const unused = { kernel: [1, 1, 1], stride: [1, 1, 1], padding: [0, 0, 0], dilation: [1, 1, 1] } as const;
  return prepare(op, rank, x, { ...unused, adaptive: true }, output);
}

function maxOf({ whole, geometry, shape, finish }: Pooled): Indexed {
  const [values, indices] = maxWindows(whole, { geometry, divisor: 'real', shape });
  return [finish(values), finish(indices)];
}

function meanOf({ whole, geometry, shape, finish }: Pooled, divisor: WindowKernel['divisor']): Tensor {
  return finish(meanWindows(whole, { geometry, divisor, shape }, whole.shape));
}

export const largest = (op: string, rank: number, x: Tensor, kernelSize: PerDim, options: MaxPoolOptions): Indexed =>
  maxOf(windowed(op, rank, x, kernelSize, options));

export const adaptiveMax = (op: string, rank: number, x: Tensor, outputSize: OutputSize): Indexed => maxOf(adaptive(op, rank, x, outputSize));

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
