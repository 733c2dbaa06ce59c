// Remakes fixtures/torch.jsonl: what PyTorch computes on the samples of every row.   node scripts/fixtures.mjs [--python python3]
// Any PyTorch from 1.13 on will do. The tests only read the file: they need no Python.
import { spawnSync } from 'node:child_process';
import { mkdirSync, readdirSync, statSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { inRoot } from './build/files.mjs';
import { buildTypescript } from './build/typescript.mjs';

const { values } = parseArgs({ options: { python: { type: 'string', default: 'python3' } } });

buildTypescript();
process.env.CHAINRULE_BACKEND = 'reference';
const library = await import('../dist/index.js');
const { methods } = await import('../dist/ops/index.js');
const { opsIn } = await import('../dist/testing/table.js');
const { torchCalls } = await import('../dist/testing/fixtures.js');

const files = readdirSync(inRoot('dist', 'ops')).filter((file) => file.endsWith('.js'));
const modules = await Promise.all(files.map((file) => import(`../dist/ops/${file}`)));
const calls = opsIn(library, methods, ...modules).flatMap(({ row }) => torchCalls(row));

const request = inRoot('build', 'fixtures-request.json');
const target = inRoot('fixtures', 'torch.jsonl');
mkdirSync(inRoot('build'), { recursive: true });
writeFileSync(request, JSON.stringify(calls));
const { status, error } = spawnSync(values.python, [inRoot('fixtures', 'make.py'), request, target], { stdio: 'inherit' });
if (error) console.error(`fixtures: ${values.python} does not run: ${error.message}`);
if (status === 0) console.log(`fixtures/torch.jsonl: ${calls.length} calls, ${Math.ceil(statSync(target).size / 1024)} kB`);
process.exitCode = status ?? 1;
