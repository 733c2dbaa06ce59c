import { LibError } from '../core/errors.js';
import { formatShape, sameShape } from '../core/shape.js';
import { warnOnce } from '../core/warning.js';
import { constant, type Expr, input } from '../expr/expr.js';
import { isReadable } from '../tensor/capturing.js';
import type { Tensor } from '../tensor/tensor.js';
import { defineCustom, type Op } from './define.js';
import { fuse, fuseSum, maxOver, range } from './fused.js';
import type { CrossEntropyOptions, LossReduction } from './loss.js';
import { asIndex, gatherRow } from './scatterRows.js';
import { logSoftmax } from './softmax.js';

/** The losses of class targets. */

export interface ClassOptions {
  /** A factor for each class, (C). */
  readonly weight?: Tensor | null;
  /** Targets of this value count for nothing. Default -100. */
  readonly ignoreIndex?: number;
  /** Default 'mean'. */
  readonly reduction?: LossReduction;
}

const [a, b, c, d] = [input(0), input(1), input(2), input(3)];
const power = a.sub(b).exp();
const ratio = a.div(b);

/** The expressions of a value that is ignored, which stays the same from call to call. */
interface EntropyExprs {
  /** Of (max, Σ, x[target], target). */
  readonly each: Expr;
  readonly counted: Expr;
  readonly usable: Expr;
  /** Of (x, max, Σ, target, class, gradient, count). */
  readonly slope: Expr;
  readonly meanSlope: Expr;
}
const entropyExprs = new Map<number, EntropyExprs>();

function exprsOf(ignoreIndex: number): EntropyExprs {
  let known = entropyExprs.get(ignoreIndex);
  if (known === undefined) {
    const offset = power.div(c).sub(d.equal(input(4)));
    known = {
      each: d.equal(ignoreIndex).select(0, a.add(b.log()).sub(c)),
      counted: a.notEqual(ignoreIndex),
      usable: a.equal(ignoreIndex).select(0, a),
      slope: d.equal(ignoreIndex).select(0, offset.mul(input(5))),
      meanSlope: d.equal(ignoreIndex).select(0, offset.mul(input(5).div(input(6)))),
    };
    entropyExprs.set(ignoreIndex, known);
  }
  return known;
}
const allDims = (x: Tensor): number[] => x.shape.map((_, i) => i);

/** The class dim, after the shapes were checked: x (C), (N, C) or (N, C, …), targets the same without C. */
function classDim(op: string, x: Tensor, target: Tensor, weight: Tensor | null | undefined): number {
  const dim = x.ndim === 1 ? 0 : 1;
  if (
    x.ndim === 0 ||
    !sameShape(
      x.shape.filter((_, i) => i !== dim),
      target.shape,
    )
  ) {
    const got = `${formatShape(x.shape)} and ${formatShape(target.shape)}`;
    throw new LibError(
      'shape',
      `${op}: x (N, C, …) and class targets (N, …) must agree, got ${got}.`,
      'probabilities as targets have the shape and type of x.',
    );
  }
  checkWeight(op, x.shape[dim] ?? 0, weight);
  return dim;
}

function checkWeight(op: string, classes: number, weight: Tensor | null | undefined): void {
  if (weight && !sameShape(weight.shape, [classes])) {
    throw new LibError('shape', `${op}: the weight must be (${classes},), got ${formatShape(weight.shape)}.`);
  }
}

interface EntropyParams {
  readonly dim: number;
  readonly ignoreIndex: number;
  readonly reduction: LossReduction;
}

/**
 * Cross entropy with class targets as one step: log Σ e^x - x[target]. Its gradient, softmax(x) - onehot(target), scaled, is one pass.
 * max x is treated as a constant, for the loss does not depend on it; Σ e^(x - max) is an output, so that its gradient is taken in.
 */
const entropy: Op<[x: Tensor, target: Tensor, params: EntropyParams]> = defineCustom({
  name: 'crossEntropy',
  args: (x: Tensor, target: Tensor, params: EntropyParams) => ({ inputs: [x, target], params }),
  forward: ([x, target], { dim, ignoreIndex, reduction }: EntropyParams) => {
    const [logits, t] = [x as Tensor, (target as Tensor).unsqueeze(dim)];
    const most = maxOver(logits, [dim]);
    const total = fuseSum('crossEntropy', [logits, most], power, [dim], { keepdim: true });
    const picked = pick(logits, dim, usable(t, ignoreIndex));
    const { each, counted } = exprsOf(ignoreIndex);
    const tensors = [most, total, picked, t];
    if (reduction === 'none') return [fuse('crossEntropy', tensors, each).reshape((target as Tensor).shape), most, total];
    const sum = fuseSum('crossEntropy', tensors, each, allDims(t));
    if (reduction === 'sum') return [sum, most, total];
    const count = fuseSum('crossEntropy', [t], counted, allDims(t), { dtype: logits.dtype });
    warnOfNone('crossEntropy', count);
    return [fuse('crossEntropy', [sum, count], ratio), most, total, count];
  },
  saves: [0, 1],
  keeps: [1, 2, 3],
  differentiable: [0, 2],
  grad: ([g, , gTotal], { inputs: [x, target], outputs: [, most, total, count], params: { dim, ignoreIndex, reduction } }) => {
    if (!x || !target || !most || !total) return [null, null];
    const fromTotal = gTotal ? fuse('crossEntropyBackward', [x, most, gTotal], power.mul(c)) : null;
    if (!g) return [fromTotal, null];
    const t = target.unsqueeze(dim);
    const classes = range(x.device, x.shape[dim] ?? 0).reshape(x.shape.slice(dim).map((size, i) => (i === 0 ? size : 1)));
    const share = reduction === 'none' ? g.unsqueeze(dim) : g;
    const expr = count ? exprsOf(ignoreIndex).meanSlope : exprsOf(ignoreIndex).slope;
    const gx = fuse('crossEntropyBackward', [x, most, total, t, classes, share, ...(count ? [count] : [])], expr);
    return [fromTotal ? gx.add(fromTotal) : gx, null];
  },
  *samples() {},
});

/** The mean of no targets is NaN, as in PyTorch; that it comes from there is said where counts can be read at once. */
function warnOfNone(op: string, count: Tensor): void {
  if (!isReadable(count)) return;
  if (count.detach().itemNow() === 0) warnOnce(op, `${op}: every target is ignored or weighs nothing, so the mean is NaN.`);
}

const pick = gatherRow('crossEntropy');

/** Ignored targets name class 0, whose value then goes unused. */
const usable = (t: Tensor, ignoreIndex: number): Tensor => fuse('crossEntropy', [t], exprsOf(ignoreIndex).usable);

export function classEntropy(x: Tensor, target: Tensor, { ignoreIndex = -100, reduction = 'mean' }: ClassOptions): Tensor {
  const dim = classDim('crossEntropy', x, target, null);
  return entropy(x, asIndex('crossEntropy', target), { dim, ignoreIndex, reduction });
}

const pickers = new Map<string, ReturnType<typeof gatherRow>>();
function pickFor(op: string): ReturnType<typeof gatherRow> {
  let row = pickers.get(op);
  if (row === undefined) {
    row = gatherRow(op);
    pickers.set(op, row);
  }
  return row;
}

/** Each target's own weight (0 where it is ignored), in the shape of the targets with C as size 1. */
function targetWeights(op: string, t: Tensor, safe: Tensor, like: Tensor, { weight, ignoreIndex = -100 }: ClassOptions): Tensor {
  if (!weight) return fuse(op, [t], a.notEqual(ignoreIndex), [], like.dtype);
  const own = pickFor(op)(weight, 0, safe.reshape([safe.size])).reshape(safe.shape);
  return fuse(op, [own, t], b.equal(ignoreIndex).select(0, a));
}

export function negativeLogLikelihood(op: string, x: Tensor, target: Tensor, options: ClassOptions): Tensor {
  const { ignoreIndex = -100, reduction = 'mean', weight } = options;
  const dim = classDim(op, x, target, weight);
  const t = asIndex(op, target).unsqueeze(dim);
  const safe = usable(t, ignoreIndex);
  const weights = targetWeights(op, t, safe, x, options);
  const picked = pickFor(op)(x, dim, safe);
  const each = b.equal(0).select(0, a.mul(b).neg());
  if (reduction === 'none') return fuse(op, [picked, weights], each).reshape(target.shape);
  const sum = fuseSum(op, [picked, weights], each, allDims(t));
  if (reduction === 'sum') return sum;
  const total = fuseSum(op, [weights], a, allDims(t));
  warnOfNone(op, total);
  return sum.div(total);
}

/** Class targets with weights or smoothing: (1 - s) · nll + s / C · Σ over classes of -weight · log p. */
export function smoothedEntropy(x: Tensor, target: Tensor, options: CrossEntropyOptions): Tensor {
  const { weight, ignoreIndex = -100, reduction = 'mean', labelSmoothing = 0 } = options;
  const dim = classDim('crossEntropy', x, target, weight);
  const logs = logSoftmax(x, { dim });
  const nll = negativeLogLikelihood('crossEntropy', logs, target, options);
  if (labelSmoothing === 0) return nll;
  const t = asIndex('crossEntropy', target).unsqueeze(dim);
  const tensors = weight ? [logs, t, alongClasses(weight, logs, dim)] : [logs, t];
  const each = b.equal(ignoreIndex).select(0, (weight ? a.mul(c) : a).neg());
  const classes = x.shape[dim] ?? 1;
  const summed = fuseSum('crossEntropy', tensors, each, reduction === 'none' ? [dim] : allDims(x));
  const even = reduction === 'mean' ? summed.div(weightTotal(t, x, options)) : summed;
  return fuse('crossEntropy', [nll, even], a.mul(1 - labelSmoothing).add(b.mul(labelSmoothing / classes)));
}

function weightTotal(t: Tensor, x: Tensor, options: ClassOptions): Tensor {
  const weights = targetWeights('crossEntropy', t, usable(t, options.ignoreIndex ?? -100), x, options);
  return fuseSum('crossEntropy', [weights], a, allDims(t));
}

const alongClasses = (weight: Tensor, x: Tensor, dim: number): Tensor =>
  weight.reshape([weight.size, ...x.shape.slice(dim + 1).map(() => 1)]);

/** Targets that are probabilities: Σ over classes of -weight · target · log p; the mean is over examples. */
export function probabilityEntropy(
  x: Tensor,
  target: Tensor,
  { weight, reduction = 'mean', labelSmoothing = 0, ignoreIndex = -1 }: CrossEntropyOptions,
): Tensor {
  if (ignoreIndex >= 0) throw new LibError('option', `crossEntropy: ignoreIndex is for class targets, got ${ignoreIndex}.`);
  if (x.ndim === 0 || !sameShape(x.shape, target.shape)) {
    const got = `${formatShape(x.shape)} and ${formatShape(target.shape)}`;
    throw new LibError('shape', `crossEntropy: x and probabilities must have one shape, got ${got}.`, 'class targets are of type int32.');
  }
  const dim = x.ndim === 1 ? 0 : 1;
  const classes = x.shape[dim] ?? 1;
  checkWeight('crossEntropy', classes, weight);
  const share = labelSmoothing === 0 ? b : b.mul(1 - labelSmoothing).add(labelSmoothing / classes);
  const logs = logSoftmax(x, { dim });
  const tensors = weight ? [logs, target, alongClasses(weight, logs, dim)] : [logs, target];
  const each = (weight ? a.mul(share).mul(c) : a.mul(share)).neg();
  if (reduction === 'none') return fuseSum('crossEntropy', tensors, each, [dim]);
  const scaled = reduction === 'sum' ? each : each.mul(constant(classes / x.size));
  return fuseSum('crossEntropy', tensors, scaled, allDims(x));
}
