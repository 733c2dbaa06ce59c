import { fillNormal, fillUniform } from '../core/draws.js';
import { LibError } from '../core/errors.js';
import { type Key, splitKey } from '../core/philox.js';
import { range } from '../core/shape.js';
import { tensor } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { orderKey } from './random.js';

/** What every synthetic task takes. */
export interface SyntheticOptions {
  /** The same seed gives the same data, on every machine. Default 0. */
  readonly seed?: number;
}

const BLOCK = 1024;

/** @internal Random numbers on the host, one after the other, of one task and seed. */
export class Draws {
  private readonly uniformKey: Key;
  private readonly normalKey: Key;
  private readonly uniformBlock = new Float64Array(BLOCK);
  private readonly normalBlock = new Float64Array(BLOCK);
  private uniformCount = 0;
  private normalCount = 0;

  constructor(task: string, seed = 0) {
    const key = splitKey(orderKey(task, seed), task);
    this.uniformKey = splitKey(key, 'uniform');
    this.normalKey = splitKey(key, 'normal');
  }
  /** In [low, high). */
  uniform(low = 0, high = 1): number {
    const at = this.uniformCount++ % BLOCK;
    if (at === 0) fillUniform(this.uniformBlock, splitKey(this.uniformKey, this.uniformCount), 0);
    return low + (high - low) * (this.uniformBlock[at] as number);
  }
  normal(mean = 0, std = 1): number {
    const at = this.normalCount++ % BLOCK;
    if (at === 0) fillNormal(this.normalBlock, splitKey(this.normalKey, this.normalCount), 0);
    return mean + std * (this.normalBlock[at] as number);
  }
  /** One of 0 … count - 1. */
  below(count: number): number {
    return Math.floor(this.uniform() * count);
  }
  pick<T>(list: readonly T[]): T {
    return list[this.below(list.length)] as T;
  }
  /** The numbers 0 … count - 1 in random order. */
  order(count: number): number[] {
    const list = range(count);
    for (let i = count - 1; i > 0; i--) {
      const j = this.below(i + 1);
      [list[i], list[j]] = [list[j] as number, list[i] as number];
    }
    return list;
  }
}

/** @internal */
export function checkCounts(task: string, counts: Readonly<Record<string, number>>): void {
  for (const [name, n] of Object.entries(counts)) {
    if (!Number.isInteger(n) || n < 1) throw new LibError('value', `${task}: ${name} must be a positive integer, got ${n}.`);
  }
}

/** @internal `count` rows of numbers as a float32 tensor (count, width). */
export function table(count: number, row: (i: number) => readonly number[]): Tensor {
  return tensor(
    Array.from({ length: count }, (_, i) => row(i)),
    { dtype: 'float32' },
  );
}

/** @internal */
export const floats = (values: readonly number[]): Tensor => tensor(Float32Array.from(values));
/** @internal */
export const integers = (values: readonly number[]): Tensor => tensor(Int32Array.from(values));
