import { computeType } from '../core/dtype.js';
import { type Expr, input, scalar } from '../expr/expr.js';
import { isRecomputing } from '../tensor/recomputing.js';
import type { Tensor } from '../tensor/tensor.js';
import { isGradEnabled, setGradEnabled } from './apply.js';
import { defineCustom, type Op } from './define.js';
import { fuse, fuseSum, meanOver } from './fused.js';
import { hasLayerNorm, layerNormBackward, layerNormForward, type NormWalk } from './layerNormRows.js';
import { map } from './map.js';
import { sumToShape } from './reduce.js';

/**
 * Normalization as one step: y = (x - mean) · rstd · weight + bias, with mean and rstd = 1/√(var + eps) over some dims. Statistics are
 * fused reductions; x̂ is never written down. The rule takes in gradients of mean and rstd too, which is what makes second
 * derivatives right.
 */
interface NormParams {
  readonly name: string;
  readonly dims: readonly number[];
  readonly eps: number;
  readonly weighted: boolean;
  readonly biased: boolean;
}

const [first, second, third, fourth] = [input(0), input(1), input(2), input(3)];
const square = first.mul(first);
const squareOff = first.sub(second).mul(first.sub(second));
const rsqrtPlus = first.add(scalar(0)).rsqrt();
const product = first.mul(second);
const centered = first.sub(second).mul(third);
/** -Σh · rstd / n and -Σh(x - mean) · rstd³ / n, without and with a weight. */
const shiftOf = [product.mul(scalar(0)), product.mul(third).mul(scalar(0))] as const;
const cube = second.mul(second).mul(second);
const slopeOf = [first.mul(cube).mul(scalar(0)), first.mul(third).mul(cube).mul(scalar(0))] as const;
const bend = third.sub(fourth).mul(input(4));
/** g · rstd + slope · (x - mean) + shift, without and with a weight that varies along the dims. */
const assembled = [product.add(bend).add(input(5)), product.mul(input(6)).add(bend).add(input(5))] as const;

/** How many elements each statistic is made of. */
const countOf = (x: Tensor, dims: readonly number[]): number => dims.reduce((n, d) => n * (x.shape[d] ?? 1), 1);

/** Σ over dims, which stay with size 1. */
const total = (op: string, inputs: readonly Tensor[], expr: Expr, dims: readonly number[], scalars: readonly number[] = []): Tensor =>
  fuseSum(op, inputs, expr, dims, { keepdim: true, scalars });

/** y, mean, rstd and var. Only y, mean and rstd take part in differentiation. */
const normalized: Op<[x: Tensor, weight: Tensor | null, bias: Tensor | null, params: NormParams], readonly Tensor[]> = defineCustom({
  name: 'normalize',
  args: (x: Tensor, weight: Tensor | null, bias: Tensor | null, params: NormParams) => {
    return { inputs: [x, ...(weight ? [weight] : []), ...(bias ? [bias] : [])], params };
  },
  forward: (inputs, { name, dims, eps, weighted, biased }: NormParams) => {
    const x = inputs[0] as Tensor;
    const weight = weighted ? (inputs[1] as Tensor) : null;
    const bias = biased ? (inputs.at(-1) as Tensor) : null;
    const walk = { dims, centered: true, weighted, biased };
    if (hasLayerNorm(x, walk, weight, bias)) return layerNormForward(inputs, walk, eps);
    const mean = meanOver(name, [x], first, dims);
    const variance = meanOver(name, [x, mean], squareOff, dims);
    const rstd = fuse(name, [variance], rsqrtPlus, [eps]);
    return [scaled(name, x, mean, rstd, weight, bias, dims), mean, rstd, variance];
  },
  result: (outputs) => outputs,
  saves: [0, 1],
  keeps: [1, 2],
  differentiable: [0, 1, 2],
  grad: ([g, gMean, gRstd], { inputs, outputs, params, needs }) => {
    const { name, dims, weighted, biased } = params;
    const x = inputs[0] as Tensor;
    const [, mean, rstd] = outputs as readonly [Tensor, Tensor, Tensor];
    const weight = weighted ? (inputs[1] as Tensor) : null;
    const bias = biased ? (inputs.at(-1) as Tensor) : null;
    const walk = { dims, centered: true, weighted, biased };
    if (g && !gMean && !gRstd && !isGradEnabled() && hasLayerNorm(x, walk, weight)) {
      return layerNormBackward([g, x, mean, rstd, ...(weight ? [weight] : [])], walk);
    }
    const saved = { op: `${name}Backward`, x, mean, rstd, weight, dims };
    if (!g) return [needs[0] ? statisticsGradient(gMean ?? null, gRstd ?? null, saved) : null, ...inputs.slice(1).map(() => null)];
    const sums = sumsOf(g, saved);
    const gx = needs[0] ? inputGradient(g, gMean ?? null, gRstd ?? null, sums, saved) : null;
    return [
      gx,
      ...(weight ? [needs[1] ? weightGradient(g, sums, weight, saved) : null] : []),
      ...(bias ? [needs.at(-1) ? sumToShape(biasTerms(g, sums, bias, saved), bias.shape) : null] : []),
    ];
  },
  *samples() {},
});

/** Whether a tensor that broadcasts to x has one value along all of `dims` (batch norm's scale, but not layer norm's). */
const isConstantAlong = (t: Tensor, x: Tensor, dims: readonly number[]): boolean =>
  dims.every((d) => (t.shape[d - x.ndim + t.ndim] ?? 1) === 1);

/** One pass over x. Where scale and shift are constant along the statistics' dims, they are multiplied out beforehand. */
function scaled(
  op: string,
  x: Tensor,
  mean: Tensor,
  rstd: Tensor,
  weight: Tensor | null,
  bias: Tensor | null,
  dims: readonly number[],
): Tensor {
  const early = weight !== null && isConstantAlong(weight, x, dims);
  const scale = early ? fuse(op, [rstd, weight], product) : rstd;
  const late = weight !== null && !early;
  const weightedY = late ? centered.mul(fourth) : centered;
  const tensors = [x, mean, scale, ...(late ? [weight] : []), ...(bias ? [bias] : [])];
  return fuse(op, tensors, bias ? weightedY.add(input(tensors.length - 1)) : weightedY);
}

interface Saved {
  readonly op: string;
  readonly x: Tensor;
  readonly mean: Tensor;
  readonly rstd: Tensor;
  readonly weight: Tensor | null;
  readonly dims: readonly number[];
}

/** Σ h and Σ h (x - mean) over the statistics' dims. */
interface Sums {
  /** h is the gradient itself, the weight being constant along the dims (or absent); else gradient · weight. */
  readonly constant: boolean;
  readonly sum: Tensor;
  readonly along: Tensor;
  /** The same of the gradient alone, over those dims that the weight is constant along. */
  readonly parts?: readonly [sum: Tensor, along: Tensor];
}

/**
 * The two reductions over the data that a gradient needs. Where the weight varies along some of the dims only (group norm's channels),
 * they go over the others first: what is left is small, and serves the weight's gradient too.
 */
function sumsOf(g: Tensor, { op, x, mean, weight, dims }: Saved): Sums {
  const inner = dims.filter((d) => weight === null || isConstantAlong(weight, x, [d]));
  const constant = weight === null || inner.length === dims.length;
  if (!constant && countOf(x, inner) > 1) {
    const parts = [total(op, [g], first, inner), total(op, [g, x, mean], first.mul(second.sub(third)), inner)] as const;
    const [sum, along] = parts.map((part) => total(op, [part, weight], product, dims)) as [Tensor, Tensor];
    return { constant, sum, along, parts };
  }
  const h = constant ? [g] : [g, weight];
  const expr = constant ? first : first.mul(second);
  const off = input(h.length).sub(input(h.length + 1));
  return { constant, sum: total(op, h, expr, dims), along: total(op, [...h, x, mean], expr.mul(off), dims) };
}

/** What a bias's gradient is the sum of: the gradient, or sums of it that there are. */
function biasTerms(g: Tensor, { constant, sum, parts }: Sums, bias: Tensor, { x, dims }: Saved): Tensor {
  const known = constant ? sum : (parts?.[0] ?? g);
  return isConstantAlong(
    bias,
    x,
    dims.filter((d) => known.shape[d] !== x.shape[d]),
  )
    ? known
    : g;
}

/** Σ g · x̂ over all that the weight was broadcast along. */
function weightGradient(g: Tensor, { constant, along, parts }: Sums, weight: Tensor, { op, x, mean, rstd }: Saved): Tensor {
  if (parts) return sumOnto(op, [parts[1], rstd], product, weight);
  if (constant) return sumToShape(fuse(op, [along, rstd], first.mul(second)), weight.shape);
  return sumOnto(op, [g, x, mean, rstd], first.mul(second.sub(third)).mul(fourth), weight);
}

/**
 * With h = g · weight and n elements per statistic:
 *   ∂/∂mean = gMean - rstd Σh,   ∂/∂rstd = gRstd + Σ h (x - mean),   rstd' = -rstd³ (x - mean) / n,   mean' = 1 / n
 * so gx = h · rstd + slope · (x - mean) + shift, where slope and shift are constant along the dims.
 */
function inputGradient(g: Tensor, gMean: Tensor | null, gRstd: Tensor | null, { constant, sum, along }: Sums, saved: Saved): Tensor {
  const { op, x, mean, rstd, weight, dims } = saved;
  const share = [-1 / countOf(x, dims)];
  const factor = constant && weight ? [weight] : [];
  const ownShift = fuse(op, [sum, rstd, ...factor], factor.length > 0 ? shiftOf[1] : shiftOf[0], share);
  const ownSlope = fuse(op, [along, rstd, ...factor], factor.length > 0 ? slopeOf[1] : slopeOf[0], share);
  const shift = gMean ? fuse(op, [ownShift, gMean], first.sub(second.mul(scalar(0))), share) : ownShift;
  const slope = gRstd
    ? fuse(op, [ownSlope, gRstd, rstd], first.add(second.mul(third.mul(third).mul(third)).mul(scalar(0))), share)
    : ownSlope;
  const scale = factor.length > 0 ? fuse(op, [rstd, ...factor], product) : rstd;
  const late = weight && !constant ? [weight] : [];
  return fuse(op, [g, scale, x, mean, slope, shift, ...late], late.length > 0 ? assembled[1] : assembled[0]);
}

/** What comes through mean and rstd alone: in second derivatives. */
function statisticsGradient(gMean: Tensor | null, gRstd: Tensor | null, { op, x, mean, rstd, dims }: Saved): Tensor | null {
  const share = [1 / countOf(x, dims)];
  const shift = gMean && fuse(op, [gMean], first.mul(scalar(0)), share);
  if (!gRstd) return shift?.expand(x.shape) ?? null;
  const slope = fuse(op, [gRstd, rstd], first.mul(second).mul(second).mul(second).mul(scalar(0)).neg(), share);
  const bent = first.sub(second).mul(third);
  return shift ? fuse(op, [x, mean, slope, shift], bent.add(fourth)) : fuse(op, [x, mean, slope], bent);
}

/** Σ of an expression over all that was broadcast from the shape of `like`. */
function sumOnto(op: string, inputs: readonly Tensor[], expr: Expr, like: Tensor): Tensor {
  const full = (inputs[0] as Tensor).shape;
  const lead = full.length - like.ndim;
  const dims = full.flatMap((size, d) => (d < lead || (like.shape[d - lead] === 1 && size !== 1) ? [d] : []));
  return fuseSum(op, inputs, expr, dims).reshape(like.shape);
}

/** [y, mean, biased variance]: weight and bias broadcast against x; mean and variance keep the dims with size 1. */
export function normalizeOver(
  name: string,
  x: Tensor,
  dims: readonly number[],
  eps: number,
  weight: Tensor | null,
  bias: Tensor | null,
): readonly [y: Tensor, mean: Tensor, variance: Tensor] {
  const params = { name, dims, eps, weighted: weight !== null, biased: bias !== null };
  const [y, mean, , variance] = normalized(x, weight, bias, params) as readonly [Tensor, Tensor, Tensor, Tensor];
  return [y, mean, variance];
}

/** (x - mean) / √(variance + eps) for statistics that are given. */
export function standardize(x: Tensor, mean: Tensor, variance: Tensor, eps: number): Tensor {
  const rstd = fuse('batchNorm', [variance], first.add(scalar(0)).rsqrt(), [eps]);
  return fuse('batchNorm', [x, mean, rstd], first.sub(second).mul(third));
}

export function affine(op: string, x: Tensor, weight: Tensor | null, bias: Tensor | null): Tensor {
  if (weight && bias) return fuse(op, [x, weight, bias], first.mul(second).add(third));
  if (weight) return fuse(op, [x, weight], first.mul(second));
  return bias ? fuse(op, [x, bias], first.add(second)) : x;
}

const moved = first.add(scalar(0).mul(second.mul(scalar(1)).sub(first)));
const movedBy = first.add(third.mul(second.mul(scalar(0)).sub(first)));

/** running += momentum · (correction · batch - running), in place and outside the graph. A momentum may be a tensor of one element. */
export function updateRunning(running: Tensor, batch: Tensor, momentum: number | Tensor, correction: number): void {
  if (isRecomputing()) return;
  const recorded = setGradEnabled(false);
  try {
    const tensors = [running, batch.reshape(running.shape)];
    const params = { name: 'batchNorm', dtype: running.dtype, compute: computeType(running.dtype) };
    if (typeof momentum === 'number') map(tensors, { ...params, expr: moved }, [momentum, correction], [running]);
    else map([...tensors, momentum.reshape([1])], { ...params, expr: movedBy }, [correction], [running]);
  } finally {
    setGradEnabled(recorded);
  }
}

interface RmsParams {
  readonly dims: readonly number[];
  readonly eps: number;
  readonly weighted: boolean;
}

const rmsWalk = (dims: readonly number[], weight: Tensor | undefined): NormWalk => ({
  dims,
  ...{ centered: false, weighted: weight !== undefined, biased: false },
});

/** y = x · r · weight with r = 1/√(mean(x²) + eps); r is an output so that its gradient is taken in. */
const rms: Op<[x: Tensor, weight: Tensor | null, params: RmsParams]> = defineCustom({
  name: 'rmsNorm',
  args: (x: Tensor, weight: Tensor | null, params: RmsParams) => ({ inputs: weight ? [x, weight] : [x], params }),
  forward: ([x, weight], { dims, eps }: RmsParams) => {
    const a = x as Tensor;
    const walk = rmsWalk(dims, weight);
    if (hasLayerNorm(a, walk, weight ?? null)) return layerNormForward(weight ? [a, weight] : [a], walk, eps);
    const meanSquare = meanOver('rmsNorm', [a], square, dims);
    const r = fuse('rmsNorm', [meanSquare], rsqrtPlus, [eps]);
    const y = weight ? fuse('rmsNorm', [a, r, weight], first.mul(second).mul(third)) : fuse('rmsNorm', [a, r], first.mul(second));
    return [y, r];
  },
  saves: [0, 1],
  keeps: [1],
  grad: ([g, gR], { inputs: [x, weight], outputs: [, r], params: { dims }, needs }) => {
    if (!x || !r) return [];
    const walk = rmsWalk(dims, weight);
    if (g && !gR && !isGradEnabled() && hasLayerNorm(x, walk, weight ?? null)) {
      return layerNormBackward([g, x, r, ...(weight ? [weight] : [])], walk);
    }
    const op = 'rmsNormBackward';
    const h = g ? (weight ? fuse(op, [g, weight], first.mul(second)) : g) : null;
    const along = h && total(op, [h, x], first.mul(second), dims);
    const pull = along && gR ? along.add(gR) : (along ?? gR ?? null);
    const share = [-1 / countOf(x, dims)];
    const slope = pull && fuse(op, [pull, r], first.mul(second).mul(second).mul(second).mul(scalar(0)), share);
    const gx = h && slope ? fuse(op, [h, r, x, slope], first.mul(second).add(third.mul(fourth))) : slope && x.mul(slope);
    const gWeight = (w: Tensor): Tensor | null => (g ? sumOnto(op, [g, x, r], first.mul(second).mul(third), w) : null);
    return [needs[0] ? gx : null, ...(weight ? [needs[1] ? gWeight(weight) : null] : [])];
  },
  *samples() {},
});

export const rmsOver = (x: Tensor, dims: readonly number[], eps: number, weight: Tensor | null): Tensor =>
  rms(x, weight, { dims, eps, weighted: weight !== null });
