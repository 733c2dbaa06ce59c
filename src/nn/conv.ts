import { LibError } from '../core/errors.js';
import {
  type ConvOptions as ConvCall,
  type ConvTransposeOptions as ConvTransposeCall,
  conv1d,
  conv2d,
  conv3d,
  convTranspose1d,
  convTranspose2d,
  convTranspose3d,
} from '../ops/conv.js';
import { empty } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { fans, kaimingUniform_, uniform_ } from './init.js';
import { checkSizes } from './linear.js';
import { Module, Parameter } from './module.js';

type Sizes = number | readonly number[];

export interface ConvOptions {
  /** Step between windows. Default 1. */
  readonly stride?: Sizes;
  /** Zeros on both sides, or 'same' / 'valid'. Default 0. */
  readonly padding?: Sizes | 'same' | 'valid';
  /** Distance between kernel elements. Default 1. */
  readonly dilation?: Sizes;
  /** Independent blocks of channels. Default 1. */
  readonly groups?: number;
  /** Learn an additive bias per output channel. Default true. */
  readonly bias?: boolean;
}

export interface ConvTransposeOptions extends Omit<ConvOptions, 'padding'> {
  /** Default 0. */
  readonly padding?: Sizes;
  /** Added to one side of the output's size. Default 0. */
  readonly outputPadding?: Sizes;
}

const perDim = (value: Sizes, rank: number): number[] => (typeof value === 'number' ? new Array<number>(rank).fill(value) : [...value]);

/** What all convolution layers share: a weight, perhaps a bias, PyTorch's initial values. */
abstract class ConvBase extends Module {
  readonly weight: Parameter;
  readonly bias: Parameter | null;

  constructor(
    name: string,
    rank: number,
    readonly inChannels: number,
    readonly outChannels: number,
    readonly kernelSize: Sizes,
    groups: number,
    bias: boolean,
    transposed: boolean,
  ) {
    super();
    const kernel = perDim(kernelSize, rank);
    checkSizes(name, { inChannels, outChannels, groups });
    for (const k of kernel) checkSizes(name, { kernelSize: k });
    if (kernel.length !== rank) throw new LibError('value', `${name}: kernelSize must have ${rank} sizes, got [${kernel.join(', ')}].`);
    if (inChannels % groups !== 0 || outChannels % groups !== 0) {
      throw new LibError(
        'value',
        `${name}: groups must divide inChannels and outChannels, got ${groups} for ${inChannels} and ${outChannels}.`,
      );
    }
    const shape = transposed ? [inChannels, outChannels / groups, ...kernel] : [outChannels, inChannels / groups, ...kernel];
    this.weight = new Parameter(kaimingUniform_(empty(shape), { a: Math.sqrt(5) }));
    const bound = 1 / Math.sqrt(fans(name, shape).fanIn);
    this.bias = bias ? new Parameter(uniform_(empty([outChannels]), -bound, bound)) : null;
  }

  override extraRepr(): string {
    return `${this.inChannels}, ${this.outChannels}, kernelSize=${String(this.kernelSize)}, bias=${this.bias !== null}`;
  }
}

type ConvFunction = (x: Tensor, weight: Tensor, options?: ConvCall) => Tensor;

abstract class Conv extends ConvBase {
  protected abstract readonly call: ConvFunction;
  private readonly options: ConvCall;
  constructor(name: string, rank: number, inChannels: number, outChannels: number, kernelSize: Sizes, options: ConvOptions) {
    const { bias = true, groups = 1, stride = 1, padding = 0, dilation = 1 } = options;
    super(name, rank, inChannels, outChannels, kernelSize, groups, bias, false);
    this.options = { stride, padding, dilation, groups };
  }
  override forward(x: Tensor): Tensor {
    return this.call(x, this.weight, { ...this.options, bias: this.bias });
  }
}

/** 1-D convolution: (batch, inChannels, length) → (batch, outChannels, length′) (torch.nn.Conv1d). */
export class Conv1d extends Conv {
  protected override readonly call: ConvFunction = conv1d;
  constructor(inChannels: number, outChannels: number, kernelSize: Sizes, options: ConvOptions = {}) {
    super('Conv1d', 1, inChannels, outChannels, kernelSize, options);
  }
}

/**
 * 2-D convolution (cross-correlation): (batch, inChannels, height, width) → (batch, outChannels, height′, width′) (torch.nn.Conv2d).
 *
 * @example new Conv2d(1, 32, 3, { padding: 1 }).forward(zeros([8, 1, 28, 28])) // (8, 32, 28, 28)
 */
export class Conv2d extends Conv {
  protected override readonly call: ConvFunction = conv2d;
  constructor(inChannels: number, outChannels: number, kernelSize: Sizes, options: ConvOptions = {}) {
    super('Conv2d', 2, inChannels, outChannels, kernelSize, options);
  }
}

/** 3-D convolution: (batch, inChannels, depth, height, width) → … (torch.nn.Conv3d). */
export class Conv3d extends Conv {
  protected override readonly call: ConvFunction = conv3d;
  constructor(inChannels: number, outChannels: number, kernelSize: Sizes, options: ConvOptions = {}) {
    super('Conv3d', 3, inChannels, outChannels, kernelSize, options);
  }
}

type ConvTransposeFunction = (x: Tensor, weight: Tensor, options?: ConvTransposeCall) => Tensor;

abstract class ConvTranspose extends ConvBase {
  protected abstract readonly call: ConvTransposeFunction;
  private readonly options: ConvTransposeCall;
  constructor(name: string, rank: number, inChannels: number, outChannels: number, kernelSize: Sizes, options: ConvTransposeOptions) {
    const { bias = true, groups = 1, stride = 1, padding = 0, dilation = 1, outputPadding = 0 } = options;
    super(name, rank, inChannels, outChannels, kernelSize, groups, bias, true);
    this.options = { stride, padding, dilation, groups, outputPadding };
  }
  override forward(x: Tensor): Tensor {
    return this.call(x, this.weight, { ...this.options, bias: this.bias });
  }
}

/** The adjoint of {@link Conv1d}, for upsampling (torch.nn.ConvTranspose1d). */
export class ConvTranspose1d extends ConvTranspose {
  protected override readonly call: ConvTransposeFunction = convTranspose1d;
  constructor(inChannels: number, outChannels: number, kernelSize: Sizes, options: ConvTransposeOptions = {}) {
    super('ConvTranspose1d', 1, inChannels, outChannels, kernelSize, options);
  }
}

/** The adjoint of {@link Conv2d}, for upsampling (torch.nn.ConvTranspose2d). */
export class ConvTranspose2d extends ConvTranspose {
  protected override readonly call: ConvTransposeFunction = convTranspose2d;
  constructor(inChannels: number, outChannels: number, kernelSize: Sizes, options: ConvTransposeOptions = {}) {
    super('ConvTranspose2d', 2, inChannels, outChannels, kernelSize, options);
  }
}

/** The adjoint of {@link Conv3d}, for upsampling (torch.nn.ConvTranspose3d). */
export class ConvTranspose3d extends ConvTranspose {
  protected override readonly call: ConvTransposeFunction = convTranspose3d;
  constructor(inChannels: number, outChannels: number, kernelSize: Sizes, options: ConvTransposeOptions = {}) {
    super('ConvTranspose3d', 3, inChannels, outChannels, kernelSize, options);
  }
}
