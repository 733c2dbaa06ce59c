// The whole table: every op that any module of the package exports.
import { readdirSync } from 'node:fs';
import '../../dist/index.js';
import { type AnyOp, opsIn } from '../../dist/testing/table.js';

const folders = ['ops', 'tensor'];

async function modulesIn(folder: string): Promise<object[]> {
  const url = new URL(`../../dist/${folder}/`, import.meta.url);
  const files = readdirSync(url).filter((file) => file.endsWith('.js'));
  return Promise.all(files.map((file) => import(new URL(file, url).href) as Promise<object>));
}

export const ops: readonly AnyOp[] = opsIn(...(await Promise.all(folders.map(modulesIn))).flat());
