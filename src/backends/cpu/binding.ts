import type { Program } from '../../program/program.js';
import type { CpuStorage, StoragePool } from './storage.js';

/** What the addon and the WASM module have in common: memory, and one function that runs what the mailbox says. */
export interface Binding {
  readonly kind: 'native' | 'wasm';
  /** The instruction set in use: avx512, avx2, neon, baseline, simd or relaxed. */
  readonly isa: string;
  /** All that this machine can run, best first. */
  readonly isas: readonly string[];
  readonly threads: number;
  /** Position of `isa` in `isas`, as the engine counts. */
  readonly variant: number;
  readonly pool: StoragePool;
  /** See engine/mailbox.h. Empty when its memory has moved: `openMailbox` gives the new one. */
  readonly mailbox: Float64Array;
  /** A mailbox of at least this many numbers. */
  openMailbox(numbers: number): Float64Array;
  run(): void;
  findAot(lo: number, hi: number): number;
  /** Another form of a program that this engine runs faster. */
  tuned?(program: Program): Program;
  /** The bytes of a storage, as they are in memory. Valid until the next allocation. */
  bytes(storage: CpuStorage, byteOffset: number, length: number): Uint8Array;
  /** Bytes that the engine's own memory holds now, where it has one. */
  memory(): number | undefined;
}

/** Places in the mailbox before a run: tape, position of the scalars, variant, threads, then addresses and scalars. */
export const MAILBOX_HEADER = 4;

/** Results of a run, as in engine/abi.h. */
export const outcomes = { ok: 0, index: 1, memory: 2, tape: 3, factor: 4 } as const;
