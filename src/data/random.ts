import { fillUniform } from '../core/draws.js';
import { LibError } from '../core/errors.js';
import { type Key, splitKey } from '../core/philox.js';
import { dataGenerator, Generator } from '../tensor/random.js';

export type { Key } from '../core/philox.js';

/** The key of a seed's random numbers, or of the library's own stream of data order when there is none. */
export function orderKey(op: string, seed: number | undefined): Key {
  if (seed !== undefined && (!Number.isSafeInteger(seed) || seed < 0)) {
    throw new LibError('value', `${op}: seed must be a non-negative integer, got ${seed}.`);
  }
  const { low, high } = (seed === undefined ? dataGenerator() : new Generator(seed).split('data')).split('order').state;
  return { low, high };
}

/** The random numbers of one use in one epoch: nothing that is drawn elsewhere shifts them. */
export const epochKey = (key: Key, use: string, epoch: number): Key => splitKey(splitKey(key, use), epoch);

/** `count` uniforms in [0, 1) with 53 bits. */
export function uniforms(count: number, key: Key): Float64Array {
  const out = new Float64Array(count);
  fillUniform(out, key, 0);
  return out;
}

/** The numbers 0 .. length - 1 in random order. */
export function permutation(length: number, key: Key): Int32Array {
  const order = Int32Array.from({ length }, (_, i) => i);
  const draws = uniforms(length, key);
  for (let i = length - 1; i > 0; i--) {
    const j = Math.floor((draws[i] as number) * (i + 1));
    const kept = order[i] as number;
    order[i] = order[j] as number;
    order[j] = kept;
  }
  return order;
}
