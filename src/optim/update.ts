import { computeType, isFloat } from '../core/dtype.js';
import { internal, LibError } from '../core/errors.js';
import { type Expr, input, scalar } from '../expr/expr.js';
import { apply, type Definition } from '../ops/apply.js';
import type { LiveScalars } from '../ops/define.js';
import { noGrad } from '../tensor/autograd.js';
import type { Tensor } from '../tensor/tensor.js';

type Named<Name extends string, T> = { readonly [K in Name]: T };

/** A pointwise program with several results: one pass over memory updates a parameter and all of its state. */
export interface Update<In extends string, S extends string, Out extends In> {
  readonly name: string;
  readonly inputs: readonly In[];
  readonly scalars: readonly S[];
  readonly outputs: Named<Out, Expr>;
  /** @internal */ readonly definition: Definition;
}

/** The updates of everyday training: engines compile them ahead of time. All others run on the engine's interpreter of expressions. */
export const updates: Update<string, string, string>[] = [];

/** Defines an optimizer's arithmetic as expressions over a parameter, its gradient and its state. */
export function defineUpdate<const In extends string, const S extends string, Out extends In>(
  name: string,
  inputs: readonly In[],
  scalars: readonly S[],
  body: (tensors: Named<In, Expr>, scalars: Named<S, Expr>) => Named<Out, Expr>,
  { ahead = false }: { readonly ahead?: boolean } = {},
): Update<In, S, Out> {
  const named = <K extends string>(names: readonly K[], make: (i: number) => Expr): Named<K, Expr> =>
    Object.fromEntries(names.map((k, i) => [k, make(i)])) as Named<K, Expr>;
  const outputs = body(named(inputs, input), named(scalars, scalar));
  const exprs = Object.values<Expr>(outputs);
  const outputPositions = Object.keys(outputs).map((k) => inputs.indexOf(k as In));
  const definition = {
    name,
    args: () => ({ inputs: [], params: null }),
    *samples() {},
    infer: (specs) => outputPositions.map((i) => specs[i] ?? missing(name)),
    kernel: (_, specs) => ({ family: 'map', exprs, compute: computeType((specs[0] ?? missing(name)).dtype) }),
    plans: new Map(),
    foreign: false,
  } as Definition;
  const update = { name, inputs, scalars, outputs, definition };
  if (ahead) updates.push(update as unknown as Update<string, string, string>);
  return update;
}

function missing(name: string): never {
  throw internal(`${name} was given too few tensors`);
}

/**
 * Runs an update in place. Tensors and numbers go by the names that the update declared. Numbers of a step that is captured are
 * frozen, unless they are given as a function that writes them in the order of their names and also keeps the books (counts the
 * step): it is called once now, and again at each replay.
 */
export function runUpdate<In extends string, S extends string, Out extends In>(
  update: Update<In, S, Out>,
  tensors: Named<In, Tensor>,
  scalars: Named<S, number> | LiveScalars,
): void {
  const inputs = update.inputs.map((k) => tensors[k]);
  const first = inputs[0] as Tensor;
  if (!isFloat(first.dtype)) throw new LibError('dtype', `${update.name}: parameters must be of floating type, got ${first.dtype}.`);
  const into = Object.keys(update.outputs).map((k) => tensors[k as In]);
  const now: number[] = [];
  if (typeof scalars === 'function') scalars(now, 0);
  else for (const k of update.scalars) now.push(scalars[k]);
  const call = { inputs, params: null, scalars: now };
  noGrad(() => apply(update.definition, typeof scalars === 'function' ? { ...call, live: scalars } : call, into));
}
