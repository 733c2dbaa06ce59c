import { LibError } from '../core/errors.js';
import { formatShape, type Shape } from '../core/shape.js';
import { specOf } from '../core/spec.js';
import { type Expr, input, scalar } from '../expr/expr.js';
import { drawn, dropoutGenerator } from '../tensor/generator.js';
import type { Tensor } from '../tensor/tensor.js';
import { defineComposite, type Op, type Random } from './define.js';
import { needFloat } from './fused.js';
import { mapTyped } from './mapTyped.js';
import { checkProbability, type DropoutOptions } from './probability.js';

/** Dropout of whole channels and branches, and dropout for self-normalizing networks. */

const [x0, u] = [input(0), input(1)];
const keptOrZero = scalar(0)
  .lessEqual(u)
  .select(x0.mul(scalar(1)), 0);
/** Dropped: scalar(2); kept: x · scalar(1) + scalar(3). */
const keptOrSaturated = scalar(0)
  .lessEqual(u)
  .select(x0.mul(scalar(1)).add(scalar(3)), scalar(2));

function drop(op: string, x: Tensor, shape: Shape, expr: Expr, scalars: readonly number[], options: DropoutOptions): Tensor {
  const { generator = dropoutGenerator() } = options;
  const chance = drawn(op, 'uniform', specOf('float32', shape), x.device, generator);
  return mapTyped(op, [x, chance], expr, { scalars, dtype: x.dtype });
}

/** The shape of one draw for each example and channel. */
function channelShape(op: string, x: Tensor, ranks: readonly number[], unbatched: number | null): Shape {
  if (!ranks.includes(x.ndim)) {
    throw new LibError('shape', `${op}: the tensor must have ${ranks.join(' or ')} dims, got shape ${formatShape(x.shape)}.`);
  }
  const kept = x.ndim === unbatched ? 1 : 2;
  return x.shape.map((size, d) => (d < kept ? size : 1));
}

const scaleOf = (p: number): number => (p === 1 ? 0 : 1 / (1 - p));

type Dropping = Op<[x: Tensor, options?: DropoutOptions]>;
type Calls = Iterable<[x: Tensor, options?: DropoutOptions]>;

function channelDropout(op: string, ranks: readonly number[], unbatched: number | null): Dropping {
  const shapes = ranks.map((rank) => [2, 3, 2, 2, 2].slice(0, rank));
  return defineComposite({
    name: op,
    compose(x: Tensor, options: DropoutOptions = {}) {
      const { p = 0.5, training = true } = options;
      checkProbability(op, p);
      needFloat(op, x);
      const shape = channelShape(op, x, ranks, unbatched);
      return p === 0 || !training ? x : drop(op, x, shape, keptOrZero, [p, scaleOf(p)], options);
    },
    torch: null,
    *samples(random: Random): Calls {
      for (const shape of shapes) yield [random(shape), { p: 0.4 }];
      yield [random(shapes[0] as Shape), { training: false }];
    },
    *errors(random: Random): Iterable<readonly [[x: Tensor, options?: DropoutOptions], string]> {
      yield [[random([2])], 'dims, got shape (2,)'];
      yield [[random(shapes[0] as Shape), { p: -0.1 }], 'must be in [0, 1]'];
    },
  });
}

/** Zeros whole channels of x (N, C, L) or (C, L) with probability p and scales the others by 1 / (1 - p). */
export const dropout1d: Dropping = channelDropout('dropout1d', [2, 3], 2);
/** Zeros whole channels of x (N, C, H, W) or (N, C, L) with probability p and scales the others by 1 / (1 - p) (Tompson et al. 2015). */
export const dropout2d: Dropping = channelDropout('dropout2d', [3, 4], null);
/** Zeros whole channels of x (N, C, D, H, W) or (C, D, H, W) with probability p and scales the others by 1 / (1 - p). */
export const dropout3d: Dropping = channelDropout('dropout3d', [4, 5], 4);

/** The value that a scaled elu saturates at: -scale · alpha. */
const SATURATED = -1.7580993408473766;

/** With a = 1 / √((1 - p)(1 + p · s²)): kept values become a · x + shift, dropped ones a · s + shift, shift = -a · p · s. */
function alphaNumbers(p: number): readonly number[] {
  const scale = 1 / Math.sqrt((1 - p) * (1 + p * SATURATED * SATURATED));
  const shift = -scale * p * SATURATED;
  return [p, scale, scale * SATURATED + shift, shift];
}

function alphaDropping(op: string, shapeOf: (x: Tensor) => Shape): Dropping {
  return defineComposite({
    name: op,
    compose(x: Tensor, options: DropoutOptions = {}) {
      const { p = 0.5, training = false } = options;
      checkProbability(op, p);
      needFloat(op, x);
      if (p === 0 || !training) return x;
      if (p === 1) return x.mul(0);
      return drop(op, x, shapeOf(x), keptOrSaturated, alphaNumbers(p), options);
    },
    torch: null,
    *samples(random: Random): Calls {
      yield [random([4, 5]), { training: true }];
      yield [random([2, 3, 4]), { p: 0.2, training: true }];
      yield [random([2, 3]), { p: 1, training: true }];
      yield [random([2, 3])];
    },
    *errors(random: Random): Iterable<readonly [[x: Tensor, options?: DropoutOptions], string]> {
      yield [[random([2, 2]), { p: 1.5 }], 'must be in [0, 1]'];
    },
  });
}

/** Sets elements to selu's saturation value with probability p, then restores mean 0 and variance 1. Training: default false. */
export const alphaDropout: Dropping = alphaDropping('alphaDropout', (x) => x.shape);
/** {@link alphaDropout} of whole channels of x (N, C, …). */
export const featureAlphaDropout: Dropping = alphaDropping('featureAlphaDropout', (x) => {
  if (x.ndim < 2) throw new LibError('shape', `featureAlphaDropout: the tensor must be (N, C, …), got shape ${formatShape(x.shape)}.`);
  return channelShape('featureAlphaDropout', x, [x.ndim], null);
});

export interface DropPathOptions extends DropoutOptions {
  /** 'row' drops each example by itself, 'batch' all of them together. Default 'row'. */
  readonly mode?: 'row' | 'batch';
}

/** Stochastic depth: drops a residual branch x (N, …) with probability p and scales it by 1 / (1 - p) otherwise (Huang et al. 2016). */
export const dropPath: Op<[x: Tensor, options?: DropPathOptions]> = defineComposite({
  name: 'dropPath',
  compose(x: Tensor, options: DropPathOptions = {}) {
    const { p = 0.5, training = true, mode = 'row' } = options;
    checkProbability('dropPath', p);
    needFloat('dropPath', x);
    if (mode !== 'row' && mode !== 'batch') {
      throw new LibError('option', `dropPath: mode must be 'row' or 'batch', got '${String(mode)}'.`);
    }
    if (p === 0 || !training) return x;
    const shape = x.shape.map((size, d) => (d === 0 && mode === 'row' ? size : 1));
    return drop('dropPath', x, shape, keptOrZero, [p, scaleOf(p)], options);
  },
  torch: null,
  *samples(random): Iterable<[x: Tensor, options?: DropPathOptions]> {
    yield [random([6, 3])];
    yield [random([2, 3, 2]), { p: 0.2, mode: 'batch' }];
    yield [random([3]), { training: false }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, options?: DropPathOptions], string]> {
    yield [[random([2]), { p: 2 }], 'must be in [0, 1]'];
    yield [[random([2]), { mode: 'column' as 'row' }], "got 'column'"];
  },
});
