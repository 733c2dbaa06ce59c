import { sameShape } from '../../core/shape.js';
import { arity, type Expr, input, scalar, substitute, topological } from '../../expr/expr.js';
import type { InstructionName } from '../../expr/instructions.js';
import type { MapKernel, ReduceKernel } from '../kernel.js';
import type { ProgramOperand, Step } from '../program.js';

/** What the pass has to know of buffers. */
export interface BufferFacts {
  /** Nobody but the program's steps sees it. */
  isTemporary(buffer: number): boolean;
  /** Two buffers that may show the same bytes. */
  mayMeet(a: number, b: number): boolean;
  /** The caller brings it: of all buffers from outside, only such ones may show the bytes of another one. */
  isBrought(buffer: number): boolean;
}

/** Engines keep inputs, registers, constants and scalars of an expression in one small table. */
const MAX_INPUTS = 16;
const MAX_INSTRUCTIONS = 96;
const MAX_SCALARS = 32;
/** Values are not carried further than this: what they are made from would have to live that long. */
const NEAR = 24;

type Pointwise = Step & { readonly kernel: MapKernel };
type Consumer = Step & { readonly kernel: MapKernel | ReduceKernel };

/**
 * Puts each pointwise step into the only step that reads its result, where that is pointwise too or a reduction over the same
 * elements: the value then never goes through memory. Only values stored in the type they were computed in are carried, so no
 * rounding is lost; a reduction may add in another order, as it walks by the strides of what it reads.
 */
export function fusePointwise<S extends Step>(steps: readonly S[], facts: BufferFacts): S[] {
  const uses = countUses(steps);
  const out: (S | null)[] = [...steps];
  const makers = new Map<number, number>();
  steps.forEach((_, at) => {
    for (let again = true; again; ) {
      again = false;
      const reader = out[at] as S;
      if (!isConsumer(reader)) break;
      for (const { buffer } of reader.inputs) {
        const from = makers.get(buffer);
        const maker = from === undefined ? null : (out[from] ?? null);
        if (from === undefined || maker === null || at - from > NEAR || uses.get(buffer) !== 1 || !isPointwise(maker)) continue;
        if (!fits(maker, reader) || !isUndisturbed(out, from, at, facts)) continue;
        const fused = merge(maker, reader);
        if (fused === null) continue;
        out[at] = { ...reader, ...fused };
        out[from] = null;
        again = true;
        break;
      }
    }
    const [target] = (out[at] as S).outputs;
    if (target !== undefined && facts.isTemporary(target.buffer)) makers.set(target.buffer, at);
  });
  return out.filter((step) => step !== null);
}

/** What a value may cost that is computed again rather than read from far away. */
const CHEAP = new Set<InstructionName>([
  'add',
  'sub',
  'mul',
  'neg',
  'abs',
  'max',
  'min',
  'select',
  'less',
  'lessEqual',
  'equal',
  'notEqual',
]);
const MAX_REPEATED = 8;
/** Steps: what is read so soon afterwards is at hand anyway. */
const AT_HAND = 8;

/**
 * Computes a cheap pointwise value again where it is read long after it was made, if all that it is made of is read there too: the mask of
 * a ReLU from the input of the norm before it. The value need not come from far away, or is not kept at all. The same bits.
 */
export function repeatCheap<S extends Step>(steps: readonly S[], facts: BufferFacts): S[] {
  const out = [...steps];
  const makers = new Map<number, number>();
  const written = new Set<number>();
  steps.forEach((step, at) => {
    for (const { buffer } of step.inputs) {
      const reader = out[at] as S;
      const from = makers.get(buffer) ?? -1;
      const maker = out[from];
      if (maker === undefined || at - from <= AT_HAND || !isConsumer(reader) || !isPointwise(maker) || !isCheap(maker)) continue;
      const near = out.slice(at, at + AT_HAND).flatMap(({ inputs }) => inputs);
      const isNear = (x: ProgramOperand): boolean => isSmall(x, maker) || near.some((y) => isSame(x, y));
      if (!maker.inputs.every(isNear) || !fits(maker, reader) || !isUndisturbed(out, from, at, facts)) continue;
      out[at] = { ...reader, ...merge(maker, reader) };
    }
    for (const { buffer } of step.outputs) if (facts.isTemporary(buffer)) makers.set(buffer, written.has(buffer) ? -1 : at);
    for (const { buffer } of step.outputs) written.add(buffer);
  });
  return out;
}

function isCheap({ kernel: { exprs } }: Pointwise): boolean {
  const applied = topological(exprs).flatMap(({ node }) => (node.kind === 'apply' ? [node.op] : []));
  return applied.length <= MAX_REPEATED && applied.every((op) => CHEAP.has(op));
}

/** Few numbers that are repeated all over the result. */
const isSmall = ({ spec: { shape, strides } }: ProgramOperand, { outputs }: Step): boolean =>
  16 * shape.reduce((n, size, d) => (strides[d] === 0 ? n : n * size), 1) <= (outputs[0]?.spec.size ?? 0);

const isSame = (x: ProgramOperand, y: ProgramOperand): boolean => x.buffer === y.buffer && x.spec === y.spec && x.offset === y.offset;

const isPointwise = (step: Step): step is Pointwise =>
  step.kernel.family === 'map' && step.outputs.length === 1 && step.outputs[0]?.spec.dtype === step.kernel.compute;

const isConsumer = (step: Step): step is Consumer => step.kernel.family === 'map' || step.kernel.family === 'reduce';

/** Steps that read a buffer; buffers written more than once count as read often. */
export function countUses(steps: readonly Step[]): Map<number, number> {
  const uses = new Map<number, number>();
  const written = new Set<number>();
  const add = (buffer: number, n: number): void => void uses.set(buffer, (uses.get(buffer) ?? 0) + n);
  for (const { inputs, outputs } of steps) {
    for (const buffer of new Set(inputs.map((x) => x.buffer))) add(buffer, 1);
    for (const { buffer } of outputs) {
      if (written.has(buffer)) add(buffer, 2);
      written.add(buffer);
    }
  }
  return uses;
}

/** The reader goes over exactly the elements that the maker made. */
function fits({ outputs, kernel }: Pointwise, reader: Consumer): boolean {
  const made = outputs[0] as ProgramOperand;
  if (kernel.compute !== reader.kernel.compute || !made.spec.contiguous || made.offset !== 0) return false;
  const shape = reader.kernel.family === 'reduce' ? reader.kernel.shape : (reader.outputs[0] as ProgramOperand).spec.shape;
  if (!sameShape(shape, made.spec.shape)) return false;
  return reader.inputs.every((x) => x.buffer !== made.buffer || (x.spec === made.spec && x.offset === 0));
}

/** Nothing that the maker reads changes before, or while, the reader runs. */
function isUndisturbed(steps: readonly (Step | null)[], from: number, to: number, { mayMeet }: BufferFacts): boolean {
  const { inputs } = steps[from] as Step;
  for (let k = from + 1; k <= to; k++) {
    for (const written of steps[k]?.outputs ?? []) if (inputs.some((x) => mayMeet(x.buffer, written.buffer))) return false;
  }
  return true;
}

function merge(maker: Pointwise, reader: Consumer): Pick<Step, 'kernel' | 'inputs' | 'scalarBase'> | null {
  const carried = (maker.outputs[0] as ProgramOperand).buffer;
  const inputs: ProgramOperand[] = [];
  const place = (x: ProgramOperand): number => {
    const known = inputs.findIndex((y) => isSame(x, y));
    return known >= 0 ? known : inputs.push(x) - 1;
  };
  const bases = [maker, reader].filter((s) => readsScalars(exprsOf(s))).map((s) => s.scalarBase);
  const base = bases.length === 0 ? 0 : Math.min(...bases);
  const moved = (e: Expr, step: Step, carry: Expr | null): Expr =>
    substitute(e, (leaf) => {
      if (leaf.kind === 'scalar') return scalar(leaf.index + step.scalarBase - base);
      const x = step.inputs[leaf.index] as ProgramOperand;
      return carry !== null && x.buffer === carried ? carry : input(place(x));
    });
  const value = moved(maker.kernel.exprs[0] as Expr, maker, null);
  const exprs = (reader.kernel.family === 'map' ? reader.kernel.exprs : [reader.kernel.expr]).map((e) => moved(e, reader, value));
  if (!hasRoom(exprs, inputs.length)) return null;
  if (reader.kernel.family === 'map') return { kernel: { ...reader.kernel, exprs }, inputs, scalarBase: base };
  const { finish } = reader.kernel;
  if (finish !== undefined && readsScalars([finish])) return null;
  return { kernel: { ...reader.kernel, expr: exprs[0] as Expr }, inputs, scalarBase: base };
}

const exprsOf = ({ kernel }: Pointwise | Consumer): readonly Expr[] => (kernel.family === 'map' ? kernel.exprs : [kernel.expr]);
const readsScalars = (exprs: readonly Expr[]): boolean => arity(exprs).scalars > 0;

const hasRoom = (exprs: readonly Expr[], inputs: number): boolean =>
  inputs <= MAX_INPUTS && arity(exprs).scalars <= MAX_SCALARS && topological(exprs).length <= MAX_INSTRUCTIONS;
