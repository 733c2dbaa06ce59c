import { LibError } from '../core/errors.js';

/** A text, read character by character, or a list of words or tokens. */
export type Sequence = string | ArrayLike<unknown>;

const items = (s: Sequence): ArrayLike<unknown> => (typeof s === 'string' ? Array.from(s) : s);

/**
 * The fewest insertions, deletions and substitutions that turn one sequence into the other (Levenshtein distance).
 * @example editDistance('kitten', 'sitting') // 3
 */
export function editDistance(from: Sequence, to: Sequence): number {
  const [a, b] = [items(from), items(to)];
  let row = Uint32Array.from({ length: b.length + 1 }, (_, j) => j);
  let next = new Uint32Array(b.length + 1);
  for (let i = 1; i <= a.length; i++) {
    next[0] = i;
    for (let j = 1; j <= b.length; j++) {
      const swap = (row[j - 1] as number) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next[j] = Math.min(swap, (row[j] as number) + 1, (next[j - 1] as number) + 1);
    }
    [row, next] = [next, row];
  }
  return row[b.length] as number;
}

/** Edits over the length of what is right, over all pairs. */
function errorRate(op: string, predicted: readonly Sequence[], target: readonly Sequence[], parts: (s: Sequence) => Sequence): number {
  if (predicted.length !== target.length)
    throw new LibError('value', `${op}: there must be one prediction for each target, got ${predicted.length} for ${target.length}.`);
  let [edits, length] = [0, 0];
  for (const [i, t] of target.entries()) {
    const right = parts(t);
    edits += editDistance(parts(predicted[i] as Sequence), right);
    length += items(right).length;
  }
  return length === 0 ? Number.NaN : edits / length;
}

const listOf = (x: string | readonly string[]): readonly string[] => (typeof x === 'string' ? [x] : x);

/**
 * Edits of characters over the number of right characters, over all texts together. More than 1 is possible.
 * @example characterErrorRate('hallo', 'hello') // 0.2
 */
export function characterErrorRate(predicted: string | readonly string[], target: string | readonly string[]): number {
  return errorRate('characterErrorRate', listOf(predicted), listOf(target), (s) => s);
}

/**
 * Edits of words (parted by white space) over the number of right words, over all texts together.
 * @example wordErrorRate(['the cat sat'], ['the cat sat down']) // 0.25
 */
export function wordErrorRate(predicted: string | readonly string[], target: string | readonly string[]): number {
  return errorRate('wordErrorRate', listOf(predicted), listOf(target), (s) => String(s).split(/\s+/).filter(Boolean));
}

/** Edits of tokens over the number of right tokens, over all sequences together: for what a decoder gives. */
export function tokenErrorRate(predicted: readonly ArrayLike<number>[], target: readonly ArrayLike<number>[]): number {
  return errorRate('tokenErrorRate', predicted, target, (s) => s);
}
