// An engine that was built beside other sources is refused before it reads a tape.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { checkFormat, tapeFormat } from '../../dist/backends/cpu/format.js';
import { wasmBackend } from '../../dist/backends/cpu/wasm.js';
import { nodeHost } from '../../dist/backends/cpu/wasmNode.js';

test('engines of the same sources are taken, others are refused with the way out', () => {
  const format = tapeFormat();
  assert.match(format ?? '', /^[0-9a-f]{16}$/);
  checkFormat('native', format as string);
  for (const other of ['0123456789abcdef', undefined]) {
    assert.throws(() => checkFormat('native', other), /the native engine must be built from the same sources.*\n {2}Hint: npm run build\./);
  }
});

test('the WASM engine is asked before it runs', async () => {
  const asked: (readonly [string, string])[] = [];
  const checkAnd = (engine: string, format: string): void => {
    asked.push([engine, format]);
    throw new Error('other sources');
  };
  await assert.rejects(wasmBackend({ ...nodeHost, checkFormat: checkAnd }, { threads: 1 }), /other sources/);
  assert.equal(asked[0]?.[0], 'wasm');
});
