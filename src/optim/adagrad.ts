import { LibError } from '../core/errors.js';
import type { Parameter } from '../nn/module.js';
import type { SparseRows } from '../nn/sparseRows.js';
import type { LiveScalars } from '../ops/define.js';
import { fullLike } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkNonNegative, type Given, type Group, Optimizer, type Params, withDefaults } from './optimizer.js';
import { runOnRows } from './sparse.js';
import { defineUpdate, runUpdate, type Update } from './update.js';

export interface AdagradOptions {
  /** Step size. Default 1e-2. */
  readonly lr?: number;
  /** The step size of step t (from 0) is lr / (1 + t · lrDecay). Default 0. */
  readonly lrDecay?: number;
  /** L2 penalty added to the gradient. Default 0. */
  readonly weightDecay?: number;
  /** What the sums of squares start at. Default 0. */
  readonly initialAccumulatorValue?: number;
  /** Added to the root of the sum. Default 1e-10. */
  readonly eps?: number;
  /** Climb instead of descend. Default false. */
  readonly maximize?: boolean;
}
type Full = Required<AdagradOptions>;

const adagrad: Update<'param' | 'grad' | 'sum', 'stepSize' | 'l2' | 'eps', 'param' | 'sum'> = defineUpdate(
  'adagrad',
  ['param', 'grad', 'sum'],
  ['stepSize', 'l2', 'eps'],
  ({ param, grad, sum }, { stepSize, l2, eps }) => {
    const g = grad.add(param.mul(l2));
    const total = sum.add(g.mul(g));
    return { param: param.sub(g.div(total.sqrt().add(eps)).mul(stepSize)), sum: total };
  },
);

function nextNumbers(state: { step: number }, group: Group<Full>): LiveScalars {
  return (out, at) => {
    state.step += 1;
    out[at] = group.lr / (1 + (state.step - 1) * group.lrDecay);
    out[at + 1] = group.weightDecay;
    out[at + 2] = group.eps;
  };
}

const defaults: Full = { lr: 1e-2, lrDecay: 0, weightDecay: 0, initialAccumulatorValue: 0, eps: 1e-10, maximize: false };

/** Steps divided by the root of the sum of all squared gradients so far (Duchi et al. 2011; torch.optim.Adagrad). */
export class Adagrad extends Optimizer<Full> {
  constructor(params: Params<Full>, options: Given<AdagradOptions> = {}) {
    super('Adagrad', params, withDefaults('Adagrad', defaults, options));
  }

  protected override check(group: Group<Full>): void {
    super.check(group);
    checkNonNegative('Adagrad', group, ['lrDecay', 'weightDecay', 'initialAccumulatorValue', 'eps']);
  }

  protected update(p: Parameter, grad: Tensor, group: Group<Full>): void {
    const state = this.stateOf(p, () => ({ step: 0, sum: fullLike(p, group.initialAccumulatorValue) }));
    runUpdate(adagrad, { param: p, grad, sum: state.sum }, nextNumbers(state, group));
  }

  protected override updateRows(p: Parameter, grad: SparseRows, group: Group<Full>): void {
    if (group.weightDecay !== 0) throw new LibError('option', 'Adagrad: weightDecay needs dense gradients, got rows of an embedding.');
    const state = this.stateOf(p, () => ({ step: 0, sum: fullLike(p, group.initialAccumulatorValue) }));
    runOnRows(adagrad, p, grad, { sum: state.sum }, nextNumbers(state, group));
  }
}
