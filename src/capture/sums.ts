import { computeType, dtypes } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import { type Spec, specOf } from '../core/spec.js';
import { type Expr, input } from '../expr/expr.js';
import type { Storage } from '../program/backend.js';
import type { ReduceKernel } from '../program/kernel.js';
import type { ProgramOperand, Step } from '../program/program.js';
import type { Device } from '../tensor/device.js';
import { Tensor } from '../tensor/tensor.js';
import { type Cell, type Ran, type Scalars, Single } from './singly.js';

type Sum = Ran & { readonly step: Step & { readonly kernel: ReduceKernel } };

/** Additions one after another at the ends of a sum in pairs: lanes, and terms for each. */
const IN_A_ROW = 16;

/**
 * The sums of two runs. A sum may be added in another order where it is fused, or in a loop; everything else keeps its bits. So
 * one run tells its sums, and the other one, whose sums are compared with them, goes on with those: no rounding spreads from there,
 * and what both leave behind must be the same bits.
 */
export class Sums {
  /** By buffer of the trace, and by the steps that write to it in turn: its bytes. */
  private readonly told = new Map<number, Map<Step, Patchwork>>();
  private readonly used = new Map<number, number>();

  constructor(
    private readonly device: Device,
    private readonly twins: ReadonlyMap<number, number>,
  ) {}

  /** Keeps the sums that a run computes. */
  readonly tell = (ran: Ran): void => {
    if (!isInexactSum(ran)) return;
    const [home, cell] = [ran.homes[0] as ProgramOperand, ran.outputs[0] as Cell];
    const steps = this.told.get(home.buffer) ?? new Map<Step, Patchwork>();
    this.told.set(home.buffer, steps);
    const bytes = steps.get(ran.step) ?? new Patchwork();
    steps.set(ran.step, bytes);
    bytes.put(home, readDense(this.device, cell));
  };

  /** Compares the sums of another run with those told, and puts these in their places. */
  readonly take = (ran: Ran): void => {
    if (!isInexactSum(ran)) return;
    const [home, cell] = [ran.homes[0] as ProgramOperand, ran.outputs[0] as Cell];
    const nth = this.used.get(home.buffer) ?? 0;
    this.used.set(home.buffer, nth + 1);
    const steps = this.told.get(home.buffer) ?? this.told.get(this.twins.get(home.buffer) ?? -1);
    const bytes = [...(steps?.values() ?? [])][nth];
    if (bytes === undefined) return;
    const { device } = this;
    const own = valuesAt(device, cell);
    writeDense(device, cell, bytes.get(home));
    const other = valuesAt(device, cell);
    if (own.every((x, i) => Object.is(x, other[i]))) return;
    const slack = slackOf(device, ran, own);
    own.forEach((x, i) => {
      const y = other[i] as number;
      if (!(Math.abs(x - y) > (slack[i] as number)) && Number.isNaN(x) === Number.isNaN(y)) return;
      throw differing(Math.abs(x - y), `${ran.name}, a sum of shape (${cell.spec.shape.join(', ')})`);
    });
  };
}

/** The error of verify. */
export const differing = (by: number, what: string): LibError =>
  new LibError(
    'capture',
    `compile: verify found a difference between the optimized program and its steps one by one, got ${by} in ${what}.`,
    'this is a defect of the library; { fuse: false } avoids it, and a report with the function helps.',
  );

/** Other orders of maxima and of integers give the same. */
function isInexactSum(ran: Ran): ran is Sum {
  const { kernel } = ran.step;
  return kernel.family === 'reduce' && (kernel.by === 'sum' || kernel.by === 'prod') && kernel.compute !== 'int32';
}

/**
 * How far two ways of adding may be apart, each element for itself: in pairs, n terms t are within (log2 n + 16) · u · Σ|t| of their sum
 * (Higham 2002, section 4.2), u being half a unit in the last place. n factors are within n · u of their product.
 */
function slackOf(device: Device, { step, inputs, outputs, scalars }: Sum, own: Float64Array): Float64Array {
  const { finish, ...plain } = step.kernel;
  const { compute, shape, expr } = plain;
  const { spec } = outputs[0] as Cell;
  const u = compute === 'float64' ? 2 ** -53 : 2 ** -24;
  const stored = dtypes[spec.dtype].bytes < 4 ? 2 ** -8 : 2 * u;
  const run = (kernel: ReduceKernel): Float64Array => {
    const dense = specOf(compute, spec.shape);
    const to = { storage: device.allocate(Math.max(dense.bytes, 1)), byteOffset: 0, spec: dense };
    new Single(device, kernel, [inputs, [to]], { values: scalars, base: step.scalarBase }).on(inputs, [to]);
    const values = valuesAt(device, to);
    device.release(to.storage);
    return values;
  };
  const terms = shape.reduce((n, size) => n * size, 1) / Math.max(spec.size, 1);
  const folded = run(plain);
  const sizes = plain.by === 'sum' ? run({ ...plain, expr: expr.abs() }) : folded.map(Math.abs);
  const relative = 2 * u * (plain.by === 'sum' ? Math.log2(Math.max(terms, 1)) + IN_A_ROW : terms);
  const finished = (share: number): Float64Array => {
    const x = folded.map((v, i) => v + share * relative * (sizes[i] as number));
    return finish === undefined ? x : mapped(device, finish, x, { values: scalars, base: step.scalarBase });
  };
  const [middle, above, below] = [finished(0), finished(1), finished(-1)];
  return middle.map((y, i) => {
    const moves = [above, below].map((side) => Math.abs((side[i] as number) - y));
    return Math.max(0, ...moves.filter((d) => !Number.isNaN(d))) + stored * Math.abs(own[i] as number);
  });
}

/** An expression of one input on each of some numbers. */
function mapped(device: Device, expr: Expr, values: Float64Array, scalars: Scalars): Float64Array {
  return staged(device, specOf('float64', [values.length]), (cell) => {
    device.upload(cell.storage, 0, new Uint8Array(values.buffer));
    new Single(device, { family: 'map', exprs: [expr], compute: 'float64' }, [[cell], [cell]], scalars).on([cell], [cell]);
    return valuesAt(device, cell);
  });
}

/** Elements of a buffer, as they are found. */
class Patchwork {
  private bytes = new Uint8Array(0);

  put({ spec, offset }: ProgramOperand, dense: Uint8Array): void {
    const width = dtypes[spec.dtype].bytes;
    placesOf(spec).forEach((place, i) => {
      const at = (offset + place) * width;
      if (at + width > this.bytes.length) {
        const larger = new Uint8Array(2 * (at + width));
        larger.set(this.bytes);
        this.bytes = larger;
      }
      this.bytes.set(dense.subarray(i * width, (i + 1) * width), at);
    });
  }

  get({ spec, offset }: ProgramOperand): Uint8Array {
    const width = dtypes[spec.dtype].bytes;
    const dense = new Uint8Array(spec.bytes);
    placesOf(spec).forEach((place, i) => {
      const at = (offset + place) * width;
      dense.set(this.bytes.subarray(at, at + width), i * width);
    });
    return dense;
  }
}

/** Where the elements of a spec lie, in row-major order. */
function placesOf({ shape, strides }: Spec): number[] {
  let places = [0];
  shape.forEach((n, d) => {
    const stride = strides[d] as number;
    places = places.flatMap((p) => Array.from({ length: n }, (_, i) => p + i * stride));
  });
  return places;
}

const valuesAt = (device: Device, { storage, byteOffset, spec }: Cell): Float64Array => {
  const x = new Tensor(spec, storage, byteOffset / dtypes[spec.dtype].bytes, device);
  return new Float64Array(x.toArray());
};

/** Bytes of an operand's elements in row-major order. */
function readDense(device: Device, cell: Cell): Uint8Array {
  return staged(device, cell.spec, (dense) => {
    copy(device, cell, dense);
    return new Uint8Array(device.downloadNow?.(dense.storage, 0, dense.spec.bytes) ?? []);
  });
}

function writeDense(device: Device, cell: Cell, bytes: Uint8Array): void {
  staged(device, cell.spec, (dense) => {
    device.upload(dense.storage, 0, bytes);
    copy(device, dense, cell);
  });
}

function staged<R>(device: Device, { dtype, shape }: Spec, use: (dense: Cell) => R): R {
  const spec = specOf(dtype, shape);
  const storage: Storage = device.allocate(Math.max(spec.bytes, 1));
  const result = use({ storage, byteOffset: 0, spec });
  device.release(storage);
  return result;
}

function copy(device: Device, from: Cell, to: Cell): void {
  if (from.spec.size === 0) return;
  const kernel = { family: 'map', exprs: [input(0)], compute: computeType(from.spec.dtype) } as const;
  new Single(device, kernel, [[from], [to]], { values: [], base: 0 }).on([from], [to]);
}
