import { LibError } from '../core/errors.js';
import type { Storage } from '../program/backend.js';
import { BatchedStorage } from './batched.js';
import type { Tensor, TensorData } from './tensor.js';

/** Stands for the bytes of a value in a program that is being captured: there are none yet. */
export class SymbolicStorage implements Storage {
  version = 0;
  constructor(readonly byteLength: number) {}
}

/** What a program that is being captured has to know of the JavaScript around its steps. */
export interface Capture {
  allocate(bytes: number): SymbolicStorage;
  /** Called before `.grad` of a tensor is read or set, with what it is now. */
  readsGrad(t: Tensor, now: Tensor | null): void;
  setsGrad(t: Tensor, now: Tensor | null): void;
  /** The program is right as long as `holds()` is true. One guard per owner. */
  guard(owner: object, holds: () => boolean): void;
  /** `again` is run before each later run of the program: bookkeeping that the captured function would have done. */
  onReplay(again: () => void): void;
  /** From here until the result is called, steps repeat earlier ones on purpose: to have their values later, not twice. */
  repeats(): () => void;
}

let current: Capture | null = null;
/** The capture that is going on, or null. */
export const capturing = (): Capture | null => current;
/** @internal Installs another capture and returns the previous one. */
export function setCapture(next: Capture | null): Capture | null {
  const before = current;
  current = next;
  return before;
}

/** Whether the value of a tensor can be had at once, without leaving a capture or a mapped function. */
export const isReadable = ({ storage, device }: Tensor): boolean =>
  current === null && device.downloadNow !== undefined && !(storage instanceof SymbolicStorage || storage instanceof BatchedStorage);

/** Refuses to read values that are not known, or whose being read a program could not repeat. */
export function checkReadable(op: string, { storage }: Tensor): void {
  if (current !== null) {
    throw new LibError(
      'capture',
      `${op}: values must be there to be read, got a tensor whose value is not known while compile() is capturing.`,
      'return it from the compiled function and do this outside.',
    );
  }
  if (storage instanceof SymbolicStorage) throw leaked(op);
  if (storage instanceof BatchedStorage) {
    throw new LibError(
      'capture',
      `${op}: values must be there to be read, got a tensor whose value for one example is not known inside vmap().`,
      'return it, and do this outside with all of them.',
    );
  }
}

/** The values of a tensor in row-major order, for an op whose work depends on them. */
export function valuesOf(op: string, x: Tensor): TensorData {
  checkReadable(op, x);
  return x.toArray();
}

/** For tensors that outlive the capture they were made in. */
export const leaked = (op: string): LibError =>
  new LibError(
    'capture',
    `${op}: a tensor made inside a compiled function has no value outside of it, got one that was kept there.`,
    'return it from the compiled function.',
  );
