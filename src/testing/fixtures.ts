import type { DType } from '../core/dtype.js';
import { snakeCase } from '../core/names.js';
import type { AnyRow } from '../ops/define.js';
import { isTensor, type Tensor } from '../tensor/tensor.js';
import { samplesOf } from './properties.js';

/** A sample call as plain data, for another program to repeat. */
export interface PlainCall {
  readonly row: string;
  readonly sample: number;
  /** A Python expression over `a` (positional arguments) and `o` (options); null: found by the row's name. */
  readonly call: string | null;
  readonly a: readonly PlainValue[];
  readonly o: Readonly<Record<string, PlainValue>>;
  /** A hash of the call: a fixture made for another one is stale. */
  readonly inputs: string;
}

/** Arguments as JSON: tensors and numbers that JSON lacks are marked by a key. */
export type PlainValue =
  | string
  | number
  | boolean
  | null
  | { readonly number: string }
  | { readonly tensor: DType; readonly shape: readonly number[]; readonly data: readonly PlainValue[] }
  | readonly PlainValue[];

const isOptions = (value: unknown): value is Readonly<Record<string, unknown>> =>
  value !== null && typeof value === 'object' && !Array.isArray(value) && !isTensor(value);

/** The row's samples as calls to repeat in PyTorch; none when PyTorch has no such function. */
export function torchCalls(row: AnyRow): PlainCall[] {
  if (row.torch === null) return [];
  return samplesOf(row).map((args, sample) => {
    const last = args.at(-1);
    const options = isOptions(last) ? last : {};
    const positional = isOptions(last) ? args.slice(0, -1) : args;
    const given = Object.entries(options).filter(([, value]) => value !== undefined);
    const call = row.torch?.call ?? null;
    const a = positional.map(plain);
    const o = Object.fromEntries(given.map(([key, value]) => [snakeCase(key), plain(value)]));
    return { row: row.name, sample, call, a, o, inputs: hashOf(JSON.stringify([call, a, o])) };
  });
}

/** @internal FNV-1a, twice. */
export function hashOf(text: string): string {
  const half = (basis: number): string => {
    let h = basis;
    for (let i = 0; i < text.length; i++) h = Math.imul(h ^ text.charCodeAt(i), 16777619);
    return (h >>> 0).toString(16).padStart(8, '0');
  };
  return half(2166136261) + half(2128394904);
}

function plain(value: unknown): PlainValue {
  if (isTensor(value)) return plainTensor(value);
  if (Array.isArray(value)) return value.map(plain);
  if (typeof value === 'number') return plainNumber(value);
  if (value === undefined || value === null) return null;
  if (typeof value === 'string' || typeof value === 'boolean') return value;
  throw new Error(`internal: a sample holds a ${typeof value}, which fixtures cannot carry.`);
}

/** JSON knows no infinities, no NaN and no -0. */
const plainNumber = (v: number): PlainValue =>
  Number.isFinite(v) && !Object.is(v, -0) ? v : { number: Object.is(v, -0) ? '-0.0' : String(v) };

const plainTensor = (t: Tensor): PlainValue => ({ tensor: t.dtype, shape: t.shape, data: Array.from(t.toArray(), plainNumber) });
