import type { Spec } from '../core/spec.js';
import type { Kernel } from './kernel.js';

/** A buffer of a program seen through a spec, `offset` elements into the buffer. */
export interface ProgramOperand {
  readonly buffer: number;
  readonly spec: Spec;
  readonly offset: number;
}

/** One kernel applied to numbered buffers. `scalars` names the run-time numbers it reads, by position in the program's scalars. */
export interface Step {
  readonly kernel: Kernel;
  readonly inputs: readonly ProgramOperand[];
  readonly outputs: readonly ProgramOperand[];
  /** The first of the program's scalars that this step's `scalar(0)` means. */
  readonly scalarBase: number;
}

/** Straight-line kernels over numbered buffers. Eager execution is a program of length one. */
export interface Program {
  readonly steps: readonly Step[];
  /** How many buffers a run is given. */
  readonly buffers: number;
  readonly scalars: number;
}
