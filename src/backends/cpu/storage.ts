import { internal } from '../../core/errors.js';
import type { Storage } from '../../program/backend.js';

/** Memory as the engine gets it: 64-byte aligned. It lives as long as something refers to it, or until `free`. */
export interface Block {
  readonly address: number;
  /** Gives the memory back now, where the garbage collector would only do so later. */
  free(): void;
}

/** Bytes in a block. Small tensors share one. */
export class CpuStorage implements Storage {
  version = 0;

  constructor(
    readonly pool: StoragePool,
    readonly block: Block,
    readonly address: number,
    /** Bytes in use; a storage taken from a free list may have room for more. */
    public byteLength: number,
  ) {}
}

/** In the free list, a storage carries this version, so that a second release is noticed. */
const RELEASED = -1;
const ALIGNMENT = 64;
/** Up to here storages are cut from slabs of their size class, 64, 128, 256 ... 16384 bytes: a block of its own costs about 4 us. */
const SMALL = 16384;
const MIN_SLAB = 8192;
const MAX_SLAB = 262144;
/** Released storages that a class keeps for reuse: each may pin its slab. */
const MAX_FREE_SMALL = 256;
const MAX_FREE_SMALL_BYTES = 2 ** 20;
/** Released memory that is kept for reuse. */
const MAX_FREE_BYTES = 256 * 2 ** 20;

/** The slots of one small size. Classes do not share slabs, so that a scalar that is kept does not pin a page of temporaries. */
class SlabClass {
  readonly free: CpuStorage[] = [];
  private slab: Block | undefined;
  private next = 0;
  private end = 0;
  private readonly slabBytes: number;
  private readonly maxFree: number;

  constructor(
    private readonly pool: StoragePool,
    private readonly slotBytes: number,
  ) {
    this.slabBytes = Math.min(MAX_SLAB, Math.max(MIN_SLAB, slotBytes * 32));
    this.maxFree = Math.min(MAX_FREE_SMALL, MAX_FREE_SMALL_BYTES / slotBytes);
  }

  take(bytes: number): CpuStorage {
    const reused = this.free.pop();
    if (reused !== undefined) return revive(reused, bytes);
    if (this.next === this.end || this.slab === undefined) {
      this.slab = this.pool.newBlock(this.slabBytes);
      this.next = this.slab.address;
      this.end = this.next + this.slabBytes;
    }
    const address = this.next;
    this.next += this.slotBytes;
    return new CpuStorage(this.pool, this.slab, address, bytes);
  }

  give(storage: CpuStorage): void {
    if (this.free.length < this.maxFree) this.free.push(storage);
  }
}

/** Storages by size class. Memory that is released is reused while it is still in the cache; the rest is garbage-collected. */
export class StoragePool {
  private readonly small: readonly SlabClass[];
  /** Free storages by rounded size, the size used longest ago first. */
  private readonly free = new Map<number, CpuStorage[]>();
  private freeBytes = 0;

  /** `apart`: a block for each storage, of its size and used once, so that a checker of memory sees where it ends. */
  constructor(
    readonly newBlock: (bytes: number) => Block,
    private readonly apart = false,
  ) {
    const classes = Math.log2(SMALL / ALIGNMENT) + 1;
    this.small = Array.from({ length: classes }, (_, i) => new SlabClass(this, ALIGNMENT << i));
  }

  allocate(bytes: number): CpuStorage {
    if (this.apart) return this.alone(bytes, bytes);
    if (bytes <= SMALL) return this.slabClass(bytes).take(bytes);
    const rounded = roundUp(bytes);
    const list = this.free.get(rounded);
    const reused = list?.pop();
    if (reused !== undefined) {
      this.freeBytes -= rounded;
      return revive(reused, bytes);
    }
    return this.alone(bytes, rounded);
  }

  private alone(bytes: number, room: number): CpuStorage {
    const block = this.newBlock(room);
    return new CpuStorage(this, block, block.address, bytes);
  }

  release(storage: CpuStorage): void {
    if (storage.version === RELEASED) throw internal('a storage was released twice');
    storage.version = RELEASED;
    if (this.apart) return;
    if (storage.byteLength <= SMALL) this.slabClass(storage.byteLength).give(storage);
    else this.keep(storage, roundUp(storage.byteLength));
  }

  private keep(storage: CpuStorage, rounded: number): void {
    if (rounded > MAX_FREE_BYTES) {
      storage.block.free();
      return;
    }
    while (this.freeBytes + rounded > MAX_FREE_BYTES) this.dropOldest();
    const list = this.free.get(rounded) ?? [];
    list.push(storage);
    this.free.delete(rounded);
    this.free.set(rounded, list);
    this.freeBytes += rounded;
  }

  /** Gives all released memory back. */
  trim(): void {
    while (this.free.size > 0) this.dropOldest();
  }

  private slabClass(bytes: number): SlabClass {
    return this.small[bytes <= ALIGNMENT ? 0 : 26 - Math.clz32(bytes - 1)] as SlabClass;
  }

  private dropOldest(): void {
    const [oldest] = this.free;
    if (oldest === undefined) return;
    const [rounded, list] = oldest;
    const storage = list.pop();
    if (storage === undefined) {
      this.free.delete(rounded);
    } else {
      storage.block.free();
      this.freeBytes -= rounded;
    }
  }
}

function revive(storage: CpuStorage, bytes: number): CpuStorage {
  storage.version = 0;
  storage.byteLength = bytes;
  return storage;
}

/** Sizes in steps of an eighth of a power of two, at least a page: nearby sizes can then use each other's memory. */
function roundUp(bytes: number): number {
  const step = Math.max(4096, 2 ** (Math.floor(Math.log2(bytes)) - 3));
  return Math.ceil(bytes / step) * step;
}
