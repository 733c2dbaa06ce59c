import type { IndicesOption, LpPoolOptions, WithIndices } from '../ops/pool.js';
import {
  type FractionalMaxPoolOptions,
  fractionalMaxPool2d,
  fractionalMaxPool3d,
  type LocalResponseNormOptions,
  localResponseNorm,
  lpPool1d,
  lpPool2d,
  lpPool3d,
  type MaxUnpoolOptions,
  maxUnpool1d,
  maxUnpool2d,
  maxUnpool3d,
} from '../ops/poolMore.js';
import type { Tensor } from '../tensor/tensor.js';
import { Buffer, Module } from './module.js';
import type { Pooled } from './pool.js';

type Sizes = number | readonly number[];
type UnpoolOptions = Omit<MaxUnpoolOptions, 'outputSize'>;

type Unpooled = readonly [x: Tensor, indices: Tensor, options?: Pick<MaxUnpoolOptions, 'outputSize'>];
abstract class MaxUnpool extends Module<Unpooled> {
  protected abstract readonly unpool: typeof maxUnpool1d;
  constructor(
    readonly kernelSize: Sizes,
    readonly options: UnpoolOptions = {},
  ) {
    super();
  }
  override forward(x: Tensor, indices: Tensor, { outputSize }: Pick<MaxUnpoolOptions, 'outputSize'> = {}): Tensor {
    return this.unpool(x, indices, this.kernelSize, { ...this.options, ...(outputSize && { outputSize }) });
  }
}
/** Values of a max pooling at the places they were taken from (torch.nn.MaxUnpool1d). */
export class MaxUnpool1d extends MaxUnpool {
  protected override readonly unpool: typeof maxUnpool1d = maxUnpool1d;
}
/** Values of a max pooling at the places they were taken from (torch.nn.MaxUnpool2d). */
export class MaxUnpool2d extends MaxUnpool {
  protected override readonly unpool: typeof maxUnpool1d = maxUnpool2d;
}
/** Values of a max pooling at the places they were taken from (torch.nn.MaxUnpool3d). */
export class MaxUnpool3d extends MaxUnpool {
  protected override readonly unpool: typeof maxUnpool1d = maxUnpool3d;
}

abstract class LPPool extends Module {
  protected abstract readonly pool: typeof lpPool1d;
  constructor(
    readonly normType: number,
    readonly kernelSize: Sizes,
    readonly options: LpPoolOptions = {},
  ) {
    super();
  }
  override forward(x: Tensor): Tensor {
    return this.pool(x, this.normType, this.kernelSize, this.options);
  }
}
/** The p-norm of each window of (batch, channels, length) (torch.nn.LPPool1d). */
export class LPPool1d extends LPPool {
  protected override readonly pool: typeof lpPool1d = lpPool1d;
}
/** The p-norm of each window of (batch, channels, height, width) (torch.nn.LPPool2d). */
export class LPPool2d extends LPPool {
  protected override readonly pool: typeof lpPool1d = lpPool2d;
}
/** The p-norm of each window of (batch, channels, depth, height, width) (torch.nn.LPPool3d). */
export class LPPool3d extends LPPool {
  protected override readonly pool: typeof lpPool1d = lpPool3d;
}

abstract class FractionalMaxPool<Indices extends boolean> extends Module<readonly [Tensor], Pooled<Indices>> {
  protected abstract readonly pool: typeof fractionalMaxPool2d;
  readonly options: Omit<FractionalMaxPoolOptions, 'randomSamples'>;
  /** Where the windows are, if that was said. */
  readonly _randomSamples: Buffer | null;
  constructor(
    readonly kernelSize: Sizes,
    { randomSamples, ...options }: FractionalMaxPoolOptions & IndicesOption<Indices>,
  ) {
    super();
    this.options = options;
    this._randomSamples = randomSamples ? new Buffer(randomSamples) : null;
  }
  override forward(x: Tensor): Pooled<Indices> {
    const options = { ...this.options, ...(this._randomSamples && { randomSamples: this._randomSamples }) };
    return this.pool(x, this.kernelSize, options as FractionalMaxPoolOptions & WithIndices) as Pooled<Indices>;
  }
}
/** Largest values of windows at random places of images (torch.nn.FractionalMaxPool2d). */
export class FractionalMaxPool2d<Indices extends boolean = false> extends FractionalMaxPool<Indices> {
  protected override readonly pool: typeof fractionalMaxPool2d = fractionalMaxPool2d;
}
/** Largest values of windows at random places of volumes (torch.nn.FractionalMaxPool3d). */
export class FractionalMaxPool3d<Indices extends boolean = false> extends FractionalMaxPool<Indices> {
  protected override readonly pool: typeof fractionalMaxPool3d = fractionalMaxPool3d;
}

/** Normalizes by neighbouring channels (torch.nn.LocalResponseNorm). */
export class LocalResponseNorm extends Module {
  constructor(
    readonly size: number,
    readonly options: LocalResponseNormOptions = {},
  ) {
    super();
  }
  override forward(x: Tensor): Tensor {
    return localResponseNorm(x, this.size, this.options);
  }
}
