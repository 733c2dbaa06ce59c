// Rows as pages load them, without what the build cuts out of them (scripts/build/browser.mjs): they compute what they compute here.
import assert from 'node:assert/strict';
import { spawnSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { fileURLToPath } from 'node:url';
import { deserialize, serialize } from 'node:v8';
import * as library from '../../dist/index.js';
import { isTensor, withDevice } from '../../dist/index.js';
import { samplesOf } from '../../dist/testing/properties.js';
import type { AnyOp } from '../../dist/testing/table.js';
import { reference } from '../support/backends.js';

type Call = { readonly path: readonly string[]; readonly args: readonly unknown[] };

const tables: readonly (readonly [path: readonly string[], table: object])[] = [
  [[], library],
  [['linalg'], library.linalg],
  [['special'], library.special],
  [['masked'], library.masked],
  [['fft'], library.fft],
  [['signal', 'windows'], library.signal.windows],
];

/** Tensors as data; throws where an argument cannot be sent (a function, a generator). */
function sent(value: unknown): unknown {
  if (isTensor(value)) return { tensor: value.dtype, shape: [...value.shape], data: [...value.detach().toArray()] };
  if (Array.isArray(value)) return value.map(sent);
  if (typeof value !== 'object' || value === null) {
    assert.notEqual(typeof value, 'function', 'functions cannot be sent');
    return value;
  }
  assert.equal(Object.getPrototypeOf(value), Object.prototype, 'objects of classes cannot be sent');
  return Object.fromEntries(Object.entries(value).map(([key, one]) => [key, sent(one)]));
}

function callsOf(path: readonly string[], { row }: AnyOp): Call[] {
  return samplesOf(row).map((args) => ({ path, args: sent(row.prepare?.(...args) ?? args) as readonly unknown[] }));
}

const folder = mkdtempSync(join(tmpdir(), 'chainrule-browser-rows-'));
after(() => rmSync(folder, { recursive: true, force: true }));

/** What the calls give with the modules of `dist/<index>`. */
function results(index: string, options: readonly string[]): unknown[] {
  const [script, module] = ['../support/browserCalls.mjs', `../../dist/${index}`].map((file) => new URL(file, import.meta.url));
  const target = join(folder, 'results');
  const args = [...options, fileURLToPath(script as URL), (module as URL).href, join(folder, 'calls'), target];
  const { status, stderr } = spawnSync(process.execPath, args, { encoding: 'utf8' });
  assert.equal(status, 0, stderr);
  return deserialize(readFileSync(target)) as unknown[];
}

test('every op of a page gives what it gives here, on all samples', () => {
  const calls = withDevice(reference, () =>
    tables.flatMap(([path, table]) =>
      Object.entries(table).flatMap(([key, op]) => ((op as Partial<AnyOp>).row ? callsOf([...path, key], op as AnyOp) : [])),
    ),
  );
  assert.ok(calls.length > 2000, `${calls.length} calls`);
  writeFileSync(join(folder, 'calls'), serialize(calls));
  const [got, want] = [results('browser/index.js', ['--conditions=browser']), results('index.js', [])];
  assert.deepEqual(got.pop(), want.pop(), 'methods of tensors');
  for (const [i, { path }] of calls.entries()) {
    assert.ok(typeof want[i] !== 'string', `${path.join('.')}: ${want[i]}`); // the stack of an error
    assert.deepEqual(got[i], want[i], path.join('.'));
  }
});
