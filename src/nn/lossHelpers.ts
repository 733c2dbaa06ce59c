import { LibError } from '../core/errors.js';
import { formatShape } from '../core/shape.js';
import { binaryCrossEntropyWithLogits, crossEntropy, mseLoss, smoothL1Loss } from '../ops/loss.js';
import { focalLoss, gaussianKl, gramMatrix } from '../ops/lossTasks.js';
import { noGrad } from '../tensor/autograd.js';
import { linspace, zeros } from '../tensor/creation.js';
import { type Generator, randint, randn } from '../tensor/random.js';
import type { Tensor } from '../tensor/tensor.js';

/** Objectives that are made of several losses or need more than two tensors. */

const total = (terms: readonly Tensor[]): Tensor => terms.reduce((a, b) => a.add(b));
function needSame(op: string, a: readonly unknown[], b: readonly unknown[]): void {
  if (a.length === b.length && a.length > 0) return;
  throw new LibError('value', `${op}: there must be as many of both and at least one, got ${a.length} and ${b.length}.`);
}

export interface VaeOptions {
  /** Weight of the code's divergence. Default 1. */
  readonly beta?: number;
  /** 'bernoulli': reconstructions are logits; 'gaussian': values of variance 1. Default 'bernoulli'. */
  readonly likelihood?: 'bernoulli' | 'gaussian';
}
export interface VaeLoss {
  readonly loss: Tensor;
  readonly reconstruction: Tensor;
  readonly divergence: Tensor;
}
/** What a variational autoencoder minimizes, summed over an example and averaged over the batch: reconstruction + β · KL. */
export function vaeLoss(
  output: Tensor,
  x: Tensor,
  mean: Tensor,
  logVariance: Tensor,
  { beta = 1, likelihood = 'bernoulli' }: VaeOptions = {},
): VaeLoss {
  if (likelihood !== 'bernoulli' && likelihood !== 'gaussian') {
    throw new LibError('option', `vaeLoss: likelihood must be 'bernoulli' or 'gaussian', got '${String(likelihood)}'.`);
  }
  const summed =
    likelihood === 'bernoulli'
      ? binaryCrossEntropyWithLogits(output, x, { reduction: 'sum' })
      : mseLoss(output, x, { reduction: 'sum' }).mul(0.5);
  const reconstruction = summed.div(x.sizeAt(0));
  const divergence = gaussianKl(mean, logVariance);
  return { loss: reconstruction.add(divergence.mul(beta)), reconstruction, divergence };
}
/** β of a warm-up: rises linearly from 0 to `most` in `steps` steps. */
export const betaWarmup = (step: number, steps: number, most = 1): number => most * Math.min(1, Math.max(0, step) / Math.max(1, steps));

export interface DiffusionOptions {
  readonly steps?: number;
  readonly betaStart?: number;
  readonly betaEnd?: number;
}
/** ᾱ_t = Π (1 - β) for linearly rising β, (steps,): how much of the signal is left. Defaults 1000, 1e-4, 0.02 (Ho et al. 2020). */
export function diffusionSchedule({ steps = 1000, betaStart = 1e-4, betaEnd = 0.02 }: DiffusionOptions = {}): Tensor {
  if (!(betaStart > 0 && betaEnd < 1 && betaStart <= betaEnd)) {
    throw new LibError('value', `diffusionSchedule: 0 < betaStart <= betaEnd < 1 must hold, got ${betaStart} and ${betaEnd}.`);
  }
  return linspace(betaStart, betaEnd, steps, { dtype: 'float64' }).neg().add(1).cumprod(0).float();
}
/** The mean squared error of predicted noise: x0 (N, …) is noised to random times t (N,), and `predict(x_t, t)` guesses the noise. */
export function diffusionLoss(
  predict: (noisy: Tensor, t: Tensor) => Tensor,
  x0: Tensor,
  alphaBar: Tensor,
  { generator }: { readonly generator?: Generator } = {},
): Tensor {
  const stream = generator ? { generator } : {};
  const t = randint(0, alphaBar.size, [x0.sizeAt(0)], stream);
  const noise = randn(x0.shape, { dtype: x0.dtype, ...stream });
  const kept = alphaBar.indexSelect(0, t).reshape(x0.shape.map((n, d) => (d === 0 ? n : 1)));
  const noisy = x0.mul(kept.sqrt()).add(noise.mul(kept.neg().add(1).sqrt()));
  return mseLoss(predict(noisy, t), noise);
}

/** Σ over layers of the squared distance of Gram matrices: the style of features (N, C, H, W), wherever it is in the picture. */
export function styleLoss(features: readonly Tensor[], targets: readonly Tensor[]): Tensor {
  needSame('styleLoss', features, targets);
  return total(
    features.map((f, i) =>
      mseLoss(
        gramMatrix(f),
        noGrad(() => gramMatrix(targets[i] as Tensor)),
        { reduction: 'sum' },
      ),
    ),
  );
}
/** Σ over layers of the mean squared distance of features: the content, in its place. */
export function contentLoss(features: readonly Tensor[], targets: readonly Tensor[]): Tensor {
  needSame('contentLoss', features, targets);
  return total(features.map((f, i) => mseLoss(f, (targets[i] as Tensor).detach())));
}

export interface DetectionTargets {
  /** 1 where an anchor shows the class: (N, anchors, classes). */
  readonly classes: Tensor;
  /** (N, anchors, 4). */
  readonly boxes: Tensor;
  /** 1 for anchors on an object, 0 on background, -1 for those that count for nothing: (N, anchors). */
  readonly matched: Tensor;
}
/** Focal classification over all anchors plus smooth L1 of the boxes on objects, both divided by their number (RetinaNet). */
export function detectionLoss(
  logits: Tensor,
  boxes: Tensor,
  { classes, boxes: wanted, matched }: DetectionTargets,
  { beta = 1 }: { readonly beta?: number } = {},
): {
  readonly loss: Tensor;
  readonly classification: Tensor;
  readonly regression: Tensor;
} {
  const positive = matched.eq(1).to(logits.dtype);
  const counted = matched.ge(0).to(logits.dtype).unsqueeze(-1);
  const number = positive.sum().clamp({ min: 1 });
  const classification = focalLoss(logits, classes, { reduction: 'none' }).mul(counted).sum().div(number);
  const regression = smoothL1Loss(boxes, wanted, { beta, reduction: 'none' }).mul(positive.unsqueeze(-1)).sum().div(number);
  return { loss: classification.add(regression), classification, regression };
}

/** λ Σ |w|. Report it apart from the loss of the data. Its gradient at 0 is 0: only `proximalL1_` of optim makes weights exactly zero. */
export const l1Penalty = (parameters: Iterable<Tensor>, lambda: number): Tensor =>
  weigh('l1Penalty', [...parameters], lambda, (w) => w.abs());
/** (λ / 2) Σ w²: its gradient is λ w. */
export const l2Penalty = (parameters: Iterable<Tensor>, lambda: number): Tensor =>
  weigh('l2Penalty', [...parameters], lambda / 2, (w) => w.square());
/** (λ / 2) Σ F (w - w*)²: keeps what an earlier task needed (elastic weight consolidation; Kirkpatrick et al. 2017). */
export function ewcPenalty(parameters: readonly Tensor[], anchors: readonly Tensor[], fisher: readonly Tensor[], lambda: number): Tensor {
  needSame('ewcPenalty', parameters, anchors);
  needSame('ewcPenalty', parameters, fisher);
  return weigh('ewcPenalty', parameters, lambda / 2, (w, i) =>
    w
      .sub(anchors[i] as Tensor)
      .square()
      .mul(fisher[i] as Tensor),
  );
}
function weigh(op: string, parameters: readonly Tensor[], factor: number, each: (w: Tensor, i: number) => Tensor): Tensor {
  if (!(factor >= 0)) throw new LibError('value', `${op}: lambda must not be negative, got ${factor}.`);
  return parameters.length === 0 ? zeros([]) : total(parameters.map((w, i) => each(w, i).sum())).mul(factor);
}

/** Thresholds that rise whatever the raw numbers (K - 1,) are: each is the one before plus a softplus. For cumulativeLinkLoss. */
export function orderedThresholds(raw: Tensor): Tensor {
  if (raw.ndim !== 1 || raw.size === 0)
    throw new LibError('shape', `orderedThresholds: raw must be (K - 1,), got ${formatShape(raw.shape)}.`);
  if (raw.size === 1) return raw;
  return raw
    .narrow(0, 0, 1)
    .expand([raw.size])
    .add(
      raw
        .narrow(0, 1, raw.size - 1)
        .softplus()
        .cumsum(0)
        .pad([1, 0]),
    );
}
/** The rank that logits of "above rank k" (N, K - 1) say: how many are more likely than not, (N,) in int32. */
export const rankOfLogits = (logits: Tensor): Tensor => logits.gt(0).int().sum({ dim: -1 }).int();
/** The rank nearest to a regressed value, 0 … K - 1, in int32. */
export const rankOfValues = (values: Tensor, ranks: number): Tensor =>
  values
    .detach()
    .round()
    .clamp({ min: 0, max: ranks - 1 })
    .int();

/** Cross entropy in nats, bits and as perplexity; the base must be said when numbers are compared. */
export function languageLoss(
  logits: Tensor,
  targets: Tensor,
): { readonly nats: Tensor; readonly bits: Tensor; readonly perplexity: Tensor } {
  const nats = crossEntropy(logits, targets);
  return { nats, bits: nats.div(Math.LN2), perplexity: nats.detach().exp() };
}
