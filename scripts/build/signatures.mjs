import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync } from 'node:fs';
import { filesBelow, hash, inRoot, stamp } from './files.mjs';
import { buildTypescript } from './typescript.mjs';

const target = inRoot('src', 'ops', 'signatures.ts');

/**
 * src/ops/signatures.ts from the types of the ops, so that a new op is a change of one file, and dist/checked from those of everything
 * else that is public; dist/ follows where they changed.
 */
export function buildSignatures() {
  const scripts = [inRoot('scripts', 'signatures.mjs'), ...filesBelow(inRoot('scripts', 'signatures'))];
  const sources = filesBelow(inRoot('src')).filter((file) => !/[\\/](cli|backends|expr|program)[\\/]/.test(file));
  const keyOf = () => hash(...[...scripts, ...sources].flatMap((file) => [file, readFileSync(file)]));
  const known = stamp('signatures');
  if (known.matches(keyOf()) && existsSync(inRoot('dist', 'checked', 'index.js'))) return { summary: 'unchanged' };
  const before = readFileSync(target, 'utf8');
  const { status, stdout, stderr } = spawnSync(process.execPath, [inRoot('scripts', 'signatures.mjs')], {
    cwd: inRoot(),
    encoding: 'utf8',
  });
  if (status !== 0) return { summary: `failed: ${stderr}`, failed: true };
  const { failed } = readFileSync(target, 'utf8') === before ? { failed: false } : buildTypescript();
  if (!failed) known.set(keyOf());
  return { summary: stdout.trim(), failed };
}
