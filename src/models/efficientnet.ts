import { prototypeDigits } from '../data/synthetic.js';
import { BatchNorm2d, Conv2d, Dropout, DropPath, init, Linear, Module, Sequential, SiLU } from '../nn/index.js';
import { crossEntropy } from '../ops/loss.js';
import type { Tensor } from '../tensor/tensor.js';
import { supervisedTask, type TinyTask } from './task.js';

/** Weighs each channel by what all of them are on average (Hu et al. 2018): (batch, channels, height, width), same shape out. */
export class SqueezeExcitation extends Module {
  readonly fc1: Conv2d;
  readonly fc2: Conv2d;
  constructor(channels: number, squeezed: number) {
    super();
    this.fc1 = new Conv2d(channels, squeezed, 1);
    this.fc2 = new Conv2d(squeezed, channels, 1);
  }
  override forward(x: Tensor): Tensor {
    const mean = x.mean({ dim: [2, 3], keepdim: true });
    return x.mul(this.fc2.forward(this.fc1.forward(mean).silu()).sigmoid());
  }
}

interface ConvLayer {
  readonly stride?: number;
  readonly groups?: number;
  readonly activation?: boolean;
}
/** Convolution, batch norm and (if not said otherwise) SiLU. */
function convLayer(from: number, to: number, size: number, { stride = 1, groups = 1, activation = true }: ConvLayer = {}): Sequential {
  const conv = new Conv2d(from, to, size, { stride, padding: (size - 1) / 2, groups, bias: false });
  return new Sequential(conv, new BatchNorm2d(to), ...(activation ? [new SiLU()] : []));
}

export interface MBConvOptions {
  /** Channels inside for each channel in. Default 6. */
  readonly expand?: number;
  /** Of the depthwise convolution. Default 3. */
  readonly kernelSize?: number;
  /** Default 1. */
  readonly stride?: number;
  /** In training, the chance that the branch is dropped. Default 0. */
  readonly dropPath?: number;
}

/** Inverted bottleneck (Sandler et al. 2018): 1×1 to more channels, depthwise, squeeze and excite, 1×1 to few, without activation. */
export class MBConv extends Module {
  readonly block: Sequential;
  readonly stochasticDepth: DropPath;
  readonly residual: boolean;

  constructor(inChannels: number, outChannels: number, { expand = 6, kernelSize = 3, stride = 1, dropPath = 0 }: MBConvOptions = {}) {
    super();
    const inner = divisible(inChannels * expand);
    this.block = new Sequential(
      ...(inner === inChannels ? [] : [convLayer(inChannels, inner, 1)]),
      convLayer(inner, inner, kernelSize, { stride, groups: inner }),
      new SqueezeExcitation(inner, Math.max(1, Math.floor(inChannels / 4))),
      convLayer(inner, outChannels, 1, { activation: false }),
    );
    this.stochasticDepth = new DropPath(dropPath);
    this.residual = stride === 1 && inChannels === outChannels;
  }
  override forward(x: Tensor): Tensor {
    const y = this.block.forward(x);
    return this.residual ? x.add(this.stochasticDepth.forward(y)) : y;
  }
}

/** The nearest multiple of eight channels, at most a tenth below. */
export function divisible(channels: number): number {
  const near = Math.max(8, Math.floor((channels + 4) / 8) * 8);
  return near < 0.9 * channels ? near + 8 : near;
}

/** A stage at scale 1: expansion, kernel, stride, channels in and out, layers. */
export type MBStage = readonly [expand: number, kernel: number, stride: number, from: number, to: number, layers: number];
const baseline: readonly MBStage[] = [
  [1, 3, 1, 32, 16, 1],
  [6, 3, 2, 16, 24, 2],
  [6, 5, 2, 24, 40, 2],
  [6, 3, 2, 40, 80, 3],
  [6, 5, 1, 80, 112, 3],
  [6, 5, 2, 112, 192, 4],
  [6, 3, 1, 192, 320, 1],
];

export interface EfficientNetOptions {
  /** Factor of all channels. Default 1. */
  readonly width?: number;
  /** Factor of the layers of each stage. Default 1. */
  readonly depth?: number;
  /** Before the last layer. Default 0.2. */
  readonly dropout?: number;
  /** The chance that the last block is dropped in training; it rises linearly to that (stochastic depth). Default 0.2. */
  readonly dropPath?: number;
  /** Default 1000. */
  readonly classes?: number;
  /** Channels of the picture. Default 3. */
  readonly inChannels?: number;
  /** Default: those of EfficientNet-B0. */
  readonly stages?: readonly MBStage[];
}

/** Scaled convolutional networks (Tan & Le 2019): (batch, 3, height, width) → (batch, classes). State names are torchvision's. */
export class EfficientNet extends Module {
  readonly features: Sequential;
  /** May be replaced, by a head for other classes. */
  classifier: Module;

  constructor(options: EfficientNetOptions = {}) {
    super();
    const { width = 1, depth = 1, dropout = 0.2, dropPath = 0.2, classes = 1000, inChannels = 3, stages = baseline } = options;
    const scaled = (channels: number): number => divisible(channels * width);
    const counts = stages.map((stage) => Math.ceil(stage[5] * depth));
    const total = counts.reduce((a, b) => a + b, 0);
    let built = 0;
    const blocks = stages.map(([expand, kernelSize, stride, from, to], s) => {
      const layers = Array.from({ length: counts[s] as number }, (_, i) => {
        const rate = (dropPath * built++) / total;
        return new MBConv(scaled(i === 0 ? from : to), scaled(to), { expand, kernelSize, stride: i === 0 ? stride : 1, dropPath: rate });
      });
      return new Sequential(...layers);
    });
    const last = scaled((stages.at(-1) as MBStage)[4]);
    const stem = convLayer(inChannels, scaled((stages[0] as MBStage)[3]), 3, { stride: 2 });
    this.features = new Sequential(stem, ...blocks, convLayer(last, 4 * last, 1));
    this.classifier = new Sequential(new Dropout(dropout), new Linear(4 * last, classes));
    for (const m of this.modules()) {
      if (!(m instanceof Conv2d)) continue;
      init.kaimingNormal_(m.weight, { mode: 'fanOut' });
      if (m.bias !== null) init.zeros_(m.bias);
    }
  }
  override forward(x: Tensor): Tensor {
    return this.classifier.forward(this.features.forward(x).mean({ dim: [2, 3] }));
  }
}

/** Width, depth, height of the pictures and dropout of B0 … B7: all grow together. */
export const efficientNetScales = [
  [1.0, 1.0, 224, 0.2],
  [1.0, 1.1, 240, 0.2],
  [1.1, 1.2, 260, 0.3],
  [1.2, 1.4, 300, 0.3],
  [1.4, 1.8, 380, 0.4],
  [1.6, 2.2, 456, 0.4],
  [1.8, 2.6, 528, 0.5],
  [2.0, 3.1, 600, 0.5],
] as const;
/** EfficientNet-B0 to B7, by number. */
export function efficientnet(scale: 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7, options: EfficientNetOptions = {}): EfficientNet {
  const [width, depth, , dropout] = efficientNetScales[scale];
  return new EfficientNet({ width, depth, dropout, ...options });
}
export const efficientnetB0 = (options: EfficientNetOptions = {}): EfficientNet => efficientnet(0, options);

export const efficientnetTiny: TinyTask<EfficientNet> = supervisedTask({
  id: 'ARC-10',
  name: 'EfficientNet',
  build: () =>
    new EfficientNet({
      stages: [
        [1, 3, 1, 16, 16, 1],
        [4, 3, 2, 16, 24, 2],
      ],
      classes: 10,
      inChannels: 1,
      dropout: 0.1,
      dropPath: 0.1,
    }),
  batch: (step) => {
    const { x, y } = prototypeDigits({ samples: 40, seed: step + 1 });
    return [x, y];
  },
  loss: (model, x: Tensor, y: Tensor) => crossEntropy(model.forward(x), y),
  steps: 40,
});
