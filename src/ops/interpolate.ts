import { LibError } from '../core/errors.js';
import { formatShape, type Shape } from '../core/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import { defineComposite, type Op } from './define.js';
import { functional, needFloat } from './fused.js';
import { adaptiveAverage } from './poolRows.js';
import { type Taps, tapped } from './taps.js';

/** Resizing images, one dim after the other. */

export type InterpolateMode = 'nearest' | 'nearest-exact' | 'linear' | 'bilinear' | 'bicubic' | 'trilinear' | 'area';
export interface InterpolateOptions {
  /** Sizes of the result's places: one number or one for each. Either this or `scaleFactor` must be given. */
  readonly size?: number | Shape;
  /** What sizes are multiplied by: one number or one for each. */
  readonly scaleFactor?: number | readonly number[];
  /** 'linear' is for one dim, 'bilinear' and 'bicubic' for two, 'trilinear' for three. Default 'nearest'. */
  readonly mode?: InterpolateMode;
  /** The corner places, and not the corners of the places, lie on each other. Default false. */
  readonly alignCorners?: boolean;
  /** Take the scale from the sizes and not from `scaleFactor`. Default false. */
  readonly recomputeScaleFactor?: boolean;
  /** Widen the kernel when shrinking, for 'bilinear' and 'bicubic'. Default false. */
  readonly antialias?: boolean;
}

const dimsOf: Readonly<Record<InterpolateMode, readonly number[]>> = {
  nearest: [1, 2, 3],
  'nearest-exact': [1, 2, 3],
  area: [1, 2, 3],
  linear: [1],
  bilinear: [2],
  bicubic: [2],
  trilinear: [3],
};

/** How one dim is resized. */
interface Resize {
  readonly from: number;
  readonly to: number;
  /** Input places for each output place; null: from the sizes. */
  readonly scale: number | null;
  readonly align: boolean;
}
/** From the first place of each output place and the weights of it and those after it; places beyond the ends are the ends. */
const tapsOf = ({ from, to }: Resize, at: (i: number) => readonly [first: number, weights: readonly number[]]): Taps =>
  Array.from({ length: to }, (_, i) => {
    const [first, weights] = at(i);
    return weights.map((w, t) => [Math.min(Math.max(first + t, 0), from - 1), w] as const);
  });

const stepOf = ({ from, to, scale, align }: Resize): number => (align ? (to > 1 ? (from - 1) / (to - 1) : 0) : (scale ?? from / to));
const sourceOf = (r: Resize, i: number): number => (r.align ? stepOf(r) * i : stepOf(r) * (i + 0.5) - 0.5);

/** PyTorch finds the nearest place in float32 whatever the type. */
function nearest(r: Resize, exact: boolean): Taps {
  const step = Math.fround(r.scale ?? Math.fround(r.from) / Math.fround(r.to));
  return tapsOf(r, (i) => [Math.floor(Math.fround((exact ? i + 0.5 : i) * step)), [1]]);
}
function linear(r: Resize): Taps {
  return tapsOf(r, (i) => {
    const source = Math.max(0, sourceOf(r, i));
    const first = Math.min(Math.floor(source), r.from - 1);
    return [first, [1 - (source - first), source - first]];
  });
}
/** Keys' cubic of sharpness a at distance d. */
function cubicWeight(d: number, a: number): number {
  const x = Math.abs(d);
  if (x <= 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
  return x < 2 ? ((a * x - 5 * a) * x + 8 * a) * x - 4 * a : 0;
}
function cubic(r: Resize): Taps {
  return tapsOf(r, (i) => {
    const source = sourceOf(r, i);
    const first = Math.floor(source) - 1;
    return [first, [0, 1, 2, 3].map((t) => cubicWeight(source - first - t, -0.75))];
  });
}
/** A kernel stretched over as many input places as fall on an output place. */
function smoothed(r: Resize, reach: number, kernel: (d: number) => number): Taps {
  const step = stepOf(r);
  const stretch = Math.max(1, step);
  const support = reach * stretch;
  return tapsOf(r, (i) => {
    const center = step * (i + 0.5);
    const first = Math.max(Math.trunc(center - support + 0.5), 0);
    const end = Math.min(Math.trunc(center + support + 0.5), r.from);
    const raw = Array.from({ length: Math.max(0, end - first) }, (_, t) => kernel((t + first - center + 0.5) / stretch));
    const total = raw.reduce((sum, w) => sum + w, 0);
    return [first, raw.map((w) => (total === 0 ? w : w / total))];
  });
}
const triangle = (d: number): number => Math.max(0, 1 - Math.abs(d));

function tapsFor(mode: InterpolateMode, r: Resize, antialias: boolean): Taps {
  if (mode === 'nearest' || mode === 'nearest-exact') return nearest(r, mode === 'nearest-exact');
  if (mode === 'bicubic') return antialias ? smoothed(r, 2, (d) => cubicWeight(d, -0.5)) : cubic(r);
  return antialias ? smoothed(r, 1, triangle) : linear(r);
}

function perPlace(name: string, value: number | readonly number[], rank: number): readonly number[] {
  const list = typeof value === 'number' ? new Array<number>(rank).fill(value) : value;
  if (list.length !== rank || !list.every((v) => v > 0))
    throw new LibError('value', `interpolate: ${name} must be positive, one number or ${rank} of them, got [${list.join(', ')}].`);
  return list;
}

/** Sizes of the result and the given scales, after judging the options. */
function targetOf(x: Tensor, rank: number, options: InterpolateOptions): readonly Resize[] {
  const { size, scaleFactor, mode = 'nearest', alignCorners = false, recomputeScaleFactor = false, antialias = false } = options;
  if (!dimsOf[mode]?.includes(rank)) {
    throw new LibError(
      'value',
      `interpolate: mode ${mode} must fit the input, (batch, channels, …) with 1 to 3 more dims, got shape ${formatShape(x.shape)}.`,
    );
  }
  if ((size === undefined) === (scaleFactor === undefined))
    throw new LibError('option', `interpolate: either size or scaleFactor must be given, got ${size === undefined ? 'none' : 'both'}.`);
  if (antialias && mode !== 'bilinear' && mode !== 'bicubic')
    throw new LibError('option', `interpolate: antialias is for modes bilinear and bicubic, got ${mode}.`);
  if (alignCorners && (mode === 'area' || mode.startsWith('nearest')))
    throw new LibError('option', `interpolate: alignCorners is for linear and cubic modes, got ${mode}.`);
  const factors = scaleFactor === undefined ? null : perPlace('scaleFactor', scaleFactor, rank);
  const sizes = size === undefined ? null : perPlace('size', size, rank);
  return x.shape.slice(2).map((from, i) => {
    const factor = factors?.[i];
    const to = sizes?.[i] ?? Math.floor(from * (factor ?? 1));
    if (!Number.isInteger(to) || to < 1 || from < 1)
      throw new LibError('shape', `interpolate: sizes must be positive integers, got ${from} to ${to}.`);
    return { from, to, scale: factor === undefined || recomputeScaleFactor ? null : 1 / factor, align: alignCorners };
  });
}

const resized = (x: Tensor, resizes: readonly Resize[], mode: InterpolateMode, antialias: boolean): Tensor =>
  resizes.reduce((y, r, i) => {
    if (r.from === r.to && (r.scale === null || r.scale === 1)) return y;
    const key = `${mode}${antialias}${r.from}/${r.to}/${r.scale}/${r.align}`;
    return tapped(y, i + 2, key, tapsFor(mode, r, antialias));
  }, x);

/**
 * (batch, channels, …) resized in its last one to three dims, to `size` or by `scaleFactor`.
 * @example tensor([[[1, 2]]]).interpolate({ scaleFactor: 2 }) // [[[1, 1, 2, 2]]]
 */
export const interpolate: Op<[x: Tensor, options: InterpolateOptions]> = defineComposite({
  name: 'interpolate',
  compose(x: Tensor, options: InterpolateOptions) {
    const rank = x.ndim - 2;
    const { mode = 'nearest', antialias = false } = options;
    const resizes = targetOf(x, rank, options);
    if (!mode.startsWith('nearest')) needFloat('interpolate', x);
    if (mode === 'area')
      return adaptiveAverage(
        'interpolate',
        rank,
        x,
        resizes.map(({ to }) => to),
      );
    return resized(x, resizes, mode, antialias);
  },
  *samples(random): Iterable<[x: Tensor, options: InterpolateOptions]> {
    yield [random([1, 2, 5]), { scaleFactor: 2 }];
    yield [random([1, 2, 4, 5]), { size: [7, 3], mode: 'nearest-exact' }];
    yield [random([2, 2, 5]), { size: 8, mode: 'linear' }];
    yield [random([1, 2, 4, 5]), { scaleFactor: 1.7, mode: 'bilinear' }];
    yield [random([1, 2, 4, 5]), { size: [7, 3], mode: 'bilinear', alignCorners: true }];
    yield [random([1, 1, 5, 6]), { size: [9, 4], mode: 'bicubic' }];
    yield [random([1, 1, 5, 6]), { scaleFactor: [1.5, 0.7], mode: 'bicubic', alignCorners: true }];
    yield [random([1, 1, 9, 8]), { size: [3, 4], mode: 'bilinear', antialias: true }];
    yield [random([1, 1, 9, 8]), { size: [4, 11], mode: 'bicubic', antialias: true }];
    yield [random([1, 2, 2, 3, 4]), { scaleFactor: 2, mode: 'trilinear' }];
    yield [random([1, 2, 5, 6]), { size: [2, 3], mode: 'area' }];
    yield [random([1, 2, 5]), { scaleFactor: 1.5, mode: 'linear', recomputeScaleFactor: true }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, options: InterpolateOptions], string]> {
    yield [[random([1, 2, 5]), {}], 'must be given'];
    yield [[random([1, 2, 5]), { size: 3, mode: 'bilinear' }], 'must fit the input'];
    yield [[random([1, 2, 5]), { size: [3, 3] }], 'one number or 1'];
    yield [[random([1, 2, 5]), { size: 3, mode: 'linear', antialias: true }], 'antialias is for'];
    yield [[random([1, 2, 5]), { size: 3, alignCorners: true }], 'alignCorners is for'];
    yield [[random([1, 2, 5]), { scaleFactor: 0.01 }], 'positive integers'];
  },
  torch: functional('interpolate'),
});

export interface UpsampleOptions {
  readonly size?: number | Shape;
  readonly scaleFactor?: number | readonly number[];
}
/** {@link interpolate} to the nearest place. */
export const upsampleNearest: Op<[x: Tensor, options: UpsampleOptions]> = defineComposite({
  name: 'upsampleNearest',
  compose: (x: Tensor, options: UpsampleOptions) => interpolate(x, options),
  *samples(random): Iterable<[x: Tensor, options: UpsampleOptions]> {
    yield [random([1, 2, 3, 3]), { scaleFactor: 2 }];
  },
  torch: functional('upsample_nearest'),
});
/** {@link interpolate} bilinearly with aligned corners. */
export const upsampleBilinear: Op<[x: Tensor, options: UpsampleOptions]> = defineComposite({
  name: 'upsampleBilinear',
  compose: (x: Tensor, options: UpsampleOptions) => interpolate(x, { ...options, mode: 'bilinear', alignCorners: true }),
  *samples(random): Iterable<[x: Tensor, options: UpsampleOptions]> {
    yield [random([1, 2, 3, 3]), { scaleFactor: 2 }];
  },
  torch: functional('upsample_bilinear'),
});

export interface UpsampleScales {
  /** What the height counts as multiplied by, whatever the sizes say. Default: by the sizes. */
  readonly scalesH?: number | null;
  /** The same of the width. */
  readonly scalesW?: number | null;
}
type UpsampleArgs = [x: Tensor, outputSize: Shape, alignCorners: boolean, options?: UpsampleScales];
/** {@link interpolate} bilinearly with antialias, to sizes and by scales at once (torch._upsample_bilinear2d_aa). */
export const upsampleBilinear2dAa: Op<UpsampleArgs> = defineComposite({
  name: 'upsampleBilinear2dAa',
  compose(x: Tensor, outputSize: Shape, alignCorners: boolean, { scalesH, scalesW }: UpsampleScales = {}) {
    const target = targetOf(x, x.ndim - 2, { size: outputSize, mode: 'bilinear', antialias: true, alignCorners });
    const scales = [scalesH ?? 0, scalesW ?? 0].map((scale) => (scale > 0 ? 1 / scale : null));
    return resized(
      x,
      target.map((r, i) => ({ ...r, scale: scales[i] ?? null })),
      'bilinear',
      true,
    );
  },
  *samples(random): Iterable<UpsampleArgs> {
    yield [random([1, 1, 9, 8]), [3, 4], false];
    yield [random([1, 2, 9, 8]), [3, 11], false, { scalesH: 1.7, scalesW: 0.9 }];
    yield [random([1, 1, 9, 8]), [3, 4], true, { scalesH: 0.5 }];
  },
  *errors(random): Iterable<readonly [UpsampleArgs, string]> {
    yield [[random([1, 1, 9]), [3, 4], false], 'must fit the input'];
    yield [[random([1, 1, 9, 8]), [3], false], 'one number or 2'];
  },
  torch: { call: 'torch._C._nn._upsample_bilinear2d_aa(*a, o.get("scales_h"), o.get("scales_w"))' },
});
