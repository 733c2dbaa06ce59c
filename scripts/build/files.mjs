import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync, statSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

/** The repository's root; every path below is relative to it. */
export const root = fileURLToPath(new URL('../..', import.meta.url));
export const inRoot = (...parts) => join(root, ...parts);

export const hash = (...parts) => {
  const sha = createHash('sha256');
  for (const part of parts) sha.update(part).update('\0');
  return sha.digest('hex').slice(0, 16);
};

/** All files below a folder, sorted. */
export function filesBelow(folder) {
  if (!existsSync(folder)) return [];
  return readdirSync(folder, { withFileTypes: true })
    .flatMap((entry) => (entry.isDirectory() ? filesBelow(join(folder, entry.name)) : [join(folder, entry.name)]))
    .sort();
}

/** Whole or not at all: a process that has the old file open keeps it. */
export function writeWhole(path, data) {
  mkdirSync(dirname(path), { recursive: true });
  const temporary = `${path}.${process.pid}.tmp`;
  writeFileSync(temporary, data);
  renameSync(temporary, path);
}

/** Remembers the hash of what a step read, so that an unchanged step is skipped. */
export const stamp = (name) => {
  const path = inRoot('build', `${name}.stamp`);
  return {
    matches: (value) => existsSync(path) && readFileSync(path, 'utf8') === value,
    set: (value) => writeWhole(path, value),
    clear: () => rmSync(path, { force: true }),
  };
};

const DAY = 24 * 3600 * 1000;

/** Objects by content: `<folder>/<name>-<hash><extension>`. Storing one removes its old predecessors. */
export class Cache {
  constructor(folder, extension) {
    this.folder = inRoot('build', folder);
    this.extension = extension;
    mkdirSync(this.folder, { recursive: true });
  }
  path(name, key) {
    return join(this.folder, `${name}-${key}${this.extension}`);
  }
  has(name, key) {
    return existsSync(this.path(name, key));
  }
  read(name, key) {
    return readFileSync(this.path(name, key));
  }
  /** Removes what has not been made within a day: another build may be about to link the younger ones. */
  prune(name, key) {
    const keep = `${name}-${key}${this.extension}`;
    for (const file of readdirSync(this.folder)) {
      const isSame = file.startsWith(`${name}-`) && file.length === keep.length;
      const path = join(this.folder, file);
      if (isSame && file !== keep && isOld(path)) rmSync(path, { force: true });
    }
  }
}

function isOld(path) {
  const made = statSync(path, { throwIfNoEntry: false })?.mtimeMs;
  return made !== undefined && Date.now() - made > DAY;
}

/** Runs `work` on every item, at most `limit` at a time. */
export async function inParallel(items, limit, work) {
  const queue = [...items];
  const lane = async (number) => {
    for (let item = queue.shift(); item !== undefined; item = queue.shift()) await work(item, number);
  };
  await Promise.all(Array.from({ length: Math.min(limit, items.length) }, (_, i) => lane(i)));
}
