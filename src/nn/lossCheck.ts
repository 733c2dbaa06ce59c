import { LibError } from '../core/errors.js';
import { grad } from '../tensor/autograd.js';
import { gradcheck } from '../tensor/gradcheck.js';
import { Generator, randn } from '../tensor/random.js';
import type { Tensor } from '../tensor/tensor.js';

/** What a loss of your own must keep to be worth training on, tried on an example. */

export interface LossCheckOptions {
  /** What the user really wants, higher is better: compared with the loss on perturbed predictions. Default: not compared. */
  readonly metric?: ((prediction: Tensor, target: Tensor) => number) | null;
  /** Perturbed predictions for the comparison. Default 40. */
  readonly samples?: number;
  /** Size of the largest perturbation, in deviations of the prediction. Default 2. */
  readonly noise?: number;
  readonly seed?: number;
}
export interface LossCheck {
  readonly passed: boolean;
  readonly problems: readonly string[];
  /** Largest |gradient| by the prediction; NaN where there is none. */
  readonly gradientScale: number;
  /** Spearman's rank correlation of -loss and metric; NaN without a metric. */
  readonly correlation: number;
  /** A chord of the loss was found to lie below it: not convex in the prediction. */
  readonly convex: boolean;
  /** The number of steps does not grow with the batch. Always true for fewer than four examples, which are not tried. */
  readonly batched: boolean;
}

const inDouble = (t: Tensor): Tensor => (t.dtype === 'float32' ? t.detach().double() : t.detach());

/** Ranks, ties sharing their mean. */
function ranks(values: readonly number[]): number[] {
  const order = values.map((v, i) => [v, i] as const).sort(([a], [b]) => a - b);
  const out = new Array<number>(values.length);
  for (let i = 0; i < order.length; ) {
    let j = i;
    while (j < order.length && order[j]?.[0] === order[i]?.[0]) j++;
    for (let k = i; k < j; k++) out[order[k]?.[1] as number] = (i + j - 1) / 2;
    i = j;
  }
  return out;
}

/** Spearman's rank correlation of two lists; NaN where one does not vary. */
export function rankCorrelation(a: readonly number[], b: readonly number[]): number {
  const [x, y] = [ranks(a), ranks(b)];
  const centre = (a.length - 1) / 2;
  const product = (u: readonly number[], v: readonly number[]): number =>
    u.reduce((s, r, i) => s + (r - centre) * ((v[i] as number) - centre), 0);
  return product(x, y) / Math.sqrt(product(x, x) * product(y, y));
}

/**
 * Tries a loss on one prediction and target: one finite number, its gradient checked by differences in float64, computed for the batch
 * and not example by example, and (with a metric) a rank correlation of at least 0.5 over perturbed predictions. Also tells the gradient's
 * scale and whether it looks convex.
 */
export function checkLoss(
  loss: (prediction: Tensor, target: Tensor) => Tensor,
  prediction: Tensor,
  target: Tensor,
  { metric = null, samples = 40, noise = 2, seed = 0 }: LossCheckOptions = {},
): LossCheck {
  if (!Number.isInteger(samples) || samples < 4) throw new LibError('value', `checkLoss: samples must be at least 4, got ${samples}.`);
  const [x, y] = [inDouble(prediction), inDouble(target)];
  const problems: string[] = [];
  const leaf = x.clone().requiresGrad_();
  const first = loss(leaf, y);
  if (first.size !== 1) throw new LibError('shape', `checkLoss: the loss must be one number, got shape [${first.shape.join(', ')}].`);
  if (!Number.isFinite(first.itemNow())) problems.push(`the loss is ${first.itemNow()}`);
  const slope = first.requiresGrad ? (grad(first, [leaf], { allowUnused: true })[0] ?? null) : null;
  const gradientScale = slope ? slope.abs().max().itemNow() : Number.NaN;
  if (slope === null) problems.push('no gradient reaches the prediction');
  else if (!Number.isFinite(gradientScale)) problems.push('the gradient is not finite');
  else if (!gradcheck((t) => loss(t as Tensor, y), [x.clone().requiresGrad_()]).passed)
    problems.push('the gradient does not agree with differences');
  const batched = !stepsGrow(loss, x, y);
  if (!batched) problems.push('the loss is computed example by example: its steps grow with the batch');
  const { correlation, convex } = explore(loss, x, y, { metric, samples, noise, seed });
  if (metric && !(correlation >= 0.5))
    problems.push(`the loss goes with the metric by a rank correlation of ${correlation.toFixed(2)}, below 0.5`);
  return { passed: problems.length === 0, problems, gradientScale, correlation, convex, batched };
}

/** Whether the whole batch takes more steps of the graph than its first half. */
function stepsGrow(loss: (prediction: Tensor, target: Tensor) => Tensor, x: Tensor, y: Tensor): boolean {
  const count = x.shape[0] ?? 0;
  if (count < 4) return false;
  const half = Math.floor(count / 2);
  const part = (t: Tensor): Tensor => (t.shape[0] === count ? t.narrow(0, 0, half) : t);
  return stepsOf(loss(x.clone().requiresGrad_(), y)) > stepsOf(loss(part(x).clone().requiresGrad_(), part(y)));
}

/** The steps of the graph behind a result. */
function stepsOf({ node }: Tensor): number {
  const seen = new Set(node === null ? [] : [node]);
  for (const step of seen) for (const edge of step.edges) if (edge?.node) seen.add(edge.node);
  return seen.size;
}

function explore(
  loss: (prediction: Tensor, target: Tensor) => Tensor,
  x: Tensor,
  y: Tensor,
  { metric, samples, noise, seed }: Required<LossCheckOptions>,
): { readonly correlation: number; readonly convex: boolean } {
  const generator = new Generator(seed);
  const scale = Math.max(x.size > 1 ? x.std().itemNow() : 0, 1e-3) * noise;
  const points = Array.from({ length: samples }, (_, i) =>
    x.add(randn(x.shape, { dtype: x.dtype, generator }).mul((scale * (i + 1)) / samples)),
  );
  const losses = points.map((p) => loss(p, y).itemNow());
  const chordsHold = points.slice(1).every((p, i) => {
    const middle = loss(p.add(points[i] as Tensor).mul(0.5), y).itemNow();
    const ends = ((losses[i] as number) + (losses[i + 1] as number)) / 2;
    return !(middle > ends + 1e-9 * Math.max(1, Math.abs(ends)));
  });
  const scores = metric ? points.map((p) => metric(p, y)) : [];
  return {
    correlation: metric
      ? rankCorrelation(
          losses.map((l) => -l),
          scores,
        )
      : Number.NaN,
    convex: chordsHold,
  };
}
