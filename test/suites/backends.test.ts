// Every row on every engine, with every instruction set that this machine has: results and gradients are those of the reference backend.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { agreesWithReference, gradientsAgreeWithReference } from '../../dist/testing/againstReference.js';
import { everyVariant, reference } from '../support/backends.js';
import { ops } from '../support/table.js';

for (const { name, backend, why } of everyVariant) {
  describe(name, { skip: backend === null && `no ${name}: ${why}` }, () => {
    for (const op of ops) {
      test(`${op.row.name}: ${name} computes what the reference computes`, () => {
        assert.ok(backend);
        agreesWithReference(op, backend, reference);
      });
      if (!op.row.differentiable) continue;
      test(`${op.row.name}: gradients on ${name} are those of the reference`, () => {
        assert.ok(backend);
        gradientsAgreeWithReference(op, backend, reference);
      });
    }
  });
}
