// Writes the npm package of this platform's addon: @chainrule/<platform>-<arch>, of the same version as the main package. It holds
// every instruction set; --as-built packs what is in dist/, which may run only here; --arch takes a cross compiler.
//   node scripts/packNative.mjs [folder] [--as-built] [--arch x64|arm64]     default folder: build/packages
import { copyFileSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import { inRoot, writeWhole } from './build/files.mjs';
import { binaryOf, buildNative } from './build/native.mjs';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { 'as-built': { type: 'boolean' }, arch: { type: 'string', default: process.arch } },
});
const { arch } = values;
const platform = `${process.platform}-${arch}`;
const folder = join(positionals[0] ?? inRoot('build', 'packages'), platform);

// What npm run build leaves is for this machine's processor; what is given away runs on all.
const { summary } = values['as-built'] ? { summary: 'none' } : await buildNative({ all: true, arch });
const binary = binaryOf(arch);
if (!existsSync(binary)) {
  console.error(`packNative: the addon of ${platform} must be built, got: ${summary}.`);
  process.exit(2);
}

const { version, license, engines } = JSON.parse(readFileSync(inRoot('package.json'), 'utf8'));
const manifest = {
  name: `@chainrule/${platform}`,
  version,
  description: `The native engine of chainrule for ${platform}.`,
  license,
  engines,
  os: [process.platform],
  cpu: [arch],
  // Linked against glibc: npm leaves it out elsewhere (Alpine), and WASM runs there.
  ...(process.platform === 'linux' && { libc: ['glibc'] }),
  main: 'chainrule.node',
  files: ['chainrule.node', 'LICENSE'],
};

writeWhole(join(folder, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
copyFileSync(binary, join(folder, 'chainrule.node'));
copyFileSync(inRoot('LICENSE'), join(folder, 'LICENSE'));
console.log(folder);
