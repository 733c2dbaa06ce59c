import { BatchNorm2d, Conv2d, init, Linear, MaxPool2d, Module, Sequential } from '../nn/index.js';
import type { Tensor } from '../tensor/tensor.js';

export interface ResNetOptions {
  /** Default 1000. */
  readonly classes?: number;
  /** Channels of the picture. Default 3. */
  readonly inChannels?: number;
  /** Start each block as the identity: the scale of its last norm is 0 (Goyal et al. 2017). Default false. */
  readonly zeroInitResidual?: boolean;
}

interface Block extends Module {
  /** The norm whose scale 0 makes the block the identity. */
  readonly lastNorm: BatchNorm2d;
}
interface BlockType {
  new (inChannels: number, channels: number, stride: number, downsample: Module | null): Block;
  /** Channels out for each of `channels`. */
  readonly expansion: number;
}

const conv = (from: number, to: number, size: number, stride = 1): Conv2d =>
  new Conv2d(from, to, size, { stride, padding: (size - 1) / 2, bias: false });

/** Two 3×3 convolutions beside a straight path. State names are those of torchvision's ResNets. */
export class BasicBlock extends Module implements Block {
  static readonly expansion: number = 1;
  readonly conv1: Conv2d;
  readonly bn1: BatchNorm2d;
  readonly conv2: Conv2d;
  readonly bn2: BatchNorm2d;
  readonly downsample: Module | null;

  constructor(inChannels: number, channels: number, stride: number = 1, downsample: Module | null = null) {
    super();
    this.conv1 = conv(inChannels, channels, 3, stride);
    this.bn1 = new BatchNorm2d(channels);
    this.conv2 = conv(channels, channels, 3);
    this.bn2 = new BatchNorm2d(channels);
    this.downsample = downsample;
  }
  get lastNorm(): BatchNorm2d {
    return this.bn2;
  }
  override forward(x: Tensor): Tensor {
    let h = this.bn1.forward(this.conv1.forward(x)).relu();
    h = this.bn2.forward(this.conv2.forward(h));
    return h.add(this.downsample === null ? x : this.downsample.forward(x)).relu();
  }
}

/** 1×1 to fewer channels, 3×3, 1×1 to four times as many. The stride is in the 3×3 convolution, as in torchvision ("v1.5"). */
export class Bottleneck extends Module implements Block {
  static readonly expansion: number = 4;
  readonly conv1: Conv2d;
  readonly bn1: BatchNorm2d;
  readonly conv2: Conv2d;
  readonly bn2: BatchNorm2d;
  readonly conv3: Conv2d;
  readonly bn3: BatchNorm2d;
  readonly downsample: Module | null;

  constructor(inChannels: number, channels: number, stride: number = 1, downsample: Module | null = null) {
    super();
    this.conv1 = conv(inChannels, channels, 1);
    this.bn1 = new BatchNorm2d(channels);
    this.conv2 = conv(channels, channels, 3, stride);
    this.bn2 = new BatchNorm2d(channels);
    this.conv3 = conv(channels, channels * 4, 1);
    this.bn3 = new BatchNorm2d(channels * 4);
    this.downsample = downsample;
  }
  get lastNorm(): BatchNorm2d {
    return this.bn3;
  }
  override forward(x: Tensor): Tensor {
    let h = this.bn1.forward(this.conv1.forward(x)).relu();
    h = this.bn2.forward(this.conv2.forward(h)).relu();
    h = this.bn3.forward(this.conv3.forward(h));
    return h.add(this.downsample === null ? x : this.downsample.forward(x)).relu();
  }
}

/** Residual networks for large pictures (He et al. 2016): (batch, 3, height, width) → (batch, classes). */
export class ResNet extends Module {
  readonly conv1: Conv2d;
  readonly bn1: BatchNorm2d;
  readonly maxpool: MaxPool2d;
  readonly layer1: Sequential;
  readonly layer2: Sequential;
  readonly layer3: Sequential;
  readonly layer4: Sequential;
  /** May be replaced, by a head for other classes. */
  fc: Module;

  constructor(block: BlockType, counts: readonly [number, number, number, number], options: ResNetOptions = {}) {
    super();
    const { classes = 1000, inChannels = 3, zeroInitResidual = false } = options;
    this.conv1 = new Conv2d(inChannels, 64, 7, { stride: 2, padding: 3, bias: false });
    this.bn1 = new BatchNorm2d(64);
    this.maxpool = new MaxPool2d(3, { stride: 2, padding: 1 });
    this.layer1 = stage(block, 64, 64, counts[0], 1);
    this.layer2 = stage(block, 64 * block.expansion, 128, counts[1], 2);
    this.layer3 = stage(block, 128 * block.expansion, 256, counts[2], 2);
    this.layer4 = stage(block, 256 * block.expansion, 512, counts[3], 2);
    this.fc = new Linear(512 * block.expansion, classes);
    initResNet(this, zeroInitResidual);
  }

  /** The maps of the four stages: strides 4, 8, 16 and 32. */
  stages(x: Tensor): readonly [Tensor, Tensor, Tensor, Tensor] {
    const stem = this.maxpool.forward(this.bn1.forward(this.conv1.forward(x)).relu());
    const c2 = this.layer1.forward(stem);
    const c3 = this.layer2.forward(c2);
    const c4 = this.layer3.forward(c3);
    return [c2, c3, c4, this.layer4.forward(c4)];
  }
  override forward(x: Tensor): Tensor {
    const [, , , last] = this.stages(x);
    return this.fc.forward(last.mean({ dim: [2, 3] }));
  }
}

function stage(Block: BlockType, inChannels: number, channels: number, count: number, stride: number): Sequential {
  const out = channels * Block.expansion;
  const changes = stride !== 1 || inChannels !== out;
  const downsample = changes ? new Sequential(conv(inChannels, out, 1, stride), new BatchNorm2d(out)) : null;
  const rest = Array.from({ length: count - 1 }, () => new Block(out, channels, 1, null));
  return new Sequential(new Block(inChannels, channels, stride, downsample), ...rest);
}

/** @internal He's normal weights by fan-out, and blocks that start as the identity if asked. */
export function initResNet(model: Module, zeroInitResidual: boolean): void {
  for (const m of model.modules()) {
    if (m instanceof Conv2d) init.kaimingNormal_(m.weight, { mode: 'fanOut', nonlinearity: 'relu' });
    if (zeroInitResidual && 'lastNorm' in m && m.lastNorm instanceof BatchNorm2d && m.lastNorm.weight !== null) {
      init.zeros_(m.lastNorm.weight);
    }
  }
}

export const resnet18 = (options: ResNetOptions = {}): ResNet => new ResNet(BasicBlock, [2, 2, 2, 2], options);
export const resnet34 = (options: ResNetOptions = {}): ResNet => new ResNet(BasicBlock, [3, 4, 6, 3], options);
export const resnet50 = (options: ResNetOptions = {}): ResNet => new ResNet(Bottleneck, [3, 4, 6, 3], options);
export const resnet101 = (options: ResNetOptions = {}): ResNet => new ResNet(Bottleneck, [3, 4, 23, 3], options);
export const resnet152 = (options: ResNetOptions = {}): ResNet => new ResNet(Bottleneck, [3, 8, 36, 3], options);
