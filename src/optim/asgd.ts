import type { Parameter } from '../nn/module.js';
import type { LiveScalars } from '../ops/define.js';
import { zerosLike } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkNonNegative, type Given, type Group, Optimizer, type Params, withDefaults } from './optimizer.js';
import { defineUpdate, runUpdate, type Update } from './update.js';

export interface ASGDOptions {
  /** The first step size. Default 1e-2. */
  readonly lr?: number;
  /** Decay of the parameters, and of the step size. Default 1e-4. */
  readonly lambd?: number;
  /** Power of the decay of the step size: lr / (1 + lambd · lr · t)^alpha. Default 0.75. */
  readonly alpha?: number;
  /** Step from which on parameters are averaged. Default 1e6. */
  readonly t0?: number;
  /** L2 penalty added to the gradient. Default 0. */
  readonly weightDecay?: number;
  /** Climb instead of descend. Default false. */
  readonly maximize?: boolean;
}
type Full = Required<ASGDOptions>;
type Inputs = 'param' | 'grad' | 'ax';

const asgd: Update<Inputs, 'eta' | 'keep' | 'mu' | 'l2', 'param' | 'ax'> = defineUpdate(
  'asgd',
  ['param', 'grad', 'ax'],
  ['eta', 'keep', 'mu', 'l2'],
  ({ param, grad, ax }, { eta, keep, mu, l2 }) => {
    const next = param.mul(keep).sub(grad.add(param.mul(l2)).mul(eta));
    return { param: next, ax: mu.equal(1).select(next, ax.add(next.sub(ax).mul(mu))) };
  },
);

function nextNumbers(state: { step: number; eta: number; mu: number }, group: Group<Full>): LiveScalars {
  return (out, at) => {
    const { lr, lambd, alpha, t0 } = group;
    state.step += 1;
    out[at] = state.eta;
    out[at + 1] = 1 - lambd * state.eta;
    out[at + 2] = state.mu;
    out[at + 3] = group.weightDecay;
    state.eta = lr / (1 + lambd * lr * state.step) ** alpha;
    state.mu = 1 / Math.max(1, state.step - t0);
  };
}

const defaults: Full = { lr: 1e-2, lambd: 1e-4, alpha: 0.75, t0: 1e6, weightDecay: 0, maximize: false };

/** Averaged stochastic gradient descent: `state` keeps the mean `ax` of the parameters (Polyak & Juditsky 1992; torch.optim.ASGD). */
export class ASGD extends Optimizer<Full> {
  constructor(params: Params<Full>, options: Given<ASGDOptions> = {}) {
    super('ASGD', params, withDefaults('ASGD', defaults, options));
  }

  protected override check(group: Group<Full>): void {
    super.check(group);
    checkNonNegative('ASGD', group, ['lambd', 'weightDecay', 't0', 'alpha']);
  }

  protected update(p: Parameter, grad: Tensor, group: Group<Full>): void {
    const state = this.stateOf(p, () => ({ step: 0, eta: group.lr, mu: 1, ax: zerosLike(p) }));
    runUpdate(asgd, { param: p, grad, ax: state.ax }, nextNumbers(state, group));
  }
}
