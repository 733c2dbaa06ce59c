import { cached } from '../core/cache.js';
import { type ComputeType, computeType, type DType } from '../core/dtype.js';
import { broadcastShapes, keyOf, type Shape, sameShape } from '../core/shape.js';
import { type Spec, specOf } from '../core/spec.js';
import { constant, derivative, type Expr, input, isDifferentiable, scalar as scalarLeaf, substitute, topological } from '../expr/expr.js';
import type { Reducer } from '../program/kernel.js';
import type { GradContext } from '../tensor/graph.js';
import type { Tensor } from '../tensor/tensor.js';
import { apply, type Definition } from './apply.js';

/**
 * The two generic rows under all pointwise maths. Expressions are differentiated symbolically, so the gradient of a pointwise op is
 * again one fused pointwise kernel (or, where the input was broadcast, one fused reduction), to any order.
 */
export interface MapParams {
  readonly name: string;
  readonly expr: Expr;
  readonly dtype: DType;
  readonly compute: ComputeType;
  /** The gradient by each input, over the inputs, then (input n) the output gradient and (n + 1) the output. Default: symbolic. */
  readonly slopes?: readonly (Expr | null)[];
  /** The result's shape, for programs without inputs. */
  readonly shape?: Shape;
}

/** Generic rows are tested through the ops that use them. */
function* noSamples(): Iterable<never> {}

const definitions = new Map<string, Definition>();

/** Applies `expr` elementwise to the broadcast inputs. `name` is what errors and graphs call it. */
export function map(inputs: readonly Tensor[], params: MapParams, scalars?: readonly number[], into?: readonly Tensor[]): Tensor {
  const { name } = params;
  const definition = cached(definitions, name, () => mapDefinition(name) as unknown as Definition);
  return apply(definition, { inputs, params, scalars }, into)[0] as Tensor;
}

function mapDefinition(name: string) {
  return {
    name,
    args: () => ({ inputs: [], params: null }),
    samples: noSamples,
    infer: (specs: readonly Spec[], { dtype, shape }: MapParams): Spec => specOf(dtype, shape ?? broadcastAll(name, specs)),
    kernel: ({ expr, compute }: MapParams) => ({ family: 'map', exprs: [expr], compute }),
    saves: (params: MapParams, needs: readonly boolean[]) => savedBy(params, needs),
    grad: mapGradient,
    keyOf: ({ expr, dtype, compute, shape }: MapParams) => `${expr.id}${dtype}${compute}${shape ?? ''}`,
    plans: new Map(),
    recent: [],
    foreign: false,
  };
}

function broadcastAll(name: string, specs: readonly Spec[]): Shape {
  let shape = specs[0]?.shape ?? [];
  for (let i = 1; i < specs.length; i++) shape = broadcastShapes(name, shape, (specs[i] as Spec).shape);
  return shape;
}

const slopeCache = new WeakMap<Expr, Map<string, Expr | null>>();

/** ∂output/∂input i times the output gradient, over (inputs…, gradient, output); null where it is zero. */
function slope({ expr, slopes }: MapParams, i: number, n: number): Expr | null {
  if (slopes !== undefined) return slopes[i] ?? null;
  const cache = cached(slopeCache, expr, () => new Map<string, Expr | null>());
  return cached(cache, `${i}/${n}`, () => {
    const d = derivative(expr, i);
    return d.node.kind === 'const' && d.node.value === 0 ? null : timesGradient(d, input(n), expr, n + 1);
  });
}

/** The slope times the gradient, reading the saved output wherever the slope would compute it again. */
function timesGradient(d: Expr, g: Expr, result: Expr, output: number): Expr {
  const seen = new Map<Expr, Expr>();
  if (result.node.kind === 'apply') seen.set(result, input(output));
  const reusesOutput = substitute(d, (leaf) => (leaf.kind === 'input' ? input(leaf.index) : scalarLeaf(leaf.index)), seen);
  return weighed(g, reusesOutput);
}

/** g · d, but 0 where d chooses to be 0, whatever g is there: an infinite gradient does not leak through a mask. */
function weighed(g: Expr, d: Expr): Expr {
  const { node } = d;
  if (isZero(d)) return d;
  if (node.kind !== 'apply' || node.op !== 'select') return g.mul(d);
  const [c, p, q] = node.args as [Expr, Expr, Expr];
  return choosesZero(d) ? c.select(weighed(g, p), weighed(g, q)) : g.mul(d);
}
const isZero = ({ node }: Expr): boolean => node.kind === 'const' && node.value === 0;
function choosesZero(d: Expr): boolean {
  if (d.node.kind !== 'apply' || d.node.op !== 'select') return false;
  return d.node.args.slice(1).some((branch) => isZero(branch) || choosesZero(branch));
}

const inputsOf = (e: Expr): Set<number> => {
  const found = new Set<number>();
  for (const { node } of topological([e])) if (node.kind === 'input') found.add(node.index);
  return found;
};

type Saves = readonly (number | 'output')[];
const savesCache = new WeakMap<Expr, Map<string, Saves>>();

function savedBy(params: MapParams, needs: readonly boolean[]): Saves {
  const cache = cached(savesCache, params.expr, () => new Map<string, Saves>());
  let key = '';
  for (let i = 0; i < needs.length; i++) key += needs[i] ? `+${params.slopes?.[i]?.id ?? ''}` : '-';
  return cached(cache, key, () => {
    const read = new Set<number>();
    const n = needs.length;
    needs.forEach((need, i) => {
      const e = need ? slope(params, i, n) : null;
      if (e !== null) for (const k of inputsOf(e)) read.add(k);
    });
    return [...read].filter((k) => k !== n).map((k) => (k === n + 1 ? 'output' : k));
  });
}

function mapGradient(
  [g]: readonly (Tensor | null)[],
  { inputs, output, params, scalars, needs }: GradContext<MapParams>,
): (Tensor | null)[] {
  const n = inputs.length;
  return inputs.map((x, i) => {
    if (!g || !needs[i]) return null;
    const e = slope(params, i, n);
    if (e === null) return null;
    return mapOnto(x.spec, `${params.name}Backward`, e, [...inputs, g, output], scalars);
  });
}

interface Compacted {
  readonly used: readonly number[];
  readonly expr: Expr;
}
const compactions = new WeakMap<Expr, Compacted>();

/** Which inputs an expression reads, and the expression over those alone. */
function compacted(e: Expr): Compacted {
  return cached(compactions, e, () => {
    const used = [...inputsOf(e)].sort((a, b) => a - b);
    const place = new Map(used.map((old, now) => [old, now]));
    const expr = substitute(e, (leaf) => (leaf.kind === 'input' ? input(place.get(leaf.index) ?? 0) : scalarLeaf(leaf.index)));
    return { used, expr };
  });
}

/**
 * Evaluates `e` over tensors and sums the result down to the shape of `target`, in one kernel: a map where nothing was broadcast,
 * a reduction with the map as its prologue where something was. Inputs that `e` does not read are dropped.
 */
export function mapOnto(target: Spec, name: string, e: Expr, tensors: readonly Tensor[], scalars: readonly number[]): Tensor {
  const { used, expr } = compacted(e);
  const inputs = (used.length === 0 ? [0] : used).map((i) => tensors[i] as Tensor); // of a constant: the device
  let shape: Shape = target.shape;
  for (const t of inputs) shape = broadcastShapes(name, shape, t.shape);
  const compute = computeType(target.dtype);
  const lead = shape.length - target.shape.length;
  const dims = shape.flatMap((d, i) => (i < lead || (target.shape[i - lead] === 1 && d !== 1) ? [i] : []));
  if (dims.length === 0) {
    if (expr === input(0) && inputs[0]?.dtype === target.dtype && `${inputs[0].shape}` === `${target.shape}`) return inputs[0];
    const fits = inputs.some((t) => `${t.shape}` === `${target.shape}`);
    if (fits) return map(inputs, { name, expr, dtype: target.dtype, compute }, scalars);
  }
  return reduceMap(
    inputs,
    { name, by: 'sum', expr, dims, keepdim: false, shape, out: target.shape, dtype: target.dtype, compute },
    scalars,
  );
}

export interface ReduceMapParams {
  readonly name: string;
  readonly by: Extract<Reducer, 'sum'>;
  readonly expr: Expr;
  readonly dims: readonly number[];
  readonly keepdim: boolean;
  /** What the inputs are broadcast to before folding. */
  readonly shape: Shape;
  /** The result's shape. */
  readonly out: Shape;
  /** What the sum is divided by before it is rounded to `dtype`: means and variances. Default 1. */
  readonly divisor?: number;
  readonly dtype: DType;
  readonly compute: ComputeType;
}

/** Σ over dims of expr(inputs) / divisor, in one kernel. */
export function reduceMap(inputs: readonly Tensor[], params: ReduceMapParams, scalars: readonly number[] = []): Tensor {
  const { name, expr, dims, shape, out, dtype, divisor = 1 } = params;
  if (out.length !== shape.length && out.length !== shape.length - dims.length) {
    // A kernel keeps all reduced dims or none: here some are kept.
    const left = shape.filter((_, i) => !dims.includes(i));
    return reduceMap(inputs, { ...params, out: left }, scalars).reshape(out);
  }
  const definition = cached(reductions, name, () => reduceDefinition(name) as unknown as Definition);
  const key = `${expr.id}|${keyOf(dims)}|${keyOf(shape)}|${keyOf(out)}|${dtype}${divisor}`;
  return apply(definition, { inputs, params, scalars, key })[0] as Tensor;
}
const reductions = new Map<string, Definition>();

function reduceDefinition(name: string) {
  return {
    name,
    args: () => ({ inputs: [], params: null }),
    samples: noSamples,
    infer: (_: readonly Spec[], { dtype, out }: ReduceMapParams): Spec => specOf(dtype, out),
    kernel: ({ by, expr, dims, shape, compute, divisor = 1 }: ReduceMapParams) => ({
      family: 'reduce',
      by,
      expr,
      dims,
      shape,
      compute,
      ...(divisor !== 1 && { finish: input(0).div(divisor) }),
    }),
    saves: ({ expr }: ReduceMapParams, needs: readonly boolean[]) => savedByReduce(expr, needs),
    grad: reduceMapGradient,
    plans: new Map(),
    recent: [],
    foreign: false,
  };
}

const reduceSaves = new WeakMap<Expr, Map<string, readonly number[]>>();

function savedByReduce(expr: Expr, needs: readonly boolean[]): readonly number[] {
  const cache = cached(reduceSaves, expr, () => new Map<string, readonly number[]>());
  return cached(cache, `${needs}`, () => {
    const read = new Set<number>();
    needs.forEach((need, i) => {
      if (need) for (const k of inputsOf(derivative(expr, i))) read.add(k);
    });
    return [...read];
  });
}

const reduceSlopes = new WeakMap<Expr, Map<string, Expr>>();

/** g · ∂expr/∂input i, divided by the scalar of that number if there is one, with g as input n. */
function reduceSlope(expr: Expr, i: number, n: number, divisor: number): Expr {
  const cache = cached(reduceSlopes, expr, () => new Map<string, Expr>());
  return cached(cache, `${i}/${n}/${divisor}`, () => {
    const e = weighed(input(n), derivative(expr, i));
    return divisor < 0 || isZero(e) ? e : e.div(scalarLeaf(divisor));
  });
}

function reduceMapGradient([g]: readonly (Tensor | null)[], context: GradContext<ReduceMapParams>): (Tensor | null)[] {
  const { inputs, params, scalars, needs } = context;
  const n = inputs.length;
  if (!g) return inputs.map(() => null);
  // A number that differs from shape to shape is no part of the expression: one loop, compiled ahead, serves all.
  const { divisor = 1 } = params;
  const numbers = divisor === 1 ? scalars : [...scalars, divisor];
  const kept = g.ndim === 0 ? g : g.reshape(params.shape.map((size, k) => (params.dims.includes(k) ? 1 : size)));
  return inputs.map((x, i) => {
    if (!needs[i]) return null;
    const e = reduceSlope(params.expr, i, n, divisor === 1 ? -1 : scalars.length);
    if (isZero(e) && divisor !== 0) return null; // the mean over nothing has gradients of no elements
    // Where the kernel reads something of the full shape, it broadcasts the gradient by itself.
    const full =
      sameShape(x.shape, params.shape) && compacted(e).used.some((k) => k < n && sameShape((inputs[k] as Tensor).shape, params.shape));
    return mapOnto(x.spec, `${params.name}Backward`, e, [...inputs, full ? kept : kept.expand(params.shape)], numbers);
  });
}

/** Whether gradients can flow through an expression. */
export const flows = (expr: Expr): boolean => isDifferentiable(expr) && expr !== constant(0);
