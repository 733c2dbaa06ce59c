import type { Parameter } from '../nn/module.js';
import type { LiveScalars } from '../ops/define.js';
import { zerosLike } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkBetas, checkNonNegative, type Given, type Group, Optimizer, type Params, withDefaults } from './optimizer.js';
import { defineUpdate, runUpdate, type Update } from './update.js';

export interface AdamaxOptions {
  /** Step size. Default 2e-3. */
  readonly lr?: number;
  /** Decay rates of the average gradient and of its largest size. Default [0.9, 0.999]. */
  readonly betas?: readonly [number, number];
  /** Added to the size of each gradient. Default 1e-8. */
  readonly eps?: number;
  /** L2 penalty added to the gradient. Default 0. */
  readonly weightDecay?: number;
  /** Climb instead of descend. Default false. */
  readonly maximize?: boolean;
}
type Full = Required<AdamaxOptions>;
type Inputs = 'param' | 'grad' | 'expAvg' | 'expInf';

const adamax: Update<Inputs, 'stepSize' | 'fresh1' | 'beta2' | 'eps' | 'l2', Exclude<Inputs, 'grad'>> = defineUpdate(
  'adamax',
  ['param', 'grad', 'expAvg', 'expInf'],
  ['stepSize', 'fresh1', 'beta2', 'eps', 'l2'],
  ({ param, grad, expAvg, expInf }, { stepSize, fresh1, beta2, eps, l2 }) => {
    const g = grad.add(param.mul(l2));
    const m = expAvg.add(g.sub(expAvg).mul(fresh1));
    const largest = expInf.mul(beta2).max(g.abs().add(eps));
    return { param: param.sub(m.div(largest).mul(stepSize)), expAvg: m, expInf: largest };
  },
);

function nextNumbers(state: { step: number }, group: Group<Full>): LiveScalars {
  return (out, at) => {
    state.step += 1;
    const beta1 = group.betas[0];
    out[at] = group.lr / (1 - beta1 ** state.step);
    out[at + 1] = 1 - beta1;
    out[at + 2] = group.betas[1];
    out[at + 3] = group.eps;
    out[at + 4] = group.weightDecay;
  };
}

const defaults: Full = { lr: 2e-3, betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0, maximize: false };

/** Adam with the largest recent gradient in place of its root mean square (Kingma & Ba 2015; torch.optim.Adamax). */
export class Adamax extends Optimizer<Full> {
  constructor(params: Params<Full>, options: Given<AdamaxOptions> = {}) {
    super('Adamax', params, withDefaults('Adamax', defaults, options));
  }

  protected override check(group: Group<Full>): void {
    super.check(group);
    checkBetas('Adamax', group.betas);
    checkNonNegative('Adamax', group, ['eps', 'weightDecay']);
  }

  protected update(p: Parameter, grad: Tensor, group: Group<Full>): void {
    const state = this.stateOf(p, () => ({ step: 0, expAvg: zerosLike(p), expInf: zerosLike(p) }));
    const { expAvg, expInf } = state;
    runUpdate(adamax, { param: p, grad, expAvg, expInf }, nextNumbers(state, group));
  }
}
