import { LibError } from '../core/errors.js';
import { type AnyModule, Buffer, Module, type StateDict } from '../nn/module.js';
import { noGrad } from '../tensor/autograd.js';
import { zeros } from '../tensor/creation.js';
import { isTensor, type Tensor } from '../tensor/tensor.js';
import { checkNumber } from './optimizer.js';
import { defineUpdate, runUpdate, type Update } from './update.js';

/** The next average, from the average, the current value and how many were averaged before. */
export type AverageFn = (averaged: Tensor, current: Tensor, count: number) => Tensor;

/** The same for all tensors of a kind at once, written into `averaged`. */
export type MultiAverageFn = (averaged: readonly Tensor[], current: readonly Tensor[], count: number) => void;

export interface AveragedModelOptions {
  /** Exponential moving average: the share of the average that each update keeps. Default: an equal weight for each update. */
  readonly decay?: number;
  /** Any other rule. Runs with each update, so inside compile() it must not depend on the count. */
  readonly avgFn?: AverageFn;
  /** Any other rule, for all tensors at once. */
  readonly multiAvgFn?: MultiAverageFn;
  /** Average buffers too, instead of copying them. Default false. */
  readonly useBuffers?: boolean;
}

/** `share` 1 copies, exactly. */
const follow: Update<'averaged' | 'current', 'share', 'averaged'> = defineUpdate(
  'averageWeights',
  ['averaged', 'current'],
  ['share'],
  ({ averaged, current }, { share }) => ({
    averaged: share.equal(1).select(current, averaged.add(current.sub(averaged).mul(share))),
  }),
);

/**
 * A copy of a model whose weights are an average over training: equally weighted (SWA, Izmailov et al. 2018) or exponentially
 * (EMA) (torch.optim.swa_utils.AveragedModel). Batch norm needs {@link updateBn} afterwards, or `useBuffers`.
 * @example
 * const model = new Linear(2, 1);
 * const ema = new AveragedModel(model, { decay: 0.99 });
 * ema.updateParameters(model); // after each step of the optimizer
 * ema.forward(zeros([1, 2]));
 */
export class AveragedModel<Inputs extends readonly unknown[], Output> extends Module<Inputs, Output> {
  readonly module: Module<Inputs, Output>;
  readonly nAveraged: Buffer = new Buffer(zeros([], { dtype: 'int32' }));
  private readonly rule: { readonly decay: number | null; readonly avgFn: AverageFn | null; readonly useBuffers: boolean };
  /** `nAveraged`, known here. */
  private readonly tally = { count: 0 };

  constructor(model: Module<Inputs, Output>, { decay, avgFn, multiAvgFn, useBuffers = false }: AveragedModelOptions = {}) {
    super();
    if (decay !== undefined) checkNumber('AveragedModel', 'decay', decay, (v) => v >= 0 && v <= 1, 'in [0, 1]');
    const rules = Object.entries({ decay, avgFn, multiAvgFn }).flatMap(([name, rule]) => (rule === undefined ? [] : [name]));
    if (rules.length > 1) throw new LibError('option', `AveragedModel: there must be one rule of averaging, got ${rules.join(' and ')}.`);
    this.module = model.clone();
    this.rule = { decay: decay ?? null, avgFn: avgFn ?? (multiAvgFn ? one(multiAvgFn) : null), useBuffers };
  }

  override forward(...inputs: Inputs): Output {
    return this.module.forward(...inputs);
  }

  /** Takes the weights of `model` into the average; the first time, they are it. */
  updateParameters(model: AnyModule): void {
    const [own, given] = [[...this.module.namedParameters()], [...model.namedParameters()]];
    const [ownBuffers, givenBuffers] = [[...this.module.namedBuffers()], [...model.namedBuffers()]];
    if (own.length !== given.length || ownBuffers.length !== givenBuffers.length) {
      throw new LibError('state', `AveragedModel: the model must be of the same kind, got ${given.length} parameters for ${own.length}.`);
    }
    noGrad(() => {
      const pairs = own.map(([, p], i) => [p, given[i]?.[1] as Tensor] as const);
      const buffers = ownBuffers.map(([, b], i) => [b, givenBuffers[i]?.[1] as Tensor] as const);
      const isAveraged = ([b]: readonly [Tensor, Tensor]): boolean => this.rule.useBuffers && b.dtype.startsWith('float');
      const averaged = [...pairs, ...buffers.filter(isAveraged)];
      averaged.forEach(([mine, theirs], i) => {
        this.average(mine, theirs, i === 0);
      });
      for (const pair of buffers) if (!isAveraged(pair)) pair[0].copy_(pair[1]);
      this.nAveraged.add_(1);
    });
  }

  private average(averaged: Tensor, current: Tensor, counts: boolean): void {
    const { decay, avgFn } = this.rule;
    if (avgFn !== null) {
      const before = this.tally.count - (counts ? 0 : 1);
      averaged.copy_(before === 0 ? current : avgFn(averaged.detach(), current.detach(), before));
      if (counts) this.tally.count++;
      return;
    }
    runUpdate(follow, { averaged, current }, (out, at) => {
      if (counts) this.tally.count++;
      out[at] = this.tally.count === 1 ? 1 : decay === null ? 1 / this.tally.count : 1 - decay;
    });
  }

  override loadStateDict(state: StateDict, options: { readonly strict?: boolean } = {}): void {
    super.loadStateDict(state, options);
    this.tally.count = this.nAveraged.itemNow();
  }
}

/** A rule for all tensors, for each of them: what it writes, it writes into a copy. */
const one =
  (rule: MultiAverageFn): AverageFn =>
  (averaged, current, count) => {
    const next = averaged.clone();
    rule([next], [current], count);
    return next;
  };

/** averaged · decay + current · (1 - decay), as an `avgFn` (torch.optim.swa_utils.get_ema_avg_fn). */
export function getEmaAvgFn(decay = 0.999): AverageFn {
  checkNumber('getEmaAvgFn', 'decay', decay, (v) => v >= 0 && v <= 1, 'in [0, 1]');
  return (averaged, current) => averaged.mul(decay).add(current.mul(1 - decay));
}

/** The mean of all updates, as an `avgFn` (torch.optim.swa_utils.get_swa_avg_fn). */
export function getSwaAvgFn(): AverageFn {
  return (averaged, current, count) => averaged.add(current.sub(averaged).div(count + 1));
}

/** What {@link updateBn} changes in a batch norm while it runs. */
interface Tracking {
  momentum: number | null;
  readonly runningMean: Tensor;
  readonly runningVar: Tensor;
  readonly numBatchesTracked: Tensor;
}

const isTracking = (m: object): boolean =>
  ['runningMean', 'runningVar', 'numBatchesTracked'].every((key) => isTensor((m as Readonly<Record<string, unknown>>)[key]));

/**
 * Measures the statistics of all batch norms anew, in one pass over `loader`: tensors, or arrays whose first item is the input
 * (torch.optim.swa_utils.update_bn).
 */
export async function updateBn(loader: Iterable<unknown> | AsyncIterable<unknown>, model: AnyModule): Promise<void> {
  const norms = model.modules().filter(isTracking) as unknown as Tracking[];
  if (norms.length === 0) return;
  const momenta = norms.map((m) => m.momentum);
  const modes = model.modules().map((m) => [m, m.training] as const);
  noGrad(() => {
    for (const m of norms) {
      m.runningMean.zero_();
      m.runningVar.fill_(1);
      m.numBatchesTracked.zero_();
      m.momentum = null; // every batch counts the same
    }
  });
  model.train();
  try {
    for await (const batch of loader) {
      const input = Array.isArray(batch) ? batch[0] : batch;
      noGrad(() => void (model as Module<readonly unknown[], unknown>).forward(input));
    }
  } finally {
    norms.forEach((m, i) => {
      m.momentum = momenta[i] ?? null;
    });
    for (const [m, training] of modes) m.training = training;
  }
}
/** {@link getEmaAvgFn} as a `multiAvgFn` (torch.optim.swa_utils.get_ema_multi_avg_fn). */
export const getEmaMultiAvgFn = (decay = 0.999): MultiAverageFn => many(getEmaAvgFn(decay));
/** {@link getSwaAvgFn} as a `multiAvgFn` (torch.optim.swa_utils.get_swa_multi_avg_fn). */
export const getSwaMultiAvgFn = (): MultiAverageFn => many(getSwaAvgFn());
const many =
  (rule: AverageFn): MultiAverageFn =>
  (averaged, current, count) => {
    averaged.forEach((mine, i) => {
      mine.copy_(rule(mine, current[i] as Tensor, count));
    });
  };
