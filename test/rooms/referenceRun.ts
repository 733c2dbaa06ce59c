// Runs one kernel on the reference backend: what its tests share.
import assert from 'node:assert/strict';
import { ReferenceBackend } from '../../dist/backends/reference/backend.js';
import { type DType, dtypes, readElement, typedArray, writeElement } from '../../dist/core/dtype.js';
import { type Spec, specOf } from '../../dist/core/spec.js';
import type { Kernel } from '../../dist/program/kernel.js';
import type { Program } from '../../dist/program/program.js';

export const backend: ReferenceBackend = new ReferenceBackend();

export interface Operand {
  readonly spec: Spec;
  /** The elements of the buffer, which `spec` reads from element `offset` on. */
  readonly values: readonly number[];
  readonly offset: number;
}

export const dense = (shape: readonly number[], values: readonly number[], dtype: DType = 'float32'): Operand => ({
  spec: specOf(dtype, shape),
  values,
  offset: 0,
});
export const strided = (shape: readonly number[], strides: readonly number[], values: readonly number[], offset = 0): Operand => ({
  spec: specOf('float32', shape, strides),
  values,
  offset,
});

export function bytesOf(values: readonly number[], dtype: DType): Uint8Array {
  const buffer = new ArrayBuffer(values.length * dtypes[dtype].bytes);
  const array = typedArray(dtype, buffer, 0, values.length);
  for (const [i, v] of values.entries()) writeElement(dtype, array, i, v);
  return new Uint8Array(buffer);
}

export function valuesOf(bytes: ArrayBuffer, dtype: DType): number[] {
  const array = typedArray(dtype, bytes, 0, bytes.byteLength / dtypes[dtype].bytes);
  return Array.from({ length: array.length }, (_, i) => readElement(dtype, array, i));
}

/** Runs one kernel on buffers of its own; gives the elements of each (dense) output. */
export function run(kernel: Kernel, inputs: readonly Operand[], outputs: readonly Spec[], scalars: readonly number[] = []): number[][] {
  const program: Program = {
    steps: [
      {
        kernel,
        inputs: inputs.map(({ spec, offset }, buffer) => ({ buffer, spec, offset })),
        outputs: outputs.map((spec, i) => ({ buffer: inputs.length + i, spec, offset: 0 })),
        scalarBase: 0,
      },
    ],
    buffers: inputs.length + outputs.length,
    scalars: scalars.length,
  };
  const storages = inputs.map(({ spec, values }) => {
    const bytes = bytesOf(values, spec.dtype);
    const storage = backend.allocate(bytes.length);
    backend.upload(storage, 0, bytes);
    return storage;
  });
  const results = outputs.map((spec) => backend.allocate(spec.bytes));
  const buffers = [...storages, ...results];
  backend.compile(program).run(
    buffers,
    buffers.map(() => 0),
    scalars,
  );
  return results.map((storage, i) => valuesOf(backend.downloadNow(storage, 0, storage.byteLength), outputs[i]?.dtype ?? 'float32'));
}

/** The first output of a kernel whose outputs are all of one shape. */
export const runOne = (kernel: Kernel, inputs: readonly Operand[], output: Spec, scalars?: readonly number[]): number[] =>
  run(kernel, inputs, [output], scalars)[0] ?? [];

/** Repeatable numbers in [-1, 1). */
export function noise(count: number, seed = 1): number[] {
  let state = seed >>> 0;
  return Array.from({ length: count }, () => {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    return state / 2 ** 31 - 1;
  });
}

export const dot = (a: readonly number[], b: readonly number[]): number => a.reduce((sum, x, i) => sum + x * (b[i] ?? Number.NaN), 0);
export function near(actual: number, expected: number, tolerance = 1e-9): void {
  assert.ok(Math.abs(actual - expected) <= tolerance * (1 + Math.abs(expected)), `${actual} is not near ${expected}`);
}
export const f32 = (...shape: number[]): Spec => specOf('float32', shape);
export const f64 = (...shape: number[]): Spec => specOf('float64', shape);
export const i32 = (...shape: number[]): Spec => specOf('int32', shape);
