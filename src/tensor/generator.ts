import { LibError } from '../core/errors.js';
import { type Key, splitKey } from '../core/philox.js';
import type { Spec } from '../core/spec.js';
import type { RandomKernel } from '../program/kernel.js';
import type { Device } from './device.js';
import { make } from './make.js';
import type { Tensor } from './tensor.js';

/** Plain data: can be written to a checkpoint and set again. */
export interface GeneratorState {
  readonly low: number;
  readonly high: number;
  /** Blocks of four words drawn so far. */
  readonly offset: number;
}

/** @internal Sees every draw: a tracer notes where a step's random numbers come from, so that each run draws afresh. */
export type DrawListener = (generator: Generator, blocks: number) => void;
let onDraw: DrawListener | null = null;
/** @internal Installs a listener and returns the previous one. */
export function setDrawListener(listener: DrawListener | null): DrawListener | null {
  const before = onDraw;
  onDraw = listener;
  return before;
}

/**
 * A stream of random numbers: a key and a position in it. The same seed gives the same bits on every backend.
 * @example const noise = new Generator(7); rand([2], { generator: noise });
 */
export class Generator {
  private key: Key = { low: 0, high: 0 };
  private offset = 0;

  constructor(seed = 0) {
    this.manualSeed(seed);
  }

  /** Starts the stream of a seed: a non-negative integer. */
  manualSeed(seed: number): this {
    this.key = seedKey('manualSeed', seed);
    this.offset = 0;
    return this;
  }

  /** A stream of its own for a name or number. It depends on the key alone, not on what was drawn here before. */
  split(child: string | number): Generator {
    const out = new Generator();
    out.key = splitKey(this.key, child);
    return out;
  }

  get state(): GeneratorState {
    return { low: this.key.low, high: this.key.high, offset: this.offset };
  }
  set state({ low, high, offset }: GeneratorState) {
    this.key = { low, high };
    this.offset = offset;
  }

  /** @internal Takes the next blocks: the scalars of a random kernel. */
  draw(blocks: number): [low: number, high: number, offset: number] {
    const { offset } = this;
    onDraw?.(this, blocks); // which may move the stream further on
    this.offset += blocks;
    return [this.key.low, this.key.high, offset];
  }
}

function seedKey(op: string, seed: number): Key {
  if (!Number.isSafeInteger(seed) || seed < 0) throw new LibError('value', `${op}: the seed must be a non-negative integer, got ${seed}.`);
  return { low: seed >>> 0, high: Math.floor(seed / 2 ** 32) };
}

/** What random numbers are for. Each use has a stream of its own, so that drawing for one never shifts another. */
export type StreamName = 'default' | 'init' | 'dropout' | 'data' | 'augment';
const streams: Readonly<Record<StreamName, Generator>> = {
  default: new Generator(),
  init: new Generator(),
  dropout: new Generator(),
  data: new Generator(),
  augment: new Generator(),
};

const streamNames = Object.keys(streams) as StreamName[];

/** Restarts all streams of the library from one seed. Runs with equal seeds are equal bit by bit. Before the first call: seed 0. */
export function manualSeed(seed: number): void {
  const root = new Generator(seed);
  for (const name of streamNames) streams[name].state = root.split(name).state;
}
manualSeed(0);

/** The stream that `rand`, `randn` and their kin draw from when they are given no generator. */
export const defaultGenerator = (): Generator => streams.default;
/** The stream of parameter initialization. */
export const initGenerator = (): Generator => streams.init;
/** The stream of dropout. */
export const dropoutGenerator = (): Generator => streams.dropout;
/** The stream of data order. */
export const dataGenerator = (): Generator => streams.data;
/** The stream of data augmentation. */
export const augmentGenerator = (): Generator => streams.augment;

export type RandomState = Readonly<Record<StreamName, GeneratorState>>;
/** The state of all streams of the library, as plain data for checkpoints. */
export function getRandomState(): RandomState {
  const { default: own, init, dropout, data, augment } = streams;
  return { default: own.state, init: init.state, dropout: dropout.state, data: data.state, augment: augment.state };
}
/** Sets what {@link getRandomState} gave. */
export function setRandomState(state: RandomState): void {
  for (const name of streamNames) streams[name].state = state[name];
}

/** Blocks of four words that a draw takes: a float64 uniform is made of two words, everything else of one. */
const blocksOf = ({ size, dtype }: Spec, by: RandomKernel['by']): number =>
  Math.ceil(size / (by === 'uniform' && dtype === 'float64' ? 2 : 4));

/** @internal Fills a new tensor, or a dense old one, from a stream. */
export function drawn(
  op: string,
  by: RandomKernel['by'],
  spec: Spec,
  device: Device,
  generator: Generator,
  { range = [], into }: { readonly range?: readonly number[]; readonly into?: Tensor } = {},
): Tensor {
  const scalars = [...generator.draw(blocksOf(spec, by)), ...range];
  return make(op, spec, device, { family: 'random', by }, scalars, by, into);
}
