import { LibError } from '../core/errors.js';
import type { RandomOptions } from '../tensor/random.js';

/** What rows that drop things have in common. */

export interface DropoutOptions extends RandomOptions {
  /** Probability of dropping. Default 0.5. */
  readonly p?: number;
  /** Drop; else the input is returned as it is. Default true. */
  readonly training?: boolean;
}

export function checkProbability(op: string, p: number): void {
  if (!(p >= 0 && p <= 1)) throw new LibError('value', `${op}: the probability p must be in [0, 1], got ${p}.`);
}
