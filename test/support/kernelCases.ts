import assert from 'node:assert/strict';
import { ReferenceBackend } from '../../dist/backends/reference/backend.js';
import { type DType, dtypes, isFloat, readElement, typedArray, writeElement } from '../../dist/core/dtype.js';
import { contiguousStrides, sizeOf } from '../../dist/core/shape.js';
import { type Spec, specOf } from '../../dist/core/spec.js';
import type { Backend } from '../../dist/program/backend.js';
import type { Kernel } from '../../dist/program/kernel.js';
import type { Program } from '../../dist/program/program.js';

/** A view into a buffer of its own; operands that are one object share the buffer. */
export interface Operand {
  readonly spec: Spec;
  readonly offset: number;
  readonly bytes: Uint8Array;
}

type Domain = 'plain' | 'unit' | 'positive' | 'special' | 'few' | 'byte' | 'order' | number;

const few = [-1, 1, 0.5, -2, 1, 1];
const special = [Number.NaN, Infinity, -Infinity, 0, -0, 1, -1, 1e-40, 3e38, 0.5];

/** Seeded random numbers, shapes and views. */
export class Random {
  constructor(private state: number) {}

  next(): number {
    this.state = (this.state + 0x6d2b79f5) | 0;
    let t = Math.imul(this.state ^ (this.state >>> 15), 1 | this.state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  }

  below(n: number): number {
    return Math.floor(this.next() * n);
  }

  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }

  /** A shape that broadcasts to the given one. */
  broadcastable(shape: readonly number[]): readonly number[] {
    const kept = shape.map((d) => (this.below(3) === 0 ? 1 : d));
    return kept.slice(this.below(3) === 0 ? this.below(shape.length + 1) : 0);
  }

  dense(dtype: DType, shape: readonly number[], domain: Domain = 'plain'): Operand {
    return this.operand(dtype, shape, contiguousStrides(shape), 0, sizeOf(shape), domain);
  }

  values(dtype: DType, shape: readonly number[], values: readonly number[]): Operand {
    const made = this.dense(dtype, shape);
    values.forEach((v, i) => writeElement(dtype, typedArray(dtype, made.bytes.buffer, 0, values.length), i, v));
    return made;
  }

  /** Permuted dims, steps and gaps, sometimes backwards, somewhere in a larger buffer. */
  view(dtype: DType, shape: readonly number[], domain: Domain = 'plain'): Operand {
    const order = [...shape.keys()];
    if (this.below(2) === 0) order.sort(() => this.next() - 0.5);
    const strides = shape.map(() => 1);
    let extent = 1;
    let offset = this.below(3) * 5;
    for (const d of order.reverse()) {
      const step = extent * (this.below(4) === 0 ? 2 : 1);
      strides[d] = step;
      extent = step * Math.max(shape[d] as number, 1);
      if (this.below(8) === 0) {
        strides[d] = -step;
        offset += step * (Math.max(shape[d] as number, 1) - 1);
      }
    }
    return this.operand(dtype, shape, strides, offset, extent + 12, domain);
  }

  private operand(
    dtype: DType,
    shape: readonly number[],
    strides: readonly number[],
    offset: number,
    room: number,
    domain: Domain,
  ): Operand {
    const count = offset + room;
    const bytes = new Uint8Array(Math.max(count, 1) * dtypes[dtype].bytes);
    const array = typedArray(dtype, bytes.buffer, 0, count);
    for (let i = 0; i < count; i++) writeElement(dtype, array, i, this.value(dtype, domain));
    return { spec: specOf(dtype, shape, strides), offset, bytes };
  }

  private value(dtype: DType, domain: Domain): number {
    const u = this.next();
    if (typeof domain === 'number') return Math.floor(u * domain);
    if (domain === 'order') return this.below(4);
    if (domain === 'byte') return Math.floor(u * 200) + (isFloat(dtype) ? 0.25 : 0);
    if (dtype === 'bool') return this.below(2);
    if (dtype === 'uint8') return this.below(domain === 'few' ? 4 : 50);
    if (dtype === 'int32') return domain === 'positive' ? this.below(20) + 1 : this.below(25) - 12;
    if (domain === 'few') return this.pick(few);
    if (domain === 'unit') return u * 2 - 1;
    if (domain === 'positive') return u * 30 + 1e-3;
    if (domain === 'special' && u < 0.3) return this.pick(special);
    return this.next() * 20 - 10;
  }
}

export interface CompareOptions {
  readonly scalars?: readonly number[];
  /** How many numbers are added up: the error may grow with its root. */
  readonly terms?: number;
  /** For functions that lose relative accuracy near their zeros. */
  readonly loose?: boolean;
}

const reference = new ReferenceBackend();

/** Runs a kernel on the reference and on the backends, over the same bytes, and compares every buffer. */
export function compareRuns(
  backends: readonly { readonly name: string; readonly backend: Backend }[],
  kernel: Kernel,
  inputs: readonly Operand[],
  outputs: readonly Operand[],
  options: CompareOptions,
): void {
  const { scalars = [] } = options;
  const operands = [...new Set([...inputs, ...outputs])];
  const at = (o: Operand) => ({ buffer: operands.indexOf(o), spec: o.spec, offset: o.offset });
  const step = { kernel, inputs: inputs.map(at), outputs: outputs.map(at), scalarBase: 0 };
  const program: Program = { steps: [step], buffers: operands.length, scalars: scalars.length };
  const wanted = runOn(reference, program, operands, scalars);
  for (const { name, backend } of backends) {
    const got = runOn(backend, program, operands, scalars);
    operands.forEach((o, k) => {
      if (outputs.includes(o)) compareBuffers(name, o, wanted[k] as Uint8Array, got[k] as Uint8Array, kernel, options);
      else assert.ok(Buffer.compare(got[k] as Uint8Array, o.bytes) === 0, `an input was changed on ${name}, in ${describe(kernel, o)}`);
    });
  }
}

function runOn(backend: Backend, program: Program, operands: readonly Operand[], scalars: readonly number[]): Uint8Array[] {
  const storages = operands.map((o) => {
    const storage = backend.allocate(o.bytes.byteLength);
    backend.upload(storage, 0, o.bytes);
    return storage;
  });
  backend.compile(program).run(
    storages,
    operands.map(() => 0),
    scalars,
  );
  return storages.map((s, k) => new Uint8Array(backend.downloadNow?.(s, 0, operands[k]?.bytes.byteLength ?? 0) ?? new ArrayBuffer(0)));
}

/** One unit in the last place, or a few, relative to the value. */
const floatRoundings = { float32: 4e-7, float64: 3e-14, bfloat16: 2 ** -7, float16: 2 ** -10 } as const;
const roundings: Readonly<Record<DType, number>> = { ...floatRoundings, int32: 0, uint8: 0, bool: 0 };

function compareBuffers(name: string, o: Operand, wanted: Uint8Array, got: Uint8Array, kernel: Kernel, options: CompareOptions): void {
  const { terms = 1, loose = false } = options;
  const { dtype } = o.spec;
  const count = o.bytes.byteLength / dtypes[dtype].bytes;
  const [w, g] = [wanted, got].map((bytes) => typedArray(dtype, bytes.buffer, 0, count));
  if (w === undefined || g === undefined) return;
  const exact = 'compute' in kernel && kernel.compute === 'int32';
  for (let i = 0; i < count; i++) {
    const a = readElement(dtype, w, i);
    const b = readElement(dtype, g, i);
    if (Object.is(a, b) || a === b || (Number.isNaN(a) && Number.isNaN(b))) continue;
    const computed = 'compute' in kernel && kernel.compute === 'float32' ? 4e-7 : 0;
    const relative = exact ? roundings[dtype] : Math.max(roundings[dtype], computed) * 2 * (loose ? 8 : 1);
    const absolute = terms > 1 ? 1e-6 * Math.sqrt(terms) : loose ? 2e-6 : 1e-38;
    const near = Math.abs(a - b) <= relative * Math.abs(a) + absolute * (dtype === 'float64' && !computed ? 1e-7 : 1);
    if (!near) assert.fail(`element ${i} of ${dtype} is ${b} on ${name}, expected ${a}, in ${describe(kernel, o)}`);
  }
}

function describe(kernel: Kernel, { spec, offset }: Operand): string {
  const text = JSON.stringify(kernel, (key, value) => (key === 'id' ? undefined : value)).slice(0, 600);
  return `${text} to (${spec.shape}) strides (${spec.strides}) offset ${offset}`;
}
