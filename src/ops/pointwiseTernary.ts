import { LibError } from '../core/errors.js';
import { formatShape } from '../core/shape.js';
import { constant, type Expr, input, scalar } from '../expr/expr.js';
import { isTensor, type Tensor } from '../tensor/tensor.js';
import { defineComposite, type Random } from './define.js';
import { noTensor, type Pointwise, type TensorOrNumber } from './elementwise.js';
import { checkMask, forms, mapTyped } from './mapTyped.js';

export interface ClampOptions {
  /** Lower bound; a tensor broadcasts. Default: none. */
  readonly min?: TensorOrNumber;
  /** Upper bound; a tensor broadcasts. Wins over a larger `min`. Default: none. */
  readonly max?: TensorOrNumber;
}

const clampForm = forms('clamp', (x, low, high, tensors) => {
  const raised = low === null ? x : x.max(low);
  return { expr: high === null ? raised : raised.min(high), slopes: clampSlopes(x, low, high, tensors) };
});

function clampTo(x: Tensor, { min, max }: ClampOptions, into?: readonly Tensor[]): Tensor {
  if (min === undefined && max === undefined) {
    throw new LibError('option', 'clamp: at least one of min and max must be given, got none.');
  }
  if (!isTensor(x)) throw noTensor('clamp', x);
  return clampForm(x, min, max, undefined, into);
}

/** The bounds themselves belong to the range; what lies outside gives its gradient to the bound, if that is a tensor. */
function clampSlopes(x: Expr, low: Expr | null, high: Expr | null, tensors: number): (Expr | null)[] {
  const g = input(tensors);
  const above = low === null ? constant(1) : low.lessEqual(x);
  const below = high === null ? constant(1) : x.lessEqual(high);
  const slopes: (Expr | null)[] = [above.mul(below).select(g, 0)];
  const hidden = high === null || low === null ? constant(0) : high.less(low);
  if (low?.node.kind === 'input') slopes.push(x.less(low).mul(hidden.not()).select(g, 0));
  if (high?.node.kind === 'input') slopes.push(high.less(x).max(hidden).select(g, 0));
  return slopes;
}

/** x cut off to [min, max]; NaN stays. The gradient is 1 on the bounds and 0 outside them. */
export const clamp: Pointwise<[x: Tensor, options: ClampOptions]> = Object.assign(
  defineComposite({
    name: 'clamp',
    compose: (x: Tensor, options: ClampOptions) => clampTo(x, options),
    *samples(random): Iterable<[x: Tensor, options: ClampOptions]> {
      yield [random([7]), { min: -0.5 }];
      yield [random([7]), { max: 0.5 }];
      yield [random([2, 5]), { min: -0.5, max: 0.5 }];
      yield [random([2, 5]), { min: random([5], { low: -1, high: 0 }), max: random([2, 1], { low: 0, high: 1 }) }];
      yield [random([6]), { min: random([6]), max: random([6]) }];
      yield [random.integers([6], -5, 6), { min: 0 }];
    },
    *errors(random): Iterable<readonly [[x: Tensor, options: ClampOptions], string]> {
      yield [[random([3]), {}], 'at least one of min and max'];
      yield [[2 as unknown as Tensor, { min: 1 }], 'must be a tensor, got 2'];
    },
  }),
  { inPlace: (x: Tensor, options: ClampOptions) => clampTo(x, options, [x]) },
);
/** max(x, min), where min may be a tensor. */
export const clampMin: Pointwise<[x: Tensor, min: TensorOrNumber]> = Object.assign(
  defineComposite({
    name: 'clampMin',
    compose: (x: Tensor, min: TensorOrNumber) => clampTo(x, { min }),
    *samples(random): Iterable<[x: Tensor, min: TensorOrNumber]> {
      yield [random([2, 3]), 0.25];
      yield [random([2, 3]), random([3])];
    },
  }),
  { inPlace: (x: Tensor, min: TensorOrNumber) => clampTo(x, { min }, [x]) },
);
/** min(x, max), where max may be a tensor. */
export const clampMax: Pointwise<[x: Tensor, max: TensorOrNumber]> = Object.assign(
  defineComposite({
    name: 'clampMax',
    compose: (x: Tensor, max: TensorOrNumber) => clampTo(x, { max }),
    *samples(random): Iterable<[x: Tensor, max: TensorOrNumber]> {
      yield [random([2, 3]), 0.25];
      yield [random([2, 3]), random([3])];
    },
  }),
  { inPlace: (x: Tensor, max: TensorOrNumber) => clampTo(x, { max }, [x]) },
);

const lerpForm = forms('lerp', (a, b, w, tensors) => {
  if (b === null || w === null) return { expr: a };
  const g = input(tensors);
  const reach = b.sub(a);
  const rest = w.neg().add(1);
  // From the nearer end, so that the weights 0 and 1 give the ends exactly.
  const expr = w
    .abs()
    .less(0.5)
    .select(a.add(w.mul(reach)), b.sub(reach.mul(rest)));
  return { expr, slopes: [g.mul(rest), g.mul(w), g.mul(reach)] };
});
const lerpTo = (x: Tensor, end: Tensor, weight: TensorOrNumber, into?: readonly Tensor[]): Tensor =>
  lerpForm(x, end, weight, undefined, into);

/** x + weight · (end - x). */
export const lerp: Pointwise<[x: Tensor, end: Tensor, weight: TensorOrNumber]> = Object.assign(
  defineComposite({
    name: 'lerp',
    compose: (x: Tensor, end: Tensor, weight: TensorOrNumber) => lerpTo(x, end, weight),
    *samples(random): Iterable<[x: Tensor, end: Tensor, weight: TensorOrNumber]> {
      yield [random([2, 3]), random([2, 3]), 0.3];
      yield [random([2, 3]), random([3]), 0.9];
      yield [random([2, 3]), random([2, 3]), random([2, 1], { low: 0, high: 1 })];
    },
  }),
  { inPlace: (x: Tensor, end: Tensor, weight: TensorOrNumber) => lerpTo(x, end, weight, [x]) },
);

export interface ValueOptions {
  /** Factor of the product or quotient. Default 1. */
  readonly value?: number;
}
type Fused = Pointwise<[x: Tensor, a: Tensor, b: Tensor, options?: ValueOptions]>;

function fused(name: string, term: (a: Expr, b: Expr) => Expr): Fused {
  const expr = input(0).add(scalar(0).mul(term(input(1), input(2))));
  const call = (x: Tensor, a: Tensor, b: Tensor, { value = 1 }: ValueOptions, into?: readonly Tensor[]): Tensor =>
    mapTyped(name, [x, a, b], expr, { scalars: [value], into });
  const op = defineComposite({
    name,
    compose: (x: Tensor, a: Tensor, b: Tensor, options: ValueOptions = {}) => call(x, a, b, options),
    *samples(random: Random): Iterable<[x: Tensor, a: Tensor, b: Tensor, options?: ValueOptions]> {
      yield [random([2, 3]), random([2, 3]), random([2, 3], { low: 0.5, high: 2 })];
      yield [random([2, 3]), random([2, 1]), random([3], { low: 0.5, high: 2 }), { value: -0.5 }];
    },
  });
  return Object.assign(op, { inPlace: (x: Tensor, a: Tensor, b: Tensor, options: ValueOptions = {}) => call(x, a, b, options, [x]) });
}
/** x + value · a · b. */
export const addcmul: Fused = fused('addcmul', (a, b) => a.mul(b));
/** x + value · a / b. */
export const addcdiv: Fused = fused('addcdiv', (a, b) => a.div(b));

const maskedForm = forms('maskedFill', (x, mask, value) => ({ expr: mask && value ? mask.select(value, x) : x }));
function fillMasked(x: Tensor, mask: Tensor, value: TensorOrNumber, into?: readonly Tensor[]): Tensor {
  checkMask('maskedFill', mask);
  if (typeof value !== 'number' && value.ndim > 0)
    throw new LibError('shape', `maskedFill: the value must be a number or a 0-d tensor, got shape ${formatShape(value.shape)}.`);
  return maskedForm(x, mask, value, x.dtype, into);
}

/** x with `value` (a number or a 0-d tensor) wherever the bool mask, which broadcasts, is true. */
export const maskedFill: Pointwise<[x: Tensor, mask: Tensor, value: TensorOrNumber]> = Object.assign(
  defineComposite({
    name: 'maskedFill',
    compose: (x: Tensor, mask: Tensor, value: TensorOrNumber) => fillMasked(x, mask, value),
    torch: { call: 'a[0].masked_fill(*a[1:])' },
    *samples(random): Iterable<[x: Tensor, mask: Tensor, value: TensorOrNumber]> {
      yield [random([2, 3]), random.bool([2, 3]), -1];
      yield [random([2, 3]), random.bool([3]), random([])];
    },
    *errors(random): Iterable<readonly [[x: Tensor, mask: Tensor, value: TensorOrNumber], string]> {
      yield [[random([3]), random([3]), 0], 'must be of type bool'];
      yield [[random([3]), random.bool([3]), random([1])], 'a number or a 0-d tensor, got shape (1,)'];
    },
  }),
  { inPlace: (x: Tensor, mask: Tensor, value: TensorOrNumber) => fillMasked(x, mask, value, [x]) },
);
