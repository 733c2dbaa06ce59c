import { BatchNorm2d, Conv2d, Dropout, init, Linear, Module, ReLU6, Sequential } from '../nn/index.js';
import type { Tensor } from '../tensor/tensor.js';
import { divisible } from './efficientnet.js';

function convLayer(from: number, to: number, size: number, stride = 1, groups = 1): Sequential {
  const conv = new Conv2d(from, to, size, { stride, padding: (size - 1) / 2, groups, bias: false });
  return new Sequential(conv, new BatchNorm2d(to), new ReLU6());
}

/** One filter a channel and then a 1×1 convolution (Howard et al. 2017): about 1/9 of the work of a 3×3 convolution. */
export const depthwiseSeparable = (from: number, to: number, stride = 1): Sequential =>
  new Sequential(convLayer(from, from, 3, stride, from), convLayer(from, to, 1));

/** Few channels outside, `expand` times as many inside, no activation on the way out (Sandler et al. 2018). */
export class InvertedResidual extends Module {
  readonly conv: Sequential;
  readonly residual: boolean;
  constructor(inChannels: number, outChannels: number, stride: number, expand: number) {
    super();
    const inner = inChannels * expand;
    this.conv = new Sequential(
      ...(expand === 1 ? [] : [convLayer(inChannels, inner, 1)]),
      convLayer(inner, inner, 3, stride, inner),
      new Conv2d(inner, outChannels, 1, { bias: false }),
      new BatchNorm2d(outChannels),
    );
    this.residual = stride === 1 && inChannels === outChannels;
  }
  override forward(x: Tensor): Tensor {
    const y = this.conv.forward(x);
    return this.residual ? x.add(y) : y;
  }
}

export interface MobileNetOptions {
  /** Factor of all channels. Default 1. */
  readonly width?: number;
  /** Default 1000. */
  readonly classes?: number;
  /** Before the last layer. Default 0.2. */
  readonly dropout?: number;
}

/** Expansion, channels out, layers and stride of each stage. */
const stages = [
  [1, 16, 1, 1],
  [6, 24, 2, 2],
  [6, 32, 3, 2],
  [6, 64, 4, 2],
  [6, 96, 3, 1],
  [6, 160, 3, 2],
  [6, 320, 1, 1],
] as const;

/** MobileNetV2: (batch, 3, height, width) → (batch, classes). State names are torchvision's. */
export class MobileNetV2 extends Module {
  readonly features: Sequential;
  /** May be replaced, by a head for other classes. */
  classifier: Module;

  constructor({ width = 1, classes = 1000, dropout = 0.2 }: MobileNetOptions = {}) {
    super();
    let channels = divisible(32 * width);
    const layers: Module[] = [convLayer(3, channels, 3, 2)];
    for (const [expand, out, count, stride] of stages) {
      const to = divisible(out * width);
      for (let i = 0; i < count; i++) {
        layers.push(new InvertedResidual(channels, to, i === 0 ? stride : 1, expand));
        channels = to;
      }
    }
    const last = divisible(1280 * Math.max(1, width));
    this.features = new Sequential(...layers, convLayer(channels, last, 1));
    this.classifier = new Sequential(new Dropout(dropout), new Linear(last, classes));
    for (const m of this.modules()) if (m instanceof Conv2d) init.kaimingNormal_(m.weight, { mode: 'fanOut' });
  }
  override forward(x: Tensor): Tensor {
    return this.classifier.forward(this.features.forward(x).mean({ dim: [2, 3] }));
  }
}

export const mobilenetV2 = (options: MobileNetOptions = {}): MobileNetV2 => new MobileNetV2(options);
