import type { Storage } from '../program/backend.js';
import type { Tensor } from './tensor.js';

/** Stands for the bytes of one example inside vmap(): all examples lie in the storage behind `real`, `stride` elements apart. */
export class BatchedStorage implements Storage {
  readonly byteLength: number;

  constructor(
    /** The vmap that made it. */
    readonly owner: object,
    readonly real: Tensor,
    readonly stride: number,
  ) {
    this.byteLength = real.storage.byteLength;
  }

  get version(): number {
    return this.real.storage.version;
  }
  set version(value: number) {
    this.real.storage.version = value;
  }
}
