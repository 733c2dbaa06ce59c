import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { filesBelow, hash, inRoot, stamp } from './files.mjs';
import { buildTypescript } from './typescript.mjs';

const target = inRoot('src', 'ops', 'signatures.ts');

/** src/ops/signatures.ts from the types of the ops, so that a new op is a change of one file; dist/ follows where it changed. */
export function buildSignatures() {
  const script = inRoot('scripts', 'signatures.mjs');
  const sources = filesBelow(inRoot('src', 'ops')).filter((file) => file !== target);
  const keyOf = () => hash(...[script, target, ...sources].flatMap((file) => [file, readFileSync(file)]));
  const known = stamp('signatures');
  if (known.matches(keyOf())) return { summary: 'unchanged' };
  const before = readFileSync(target, 'utf8');
  const { status, stdout, stderr } = spawnSync(process.execPath, [script], { cwd: inRoot(), encoding: 'utf8' });
  if (status !== 0) return { summary: `failed: ${stderr}`, failed: true };
  const { failed } = readFileSync(target, 'utf8') === before ? { failed: false } : buildTypescript();
  if (!failed) known.set(keyOf());
  return { summary: stdout.trim(), failed };
}
