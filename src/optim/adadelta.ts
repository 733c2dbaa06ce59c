import type { Parameter } from '../nn/module.js';
import type { LiveScalars } from '../ops/define.js';
import { zerosLike } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkNonNegative, checkNumber, type Given, type Group, Optimizer, type Params, withDefaults } from './optimizer.js';
import { defineUpdate, runUpdate, type Update } from './update.js';

export interface AdadeltaOptions {
  /** Scales the steps. Default 1. */
  readonly lr?: number;
  /** Decay rate of both averages. Default 0.9. */
  readonly rho?: number;
  /** Added under both roots. Default 1e-6. */
  readonly eps?: number;
  /** L2 penalty added to the gradient. Default 0. */
  readonly weightDecay?: number;
  /** Climb instead of descend. Default false. */
  readonly maximize?: boolean;
}
type Full = Required<AdadeltaOptions>;
type Inputs = 'param' | 'grad' | 'squareAvg' | 'accDelta';

const adadelta: Update<Inputs, 'lr' | 'rho' | 'fresh' | 'eps' | 'l2', Exclude<Inputs, 'grad'>> = defineUpdate(
  'adadelta',
  ['param', 'grad', 'squareAvg', 'accDelta'],
  ['lr', 'rho', 'fresh', 'eps', 'l2'],
  ({ param, grad, squareAvg, accDelta }, { lr, rho, fresh, eps, l2 }) => {
    const g = grad.add(param.mul(l2));
    const v = squareAvg.mul(rho).add(g.mul(g).mul(fresh));
    const delta = accDelta.add(eps).sqrt().div(v.add(eps).sqrt()).mul(g);
    return { param: param.sub(delta.mul(lr)), squareAvg: v, accDelta: accDelta.mul(rho).add(delta.mul(delta).mul(fresh)) };
  },
);

function nextNumbers(state: { step: number }, group: Group<Full>): LiveScalars {
  return (out, at) => {
    state.step += 1;
    out[at] = group.lr;
    out[at + 1] = group.rho;
    out[at + 2] = 1 - group.rho;
    out[at + 3] = group.eps;
    out[at + 4] = group.weightDecay;
  };
}

const defaults: Full = { lr: 1, rho: 0.9, eps: 1e-6, weightDecay: 0, maximize: false };

/** Steps in the units of the parameter: a running size of steps over one of gradients (Zeiler 2012; torch.optim.Adadelta). */
export class Adadelta extends Optimizer<Full> {
  constructor(params: Params<Full>, options: Given<AdadeltaOptions> = {}) {
    super('Adadelta', params, withDefaults('Adadelta', defaults, options));
  }

  protected override check(group: Group<Full>): void {
    super.check(group);
    checkNumber('Adadelta', 'rho', group.rho, (v) => v >= 0 && v <= 1, 'in [0, 1]');
    checkNonNegative('Adadelta', group, ['eps', 'weightDecay']);
  }

  protected update(p: Parameter, grad: Tensor, group: Group<Full>): void {
    const state = this.stateOf(p, () => ({ step: 0, squareAvg: zerosLike(p), accDelta: zerosLike(p) }));
    const { squareAvg, accDelta } = state;
    runUpdate(adadelta, { param: p, grad, squareAvg, accDelta }, nextNumbers(state, group));
  }
}
