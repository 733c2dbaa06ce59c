// Writes fixtures/ranges.json: which calls with an argument or option out of range PyTorch refuses.   node scripts/ranges.mjs [--python python3]
// test/suites/ranges.test.ts makes the same calls. What PyTorch says to each goes to build/ranges.txt.
import { spawnSync } from 'node:child_process';
import { mkdirSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { inRoot } from './build/files.mjs';

const { values } = parseArgs({ options: { python: { type: 'string', default: 'python3' } } });

const { ops } = await import('./ops.mjs');
const { variedCalls } = await import('../dist/testing/variants.js');
const calls = ops.flatMap(({ row }) => variedCalls(row));

mkdirSync(inRoot('build'), { recursive: true });
const request = inRoot('build', 'ranges-request.json');
writeFileSync(request, JSON.stringify(calls));
const { status, stdout } = spawnSync(values.python, [inRoot('fixtures', 'ranges.py'), request, inRoot('fixtures', 'ranges.json')], {
  stdio: ['ignore', 'pipe', 'inherit'],
  encoding: 'utf8',
  maxBuffer: 2 ** 28,
});
writeFileSync(inRoot('build', 'ranges.txt'), stdout);
if (status !== 0) process.exit(1);
console.log(`fixtures/ranges.json: ${calls.length} calls, ${stdout.trimEnd().split('\n').length} refused`);
