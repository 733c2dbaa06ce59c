import { cached } from '../core/cache.js';
import { computeType, type DType, isFloat, promote, promoteNumber } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import { type Expr, input, scalar } from '../expr/expr.js';
import { tensor } from '../tensor/creation.js';
import { isTensor, type Tensor } from '../tensor/tensor.js';
import { type AnyRow, defineComposite, type Op, type Random, type TorchName } from './define.js';
import { type MapParams, map } from './map.js';

/** Builders of the pointwise rows: an expression, and the few facts that are not in it. */

/** How the result's type follows from the operands' type. `float`: integers become float32, as in PyTorch's exp. */
export type ResultType = 'same' | 'float' | 'bool';

export interface UnaryRule {
  expr(x: Expr): Expr;
  /** The gradient from (output gradient, input, output), when it should not be the symbolic one. */
  grad?(g: Expr, x: Expr, y: Expr): Expr | null;
  /** Default 'float'. */
  readonly result?: ResultType;
  /** The expression for bool tensors, where it is another one. */
  bools?(x: Expr): Expr;
  /** The expression for integer and bool tensors, where it is another one. */
  ints?(x: Expr): Expr;
  /** Where samples are drawn from; default [-2, 2]. */
  readonly domain?: readonly [low: number, high: number];
  /** Further places to sample: far out, near zero, special points. Gradients are checked there too. */
  readonly points?: readonly number[];
  /** Element types refused, with this word in the error: `bitwiseNot` of floats. */
  readonly only?: 'int';
  /** Tensors of type bool are refused, with this hint. */
  readonly noBools?: string;
  readonly kinks?: boolean;
  readonly torch?: TorchName | null;
}

/** A row of one tensor. Adds `name_` in-place methods through the table's installer. */
export function unary(name: string, rule: UnaryRule): Pointwise<[x: Tensor]> {
  const paramsByType = new Map<DType, MapParams>();
  // Built when it is first asked for: a program uses few of the rows.
  const paramsFor = (dtype: DType): MapParams =>
    cached(paramsByType, dtype, () => {
      if (dtype === 'bool' && rule.noBools !== undefined)
        throw new LibError('dtype', `${name}: the tensor must not be of type bool, got bool.`, rule.noBools);
      const form = (dtype === 'bool' ? rule.bools : undefined) ?? (isFloat(dtype) ? undefined : rule.ints) ?? rule.expr;
      const slopes = rule.grad && { slopes: [rule.grad(input(1), input(0), input(2))] };
      return { name, expr: form(input(0)), ...typesOf(name, dtype, rule.result ?? 'float', rule.only), ...slopes };
    });
  const op = defineComposite({
    name,
    compose: (x: Tensor) => map([x], paramsFor(x.dtype)),
    differentiable: (rule.result ?? 'float') !== 'bool' && rule.only === undefined,
    ...(rule.kinks !== undefined && { kinks: rule.kinks }),
    ...(rule.torch !== undefined && { torch: rule.torch }),
    *samples(random: Random): Iterable<[x: Tensor]> {
      const [low, high] = rule.domain ?? [-2, 2];
      const make = (shape: readonly number[]): Tensor =>
        rule.only === 'int' ? random.integers(shape, -5, 6) : random(shape, { low, high });
      yield [make([5])];
      yield [make([2, 3, 4])];
      yield [make([])];
      yield [make([0, 3])];
      if (rule.points) yield [tensor(rule.points)];
    },
    *errors(random: Random): Iterable<readonly [[x: Tensor], string]> {
      yield [[2 as unknown as Tensor], 'x must be a tensor, got 2'];
      if (rule.only === 'int') yield [[random([2])], 'must be of integer or bool type'];
      if (rule.noBools !== undefined) yield [[random.bool([2])], 'must not be of type bool'];
    },
  });
  return Object.assign(op, { inPlace: (x: Tensor) => map([x], paramsFor(x.dtype), undefined, [x]) });
}

/** An op that can also write its result over its first argument. */
export type Pointwise<Args extends readonly unknown[]> = Op<Args> & {
  /** @internal */ readonly inPlace: (...args: Args) => Tensor;
};
/** @internal Any of them. */
export interface InPlace {
  readonly inPlace: (...args: never[]) => Tensor;
}

/** @internal The result's and the arithmetic's type, from the operands' promoted type. */
export function typesOf(
  name: string,
  dtype: DType,
  result: ResultType,
  only?: 'int',
): { dtype: DType; compute: ReturnType<typeof computeType> } {
  if (only === 'int' && isFloat(dtype)) throw new LibError('dtype', `${name}: the tensors must be of integer or bool type, got ${dtype}.`);
  const working = result === 'float' && !isFloat(dtype) ? 'float32' : dtype;
  return { dtype: result === 'bool' ? 'bool' : working, compute: computeType(working) };
}

export type TensorOrNumber = Tensor | number;

/** For fixtures of rows whose PyTorch namesakes take no numbers: the second argument becomes a 0-d tensor. */
export const asTensor = (name: string): TorchName => ({ call: `torch.${name}(a[0], torch.as_tensor(a[1]))` });

export interface BinaryRule {
  expr(a: Expr, b: Expr): Expr;
  grad?(g: Expr, a: Expr, b: Expr, y: Expr): readonly [Expr | null, Expr | null];
  /** The expression for integers, where it is another one. */
  ints?(a: Expr, b: Expr): Expr;
  /** Default 'same' (after promotion). */
  readonly result?: ResultType;
  readonly domain?: readonly [low: number, high: number];
  /** Further pairs to sample. */
  readonly points?: readonly (readonly [a: number, b: number])[];
  readonly only?: 'int';
  readonly kinks?: boolean;
  readonly torch?: TorchName | null;
}

/** A row of two operands that broadcast; either may be a number, which then does not take part in shapes or graphs. */
export function binary(name: string, rule: BinaryRule): Pointwise<[a: Tensor, b: TensorOrNumber]> {
  const forms = binaryForms(name, rule);
  const op = defineComposite({
    name,
    compose: (a: Tensor, b: TensorOrNumber) => forms(a, b),
    differentiable: rule.result !== 'bool' && rule.only === undefined,
    ...(rule.kinks !== undefined && { kinks: rule.kinks }),
    ...(rule.torch !== undefined && { torch: rule.torch }),
    *samples(random: Random): Iterable<[a: Tensor, b: TensorOrNumber]> {
      const [low, high] = rule.domain ?? [-2, 2];
      const make = (shape: readonly number[]): Tensor =>
        rule.only === 'int' ? random.integers(shape, 0, 6) : random(shape, { low, high });
      yield [make([4]), make([4])];
      yield [make([2, 3]), make([3])]; // broadcasts
      yield [make([2, 1]), make([1, 3])];
      yield [make([2, 2, 3]), make([1, 3])];
      yield [make([2, 3]), rule.only === 'int' ? 3 : 1.5];
      yield [make([]), make([2])];
      yield [make([0, 2]), make([2])];
      if (rule.points) yield [tensor(rule.points.map(([a]) => a)), tensor(rule.points.map(([, b]) => b))];
    },
    *errors(random: Random): Iterable<readonly [[a: Tensor, b: TensorOrNumber], string]> {
      const make = (shape: readonly number[]): Tensor => (rule.only === 'int' ? random.integers(shape, 0, 6) : random(shape));
      yield [[make([2, 3]), make([4])], 'do not broadcast'];
      yield [[2 as unknown as Tensor, make([2])], 'a must be a tensor, got 2'];
      yield [[make([2]), 'one' as unknown as Tensor], "b must be a tensor or a number, got 'one'"];
      if (rule.only === 'int') yield [[random([2]), random([2])], 'must be of integer or bool type'];
    },
  });
  return Object.assign(op, { inPlace: (a: Tensor, b: TensorOrNumber) => forms(a, b, [a]) });
}

/** The forms of a binary call: tensor-tensor, and a number on the right. */
function binaryForms(name: string, rule: BinaryRule): (a: Tensor, b: TensorOrNumber, into?: readonly Tensor[]) => Tensor {
  const both = paramsByType(name, rule, input(1));
  const right = paramsByType(name, rule, scalar(0));
  return (a, b, into) => {
    if (!isTensor(a)) throw noTensor(name, a);
    if (typeof b === 'number') {
      return map([a], right(promoteNumber(a.dtype, b)), [b], into);
    }
    if (!isTensor(b)) throw noTensor(name, b, 'second', 'a tensor or a number');
    return map([a, b], both(promoteTensors(a, b)), undefined, into);
  };
}

/** The parameters of a binary map for each type; `b` is an input, or a scalar. */
function paramsByType(name: string, rule: BinaryRule, b: Expr): (dtype: DType) => MapParams {
  const known = new Map<DType, MapParams>();
  const n = b.node.kind === 'input' ? 2 : 1;
  return (dtype) =>
    cached(known, dtype, () => {
      const form = (isFloat(dtype) ? undefined : rule.ints) ?? rule.expr;
      const slopes = rule.grad && { slopes: rule.grad(input(n), input(0), b, input(n + 1)).slice(0, n) };
      return { name, expr: form(input(0), b), ...typesOf(name, dtype, rule.result ?? 'same', rule.only), ...slopes };
    });
}

/** @internal The error of a call with something else where a tensor should be. */
export function noTensor(op: string, got: unknown, which = 'first', what = 'a tensor'): LibError {
  const facts = typeof got === 'object' && got !== null ? 'an object' : `${got}`;
  return new LibError('value', `${op}: the ${which} argument must be ${what}, got ${facts}.`);
}

/** PyTorch's promotion: a 0-d tensor counts like a number, so only its category can change the other's type. */
export function promoteTensors(a: Tensor, b: Tensor): DType {
  if (a.dtype === b.dtype) return a.dtype;
  const higher = promote(a.dtype, b.dtype);
  const [shaped, scalarLike] = b.ndim === 0 && a.ndim > 0 ? [a, b] : a.ndim === 0 && b.ndim > 0 ? [b, a] : [null, null];
  if (shaped === null || scalarLike === null || isFloat(shaped.dtype) !== isFloat(scalarLike.dtype)) return higher;
  if (shaped.dtype === 'bool') return higher;
  return shaped.dtype;
}

export type { AnyRow };
