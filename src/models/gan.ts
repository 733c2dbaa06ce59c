import { compile } from '../capture/compile.js';
import { gaussianMixture, prototypeDigits } from '../data/synthetic.js';
import { LayerNorm, Linear, Module } from '../nn/index.js';
import { ganDiscriminatorLoss, ganGeneratorLoss } from '../ops/lossTasks.js';
import { Adam } from '../optim/index.js';
import { grad, noGrad } from '../tensor/autograd.js';
import { randn } from '../tensor/random.js';
import type { Tensor } from '../tensor/tensor.js';
import { customTask, type TinyTask } from './task.js';

/** Noise (batch, latent) to made-up data (batch, features). */
export class Generator extends Module {
  readonly first: Linear;
  readonly second: Linear;
  readonly output: Linear;
  constructor(
    readonly latent: number,
    features: number,
    hidden: number = 64,
  ) {
    super();
    this.first = new Linear(latent, hidden);
    this.second = new Linear(hidden, hidden);
    this.output = new Linear(hidden, features);
  }
  override forward(z: Tensor): Tensor {
    return this.output.forward(this.second.forward(this.first.forward(z).relu()).relu());
  }
}

/**
 * Data (batch, features) to a logit of being real (batch, 1). Its norm, if any, must not look at other examples of a batch: batch norm
 * would tell real from made-up batches by their statistics.
 */
export class Discriminator extends Module {
  readonly first: Linear;
  readonly norm1: LayerNorm | null;
  readonly second: Linear;
  readonly norm2: LayerNorm | null;
  readonly output: Linear;
  constructor(features: number, hidden: number = 64, norm: 'none' | 'layer' = 'none') {
    super();
    const make = (): LayerNorm | null => (norm === 'layer' ? new LayerNorm(hidden) : null);
    this.first = new Linear(features, hidden);
    this.norm1 = make();
    this.second = new Linear(hidden, hidden);
    this.norm2 = make();
    this.output = new Linear(hidden, 1);
  }
  override forward(x: Tensor): Tensor {
    let h = this.first.forward(x);
    h = (this.norm1?.forward(h) ?? h).leakyRelu({ negativeSlope: 0.2 });
    h = this.second.forward(h);
    h = (this.norm2?.forward(h) ?? h).leakyRelu({ negativeSlope: 0.2 });
    return this.output.forward(h);
  }
}

export interface GanOptions {
  /** Default 2. */
  readonly features?: number;
  /** Default 8. */
  readonly latent?: number;
  /** Default 64. */
  readonly hidden?: number;
  /** The discriminator's. Default 'none'. */
  readonly norm?: 'none' | 'layer';
}
/** A generator and its critic (Goodfellow et al. 2014). `forward` generates from noise. */
export class Gan extends Module {
  readonly generator: Generator;
  readonly discriminator: Discriminator;
  constructor({ features = 2, latent = 8, hidden = 64, norm = 'none' }: GanOptions = {}) {
    super();
    this.generator = new Generator(latent, features, hidden);
    this.discriminator = new Discriminator(features, hidden, norm);
  }
  override forward(z: Tensor): Tensor {
    return this.generator.forward(z);
  }
  sample(count: number): Tensor {
    return noGrad(() => this.forward(randn([count, this.generator.latent])));
  }
}

export interface GanTrainOptions {
  readonly steps: number;
  /** Default 3e-3. */
  readonly lr?: number;
  /**
   * γ of (γ/2) E‖∇D(x)‖² on real data, which lets the two come to rest instead of circling (R1; Mescheder et al. 2018). Default 1.
   */
  readonly r1?: number;
}
/** In turn, one step of the discriminator on real and made-up data, and one of the generator against it. */
export function trainGan(gan: Gan, data: (step: number) => Tensor, { steps, lr = 3e-3, r1 = 1 }: GanTrainOptions): void {
  const { generator, discriminator } = gan;
  const betas = [0.5, 0.9] as const;
  const critic = new Adam(discriminator.parameters(), { lr, betas });
  const maker = new Adam(generator.parameters(), { lr, betas });
  const step = compile((x: Tensor) => {
    critic.zeroGrad();
    const fake = generator.forward(randn([x.sizeAt(0), generator.latent]));
    const seen = x.detach().requiresGrad_();
    const real = discriminator.forward(seen);
    const loss = ganDiscriminatorLoss(real, discriminator.forward(fake.detach()));
    (r1 > 0 ? loss.add(squaredSlope(real, seen).mul(r1 / 2)) : loss).backward();
    critic.step();
    maker.zeroGrad();
    ganGeneratorLoss(discriminator.forward(fake)).backward();
    maker.step();
  });
  for (let i = 0; i < steps; i++) step(data(i));
}

/** The mean over a batch of ‖∂y/∂x‖². */
function squaredSlope(y: Tensor, x: Tensor): Tensor {
  const [slope] = grad(y.sum(), [x], { createGraph: true });
  return (slope as Tensor).square().sum().div(x.sizeAt(0));
}

/** 2 E‖a - b‖ - E‖a - a'‖ - E‖b - b'‖ of two samples (count, features): 0 where they come from one distribution (Székely & Rizzo 2013). */
export function energyDistance(a: Tensor, b: Tensor): number {
  return noGrad(() => {
    // Pairs of a point with itself are left out.
    const within = (x: Tensor): Tensor =>
      x
        .cdist(x)
        .sum()
        .div(x.sizeAt(0) * (x.sizeAt(0) - 1));
    return a.cdist(b).mean().mul(2).sub(within(a)).sub(within(b)).itemNow();
  });
}

const ganTask = (name: string, options: GanOptions, real: (seed: number) => Tensor, steps: number): TinyTask<Gan> =>
  customTask({
    id: 'ARC-13',
    name,
    build: () => new Gan(options),
    train: (gan) => {
      const distance = (): number => energyDistance(gan.sample(256), real(0));
      const before = distance();
      trainGan(gan, (step) => real(step + 1), { steps });
      return [before, distance()];
    },
  });
export const ganTiny: TinyTask<Gan> = ganTask(
  'GAN, points, layer norm',
  { norm: 'layer' },
  (seed) => gaussianMixture({ samples: 128, seed }).x,
  200,
);
export const ganLineTiny: TinyTask<Gan> = ganTask(
  'GAN, numbers',
  { features: 1 },
  (seed) => gaussianMixture({ samples: 128, components: 2, dims: 1, seed }).x,
  200,
);
export const ganImagesTiny: TinyTask<Gan> = ganTask(
  'GAN, 8×8 pictures',
  { features: 64, latent: 16 },
  (seed) => prototypeDigits({ samples: 64, classes: [0, 1], seed }).x.reshape([64, 64]),
  200,
);
