// Rows whose second derivatives or effects on their arguments the generated suites do not reach.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { embedding, embeddingBag, grad, noGrad, type Tensor, tensor } from '../../dist/index.js';
import { expectClose } from '../../dist/testing/compare.js';

const wide = (data: readonly (readonly number[])[]): Tensor => tensor(data, { dtype: 'float64', requiresGrad: true });

/** Σ wᵢ yᵢ with weights of which no two are equal. */
const functional = (y: Tensor): Tensor =>
  y
    .reshape([-1])
    .mul(tensor(Float64Array.from({ length: y.size }, (_, i) => Math.sin(i + 1))))
    .sum();

function slopes(f: (x: Tensor) => Tensor, x: Tensor, createGraph = false): Tensor {
  return grad(functional(f(x)), [x], { createGraph })[0] as Tensor;
}

/** The second derivatives by autograd against differences of the first. */
function checkHessian(f: (x: Tensor) => Tensor, x: Tensor): void {
  const first = slopes(f, x, true).reshape([-1]);
  const step = 1e-5;
  for (let j = 0; j < x.size; j++) {
    const moved = [step, -step].map((s) => {
      const data = Float64Array.from(x.toArray());
      data[j] = (data[j] ?? 0) + s;
      return slopes(f, tensor(data, { shape: x.shape, requiresGrad: true })).toArray();
    });
    const column = Float64Array.from(moved[0] ?? [], (v, i) => (v - (moved[1]?.[i] ?? 0)) / (2 * step));
    const row = grad(first.select(0, j), [x], { retainGraph: true, allowUnused: true })[0]?.toArray() ?? new Float64Array(x.size);
    expectClose(row, column, { rtol: 1e-6, atol: 1e-8 }, `second derivatives by element ${j}`);
  }
}

describe('second derivatives of products where several factors are zero', () => {
  const x = wide([
    [1, 0, 3, 0],
    [0, 0, 0, 2],
    [2, 3, 4, 0.5],
  ]);
  test('prod along a dim', () => checkHessian((t) => t.prod({ dim: 1 }), x));
  test('prod of all', () => checkHessian((t) => t.prod(), wide([[0, 0, 3, 4]])));
  test('prod over two dims', () => checkHessian((t) => t.reshape([2, 3, 2]).prod({ dim: [0, 2] }), x));
  test('cumprod', () => checkHessian((t) => t.cumprod(1), x));
  test('cumprod along the first dim', () => checkHessian((t) => t.cumprod(0), x));
});

describe('options of embeddings', () => {
  const rows = [
    [3, 4],
    [0.3, 0.4],
    [6, 8],
  ];
  const ids = tensor([0, 1, 0], { dtype: 'int32' });

  test('maxNorm scales the rows that are looked up, in place, and no others', () => {
    const weight = wide(rows);
    const y = embedding(ids, weight, { maxNorm: 1 });
    expectClose(y.toArray(), [0.6, 0.8, 0.3, 0.4, 0.6, 0.8], { rtol: 1e-6, atol: 1e-6 });
    expectClose(weight.toArray(), [0.6, 0.8, 0.3, 0.4, 6, 8], { rtol: 1e-6, atol: 1e-6 });
  });
  test('normType chooses the norm', () => {
    const y = embedding(ids, wide(rows), { maxNorm: 0.7, normType: 1 });
    expectClose(y.toArray(), [0.3, 0.4, 0.3, 0.4, 0.3, 0.4], { rtol: 1e-6, atol: 1e-6 });
  });
  test('scaleGradByFreq divides gradients by how often a row was named', () => {
    const weight = wide(rows);
    const [g] = grad(embedding(ids, weight, { scaleGradByFreq: true }).sum(), [weight]);
    assert.deepEqual(Array.from((g as Tensor).toArray()), [1, 1, 1, 1, 0, 0]);
    const [bag] = grad(embeddingBag(ids.reshape([1, 3]), weight, { mode: 'sum', scaleGradByFreq: true }).sum(), [weight]);
    assert.deepEqual(Array.from((bag as Tensor).toArray()), [1, 1, 1, 1, 0, 0]);
  });
});

test('an infinite gradient does not leak through a mask', () => {
  const x = wide([[0, 1]]);
  const mask = tensor([[false, true]]);
  const y = mask.where(x, 0).sqrt().sum();
  assert.deepEqual(Array.from((grad(y, [x])[0] as Tensor).toArray()), [0, 0.5]);
  noGrad(() => assert.equal(y.itemNow(), 1));
});
