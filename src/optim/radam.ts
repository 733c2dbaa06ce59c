import type { Parameter } from '../nn/module.js';
import type { LiveScalars } from '../ops/define.js';
import { zerosLike } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkBetas, checkNonNegative, type Given, type Group, Optimizer, type Params, withDefaults } from './optimizer.js';
import { defineUpdate, runUpdate, type Update } from './update.js';

export interface RAdamOptions {
  /** Step size. Default 1e-3. */
  readonly lr?: number;
  /** Decay rates of the averages of the gradient and of its square. Default [0.9, 0.999]. */
  readonly betas?: readonly [number, number];
  /** Added to the root of the second average. Default 1e-8. */
  readonly eps?: number;
  /** L2 penalty added to the gradient, or decay apart from it. Default 0. */
  readonly weightDecay?: number;
  /** Weight decay apart from the gradient, as in AdamW. Default false. */
  readonly decoupledWeightDecay?: boolean;
  /** Climb instead of descend. Default false. */
  readonly maximize?: boolean;
}
type Full = Required<RAdamOptions>;
type Inputs = 'param' | 'grad' | 'expAvg' | 'expAvgSq';
type Scalars = 'stepSize' | 'adaptive' | 'fresh1' | 'beta2' | 'fresh2' | 'eps' | 'keep' | 'l2';

const radam: Update<Inputs, Scalars, Exclude<Inputs, 'grad'>> = defineUpdate(
  'radam',
  ['param', 'grad', 'expAvg', 'expAvgSq'],
  ['stepSize', 'adaptive', 'fresh1', 'beta2', 'fresh2', 'eps', 'keep', 'l2'],
  ({ param, grad, expAvg, expAvgSq }, s) => {
    const g = grad.add(param.mul(s.l2));
    const m = expAvg.add(g.sub(expAvg).mul(s.fresh1));
    const v = expAvgSq.mul(s.beta2).add(g.mul(g).mul(s.fresh2));
    const root = s.adaptive.select(v.sqrt().add(s.eps), 1);
    return { param: param.mul(s.keep).sub(m.div(root).mul(s.stepSize)), expAvg: m, expAvgSq: v };
  },
);

/** How much of the adaptive step can be trusted after t steps; null while the second average rests on too little. */
function rectification(t: number, beta2: number): number | null {
  const longest = 2 / (1 - beta2) - 1;
  const length = longest - (2 * t * beta2 ** t) / (1 - beta2 ** t);
  if (length <= 5) return null;
  return Math.sqrt(((length - 4) * (length - 2) * longest) / ((longest - 4) * (longest - 2) * length));
}

function nextNumbers(state: { step: number }, group: Group<Full>): LiveScalars {
  return (out, at) => {
    state.step += 1;
    const { lr, weightDecay } = group;
    const [beta1, beta2] = [group.betas[0], group.betas[1]];
    const trust = rectification(state.step, beta2);
    out[at] = (lr / (1 - beta1 ** state.step)) * (trust === null ? 1 : trust * Math.sqrt(1 - beta2 ** state.step));
    out[at + 1] = trust === null ? 0 : 1;
    out[at + 2] = 1 - beta1;
    out[at + 3] = beta2;
    out[at + 4] = 1 - beta2;
    out[at + 5] = group.eps;
    out[at + 6] = group.decoupledWeightDecay ? 1 - lr * weightDecay : 1;
    out[at + 7] = group.decoupledWeightDecay ? 0 : weightDecay;
  };
}

const defaults: Full = { lr: 1e-3, betas: [0.9, 0.999], eps: 1e-8, weightDecay: 0, decoupledWeightDecay: false, maximize: false };

/** Adam whose adaptive step waits until its variance is known: warm-up by itself (Liu et al. 2020; torch.optim.RAdam). */
export class RAdam extends Optimizer<Full> {
  constructor(params: Params<Full>, options: Given<RAdamOptions> = {}) {
    super('RAdam', params, withDefaults('RAdam', defaults, options));
  }

  protected override check(group: Group<Full>): void {
    super.check(group);
    checkBetas('RAdam', group.betas);
    checkNonNegative('RAdam', group, ['eps', 'weightDecay']);
  }

  protected update(p: Parameter, grad: Tensor, group: Group<Full>): void {
    const state = this.stateOf(p, () => ({ step: 0, expAvg: zerosLike(p), expAvgSq: zerosLike(p) }));
    const { expAvg, expAvgSq } = state;
    runUpdate(radam, { param: p, grad, expAvg, expAvgSq }, nextNumbers(state, group));
  }
}
