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
  const taken: Slot[] = []; // the same, by offset
  let bytes = 0;
  steps.forEach((step, at) => {
    for (const out of step.outputs) {
      if (lifetimes.get(out.buffer)?.first !== at || slots.has(out.buffer)) continue;
      const size = sizeOf(out.buffer) ?? 0;
      const heir = dyingTwin(step, out, size, (b) => slots.has(b) && lifetimes.get(b)?.last === at && sizeOf(b) === size);
      const slot = (heir !== undefined && slots.get(heir)) || lowestGap(taken, size);
      if (heir !== undefined) slots.delete(heir);
      else taken.splice(placeOf(taken, slot.offset), 0, slot);
      slots.set(out.buffer, slot);
      offsets.set(out.buffer, slot.offset);
      bytes = Math.max(bytes, slot.end);
    }
    for (const { buffer } of [...step.inputs, ...step.outputs]) {
      const slot = lifetimes.get(buffer)?.last === at ? slots.get(buffer) : undefined;
      if (slot === undefined) continue;
      slots.delete(buffer);
      taken.splice(taken.indexOf(slot, placeOf(taken, slot.offset)), 1);
    }
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

/** An input whose place an output may take, since it is not needed any more. */
function dyingTwin(step: Step, out: ProgramOperand, bytes: number, dies: (buffer: number) => boolean): number | undefined {
  if (out.spec.bytes !== bytes) return undefined;
  const fits = (x: ProgramOperand): boolean => x.spec === out.spec && x.offset === out.offset;
  const isFree = (x: ProgramOperand): boolean => step.inputs.every((y) => y.buffer !== x.buffer || fits(y));
  return readFirst(step, out).find((x) => fits(x) && dies(x.buffer) && isFree(x))?.buffer;
}

/** Inputs of which the kernel reads each element before it writes the output's there. */
function readFirst({ kernel, inputs, outputs }: Step, out: ProgramOperand): readonly ProgramOperand[] {
  switch (kernel.family) {
    case 'map':
      return inputs;
    case 'layerNorm':
      return out === outputs[0] ? inputs.slice(0, kernel.by === 'forward' ? 1 : 2) : [];
    case 'recurrent': {
      const [made, read] = kernel.by === 'forward' ? [outputs[1], inputs[0]] : [outputs[0], inputs[2]];
      return kernel.cell === 'lstm' && out === made && read !== undefined ? [read] : [];
    }
    default:
      return [];
  }
}

function lowestGap(taken: readonly Slot[], bytes: number): Slot {
  const size = Math.max(ALIGNMENT, Math.ceil(bytes / ALIGNMENT) * ALIGNMENT);
  let offset = 0;
  for (const slot of taken) {
    if (slot.offset - offset >= size) break;
    offset = Math.max(offset, slot.end);
  }
  return { offset, end: offset + size };
}

/** Where a slot with this offset stands, or would stand. */
function placeOf(taken: readonly Slot[], offset: number): number {
  let [low, high] = [0, taken.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((taken[middle] as Slot).offset < offset) low = middle + 1;
    else high = middle;
  }
  return low;
}
