import type { TypedArray } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import { isTensor, type Tensor } from '../tensor/tensor.js';
import { type HostArray, toDevice, toHost } from './hostArray.js';

/** A state as modules, optimizers and loops keep it: plain data with tensors and typed arrays in it. */
export type State =
  | null
  | undefined
  | boolean
  | number
  | string
  | bigint
  | Tensor
  | TypedArray
  | readonly State[]
  | ReadonlyMap<string | number, State>
  | { readonly [key: string]: State };

/** Plain JSON with references to arrays that are kept beside it. */
export interface PackedState {
  readonly json: string;
  readonly arrays: ReadonlyMap<string, HostArray>;
}

/** Takes the arrays out of a state: the rest is JSON. Numbers, bigints and maps come back as they were. */
export async function packState(state: unknown): Promise<PackedState> {
  const arrays = new Map<string, HostArray>();
  const pack = async (value: unknown, path: string): Promise<unknown> => {
    if (isTensor(value)) return keep('$tensor', path, await toHost(value));
    const array = hostArrayOf(value);
    if (array !== null) return keep('$array', path, array);
    if (typeof value === 'bigint') return { $bigint: `${value}` };
    if (typeof value === 'number')
      return Number.isFinite(value) && !Object.is(value, -0) ? value : { $number: Object.is(value, -0) ? '-0' : `${value}` };
    if (value === undefined) return { $undefined: true };
    if (value === null || typeof value === 'boolean' || typeof value === 'string') return value;
    if (Array.isArray(value)) return Promise.all(value.map((v, i) => pack(v, join(path, i))));
    if (value instanceof Map) return { $map: await Promise.all([...value].map(async ([k, v]) => [k, await pack(v, join(path, k))])) };
    if (typeof value === 'object')
      return Object.fromEntries(await Promise.all(Object.entries(value).map(async ([k, v]) => [k, await pack(v, join(path, k))])));
    throw new LibError('state', `saveCheckpoint: a state holds plain data and tensors, got a ${typeof value} at '${path}'.`);
  };
  const keep = (tag: string, path: string, array: HostArray): unknown => {
    let name = path;
    while (arrays.has(name)) name += "'";
    arrays.set(name, array);
    return { [tag]: name };
  };
  return { json: JSON.stringify(await pack(state, '')), arrays };
}

const join = (path: string, key: unknown): string => (path === '' ? `${key}` : `${path}.${key}`);

function hostArrayOf(value: unknown): HostArray | null {
  if (value instanceof Float32Array) return { dtype: 'float32', shape: [value.length], data: value };
  if (value instanceof Float64Array) return { dtype: 'float64', shape: [value.length], data: value };
  if (value instanceof Int32Array) return { dtype: 'int32', shape: [value.length], data: value };
  if (value instanceof Uint8Array) return { dtype: 'uint8', shape: [value.length], data: value };
  return null;
}

/** The state that {@link packState} took apart; tensors are made on the default device. */
export function unpackState({ json, arrays }: PackedState): unknown {
  const arrayAt = (path: string): HostArray => {
    const array = arrays.get(path);
    if (array === undefined) throw new LibError('file', `loadCheckpoint: the file must hold '${path}', got ${arrays.size} other arrays.`);
    return array;
  };
  const unpack = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(unpack);
    if (typeof value !== 'object' || value === null) return value;
    const { $tensor, $array, $bigint, $number, $map, $undefined } = value as Record<string, unknown>;
    if (typeof $tensor === 'string') return toDevice(arrayAt($tensor));
    if (typeof $array === 'string') return arrayAt($array).data.slice();
    if (typeof $bigint === 'string') return BigInt($bigint);
    if (typeof $number === 'string') return Number($number);
    if ($undefined === true) return undefined;
    if (Array.isArray($map)) return new Map($map.map(([k, v]) => [k, unpack(v)]));
    return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, unpack(v)]));
  };
  return unpack(JSON.parse(json));
}
