import { LibError } from '../core/errors.js';
import type { Parameter } from '../nn/module.js';
import type { SparseRows } from '../nn/sparseRows.js';
import type { LiveScalars } from '../ops/define.js';
import { zerosLike } from '../tensor/creation.js';
import { checkBetas, checkNumber, type Given, type Group, Optimizer, type Params, withDefaults } from './optimizer.js';
import { runOnRows } from './sparse.js';
import { defineUpdate, type Update } from './update.js';

export interface SparseAdamOptions {
  /** Step size. Default 1e-3. */
  readonly lr?: number;
  /** Decay rates of the averages of the gradient and of its square. Default [0.9, 0.999]. */
  readonly betas?: readonly [number, number];
  /** Added to the root of the second average. Default 1e-8. */
  readonly eps?: number;
  /** Climb instead of descend. Default false. */
  readonly maximize?: boolean;
}
type Full = Required<SparseAdamOptions>;
type Inputs = 'param' | 'grad' | 'expAvg' | 'expAvgSq';

const sparseAdam: Update<Inputs, 'stepSize' | 'fresh1' | 'fresh2' | 'eps', Exclude<Inputs, 'grad'>> = defineUpdate(
  'sparseAdam',
  ['param', 'grad', 'expAvg', 'expAvgSq'],
  ['stepSize', 'fresh1', 'fresh2', 'eps'],
  ({ param, grad, expAvg, expAvgSq }, { stepSize, fresh1, fresh2, eps }) => {
    const m = expAvg.add(grad.sub(expAvg).mul(fresh1));
    const v = expAvgSq.add(grad.mul(grad).sub(expAvgSq).mul(fresh2));
    return { param: param.sub(m.div(v.sqrt().add(eps)).mul(stepSize)), expAvg: m, expAvgSq: v };
  },
);

function nextNumbers(state: { step: number }, group: Group<Full>): LiveScalars {
  return (out, at) => {
    state.step += 1;
    const [beta1, beta2] = [group.betas[0], group.betas[1]];
    out[at] = (group.lr * Math.sqrt(1 - beta2 ** state.step)) / (1 - beta1 ** state.step);
    out[at + 1] = 1 - beta1;
    out[at + 2] = 1 - beta2;
    out[at + 3] = group.eps;
  };
}

const defaults: Full = { lr: 1e-3, betas: [0.9, 0.999], eps: 1e-8, maximize: false };

/** Adam that updates, and lets decay, only the rows that the gradient of a sparse embedding names (torch.optim.SparseAdam). */
export class SparseAdam extends Optimizer<Full> {
  constructor(params: Params<Full>, options: Given<SparseAdamOptions> = {}) {
    super('SparseAdam', params, withDefaults('SparseAdam', defaults, options));
  }

  protected override check(group: Group<Full>): void {
    super.check(group);
    checkBetas('SparseAdam', group.betas);
    checkNumber('SparseAdam', 'eps', group.eps, (v) => v > 0, 'a finite number > 0');
  }

  protected update(): void {
    throw new LibError('grad', 'SparseAdam: gradients must be rows of an embedding, got a dense one.', 'use Adam for it.');
  }

  protected override updateRows(p: Parameter, grad: SparseRows, group: Group<Full>): void {
    const state = this.stateOf(p, () => ({ step: 0, expAvg: zerosLike(p), expAvgSq: zerosLike(p) }));
    runOnRows(sparseAdam, p, grad, { expAvg: state.expAvg, expAvgSq: state.expAvgSq }, nextNumbers(state, group));
  }
}
