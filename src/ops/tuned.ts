import { isFloat, promoteNumber } from '../core/dtype.js';
import { type Expr, input, scalar } from '../expr/expr.js';
import { tensor } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { defineComposite, type Random, type TorchName } from './define.js';
import { type Pointwise, type ResultType, typesOf } from './elementwise.js';
import { type MapParams, map } from './map.js';

/** What a pointwise row of one tensor and some numbers says of itself. */
export interface TunedRule<Rest extends readonly unknown[]> {
  /** The numbers that the expression reads, from the call's other arguments. Defaults live here. */
  numbers(x: Tensor, ...rest: Rest): readonly number[];
  expr(x: Expr, ...numbers: Expr[]): Expr;
  /** The expression for integers, where it is another one. */
  ints?(x: Expr, ...numbers: Expr[]): Expr;
  /** The gradient from (output gradient, input, output, numbers), when it should not be the symbolic one. */
  grad?(g: Expr, x: Expr, y: Expr, ...numbers: Expr[]): Expr | null;
  /** Default 'float'. `promoted`: as the numbers demand, so that an integer tensor meets a fraction as a float. */
  readonly result?: ResultType | 'promoted';
  readonly domain?: readonly [low: number, high: number];
  readonly points?: readonly number[];
  /** The other arguments of the sample calls. */
  readonly calls: readonly Rest[];
  /** Other arguments that must throw, and a phrase of the error. */
  readonly wrong?: readonly (readonly [rest: Rest, says: string])[];
  readonly kinks?: boolean;
  readonly torch?: TorchName | null;
}

const MOST_NUMBERS = 4;

/**
 * A row of one tensor and some numbers (options, thresholds). The numbers are read at each run, so that calls which differ in them
 * alone run the same program.
 */
export function tuned<Rest extends readonly unknown[]>(name: string, rule: TunedRule<Rest>): Pointwise<[x: Tensor, ...rest: Rest]> {
  const numbers = Array.from({ length: MOST_NUMBERS }, (_, i) => scalar(i));
  const expr = rule.expr(input(0), ...numbers);
  const intExpr = rule.ints?.(input(0), ...numbers) ?? expr;
  const slopes = rule.grad ? { slopes: [rule.grad(input(1), input(0), input(2), ...numbers)] } : {};
  const result = rule.result ?? 'float';
  const paramsByType = new Map<string, MapParams>();
  const call = (x: Tensor, rest: Rest, into?: readonly Tensor[]): Tensor => {
    const scalars = rule.numbers(x, ...rest);
    const dtype = result === 'promoted' ? scalars.filter(Number.isFinite).reduce(promoteNumber, x.dtype) : x.dtype;
    let params = paramsByType.get(dtype);
    if (params === undefined) {
      params = { name, expr: isFloat(dtype) ? expr : intExpr, ...typesOf(name, dtype, result === 'promoted' ? 'same' : result), ...slopes };
      paramsByType.set(dtype, params);
    }
    return map([x], params, scalars, into);
  };
  const op = defineComposite({
    name,
    compose: (x: Tensor, ...rest: Rest) => call(x, rest),
    differentiable: result !== 'bool',
    ...(rule.kinks !== undefined && { kinks: rule.kinks }),
    ...(rule.torch !== undefined && { torch: rule.torch }),
    *samples(random: Random): Iterable<[x: Tensor, ...rest: Rest]> {
      const [low, high] = rule.domain ?? [-2, 2];
      for (const [i, rest] of rule.calls.entries()) yield [random(i === 0 ? [7] : [2, 3], { low, high }), ...rest];
      const first = rule.calls[0];
      if (rule.points && first) yield [tensor(rule.points), ...first];
    },
    *errors(random: Random): Iterable<readonly [[x: Tensor, ...rest: Rest], string]> {
      for (const [rest, says] of rule.wrong ?? []) yield [[random([3]), ...rest], says];
    },
  });
  return Object.assign(op, { inPlace: (x: Tensor, ...rest: Rest) => call(x, rest, [x]) });
}
