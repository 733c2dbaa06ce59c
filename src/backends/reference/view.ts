import { type DType, dtypes, readElement, type TypedArray, typedArray, writeElement } from '../../core/dtype.js';
import { broadcastStrides, type Shape, sizeOf } from '../../core/shape.js';
import type { ProgramOperand } from '../../program/program.js';

/** A kernel made ready: reads its inputs, writes its outputs. `scalars` starts at the step's own first one. */
export type Run = (inputs: readonly View[], outputs: readonly View[], scalars: readonly number[]) => void;

/** An operand at run time. A position counts elements from the start of `data`; the first element is at `offset`. */
export class View {
  readonly size: number;

  constructor(
    readonly dtype: DType,
    readonly data: TypedArray,
    readonly offset: number,
    readonly shape: Shape,
    readonly strides: readonly number[],
  ) {
    this.size = sizeOf(shape);
  }

  /** `data` spans the whole buffer, because strides may be negative. */
  static of({ spec, offset }: ProgramOperand, buffer: ArrayBuffer, byteOffset: number): View {
    const { bytes } = dtypes[spec.dtype];
    const start = byteOffset % bytes;
    const data = typedArray(spec.dtype, buffer, start, Math.floor((buffer.byteLength - start) / bytes));
    return new View(spec.dtype, data, (byteOffset - start) / bytes + offset, spec.shape, spec.strides);
  }

  get(position: number): number {
    return readElement(this.dtype, this.data, position);
  }

  set(position: number, value: number): void {
    writeElement(this.dtype, this.data, position, value);
  }

  /** The strides with which this view is read at a larger shape. */
  stridesIn(shape: Shape): number[] {
    return broadcastStrides(this.shape, this.strides, shape);
  }

  /** The elements in row-major order, broadcast to `shape`. */
  load(shape: Shape = this.shape): Float64Array {
    const walk = new Walk(shape, [this.stridesIn(shape)], [this.offset]);
    const values = new Float64Array(walk.size);
    for (let i = 0; i < values.length; i++, walk.step()) values[i] = this.get(walk.position(0));
    return values;
  }

  /** Writes all elements, given in row-major order. */
  store(values: ArrayLike<number>): void {
    const walk = new Walk(this.shape, [this.strides], [this.offset]);
    for (let i = 0; i < walk.size; i++, walk.step()) this.set(walk.position(0), values[i] as number);
  }
}

/** Goes through a shape in row-major order and keeps the position of the current element for several strides at once. */
export class Walk {
  readonly size: number;
  private readonly positions: number[];
  private readonly index: number[];

  constructor(
    private readonly shape: Shape,
    private readonly strides: readonly (readonly number[])[],
    starts: readonly number[],
  ) {
    this.size = sizeOf(shape);
    this.positions = [...starts];
    this.index = new Array<number>(shape.length).fill(0);
  }

  position(operand: number): number {
    return this.positions[operand] as number;
  }

  /** To the next element; from the last one back to the first. */
  step(): void {
    const { shape, strides, positions, index } = this;
    for (let d = shape.length - 1; d >= 0; d--) {
      const i = (index[d] as number) + 1;
      const wraps = i === shape[d];
      index[d] = wraps ? 0 : i;
      const distance = wraps ? 1 - i : 1;
      for (let k = 0; k < positions.length; k++) (positions[k] as number) += distance * (strides[k]?.[d] as number);
      if (!wraps) return;
    }
  }

  /** Puts the first element of each operand where another walk stands. Only between whole rounds. */
  startAt(other: Walk): void {
    for (let k = 0; k < this.positions.length; k++) this.positions[k] = other.position(k);
  }
}

/** A shape seen around one dim: element (outer, i, inner) is at (outer · length + i) · inners + inner. A 0-d shape is one line of one. */
export function linesAlong(shape: Shape, dim: number): { readonly outers: number; readonly length: number; readonly inners: number } {
  return { outers: sizeOf(shape.slice(0, dim)), length: shape[dim] ?? 1, inners: sizeOf(shape.slice(dim + 1)) };
}
