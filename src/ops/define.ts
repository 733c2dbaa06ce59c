import type { Shape } from '../core/shape.js';
import type { Spec } from '../core/spec.js';
import type { Kernel } from '../program/kernel.js';
import type { GradContext } from '../tensor/graph.js';
import type { Tensor } from '../tensor/tensor.js';
import { apply } from './apply.js';
import { applyCustom } from './applyCustom.js';
import { applyView } from './applyView.js';
import { type AutocastPolicy, autocastDtype, castArguments, policyOf } from './autocast.js';
import type { CallCheck } from './checkCall.js';

/** Writes a step's scalars from position `at` of a program's. */
export type LiveScalars = (out: number[], at: number) => void;

/** The canonical form of a call: what infer, grad, tracer and backends see. */
export interface Canonical<P> {
  readonly inputs: readonly Tensor[];
  /** Plain data: two calls with equal params (as JSON) and specs run the same program. */
  readonly params: P;
  /** Numbers read at each run (`scalar(i)` in expressions): they never cause another program to be made. */
  readonly scalars?: readonly number[];
  /** Writes the scalars of a later run: how a captured step reads a learning rate or a step count. Default: they stay. */
  readonly live?: LiveScalars;
  /** Overrides JSON of the params as cache key; give one on hot paths. */
  readonly key?: string;
}

/** Makes seeded sample tensors for the generated suites: float32 unless said, uniform in [low, high). */
export interface Random {
  (shape: Shape, range?: { readonly low?: number; readonly high?: number }): Tensor;
  integers(shape: Shape, low: number, high: number): Tensor;
  bool(shape: Shape): Tensor;
}

/** A call that the fixtures script repeats in PyTorch: how the row is named and called there, when it is not the obvious way. */
export interface TorchName {
  /** A Python expression over `a` (positional arguments) and `o` (options, snake_case): `torch.addmm(a[0], a[1], a[2], **o)`. */
  readonly call: string;
}

/** What a loss takes the model's output for; a loss given anything else trains badly without an error. */
export type LossInput = 'logits' | 'logProbabilities' | 'probabilities' | 'scores' | 'values' | 'embeddings' | 'distances' | 'features';

interface Row<Args extends readonly unknown[], R> {
  readonly name: string;
  /** Losses: what their first argument holds. */
  readonly expects?: LossInput;
  /** Valid calls. Every suite (gradients, backends, capture, PyTorch) is generated from them. */
  samples(random: Random): Iterable<Args>;
  /**
   * Leads a sample's arguments into the op's domain, where that is not all tensors (symmetric matrices, triangles). Suites differentiate
   * through it, and the torch call must do the same. Errors are not led anywhere.
   */
  prepare?(...args: Args): Args;
  /** Calls that must throw, and a phrase that their message must hold. */
  errors?(random: Random): Iterable<readonly [args: Args, says: string]>;
  /** null: PyTorch has no such function. Default: `torch.<snake_case name>` or the method, with the same arguments. */
  readonly torch?: TorchName | null;
  /** Samples may sit where the function jumps or bends: finite differences are not asked for. */
  readonly kinks?: boolean;
  /** What autocast does to its inputs. Default: by the name (autocast.ts), or nothing. */
  readonly autocast?: AutocastPolicy;
  /** Filled in by generated suites' needs: results that are not tensors only. */
  readonly result?: (outputs: readonly Tensor[]) => R;
}

export interface KernelRow<Args extends readonly unknown[], P, R = Tensor> extends Row<Args, R> {
  /** From the public, PyTorch-shaped arguments to tensors and plain parameters. Defaults live here and nowhere else. */
  args(...args: Args): Canonical<P>;
  /** The rule for types and shapes, and the only place where a user's are judged. Several specs: several outputs. */
  infer(specs: readonly Spec[], params: P): Spec | readonly Spec[];
  kernel(params: P, specs: readonly Spec[]): Kernel;
  /** Written in ops, so it runs eagerly, is captured and can be differentiated again. Absent: not differentiable. */
  grad?(gradOutputs: readonly (Tensor | null)[], context: GradContext<P>): readonly (Tensor | null)[];
  /** Values that `grad` reads: input positions and 'output'. Default: none. */
  readonly saves?: readonly (number | 'output')[] | ((params: P, needs: readonly boolean[]) => readonly (number | 'output')[]);
  /** Outputs that carry gradient. Default: all of floating type. */
  readonly differentiable?: readonly number[];
  /** Explicit loops that say what the op means, for kernels that are not their own definition. */
  reference?(inputs: readonly ReferenceArray[], params: P, outputs: readonly ReferenceArray[]): void;
}

/** A dense array for `reference` rules: values in row-major order. */
export interface ReferenceArray {
  readonly shape: Shape;
  readonly data: Float64Array;
}

/** Where a view sits in its base: new shape, strides and the first element's distance from the base's first. */
export interface ViewLayout {
  readonly shape: Shape;
  readonly strides: readonly number[];
  readonly offset: number;
}

/** A row that moves strides and never data. Its gradient is written once, for all views, unless a cheaper one is given. */
export interface ViewRow<Args extends readonly unknown[], P> extends Row<Args, Tensor> {
  args(...args: Args): Canonical<P>;
  view(spec: Spec, params: P): ViewLayout;
  grad?(gradOutput: Tensor, base: Spec, params: P): Tensor;
}

/** A row that is defined by other rows. Autograd follows through it. */
export interface CompositeRow<Args extends readonly unknown[], R> extends Row<Args, R> {
  compose(...args: Args): R;
}

/**
 * A row that is computed by other rows but differentiated as one step, by a rule of its own that is shorter or more accurate than
 * what autograd would find. Values the rule needs again are further outputs; those that depend on the inputs must be
 * `differentiable` and the rule must take in their gradients, for then gradients of every order are right.
 */
export interface CustomRow<Args extends readonly unknown[], P, R = Tensor> extends Row<Args, R> {
  args(...args: Args): Canonical<P>;
  /** Runs unrecorded. Gives fresh tensors; what else it makes is given back to the device at once. */
  forward(inputs: readonly Tensor[], params: P): readonly Tensor[];
  grad(gradOutputs: readonly (Tensor | null)[], context: GradContext<P>): readonly (Tensor | null)[];
  /** Inputs whose values `grad` reads. Default: none. */
  readonly saves?: readonly number[];
  /** Outputs whose values `grad` reads. Default: none. */
  readonly keeps?: readonly number[];
  /** Outputs that carry gradient. Default: all of floating type. */
  readonly differentiable?: readonly number[];
}

/** @internal What the generated suites see of any row. */
export interface AnyRow {
  readonly name: string;
  readonly expects?: LossInput;
  readonly kind: 'kernel' | 'view' | 'composite' | 'custom';
  samples(random: Random): Iterable<readonly unknown[]>;
  prepare?(...args: readonly unknown[]): readonly unknown[];
  errors?(random: Random): Iterable<readonly [args: readonly unknown[], says: string]>;
  readonly torch?: TorchName | null;
  readonly kinks?: boolean;
  readonly autocast?: AutocastPolicy;
  readonly differentiable: boolean;
  /** What holds calls to the signature; rows that only other rows call have none. */
  check: CallCheck | null;
}

/** A function of the library; `row` is its definition. */
export interface Op<Args extends readonly unknown[], R = Tensor> {
  (...args: Args): R;
  /** @internal */ readonly row: AnyRow;
}

let libraryRows = true;
/** @internal From here on, rows are the user's. */
export function sealLibrary(): void {
  libraryRows = false;
}

/**
 * Defines an op that runs as one kernel. Public: user's ops get the same gradients, capture and generated suites.
 * @example defineOp({ name: 'double', args: (x) => ({ inputs: [x], params: null }), infer: ([x]) => x, kernel, samples })
 */
export function defineOp<Args extends readonly unknown[], P, R = Tensor>(row: KernelRow<Args, P, R>): Op<Args, R> {
  const foreign = !libraryRows;
  const pack = row.result ?? ((outputs: readonly Tensor[]) => outputs[0] as R);
  const definition = { ...row, foreign, plans: new Map<string, never>(), recent: [] } as unknown as Parameters<typeof apply>[0];
  const call = (args: Args): R => pack(apply(definition, row.args(...args)));
  return makeOp(call, { ...row, kind: 'kernel', differentiable: row.grad !== undefined });
}

export function defineView<Args extends readonly unknown[], P>(row: ViewRow<Args, P>): Op<Args> {
  const definition = { ...row, layouts: new Map<string, never>() } as unknown as Parameters<typeof applyView>[0];
  const call = (args: Args): Tensor => applyView(definition, row.args(...args));
  return makeOp(call, { ...row, kind: 'view', differentiable: true });
}

export function defineCustom<Args extends readonly unknown[], P, R = Tensor>(row: CustomRow<Args, P, R>): Op<Args, R> {
  const pack = row.result ?? ((outputs: readonly Tensor[]) => outputs[0] as R);
  const definition = { ...row, foreign: !libraryRows } as unknown as Parameters<typeof applyCustom>[0];
  const call = (args: Args): R => pack(applyCustom(definition, row.args(...args)));
  return makeOp(call, { ...row, kind: 'custom', differentiable: true });
}

export function defineComposite<Args extends readonly unknown[], R = Tensor>(
  row: CompositeRow<Args, R> & { readonly differentiable?: boolean },
): Op<Args, R> {
  const call = (args: Args): R => row.compose(...args);
  return makeOp(call, { ...row, kind: 'composite', differentiable: row.differentiable ?? true });
}

/** What `defineComposite({ name, compose, … })` is in the build for browsers (scripts/build/browser.mjs), where it takes fewer bytes. */
export function composite<Args extends readonly unknown[], R = Tensor>(
  name: string,
  compose: (...args: Args) => R,
  more: { readonly differentiable?: boolean } = {},
): Op<Args, R> {
  return defineComposite({ name, compose, ...more } as unknown as CompositeRow<Args, R>);
}

function makeOp<Args extends readonly unknown[], R>(call: (args: Args) => R, definition: unknown): Op<Args, R> {
  const row: AnyRow = { ...(definition as AnyRow), check: null };
  const policy = row.autocast ?? policyOf(row.name);
  const held = (...args: Args): R => {
    if (row.check) row.check(args);
    return call(policy === null || autocastDtype() === null ? args : castArguments(args, policy));
  };
  Object.defineProperty(held, 'name', { value: row.name });
  return Object.assign(held, { row });
}
