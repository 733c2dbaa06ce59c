import type { DType } from '../core/dtype.js';
import type { Kernel } from './kernel.js';
import type { Program } from './program.js';

/**
 * Runs programs on some hardware. Knows nothing of ops, gradients or tensors: buffers are untyped bytes.
 * This page is all that a new backend has to implement, for as many kernel families as it supports.
 */
export interface Backend {
  /** Small unique number: caches key on it. Take it from {@link nextBackendId}. */
  readonly id: number;
  readonly name: string;
  /** Pointwise steps give the same bits whether they run one by one or put into one; absent: in the last bits they need not. */
  readonly keepsBits?: boolean;
  /** One line for people: `native avx512, 2 threads`. */
  describe(): string;
  supports(kernel: Kernel, dtypes: readonly DType[]): boolean;
  /** Bytes are not cleared. */
  allocate(bytes: number): Storage;
  /** Gives memory back at once. Only for storages that nothing refers to any more. */
  release(storage: Storage): void;
  upload(to: Storage, byteOffset: number, bytes: Uint8Array): void;
  download(from: Storage, byteOffset: number, bytes: number): Promise<ArrayBuffer>;
  /** Absent where the device cannot be waited for. */
  downloadNow?(from: Storage, byteOffset: number, bytes: number): ArrayBuffer;
  compile(program: Program): Executable;
  /** Billions of float32 operations a second at most, all threads together, measured now. Absent where nobody knows. */
  maxGflops?(): number;
}

/** Bytes that a backend owns. `version` counts writes in place, so that autograd can tell when a saved value was changed. */
export interface Storage {
  readonly byteLength: number;
  version: number;
}

export interface Executable {
  /**
   * Runs the program. `offsets` (bytes, one per buffer) are added to the operands' own, so one program serves every slice. What the lists
   * hold behind the program's buffers does not matter.
   * Throws a KernelError when data is out of a kernel's domain (an index out of range).
   */
  run(buffers: readonly Storage[], offsets: readonly number[], scalars: readonly number[]): void;
}

let backends = 0;
export const nextBackendId = (): number => backends++;
