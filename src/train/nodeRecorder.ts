import { closeSync, existsSync, fstatSync, fsyncSync, openSync, readFileSync, readSync, writeSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { availableParallelism, totalmem } from 'node:os';
import { join } from 'node:path';
import { platform } from '#platform';
import { LibError } from '../core/errors.js';
import { encodeCheckpoint, encodeModel, loadCheckpoint } from '../io/checkpoint.js';
import { makeFolder } from '../io/folderNode.js';
import { reasonOf } from '../io/platformNode.js';
import { loadSafetensors } from '../io/safetensors.js';
import { defaultDevice } from '../tensor/device.js';
import type { Tensor } from '../tensor/tensor.js';
import type { LoggedEvent, TrainEvent } from './events.js';
import type { Recorder, RunConfig, SavedRun } from './recorder.js';

const files = {
  config: 'config.json',
  environment: 'environment.json',
  events: 'events.jsonl',
  best: 'best.safetensors',
  last: 'last.safetensors',
} as const;

/** Appends lines to a file; a line is there whole or, after a crash, missing. */
class EventLog {
  private readonly file: number;
  private lines: string[] = [];

  constructor(private readonly path: string) {
    this.file = this.attempt(() => openSync(path, 'a+'));
    if (!this.endsWithNewline()) this.lines.push('');
  }

  private endsWithNewline(): boolean {
    const { size } = fstatSync(this.file);
    const last = Buffer.alloc(1);
    if (size > 0) readSync(this.file, last, 0, 1, size - 1);
    return size === 0 || last[0] === 10;
  }

  /** Steps come in thousands a second: they are written in groups. */
  add(event: TrainEvent): void {
    this.lines.push(JSON.stringify({ time: Date.now(), ...event }, plainNumbers));
    if (event.type !== 'step' || this.lines.length >= 64) this.flush();
  }

  flush(): void {
    if (this.lines.length === 0) return;
    const text = Buffer.from(`${this.lines.join('\n')}\n`);
    this.lines = [];
    this.attempt(() => {
      for (let at = 0; at < text.length; ) at += writeSync(this.file, text, at);
    }, text.length);
  }

  close(): void {
    this.flush();
    try {
      fsyncSync(this.file);
    } catch {
      // pipes and devices cannot
    }
    closeSync(this.file);
  }

  private attempt<T>(body: () => T, bytes?: number): T {
    try {
      return body();
    } catch (error) {
      const what = bytes === undefined ? 'the log can be written' : `${bytes} bytes must fit into the log`;
      throw new LibError('file', `fit: ${what}, got ${this.path}: ${reasonOf(error)}; earlier lines and checkpoints are unchanged.`);
    }
  }
}

/** JSON knows no NaN: it is written as text. */
const plainNumbers = (_: string, value: unknown): unknown => (typeof value === 'number' && !Number.isFinite(value) ? String(value) : value);

/** Opens a run folder: a new one gets config and environment, an old one is added to. */
export async function openRecorder(folder: string, config: RunConfig): Promise<Recorder> {
  try {
    makeFolder(folder);
  } catch (error) {
    throw new LibError('file', `fit: the run folder can be made, got ${folder}: ${reasonOf(error)}.`);
  }
  const path = (name: string): string => join(folder, name);
  const write = (name: string, chunks: readonly Uint8Array[]): Promise<void> => platform.writeFile('fit', path(name), chunks);
  const writeJson = (name: string, value: unknown): Promise<void> =>
    write(name, [new TextEncoder().encode(`${JSON.stringify(value, plainNumbers, 2)}\n`)]);
  if (!existsSync(path(files.config))) {
    await writeJson(files.config, config);
    await writeJson(files.environment, environment());
  }
  const log = new EventLog(path(files.events));
  let open = true;
  return {
    folder,
    event: (event) => log.add(event),
    best: async (weights, facts) => write(files.best, await encodeModel(weights, facts)),
    last: async (state) => write(files.last, await encodeCheckpoint(state)),
    async close() {
      if (open) log.close();
      open = false;
    },
  };
}

function environment(): Readonly<Record<string, unknown>> {
  const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string };
  return {
    chainrule: version,
    node: process.versions.node,
    v8: process.versions.v8,
    platform: `${process.platform}-${process.arch}`,
    engine: defaultDevice().describe(),
    processors: availableParallelism(),
    memoryBytes: totalmem(),
    started: new Date().toISOString(),
  };
}

/** What a run folder holds, to go on from: `fit({ …, resume: await loadRun('runs/mnist-1') })`. */
export async function loadRun(folder: string): Promise<SavedRun> {
  if (!existsSync(join(folder, files.last))) {
    const what = existsSync(folder) ? `a folder without ${files.last}` : 'no such folder';
    throw new LibError('file', `loadRun: ${folder} must be the folder of a run with a checkpoint, got ${what}.`);
  }
  const best = join(folder, files.best);
  return {
    state: await loadCheckpoint(join(folder, files.last)),
    best: existsSync(best) ? ((await loadSafetensors(best)) as ReadonlyMap<string, Tensor>) : null,
    config: await loadConfig(join(folder, files.config)),
  };
}

async function loadConfig(path: string): Promise<RunConfig> {
  if (!existsSync(path)) return {};
  try {
    return JSON.parse(await readFile(path, 'utf8')) as RunConfig;
  } catch (error) {
    throw new LibError('file', `loadRun: ${path} must be JSON, got ${error instanceof SyntaxError ? error.message : reasonOf(error)}.`);
  }
}

/** The events of a run; a last line that a crash cut off is left out. */
export async function readEvents(folder: string): Promise<LoggedEvent[]> {
  const text = await readFile(join(folder, files.events), 'utf8').catch((error: unknown) => {
    throw new LibError('file', `readEvents: the run must have a log, got ${folder}: ${reasonOf(error)}.`);
  });
  return text.split('\n').flatMap((line) => {
    try {
      return line === '' ? [] : [JSON.parse(line) as LoggedEvent];
    } catch {
      return [];
    }
  });
}
