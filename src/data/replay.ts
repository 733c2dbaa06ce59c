import { LibError } from '../core/errors.js';
import { epochKey, type Key, orderKey, uniforms } from './random.js';

export interface ReplayOptions {
  /** Makes draws repeatable. Default: the library's stream of data order. */
  readonly seed?: number;
}

export interface ReplayState<T> {
  readonly items: readonly T[];
  readonly seen: number;
  readonly draws: number;
  readonly key: Key;
}

/**
 * A fixed number of items from all that were ever added, each with the same chance to be there (reservoir sampling, Vitter 1985): old
 * samples to mix into batches of a new task.
 * @example
 * const buffer = new ReplayBuffer<number>(2, { seed: 1 });
 * buffer.add([1, 2, 3, 4]);
 * buffer.mix([5, 6]); // one new item, one old
 */
export class ReplayBuffer<T> {
  private items: T[] = [];
  private draws = 0;
  private key: Key;
  /** How many items were added so far. */
  seen = 0;

  constructor(
    readonly capacity: number,
    { seed }: ReplayOptions = {},
  ) {
    if (!(Number.isInteger(capacity) && capacity > 0)) {
      throw new LibError('value', `ReplayBuffer: capacity must be a positive integer, got ${capacity}.`);
    }
    this.key = orderKey('ReplayBuffer', seed);
  }

  get length(): number {
    return this.items.length;
  }

  private below(count: number): number {
    return Math.floor((uniforms(1, epochKey(this.key, 'replay', this.draws++))[0] as number) * count);
  }

  /** Offers items; some replace older ones. */
  add(items: Iterable<T>): void {
    for (const item of items) {
      this.seen++;
      if (this.items.length < this.capacity) this.items.push(item);
      else {
        const place = this.below(this.seen);
        if (place < this.capacity) this.items[place] = item;
      }
    }
  }

  /** `count` different items, or all where there are fewer. */
  sample(count: number): T[] {
    const left = [...this.items];
    return Array.from({ length: Math.min(count, left.length) }, () => left.splice(this.below(left.length), 1)[0] as T);
  }

  /** A batch of the same size of which `share` are old items (as many as there are), the rest the first of `batch`. */
  mix(batch: readonly T[], { share = 0.5 }: { readonly share?: number } = {}): T[] {
    if (!(share >= 0 && share <= 1)) throw new LibError('value', `ReplayBuffer: share must be in [0, 1], got ${share}.`);
    const old = this.sample(Math.round(share * batch.length));
    return [...batch.slice(0, batch.length - old.length), ...old];
  }

  stateDict(): ReplayState<T> {
    return { items: [...this.items], seen: this.seen, draws: this.draws, key: this.key };
  }
  loadStateDict({ items, seen, draws, key }: ReplayState<T>): void {
    this.items = [...items];
    Object.assign(this, { seen, draws, key });
  }
}
