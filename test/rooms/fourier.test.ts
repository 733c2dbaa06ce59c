// Fourier transforms of sizes that samples do not have: products of small factors, large primes, and what is between; by the definition.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compile, fft, grad, manualSeed, randn, type Tensor, tensor } from '../../dist/index.js';

/** Σ x_j e^{∓2πi jk / n}. */
function byDefinition(x: ArrayLike<number>, n: number, k: number): readonly [number, number] {
  let [re, im] = [0, 0];
  for (let j = 0; j < n; j++) {
    const w = (-2 * Math.PI * ((j * k) % n)) / n;
    const [a, b] = [x[2 * j] as number, x[2 * j + 1] as number];
    re += a * Math.cos(w) - b * Math.sin(w);
    im += a * Math.sin(w) + b * Math.cos(w);
  }
  return [re, im];
}
const sizes = [1, 2, 13, 64, 65, 67, 96, 128, 127 * 2, 360, 1009, 4096];

test('transforms of all sizes are what the definition says, and inverses undo them', () => {
  for (const n of sizes) {
    manualSeed(n);
    const x = randn([2, n, 2], { dtype: 'float64' });
    const y = fft.fft(x);
    const values = y.select(0, 1).toArray();
    for (const k of new Set([0, 1, Math.floor(n / 2), n - 1])) {
      if (k >= n) continue;
      const [re, im] = byDefinition(x.select(0, 1).toArray(), n, k);
      const error = Math.hypot((values[2 * k] as number) - re, (values[2 * k + 1] as number) - im);
      assert.ok(error < 1e-12 * n, `${n}, ${k}: ${error}`);
    }
    assert.ok(fft.ifft(y).sub(x).abs().amax().itemNow() < 1e-13 * Math.log2(n + 1), `${n}`);
    const real = randn([n], { dtype: 'float64' });
    assert.ok(fft.irfft(fft.rfft(real), { n }).sub(real).abs().amax().itemNow() < 1e-13 * Math.log2(n + 1), `${n}`);
  }
});

test('float32 transforms lose no more than sums of 64 terms do', () => {
  for (const n of sizes) {
    const x = randn([n, 2], { dtype: 'float64' });
    const [exact, y] = [fft.fft(x), fft.fft(x.float())];
    assert.equal(y.dtype, 'float32');
    assert.ok(y.double().sub(exact).norm().itemNow() / exact.norm().itemNow() < 2e-6, `${n}`);
  }
});

test('gradients flow through transforms of every kind of size, and captures hold them', () => {
  for (const n of [12, 67, 130]) {
    const x = randn([n], { dtype: 'float64', requiresGrad: true });
    // Parseval: Σ |X|² = n Σ x², with X of all frequencies.
    const power = (t: Tensor): Tensor =>
      fft
        .hfft(fft.ihfft(t, { norm: 'forward' }), { n, norm: 'backward' })
        .square()
        .sum();
    const [g] = grad(power(x), [x]);
    const want = x.detach().mul(2 * n * n);
    assert.ok((g as Tensor).sub(want).abs().amax().itemNow() < 1e-9 * n * n, `${n}`);
    const run = compile((t: Tensor) => fft.rfft(t));
    assert.deepEqual([...run(x.detach()).toArray()], [...fft.rfft(x.detach()).toArray()]);
  }
});

test('a convolution by its transforms', () => {
  const [a, b] = [tensor([1, 2, 3, 0, 0]), tensor([1, -1, 2, 0, 0])];
  const [u, v] = [fft.rfft(a), fft.rfft(b)];
  const re = u
    .select(-1, 0)
    .mul(v.select(-1, 0))
    .sub(u.select(-1, 1).mul(v.select(-1, 1)));
  const im = u
    .select(-1, 0)
    .mul(v.select(-1, 1))
    .add(u.select(-1, 1).mul(v.select(-1, 0)));
  const c = fft.irfft(
    re
      .unsqueeze(-1)
      .mul(tensor([1, 0]))
      .add(im.unsqueeze(-1).mul(tensor([0, 1]))),
    { n: 5 },
  );
  [1, 1, 3, 1, 6].forEach((want, i) => {
    assert.ok(Math.abs((c.toArray()[i] as number) - want) < 1e-5);
  });
});

test('real numbers as complex ones are pairs with imaginary parts of 0', () => {
  const x = tensor([1.5, -2], { requiresGrad: true });
  assert.deepEqual(x.cfloat().tolist(), [
    [1.5, 0],
    [-2, 0],
  ]);
  assert.deepEqual([x.chalf().dtype, x.cfloat().dtype, x.cdouble().dtype], ['float16', 'float32', 'float64']);
  x.cdouble().select(-1, 0).sum().backward();
  assert.deepEqual(x.grad?.tolist(), [1, 1]);
});
