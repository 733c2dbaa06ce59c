// Builds the addon with a sanitizer of the compiler into build/, and runs tests on it in Node (Linux; GCC or clang).
//   node scripts/sanitize.mjs address|undefined|thread [--isa NAME] [--name REGEXP] [test files ...]
// Without files it takes the slice of the suites that .ci/run takes. Each finding is printed once, and fails the run.
import { spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { inRoot, root } from './build/files.mjs';
import { compileAll, findCompiler, link, plan, runnableVariants, variants } from './build/native.mjs';

/** How to compile, which library must be loaded before Node, and what that reads: V8 leaves memory behind, and none of it is ours. */
const sanitizers = {
  address: {
    flags: ['-fsanitize=address', '-fsanitize-recover=address', '-DCHAINRULE_GUARDED'],
    library: 'libasan.so',
    variable: 'ASAN_OPTIONS',
    settings: 'detect_leaks=0:halt_on_error=0:detect_stack_use_after_return=0',
  },
  undefined: {
    flags: ['-fsanitize=undefined', '-fno-sanitize=vptr'],
    library: 'libubsan.so',
    variable: 'UBSAN_OPTIONS',
    settings: 'print_stacktrace=1',
  },
  thread: {
    flags: ['-fsanitize=thread'],
    library: 'libtsan.so',
    variable: 'TSAN_OPTIONS',
    settings: 'halt_on_error=0:report_signal_unsafe=0:exitcode=0:memory_limit_mb=6000',
  },
};

/** Rows that run every kernel family. */
const rows = [
  ...['add', 'where', 'sum', 'argmax', 'matmul', 'linear', 'conv2d', 'convTranspose2d', 'maxPool2d', 'softmax', 'layerNorm', 'lstm', 'gru'],
  ...['scaledDotProductAttention', 'gather', 'scatterAdd', 'cat', 'pad', 'cumsum', 'sort', 'topk', 'dropout', 'embedding', 'groupNorm'],
];
const slice = [{ files: ['tiny'] }, { files: ['suites/backends', 'suites/threads'], name: `\\b(${rows.join('|')}): |1, 2 and 3 threads` }];

function stop(message) {
  console.error(`sanitize: ${message}`);
  process.exit(2);
}

const bestVariant = () => runnableVariants()[0] ?? stop(`there is no addon for ${process.arch}.`);

/** The addon with one variant of its kernels, below build/. */
async function buildWith(compiler, kind, isa) {
  const { flags } = sanitizers[kind];
  const optimize = () => ['-O1', '-g1', '-fno-omit-frame-pointer', ...flags];
  const objects = await plan(compiler, { folder: `sanitize-${kind}`, chosen: [[isa, variants[process.arch][isa]]], optimize });
  const missing = objects.filter((o) => !o.cache.has(o.name, o.key));
  const failure = await compileAll(compiler, missing);
  if (failure !== undefined) stop(failure);
  const binary = inRoot('build', `sanitize-${kind}`, `chainrule-${isa}.node`);
  if (missing.length > 0 || !existsSync(binary)) link(compiler, objects, binary, flags);
  return { binary, compiled: missing.length };
}

/** The library that belongs to the compiler; clang keeps its own under another name. */
function libraryOf({ command }, name) {
  const clang = name.replace(/^lib(\w)san/, (_, letter) => `libclang_rt.${letter}san`).replace('ubsan', 'ubsan_standalone');
  for (const candidate of [name, clang.replace('.so', `-${process.arch === 'x64' ? 'x86_64' : 'aarch64'}.so`)]) {
    const path = spawnSync(command, [`-print-file-name=${candidate}`], { encoding: 'utf8' }).stdout.trim();
    if (path.startsWith('/')) return path;
  }
  return stop(`${command} has no ${name}.`);
}

/** Runs tests on the sanitized addon; false when one fails. */
function runTests({ files, name }, env) {
  const args = ['scripts/test.mjs', ...files, ...(name === undefined ? [] : ['--name', name])];
  return spawnSync(process.execPath, args, { cwd: root, env, stdio: 'inherit' }).status === 0;
}

/** What the sanitizer wrote, without the numbers that differ from process to process. */
function findings(folder) {
  const found = new Map();
  for (const file of readdirSync(folder)) {
    const text = readFileSync(join(folder, file), 'utf8');
    for (const report of text.split(/^(?==+\d*=*ERROR|={18}|\S+:\d+:\d+: runtime error)/m)) {
      const title = /runtime error.*|ERROR: .*Sanitizer:? \S+|WARNING: ThreadSanitizer: .*/.exec(report)?.[0];
      // Node's own code is not compiled for this, so what it says of that is no finding.
      if (title === undefined || !/engine\/|chainrule-\w+\.node/.test(report)) continue;
      const place = /(\S*engine\/\S+:\d+)/.exec(report)?.[1] ?? '';
      const key = `${title.replace(/0x[0-9a-f]+|\(pid.*|\d+/g, '')} ${place}`;
      if (!found.has(key)) found.set(key, report.trimEnd());
    }
  }
  return [...found.values()];
}

const { values, positionals } = parseArgs({ allowPositionals: true, options: { isa: { type: 'string' }, name: { type: 'string' } } });
const [kind, ...files] = positionals;
if (!Object.hasOwn(sanitizers, kind ?? '')) stop(`say which: ${Object.keys(sanitizers).join(', ')}.`);
if (process.platform !== 'linux') stop('it needs Linux.');
const compiler = findCompiler() ?? stop('no C++ compiler found.');
const isa = values.isa ?? bestVariant();
if (!Object.hasOwn(variants[process.arch], isa)) stop(`isa: one of ${Object.keys(variants[process.arch]).join(', ')}, got ${isa}.`);

const started = performance.now();
const { binary, compiled } = await buildWith(compiler, kind, isa);
console.log(`${kind}, ${isa}: ${compiled} objects compiled in ${((performance.now() - started) / 1000).toFixed(1)} s`);

const logs = inRoot('build', `sanitize-${kind}`, 'log');
rmSync(logs, { recursive: true, force: true });
mkdirSync(logs, { recursive: true });
const { library, variable, settings } = sanitizers[kind];
const env = {
  ...process.env,
  LD_PRELOAD: libraryOf(compiler, library),
  [variable]: `${settings}:log_path=${join(logs, 'report')}`,
  CHAINRULE_ADDON: binary,
  CHAINRULE_BACKEND: 'native',
};
const runs = files.length > 0 ? [{ files, name: values.name }] : slice;
const passed = runs.map((run) => runTests(run, env)).every(Boolean);
const reports = findings(logs);
for (const report of reports) console.log(`\n${report}`);
console.log(`\n${kind} sanitizer: ${reports.length} findings`);
process.exitCode = passed && reports.length === 0 ? 0 : 1;
