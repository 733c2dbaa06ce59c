import type { Storage } from '../program/backend.js';
import type { Device } from '../tensor/device.js';
import type { Homes } from './layout.js';

/** What the programs of one compiled function have in common, as only one of them runs at a time. */
export class SharedMemory {
  readonly homes: Homes = new Map();
  private storage: Storage | null = null;
  private device: Device | null = null;

  /** Room for the temporaries of a run: as much as the largest program needs. */
  arena(device: Device, bytes: number): Storage {
    if (this.storage !== null && this.device === device && this.storage.byteLength >= bytes) return this.storage;
    if (this.storage !== null) this.device?.release(this.storage);
    this.device = device;
    this.storage = device.allocate(bytes);
    return this.storage;
  }
}
