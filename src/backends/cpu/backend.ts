import { type DType, dtypes } from '../../core/dtype.js';
import { internal, KernelError, LibError } from '../../core/errors.js';
import { type Backend, type Executable, nextBackendId, type Storage } from '../../program/backend.js';
import { factorError } from '../../program/factor.js';
import { isFused, type Kernel } from '../../program/kernel.js';
import type { Program } from '../../program/program.js';
import { type Binding, MAILBOX_HEADER, outcomes } from './binding.js';
import { encodeProgram } from './encode.js';
import { factorNames } from './encodeFactor.js';
import { CpuStorage } from './storage.js';
import { families } from './tapeWriter.js';

/** How a CPU engine is set up. */
export interface CpuOptions {
  /** Default: one per processor. 1 where the platform allows no threads. */
  readonly threads?: number;
  /** Instruction set: native avx512, avx2, neon, baseline; wasm simd, relaxed. Default: the best there is. */
  readonly isa?: string;
}

/** Facts about a running engine, for people and bug reports. */
export interface EngineInfo {
  readonly engine: 'native' | 'wasm';
  readonly isa: string;
  /** All instruction sets that this machine could use, best first. */
  readonly isas: readonly string[];
  readonly threads: number;
  /** Bytes of the engine's own memory, where it has one (wasm). */
  readonly memory: number | undefined;
}

/** How a peak is measured; by default, on one core for some 50 ms. */
export interface PeakOptions {
  readonly iterations?: number;
  readonly clock?: () => number;
  readonly threads?: number;
  readonly times?: number;
}

const MAX_THREADS = 64;

/** Rejects thread counts that make no sense; large ones are cut to what the engine's pool can hold. */
export function checkThreads(threads: number): number {
  if (!Number.isInteger(threads) || threads < 1) throw new LibError('option', `threads: must be a positive integer, got ${threads}.`);
  return Math.min(threads, MAX_THREADS);
}

/** The C++ engine, as a Node addon or as WASM: both run the same tapes. */
export class CpuBackend implements Backend {
  readonly id: number = nextBackendId();
  readonly name: 'native' | 'wasm';
  readonly keepsBits = true;
  private readonly findAot: (lo: number, hi: number) => number;

  /** @internal Use nativeBackend or wasmBackend. */
  constructor(private readonly binding: Binding) {
    this.name = binding.kind;
    this.findAot = (lo, hi) => binding.findAot(lo, hi);
  }

  describe(): string {
    const { kind, isa, threads } = this.binding;
    const set = isa === 'relaxed' ? 'relaxed simd' : isa;
    return `${kind} ${set}, ${threads} ${threads === 1 ? 'thread' : 'threads'}`;
  }

  engineInfo(): EngineInfo {
    const { kind, isa, isas, threads } = this.binding;
    return { engine: kind, isa, isas, threads, memory: this.binding.memory() };
  }

  supports({ family }: Kernel, dtypes: readonly DType[]): boolean {
    return !isFused(family) || dtypes.every((dtype) => dtype === 'float32' || dtype === 'bool');
  }

  allocate(bytes: number): CpuStorage {
    return this.binding.pool.allocate(bytes);
  }

  release(storage: Storage): void {
    this.binding.pool.release(this.own(storage));
  }

  upload(to: Storage, byteOffset: number, bytes: Uint8Array): void {
    this.bytes(to, byteOffset, bytes.byteLength).set(bytes);
  }

  async download(from: Storage, byteOffset: number, bytes: number): Promise<ArrayBuffer> {
    return this.downloadNow(from, byteOffset, bytes);
  }

  downloadNow(from: Storage, byteOffset: number, bytes: number): ArrayBuffer {
    const copy = new Uint8Array(bytes);
    copy.set(this.bytes(from, byteOffset, bytes));
    return copy.buffer;
  }

  compile(program: Program): Executable {
    const words = encodeProgram(this.binding.tuned?.(program) ?? program, this.findAot);
    const tape = this.allocate(words.byteLength);
    this.upload(tape, 0, new Uint8Array(words.buffer, words.byteOffset, words.byteLength));
    return new CpuExecutable(this.binding, tape, program.buffers);
  }

  /**
   * Billions of float32 operations a second that a core can do at most while `threads` of them compute, measured now by `clock`: the best
   * of `times`. For benchmarks.
   */
  peakGflops({ iterations = 2 ** 22, clock = () => performance.now(), threads = 1, times = 3 }: PeakOptions = {}): number {
    const out = this.allocate(4 + 4 * threads);
    const best = Math.max(...Array.from({ length: times }, () => this.probe(out, iterations, threads, clock)));
    this.release(out);
    return best;
  }

  maxGflops(): number {
    const { threads } = this.binding;
    return this.peakGflops({ threads }) * threads;
  }

  private probe(out: CpuStorage, iterations: number, threads: number, clock: () => number): number {
    const words = Int32Array.of(families.probe, 8, 0, iterations, threads, 0, dtypes.float32.code, 0, 0);
    const tape = this.allocate(words.byteLength);
    this.upload(tape, 0, new Uint8Array(words.buffer));
    const start = clock();
    new CpuExecutable(this.binding, tape, 1).run([out], [0], [0.999, 0.001]);
    const elapsed = clock() - start;
    const [perIteration = 0] = new Float32Array(this.downloadNow(out, 0, 4));
    this.release(tape);
    return (perIteration * iterations) / elapsed / 1e6;
  }

  private bytes(storage: Storage, byteOffset: number, length: number): Uint8Array {
    if (byteOffset < 0 || byteOffset + length > storage.byteLength) {
      throw internal(`bytes ${byteOffset}..${byteOffset + length} of a storage of ${storage.byteLength}`);
    }
    return this.binding.bytes(this.own(storage), byteOffset, length);
  }

  private own(storage: Storage): CpuStorage {
    if (storage instanceof CpuStorage && storage.pool === this.binding.pool) return storage;
    throw foreign(this.name);
  }
}

const foreign = (name: string): Error => internal(`the ${name} backend was given the storage of another one`);

class CpuExecutable implements Executable {
  private readonly tapeAddress: number;

  constructor(
    private readonly binding: Binding,
    /** Held, for the engine only knows its address. */
    readonly tape: CpuStorage,
    private readonly buffers: number,
  ) {
    this.tapeAddress = tape.address;
  }

  run(buffers: readonly Storage[], offsets: readonly number[], scalars: readonly number[]): void {
    const { binding } = this;
    const count = this.buffers;
    if (buffers.length < count) throw internal(`a program of ${count} buffers was run with ${buffers.length}`);
    const scalarsAt = MAILBOX_HEADER + count;
    let { mailbox } = binding;
    if (mailbox.length < scalarsAt + scalars.length) mailbox = binding.openMailbox(scalarsAt + scalars.length);
    mailbox[0] = this.tapeAddress;
    mailbox[1] = scalarsAt;
    mailbox[2] = binding.variant;
    mailbox[3] = binding.threads;
    for (let i = 0; i < count; i++) {
      const storage = buffers[i] as CpuStorage;
      if (storage.pool !== binding.pool) throw foreign(binding.kind);
      mailbox[MAILBOX_HEADER + i] = storage.address + (offsets[i] as number);
    }
    for (let i = 0; i < scalars.length; i++) mailbox[scalarsAt + i] = scalars[i] as number;
    binding.run();
    if (mailbox[0] !== outcomes.ok) this.check(); // or the memory has moved, and the mailbox with it
  }

  private check(): void {
    const [code, , a, b, c] = this.binding.openMailbox(MAILBOX_HEADER + 2);
    if (code === outcomes.ok) return;
    if (code === outcomes.index) throw new KernelError('index', `index ${a} at element ${c} is out of range for dimension of size ${b}`);
    if (code === outcomes.memory) throw new KernelError('device', 'out of memory for intermediate results');
    if (code === outcomes.factor) throw factorError(factorNames[a ?? 0] ?? 'lu', b ?? 0, c ?? 0);
    throw internal(`the engine stopped with code ${code} (${a})`);
  }
}
