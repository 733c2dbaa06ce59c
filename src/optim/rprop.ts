import { LibError } from '../core/errors.js';
import type { Parameter } from '../nn/module.js';
import type { LiveScalars } from '../ops/define.js';
import { fullLike, zerosLike } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { type Given, type Group, Optimizer, type Params, withDefaults } from './optimizer.js';
import { defineUpdate, runUpdate, type Update } from './update.js';

export interface RpropOptions {
  /** The first step of every element. Default 1e-2. */
  readonly lr?: number;
  /** What a step is multiplied by when the gradient has changed its sign, and when it has not. Default [0.5, 1.2]. */
  readonly etas?: readonly [number, number];
  /** Smallest and largest step. Default [1e-6, 50]. */
  readonly stepSizes?: readonly [number, number];
  /** Climb instead of descend. Default false. */
  readonly maximize?: boolean;
}
type Full = Required<RpropOptions>;
type Inputs = 'param' | 'grad' | 'prev' | 'stepSize';

const rprop: Update<Inputs, 'etaMinus' | 'etaPlus' | 'smallest' | 'largest', Exclude<Inputs, 'grad'>> = defineUpdate(
  'rprop',
  ['param', 'grad', 'prev', 'stepSize'],
  ['etaMinus', 'etaPlus', 'smallest', 'largest'],
  ({ param, grad, prev, stepSize }, { etaMinus, etaPlus, smallest, largest }) => {
    const agreement = grad.mul(prev);
    const turned = agreement.less(0);
    const factor = turned.select(etaMinus, agreement.constant(0).less(agreement).select(etaPlus, 1));
    const size = stepSize.mul(factor).max(smallest).min(largest);
    const g = turned.select(0, grad); // after a turn the element waits for one step
    return { param: param.sub(g.sign().mul(size)), prev: g, stepSize: size };
  },
);

function nextNumbers(state: { step: number }, { etas, stepSizes }: Group<Full>): LiveScalars {
  return (out, at) => {
    state.step += 1;
    out[at] = etas[0];
    out[at + 1] = etas[1];
    out[at + 2] = stepSizes[0];
    out[at + 3] = stepSizes[1];
  };
}

const defaults: Full = { lr: 1e-2, etas: [0.5, 1.2], stepSizes: [1e-6, 50], maximize: false };

/** Steps by the signs of gradients alone, for full batches (Riedmiller & Braun 1993; torch.optim.Rprop). */
export class Rprop extends Optimizer<Full> {
  constructor(params: Params<Full>, options: Given<RpropOptions> = {}) {
    super('Rprop', params, withDefaults('Rprop', defaults, options));
  }

  protected override check(group: Group<Full>): void {
    super.check(group);
    const [minus, plus] = group.etas;
    if (!(minus > 0 && minus < 1 && plus > 1)) {
      throw new LibError('value', `Rprop: etas must be in (0, 1) and above 1, got ${minus} and ${plus}.`);
    }
    const [smallest, largest] = group.stepSizes;
    if (!(smallest >= 0 && largest >= smallest)) {
      throw new LibError('value', `Rprop: stepSizes must be 0 <= smallest <= largest, got ${smallest} and ${largest}.`);
    }
  }

  protected update(p: Parameter, grad: Tensor, group: Group<Full>): void {
    const state = this.stateOf(p, () => ({ step: 0, prev: zerosLike(p), stepSize: fullLike(p, group.lr) }));
    runUpdate(rprop, { param: p, grad, prev: state.prev, stepSize: state.stepSize }, nextNumbers(state, group));
  }
}
