import { fillUniform, type Key, splitKey } from '../core/philox.js';

/** The random numbers of one epoch of one seed. They belong to data alone: no other draw shifts them. */
export function dataKey(seed: number, use: string, epoch = 0): Key {
  return splitKey(splitKey(splitKey({ low: seed >>> 0, high: Math.floor(seed / 2 ** 32) >>> 0 }, 'data'), use), epoch);
}

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
