import { open, readFile, rename, rm } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, resolve } from 'node:path';
import { fileURLToPath } from 'node:url';
import { Worker } from 'node:worker_threads';
import { LibError } from '../core/errors.js';
import { makeFolder } from './folderNode.js';
import type { Platform, WorkerPort } from './platform.js';

const reasons: Readonly<Record<string, string>> = {
  ENOENT: 'no such file or folder',
  EACCES: 'permission denied',
  EPERM: 'permission denied',
  EISDIR: 'it is a folder',
  ENOTDIR: 'a part of the path is a file',
  ENOSPC: 'no space left on the disk',
  EDQUOT: 'the disk quota is used up',
  EFBIG: 'the file would be larger than allowed',
  EROFS: 'the disk is read-only',
};

/** Why the operating system refused, in words. */
export function reasonOf(error: unknown): string {
  const { code, message } = error as NodeJS.ErrnoException;
  return code === undefined ? String(message) : `${reasons[code] ?? message} (${code})`;
}

const toPath = (source: string | URL): string => (source instanceof URL || /^file:\/\//.test(source) ? fileURLToPath(source) : source);

async function read(op: string, source: string | URL): Promise<Uint8Array> {
  if (/^https?:/.test(`${source}`)) return new Uint8Array(await (await fetch(source)).arrayBuffer());
  const path = toPath(source);
  try {
    return await readFile(path);
  } catch (error) {
    throw new LibError('file', `${op}: the file must be readable, got ${path}: ${reasonOf(error)}.`);
  }
}

/** Writes to one file follow each other: they share the name of the temporary file. */
const writing = new Map<string, Promise<void>>();

async function write(op: string, target: string | URL, chunks: readonly Uint8Array[]): Promise<void> {
  const path = resolve(toPath(target));
  const turn = (writing.get(path) ?? Promise.resolve()).then(
    () => writeAtomically(op, path, chunks),
    () => writeAtomically(op, path, chunks),
  );
  writing.set(path, turn);
  try {
    await turn;
  } finally {
    if (writing.get(path) === turn) writing.delete(path);
  }
}

async function writeAtomically(op: string, path: string, chunks: readonly Uint8Array[]): Promise<void> {
  const bytes = chunks.reduce((n, chunk) => n + chunk.byteLength, 0);
  const temporary = `${path}.tmp`;
  try {
    makeFolder(dirname(path));
    await writeDurably(temporary, chunks);
    await rename(temporary, path);
    await syncFolder(dirname(path));
  } catch (error) {
    await rm(temporary, { force: true }).catch(() => undefined);
    throw new LibError(
      'file',
      `${op}: ${bytes} bytes must fit into ${path}, got ${reasonOf(error)}; what was saved there before is unchanged.`,
    );
  }
}

async function writeDurably(path: string, chunks: readonly Uint8Array[]): Promise<void> {
  const file = await open(path, 'w');
  try {
    for (const chunk of chunks) await file.writeFile(chunk);
    await file.sync().catch(ignoreUnsupported);
  } finally {
    await file.close();
  }
}

/** A rename is on the disk once its folder is; not every system can say so. */
async function syncFolder(folder: string): Promise<void> {
  const handle = await open(folder, 'r').catch(() => undefined);
  await handle?.sync().catch(() => undefined);
  await handle?.close();
}

function ignoreUnsupported(error: unknown): void {
  if ((error as NodeJS.ErrnoException).code !== 'EINVAL') throw error;
}

/** Looked for from the working folder first: data packages belong to the user's project. */
function packageFile(name: string, file: string): string | undefined {
  for (const from of [join(process.cwd(), 'package.json'), import.meta.url]) {
    try {
      return join(dirname(createRequire(from).resolve(`${name}/package.json`)), file);
    } catch {
      // not installed there
    }
  }
  return undefined;
}

/** The thread keeps the program alive only while it owes answers. */
function startWorker(script: URL, name: string): WorkerPort {
  const worker = new Worker(script, { name });
  let owed = 0;
  worker.unref();
  return {
    post(message) {
      if (owed++ === 0) worker.ref();
      worker.postMessage(message);
    },
    onMessage: (listener) =>
      void worker.on('message', (message) => {
        if (--owed === 0) worker.unref();
        listener(message);
      }),
    onError(listener) {
      worker.on('error', listener);
      worker.on('exit', (code) => listener(new Error(`it ended with code ${code}`)));
    },
    terminate: () => void worker.terminate(),
  };
}

export const platform: Platform = {
  readFile: read,
  writeFile: write,
  packageFile,
  dataWorker: new URL('../data/workerNode.js', import.meta.url),
  startWorker,
  yieldNow: () => new Promise((resume) => setImmediate(resume)),
};
