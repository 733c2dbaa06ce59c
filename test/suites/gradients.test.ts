// Every differentiable row: gradients, and gradients of gradients, equal central differences in float64.
import { test } from 'node:test';
import { withDevice } from '../../dist/index.js';
import { gradientsAgree } from '../../dist/testing/properties.js';
import { reference } from '../support/backends.js';
import { ops } from '../support/table.js';

for (const op of ops.filter(({ row }) => row.differentiable)) {
  test(`${op.row.name}: gradients agree with finite differences`, () => {
    withDevice(reference, () => gradientsAgree(op));
  });
}
