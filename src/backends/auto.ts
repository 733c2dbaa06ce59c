import { LibError } from '../core/errors.js';
import { nativeBackend } from './cpu/native.js';
import { wasmBackend } from './cpu/wasm.js';
import { nodeHost } from './cpu/wasmNode.js';
import { ReferenceBackend } from './reference/backend.js';
import { type EngineOptions, messageOf, type Selection, selectFrom } from './select.js';

export type { EngineOptions, Selection } from './select.js';

/**
 * The fastest engine that this machine has: the native addon, else WASM, else plain JavaScript. The environment variables
 * CHAINRULE_BACKEND=native|wasm|reference, CHAINRULE_THREADS and CHAINRULE_ISA stand in for options that are not given.
 */
export function selectBackend(options: EngineOptions = {}): Promise<Selection> {
  const { CHAINRULE_BACKEND: engine, CHAINRULE_THREADS: threads, CHAINRULE_ISA: isa } = process.env;
  const environment = { ...(engine && { engine }), ...(threads && { threads: threadsFrom(threads) }), ...(isa && { isa }) };
  return selectFrom(
    { native: nativeBackend, wasm: (o) => wasmBackend(nodeHost, o), reference: () => new ReferenceBackend() },
    { ...environment, ...options },
    whyNot,
  );
}

function threadsFrom(text: string): number {
  const threads = Number(text);
  if (Number.isInteger(threads) && threads > 0) return threads;
  throw new LibError('option', `CHAINRULE_THREADS: must be a positive integer, got '${text}'.`);
}

/** Without an addon, the build has left a note that says why. */
async function whyNot(engine: string, error: unknown): Promise<string> {
  if (engine !== 'native') return `no ${engine}: ${messageOf(error)}`;
  if ((error as NodeJS.ErrnoException).code !== 'MODULE_NOT_FOUND') return `the native addon does not load: ${messageOf(error)}`;
  const note = new URL('../native/note.js', import.meta.url).href;
  const left = (await import(note).catch(() => undefined)) as { readonly default: string } | undefined;
  return left?.default ?? `no native addon for ${process.platform}-${process.arch}`;
}
