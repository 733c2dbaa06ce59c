import { spawn, spawnSync } from 'node:child_process';
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { basename, dirname, join, relative } from 'node:path';
import { flags as commonFlags, engineSources, jobs, objectKey, objectName, optimization, slowestFirst } from './engine.mjs';
import { Cache, hash, inParallel, inRoot, stamp, writeWhole } from './files.mjs';
import { tapeFormat } from './format.mjs';

/** Flags of each instruction-set variant; an addon that is given away holds all of its architecture's, and picks one when it loads. */
export const variants = {
  x64: {
    baseline: [],
    avx2: ['-mavx2', '-mfma', '-mf16c', '-mbmi', '-mbmi2'],
    avx512: ['-mavx512f', '-mavx512dq', '-mavx512bw', '-mavx512vl', '-mfma', '-mf16c', '-mbmi', '-mbmi2', '-mprefer-vector-width=512'],
  },
  arm64: { neon: [] },
};

/** What a processor must say of itself to run a variant; the best variant comes first. */
const needs = { avx512: ['avx512f', 'avx512dq', 'avx512bw', 'avx512vl'], avx2: ['avx2', 'fma', 'bmi2'], neon: [], baseline: [] };

/** The variants that this processor runs, the best one first; all of them where it does not tell. */
export function runnableVariants() {
  const ours = Object.keys(needs).filter((name) => variants[process.arch]?.[name] !== undefined);
  if (!existsSync('/proc/cpuinfo')) return ours;
  const words = new Set(readFileSync('/proc/cpuinfo', 'utf8').split(/\s+/));
  return ours.filter((name) => needs[name].every((word) => words.has(word)));
}

/** Compilers for an architecture that is not this machine's, as Debian names them. */
const crossCompilers = { x64: 'x86_64-linux-gnu-g++', arm64: 'aarch64-linux-gnu-g++' };

const headers = join(dirname(createRequire(import.meta.url).resolve('node-api-headers/package.json')), 'include');
const note = inRoot('dist', 'native', 'note.js');

/** Where the addon for an architecture lies: this machine's in dist/, where it is loaded from. */
export function binaryOf(arch) {
  const name = `chainrule-${process.platform}-${arch}.node`;
  return arch === process.arch ? inRoot('dist', 'native', name) : inRoot('build', 'cross', name);
}

/**
 * The addon, from the system's compiler. Without one the step says so, and the library runs on WASM. What is built here runs here:
 * it holds the best variant of this processor; `all` adds the others, to be packed, and to be tested by CI. An addon for another `arch` holds all.
 */
export async function buildNative({ all = false, arch = process.arch } = {}) {
  const ours = arch === process.arch;
  const skip = (reason) => skipped(reason, arch);
  const compiler = findCompiler(arch);
  if (compiler === undefined) return skip(ours ? 'no C++ compiler found' : `no C++ compiler for ${arch} found`);
  const names = all || !ours ? Object.keys(variants[arch]) : runnableVariants().slice(0, 1);
  const objects = await plan(compiler, { chosen: names.map((name) => [name, variants[arch][name]]) });
  const key = hash(...objects.map(({ name, key }) => `${name}:${key}`), compiler.id);
  const known = stamp(ours ? 'native' : `native-${arch}`);
  const binary = binaryOf(arch);
  const shown = relative(inRoot(), binary);
  if (known.matches(key) && existsSync(binary)) return { summary: `${shown}, unchanged` };
  const missing = slowestFirst(objects.filter((o) => !o.cache.has(o.name, o.key)));
  const failure = await compileAll(compiler, missing);
  if (failure !== undefined) return skip(`the C++ compiler failed: ${firstError(failure)}`);
  link(compiler, objects, binary);
  if (ours) rmSync(note, { force: true });
  known.set(key);
  return { summary: `${shown} (${names.join(', ')}), ${missing.length} of ${objects.length} objects compiled with ${compiler.id}` };
}

/** The line that says what is wrong, of a compiler's many. */
function firstError(text) {
  const lines = text.split('\n').map((line) => line.trim());
  return lines.find((line) => /\berror\b/i.test(line)) ?? lines.find((line, i) => i > 0 && line !== '') ?? 'no message';
}

/** What the library says when it runs on WASM instead. */
function skipped(reason, arch) {
  rmSync(binaryOf(arch), { force: true });
  if (arch === process.arch) writeWhole(note, `export default ${JSON.stringify(reason)};\n`);
  return { summary: `skipped (${reason})${arch === process.arch ? ': the library will run on WASM' : ''}` };
}

/** The compiler for an architecture: of this machine's, CXX or the first of the usual names. */
export function findCompiler(arch = process.arch) {
  if (process.platform === 'win32' || variants[arch] === undefined) return undefined;
  const usual = process.env.CXX ? [process.env.CXX] : ['c++', 'g++', 'clang++'];
  const candidates = arch === process.arch ? usual : [crossCompilers[arch]];
  for (const command of candidates) {
    const { status, stdout } = spawnSync(command, ['--version'], { encoding: 'utf8' });
    if (status === 0) return { command, id: (stdout.split('\n')[0] ?? command).trim() };
  }
  return undefined;
}

/** The objects of the addon, kept below build/. `chosen` are [variant, flags]; `optimize` gives a source's flags for one. */
export async function plan(compiler, { folder = 'native', chosen, optimize = (...of) => [optimization(...of)] }) {
  const cache = new Cache(folder, '.o');
  const { perVariant, shared } = engineSources('native');
  const base = [...commonFlags, '-fPIC', '-fvisibility=hidden', '-pthread', '-DNAPI_VERSION=8', `-I${headers}`, '-Iengine', '-Ibuild'];
  const of = (source, variant, flags) => {
    const args = [...base, ...optimize(source, variant), ...flags];
    return { source, args, cache, name: objectName(source, variant), key: objectKey(source, compiler.id, args) };
  };
  const format = `-DTAPE_FORMAT="${await tapeFormat()}"`;
  return [
    ...chosen.flatMap(([variant, flags]) => perVariant.map((source) => of(source, variant, [...flags, `-DVARIANT=${variant}`]))),
    ...shared.map((source) => of(source, 'shared', source === 'engine/bind_napi.cpp' ? [format] : [])),
  ];
}

/** Compiles objects; the first failure's text, if there is one. */
export async function compileAll(compiler, objects) {
  let failure;
  await inParallel(objects, jobs, async ({ source, args, cache, name, key }) => {
    if (failure !== undefined) return;
    const path = cache.path(name, key);
    const temporary = `${path}.${process.pid}.tmp`;
    const text = await run(compiler.command, [...args, '-c', source, '-o', temporary]);
    if (text !== undefined) {
      failure ??= `${name}\n${text}`;
      return;
    }
    renameSync(temporary, path);
    cache.prune(name, key);
  });
  return failure;
}

function run(command, args) {
  return new Promise((resolve) => {
    const child = spawn(command, args, { cwd: inRoot() });
    let text = '';
    for (const stream of [child.stdout, child.stderr]) stream.on('data', (data) => (text += data));
    child.on('error', (error) => resolve(error.message));
    child.on('close', (status) => {
      if (status === 0 && text !== '') process.stderr.write(text);
      resolve(status === 0 ? undefined : text);
    });
  });
}

export function link(compiler, objects, binary, flags = ['-s', '-static-libgcc']) {
  mkdirSync(dirname(binary), { recursive: true });
  const linux = ['-Wl,--gc-sections', '-static-libstdc++'];
  const platform = process.platform === 'darwin' ? ['-undefined', 'dynamic_lookup'] : linux;
  const temporary = `${binary}.${process.pid}.tmp`;
  const paths = objects.map((o) => o.cache.path(o.name, o.key));
  const args = ['-shared', '-pthread', ...flags, ...platform, ...paths, '-o', temporary];
  const { status, stderr } = spawnSync(compiler.command, args, { encoding: 'utf8' });
  if (status !== 0) throw new Error(`linking ${basename(binary)}\n${stderr}`);
  renameSync(temporary, binary);
}
