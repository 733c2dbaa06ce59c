import { LibError } from '../core/errors.js';
import { sameShape } from '../core/shape.js';
import { cat } from '../ops/join.js';
import { noGrad } from '../tensor/autograd.js';
import { onesLike, zerosLike } from '../tensor/creation.js';
import { rand, randperm } from '../tensor/random.js';
import type { Tensor } from '../tensor/tensor.js';
import type { AnyModule, Parameter, StateDict } from './module.js';

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
  /** How much: a share in [0, 1], or a number of weights where it is an integer above 1. */
  readonly amount: number;
  /** Weights that are pruned already; the amount is of the others. Default: none. */
  readonly masks?: Masks;
}

/** How many of `count` weights an amount is (1 is all of them, as a share). */
function countOf(op: string, amount: number, count: number): number {
  if (amount >= 0 && amount <= 1) return Math.round(amount * count);
  if (Number.isInteger(amount) && amount > 1 && amount <= count) return amount;
  throw new LibError('value', `${op}: amount must be a share in [0, 1] or an integer up to the ${count} weights, got ${amount}.`);
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
    const ranks = all.argsort().argsort();
    const keep = ranks.ge(count);
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

/** The `amount` smallest weights of one parameter, by size (torch.nn.utils.prune.l1_unstructured). */
export function l1Unstructured(parameter: Parameter, options: PruneOptions): Masks {
  return globalUnstructured([parameter], options);
}

/** The `amount` smallest weights of all parameters together, by size (torch.nn.utils.prune.global_unstructured with L1Unstructured). */
export function globalUnstructured(parameters: Iterable<Parameter>, options: PruneOptions): Masks {
  const list = [...parameters];
  const sizes = noGrad(() => list.map((p) => p.detach().abs()));
  return lowest('globalUnstructured', list, sizes, options);
}

/** Any `amount` weights of all parameters together (torch.nn.utils.prune.random_unstructured). */
export function randomUnstructured(parameters: Iterable<Parameter>, options: PruneOptions): Masks {
  const list = [...parameters];
  const scores = noGrad(() => list.map((p) => rand(p.shape, { dtype: p.dtype, device: p.device })));
  return lowest('randomUnstructured', list, scores, options);
}

export interface StructuredOptions {
  readonly amount: number;
  /** Which norm. Default 2. */
  readonly n?: number;
  /** The dim whose slices are pruned whole. Default 0: units, filters. */
  readonly dim?: number;
}

/** The `amount` slices of one parameter with the smallest norm (torch.nn.utils.prune.ln_structured). */
export function lnStructured(parameter: Parameter, { amount, n = 2, dim = 0 }: StructuredOptions): Masks {
  return noGrad(() => {
    const along = dim < 0 ? dim + parameter.ndim : dim;
    const size = parameter.shape[along];
    if (size === undefined) throw new LibError('value', `lnStructured: dim must be one of ${parameter.ndim}, got ${dim}.`);
    const others = parameter.shape.map((_, d) => d).filter((d) => d !== along);
    const norms = parameter.detach().norm({ p: n, dim: others });
    const keep = norms
      .argsort()
      .argsort()
      .ge(countOf('lnStructured', amount, size));
    const mask = keep.reshape(parameter.shape.map((_, d) => (d === along ? size : 1))).to(parameter.dtype);
    return new Masks([[parameter, zerosLike(parameter).add(mask)]]);
  });
}

/** Any `amount` slices of one parameter (torch.nn.utils.prune.random_structured). */
export function randomStructured(parameter: Parameter, { amount, dim = 0 }: Omit<StructuredOptions, 'n'>): Masks {
  return noGrad(() => {
    const size = parameter.sizeAt(dim);
    const order = randperm(size, { device: parameter.device });
    const keep = order.ge(countOf('randomStructured', amount, size));
    const along = dim < 0 ? dim + parameter.ndim : dim;
    const mask = keep.reshape(parameter.shape.map((_, d) => (d === along ? size : 1))).to(parameter.dtype);
    return new Masks([[parameter, zerosLike(parameter).add(mask)]]);
  });
}

/** A mask that prunes nothing, to begin with (torch.nn.utils.prune.identity). */
export const identity = (parameter: Parameter): Masks => new Masks([[parameter, onesLike(parameter).detach()]]);

/** A mask made elsewhere: 1 stays, 0 is pruned (torch.nn.utils.prune.custom_from_mask). */
export function customFromMask(parameter: Parameter, mask: Tensor): Masks {
  if (!sameShape(mask.shape, parameter.shape))
    throw new LibError(
      'shape',
      `customFromMask: the mask must have the parameter's shape, got (${mask.shape.join(', ')}) for (${parameter.shape.join(', ')}).`,
    );
  return new Masks([[parameter, mask.detach().ne(0).to(parameter.dtype)]]);
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
