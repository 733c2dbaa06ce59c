import { computeType } from '../core/dtype.js';
import { type Expr, input, scalar } from '../expr/expr.js';
import type { Tensor } from '../tensor/tensor.js';
import { setGradEnabled } from './apply.js';
import { defineCustom, type Op } from './define.js';
import { fuse, fuseSum } from './fused.js';
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
    const share = [1 / countOf(x, dims)];
    const mean = total(name, [x], first.mul(scalar(0)), dims, share);
    const off = first.sub(second);
    const variance = total(name, [x, mean], off.mul(off).mul(scalar(0)), dims, share);
    const rstd = fuse(name, [variance], first.add(scalar(0)).rsqrt(), [eps]);
    return [scaled(name, x, mean, rstd, weight, bias), mean, rstd, variance];
  },
  result: (outputs) => outputs,
  saves: [0, 1],
  keeps: [1, 2],
  differentiable: [0, 1, 2],
  grad: ([g, gMean, gRstd], { inputs, outputs, params, needs }) => {
    const x = inputs[0] as Tensor;
    const [, mean, rstd] = outputs as readonly [Tensor, Tensor, Tensor];
    const weight = params.weighted ? (inputs[1] as Tensor) : null;
    const gx = needs[0] ? inputGradient(g ?? null, gMean ?? null, gRstd ?? null, { x, mean, rstd, weight, params }) : null;
    if (!g) return [gx, ...inputs.slice(1).map(() => null)];
    const op = `${params.name}Backward`;
    const gradients: (Tensor | null)[] = [gx];
    if (weight) {
      const perElement = first.mul(second.sub(third)).mul(fourth);
      gradients.push(needs[1] ? sumOnto(op, [g, x, mean, rstd], perElement, weight) : null);
    }
    if (params.biased) gradients.push(needs.at(-1) ? sumToShape(g, (inputs.at(-1) as Tensor).shape) : null);
    return gradients;
  },
  *samples() {},
});

/** One pass over x. Where scale and shift are constant along the statistics' dims, they are multiplied out beforehand. */
function scaled(op: string, x: Tensor, mean: Tensor, rstd: Tensor, weight: Tensor | null, bias: Tensor | null): Tensor {
  const off = first.sub(second);
  if (weight && weight.size <= rstd.size) {
    const scale = fuse(op, [rstd, weight], first.mul(second));
    return bias ? fuse(op, [x, mean, scale, bias], off.mul(third).add(fourth)) : fuse(op, [x, mean, scale], off.mul(third));
  }
  const y = off.mul(third);
  if (weight) return bias ? fuse(op, [x, mean, rstd, weight, bias], y.mul(fourth).add(input(4))) : fuse(op, [x, mean, rstd, weight], y.mul(fourth));
  return bias ? fuse(op, [x, mean, rstd, bias], y.add(fourth)) : fuse(op, [x, mean, rstd], y);
}

interface Saved {
  readonly x: Tensor;
  readonly mean: Tensor;
  readonly rstd: Tensor;
  readonly weight: Tensor | null;
  readonly params: NormParams;
}

/**
 * With h = g · weight and n elements per statistic:
 *   ∂/∂mean = gMean - rstd Σh,   ∂/∂rstd = gRstd + Σ h (x - mean),   rstd' = -rstd³ (x - mean) / n,   mean' = 1 / n
 * so gx = h · rstd + slope · (x - mean) + shift, where slope and shift are constant along the dims.
 */
function inputGradient(g: Tensor | null, gMean: Tensor | null, gRstd: Tensor | null, { x, mean, rstd, weight, params }: Saved): Tensor | null {
  const { dims } = params;
  const op = `${params.name}Backward`;
  const share = 1 / countOf(x, dims);
  const h = weight && g ? [g, weight] : g ? [g] : [];
  const hExpr = weight ? first.mul(second) : first;
  const at = h.length;
  let shift = gMean && fuse(op, [gMean], first.mul(scalar(0)), [share]);
  let pull = gRstd;
  if (g) {
    const sum = total(op, h, hExpr, dims);
    const along = total(op, [...h, x, mean], hExpr.mul(input(at).sub(input(at + 1))), dims);
    const own = fuse(op, [sum, rstd], first.mul(second).mul(scalar(0)), [-share]);
    shift = shift ? shift.add(own) : own;
    pull = pull ? pull.add(along) : along;
  }
  if (!pull) return shift && shift.expand(x.shape);
  const slope = fuse(op, [pull, rstd], first.mul(second).mul(second).mul(second).mul(scalar(0)), [-share]);
  const bent = (k: number): Expr => input(k).sub(input(k + 1)).mul(input(k + 2));
  if (!g) {
    const y = fuse(op, [x, mean, slope], bent(0));
    return shift ? y.add(shift) : y;
  }
  const tail = [x, mean, slope, ...(shift ? [shift] : [])];
  const rest = (k: number): Expr => (shift ? bent(k).add(input(k + 3)) : bent(k));
  if (weight && weight.size <= rstd.size) {
    const scale = fuse(op, [rstd, weight], first.mul(second));
    return fuse(op, [g, scale, ...tail], first.mul(second).add(rest(2)));
  }
  return fuse(op, [...h, rstd, ...tail], hExpr.mul(input(at)).add(rest(at + 1)));
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

/** running += momentum · (correction · batch - running), in place and outside the graph. */
export function updateRunning(running: Tensor, batch: Tensor, momentum: number, correction: number): void {
  const recorded = setGradEnabled(false);
  try {
    const expr = first.add(scalar(0).mul(second.mul(scalar(1)).sub(first)));
    const params = { name: 'batchNorm', expr, dtype: running.dtype, compute: computeType(running.dtype) };
    map([running, batch.reshape(running.shape)], params, [momentum, correction], [running]);
  } finally {
    setGradEnabled(recorded);
  }
}

interface RmsParams {
  readonly dims: readonly number[];
  readonly eps: number;
  readonly weighted: boolean;
}

/** y = x · r · weight with r = 1/√(mean(x²) + eps); r is an output so that its gradient is taken in. */
const rms: Op<[x: Tensor, weight: Tensor | null, params: RmsParams]> = defineCustom({
  name: 'rmsNorm',
  args: (x: Tensor, weight: Tensor | null, params: RmsParams) => ({ inputs: weight ? [x, weight] : [x], params }),
  forward: ([x, weight], { dims, eps }: RmsParams) => {
    const a = x as Tensor;
    const square = total('rmsNorm', [a], first.mul(first).mul(scalar(0)), dims, [1 / countOf(a, dims)]);
    const r = fuse('rmsNorm', [square], first.add(scalar(0)).rsqrt(), [eps]);
    const y = weight ? fuse('rmsNorm', [a, r, weight], first.mul(second).mul(third)) : fuse('rmsNorm', [a, r], first.mul(second));
    return [y, r];
  },
  saves: [0, 1],
  keeps: [1],
  grad: ([g, gR], { inputs: [x, weight], outputs: [, r], params: { dims }, needs }) => {
    if (!x || !r) return [];
    const op = 'rmsNormBackward';
    const h = g ? (weight ? fuse(op, [g, weight], first.mul(second)) : g) : null;
    const along = h && total(op, [h, x], first.mul(second), dims);
    const pull = along && gR ? along.add(gR) : (along ?? gR ?? null);
    const share = [-1 / countOf(x, dims)];
    const slope = pull && fuse(op, [pull, r], first.mul(second).mul(second).mul(second).mul(scalar(0)), share);
    const gx = h && slope ? fuse(op, [h, r, x, slope], first.mul(second).add(third.mul(fourth))) : slope && x.mul(slope);
    const gWeight = (w: Tensor): Tensor | null => g && sumOnto(op, [g, x, r], first.mul(second).mul(third), w);
    return [needs[0] ? gx : null, ...(weight ? [needs[1] ? gWeight(weight) : null] : [])];
  },
  *samples() {},
});

export const rmsOver = (x: Tensor, dims: readonly number[], eps: number, weight: Tensor | null): Tensor =>
  rms(x, weight, { dims, eps, weighted: weight !== null });
