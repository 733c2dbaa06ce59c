// Random bits: the published answers, and the bits that the engine makes (engine/test/math_test.cpp prints the same hashes).
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { fillIntegers, fillNormal, fillUniform, normalOf } from '../../dist/core/draws.js';
import { type Key, philox4x32, splitKey, type Words } from '../../dist/core/philox.js';

const key: Key = { low: 0xa4093822, high: 0x299f31d0 };
const offset = 0xfffffffe; // the draw crosses into the counter's second word

test('philox4x32 gives the known answers of its authors', () => {
  const ones = 0xffffffff;
  const cases: readonly (readonly [Words, Key, Words])[] = [
    [[0, 0, 0, 0], { low: 0, high: 0 }, [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8]],
    [[ones, ones, ones, ones], { low: ones, high: ones }, [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd]],
    [[0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344], key, [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1]],
  ];
  for (const [counter, k, words] of cases) assert.deepEqual([...philox4x32(counter, k)], words);
});

function hash(array: Float32Array | Float64Array | Int32Array): string {
  let h = 0n;
  for (const byte of new Uint8Array(array.buffer)) h = BigInt.asUintN(64, (h ^ BigInt(byte)) * 1099511628211n);
  return h.toString(16);
}

test("draws have the engine's bits", () => {
  const n = 3001;
  const draws = {
    uniform32: new Float32Array(n),
    uniform64: new Float64Array(n),
    integers: new Int32Array(n),
    normal32: new Float32Array(n),
    normal64: new Float64Array(n),
  };
  fillUniform(draws.uniform32, key, offset);
  fillUniform(draws.uniform64, key, offset);
  fillIntegers(draws.integers, -7, 1000, key, offset);
  fillNormal(draws.normal32, key, offset);
  fillNormal(draws.normal64, key, offset);
  assert.deepEqual(Object.values(draws).map(hash), [
    'ca922fc6632a7279',
    '9a893078e3723049',
    '43ecbf430428c901',
    '97e0d13542b6d447',
    'e0fb266a13e7a485',
  ]);
});

test('a draw can be made in parts', () => {
  const whole = new Float64Array(50);
  fillUniform(whole, key, 7);
  for (const first of [1, 2, 5, 31]) {
    const part = new Float64Array(50 - first);
    fillUniform(part, key, 7, first);
    assert.deepEqual(part, whole.slice(first));
  }
});

test('normals are normal: symmetric, of mean 0 and variance 1, reaching beyond six standard deviations', () => {
  const x = new Float64Array(100000);
  fillNormal(x, key, 0);
  const mean = x.reduce((sum, v) => sum + v, 0) / x.length;
  const variance = x.reduce((sum, v) => sum + v * v, 0) / x.length;
  assert.ok(Math.abs(mean) < 0.01 && Math.abs(variance - 1) < 0.015, `mean ${mean}, variance ${variance}`);
  for (const word of [0, 1, 12345, 0x7fffffff]) assert.equal(normalOf(word), -normalOf(0xffffffff - word));
  assert.ok(Math.abs(normalOf(0) + 6.3379) < 1e-3, `${normalOf(0)}`); // the quantile of 2^-33
});

test('split keys differ by name, number and parent', () => {
  const children = [0, 1, 2 ** 32, 'a', 'b', 'ab', 'ba', 'aaaab', 'aaaa', ''].map((child) => splitKey(key, child));
  const grandchild = splitKey(splitKey(key, 'a'), 'b');
  const names = [key, grandchild, ...children].map((k) => `${k.low} ${k.high}`);
  assert.equal(new Set(names).size, names.length);
  assert.deepEqual(splitKey(key, 'dropout'), splitKey({ ...key }, 'dropout'));
});
