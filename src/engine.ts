import { type EngineOptions, type Selection, selectBackend } from '#auto';
import { setDefaultDevice } from './tensor/device.js';

export type { EngineOptions, Selection } from '#auto';

let chosen: Selection | null = null;

/** The engine in use and, where it is not the fastest kind, why. */
export function engine(): Selection {
  if (chosen === null) throw new Error('internal: no engine was chosen. Please open an issue.');
  return chosen;
}

/**
 * Chooses the engine on which new tensors live; done once, with defaults, when the package is imported.
 * Options: engine ('native', 'wasm' or 'reference'), threads, isa. Existing tensors stay where they are.
 */
export async function setEngine(options: EngineOptions = {}): Promise<Selection> {
  chosen = await selectBackend(options);
  setDefaultDevice(chosen.backend);
  return chosen;
}

/** One line for people: `native avx512, 2 threads` or `wasm simd, 2 threads (no C++ compiler found)`. */
export function describeEngine({ backend, reason }: Selection = engine()): string {
  return reason === undefined ? backend.describe() : `${backend.describe()} (${reason})`;
}
