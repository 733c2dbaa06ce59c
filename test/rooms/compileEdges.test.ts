// What compile() refuses, how it ends after an error, and what it does with work that nothing needs.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as cr from '../../dist/index.js';
import { Parameter, randn, type Tensor, tensor } from '../../dist/index.js';
import { reference } from '../support/backends.js';

/** The reference computes in float64, so a value that skips memory there skips a rounding too: the suites compare that. */
const compile: typeof cr.compile = (fn) => cr.compile(fn, { fuse: cr.defaultDevice() !== reference });

const says = (phrase: string) => (error: Error) => error.message.includes(phrase);

test('values cannot be read while capturing', async () => {
  const hint = 'return it from the compiled function and do this outside.';
  for (const read of ['toArray', 'itemNow', 'item', 'data', 'tolist'] as const) {
    assert.throws(() => compile((x: Tensor) => void x.sum()[read]())(tensor([1])), says('is not known while compile() is capturing'));
  }
  const questions = { allclose: cr.allclose, equal: cr.equal, isNonzero: (x: Tensor) => cr.isNonzero(x) };
  for (const [name, ask] of Object.entries(questions))
    assert.throws(() => compile((x: Tensor) => void ask(x, x))(tensor([1])), says(`${name}: values must be there to be read`));
  assert.throws(() => compile((x: Tensor) => void x.itemNow())(tensor(1)), says(hint));
  assert.throws(() => compile(async (x: Tensor) => x.itemNow())(tensor(1)), says('must be synchronous, got a promise'));
});

test('numbers are checked in captures too', () => {
  const loss = compile((x: Tensor) => cr.gaussianNllLoss(x, x, -1));
  assert.throws(() => loss(tensor([1, 2])), says('the variance must not be negative, got -1'));
});

test('an error while capturing leaves gradients and modes as they were', () => {
  const w = new Parameter(tensor([1, 2]));
  w.grad = tensor([5, 6]);
  const f = compile((x: Tensor) => {
    w.grad = null;
    w.mul(x).sum().backward();
    return x.matmul(w).reshape([7]);
  });
  assert.throws(() => f(tensor([3, 4])), says('reshape'));
  assert.deepEqual([...(w.grad?.toArray() ?? [])], [5, 6]);
  assert.deepEqual([...w.mul(2).toArray()], [2, 4]);
});

test('tensors of a capture cannot be used outside, nor graphs from outside inside', () => {
  let kept: Tensor | null = null;
  compile((x: Tensor) => {
    kept = x.mul(2);
  })(tensor([1]));
  assert.throws(() => (kept as Tensor | null)?.toArray(), says('has no value outside of it'));
  assert.throws(() => (kept as Tensor | null)?.add(1), says('has no value outside of it'));
  assert.throws(() => compile(() => (kept as unknown as Tensor).add(1))(), says('has no value outside of it'));
  const y = tensor([1], { requiresGrad: true }).mul(2);
  assert.throws(() => compile(() => y.add(1))(), says('must not be part of a graph, got one that mul made'));
  assert.throws(() => compile((t: Tensor) => t.add(1))(y), says('must not be part of a graph'));
});

test('bad indices are an error of the op, at any call', () => {
  const table = randn([4, 2]);
  const f = compile((ids: Tensor) => table.indexSelect(0, ids));
  f(tensor([1, 3], { dtype: 'int32' }));
  assert.throws(() => f(tensor([1, 9], { dtype: 'int32' })), says('indices must lie inside the tensor'));
  assert.deepEqual(f(tensor([3, 3], { dtype: 'int32' })).shape, [2, 2]);

  const w = new Parameter(randn([4, 2]));
  const g = compile((ids: Tensor) => w.indexSelect(0, ids).sum().backward());
  assert.throws(() => g(tensor([9], { dtype: 'int32' })), says('indices must lie inside the tensor'));
  assert.equal(w.grad, null);
  g(tensor([1], { dtype: 'int32' }));
  assert.deepEqual([...((w.grad as Tensor | null)?.toArray() ?? [])], [0, 0, 1, 1, 0, 0, 0, 0]);
});

test('frequent captures are noted once', (t) => {
  const warn = t.mock.method(console, 'warn', () => undefined);
  const f = compile((x: Tensor, k: number) => x.mul(k));
  for (let k = 0; k < 20; k++) assert.equal(f(tensor([2]), k).itemNow(), 2 * k);
  assert.equal(warn.mock.callCount(), 1);
});

test('compiled functions inside compiled functions and under jvp run as plain ones', () => {
  const inner = compile((x: Tensor) => x.sin());
  const outer = compile((x: Tensor) => inner(x).mul(2));
  assert.ok(Math.abs(outer(tensor(1)).itemNow() - 2 * Math.sin(1)) < 1e-6);
  assert.equal(inner.programs.length, 0);
  const [, dy] = cr.jvp((x) => inner(x), [tensor(0)], [tensor(1)]);
  assert.equal(dy.itemNow(), 1);
});

test('a result takes the place of an input only where both have one layout', () => {
  const f = (x: Tensor): Tensor => x.sin().reshape([128, 64]).transpose(0, 1).relu().cumsum(0);
  const x = randn([64, 128]);
  assert.deepEqual(compile(f)(x).toArray(), f(x).toArray());
});

test('unused work is dropped, and temporaries share their places', () => {
  const f = compile((x: Tensor) => {
    let y = x;
    for (let i = 0; i < 50; i++)
      y = y
        .reshape([10, 100])
        .matmul(y.reshape([100, 10]))
        .sum()
        .add(x);
    x.exp().log();
    return y;
  });
  f(randn([1000]));
  const [info] = f.programs;
  assert.ok((info?.arenaBytes ?? Number.POSITIVE_INFINITY) < 3 * 4096, `${info?.arenaBytes} bytes`);
});
