import { createRequire } from 'node:module';
import { availableParallelism } from 'node:os';
import { resolve } from 'node:path';
import { LibError } from '../../core/errors.js';
import { toBytecode } from '../../expr/bytecode.js';
import type { Program } from '../../program/program.js';
import { CpuBackend, type CpuOptions, checkThreads } from './backend.js';
import type { Binding } from './binding.js';
import { checkFormat } from './format.js';
import { mergeMaps } from './mergeMaps.js';
import { type Block, type CpuStorage, StoragePool } from './storage.js';

/** What engine/bind_napi.cpp exports. */
interface Addon {
  readonly variants: readonly string[];
  /** Of the tapes that it reads. */
  readonly format?: string;
  /** A build that watches every access to memory: storages are to lie apart. */
  readonly guarded?: boolean;
  setMailbox(buffer: ArrayBuffer): void;
  address(buffer: ArrayBuffer): number;
  run(): void;
  aotFind(lo: number, hi: number): number;
}

const ALIGNMENT = 64;

/** A JavaScript ArrayBuffer, so that the garbage collector counts it and frees it, in synchronous loops too. */
class NativeBlock implements Block {
  /** Bytes before the first aligned one. */
  readonly shift: number;
  readonly address: number;

  constructor(
    readonly buffer: ArrayBuffer,
    start: number,
  ) {
    this.shift = (ALIGNMENT - (start % ALIGNMENT)) % ALIGNMENT;
    this.address = start + this.shift;
  }

  /** Nothing to do: whoever calls this drops the last reference. */
  free(): void {}
}

/** The mailbox is the addon's, and so the same for every backend of this thread. */
let mailbox = new Float64Array(0);

class NativeBinding implements Binding {
  readonly kind = 'native';
  readonly isas: readonly string[];
  readonly pool: StoragePool;
  readonly run: () => void;

  constructor(
    private readonly addon: Addon,
    readonly variant: number,
    readonly threads: number,
  ) {
    this.isas = addon.variants;
    this.run = addon.run;
    this.pool = new StoragePool((bytes) => {
      const { buffer } = Buffer.allocUnsafeSlow(bytes + ALIGNMENT);
      return new NativeBlock(buffer, addon.address(buffer));
    }, addon.guarded);
    this.openMailbox(1024);
  }

  get isa(): string {
    return this.isas[this.variant] ?? '';
  }

  get mailbox(): Float64Array {
    return mailbox;
  }

  openMailbox(numbers: number): Float64Array {
    if (mailbox.length < numbers) {
      const buffer = new ArrayBuffer(2 * numbers * Float64Array.BYTES_PER_ELEMENT);
      this.addon.setMailbox(buffer);
      mailbox = new Float64Array(buffer);
    }
    return mailbox;
  }

  findAot(lo: number, hi: number): number {
    return this.addon.aotFind(lo, hi);
  }

  tuned(program: Program): Program {
    return mergeMaps(program, (exprs) => this.addon.aotFind(...toBytecode(exprs, 'float32').hash) >= 0);
  }

  bytes(storage: CpuStorage, byteOffset: number, length: number): Uint8Array {
    const { buffer, shift, address } = storage.block as NativeBlock;
    return new Uint8Array(buffer, shift + (storage.address - address) + byteOffset, length);
  }

  /** The memory is JavaScript's: process.memoryUsage() counts it. */
  memory(): undefined {
    return undefined;
  }
}

/** The addon that CHAINRULE_ADDON names, the one that the build left in dist/native, or this platform's optional package. */
function loadAddon(): Addon {
  const require = createRequire(import.meta.url);
  const platform = `${process.platform}-${process.arch}`;
  const { CHAINRULE_ADDON: chosen } = process.env;
  if (chosen) return require(resolve(chosen)) as Addon;
  const places = [`../../native/chainrule-${platform}.node`, `@chainrule/${platform}`];
  for (const place of places) {
    try {
      return require(place) as Addon;
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') throw error;
    }
  }
  throw Object.assign(new Error(`there is no native addon for ${platform}`), { code: 'MODULE_NOT_FOUND' });
}

/** The engine as a Node addon. Throws when there is none for this platform. */
export function nativeBackend({ threads, isa }: CpuOptions = {}): CpuBackend {
  const addon = loadAddon();
  checkFormat('native', addon.format);
  if (addon.variants.length === 0) throw new Error('the native addon was built for another processor');
  const variant = isa === undefined ? 0 : addon.variants.indexOf(isa);
  if (variant < 0) throw new LibError('option', `isa: this machine runs ${addon.variants.join(', ')}, got '${isa}'.`);
  return new CpuBackend(new NativeBinding(addon, variant, checkThreads(threads ?? availableParallelism())));
}
