import type { Tensor } from '../tensor/tensor.js';
import { defineComposite, type Op, type Random } from './define.js';

/** Short forms of composite rows: for ops that are a few words of other ops. */

export interface ComposedMore<Args extends readonly unknown[]> {
  errors?(random: Random): readonly (readonly [args: Args, says: string])[];
  /** The Python expression of the same call, or null where PyTorch has none. */
  readonly torch?: string | null;
  readonly kinks?: boolean;
  readonly differentiable?: boolean;
}

/** A row from its name, its definition and its sample calls. */
export function composed<Args extends readonly unknown[], R = Tensor>(
  name: string,
  compose: (...args: Args) => R,
  samples: (random: Random) => readonly NoInfer<Args>[],
  { errors, torch, kinks, differentiable }: ComposedMore<NoInfer<Args>> = {},
): Op<Args, R> {
  return defineComposite<Args, R>({
    name,
    compose,
    samples,
    ...(errors && { errors }),
    ...(torch !== undefined && { torch: torch === null ? null : { call: torch } }),
    ...(kinks !== undefined && { kinks }),
    ...(differentiable !== undefined && { differentiable }),
  });
}

/** A row of another's arguments and samples, whose result is made from the other's. */
export function derived<Args extends readonly unknown[], R, S = R>(
  name: string,
  op: Op<Args, R>,
  finish: (result: R) => S,
  torch?: string | null,
): Op<Args, S> {
  const samples = (random: Random): readonly Args[] => [...(op.row.samples(random) as Iterable<Args>)];
  return composed<Args, S>(name, (...args) => finish(op(...args)), samples, {
    ...(torch !== undefined && { torch }),
    differentiable: op.row.differentiable,
  });
}
