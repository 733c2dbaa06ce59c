import {
  type AvgPoolOptions,
  adaptiveAvgPool1d,
  adaptiveAvgPool2d,
  adaptiveAvgPool3d,
  adaptiveMaxPool1d,
  adaptiveMaxPool2d,
  adaptiveMaxPool3d,
  avgPool1d,
  avgPool2d,
  avgPool3d,
  type IndicesOption,
  maxPool1d,
  maxPool2d,
  maxPool3d,
  type OutputSize,
  type MaxPoolOptions as Windows,
  type WithIndices,
} from '../ops/pool.js';
import type { Indexed } from '../ops/poolRows.js';
import type { Tensor } from '../tensor/tensor.js';
import { Module } from './module.js';

export type { AvgPoolOptions };

type Sizes = number | readonly number[];

/** A module's result: values, or with `returnIndices` values and indices. */
export type Pooled<Indices extends boolean> = Indices extends true ? Indexed : Tensor;
export type MaxPoolOptions<Indices extends boolean = boolean> = Windows & IndicesOption<Indices>;

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

abstract class MaxPool<Indices extends boolean> extends Module<readonly [Tensor], Pooled<Indices>> {
  protected abstract readonly pool: typeof maxPool1d;
  constructor(
    readonly kernelSize: Sizes,
    readonly options: MaxPoolOptions<Indices> = {},
  ) {
    super();
  }
  override forward(x: Tensor): Pooled<Indices> {
    return this.pool(x, this.kernelSize, this.options as Windows & WithIndices) as Pooled<Indices>;
  }
  override extraRepr(): string {
    return `kernelSize=${String(this.kernelSize)}`;
  }
}
/** Largest value of each window of (batch, channels, length) (torch.nn.MaxPool1d). */
export class MaxPool1d<Indices extends boolean = false> extends MaxPool<Indices> {
  protected override readonly pool: typeof maxPool1d = maxPool1d;
}
/** Largest value of each window of (batch, channels, height, width) (torch.nn.MaxPool2d). */
export class MaxPool2d<Indices extends boolean = false> extends MaxPool<Indices> {
  protected override readonly pool: typeof maxPool2d = maxPool2d;
}
/** Largest value of each window of (batch, channels, depth, height, width) (torch.nn.MaxPool3d). */
export class MaxPool3d<Indices extends boolean = false> extends MaxPool<Indices> {
  protected override readonly pool: typeof maxPool3d = maxPool3d;
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

type Adaptive = (x: Tensor, outputSize: OutputSize) => Tensor;

abstract class AdaptivePool extends Module {
  protected abstract readonly pool: Adaptive;
  constructor(readonly outputSize: OutputSize) {
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

abstract class AdaptiveMaxPool<Indices extends boolean> extends Module<readonly [Tensor], Pooled<Indices>> {
  protected abstract readonly pool: typeof adaptiveMaxPool1d;
  constructor(
    readonly outputSize: OutputSize,
    readonly options: IndicesOption<Indices> = {},
  ) {
    super();
  }
  override forward(x: Tensor): Pooled<Indices> {
    return this.pool(x, this.outputSize, this.options as WithIndices) as Pooled<Indices>;
  }
  override extraRepr(): string {
    return `outputSize=${String(this.outputSize)}`;
  }
}
/** Largest values of windows chosen so that the output has the given size (torch.nn.AdaptiveMaxPool1d). */
export class AdaptiveMaxPool1d<Indices extends boolean = false> extends AdaptiveMaxPool<Indices> {
  protected override readonly pool: typeof adaptiveMaxPool1d = adaptiveMaxPool1d;
}
/** Largest values of windows chosen so that the output has the given size (torch.nn.AdaptiveMaxPool2d). */
export class AdaptiveMaxPool2d<Indices extends boolean = false> extends AdaptiveMaxPool<Indices> {
  protected override readonly pool: typeof adaptiveMaxPool2d = adaptiveMaxPool2d;
}
/** Largest values of windows chosen so that the output has the given size (torch.nn.AdaptiveMaxPool3d). */
export class AdaptiveMaxPool3d<Indices extends boolean = false> extends AdaptiveMaxPool<Indices> {
  protected override readonly pool: typeof adaptiveMaxPool3d = adaptiveMaxPool3d;
}
