import { LibError } from '../core/errors.js';
import { cat } from '../ops/join.js';
import { noGrad } from '../tensor/autograd.js';
import { onesLike } from '../tensor/creation.js';
import { rand } from '../tensor/random.js';
import type { Tensor } from '../tensor/tensor.js';
import { type AnyModule, Module, type Parameter, type StateDict } from './module.js';
import {
  applyMethod,
  type BasePruningMethod,
  CustomFromMask,
  countOf,
  Identity,
  type ImportanceOptions,
  L1Unstructured,
  LnStructured,
  PruningContainer,
  RandomStructured,
  RandomUnstructured,
  withoutLowest,
} from './pruneMethods.js';

export {
  BasePruningMethod,
  CustomFromMask,
  Identity,
  type ImportanceOptions,
  isPruned,
  L1Unstructured,
  LnStructured,
  PruningContainer,
  type PruningType,
  RandomStructured,
  RandomUnstructured,
  remove,
} from './pruneMethods.js';

/**
 * Each function has two forms: of a module and a parameter's name, as in PyTorch, where the parameter reads as its masked self from then
 * on; and of parameters, where the {@link Masks} come back to be applied when you say so.
 */

/** Which weights of which parameters stay: 1, or 0 where they are pruned. */
export class Masks {
  constructor(readonly entries: readonly (readonly [parameter: Parameter, mask: Tensor])[]) {}

  /** Sets pruned weights to zero. Call it after each step of the optimizer, or {@link attach} and call it once. */
  apply_(): void {
    noGrad(() => {
      for (const [p, mask] of this.entries) p.mul_(mask);
    });
  }

  /**
   * Prunes now and keeps gradients of pruned weights at zero, so that steps without momentum from before, and without growth of their
   * own, leave them there. Returns a function that ends it.
   */
  attach(): () => void {
    this.apply_();
    const removers = this.entries.map(([p, mask]) => p.registerHook((g) => g.mul(mask)));
    return () => {
      for (const remove of removers) remove();
    };
  }

  /** The share of weights that are pruned. Reads values. */
  sparsity(): number {
    return noGrad(() => {
      const kept = this.entries.reduce((n, [, mask]) => n + mask.sum().itemNow(), 0);
      return 1 - kept / this.entries.reduce((n, [, mask]) => n + mask.size, 0);
    });
  }
}

export interface PruneOptions {
  /** How much: a share in [0, 1), or a number of weights from 1 on. */
  readonly amount: number;
  /** Weights that are pruned already; the amount is of the others. Default: none. */
  readonly masks?: Masks;
}

/** Scores in which what is pruned already comes first. */
const unpruned = (scores: Tensor, mask: Tensor | null): Tensor => (mask === null ? scores : scores.maskedFill(mask.eq(0), -1));

/** Masks without the `amount` lowest of all scores together. A mask before makes its zeros stay. */
function lowest(op: string, parameters: readonly Parameter[], scores: readonly Tensor[], { amount, masks }: PruneOptions): Masks {
  if (parameters.length === 0) throw new LibError('value', `${op}: there must be parameters to prune, got none.`);
  return noGrad(() => {
    const before = parameters.map((p) => masks?.entries.find(([q]) => q === p)?.[1] ?? null);
    const all = cat(scores.map((s, i) => unpruned(s, before[i] ?? null).reshape([-1])));
    const pruned = before.reduce((n, mask) => n + (mask === null ? 0 : mask.size - mask.sum().itemNow()), 0);
    const count = pruned + countOf(op, amount, all.size - pruned);
    const keep = withoutLowest(all, count);
    let at = 0;
    return new Masks(
      parameters.map((p) => {
        const mask = keep.narrow(0, at, p.size).reshape(p.shape).to(p.dtype);
        at += p.size;
        return [p, mask] as const;
      }),
    );
  });
}

const isModule = (value: unknown): value is AnyModule => value instanceof Module;
function pruned<M extends AnyModule>(module: M, name: string, method: BasePruningMethod, options?: ImportanceOptions): M {
  applyMethod(module, name, method, options);
  return module;
}

/** The `amount` smallest weights of one parameter, by size (torch.nn.utils.prune.l1_unstructured). */
export function l1Unstructured<M extends AnyModule>(module: M, name: string, amount: number, options?: ImportanceOptions): M;
export function l1Unstructured(parameter: Parameter, options: PruneOptions): Masks;
export function l1Unstructured(
  target: AnyModule | Parameter,
  second: string | PruneOptions,
  amount = 0,
  options?: ImportanceOptions,
): AnyModule | Masks {
  return isModule(target)
    ? pruned(target, second as string, new L1Unstructured(amount), options)
    : globalUnstructured([target], second as PruneOptions);
}

type Place = readonly [module: AnyModule, name: string];
export interface GlobalOptions {
  readonly amount: number;
  /** What is compared instead of the weights, one tensor for each of them; null: the weights. */
  readonly importanceScores?: readonly (Tensor | null)[];
}
/**
 * The `amount` smallest weights of all parameters together, by size; of modules by any unstructured method
 * (torch.nn.utils.prune.global_unstructured).
 */
export function globalUnstructured(
  places: Iterable<Place>,
  pruningMethod: new (amount: number) => BasePruningMethod,
  options: GlobalOptions,
): void;
export function globalUnstructured(parameters: Iterable<Parameter>, options: PruneOptions): Masks;
export function globalUnstructured(
  items: Iterable<Place> | Iterable<Parameter>,
  second: PruneOptions | (new (amount: number) => BasePruningMethod),
  options?: GlobalOptions,
): Masks | undefined {
  if (typeof second === 'function') {
    pruneTogether([...(items as Iterable<Place>)], new second(options?.amount ?? 0), options?.importanceScores ?? []);
    return undefined;
  }
  const list = [...(items as Iterable<Parameter>)];
  const scores = noGrad(() => list.map((p) => p.detach().abs()));
  return lowest('globalUnstructured', list, scores, second);
}

/** One method over all parameters end to end, then each part of the mask to its place. */
function pruneTogether(places: readonly Place[], method: BasePruningMethod, scores: readonly (Tensor | null)[]): void {
  if (method.pruningType !== 'unstructured')
    throw new LibError('value', `globalUnstructured: the method must be unstructured, got ${method.pruningType}.`);
  if (places.length === 0) throw new LibError('value', 'globalUnstructured: there must be parameters to prune, got none.');
  noGrad(() => {
    const at = ([module, name]: Place, suffix = ''): Tensor | undefined =>
      (module as unknown as Readonly<Record<string, Tensor | undefined>>)[name + suffix];
    const weights = places.map((place) => (at(place) as Tensor).detach());
    const flat = (parts: readonly Tensor[]): Tensor => cat(parts.map((t) => t.reshape([-1])));
    const before = flat(places.map((place, i) => at(place, 'Mask') ?? onesLike(weights[i] as Tensor)));
    const mask = new PruningContainer(method).computeMask(flat(weights.map((w, i) => scores[i] ?? w)), before);
    let from = 0;
    places.forEach(([module, name], i) => {
      const { size, shape } = weights[i] as Tensor;
      applyMethod(module, name, new CustomFromMask(mask.narrow(0, from, size).reshape(shape)));
      from += size;
    });
  });
}

/** Any `amount` weights of all parameters together (torch.nn.utils.prune.random_unstructured). */
export function randomUnstructured<M extends AnyModule>(module: M, name: string, amount: number): M;
export function randomUnstructured(parameters: Iterable<Parameter>, options: PruneOptions): Masks;
export function randomUnstructured(target: AnyModule | Iterable<Parameter>, second: string | PruneOptions, amount = 0): AnyModule | Masks {
  if (isModule(target)) return pruned(target, second as string, new RandomUnstructured(amount));
  const list = [...target];
  const scores = noGrad(() => list.map((p) => rand(p.shape, { dtype: p.dtype, device: p.device })));
  return lowest('randomUnstructured', list, scores, second as PruneOptions);
}

export interface StructuredOptions {
  readonly amount: number;
  /** Which norm. Default 2. */
  readonly n?: number;
  /** The dim whose slices are pruned whole. Default 0: units, filters. */
  readonly dim?: number;
}

const masksOf = (parameter: Parameter, method: BasePruningMethod): Masks =>
  noGrad(() => new Masks([[parameter, method.computeMask(parameter.detach(), onesLike(parameter).detach())]]));

/** The `amount` slices of one parameter with the smallest norm (torch.nn.utils.prune.ln_structured). */
export function lnStructured<M extends AnyModule>(
  module: M,
  name: string,
  amount: number,
  n: number,
  dim: number,
  options?: ImportanceOptions,
): M;
export function lnStructured(parameter: Parameter, options: StructuredOptions): Masks;
export function lnStructured(
  target: AnyModule | Parameter,
  second: string | StructuredOptions,
  amount = 0,
  n = 2,
  dim = 0,
  options?: ImportanceOptions,
): AnyModule | Masks {
  if (isModule(target)) return pruned(target, second as string, new LnStructured(amount, n, dim), options);
  const given = second as StructuredOptions;
  return masksOf(target, new LnStructured(given.amount, given.n ?? 2, given.dim ?? 0));
}

/** Any `amount` slices of one parameter (torch.nn.utils.prune.random_structured). */
export function randomStructured<M extends AnyModule>(module: M, name: string, amount: number, dim: number): M;
export function randomStructured(parameter: Parameter, options: Omit<StructuredOptions, 'n'>): Masks;
export function randomStructured(
  target: AnyModule | Parameter,
  second: string | Omit<StructuredOptions, 'n'>,
  amount = 0,
  dim = 0,
): AnyModule | Masks {
  if (isModule(target)) return pruned(target, second as string, new RandomStructured(amount, dim));
  const given = second as StructuredOptions;
  return masksOf(target, new RandomStructured(given.amount, given.dim ?? 0));
}

/** A mask that prunes nothing, to begin with (torch.nn.utils.prune.identity). */
export function identity<M extends AnyModule>(module: M, name: string): M;
export function identity(parameter: Parameter): Masks;
export function identity(target: AnyModule | Parameter, name = ''): AnyModule | Masks {
  return isModule(target) ? pruned(target, name, new Identity()) : masksOf(target, new Identity());
}

/** A mask made elsewhere: 1 stays, 0 is pruned (torch.nn.utils.prune.custom_from_mask). */
export function customFromMask<M extends AnyModule>(module: M, name: string, mask: Tensor): M;
export function customFromMask(parameter: Parameter, mask: Tensor): Masks;
export function customFromMask(target: AnyModule | Parameter, second: string | Tensor, mask?: Tensor): AnyModule | Masks {
  return isModule(target)
    ? pruned(target, second as string, new CustomFromMask(mask as Tensor))
    : masksOf(target, new CustomFromMask(second as Tensor));
}

export interface LotteryTicketOptions {
  /** Trains the model to the end; `masks` must be applied after each step. */
  readonly train: (masks: Masks, round: number) => void | Promise<void>;
  /** How often the model is pruned. Default 5. */
  readonly rounds?: number;
  /** Share of the weights left that each round prunes. Default 0.2. */
  readonly amount?: number;
  /** What is pruned. Default: parameters of two or more dims. */
  readonly parameters?: readonly Parameter[];
  /** Prune at random instead of by size: a control. Default false. */
  readonly random?: boolean;
}

/**
 * The lottery-ticket procedure (Frankle & Carbin 2019): train, prune the smallest weights, put the survivors back to their initial values,
 * and again. The model is left rewound and pruned, ready for a last training; returns its masks.
 * The other control, a ticket with new initial values, is: initialize the model anew, then `masks.apply_()`.
 */
export async function lotteryTicket(model: AnyModule, options: LotteryTicketOptions): Promise<Masks> {
  const { train, rounds = 5, amount = 0.2, random = false } = options;
  if (!Number.isInteger(rounds) || rounds < 1)
    throw new LibError('value', `lotteryTicket: rounds must be a positive integer, got ${rounds}.`);
  const parameters = options.parameters ?? model.parameters().filter((p) => p.ndim > 1);
  const initial: StateDict = noGrad(() => new Map([...model.stateDict()].map(([name, t]) => [name, t.detach().clone()])));
  let masks = globalUnstructured(parameters, { amount: 0 });
  for (let round = 0; round < rounds; round++) {
    await train(masks, round);
    masks = (random ? randomUnstructured : globalUnstructured)(parameters, { amount, masks });
    model.loadStateDict(initial);
    masks.apply_();
  }
  return masks;
}
