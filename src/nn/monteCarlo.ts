import { LibError } from '../core/errors.js';
import { stack } from '../ops/join.js';
import { noGrad } from '../tensor/autograd.js';
import { full, tensor } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { Dropping } from './dropout.js';
import type { AnyModule } from './module.js';

/** Dropout as an ensemble: uncertainty from masks at test time, and all sub-networks of a small layer. */

export interface MonteCarloOptions {
  /** Forward passes. Default 50. */
  readonly samples?: number;
}
export interface MonteCarloResult {
  /** Over the passes, elementwise. */
  readonly mean: Tensor;
  readonly variance: Tensor;
  /** Of the mean probabilities, in nats, over the last dim. */
  readonly entropy: Tensor;
  /** Entropy minus the passes' mean entropy: what the model, not the data, is unsure of. */
  readonly mutualInformation: Tensor;
}

const entropyOf = (p: Tensor): Tensor =>
  p
    .mul(p.clamp({ min: 1e-30 }).log())
    .sum({ dim: -1 })
    .neg();

/** Runs `probabilities` several times with dropout alone in training mode (Gal & Ghahramani 2016). Modes are as before afterwards. */
export function monteCarloDropout(
  model: AnyModule,
  probabilities: () => Tensor,
  { samples = 50 }: MonteCarloOptions = {},
): MonteCarloResult {
  if (!Number.isInteger(samples) || samples < 2)
    throw new LibError('value', `monteCarloDropout: samples must be at least 2, got ${samples}.`);
  const modes = model.modules().map((m) => [m, m.training] as const);
  for (const [m] of modes) m.training = m instanceof Dropping;
  try {
    return noGrad(() => {
      const all = stack(Array.from({ length: samples }, probabilities));
      const mean = all.mean({ dim: 0 });
      const entropy = entropyOf(mean);
      return {
        mean,
        variance: all.var({ dim: 0, correction: 0 }),
        entropy,
        mutualInformation: entropy.sub(entropyOf(all).mean({ dim: 0 })),
      };
    });
  } finally {
    for (const [m, mode] of modes) m.training = mode;
  }
}

export interface SubnetworkMeans {
  readonly subnetworks: number;
  /** Σ over masks of their probability times their output. */
  readonly arithmetic: Tensor;
  /** The weighted geometric mean, normalized over the last dim. */
  readonly geometric: Tensor;
  /** The whole network with every unit scaled by its chance to be kept. */
  readonly scaled: Tensor;
}

/**
 * All 2ⁿ masks of n ≤ 12 droppable units: `run(mask)` gives probabilities over the last dim. For a softmax of a linear map the scaled
 * network is the geometric mean exactly.
 */
export function enumerateSubnetworks(
  units: number,
  run: (mask: Tensor) => Tensor,
  { p = 0.5 }: { readonly p?: number } = {},
): SubnetworkMeans {
  if (!Number.isInteger(units) || units < 1 || units > 12)
    throw new LibError('value', `enumerateSubnetworks: units must be 1 to 12, got ${units}.`);
  if (!(p > 0 && p < 1)) throw new LibError('value', `enumerateSubnetworks: p must be in (0, 1), got ${p}.`);
  return noGrad(() => {
    const subnetworks = 2 ** units;
    const masks = Array.from({ length: subnetworks }, (_, code) => Array.from({ length: units }, (_, i) => (code >> i) & 1));
    const weights = masks.map((mask) => mask.reduce((w, kept) => w * (kept ? 1 - p : p), 1));
    const all = stack(masks.map((mask) => run(tensor(mask))));
    const share = tensor(weights, { dtype: all.dtype }).reshape(all.shape.map((_, d) => (d === 0 ? subnetworks : 1)));
    const logs = all.log().mul(share).sum({ dim: 0 });
    return {
      subnetworks,
      arithmetic: all.mul(share).sum({ dim: 0 }),
      geometric: logs.softmax({ dim: -1 }),
      scaled: run(full([units], 1 - p)),
    };
  });
}
