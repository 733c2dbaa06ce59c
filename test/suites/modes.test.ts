// Every differentiable row: forward mode and reverse mode are transposes of each other.
import { test } from 'node:test';
import { withDevice } from '../../dist/index.js';
import { modesAgree } from '../../dist/testing/properties.js';
import { reference } from '../support/backends.js';
import { ops } from '../support/table.js';

for (const op of ops.filter(({ row }) => row.differentiable)) {
  test(`${op.row.name}: forward and reverse mode agree`, () => {
    withDevice(reference, () => modesAgree(op));
  });
}
