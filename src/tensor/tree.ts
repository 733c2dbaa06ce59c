import { isTensor, type Tensor } from './tensor.js';

/** Arguments and results of compiled and mapped functions are tensors, plain values, and arrays, maps and plain objects of them. */
const isPlainObject = (value: unknown): value is Readonly<Record<string, unknown>> =>
  value !== null && typeof value === 'object' && Object.getPrototypeOf(value) === Object.prototype;

/** A copy with every leaf for which `isLeaf` holds replaced. */
export function replaceLeaves<L>(value: unknown, isLeaf: (v: unknown) => v is L, replace: (leaf: L) => unknown): unknown {
  if (isLeaf(value)) return replace(value);
  if (Array.isArray(value)) return value.map((v) => replaceLeaves(v, isLeaf, replace));
  if (value instanceof Map) return new Map(replaceLeaves([...value], isLeaf, replace) as [unknown, unknown][]);
  if (!isPlainObject(value)) return value;
  return Object.fromEntries(Object.entries(value).map(([k, v]) => [k, replaceLeaves(v, isLeaf, replace)]));
}

/** The same structure, and the same plain values in it; tensors may differ. */
export function sameStructure(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (isTensor(a) || isTensor(b)) return isTensor(a) && isTensor(b);
  if (Array.isArray(a)) return Array.isArray(b) && a.length === b.length && a.every((v, i) => sameStructure(v, b[i]));
  if (a instanceof Map) return b instanceof Map && sameStructure([...a], [...b]);
  if (!isPlainObject(a) || !isPlainObject(b)) return false;
  const [keys, others] = [Object.keys(a), Object.keys(b)];
  return keys.length === others.length && keys.every((k, i) => k === others[i] && sameStructure(a[k], b[k]));
}

/** Every tensor of a value, in order, put behind those in `found`. */
export function collectTensors(value: unknown, found: Tensor[] = []): Tensor[] {
  if (isTensor(value)) found.push(value);
  else if (Array.isArray(value) || value instanceof Map) for (const v of value) collectTensors(v, found);
  else if (isPlainObject(value)) for (const v of Object.values(value)) collectTensors(v, found);
  return found;
}

/** A copy with the tensors of `others` in the places of its own. */
export function withTensors<T>(value: T, others: readonly unknown[]): T {
  let next = 0;
  return replaceLeaves(value, isTensor, () => others[next++]) as T;
}
