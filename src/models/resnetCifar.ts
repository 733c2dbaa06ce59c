import { LibError } from '../core/errors.js';
import { prototypeDigits } from '../data/synthetic.js';
import { BatchNorm2d, Conv2d, Linear, Module, Sequential } from '../nn/index.js';
import { crossEntropy } from '../ops/loss.js';
import type { Tensor } from '../tensor/tensor.js';
import { BasicBlock, initResNet } from './resnet.js';
import { supervisedTask, type TinyTask } from './task.js';

/** Every second pixel, and zeros for the channels that are new: a shortcut without parameters (He et al. 2016, option A). */
export class PaddedShortcut extends Module {
  constructor(
    readonly stride: number,
    readonly added: number,
  ) {
    super();
  }
  override forward(x: Tensor): Tensor {
    const smaller = this.stride === 1 ? x : x.avgPool2d(1, { stride: this.stride });
    const before = Math.floor(this.added / 2);
    return smaller.pad([0, 0, 0, 0, before, this.added - before]);
  }
}

/** Norm and ReLU come before each convolution, and nothing stands on the straight path (He et al. 2016, "v2"). */
export class PreActivationBlock extends Module {
  readonly bn1: BatchNorm2d;
  readonly conv1: Conv2d;
  readonly bn2: BatchNorm2d;
  readonly conv2: Conv2d;
  /** The third norm and convolution of a bottleneck. */
  readonly bn3: BatchNorm2d | null;
  readonly conv3: Conv2d | null;
  readonly downsample: Conv2d | null;

  constructor(inChannels: number, channels: number, stride: number, bottleneck: boolean) {
    super();
    const out = bottleneck ? 4 * channels : channels;
    const conv = (from: number, to: number, size: number, step = 1): Conv2d =>
      new Conv2d(from, to, size, { stride: step, padding: (size - 1) / 2, bias: false });
    this.bn1 = new BatchNorm2d(inChannels);
    this.conv1 = bottleneck ? conv(inChannels, channels, 1) : conv(inChannels, channels, 3, stride);
    this.bn2 = new BatchNorm2d(channels);
    this.conv2 = bottleneck ? conv(channels, channels, 3, stride) : conv(channels, channels, 3);
    this.bn3 = bottleneck ? new BatchNorm2d(channels) : null;
    this.conv3 = bottleneck ? conv(channels, out, 1) : null;
    this.downsample = stride !== 1 || inChannels !== out ? conv(inChannels, out, 1, stride) : null;
  }
  get lastNorm(): BatchNorm2d {
    return this.bn3 ?? this.bn2;
  }
  override forward(x: Tensor): Tensor {
    const active = this.bn1.forward(x).relu();
    const straight = this.downsample === null ? x : this.downsample.forward(active);
    let h = this.conv2.forward(this.bn2.forward(this.conv1.forward(active)).relu());
    if (this.bn3 !== null && this.conv3 !== null) h = this.conv3.forward(this.bn3.forward(h).relu());
    return straight.add(h);
  }
}

export interface CifarResNetOptions {
  /** Default 10. */
  readonly classes?: number;
  /** Channels of the picture. Default 3. */
  readonly inChannels?: number;
  /** 'v1': ReLU after the sum; 'preActivation': nothing after it. Default 'v1'. */
  readonly form?: 'v1' | 'preActivation';
  /** Bottleneck blocks of four times the channels ('preActivation' only). Default false. */
  readonly bottleneck?: boolean;
  /** Start each block as the identity. Default false. */
  readonly zeroInitResidual?: boolean;
  /** Channels of the three stages. Default [16, 32, 64]. */
  readonly widths?: readonly [number, number, number];
}

/** Narrow residual networks for small pictures: three stages of `blocks` blocks at full, half and quarter resolution. */
export class CifarResNet extends Module {
  readonly conv1: Conv2d;
  readonly bn1: BatchNorm2d;
  readonly layer1: Sequential;
  readonly layer2: Sequential;
  readonly layer3: Sequential;
  readonly linear: Linear;
  readonly form: 'v1' | 'preActivation';

  constructor(blocks: number, options: CifarResNetOptions = {}) {
    super();
    const { classes = 10, inChannels = 3, form = 'v1', bottleneck = false, zeroInitResidual = false, widths = [16, 32, 64] } = options;
    if (form === 'v1' && bottleneck)
      throw new LibError('option', "CifarResNet: bottleneck blocks must be of form 'preActivation', got 'v1'.");
    const [w1, w2, w3] = widths;
    const expansion = bottleneck ? 4 : 1;
    const stage = (from: number, to: number, stride: number): Sequential =>
      new Sequential(
        ...Array.from({ length: blocks }, (_, i) => this.block(i === 0 ? from : to * expansion, to, i === 0 ? stride : 1, options)),
      );
    this.conv1 = new Conv2d(inChannels, w1, 3, { padding: 1, bias: false });
    this.layer1 = stage(w1, w1, 1);
    this.layer2 = stage(w1 * expansion, w2, 2);
    this.layer3 = stage(w2 * expansion, w3, 2);
    // The first form normalizes what enters the blocks, the second what leaves them.
    this.bn1 = new BatchNorm2d(form === 'v1' ? w1 : w3 * expansion);
    this.linear = new Linear(w3 * expansion, classes);
    this.form = form;
    initResNet(this, zeroInitResidual);
  }

  private block(from: number, to: number, stride: number, { form = 'v1', bottleneck = false }: CifarResNetOptions): Module {
    if (form === 'preActivation') return new PreActivationBlock(from, to, stride, bottleneck);
    return new BasicBlock(from, to, stride, stride === 1 && from === to ? null : new PaddedShortcut(stride, to - from));
  }

  override forward(x: Tensor): Tensor {
    const normalize = (h: Tensor): Tensor => this.bn1.forward(h).relu();
    const stem = this.conv1.forward(x);
    const h = this.layer3.forward(this.layer2.forward(this.layer1.forward(this.form === 'v1' ? normalize(stem) : stem)));
    return this.linear.forward((this.form === 'v1' ? h : normalize(h)).mean({ dim: [2, 3] }));
  }
}

/** Layers of a depth: two convolutions a block (three in a bottleneck), three stages, and two layers more. */
function blocksOf(depth: number, bottleneck: boolean): number {
  const blocks = (depth - 2) / (bottleneck ? 9 : 6);
  if (Number.isInteger(blocks) && blocks > 0) return blocks;
  throw new LibError('value', `CifarResNet: the depth must be ${bottleneck ? '9' : '6'} n + 2, got ${depth}.`);
}
export const cifarResNet = (depth: number, options: CifarResNetOptions = {}): CifarResNet =>
  new CifarResNet(blocksOf(depth, options.bottleneck ?? false), options);
export const resnet20 = (options: CifarResNetOptions = {}): CifarResNet => cifarResNet(20, options);
export const resnet110 = (options: CifarResNetOptions = {}): CifarResNet => cifarResNet(110, options);
/** A thousand layers train only in the second form. */
export const resnet1001 = (options: CifarResNetOptions = {}): CifarResNet =>
  cifarResNet(1001, { form: 'preActivation', bottleneck: true, ...options });

const onDigits = (name: string, build: () => CifarResNet, steps: number): TinyTask<CifarResNet> =>
  supervisedTask({
    id: 'ARC-07',
    name,
    build,
    batch: (step) => {
      const { x, y } = prototypeDigits({ samples: 40, seed: step + 1 });
      return [x, y];
    },
    loss: (model, x: Tensor, y: Tensor) => crossEntropy(model.forward(x), y),
    steps,
  });
const narrow: CifarResNetOptions = { inChannels: 1, widths: [8, 16, 32], zeroInitResidual: true };
export const resnetTiny: TinyTask<CifarResNet> = onDigits('ResNet-8', () => cifarResNet(8, narrow), 40);
export const preActivationTiny: TinyTask<CifarResNet> = onDigits(
  'ResNet-11, pre-activation bottlenecks',
  () => cifarResNet(11, { ...narrow, form: 'preActivation', bottleneck: true }),
  40,
);
