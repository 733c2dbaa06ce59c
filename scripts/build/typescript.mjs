import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { filesBelow, hash, inRoot, stamp } from './files.mjs';

const require = createRequire(import.meta.url);

/** tsc: src/ to dist/. Type errors fail the build but not the steps after it: the JavaScript is written all the same. */
export function buildTypescript() {
  const sources = filesBelow(inRoot('src'));
  const compiler = require.resolve('typescript/package.json');
  const version = JSON.parse(readFileSync(compiler, 'utf8'));
  const inputs = [inRoot('tsconfig.json'), ...sources];
  const key = hash(version.version, ...inputs.flatMap((file) => [file, readFileSync(file)]));
  const known = stamp('typescript');
  if (known.matches(key) && existsSync(inRoot('dist'))) return { summary: `${sources.length} files, unchanged` };
  known.clear();
  const bin = typeof version.bin === 'string' ? version.bin : version.bin.tsc;
  const command = [join(dirname(compiler), bin), '-p', '.'];
  const { status, stdout, stderr } = spawnSync(process.execPath, command, { cwd: inRoot(), encoding: 'utf8' });
  removeOrphans();
  if (status === 0) known.set(key);
  else process.stderr.write(stdout + stderr);
  return { summary: `${sources.length} files${status === 0 ? '' : ' with errors'}`, failed: status !== 0 };
}

/** Output whose source is gone would otherwise stay, and be published. */
function removeOrphans() {
  for (const file of filesBelow(inRoot('dist'))) {
    const path = relative(inRoot('dist'), file);
    if (/^(wasm|native|browser|checked)[\\/]/.test(path)) continue;
    const source = inRoot('src', path.replace(/(\.d\.ts|\.js)(\.map)?$/, '.ts'));
    if (!existsSync(source)) rmSync(file);
  }
}
