import { prototypeDigits } from '../data/synthetic.js';
import { Linear, Module, type VaeOptions, vaeLoss } from '../nn/index.js';
import { randnLike } from '../ops/random.js';
import { noGrad } from '../tensor/autograd.js';
import { randn } from '../tensor/random.js';
import type { Tensor } from '../tensor/tensor.js';
import { supervisedTask, type TinyTask } from './task.js';

export interface VaeModelOptions {
  /** Default 64. */
  readonly features?: number;
  /** Default 64. */
  readonly hidden?: number;
  /** Numbers of a code. Default 4. */
  readonly latent?: number;
  /** What turns the encoder's second output into a variance: 'exp' (it is the logarithm) or 'softplus'. Default 'exp'. */
  readonly variance?: 'exp' | 'softplus';
}
export interface VaeOutput {
  /** Logits of the pixels. */
  readonly output: Tensor;
  readonly mean: Tensor;
  readonly logVariance: Tensor;
}

/** A variational autoencoder (Kingma & Welling 2014): (batch, features) to logits and the code's distribution. */
export class VariationalAutoencoder extends Module<readonly [x: Tensor], VaeOutput> {
  readonly encoder: Linear;
  readonly mean: Linear;
  readonly spread: Linear;
  readonly decoder: Linear;
  readonly output: Linear;
  readonly variance: 'exp' | 'softplus';

  constructor({ features = 64, hidden = 64, latent = 4, variance = 'exp' }: VaeModelOptions = {}) {
    super();
    this.encoder = new Linear(features, hidden);
    this.mean = new Linear(hidden, latent);
    this.spread = new Linear(hidden, latent);
    this.decoder = new Linear(latent, hidden);
    this.output = new Linear(hidden, features);
    this.variance = variance;
  }
  encode(x: Tensor): readonly [mean: Tensor, logVariance: Tensor] {
    const h = this.encoder.forward(x).relu();
    const raw = this.spread.forward(h);
    return [this.mean.forward(h), this.variance === 'exp' ? raw : raw.softplus().add(1e-6).log()];
  }
  decode(code: Tensor): Tensor {
    return this.output.forward(this.decoder.forward(code).relu());
  }
  /** In training a code is drawn, mean + σ · ε, so that gradients reach both; in evaluation it is the mean. */
  override forward(x: Tensor): VaeOutput {
    const [mean, logVariance] = this.encode(x);
    const code = this.training ? mean.add(logVariance.mul(0.5).exp().mul(randnLike(mean))) : mean;
    return { output: this.decode(code), mean, logVariance };
  }
  loss(x: Tensor, options: VaeOptions = {}): Tensor {
    const { output, mean, logVariance } = this.forward(x);
    return vaeLoss(output, x, mean, logVariance, options).loss;
  }
  /** New pictures from codes of the prior: probabilities (count, features). */
  sample(count: number): Tensor {
    return noGrad(() => this.decode(randn([count, this.mean.outFeatures])).sigmoid());
  }
}

const onDigits = (variance: 'exp' | 'softplus'): TinyTask<VariationalAutoencoder> =>
  supervisedTask({
    id: 'ARC-12',
    name: `VAE, ${variance} variance`,
    build: () => new VariationalAutoencoder({ variance }),
    batch: (step) =>
      [
        prototypeDigits({ samples: 100, noise: 0.25, seed: step + 1 })
          .x.gt(0.5)
          .to('float32')
          .reshape([100, 64]),
      ] as const,
    loss: (model, x: Tensor) => model.loss(x),
    steps: 250,
  });
export const vaeTiny: TinyTask<VariationalAutoencoder> = onDigits('exp');
export const vaeSoftplusTiny: TinyTask<VariationalAutoencoder> = onDigits('softplus');
