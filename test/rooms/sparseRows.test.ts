// Gradients of embeddings as rows, and the optimizers that touch no others.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import * as cr from '../../dist/index.js';
import { clipGradNorm_, type DType, Parameter, type Tensor, tensor } from '../../dist/index.js';
import { Embedding, SparseRows } from '../../dist/nn/index.js';
import * as optim from '../../dist/optim/index.js';
import { withDevice } from '../../dist/tensor/device.js';
import { everyBackend } from '../support/backends.js';

interface Moment {
  readonly step: number;
  readonly params: readonly number[];
}
interface Row {
  readonly name: 'SGD' | 'Adagrad' | 'SparseAdam';
  readonly options: Readonly<Record<string, unknown>>;
  readonly float64: readonly Moment[];
  readonly float32: readonly Moment[];
}
const fixture = JSON.parse(readFileSync(new URL('../../fixtures/optim.json', import.meta.url), 'utf8')) as {
  readonly sparse: readonly Row[];
};
const tolerance = { float64: [1e-7, 1e-7], float32: [1.3e-6, 1e-5] } as const;

const sine = (size: number, phase: number): number[] => Array.from({ length: size }, (_, i) => Math.sin(phase + 1.7 * i));
const numbers = (t: Tensor | null | undefined): number[] => [...(t?.detach().reshape([-1]).toArray() ?? [])] as number[];

function setup(dtype: DType, { name, options }: Row, sparse = true) {
  const table = new Embedding(7, 3, { paddingIdx: 2, sparse });
  Object.assign(table, { weight: new Parameter(tensor(sine(21, 0.3), { dtype }).reshape([7, 3])) });
  const target = tensor(sine(15, 2), { dtype }).reshape([5, 3]);
  const kinds = { SGD: optim.SGD, Adagrad: optim.Adagrad, SparseAdam: optim.SparseAdam } as const;
  const optimizer: optim.Optimizer = new kinds[name]([table.weight], options);
  const loss = (ids: Tensor): Tensor => {
    optimizer.zeroGrad();
    const value = table.forward(ids).sub(target).square().sum();
    value.backward();
    optimizer.step();
    return value;
  };
  const idsOf = (step: number): Tensor =>
    tensor(
      [0, 1, 2, 3, 4].map((i) => (i * i + step * (i + 1)) % 6),
      { dtype: 'int32' },
    );
  return { table, optimizer, loss, idsOf };
}

for (const { name: where, backend } of everyBackend) {
  if (backend === null) continue;
  describe(`${where}: 200 steps as in PyTorch`, () => {
    for (const row of fixture.sparse) {
      for (const dtype of ['float64', 'float32'] as const) {
        for (const way of ['eager', 'compiled'] as const) {
          test(`${row.name} ${JSON.stringify(row.options)} ${dtype} ${way}`, () =>
            withDevice(backend, () => {
              const { table, loss, idsOf } = setup(dtype, row);
              const step = way === 'eager' ? loss : cr.compile(loss);
              for (let i = 1; i <= 200; i++) {
                step(idsOf(i));
                const want = row[dtype].find((m) => m.step === i);
                if (!want) continue;
                const [rtol, atol] = tolerance[dtype];
                for (const [k, got] of numbers(table.weight).entries()) {
                  const w = want.params[k] as number;
                  assert.ok(Math.abs(got - w) <= atol + rtol * Math.abs(w), `step ${i}: element ${k} is ${got}, PyTorch has ${w}`);
                }
              }
            }));
        }
      }
    }
  });
}

describe('rows', () => {
  const ids = tensor([4, 1, 4, 0, 1, 4], { dtype: 'int32' });
  const values = tensor(sine(12, 1)).reshape([6, 2]);
  const rows = new SparseRows(ids, values, [6, 2]);

  test('are the gradient that a dense embedding has, summed', () => {
    const [sparse, dense] = [new Embedding(5, 3, { sparse: true }), new Embedding(5, 3)];
    dense.loadStateDict(sparse.stateDict());
    const at = tensor([[1, 3, 1, 0, 3, 3]], { dtype: 'int32' });
    const weights = tensor(sine(18, 3)).reshape([1, 6, 3]);
    for (const table of [sparse, dense]) for (let i = 0; i < 2; i++) table.forward(at).mul(weights).sum().backward();
    assert.equal(sparse.weight.grad, null);
    const { indices, values: sums } = (sparse.weight.sparseGrad as SparseRows).coalesce();
    assert.deepEqual(numbers(indices), [0, 1, 3]);
    assert.deepEqual(
      numbers(sums).map((v) => Math.fround(v).toFixed(5)),
      numbers(dense.weight.grad?.indexSelect(0, indices)).map((v) => v.toFixed(5)),
    );
    sparse.zeroGrad();
    assert.equal(sparse.weight.sparseGrad, null);
  });

  test('totals carry the sum of a row wherever it comes', () => {
    const { indices, values: sums, first } = rows.totals();
    assert.deepEqual(numbers(indices), [0, 1, 1, 4, 4, 4]);
    assert.deepEqual(numbers(first), [1, 1, 0, 1, 0, 0]);
    const whole = rows.toDense();
    assert.deepEqual(numbers(sums), numbers(whole.indexSelect(0, indices)));
    const one = new SparseRows(tensor([3], { dtype: 'int32' }), tensor([[1, 2]]), [6, 2]).totals();
    assert.deepEqual([numbers(one.indices), numbers(one.values), numbers(one.first)], [[3], [1, 2], [1]]);
  });

  test('clipping counts each row once', () => {
    const p = new Parameter(cr.zeros([6, 2]));
    p.sparseGrad = new SparseRows(ids, values.clone(), [6, 2]);
    const want = rows.toDense().norm().itemNow();
    const norm = clipGradNorm_([p], 0.5).itemNow();
    assert.ok(Math.abs(norm - want) < 1e-5);
    const after = (p.sparseGrad as SparseRows).toDense().norm().itemNow();
    assert.ok(Math.abs(after - 0.5) < 1e-4, `${after}`);
  });

  test('other optimizers refuse them, SparseAdam refuses others, shapes are checked', () => {
    const table = new Embedding(4, 2, { sparse: true });
    const backward = (): void =>
      table
        .forward(tensor([1, 2], { dtype: 'int32' }))
        .sum()
        .backward();
    backward();
    assert.throws(() => new optim.Adam([table.weight]).step(), /Adam: gradients must be dense, got rows of an embedding/);
    assert.throws(() => new optim.Adagrad([table.weight], { weightDecay: 1 }).step(), /weightDecay needs dense gradients/);
    const dense = new Parameter(cr.zeros([2, 2]));
    dense.sum().backward();
    assert.throws(() => new optim.SparseAdam([dense]).step(), /SparseAdam: gradients must be rows of an embedding, got a dense one/);
    assert.throws(() => new SparseRows(ids, values, [6, 3]), /SparseRows: there must be indices/);
    const optimizer = new optim.SGD([table.weight], { lr: 1 });
    assert.throws(() => cr.compile(() => optimizer.step())(), /sparse gradients must begin and end in the compiled function/);
  });

  test('rows that are not looked up keep their bits, state included', () => {
    const row = fixture.sparse.find((r) => r.name === 'SparseAdam') as Row;
    const { table, optimizer, loss } = setup('float32', row);
    const before = numbers(table.weight);
    loss(tensor([0, 1, 1, 5, 0], { dtype: 'int32' }));
    loss(tensor([0, 0, 0, 0, 0], { dtype: 'int32' }));
    assert.deepEqual(numbers(table.weight).slice(6, 15), before.slice(6, 15));
    const state = optimizer.state.get(table.weight) as Record<string, Tensor>;
    assert.deepEqual(numbers(state.expAvg).slice(6, 15), new Array(9).fill(0));
  });
});
