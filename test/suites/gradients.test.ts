// Every differentiable row: gradients, and gradients of gradients, equal central differences in float64.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { withDevice } from '../../dist/index.js';
import { gradientsAgree } from '../../dist/testing/properties.js';
import { engines, reference } from '../support/backends.js';
import { ops } from '../support/table.js';

for (const op of ops.filter(({ row }) => row.differentiable)) {
  test(`${op.row.name}: gradients agree with finite differences`, () => {
    const agreed = withDevice(engines[0]?.backend ?? reference, () => gradientsAgree(op));
    assert.ok(agreed > 0, `no sample of ${op.row.name} carries a gradient: its row should say differentiable: false`);
  });
}
