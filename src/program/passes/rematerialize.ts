import { costOf } from '../cost.js';
import type { ProgramOperand, Step } from '../program.js';
import { type Lifetime, lifetimesOf } from './arena.js';

export interface RematerializeFacts {
  /** Bytes of a temporary; undefined for all other buffers. */
  sizeOf(buffer: number): number | undefined;
  mayMeet(a: number, b: number): boolean;
  /** A new temporary of this size. */
  newBuffer(bytes: number): number;
}

/** An operation counts as much as this many bytes moved. */
const BYTES_PER_FLOP = 1 / 16;

interface Candidate {
  readonly buffer: number;
  readonly maker: number;
  /** The first step behind the peak that reads it. */
  readonly nextUse: number;
  readonly score: number;
}

/**
 * Makes temporaries that are only kept for later a second time, just before they are read again, until no more than `budget` bytes
 * are alive at once or nothing is left to gain. What saves most bytes for least work goes first. Random numbers are not drawn twice.
 */
export function rematerialize<S extends Step>(steps: readonly S[], budget: number, facts: RematerializeFacts): S[] {
  let now = [...steps];
  for (let round = 0; round < steps.length; round++) {
    const lifetimes = lifetimesOf(now, facts.sizeOf);
    const [peak, bytes] = peakOf(now.length, lifetimes, facts);
    if (bytes <= budget) break;
    const best = candidatesAt(peak, now, lifetimes, facts).reduce<Candidate | null>(
      (a, b) => (a !== null && a.score >= b.score ? a : b),
      null,
    );
    if (best === null) break;
    now = again(now, best, facts);
  }
  return now;
}

/** The step at which most bytes are alive, and how many. */
function peakOf(
  count: number,
  lifetimes: ReadonlyMap<number, Lifetime>,
  { sizeOf }: RematerializeFacts,
): readonly [step: number, bytes: number] {
  const change = new Float64Array(count + 1);
  for (const [buffer, { first, last }] of lifetimes) {
    const bytes = sizeOf(buffer) ?? 0;
    change[first] = (change[first] ?? 0) + bytes;
    change[last + 1] = (change[last + 1] ?? 0) - bytes;
  }
  let [alive, peak, most] = [0, 0, 0];
  for (let i = 0; i < count; i++) {
    alive += change[i] ?? 0;
    if (alive > most) [peak, most] = [i, alive];
  }
  return [peak, most];
}

function candidatesAt(
  peak: number,
  steps: readonly Step[],
  lifetimes: ReadonlyMap<number, Lifetime>,
  facts: RematerializeFacts,
): Candidate[] {
  const found: Candidate[] = [];
  for (const [buffer, { first, last }] of lifetimes) {
    if (first >= peak || last <= peak) continue;
    const maker = steps[first] as Step;
    if (maker.kernel.family === 'random' || maker.outputs.length !== 1 || maker.outputs[0]?.buffer !== buffer) continue;
    const touches = (i: number, operands: 'inputs' | 'outputs'): boolean => steps[i]?.[operands].some((x) => x.buffer === buffer) ?? false;
    if (touches(peak, 'inputs')) continue;
    let nextUse = peak + 1;
    while (nextUse < last && !touches(nextUse, 'inputs')) nextUse++;
    const isWrittenAgain = steps.some((_, i) => i > first && touches(i, 'outputs'));
    if (isWrittenAgain || !isAvailable(maker, first, nextUse, steps, lifetimes, facts)) continue;
    const { flops, bytes } = costOf(maker);
    found.push({ buffer, maker: first, nextUse, score: (facts.sizeOf(buffer) ?? 0) / (bytes + flops * BYTES_PER_FLOP) });
  }
  return found;
}

/** Whether what a step read is still there, unchanged, at a later step. */
function isAvailable(
  { inputs }: Step,
  from: number,
  to: number,
  steps: readonly Step[],
  lifetimes: ReadonlyMap<number, Lifetime>,
  { sizeOf, mayMeet }: RematerializeFacts,
): boolean {
  for (const { buffer } of inputs) {
    if (sizeOf(buffer) !== undefined && (lifetimes.get(buffer)?.last ?? -1) < to) return false;
    for (let i = from + 1; i < to; i++) {
      if (steps[i]?.outputs.some((y) => y.buffer === buffer || mayMeet(y.buffer, buffer))) return false;
    }
  }
  return true;
}

/** The steps with one more: the maker of a value, right before its next use. */
function again<S extends Step>(steps: readonly S[], { buffer, maker, nextUse }: Candidate, facts: RematerializeFacts): S[] {
  const fresh = facts.newBuffer(facts.sizeOf(buffer) ?? 0);
  const moved = (x: ProgramOperand): ProgramOperand => (x.buffer === buffer ? { ...x, buffer: fresh } : x);
  const original = steps[maker] as S;
  const repeated = { ...original, outputs: original.outputs.map(moved) };
  const after = steps.slice(nextUse).map((step) => ({ ...step, inputs: step.inputs.map(moved) }));
  return [...steps.slice(0, nextUse), repeated, ...after];
}
