import { LibError } from '../core/errors.js';
import { formatShape, sameShape } from '../core/shape.js';
import { constant, type Expr, input } from '../expr/expr.js';
import type { Tensor } from '../tensor/tensor.js';
import { defineComposite, type Op } from './define.js';
import { functionalOf, fuse, fuseSum, needFloat, range } from './fused.js';
import { checkNumber, checkReduction, checkShapes, type LossOptions, logitLoss, positivePart, reduced } from './lossParts.js';
import { asIndex, gatherRow, scatterOnto } from './scatterRows.js';

/** Margin losses over classes, and the triplet loss of any distance. */

const [a, b, c, d] = [input(0), input(1), input(2), input(3)];
const pickClass = gatherRow('multiMarginLoss');
const pickLabels = gatherRow('multilabelMarginLoss');
const pickWeight = gatherRow('multiMarginLoss');

export interface MultiMarginOptions extends LossOptions {
  /** The power of each violation, 1 or 2. Default 1. */
  readonly p?: 1 | 2;
  /** Default 1. */
  readonly margin?: number;
  /** A factor for each class, (C,). Default: none. */
  readonly weight?: Tensor | null;
}

/** x (N, C) or (C,) as (N, C), after its shape and the targets' were checked. */
function scoreRows(op: string, x: Tensor, target: Tensor, perClass: boolean): Tensor {
  needFloat(op, x);
  const wanted = perClass ? x.shape : x.shape.slice(0, -1);
  // As in PyTorch, the class of a single row may also be a vector of one.
  const fits = sameShape(target.shape, wanted) || (!perClass && x.ndim < 2 && sameShape(target.shape, [1]));
  if (x.ndim > 2 || x.size === 0 || !fits) {
    const rule = `x must be (N, C) or (C,) and targets ${perClass ? 'of its shape' : '(N,) or ()'}`;
    throw new LibError('shape', `${op}: ${rule}, got ${formatShape(x.shape)} and ${formatShape(target.shape)}.`);
  }
  return x.ndim < 2 ? x.reshape([1, x.size]) : x;
}

/**
 * Σ over the wrong classes of max(0, margin - x[target] + x[class])ᵖ / C, for x (N, C) and class targets (N).
 * @example multiMarginLoss(logits, labels)
 */
export const multiMarginLoss: Op<[x: Tensor, target: Tensor, options?: MultiMarginOptions]> = defineComposite({
  name: 'multiMarginLoss',
  expects: 'scores',
  compose(x: Tensor, target: Tensor, { p = 1, margin = 1, weight = null, reduction = 'mean' }: MultiMarginOptions = {}) {
    checkReduction('multiMarginLoss', reduction);
    checkNumber('multiMarginLoss', 'p', p, p === 1 || p === 2, '1 or 2');
    const rows = scoreRows('multiMarginLoss', x, target, false);
    const classes = rows.sizeAt(1);
    if (weight && !sameShape(weight.shape, [classes])) {
      throw new LibError('shape', `multiMarginLoss: the weight must be (${classes},), got ${formatShape(weight.shape)}.`);
    }
    const t = asIndex('multiMarginLoss', target).reshape([-1, 1]);
    const tensors = [rows, pickClass(rows, 1, t), t, range(x.device, classes)];
    const over = positivePart(a.sub(b).add(margin));
    const each = c.equal(d).select(0, p === 1 ? over : over.mul(over));
    const own = weight ? [pickWeight(weight, 0, t.reshape([-1])).unsqueeze(1)] : [];
    const losses = fuseSum('multiMarginLoss', [...tensors, ...own], own.length > 0 ? each.mul(input(4)) : each, [1], { divisor: classes });
    return reduced('multiMarginLoss', losses.reshape(target.shape), reduction);
  },
  *samples(random): Iterable<[x: Tensor, target: Tensor, options?: MultiMarginOptions]> {
    yield [random([4, 3]), random.integers([4], 0, 3)];
    yield [random([4, 3]), random.integers([4], 0, 3), { p: 2, margin: 0.5, reduction: 'none' }];
    yield [random([4, 3]), random.integers([4], 0, 3), { weight: random([3], { low: 0.1, high: 1 }), reduction: 'sum' }];
    yield [random([3]), random.integers([], 0, 3)];
    yield [random([3]), random.integers([1], 0, 3), { reduction: 'none' }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, target: Tensor, options?: MultiMarginOptions], string]> {
    yield [[random([4, 3]), random.integers([5], 0, 3)], 'got (4, 3) and (5,)'];
    yield [[random([4, 3]), random.integers([4], 3, 4)], 'out of range for dimension of size 3'];
    yield [[random([4, 3]), random.integers([4], 0, 3), { p: 3 as 2 }], 'p must be 1 or 2, got 3'];
    yield [[random([4, 3]), random.integers([4], 0, 3), { weight: random([4]) }], 'the weight must be (3,)'];
    yield [[random([4, 3]), random.integers([4], 0, 3), { reduction: 'average' as 'mean' }], "got 'average'"];
  },
  torch: functionalOf('multi_margin_loss', 'a[0], a[1].long()', 'weight'),
});

/**
 * Σ over pairs (label, other class) of max(0, 1 - x[label] + x[other]) / C, for x (N, C). Each row of targets (N, C) lists the labels
 * of an example up to the first -1.
 */
export const multilabelMarginLoss: Op<[x: Tensor, target: Tensor, options?: LossOptions]> = defineComposite({
  name: 'multilabelMarginLoss',
  expects: 'scores',
  compose(x: Tensor, target: Tensor, { reduction = 'mean' }: LossOptions = {}) {
    const op = 'multilabelMarginLoss';
    checkReduction(op, reduction);
    const rows = scoreRows(op, x, target, true);
    const t = asIndex(op, target).reshape(rows.shape);
    // A label counts while no negative one has come.
    const listed = fuse(op, [fuse(op, [t], a.less(0)).cumsum(1)], a.equal(0), [], x.dtype);
    const safe = fuse(op, [t, listed], a.mul(b), [], 'int32');
    const isLabel = scatterOnto(fuse(op, [listed], constant(0)), 1, safe, listed);
    const scores = pickLabels(rows, 1, safe);
    const pairs = [scores.unsqueeze(2), listed.unsqueeze(2), rows.unsqueeze(1), isLabel.unsqueeze(1)];
    const each = positivePart(c.sub(a).add(1)).mul(b).mul(d.equal(0));
    const losses = fuseSum(op, pairs, each, [1, 2], { divisor: rows.sizeAt(1) });
    return reduced(op, losses.reshape(x.shape.slice(0, -1)), reduction);
  },
  *samples(random): Iterable<[x: Tensor, target: Tensor, options?: LossOptions]> {
    yield [random([4]), random.integers([4], -1, 4)];
    yield [random([]), random.integers([], -1, 1)];
    yield [random([5, 4]), random.integers([5, 4], -1, 4)];
    yield [random([5, 4]), random.integers([5, 4], -1, 4), { reduction: 'none' }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, target: Tensor, options?: LossOptions], string]> {
    yield [[random([4, 3]), random.integers([4], 0, 3)], 'got (4, 3) and (4,)'];
    yield [[random([4, 3]), random.integers([4, 3], 3, 4)], 'out of range for dimension of size 3'];
    yield [[random([4]), random.integers([4], 0, 3), { reduction: 'average' as 'mean' }], "got 'average'"];
  },
  torch: { call: 'torch.nn.functional.multilabel_margin_loss(a[0], a[1].long(), **o)' },
});

export interface MultilabelOptions extends LossOptions {
  /** A factor for each class; broadcasts. Default: none. */
  readonly weight?: Tensor | null;
}

/** The mean over classes, the last dim, of the binary cross entropy of logits x with targets in [0, 1]. */
export const multilabelSoftMarginLoss: Op<[x: Tensor, target: Tensor, options?: MultilabelOptions]> = defineComposite({
  name: 'multilabelSoftMarginLoss',
  expects: 'logits',
  compose(x: Tensor, target: Tensor, { weight = null, reduction = 'mean' }: MultilabelOptions = {}) {
    checkShapes('multilabelSoftMarginLoss', x, target);
    needFloat('multilabelSoftMarginLoss', x);
    if (x.ndim === 0) throw new LibError('shape', 'multilabelSoftMarginLoss: the input must have a dim of classes, got shape ().');
    const each = logitLoss(a, b);
    const divisor = x.sizeAt(-1);
    const tensors = weight ? [x, target, weight] : [x, target];
    const losses = fuseSum('multilabelSoftMarginLoss', tensors, weight ? each.mul(c) : each, [x.ndim - 1], { divisor });
    return reduced('multilabelSoftMarginLoss', losses, reduction);
  },
  *samples(random): Iterable<[x: Tensor, target: Tensor, options?: MultilabelOptions]> {
    yield [random([4, 3]), random([4, 3], { low: 0, high: 1 })];
    yield [random([2, 4, 3]), random([2, 4, 3], { low: 0, high: 1 }), { weight: random([3], { low: 0.1, high: 1 }), reduction: 'none' }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, target: Tensor, options?: MultilabelOptions], string]> {
    yield [[random([4, 3]), random([4, 2])], 'must have one shape'];
    yield [[random([4, 3]), random([4, 3]), { reduction: 'average' as 'mean' }], "got 'average'"];
  },
  torch: functionalOf('multilabel_soft_margin_loss', '*a', 'weight'),
});

export interface TripletDistanceOptions extends LossOptions {
  /** The distance of two tensors, one number an example. Default: Euclidean over the last dim, 1e-6 added to each difference. */
  readonly distanceFunction?: ((x: Tensor, y: Tensor) => Tensor) | null;
  /** Default 1. */
  readonly margin?: number;
  /** Also use the distance from positive to negative where it is smaller. Default false. */
  readonly swap?: boolean;
}

const shifted: Expr = a.sub(b).add(1e-6);
const euclidean = (x: Tensor, y: Tensor): Tensor =>
  fuse('distance', [fuseSum('distance', [x, y], shifted.mul(shifted), [x.ndim - 1])], a.sqrt());

/** max(0, d(anchor, positive) - d(anchor, negative) + margin) for a distance of your own. */
export const tripletMarginWithDistanceLoss: Op<[anchor: Tensor, positive: Tensor, negative: Tensor, options?: TripletDistanceOptions]> =
  defineComposite({
    name: 'tripletMarginWithDistanceLoss',
    expects: 'embeddings',
    compose(anchor: Tensor, positive: Tensor, negative: Tensor, options: TripletDistanceOptions = {}) {
      const { distanceFunction, margin = 1, swap = false, reduction = 'mean' } = options;
      const op = 'tripletMarginWithDistanceLoss';
      checkReduction(op, reduction);
      checkShapes(op, anchor, positive, 'positive');
      checkShapes(op, anchor, negative, 'negative');
      needFloat(op, anchor);
      checkNumber(op, 'margin', margin, margin > 0, 'positive');
      const distance = distanceFunction ?? euclidean;
      const far = distance(anchor, negative);
      const least = swap ? fuse(op, [far, distance(positive, negative)], a.min(b)) : far;
      return reduced(op, fuse(op, [distance(anchor, positive), least], positivePart(a.sub(b).add(margin))), reduction);
    },
    *samples(random): Iterable<[anchor: Tensor, positive: Tensor, negative: Tensor, options?: TripletDistanceOptions]> {
      yield [random([4, 3]), random([4, 3]), random([4, 3])];
      yield [random([4, 3]), random([4, 3]), random([4, 3]), { swap: true, margin: 2, reduction: 'none' }];
    },
    *errors(random): Iterable<readonly [[anchor: Tensor, positive: Tensor, negative: Tensor, options?: TripletDistanceOptions], string]> {
      yield [[random([3, 2]), random([3, 1]), random([3, 2])], 'must have one shape'];
      yield [[random([3, 2]), random([3, 2]), random([3, 2]), { margin: -1 }], 'margin must be positive, got -1'];
    },
    torch: { call: 'torch.nn.functional.triplet_margin_with_distance_loss(*a, **o)' },
  });
