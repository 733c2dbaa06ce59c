import { type Key, multiplyHigh, philox4x32 } from './philox.js';

/**
 * What a draw makes of random words, as the engine does (engine/random.h), to the bit. Element i is made of word i % 4 of block
 * offset + floor(i / 4); a float64 uniform takes two words, so block offset + floor(i / 2).
 */

const words = new Uint32Array(4);

/** Calls `take(word, i)` for the words first .. first + count - 1 of a draw, i counting from 0. */
function eachWord(first: number, count: number, key: Key, offset: number, take: (word: number, i: number) => void): void {
  for (let i = -(first % 4); i < count; i += 4) {
    const block = offset + (first + i) / 4;
    philox4x32([block >>> 0, Math.floor(block / 2 ** 32) >>> 0, 0, 0], key, words);
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
