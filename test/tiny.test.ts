// Two seconds, end to end: the package loads, computes and learns. Everything else is elsewhere.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cat, describeEngine, LibError, manualSeed, randn, type Tensor, tensor } from 'chainrule';
import { BCEWithLogitsLoss, Linear, Sequential, Tanh } from 'chainrule/nn';
import { Adam } from 'chainrule/optim';

const near = (actual: Tensor, expected: readonly number[], tolerance = 1e-5): void => {
  const values = [...actual.toArray()];
  assert.equal(values.length, expected.length);
  for (const [i, v] of values.entries()) assert.ok(Math.abs(v - (expected[i] ?? 0)) <= tolerance, `${v} instead of ${expected[i]} at ${i}`);
};

test('an engine runs', () => {
  assert.match(describeEngine(), /^(native|wasm|reference)/);
});

test('ops give known values', () => {
  const x = tensor([
    [1, 2, 3],
    [4, 5, 6],
  ]);
  near(x.add(tensor([10, 20, 30])), [11, 22, 33, 14, 25, 36]);
  near(x.matmul(x.t()), [14, 32, 32, 77]);
  near(x.sum({ dim: 0 }), [5, 7, 9]);
  near(x.mean(), [3.5]);
  near(x.softmax({ dim: 1 }).select(0, 0), [0.09003057, 0.24472847, 0.66524096]);
  near(tensor([-1, 0, 2]).gelu(), [-0.15865526, 0, 1.9544997]);
  near(cat([x, x], { dim: 1 }).slice([1, 2], [2, 5]), [6, 4, 5]);
  assert.deepEqual(x.gt(3).tolist(), [
    [0, 0, 0],
    [1, 1, 1],
  ]);
  assert.equal(tensor([3, 1, 2]).argmax().itemNow(), 0);
});

test('gradients flow', () => {
  const w = tensor([1, 2, 3], { requiresGrad: true });
  w.mul(w).sum().backward();
  near(w.grad as Tensor, [2, 4, 6]);
});

test('the same seed gives the same numbers', () => {
  const draw = (): Tensor => {
    manualSeed(7);
    return randn([100]);
  };
  assert.deepEqual(draw().toArray(), draw().toArray());
});

test('mistakes are told in one sentence', () => {
  assert.throws(
    () => tensor([[1, 2]]).matmul(tensor([[1, 2]])),
    (e) => e instanceof LibError && e.message.startsWith('matmul: inner dimensions must agree'),
  );
});

test('XOR is learned', async () => {
  manualSeed(1);
  const x = tensor([
    [0, 0],
    [0, 1],
    [1, 0],
    [1, 1],
  ]);
  const y = tensor([[0], [1], [1], [0]]);
  const model = new Sequential(new Linear(2, 8), new Tanh(), new Linear(8, 1));
  const optimizer = new Adam(model.parameters(), { lr: 0.05 });
  const criterion = new BCEWithLogitsLoss();
  let loss = Number.POSITIVE_INFINITY;
  for (let step = 0; step < 400; step++) {
    optimizer.zeroGrad();
    const error = criterion.forward(model.forward(x), y);
    error.backward();
    optimizer.step();
    if (step % 50 === 49) loss = await error.item();
  }
  assert.ok(loss < 0.01, `the loss is ${loss} after 400 steps`);
});
