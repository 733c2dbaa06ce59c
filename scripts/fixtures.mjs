// Keeps fixtures/torch.jsonl: what PyTorch computes on the samples of every row.   node scripts/fixtures.mjs [--python python3] [--all]
// Only calls that the file lacks are made, unless --all. Any PyTorch from 1.13 on will do. The tests only read the file: they need no Python.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { inRoot } from './build/files.mjs';

const { values } = parseArgs({ options: { python: { type: 'string', default: 'python3' }, all: { type: 'boolean', default: false } } });

const { ops } = await import('./ops.mjs');
const { torchCalls } = await import('../dist/testing/fixtures.js');
const calls = ops.flatMap(({ row }) => torchCalls(row));

const request = inRoot('build', 'fixtures-request.json');
const answer = inRoot('build', 'fixtures-answer.jsonl');
const target = inRoot('fixtures', 'torch.jsonl');
const keyOf = ({ row, inputs }) => `${row}/${inputs}`;
const linesOf = (file) => (existsSync(file) ? readFileSync(file, 'utf8').trimEnd().split('\n') : []);
const known = new Map();
let version;
/** Takes the lines of a file in; those of an earlier one give way. What PyTorch refused, or lacks second gradients, is asked again. */
function take(file, refused) {
  for (const line of linesOf(file)) {
    const fixture = JSON.parse(line);
    if (fixture.torch !== undefined) version = line;
    else if (refused || fixture.float64?.seconds !== undefined) known.set(keyOf(fixture), line);
  }
}
if (!values.all) take(target, false);

const missing = calls.filter((call) => !known.has(keyOf(call)));
if (missing.length > 0) {
  mkdirSync(inRoot('build'), { recursive: true });
  writeFileSync(request, JSON.stringify(missing));
  const { status, error } = spawnSync(values.python, [inRoot('fixtures', 'make.py'), request, answer], { stdio: 'inherit' });
  if (status !== 0) {
    console.error(`fixtures: ${values.python} failed${error ? `: ${error.message}` : ''}`);
    process.exit(1);
  }
  take(answer, true);
}
const text = [version, ...new Set(calls.map((call) => known.get(keyOf(call))))].map((line) => `${line}\n`).join('');
writeFileSync(target, text);
console.log(`fixtures/torch.jsonl: ${calls.length} calls, ${missing.length} of them new, ${Math.ceil(text.length / 1024)} kB`);
