import { LibError } from '../core/errors.js';
import { tensor } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { epochKey, type Key, orderKey, permutation, uniforms } from './random.js';
import type { Sampler } from './samplers.js';

type Labels = ArrayLike<number> | Tensor;

const arrayOf = (labels: Labels): ArrayLike<number> =>
  typeof (labels as Tensor).toArray === 'function' ? (labels as Tensor).toArray() : (labels as ArrayLike<number>);

/** Checked class numbers. */
export function classesOf(op: string, labels: Labels, numClasses?: number): { labels: Int32Array; classes: number } {
  const list = arrayOf(labels);
  const out = new Int32Array(list.length);
  let most = -1;
  for (let i = 0; i < list.length; i++) {
    const v = list[i] as number;
    if (!Number.isInteger(v) || v < 0 || (numClasses !== undefined && v >= numClasses))
      throw new LibError('value', `${op}: labels must be classes 0..${numClasses === undefined ? 'C' : numClasses}-1, got ${v}.`);
    out[i] = v;
    most = Math.max(most, v);
  }
  if (out.length === 0) throw new LibError('value', `${op}: there must be labels, got none.`);
  return { labels: out, classes: numClasses ?? most + 1 };
}

/** How often each class occurs. @example [...classCounts([0, 1, 1])] // [1, 2] */
export function classCounts(labels: Labels, { numClasses }: { readonly numClasses?: number } = {}): Int32Array {
  const { labels: list, classes } = classesOf('classCounts', labels, numClasses);
  const counts = new Int32Array(classes);
  for (const l of list) counts[l] = (counts[l] as number) + 1;
  return counts;
}

export interface ClassWeightOptions {
  readonly numClasses?: number;
  /** 'balanced' (default): n / (classes × count); 'sqrt': its root; 'effective': (1 - β) / (1 - β^count) with mean 1 (Cui et al. 2019). */
  readonly scheme?: 'balanced' | 'sqrt' | 'effective';
  /** β of 'effective'. Default 0.999. */
  readonly beta?: number;
}

/**
 * Weights for losses (`crossEntropy(y, t, { weight })`) that make up for rare classes; 0 for classes that do not occur.
 * @example classWeights([0, 0, 0, 1]) // [0.66667, 2]
 */
export function classWeights(labels: Labels, { numClasses, scheme = 'balanced', beta = 0.999 }: ClassWeightOptions = {}): Tensor {
  if (!(beta >= 0 && beta < 1)) throw new LibError('value', `classWeights: beta must be in [0, 1), got ${beta}.`);
  const counts = [...classCounts(labels, { ...(numClasses !== undefined && { numClasses }) })];
  const total = counts.reduce((a, b) => a + b, 0);
  const present = counts.filter((c) => c > 0).length;
  const balanced = counts.map((c) => (c === 0 ? 0 : total / (present * c)));
  if (scheme === 'balanced') return tensor(balanced);
  if (scheme === 'sqrt') return tensor(balanced.map(Math.sqrt));
  if (scheme !== 'effective')
    throw new LibError('option', `classWeights: scheme must be balanced, sqrt or effective, got ${String(scheme)}.`);
  const raw = counts.map((c) => (c === 0 ? 0 : (1 - beta) / (1 - beta ** c)));
  const mean = raw.reduce((a, b) => a + b, 0) / present;
  return tensor(raw.map((w) => w / mean));
}

/** Positions by class. */
function byClass(op: string, labels: Labels): Int32Array[] {
  const { labels: list, classes } = classesOf(op, labels);
  const lists = Array.from({ length: classes }, (): number[] => []);
  for (const [i, l] of list.entries()) lists[l]?.push(i);
  return lists.filter((l) => l.length > 0).map((l) => Int32Array.from(l));
}

export interface ResampleOptions {
  /** The same seed gives the same items. Default: {@link manualSeed} decides. */
  readonly seed?: number;
}

/** `count` of the items, each as often as any other up to one. */
function dealt(items: Int32Array, count: number, key: Key, use: string): number[] {
  const out: number[] = [];
  for (let round = 0; out.length < count; round++) {
    const order = permutation(items.length, epochKey(key, use, round));
    for (const i of order.subarray(0, count - out.length)) out.push(items[i] as number);
  }
  return out;
}

function resampled(op: string, labels: Labels, seed: number | undefined, size: (sizes: readonly number[]) => number): Int32Array {
  const lists = byClass(op, labels);
  const count = size(lists.map((l) => l.length));
  const key = orderKey(op, seed);
  const all = lists.flatMap((list, c) => dealt(list, count, key, `class ${c}`));
  const order = permutation(all.length, epochKey(key, 'order', 0));
  return Int32Array.from(order, (i) => all[i] as number);
}

/**
 * Positions, shuffled, in which every class occurs as often as the most frequent one: items of the others repeat. Of the training part only.
 * @example oversample([0, 0, 0, 1], { seed: 1 }).length // 6
 */
export function oversample(labels: Labels, { seed }: ResampleOptions = {}): Int32Array {
  return resampled('oversample', labels, seed, (sizes) => Math.max(...sizes));
}

/**
 * Positions, shuffled, in which every class occurs as often as the rarest one: items of the others are left out.
 * @example undersample([0, 0, 0, 1], { seed: 1 }).length // 2
 */
export function undersample(labels: Labels, { seed }: ResampleOptions = {}): Int32Array {
  return resampled('undersample', labels, seed, (sizes) => Math.min(...sizes));
}

export interface ClassBalancedOptions extends ResampleOptions {
  /** Items an epoch. Default: as many as labels. */
  readonly numSamples?: number;
}

/** Draws a class, each with the same chance, and then the next item of a shuffled round through that class. */
export class ClassBalancedSampler implements Sampler {
  readonly length: number;
  private readonly lists: readonly Int32Array[];
  /** @internal */ readonly key: Key;

  constructor(labels: Labels, { seed, numSamples }: ClassBalancedOptions = {}) {
    this.lists = byClass('ClassBalancedSampler', labels);
    this.length = numSamples ?? arrayOf(labels).length;
    if (!Number.isInteger(this.length) || this.length < 1)
      throw new LibError('value', `ClassBalancedSampler: numSamples must be a positive integer, got ${this.length}.`);
    this.key = orderKey('ClassBalancedSampler', seed);
  }

  order(epoch: number): Int32Array {
    const { lists, length } = this;
    const draws = uniforms(length, epochKey(this.key, 'class', epoch));
    const wanted = Int32Array.from(draws, (u) => Math.floor(u * lists.length));
    const counts = lists.map((_, c) => wanted.reduce((n, w) => n + Number(w === c), 0));
    const rounds = lists.map((list, c) => dealt(list, counts[c] as number, this.key, `epoch ${epoch} class ${c}`));
    const next = lists.map(() => 0);
    return Int32Array.from(wanted, (c) => {
      const at = next[c] as number;
      next[c] = at + 1;
      return rounds[c]?.[at] as number;
    });
  }
}

export interface LabelNoiseOptions extends ResampleOptions {
  /** Share of the labels that are replaced: exactly round(rate × n) of them. */
  readonly rate: number;
  /**
   * 'symmetric' (default): by any other class; 'uniform': by any class, the same included (at rate 1 labels are random); 'pair': by the next
   * class, the last by the first; or a matrix whose row c gives the chances of each class to replace c.
   */
  readonly kind?: 'symmetric' | 'uniform' | 'pair' | readonly (readonly number[])[];
  readonly numClasses?: number;
}

export interface NoisyLabels {
  readonly noisy: Int32Array;
  /** As they were, for scoring. */
  readonly clean: Int32Array;
  /** Which labels differ. */
  readonly flipped: Uint8Array;
}

/**
 * Labels of which some are wrong, with the clean copy (REG-21, DAT-22).
 * @example labelNoise([0, 1, 0, 1], { rate: 0.5, seed: 1 }).flipped.reduce((a, b) => a + b, 0) // 2
 */
export function labelNoise(labels: Labels, { rate, kind = 'symmetric', numClasses, seed }: LabelNoiseOptions): NoisyLabels {
  if (!(rate >= 0 && rate <= 1)) throw new LibError('value', `labelNoise: rate must be in 0..1, got ${rate}.`);
  const { labels: clean, classes } = classesOf('labelNoise', labels, numClasses);
  if (classes < 2 && kind !== 'uniform')
    throw new LibError('value', `labelNoise: there must be two classes, got ${classes}.`, 'pass numClasses.');
  const key = orderKey('labelNoise', seed);
  const chosen = permutation(clean.length, epochKey(key, 'chosen', 0)).subarray(0, Math.round(rate * clean.length));
  const draws = uniforms(chosen.length, epochKey(key, 'values', 0));
  const noisy = clean.slice();
  for (const [i, at] of chosen.entries()) noisy[at] = replaced(clean[at] as number, draws[i] as number, classes, kind);
  return { noisy, clean, flipped: Uint8Array.from(noisy, (v, i) => Number(v !== clean[i])) };
}

function replaced(label: number, u: number, classes: number, kind: NonNullable<LabelNoiseOptions['kind']>): number {
  if (kind === 'pair') return (label + 1) % classes;
  if (kind === 'uniform') return Math.floor(u * classes);
  if (kind === 'symmetric') return (label + 1 + Math.floor(u * (classes - 1))) % classes;
  const row = typeof kind === 'string' ? undefined : kind[label];
  if (row === undefined || row.length !== classes || row.some((p) => !(p >= 0)) || Math.abs(row.reduce((a, b) => a + b, 0) - 1) > 1e-6) {
    const rule = `kind must be symmetric, uniform, pair or ${classes} rows of ${classes} chances that add up to 1`;
    throw new LibError('option', `labelNoise: ${rule}, got ${JSON.stringify(typeof kind === 'string' ? kind : (row ?? null))}.`);
  }
  let sum = 0;
  for (const [c, p] of row.entries()) {
    sum += p;
    if (sum > u) return c;
  }
  return classes - 1;
}
