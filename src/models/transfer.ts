import { prototypeDigits } from '../data/synthetic.js';
import { applyLoRA, init, type Module } from '../nn/index.js';
import { crossEntropy } from '../ops/loss.js';
import type { Tensor } from '../tensor/tensor.js';
import { freezeBatchNorm } from '../train/fineTune.js';
import { PlainCnn } from './cnn.js';
import { Mlp } from './mlp.js';
import { customTask, measured, type TinyTask, trainSteps } from './task.js';

export interface TransferOptions {
  /** Train the head alone, or everything but frozen norms. Default 'head'. */
  readonly train?: 'head' | 'all';
}
/** A CNN for other classes: the backbone of a pretrained one, its norms frozen, and a new head. */
export function transferCnn(pretrained: PlainCnn, classes: number, { train = 'head' }: TransferOptions = {}): PlainCnn {
  const { rank } = pretrained;
  const widths = pretrained.convs.map((conv) => conv.outChannels);
  const model = new PlainCnn(rank, pretrained.convs[0]?.inChannels ?? 1, classes, { widths });
  init.loadBackbone(model, pretrained.stateDict(), { heads: ['head'] });
  if (train === 'head') {
    model.requiresGrad_(false);
    model.head.requiresGrad_();
  }
  freezeBatchNorm(model);
  return model;
}

/** Digits as two tasks of five: 0 … 4, and 5 … 9 (with labels 0 … 4 again). */
const fiveDigits = (step: number, second: boolean): [x: Tensor, y: Tensor] => {
  const classes = second ? [5, 6, 7, 8, 9] : [0, 1, 2, 3, 4];
  const { x, y } = prototypeDigits({ samples: 40, classes, seed: step + 1 });
  return [x, second ? y.sub(5) : y];
};
const loss = (model: Module, x: Tensor, y: Tensor): Tensor => crossEntropy(model.forward(x), y);

export const transferTiny: TinyTask<PlainCnn> = customTask({
  id: 'ARC-31',
  name: 'transfer, frozen backbone and norms',
  build: () => {
    const pretrained = new PlainCnn(2, 1, 5);
    trainSteps(
      pretrained,
      (step) => fiveDigits(step, false),
      (x: Tensor, y: Tensor) => loss(pretrained, x, y),
      { steps: 40 },
    );
    return transferCnn(pretrained, 5);
  },
  train: (model) => {
    const held = fiveDigits(-1, true);
    const before = measured(model, () => loss(model, ...held));
    trainSteps(
      model,
      (step) => fiveDigits(step, true),
      (x: Tensor, y: Tensor) => loss(model, x, y),
      { steps: 100, lr: 0.03 },
    );
    return [before, measured(model, () => loss(model, ...held))];
  },
});

/** Flat digits; the second task shows their negatives. */
export const flatDigits = (step: number, negative: boolean): [x: Tensor, y: Tensor] => {
  const { x, y } = prototypeDigits({ samples: 60, seed: step + 1 });
  const flat = x.reshape([60, 64]);
  return [negative ? flat.neg().add(1) : flat, y];
};
export const loraTiny: TinyTask<Mlp> = customTask({
  id: 'ARC-31',
  name: 'LoRA',
  build: () => {
    const model = new Mlp(64, 10, { hidden: [64] });
    trainSteps(
      model,
      (step) => flatDigits(step, false),
      (x: Tensor, y: Tensor) => loss(model, x, y),
      { steps: 60 },
    );
    applyLoRA(model, { r: 4 });
    return model;
  },
  train: (model) => {
    const held = flatDigits(-1, true);
    const before = measured(model, () => loss(model, ...held));
    trainSteps(
      model,
      (step) => flatDigits(step, true),
      (x: Tensor, y: Tensor) => loss(model, x, y),
      { steps: 80 },
    );
    return [before, measured(model, () => loss(model, ...held))];
  },
});
