import type { ComputeType } from '../core/dtype.js';
import { type Expr, topological } from './expr.js';
import { instructions } from './instructions.js';
import { meaningOf } from './specials.js';

/** Runs an expression list on one element: `inputs` and `scalars` in, results (one per root) out. */
export type Evaluate = (inputs: ArrayLike<number>, scalars: ArrayLike<number>, out: number[]) => void;

/**
 * The oracle's reading of expressions: one register per shared node, in float64 (or wrapping int32) arithmetic.
 * Under float32, constants and scalars are the nearest float32: an element that was stored as 0.1 equals the number 0.1.
 */
export function evaluator(roots: readonly Expr[], compute: ComputeType): Evaluate {
  const order = topological(roots);
  const register = new Map(order.map((e, i) => [e, i]));
  const values = new Array<number>(order.length).fill(0);
  const at = (e: Expr | undefined): number => (e === undefined ? 0 : (register.get(e) ?? 0));
  const steps = order.map((e) => stepOf(e, values, at, compute));
  const results = roots.map(at);
  return (inputs, scalars, out) => {
    for (let i = 0; i < steps.length; i++) values[i] = (steps[i] as Step)(inputs, scalars);
    for (let i = 0; i < results.length; i++) out[i] = values[results[i] as number] as number;
  };
}

/** The value of one node, given the registers of the nodes before it. */
type Step = (inputs: ArrayLike<number>, scalars: ArrayLike<number>) => number;

function stepOf({ node }: Expr, values: readonly number[], at: (e: Expr | undefined) => number, compute: ComputeType): Step {
  const narrow = compute === 'float32' ? Math.fround : (v: number): number => v;
  if (node.kind === 'input') return (xs) => xs[node.index] ?? Number.NaN;
  if (node.kind === 'scalar') return (_, ss) => narrow(ss[node.index] ?? Number.NaN);
  if (node.kind === 'const') {
    const value = narrow(node.value);
    return () => value;
  }
  const js = meaningOf(node.op);
  const { arity } = instructions[node.op];
  const [a, b, c] = [at(node.args[0]), at(node.args[1]), at(node.args[2])];
  const read = (i: number): number => values[i] as number;
  const integer = compute === 'int32';
  if (integer && node.op === 'mul') return () => Math.imul(read(a), read(b));
  const wrap = integer ? (v: number): number => v | 0 : (v: number): number => v;
  if (arity === 1) return () => wrap(js(read(a)));
  if (arity === 2) return () => wrap(js(read(a), read(b)));
  return () => wrap(js(read(a), read(b), read(c)));
}
