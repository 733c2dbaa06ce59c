// Every row: it has samples, and calls that must fail say what they promise.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { withDevice } from '../../dist/index.js';
import { errorsSpeak, hasSamples } from '../../dist/testing/properties.js';
import { everyBackend, reference } from '../support/backends.js';
import { ops, publicOps } from '../support/table.js';

test('the table holds at least 150 rows, each under a name of its own', () => {
  const names = publicOps.map(({ row }) => row.name);
  assert.deepEqual(
    names.filter((name, i) => names.indexOf(name) !== i),
    [],
    'names that occur twice',
  );
  assert.ok(names.length >= 150, `only ${names.length} rows`);
});

for (const op of publicOps) {
  test(`${op.row.name}: has samples`, () => withDevice(reference, () => hasSamples(op)));
}

// On engines too: some errors are found by kernels.
for (const { name, backend, why } of everyBackend) {
  describe(`errors on ${name}`, { skip: backend === null && `no ${name}: ${why}` }, () => {
    for (const op of ops.filter(({ row }) => row.errors !== undefined)) {
      test(`${op.row.name}: errors say what is wrong (${name})`, () => {
        assert.ok(backend);
        withDevice(backend, () => errorsSpeak(op));
      });
    }
  });
}
