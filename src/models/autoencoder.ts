import { digitPrototypes, prototypeDigits } from '../data/synthetic.js';
import { Linear, Module } from '../nn/index.js';
import { mseLoss } from '../ops/loss.js';
import { randnLike } from '../ops/random.js';
import { noGrad } from '../tensor/autograd.js';
import type { Tensor } from '../tensor/tensor.js';
import { customTask, measured, supervisedTask, type TinyTask, type TrainOptions, trainSteps } from './task.js';

export interface AutoencoderOptions {
  /** Widths from input to code: the last is the bottleneck. Default [64, 32, 8]. */
  readonly widths?: readonly number[];
  /** Deviation of the noise that inputs get in training, while clean ones are to be given back. Default 0. */
  readonly noise?: number;
}

/** Through a narrow code and back: (batch, features) → (batch, features). */
export class Autoencoder extends Module {
  readonly encoder: readonly Linear[];
  readonly decoder: readonly Linear[];
  readonly noise: number;

  constructor({ widths = [64, 32, 8], noise = 0 }: AutoencoderOptions = {}) {
    super();
    const pairs = widths.slice(1).map((width, i) => [widths[i] as number, width] as const);
    this.encoder = pairs.map(([wide, narrow]) => new Linear(wide, narrow));
    this.decoder = pairs.map(([wide, narrow]) => new Linear(narrow, wide)).reverse();
    this.noise = noise;
  }
  encode(x: Tensor): Tensor {
    let h = x;
    for (const [i, layer] of this.encoder.entries()) h = hidden(layer, h, i === this.encoder.length - 1);
    return h;
  }
  decode(code: Tensor): Tensor {
    let h = code;
    for (const [i, layer] of this.decoder.entries()) h = hidden(layer, h, i === this.decoder.length - 1);
    return h;
  }
  override forward(x: Tensor): Tensor {
    const noisy = this.training && this.noise > 0 ? x.add(randnLike(x).mul(this.noise)) : x;
    return this.decode(this.encode(noisy));
  }
}
/** Tanh between, nothing at the code and at the output. */
const hidden = (layer: Linear, x: Tensor, last: boolean): Tensor => (last ? layer.forward(x) : layer.forward(x).tanh());

/**
 * Stacked pretraining (Hinton & Salakhutdinov 2006): each encoder layer learns, with its decoder layer, to give back the codes of the
 * layers below, which stay as they are. Fine-tune the whole afterwards.
 */
export function pretrainStacked(model: Autoencoder, x: Tensor, options: TrainOptions): void {
  let codes = x.detach();
  const depth = model.encoder.length;
  for (const [i, down] of model.encoder.entries()) {
    const up = model.decoder[depth - 1 - i] as Linear;
    const target = codes;
    const both = new LayerPair(down, up, i === depth - 1, i === 0);
    trainSteps(
      both,
      (): [Tensor] => [target],
      (h: Tensor) => mseLoss(both.forward(h), h),
      options,
    );
    codes = noGrad(() => hidden(down, target, i === depth - 1));
  }
}
class LayerPair extends Module {
  constructor(
    readonly down: Linear,
    readonly up: Linear,
    readonly innermost: boolean,
    readonly outermost: boolean,
  ) {
    super();
  }
  override forward(x: Tensor): Tensor {
    return hidden(this.up, hidden(this.down, x, this.innermost), this.outermost);
  }
}

/** Noisy digits, and the clean ones. */
const digits = (step: number): [noisy: Tensor, clean: Tensor] => {
  const { x, y } = prototypeDigits({ samples: 100, noise: 0.3, seed: step + 1 });
  return [x.reshape([100, 64]), digitPrototypes().reshape([10, 64]).indexSelect(0, y)];
};
export const denoisingTiny: TinyTask<Autoencoder> = supervisedTask({
  id: 'ARC-11',
  name: 'denoising autoencoder',
  build: () => new Autoencoder(),
  batch: digits,
  loss: (model, noisy: Tensor, clean: Tensor) => mseLoss(model.forward(noisy), clean),
  steps: 150,
});
export const stackedTiny: TinyTask<Autoencoder> = customTask({
  id: 'ARC-11',
  name: 'stacked autoencoder, pretraining alone',
  build: () => new Autoencoder({ noise: 0.1 }),
  train: (model) => {
    const [, held] = digits(-1);
    const loss = (): number => measured(model, () => mseLoss(model.forward(held), held));
    const before = loss();
    pretrainStacked(model, digits(0)[1], { steps: 100 });
    return [before, loss()];
  },
});
