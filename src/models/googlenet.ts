import { prototypeDigits } from '../data/synthetic.js';
import { BatchNorm2d, Conv2d, Dropout, init, Linear, MaxPool2d, Module, Sequential } from '../nn/index.js';
import { cat } from '../ops/join.js';
import { crossEntropy } from '../ops/loss.js';
import type { Tensor } from '../tensor/tensor.js';
import { supervisedTask, type TinyTask } from './task.js';

/** Convolution, batch norm, ReLU. */
export class ConvNormRelu extends Module {
  readonly conv: Conv2d;
  readonly bn: BatchNorm2d;
  constructor(
    from: number,
    to: number,
    size: number,
    { stride = 1, padding = 0 }: { readonly stride?: number; readonly padding?: number } = {},
  ) {
    super();
    this.conv = new Conv2d(from, to, size, { stride, padding, bias: false });
    this.bn = new BatchNorm2d(to, { eps: 0.001 });
  }
  override forward(x: Tensor): Tensor {
    return this.bn.forward(this.conv.forward(x)).relu();
  }
}

/** Channels of an inception block's branches: 1×1; 1×1 before 3×3; 1×1 before the second 3×3; 1×1 after pooling. */
export interface InceptionWidths {
  readonly one: number;
  readonly three: readonly [reduced: number, out: number];
  readonly five: readonly [reduced: number, out: number];
  readonly pool: number;
}

/** Four looks at the same input, joined; 1×1 convolutions make the wide ones cheap (Szegedy et al. 2015). */
export class Inception extends Module {
  readonly branch1: ConvNormRelu;
  readonly branch2: Sequential;
  readonly branch3: Sequential;
  readonly branch4: Sequential;
  readonly outChannels: number;

  constructor(inChannels: number, { one, three, five, pool }: InceptionWidths) {
    super();
    this.branch1 = new ConvNormRelu(inChannels, one, 1);
    this.branch2 = new Sequential(new ConvNormRelu(inChannels, three[0], 1), new ConvNormRelu(three[0], three[1], 3, { padding: 1 }));
    // 5×5 in the paper; torchvision's weights are for 3×3.
    this.branch3 = new Sequential(new ConvNormRelu(inChannels, five[0], 1), new ConvNormRelu(five[0], five[1], 3, { padding: 1 }));
    this.branch4 = new Sequential(new MaxPool2d(3, { stride: 1, padding: 1 }), new ConvNormRelu(inChannels, pool, 1));
    this.outChannels = one + three[1] + five[1] + pool;
  }
  override forward(x: Tensor): Tensor {
    const branches = [this.branch1, this.branch2, this.branch3, this.branch4];
    return cat(
      branches.map((branch) => branch.forward(x)),
      { dim: 1 },
    );
  }
}

const inception = (from: number, one: number, three: [number, number], five: [number, number], pool: number): Inception =>
  new Inception(from, { one, three, five, pool });

export interface GoogLeNetOptions {
  /** Default 1000. */
  readonly classes?: number;
  /** Before the last layer. Default 0.2. */
  readonly dropout?: number;
}

/** GoogLeNet with batch norm and without auxiliary heads: (batch, 3, height, width) → (batch, classes). State names are torchvision's. */
export class GoogLeNet extends Module {
  readonly conv1: ConvNormRelu;
  readonly conv2: ConvNormRelu;
  readonly conv3: ConvNormRelu;
  readonly inception3a: Inception;
  readonly inception3b: Inception;
  readonly inception4a: Inception;
  readonly inception4b: Inception;
  readonly inception4c: Inception;
  readonly inception4d: Inception;
  readonly inception4e: Inception;
  readonly inception5a: Inception;
  readonly inception5b: Inception;
  readonly dropout: Dropout;
  /** May be replaced, by a head for other classes. */
  fc: Module;

  constructor({ classes = 1000, dropout = 0.2 }: GoogLeNetOptions = {}) {
    super();
    this.conv1 = new ConvNormRelu(3, 64, 7, { stride: 2, padding: 3 });
    this.conv2 = new ConvNormRelu(64, 64, 1);
    this.conv3 = new ConvNormRelu(64, 192, 3, { padding: 1 });
    this.inception3a = inception(192, 64, [96, 128], [16, 32], 32);
    this.inception3b = inception(256, 128, [128, 192], [32, 96], 64);
    this.inception4a = inception(480, 192, [96, 208], [16, 48], 64);
    this.inception4b = inception(512, 160, [112, 224], [24, 64], 64);
    this.inception4c = inception(512, 128, [128, 256], [24, 64], 64);
    this.inception4d = inception(512, 112, [144, 288], [32, 64], 64);
    this.inception4e = inception(528, 256, [160, 320], [32, 128], 128);
    this.inception5a = inception(832, 256, [160, 320], [32, 128], 128);
    this.inception5b = inception(832, 384, [192, 384], [48, 128], 128);
    this.dropout = new Dropout(dropout);
    this.fc = new Linear(1024, classes);
    for (const m of this.modules()) if (m instanceof Conv2d) init.normal_(m.weight, 0, 0.01);
  }

  override forward(x: Tensor): Tensor {
    const halve = (h: Tensor, size = 3): Tensor => h.maxPool2d(size, { stride: 2, ceilMode: true });
    let h = halve(this.conv1.forward(x));
    h = halve(this.conv3.forward(this.conv2.forward(h)));
    h = halve(this.inception3b.forward(this.inception3a.forward(h)));
    h = this.inception4c.forward(this.inception4b.forward(this.inception4a.forward(h)));
    h = halve(this.inception4e.forward(this.inception4d.forward(h)), 2);
    h = this.inception5b.forward(this.inception5a.forward(h));
    return this.fc.forward(this.dropout.forward(h.mean({ dim: [2, 3] })));
  }
}

export const googlenet = (options: GoogLeNetOptions = {}): GoogLeNet => new GoogLeNet(options);

/** Two inception blocks for small pictures of one channel. */
export class SmallInception extends Module {
  readonly stem: ConvNormRelu;
  readonly first: Inception;
  readonly second: Inception;
  readonly fc: Linear;
  constructor(classes: number) {
    super();
    this.stem = new ConvNormRelu(1, 8, 3, { padding: 1 });
    this.first = inception(8, 8, [8, 8], [4, 8], 8);
    this.second = inception(this.first.outChannels, 8, [8, 16], [4, 8], 8);
    this.fc = new Linear(this.second.outChannels, classes);
  }
  override forward(x: Tensor): Tensor {
    const h = this.first.forward(this.stem.forward(x)).maxPool2d(2);
    return this.fc.forward(this.second.forward(h).mean({ dim: [2, 3] }));
  }
}

export const inceptionTiny: TinyTask<SmallInception> = supervisedTask({
  id: 'ARC-09',
  name: 'Inception',
  build: () => new SmallInception(10),
  batch: (step) => {
    const { x, y } = prototypeDigits({ samples: 40, seed: step + 1 });
    return [x, y];
  },
  loss: (model, x: Tensor, y: Tensor) => crossEntropy(model.forward(x), y),
  steps: 40,
});
