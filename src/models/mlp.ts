import { moons } from '../data/synthetic.js';
import { Dropout, Linear, Module } from '../nn/index.js';
import { crossEntropy } from '../ops/loss.js';
import type { Tensor } from '../tensor/tensor.js';
import { supervisedTask, type TinyTask } from './task.js';

export interface MlpOptions {
  /** Widths between input and output; more than three make it deep. Default [64]. */
  readonly hidden?: readonly number[];
  /** Default 'relu'. */
  readonly activation?: 'relu' | 'tanh' | 'gelu' | 'silu';
  /** In training, the chance that a hidden unit is dropped. Default 0. */
  readonly dropout?: number;
}

const activations: Readonly<Record<string, (x: Tensor) => Tensor>> = {
  relu: (x) => x.relu(),
  tanh: (x) => x.tanh(),
  gelu: (x) => x.gelu(),
  silu: (x) => x.silu(),
};

/** A multilayer perceptron: (…, inFeatures) → (…, outFeatures). */
export class Mlp extends Module {
  readonly layers: readonly Linear[];
  readonly drop: Dropout;
  readonly activation: string;

  constructor(inFeatures: number, outFeatures: number, { hidden = [64], activation = 'relu', dropout = 0 }: MlpOptions = {}) {
    super();
    const widths = [inFeatures, ...hidden, outFeatures];
    this.layers = widths.slice(1).map((width, i) => new Linear(widths[i] as number, width));
    this.drop = new Dropout(dropout);
    this.activation = activation;
  }

  /** The last hidden layer: what the output layer reads. */
  features(x: Tensor): Tensor {
    const phi = activations[this.activation] as (x: Tensor) => Tensor;
    let h = x;
    for (const layer of this.layers.slice(0, -1)) h = this.drop.forward(phi(layer.forward(h)));
    return h;
  }
  override forward(x: Tensor): Tensor {
    return (this.layers.at(-1) as Linear).forward(this.features(x));
  }
}

/** One hidden layer. */
export const mlpShallow = (inFeatures: number, outFeatures: number): Mlp => new Mlp(inFeatures, outFeatures, { hidden: [64] });
/** Five hidden layers of as many parameters together. */
export const mlpDeep = (inFeatures: number, outFeatures: number): Mlp =>
  new Mlp(inFeatures, outFeatures, { hidden: [16, 16, 16, 16, 16], activation: 'gelu' });

const onMoons = (name: string, build: () => Mlp): TinyTask<Mlp> =>
  supervisedTask({
    id: 'ARC-03',
    name,
    build,
    batch: (step) => {
      const { x, y } = moons({ samples: 128, seed: step + 1 });
      return [x, y];
    },
    loss: (model, x: Tensor, y: Tensor) => crossEntropy(model.forward(x), y),
    steps: 120,
  });
export const mlpTiny: TinyTask<Mlp> = onMoons('MLP, shallow', () => mlpShallow(2, 2));
export const mlpDeepTiny: TinyTask<Mlp> = onMoons('MLP, deep', () => mlpDeep(2, 2));
