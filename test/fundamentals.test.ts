// docs/fundamentals.md names what is there: every row has exports that exist and tests that exist, and the page is the table's.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { test } from 'node:test';
import { fileURLToPath } from 'node:url';

test('the page of the fundamentals is up to date, and every row is provided and proved', () => {
  const script = fileURLToPath(new URL('../scripts/fundamentals.mjs', import.meta.url));
  const { status, stderr } = spawnSync(process.execPath, [script, '--check'], { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
});
