import { type DType, dtypes, typedArray, writeElement } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import { formatShape, type Shape, sameShape, sizeOf } from '../core/shape.js';
import type { HostArray } from '../io/hostArray.js';

// Collating without tensors: this module and what it imports also run in worker threads.

export interface CollateOptions {
  /** Element type of plain JavaScript numbers, per field (by position or name). Default float32; class labels want int32. */
  readonly dtypes?: readonly DType[] | Readonly<Record<string, DType>>;
}

/** Like `defaultCollate`, up to the device: arrays that can be sent to another thread. Tensors cannot. */
export function collateHost(items: readonly unknown[], options: CollateOptions = {}): unknown {
  return mapFields(items, options, (values, name, dtype) => (typeof values[0] === 'string' ? values : stackHost(values, name, dtype)));
}

export type FieldMaker = (values: readonly unknown[], name: string, dtype: DType) => unknown;

export function mapFields(items: readonly unknown[], options: CollateOptions, make: FieldMaker): unknown {
  const [first] = items;
  if (first === undefined) throw new LibError('value', 'collate: a batch must have items, got none.');
  const typeOf = (key: string): DType => (options.dtypes as Readonly<Record<string, DType>> | undefined)?.[key] ?? 'float32';
  if (Array.isArray(first)) {
    return first.map((_, k) =>
      make(
        items.map((item, i) => fieldOf(item, `${k}`, i, first.length)),
        `field ${k}`,
        typeOf(`${k}`),
      ),
    );
  }
  if (!isRecord(first) || isHostArray(first)) return make(items, 'items', typeOf('0'));
  const keys = Object.keys(first);
  return Object.fromEntries(
    keys.map((key) => [
      key,
      make(
        items.map((item, i) => fieldOf(item, key, i, keys.length)),
        `field '${key}'`,
        typeOf(key),
      ),
    ]),
  );
}

function fieldOf(item: unknown, key: string, i: number, fields: number): unknown {
  if (typeof item === 'object' && item !== null && Object.keys(item).length === fields && key in item) {
    return (item as Record<string, unknown>)[key];
  }
  throw new LibError('data', `collate: items of a batch must have the same fields, got item ${i} without field '${key}' or with others.`);
}

export const isRecord = (x: unknown): x is Record<string, unknown> =>
  typeof x === 'object' && x !== null && Object.getPrototypeOf(x) === Object.prototype;
export const isHostArray = (x: unknown): x is HostArray =>
  isRecord(x) && typeof x.dtype === 'string' && x.dtype in dtypes && Array.isArray(x.shape) && ArrayBuffer.isView(x.data);

export function checkShape(name: string, shape: Shape, first: Shape, i: number): void {
  if (sameShape(shape, first)) return;
  throw new LibError(
    'data',
    `collate: ${name} of all items must have one shape, got ${formatShape(first)} in item 0 and ${formatShape(shape)} in item ${i}.`,
    'pad ragged items: collate: padCollate().',
  );
}

/** Rows of equal shape as one array, copied row by row. */
export function stackHost(values: readonly unknown[], name: string, dtype: DType): HostArray {
  const rows = values.map((value) => hostField(value, name, dtype));
  const first = rows[0] as HostArray;
  const size = sizeOf(first.shape);
  const bytes = new ArrayBuffer(size * rows.length * dtypes[first.dtype].bytes);
  const data = typedArray(first.dtype, bytes, 0, size * rows.length);
  rows.forEach((row, i) => {
    checkShape(name, row.shape, first.shape, i);
    if (row.dtype !== first.dtype) throw new LibError('data', `collate: ${name} must have one type, got ${first.dtype} and ${row.dtype}.`);
    data.set(row.data, i * size);
  });
  return { dtype: first.dtype, shape: [rows.length, ...first.shape], data };
}

/** One field of one item as an array. */
export function hostField(value: unknown, name: string, dtype: DType): HostArray {
  if (typeof value === 'number') return filled(dtype, [], [value]);
  if (typeof value === 'boolean') return filled('bool', [], [Number(value)]);
  if (Array.isArray(value)) {
    const flat: number[] = [];
    return filled(dtype, flatten(value, name, flat), flat);
  }
  if (isHostArray(value)) return value;
  if (value instanceof Float32Array) return { dtype: 'float32', shape: [value.length], data: value };
  if (value instanceof Float64Array) return { dtype: 'float64', shape: [value.length], data: value };
  if (value instanceof Int32Array) return { dtype: 'int32', shape: [value.length], data: value };
  if (value instanceof Uint8Array) return { dtype: 'uint8', shape: [value.length], data: value };
  const what = typeof value === 'object' && value !== null ? value.constructor.name : String(value);
  throw new LibError(
    'data',
    `collate: ${name} must hold numbers, arrays or tensors, got ${what}.`,
    'give the DataLoader a collate function.',
  );
}

export function filled(dtype: DType, shape: Shape, values: readonly number[]): HostArray {
  const data = typedArray(dtype, new ArrayBuffer(values.length * dtypes[dtype].bytes), 0, values.length);
  for (const [i, v] of values.entries()) writeElement(dtype, data, i, v);
  return { dtype, shape, data };
}

function flatten(value: readonly unknown[], name: string, into: number[]): number[] {
  let inner: number[] | null = null;
  for (const [i, v] of value.entries()) {
    const shape = Array.isArray(v) ? flatten(v, name, into) : [];
    if (shape.length === 0) {
      if (typeof v !== 'number') throw new LibError('data', `collate: ${name} must hold numbers, got ${v === null ? 'null' : typeof v}.`);
      into.push(v);
    }
    if (i > 0 && !sameShape(shape, inner ?? [])) {
      throw new LibError('data', `collate: nested arrays must be rectangular, got ${name} with rows of different lengths.`);
    }
    inner = shape;
  }
  return [value.length, ...(inner ?? [])];
}
