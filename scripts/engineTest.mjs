// Builds engine/test/gemm_test.cpp on the kernels of this machine's addon and runs it: products and convolutions against plain loops, the
// same bits with one thread and with two.
//   node scripts/engineTest.mjs [--isa NAME] [--arch x64|arm64]
// Without --isa it takes the variants of a local build, the two best that this processor runs, at the same time. Another architecture needs its
// cross compiler and QEMU (on Debian: g++-aarch64-linux-gnu, qemu-user), and takes minutes.
import { spawn } from 'node:child_process';
import { mkdirSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { flags } from './build/engine.mjs';
import { inRoot } from './build/files.mjs';
import { compileAll, findCompiler, plan, runnableVariants, variants } from './build/native.mjs';

function stop(message) {
  console.error(`engineTest: ${message}`);
  process.exit(2);
}

const { values } = parseArgs({ options: { isa: { type: 'string' }, arch: { type: 'string', default: process.arch } } });
const { arch } = values;
if (!Object.hasOwn(variants, arch)) stop(`arch: one of ${Object.keys(variants).join(', ')}, got ${arch}.`);

/** Exit status and everything that a command prints. */
function run(command, args) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: inRoot() });
    let text = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (text += data));
    child.on('error', (error) => resolve({ status: 2, text: `${error.message}\n` }));
    child.on('close', (status) => resolve({ status, text }));
  });
}

/** What runs a binary of an architecture that is not this machine's. */
const emulators = {
  arm64: ['qemu-aarch64', '-L', '/usr/aarch64-linux-gnu'],
  x64: ['qemu-x86_64', '-L', '/usr/x86_64-linux-gnu'],
};

const parts = ['gemm', 'gemm_simple', 'gemm_small', 'pool'];

async function test(compiler, isa, objects) {
  const wanted = new Set([...parts.map((part) => `${part}-${isa}`), ...parts.map((part) => `${part}-shared`)]);
  const paths = objects.filter((o) => wanted.has(o.name)).map((o) => o.cache.path(o.name, o.key));
  const binary = inRoot('build', 'engine-test', `gemm-${isa}`);
  const target = ['-O2', '-pthread', `-DVARIANT=${isa}`, ...variants[arch][isa], '-Iengine', '-Ibuild'];
  const built = await run(compiler.command, [...flags, ...target, 'engine/test/gemm_test.cpp', ...paths, '-o', binary]);
  if (built.status !== 0) return built;
  const [command, ...args] = [...(arch === process.arch ? [] : emulators[arch]), binary];
  return run(command, args);
}

const compiler = findCompiler(arch) ?? stop(`no C++ compiler for ${arch} found.`);
const known = Object.keys(variants[arch]);
if (values.isa !== undefined && !known.includes(values.isa)) stop(`isa: one of ${known.join(', ')}, got ${values.isa}.`);
const best = arch === process.arch ? runnableVariants().slice(0, 2) : known.slice(-1);
const isas = values.isa === undefined ? best : [values.isa];
const objects = await plan(compiler, { chosen: isas.map((isa) => [isa, variants[arch][isa]]) });
const needed = objects.filter((o) => parts.some((part) => o.name.startsWith(`${part}-`)));
const failure = await compileAll(
  compiler,
  needed.filter((o) => !o.cache.has(o.name, o.key)),
);
if (failure !== undefined) stop(failure);
mkdirSync(inRoot('build', 'engine-test'), { recursive: true });
const results = await Promise.all(isas.map((isa) => test(compiler, isa, needed)));
for (const { text } of results) process.stdout.write(text);
process.exitCode = results.every(({ status }) => status === 0) ? 0 : 1;
