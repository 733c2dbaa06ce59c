// Views show the bytes of their base; what must be a copy is one.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Tensor, tensor, withDevice } from '../../dist/index.js';
import { sharesStorage } from '../../dist/testing/properties.js';
import { reference } from '../support/backends.js';
import { ops } from '../support/table.js';

for (const op of ops.filter(({ row }) => row.kind === 'view')) {
  test(`${op.row.name} shares storage with its argument`, () => withDevice(reference, () => sharesStorage(op)));
}

const matrix = (): Tensor =>
  tensor([
    [0, 1, 2, 3],
    [4, 5, 6, 7],
    [8, 9, 10, 11],
  ]);

/** Rows that are views by being composed of views. */
const views: Readonly<Record<string, (x: Tensor) => Tensor | readonly Tensor[]>> = {
  reshape: (x) => x.reshape([2, 6]),
  flatten: (x) => x.flatten(),
  unsqueeze: (x) => x.unsqueeze(1),
  squeeze: (x) => x.unsqueeze(1).squeeze(),
  transpose: (x) => x.transpose(0, 1),
  t: (x) => x.t(),
  mT: (x) => x.mT(),
  permute: (x) => x.permute([1, 0]),
  movedim: (x) => x.movedim(0, 1),
  expand: (x) => x.unsqueeze(0).expand([5, 3, 4]),
  narrow: (x) => x.narrow(1, 1, 2),
  select: (x) => x.select(0, 2),
  slice: (x) => x.slice([0, 3, 2], [1, 3]),
  diagonal: (x) => x.diagonal(),
  unfold: (x) => x.unfold(1, 2, 1),
  chunk: (x) => x.chunk(2),
  split: (x) => x.split(2),
  unbind: (x) => x.unbind(),
  detach: (x) => x.detach(),
};

for (const [name, make] of Object.entries(views)) {
  test(`${name} is a view`, () => {
    const x = matrix();
    for (const y of [make(x)].flat()) assert.equal((y as Tensor).storage, x.storage);
    x.fill_(5);
    for (const y of [make(x)].flat()) assert.ok((y as Tensor).toArray().every((v) => v === 5));
  });
}

test('clone, contiguous of a transpose and reshape of a transpose are copies', () => {
  const x = matrix();
  for (const y of [x.clone(), x.t().contiguous(), x.t().reshape([12])]) assert.notEqual(y.storage, x.storage);
  assert.equal(x.contiguous(), x);
  assert.deepEqual([...x.t().reshape([12]).toArray()], [0, 4, 8, 1, 5, 9, 2, 6, 10, 3, 7, 11]);
});

test('views of views keep their place', () => {
  const x = matrix();
  const y = x.slice([1, 3]).t().slice([1, 4, 2]); // rows 1-2, columns 1 and 3, transposed
  assert.deepEqual(y.tolist(), [
    [5, 9],
    [7, 11],
  ]);
  assert.deepEqual(y.reshape([4]).tolist(), [5, 9, 7, 11]);
});
