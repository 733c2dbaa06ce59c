import { LibError } from '../core/errors.js';
import { type Collated, defaultCollate } from './collate.js';
import type { CollateOptions } from './collateHost.js';
import type { AsyncDataset, Dataset } from './dataset.js';
import type { Key } from './random.js';
import { BatchSampler, checkBatchSize, RandomSampler, type Sampler, SequentialSampler } from './samplers.js';

export interface DataLoaderOptions<T, B> extends CollateOptions {
  /** Items in a batch. Default 1. */
  readonly batchSize?: number;
  /** Visit items in a fresh random order each epoch. Default false. */
  readonly shuffle?: boolean;
  /** Leave out a last batch that is smaller than `batchSize`. Default false. */
  readonly dropLast?: boolean;
  /** Decides the order instead of `shuffle`. */
  readonly sampler?: Sampler;
  /** Decides what makes up each batch (buckets of like lengths, one of each class): instead of batchSize, shuffle, sampler and dropLast. */
  readonly batchSampler?: Pick<BatchSampler, 'length' | 'batchSize' | 'batches'>;
  /** Makes a batch of items. Default: {@link defaultCollate}, or the dataset's own `getBatch`. */
  readonly collate?: (items: readonly T[]) => B;
  /** Changes each batch: normalization, augmentation. */
  readonly transform?: (batch: B) => B;
  /** The same seed gives the same orders. Default: {@link manualSeed} decides. */
  readonly seed?: number;
  /** How many batches are prepared ahead when iterating with `for await`. Default 0; for datasets in workers 2. */
  readonly prefetch?: number;
}

/** Where a loader stands: enough to go on with the same batches. */
export interface LoaderState {
  readonly epoch: number;
  /** The key of the order's random numbers; null when the loader does not shuffle. */
  readonly key: Key | null;
}

/**
 * Batches of a dataset. Each iteration is one epoch with an order of its own, drawn from the seed and the epoch's number alone.
 * Datasets in memory are read with `for (const batch of loader)`; all, also those in workers, with `for await`.
 * @example for (const [images, labels] of new DataLoader(train, { batchSize: 128, shuffle: true })) { … }
 */
export class DataLoader<T, B = Collated<T>> implements Iterable<B>, AsyncIterable<B> {
  readonly batchSize: number;
  /** The number of the next epoch. */
  epoch = 0;
  private readonly key: Key | null;
  private readonly batches: Pick<BatchSampler, 'length' | 'batches'>;
  private readonly collate: ((items: readonly T[]) => B) | null;
  private readonly transform: ((batch: B) => B) | null;
  private readonly prefetch: number;
  private readonly collateOptions: CollateOptions;

  constructor(
    readonly dataset: Dataset<T> | AsyncDataset<B>,
    options: DataLoaderOptions<T, B> = {},
  ) {
    const { batchSampler, shuffle = false, dropLast = false, sampler, collate, transform, seed } = options;
    const { batchSize = batchSampler?.batchSize ?? 1 } = options;
    const others = (['batchSize', 'shuffle', 'sampler', 'dropLast'] as const).filter((key) => options[key] !== undefined);
    if (batchSampler && others.length > 0)
      throw new LibError('option', `DataLoader: batchSampler decides about all of a batch, got ${others.join(', ')} beside it.`);
    const { prefetch = isAsync(dataset) ? 2 : 0 } = options;
    checkBatchSize('DataLoader', batchSize);
    if (dataset.length === 0) throw new LibError('data', 'DataLoader: the dataset must have items, got an empty one.');
    if (sampler !== undefined && shuffle) throw new LibError('option', 'DataLoader: shuffle and sampler exclude each other, got both.');
    if (!Number.isInteger(prefetch) || prefetch < 0) {
      throw new LibError('value', `DataLoader: prefetch must be a non-negative integer, got ${prefetch}.`);
    }
    this.batchSize = batchSize;
    const order =
      sampler ?? (shuffle ? new RandomSampler(dataset.length, seed === undefined ? {} : { seed }) : new SequentialSampler(dataset.length));
    this.key = order instanceof RandomSampler ? order.key : null;
    this.batches = batchSampler ?? new BatchSampler(order, batchSize, dropLast);
    if (!batchSampler && this.batches.length === 0) {
      const hint = 'use a smaller batchSize or keep the last batch.';
      throw new LibError('data', `DataLoader: dropLast must leave a batch, got ${order.length} items and batchSize ${batchSize}.`, hint);
    }
    this.collate = collate ?? null;
    this.transform = transform ?? null;
    this.prefetch = prefetch;
    this.collateOptions = options.dtypes === undefined ? {} : { dtypes: options.dtypes };
  }

  /** Batches in an epoch. */
  get length(): number {
    return this.batches.length;
  }

  /** The next epoch, one batch after the other. */
  [Symbol.iterator](): Iterator<B> {
    return this.iterate(this.epoch++);
  }

  /** The next epoch; up to `prefetch` batches are prepared while the previous ones are used. */
  [Symbol.asyncIterator](): AsyncIterator<B> {
    return this.iterateAhead(this.epoch++, 0);
  }

  /** A given epoch from batch `from` on: what continues an interrupted run. */
  batchesOf(epoch: number, from = 0): AsyncIterable<B> {
    return { [Symbol.asyncIterator]: () => this.iterateAhead(epoch, from) };
  }

  stateDict(): LoaderState {
    return { epoch: this.epoch, key: this.key };
  }
  loadStateDict({ epoch, key }: LoaderState): void {
    if (key?.low !== this.key?.low || key?.high !== this.key?.high) {
      throw new LibError('state', 'DataLoader: the order must come from the seed of before, got a loader with another seed or none.');
    }
    this.epoch = epoch;
  }

  private *iterate(epoch: number): Generator<B> {
    const { dataset } = this;
    if (isAsync(dataset)) {
      throw new LibError(
        'data',
        'DataLoader: batches of this dataset come from a worker, got a synchronous loop.',
        'use for await (… of loader).',
      );
    }
    for (const indices of this.batches.batches(epoch)) yield this.load(dataset, indices);
  }

  private async *iterateAhead(epoch: number, from: number): AsyncGenerator<B> {
    const ahead: Promise<B>[] = [];
    let at = 0;
    for (const indices of this.batches.batches(epoch)) {
      if (at++ < from) continue;
      const next = this.fetch(indices);
      next.catch(() => undefined); // it is reported when its turn comes
      ahead.push(next);
      if (ahead.length > this.prefetch) yield await (ahead.shift() as Promise<B>);
    }
    for (const next of ahead) yield await next;
  }

  private async fetch(indices: Int32Array): Promise<B> {
    const { dataset } = this;
    if (!isAsync(dataset)) return this.load(dataset, indices);
    const batch = await dataset.fetchBatch(indices);
    return this.transform === null ? batch : this.transform(batch);
  }

  private load(dataset: Dataset<T>, indices: Int32Array): B {
    const batch = this.collated(dataset, indices);
    return this.transform === null ? batch : this.transform(batch);
  }

  private collated(dataset: Dataset<T>, indices: Int32Array): B {
    if (this.collate === null && dataset.getBatch) return dataset.getBatch(indices) as B;
    const items = Array.from(indices, (i) => dataset.get(i));
    return this.collate === null ? (defaultCollate(items, this.collateOptions) as unknown as B) : this.collate(items);
  }
}

function isAsync<T, B>(dataset: Dataset<T> | AsyncDataset<B>): dataset is AsyncDataset<B> {
  return 'fetchBatch' in dataset;
}
