import type { Shape } from '../core/shape.js';
import { type ColumnsOptions, fold, im2col } from '../ops/columns.js';
import type { PerDim } from '../ops/convShape.js';
import { type InterpolateOptions, interpolate } from '../ops/interpolate.js';
import { channelShuffle, pixelShuffle, pixelUnshuffle } from '../ops/shuffle.js';
import type { Tensor } from '../tensor/tensor.js';
import { Module } from './module.js';

/** Resizes (batch, channels, …) in its last one to three dims: the options of `interpolate` (torch.nn.Upsample). */
export class Upsample extends Module {
  constructor(readonly options: InterpolateOptions) {
    super();
  }
  override forward(x: Tensor): Tensor {
    return interpolate(x, this.options);
  }
}
type SizeOptions = Pick<InterpolateOptions, 'size' | 'scaleFactor'>;
/** Resizes images to the nearest place (torch.nn.UpsamplingNearest2d). */
export class UpsamplingNearest2d extends Upsample {
  constructor(options: SizeOptions) {
    super({ ...options, mode: 'nearest' });
  }
}
/** Resizes images bilinearly with aligned corners (torch.nn.UpsamplingBilinear2d). */
export class UpsamplingBilinear2d extends Upsample {
  constructor(options: SizeOptions) {
    super({ ...options, mode: 'bilinear', alignCorners: true });
  }
}

/** (…, channels · r², height, width) to (…, channels, height · r, width · r) (torch.nn.PixelShuffle). */
export class PixelShuffle extends Module {
  constructor(readonly upscaleFactor: number) {
    super();
  }
  override forward(x: Tensor): Tensor {
    return pixelShuffle(x, this.upscaleFactor);
  }
}
/** (…, channels, height · r, width · r) to (…, channels · r², height, width) (torch.nn.PixelUnshuffle). */
export class PixelUnshuffle extends Module {
  constructor(readonly downscaleFactor: number) {
    super();
  }
  override forward(x: Tensor): Tensor {
    return pixelUnshuffle(x, this.downscaleFactor);
  }
}
/** Deals channels out to groups in turn (torch.nn.ChannelShuffle). */
export class ChannelShuffle extends Module {
  constructor(readonly groups: number) {
    super();
  }
  override forward(x: Tensor): Tensor {
    return channelShuffle(x, this.groups);
  }
}

/** Patches of images as columns (torch.nn.Unfold). */
export class Unfold extends Module {
  constructor(
    readonly kernelSize: PerDim,
    readonly options: ColumnsOptions = {},
  ) {
    super();
  }
  override forward(x: Tensor): Tensor {
    return im2col(x, this.kernelSize, this.options);
  }
}
/** Columns put back as patches of images and added up (torch.nn.Fold). */
export class Fold extends Module {
  constructor(
    readonly outputSize: number | Shape,
    readonly kernelSize: PerDim,
    readonly options: ColumnsOptions = {},
  ) {
    super();
  }
  override forward(x: Tensor): Tensor {
    return fold(x, this.outputSize, this.kernelSize, this.options);
  }
}
