import { spirals } from '../data/synthetic.js';
import { Dropout, Linear, Maxout, Module } from '../nn/index.js';
import { crossEntropy } from '../ops/loss.js';
import type { Tensor } from '../tensor/tensor.js';
import { supervisedTask, type TinyTask } from './task.js';

export interface MaxoutNetworkOptions {
  /** Width of each hidden layer. Default [32, 32]. */
  readonly hidden?: readonly number[];
  /** Affine functions of which each unit gives the largest. Default 3. */
  readonly pieces?: number;
  /** Default 0. */
  readonly dropout?: number;
}

/** Hidden units that are the largest of several affine functions, and dropout between (Goodfellow et al. 2013). */
export class MaxoutNetwork extends Module {
  readonly layers: readonly Maxout[];
  readonly output: Linear;
  readonly drop: Dropout;

  constructor(inFeatures: number, outFeatures: number, { hidden = [32, 32], pieces = 3, dropout = 0 }: MaxoutNetworkOptions = {}) {
    super();
    const widths = [inFeatures, ...hidden];
    this.layers = hidden.map((width, i) => new Maxout(widths[i] as number, width, { pieces }));
    this.output = new Linear(widths.at(-1) as number, outFeatures);
    this.drop = new Dropout(dropout);
  }
  override forward(x: Tensor): Tensor {
    let h = x;
    for (const layer of this.layers) h = this.drop.forward(layer.forward(h));
    return this.output.forward(h);
  }
}

export const maxoutTiny: TinyTask<MaxoutNetwork> = supervisedTask({
  id: 'ARC-05',
  name: 'maxout network',
  build: () => new MaxoutNetwork(2, 2),
  batch: (step) => {
    const { x, y } = spirals({ samples: 128, turns: 0.75, seed: step + 1 });
    return [x, y];
  },
  loss: (model, x: Tensor, y: Tensor) => crossEntropy(model.forward(x), y),
  steps: 150,
});
