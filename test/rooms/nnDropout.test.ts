// Random layers by what their distribution must have: shares, moments, what is dropped together, and a fresh draw at every call.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { gumbelSoftmax, manualSeed, ones, randn, type Tensor, tensor, zeros } from '../../dist/index.js';
import { AlphaDropout, Dropout, Dropout1d, Dropout2d, Dropout3d, DropPath, FeatureAlphaDropout, RReLU } from '../../dist/nn/index.js';

const values = (x: Tensor): number[] => [...x.detach().reshape([-1]).toArray()].map(Number);
const mean = (v: readonly number[]): number => v.reduce((a, b) => a + b, 0) / v.length;
function variance(v: readonly number[]): number {
  const centre = mean(v);
  return mean(v.map((x) => (x - centre) ** 2));
}
/** Within five deviations of a share measured on n draws. */
const isShare = (got: number, p: number, n: number, what: string): void =>
  assert.ok(Math.abs(got - p) < 5 * Math.sqrt((p * (1 - p)) / n), `${what}: share ${got}, wanted ${p}`);

describe('dropout of channels drops each channel of each example as a whole', () => {
  const cases = [
    [Dropout1d, [200, 30, 4], 2],
    [Dropout1d, [3000, 4], 1],
    [Dropout2d, [200, 30, 2, 3], 2],
    [Dropout2d, [200, 30, 4], 2],
    [Dropout3d, [200, 30, 2, 1, 2], 2],
    [Dropout3d, [3000, 2, 1, 2], 1],
  ] as const;
  for (const [Layer, shape, lead] of cases) {
    test(`${Layer.name} of (${shape})`, () => {
      manualSeed(5);
      const layer = new Layer(0.3);
      const x = ones([...shape]);
      const channels = shape.slice(0, lead).reduce<number>((n, d) => n * d, 1);
      const rows = layer.forward(x).reshape([channels, -1]);
      const [low, high] = [values(rows.amin({ dim: 1 })), values(rows.amax({ dim: 1 }))];
      assert.deepEqual(low, high, 'a channel has one value');
      assert.ok(low.every((v) => v === 0 || Math.abs(v - 1 / 0.7) < 1e-6));
      isShare(low.filter((v) => v === 0).length / channels, 0.3, channels, Layer.name);
      assert.notDeepEqual(values(layer.forward(x)), values(layer.forward(x)), 'a fresh draw');
      layer.eval();
      assert.deepEqual(values(layer.forward(x)), values(x));
    });
  }
});

describe('alpha dropout keeps mean 0 and variance 1', () => {
  for (const Layer of [AlphaDropout, FeatureAlphaDropout]) {
    for (const p of [0.1, 0.5]) {
      test(`${Layer.name}(${p})`, () => {
        manualSeed(6);
        const y = values(new Layer(p).forward(randn([40_000, 5])));
        assert.ok(Math.abs(mean(y)) < 0.02, `mean ${mean(y)}`);
        assert.ok(Math.abs(variance(y) - 1) < 0.03, `variance ${variance(y)}`);
      });
    }
  }
  test('a dropped element has the saturation value, moved and scaled as the rest', () => {
    manualSeed(7);
    const p = 0.4;
    const saturated = -1.7580993408473766;
    const scale = 1 / Math.sqrt((1 - p) * (1 + p * saturated ** 2));
    const y = values(new AlphaDropout(p).forward(zeros([5000])));
    const [dropped, kept] = [scale * saturated * (1 - p), -scale * p * saturated];
    assert.ok(y.every((v) => Math.abs(v - dropped) < 1e-6 || Math.abs(v - kept) < 1e-6));
    isShare(y.filter((v) => v < 0).length / y.length, p, y.length, 'dropped');
  });
});

test('classic dropout: no scaling in training, 1 - p in evaluation, the same mean', () => {
  manualSeed(8);
  const layer = new Dropout(0.3, { inverted: false });
  const x = ones([20_000]);
  const y = values(layer.forward(x));
  assert.ok(y.every((v) => v === 0 || v === 1));
  isShare(mean(y), 0.7, y.length, 'kept');
  assert.ok(values(layer.eval().forward(x)).every((v) => Math.abs(v - 0.7) < 1e-6));
});

test('DropPath drops examples or all together, and scales the rest', () => {
  manualSeed(9);
  const rows = values(new DropPath(0.25).forward(ones([4000, 3])).amax({ dim: 1 }));
  assert.ok(rows.every((v) => v === 0 || Math.abs(v - 1 / 0.75) < 1e-6));
  isShare(rows.filter((v) => v === 0).length / 4000, 0.25, 4000, 'row');
  const batch = new DropPath(0.5, { mode: 'batch' });
  const sums = Array.from({ length: 200 }, () => new Set(values(batch.forward(ones([8, 2])))));
  assert.ok(sums.every((s) => s.size === 1));
  isShare(sums.filter((s) => s.has(0)).length / 200, 0.5, 200, 'batch');
});

test('RReLU draws slopes in [lower, upper) in training and uses their mean in evaluation', () => {
  manualSeed(10);
  const layer = new RReLU();
  const slopes = values(layer.forward(ones([20_000]).neg())).map((v) => -v);
  assert.ok(slopes.every((s) => s >= 1 / 8 && s < 1 / 3));
  assert.ok(Math.abs(mean(slopes) - 11 / 48) < 0.002);
  // Kolmogorov–Smirnov against the uniform distribution, at 1 in 10⁴
  const sorted = slopes.toSorted((a, b) => a - b);
  const distance = Math.max(...sorted.map((s, i) => Math.abs((s - 1 / 8) / (1 / 3 - 1 / 8) - (i + 0.5) / sorted.length)));
  assert.ok(distance * Math.sqrt(sorted.length) < 2.23, `distance ${distance}`);
  assert.ok(values(layer.eval().forward(tensor([-1, 2]))).every((v, i) => Math.abs(v - ([-11 / 48, 2][i] as number)) < 1e-6));
});

test('gumbelSoftmax draws classes by their probability; hard ones are one-hot with the gradient of the soft', () => {
  manualSeed(11);
  const logits = tensor([0.5, 0.3, 0.2]).log().expand([20_000, 3]);
  const shares = values(gumbelSoftmax(logits, { hard: true }).mean({ dim: 0 }));
  for (const [i, p] of [0.5, 0.3, 0.2].entries()) isShare(shares[i] as number, p, 20_000, `class ${i}`);
  const gradient = (hard: boolean): number[] => {
    manualSeed(12);
    const x = tensor([[0.1, 0.4, -0.3]], { requiresGrad: true });
    const y = gumbelSoftmax(x, { hard, tau: 0.7 });
    if (hard) assert.deepEqual(values(y).toSorted().map(Math.round), [0, 0, 1]);
    y.mul(tensor([1, 2, 5]))
      .sum()
      .backward();
    return values(x.grad as Tensor);
  };
  assert.deepEqual(gradient(true), gradient(false));
});
