// Builds src/ and gives the library's ops, for scripts that ask PyTorch about their samples.
import { readdirSync } from 'node:fs';
import { inRoot } from './build/files.mjs';
import { buildTypescript } from './build/typescript.mjs';

buildTypescript();
process.env.CHAINRULE_BACKEND = 'reference';
const library = await import('../dist/index.js');
const { methods } = await import('../dist/ops/index.js');
const { opsIn } = await import('../dist/testing/table.js');

const files = readdirSync(inRoot('dist', 'ops')).filter((file) => file.endsWith('.js'));
const modules = await Promise.all(files.map((file) => import(`../dist/ops/${file}`)));
/** Every op, once. */
export const ops = opsIn(library, methods, ...modules);
