import type { ProgramOperand, Step } from '../program.js';

/** Where the temporaries of a program lie in one storage. */
export interface Arena {
  /** Byte offset of each temporary that the steps use. */
  readonly offsets: ReadonlyMap<number, number>;
  readonly bytes: number;
}

/** As the engine's vectors and cache lines want it. */
const ALIGNMENT = 64;

export interface Lifetime {
  readonly first: number;
  last: number;
}

/** Bytes of the arena that a temporary holds now. */
interface Slot {
  readonly offset: number;
  readonly end: number;
}

/**
 * Gives every temporary (a buffer with a size) a place, lowest gap first, for as long as some step reads or writes it. The result
 * of a map takes the place of an input that dies with it and has the same layout.
 */
export function planArena(steps: readonly Step[], sizeOf: (buffer: number) => number | undefined): Arena {
  const lifetimes = lifetimesOf(steps, sizeOf);
  const offsets = new Map<number, number>();
  const slots = new Map<number, Slot>(); // of the temporaries that are alive
  let bytes = 0;
  steps.forEach((step, at) => {
    for (const out of step.outputs) {
      if (lifetimes.get(out.buffer)?.first !== at || slots.has(out.buffer)) continue;
      const size = sizeOf(out.buffer) ?? 0;
      const heir = dyingTwin(step, out, size, (b) => slots.has(b) && lifetimes.get(b)?.last === at && sizeOf(b) === size);
      const slot = (heir !== undefined && slots.get(heir)) || lowestGap([...slots.values()], size);
      if (heir !== undefined) slots.delete(heir);
      slots.set(out.buffer, slot);
      offsets.set(out.buffer, slot.offset);
      bytes = Math.max(bytes, slot.end);
    }
    for (const { buffer } of [...step.inputs, ...step.outputs]) if (lifetimes.get(buffer)?.last === at) slots.delete(buffer);
  });
  return { offsets, bytes };
}

/** The first and the last step that touch each temporary. */
export function lifetimesOf(steps: readonly Step[], sizeOf: (buffer: number) => number | undefined): Map<number, Lifetime> {
  const lifetimes = new Map<number, Lifetime>();
  steps.forEach(({ inputs, outputs }, at) => {
    for (const { buffer } of [...outputs, ...inputs]) {
      const known = lifetimes.get(buffer);
      if (known !== undefined) known.last = at;
      else if (sizeOf(buffer) !== undefined) lifetimes.set(buffer, { first: at, last: at });
    }
  });
  return lifetimes;
}

/** An input of a map whose place its output may take: the kernel reads each element before it writes it. */
function dyingTwin({ kernel, inputs }: Step, out: ProgramOperand, bytes: number, dies: (buffer: number) => boolean): number | undefined {
  if (kernel.family !== 'map' || out.spec.bytes !== bytes) return undefined;
  const fits = (x: ProgramOperand): boolean => x.spec === out.spec && x.offset === out.offset;
  return inputs.find((x) => fits(x) && dies(x.buffer) && inputs.every((y) => y.buffer !== x.buffer || fits(y)))?.buffer;
}

function lowestGap(taken: Slot[], bytes: number): Slot {
  const size = Math.max(ALIGNMENT, Math.ceil(bytes / ALIGNMENT) * ALIGNMENT);
  taken.sort((a, b) => a.offset - b.offset);
  let offset = 0;
  for (const slot of taken) {
    if (slot.offset - offset >= size) break;
    offset = Math.max(offset, slot.end);
  }
  return { offset, end: offset + size };
}
