import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { availableParallelism } from 'node:os';
import { hash, inRoot } from './files.mjs';

/** Only bindings are special; every other file of engine/ goes into every build. */
const bindings = { native: ['bind_napi.cpp'], wasm: ['bind_wasm.cpp', 'alloc.cpp'] };

const warnings = ['-Wall', '-Wextra', '-Wno-unused-parameter', '-Wno-unknown-pragmas'];
const common = ['-std=c++20', '-ffp-contract=off', '-fno-math-errno', '-fno-exceptions', '-fno-rtti'];
export const flags = [...common, ...warnings];
/** Files whose speed is felt; the others would only take longer to compile, and more room. */
const hot = [
  'attention.cpp',
  'convert.cpp',
  'copy.cpp',
  'gemm.cpp',
  'gemm_block.cpp',
  'gemm_simple.cpp',
  'gemm_small.cpp',
  'layer_norm.cpp',
  'map.cpp',
  'recurrent.cpp',
  'reduce.cpp',
  'window.cpp',
];
/** The baseline is for machines of long ago: there, -O2 will do for all. */
export const optimization = (source, variant) => (variant !== 'baseline' && hot.includes(source.replace('engine/', '')) ? '-O3' : '-O2');

/** What goes over a network is kept small, most of all where nobody waits for it. */
export const wasmOptimization = (source) => {
  const name = source.replace('engine/', '');
  if (['gemm.cpp', 'gemm_block.cpp', 'probe.cpp'].includes(name)) return '-O3';
  return hot.includes(name) || name === 'instructions.cpp' ? '-Os' : '-Oz';
};

/** Compilers to run at the same time: two are enough to be quick, and leave a small machine usable. */
export const jobs = Math.max(1, Math.min(2, availableParallelism()));

const read = (file) => readFileSync(inRoot(file), 'utf8');

/** Sources as `engine/<name>`: `perVariant` ones, which say `chainrule::VARIANT`, are compiled for each instruction set. */
export function engineSources(target) {
  const others = Object.entries(bindings).flatMap(([name, files]) => (name === target ? [] : files));
  const files = readdirSync(inRoot('engine')).filter((file) => file.endsWith('.cpp') && !others.includes(file));
  const sources = files.sort().map((file) => `engine/${file}`);
  const perVariant = sources.filter((file) => read(file).includes('chainrule::VARIANT'));
  return { perVariant, shared: sources.filter((file) => !perVariant.includes(file)) };
}

/** Headers, by the name in `#include "..."`: those of engine/, and what the build printed. */
function findHeader(name) {
  return [`engine/${name}`, `build/${name}`].find((file) => existsSync(inRoot(file)));
}

/** A source with all headers of ours that it includes, directly or not. */
export function withHeaders(source) {
  const found = new Set([source]);
  for (const file of found) {
    for (const [, name] of read(file).matchAll(/^\s*#\s*include\s+"([^"]+)"/gm)) {
      const header = findHeader(name);
      if (header !== undefined) found.add(header);
    }
  }
  return [...found];
}

/** What decides the object file of a source. */
export function objectKey(source, compiler, args) {
  return hash(compiler, args.join(' '), ...withHeaders(source).flatMap((file) => [file, read(file)]));
}

export const objectName = (source, variant) => `${source.replace('engine/', '').replace('.cpp', '')}-${variant}`;

/** The slowest to compile first, so that no processor waits for the last one. */
export function slowestFirst(objects) {
  const slow = ['gemm', 'instructions', 'convert', 'map', 'reduce'].map((name) => `engine/${name}.cpp`);
  const rank = ({ source }) => (slow.includes(source) ? slow.indexOf(source) : slow.length);
  return objects.sort((a, b) => rank(a) - rank(b));
}
