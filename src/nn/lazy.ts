import { isFloat } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import { formatShape, type Shape } from '../core/shape.js';
import { eagerly } from '../ops/apply.js';
import { noGrad } from '../tensor/autograd.js';
import { capturing } from '../tensor/capturing.js';
import { empty } from '../tensor/creation.js';
import { replaceData } from '../tensor/replace.js';
import { isTensor, type Tensor } from '../tensor/tensor.js';
import {
  Conv1d,
  Conv2d,
  Conv3d,
  type ConvOptions,
  ConvTranspose1d,
  ConvTranspose2d,
  ConvTranspose3d,
  type ConvTransposeOptions,
} from './conv.js';
import { Linear, type LinearOptions } from './linear.js';
import { type AnyModule, Buffer, Module, Parameter, type StateDict } from './module.js';
import { BatchNorm1d, BatchNorm2d, BatchNorm3d, type BatchNormOptions, InstanceNorm1d, InstanceNorm2d, InstanceNorm3d } from './norm.js';

/** Layers that take the size of their inputs from the first one, and are ordinary layers from then on. */

/** A parameter whose shape the first input will tell: it has no elements until then. Optimizers may hold it already. */
export class UninitializedParameter extends Parameter {
  constructor() {
    super(empty([0]));
  }
}
/** A buffer whose shape the first input will tell. */
export class UninitializedBuffer extends Buffer {
  constructor() {
    super(empty([0]));
  }
}

type Fields = Record<string, unknown>;

/** A layer without the size of its inputs. After its first call, or `loadStateDict`, it is the layer that `make` gives. */
export abstract class LazyModule extends Module {
  protected abstract make(size: number): Module;
  /** The missing size, of an input. */
  protected abstract sizeOf(x: Tensor): number;
  /** The missing size, of the saved parameter or buffer that tells it. */
  protected abstract sizeIn(saved: Shape): number;
  protected abstract readonly told: readonly string[];

  override forward(x: Tensor): Tensor {
    if (this instanceof LazyModule) {
      if (capturing() !== null) {
        const hint = 'call the model once before.';
        throw new LibError('capture', `${this.constructor.name}: the first call sets sizes, got it while compile() is capturing.`, hint);
      }
      become(this, this.make(this.sizeOf(x)));
    }
    return (Object.getPrototypeOf(this) as Module).forward.call(this, x); // not `this.forward`, which may be hooked around this call
  }

  /** @internal Takes its sizes from a state that is about to be loaded. */
  materializeFrom(state: StateDict, path: string): void {
    const saved = this.told.map((name) => state.get(path === '' ? name : `${path}.${name}`)).find((t) => t !== undefined && t.size > 0);
    if (saved !== undefined) become(this, this.make(this.sizeIn(saved.shape)));
  }

  override extraRepr(): string {
    return 'size unknown';
  }
}

/** Whether a module, or any inside it, waits for its first input. */
export const hasUninitializedParams = (module: AnyModule): boolean => module.modules().some((m) => m instanceof LazyModule);

/** Turns `lazy` into `made`; tensors that it has shown already stay the same objects. */
function become(lazy: LazyModule, made: Module): void {
  const fields = lazy as unknown as Fields;
  eagerly(() =>
    noGrad(() => {
      for (const [name, value] of Object.entries(made)) {
        const shell = fields[name];
        fields[name] = isTensor(shell) && isTensor(value) ? filled(shell, value) : value;
      }
    }),
  );
  for (const name of Object.keys(fields)) if (!Object.hasOwn(made, name)) delete fields[name];
  Object.setPrototypeOf(lazy, Object.getPrototypeOf(made) as object);
}

function filled(shell: Tensor, made: Tensor): Tensor {
  replaceData('lazy', shell, made.to({ dtype: isFloat(made.dtype) ? shell.dtype : made.dtype, device: shell.device }));
  return Object.setPrototypeOf(shell, shell instanceof Parameter ? Parameter.prototype : Buffer.prototype) as Tensor;
}

/** A linear layer whose inFeatures the first input tells (torch.nn.LazyLinear). */
export class LazyLinear extends LazyModule {
  readonly weight: Parameter = new UninitializedParameter();
  readonly bias: Parameter | null;
  protected readonly told: readonly string[] = ['weight'];
  constructor(
    readonly outFeatures: number,
    { bias = true }: LinearOptions = {},
  ) {
    super();
    this.bias = bias ? new UninitializedParameter() : null;
  }
  protected override make(inFeatures: number): Linear {
    return new Linear(inFeatures, this.outFeatures, { bias: this.bias !== null });
  }
  protected override sizeOf(x: Tensor): number {
    return x.sizeAt(-1);
  }
  protected override sizeIn([, inFeatures = 0]: Shape): number {
    return inFeatures;
  }
}

/** The channels of (batch, channels, …) or (channels, …) with `rank` dims behind them. */
function channelsOf(name: string, x: Tensor, rank: number): number {
  if (x.ndim !== rank + 1 && x.ndim !== rank + 2) {
    const rule = `the input must have ${rank + 1} or ${rank + 2} dimensions`;
    throw new LibError('shape', `${name}: ${rule}, got shape ${formatShape(x.shape)}.`);
  }
  return x.sizeAt(x.ndim - rank - 1);
}

type Sizes = number | readonly number[];
abstract class LazyConv<Options extends ConvOptions | ConvTransposeOptions> extends LazyModule {
  readonly weight: Parameter = new UninitializedParameter();
  readonly bias: Parameter | null;
  protected readonly told: readonly string[] = ['weight'];
  protected abstract readonly layer: new (
    inChannels: number,
    outChannels: number,
    kernelSize: Sizes,
    options: Options,
  ) => Module;
  protected abstract readonly rank: number;
  protected readonly given: Options;
  constructor(
    readonly outChannels: number,
    readonly kernelSize: Sizes,
    options?: Options,
  ) {
    super();
    this.given = options ?? ({} as Options);
    this.bias = (this.given.bias ?? true) ? new UninitializedParameter() : null;
  }
  protected override make(inChannels: number): Module {
    return new this.layer(inChannels, this.outChannels, this.kernelSize, this.given);
  }
  protected override sizeOf(x: Tensor): number {
    return channelsOf(this.constructor.name, x, this.rank);
  }
  protected override sizeIn([first = 0, second = 0]: Shape): number {
    return this.constructor.name.startsWith('LazyConvTranspose') ? first : second * (this.given.groups ?? 1);
  }
}
/** A 1-D convolution whose inChannels the first input tells (torch.nn.LazyConv1d). */
export class LazyConv1d extends LazyConv<ConvOptions> {
  protected override readonly layer: typeof Conv1d = Conv1d;
  protected override readonly rank = 1;
}
/** A 2-D convolution whose inChannels the first input tells (torch.nn.LazyConv2d). */
export class LazyConv2d extends LazyConv<ConvOptions> {
  protected override readonly layer: typeof Conv2d = Conv2d;
  protected override readonly rank = 2;
}
/** A 3-D convolution whose inChannels the first input tells (torch.nn.LazyConv3d). */
export class LazyConv3d extends LazyConv<ConvOptions> {
  protected override readonly layer: typeof Conv3d = Conv3d;
  protected override readonly rank = 3;
}
/** A transposed 1-D convolution whose inChannels the first input tells (torch.nn.LazyConvTranspose1d). */
export class LazyConvTranspose1d extends LazyConv<ConvTransposeOptions> {
  protected override readonly layer: typeof ConvTranspose1d = ConvTranspose1d;
  protected override readonly rank = 1;
}
/** A transposed 2-D convolution whose inChannels the first input tells (torch.nn.LazyConvTranspose2d). */
export class LazyConvTranspose2d extends LazyConv<ConvTransposeOptions> {
  protected override readonly layer: typeof ConvTranspose2d = ConvTranspose2d;
  protected override readonly rank = 2;
}
/** A transposed 3-D convolution whose inChannels the first input tells (torch.nn.LazyConvTranspose3d). */
export class LazyConvTranspose3d extends LazyConv<ConvTransposeOptions> {
  protected override readonly layer: typeof ConvTranspose3d = ConvTranspose3d;
  protected override readonly rank = 3;
}

abstract class LazyNorm extends LazyModule {
  readonly weight: Parameter | null;
  readonly bias: Parameter | null;
  readonly runningMean: Buffer | null;
  readonly runningVar: Buffer | null;
  readonly numBatchesTracked: Buffer | null;
  protected readonly told: readonly string[] = ['weight', 'runningMean'];
  protected abstract readonly layer: new (
    numFeatures: number,
    options: BatchNormOptions,
  ) => Module;
  protected abstract readonly rank: number;
  protected readonly given: BatchNormOptions;
  /** As in PyTorch, with scale, shift and statistics by default, instance norms too. */
  constructor({ affine = true, bias = true, trackRunningStats = true, ...options }: BatchNormOptions = {}) {
    super();
    this.given = { ...options, affine, bias, trackRunningStats };
    this.weight = affine ? new UninitializedParameter() : null;
    this.bias = affine && bias ? new UninitializedParameter() : null;
    this.runningMean = trackRunningStats ? new UninitializedBuffer() : null;
    this.runningVar = trackRunningStats ? new UninitializedBuffer() : null;
    this.numBatchesTracked = trackRunningStats ? new UninitializedBuffer() : null;
  }
  protected override make(numFeatures: number): Module {
    return new this.layer(numFeatures, this.given);
  }
  protected override sizeOf(x: Tensor): number {
    // (batch, features) has no dims behind the features.
    return this.rank === 1 && x.ndim === 2 && this.layer === BatchNorm1d ? x.sizeAt(1) : channelsOf(this.constructor.name, x, this.rank);
  }
  protected override sizeIn([numFeatures = 0]: Shape): number {
    return numFeatures;
  }
}
/** Batch normalization whose numFeatures the first input tells (torch.nn.LazyBatchNorm1d). */
export class LazyBatchNorm1d extends LazyNorm {
  protected override readonly layer: typeof BatchNorm1d = BatchNorm1d;
  protected override readonly rank = 1;
}
/** Batch normalization whose numFeatures the first input tells (torch.nn.LazyBatchNorm2d). */
export class LazyBatchNorm2d extends LazyNorm {
  protected override readonly layer: typeof BatchNorm2d = BatchNorm2d;
  protected override readonly rank = 2;
}
/** Batch normalization whose numFeatures the first input tells (torch.nn.LazyBatchNorm3d). */
export class LazyBatchNorm3d extends LazyNorm {
  protected override readonly layer: typeof BatchNorm3d = BatchNorm3d;
  protected override readonly rank = 3;
}
/** Instance normalization whose numFeatures the first input tells (torch.nn.LazyInstanceNorm1d). */
export class LazyInstanceNorm1d extends LazyNorm {
  protected override readonly layer: typeof InstanceNorm1d = InstanceNorm1d;
  protected override readonly rank = 1;
}
/** Instance normalization whose numFeatures the first input tells (torch.nn.LazyInstanceNorm2d). */
export class LazyInstanceNorm2d extends LazyNorm {
  protected override readonly layer: typeof InstanceNorm2d = InstanceNorm2d;
  protected override readonly rank = 2;
}
/** Instance normalization whose numFeatures the first input tells (torch.nn.LazyInstanceNorm3d). */
export class LazyInstanceNorm3d extends LazyNorm {
  protected override readonly layer: typeof InstanceNorm3d = InstanceNorm3d;
  protected override readonly rank = 3;
}
