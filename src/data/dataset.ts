import { LibError } from '../core/errors.js';
import { formatShape } from '../core/shape.js';
import { toDevice } from '../io/hostArray.js';
import type { Tensor } from '../tensor/tensor.js';
import { epochKey, orderKey, permutation } from './random.js';

/** Items that can be asked for by position (PyTorch: a map-style dataset). */
export interface Dataset<T> {
  readonly length: number;
  get(index: number): T;
  /** The items at `indices`, collated; for datasets that can gather faster than item by item. */
  getBatch?(indices: Int32Array): unknown;
}

/** A dataset of tuples of tensors that gathers its batches itself, as tuples of the same kind. */
export interface TupleDataset<T extends readonly Tensor[]> extends Dataset<T> {
  getBatch(indices: Int32Array): T;
}

/** A dataset whose batches come from elsewhere: a worker thread, a disk, a network. */
export interface AsyncDataset<B> {
  readonly length: number;
  fetchBatch(indices: Int32Array): Promise<B>;
}

export function checkIndex(op: string, index: number, length: number): number {
  const resolved = index < 0 ? index + length : index;
  if (!Number.isInteger(index) || resolved < 0 || resolved >= length) {
    throw new LibError('index', `${op}: the index must be in 0..${length - 1}, got ${index}.`);
  }
  return resolved;
}

/** The tensors' rows at `indices`, gathered on their device in one go. */
function rows(tensors: readonly Tensor[], indices: Int32Array): Tensor[] {
  const first = tensors[0] as Tensor;
  const at = toDevice({ dtype: 'int32', shape: [indices.length], data: indices }, first.device);
  return tensors.map((t) => t.indexSelect(0, at));
}

/**
 * Tensors whose first dimension counts the same items: `new TensorDataset(images, labels)` has items `[image, label]`.
 * Batches are gathered on the tensors' device, all rows at once.
 */
export class TensorDataset<T extends readonly Tensor[]> implements TupleDataset<T> {
  readonly length: number;
  readonly tensors: T;

  constructor(...tensors: T) {
    const [first] = tensors;
    if (first === undefined) throw new LibError('value', 'TensorDataset: there must be at least one tensor, got none.');
    const wrong = tensors.find((t) => t.ndim === 0 || t.shape[0] !== first.shape[0]);
    if (wrong !== undefined) {
      throw new LibError(
        'shape',
        `TensorDataset: first dimensions must agree, got ${tensors.map((t) => formatShape(t.shape)).join(' and ')}.`,
      );
    }
    this.tensors = tensors;
    this.length = first.shape[0] ?? 0;
  }

  get(index: number): T {
    const i = checkIndex('TensorDataset', index, this.length);
    return this.tensors.map((t) => t.select(0, i)) as readonly Tensor[] as T;
  }
  getBatch(indices: Int32Array): T {
    return rows(this.tensors, indices) as readonly Tensor[] as T;
  }
}

/** Some items of another dataset, in the order of `indices`. */
export class Subset<T> implements Dataset<T> {
  readonly indices: Int32Array;
  declare getBatch?: (indices: Int32Array) => unknown;

  constructor(
    readonly dataset: Dataset<T>,
    indices: ArrayLike<number>,
  ) {
    this.indices = Int32Array.from(indices, (i) => checkIndex('Subset', i, dataset.length));
    if (dataset.getBatch) this.getBatch = (picked) => dataset.getBatch?.(picked.map((i) => this.indices[i] as number));
  }

  get length(): number {
    return this.indices.length;
  }
  get(index: number): T {
    return this.dataset.get(this.indices[checkIndex('Subset', index, this.length)] as number);
  }
}

/** Several datasets, one after the other. */
export class ConcatDataset<T> implements Dataset<T> {
  readonly length: number;
  private readonly ends: readonly number[];

  constructor(readonly datasets: readonly Dataset<T>[]) {
    if (datasets.length === 0) throw new LibError('value', 'ConcatDataset: there must be at least one dataset, got none.');
    let end = 0;
    this.ends = datasets.map((d) => (end += d.length));
    this.length = end;
  }

  get(index: number): T {
    const i = checkIndex('ConcatDataset', index, this.length);
    const part = this.ends.findIndex((end) => i < end);
    const start = part === 0 ? 0 : (this.ends[part - 1] as number);
    return (this.datasets[part] as Dataset<T>).get(i - start);
  }
}

/** Datasets side by side: its items are lists of theirs, or objects where they have names (torch.utils.data.StackDataset). */
export class StackDataset<D extends readonly Dataset<unknown>[] | Readonly<Record<string, Dataset<unknown>>>>
  implements Dataset<Stacked<D>>
{
  readonly length: number;

  /** The datasets as a list, or by name. All have one length. */
  constructor(readonly datasets: D) {
    const all: readonly Dataset<unknown>[] = Object.values(datasets);
    const [first] = all;
    if (first === undefined) throw new LibError('value', 'StackDataset: there must be at least one dataset, got none.');
    if (all.some((d) => d.length !== first.length))
      throw new LibError('value', `StackDataset: lengths must agree, got ${all.map((d) => d.length).join(' and ')}.`);
    this.length = first.length;
  }
  get(index: number): Stacked<D> {
    const i = checkIndex('StackDataset', index, this.length);
    if (Array.isArray(this.datasets)) return this.datasets.map((d: Dataset<unknown>) => d.get(i)) as Stacked<D>;
    const named = this.datasets as Readonly<Record<string, Dataset<unknown>>>;
    return Object.fromEntries(Object.entries(named).map(([name, d]) => [name, d.get(i)])) as Stacked<D>;
  }
}
/** What a {@link StackDataset} has as items. */
export type Stacked<D> = { -readonly [K in keyof D]: D[K] extends Dataset<infer T> ? T : never };

/** A dataset whose items are functions of another's. */
export class MapDataset<S, T> implements Dataset<T> {
  constructor(
    readonly dataset: Dataset<S>,
    readonly map: (item: S, index: number) => T,
  ) {}

  get length(): number {
    return this.dataset.length;
  }
  get(index: number): T {
    return this.map(this.dataset.get(index), index);
  }
}

/**
 * A dataset of tuples of tensors whose batches pass through a function: it is called once a batch, on the device.
 * @example mapBatches(raw, ([images, labels]) => [normalize(0.1307, 0.3081)(images), labels])
 */
export function mapBatches<S extends readonly Tensor[], T extends readonly Tensor[]>(
  dataset: TupleDataset<S>,
  map: (batch: S) => T,
): TupleDataset<T> {
  const getBatch = (indices: Int32Array): T => map(dataset.getBatch(indices));
  return {
    length: dataset.length,
    get(index) {
      const batch = getBatch(Int32Array.of(checkIndex('mapBatches', index, dataset.length)));
      return batch.map((t) => t.select(0, 0)) as readonly Tensor[] as T;
    },
    getBatch,
  };
}

export interface RandomSplitOptions {
  /** The same seed gives the same parts. Default: {@link manualSeed} decides. */
  readonly seed?: number;
}

/**
 * Disjoint random parts of a dataset. `sizes` are counts that add up to its length, or fractions that add up to 1
 * (then what rounding leaves over goes to the first parts, one each).
 * @example const [train, validation] = randomSplit(dataset, [0.9, 0.1], { seed: 1 })
 */
export function randomSplit<T, const S extends readonly number[]>(
  dataset: Dataset<T>,
  sizes: S,
  { seed }: RandomSplitOptions = {},
): { -readonly [K in keyof S]: Subset<T> } {
  const counts = splitCounts(sizes, dataset.length);
  const order = permutation(dataset.length, epochKey(orderKey('randomSplit', seed), 'split', 0));
  const parts = counts.map((count, i) => {
    const start = counts.slice(0, i).reduce((a, b) => a + b, 0);
    return new Subset(dataset, order.subarray(start, start + count));
  });
  return parts as { -readonly [K in keyof S]: Subset<T> };
}

function splitCounts(sizes: readonly number[], length: number): number[] {
  const total = sizes.reduce((a, b) => a + b, 0);
  const fractions = Math.abs(total - 1) < 1e-6 && sizes.every((s) => s >= 0 && s <= 1) && !(length === 1 && sizes.every(Number.isInteger));
  if (!fractions) {
    if (total === length && sizes.every((s) => Number.isInteger(s) && s >= 0)) return [...sizes];
    throw new LibError(
      'value',
      `randomSplit: sizes must add up to ${length} items (or to 1, as fractions), got [${sizes.join(', ')}], which make ${total}.`,
    );
  }
  const counts = sizes.map((f) => Math.floor(f * length));
  const left = length - counts.reduce((a, b) => a + b, 0);
  return counts.map((count, i) => count + (i < left ? 1 : 0));
}
