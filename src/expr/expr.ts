import { type Binary, type InstructionName, instructions, type Operation, opcodes, type Ternary, type Unary } from './instructions.js';

export type Operand = Expr | number;

export type Node =
  | { readonly kind: 'input'; readonly index: number }
  /** Bound when the program runs: a learning rate, a step count, the number in x.mul(3). */
  | { readonly kind: 'scalar'; readonly index: number }
  | { readonly kind: 'const'; readonly value: number }
  | { readonly kind: 'apply'; readonly op: InstructionName; readonly args: readonly Expr[] };

type Fluent = {
  readonly [K in InstructionName]: (typeof instructions)[K] extends Unary
    ? () => Expr
    : (typeof instructions)[K] extends Binary
      ? (b: Operand) => Expr
      : (typeof instructions)[K] extends Ternary
        ? (b: Operand, c: Operand) => Expr
        : never;
};

/**
 * A scalar program as data: evaluated in JavaScript, printed to C++ and encoded as engine bytecode.
 * Nodes are interned, so equal programs are one object and common subexpressions are shared by construction.
 */
export class Expr {
  /** @internal Use {@link input}, {@link scalar}, {@link constant} and the instruction methods. */
  constructor(
    readonly id: number,
    readonly node: Node,
  ) {}

  constant(value: number): Expr {
    return constant(value);
  }
}
export interface Expr extends Fluent {}

const table = new Map<string, Expr>();

function intern(key: string, node: Node): Expr {
  let known = table.get(key);
  if (known === undefined) {
    known = new Expr(table.size, node);
    table.set(key, known);
  }
  return known;
}

export const input = (index: number): Expr => intern(`i${index}`, { kind: 'input', index });
export const scalar = (index: number): Expr => intern(`s${index}`, { kind: 'scalar', index });
export const constant = (value: number): Expr => intern(Object.is(value, -0) ? 'c-0' : `c${value}`, { kind: 'const', value });
const lift = (x: Operand): Expr => (typeof x === 'number' ? constant(x) : x);

/** The one constructor of applications; folds constants and the identities that are exact in floating point. */
export function applyInstruction(op: InstructionName, args: readonly Expr[]): Expr {
  return simplify(op, args) ?? intern(`${op}:${args.map((a) => a.id).join()}`, { kind: 'apply', op, args });
}

for (const op of opcodes) {
  Object.defineProperty(Expr.prototype, op, {
    value(this: Expr, ...rest: Operand[]) {
      return applyInstruction(op, [this, ...rest.map(lift)]);
    },
  });
}

const constOf = (e: Expr | undefined): number | undefined => (e?.node.kind === 'const' ? e.node.value : undefined);

function simplify(op: InstructionName, args: readonly Expr[]): Expr | undefined {
  const [a, b, c] = args;
  const [x, y] = [constOf(a), constOf(b)];
  if (op === 'add') return x === 0 ? b : y === 0 ? a : undefined;
  if (op === 'sub' && y === 0) return a;
  if (op === 'mul') {
    if (x === 1) return b;
    if (y === 1) return a;
    if (x === -1) return b?.neg();
    if (y === -1) return a?.neg();
  }
  if (op === 'div' && y === 1) return a;
  if (op === 'neg' && a?.node.kind === 'apply' && a.node.op === 'neg') return a.node.args[0];
  if (op === 'select' && b === c) return b;
  if (op === 'lessEqual' && y === 0 && a?.node.kind === 'apply') {
    const z = a.node.args[2]; // ReLU(z) <= 0 is z <= 0
    if (z?.lessEqual(0).select(0, z) === a) return z.lessEqual(0);
  }
  const values = args.map(constOf);
  const { js } = instructions[op] as { readonly js: ((...args: readonly (number | undefined)[]) => number) | null };
  return js === null || values.includes(undefined) ? undefined : constant(js(...values));
}

/** Rebuilds an expression with other leaves: the whole of operator fusion for pointwise ops. */
export function substitute(
  e: Expr,
  leaf: (node: Extract<Node, { kind: 'input' | 'scalar' }>) => Expr,
  seen: Map<Expr, Expr> = new Map(),
): Expr {
  const known = seen.get(e);
  if (known) return known;
  const { node } = e;
  const out =
    node.kind === 'apply'
      ? applyInstruction(
          node.op,
          node.args.map((a) => substitute(a, leaf, seen)),
        )
      : node.kind === 'const'
        ? e
        : leaf(node);
  seen.set(e, out);
  return out;
}

/** Nodes in the order in which they can be computed: arguments first, each once. Iterative, for fused chains may be deep. */
export function topological(roots: readonly Expr[]): Expr[] {
  const order: Expr[] = [];
  const done = new Set<Expr>();
  const stack = [...roots].reverse();
  while (stack.length > 0) {
    const e = stack.at(-1) as Expr;
    const pending = e.node.kind === 'apply' && !done.has(e) ? e.node.args.filter((a) => !done.has(a)) : [];
    if (pending.length > 0) stack.push(...pending.reverse());
    else {
      stack.pop();
      if (!done.has(e)) order.push(e);
      done.add(e);
    }
  }
  return order;
}

/** How many inputs and scalars an expression reads: one more than the highest index. */
export function arity(roots: readonly Expr[]): { readonly inputs: number; readonly scalars: number } {
  let [inputs, scalars] = [0, 0];
  for (const { node } of topological(roots)) {
    if (node.kind === 'input') inputs = Math.max(inputs, node.index + 1);
    if (node.kind === 'scalar') scalars = Math.max(scalars, node.index + 1);
  }
  return { inputs, scalars };
}

/** ∂e/∂input[index], as an expression over the same inputs. Zero where e does not depend on it. */
export function derivative(e: Expr, index: number): Expr {
  const wanted = input(index);
  const slopes = new Map<Expr, Expr | null>();
  for (const x of topological([e])) slopes.set(x, x === wanted ? constant(1) : x.node.kind === 'apply' ? chain(x, slopes) : null);
  return slopes.get(e) ?? constant(0);
}

/** One step of the forward chain rule: Σ over arguments of (slope of the instruction) · (slope of the argument). */
function chain(x: Expr, slopes: ReadonlyMap<Expr, Expr | null>): Expr | null {
  if (x.node.kind !== 'apply') return null;
  const { op, args } = x.node;
  const inner = args.map((a) => slopes.get(a) ?? null);
  if (inner.every((s) => s === null)) return null;
  const outer = slopesOf(instructions[op], args, x);
  let sum: Expr | null = null;
  inner.forEach((s, i) => {
    const o = outer[i] ?? null;
    if (s === null || o === null || constOf(o) === 0 || constOf(s) === 0) return;
    const term = op === 'select' ? selectTerm(args, i, s) : o.mul(s);
    sum = sum === null ? term : (sum as Expr).add(term);
  });
  return sum;
}

/** A branch that is not taken contributes nothing, not 0 · its slope, which may be infinite. */
function selectTerm([c]: readonly Expr[], branch: number, slope: Expr): Expr {
  if (c === undefined) return slope;
  return branch === 1 ? c.select(slope, 0) : c.select(constant(0), slope);
}

function slopesOf(row: Operation, [a, b, c]: readonly Expr[], y: Expr): readonly (Expr | null)[] {
  if (a === undefined) return [];
  if (row.arity === 1) return row.d?.(a, y) ?? [];
  if (row.arity === 2) return b ? (row.d?.(a, b, y) ?? []) : [];
  return b && c ? (row.d?.(a, b, c, y) ?? []) : [];
}

/** Whether every instruction on the way from the inputs has a derivative. */
export function isDifferentiable(e: Expr): boolean {
  return topological([e]).every(({ node }) => node.kind !== 'apply' || instructions[node.op].d !== undefined);
}
