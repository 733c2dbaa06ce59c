import type { Parameter } from '../nn/module.js';
import type { LiveScalars } from '../ops/define.js';
import { zerosLike } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkBetas, checkNonNegative, checkNumber, type Given, type Group, Optimizer, type Params, withDefaults } from './optimizer.js';
import { defineUpdate, runUpdate, type Update } from './update.js';

export interface AdaBeliefOptions {
  /** Step size. Default 1e-3. */
  readonly lr?: number;
  /** Decay rates of the averages of the gradient and of its surprise. Default [0.9, 0.999]. */
  readonly betas?: readonly [number, number];
  /** Added to the second average and to its root. Default: 1e-16 for float64, 1e-12 for other types. */
  readonly eps?: number | null;
  /** Decay apart from the gradient. Default 0. */
  readonly weightDecay?: number;
  /** Climb instead of descend. Default false. */
  readonly maximize?: boolean;
}
type Full = Required<AdaBeliefOptions>;
type Inputs = 'param' | 'grad' | 'expAvg' | 'expAvgVar';
type Scalars = 'stepSize' | 'fresh1' | 'beta2' | 'fresh2' | 'rootCorrection2' | 'eps' | 'keep';

const adabelief: Update<Inputs, Scalars, Exclude<Inputs, 'grad'>> = defineUpdate(
  'adabelief',
  ['param', 'grad', 'expAvg', 'expAvgVar'],
  ['stepSize', 'fresh1', 'beta2', 'fresh2', 'rootCorrection2', 'eps', 'keep'],
  ({ param, grad, expAvg, expAvgVar }, s) => {
    const m = expAvg.add(grad.sub(expAvg).mul(s.fresh1));
    const surprise = grad.sub(m);
    const v = expAvgVar.mul(s.beta2).add(surprise.mul(surprise).mul(s.fresh2)).add(s.eps);
    const root = v.sqrt().div(s.rootCorrection2).add(s.eps);
    return { param: param.mul(s.keep).sub(m.div(root).mul(s.stepSize)), expAvg: m, expAvgVar: v };
  },
);

function nextNumbers(state: { step: number }, group: Group<Full>, eps: number): LiveScalars {
  return (out, at) => {
    state.step += 1;
    const [beta1, beta2] = [group.betas[0], group.betas[1]];
    out[at] = group.lr / (1 - beta1 ** state.step);
    out[at + 1] = 1 - beta1;
    out[at + 2] = beta2;
    out[at + 3] = 1 - beta2;
    out[at + 4] = Math.sqrt(1 - beta2 ** state.step);
    out[at + 5] = group.eps ?? eps;
    out[at + 6] = 1 - group.lr * group.weightDecay;
  };
}

const defaults: Full = { lr: 1e-3, betas: [0.9, 0.999], eps: null, weightDecay: 0, maximize: false };

/** Adam that divides by how far gradients are from what their average foretold (Zhuang et al. 2020). */
export class AdaBelief extends Optimizer<Full> {
  constructor(params: Params<Full>, options: Given<AdaBeliefOptions> = {}) {
    super('AdaBelief', params, withDefaults('AdaBelief', defaults, options));
  }

  protected override check(group: Group<Full>): void {
    super.check(group);
    checkBetas('AdaBelief', group.betas);
    checkNonNegative('AdaBelief', group, ['weightDecay']);
    checkNumber('AdaBelief', 'eps', group.eps ?? 0, (v) => v >= 0, 'null or a finite number >= 0');
  }

  protected update(p: Parameter, grad: Tensor, group: Group<Full>): void {
    const state = this.stateOf(p, () => ({ step: 0, expAvg: zerosLike(p), expAvgVar: zerosLike(p) }));
    const { expAvg, expAvgVar } = state;
    runUpdate(adabelief, { param: p, grad, expAvg, expAvgVar }, nextNumbers(state, group, p.dtype === 'float64' ? 1e-16 : 1e-12));
  }
}
