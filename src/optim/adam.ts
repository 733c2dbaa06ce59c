import { warnOnce } from '../core/warning.js';
import type { Expr } from '../expr/expr.js';
import type { Parameter } from '../nn/module.js';
import type { LiveScalars } from '../ops/define.js';
import { zerosLike } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkBetas, checkNonNegative, type Given, type Group, Optimizer, type Params, withDefaults } from './optimizer.js';
import { defineUpdate, runUpdate, type Update } from './update.js';

export interface AdamOptions {
  /** Step size. Default 1e-3. */
  readonly lr?: number;
  /** Decay rates of the averages of the gradient and of its square. Default [0.9, 0.999]. */
  readonly betas?: readonly [number, number];
  /** Added to the root of the second average. Default 1e-8. */
  readonly eps?: number;
  /** Adam: an L2 penalty added to the gradient, default 0. AdamW: decay apart from the gradient, default 0.01. */
  readonly weightDecay?: number;
  /** Use the largest second average so far (AMSGrad, Reddi et al. 2018). Default false. */
  readonly amsgrad?: boolean;
  /** Climb instead of descend. Default false. */
  readonly maximize?: boolean;
  /** Divide the averages by what their start at zero has taken from them. Off only to study what that does. Default true. */
  readonly biasCorrection?: boolean;
}
type Full = Required<AdamOptions>;

type Inputs = 'param' | 'grad' | 'expAvg' | 'expAvgSq';
type Scalars = 'stepSize' | 'fresh1' | 'beta2' | 'fresh2' | 'eps' | 'keep' | 'l2';
type Symbols<K extends string> = { readonly [N in K]: Expr };

const inputs = ['param', 'grad', 'expAvg', 'expAvgSq'] as const;
const scalars = ['stepSize', 'fresh1', 'beta2', 'fresh2', 'eps', 'keep', 'l2'] as const;

/**
 * The recurrence, in PyTorch's order of operations but for the correction of the second average: PyTorch divides its root by a number,
 * here `stepSize` and `eps` are multiplied by that. A division an element less is a third of the time where vectors are short (WASM).
 */
function moments(
  { param, grad, expAvg, expAvgSq }: Symbols<Inputs>,
  { fresh1, beta2, fresh2, keep, l2 }: Symbols<Scalars>,
  coupled: boolean,
) {
  const g = coupled ? grad.add(param.mul(l2)) : grad;
  const expAvgNext = expAvg.add(g.sub(expAvg).mul(fresh1));
  const expAvgSqNext = expAvgSq.mul(beta2).add(g.mul(g).mul(fresh2));
  return { m: expAvgNext, v: expAvgSqNext, decayed: coupled ? param : param.mul(keep) };
}

const stepTo = (from: Expr, m: Expr, v: Expr, { stepSize, eps }: Symbols<Scalars>): Expr =>
  from.sub(m.div(v.sqrt().add(eps)).mul(stepSize));

type PlainUpdate = Update<Inputs, Scalars, 'param' | 'expAvg' | 'expAvgSq'>;
type AmsgradUpdate = Update<Inputs | 'maxExpAvgSq', Scalars, 'param' | 'expAvg' | 'expAvgSq' | 'maxExpAvgSq'>;

const plain = (name: string, coupled: boolean): PlainUpdate =>
  defineUpdate(
    name,
    inputs,
    scalars,
    (t, s) => {
      const { m, v, decayed } = moments(t, s, coupled);
      return { param: stepTo(decayed, m, v, s), expAvg: m, expAvgSq: v };
    },
    { ahead: true },
  );

const amsgrad = (name: string, coupled: boolean): AmsgradUpdate =>
  defineUpdate(
    name,
    [...inputs, 'maxExpAvgSq'],
    scalars,
    (t, s) => {
      const { m, v, decayed } = moments(t, s, coupled);
      const largest = t.maxExpAvgSq.max(v);
      return { param: stepTo(decayed, m, largest, s), expAvg: m, expAvgSq: v, maxExpAvgSq: largest };
    },
    { ahead: true },
  );

const adam: PlainUpdate = plain('adam', true);
const adamw: PlainUpdate = plain('adamw', false);
const adamMax: AmsgradUpdate = amsgrad('adamAmsgrad', true);
const adamwMax: AmsgradUpdate = amsgrad('adamwAmsgrad', false);

/** Counts a step and writes its numbers, in the order of `scalars`. Makes no garbage: a replay calls it for every parameter. */
function nextNumbers(state: { step: number }, group: Group<Full>): LiveScalars {
  return (out, at) => {
    state.step += 1;
    const { lr, betas, eps, weightDecay } = group;
    const beta1 = betas[0]; // a pair taken apart would be garbage at each call
    const beta2 = betas[1];
    const t = group.biasCorrection ? state.step : Number.POSITIVE_INFINITY;
    const root = Math.sqrt(1 - beta2 ** t);
    out[at] = (lr * root) / (1 - beta1 ** t);
    out[at + 1] = 1 - beta1;
    out[at + 2] = beta2;
    out[at + 3] = 1 - beta2;
    out[at + 4] = eps * root;
    out[at + 5] = 1 - lr * weightDecay;
    out[at + 6] = weightDecay;
  };
}

abstract class AdamFamily extends Optimizer<Full> {
  protected override check(group: Group<Full>): void {
    super.check(group);
    checkBetas(this.name, group.betas);
    checkNonNegative(this.name, group, ['eps', 'weightDecay']);
  }

  /** Where the weight decay goes: apart from the gradient, or into it. */
  protected abstract readonly decoupled: boolean;

  protected update(p: Parameter, grad: Tensor, group: Group<Full>): void {
    const state = this.stateOf(p, () => {
      const fresh: Record<string, Tensor | number> = { step: 0, expAvg: zerosLike(p), expAvgSq: zerosLike(p) };
      return group.amsgrad ? { ...fresh, maxExpAvgSq: zerosLike(p) } : fresh;
    }) as { step: number; expAvg: Tensor; expAvgSq: Tensor; maxExpAvgSq?: Tensor };
    const numbers = nextNumbers(state, group);
    const { expAvg, expAvgSq, maxExpAvgSq } = state;
    if (maxExpAvgSq) runUpdate(this.decoupled ? adamwMax : adamMax, { param: p, grad, expAvg, expAvgSq, maxExpAvgSq }, numbers);
    else runUpdate(this.decoupled ? adamw : adam, { param: p, grad, expAvg, expAvgSq }, numbers);
  }
}

const adamDefaults: Full = {
  lr: 1e-3,
  betas: [0.9, 0.999],
  eps: 1e-8,
  weightDecay: 0,
  amsgrad: false,
  maximize: false,
  biasCorrection: true,
};

/** Adam (Kingma & Ba 2015), with PyTorch's defaults: `weightDecay` goes into the gradient (see {@link AdamW}). */
export class Adam extends AdamFamily {
  protected override readonly decoupled: boolean = false;
  constructor(params: Params<Full>, options: Given<AdamOptions> = {}) {
    super('Adam', params, withDefaults('Adam', adamDefaults, options));
    if (this.paramGroups.some((g) => g.weightDecay !== 0))
      warnOnce('Adam', "Adam: weightDecay is divided by the gradients' size with everything else; AdamW decays weights beside them.");
  }
}

/** Adam with decoupled weight decay (Loshchilov & Hutter 2019): the decay never passes through the averages. */
export class AdamW extends AdamFamily {
  protected override readonly decoupled: boolean = true;
  constructor(params: Params<Full>, options: Given<AdamOptions> = {}) {
    super('AdamW', params, withDefaults('AdamW', { ...adamDefaults, weightDecay: 0.01 }, options));
  }
}
