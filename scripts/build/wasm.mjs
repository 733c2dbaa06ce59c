import { existsSync, mkdirSync, readFileSync } from 'node:fs';
import { setFlagsFromString } from 'node:v8';
import { Worker } from 'node:worker_threads';
import {
  flags as commonFlags,
  engineSources,
  jobs,
  objectKey,
  objectName,
  slowestFirst,
  wasmOptimization,
  withHeaders,
} from './engine.mjs';
import { Cache, hash, inParallel, inRoot, stamp, writeWhole } from './files.mjs';
import { tapeFormat } from './format.mjs';
import { splatConstants } from './wasmSplats.mjs';

/**
 * Relaxed SIMD has a multiply-add, which is the matrix product's; all other files are compiled once. So pointwise results are the
 * same bits in all builds. The builds with and without threads differ only in how they are linked.
 */
const relaxed = ['engine/gemm.cpp', 'engine/gemm_block.cpp', 'engine/probe.cpp'];
const target = [
  '--target=wasm32-unknown-unknown',
  '-ffreestanding',
  '-nostdlibinc',
  '-msimd128',
  '-mbulk-memory',
  '-matomics',
  '-fno-threadsafe-statics',
  '-fno-unroll-loops',
];
/** Inner loops reach an engine as they are written: addresses a pointer and a constant, loads beside their first use, so that all fits 15 registers. */
const asWritten = ['-mllvm', '-disable-lsr', '-mllvm', '-pre-RA-sched=source'];
const includes = ['-Iengine', '-Ibuild'];
/** 4 GiB, in bytes; a module may be given less. */
const limit = 65536 * 65536;
const stack = 256 * 1024;

const linkArgs = ['--no-entry', '--import-memory', `--max-memory=${limit}`, '-z', `stack-size=${stack}`, '--gc-sections', '--strip-all'];
const threadArgs = ['--shared-memory', '--export=__stack_pointer', '--export=pool_stack', '--export=pool_worker'];

const binaries = [
  { name: 'simd', variant: 'simd', args: [] },
  { name: 'simdThreads', variant: 'simd', args: threadArgs },
  { name: 'relaxed', variant: 'relaxed', args: [] },
  { name: 'relaxedThreads', variant: 'relaxed', args: threadArgs },
];
const fileOf = (name) => inRoot('dist', 'wasm', `${name}.js`);

/**
 * The compiler is 75 MB of WASM that runs for seconds: optimizing its own code takes more time than that code saves. Functions get
 * there by far more work than V8 would ask for (a V8 without the flag goes on as it is).
 */
setFlagsFromString('--wasm-tiering-budget=1000000000');

const ownTools = ['./wasmWorker.mjs', './wasmSplats.mjs'].map((file) => readFileSync(new URL(file, import.meta.url)));

/** The four WASM builds, as ES modules that export base64, so that any bundler can carry them. */
export async function buildWasm() {
  const version = JSON.parse(readFileSync(inRoot('node_modules', '@yowasp', 'clang', 'package.json'), 'utf8')).version;
  const objects = plan(version);
  const key = hash(version, ...ownTools, JSON.stringify([linkArgs, binaries]), ...objects.map((o) => `${o.name}:${o.key}`));
  const format = await tapeFormat();
  const known = stamp('wasm');
  if (known.matches(key) && binaries.every(({ name }) => existsSync(fileOf(name)))) {
    for (const { name } of binaries) stampFormat(name, format);
    return { summary: `${sizes()}, unchanged` };
  }
  const missing = slowestFirst(objects.filter((o) => !o.cache.has(o.name, o.key)));
  const workers = Array.from({ length: Math.max(1, Math.min(jobs, missing.length)) }, () => new Compiler());
  try {
    await inParallel(missing, jobs, (object, lane) => compile(workers[lane], object));
    await inParallel(binaries, workers.length, (binary, lane) => link(workers[lane], binary, objects, format));
  } finally {
    for (const worker of workers) worker.end();
  }
  known.set(key);
  return { summary: `${sizes()}, ${missing.length} of ${objects.length} objects compiled` };
}

const sizes = () => binaries.map(({ name }) => `${name} ${Math.ceil((readFileSync(fileOf(name)).length * 3) / 4 / 1024)} kB`).join(', ');

function plan(version) {
  const cache = new Cache('wasm', '.o');
  const { perVariant, shared } = engineSources('wasm');
  const base = [...target, ...commonFlags, '-fvisibility=hidden', '-DVARIANT=wasm', ...includes];
  const of = (source, variant, more) => {
    const args = [...base, wasmOptimization(source), ...more];
    return { source, variant, args, cache, name: objectName(source, variant), key: objectKey(source, version, args) };
  };
  return [
    ...[...perVariant, ...shared].map((source) => of(source, 'simd', relaxed.includes(source) ? asWritten : [])),
    ...relaxed.map((source) => of(source, 'relaxed', ['-mrelaxed-simd', ...asWritten])),
  ];
}

async function compile(worker, { source, args, cache, name, key }) {
  const object = `${name}.o`;
  const files = tree(withHeaders(source).map((file) => [file, readFileSync(inRoot(file), 'utf8')]));
  const output = await worker.run('clang++', [...args, '-c', source, '-o', object], files, object);
  mkdirSync(cache.folder, { recursive: true });
  writeWhole(cache.path(name, key), output);
  cache.prune(name, key);
}

async function link(worker, { name, variant, args }, objects, format) {
  const wanted = objects.filter((o) => o.variant === (relaxed.includes(o.source) ? variant : 'simd'));
  const files = Object.fromEntries(wanted.map((o) => [`${o.name}.o`, readFileSync(o.cache.path(o.name, o.key))]));
  const linked = await worker.run('wasm-ld', [...linkArgs, ...args, ...Object.keys(files), '-o', 'out.wasm'], files, 'out.wasm');
  const binary = await worker.run('optimize', [], { 'out.wasm': linked }, 'out.wasm');
  writeWhole(fileOf(name), textOf(Buffer.from(splatConstants(binary)).toString('base64'), format));
}

const textOf = (base64, format) => `export default '${base64}';\nexport const format = '${format}';\n`;

/** The same build, where the tapes are written by other code. */
function stampFormat(name, format) {
  const before = readFileSync(fileOf(name), 'utf8');
  const after = textOf(before.slice(before.indexOf("'") + 1, before.indexOf("';")), format);
  if (after !== before) writeWhole(fileOf(name), after);
}

/** Nested folders, as the compiler's file system wants them. */
function tree(files) {
  const top = {};
  for (const [path, text] of files) {
    const [folder, name] = path.split('/');
    top[folder] ??= {};
    top[folder][name] = text;
  }
  return top;
}

/** A thread with a compiler in it; a compiler takes seconds to start and is kept for all of its files. */
class Compiler {
  constructor() {
    this.worker = new Worker(new URL('./wasmWorker.mjs', import.meta.url));
  }
  run(command, args, files, output) {
    return new Promise((resolve, reject) => {
      this.worker.once('error', reject);
      this.worker.once('message', ({ data, text, failed }) => {
        this.worker.off('error', reject);
        if (failed) reject(new Error(`${command} ${args.join(' ')}\n${text}`));
        else {
          if (text !== '') process.stderr.write(text);
          resolve(data);
        }
      });
      this.worker.postMessage({ command, args, files, output });
    });
  }
  end() {
    this.worker.postMessage(null);
  }
}
