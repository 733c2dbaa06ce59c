// autocast: products in the reduced type, everything delicate in float32, weights untouched.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as cr from '../../dist/index.js';
import {
  autocast,
  compile,
  crossEntropy,
  defineComposite,
  manualSeed,
  rand,
  randn,
  type Tensor,
  tensor,
  withDevice,
} from '../../dist/index.js';
import { GELU, LayerNorm, Linear, Sequential } from '../../dist/nn/index.js';
import { AdamW } from '../../dist/optim/index.js';
import type { Backend } from '../../dist/program/backend.js';
import { fit } from '../../dist/train/index.js';
import { engines } from '../support/backends.js';

const says = (phrase: RegExp) => (error: Error) => error.name === 'LibError' && phrase.test(error.message);

/** Terms are positive: a sum in 16 bits would stand still long before their end. */
function assertRounded(product: (...xs: readonly Tensor[]) => Tensor, xs: readonly Tensor[], terms: number): void {
  const [got, want] = [product(...xs), product(...xs.map((x) => x.double()))];
  const ulp = got.dtype === 'float16' ? 2 ** -11 : 2 ** -8;
  const exact = want.toArray();
  got.toArray().forEach((y, i) => {
    const x = exact[i] as number;
    assert.ok(Math.abs(y - x) <= x * (ulp + terms * 2 ** -24), `${y} for ${x}, ${terms} terms, ${got.dtype}`);
  });
}

describe('autocast', () => {
  test('types of results, by policy', () => {
    const [x, w] = [randn([4, 8]), randn([8, 8])];
    const image = randn([1, 2, 5, 5]);
    for (const dtype of ['bfloat16', 'float16'] as const) {
      autocast(
        () => {
          for (const y of [x.matmul(w), cr.linear(x, w), cr.conv2d(image, randn([3, 2, 3, 3])), x.matmul(w).relu()])
            assert.equal(y.dtype, dtype);
          for (const y of [x.matmul(w).softmax(), cr.layerNorm(x.matmul(w), [8]), x.matmul(w).sum(), x.matmul(w).exp()]) {
            assert.equal(y.dtype, 'float32');
          }
          assert.equal(cr.mseLoss(x.matmul(w), x).dtype, 'float32');
          assert.equal(x.matmul(w).add(x).dtype, 'float32');
          assert.equal(x.to('float64').matmul(w.to('float64')).dtype, 'float64');
          assert.equal(autocast(() => x.matmul(w), { enabled: false }).dtype, 'float32');
        },
        { dtype },
      );
    }
    assert.equal(x.matmul(w).dtype, 'float32');
  });

  for (const { name, backend } of engines) {
    const skip = backend === null && `no ${name}`;
    test(`products of 16-bit storage add up in float32 (${name})`, { skip }, () => {
      withDevice(backend as Backend, () => {
        manualSeed(5);
        for (const dtype of ['float16', 'bfloat16'] as const) {
          const some = (...shape: number[]): Tensor => rand(shape).to(dtype);
          const products: readonly ((...xs: readonly Tensor[]) => Tensor)[] = [
            (a, b) => a.matmul(b),
            (a, b) => a.t().contiguous().t().matmul(b.t().contiguous().t()),
            (a, b) => cr.linear(a, b.t().contiguous()),
          ];
          for (const [m, k, n] of [
            [1, 700, 3],
            [5, 300, 17],
            [33, 1030, 40],
            [70, 129, 65],
          ] as const) {
            for (const product of products) assertRounded(product, [some(m, k), some(k, n)], k);
          }
          assertRounded((x, w) => cr.conv2d(x, w, { padding: 1 }), [some(2, 16, 9, 9), some(8, 16, 3, 3)], 144);
        }
      });
    });
  }

  test('equals casting by hand, forward and backward', () => {
    const [x, w] = [randn([4, 8]), randn([3, 8]).requiresGrad_()];
    const target = tensor(Int32Array.of(0, 1, 2, 0));
    const cast = autocast(() => crossEntropy(cr.linear(x, w), target));
    const [g] = cr.grad(cast, [w]);
    const v = w.detach().clone().requiresGrad_();
    const byHand = crossEntropy(cr.linear(x.to('bfloat16'), v.to('bfloat16')).to('float32'), target);
    const [h] = cr.grad(byHand, [v]);
    assert.equal(cast.itemNow(), byHand.itemNow());
    assert.equal(g?.dtype, 'float32');
    assert.deepEqual(g?.tolist(), h?.tolist());
  });

  test('compiled functions know in which mode they were captured', () => {
    const [x, w] = [randn([4, 8]), randn([8, 8])];
    const f = compile((a: Tensor) => a.matmul(w));
    assert.equal(f(x).dtype, 'float32');
    const low = autocast(() => f(x));
    assert.equal(low.dtype, 'bfloat16');
    assert.equal(f(x).dtype, 'float32');
    assert.equal(f.captures, 2);
    assert.deepEqual(low.tolist(), autocast(() => x.matmul(w)).tolist());
  });

  test('a row of the user can have a policy', () => {
    const row = { name: 'mine', compose: (x: Tensor) => x.mul(2), *samples() {} };
    const [plain, full] = [defineComposite(row), defineComposite({ ...row, autocast: 'full' })];
    const x = randn([2]).to('bfloat16');
    autocast(() => assert.deepEqual([plain(x).dtype, full(x).dtype], ['bfloat16', 'float32']));
  });

  test('training in bfloat16 follows training in float32', async () => {
    const losses = await Promise.all(
      (['float32', 'bfloat16'] as const).map(async (precision) => {
        manualSeed(6);
        const model = new Sequential(new Linear(6, 32), new LayerNorm(32), new GELU(), new Linear(32, 3));
        const x = randn([128, 6]);
        const y = x.narrow(1, 0, 3).argmax({ dim: 1 });
        const { TensorDataset } = await import('../../dist/data/index.js');
        const train = new TensorDataset(x, y);
        const optimizer = new AdamW(model.parameters(), { lr: 0.01 });
        const { history } = await fit({ model, train, loss: crossEntropy, optimizer, epochs: 12, seed: 1, precision });
        assert.ok(model.parameters().every((p) => p.dtype === 'float32'));
        return history.map((h) => h.train.loss ?? Number.NaN);
      }),
    );
    const [full, low] = losses as [number[], number[]];
    assert.notDeepEqual(full, low);
    for (const [i, loss] of full.entries()) assert.ok(Math.abs((low[i] ?? 0) - loss) < 0.03 * Math.max(loss, 0.1), `${loss} and ${low[i]}`);
  });

  test('errors', () => {
    assert.throws(() => autocast(() => 1, { dtype: 'float32' as never }), says(/dtype must be 'bfloat16' or 'float16', got 'float32'/));
    assert.throws(() => autocast(async () => 1), says(/must be synchronous/));
    assert.throws(() =>
      autocast(() => {
        throw new Error('x');
      }),
    );
    assert.equal(randn([2, 2]).matmul(randn([2, 2])).dtype, 'float32');
  });
});
