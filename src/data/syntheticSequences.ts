import { LibError } from '../core/errors.js';
import { tensor } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkCounts, Draws, floats, integers, type SyntheticOptions } from './draws.js';
import type { Labelled } from './syntheticTables.js';

/** Small made-up sequences: symbols in int32, (samples, time), batch first. */

interface SequenceOptions extends SyntheticOptions {
  /** Default 64. */
  readonly samples?: number;
  /** Symbols of a sequence. Default 8. */
  readonly length?: number;
  /** Symbols are 1 … symbols; 0 is kept for padding, start and blanks. Default 8. */
  readonly symbols?: number;
}

function symbolRows(task: string, { samples = 64, length = 8, symbols = 8, seed = 0 }: SequenceOptions): readonly [number[][], Draws] {
  checkCounts(task, { samples, length, symbols });
  const draws = new Draws(task, seed);
  return [Array.from({ length: samples }, () => Array.from({ length }, () => 1 + draws.below(symbols))), draws];
}
/** Rows of one length as (rows, length) in int32. */
const rows = (list: readonly (readonly number[])[]): Tensor =>
  tensor(Int32Array.from(list.flat()), { shape: [list.length, list[0]?.length ?? 0] });

/** x (samples, length) of random symbols and y the same symbols. Defaults 64, 8, 8. */
export function copySequences(options: SequenceOptions = {}): Labelled {
  const [made] = symbolRows('copySequences', options);
  return { x: rows(made), y: rows(made) };
}
/** x (samples, length) of random symbols and y the same from last to first. Defaults 64, 8, 8. */
export function reverseSequences(options: SequenceOptions = {}): Labelled {
  const [made] = symbolRows('reverseSequences', options);
  return { x: rows(made), y: rows(made.map((row) => [...row].reverse())) };
}
/** The first symbol must be remembered over the rest: x (samples, length), y (samples,) that symbol. Defaults 64, 8, 8. */
export function recallSequences(options: SequenceOptions = {}): Labelled {
  const [made] = symbolRows('recallSequences', options);
  return { x: rows(made), y: integers(made.map((row) => row[0] as number)) };
}
/**
 * Numbers in [0, 1) beside marks, of which two are 1: x (samples, length, 2), y (samples, 1) the sum of the marked numbers (Hochreiter &
 * Schmidhuber 1997). Defaults 64, 16.
 */
export function addingSequences({ samples = 64, length = 16, seed = 0 }: Omit<SequenceOptions, 'symbols'> = {}): Labelled {
  checkCounts('addingSequences', { samples, length });
  if (length < 2) throw new LibError('value', `addingSequences: length must be at least 2, got ${length}.`);
  const draws = new Draws('addingSequences', seed);
  const sums: number[] = [];
  const x = Array.from({ length: samples }, () => {
    const values = Array.from({ length }, () => draws.uniform());
    const half = Math.floor(length / 2);
    const marked = [draws.below(half), half + draws.below(length - half)] as const;
    sums.push((values[marked[0]] as number) + (values[marked[1]] as number));
    return values.map((v, t) => [v, marked.includes(t) ? 1 : 0]);
  });
  return { x: tensor(x, { dtype: 'float32' }), y: floats(sums).reshape([samples, 1]) };
}

export interface CtcStrings {
  /** (samples, time, features) */
  readonly x: Tensor;
  /** Symbols 1 … symbols one after the other, padded with 0: (samples, most). */
  readonly targets: Tensor;
  readonly inputLengths: Tensor;
  readonly targetLengths: Tensor;
  readonly labels: readonly (readonly number[])[];
}
/**
 * "Speech": each symbol is held for two to four steps with a pause between equal ones, seen as its own noisy vector. Defaults 32 strings
 * of 2 to 4 of 4 symbols, 6 features, noise 0.2. Time is that of the longest string; what lies behind an end is noise.
 */
export function ctcStrings(
  options: SyntheticOptions & { samples?: number; symbols?: number; most?: number; features?: number; noise?: number } = {},
): CtcStrings {
  const { samples = 32, symbols = 4, most = 4, features = 6, noise = 0.2, seed = 0 } = options;
  checkCounts('ctcStrings', { samples, symbols, most, features });
  const voice = new Draws('voice');
  const sound = Array.from({ length: symbols + 1 }, (_, s) => Array.from({ length: features }, () => (s === 0 ? 0 : voice.normal())));
  const draws = new Draws('ctcStrings', seed);
  const time = 6 * most;
  const made = Array.from({ length: samples }, () => {
    const labels = Array.from({ length: Math.min(most, 2 + draws.below(Math.max(1, most - 1))) }, () => 1 + draws.below(symbols));
    const spoken = labels.flatMap((label, i) => {
      const held = new Array<number>(2 + draws.below(3)).fill(label);
      return label === labels[i - 1] || draws.uniform() < 0.3 ? [0, ...held] : held;
    });
    return { labels, steps: spoken.slice(0, time) };
  });
  const padded = (list: readonly number[], size: number): number[] => Array.from({ length: size }, (_, i) => list[i] ?? 0);
  const frames = made.map(({ steps }) => padded(steps, time).map((s) => (sound[s] ?? []).map((v) => draws.normal(v, noise))));
  return {
    x: tensor(frames, { dtype: 'float32' }),
    targets: rows(made.map(({ labels }) => padded(labels, most))),
    inputLengths: integers(made.map(({ steps }) => steps.length)),
    targetLengths: integers(made.map(({ labels }) => labels.length)),
    labels: made.map(({ labels }) => labels),
  };
}

export interface TextCorpus {
  readonly text: string;
  /** The text's tokens, (tokens,). */
  readonly ids: Tensor;
  /** Token by number. */
  readonly vocabulary: readonly string[];
}
const GRAMMAR = {
  who: ['the old sailor', 'a small cat', 'the miller', 'a young queen', 'the grey owl', 'my sister'],
  does: ['sees', 'follows', 'paints', 'remembers', 'loses', 'mends'],
  what: ['a wooden boat', 'the red lantern', 'an empty house', 'the long river', 'a silver key', 'the garden wall'],
  when: ['at night', 'in spring', 'before the rain', 'every morning', 'without a word', 'by the sea'],
} as const;
/** Simple sentences, and their tokens: characters or words. Default 200 sentences of characters. */
export function tinyText(options: SyntheticOptions & { sentences?: number; unit?: 'character' | 'word' } = {}): TextCorpus {
  const { sentences = 200, unit = 'character', seed = 0 } = options;
  checkCounts('tinyText', { sentences });
  const draws = new Draws('tinyText', seed);
  const sentence = (): string => {
    const { who, does, what, when } = GRAMMAR;
    return `${draws.pick(who)} ${draws.pick(does)} ${draws.pick(what)} ${draws.pick(when)}.`;
  };
  const text = Array.from({ length: sentences }, sentence).join(' ');
  const split = (s: string): readonly string[] => (unit === 'word' ? (s.match(/\w+|\./g) ?? []) : [...s]);
  // Every token of the grammar is in the vocabulary, so that its numbers do not depend on the seed.
  const vocabulary = [...new Set([...split(Object.values(GRAMMAR).flat().join(' ')), ...split(' .')])].sort();
  const number = new Map(vocabulary.map((token, i) => [token, i]));
  return { text, ids: integers(split(text).map((token) => number.get(token) as number)), vocabulary };
}

/** Stretches of a text that begin at random places: x (samples, length), and y the tokens that come next. Defaults 16, 32. */
export function textWindows(ids: Tensor, options: SyntheticOptions & { samples?: number; length?: number } = {}): Labelled {
  const { samples = 16, length = 32, seed = 0 } = options;
  checkCounts('textWindows', { samples, length });
  if (ids.ndim !== 1 || ids.size <= length) {
    throw new LibError('shape', `textWindows: ids must be (tokens,) and longer than ${length}, got ${ids.size} of ${ids.ndim} dims.`);
  }
  const draws = new Draws('textWindows', seed);
  const all = ids.toArray();
  const starts = Array.from({ length: samples }, () => draws.below(all.length - length));
  const stretch = (from: number): number[] => Array.from(all.subarray(from, from + length), Number);
  return { x: rows(starts.map((s) => stretch(s))), y: rows(starts.map((s) => stretch(s + 1))) };
}
