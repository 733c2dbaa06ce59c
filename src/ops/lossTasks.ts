import { LibError } from '../core/errors.js';
import { formatShape, sameShape } from '../core/shape.js';
import { constant, type Expr, input } from '../expr/expr.js';
import { eye } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { defineComposite, type Op, type TorchName } from './define.js';
import { fuse, fuseSum, needFloat, range } from './fused.js';
import { hstack } from './join.js';
import { binaryCrossEntropyWithLogits, crossEntropy } from './loss.js';
import {
  checkNumber,
  checkReduction,
  checkShapes,
  elementwise,
  type LossOptions,
  logitLoss,
  positivePart,
  reduced,
  softplusOfMinus,
} from './lossParts.js';
import { normalize } from './norm.js';
import { asIndex, gatherRow } from './scatterRows.js';
import { logSoftmax, softmax } from './softmax.js';

/** Losses beyond PyTorch's: detection, segmentation, metric learning, ordinal and noisy labels, energies and generators. */

const [a, b, c, d] = [input(0), input(1), input(2), input(3)];
const pick = gatherRow('loss');
const square = (x: Expr): Expr => x.mul(x);
/** xᵞ for x >= 0; below 1e-30 its slope is 0, which would be infinite at 0 where γ < 1. */
const powerOf = (x: Expr, gamma: number): Expr => x.max(1e-30).pow(gamma);
/** log sigmoid. */
const logSigmoid = (x: Expr): Expr => softplusOfMinus(x).neg();
/** A formula over `a` and `o` in PyTorch, reduced by `o`: what the fixtures compare with. */
const formula = (each: string): TorchName => ({
  call: `(lambda l: {"mean": l.mean, "sum": l.sum, "none": l.clone}[o.get("reduction", "mean")]())(${each})`,
});

/** Logits (N, C) and class targets (N,): the logits' classes in the last dim. */
function checkClasses(op: string, x: Tensor, target: Tensor): Tensor {
  needFloat(op, x);
  if (x.ndim !== 2 || !sameShape(target.shape, [x.sizeAt(0)])) {
    throw new LibError('shape', `${op}: x must be (N, C) and targets (N,), got ${formatShape(x.shape)} and ${formatShape(target.shape)}.`);
  }
  return asIndex(op, target).unsqueeze(1);
}
const ofTarget = (x: Tensor, index: Tensor): Tensor => pick(x, 1, index).squeeze({ dim: 1 });

export interface HingeOptions extends LossOptions {
  /** How far on the right side is far enough. Default 1. */
  readonly margin?: number;
  /** 2 for the squared hinge. Default 1. */
  readonly p?: 1 | 2;
}
type HingeCall = [x: Tensor, target: Tensor, options?: HingeOptions];

/** max(0, margin - target · x)ᵖ for raw scores x and targets 1 and -1. */
export const hingeLoss: Op<HingeCall> = defineComposite({
  name: 'hingeLoss',
  expects: 'scores',
  compose(x: Tensor, target: Tensor, { margin = 1, p = 1, reduction = 'mean' }: HingeOptions = {}) {
    checkShapes('hingeLoss', x, target);
    checkNumber('hingeLoss', 'p', p, p === 1 || p === 2, '1 or 2');
    const over = positivePart(constant(margin).sub(a.mul(b)));
    return elementwise('hingeLoss', [x, target], p === 1 ? over : square(over), reduction);
  },
  *samples(random): Iterable<HingeCall> {
    yield [random([6]), random.integers([6], 0, 2).mul(2).sub(1)];
    yield [random([6]), random.integers([6], 0, 2).mul(2).sub(1), { p: 2, margin: 0.5, reduction: 'none' }];
  },
  *errors(random): Iterable<readonly [HingeCall, string]> {
    yield [[random([3]), random([4])], 'must have one shape'];
    yield [[random([3]), random([3]), { p: 3 as 2 }], 'p must be 1 or 2, got 3'];
  },
  torch: formula('(o.get("margin", 1) - a[0] * a[1]).clamp(min=0) ** o.get("p", 1)'),
});

export interface MulticlassHingeOptions extends LossOptions {
  /** Default 1. */
  readonly margin?: number;
}
type MulticlassHingeCall = [x: Tensor, target: Tensor, options?: MulticlassHingeOptions];

/** max(0, margin + the best other score - x[target]) for scores x (N, C) (Crammer & Singer 2001); multiMarginLoss sums over all others. */
export const multiclassHingeLoss: Op<MulticlassHingeCall> = defineComposite({
  name: 'multiclassHingeLoss',
  expects: 'scores',
  compose(x: Tensor, target: Tensor, { margin = 1, reduction = 'mean' }: MulticlassHingeOptions = {}) {
    checkReduction('multiclassHingeLoss', reduction);
    const t = checkClasses('multiclassHingeLoss', x, target);
    const others = fuse('multiclassHingeLoss', [x, t, range(x.device, x.sizeAt(1))], b.equal(c).select(Number.NEGATIVE_INFINITY, a));
    const each = fuse('multiclassHingeLoss', [others.amax({ dim: 1 }), ofTarget(x, t)], positivePart(a.sub(b).add(margin)));
    return reduced('multiclassHingeLoss', each, reduction);
  },
  *samples(random): Iterable<MulticlassHingeCall> {
    yield [random([5, 4]), random.integers([5], 0, 4)];
    yield [random([5, 4]), random.integers([5], 0, 4), { margin: 0.5, reduction: 'none' }];
  },
  *errors(random): Iterable<readonly [MulticlassHingeCall, string]> {
    yield [[random([4, 3]), random.integers([5], 0, 3)], 'got (4, 3) and (5,)'];
    yield [[random([4, 3]), random.integers([4], 3, 4)], 'out of range for dimension of size 3'];
  },
  torch: formula(
    '(o.get("margin", 1) + a[0].scatter(1, a[1].long()[:, None], -math.inf).amax(1) - a[0].gather(1, a[1].long()[:, None])[:, 0]).clamp(min=0)',
  ),
});

export interface ContrastiveOptions extends LossOptions {
  /** Beyond which distance dissimilar pairs cost nothing. Default 1. */
  readonly margin?: number;
}
type ContrastiveCall = [x1: Tensor, x2: Tensor, target: Tensor, options?: ContrastiveOptions];

/** t · d² + (1 - t) · max(0, margin - d)² with d = ‖x1 - x2‖ over the last dim; t is 1 for similar pairs (Hadsell et al. 2006). */
export const contrastiveLoss: Op<ContrastiveCall> = defineComposite({
  name: 'contrastiveLoss',
  expects: 'embeddings',
  compose(x1: Tensor, x2: Tensor, target: Tensor, { margin = 1, reduction = 'mean' }: ContrastiveOptions = {}) {
    checkShapes('contrastiveLoss', x1, x2, 'second input');
    needFloat('contrastiveLoss', x1);
    checkNumber('contrastiveLoss', 'margin', margin, margin > 0, 'positive');
    const squares = fuseSum('contrastiveLoss', [x1, x2], square(a.sub(b)), [x1.ndim - 1]);
    checkShapes('contrastiveLoss', squares, target);
    const length = a.equal(0).select(0, a.equal(0).select(1, a).sqrt()); // √ has no slope at 0; there the pair has no direction
    const apart = square(positivePart(constant(margin).sub(length)));
    return elementwise('contrastiveLoss', [squares, target], b.mul(a).add(constant(1).sub(b).mul(apart)), reduction);
  },
  *samples(random): Iterable<ContrastiveCall> {
    yield [random([5, 3]), random([5, 3]), random.integers([5], 0, 2), { margin: 3 }];
    yield [random([5, 3]), random([5, 3]), random.integers([5], 0, 2), { reduction: 'none' }];
  },
  *errors(random): Iterable<readonly [ContrastiveCall, string]> {
    yield [[random([5, 3]), random([5, 2]), random.integers([5], 0, 2)], 'must have one shape'];
    yield [[random([5, 3]), random([5, 3]), random.integers([4], 0, 2)], 'must have one shape'];
    yield [[random([5, 3]), random([5, 3]), random.integers([5], 0, 2), { margin: 0 }], 'margin must be positive'];
  },
  torch: formula('(lambda q: a[2] * q + (1 - a[2]) * (o.get("margin", 1) - q.sqrt()).clamp(min=0) ** 2)(((a[0] - a[1]) ** 2).sum(-1))'),
});

export interface NtXentOptions {
  /** Divides the cosines. Default 0.5. */
  readonly temperature?: number;
}
type NtXentCall = [z1: Tensor, z2: Tensor, options?: NtXentOptions];

/** The mean over all 2N views of -log softmax over the others of cosine / temperature, at the view's partner (Chen et al. 2020, InfoNCE). */
export const ntXentLoss: Op<NtXentCall> = defineComposite({
  name: 'ntXentLoss',
  expects: 'embeddings',
  compose(z1: Tensor, z2: Tensor, { temperature = 0.5 }: NtXentOptions = {}) {
    checkShapes('ntXentLoss', z1, z2, 'second input');
    needFloat('ntXentLoss', z1);
    checkNumber('ntXentLoss', 'temperature', temperature, temperature > 0, 'positive');
    if (z1.ndim !== 2) throw new LibError('shape', `ntXentLoss: the views must be (N, features), got shape ${formatShape(z1.shape)}.`);
    const count = z1.sizeAt(0);
    const [u, v] = [normalize(z1), normalize(z2)];
    const itself = eye(count, count, { dtype: z1.dtype, device: z1.device });
    const others = (x: Tensor): Tensor =>
      fuse('ntXentLoss', [x.matmul(x.t()), itself], b.equal(1).select(Number.NEGATIVE_INFINITY, a.div(temperature)));
    const across = u.matmul(v.t()).div(temperature);
    const partner = range(z1.device, count);
    // Rows of the first views, then of the second: [partners | own kind].
    const first = crossEntropy(hstack([across, others(u)]), partner);
    const second = crossEntropy(hstack([across.t(), others(v)]), partner);
    return fuse('ntXentLoss', [first, second], a.add(b).mul(0.5));
  },
  *samples(random): Iterable<NtXentCall> {
    yield [random([4, 3]), random([4, 3])];
    yield [random([3, 5]), random([3, 5]), { temperature: 0.1 }];
  },
  *errors(random): Iterable<readonly [NtXentCall, string]> {
    yield [[random([4, 3]), random([4, 2])], 'must have one shape'];
    yield [[random([4, 3]), random([4, 3]), { temperature: 0 }], 'temperature must be positive, got 0'];
  },
  torch: {
    call:
      '(lambda z, n: F.cross_entropy((z @ z.T / o.get("temperature", 0.5)).masked_fill(torch.eye(2 * n).bool(), -math.inf), ' +
      '(torch.arange(2 * n) + n) % (2 * n)))(F.normalize(torch.cat([a[0], a[1]])), a[0].shape[0])',
  },
});

export interface FocalOptions extends LossOptions {
  /** Weight of positives; negatives get 1 - alpha. null: none. Default 0.25. */
  readonly alpha?: number | null;
  /** How strongly easy examples are played down; 0 is cross entropy. Default 2. */
  readonly gamma?: number;
}
type FocalCall = [x: Tensor, target: Tensor, options?: FocalOptions];

/** -α_t (1 - p_t)^γ log p_t for logits x and targets in [0, 1] (Lin et al. 2017). */
export const focalLoss: Op<FocalCall> = defineComposite({
  name: 'focalLoss',
  expects: 'logits',
  compose(x: Tensor, target: Tensor, { alpha = 0.25, gamma = 2, reduction = 'mean' }: FocalOptions = {}) {
    checkShapes('focalLoss', x, target);
    checkNumber('focalLoss', 'gamma', gamma, gamma >= 0, 'at least 0');
    checkNumber('focalLoss', 'alpha', alpha ?? 0, alpha === null || (alpha >= 0 && alpha <= 1), 'in [0, 1]');
    const no = constant(1).sub(b);
    // 1 - p_t for soft targets too; (…)^γ by exp and log so that γ need not be whole
    const miss = b.mul(a.neg().sigmoid()).add(no.mul(a.sigmoid()));
    const factor = gamma === 0 ? constant(1) : gamma === 1 ? miss : gamma === 2 ? square(miss) : powerOf(miss, gamma);
    const weight = alpha === null ? factor : factor.mul(b.mul(alpha).add(no.mul(1 - alpha)));
    return elementwise('focalLoss', [x, target], weight.mul(logitLoss(a, b)), reduction);
  },
  *samples(random): Iterable<FocalCall> {
    yield [random([4, 3]), random.integers([4, 3], 0, 2).float()];
    yield [random([5]), random.integers([5], 0, 2).float(), { alpha: null, gamma: 0, reduction: 'none' }];
    yield [random([5]), random.integers([5], 0, 2).float(), { alpha: 0.6, gamma: 1.5, reduction: 'sum' }];
  },
  *errors(random): Iterable<readonly [FocalCall, string]> {
    yield [[random([3]), random([4])], 'must have one shape'];
    yield [[random([3]), random([3]), { gamma: -1 }], 'gamma must be at least 0, got -1'];
    yield [[random([3]), random([3]), { alpha: 2 }], 'alpha must be in [0, 1], got 2'];
  },
  torch: formula(
    '(lambda p, t, w: (t * p.neg().sigmoid() + (1 - t) * p.sigmoid()) ** o.get("gamma", 2) * ' +
      'F.binary_cross_entropy_with_logits(p, t, reduction="none") * (1 if w is None else w * t + (1 - w) * (1 - t)))(*a, o.get("alpha", 0.25))',
  ),
});

export interface FocalClassOptions extends LossOptions {
  /** A factor for each class, (C,). Default: none. */
  readonly alpha?: Tensor | null;
  /** Default 2. */
  readonly gamma?: number;
}
type FocalClassCall = [x: Tensor, target: Tensor, options?: FocalClassOptions];

/** {@link focalLoss} of several classes: -α[target] (1 - p[target])^γ log p[target] for logits x (N, C). */
export const focalCrossEntropy: Op<FocalClassCall> = defineComposite({
  name: 'focalCrossEntropy',
  expects: 'logits',
  compose(x: Tensor, target: Tensor, { alpha = null, gamma = 2, reduction = 'mean' }: FocalClassOptions = {}) {
    checkReduction('focalCrossEntropy', reduction);
    checkNumber('focalCrossEntropy', 'gamma', gamma, gamma >= 0, 'at least 0');
    const t = checkClasses('focalCrossEntropy', x, target);
    const logs = ofTarget(logSoftmax(x, { dim: 1 }), t);
    const miss = a.expm1().neg();
    const factor = gamma === 0 ? constant(1) : gamma === 2 ? square(miss) : powerOf(miss, gamma);
    const own = alpha ? [pick(alpha, 0, t.squeeze({ dim: 1 }))] : [];
    const each = factor.mul(a).neg();
    return elementwise('focalCrossEntropy', [logs, ...own], alpha ? each.mul(b) : each, reduction);
  },
  *samples(random): Iterable<FocalClassCall> {
    yield [random([5, 4]), random.integers([5], 0, 4)];
    yield [random([5, 4]), random.integers([5], 0, 4), { gamma: 0, alpha: random([4], { low: 0.1, high: 1 }), reduction: 'none' }];
  },
  *errors(random): Iterable<readonly [FocalClassCall, string]> {
    yield [[random([4, 3]), random.integers([4], 3, 4)], 'out of range for dimension of size 3'];
    yield [[random([4, 3]), random.integers([5], 0, 3)], 'got (4, 3) and (5,)'];
  },
  torch: formula(
    '(lambda l, t, w: -(1 - l.exp()) ** o.get("gamma", 2) * l * (1 if w is None else w[t]))' +
      '(a[0].log_softmax(1).gather(1, a[1].long()[:, None])[:, 0], a[1].long(), o.get("alpha"))',
  ),
});

export interface OverlapOptions {
  /** Added above and below, so that empty classes count as found. Default 1 (diceLoss), 1e-6 (iouLoss). */
  readonly smooth?: number;
  /** Also keep the examples of the batch apart. Default false. */
  readonly perExample?: boolean;
  /** 'mean' over classes (and examples), 'sum', or 'none'. Default 'mean'. */
  readonly reduction?: LossOptions['reduction'];
}
export interface DiceOptions extends OverlapOptions {
  /** Square both in the denominator (Milletari et al. 2016). Default false. */
  readonly squared?: boolean;
}

/** Sums over positions (and the batch) of p · g, p and g, or of their squares. */
function overlaps(op: string, p: Tensor, target: Tensor, perExample: boolean, squared: boolean): readonly [Tensor, Tensor, Tensor] {
  checkShapes(op, p, target);
  needFloat(op, p);
  if (p.ndim < 2) throw new LibError('shape', `${op}: probabilities must be (N, C, …), got shape ${formatShape(p.shape)}.`);
  const dims = p.shape.flatMap((_, i) => (i === 1 || (i === 0 && perExample) ? [] : [i]));
  const total = (tensors: readonly Tensor[], expr: Expr): Tensor => fuseSum(op, tensors, expr, dims, { dtype: p.dtype });
  const own = squared ? square(a) : a;
  return [total([p, target], a.mul(b)), total([p], own), total([target], own)];
}
type DiceCall = [p: Tensor, target: Tensor, options?: DiceOptions];

/** 1 - (2 Σ p g + s) / (Σ p + Σ g + s) for probabilities and targets (N, C, …), by class, then the mean. */
export const diceLoss: Op<DiceCall> = defineComposite({
  name: 'diceLoss',
  expects: 'probabilities',
  compose(p: Tensor, target: Tensor, { smooth = 1, squared = false, perExample = false, reduction = 'mean' }: DiceOptions = {}) {
    checkNumber('diceLoss', 'smooth', smooth, smooth >= 0, 'at least 0');
    const sums = overlaps('diceLoss', p, target, perExample, squared);
    const score = a.mul(2).add(smooth).div(b.add(c).add(smooth));
    return elementwise('diceLoss', sums, constant(1).sub(score), reduction);
  },
  *samples(random): Iterable<DiceCall> {
    const unit = { low: 0, high: 1 };
    yield [random([2, 3, 4], unit), random.integers([2, 3, 4], 0, 2).float()];
    yield [random([2, 3, 2, 2], unit), random([2, 3, 2, 2], unit), { squared: true, smooth: 0.5, reduction: 'none' }];
    yield [random([2, 3, 4], unit), random([2, 3, 4], unit), { perExample: true }];
  },
  *errors(random): Iterable<readonly [DiceCall, string]> {
    yield [[random([2, 3]), random([2, 2])], 'must have one shape'];
    yield [[random([3]), random([3])], 'must be (N, C, …)'];
    yield [[random([2, 3]), random([2, 3]), { smooth: -1 }], 'smooth must be at least 0'];
  },
  torch: formula(
    '(lambda p, g, s, k, d: 1 - (2 * (p * g).sum(d) + s) / ((p ** k).sum(d) + (g ** k).sum(d) + s))(a[0], a[1], o.get("smooth", 1), ' +
      '2 if o.get("squared") else 1, [i for i in range(a[0].dim()) if i != 1 and (i > 0 or not o.get("per_example"))])',
  ),
});
type IouCall = [p: Tensor, target: Tensor, options?: OverlapOptions];

/** 1 - Σ p g / (Σ p + Σ g - Σ p g), the Jaccard index, for probabilities and targets (N, C, …), by class, then the mean. */
export const iouLoss: Op<IouCall> = defineComposite({
  name: 'iouLoss',
  expects: 'probabilities',
  compose(p: Tensor, target: Tensor, { smooth = 1e-6, perExample = false, reduction = 'mean' }: OverlapOptions = {}) {
    checkNumber('iouLoss', 'smooth', smooth, smooth >= 0, 'at least 0');
    const score = a.add(smooth).div(b.add(c).sub(a).add(smooth));
    return elementwise('iouLoss', overlaps('iouLoss', p, target, perExample, false), constant(1).sub(score), reduction);
  },
  *samples(random): Iterable<IouCall> {
    const unit = { low: 0, high: 1 };
    yield [random([2, 3, 4], unit), random.integers([2, 3, 4], 0, 2).float()];
    yield [random([2, 3, 4], unit), random([2, 3, 4], unit), { perExample: true, smooth: 1, reduction: 'sum' }];
  },
  *errors(random): Iterable<readonly [IouCall, string]> {
    yield [[random([2, 3]), random([2, 2])], 'must have one shape'];
  },
  torch: formula(
    '(lambda p, g, s, d: 1 - ((p * g).sum(d) + s) / (p.sum(d) + g.sum(d) - (p * g).sum(d) + s))(a[0], a[1], o.get("smooth", 1e-6), ' +
      '[i for i in range(a[0].dim()) if i != 1 and (i > 0 or not o.get("per_example"))])',
  ),
});

type OrdinalCall = [logits: Tensor, target: Tensor, options?: LossOptions];
const rankTask = logitLoss(a, c.less(b));

/** Consistent ranks: the sum of K - 1 binary cross entropies of "rank above k", logits (N, K - 1), ranks 0 … K - 1 (Cao et al. 2020). */
export const coralLoss: Op<OrdinalCall> = defineComposite({
  name: 'coralLoss',
  expects: 'logits',
  compose(logits: Tensor, target: Tensor, { reduction = 'mean' }: LossOptions = {}) {
    checkReduction('coralLoss', reduction);
    const ranks = range(logits.device, logits.sizeAt(1) + 1);
    const t = pick(ranks, 0, checkClasses('coralLoss', logits, target).squeeze({ dim: 1 })).unsqueeze(1);
    const each = fuseSum('coralLoss', [logits, t, range(logits.device, logits.sizeAt(1))], rankTask, [1]);
    return reduced('coralLoss', each, reduction);
  },
  *samples(random): Iterable<OrdinalCall> {
    yield [random([5, 3]), random.integers([5], 0, 4)];
    yield [random([5, 3]), random.integers([5], 0, 4), { reduction: 'none' }];
  },
  *errors(random): Iterable<readonly [OrdinalCall, string]> {
    yield [[random([4, 3]), random.integers([5], 0, 3)], 'got (4, 3) and (5,)'];
    yield [[random([4, 3]), random.integers([4], 4, 5)], 'out of range for dimension of size 4'];
  },
  torch: formula(
    'F.binary_cross_entropy_with_logits(a[0], (a[1][:, None] > torch.arange(a[0].shape[1])).to(a[0].dtype), reduction="none").sum(1)',
  ),
});

type CumulativeCall = [score: Tensor, thresholds: Tensor, target: Tensor, options?: LossOptions];

/** Of (score, threshold above, threshold below, rank, last rank): log σ(u) + log σ(-l) + log(1 - e^(l - u)), without overflow. */
function intervalLoss(): Expr {
  const [rank, last] = [d, input(4)];
  const [upper, lower] = [b.sub(a), c.sub(a)];
  const [isFirst, isLast] = [rank.equal(0), rank.equal(last)];
  const inside = isFirst.add(isLast).notEqual(0);
  const width = inside.select(1, b.sub(c));
  const gap = inside.select(0, width.neg().expm1().neg().log());
  return isLast
    .select(0, logSigmoid(upper))
    .add(isFirst.select(0, logSigmoid(lower.neg())))
    .add(gap)
    .neg();
}
const interval = intervalLoss();

/** Proportional odds: -log of σ(θ[y] - f) - σ(θ[y - 1] - f) for scores f (N,), rising thresholds θ (K - 1,) and ranks y 0 … K - 1. */
export const cumulativeLinkLoss: Op<CumulativeCall> = defineComposite({
  name: 'cumulativeLinkLoss',
  expects: 'scores',
  compose(score: Tensor, thresholds: Tensor, target: Tensor, { reduction = 'mean' }: LossOptions = {}) {
    checkShapes('cumulativeLinkLoss', score, target);
    needFloat('cumulativeLinkLoss', score, thresholds);
    if (score.ndim !== 1 || thresholds.ndim !== 1 || thresholds.size === 0) {
      const got = `${formatShape(score.shape)} and ${formatShape(thresholds.shape)}`;
      throw new LibError('shape', `cumulativeLinkLoss: scores must be (N,) and thresholds (K - 1,), got ${got}.`);
    }
    const last = thresholds.size;
    const t = asIndex('cumulativeLinkLoss', target);
    const above = pick(thresholds, 0, fuse('cumulativeLinkLoss', [t], a.equal(last).select(last - 1, a), [], 'int32'));
    const below = pick(thresholds, 0, fuse('cumulativeLinkLoss', [t], a.equal(0).select(0, a.sub(1)), [], 'int32'));
    const expr = interval;
    const lastRank = range(score.device, last + 1).narrow(0, last, 1);
    return elementwise('cumulativeLinkLoss', [score, above, below, t, lastRank], expr, reduction);
  },
  *samples(random): Iterable<CumulativeCall> {
    const rising = random([3], { low: 0.2, high: 1 }).cumsum(0);
    yield [random([6]), rising, random.integers([6], 0, 4)];
    yield [random([6], { low: -40, high: 40 }), rising, random.integers([6], 0, 4), { reduction: 'none' }];
  },
  *errors(random): Iterable<readonly [CumulativeCall, string]> {
    yield [[random([6]), random([3]), random.integers([6], 4, 5)], 'out of range'];
    yield [[random([6]), random([3]), random.integers([5], 0, 4)], 'must have one shape'];
    yield [[random([6]), random([3, 1]), random.integers([6], 0, 4)], 'thresholds (K - 1,)'];
  },
  torch: formula(
    '(lambda f, h, y, k: -torch.where(y == 0, F.logsigmoid(h[0] - f), torch.where(y == k, F.logsigmoid(f - h[-1]), ' +
      '(lambda u, l: F.logsigmoid(u) + F.logsigmoid(-l) + (-torch.expm1(l - u)).log())' +
      '(h[y.clamp(1, k - 1)] - f, h[y.clamp(1, k - 1) - 1] - f))))(a[0], a[1], a[2].long(), a[1].shape[0])',
  ),
});

export interface EnergyOptions extends LossOptions {
  /** Default 1. */
  readonly margin?: number;
}
type EnergyCall = [right: Tensor, wrong: Tensor, options?: EnergyOptions];

/** max(0, margin + E(right) - E(wrong)): lowers the energy of right answers below that of wrong ones (LeCun et al. 2006). */
export const energyMarginLoss: Op<EnergyCall> = defineComposite({
  name: 'energyMarginLoss',
  expects: 'scores',
  compose(right: Tensor, wrong: Tensor, { margin = 1, reduction = 'mean' }: EnergyOptions = {}) {
    checkShapes('energyMarginLoss', right, wrong, 'energies of wrong answers');
    return elementwise('energyMarginLoss', [right, wrong], positivePart(a.sub(b).add(margin)), reduction);
  },
  *samples(random): Iterable<EnergyCall> {
    yield [random([6]), random([6])];
    yield [random([6]), random([6]), { margin: 0.3, reduction: 'none' }];
  },
  *errors(random): Iterable<readonly [EnergyCall, string]> {
    yield [[random([6]), random([5])], 'must have one shape'];
  },
  torch: formula('(a[0] - a[1] + o.get("margin", 1)).clamp(min=0)'),
});

type EnergyNllCall = [energies: Tensor, target: Tensor, options?: LossOptions];
/** -log of e^-E[target] / Σ e^-E over the answers (all, or samples of them): energies (N, answers). */
export const energyNllLoss: Op<EnergyNllCall> = defineComposite({
  name: 'energyNllLoss',
  expects: 'scores',
  compose(energies: Tensor, target: Tensor, options: LossOptions = {}) {
    checkClasses('energyNllLoss', energies, target);
    return crossEntropy(energies.neg(), target, options);
  },
  *samples(random): Iterable<EnergyNllCall> {
    yield [random([5, 4]), random.integers([5], 0, 4)];
  },
  *errors(random): Iterable<readonly [EnergyNllCall, string]> {
    yield [[random([4, 3]), random.integers([4], 3, 4)], 'out of range for dimension of size 3'];
  },
  torch: { call: 'F.cross_entropy(-a[0], a[1].long())' },
});

type GaussianKlCall = [mean: Tensor, logVariance: Tensor, options?: LossOptions];
/** KL(N(μ, s²) ‖ N(0, 1)) = ½ Σ (μ² + s² - 1 - log s²) over the last dim: what a VAE pays for its code. */
export const gaussianKl: Op<GaussianKlCall> = defineComposite({
  name: 'gaussianKl',
  expects: 'values',
  compose(mean: Tensor, logVariance: Tensor, { reduction = 'mean' }: LossOptions = {}) {
    checkShapes('gaussianKl', mean, logVariance, 'log-variance');
    needFloat('gaussianKl', mean);
    const each = square(a).add(b.expm1()).sub(b).mul(0.5);
    return reduced('gaussianKl', fuseSum('gaussianKl', [mean, logVariance], each, [Math.max(mean.ndim - 1, 0)]), reduction);
  },
  *samples(random): Iterable<GaussianKlCall> {
    yield [random([4, 3]), random([4, 3])];
    yield [random([4, 3]), random([4, 3]), { reduction: 'none' }];
  },
  *errors(random): Iterable<readonly [GaussianKlCall, string]> {
    yield [[random([4, 3]), random([4, 2])], 'must have one shape'];
  },
  torch: formula('0.5 * (a[0] ** 2 + a[1].exp() - 1 - a[1]).sum(-1)'),
});

type DiscriminatorCall = [real: Tensor, fake: Tensor, options?: LossOptions];
/** -log D(real) - log(1 - D(fake)) for logits of the discriminator (Goodfellow et al. 2014). */
export const ganDiscriminatorLoss: Op<DiscriminatorCall> = defineComposite({
  name: 'ganDiscriminatorLoss',
  expects: 'logits',
  compose(real: Tensor, fake: Tensor, { reduction = 'mean' }: LossOptions = {}) {
    checkShapes('ganDiscriminatorLoss', real, fake, 'logits of fakes');
    return elementwise('ganDiscriminatorLoss', [real, fake], softplusOfMinus(a).add(softplusOfMinus(b.neg())), reduction);
  },
  *samples(random): Iterable<DiscriminatorCall> {
    yield [random([4, 1]), random([4, 1])];
  },
  *errors(random): Iterable<readonly [DiscriminatorCall, string]> {
    yield [[random([4]), random([3])], 'must have one shape'];
  },
  torch: formula('F.softplus(-a[0], threshold=1e9) + F.softplus(a[1], threshold=1e9)'),
});

export interface GeneratorOptions extends LossOptions {
  /** -log D(fake), whose gradient does not vanish, or log(1 - D(fake)). Default 'nonSaturating'. */
  readonly form?: 'nonSaturating' | 'minimax';
}
type GeneratorCall = [fake: Tensor, options?: GeneratorOptions];
/** What the generator pays for the discriminator's logits of its fakes. */
export const ganGeneratorLoss: Op<GeneratorCall> = defineComposite({
  name: 'ganGeneratorLoss',
  expects: 'logits',
  compose(fake: Tensor, { form = 'nonSaturating', reduction = 'mean' }: GeneratorOptions = {}) {
    if (form !== 'nonSaturating' && form !== 'minimax') {
      throw new LibError('option', `ganGeneratorLoss: form must be 'nonSaturating' or 'minimax', got '${String(form)}'.`);
    }
    return elementwise('ganGeneratorLoss', [fake], form === 'minimax' ? softplusOfMinus(a.neg()).neg() : softplusOfMinus(a), reduction);
  },
  *samples(random): Iterable<GeneratorCall> {
    yield [random([4])];
    yield [random([4]), { form: 'minimax' }];
  },
  *errors(random): Iterable<readonly [GeneratorCall, string]> {
    yield [[random([4]), { form: 'wasserstein' as 'minimax' }], "got 'wasserstein'"];
  },
  torch: formula('-F.softplus(a[0], threshold=1e9) if o.get("form") == "minimax" else F.softplus(-a[0], threshold=1e9)'),
});

/** F Fᵀ / (C H W) of features (N, C, H, W): (N, C, C), how channels go together wherever they are (Gatys et al. 2016). */
export const gramMatrix: Op<[features: Tensor]> = defineComposite({
  name: 'gramMatrix',
  compose(features: Tensor) {
    if (features.ndim < 3) throw new LibError('shape', `gramMatrix: features must be (N, C, …), got shape ${formatShape(features.shape)}.`);
    const [count = 1, channels = 1] = features.shape;
    const rows = features.reshape([count, channels, -1]);
    return rows.matmul(rows.mT()).div(channels * rows.sizeAt(2));
  },
  *samples(random): Iterable<[features: Tensor]> {
    yield [random([2, 3, 2, 4])];
  },
  *errors(random): Iterable<readonly [[features: Tensor], string]> {
    yield [[random([2, 3])], 'must be (N, C, …)'];
  },
  torch: { call: '(lambda f: f @ f.mT / (f.shape[1] * f.shape[2]))(a[0].flatten(2))' },
});

export interface GceOptions extends LossOptions {
  /** 0 is cross entropy, 1 the mean absolute error of probabilities. Default 0.7. */
  readonly q?: number;
}
type GceCall = [x: Tensor, target: Tensor, options?: GceOptions];

/** (1 - p[target]^q) / q for logits x (N, C): tolerant of wrong labels (Zhang & Sabuncu 2018). */
export const generalizedCrossEntropy: Op<GceCall> = defineComposite({
  name: 'generalizedCrossEntropy',
  expects: 'logits',
  compose(x: Tensor, target: Tensor, { q = 0.7, reduction = 'mean' }: GceOptions = {}) {
    checkNumber('generalizedCrossEntropy', 'q', q, q >= 0 && q <= 1, 'in [0, 1]');
    const logs = ofTarget(logSoftmax(x, { dim: 1 }), checkClasses('generalizedCrossEntropy', x, target));
    return elementwise('generalizedCrossEntropy', [logs], q === 0 ? a.neg() : a.mul(q).expm1().div(-q), reduction);
  },
  *samples(random): Iterable<GceCall> {
    yield [random([5, 4]), random.integers([5], 0, 4)];
    yield [random([5, 4]), random.integers([5], 0, 4), { q: 0.3, reduction: 'none' }];
  },
  *errors(random): Iterable<readonly [GceCall, string]> {
    yield [[random([4, 3]), random.integers([4], 0, 3), { q: 2 }], 'q must be in [0, 1], got 2'];
    yield [[random([4, 3]), random.integers([4], 3, 4)], 'out of range for dimension of size 3'];
  },
  torch: formula('(lambda l, q: (1 - (q * l).exp()) / q)(a[0].log_softmax(1).gather(1, a[1].long()[:, None])[:, 0], o.get("q", 0.7))'),
});

type ProbabilityMaeCall = [x: Tensor, target: Tensor, options?: LossOptions];
/** Σ |p - onehot| = 2 (1 - p[target]) for logits x (N, C): the bounded loss that wrong labels move least (Ghosh et al. 2017). */
export const probabilityMae: Op<ProbabilityMaeCall> = defineComposite({
  name: 'probabilityMae',
  expects: 'logits',
  compose(x: Tensor, target: Tensor, { reduction = 'mean' }: LossOptions = {}) {
    const t = checkClasses('probabilityMae', x, target);
    return elementwise('probabilityMae', [ofTarget(softmax(x, { dim: 1 }), t)], constant(1).sub(a).mul(2), reduction);
  },
  *samples(random): Iterable<ProbabilityMaeCall> {
    yield [random([5, 4]), random.integers([5], 0, 4)];
  },
  *errors(random): Iterable<readonly [ProbabilityMaeCall, string]> {
    yield [[random([4, 3]), random.integers([4], 3, 4)], 'out of range for dimension of size 3'];
  },
  torch: formula('2 * (1 - a[0].softmax(1).gather(1, a[1].long()[:, None])[:, 0])'),
});

export interface BootstrapOptions extends LossOptions {
  /** Share of the given labels; the rest is the model's own belief. Default 0.95 (soft), 0.8 (hard). */
  readonly beta?: number;
  /** Believe the probabilities, or the likeliest class. Default 'soft'. */
  readonly mode?: 'soft' | 'hard';
}
type BootstrapCall = [x: Tensor, target: Tensor, options?: BootstrapOptions];

/** Cross entropy with targets β · onehot + (1 - β) · belief, logits x (N, C) (Reed et al. 2015). Gradient flows through soft beliefs. */
export const bootstrappedCrossEntropy: Op<BootstrapCall> = defineComposite({
  name: 'bootstrappedCrossEntropy',
  expects: 'logits',
  compose(x: Tensor, target: Tensor, { mode = 'soft', beta = mode === 'hard' ? 0.8 : 0.95, reduction = 'mean' }: BootstrapOptions = {}) {
    checkReduction('bootstrappedCrossEntropy', reduction);
    checkNumber('bootstrappedCrossEntropy', 'beta', beta, beta >= 0 && beta <= 1, 'in [0, 1]');
    if (mode !== 'soft' && mode !== 'hard') {
      throw new LibError('option', `bootstrappedCrossEntropy: mode must be 'soft' or 'hard', got '${String(mode)}'.`);
    }
    const t = checkClasses('bootstrappedCrossEntropy', x, target);
    const logs = logSoftmax(x, { dim: 1 });
    const own =
      mode === 'soft'
        ? fuseSum('bootstrappedCrossEntropy', [logs], a.exp().mul(a.max(-1e4)), [1]) // 0 · -∞ is 0
        : ofTarget(logs, logs.detach().argmax({ dim: 1, keepdim: true }));
    const each = a
      .mul(beta)
      .add(b.mul(1 - beta))
      .neg();
    return elementwise('bootstrappedCrossEntropy', [ofTarget(logs, t), own], each, reduction);
  },
  *samples(random): Iterable<BootstrapCall> {
    yield [random([5, 4]), random.integers([5], 0, 4)];
    yield [random([5, 4]), random.integers([5], 0, 4), { mode: 'hard', reduction: 'none' }];
  },
  *errors(random): Iterable<readonly [BootstrapCall, string]> {
    yield [[random([4, 3]), random.integers([4], 0, 3), { beta: 2 }], 'beta must be in [0, 1], got 2'];
    yield [[random([4, 3]), random.integers([4], 0, 3), { mode: 'firm' as 'hard' }], "got 'firm'"];
  },
  torch: formula(
    '(lambda l, t, h: -(o.get("beta", 0.8 if h else 0.95) * l.gather(1, t)[:, 0] + (1 - o.get("beta", 0.8 if h else 0.95)) * ' +
      '(l.amax(1) if h else (l.exp() * l).sum(1))))(a[0].log_softmax(1), a[1].long()[:, None], o.get("mode") == "hard")',
  ),
});

type PerplexityCall = [x: Tensor, target: Tensor, options?: { readonly ignoreIndex?: number }];
/** e to the mean cross entropy in nats: how many classes the model hesitates between. Shapes as in {@link crossEntropy}. */
export const perplexity: Op<PerplexityCall> = defineComposite({
  name: 'perplexity',
  expects: 'logits',
  compose: (x: Tensor, target: Tensor, { ignoreIndex = -100 }: { readonly ignoreIndex?: number } = {}) =>
    crossEntropy(x, target, { ignoreIndex }).exp(),
  *samples(random): Iterable<PerplexityCall> {
    yield [random([5, 4]), random.integers([5], 0, 4)];
  },
  *errors(random): Iterable<readonly [PerplexityCall, string]> {
    yield [[random([4, 3]), random.integers([4], 3, 4)], 'out of range for dimension of size 3'];
  },
  torch: { call: 'F.cross_entropy(a[0], a[1].long(), **o).exp()' },
});

type DiceBceCall = [x: Tensor, target: Tensor, options?: DiceOptions];
/** {@link diceLoss} of sigmoid(x) plus the mean binary cross entropy, for logits and targets (N, C, …). */
export const diceBceLoss: Op<DiceBceCall> = defineComposite({
  name: 'diceBceLoss',
  expects: 'logits',
  compose: (x: Tensor, target: Tensor, options: Omit<DiceOptions, 'reduction'> = {}) =>
    diceLoss(x.sigmoid(), target, options).add(binaryCrossEntropyWithLogits(x, target)),
  *samples(random): Iterable<DiceBceCall> {
    yield [random([2, 3, 4]), random.integers([2, 3, 4], 0, 2).float()];
  },
  *errors(random): Iterable<readonly [DiceBceCall, string]> {
    yield [[random([2, 3]), random([2, 2])], 'must have one shape'];
  },
  torch: {
    call:
      '(lambda p, g: (1 - (2 * (p * g).sum([0, 2]) + 1) / (p.sum([0, 2]) + g.sum([0, 2]) + 1)).mean())(a[0].sigmoid(), a[1]) + ' +
      'F.binary_cross_entropy_with_logits(a[0], a[1])',
  },
});
