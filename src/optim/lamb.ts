import type { Parameter } from '../nn/module.js';
import type { LiveScalars } from '../ops/define.js';
import { emptyLike, zerosLike } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkBetas, checkNonNegative, type Given, type Group, Optimizer, type Params, withDefaults } from './optimizer.js';
import { defineUpdate, runUpdate, type Update } from './update.js';

export interface LAMBOptions {
  /** Step size, relative to the size of each parameter tensor. Default 1e-3. */
  readonly lr?: number;
  /** Decay rates of the averages of the gradient and of its square. Default [0.9, 0.999]. */
  readonly betas?: readonly [number, number];
  /** Added to the root of the second average. Default 1e-6. */
  readonly eps?: number;
  /** Part of the direction: parameter times this. Default 0. */
  readonly weightDecay?: number;
  /** Climb instead of descend. Default false. */
  readonly maximize?: boolean;
}
type Full = Required<LAMBOptions>;
type Inputs = 'param' | 'grad' | 'expAvg' | 'expAvgSq' | 'direction';
type Scalars = 'fresh1' | 'beta2' | 'fresh2' | 'correction1' | 'rootCorrection2' | 'eps' | 'decay';

const directionOf: Update<Inputs, Scalars, 'expAvg' | 'expAvgSq' | 'direction'> = defineUpdate(
  'lambDirection',
  ['param', 'grad', 'expAvg', 'expAvgSq', 'direction'],
  ['fresh1', 'beta2', 'fresh2', 'correction1', 'rootCorrection2', 'eps', 'decay'],
  ({ param, grad, expAvg, expAvgSq }, s) => {
    const m = expAvg.add(grad.sub(expAvg).mul(s.fresh1));
    const v = expAvgSq.mul(s.beta2).add(grad.mul(grad).mul(s.fresh2));
    const adam = m.div(s.correction1).div(v.sqrt().div(s.rootCorrection2).add(s.eps));
    return { expAvg: m, expAvgSq: v, direction: adam.add(param.mul(s.decay)) };
  },
);

/** A step of lr times the parameter's norm; of lr times the direction where either norm is 0. */
const finish: Update<'param' | 'direction' | 'size' | 'length', 'lr', 'param'> = defineUpdate(
  'lamb',
  ['param', 'direction', 'size', 'length'],
  ['lr'],
  ({ param, direction, size, length }, { lr }) => {
    const trust = size.mul(length).equal(0).select(1, size.div(length));
    return { param: param.sub(direction.mul(trust.mul(lr))) };
  },
);

function nextNumbers(state: { step: number }, group: Group<Full>): LiveScalars {
  return (out, at) => {
    state.step += 1;
    const [beta1, beta2] = [group.betas[0], group.betas[1]];
    out[at] = 1 - beta1;
    out[at + 1] = beta2;
    out[at + 2] = 1 - beta2;
    out[at + 3] = 1 - beta1 ** state.step;
    out[at + 4] = Math.sqrt(1 - beta2 ** state.step);
    out[at + 5] = group.eps;
    out[at + 6] = group.weightDecay;
  };
}

const defaults: Full = { lr: 1e-3, betas: [0.9, 0.999], eps: 1e-6, weightDecay: 0, maximize: false };

/** Adam whose step is proportional to the size of each parameter tensor, for very large batches (You et al. 2020). */
export class LAMB extends Optimizer<Full> {
  constructor(params: Params<Full>, options: Given<LAMBOptions> = {}) {
    super('LAMB', params, withDefaults('LAMB', defaults, options));
  }

  protected override check(group: Group<Full>): void {
    super.check(group);
    checkBetas('LAMB', group.betas);
    checkNonNegative('LAMB', group, ['eps', 'weightDecay']);
  }

  protected update(p: Parameter, grad: Tensor, group: Group<Full>): void {
    const state = this.stateOf(p, () => ({ step: 0, expAvg: zerosLike(p), expAvgSq: zerosLike(p) }));
    const { expAvg, expAvgSq } = state;
    const direction = emptyLike(p);
    runUpdate(directionOf, { param: p, grad, expAvg, expAvgSq, direction }, nextNumbers(state, group));
    runUpdate(finish, { param: p, direction, size: p.norm(), length: direction.norm() }, (out, at) => {
      out[at] = group.lr;
    });
  }
}

export interface LARSOptions {
  /** Step size. Default 1e-3. */
  readonly lr?: number;
  /** Share of the last step that is kept. Default 0.9. */
  readonly momentum?: number;
  /** L2 penalty added to the gradient. Default 0. */
  readonly weightDecay?: number;
  /** Ratio of a step to its parameter tensor, at lr 1. Default 1e-3. */
  readonly trustCoefficient?: number;
  /** Added to the norm that is divided by. Default 1e-8. */
  readonly eps?: number;
  /** Climb instead of descend. Default false. */
  readonly maximize?: boolean;
}
type FullLARS = Required<LARSOptions>;
type LARSInputs = 'param' | 'grad' | 'momentumBuffer' | 'size' | 'length';

const lars: Update<LARSInputs, 'lr' | 'momentum' | 'decay' | 'trust' | 'eps', 'param' | 'momentumBuffer'> = defineUpdate(
  'lars',
  ['param', 'grad', 'momentumBuffer', 'size', 'length'],
  ['lr', 'momentum', 'decay', 'trust', 'eps'],
  ({ param, grad, momentumBuffer, size, length }, { lr, momentum, decay, trust, eps }) => {
    const scale = size
      .mul(length)
      .equal(0)
      .select(1, size.mul(trust).div(length.add(size.mul(decay)).add(eps)));
    const buffer = momentumBuffer.mul(momentum).add(grad.add(param.mul(decay)).mul(scale.mul(lr)));
    return { param: param.sub(buffer), momentumBuffer: buffer };
  },
);

const larsDefaults: FullLARS = { lr: 1e-3, momentum: 0.9, weightDecay: 0, trustCoefficient: 1e-3, eps: 1e-8, maximize: false };

/** Momentum whose steps are proportional to the size of each parameter tensor, for very large batches (You et al. 2017). */
export class LARS extends Optimizer<FullLARS> {
  constructor(params: Params<FullLARS>, options: Given<LARSOptions> = {}) {
    super('LARS', params, withDefaults('LARS', larsDefaults, options));
  }

  protected override check(group: Group<FullLARS>): void {
    super.check(group);
    checkNonNegative('LARS', group, ['momentum', 'weightDecay', 'trustCoefficient', 'eps']);
  }

  protected update(p: Parameter, grad: Tensor, group: Group<FullLARS>): void {
    const { momentumBuffer } = this.stateOf(p, () => ({ momentumBuffer: zerosLike(p) }));
    runUpdate(lars, { param: p, grad, momentumBuffer, size: p.norm(), length: grad.norm() }, (out, at) => {
      out[at] = group.lr;
      out[at + 1] = group.momentum;
      out[at + 2] = group.weightDecay;
      out[at + 3] = group.trustCoefficient;
      out[at + 4] = group.eps;
    });
  }
}
