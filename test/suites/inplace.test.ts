// Writing in place: `name_` equals its op, counts versions, spares leaves; backward refuses values that were changed.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { noGrad, tensor, withDevice } from '../../dist/index.js';
import { guardsSavedValues, protectsLeaves, writesInPlace } from '../../dist/testing/properties.js';
import { everyBackend, reference } from '../support/backends.js';
import { ops } from '../support/table.js';

const writable = ops.filter((op) => 'inPlace' in op);

for (const { name, backend, why } of everyBackend) {
  describe(name, { skip: backend === null && `no ${name}: ${why}` }, () => {
    for (const op of writable) {
      test(`${op.row.name}_ writes what ${op.row.name} gives (${name})`, () => {
        assert.ok(backend);
        withDevice(backend, () => writesInPlace(op));
      });
    }
  });
}

for (const op of writable) {
  test(`${op.row.name}_ refuses leaves that require grad`, () => withDevice(reference, () => protectsLeaves(op)));
}

for (const op of ops.filter(({ row }) => row.differentiable)) {
  test(`${op.row.name}: backward refuses saved values that were changed`, () => {
    withDevice(reference, () => guardsSavedValues(op));
  });
}

test('gradients follow a write in place', () => {
  const w = tensor([1, 2, 3], { requiresGrad: true });
  const h = w.mul(2);
  h.mul_(h); // (2 w)²
  h.sum().backward();
  assert.deepEqual([...(w.grad?.toArray() ?? [])], [8, 16, 24]);
});

test('a value written to after it was saved is refused by name', () => {
  const w = tensor([1, 2], { requiresGrad: true });
  const h = w.mul(3);
  const y = h.mul(h).sum();
  h.add_(1);
  assert.throws(() => y.backward(), /values saved by mul must not change before backward/);
});

test('a write through a view counts for its base, and the other way round', () => {
  const base = tensor([
    [1, 2],
    [3, 4],
  ]);
  const row = base.select(0, 1);
  const before = base.storage.version;
  row.fill_(7);
  assert.deepEqual([...base.toArray()], [1, 2, 7, 7]);
  assert.ok(base.storage.version > before);
  base.zero_();
  assert.deepEqual([...row.toArray()], [0, 0]);
});

test('a view of what requires grad cannot be written to: gradients could not follow', () => {
  const y = tensor([1, 2, 3, 4], { requiresGrad: true }).mul(1);
  assert.throws(() => y.slice([0, 2]).mul_(10), /mul_: a view of a tensor that requires grad cannot be changed in place/);
  noGrad(() => y.slice([0, 2]).mul_(10));
  assert.deepEqual([...y.toArray()], [10, 20, 3, 4]);
});

test('a leaf may be written to under noGrad, and stays a leaf', () => {
  const w = tensor([1, 2], { requiresGrad: true });
  noGrad(() => w.sub_(tensor([0.5, 0.5])));
  assert.deepEqual([...w.toArray()], [0.5, 1.5]);
  assert.ok(w.isLeaf && w.requiresGrad);
});

test('in place, neither shape nor kind of type may change', () => {
  assert.throws(
    () =>
      tensor([1, 2]).add_(
        tensor([
          [1, 2],
          [3, 4],
        ]),
      ),
    /add_: the result must have the shape/,
  );
  assert.throws(() => tensor([1, 2], { dtype: 'int32' }).add_(tensor([0.5, 0.5])), /add_: the result must fit/);
});
