import { type DType, isFloat } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import { checkShape, type Shape } from '../core/shape.js';
import { specOf } from '../core/spec.js';
import type { RandomKernel } from '../program/kernel.js';
import { getDefaultDtype, type TensorOptions } from './creation.js';
import { defaultDevice } from './device.js';
import { defaultGenerator, drawn, type Generator } from './generator.js';
import type { Tensor } from './tensor.js';

export { bernoulli, dropout, multinomial, normal, randintLike, randLike, randnLike } from '../ops/random.js';
export {
  augmentGenerator,
  dataGenerator,
  defaultGenerator,
  dropoutGenerator,
  Generator,
  type GeneratorState,
  getRandomState,
  initGenerator,
  manualSeed,
  type RandomState,
  type StreamName,
  setRandomState,
} from './generator.js';

export interface RandomOptions {
  /** The stream to draw from. Default: {@link defaultGenerator}. */
  readonly generator?: Generator;
}
type MadeOptions = TensorOptions & RandomOptions;

function random(op: string, by: RandomKernel['by'], shape: Shape, options: MadeOptions, range?: readonly number[]): Tensor {
  checkShape(op, shape);
  const natural: DType = by === 'integers' ? 'int32' : getDefaultDtype();
  const { dtype = natural, device = defaultDevice(), generator = defaultGenerator(), requiresGrad = false } = options;
  if (by !== 'integers' && !isFloat(dtype)) throw new LibError('dtype', `${op}: random numbers must be of a floating type, got ${dtype}.`);
  const out = drawn(op, by, specOf(dtype, shape), device, generator, range && { range });
  return requiresGrad ? out.requiresGrad_() : out;
}

/** Uniform random numbers in [0, 1). */
export function rand(shape: Shape, options: MadeOptions = {}): Tensor {
  return random('rand', 'uniform', shape, options);
}
/** Normal random numbers of mean 0 and standard deviation 1. */
export function randn(shape: Shape, options: MadeOptions = {}): Tensor {
  return random('randn', 'normal', shape, options);
}
/** Random integers in [low, high), int32 unless said; `low` may be left out and is then 0. */
export function randint(high: number, shape: Shape, options?: MadeOptions): Tensor;
export function randint(low: number, high: number, shape: Shape, options?: MadeOptions): Tensor;
export function randint(first: number, second: number | Shape, third?: Shape | MadeOptions, fourth?: MadeOptions): Tensor {
  const full = typeof second === 'number';
  const [low, high, shape] = full ? [first, second, third as Shape] : [0, first, second];
  const options = (full ? fourth : (third as MadeOptions | undefined)) ?? {};
  if (!Number.isInteger(low) || !Number.isInteger(high) || low >= high) {
    throw new LibError('value', `randint: low must be an integer below high, got ${low} and ${high}.`);
  }
  return random('randint', 'integers', shape, options, [low, high]);
}
/** The integers 0 … n - 1 in random order, int32. */
export function randperm(n: number, { device = defaultDevice(), generator = defaultGenerator() }: MadeOptions = {}): Tensor {
  checkShape('randperm', [n]);
  return drawn('randperm', 'uniform', specOf('float64', [n]), device, generator).argsort();
}
