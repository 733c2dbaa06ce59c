import { LibError } from '../../core/errors.js';
import { CpuBackend, type CpuOptions, checkThreads } from './backend.js';
import type { Binding } from './binding.js';
import { type Block, type CpuStorage, StoragePool } from './storage.js';

/** What the engine needs of the platform it runs on: see wasmNode.ts and wasmBrowser.ts. */
export interface WasmHost {
  readonly processors: number;
  /** May WASM memory be shared between threads here? */
  readonly threads: boolean;
  /** Throws where the build reads other tapes than the library writes. */
  checkFormat?(engine: string, format: string): void;
  decode(base64: string): Uint8Array<ArrayBuffer>;
  compile(bytes: Uint8Array<ArrayBuffer>): WebAssembly.Module | Promise<WebAssembly.Module>;
  /** Starts a thread on workerSource.ts; resolves when it is in the pool. It must not keep the process alive. */
  startWorker(data: WorkerData): Promise<void>;
}

export interface WorkerData {
  readonly module: WebAssembly.Module;
  readonly memory: WebAssembly.Memory;
  readonly id: number;
  readonly stack: number;
}

/** What engine/bind_wasm.cpp exports. */
interface Exports {
  open_mailbox(numbers: number): number;
  run(): void;
  allocate(bytes: number): number;
  release(address: number): void;
  allocated(): number;
  aot_find(lo: number, hi: number): number;
  set_threads(threads: number): void;
  /** Only in the builds with threads. */
  pool_stack?(id: number): number;
}

const PAGES = 65536;
/** A dummy of a block's bytes, divided by this, tells the garbage collector, which cannot see WASM memory, what a block costs. */
const PRESSURE = 1;

/** Freed when the garbage collector finds that nothing refers to it, which it only reports between two turns of the event loop. */
class WasmBlock implements Block {
  readonly pressure: ArrayBuffer;

  constructor(
    readonly address: number,
    bytes: number,
    private readonly owner: WasmBinding,
  ) {
    this.pressure = new ArrayBuffer(bytes / PRESSURE);
    owner.registry.register(this, address, this);
  }

  free(): void {
    this.owner.registry.unregister(this);
    this.owner.exports.release(this.address);
  }
}

class WasmBinding implements Binding {
  readonly kind = 'wasm';
  readonly isas: readonly string[];
  readonly variant = 0;
  readonly pool: StoragePool = new StoragePool((bytes) => this.newBlock(bytes));
  readonly registry: FinalizationRegistry<number>;
  readonly run: () => void;
  mailbox: Float64Array = new Float64Array(0);

  constructor(
    readonly exports: Exports,
    private readonly linear: WebAssembly.Memory,
    readonly isa: string,
    readonly threads: number,
  ) {
    this.isas = availableIsas();
    this.run = exports.run;
    this.registry = new FinalizationRegistry((address) => exports.release(address));
    exports.set_threads(threads);
    this.openMailbox(1024);
  }

  openMailbox(numbers: number): Float64Array {
    if (this.mailboxNumbers < numbers) {
      this.mailboxNumbers = 2 * numbers;
      this.mailboxAddress = this.exports.open_mailbox(this.mailboxNumbers);
    }
    this.mailbox = new Float64Array(this.linear.buffer, this.mailboxAddress, this.mailboxNumbers);
    return this.mailbox;
  }
  private mailboxNumbers = 0;
  private mailboxAddress = 0;

  findAot(lo: number, hi: number): number {
    return this.exports.aot_find(lo, hi);
  }

  bytes(storage: CpuStorage, byteOffset: number, length: number): Uint8Array {
    return new Uint8Array(this.linear.buffer, storage.address + byteOffset, length);
  }

  memory(): number {
    return this.exports.allocated() >>> 0;
  }

  private newBlock(bytes: number): WasmBlock {
    let address = this.exports.allocate(bytes) >>> 0;
    if (address === 0) {
      this.pool.trim();
      address = this.exports.allocate(bytes) >>> 0;
    }
    if (address === 0) throw this.outOfMemory(bytes);
    return new WasmBlock(address, bytes, this);
  }

  private outOfMemory(bytes: number): LibError {
    const used = this.memory() / 2 ** 20;
    return new LibError(
      'device',
      `allocate: WASM memory holds at most 4096 MiB, got a request for ${(bytes / 2 ** 20).toFixed(1)} MiB with ${used.toFixed(0)} MiB in use.`,
      'a loop that never awaits keeps what it no longer uses: await once a step (await loss.item()), or use compile().',
    );
  }
}

/** A function that returns the SIMD vector of i8x16.relaxed_swizzle. */
const relaxedProbe = [
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 15, 1, 13, 0, 65, 1, 253, 15, 65, 2, 253, 15, 253, 128, 2, 11,
];

/** Instruction sets that this platform's WASM has, best first. */
function availableIsas(): readonly string[] {
  return WebAssembly.validate(new Uint8Array(relaxedProbe)) ? ['relaxed', 'simd'] : ['simd'];
}

/** Each is loaded only when it is used. */
const binaries: Readonly<Record<string, () => Promise<{ readonly default: string; readonly format: string }>>> = {
  simd: () => import('#wasm/simd'),
  simdThreads: () => import('#wasm/simdThreads'),
  relaxed: () => import('#wasm/relaxed'),
  relaxedThreads: () => import('#wasm/relaxedThreads'),
};

/** The engine as WASM. Runs wherever WASM with SIMD does. */
export async function wasmBackend(host: WasmHost, { threads, isa }: CpuOptions = {}): Promise<CpuBackend> {
  const isas = availableIsas();
  const chosen = isa ?? isas[0] ?? 'simd';
  if (!isas.includes(chosen)) throw new LibError('option', `isa: WASM runs ${isas.join(', ')} here, got '${chosen}'.`);
  const count = host.threads ? checkThreads(threads ?? host.processors) : 1;
  const load = binaries[count > 1 ? `${chosen}Threads` : chosen];
  if (load === undefined) throw new LibError('option', `isa: WASM runs simd or relaxed, got '${chosen}'.`);
  const { default: base64, format } = await load();
  host.checkFormat?.('wasm', format);
  const module = await host.compile(host.decode(base64));
  const memory = newMemory(count > 1);
  const { exports } = await WebAssembly.instantiate(module, { env: { memory } });
  const engine = exports as unknown as Exports;
  const binding = new WasmBinding(engine, memory, chosen, count);
  const ids = Array.from({ length: count - 1 }, (_, i) => i + 1);
  await Promise.all(ids.map((id) => host.startWorker({ module, memory, id, stack: engine.pool_stack?.(id) ?? 0 })));
  return new CpuBackend(binding);
}

/** Some platforms refuse to reserve 4 GiB of addresses for a shared memory: ask for less then. */
function newMemory(shared: boolean): WebAssembly.Memory {
  for (let maximum = PAGES; ; maximum /= 2) {
    try {
      return new WebAssembly.Memory({ initial: 64, maximum, shared });
    } catch (error) {
      if (maximum <= 4096) throw error;
    }
  }
}
