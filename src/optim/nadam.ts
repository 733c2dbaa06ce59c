import type { Parameter } from '../nn/module.js';
import type { LiveScalars } from '../ops/define.js';
import { zerosLike } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkBetas, checkNonNegative, type Given, type Group, Optimizer, type Params, withDefaults } from './optimizer.js';
import { defineUpdate, runUpdate, type Update } from './update.js';

export interface NAdamOptions {
  /** Step size. Default 2e-3. */
  readonly lr?: number;
  /** Decay rates of the averages of the gradient and of its square. Default [0.9, 0.999]. */
  readonly betas?: readonly [number, number];
  /** Added to the root of the second average. Default 1e-8. */
  readonly eps?: number;
  /** L2 penalty added to the gradient, or decay apart from it. Default 0. */
  readonly weightDecay?: number;
  /** How fast the momentum rises from betas[0] / 2 to betas[0]: mu(t) = betas[0] (1 - 0.96^(t · momentumDecay) / 2). Default 4e-3. */
  readonly momentumDecay?: number;
  /** Weight decay apart from the gradient, as in AdamW. Default false. */
  readonly decoupledWeightDecay?: boolean;
  /** Climb instead of descend. Default false. */
  readonly maximize?: boolean;
  /** false: the momentum is betas[0] from the first step on. Default true, as in PyTorch. */
  readonly momentumSchedule?: boolean;
}
type Full = Required<NAdamOptions>;
type Inputs = 'param' | 'grad' | 'expAvg' | 'expAvgSq';
type Scalars = 'gradStep' | 'avgStep' | 'fresh1' | 'beta2' | 'fresh2' | 'correction2' | 'eps' | 'keep' | 'l2';

const nadam: Update<Inputs, Scalars, Exclude<Inputs, 'grad'>> = defineUpdate(
  'nadam',
  ['param', 'grad', 'expAvg', 'expAvgSq'],
  ['gradStep', 'avgStep', 'fresh1', 'beta2', 'fresh2', 'correction2', 'eps', 'keep', 'l2'],
  ({ param, grad, expAvg, expAvgSq }, s) => {
    const g = grad.add(param.mul(s.l2));
    const m = expAvg.add(g.sub(expAvg).mul(s.fresh1));
    const v = expAvgSq.mul(s.beta2).add(g.mul(g).mul(s.fresh2));
    const root = v.div(s.correction2).sqrt().add(s.eps);
    const next = param.mul(s.keep).sub(g.div(root).mul(s.gradStep)).sub(m.div(root).mul(s.avgStep));
    return { param: next, expAvg: m, expAvgSq: v };
  },
);

const momentumAt = ({ betas, momentumDecay, momentumSchedule }: Group<Full>, t: number): number =>
  momentumSchedule ? betas[0] * (1 - 0.5 * 0.96 ** (t * momentumDecay)) : betas[0];

function nextNumbers(state: { step: number; muProduct: number }, group: Group<Full>): LiveScalars {
  return (out, at) => {
    state.step += 1;
    const { lr, weightDecay } = group;
    const [mu, next] = [momentumAt(group, state.step), momentumAt(group, state.step + 1)];
    state.muProduct *= mu;
    out[at] = (lr * (1 - mu)) / (1 - state.muProduct);
    out[at + 1] = (lr * next) / (1 - state.muProduct * next);
    out[at + 2] = 1 - group.betas[0];
    out[at + 3] = group.betas[1];
    out[at + 4] = 1 - group.betas[1];
    out[at + 5] = 1 - group.betas[1] ** state.step;
    out[at + 6] = group.eps;
    out[at + 7] = group.decoupledWeightDecay ? 1 - lr * weightDecay : 1;
    out[at + 8] = group.decoupledWeightDecay ? 0 : weightDecay;
  };
}

const defaults: Full = {
  lr: 2e-3,
  betas: [0.9, 0.999],
  eps: 1e-8,
  weightDecay: 0,
  momentumDecay: 4e-3,
  decoupledWeightDecay: false,
  maximize: false,
  momentumSchedule: true,
};

/** Adam with Nesterov's momentum (Dozat 2016; torch.optim.NAdam). */
export class NAdam extends Optimizer<Full> {
  constructor(params: Params<Full>, options: Given<NAdamOptions> = {}) {
    super('NAdam', params, withDefaults('NAdam', defaults, options));
  }

  protected override check(group: Group<Full>): void {
    super.check(group);
    checkBetas('NAdam', group.betas);
    checkNonNegative('NAdam', group, ['eps', 'weightDecay', 'momentumDecay']);
  }

  protected update(p: Parameter, grad: Tensor, group: Group<Full>): void {
    const state = this.stateOf(p, () => ({ step: 0, muProduct: 1, expAvg: zerosLike(p), expAvgSq: zerosLike(p) }));
    const { expAvg, expAvgSq } = state;
    runUpdate(nadam, { param: p, grad, expAvg, expAvgSq }, nextNumbers(state, group));
  }
}
