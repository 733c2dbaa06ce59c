// resize_: the same bytes in another shape, as PyTorch keeps them; who holds the tensor sees it.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { arange, compile, enableGrad, noGrad, ones, type Tensor, tensor, vmap, zeros } from '../../dist/index.js';

test('fewer elements: the first in memory, shared with views', () => {
  const x = arange(6).reshape([2, 3]);
  const view = x.view([6]);
  const same = x.resize_([2, 2]);
  assert.equal(same, x);
  assert.deepEqual(x.tolist(), [
    [0, 1],
    [2, 3],
  ]);
  x.fill_(7);
  assert.deepEqual(view.tolist(), [7, 7, 7, 7, 4, 5]);
  assert.deepEqual(x.resize_([2, 3]).tolist(), [
    [7, 7, 7],
    [7, 4, 5],
  ]);
});

test('a transposed tensor loses its strides, one of equal shape keeps them', () => {
  const x = arange(6).reshape([2, 3]).t();
  assert.deepEqual(x.resize_([3, 2]).stride(), [1, 3]);
  assert.deepEqual(x.resize_([6]).tolist(), [0, 1, 2, 3, 4, 5]);
  const part = arange(6).narrow(0, 2, 2);
  assert.deepEqual(part.resize_([4]).tolist(), [2, 3, 4, 5], 'as far as the memory reaches');
});

test('more elements: the old ones stay in front, and views keep the old bytes', () => {
  const x = arange(4);
  const view = x.view([2, 2]);
  x.resize_([3, 2]);
  assert.deepEqual([x.shape, x.isContiguous()], [[3, 2], true]);
  assert.deepEqual([...x.toArray()].slice(0, 4), [0, 1, 2, 3]);
  x.fill_(9);
  assert.deepEqual(view.tolist(), [
    [0, 1],
    [2, 3],
  ]);
  const empty = zeros([0]);
  assert.deepEqual(empty.resize_([2]).fill_(1).tolist(), [1, 1]);
});

test('resizeAs_ takes the shape of another tensor, not its type', () => {
  const x = arange(4);
  assert.equal(x.resizeAs_(zeros([2, 2], { dtype: 'float64' })), x);
  assert.deepEqual([x.shape, x.dtype], [[2, 2], 'int32']);
});

test('what cannot be: gradients, captures, mapped functions, values that a backward pass needs', () => {
  const leaf = zeros([2], { requiresGrad: true });
  assert.throws(() => leaf.resize_([1]), { message: /^resize_: the tensor must not require grad, got requiresGrad = true\./ });
  assert.throws(() => zeros([2]).resize_([-1]), /non-negative integers, got \(-1,\)/);
  assert.throws(() => compile((x: Tensor) => x.resize_([4]))(zeros([2, 2])), /^LibError: resize_: values must be there/);
  assert.throws(() => vmap((x: Tensor) => x.resize_([1]))(zeros([2, 2])), /^LibError: resize_: values must be there/);
  const factor = tensor([1, 2, 3]);
  const y = leaf.sum().mul(factor).sum();
  noGrad(() => factor.resize_([2]));
  assert.throws(() => enableGrad(() => y.backward()), /changed|in place/);
  const grown = ones([2]);
  const z = leaf.mul(grown).sum();
  grown.resize_([3]);
  assert.throws(() => z.backward(), /changed|in place/);
});
