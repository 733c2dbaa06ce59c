import { LibError } from '../core/errors.js';
import type { Shape } from '../core/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import { defineComposite, type Op } from './define.js';
import { type GridSampleOptions, gridSample } from './grid.js';
import { batchNorm, groupNorm, layerNorm } from './norm.js';

/** PyTorch's norms with the statistics that they found, and other functions that its layers are made of. */

export type WithStatistics = readonly [y: Tensor, mean: Tensor, rstd: Tensor];
type Maybe = Tensor | null;

/** The mean over dims and 1 / √(variance + eps). */
function statistics(x: Tensor, dim: readonly number[], eps: number, keepdim: boolean): [mean: Tensor, rstd: Tensor] {
  const mean = x.mean({ dim, keepdim });
  return [mean, x.var({ dim, keepdim, correction: 0 }).add(eps).rsqrt()];
}

/** {@link layerNorm} with the mean and the inverse deviation of each row, through which no gradient flows. */
export const nativeLayerNorm: Op<[x: Tensor, normalizedShape: Shape, weight: Maybe, bias: Maybe, eps: number], WithStatistics> =
  defineComposite({
    name: 'nativeLayerNorm',
    compose(x: Tensor, normalizedShape: Shape, weight: Maybe, bias: Maybe, eps: number): WithStatistics {
      const y = layerNorm(x, normalizedShape, { weight, bias, eps });
      const dims = normalizedShape.map((_, i) => x.ndim - normalizedShape.length + i);
      return [y, ...statistics(x.detach(), dims, eps, true)];
    },
    *samples(random): Iterable<[x: Tensor, normalizedShape: Shape, weight: Maybe, bias: Maybe, eps: number]> {
      yield [random([2, 3, 4]), [3, 4], random([3, 4]), random([3, 4]), 1e-5];
      yield [random([3, 4]), [4], null, null, 0.5];
    },
  });

type GroupArgs = [x: Tensor, weight: Maybe, bias: Maybe, N: number, C: number, HxW: number, group: number, eps: number];
/** {@link groupNorm} with the mean and the inverse deviation of each group, (N, groups). */
export const nativeGroupNorm: Op<GroupArgs, WithStatistics> = defineComposite({
  name: 'nativeGroupNorm',
  compose(x: Tensor, weight: Maybe, bias: Maybe, N: number, C: number, HxW: number, group: number, eps: number): WithStatistics {
    if (x.size !== N * C * HxW)
      throw new LibError('shape', `nativeGroupNorm: x must have N · C · HxW elements, got ${x.size} for ${N}, ${C} and ${HxW}.`);
    const y = groupNorm(x, group, { weight, bias, eps });
    return [y, ...statistics(x.reshape([N, group, (C / group) * HxW]), [2], eps, false)];
  },
  *samples(random): Iterable<GroupArgs> {
    yield [random([2, 4, 3]), random([4]), random([4]), 2, 4, 3, 2, 1e-5];
  },
  *errors(random): Iterable<readonly [GroupArgs, string]> {
    yield [[random([2, 4, 3]), null, null, 2, 4, 4, 2, 1e-5], 'N · C · HxW elements'];
  },
});

type BatchArgs = [
  x: Tensor,
  weight: Maybe,
  bias: Maybe,
  runningMean: Maybe,
  runningVar: Maybe,
  training: boolean,
  momentum: number,
  eps: number,
];
/** {@link batchNorm} with the mean and the inverse deviation of each channel, without gradients; both are empty in evaluation. */
export const nativeBatchNorm: Op<BatchArgs, WithStatistics> = defineComposite({
  name: 'nativeBatchNorm',
  compose(...[x, weight, bias, runningMean, runningVar, training, momentum, eps]: BatchArgs): WithStatistics {
    const y = batchNorm(x, { weight, bias, runningMean, runningVar, training, momentum, eps });
    const none = x.detach().reshape([x.size]).narrow(0, 0, 0);
    if (!training) return [y, none, none];
    const dims = x.shape.flatMap((_, d) => (d === 1 ? [] : [d]));
    return [y, ...statistics(x.detach(), dims, eps, false)];
  },
  *samples(random): Iterable<BatchArgs> {
    yield [random([8, 2, 3]), random([2]), random([2]), null, null, true, 0.1, 1e-5];
  },
});

const MODES = ['bilinear', 'nearest', 'bicubic'] as const;
const PADDINGS = ['zeros', 'border', 'reflection'] as const;
type GridArgs = [x: Tensor, grid: Tensor, interpolationMode: number, paddingMode: number, alignCorners: boolean];

function sampler(name: string, torch: string, size: Shape, places: Shape): Op<GridArgs> {
  return defineComposite({
    name,
    compose(x: Tensor, grid: Tensor, interpolationMode: number, paddingMode: number, alignCorners: boolean) {
      const [mode, padding] = [MODES[interpolationMode], PADDINGS[paddingMode]];
      if (mode === undefined || padding === undefined)
        throw new LibError('value', `${name}: modes must be 0, 1 or 2, got ${interpolationMode} and ${paddingMode}.`);
      const options: GridSampleOptions = { mode, paddingMode: padding, alignCorners };
      return gridSample(x, grid, options);
    },
    *samples(random): Iterable<GridArgs> {
      yield [random(size), random(places, { low: -1.2, high: 1.2 }), 0, 0, false];
      yield [random(size), random(places, { low: -1.2, high: 1.2 }), 0, 1, true];
    },
    *errors(random): Iterable<readonly [GridArgs, string]> {
      yield [[random(size), random(places), 3, 0, false], 'modes must be 0, 1 or 2'];
    },
    torch: { call: `torch.${torch}(*a)` },
  });
}
/** {@link gridSample} of images, its modes by number: bilinear, nearest, bicubic; zeros, border, reflection. */
export const gridSampler2d: Op<GridArgs> = sampler('gridSampler2d', 'grid_sampler_2d', [1, 2, 3, 4], [1, 2, 3, 2]);
/** {@link gridSample} of volumes, its modes by number. */
export const gridSampler3d: Op<GridArgs> = sampler('gridSampler3d', 'grid_sampler_3d', [1, 2, 3, 4, 2], [1, 2, 1, 2, 3]);
/** {@link gridSample} of images or volumes, its modes by number. */
export const gridSampler: Op<GridArgs> = sampler('gridSampler', 'grid_sampler', [1, 2, 3, 4], [1, 2, 3, 2]);

/** The gradient of dropout: g where the mask is true, times the scale. */
export const nativeDropoutBackward: Op<[g: Tensor, mask: Tensor, scale: number]> = defineComposite({
  name: 'nativeDropoutBackward',
  compose: (g: Tensor, mask: Tensor, scale: number) => mask.where(g, 0).mul(scale),
  *samples(random): Iterable<[g: Tensor, mask: Tensor, scale: number]> {
    yield [random([2, 3]), random.bool([2, 3]), 2];
  },
  torch: { call: 'torch.ops.aten.native_dropout_backward(*a)' },
});

export interface ConvTbcOptions {
  /** Zeros at both ends. Default 0. */
  readonly pad?: number;
}
/** A 1-D convolution of (time, batch, channels) by a weight (width, channels, out) and a bias (out). */
export const convTbc: Op<[x: Tensor, weight: Tensor, bias: Tensor, options?: ConvTbcOptions]> = defineComposite({
  name: 'convTbc',
  compose(x: Tensor, weight: Tensor, bias: Tensor, { pad = 0 }: ConvTbcOptions = {}) {
    if (x.ndim !== 3 || weight.ndim !== 3)
      throw new LibError('shape', `convTbc: x and weight must have 3 dims, got ${x.ndim} and ${weight.ndim}.`);
    return x
      .permute([1, 2, 0])
      .conv1d(weight.permute([2, 1, 0]), { bias, padding: pad })
      .permute([2, 0, 1]);
  },
  *samples(random): Iterable<[x: Tensor, weight: Tensor, bias: Tensor, options?: ConvTbcOptions]> {
    yield [random([5, 2, 3]), random([2, 3, 4]), random([4])];
    yield [random([5, 2, 3]), random([3, 3, 2]), random([2]), { pad: 1 }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, weight: Tensor, bias: Tensor], string]> {
    yield [[random([5, 2]), random([2, 3, 4]), random([4])], 'must have 3 dims'];
  },
  torch: { call: 'torch.conv_tbc(*a, **o)' },
});
