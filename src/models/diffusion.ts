import type { Shape } from '../core/shape.js';
import { gaussianMixture, prototypeDigits } from '../data/synthetic.js';
import {
  Buffer,
  diffusionLoss,
  diffusionSchedule,
  Linear,
  Module,
  type DiffusionOptions as ScheduleOptions,
  sinusoidalPositions,
} from '../nn/index.js';
import { cat } from '../ops/join.js';
import { noGrad } from '../tensor/autograd.js';
import { full } from '../tensor/creation.js';
import { randn } from '../tensor/random.js';
import type { Tensor } from '../tensor/tensor.js';
import { supervisedTask, type TinyTask } from './task.js';
import { UNet } from './unet.js';

/** Guesses the noise in x (batch, …) from x and the embedding of its time (batch, timeWidth). */
export type NoiseNetwork = Module<readonly [x: Tensor, time: Tensor]>;

/** For points: (batch, features). */
export class PointDenoiser extends Module<readonly [x: Tensor, time: Tensor]> {
  readonly first: Linear;
  readonly second: Linear;
  readonly third: Linear;
  readonly output: Linear;
  constructor(features: number, timeWidth: number, hidden: number = 64) {
    super();
    this.first = new Linear(features + timeWidth, hidden);
    this.second = new Linear(hidden, hidden);
    this.third = new Linear(hidden, hidden);
    this.output = new Linear(hidden, features);
  }
  override forward(x: Tensor, time: Tensor): Tensor {
    let h = this.first.forward(cat([x, time], { dim: -1 })).silu();
    h = h.add(this.second.forward(h).silu());
    h = h.add(this.third.forward(h).silu());
    return this.output.forward(h);
  }
}

export interface DiffusionModelOptions extends ScheduleOptions {
  /** Width of the time's embedding. Default 16. */
  readonly timeWidth?: number;
}

/** Denoising diffusion (Ho et al. 2020): a network that guesses noise, and its schedule. `forward(x, t)` guesses at integer times. */
export class Diffusion extends Module<readonly [x: Tensor, t: Tensor]> {
  readonly network: NoiseNetwork;
  /** ᾱ_t: how much of the signal is left at time t, (steps,). */
  readonly alphaBar: Buffer;
  /** Embedding of each time, (steps, timeWidth). */
  readonly times: Buffer;

  constructor(network: NoiseNetwork, { timeWidth = 16, steps = 50, betaStart = 1e-3, betaEnd = 0.2 }: DiffusionModelOptions = {}) {
    super();
    this.network = network;
    this.alphaBar = new Buffer(diffusionSchedule({ steps, betaStart, betaEnd }));
    this.times = new Buffer(sinusoidalPositions(steps, timeWidth), { persistent: false });
  }
  override forward(x: Tensor, t: Tensor): Tensor {
    return this.network.forward(x, this.times.indexSelect(0, t));
  }
  /** The mean squared error of guessed noise at random times. */
  loss(x0: Tensor): Tensor {
    return diffusionLoss((x, t) => this.forward(x, t), x0, this.alphaBar);
  }
  /** √ᾱ_t x0 + √(1 - ᾱ_t) ε: x0 after t + 1 steps of noise at once. */
  noised(x0: Tensor, t: number, noise: Tensor): Tensor {
    const kept = Number(this.alphaBar.toArray()[t]);
    return x0.mul(Math.sqrt(kept)).add(noise.mul(Math.sqrt(1 - kept)));
  }
  /**
   * New data from noise, one step of time after the other (ancestral sampling). What is guessed to lie below the noise is kept within
   * ±`clip` (default: not at all), which for pictures in [-1, 1] is 1.
   */
  sample(shape: Shape, { clip = Number.POSITIVE_INFINITY }: { readonly clip?: number } = {}): Tensor {
    const alphaBar = Array.from(this.alphaBar.toArray(), Number);
    return noGrad(() => {
      let x = randn(shape);
      for (let t = alphaBar.length - 1; t >= 0; t--) {
        const [kept, before] = [alphaBar[t] as number, alphaBar[t - 1] ?? 1];
        const alpha = kept / before;
        const guess = this.forward(x, full([shape[0] as number], t, { dtype: 'int32' }));
        const clean = x
          .sub(guess.mul(Math.sqrt(1 - kept)))
          .div(Math.sqrt(kept))
          .clamp({ min: -clip, max: clip });
        // The mean of q(x_{t-1} | x_t, x_0): between the guess and where we are.
        const mean = clean.mul((Math.sqrt(before) * (1 - alpha)) / (1 - kept)).add(x.mul((Math.sqrt(alpha) * (1 - before)) / (1 - kept)));
        const deviation = Math.sqrt(((1 - alpha) * (1 - before)) / (1 - kept));
        x = mean.add(randn(shape).mul(deviation));
      }
      return x;
    });
  }
}

export const diffusionTiny: TinyTask<Diffusion> = supervisedTask({
  id: 'ARC-15',
  name: 'diffusion, points',
  build: () => new Diffusion(new PointDenoiser(2, 16)),
  batch: (step) => [gaussianMixture({ samples: 256, components: 4, radius: 1.5, seed: step + 1 }).x] as const,
  loss: (model, x: Tensor) => model.loss(x),
  steps: 1000,
  lr: 3e-3,
});
export const diffusionUNetTiny: TinyTask<Diffusion> = supervisedTask({
  id: 'ARC-14',
  name: 'U-Net, diffusion of 8×8 pictures',
  build: () => new Diffusion(new UNet({ inChannels: 1, outChannels: 1, width: 8, depth: 2, norm: 'group', timeWidth: 16 })),
  batch: (step) =>
    [
      prototypeDigits({ samples: 32, noise: 0.05, seed: step + 1 })
        .x.mul(2)
        .sub(1),
    ] as const,
  loss: (model, x: Tensor) => model.loss(x),
  steps: 100,
});
