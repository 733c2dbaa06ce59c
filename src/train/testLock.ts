import { LibError } from '../core/errors.js';

/** One use of a test set. */
export interface TestUse {
  readonly experiment: string;
  /** Milliseconds since 1970. */
  readonly time: number;
  /** Why the test set was used once more; null for the first use. */
  readonly override: string | null;
}

export interface TestLockOptions {
  /** Earlier uses, as `log()` gave them, for example from a file. */
  readonly log?: readonly TestUse[];
  /** Told of each use, to write it down. */
  readonly onUse?: (use: TestUse) => void | Promise<void>;
}

/**
 * Test data that each experiment may be measured on once: whoever tests, changes something and tests again, fits the test set. Further uses
 * need a reason, which is kept and reported.
 * @example
 * const lock = new TestLock(train);
 * const first = await lock.use('baseline', (data) => data.length);
 * console.assert(first === 30 && lock.report().includes('baseline'));
 */
export class TestLock<D> {
  readonly #data: D;
  readonly #uses: TestUse[];
  readonly #onUse: ((use: TestUse) => void | Promise<void>) | undefined;

  constructor(data: D, { log = [], onUse }: TestLockOptions = {}) {
    this.#data = data;
    this.#uses = [...log];
    this.#onUse = onUse;
  }

  /** Measures an experiment, once. `override` says why once more; the use is written down before it happens. */
  async use<R>(experiment: string, measure: (data: D) => R | Promise<R>, { override }: { readonly override?: string } = {}): Promise<R> {
    const before = this.#uses.filter((u) => u.experiment === experiment).length;
    if (before > 0 && (override === undefined || override.trim() === ''))
      throw new LibError(
        'state',
        `TestLock: an experiment may be tested once, got a further use by '${experiment}' after ${before}.`,
        'choose on validation data; if it must be, say why: { override: reason }. It is kept in the report.',
      );
    const use: TestUse = { experiment, time: Date.now(), override: before > 0 ? (override as string) : null };
    this.#uses.push(use);
    await this.#onUse?.(use);
    return measure(this.#data);
  }

  /** All uses so far. */
  log(): readonly TestUse[] {
    return [...this.#uses];
  }

  /** For people: how often which experiment saw the test set, and why more than once. */
  report(): string {
    const names = [...new Set(this.#uses.map((u) => u.experiment))];
    const lines = names.map((name) => {
      const uses = this.#uses.filter((u) => u.experiment === name);
      const reasons = uses.flatMap((u) => (u.override === null ? [] : [u.override]));
      return reasons.length === 0 ? `${name}: tested once` : `${name}: tested ${uses.length} times (${reasons.join('; ')})`;
    });
    return lines.length === 0 ? 'the test set has not been used' : lines.join('\n');
  }
}
