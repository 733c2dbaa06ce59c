import type { DType, TypedArray } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import { sizeOf } from '../core/shape.js';
import { type HostArray, toDevice } from '../io/hostArray.js';
import { stack } from '../ops/join.js';
import { isTensor, type NestedNumbers, type Tensor } from '../tensor/tensor.js';
import { type CollateOptions, checkShape, filled, hostField, isHostArray, isRecord, mapFields, stackHost } from './collateHost.js';

/** One field of an item: becomes one tensor of the batch, with the batch in front. */
export type Field = number | boolean | readonly NestedNumbers[] | TypedArray | HostArray | Tensor;

/** What the fields of a batch of `T` are: tensors; texts stay a list. */
export type CollatedField<T> = T extends Field ? Tensor : T[];

/** What a batch of items of type `T` is: an array of fields, a record of fields, or one field. */
export type Collated<T> = T extends Field & readonly unknown[]
  ? { [K in keyof T]: Tensor }
  : T extends Field | string
    ? CollatedField<T>
    : T extends readonly unknown[] | Readonly<Record<string, unknown>>
      ? { [K in keyof T]: CollatedField<T[K]> }
      : T[];

/**
 * Makes one batch of several items: an item that is an array `[x, y]` or a record `{ x, y }` has fields, each of which becomes a tensor
 * with the batch as first dimension. Numbers become float32 unless `dtypes` says otherwise; typed arrays and tensors keep their type.
 * @example defaultCollate([[[0, 1], 1], [[1, 1], 0]]) // [tensor of (2, 2), tensor of (2,)]
 */
export function defaultCollate<T>(items: readonly T[], options: CollateOptions = {}): Collated<T> {
  return mapFields(items, options, (values, name, dtype) => collateField(values, name, dtype)) as Collated<T>;
}

/** Turns the arrays of {@link collateHost} into tensors. */
export function toTensors(batch: unknown): unknown {
  if (isHostArray(batch)) return toDevice(batch);
  if (Array.isArray(batch)) return batch.map(toTensors);
  if (isRecord(batch)) return Object.fromEntries(Object.entries(batch).map(([k, v]) => [k, toTensors(v)]));
  return batch;
}

function collateField(values: readonly unknown[], name: string, dtype: DType): unknown {
  const [first] = values;
  if (typeof first === 'string') return values;
  if (!isTensor(first)) return toDevice(stackHost(values, name, dtype));
  const tensors = values as readonly Tensor[];
  for (const [i, t] of tensors.entries()) checkShape(name, isTensor(t) ? t.shape : [], first.shape, i);
  return stack([...tensors]);
}

export interface PadOptions extends CollateOptions {
  /** What fills short sequences up. Default 0. */
  readonly value?: number;
  /** Pad to this length instead of to the longest of the batch. */
  readonly length?: number;
}

/** A padded batch: `data` is (batch, longest, ...), `mask` (batch, longest) is true where there is data. */
export interface Padded {
  readonly data: Tensor;
  readonly mask: Tensor;
  readonly lengths: Int32Array;
}

/**
 * A collate function for sequences of different lengths, one sequence an item.
 * @example new DataLoader(sentences, { batchSize: 8, collate: padCollate({ value: 0, dtypes: ['int32'] }) })
 */
export function padCollate({ value = 0, length, dtypes: types }: PadOptions = {}): (items: readonly Field[]) => Padded {
  return (items) => {
    const dtype = (types as Readonly<Record<string, DType>> | undefined)?.['0'] ?? 'float32';
    const rows = items.map((item) => hostField(isTensor(item) ? item.tolist() : item, 'items', dtype));
    const longest = length ?? Math.max(0, ...rows.map((r) => r.shape[0] ?? 0));
    const [first] = rows;
    if (first === undefined) throw new LibError('value', 'padCollate: a batch must have items, got none.');
    const rest = first.shape.slice(1);
    const step = sizeOf(rest) * longest;
    const data = filled(first.dtype, [], new Array<number>(step * rows.length).fill(value)).data;
    const mask = new Uint8Array(longest * rows.length);
    rows.forEach((row, i) => {
      const steps = row.shape[0] ?? 0;
      if (steps > longest) throw new LibError('data', `padCollate: sequences must fit into length ${longest}, got one of ${steps}.`);
      checkShape('the rest of items', row.shape.slice(1), rest, i);
      data.set(row.data, i * step);
      mask.fill(1, i * longest, i * longest + steps);
    });
    return {
      data: toDevice({ dtype: first.dtype, shape: [rows.length, longest, ...rest], data }),
      mask: toDevice({ dtype: 'bool', shape: [rows.length, longest], data: mask }),
      lengths: Int32Array.from(rows, (r) => r.shape[0] ?? 0),
    };
  };
}
