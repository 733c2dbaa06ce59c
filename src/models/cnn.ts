import { prototypeDigits, shiftedPatterns } from '../data/synthetic.js';
import { BatchNorm1d, BatchNorm2d, Conv1d, Conv2d, Linear, Module } from '../nn/index.js';
import { crossEntropy } from '../ops/loss.js';
import type { Tensor } from '../tensor/tensor.js';
import { supervisedTask, type TinyTask } from './task.js';

export interface CnnOptions {
  /** Channels after each convolution. Default [16, 32]. */
  readonly widths?: readonly number[];
  /** Kernel size. Default 3. */
  readonly kernelSize?: number;
  /**
   * Distances 1, 2, 4, … between kernel elements instead of pooling: the receptive field doubles with each layer and the resolution
   * stays. Default false.
   */
  readonly dilated?: boolean;
}

/** The receptive field of a plain CNN's last convolution, in steps of the input: how far one output sees. */
export function receptiveField({ widths = [16, 32], kernelSize = 3, dilated = false }: CnnOptions = {}): number {
  let [field, jump] = [1, 1];
  for (let i = 0; i < widths.length; i++) {
    field += (kernelSize - 1) * (dilated ? 2 ** i : jump);
    if (!dilated && i < widths.length - 1) {
      field += jump; // the pooling window of two
      jump *= 2;
    }
  }
  return field;
}

/** Convolution, batch norm and ReLU in turn, pooling (or growing dilation) between, then the mean over places and a linear layer. */
export class PlainCnn extends Module {
  readonly convs: readonly (Conv1d | Conv2d)[];
  readonly norms: readonly (BatchNorm1d | BatchNorm2d)[];
  /** May be replaced, by a head for other classes. */
  head: Module;
  readonly dilated: boolean;

  constructor(
    /** 1 for (batch, channels, length), 2 for (batch, channels, height, width). */
    readonly rank: 1 | 2,
    inChannels: number,
    classes: number,
    { widths = [16, 32], kernelSize = 3, dilated = false }: CnnOptions = {},
  ) {
    super();
    const [Conv, Norm] = rank === 1 ? [Conv1d, BatchNorm1d] : [Conv2d, BatchNorm2d];
    const channels = [inChannels, ...widths];
    this.convs = widths.map((width, i) => {
      const dilation = dilated ? 2 ** i : 1;
      // The norm has a shift of its own: a bias before it would do nothing.
      return new Conv(channels[i] as number, width, kernelSize, { padding: 'same', dilation, bias: false });
    });
    this.norms = widths.map((width) => new Norm(width));
    this.head = new Linear(channels.at(-1) as number, classes);
    this.dilated = dilated;
  }

  override forward(x: Tensor): Tensor {
    const { rank, dilated } = this;
    const pool = (h: Tensor): Tensor => (rank === 1 ? h.maxPool1d(2) : h.maxPool2d(2));
    let h = x;
    for (const [i, conv] of this.convs.entries()) {
      if (i > 0 && !dilated) h = pool(h);
      h = (this.norms[i] as BatchNorm1d).forward(conv.forward(h)).relu();
    }
    return this.head.forward(h.mean({ dim: rank === 1 ? -1 : [-2, -1] }));
  }
}

const patterns = (name: string, options: CnnOptions): TinyTask<PlainCnn> =>
  supervisedTask({
    id: 'ARC-06',
    name,
    build: () => new PlainCnn(1, 1, 4, options),
    batch: (step) => {
      const { x, y } = shiftedPatterns({ samples: 64, seed: step + 1 });
      return [x, y];
    },
    loss: (model, x: Tensor, y: Tensor) => crossEntropy(model.forward(x), y),
    steps: 120,
  });
export const cnn1dTiny: TinyTask<PlainCnn> = patterns('CNN, 1-d', { kernelSize: 5 });
export const dilatedCnnTiny: TinyTask<PlainCnn> = patterns('CNN, 1-d dilated', { widths: [16, 16, 32], dilated: true });
export const cnn2dTiny: TinyTask<PlainCnn> = supervisedTask({
  id: 'ARC-06',
  name: 'CNN, 2-d',
  build: () => new PlainCnn(2, 1, 10),
  batch: (step) => {
    const { x, y } = prototypeDigits({ samples: 60, seed: step + 1 });
    return [x, y];
  },
  loss: (model, x: Tensor, y: Tensor) => crossEntropy(model.forward(x), y),
  steps: 60,
});
