import { LibError } from '../core/errors.js';
import { formatShape, type Shape, sizeOf } from '../core/shape.js';
import { input, scalar } from '../expr/expr.js';
import { linspace, ones } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { defineComposite, type Op } from './define.js';
import { functional, fuse, needFloat } from './fused.js';
import { cat, stack } from './join.js';

/** Sampling images at arbitrary places, as spatial transformers do (Jaderberg et al. 2015). */

export interface GridSampleOptions {
  /** 'bilinear', 'nearest' or 'bicubic'; in volumes these are trilinear and tricubic. Default 'bilinear'. */
  readonly mode?: 'bilinear' | 'nearest' | 'bicubic';
  /** What lies outside: zeros, the nearest border place, or the mirror image. Default 'zeros'. */
  readonly paddingMode?: 'zeros' | 'border' | 'reflection';
  /** -1 and 1 are the centers of the corner places, and not the corners of the image. Default false. */
  readonly alignCorners?: boolean;
}
type Settings = Required<GridSampleOptions>;

/** From [-1, 1] to places of a dim. */
function placesOf(coordinate: Tensor, size: number, align: boolean): Tensor {
  const [factor, shift] = align ? [(size - 1) / 2, (size - 1) / 2] : [size / 2, (size - 1) / 2];
  return fuse('gridSample', [coordinate], input(0).mul(scalar(0)).add(scalar(1)), [factor, shift]);
}

/** Places outside brought inside, by the border or by mirrors. */
function padded(place: Tensor, size: number, { paddingMode, alignCorners }: Settings): Tensor {
  if (paddingMode === 'zeros') return place;
  return (paddingMode === 'reflection' ? reflected(place, size, alignCorners) : place).clamp({ min: 0, max: size - 1 });
}
function reflected(place: Tensor, size: number, align: boolean): Tensor {
  const low = align ? 0 : -0.5;
  const span = align ? size - 1 : size;
  if (span === 0) return place.mul(0);
  const from = input(0).sub(scalar(0)).abs();
  const turns = from.div(scalar(1)).floor();
  const rest = from.sub(turns.mul(scalar(1)));
  const odd = turns.fmod(2).equal(1);
  return fuse('gridSample', [place], odd.select(scalar(1).sub(rest), rest).add(scalar(0)), [low, span]);
}

interface Source {
  /** (batch, channels, places). */
  readonly flat: Tensor;
  readonly sizes: readonly number[];
}

/** The values at whole places (batch, count) of each dim; 0 outside. */
function valuesAt({ flat, sizes }: Source, places: readonly Tensor[]): Tensor {
  const [batch, channels] = flat.dims(3);
  let index: Tensor | null = null;
  let inside: Tensor | null = null;
  places.forEach((place, d) => {
    const size = sizes[d] as number;
    const p = place.detach();
    const within = p.ge(0).logicalAnd(p.lt(size));
    inside = inside ? inside.logicalAnd(within) : within;
    const clipped = p.clamp({ min: 0, max: size - 1 }).int();
    index = index ? index.mul(size).add(clipped) : clipped;
  });
  const [ids, mask] = [index as unknown as Tensor, inside as unknown as Tensor];
  const count = ids.sizeAt(1);
  const wide = [batch, channels, count];
  return mask.unsqueeze(1).where(flat.gather(2, ids.unsqueeze(1).expand(wide)), 0);
}

/** Weighted sums over all corners: along each dim, taps at whole places with weights (batch, count). */
type Axis = readonly { readonly place: Tensor; readonly weight: Tensor }[];
function weightedSum(source: Source, axes: readonly Axis[]): Tensor {
  let sum: Tensor | null = null;
  const walk = (d: number, places: readonly Tensor[], weight: Tensor | null): void => {
    if (d === axes.length) {
      const term = valuesAt(source, places).mul((weight as Tensor).unsqueeze(1));
      sum = sum ? sum.add(term) : term;
      return;
    }
    for (const tap of axes[d] as Axis) walk(d + 1, [...places, tap.place], weight ? weight.mul(tap.weight) : tap.weight);
  };
  walk(0, [], null);
  return sum as unknown as Tensor;
}

function linearAxis(place: Tensor): Axis {
  const first = place.detach().floor();
  const rest = place.sub(first);
  return [
    { place: first, weight: rest.neg().add(1) },
    { place: first.add(1), weight: rest },
  ];
}
/** Keys' cubic with a = -0.75 over four places, each padded by itself. */
function cubicAxis(place: Tensor, pad: (p: Tensor) => Tensor): Axis {
  const first = place.detach().floor();
  const t = place.sub(first);
  const a = -0.75;
  const d = input(0);
  const inner = d
    .mul(a + 2)
    .sub(a + 3)
    .mul(d)
    .mul(d)
    .add(1);
  const outer = d
    .mul(a)
    .sub(5 * a)
    .mul(d)
    .add(8 * a)
    .mul(d)
    .sub(4 * a);
  const distances = [t.add(1), t, t.neg().add(1), t.neg().add(2)];
  return distances.map((distance, k) => ({
    place: pad(first.add(k - 1)),
    weight: fuse('gridSample', [distance], k === 0 || k === 3 ? outer : inner),
  }));
}

/**
 * Values of x (batch, channels, …places) at the places that `grid` (batch, …out, dims) names, in [-1, 1] with the last dim of x first:
 * (batch, channels, …out).
 */
export const gridSample: Op<[x: Tensor, grid: Tensor, options?: GridSampleOptions]> = defineComposite({
  name: 'gridSample',
  compose(x: Tensor, grid: Tensor, options: GridSampleOptions = {}) {
    const settings: Settings = { mode: 'bilinear', paddingMode: 'zeros', alignCorners: false, ...options };
    const { mode, alignCorners } = settings;
    checkGrid(x, grid, mode);
    const [batch = 1, channels = 1, ...sizes] = x.shape;
    const out = grid.shape.slice(1, -1);
    const source = { flat: x.reshape([batch, channels, sizeOf(sizes)]), sizes };
    const raw = sizes.map((size, d) => placesOf(grid.select(-1, sizes.length - 1 - d).reshape([batch, sizeOf(out)]), size, alignCorners));
    const shape = [batch, channels, ...out];
    if (mode === 'bicubic') {
      const axes = raw.map((place, d) => cubicAxis(place, (p) => padded(p, sizes[d] as number, settings)));
      return weightedSum(source, axes).reshape(shape);
    }
    const places = raw.map((place, d) => padded(place, sizes[d] as number, settings));
    if (mode === 'nearest')
      return valuesAt(
        source,
        places.map((p) => p.round()),
      ).reshape(shape);
    return weightedSum(source, places.map(linearAxis)).reshape(shape);
  },
  *samples(random): Iterable<[x: Tensor, grid: Tensor, options?: GridSampleOptions]> {
    const wide = { low: -1.3, high: 1.3 };
    yield [random([2, 2, 3, 4]), random([2, 3, 2, 2], wide)];
    yield [random([1, 2, 3, 4]), random([1, 3, 2, 2], wide), { paddingMode: 'border', alignCorners: true }];
    yield [random([1, 2, 3, 4]), random([1, 3, 2, 2], { low: -4, high: 4 }), { paddingMode: 'reflection' }];
    yield [random([1, 2, 3, 4]), random([1, 3, 2, 2], wide), { mode: 'nearest' }];
    yield [random([1, 2, 3, 4]), random([1, 3, 2, 2], wide), { mode: 'bicubic', paddingMode: 'reflection', alignCorners: true }];
    yield [random([1, 1, 3, 2, 3]), random([1, 2, 2, 1, 3], wide)];
  },
  *errors(random): Iterable<readonly [[x: Tensor, grid: Tensor, options?: GridSampleOptions], string]> {
    yield [[random([2, 2, 3, 4]), random([2, 3, 2, 3])], 'grid must be'];
    yield [[random([2, 2, 3, 4]), random([1, 3, 2, 2])], 'grid must be'];
    yield [[random([1, 1, 3, 2]), random([1, 2, 2, 2]), { mode: 'area' as 'nearest' }], 'mode must be'];
  },
  kinks: true,
  torch: functional('grid_sample'),
});

function checkGrid(x: Tensor, grid: Tensor, mode: string): void {
  needFloat('gridSample', x, grid);
  const dims = x.ndim - 2;
  if ((dims !== 2 && dims !== 3) || grid.ndim !== x.ndim || grid.sizeAt(0) !== x.sizeAt(0) || grid.sizeAt(-1) !== dims) {
    const got = `${formatShape(x.shape)} and ${formatShape(grid.shape)}`;
    throw new LibError('shape', `gridSample: x must be (batch, channels, 2 or 3 dims) and grid must be (batch, …out, dims), got ${got}.`);
  }
  if (x.shape.slice(2).some((s) => s === 0))
    throw new LibError('shape', `gridSample: x must have places, got shape ${formatShape(x.shape)}.`);
  if (!['bilinear', 'nearest', 'bicubic'].includes(mode))
    throw new LibError('value', `gridSample: mode must be bilinear, nearest or bicubic, got ${mode}.`);
}

export interface AffineGridOptions {
  /** As in {@link gridSample}. Default false. */
  readonly alignCorners?: boolean;
}
/** The grid of {@link gridSample} for affine maps theta (batch, 2, 3) or (batch, 3, 4) and a result of `size` (batch, channels, …). */
export const affineGrid: Op<[theta: Tensor, size: Shape, options?: AffineGridOptions]> = defineComposite({
  name: 'affineGrid',
  compose(theta: Tensor, size: Shape, { alignCorners = false }: AffineGridOptions = {}) {
    needFloat('affineGrid', theta);
    const [batch = 1, , ...places] = size;
    const dims = places.length;
    if ((dims !== 2 && dims !== 3) || `${theta.shape}` !== `${[batch, dims, dims + 1]}`) {
      const got = `${formatShape(theta.shape)} for size ${formatShape(size)}`;
      throw new LibError('shape', `affineGrid: theta must be (batch, 2, 3) for images or (batch, 3, 4) for volumes, got ${got}.`);
    }
    const like = { dtype: theta.dtype, device: theta.device };
    const axes = places.map((count, d) => {
      const end = count <= 1 ? 0 : alignCorners ? 1 : (count - 1) / count;
      return linspace(-end, end, count, like)
        .reshape(places.map((_, i) => (i === d ? count : 1)))
        .expand(places);
    });
    const base = cat([stack([...axes].reverse(), { dim: -1 }), ones([...places, 1], like)], { dim: -1 });
    const flat = base.reshape([1, sizeOf(places), dims + 1]).expand([batch, sizeOf(places), dims + 1]);
    return flat.bmm(theta.transpose(1, 2)).reshape([batch, ...places, dims]);
  },
  *samples(random): Iterable<[theta: Tensor, size: Shape, options?: AffineGridOptions]> {
    yield [random([2, 2, 3]), [2, 1, 3, 4]];
    yield [random([1, 3, 4]), [1, 1, 2, 3, 2], { alignCorners: true }];
  },
  *errors(random): Iterable<readonly [[theta: Tensor, size: Shape], string]> {
    yield [[random([2, 2, 3]), [1, 1, 3, 4]], 'theta must be'];
  },
  torch: functional('affine_grid'),
});
