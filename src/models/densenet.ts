import { prototypeDigits } from '../data/synthetic.js';
import { AvgPool2d, BatchNorm2d, Conv2d, Dropout, init, Linear, MaxPool2d, Module } from '../nn/index.js';
import { cat } from '../ops/join.js';
import { crossEntropy } from '../ops/loss.js';
import type { Tensor } from '../tensor/tensor.js';
import { supervisedTask, type TinyTask } from './task.js';

export interface DenseNetOptions {
  /** Channels that each layer adds. Default 32. */
  readonly growth?: number;
  /** Channels after the first convolution. Default 64. */
  readonly initial?: number;
  /** The 1×1 convolution gives this many times `growth`. Default 4. */
  readonly bottleneck?: number;
  /** Default 0. */
  readonly dropout?: number;
  /** Default 1000. */
  readonly classes?: number;
  /** Channels of the picture. Default 3. */
  readonly inChannels?: number;
  /** Begin with a 3×3 convolution at full resolution instead of 7×7 and pooling: for small pictures. Default false. */
  readonly smallStem?: boolean;
}

/** Reads everything that came before and adds `growth` channels. */
export class DenseLayer extends Module {
  readonly norm1: BatchNorm2d;
  readonly conv1: Conv2d;
  readonly norm2: BatchNorm2d;
  readonly conv2: Conv2d;
  readonly drop: Dropout;

  constructor(inChannels: number, growth: number, bottleneck: number, dropout: number) {
    super();
    this.norm1 = new BatchNorm2d(inChannels);
    this.conv1 = new Conv2d(inChannels, bottleneck * growth, 1, { bias: false });
    this.norm2 = new BatchNorm2d(bottleneck * growth);
    this.conv2 = new Conv2d(bottleneck * growth, growth, 3, { padding: 1, bias: false });
    this.drop = new Dropout(dropout);
  }
  override forward(x: Tensor): Tensor {
    const narrow = this.conv1.forward(this.norm1.forward(x).relu());
    return this.drop.forward(this.conv2.forward(this.norm2.forward(narrow).relu()));
  }
}

/** Layers that each read the input and all results before (Huang et al. 2017). */
export class DenseBlock extends Module {
  [layer: `denselayer${number}`]: DenseLayer;
  constructor(
    readonly depth: number,
    inChannels: number,
    { growth = 32, bottleneck = 4, dropout = 0 }: DenseNetOptions,
  ) {
    super();
    for (let i = 0; i < depth; i++) this[`denselayer${i + 1}`] = new DenseLayer(inChannels + i * growth, growth, bottleneck, dropout);
  }
  override forward(x: Tensor): Tensor {
    let joined = x;
    for (let i = 1; i <= this.depth; i++) joined = cat([joined, (this[`denselayer${i}`] as DenseLayer).forward(joined)], { dim: 1 });
    return joined;
  }
}

/** Half the channels, half the resolution. */
export class Transition extends Module {
  readonly norm: BatchNorm2d;
  readonly conv: Conv2d;
  readonly pool: AvgPool2d;
  constructor(inChannels: number, outChannels: number) {
    super();
    this.norm = new BatchNorm2d(inChannels);
    this.conv = new Conv2d(inChannels, outChannels, 1, { bias: false });
    this.pool = new AvgPool2d(2);
  }
  override forward(x: Tensor): Tensor {
    return this.pool.forward(this.conv.forward(this.norm.forward(x).relu()));
  }
}

/** All of a DenseNet but its classifier, under torchvision's names. */
class DenseFeatures extends Module {
  readonly conv0: Conv2d;
  readonly norm0: BatchNorm2d;
  readonly pool0: MaxPool2d | null;
  [block: `denseblock${number}`]: DenseBlock;
  [transition: `transition${number}`]: Transition;
  readonly norm5: BatchNorm2d;

  constructor(
    readonly depths: readonly number[],
    options: DenseNetOptions,
  ) {
    super();
    const { growth = 32, initial = 64, inChannels = 3, smallStem = false } = options;
    const stem = smallStem ? { kernel: 3, stride: 1, padding: 1 } : { kernel: 7, stride: 2, padding: 3 };
    this.conv0 = new Conv2d(inChannels, initial, stem.kernel, { stride: stem.stride, padding: stem.padding, bias: false });
    this.norm0 = new BatchNorm2d(initial);
    this.pool0 = smallStem ? null : new MaxPool2d(3, { stride: 2, padding: 1 });
    let channels = initial;
    for (const [i, depth] of depths.entries()) {
      this[`denseblock${i + 1}`] = new DenseBlock(depth, channels, options);
      channels += depth * growth;
      if (i === depths.length - 1) break;
      this[`transition${i + 1}`] = new Transition(channels, Math.floor(channels / 2));
      channels = Math.floor(channels / 2);
    }
    this.norm5 = new BatchNorm2d(channels);
  }
  override forward(x: Tensor): Tensor {
    let h = this.norm0.forward(this.conv0.forward(x)).relu();
    if (this.pool0 !== null) h = this.pool0.forward(h);
    for (let i = 1; i <= this.depths.length; i++) {
      h = (this[`denseblock${i}`] as DenseBlock).forward(h);
      h = this[`transition${i}`]?.forward(h) ?? h;
    }
    return this.norm5.forward(h);
  }
}

/** Densely connected networks: (batch, 3, height, width) → (batch, classes). State names are torchvision's. */
export class DenseNet extends Module {
  readonly features: DenseFeatures;
  /** May be replaced, by a head for other classes. */
  classifier: Module;

  constructor(depths: readonly number[], options: DenseNetOptions = {}) {
    super();
    this.features = new DenseFeatures(depths, options);
    const head = new Linear(this.features.norm5.numFeatures, options.classes ?? 1000);
    this.classifier = head;
    for (const m of this.modules()) if (m instanceof Conv2d) init.kaimingNormal_(m.weight);
    if (head.bias !== null) init.zeros_(head.bias);
  }
  override forward(x: Tensor): Tensor {
    return this.classifier.forward(
      this.features
        .forward(x)
        .relu()
        .mean({ dim: [2, 3] }),
    );
  }
}

export const densenet121 = (options: DenseNetOptions = {}): DenseNet => new DenseNet([6, 12, 24, 16], options);
export const densenet169 = (options: DenseNetOptions = {}): DenseNet => new DenseNet([6, 12, 32, 32], options);

export const densenetTiny: TinyTask<DenseNet> = supervisedTask({
  id: 'ARC-08',
  name: 'DenseNet',
  build: () => new DenseNet([2, 2], { growth: 8, initial: 8, bottleneck: 2, classes: 10, inChannels: 1, smallStem: true }),
  batch: (step) => {
    const { x, y } = prototypeDigits({ samples: 40, seed: step + 1 });
    return [x, y];
  },
  loss: (model, x: Tensor, y: Tensor) => crossEntropy(model.forward(x), y),
  steps: 40,
});
