import { dtypes } from '../core/dtype.js';
import { KernelError } from '../core/errors.js';
import { named } from '../ops/apply.js';
import type { Storage } from '../program/backend.js';
import type { Kernel, LoopKernel } from '../program/kernel.js';
import type { ProgramOperand, Step } from '../program/program.js';
import type { Device } from '../tensor/device.js';
import type { TracedStep } from './tracer.js';

/** An operand in a run: `spec` over bytes of a storage. */
export interface Cell {
  readonly storage: Storage;
  readonly byteOffset: number;
  readonly spec: ProgramOperand['spec'];
}

/** A kernel that has just run. */
export interface Ran {
  readonly name: string;
  readonly step: Step;
  readonly inputs: readonly Cell[];
  readonly outputs: readonly Cell[];
  /** What the outputs are in the trace. */
  readonly homes: readonly ProgramOperand[];
  readonly scalars: readonly number[];
}
export type Watch = (ran: Ran) => void;

/** What a program's buffers are bound to. */
interface Bound {
  readonly buffers: readonly Storage[];
  /** Bytes, one for each buffer. */
  readonly offsets: readonly number[];
  readonly scalars: readonly number[];
}

/** Runs one kernel on operands wherever they are. */
export class Single {
  private readonly run: (cells: readonly Cell[]) => void;

  constructor(device: Device, kernel: Kernel, operands: readonly [inputs: readonly Cell[], outputs: readonly Cell[]], scalars: Scalars) {
    const [inputs, outputs] = operands;
    const all = (cells: readonly Cell[], from: number) => cells.map(({ spec }, i) => ({ buffer: from + i, spec, offset: 0 }));
    const step = { kernel, inputs: all(inputs, 0), outputs: all(outputs, inputs.length), scalarBase: scalars.base };
    const executable = device.compile({ steps: [step], buffers: inputs.length + outputs.length, scalars: scalars.values.length });
    this.run = (cells) =>
      executable.run(
        cells.map((c) => c.storage),
        cells.map((c) => c.byteOffset),
        scalars.values,
      );
  }

  on(inputs: readonly Cell[], outputs: readonly Cell[]): void {
    this.run([...inputs, ...outputs]);
  }
}
export interface Scalars {
  readonly values: readonly number[];
  readonly base: number;
}

/**
 * Runs a program kernel by kernel, and its loops turn by turn, on the memory that it has: the same bits as in one call. `steps` are
 * numbered as in the trace, `placed` as in the program.
 */
export function runSingly(device: Device, steps: readonly TracedStep[], placed: readonly Step[], bound: Bound, watch: Watch): void {
  const cellOf = ({ buffer, spec, offset }: ProgramOperand): Cell => {
    const byteOffset = (bound.offsets[buffer] ?? 0) + offset * dtypes[spec.dtype].bytes;
    return { storage: bound.buffers[buffer] as Storage, byteOffset, spec };
  };
  for (const [i, step] of steps.entries()) {
    const { kernel, inputs, outputs, scalarBase } = placed[i] as Step;
    const [read, written] = [inputs.map(cellOf), outputs.map(cellOf)];
    try {
      if (kernel.family === 'loop') runLoop(device, step, kernel, [...read, ...written], bound.scalars, watch);
      else {
        new Single(device, kernel, [read, written], { values: bound.scalars, base: scalarBase }).on(read, written);
        watch({ name: step.name, step, inputs: read, outputs: written, homes: step.outputs, scalars: bound.scalars });
      }
    } catch (error) {
      throw error instanceof KernelError ? named(step.name, error) : error;
    }
  }
}

function runLoop(
  device: Device,
  { name, inputs, outputs }: TracedStep,
  { count, steps, views, scratch }: LoopKernel,
  cells: readonly Cell[],
  scalars: readonly number[],
  watch: Watch,
): void {
  const operands = [...inputs, ...outputs];
  const own = device.allocate(Math.max(scratch, 1));
  const cellAt = ({ buffer, spec }: ProgramOperand, turn: number): Cell => {
    const { operand, offset, stride } = views[buffer] as LoopKernel['views'][number];
    const base = cells[operand];
    if (base === undefined) return { storage: own, byteOffset: offset, spec };
    return { storage: base.storage, byteOffset: base.byteOffset + turn * stride * dtypes[spec.dtype].bytes, spec };
  };
  const homeAt = ({ buffer, spec }: ProgramOperand, turn: number): ProgramOperand => {
    const { operand, stride, home } = views[buffer] as LoopKernel['views'][number];
    const whole = home ?? { ...(operands[operand] as ProgramOperand), spec, stride };
    return { buffer: whole.buffer, spec: whole.spec, offset: whole.offset + turn * whole.stride };
  };
  const singles = steps.map((step) => {
    const at = (list: readonly ProgramOperand[]): Cell[] => list.map((x) => cellAt(x, 0));
    return new Single(device, step.kernel, [at(step.inputs), at(step.outputs)], { values: scalars, base: step.scalarBase });
  });
  for (let turn = 0; turn < count; turn++) {
    for (const [k, step] of steps.entries()) {
      const [read, written] = [step.inputs.map((x) => cellAt(x, turn)), step.outputs.map((x) => cellAt(x, turn))];
      (singles[k] as Single).on(read, written);
      watch({ name, step, inputs: read, outputs: written, homes: step.outputs.map((x) => homeAt(x, turn)), scalars });
    }
  }
  device.release(own);
}
