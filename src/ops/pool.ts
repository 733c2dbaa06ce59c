import type { Shape } from '../core/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import type { PerDim } from './convShape.js';
import { defineComposite, type Op } from './define.js';
import type { Overloaded } from './foldRows.js';
import { functional } from './fused.js';
import { adaptiveAverage, adaptiveMax, average, type Indexed, largest } from './poolRows.js';

export interface MaxPoolOptions {
  /** Default: the kernel size. */
  readonly stride?: PerDim;
  /** Places around the input that never win; at most half the kernel. Default 0. */
  readonly padding?: PerDim;
  /** The distance between taps of the window. Default 1. */
  readonly dilation?: PerDim;
  /** Let the last window reach over the end instead of leaving a rest. Default false. */
  readonly ceilMode?: boolean;
}
export interface IndicesOption<Indices extends boolean = boolean> {
  /** Also give where in its flattened plane each winner stands (int32): a pair. Default false. */
  readonly returnIndices?: Indices;
}

export interface AvgPoolOptions {
  /** Default: the kernel size. */
  readonly stride?: PerDim;
  /** Zeros around the input; at most half the kernel. Default 0. */
  readonly padding?: PerDim;
  /** Let the last window reach over the end instead of leaving a rest. Default false. */
  readonly ceilMode?: boolean;
  /** Count the padding's zeros. Default true. */
  readonly countIncludePad?: boolean;
  /** Divide by this number instead of the window's size. */
  readonly divisorOverride?: number;
}

/** Sizes of the output; null keeps a dim's size. */
export type OutputSize = number | readonly (number | null)[];

type MaxPool<R> = Op<[x: Tensor, kernelSize: PerDim, options?: MaxPoolOptions], R>;
type IndexedPoolOptions = MaxPoolOptions & WithIndices;
/** Asks for indices too. */
export type WithIndices = Required<IndicesOption<true>>;
type ValuesPoolOptions = MaxPoolOptions & IndicesOption<false>;
export interface MaxPoolMethod {
  (kernelSize: PerDim, options: IndexedPoolOptions): Indexed;
  (kernelSize: PerDim, options?: ValuesPoolOptions): Tensor;
}
export interface MaxPoolFunction extends Overloaded<MaxPoolMethod> {
  (x: Tensor, kernelSize: PerDim, options: IndexedPoolOptions): Indexed;
  (x: Tensor, kernelSize: PerDim, options?: ValuesPoolOptions): Tensor;
}
export interface AdaptiveMaxPoolMethod {
  (outputSize: OutputSize, options: WithIndices): Indexed;
  (outputSize: OutputSize, options?: IndicesOption<false>): Tensor;
}
export interface AdaptiveMaxPoolFunction extends Overloaded<AdaptiveMaxPoolMethod> {
  (x: Tensor, outputSize: OutputSize, options: WithIndices): Indexed;
  (x: Tensor, outputSize: OutputSize, options?: IndicesOption<false>): Tensor;
}
type MaxOptions = MaxPoolOptions & IndicesOption;
const chosen = (pair: Indexed, { returnIndices = false }: IndicesOption): Tensor | Indexed => (returnIndices ? pair : pair[0]);
type AvgPool = Op<[x: Tensor, kernelSize: PerDim, options?: AvgPoolOptions]>;
type Adaptive<R> = Op<[x: Tensor, outputSize: OutputSize], R>;

type MaxSamples = Iterable<[x: Tensor, kernelSize: PerDim, options?: MaxOptions]>;
type MaxErrors = Iterable<readonly [[x: Tensor, kernelSize: PerDim, options?: MaxPoolOptions], string]>;
type AdaptiveSamples = Iterable<[x: Tensor, outputSize: OutputSize, options?: IndicesOption]>;
type AvgSamples = Iterable<[x: Tensor, kernelSize: PerDim, options?: AvgPoolOptions]>;
type AvgErrors = Iterable<readonly [[x: Tensor, kernelSize: PerDim, options?: AvgPoolOptions], string]>;

/** The largest value of each window along (batch, channels, length); the batch dim may be missing. */
export const maxPool1d: MaxPoolFunction = defineComposite({
  name: 'maxPool1d',
  compose: (x: Tensor, kernelSize: PerDim, options: MaxOptions = {}) => chosen(largest('maxPool1d', 1, x, kernelSize, options), options),
  *samples(random): MaxSamples {
    yield [random([2, 3, 7]), 2];
    yield [random([2, 8]), 3, { stride: 2, padding: 1, ceilMode: true }];
    yield [random([2, 8]), 3, { returnIndices: true }];
  },
  *errors(random): MaxErrors {
    yield [[random([2, 3, 7]), 0], 'kernelSize must be a whole number of at least 1'];
    yield [[random([2, 3, 7]), 2, { padding: 2 }], 'at most half'];
  },
  torch: functional('max_pool1d'),
}) as unknown as MaxPoolFunction;

/** The largest value of each window of (batch, channels, height, width); the batch dim may be missing. */
export const maxPool2d: MaxPoolFunction = defineComposite({
  name: 'maxPool2d',
  compose: (x: Tensor, kernelSize: PerDim, options: MaxOptions = {}) => chosen(largest('maxPool2d', 2, x, kernelSize, options), options),
  *samples(random): MaxSamples {
    yield [random([2, 3, 4, 6]), 2];
    yield [random([1, 2, 5, 6]), [3, 2], { stride: [2, 1], padding: [1, 0] }];
    yield [random([2, 7, 7]), 2, { dilation: 2, ceilMode: true, returnIndices: true }];
  },
  *errors(random): MaxErrors {
    yield [[random([1, 1, 2, 2]), 3], 'must fit the padded input'];
    yield [[random([4, 4]), 2], 'must be (batch, channels, height, width)'];
  },
  torch: functional('max_pool2d'),
}) as unknown as MaxPoolFunction;

/** The largest value of each window of (batch, channels, depth, height, width); the batch dim may be missing. */
export const maxPool3d: MaxPoolFunction = defineComposite({
  name: 'maxPool3d',
  compose: (x: Tensor, kernelSize: PerDim, options: MaxOptions = {}) => chosen(largest('maxPool3d', 3, x, kernelSize, options), options),
  *samples(random): MaxSamples {
    yield [random([1, 2, 4, 4, 4]), 2];
    yield [random([2, 3, 4, 5]), [1, 2, 3], { stride: 1, returnIndices: true }];
  },
  torch: functional('max_pool3d'),
}) as unknown as MaxPoolFunction;

/** {@link maxPool1d}, and where in its length each winner stands (int32). */
export const maxPool1dWithIndices: MaxPool<Indexed> = defineComposite({
  name: 'maxPool1dWithIndices',
  compose: (x: Tensor, kernelSize: PerDim, options: MaxPoolOptions = {}) => largest('maxPool1dWithIndices', 1, x, kernelSize, options),
  *samples(random): MaxSamples {
    yield [random([2, 3, 7]), 3, { padding: 1 }];
  },
  torch: functional('max_pool1d_with_indices'),
});

/** {@link maxPool2d}, and where in its flattened plane each winner stands (int32). */
export const maxPool2dWithIndices: MaxPool<Indexed> = defineComposite({
  name: 'maxPool2dWithIndices',
  compose: (x: Tensor, kernelSize: PerDim, options: MaxPoolOptions = {}) => largest('maxPool2dWithIndices', 2, x, kernelSize, options),
  *samples(random): MaxSamples {
    yield [random([2, 3, 4, 6]), 2];
    yield [random([1, 2, 5, 6]), 3, { stride: 2, padding: 1 }];
  },
  torch: functional('max_pool2d_with_indices'),
});

/** {@link maxPool3d}, and where in its flattened volume each winner stands (int32). */
export const maxPool3dWithIndices: MaxPool<Indexed> = defineComposite({
  name: 'maxPool3dWithIndices',
  compose: (x: Tensor, kernelSize: PerDim, options: MaxPoolOptions = {}) => largest('maxPool3dWithIndices', 3, x, kernelSize, options),
  *samples(random): MaxSamples {
    yield [random([1, 2, 4, 4, 4]), 2];
  },
  torch: functional('max_pool3d_with_indices'),
});

/** The mean of each window along (batch, channels, length); the batch dim may be missing. */
export const avgPool1d: AvgPool = defineComposite({
  name: 'avgPool1d',
  compose: (x: Tensor, kernelSize: PerDim, options: AvgPoolOptions = {}) => average('avgPool1d', 1, x, kernelSize, options),
  *samples(random): AvgSamples {
    yield [random([2, 3, 7]), 2];
    yield [random([2, 8]), 3, { stride: 2, padding: 1, ceilMode: true }];
    yield [random([2, 8]), 3, { padding: 1, countIncludePad: false }];
  },
  *errors(random): AvgErrors {
    yield [[random([2, 3, 7]), 2, { padding: 2 }], 'at most half'];
  },
  torch: functional('avg_pool1d'),
});

/** The mean of each window of (batch, channels, height, width); the batch dim may be missing. */
export const avgPool2d: AvgPool = defineComposite({
  name: 'avgPool2d',
  compose: (x: Tensor, kernelSize: PerDim, options: AvgPoolOptions = {}) => average('avgPool2d', 2, x, kernelSize, options),
  *samples(random): AvgSamples {
    yield [random([2, 3, 4, 6]), 2];
    yield [random([1, 2, 5, 6]), [3, 2], { stride: [2, 1], padding: 1, countIncludePad: false }];
    yield [random([1, 2, 5, 6]), 3, { stride: 2, padding: 1, ceilMode: true }];
    yield [random([1, 2, 4, 4]), 2, { divisorOverride: 3 }];
  },
  *errors(random): AvgErrors {
    yield [[random([1, 1, 2, 2]), 3], 'must fit the padded input'];
    yield [[random([1, 1, 4, 4]), 2, { divisorOverride: 0 }], 'divisorOverride must not be 0'];
  },
  torch: functional('avg_pool2d'),
});

/** The mean of each window of (batch, channels, depth, height, width); the batch dim may be missing. */
export const avgPool3d: AvgPool = defineComposite({
  name: 'avgPool3d',
  compose: (x: Tensor, kernelSize: PerDim, options: AvgPoolOptions = {}) => average('avgPool3d', 3, x, kernelSize, options),
  *samples(random): AvgSamples {
    yield [random([1, 2, 4, 4, 4]), 2];
    yield [random([2, 3, 4, 5]), [1, 2, 3], { stride: 1, padding: [0, 1, 1] }];
  },
  torch: functional('avg_pool3d'),
});

/** Means over windows chosen so that the output has length `outputSize`. */
export const adaptiveAvgPool1d: Adaptive<Tensor> = defineComposite({
  name: 'adaptiveAvgPool1d',
  compose: (x: Tensor, outputSize: OutputSize) => adaptiveAverage('adaptiveAvgPool1d', 1, x, outputSize),
  *samples(random) {
    yield [random([2, 3, 7]), 3];
  },
  torch: functional('adaptive_avg_pool1d'),
});

/** Means over windows chosen so that the output is `outputSize`: one number for both sides, or [height, width]. */
export const adaptiveAvgPool2d: Adaptive<Tensor> = defineComposite({
  name: 'adaptiveAvgPool2d',
  compose: (x: Tensor, outputSize: OutputSize) => adaptiveAverage('adaptiveAvgPool2d', 2, x, outputSize),
  *samples(random) {
    yield [random([2, 3, 5, 6]), 1];
    yield [random([1, 2, 5, 7]), [3, 2]];
    yield [random([2, 5, 7]), [null, 4]];
  },
  *errors(random) {
    yield [[random([1, 2, 5, 7]), 0], 'outputSize must be'];
    yield [[random([5, 7]), 1], 'must be (batch, channels, height, width)'];
  },
  torch: functional('adaptive_avg_pool2d'),
});

/** Means over windows chosen so that the output is `outputSize`: one number for all sides, or [depth, height, width]. */
export const adaptiveAvgPool3d: Adaptive<Tensor> = defineComposite({
  name: 'adaptiveAvgPool3d',
  compose: (x: Tensor, outputSize: OutputSize) => adaptiveAverage('adaptiveAvgPool3d', 3, x, outputSize),
  *samples(random) {
    yield [random([1, 2, 4, 5, 3]), [2, 3, 2]];
  },
  torch: functional('adaptive_avg_pool3d'),
});

/** Largest values of windows chosen so that the output has length `outputSize`. */
export const adaptiveMaxPool1d: AdaptiveMaxPoolFunction = defineComposite({
  name: 'adaptiveMaxPool1d',
  compose: (x: Tensor, outputSize: OutputSize, options: IndicesOption = {}) =>
    chosen(adaptiveMax('adaptiveMaxPool1d', 1, x, outputSize), options),
  *samples(random): AdaptiveSamples {
    yield [random([2, 3, 7]), 3];
  },
  torch: functional('adaptive_max_pool1d'),
}) as unknown as AdaptiveMaxPoolFunction;

/** Largest values of windows chosen so that the output is `outputSize`: one number for both sides, or [height, width]. */
export const adaptiveMaxPool2d: AdaptiveMaxPoolFunction = defineComposite({
  name: 'adaptiveMaxPool2d',
  compose: (x: Tensor, outputSize: OutputSize, options: IndicesOption = {}) =>
    chosen(adaptiveMax('adaptiveMaxPool2d', 2, x, outputSize), options),
  *samples(random): AdaptiveSamples {
    yield [random([2, 3, 5, 6]), [2, 3]];
    yield [random([2, 5, 7]), 2, { returnIndices: true }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, outputSize: OutputSize, options?: IndicesOption], string]> {
    yield [[random([1, 2, 5, 7]), [2, 2, 2]], 'outputSize must be'];
  },
  torch: functional('adaptive_max_pool2d'),
}) as unknown as AdaptiveMaxPoolFunction;

/** Largest values of windows chosen so that the output is `outputSize`: one number for all sides, or [depth, height, width]. */
export const adaptiveMaxPool3d: AdaptiveMaxPoolFunction = defineComposite({
  name: 'adaptiveMaxPool3d',
  compose: (x: Tensor, outputSize: OutputSize, options: IndicesOption = {}) =>
    chosen(adaptiveMax('adaptiveMaxPool3d', 3, x, outputSize), options),
  *samples(random): AdaptiveSamples {
    yield [random([1, 2, 4, 5, 3]), [2, 3, 2]];
  },
  torch: functional('adaptive_max_pool3d'),
}) as unknown as AdaptiveMaxPoolFunction;

/** {@link adaptiveMaxPool1d}, and where in its length each winner stands (int32). */
export const adaptiveMaxPool1dWithIndices: Adaptive<Indexed> = adaptiveIndexed(1, [2, 3, 7], 3);
/** {@link adaptiveMaxPool2d}, and where in its flattened plane each winner stands (int32). */
export const adaptiveMaxPool2dWithIndices: Adaptive<Indexed> = adaptiveIndexed(2, [2, 3, 5, 6], [2, 3]);
/** {@link adaptiveMaxPool3d}, and where in its flattened volume each winner stands (int32). */
export const adaptiveMaxPool3dWithIndices: Adaptive<Indexed> = adaptiveIndexed(3, [1, 2, 4, 5, 3], [2, 3, 2]);
function adaptiveIndexed(rank: number, shape: Shape, size: OutputSize): Adaptive<Indexed> {
  const name = `adaptiveMaxPool${rank}dWithIndices`;
  return defineComposite({
    name,
    compose: (x: Tensor, outputSize: OutputSize) => adaptiveMax(name, rank, x, outputSize),
    *samples(random): Iterable<[x: Tensor, outputSize: OutputSize]> {
      yield [random(shape), size];
    },
    torch: functional(`adaptive_max_pool${rank}d_with_indices`),
  });
}

export interface LpPoolOptions {
  /** Default: the kernel size. */
  readonly stride?: PerDim;
  /** Let the last window reach over the end instead of leaving a rest. Default false. */
  readonly ceilMode?: boolean;
}
