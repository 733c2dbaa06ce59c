/**
 * Random numbers as a function of key and position: Philox4x32-10 (Salmon, Moraes, Dror, Shaw, SC 2011).
 * The engine (engine/random.h) makes the same bits. Element i of a draw is word i % 4 of block offset + floor(i / 4);
 * a float64 uniform takes two words, so block offset + floor(i / 2).
 */

/** 64 bits that name a stream of random numbers, as two unsigned 32-bit integers. */
export interface Key {
  readonly low: number;
  readonly high: number;
}

/** Four unsigned 32-bit integers. */
export type Words = [number, number, number, number];

/** The upper 32 bits of the 64-bit product of two unsigned 32-bit integers. */
function multiplyHigh(a: number, b: number): number {
  const aLow = a & 0xffff;
  const aHigh = a >>> 16;
  const bLow = b & 0xffff;
  const bHigh = b >>> 16;
  const middle = aHigh * bLow + ((aLow * bLow) >>> 16);
  const other = aLow * bHigh + (middle & 0xffff);
  return (aHigh * bHigh + Math.floor(middle / 65536) + Math.floor(other / 65536)) >>> 0;
}

/**
 * One block of Philox4x32-10: four random words for a counter and a key.
 * @example philox4x32([0, 0, 0, 0], { low: 0, high: 0 }) // [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]
 */
export function philox4x32(counter: Readonly<Words>, key: Key): Words {
  let [c0, c1, c2, c3] = counter;
  let k0 = key.low;
  let k1 = key.high;
  for (let round = 0; round < 10; round++) {
    const high0 = multiplyHigh(0xd2511f53, c0);
    const high1 = multiplyHigh(0xcd9e8d57, c2);
    const low0 = Math.imul(0xd2511f53, c0);
    const low1 = Math.imul(0xcd9e8d57, c2);
    c0 = (high1 ^ c1 ^ k0) >>> 0;
    c1 = low1 >>> 0;
    c2 = (high0 ^ c3 ^ k1) >>> 0;
    c3 = low0 >>> 0;
    k0 = (k0 + 0x9e3779b9) | 0;
    k1 = (k1 + 0xbb67ae85) | 0;
  }
  return [c0, c1, c2, c3];
}

/** Calls `take(word, i)` for the words first .. first + count - 1 of a draw, i counting from 0. */
function eachWord(first: number, count: number, key: Key, offset: number, take: (word: number, i: number) => void): void {
  for (let i = -(first % 4); i < count; i += 4) {
    const block = offset + (first + i) / 4;
    const words = philox4x32([block >>> 0, Math.floor(block / 2 ** 32) >>> 0, 0, 0], key);
    for (let j = Math.max(0, -i); j < 4 && i + j < count; j++) take(words[j] as number, i + j);
  }
}

/** Fills `out` with uniforms in [0, 1): 24 bits of a word each for a Float32Array, 53 bits of two for a Float64Array. */
export function fillUniform(out: Float32Array | Float64Array, key: Key, offset: number, first = 0): void {
  if (out instanceof Float32Array) {
    eachWord(first, out.length, key, offset, (word, i) => {
      out[i] = (word >>> 8) * 2 ** -24;
    });
    return;
  }
  let upper = 0;
  eachWord(first * 2, out.length * 2, key, offset, (word, i) => {
    if (i % 2 === 0) upper = word >>> 5;
    else out[(i - 1) / 2] = (upper * 2 ** 26 + (word >>> 6)) * 2 ** -53;
  });
}

/** Fills `out` with integers in [low, high): low + floor(word * (high - low) / 2^32). */
export function fillIntegers(out: Int32Array, low: number, high: number, key: Key, offset: number, first = 0): void {
  const range = high - low;
  eachWord(first, out.length, key, offset, (word, i) => {
    out[i] = low + (range === 2 ** 32 ? word : multiplyHigh(word, range));
  });
}

/** Fills `out` with normals of mean 0 and standard deviation 1, one word each. */
export function fillNormal(out: Float32Array | Float64Array, key: Key, offset: number, first = 0): void {
  eachWord(first, out.length, key, offset, (word, i) => {
    out[i] = normalOf(word);
  });
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
  const [low, high] = philox4x32([c0 >>> 0, c1 >>> 0, SPLIT, kind], key);
  return { low, high };
}

/**
 * The normal quantile of p = (word + 1/2) / 2^32: Wichura's AS 241 (PPND16, relative error 1e-16), whose far tail begins
 * below 2^-33. Only additions, multiplications, divisions and square roots, in the engine's order: equal bits.
 */
export function normalOf(word: number): number {
  const p = (word + 0.5) * 2 ** -32;
  const q = p - 0.5;
  if (Math.abs(q) <= 0.425) {
    const near = 0.180625 - q * q;
    return (q * horner(near, CENTRAL_TOP)) / horner(near, CENTRAL_BOTTOM);
  }
  const r = Math.sqrt(-logOf(Math.min(p, 1 - p))) - 1.6;
  const size = horner(r, TAIL_TOP) / horner(r, TAIL_BOTTOM);
  return q < 0 ? -size : size;
}

const bits = new Uint32Array(2);
const float = new Float64Array(bits.buffer);
const HIGH = new Uint8Array(new Uint16Array([1]).buffer)[0] === 1 ? 1 : 0; // which of `bits` holds the exponent

/** The natural logarithm of t in (0, 1) to about an ulp: t = 2^k (1 + f), and then a series in f / (2 + f). */
function logOf(t: number): number {
  float[0] = t;
  const fromRoot = ((bits[HIGH] as number) - 0x3fe6a09e) | 0;
  const k = fromRoot >> 20;
  bits[HIGH] = (fromRoot & 0xfffff) + 0x3fe6a09e;
  const f = (float[0] as number) - 1;
  const s = f / (f + 2);
  const z = s * s;
  const tail = z * horner(z, LOG);
  return k * 0.6931471803691238 + (s * (2 + tail) + k * 1.9082149292705877e-10);
}

/** c0 + c1 x + c2 x^2 + ..., from the highest power down. */
function horner(x: number, c: readonly number[]): number {
  let y = c[c.length - 1] as number;
  for (let i = c.length - 2; i >= 0; i--) y = x * y + (c[i] as number);
  return y;
}

const LOG = [
  0.6666666666666734, 0.3999999999941438, 0.2857142874245617, 0.22222198565841064, 0.18183564725954957, 0.15314039823151854,
  0.14796062300208862,
];
const CENTRAL_TOP = [
  3.3871328727963665, 133.14166789178438, 1971.5909503065513, 13731.69376550946, 45921.95393154987, 67265.7709270087, 33430.57558358813,
  2509.0809287301227,
];
const CENTRAL_BOTTOM = [
  1, 42.31333070160091, 687.1870074920579, 5394.196021424751, 21213.794301586597, 39307.89580009271, 28729.085735721943, 5226.495278852854,
];
const TAIL_TOP = [
  1.4234371107496835, 4.630337846156546, 5.769497221460691, 3.6478483247632045, 1.2704582524523684, 0.2417807251774506,
  0.022723844989269184, 0.0007745450142783414,
];
const TAIL_BOTTOM = [
  1, 2.053191626637759, 1.6763848301838038, 0.6897673349851, 0.14810397642748008, 0.015198666563616457, 0.0005475938084995345,
  1.0507500716444169e-9,
];
