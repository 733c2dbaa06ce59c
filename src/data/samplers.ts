import { LibError } from '../core/errors.js';
import { epochKey, type Key, orderKey, permutation, uniforms } from './random.js';

/** In which order items are visited: a pure function of the epoch, so that a run can be resumed anywhere. */
export interface Sampler {
  /** How many items an epoch visits. */
  readonly length: number;
  order(epoch: number): Int32Array;
}

/** First to last. */
export class SequentialSampler implements Sampler {
  constructor(readonly length: number) {
    checkLength('SequentialSampler', length);
  }
  order(): Int32Array {
    return Int32Array.from({ length: this.length }, (_, i) => i);
  }
}

export interface RandomSamplerOptions {
  /** The same seed gives the same orders. Default: {@link manualSeed} decides. */
  readonly seed?: number;
  /** Draw each item anew from all, so that items can repeat. Default false. */
  readonly replacement?: boolean;
  /** Items an epoch; default: the dataset's length. Without replacement, whole permutations follow each other. */
  readonly numSamples?: number;
}

/** A fresh random order each epoch. */
export class RandomSampler implements Sampler {
  readonly length: number;
  /** @internal */ readonly key: Key;
  private readonly replacement: boolean;

  constructor(
    readonly items: number,
    { seed, replacement = false, numSamples = items }: RandomSamplerOptions = {},
  ) {
    checkLength('RandomSampler', items);
    checkLength('RandomSampler', numSamples, 'numSamples');
    this.length = numSamples;
    this.key = orderKey('RandomSampler', seed);
    this.replacement = replacement;
  }

  order(epoch: number): Int32Array {
    const { items, length } = this;
    if (this.replacement) {
      return Int32Array.from(uniforms(length, epochKey(this.key, 'replacement', epoch)), (u) => Math.floor(u * items));
    }
    if (length === items) return permutation(items, epochKey(this.key, 'shuffle', epoch));
    const order = new Int32Array(length);
    for (let at = 0, round = 0; at < length; at += items, round++) {
      order.set(permutation(items, epochKey(this.key, `shuffle ${round}`, epoch)).subarray(0, length - at), at);
    }
    return order;
  }
}

/** The given items, in a fresh random order each epoch (torch.utils.data.SubsetRandomSampler). */
export class SubsetRandomSampler implements Sampler {
  private readonly indices: Int32Array;
  /** @internal */ readonly key: Key;

  constructor(indices: ArrayLike<number>, { seed }: { readonly seed?: number } = {}) {
    this.indices = Int32Array.from(indices);
    checkLength('SubsetRandomSampler', this.indices.length);
    this.key = orderKey('SubsetRandomSampler', seed);
  }
  get length(): number {
    return this.indices.length;
  }
  order(epoch: number): Int32Array {
    return permutation(this.length, epochKey(this.key, 'shuffle', epoch)).map((i) => this.indices[i] as number);
  }
}

export interface DistributedSamplerOptions {
  /** How many workers share the items. */
  readonly numReplicas: number;
  /** Which of them this one is, from 0. */
  readonly rank: number;
  /** Shuffle anew each epoch, the same for all. Default true. */
  readonly shuffle?: boolean;
  /** The same for all workers. Default 0. */
  readonly seed?: number;
  /** Leave items out so that all have as many; else some are visited twice. Default false. */
  readonly dropLast?: boolean;
}

/** Every numReplicas-th item, so that workers visit different ones (torch.utils.data.distributed.DistributedSampler). */
export class DistributedSampler implements Sampler {
  readonly length: number;
  private readonly options: Required<DistributedSamplerOptions>;
  private readonly key: Key;

  constructor(
    readonly items: number,
    { numReplicas, rank, shuffle = true, seed = 0, dropLast = false }: DistributedSamplerOptions,
  ) {
    checkLength('DistributedSampler', items);
    checkLength('DistributedSampler', numReplicas, 'numReplicas');
    if (!Number.isInteger(rank) || rank < 0 || rank >= numReplicas)
      throw new LibError('value', `DistributedSampler: rank must be in 0..${numReplicas - 1}, got ${rank}.`);
    this.options = { numReplicas, rank, shuffle, seed, dropLast };
    this.length = dropLast ? Math.floor(items / numReplicas) : Math.ceil(items / numReplicas);
    this.key = orderKey('DistributedSampler', seed);
  }
  order(epoch: number): Int32Array {
    const { items, length } = this;
    const { numReplicas, rank, shuffle } = this.options;
    const all = shuffle ? permutation(items, epochKey(this.key, 'shuffle', epoch)) : null;
    const at = (i: number): number => (all === null ? i % items : (all[i % items] as number));
    return Int32Array.from({ length }, (_, i) => at(rank + i * numReplicas));
  }
}

export interface WeightedRandomSamplerOptions {
  readonly seed?: number;
  /** Whether an item can be drawn more than once in an epoch. Default true, as in PyTorch. */
  readonly replacement?: boolean;
}

/** Draws items with probabilities in proportion to `weights`. */
export class WeightedRandomSampler implements Sampler {
  readonly length: number;
  private readonly weights: Float64Array;
  /** @internal */ readonly key: Key;
  private readonly replacement: boolean;

  constructor(weights: ArrayLike<number>, numSamples: number, { seed, replacement = true }: WeightedRandomSamplerOptions = {}) {
    this.weights = Float64Array.from(weights);
    const wrong = this.weights.find((w) => !Number.isFinite(w) || w < 0);
    if (wrong !== undefined) throw new LibError('value', `WeightedRandomSampler: weights must be finite and >= 0, got ${wrong}.`);
    const usable = this.weights.reduce((n, w) => n + (w > 0 ? 1 : 0), 0);
    checkLength('WeightedRandomSampler', numSamples, 'numSamples');
    if (usable === 0 || (!replacement && usable < numSamples)) {
      throw new LibError('value', `WeightedRandomSampler: enough weights must be positive to draw ${numSamples}, got ${usable}.`);
    }
    this.length = numSamples;
    this.key = orderKey('WeightedRandomSampler', seed);
    this.replacement = replacement;
  }

  order(epoch: number): Int32Array {
    return this.replacement ? this.drawMany(epoch) : this.drawOnce(epoch);
  }

  private drawMany(epoch: number): Int32Array {
    let total = 0;
    const ends = this.weights.map((w) => (total += w));
    return Int32Array.from(uniforms(this.length, epochKey(this.key, 'weighted', epoch)), (u) => firstAbove(ends, u * total));
  }

  /** The items with the largest log(u) / weight are a weighted draw without replacement (Efraimidis and Spirakis 2006). */
  private drawOnce(epoch: number): Int32Array {
    const draws = uniforms(this.weights.length, epochKey(this.key, 'weighted once', epoch));
    const scores = draws.map((u, i) => Math.log(1 - u) / (this.weights[i] as number));
    const candidates = Array.from(scores.keys()).filter((i) => (this.weights[i] as number) > 0);
    return Int32Array.from(candidates.sort((a, b) => (scores[b] as number) - (scores[a] as number)).slice(0, this.length));
  }
}

/** The first position whose running total lies above `x`. */
function firstAbove(ends: Float64Array, x: number): number {
  let low = 0;
  let high = ends.length - 1;
  while (low < high) {
    const middle = (low + high) >> 1;
    if ((ends[middle] as number) > x) high = middle;
    else low = middle + 1;
  }
  return low;
}

/**
 * Weights that give every class the same share of the draws.
 * @example new WeightedRandomSampler(balancedWeights(classes), classes.length)
 */
export function balancedWeights(labels: ArrayLike<number>): Float64Array {
  const counts = new Map<number, number>();
  for (let i = 0; i < labels.length; i++) counts.set(labels[i] as number, (counts.get(labels[i] as number) ?? 0) + 1);
  return Float64Array.from(labels, (label) => 1 / (counts.get(label) ?? 1));
}

/** Which items make up each batch, again as a function of the epoch. */
export class BatchSampler {
  constructor(
    readonly sampler: Sampler,
    readonly batchSize: number,
    readonly dropLast: boolean = false,
  ) {
    checkBatchSize('BatchSampler', batchSize);
  }

  /** How many batches an epoch has: ceil(n / batchSize), or floor with `dropLast`. */
  get length(): number {
    const batches = this.sampler.length / this.batchSize;
    return this.dropLast ? Math.floor(batches) : Math.ceil(batches);
  }

  *batches(epoch: number): Generator<Int32Array> {
    const order = this.sampler.order(epoch);
    for (let i = 0; i < this.length; i++) yield order.slice(i * this.batchSize, (i + 1) * this.batchSize);
  }
}

export function checkBatchSize(op: string, batchSize: number): void {
  if (!Number.isInteger(batchSize) || batchSize < 1) {
    throw new LibError('value', `${op}: batchSize must be a positive integer, got ${batchSize}.`);
  }
}

function checkLength(op: string, length: number, what = 'length'): void {
  if (!Number.isInteger(length) || length < 1) {
    const rule = what === 'length' ? 'there must be items to visit' : `${what} must be a positive integer`;
    throw new LibError('value', `${op}: ${rule}, got ${length}.`);
  }
}
