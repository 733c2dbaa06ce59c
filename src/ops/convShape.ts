import { LibError } from '../core/errors.js';
import { formatShape, type Shape } from '../core/shape.js';
import type { ConvGeometry } from '../program/kernel.js';
import type { Tensor } from '../tensor/tensor.js';

/** Shapes of convolutions, for one to three spatial dims. */

export type Triple = readonly [number, number, number];
/** One number for every spatial dim, or a number for each. */
export type PerDim = number | readonly number[];

/** An option as one number for each of `rank` spatial dims. */
export function perDim(op: string, name: string, value: PerDim, rank: number, least: number): number[] {
  const list = typeof value === 'number' ? new Array<number>(rank).fill(value) : [...value];
  if (list.length === 1 && rank > 1) list.push(...new Array<number>(rank - 1).fill(list[0] as number));
  if (list.length !== rank || !list.every((v) => Number.isInteger(v) && v >= least)) {
    const got = typeof value === 'number' ? value : `[${value.join(', ')}]`;
    throw new LibError('value', `${op}: ${name} must be a whole number of at least ${least}, or ${rank} of them, got ${got}.`);
  }
  return list;
}

/** Spatial sizes as kernels want them: three, the missing ones in front. */
export const triple = (list: readonly number[], fill: number): Triple => [list.at(-3) ?? fill, list.at(-2) ?? fill, list.at(-1) ?? fill];

export interface ConvNumbers {
  readonly stride: readonly number[];
  readonly padding: readonly number[];
  readonly dilation: readonly number[];
  readonly groups: number;
}

/** The sizes of y = conv(x, w) from those of x and w. */
export function convGeometry(op: string, x: Shape, w: Shape, { stride, padding, dilation, groups }: ConvNumbers): ConvGeometry {
  const [batch = 1, inChannels = 1] = x;
  const [outChannels = 1, perGroup = 1] = w;
  if (inChannels !== perGroup * groups || outChannels % groups !== 0) {
    const got = `x ${formatShape(x)} and weight ${formatShape(w)} with ${groups} group(s)`;
    throw new LibError('shape', `${op}: x (batch, in, …) and weight (out, in / groups, …) must agree in channels, got ${got}.`);
  }
  const [input, kernel] = [x.slice(2), w.slice(2)];
  const output = input.map((size, i) => outputSize(size, kernel[i] ?? 1, stride[i] ?? 1, padding[i] ?? 0, dilation[i] ?? 1));
  if (output.some((size) => size < 1) || kernel.some((k) => k < 1)) {
    throw new LibError(
      'shape',
      `${op}: the kernel must fit the padded input, got input ${formatShape(input)} and kernel ${formatShape(kernel)}.`,
    );
  }
  return pack({ batch, inChannels, outChannels, groups }, { input, kernel, output, stride, padding, dilation });
}

/** The sizes of the convolution whose input gradient a transposed convolution is: its "input" is our output. */
export function transposedGeometry(op: string, x: Shape, w: Shape, numbers: ConvNumbers, extra: readonly number[]): ConvGeometry {
  const { stride, padding, dilation, groups } = numbers;
  const [batch = 1, channels = 1] = x;
  const [inChannels = 1, perGroup = 1] = w;
  if (channels !== inChannels || !(groups >= 1) || inChannels % groups !== 0) {
    const got = `x ${formatShape(x)} and weight ${formatShape(w)} with ${groups} group(s)`;
    throw new LibError('shape', `${op}: x (batch, in, …) and weight (in, out / groups, …) must agree in channels, got ${got}.`);
  }
  extra.forEach((e, i) => {
    if (e >= Math.max(stride[i] ?? 1, dilation[i] ?? 1)) {
      throw new LibError(
        'value',
        `${op}: outputPadding must be less than stride or dilation, got ${e} with stride ${stride[i]} and dilation ${dilation[i]}.`,
      );
    }
  });
  const [output, kernel] = [x.slice(2), w.slice(2)];
  const input = output.map((size, i) => {
    return (size - 1) * (stride[i] ?? 1) - 2 * (padding[i] ?? 0) + (dilation[i] ?? 1) * ((kernel[i] ?? 1) - 1) + (extra[i] ?? 0) + 1;
  });
  if (input.some((size) => size < 1)) {
    throw new LibError(
      'shape',
      `${op}: the output must not be empty, got ${formatShape(input)} from input ${formatShape(output)} and kernel ${formatShape(kernel)}.`,
    );
  }
  return pack(
    { batch, inChannels: perGroup * groups, outChannels: inChannels, groups },
    { input, kernel, output, stride, padding, dilation },
  );
}

type Sizes = Readonly<Record<'input' | 'kernel' | 'output' | 'stride' | 'padding' | 'dilation', readonly number[]>>;

function pack(counts: Pick<ConvGeometry, 'batch' | 'inChannels' | 'outChannels' | 'groups'>, s: Sizes): ConvGeometry {
  return {
    ...counts,
    input: triple(s.input, 1),
    kernel: triple(s.kernel, 1),
    output: triple(s.output, 1),
    stride: triple(s.stride, 1),
    padding: triple(s.padding, 0),
    dilation: triple(s.dilation, 1),
  };
}

const outputSize = (size: number, kernel: number, stride: number, padding: number, dilation: number): number =>
  Math.floor((size + 2 * padding - dilation * (kernel - 1) - 1) / stride) + 1;

/** Checks ranks and adds the batch dim where it was left out. */
export function batched(op: string, x: Tensor, rank: number): Tensor {
  if (x.ndim === rank + 2) return x;
  if (x.ndim === rank + 1) return x.unsqueeze(0);
  const dims = ['length', 'height, width', 'depth, height, width'][rank - 1];
  throw new LibError('shape', `${op}: the input must be (batch, channels, ${dims}) or without batch, got shape ${formatShape(x.shape)}.`);
}

export function checkWeight(op: string, x: Tensor, weight: Tensor, rank: number): void {
  if (weight.ndim !== rank + 2)
    throw new LibError('shape', `${op}: the weight must have ${rank + 2} dims, got shape ${formatShape(weight.shape)}.`);
  if (weight.dtype !== x.dtype)
    throw new LibError('dtype', `${op}: input and weight must have one type, got ${x.dtype} and ${weight.dtype}.`);
}
