// The initializers against what PyTorch's torch.nn.init documents: gains, bounds, deviations, exact patterns.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { empty, Generator, type Tensor } from '../../dist/index.js';
import { init } from '../../dist/nn/index.js';

const values = (x: Tensor): number[] => [...x.detach().reshape([-1]).toArray()].map(Number);
const close = (got: number, want: number, rtol: number, what: string): void =>
  assert.ok(Math.abs(got - want) <= rtol * Math.abs(want), `${what}: ${got}, wanted ${want}`);

function moments(x: Tensor): { readonly mean: number; readonly std: number; readonly low: number; readonly high: number } {
  const all = values(x);
  const mean = all.reduce((a, b) => a + b, 0) / all.length;
  const std = Math.sqrt(all.reduce((a, b) => a + (b - mean) ** 2, 0) / all.length);
  return { mean, std, low: Math.min(...all), high: Math.max(...all) };
}
const generator = (): Generator => new Generator(11);

describe('gains', () => {
  // torch.nn.init.calculate_gain
  const gains = { linear: 1, conv2d: 1, sigmoid: 1, tanh: 5 / 3, relu: Math.SQRT2, selu: 0.75 } as const;
  for (const [name, gain] of Object.entries(gains)) {
    test(name, () => assert.equal(init.calculateGain(name as keyof typeof gains), gain));
  }
  test('leaky ReLU', () => {
    close(init.calculateGain('leakyRelu'), 1.4141428569978354, 1e-12, 'default slope 0.01');
    close(init.calculateGain('leakyRelu', 0.2), 1.3867504905630728, 1e-12, 'slope 0.2');
  });
  test('an unknown name', () =>
    assert.throws(() => init.calculateGain('swish' as 'relu'), /calculateGain: nonlinearity must be 'conv1d', .*, got 'swish'\./));
});

describe('random initializers have their bounds and deviations', () => {
  const [out, inputs] = [120, 150];
  const weight = (): Tensor => empty([out, inputs]);
  const uniform = (x: Tensor, bound: number): void => {
    const { mean, std, low, high } = moments(x);
    assert.ok(low >= -bound && high <= bound && low < -0.99 * bound && high > 0.99 * bound, `±${bound}: ${low} to ${high}`);
    assert.ok(Math.abs(mean) < 0.02 * bound, `mean ${mean}`);
    close(std, bound / Math.sqrt(3), 0.02, 'deviation');
  };
  const normal = (x: Tensor, deviation: number): void => {
    const { mean, std, high } = moments(x);
    assert.ok(Math.abs(mean) < 0.03 * deviation && high > 3 * deviation, `mean ${mean}, largest ${high}`);
    close(std, deviation, 0.02, 'deviation');
  };
  const cases: Readonly<Record<string, () => void>> = {
    'uniform_ -2..2': () => uniform(init.uniform_(weight(), -2, 2, { generator: generator() }), 2),
    'normal_ 0, 3': () => normal(init.normal_(weight(), 0, 3, { generator: generator() }), 3),
    xavierUniform_: () => uniform(init.xavierUniform_(weight(), { gain: 2, generator: generator() }), 2 * Math.sqrt(6 / (out + inputs))),
    xavierNormal_: () => normal(init.xavierNormal_(weight(), { generator: generator() }), Math.sqrt(2 / (out + inputs))),
    kaimingUniform_: () => uniform(init.kaimingUniform_(weight(), { generator: generator() }), Math.sqrt(6 / inputs)),
    'kaimingNormal_ fanOut, relu': () =>
      normal(init.kaimingNormal_(weight(), { mode: 'fanOut', nonlinearity: 'relu', generator: generator() }), Math.sqrt(2 / out)),
    'kaimingUniform_ of a convolution': () =>
      uniform(init.kaimingUniform_(empty([40, 20, 5, 5]), { a: Math.sqrt(5), generator: generator() }), 1 / Math.sqrt(500)),
  };
  for (const [name, check] of Object.entries(cases)) test(name, check);

  test('truncNormal_: cut at two deviations, so the deviation is 0.8796', () => {
    const { mean, std, low, high } = moments(init.truncNormal_(weight(), 1, 0.5, 0, 2, { generator: generator() }));
    assert.ok(low >= 0 && high <= 2 && low < 0.02 && high > 1.98, `${low} to ${high}`);
    assert.ok(Math.abs(mean - 1) < 0.01, `mean ${mean}`);
    close(std, 0.5 * 0.8796, 0.02, 'deviation');
  });

  test('sparse_: the share of zeros in every column', () => {
    const x = init.sparse_(empty([50, 12]), 0.3, { std: 0.5, generator: generator() });
    for (let c = 0; c < 12; c++) assert.equal(values(x.select(1, c)).filter((v) => v === 0).length, 15);
    assert.ok(moments(x).std > 0.3);
  });

  test('orthogonal_: orthonormal rows or columns, times the gain', () => {
    for (const shape of [
      [6, 20],
      [20, 6],
      [8, 2, 2, 2],
    ]) {
      const x = init.orthogonal_(empty(shape), { gain: 2, generator: generator() }).reshape([shape[0] as number, -1]);
      const [rows, columns] = x.dims(2);
      const products = values(rows <= columns ? x.matmul(x.t()) : x.t().matmul(x));
      const n = Math.min(rows, columns);
      for (const [i, v] of products.entries()) {
        assert.ok(Math.abs(v - (Math.floor(i / n) === i % n ? 4 : 0)) < 1e-4, `${shape}: product ${i} is ${v}`);
      }
    }
  });
});

describe('exact patterns', () => {
  test('constant_, zeros_, ones_, eye_', () => {
    assert.deepEqual(values(init.constant_(empty([2, 2]), 3)), [3, 3, 3, 3]);
    assert.deepEqual(values(init.zeros_(empty([2]))), [0, 0]);
    assert.deepEqual(values(init.ones_(empty([2]))), [1, 1]);
    assert.deepEqual(values(init.eye_(empty([2, 3]))), [1, 0, 0, 0, 1, 0]);
  });

  test('dirac_: channels pass through unchanged, per group', () => {
    assert.deepEqual(values(init.dirac_(empty([3, 2, 3]))), [0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0]);
    assert.deepEqual(values(init.dirac_(empty([4, 2, 1]), 2)), [1, 0, 0, 1, 1, 0, 0, 1]);
    assert.throws(() => init.dirac_(empty([2, 2])), /dirac_: the tensor must have 3 to 5 dimensions, got shape \(2, 2\)\./);
  });

  test('weights of one dimension have no fans', () => {
    assert.throws(() => init.xavierUniform_(empty([4])), /xavierUniform_: the tensor must have at least 2 dimensions, got shape \(4,\)\./);
  });
});
