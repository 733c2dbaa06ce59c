// The support matrix: every op on every backend, eager and compiled. Prints it in a line a column, and fails on a hole.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { compile, LibError, withDevice } from '../../dist/index.js';
import { callOf, samplesOf } from '../../dist/testing/properties.js';
import type { AnyOp } from '../../dist/testing/table.js';
import { everyBackend } from '../support/backends.js';
import { ops, readsValues } from '../support/table.js';

/** What keeps an op from running on its first sample; null where nothing does. */
function hole(op: AnyOp, compiled: boolean): string | null {
  const [args] = samplesOf(op.row);
  if (args === undefined) return `${op.row.name} has no samples`;
  try {
    (compiled ? compile(callOf(op)) : callOf(op))(...args);
    return null;
  } catch (error) {
    if (compiled && error instanceof LibError && error.code === 'capture' && readsValues.includes(op.row.name)) return null;
    return `${op.row.name}: ${(error as Error).message.split('\n')[0]}`;
  }
}

test('WASM runs wherever the package is built', () => {
  const wasm = everyBackend.find(({ name }) => name === 'wasm');
  assert.ok(wasm === undefined || wasm.backend !== null, `${wasm?.why} Run npm run build.`); // undefined: --backend named another
});

for (const { name, backend, why } of everyBackend) {
  for (const compiled of [false, true]) {
    const column = `${name}, ${compiled ? 'compiled' : 'eager'}`;
    test(`matrix: ${column}`, { skip: backend === null && `no ${name}: ${why}` }, () => {
      if (backend === null) return;
      const holes = withDevice(backend, () => ops.map((op) => hole(op, compiled))).filter((found) => found !== null);
      const eagerOnly = compiled ? `, ${readsValues.length} of them eagerly only (they read values)` : '';
      console.log(`matrix: ${column.padEnd(20)} ${ops.length - holes.length} of ${ops.length} ops${eagerOnly}`);
      assert.deepEqual(holes, []);
    });
  }
}
