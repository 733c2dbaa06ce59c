import { LibError } from '../core/errors.js';
import { tensor } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkCounts, Draws, integers, type SyntheticOptions } from './draws.js';
import type { Labelled } from './syntheticTables.js';

/** Small made-up pictures: (samples, channels, height, width) in float32, mostly within 0 … 1. */

// One line a digit: eight rows of eight pixels as bytes.
const DIGITS: readonly string[] = [
  '3c666e7666663c00',
  '1838181818187e00',
  '3c66060c30607e00',
  '3c66061c06663c00',
  '0c1c3c6c7e0c0c00',
  '7e607c0606663c00',
  '3c607c6666663c00',
  '7e060c1830303000',
  '3c66663c66663c00',
  '3c66663e06063c00',
];

/** The ten clean digits, (10, 1, 8, 8), zeros and ones. */
export function digitPrototypes(): Tensor {
  const pixels = DIGITS.flatMap((hex) => Array.from({ length: 64 }, (_, at) => bit(hex, at)));
  return tensor(Float32Array.from(pixels), { shape: [10, 1, 8, 8] });
}
const bit = (hex: string, at: number): number => (Number.parseInt(hex.slice(2 * (at >> 3), 2 * (at >> 3) + 2), 16) >> (7 - (at & 7))) & 1;

export interface DigitsOptions extends SyntheticOptions {
  /** Default 100. */
  readonly samples?: number;
  /** Deviation of the noise on each pixel. Default 0.15. */
  readonly noise?: number;
  /** Digits are moved by up to this many pixels each way, what leaves the frame comes in on the other side. Default 0. */
  readonly shift?: number;
  /** Which digits. Default: all ten. */
  readonly classes?: readonly number[];
}
/** Noisy digits of 8×8 pixels: x (samples, 1, 8, 8), y the digit. */
export function prototypeDigits(options: DigitsOptions = {}): Labelled {
  const { samples = 100, noise = 0.15, shift = 0, classes = DIGITS.map((_, i) => i), seed = 0 } = options;
  checkCounts('prototypeDigits', { samples });
  if (classes.length === 0 || classes.some((c) => DIGITS[c] === undefined)) {
    throw new LibError('value', `prototypeDigits: classes must be digits 0 to 9, got [${classes.join(', ')}].`);
  }
  const draws = new Draws('prototypeDigits', seed);
  const pixels = new Float32Array(samples * 64);
  const labels = Array.from({ length: samples }, (_, i) => classes[i % classes.length] as number);
  for (const [i, label] of labels.entries()) {
    const [dy, dx] = shift === 0 ? [0, 0] : [draws.below(2 * shift + 1), draws.below(2 * shift + 1)];
    for (let at = 0; at < 64; at++) {
      const source = ((((at >> 3) + dy) & 7) << 3) | ((at + dx) & 7);
      pixels[i * 64 + at] = bit(DIGITS[label] as string, source) + draws.normal(0, noise);
    }
  }
  return { x: tensor(pixels, { shape: [samples, 1, 8, 8] }), y: integers(labels) };
}

/**
 * One of a few short patterns somewhere in a noisy signal: x (samples, 1, length), y which pattern. What a convolution sees at once and
 * a dense layer must learn for each place. Defaults 100 samples, 4 classes, length 32, noise 0.1.
 */
export function shiftedPatterns(
  options: SyntheticOptions & { samples?: number; classes?: number; length?: number; noise?: number } = {},
): Labelled {
  const { samples = 100, classes = 4, length = 32, noise = 0.1, seed = 0 } = options;
  checkCounts('shiftedPatterns', { samples, classes, length });
  const width = 6;
  const shapes = new Draws('patterns');
  const patterns = Array.from({ length: classes }, () => Array.from({ length: width }, () => (shapes.uniform() < 0.5 ? -1 : 1)));
  const draws = new Draws('shiftedPatterns', seed);
  const values = new Float32Array(samples * length);
  const labels = Array.from({ length: samples }, (_, i) => i % classes);
  for (const [i, label] of labels.entries()) {
    const start = draws.below(Math.max(1, length - width));
    for (let t = 0; t < length; t++) values[i * length + t] = (patterns[label]?.[t - start] ?? 0) + draws.normal(0, noise);
  }
  return { x: tensor(values, { shape: [samples, 1, length] }), y: integers(labels) };
}

/** Pictures with rectangles and discs. */
export interface Shapes {
  /** (samples, 1, size, size) */
  readonly x: Tensor;
  /** 1 on a shape: (samples, 1, size, size) in float32. */
  readonly mask: Tensor;
  /** 0 background, 1 rectangle, 2 disc: (samples, size, size) in int32. */
  readonly classes: Tensor;
  /** For each picture its boxes as x1, y1, x2, y2 in pixels, and their kind: 0 rectangle, 1 disc. */
  readonly objects: readonly (readonly { readonly box: readonly [number, number, number, number]; readonly kind: number }[])[];
}
export interface ShapesOptions extends SyntheticOptions {
  /** Default 32. */
  readonly samples?: number;
  /** Height and width. Default 16. */
  readonly size?: number;
  /** Shapes in each picture, which do not touch where there is room. Default 1. */
  readonly objects?: number;
  /** Deviation of the noise on each pixel. Default 0.1. */
  readonly noise?: number;
}
/** Rectangles and discs on a noisy ground, for segmentation and detection. */
export function shapes({ samples = 32, size = 16, objects = 1, noise = 0.1, seed = 0 }: ShapesOptions = {}): Shapes {
  checkCounts('shapes', { samples, size, objects });
  const draws = new Draws('shapes', seed);
  const area = size * size;
  const [x, mask, classes] = [new Float32Array(samples * area), new Float32Array(samples * area), new Int32Array(samples * area)];
  const found = Array.from({ length: samples }, (_, n) => {
    const list = placeObjects(draws, size, objects);
    for (let at = 0; at < area; at++) {
      const hit = list.find((object) => covers(object, at % size, Math.floor(at / size)));
      x[n * area + at] = (hit ? 1 : 0) + draws.normal(0, noise);
      mask[n * area + at] = hit ? 1 : 0;
      classes[n * area + at] = hit ? hit.kind + 1 : 0;
    }
    return list;
  });
  const shape = [samples, 1, size, size];
  return {
    x: tensor(x, { shape }),
    mask: tensor(mask, { shape }),
    classes: tensor(classes, { shape: [samples, size, size] }),
    objects: found,
  };
}

type ShapeObject = Shapes['objects'][number][number];

function placeObjects(draws: Draws, size: number, count: number): ShapeObject[] {
  const list: ShapeObject[] = [];
  for (let attempt = 0; list.length < count && attempt < 50 * count; attempt++) {
    const kind = draws.below(2);
    const width = 3 + draws.below(Math.max(1, Math.floor(size / 3)));
    const height = kind === 1 ? width : 3 + draws.below(Math.max(1, Math.floor(size / 3)));
    const [left, top] = [draws.below(size - width + 1), draws.below(size - height + 1)];
    const box = [left, top, left + width, top + height] as const;
    const touches = ({ box: [l, t, r, b] }: ShapeObject): boolean => left <= r && l <= box[2] && top <= b && t <= box[3];
    if (!list.some(touches)) list.push({ box, kind });
  }
  return list;
}

function covers({ box: [left, top, right, bottom], kind }: ShapeObject, x: number, y: number): boolean {
  if (x < left || x >= right || y < top || y >= bottom) return false;
  if (kind === 0) return true;
  const radius = (right - left) / 2;
  return Math.hypot(x + 0.5 - left - radius, y + 0.5 - top - radius) <= radius;
}

/** Anchor, positive and negative pictures or vectors of the same, the same and another identity, all (samples, features). */
export interface Triplets {
  readonly anchor: Tensor;
  readonly positive: Tensor;
  readonly negative: Tensor;
  /** (samples,): whose the anchor is, and the negative. */
  readonly identity: Tensor;
  readonly other: Tensor;
}
/**
 * "Faces": each identity a fixed vector, each picture of it that vector in another light (scaled and moved) with noise. Defaults 64
 * triplets, 8 identities, 16 features, noise 0.3.
 */
export function tripletIdentities(
  options: SyntheticOptions & { samples?: number; identities?: number; features?: number; noise?: number } = {},
): Triplets {
  const { samples = 64, identities = 8, features = 16, noise = 0.3, seed = 0 } = options;
  checkCounts('tripletIdentities', { samples, identities, features });
  if (identities < 2) throw new LibError('value', `tripletIdentities: identities must be at least 2, got ${identities}.`);
  const faces = new Draws('faces');
  const face = Array.from({ length: identities }, () => Array.from({ length: features }, () => faces.normal()));
  const draws = new Draws('tripletIdentities', seed);
  const picture = (who: number): number[] => {
    const [light, gain] = [draws.normal(0, 1.5), draws.uniform(0.5, 1.5)];
    return (face[who] ?? []).map((v) => gain * v + light + draws.normal(0, noise));
  };
  const who = Array.from({ length: samples }, () => draws.below(identities));
  const others = who.map((w) => (w + 1 + draws.below(identities - 1)) % identities);
  const rows = (list: readonly number[]): Tensor => tensor(list.map(picture), { dtype: 'float32' });
  return { anchor: rows(who), positive: rows(who), negative: rows(others), identity: integers(who), other: integers(others) };
}
