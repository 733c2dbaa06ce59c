import { existsSync, statSync } from 'node:fs';
import module from 'node:module';
import { basename, extname, resolve } from 'node:path';
import { pathToFileURL } from 'node:url';
import { LibError } from '../core/errors.js';
import type { Experiment } from '../train/experiment.js';
import * as hooks from './hooks.js';

/** Node 22.15 and later run hooks in this thread. */
type InThread = { registerHooks?(hooks: object): void };

let registered = false;
function registerHooks(): void {
  if (registered) return;
  registered = true;
  const { registerHooks: inThread } = module as unknown as InThread;
  if (inThread !== undefined) inThread({ resolve: hooks.resolve, load: hooks.load });
  else module.register(new URL('./hooks.js', import.meta.url));
}

/** The experiment that a file exports by default. */
export async function loadExperiment(file: string): Promise<Experiment<unknown>> {
  const path = resolve(file);
  if (!existsSync(path)) throw new LibError('file', `train: the experiment file must exist, got ${file}.`);
  if (!statSync(path).isFile()) throw new LibError('file', `train: the experiment must be a file, got the folder ${file}.`);
  registerHooks();
  silenceExperimentalWarnings();
  const exports = (await import(pathToFileURL(path).href)) as Readonly<Record<string, unknown>>;
  const made = exports.default as Partial<Experiment<unknown>> | undefined;
  if (made?.kind !== 'chainrule experiment') {
    const got = made === undefined ? `exports ${Object.keys(exports).join(', ') || 'nothing'}` : typeof made;
    throw new LibError('option', `train: ${file} must export an experiment by default, got ${got}.`, 'export default experiment({ … }).');
  }
  const name = made.name ?? basename(path, extname(path));
  return { ...(made as Experiment<unknown>), name };
}

/** Node warns that it reads TypeScript; people who run an experiment have not asked. */
function silenceExperimentalWarnings(): void {
  const emit = process.emitWarning.bind(process) as (warning: string | Error, ...rest: unknown[]) => void;
  process.emitWarning = (warning: string | Error, ...rest: unknown[]): void => {
    const [kind] = rest as [string | { readonly type?: string } | undefined];
    const type = typeof kind === 'object' ? kind?.type : kind;
    if (type === 'ExperimentalWarning' && /type stripping/i.test(String(warning))) return;
    emit(warning, ...rest);
  };
}
