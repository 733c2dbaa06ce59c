import { shapes } from '../data/synthetic.js';
import { BatchNorm2d, Conv2d, ConvTranspose2d, GroupNorm, Linear, Module } from '../nn/index.js';
import { cat } from '../ops/join.js';
import { diceBceLoss } from '../ops/lossTasks.js';
import type { Tensor } from '../tensor/tensor.js';
import { supervisedTask, type TinyTask } from './task.js';

export interface UNetOptions {
  /** Default 3. */
  readonly inChannels?: number;
  /** Channels out: classes, or the picture's for noise. Default 1. */
  readonly outChannels?: number;
  /** Channels at full resolution; they double with each halving. Default 64. */
  readonly width?: number;
  /** Halvings. Default 4. */
  readonly depth?: number;
  /** 'group' does not mix examples: for noisy pictures of different times. Default 'batch'. */
  readonly norm?: 'batch' | 'group';
  /** Width of a time embedding that is added at every resolution; 0: none. Default 0. */
  readonly timeWidth?: number;
}

/** Twice convolution, norm, ReLU; between them the time comes in. */
class DoubleConv extends Module<readonly [x: Tensor, time?: Tensor | null]> {
  readonly conv1: Conv2d;
  readonly norm1: BatchNorm2d | GroupNorm;
  readonly time: Linear | null;
  readonly conv2: Conv2d;
  readonly norm2: BatchNorm2d | GroupNorm;

  constructor(from: number, to: number, { norm = 'batch', timeWidth = 0 }: UNetOptions) {
    super();
    const makeNorm = (): BatchNorm2d | GroupNorm => (norm === 'batch' ? new BatchNorm2d(to) : new GroupNorm(Math.min(8, to), to));
    this.conv1 = new Conv2d(from, to, 3, { padding: 1, bias: false });
    this.norm1 = makeNorm();
    this.time = timeWidth > 0 ? new Linear(timeWidth, to) : null;
    this.conv2 = new Conv2d(to, to, 3, { padding: 1, bias: false });
    this.norm2 = makeNorm();
  }
  override forward(x: Tensor, time: Tensor | null = null): Tensor {
    let h = this.norm1.forward(this.conv1.forward(x)).relu();
    if (this.time !== null && time !== null) h = h.add(this.time.forward(time).unsqueeze(-1).unsqueeze(-1));
    return this.norm2.forward(this.conv2.forward(h)).relu();
  }
}

/**
 * Down to a coarse view and up again, with what was seen on the way down joined in at each resolution (Ronneberger et al. 2015): (batch,
 * inChannels, height, width) → (batch, outChannels, height, width), sizes divisible by 2^depth. With `timeWidth`, the second input is the
 * embedding of the diffusion time (batch, timeWidth).
 */
export class UNet extends Module<readonly [x: Tensor, time?: Tensor | null]> {
  readonly inc: DoubleConv;
  readonly down: readonly DoubleConv[];
  readonly up: readonly ConvTranspose2d[];
  readonly merge: readonly DoubleConv[];
  readonly outc: Conv2d;

  constructor(options: UNetOptions = {}) {
    super();
    const { inChannels = 3, outChannels = 1, width = 64, depth = 4 } = options;
    const widths = Array.from({ length: depth + 1 }, (_, i) => width * 2 ** i);
    const at = (i: number): number => widths[i] as number;
    this.inc = new DoubleConv(inChannels, width, options);
    this.down = Array.from({ length: depth }, (_, i) => new DoubleConv(at(i), at(i + 1), options));
    this.up = Array.from({ length: depth }, (_, i) => new ConvTranspose2d(at(depth - i), at(depth - i - 1), 2, { stride: 2 }));
    this.merge = Array.from({ length: depth }, (_, i) => new DoubleConv(at(depth - i), at(depth - i - 1), options));
    this.outc = new Conv2d(width, outChannels, 1);
  }

  override forward(x: Tensor, time: Tensor | null = null): Tensor {
    const seen = [this.inc.forward(x, time)];
    for (const block of this.down) seen.push(block.forward((seen.at(-1) as Tensor).maxPool2d(2), time));
    let h = seen.pop() as Tensor;
    for (const [i, up] of this.up.entries()) {
      const joined = cat([seen.pop() as Tensor, up.forward(h)], { dim: 1 });
      h = (this.merge[i] as DoubleConv).forward(joined, time);
    }
    return this.outc.forward(h);
  }
}

export const unet = (options: UNetOptions = {}): UNet => new UNet(options);

export const unetTiny: TinyTask<UNet> = supervisedTask({
  id: 'ARC-14',
  name: 'U-Net, Dice + BCE',
  build: () => new UNet({ inChannels: 1, width: 8, depth: 2 }),
  batch: (step) => {
    const { x, mask } = shapes({ samples: 16, size: 16, seed: step + 1 });
    return [x, mask];
  },
  loss: (model, x: Tensor, mask: Tensor) => diceBceLoss(model.forward(x), mask),
  steps: 50,
});
