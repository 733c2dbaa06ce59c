// Writes the npm package of this machine's addon, from dist/native: @chainrule/<platform>-<arch>, of the same version as the main package.
//   node scripts/packNative.mjs [folder]     default folder: build/packages
import { copyFileSync, existsSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { inRoot, writeWhole } from './build/files.mjs';

const platform = `${process.platform}-${process.arch}`;
const binary = inRoot('dist', 'native', `chainrule-${platform}.node`);
if (!existsSync(binary)) {
  console.error(`packNative: dist/native must hold the addon of ${platform}, got none. Run npm run build first.`);
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
  cpu: [process.arch],
  // Linked against glibc: npm leaves it out elsewhere (Alpine), and WASM runs there.
  ...(process.platform === 'linux' && { libc: ['glibc'] }),
  main: 'chainrule.node',
  files: ['chainrule.node', 'LICENSE'],
};

const folder = join(process.argv[2] ?? inRoot('build', 'packages'), platform);
writeWhole(join(folder, 'package.json'), `${JSON.stringify(manifest, null, 2)}\n`);
copyFileSync(binary, join(folder, 'chainrule.node'));
copyFileSync(inRoot('LICENSE'), join(folder, 'LICENSE'));
console.log(folder);
