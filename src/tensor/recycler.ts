import type { AllocationListener } from '../ops/apply.js';
import type { Storage } from '../program/backend.js';
import type { Device } from './device.js';
import type { Tensor } from './tensor.js';

/**
 * Gives temporaries of a backward pass back to the device as soon as their last reader has run.
 * Only storages allocated during the pass are candidates, and only while nobody outside can have seen them.
 */
export class Recycler {
  /** Storages made since the last sweep. */
  private fresh: Storage[] = [];
  /** How many pending gradients use a storage of this pass. */
  private readonly readers = new Map<Storage, number>();
  /** Storages whose last reader has gone since the last sweep. */
  private consumed: Storage[] = [];
  private readonly device: Device;
  readonly listener: AllocationListener;

  constructor(root: Tensor) {
    this.device = root.device;
    this.listener = (storage) => void this.fresh.push(storage);
  }

  /** A gradient waits to be consumed. */
  hold({ storage }: Tensor): void {
    const known = this.readers.get(storage);
    if (known !== undefined) this.readers.set(storage, known + 1);
    else if (this.fresh.includes(storage)) this.readers.set(storage, 1);
  }

  /** A gradient was consumed. */
  drop({ storage }: Tensor): void {
    const known = this.readers.get(storage);
    if (known === undefined) return;
    this.readers.set(storage, known - 1);
    if (known === 1) this.consumed.push(storage);
  }

  /** Frees what this step made and no pending gradient uses, and what the step consumed last. */
  sweep(): void {
    for (const storage of this.fresh) if (!this.readers.has(storage)) this.device.release(storage);
    this.fresh.length = 0;
    for (const storage of this.consumed) {
      if (this.readers.get(storage) !== 0) continue;
      this.readers.delete(storage);
      this.device.release(storage);
    }
    this.consumed.length = 0;
  }

  /** Somebody outside has seen these: they belong to the garbage collector from now on. */
  surrender(tensors: readonly (Tensor | null)[]): void {
    for (const t of tensors) if (t !== null) this.forget(t.storage);
  }
  surrenderNew(): void {
    this.fresh.length = 0;
  }

  keepIf({ storage }: Tensor, sink: { keeps(storage: Storage): boolean }): void {
    if (sink.keeps(storage)) this.forget(storage);
  }

  /** The pass is over: everything that is not kept goes back. */
  finish(sink: { keeps(storage: Storage): boolean }): void {
    for (const storage of this.fresh) if (!sink.keeps(storage) && !this.readers.has(storage)) this.device.release(storage);
    for (const [storage] of this.readers) if (!sink.keeps(storage)) this.device.release(storage);
    this.fresh = [];
    this.readers.clear();
  }

  private forget(storage: Storage): void {
    this.readers.delete(storage);
    const i = this.fresh.indexOf(storage);
    if (i >= 0) this.fresh.splice(i, 1);
  }
}
