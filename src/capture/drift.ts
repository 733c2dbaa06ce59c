import type { Storage } from '../program/backend.js';
import { SymbolicStorage } from '../tensor/capturing.js';
import { isTensor, type Tensor } from '../tensor/tensor.js';
import { collectTensors, sameStructure } from '../tensor/tree.js';
import type { Trace } from './replay.js';
import type { TracedStep, Tracer } from './tracer.js';

/**
 * What two captures of a function under the same guards do differently, in words; null if they do the same. A replay repeats the
 * first capture, so a difference is JavaScript state that the program froze: a counter, a branch, a number that changes.
 */
export function driftBetween(before: Trace, now: Trace): string | null {
  const [was, is] = [before.tracer, now.tracer];
  for (let i = 0; i < Math.max(was.steps.length, is.steps.length); i++) {
    const [a, b] = [was.steps[i], is.steps[i]];
    if (a?.name !== b?.name) return `step ${i + 1} was ${a?.name ?? 'the end'} and is now ${b?.name ?? 'the end'}`;
    const change = stepChange(a as TracedStep, b as TracedStep, was, is);
    if (change !== null) return `step ${i + 1}, ${b?.name}, ${change}`;
  }
  return resultChange(before, now);
}

function stepChange(a: TracedStep, b: TracedStep, was: Tracer, is: Tracer): string | null {
  if (!sameValue(a.kernel, b.kernel)) return 'has other options';
  const [before, now] = [
    [...a.inputs, ...a.outputs],
    [...b.inputs, ...b.outputs],
  ];
  for (const [k, x] of before.entries()) {
    const y = now[k];
    if (x.spec !== y?.spec || x.offset !== y.offset) return 'has operands of other shapes';
    if (x.buffer !== y.buffer || !sameStorage(was.buffers[x.buffer], is.buffers[y.buffer], was)) return 'reads or writes another tensor';
  }
  return scalarChange(a, b, was, is);
}

/** Numbers that are read anew at each run may differ. */
function scalarChange(a: TracedStep, b: TracedStep, was: Tracer, is: Tracer): string | null {
  for (let k = 0; k < a.scalars; k++) {
    const [x, y] = [was.scalars[a.scalarBase + k], is.scalars[b.scalarBase + k]];
    if (!was.live.has(a.scalarBase + k) && !Object.is(x, y)) return `used the number ${x} and now uses ${y}`;
  }
  return null;
}

/** The same memory, or constants made inside the function with the same bytes. */
function sameStorage(a: Storage | undefined, b: Storage | undefined, { device }: Tracer): boolean {
  if (a === b) return true;
  if (a === undefined || b === undefined || a.byteLength !== b.byteLength) return false;
  if (a instanceof SymbolicStorage || b instanceof SymbolicStorage) return a instanceof SymbolicStorage === b instanceof SymbolicStorage;
  if (device?.downloadNow === undefined) return true;
  const [x, y] = [a, b].map((s) => new Uint8Array(device.downloadNow?.(s, 0, s.byteLength) ?? []));
  return x?.every((byte, i) => byte === y?.[i]) ?? false;
}

function resultChange({ result: a, tracer: was }: Trace, { result: b, tracer: is }: Trace): string | null {
  if (!sameStructure(a, b)) return 'the result has another structure, or other plain values';
  const tensors = [a, b].map((value): Tensor[] => {
    const found: Tensor[] = [];
    collectTensors(value, found);
    return found;
  });
  const moved = tensors[0]?.some((x, i) => {
    const y = tensors[1]?.[i];
    return y === undefined || x.spec !== y.spec || was.numberOf(x.storage) !== is.numberOf(y.storage);
  });
  return moved ? 'the result is another tensor' : null;
}

/** Deep equality of kernels: plain objects and arrays; expressions are interned. */
function sameValue(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== 'object' || typeof b !== 'object' || a === null || b === null || isTensor(a)) return false;
  const [keys, others] = [Object.keys(a), Object.keys(b)];
  const [left, right] = [a as Readonly<Record<string, unknown>>, b as Readonly<Record<string, unknown>>];
  return !('id' in a && 'id' in b && a.id !== b.id) && keys.length === others.length && keys.every((k) => sameValue(left[k], right[k]));
}
