// Poisson and binomial numbers: their frequencies are the distribution's, and every engine draws the same ones.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { binomial, compile, full, Generator, normal, poisson, type Tensor, tensor, withDevice } from '../../dist/index.js';
import { everyBackend } from '../support/backends.js';

const N = 40_000;

/** Pearson's statistic of counts against probabilities, over cells that expect at least ten. */
function checkFrequencies(what: string, drawn: Tensor, probability: (k: number) => number): void {
  const counts = new Map<number, number>();
  for (const k of drawn.toArray()) counts.set(k, (counts.get(k) ?? 0) + 1);
  let [statistic, cells, seen, share] = [0, 0, 0, 0];
  for (let k = 0; k <= Math.max(...counts.keys()); k++) {
    const expected = N * probability(k);
    if (expected < 10) continue;
    statistic += ((counts.get(k) ?? 0) - expected) ** 2 / expected;
    seen += counts.get(k) ?? 0;
    share += probability(k);
    cells++;
  }
  assert.ok(statistic < cells + 5 * Math.sqrt(2 * cells) + 5, `${what}: ${statistic} for ${cells} cells`);
  assert.ok(Math.abs(seen / N - share) < 5 * Math.sqrt((share * (1 - share)) / N) + 1e-3, `${what}: ${seen} of ${N} near the middle`);
}
const product = (n: number, term: (i: number) => number): number =>
  Array.from({ length: n }, (_, i) => term(i + 1)).reduce((a, b) => a * b, 1);

test('frequencies of poisson() are λᵏ / k! · exp(-λ)', () => {
  for (const rate of [0.3, 1, 4.5, 30]) {
    const drawn = poisson(full([N], rate, { dtype: 'float64' }), { generator: new Generator(7) });
    checkFrequencies(`rate ${rate}`, drawn, (k) => Math.exp(-rate) * product(k, (i) => rate / i));
  }
});

test('frequencies of binomial() are n! / k! (n - k)! · pᵏ (1 - p)ⁿ⁻ᵏ', () => {
  for (const [n, p] of [
    [1, 0.25],
    [5, 0.5],
    [20, 0.9],
    [60, 0.1],
  ] as const) {
    const drawn = binomial(full([N], n), tensor([p]), { generator: new Generator(8) });
    checkFrequencies(`${n}, ${p}`, drawn, (k) => product(k, (i) => ((n - k + i) / i) * p) * (1 - p) ** (n - k));
  }
});

test('large ones have the mean and variance they should', () => {
  for (const [x, mean, variance] of [
    [poisson(full([N], 2e6, { dtype: 'float64' }), { generator: new Generator(1) }), 2e6, 2e6],
    [
      binomial(full([N], 1e6, { dtype: 'float64' }), full([1], 0.75, { dtype: 'float64' }), { generator: new Generator(2) }),
      750_000,
      187_500,
    ],
  ] as const) {
    assert.ok(Math.abs(x.mean().itemNow() - mean) < 5 * Math.sqrt(variance / N), `${x.mean().itemNow()}`);
    assert.ok(Math.abs(x.var().itemNow() / variance - 1) < 5 * Math.sqrt(2 / N), `${x.var().itemNow()}`);
  }
});

test('edges, types and shapes', () => {
  assert.deepEqual([...poisson(tensor([0, 0])).toArray()], [0, 0]);
  assert.deepEqual([...binomial(tensor([7, 7, 0]), tensor([0, 1, 0.5])).toArray()], [0, 7, 0]);
  const wide = binomial(full([3, 1], 4), full([1, 5], 0.5));
  assert.deepEqual([wide.shape, wide.dtype, wide.requiresGrad], [[3, 5], 'float32', false]);
  assert.equal(poisson(full([2], 3, { dtype: 'float64' })).dtype, 'float64');
});

test('every engine draws the same', () => {
  const [first, ...others] = everyBackend
    .flatMap(({ backend }) => backend ?? [])
    .map((backend) =>
      withDevice(backend, () => {
        const generator = new Generator(11);
        const rates = poisson(tensor([0.5, 3, 80, 1e4]).expand([50, 4]), { generator });
        return [...rates.toArray(), ...binomial(rates, tensor([0.4]), { generator }).toArray()];
      }),
    );
  for (const other of others) assert.deepEqual(other, first);
});

test('what has no distribution, and captures, are refused', () => {
  assert.throws(() => poisson(tensor([-1])), /poisson: rates must be finite and at least 0, got -1\./);
  assert.throws(() => poisson(tensor([Number.NaN])), /rates must be finite/);
  assert.throws(() => poisson(tensor([1], { dtype: 'int32' })), /one floating type, got int32/);
  assert.throws(() => binomial(tensor([2.5]), tensor([0.5])), /each count must be a whole number of at least 0, got 2\.5/);
  assert.throws(() => binomial(tensor([2]), tensor([1.5])), /probabilities must be in \[0, 1\], got 1\.5/);
  assert.throws(() => binomial(tensor([2]), tensor([0.5], { dtype: 'float64' })), /one floating type, got float32 and float64/);
  assert.throws(() => normal(0, tensor([1, -2])), /normal: the deviation must not be negative, got -2/);
  assert.throws(() => normal(tensor([0]), -1), /the deviation must not be negative, got -1/);
  assert.throws(() => compile((x: Tensor) => poisson(x))(tensor([1])), /not known while compile\(\) is capturing/);
});
