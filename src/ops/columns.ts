import { LibError } from '../core/errors.js';
import { contiguousStrides, formatShape, type Shape } from '../core/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import { batched, type PerDim, perDim } from './convShape.js';
import { defineComposite, type Op, type ViewLayout } from './define.js';
import { functional } from './fused.js';
import { contiguous, embed, stridedView } from './viewRows.js';

/** Images as matrices of patches, and back. */

export interface ColumnsOptions {
  /** Distance of the taps of a patch. Default 1. */
  readonly dilation?: PerDim;
  /** Zeros around the image. Default 0. */
  readonly padding?: PerDim;
  /** Distance of patches. Default 1. */
  readonly stride?: PerDim;
}

interface Patches {
  readonly padding: readonly number[];
  /** Of the padded image. */
  readonly padded: readonly number[];
  readonly kernel: readonly number[];
  readonly count: readonly number[];
  readonly layout: ViewLayout;
}

/** Patches of the padded image as a view: (batch, channels, kernel height, kernel width, rows, columns). */
function patchesOf(op: string, batch: number, channels: number, size: Shape, kernelSize: PerDim, options: ColumnsOptions): Patches {
  const kernel = perDim(op, 'kernelSize', kernelSize, 2, 1);
  const dilation = perDim(op, 'dilation', options.dilation ?? 1, 2, 1);
  const padding = perDim(op, 'padding', options.padding ?? 0, 2, 0);
  const stride = perDim(op, 'stride', options.stride ?? 1, 2, 1);
  const padded = size.map((s, i) => s + 2 * (padding[i] ?? 0));
  const count = padded.map((s, i) => Math.floor((s - (dilation[i] ?? 1) * ((kernel[i] ?? 1) - 1) - 1) / (stride[i] ?? 1)) + 1);
  if (count.some((n) => n < 1))
    throw new LibError('shape', `${op}: the kernel must fit the padded image, got (${kernel.join(', ')}) in ${formatShape(padded)}.`);
  const shape = [batch, channels, ...padded];
  const [image = 1, plane = 1, row = 1] = contiguousStrides(shape);
  const [dy = 1, dx = 1] = dilation;
  const [sy = 1, sx = 1] = stride;
  const layout = { shape: [batch, channels, ...kernel, ...count], strides: [image, plane, dy * row, dx, sy * row, sx], offset: 0 };
  return { padding, padded, kernel, count, layout };
}
const product = (list: readonly number[]): number => list.reduce((a, b) => a * b, 1);

/**
 * Patches of (batch, channels, height, width) as columns (batch, channels · kernel places, patches): torch.nn.functional.unfold, by
 * which name the package exports it. The batch dim may be missing.
 */
export const im2col: Op<[x: Tensor, kernelSize: PerDim, options?: ColumnsOptions]> = defineComposite({
  name: 'im2col',
  compose(x: Tensor, kernelSize: PerDim, options: ColumnsOptions = {}) {
    const whole = batched('im2col', x, 2);
    const [batch = 1, channels = 1, ...size] = whole.shape;
    const { padding, kernel, count, layout } = patchesOf('im2col', batch, channels, size, kernelSize, options);
    const [py = 0, px = 0] = padding;
    const columns = stridedView(contiguous(py + px === 0 ? whole : whole.pad([px, px, py, py])), layout);
    const shape = [channels * product(kernel), product(count)];
    return columns.reshape(x.ndim === 3 ? shape : [batch, ...shape]);
  },
  *samples(random): Iterable<[x: Tensor, kernelSize: PerDim, options?: ColumnsOptions]> {
    yield [random([2, 3, 4, 5]), 2];
    yield [random([2, 5, 6]), [3, 2], { stride: 2, padding: [1, 0], dilation: [1, 2] }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, kernelSize: PerDim, options?: ColumnsOptions], string]> {
    yield [[random([1, 1, 2, 2]), 3], 'must fit the padded image'];
    yield [[random([2, 2]), 1], 'must be (batch, channels, height, width)'];
  },
  torch: functional('unfold'),
});

/** Columns (batch, channels · kernel places, patches) put back as patches of an image and added up: the transpose of {@link im2col}. */
export const fold: Op<[x: Tensor, outputSize: PerDim, kernelSize: PerDim, options?: ColumnsOptions]> = defineComposite({
  name: 'fold',
  compose(x: Tensor, outputSize: PerDim, kernelSize: PerDim, options: ColumnsOptions = {}) {
    const size = perDim('fold', 'outputSize', outputSize, 2, 1);
    const places = product(perDim('fold', 'kernelSize', kernelSize, 2, 1));
    const whole = x.ndim === 2 ? x.unsqueeze(0) : x;
    const [batch = 1, rows = 1, patches = 1] = whole.shape;
    const { padding, padded, count, layout } = patchesOf('fold', batch, Math.floor(rows / places), size, kernelSize, options);
    if (whole.ndim !== 3 || rows % places !== 0 || patches !== product(count)) {
      const got = `${formatShape(x.shape)} for ${places} kernel places and ${product(count)} patches`;
      throw new LibError('shape', `fold: the input must be (batch, channels · kernel places, patches), got ${got}.`);
    }
    const channels = rows / places;
    const image = embed(whole.reshape(layout.shape), [batch, channels, ...padded], layout);
    const y = image.narrow(2, padding[0] ?? 0, size[0] ?? 1).narrow(3, padding[1] ?? 0, size[1] ?? 1);
    return x.ndim === 2 ? y.squeeze({ dim: 0 }) : y;
  },
  *samples(random): Iterable<[x: Tensor, outputSize: PerDim, kernelSize: PerDim, options?: ColumnsOptions]> {
    yield [random([2, 12, 12]), [4, 5], 2];
    yield [random([6, 6]), [5, 6], [3, 2], { stride: 2, padding: [1, 0], dilation: [1, 2] }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, outputSize: PerDim, kernelSize: PerDim, options?: ColumnsOptions], string]> {
    yield [[random([2, 12, 11]), [4, 5], 2], 'kernel places, patches)'];
  },
  torch: functional('fold'),
});
