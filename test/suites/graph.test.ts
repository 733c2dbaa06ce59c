// What reverse mode does with graphs, whatever the ops are.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { backward, enableGrad, grad, gradcheck, jvp, noGrad, ones, type Tensor, tensor, vjp } from '../../dist/index.js';
import { expectClose, tolerances } from '../../dist/testing/compare.js';

const leaf = (values: number[]): Tensor => tensor(values, { requiresGrad: true });
const values = (t: Tensor | null): number[] => [...(t?.toArray() ?? [])];

test('a chain of 20,000 ops is walked without overflow', () => {
  const x = leaf([1]);
  let y: Tensor = x;
  for (let i = 0; i < 20_000; i++) y = y.add(0.5);
  y.backward();
  assert.deepEqual(values(x.grad), [1]);
});

test('a chain of 20,000 ops can be differentiated twice', () => {
  const x = leaf([2]);
  let y: Tensor = x.mul(x);
  for (let i = 0; i < 20_000; i++) y = y.mul(1);
  const [g] = grad(y, [x], { createGraph: true });
  assert.deepEqual(values(g as Tensor), [4]);
  assert.deepEqual(values(grad(g as Tensor, [x])[0] as Tensor), [2]);
});

test('a value used many times gathers all of its gradients', () => {
  const x = leaf([3]);
  let sum = x.mul(0);
  for (let i = 0; i < 100; i++) sum = sum.add(x.mul(i));
  sum.backward();
  assert.deepEqual(values(x.grad), [4950]);
});

test('a diamond is walked once per node', () => {
  const x = leaf([1]);
  let y: Tensor = x;
  for (let i = 0; i < 60; i++) y = y.add(y); // 2^60 paths
  y.backward();
  assert.deepEqual(values(x.grad), [2 ** 60]);
});

test('backward accumulates into .grad', () => {
  const w = leaf([1, 2]);
  for (let i = 1; i <= 3; i++) {
    w.mul(w).sum().backward();
    assert.deepEqual(values(w.grad), [2 * i, 4 * i]);
  }
});

test('leaves do not share the bytes of their gradients', () => {
  const [a, b] = [leaf([1, 2]), leaf([3, 4])];
  a.add(b).sum().backward();
  noGrad(() => a.grad?.mul_(100));
  assert.deepEqual(values(b.grad), [1, 1]);
});

test('the given gradient is not written to by accumulation', () => {
  const [x, g] = [leaf([1, 2]), ones([2])];
  x.add(0).backward({ gradient: g });
  x.add(0).backward({ gradient: g });
  assert.deepEqual(values(x.grad), [2, 2]);
  assert.deepEqual(values(g), [1, 1]);
});

test('a second backward says how to keep the graph', () => {
  const x = leaf([2]);
  const y = x.mul(x).sum();
  y.backward();
  assert.throws(() => y.backward(), /backward: a graph can be walked once[\s\S]*retainGraph/);
});

test('retainGraph keeps the graph for another pass', () => {
  const x = leaf([2]);
  const y = x.mul(x).sum();
  y.backward({ retainGraph: true });
  y.backward();
  assert.deepEqual(values(x.grad), [8]);
  assert.throws(() => y.backward(), /walked once/);
});

test('createGraph makes gradients that can be differentiated, to any order', () => {
  const x = leaf([1.5]);
  let y: Tensor = x.pow(5).sum();
  for (const expected of [5 * 1.5 ** 4, 20 * 1.5 ** 3, 60 * 1.5 ** 2, 120 * 1.5, 120]) {
    y = (grad(y, [x], { createGraph: true }) as Tensor[])[0] as Tensor;
    assert.ok(Math.abs(y.itemNow() - expected) < 1e-3 * expected, `${y.itemNow()} instead of ${expected}`);
    y = y.sum();
  }
});

test('grad leaves .grad alone, reaches inner tensors, and says when an input is unused', () => {
  const [x, unused] = [leaf([1, 2]), leaf([1])];
  const h = x.mul(3);
  const y = h.mul(h).sum();
  const [gx, gh] = grad(y, [x, h], { retainGraph: true }) as Tensor[];
  assert.deepEqual(
    [values(gx as Tensor), values(gh as Tensor)],
    [
      [18, 36],
      [6, 12],
    ],
  );
  assert.equal(x.grad, null);
  assert.throws(() => grad(y, [unused], { retainGraph: true }), /must depend on every input, got input 0/);
  assert.deepEqual(grad(y, [unused], { allowUnused: true }), [null]);
});

test('hooks see gradients, may change them, and can be removed', () => {
  const x = leaf([1, 2]);
  const h = x.mul(2);
  const seen: number[][] = [];
  h.registerHook((g) => {
    seen.push(values(g));
    return g.mul(10);
  });
  const remove = x.registerHook((g) => {
    seen.push(values(g));
    return undefined;
  });
  h.sum().backward();
  assert.deepEqual(seen, [
    [1, 1],
    [20, 20],
  ]);
  assert.deepEqual(values(x.grad), [20, 20]);
  remove();
  x.mul(1).sum().backward();
  assert.equal(seen.length, 2);
});

test('a hook on a leaf runs once a pass, on the complete gradient', () => {
  const x = leaf([1]);
  const seen: number[][] = [];
  x.registerHook((g) => void seen.push(values(g)));
  x.mul(2).add(x.mul(3)).backward();
  assert.deepEqual(seen, [[5]]);
});

test('what a hook keeps stays valid after the pass', () => {
  const x = leaf([1, 2, 3]);
  let kept: Tensor | undefined;
  const h = x.mul(2);
  h.registerHook((g) => {
    kept = g;
    return undefined;
  });
  h.mul(h).sum().backward();
  for (let i = 0; i < 50; i++) x.mul(i).mul(3).sum().backward();
  assert.deepEqual(values(kept as Tensor), [4, 8, 12]);
});

test('retainGrad keeps the gradient of an inner tensor', () => {
  const x = leaf([1, 2]);
  const h = x.mul(3).retainGrad();
  h.mul(h).sum().backward();
  assert.deepEqual(values(h.grad), [6, 12]);
  const plain = x.mul(3);
  plain.sum().backward();
  assert.equal(plain.grad, null);
});

test('noGrad records nothing, enableGrad inside it does, and errors restore the mode', () => {
  const x = leaf([1]);
  assert.equal(noGrad(() => x.mul(2)).requiresGrad, false);
  assert.equal(noGrad(() => enableGrad(() => x.mul(2))).requiresGrad, true);
  assert.throws(() =>
    noGrad(() => {
      throw new Error('stop');
    }),
  );
  assert.equal(x.mul(2).requiresGrad, true);
});

test('noGrad refuses a body that gives a promise', () => {
  assert.throws(() => noGrad(async () => 1), /noGrad: the body must be synchronous, got a promise/);
  assert.equal(leaf([1]).mul(2).requiresGrad, true);
});

test('detach cuts the graph and shares the bytes', () => {
  const x = leaf([2]);
  const y = x.mul(3);
  const cut = y.detach();
  assert.equal(cut.requiresGrad, false);
  assert.equal(cut.storage, y.storage);
  y.add(cut).backward();
  assert.deepEqual(values(x.grad), [3]);
});

test('backward wants a scalar or a gradient of the right shape, and something to differentiate by', () => {
  const x = leaf([1, 2]);
  assert.throws(() => x.mul(2).backward(), /backward: the tensor must have one element/);
  assert.throws(() => x.mul(2).backward({ gradient: ones([3]) }), /must have the shape of the tensor, got \(3,\) for \(2,\)/);
  assert.throws(() => tensor([1]).backward(), /must depend on one that requires grad/);
  backward(x.mul(2), { gradient: tensor([1, 10]) });
  assert.deepEqual(values(x.grad), [2, 20]);
});

test('only floating-point leaves can require gradients', () => {
  assert.throws(() => tensor([1], { dtype: 'int32' }).requiresGrad_(), /only floating-point tensors/);
  assert.throws(() => leaf([1]).mul(2).requiresGrad_(false), /cannot be turned off/);
});

test('saved values are released by backward', () => {
  const x = leaf([1, 2]);
  const y = x.mul(x);
  const { node } = y;
  assert.ok((node?.savedTensors().length ?? 0) > 0);
  y.sum().backward();
  assert.equal(node?.savedTensors().length, 0);
});

test('an independent branch may be walked again after its neighbour was', () => {
  const x = leaf([2]);
  const h = x.mul(3);
  const [a, b] = [h.add(1), h.add(2)]; // add saves nothing, but mul above is shared
  a.backward({ retainGraph: true });
  b.backward();
  assert.deepEqual(values(x.grad), [6]);
});

test('jvp and vjp of one function', () => {
  const f = (x: Tensor): Tensor => x.sin().mul(x);
  const [x, v] = [tensor([0.5, 1]), tensor([1, 2])];
  const [y, dy] = jvp(f, [x], [v]);
  const [z, pull] = vjp(f, x);
  assert.deepEqual(values(y), values(z));
  const slope = [0.5, 1].map((t) => Math.cos(t) * t + Math.sin(t));
  const expected = slope.map((s, i) => s * (i + 1));
  expectClose(values(dy), expected, tolerances.float32, 'jvp');
  expectClose(values(pull(v)[0] as Tensor), expected, tolerances.float32, 'vjp');
});

test('jvp of jvp is the second derivative', () => {
  const first = (x: Tensor): Tensor => jvp((t) => t.pow(4), [x], [ones([1])])[1];
  const [, second] = jvp(first, [tensor([1.5])], [ones([1])]);
  assert.ok(Math.abs(second.itemNow() - 12 * 1.5 ** 2) < 1e-4);
});

test('gradcheck passes right gradients and fails wrong ones', () => {
  const x = tensor([0.3, -0.7], { dtype: 'float64', requiresGrad: true });
  assert.equal(gradcheck((t) => t.tanh(), [x], { second: true }).passed, true);
  const wrong = (t: Tensor): Tensor => t.tanh().add(t.detach().mul(0.01));
  assert.equal(gradcheck(wrong, [x]).passed, false);
});

test('tensors made under a graph do not keep it alive once detached', () => {
  let w = leaf([1]);
  for (let i = 0; i < 2_000; i++) w = w.sub(w.mul(0.001)).detach().requiresGrad_();
  assert.ok(w.isLeaf);
});

test('grad of several results is that of their sum, each weighted by what arrives there', () => {
  const x = leaf([1, 2]);
  const results = [x.square(), x.mul(3)];
  const [weighted] = grad(results, [x], { gradOutputs: [tensor([1, 1]), tensor([1, 10])], retainGraph: true });
  expectClose((weighted as Tensor).toArray(), [5, 34], tolerances.float32);
  const sums = results.map((y) => y.sum());
  expectClose((grad(sums, [x], { retainGraph: true })[0] as Tensor).toArray(), [5, 7], tolerances.float32);
  expectClose((grad(sums, [x], { gradOutputs: [null, tensor(2)] })[0] as Tensor).toArray(), [8, 10], tolerances.float32);
  assert.throws(() => grad(results, [x], { gradOutputs: [null] }), /as many gradOutputs as results, got 1 for 2\./);
});
