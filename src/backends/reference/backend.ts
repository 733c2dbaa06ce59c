import { internal } from '../../core/errors.js';
import { type Backend, type Executable, nextBackendId, type Storage } from '../../program/backend.js';
import { isFused, type Kernel } from '../../program/kernel.js';
import type { Program, ProgramOperand } from '../../program/program.js';
import { copy } from './copy.js';
import { factor } from './factor.js';
import { gemm } from './gemm.js';
import { gather, scatter } from './indexing.js';
import { map, reduce } from './map.js';
import { scan, sort } from './order.js';
import { random } from './random.js';
import { type Run, View } from './view.js';
import { window } from './window.js';

/** The oracle: every kernel family as plain loops in float64, for all element types. Always available, never fast. */
export class ReferenceBackend implements Backend {
  readonly id: number = nextBackendId();
  readonly name = 'reference';

  describe(): string {
    return 'reference (plain JavaScript loops in float64)';
  }

  /** Fused families have no loops here: their rows' compositions are the oracle. */
  supports({ family }: Kernel): boolean {
    return !isFused(family);
  }

  allocate(bytes: number): Storage {
    return new ReferenceStorage(new ArrayBuffer(bytes));
  }

  /** The memory belongs to the garbage collector. */
  release(): void {}

  upload(to: Storage, byteOffset: number, bytes: Uint8Array): void {
    new Uint8Array(bufferOf(to)).set(bytes, byteOffset);
  }

  async download(from: Storage, byteOffset: number, bytes: number): Promise<ArrayBuffer> {
    return this.downloadNow(from, byteOffset, bytes);
  }

  downloadNow(from: Storage, byteOffset: number, bytes: number): ArrayBuffer {
    return bufferOf(from).slice(byteOffset, byteOffset + bytes);
  }

  compile(program: Program): Executable {
    const runs = program.steps.map((step) => prepare(step.kernel));
    return {
      run(buffers, offsets, scalars) {
        const bind = (operand: ProgramOperand): View => {
          const storage = buffers[operand.buffer];
          if (storage === undefined) throw internal(`a program of ${program.buffers} buffers was run with ${buffers.length}`);
          return View.of(operand, bufferOf(storage), offsets[operand.buffer] ?? 0);
        };
        program.steps.forEach(({ inputs, outputs, scalarBase }, i) => {
          runs[i]?.(inputs.map(bind), outputs.map(bind), scalarBase === 0 ? scalars : scalars.slice(scalarBase));
        });
      },
    };
  }
}

class ReferenceStorage implements Storage {
  version = 0;

  constructor(readonly buffer: ArrayBuffer) {}

  get byteLength(): number {
    return this.buffer.byteLength;
  }
}

function bufferOf(storage: Storage): ArrayBuffer {
  if (storage instanceof ReferenceStorage) return storage.buffer;
  throw internal('the reference backend was given the storage of another one');
}

function prepare(kernel: Kernel): Run {
  switch (kernel.family) {
    case 'map':
      return map(kernel);
    case 'reduce':
      return reduce(kernel);
    case 'gemm':
      return gemm(kernel);
    case 'window':
      return window(kernel);
    case 'gather':
      return gather(kernel);
    case 'scatter':
      return scatter(kernel);
    case 'scan':
      return scan(kernel);
    case 'sort':
      return sort(kernel);
    case 'random':
      return random(kernel);
    case 'factor':
      return factor(kernel);
    case 'copy':
      return copy(kernel);
    case 'attention':
    case 'recurrent':
    case 'loop':
    case 'layerNorm':
    case 'product':
      throw internal(`the reference backend was given a fused kernel, ${kernel.family}`);
  }
}
