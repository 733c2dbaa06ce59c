// Builds dist/ from what is in git: TypeScript, the engine's printed kernels, its WASM builds and, where a compiler is found, the addon.
// Every step is skipped when nothing that it reads has changed.   node scripts/build.mjs [--quiet] [--no-wasm] [--no-native] [--all-variants]
// --all-variants: the addon for every processor of this architecture, to be packed; without it, for this one.
import { buildAot } from './build/aot.mjs';
import { buildBrowser } from './build/browser.mjs';
import { buildNative } from './build/native.mjs';
import { buildSignatures } from './build/signatures.mjs';
import { buildTypescript } from './build/typescript.mjs';
import { buildWasm } from './build/wasm.mjs';

const known = ['--quiet', '--no-wasm', '--no-native', '--all-variants'];
const flags = new Set(process.argv.slice(2));
for (const flag of flags) {
  if (known.includes(flag)) continue;
  console.error(`build: unknown option ${flag}. Options: ${known.join(' ')}`);
  process.exit(2);
}

const steps = [
  { name: 'typescript', run: buildTypescript },
  { name: 'signatures', run: buildSignatures },
  { name: 'browser', run: buildBrowser },
  { name: 'kernels', run: buildAot, skip: flags.has('--no-wasm') && flags.has('--no-native') },
  { name: 'wasm', run: buildWasm, skip: flags.has('--no-wasm') },
  { name: 'native', run: () => buildNative({ all: flags.has('--all-variants') }), skip: flags.has('--no-native') },
];

for (const { name, run, skip } of steps) {
  if (skip) continue;
  const started = performance.now();
  try {
    const { summary, failed = false } = await run();
    const seconds = ((performance.now() - started) / 1000).toFixed(1);
    if (failed) process.exitCode = 1;
    if (failed || !flags.has('--quiet')) console.log(`${name.padEnd(11)} ${summary}, ${seconds} s`);
  } catch (error) {
    console.error(`${name.padEnd(11)} failed: ${error instanceof Error ? error.message : error}`);
    process.exitCode = 1;
  }
}
