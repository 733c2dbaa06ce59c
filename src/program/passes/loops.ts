import { cached } from '../../core/cache.js';
import { dtypes } from '../../core/dtype.js';
import type { LoopKernel, LoopView, ViewHome } from '../kernel.js';
import type { ProgramOperand, Step } from '../program.js';
import { planArena } from './arena.js';
import type { BufferFacts } from './fuse.js';
import { type Access, accessOf, blockOf, dimsOf, isMember, isSame, isTorn, type Member, resized, shapeOf, unitBytes } from './slices.js';

type Named = Step & { readonly name: string };

/** A step of a loop: which dim of its iteration space the loop walks, and what it touches. */
interface Part<S> {
  readonly at: number;
  readonly step: S & Member;
  readonly dim: number;
  readonly reads: readonly Access[];
  readonly writes: readonly Access[];
}

/** Steps further on than this are not looked at, nor loops with more operands built. */
const REACH = 48;
const MAX_VIEWS = 64;
/** Bytes that one turn of a loop should touch: they stay in a core's own cache from step to step. */
const TURN_BYTES = 384 * 1024;
/** Turns are tasks of the engine's threads. */
const MIN_TURNS = 8;
const GOOD_TURNS = 16;
/** Less traffic than this is not worth a loop. */
const MIN_GAIN = 256 * 1024;

/**
 * Gathers steps that walk the same outer dim (the channels of a batch norm, the rows of a layer norm) into one loop over blocks of it:
 * what a step writes is still in cache when the next one reads it, and what nobody else reads never goes to memory. Steps move to the
 * place of the first of them where nothing in between minds.
 */
export function gatherLoops<S extends Named>(steps: readonly S[], facts: BufferFacts): S[] {
  const users = countUsers(steps);
  const taken = new Set<number>();
  const loops = new Map<number, S>();
  const partAt = partsOf(steps);
  steps.forEach((step, at) => {
    if (taken.has(at) || !isMember(step)) return;
    const dims = dimsOf(step);
    let best: { readonly parts: readonly Part<S>[]; readonly gain: number } = { parts: [], gain: MIN_GAIN };
    for (const dim of dims) {
      const parts = grow(steps, at, dim, taken, partAt, facts);
      const gain = parts.length > 1 ? gainOf(parts) : 0;
      if (gain > best.gain) best = { parts, gain };
    }
    if (best.parts.length < 2) return;
    loops.set(at, build(best.parts, users, facts));
    for (const part of best.parts) taken.add(part.at);
  });
  return steps.flatMap((step, at) => loops.get(at) ?? (taken.has(at) ? [] : [step]));
}

/** How many steps touch each buffer. */
function countUsers(steps: readonly Step[]): Map<number, number> {
  const users = new Map<number, number>();
  for (const { inputs, outputs } of steps) {
    for (const buffer of new Set([...inputs, ...outputs].map((x) => x.buffer))) users.set(buffer, (users.get(buffer) ?? 0) + 1);
  }
  return users;
}

function partOf<S extends Named>(step: S & Member, at: number, dim: number): Part<S> | null {
  const reads = step.inputs.map((x) => accessOf(x, step, dim, false));
  const writes = step.outputs.map((x) => accessOf(x, step, dim, true));
  if ([...reads, ...writes].some((a) => a === null || isTorn(a)) || writes.some((a) => a?.stride === 0)) return null;
  return { at, step, dim, reads: reads as Access[], writes: writes as Access[] };
}

/** Gives `partOf` for a step and one of its dims; each is asked for by many seeds. */
type PartAt<S> = (at: number, dim: number) => Part<S> | null;

function partsOf<S extends Named>(steps: readonly S[]): PartAt<S> {
  const known = steps.map(() => new Map<number, Part<S> | null>());
  return (at, dim) => cached(known[at] as Map<number, Part<S> | null>, dim, () => partOf(steps[at] as S & Member, at, dim));
}

/** The steps that can run turn by turn with the one at `at`, along one of its dims. */
function grow<S extends Named>(
  steps: readonly S[],
  at: number,
  dim: number,
  taken: ReadonlySet<number>,
  partAt: PartAt<S>,
  facts: BufferFacts,
): Part<S>[] {
  const size = shapeOf(steps[at] as S & Member)[dim] ?? 1;
  const first = size < MIN_TURNS ? null : partAt(at, dim);
  if (first === null) return [];
  const parts = [first];
  const touched = new Set<number>();
  const touch = ({ reads, writes }: Part<S>): void => [...reads, ...writes].forEach(({ buffer }) => touched.add(buffer));
  touch(first);
  const skipped: S[] = [];
  for (let next = at + 1; next < Math.min(steps.length, at + REACH); next++) {
    const step = steps[next] as S;
    const mayShare = !taken.has(next) && isMember(step) && step.inputs.some((x) => touched.has(x.buffer));
    const part = mayShare ? joining(step, next, size, parts, partAt, facts) : null;
    if (part !== null && skipped.every((other) => mayPass(step, other, facts))) {
      parts.push(part);
      touch(part);
    } else skipped.push(step);
    if (viewsOf(parts) > MAX_VIEWS) return parts.slice(0, -1);
  }
  return parts;
}

const viewsOf = (parts: readonly Part<Step>[]): number => parts.reduce((n, { reads, writes }) => n + reads.length + writes.length, 0);

/** Whether a step may run before another one that it followed. */
export function mayPass(step: Step, other: Step, { mayMeet }: BufferFacts): boolean {
  const meets = (a: readonly ProgramOperand[], b: readonly ProgramOperand[]): boolean =>
    a.some((x) => b.some((y) => mayMeet(x.buffer, y.buffer)));
  return !meets(step.inputs, other.outputs) && !meets(step.outputs, other.inputs) && !meets(step.outputs, other.outputs);
}

function joining<S extends Named>(
  step: S & Member,
  at: number,
  size: number,
  parts: readonly Part<S>[],
  partAt: PartAt<S>,
  facts: BufferFacts,
): Part<S> | null {
  const shape = shapeOf(step);
  for (const dim of dimsOf(step)) {
    if (shape[dim] !== size) continue;
    const part = partAt(at, dim);
    if (part !== null && shares(part, parts) && parts.every((earlier) => agree(earlier, part, facts))) return part;
  }
  return null;
}

/** Reads something that the loop has at hand. */
const shares = (part: Part<Step>, parts: readonly Part<Step>[]): boolean =>
  part.reads.some((x) => x.stride !== 0 && parts.some((p) => [...p.reads, ...p.writes].some((y) => isSame(x, y))));

/** In each turn, two steps meet in the same elements of a buffer that one of them writes, and in no elements of others. */
function agree(earlier: Part<Step>, later: Part<Step>, { mayMeet }: BufferFacts): boolean {
  const fits = (a: Access, b: Access): boolean => (a.buffer === b.buffer ? isSame(a, b) : !mayMeet(a.buffer, b.buffer));
  return (
    earlier.writes.every((w) => [...later.reads, ...later.writes].every((x) => fits(w, x))) &&
    later.writes.every((w) => earlier.reads.every((x) => fits(w, x))) &&
    !later.writes.some((w) => earlier.writes.some((x) => x.buffer === w.buffer))
  );
}

/** Bytes that need not come from far away again. */
function gainOf(parts: readonly Part<Step>[]): number {
  let gain = 0;
  const seen: Access[] = [];
  for (const { reads, writes } of parts) {
    for (const access of reads) if (seen.some((x) => isSame(x, access))) gain += access.bytes;
    seen.push(...reads.filter((x) => x.stride !== 0), ...writes);
  }
  return gain;
}

/** Distinct bytes of one unit of the loop's dim. */
function turnBytes(parts: readonly Part<Step>[]): number {
  const seen: Access[] = [];
  for (const access of parts.flatMap(({ reads, writes }) => [...reads, ...writes])) {
    if (access.stride !== 0 && !seen.some((x) => isSame(x, access))) seen.push(access);
  }
  return seen.reduce((n, access) => n + unitBytes(access), 0);
}

/** How many units go into one turn: a divisor, as many as fit in cache, while enough turns are left. */
function blockSize(size: number, bytes: number): number {
  let block = 1;
  for (let b = 2; b <= size / MIN_TURNS; b++) {
    if (size % b === 0 && b * bytes <= TURN_BYTES && (size / b >= GOOD_TURNS || b * bytes <= TURN_BYTES / 8)) block = b;
  }
  return block;
}

function build<S extends Named>(parts: readonly Part<S>[], users: ReadonlyMap<number, number>, facts: BufferFacts): S {
  const [{ step: seed, dim }] = parts as [Part<S>];
  const size = shapeOf(seed)[dim] as number;
  const block = blockSize(size, turnBytes(parts));
  const table = new ViewTable(block, hiddenBuffers(parts, users, facts));
  const body = parts.map((part): Step => {
    const { step, reads, writes } = part;
    return {
      kernel: resized(step.kernel, part.dim, size, block),
      inputs: step.inputs.map((x, k) => table.place(x, reads[k] as Access, false, part)),
      outputs: step.outputs.map((x, k) => table.place(x, writes[k] as Access, true, part)),
      scalarBase: step.scalarBase,
    };
  });
  const scratch = placeHidden(body, table.hiddenViews());
  const kernel: LoopKernel = {
    family: 'loop',
    count: size / block,
    steps: body,
    scratch: scratch.bytes,
    views: table.finish(scratch.offsets),
  };
  const name = [...new Set(parts.map(({ step }) => step.name))].join(' + ');
  return { ...seed, name, kernel, inputs: table.inputs, outputs: table.outputs, scalarBase: 0 };
}

/** Temporaries that only these steps touch, and how they are written. */
function hiddenBuffers(parts: readonly Part<Step>[], users: ReadonlyMap<number, number>, facts: BufferFacts): Map<number, Access> {
  const own = countUsers(parts.map(({ step }) => step));
  const hidden = new Map<number, Access>();
  for (const access of parts.flatMap(({ writes }) => writes)) {
    const { buffer } = access;
    if (facts.isTemporary(buffer) && own.get(buffer) === users.get(buffer)) hidden.set(buffer, access);
  }
  return hidden;
}

interface PlacedView {
  /** In the list of what is read or written; -1: in scratch memory. */
  readonly at: number;
  readonly written: boolean;
  readonly home: ViewHome;
}

/** Gives every operand of a loop's steps a view. */
class ViewTable {
  readonly inputs: ProgramOperand[] = [];
  readonly outputs: ProgramOperand[] = [];
  private readonly views: PlacedView[] = [];

  constructor(
    private readonly block: number,
    private readonly hidden: ReadonlyMap<number, Access>,
  ) {}

  place(x: ProgramOperand, { buffer, stride }: Access, written: boolean, { step, dim }: Part<Step>): ProgramOperand {
    const made = this.hidden.get(buffer);
    const home = { ...x, spec: blockOf(x, step, dim, this.block, written), stride: this.block * stride };
    const at = made ? -1 : (written ? this.outputs : this.inputs).push(x) - 1;
    const spec = made ? blockOf(x, step, dim, this.block, written, made) : home.spec;
    return { buffer: this.views.push({ at, written, home }) - 1, spec, offset: 0 };
  }

  /** The buffer of each view that is in scratch memory, -1 for the others. */
  hiddenViews(): number[] {
    return this.views.map(({ at, home }) => (at < 0 ? home.buffer : -1));
  }

  finish(offsets: ReadonlyMap<number, number>): LoopView[] {
    return this.views.map(({ at, written, home }) => {
      if (at < 0) return { operand: -1, offset: offsets.get(home.buffer) ?? 0, stride: 0, home };
      return { operand: written ? this.inputs.length + at : at, offset: 0, stride: home.stride };
    });
  }
}

/** Places of the private buffers in scratch memory, by the buffers' numbers. */
function placeHidden(body: readonly Step[], buffers: readonly number[]) {
  const sizes = new Map<number, number>();
  const renamed = body.map((step) => {
    const rename = (x: ProgramOperand): ProgramOperand => ({ ...x, buffer: buffers[x.buffer] as number });
    const hidden = (list: readonly ProgramOperand[]): ProgramOperand[] => list.map(rename).filter((x) => x.buffer >= 0);
    const [inputs, outputs] = [hidden(step.inputs), hidden(step.outputs)];
    for (const { buffer, spec } of outputs) sizes.set(buffer, spec.size * dtypes[spec.dtype].bytes);
    return { ...step, inputs, outputs };
  });
  return planArena(renamed, (buffer) => sizes.get(buffer));
}
