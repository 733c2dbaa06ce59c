import { LibError } from '../core/errors.js';
import { snakeCase } from '../core/names.js';
import { formatShape, needWhole, type Shape, sizeOf } from '../core/shape.js';
import { input, scalar } from '../expr/expr.js';
import { arange } from '../tensor/creation.js';
import { rand } from '../tensor/random.js';
import type { Tensor } from '../tensor/tensor.js';
import { batched, type PerDim, perDim } from './convShape.js';
import { defineComposite, type Op } from './define.js';
import type { Overloaded } from './foldRows.js';
import { constantView, functional, fuse, needFloat } from './fused.js';
import type { IndicesOption, LpPoolOptions, WithIndices } from './pool.js';
import { average, type Indexed } from './poolRows.js';
import { asIndex, scatterOnto } from './scatterRows.js';

/** Pooling by norms, its inverses, pooling at random places, and normalization over neighbouring channels. */

type LpPool = Op<[x: Tensor, normType: number, kernelSize: PerDim, options?: LpPoolOptions]>;
type LpSamples = Iterable<[x: Tensor, normType: number, kernelSize: PerDim, options?: LpPoolOptions]>;

/** (Σ xᵖ)^(1/p) over windows. Negative sums count as 0; where the sum is 0, so is the gradient. */
function lpPool(name: string, rank: number, x: Tensor, p: number, kernelSize: PerDim, options: LpPoolOptions): Tensor {
  needFloat(name, x);
  if (p === Number.POSITIVE_INFINITY || !(p > 0)) throw new LibError('value', `${name}: normType must be positive and finite, got ${p}.`);
  // As in PyTorch, a window cut short by `ceilMode` counts as if its mean went on to the full size.
  const mean = average(name, rank, x.pow(p), kernelSize, options);
  const volume = sizeOf(perDim(name, 'kernelSize', kernelSize, rank, 1));
  const y = input(0).mul(volume);
  return fuse(name, [mean], y.equal(0).select(0, y.pow(1 / p)));
}
function lpRow(name: string, rank: number, shape: Shape): LpPool {
  return defineComposite({
    name,
    compose: (x: Tensor, normType: number, kernelSize: PerDim, options: LpPoolOptions = {}) =>
      lpPool(name, rank, x, normType, kernelSize, options),
    *samples(random): LpSamples {
      yield [random(shape, { low: 0.5, high: 2 }), 2, 2];
      yield [random(shape, { low: 0.5, high: 2 }), 3, 2, { stride: 1 }];
      yield [random(shape, { low: 0.5, high: 2 }), 2, 2, { ceilMode: true }];
    },
    *errors(random): Iterable<readonly [[x: Tensor, normType: number, kernelSize: PerDim], string]> {
      yield [[random(shape), 0, 2], 'normType must be'];
    },
    torch: functional(snakeCase(name)),
  });
}
/** (Σ xᵖ)^(1/p) over each window of (batch, channels, length); `normType` is p. */
export const lpPool1d: LpPool = lpRow('lpPool1d', 1, [2, 3, 7]);
/** (Σ xᵖ)^(1/p) over each window of (batch, channels, height, width); `normType` is p. */
export const lpPool2d: LpPool = lpRow('lpPool2d', 2, [2, 3, 4, 5]);
/** (Σ xᵖ)^(1/p) over each window of (batch, channels, depth, height, width); `normType` is p. */
export const lpPool3d: LpPool = lpRow('lpPool3d', 3, [1, 2, 4, 3, 3]);

export interface MaxUnpoolOptions {
  /** Of the pooling to be undone. Default: the kernel size. */
  readonly stride?: PerDim;
  /** Of the pooling to be undone. Default 0. */
  readonly padding?: PerDim;
  /** The size of the result (its last dims, or all); the pooling does not tell it apart from its neighbours. */
  readonly outputSize?: Shape;
}
type MaxUnpool = Op<[x: Tensor, indices: Tensor, kernelSize: PerDim, options?: MaxUnpoolOptions]>;

function unpool(name: string, rank: number, x: Tensor, indices: Tensor, kernelSize: PerDim, options: MaxUnpoolOptions): Tensor {
  const kernel = perDim(name, 'kernelSize', kernelSize, rank, 1);
  const stride = options.stride === undefined ? kernel : perDim(name, 'stride', options.stride, rank, 1);
  const padding = perDim(name, 'padding', options.padding ?? 0, rank, 0);
  const whole = batched(name, x, rank);
  if (`${x.shape}` !== `${indices.shape}`)
    throw new LibError(
      'shape',
      `${name}: input and indices must have one shape, got ${formatShape(x.shape)} and ${formatShape(indices.shape)}.`,
    );
  const natural = whole.shape.slice(2).map((size, i) => (size - 1) * (stride[i] ?? 1) - 2 * (padding[i] ?? 0) + (kernel[i] ?? 1));
  const size = options.outputSize === undefined ? natural : options.outputSize.slice(-rank);
  if (size.some((s, i) => Math.abs(s - (natural[i] ?? 0)) >= (stride[i] ?? 1)) || size.length !== rank) {
    throw new LibError('shape', `${name}: outputSize must be less than a stride from ${formatShape(natural)}, got ${formatShape(size)}.`);
  }
  const [batch = 1, channels = 1] = whole.shape;
  const planes = [batch * channels, sizeOf(size)];
  const flat = (t: Tensor): Tensor => t.reshape([batch * channels, sizeOf(t.shape.slice(-rank))]);
  const out = scatterOnto(constantView(x.device, x.dtype, planes, 0), 1, asIndex(name, flat(indices)), flat(whole), { by: 'set' });
  return out.reshape(x.ndim === rank + 1 ? [channels, ...size] : [batch, channels, ...size]);
}
function unpoolRow(name: string, rank: number, pooled: (x: Tensor) => Indexed, shape: Shape): MaxUnpool {
  return defineComposite({
    name,
    compose: (x: Tensor, indices: Tensor, kernelSize: PerDim, options: MaxUnpoolOptions = {}) =>
      unpool(name, rank, x, indices, kernelSize, options),
    *samples(random): Iterable<[x: Tensor, indices: Tensor, kernelSize: PerDim, options?: MaxUnpoolOptions]> {
      const [x, indices] = pooled(random(shape));
      yield [x, indices, 2];
      yield [x, indices, 2, { outputSize: shape }];
    },
    *errors(random): Iterable<readonly [[x: Tensor, indices: Tensor, kernelSize: PerDim, options?: MaxUnpoolOptions], string]> {
      const [x, indices] = pooled(random(shape));
      yield [[x, indices, 2, { outputSize: shape.map((s) => s + 9) }], 'less than a stride'];
      yield [[x, indices.narrow(0, 0, 0), 2], 'must have one shape'];
    },
    torch: { call: `torch.nn.functional.${snakeCase(name)}(a[0], a[1].long(), a[2], **o)` },
  });
}
/** The inverse of {@link maxPool1d}: values at the places they were taken from, zeros elsewhere. */
export const maxUnpool1d: MaxUnpool = unpoolRow('maxUnpool1d', 1, (x) => x.maxPool1dWithIndices(2), [2, 3, 7]);
/** The inverse of {@link maxPool2d}: values at the places they were taken from, zeros elsewhere. */
export const maxUnpool2d: MaxUnpool = unpoolRow('maxUnpool2d', 2, (x) => x.maxPool2dWithIndices(2), [2, 3, 4, 6]);
/** The inverse of {@link maxPool3d}: values at the places they were taken from, zeros elsewhere. */
export const maxUnpool3d: MaxUnpool = unpoolRow('maxUnpool3d', 3, (x) => x.maxPool3dWithIndices(2), [1, 2, 4, 4, 4]);

export interface FractionalMaxPoolOptions {
  /** Sizes of the result. Either this or `outputRatio` must be given. */
  readonly outputSize?: PerDim;
  /** Sizes of the result as fractions of the input's, in (0, 1). */
  readonly outputRatio?: number | readonly number[];
  /** Numbers in [0, 1) that place the windows, (batch, channels, dims). Default: drawn. */
  readonly randomSamples?: Tensor;
}
type Fractional<R> = Op<[x: Tensor, kernelSize: PerDim, options: FractionalMaxPoolOptions], R>;
type FractionalChoice = FractionalMaxPoolOptions & IndicesOption;
export interface FractionalMethod {
  (kernelSize: PerDim, options: FractionalMaxPoolOptions & WithIndices): Indexed;
  (kernelSize: PerDim, options: FractionalMaxPoolOptions & IndicesOption<false>): Tensor;
}
export interface FractionalFunction extends Overloaded<FractionalMethod> {
  (x: Tensor, kernelSize: PerDim, options: FractionalMaxPoolOptions & WithIndices): Indexed;
  (x: Tensor, kernelSize: PerDim, options: FractionalMaxPoolOptions & IndicesOption<false>): Tensor;
}

const chosen = (pair: Indexed, { returnIndices = false }: FractionalChoice): Tensor | Indexed => (returnIndices ? pair : pair[0]);

/** Where the windows of one dim begin, (planes, count): steps of α = (size - kernel) / (count - 1), shifted by fractions u of one. */
function starts(u: Tensor, size: number, count: number, kernel: number): Tensor {
  const step = count > 1 ? (size - kernel) / (count - 1) : 0;
  const i = arange(count, { dtype: u.dtype, device: u.device });
  const begins = i.add(u).mul(step).trunc().sub(u.mul(step).trunc());
  return i.eq(count - 1).where(size - kernel, begins);
}

function fractional(name: string, rank: number, x: Tensor, kernelSize: PerDim, options: FractionalMaxPoolOptions): Indexed {
  needFloat(name, x);
  const kernel = perDim(name, 'kernelSize', kernelSize, rank, 1);
  const whole = batched(name, x, rank);
  const [batch = 1, channels = 1, ...places] = whole.shape;
  const size = fractionalSize(name, places, kernel, options);
  const planes = batch * channels;
  const samples = options.randomSamples ?? rand([batch, channels, rank], { dtype: x.dtype, device: x.device });
  const u = samples.detach().reshape([-1, rank]).narrow(0, 0, planes);
  // The place of each tap (planes, …size, …kernel) in the flattened plane: what each dim adds. PyTorch's numbers belong to the dims
  // from the last to the first.
  let index = constantView(x.device, 'int32', [planes], 0).reshape([planes, ...new Array<number>(2 * rank).fill(1)]);
  size.forEach((count, d) => {
    const [n = 1, k = 1] = [places[d], kernel[d]];
    const begins = starts(u.narrow(1, rank - 1 - d, 1), n, count, k).int();
    const along = begins
      .unsqueeze(2)
      .add(arange(k, { device: x.device }))
      .mul(sizeOf(places.slice(d + 1)));
    index = index.add(along.reshape(index.shape.map((_, i) => (i === 0 ? planes : i === 1 + d ? count : i === 1 + rank + d ? k : 1))));
  });
  const flat = [planes, sizeOf(size), sizeOf(kernel)];
  const windows = whole
    .reshape([planes, sizeOf(places)])
    .gather(1, index.flatten({ startDim: 1 }))
    .reshape(flat);
  const best = windows.max({ dim: -1 });
  const shape = x.ndim === rank + 1 ? [channels, ...size] : [batch, channels, ...size];
  const where = index.reshape(flat).gather(-1, best.indices.unsqueeze(-1)).reshape(shape);
  return [best.values.reshape(shape), where];
}

function fractionalSize(name: string, places: Shape, kernel: readonly number[], options: FractionalMaxPoolOptions): readonly number[] {
  const { outputSize, outputRatio } = options;
  if ((outputSize === undefined) === (outputRatio === undefined))
    throw new LibError(
      'option',
      `${name}: either outputSize or outputRatio must be given, got ${outputSize === undefined ? 'none' : 'both'}.`,
    );
  const ratios = typeof outputRatio === 'number' ? places.map(() => outputRatio) : outputRatio;
  if (ratios && (ratios.length !== places.length || ratios.some((r) => !(r > 0 && r < 1))))
    throw new LibError('value', `${name}: ratios must be in (0, 1), one or one for each dim, got [${ratios.join(', ')}].`);
  const size = ratios
    ? places.map((s, i) => Math.floor(s * (ratios[i] ?? 1)))
    : perDim(name, 'outputSize', outputSize ?? 1, places.length, 1);
  if (size.some((n, i) => n + (kernel[i] ?? 1) - 1 > (places[i] ?? 0)))
    throw new LibError(
      'shape',
      `${name}: the windows must fit the input, got ${formatShape(size)} of (${kernel.join(', ')}) in ${formatShape(places)}.`,
    );
  return size;
}

type FractionalSamples = Iterable<[x: Tensor, kernelSize: PerDim, options: FractionalMaxPoolOptions]>;
type PickResult<R> = (pair: Indexed, options: FractionalChoice) => R;
function fractionalRow<R>(name: string, rank: number, shape: Shape, pick: PickResult<R>): Fractional<R> {
  return defineComposite({
    name,
    compose: (x: Tensor, kernelSize: PerDim, options: FractionalMaxPoolOptions) =>
      pick(fractional(name, rank, x, kernelSize, options), options),
    *samples(random): FractionalSamples {
      const randomSamples = random([2, 3, rank], { low: 0, high: 1 });
      yield [random(shape), 2, { outputSize: 3, randomSamples }];
      yield [random(shape), 2, { outputRatio: 0.5, randomSamples }];
    },
    *errors(random): Iterable<readonly [[x: Tensor, kernelSize: PerDim, options: FractionalMaxPoolOptions], string]> {
      yield [[random(shape), 2, {}], 'must be given'];
      yield [[random(shape), 2, { outputRatio: 1.5 }], 'ratios must be in (0, 1)'];
      yield [[random(shape), 2, { outputSize: 99 }], 'must fit the input'];
    },
    torch: {
      call:
        `torch.nn.functional.${snakeCase(name)}(a[0], a[1], output_size=o.get("output_size"), output_ratio=[o["output_ratio"]] * ${rank} if "output_ratio" in o else None, ` +
        '_random_samples=o["random_samples"].detach())',
    },
  });
}
/** The largest values of windows at random places, so many that the result has a given size (Graham 2014). */
export const fractionalMaxPool2d: FractionalFunction = fractionalRow(
  'fractionalMaxPool2d',
  2,
  [2, 3, 6, 7],
  chosen,
) as unknown as FractionalFunction;
/** {@link fractionalMaxPool2d}, and where in its flattened plane each winner stands (int32). */
export const fractionalMaxPool2dWithIndices: Fractional<Indexed> = fractionalRow(
  'fractionalMaxPool2dWithIndices',
  2,
  [2, 3, 6, 7],
  (pair) => pair,
);
/** The largest values of windows at random places of a volume, so many that the result has a given size. */
export const fractionalMaxPool3d: FractionalFunction = fractionalRow(
  'fractionalMaxPool3d',
  3,
  [2, 3, 6, 7, 6],
  chosen,
) as unknown as FractionalFunction;
/** {@link fractionalMaxPool3d}, and where in its flattened volume each winner stands (int32). */
export const fractionalMaxPool3dWithIndices: Fractional<Indexed> = fractionalRow(
  'fractionalMaxPool3dWithIndices',
  3,
  [2, 3, 6, 7, 6],
  (pair) => pair,
);

export interface LocalResponseNormOptions {
  /** Default 1e-4. */
  readonly alpha?: number;
  /** Default 0.75. */
  readonly beta?: number;
  /** Default 1. */
  readonly k?: number;
}
/** x / (k + alpha · mean of x² over `size` neighbouring channels)^beta for (batch, channels, …) (Krizhevsky et al. 2012). */
export const localResponseNorm: Op<[x: Tensor, size: number, options?: LocalResponseNormOptions]> = defineComposite({
  name: 'localResponseNorm',
  compose(x: Tensor, size: number, { alpha = 1e-4, beta = 0.75, k = 1 }: LocalResponseNormOptions = {}) {
    needFloat('localResponseNorm', x);
    if (x.ndim < 3)
      throw new LibError('shape', `localResponseNorm: the input must be (batch, channels, …), got shape ${formatShape(x.shape)}.`);
    needWhole('localResponseNorm', 'size', size, 1);
    if (x.size === 0) return x.mul(1);
    const [n, channels] = [x.sizeAt(0), x.sizeAt(1)];
    const planes = x.square().reshape([n, 1, channels, -1]); // windows of channels, of each pixel
    const means = average('localResponseNorm', 2, planes, [size, 1], { stride: 1, padding: [Math.floor(size / 2), 0] });
    const mean = means.narrow(2, 0, channels).reshape(x.shape); // an even size has one window more
    const base = scalar(0).mul(input(1)).add(scalar(1));
    const root = base.sqrt();
    const power = beta === 0.75 ? root.mul(root.sqrt()) : base.pow(scalar(2)); // the usual one by two roots: a tenth of the time
    return fuse('localResponseNorm', [x, mean], input(0).div(power), beta === 0.75 ? [alpha, k] : [alpha, k, beta]);
  },
  *samples(random): Iterable<[x: Tensor, size: number, options?: LocalResponseNormOptions]> {
    yield [random([2, 5, 3]), 3];
    yield [random([2, 4, 2, 2]), 2, { alpha: 0.5, beta: 0.5, k: 2 }];
    yield [random([0, 2, 3]), 2];
  },
  *errors(random): Iterable<readonly [[x: Tensor, size: number, options?: LocalResponseNormOptions], string]> {
    yield [[random([2, 5]), 3], '(batch, channels, …)'];
    yield [[random([2, 5, 3]), 0], 'a whole number of at least 1'];
  },
  torch: functional('local_response_norm'),
});
