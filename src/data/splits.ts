import { LibError } from '../core/errors.js';
import { range } from '../core/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import { type Dataset, Subset } from './dataset.js';
import { epochKey, type Key, orderKey, permutation } from './random.js';

/** One value for each item: class numbers, group names. */
export type PerItem = ArrayLike<number | string> | Tensor;

export interface DivideOptions {
  /** Every part gets each class in the proportions of the whole, as near as whole numbers allow. */
  readonly stratify?: PerItem;
  /** Items of one group (a patient, a speaker) stay together. */
  readonly groups?: PerItem;
  /** The same seed gives the same parts. Default: {@link manualSeed} decides. */
  readonly seed?: number;
}

const valuesOf = (x: PerItem): ArrayLike<number | string> =>
  (typeof (x as Tensor).toArray === 'function' ? (x as Tensor).toArray() : x) as never;

function checkItems(op: string, items: number): void {
  if (!Number.isInteger(items) || items < 1) throw new LibError('value', `${op}: there must be items to divide, got ${items}.`);
}

/** Items that go together: with `groups` those of one group, else each item alone. In random order, by class. */
function unitsOf(op: string, items: number, { stratify, groups }: DivideOptions, key: Key): number[][] {
  const [classes, names] = [stratify && valuesOf(stratify), groups && valuesOf(groups)];
  for (const [what, list] of [
    ['stratify', classes],
    ['groups', names],
  ] as const) {
    if (list !== undefined && list.length !== items)
      throw new LibError('value', `${op}: ${what} must have one entry for each of ${items} items, got ${list.length}.`);
  }
  const units = new Map<number | string, number[]>();
  for (let i = 0; i < items; i++) {
    const name = names?.[i] ?? i;
    units.set(name, [...(units.get(name) ?? []), i]);
  }
  const list = [...units.values()];
  return Array.from(permutation(list.length, epochKey(key, 'divide', 0)), (i) => list[i] as number[]);
}

/**
 * Deals units into parts of wanted sizes: each goes where its classes are missed most, the largest and rarest first. With single items of
 * one class this is a random split; with classes, a stratified one.
 */
function deal(units: readonly number[][], wanted: readonly number[], classes: ArrayLike<number | string> | undefined): number[][] {
  const total = new Map<number | string, number>();
  for (const i of units.flat()) total.set(classes?.[i] ?? 0, (total.get(classes?.[i] ?? 0) ?? 0) + 1);
  const items = units.reduce((n, u) => n + u.length, 0);
  const parts = wanted.map((size) => ({
    items: [] as number[],
    room: size,
    left: new Map([...total].map(([c, n]) => [c, (n * size) / items] as const)),
  }));
  const rarest = (unit: readonly number[]): number => Math.min(...unit.map((i) => total.get(classes?.[i] ?? 0) ?? 0));
  const order = [...units].sort((a, b) => b.length - a.length || rarest(a) - rarest(b));
  for (const unit of order) {
    const needs = (p: (typeof parts)[number]): number => unit.reduce((n, i) => n + (p.left.get(classes?.[i] ?? 0) ?? 0), 0) / unit.length;
    const roomy = parts.filter((p) => p.room >= unit.length - 1e-9);
    const among = roomy.length > 0 ? roomy : parts;
    const best = among.reduce((a, b) => {
      const [x, y] = [needs(a), needs(b)];
      return y > x + 1e-9 || (Math.abs(x - y) <= 1e-9 && b.room > a.room) ? b : a;
    });
    best.items.push(...unit);
    best.room -= unit.length;
    for (const i of unit) best.left.set(classes?.[i] ?? 0, (best.left.get(classes?.[i] ?? 0) ?? 0) - 1);
  }
  return parts.map((p) => p.items.sort((a, b) => a - b));
}

/** Whole sizes that add up to `items`, as near to the shares as possible. */
function sizesOf(shares: readonly number[], items: number): number[] {
  const exact = shares.map((s) => s * items);
  const sizes = exact.map(Math.floor);
  const order = exact.map((e, i) => [e - Math.floor(e), i] as const).sort((a, b) => b[0] - a[0]);
  let left = items - sizes.reduce((a, b) => a + b, 0);
  for (const [, i] of order) if (left-- > 0) sizes[i] = (sizes[i] ?? 0) + 1;
  return sizes;
}

export interface SplitOptions extends DivideOptions {
  /** Share of the items. Default 0.15. */
  readonly validation?: number;
  /** Share of the items. Default 0.15. */
  readonly test?: number;
}
export interface SplitIndices {
  readonly train: Int32Array;
  readonly validation: Int32Array;
  readonly test: Int32Array;
}

/**
 * Positions of a training, a validation and a test part: disjoint, all items, at random, stratified or by groups.
 * @example
 * const { train, validation } = splitIndices(10, { validation: 0.2, test: 0.1, seed: 1 });
 * console.assert(train.length === 7 && validation.length === 2);
 */
export function splitIndices(items: number, { validation = 0.15, test = 0.15, ...options }: SplitOptions = {}): SplitIndices {
  checkItems('splitIndices', items);
  for (const [name, share] of Object.entries({ validation, test })) {
    if (!(share >= 0 && share < 1)) throw new LibError('value', `splitIndices: ${name} must be in [0, 1), got ${share}.`);
  }
  if (validation + test >= 1)
    throw new LibError('value', `splitIndices: validation and test must leave items to train, got ${validation + test}.`);
  const units = unitsOf('splitIndices', items, options, orderKey('splitIndices', options.seed));
  const sizes = sizesOf([1 - validation - test, validation, test], items);
  const [a = [], b = [], c = []] = deal(units, sizes, options.stratify && valuesOf(options.stratify));
  return { train: Int32Array.from(a), validation: Int32Array.from(b), test: Int32Array.from(c) };
}

/** The three parts of a dataset. */
export interface Split<T> {
  readonly train: Subset<T>;
  readonly validation: Subset<T>;
  readonly test: Subset<T>;
}

/**
 * {@link splitIndices} of a dataset. Fit preprocessing (a {@link Standardizer}) on `train` only.
 * @example const { train, validation, test } = splitDataset(dataset, { seed: 1 })
 */
export function splitDataset<T>(dataset: Dataset<T>, options: SplitOptions = {}): Split<T> {
  const { train, validation, test } = splitIndices(dataset.length, options);
  return { train: new Subset(dataset, train), validation: new Subset(dataset, validation), test: new Subset(dataset, test) };
}

export interface KFoldOptions extends DivideOptions {
  /** How many parts. Default 5. */
  readonly k?: number;
  /** How often the whole is divided anew. Default 1. */
  readonly repeats?: number;
}

export interface Fold {
  /** Counted from 0, over all repeats. */
  readonly fold: number;
  readonly repeat: number;
  readonly train: Int32Array;
  readonly validation: Int32Array;
}

/**
 * Folds of cross-validation: each item is in the validation part of one fold of each repeat. Plain, stratified, by groups, repeated.
 * @example kFold(10, { k: 5, seed: 1 }).map((f) => f.validation.length) // [2, 2, 2, 2, 2]
 */
export function kFold(items: number, { k = 5, repeats = 1, ...options }: KFoldOptions = {}): Fold[] {
  checkItems('kFold', items);
  if (!Number.isInteger(k) || k < 2 || k > items) throw new LibError('value', `kFold: k must be in 2..${items}, got ${k}.`);
  if (!Number.isInteger(repeats) || repeats < 1) throw new LibError('value', `kFold: repeats must be a positive integer, got ${repeats}.`);
  const key = orderKey('kFold', options.seed);
  const all = range(items);
  return Array.from({ length: repeats }, (_, repeat) => {
    const units = unitsOf('kFold', items, options, epochKey(key, 'repeat', repeat));
    if (units.length < k) throw new LibError('value', `kFold: there must be at least k = ${k} groups, got ${units.length}.`);
    const sizes = sizesOf(new Array<number>(k).fill(1 / k), items);
    return deal(units, sizes, options.stratify && valuesOf(options.stratify)).map((part, i) => {
      const inside = new Set(part);
      return {
        fold: repeat * k + i,
        repeat,
        train: Int32Array.from(all.filter((j) => !inside.has(j))),
        validation: Int32Array.from(part),
      };
    });
  }).flat();
}

/** A row that is in two parts. */
export interface Leak {
  readonly parts: readonly [a: string, b: string];
  /** Its positions in them. */
  readonly rows: readonly [a: number, b: number];
}

/** Exact values of an item, as a key. */
function keyOf(item: unknown): string {
  const x = Array.isArray(item) ? item[0] : item;
  if (typeof (x as Tensor | undefined)?.toArray === 'function') return (x as Tensor).toArray().join(',');
  return JSON.stringify(x, (_, v: unknown) => (ArrayBuffer.isView(v) ? [...(v as Float32Array)] : v));
}

function keysOf(part: Dataset<unknown> | Tensor): string[] {
  if (!('shape' in part)) return Array.from({ length: part.length }, (_, i) => keyOf(part.get(i)));
  const [count = 1] = part.shape;
  const values = part.toArray();
  const width = values.length / Math.max(1, count);
  return Array.from({ length: count }, (_, i) => values.subarray(i * width, (i + 1) * width).join(','));
}

/**
 * Rows (of datasets: inputs) that occur in more than one part, bit by bit the same: a test set with training rows in it measures memory.
 * @example findLeaks({ train: tensor([[1, 2], [3, 4]]), test: tensor([[3, 4]]) }).length // 1
 */
export function findLeaks(parts: Readonly<Record<string, Dataset<unknown> | Tensor>>): Leak[] {
  const seen = new Map<string, (readonly [part: string, row: number])[]>();
  const leaks: Leak[] = [];
  for (const [name, part] of Object.entries(parts)) {
    for (const [row, key] of keysOf(part).entries()) {
      const before = seen.get(key) ?? [];
      for (const [other, at] of before) if (other !== name) leaks.push({ parts: [other, name], rows: [at, row] });
      if (!before.some(([other]) => other === name)) seen.set(key, [...before, [name, row]]);
    }
  }
  return leaks;
}

/** Throws where parts share rows ({@link findLeaks}). */
export function checkLeaks(parts: Readonly<Record<string, Dataset<unknown> | Tensor>>): void {
  const leaks = findLeaks(parts);
  const [first] = leaks;
  if (first === undefined) return;
  const { parts: names, rows } = first;
  throw new LibError(
    'data',
    `checkLeaks: parts must not share rows, got ${leaks.length} shared, first row ${rows[0]} of ${names[0]} and ${rows[1]} of ${names[1]}.`,
    'remove duplicates before splitting, or split by groups.',
  );
}
