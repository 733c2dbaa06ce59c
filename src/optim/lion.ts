import type { Parameter } from '../nn/module.js';
import type { LiveScalars } from '../ops/define.js';
import { zerosLike } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkBetas, checkNonNegative, type Given, type Group, Optimizer, type Params, withDefaults } from './optimizer.js';
import { defineUpdate, runUpdate, type Update } from './update.js';

export interface LionOptions {
  /** Step size: 3 to 10 times smaller than for AdamW. Default 1e-4. */
  readonly lr?: number;
  /** Share of the average in the step, and its decay rate. Default [0.9, 0.99]. */
  readonly betas?: readonly [number, number];
  /** Decay apart from the gradient: 3 to 10 times larger than for AdamW. Default 0. */
  readonly weightDecay?: number;
  /** Climb instead of descend. Default false. */
  readonly maximize?: boolean;
}
type Full = Required<LionOptions>;
type Inputs = 'param' | 'grad' | 'expAvg';

const lion: Update<Inputs, 'lr' | 'beta1' | 'fresh1' | 'beta2' | 'fresh2' | 'keep', 'param' | 'expAvg'> = defineUpdate(
  'lion',
  ['param', 'grad', 'expAvg'],
  ['lr', 'beta1', 'fresh1', 'beta2', 'fresh2', 'keep'],
  ({ param, grad, expAvg }, { lr, beta1, fresh1, beta2, fresh2, keep }) => {
    const direction = expAvg.mul(beta1).add(grad.mul(fresh1)).sign();
    return { param: param.mul(keep).sub(direction.mul(lr)), expAvg: expAvg.mul(beta2).add(grad.mul(fresh2)) };
  },
);

function nextNumbers(group: Group<Full>): LiveScalars {
  return (out, at) => {
    out[at] = group.lr;
    out[at + 1] = group.betas[0];
    out[at + 2] = 1 - group.betas[0];
    out[at + 3] = group.betas[1];
    out[at + 4] = 1 - group.betas[1];
    out[at + 5] = 1 - group.lr * group.weightDecay;
  };
}

const defaults: Full = { lr: 1e-4, betas: [0.9, 0.99], weightDecay: 0, maximize: false };

/** Steps of one size, by the sign of an average: one state per parameter (Chen et al. 2023). */
export class Lion extends Optimizer<Full> {
  constructor(params: Params<Full>, options: Given<LionOptions> = {}) {
    super('Lion', params, withDefaults('Lion', defaults, options));
  }

  protected override check(group: Group<Full>): void {
    super.check(group);
    checkBetas('Lion', group.betas);
    checkNonNegative('Lion', group, ['weightDecay']);
  }

  protected update(p: Parameter, grad: Tensor, group: Group<Full>): void {
    const { expAvg } = this.stateOf(p, () => ({ expAvg: zerosLike(p) }));
    runUpdate(lion, { param: p, grad, expAvg }, nextNumbers(group));
  }
}
