import { LibError, nearest } from '../core/errors.js';
import type { Backend } from '../program/backend.js';

/** Which engine to use and how; what is not given is chosen for the machine. */
export interface EngineOptions {
  readonly engine?: string;
  readonly threads?: number;
  readonly isa?: string;
}

/** An engine, and why it is not the fastest kind there is (or that somebody asked for it). */
export interface Selection {
  readonly backend: Backend;
  readonly reason?: string;
}

export type EngineName = 'native' | 'wasm' | 'reference';

/** Starts an engine; throws when this machine has none of its kind. */
export type Start = (options: EngineOptions) => Backend | Promise<Backend>;

/** Tries `candidates` in turn; with `engine` given, that one only. `whyNot` puts a failure into words. */
export async function selectFrom(
  candidates: Readonly<Partial<Record<EngineName, Start>>>,
  options: EngineOptions,
  whyNot: (engine: string, error: unknown) => string | Promise<string>,
): Promise<Selection> {
  const { engine } = options;
  if (engine !== undefined) return { backend: await startNamed(candidates, engine, options), reason: `${engine} was asked for` };
  let reason: string | undefined;
  for (const [name, start] of Object.entries(candidates)) {
    try {
      const backend = await start(options);
      return reason === undefined ? { backend } : { backend, reason };
    } catch (error) {
      if (error instanceof LibError) throw error;
      reason = await whyNot(name, error);
    }
  }
  throw new LibError('device', `engine: none could be started (${reason}).`);
}

async function startNamed(candidates: Readonly<Partial<Record<string, Start>>>, engine: string, options: EngineOptions): Promise<Backend> {
  const start = candidates[engine];
  if (start === undefined) {
    const guess = nearest(engine, Object.keys(candidates));
    const hint = guess === undefined ? undefined : `did you mean ${guess}?`;
    throw new LibError('option', `engine: must be one of ${Object.keys(candidates).join(', ')}, got '${engine}'.`, hint);
  }
  try {
    return await start(options);
  } catch (error) {
    if (error instanceof LibError) throw error;
    throw new LibError('device', `engine: ${engine} could not be started: ${messageOf(error)}.`);
  }
}

/** The first line of what went wrong. */
export const messageOf = (error: unknown): string =>
  ((error instanceof Error ? error.message : String(error)).split('\n')[0] ?? '').replace(/\.$/, '');
