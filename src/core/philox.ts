/**
 * Random numbers as a function of key and position: Philox4x32-10 (Salmon, Moraes, Dror, Shaw, SC 2011).
 * The engine (engine/random.h) makes the same bits. What is made of them is
 * in draws.ts: keys are all that a page needs whose numbers the engine draws.
 */

/** 64 bits that name a stream of random numbers, as two unsigned 32-bit integers. */
export interface Key {
  readonly low: number;
  readonly high: number;
}

/** Four unsigned 32-bit integers. */
export type Words = [number, number, number, number];

/** The upper 32 bits of the 64-bit product of two unsigned 32-bit integers. */
export const multiplyHigh = (a: number, b: number): number => upper(a, b) >>> 0;

/** The same as a signed integer, in integer arithmetic throughout. */
function upper(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const middle = (Math.imul(aHigh, bLow) + (Math.imul(aLow, bLow) >>> 16)) >>> 0;
  const other = (Math.imul(aLow, bHigh) + (middle & 0xffff)) >>> 0;
  return (Math.imul(aHigh, bHigh) + (middle >>> 16) + (other >>> 16)) | 0;
}

/**
 * One block of Philox4x32-10: four random words for a counter and a key, in `out` where one is given.
 * @example philox4x32([0, 0, 0, 0], { low: 0, high: 0 }) // Uint32Array [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]
 */
export function philox4x32(counter: Readonly<Words>, key: Key, out: Uint32Array = new Uint32Array(4)): Uint32Array {
  let [c0, c1, c2, c3] = counter;
  let k0 = key.low | 0;
  let k1 = key.high | 0;
  for (let round = 0; round < 10; round++) {
    const high0 = upper(0xd2511f53, c0);
    const high1 = upper(0xcd9e8d57, c2);
    const low0 = Math.imul(0xd2511f53, c0);
    const low1 = Math.imul(0xcd9e8d57, c2);
    c0 = high1 ^ c1 ^ k0;
    c1 = low1;
    c2 = high0 ^ c3 ^ k1;
    c3 = low0;
    k0 = (k0 + 0x9e3779b9) | 0;
    k1 = (k1 + 0xbb67ae85) | 0;
  }
  out[0] = c0;
  out[1] = c1;
  out[2] = c2;
  out[3] = c3;
  return out;
}

const SPLIT = 0x53504c54; // in the third counter word, where draws have 0

/**
 * A key for an independent stream, from a key and the name or number of the child.
 * @example const dropout = splitKey(splitKey(seed, 'dropout'), layer);
 */
export function splitKey(key: Key, child: string | number): Key {
  if (typeof child === 'number') return mix(key, child >>> 0, Math.floor(child / 2 ** 32) >>> 0, 0);
  let mixed = mix(key, child.length, 0, 1);
  for (let i = 0; i < child.length; i += 4) {
    const unit = (j: number): number => (i + j < child.length ? child.charCodeAt(i + j) : 0);
    mixed = mix(mixed, unit(0) | (unit(1) << 16), unit(2) | (unit(3) << 16), 2);
  }
  return mixed;
}

function mix(key: Key, c0: number, c1: number, kind: number): Key {
  const [low = 0, high = 0] = philox4x32([c0 >>> 0, c1 >>> 0, SPLIT, kind], key);
  return { low, high };
}
