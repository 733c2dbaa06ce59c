import {
  adaptiveAvgPool1d,
  adaptiveAvgPool2d,
  adaptiveAvgPool3d,
  adaptiveMaxPool1d,
  adaptiveMaxPool2d,
  adaptiveMaxPool3d,
  avgPool1d,
  avgPool2d,
  avgPool3d,
  maxPool1d,
  maxPool2d,
  maxPool3d,
} from '../ops/pool.js';
import type { Tensor } from '../tensor/tensor.js';
import { Module } from './module.js';

type Sizes = number | readonly number[];

export interface MaxPoolOptions {
  /** Step between windows. Default: the kernel size. */
  readonly stride?: Sizes;
  /** Cells on both sides that never win. Default 0. */
  readonly padding?: Sizes;
  /** Default 1. */
  readonly dilation?: Sizes;
  /** Round the output's size up. Default false. */
  readonly ceilMode?: boolean;
}

export interface AvgPoolOptions {
  /** Step between windows. Default: the kernel size. */
  readonly stride?: Sizes;
  /** Default 0. */
  readonly padding?: Sizes;
  /** Round the output's size up. Default false. */
  readonly ceilMode?: boolean;
  /** Count padding in the mean. Default true. */
  readonly countIncludePad?: boolean;
}

type Pool<Options> = (x: Tensor, kernelSize: Sizes, options?: Options) => Tensor;

abstract class WindowPool<Options extends object> extends Module {
  protected abstract readonly pool: Pool<Options>;
  constructor(
    readonly kernelSize: Sizes,
    readonly options: Options,
  ) {
    super();
  }
  override forward(x: Tensor): Tensor {
    return this.pool(x, this.kernelSize, this.options);
  }
  override extraRepr(): string {
    return `kernelSize=${String(this.kernelSize)}`;
  }
}

abstract class MaxPool extends WindowPool<MaxPoolOptions> {
  constructor(kernelSize: Sizes, options: MaxPoolOptions = {}) {
    super(kernelSize, options);
  }
}
/** Largest value of each window of (batch, channels, length) (torch.nn.MaxPool1d). */
export class MaxPool1d extends MaxPool {
  protected override readonly pool: Pool<MaxPoolOptions> = maxPool1d;
}
/** Largest value of each window of (batch, channels, height, width) (torch.nn.MaxPool2d). */
export class MaxPool2d extends MaxPool {
  protected override readonly pool: Pool<MaxPoolOptions> = maxPool2d;
}
/** Largest value of each window of (batch, channels, depth, height, width) (torch.nn.MaxPool3d). */
export class MaxPool3d extends MaxPool {
  protected override readonly pool: Pool<MaxPoolOptions> = maxPool3d;
}

abstract class AvgPool extends WindowPool<AvgPoolOptions> {
  constructor(kernelSize: Sizes, options: AvgPoolOptions = {}) {
    super(kernelSize, options);
  }
}
/** Mean of each window of (batch, channels, length) (torch.nn.AvgPool1d). */
export class AvgPool1d extends AvgPool {
  protected override readonly pool: Pool<AvgPoolOptions> = avgPool1d;
}
/** Mean of each window of (batch, channels, height, width) (torch.nn.AvgPool2d). */
export class AvgPool2d extends AvgPool {
  protected override readonly pool: Pool<AvgPoolOptions> = avgPool2d;
}
/** Mean of each window of (batch, channels, depth, height, width) (torch.nn.AvgPool3d). */
export class AvgPool3d extends AvgPool {
  protected override readonly pool: Pool<AvgPoolOptions> = avgPool3d;
}

type Adaptive = (x: Tensor, outputSize: Sizes) => Tensor;

abstract class AdaptivePool extends Module {
  protected abstract readonly pool: Adaptive;
  constructor(readonly outputSize: Sizes) {
    super();
  }
  override forward(x: Tensor): Tensor {
    return this.pool(x, this.outputSize);
  }
  override extraRepr(): string {
    return `outputSize=${String(this.outputSize)}`;
  }
}
/** Means of windows chosen so that the output has the given size (torch.nn.AdaptiveAvgPool1d). */
export class AdaptiveAvgPool1d extends AdaptivePool {
  protected override readonly pool: Adaptive = adaptiveAvgPool1d;
}
/** Means of windows chosen so that the output has the given size (torch.nn.AdaptiveAvgPool2d). */
export class AdaptiveAvgPool2d extends AdaptivePool {
  protected override readonly pool: Adaptive = adaptiveAvgPool2d;
}
/** Means of windows chosen so that the output has the given size (torch.nn.AdaptiveAvgPool3d). */
export class AdaptiveAvgPool3d extends AdaptivePool {
  protected override readonly pool: Adaptive = adaptiveAvgPool3d;
}
/** Largest values of windows chosen so that the output has the given size (torch.nn.AdaptiveMaxPool1d). */
export class AdaptiveMaxPool1d extends AdaptivePool {
  protected override readonly pool: Adaptive = (x, size) => adaptiveMaxPool1d(x, size);
}
/** Largest values of windows chosen so that the output has the given size (torch.nn.AdaptiveMaxPool2d). */
export class AdaptiveMaxPool2d extends AdaptivePool {
  protected override readonly pool: Adaptive = (x, size) => adaptiveMaxPool2d(x, size);
}
/** Largest values of windows chosen so that the output has the given size (torch.nn.AdaptiveMaxPool3d). */
export class AdaptiveMaxPool3d extends AdaptivePool {
  protected override readonly pool: Adaptive = (x, size) => adaptiveMaxPool3d(x, size);
}
