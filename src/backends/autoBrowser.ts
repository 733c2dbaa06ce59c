import type { Backend } from '../program/backend.js';
import { wasmBackend } from './cpu/wasm.js';
import { browserHost } from './cpu/wasmBrowser.js';
import { type EngineOptions, messageOf, type Selection, selectFrom } from './select.js';

export type { EngineOptions, Selection } from './select.js';

/** The fastest engine that this page or worker can run: WASM, with threads where the page is cross-origin isolated. */
export function selectBackend(options: EngineOptions = {}): Promise<Selection> {
  return selectFrom(
    { wasm: (o) => wasmBackend(browserHost, o), reference },
    options,
    (engine, error) => `no ${engine}: ${messageOf(error)}`,
  );
}

/** Only when it is asked for, and only then loaded. */
async function reference(): Promise<Backend> {
  const { ReferenceBackend } = await import('./reference/backend.js');
  return new ReferenceBackend();
}
