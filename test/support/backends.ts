// The backends that the suites run over. CHAINRULE_BACKEND (npm test -- --backend NAME) narrows them to one.
import { selectBackend } from '../../dist/backends/auto.js';
import { ReferenceBackend } from '../../dist/backends/reference/backend.js';
import type { Backend } from '../../dist/program/backend.js';

export interface Candidate {
  readonly name: string;
  /** null: this machine does not have it. */
  readonly backend: Backend | null;
  readonly why: string;
}

/** The oracle. */
export const reference: Backend = new ReferenceBackend();

export async function open(name: string, options: { readonly threads?: number; readonly isa?: string } = {}): Promise<Candidate> {
  try {
    const { backend } = await selectBackend({ engine: name, ...options });
    return { name, backend, why: backend.describe() };
  } catch (error) {
    // Left out of a build, WASM may be of other sources; that the addon is must not look like a machine without one.
    if (name === 'native' && /built from the same sources/.test((error as Error).message)) throw error;
    return { name, backend: null, why: (error as Error).message.split('\n')[0] ?? 'unknown' };
  }
}

const wanted = process.env.CHAINRULE_BACKEND;
const names = wanted === undefined ? ['native', 'wasm'] : wanted === 'reference' ? [] : [wanted];
export const engineNames: readonly string[] = names;

/** The engines to compare with the reference. */
export const engines: readonly Candidate[] = await Promise.all(names.map((name) => open(name)));

/** Every backend there is here, the reference included. */
export const everyBackend: readonly Candidate[] = [{ name: 'reference', backend: reference, why: '' }, ...engines];

/** Every instruction set of an engine that this machine can run: `native avx2`, `wasm simd`. The best one comes first. */
export const everyVariant: readonly Candidate[] = (await Promise.all(engines.map(variantsOf))).flat();

async function variantsOf(engine: Candidate): Promise<readonly Candidate[]> {
  const info = (engine.backend as { engineInfo?: () => { readonly isa: string; readonly isas: readonly string[] } } | null)?.engineInfo?.();
  if (info === undefined) return [engine];
  const opened = await Promise.all(info.isas.map((isa) => open(engine.name, { isa })));
  return opened.map((candidate, i) => ({ ...candidate, name: `${engine.name} ${info.isas[i]}` }));
}
