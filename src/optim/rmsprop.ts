import type { Expr } from '../expr/expr.js';
import type { Parameter } from '../nn/module.js';
import type { LiveScalars } from '../ops/define.js';
import { zerosLike } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkNonNegative, checkNumber, type Given, type Group, Optimizer, type Params, withDefaults } from './optimizer.js';
import { defineUpdate, runUpdate, type Update } from './update.js';

export interface RMSpropOptions {
  /** Step size. Default 1e-2. */
  readonly lr?: number;
  /** Decay rate of the average of squared gradients. Default 0.99. */
  readonly alpha?: number;
  /** Default 1e-8. */
  readonly eps?: number;
  /** L2 penalty added to the gradient. Default 0. */
  readonly weightDecay?: number;
  /** Share of the last step that is kept. Default 0. */
  readonly momentum?: number;
  /** Divide by the deviation of the gradient instead of its root mean square. Default false. */
  readonly centered?: boolean;
  /** Climb instead of descend. Default false. */
  readonly maximize?: boolean;
  /** √(v + eps) instead of √v + eps, as in TensorFlow. Default false. */
  readonly epsInsideRoot?: boolean;
}
type Full = Required<RMSpropOptions>;

type Inputs = 'param' | 'grad' | 'squareAvg';
type Scalars = 'lr' | 'alpha' | 'fresh' | 'epsInside' | 'epsOutside' | 'l2' | 'momentum';
type Symbols<K extends string> = { readonly [N in K]: Expr };

const inputs = ['param', 'grad', 'squareAvg'] as const;
const scalars = ['lr', 'alpha', 'fresh', 'epsInside', 'epsOutside', 'l2', 'momentum'] as const;

function squares({ param, grad, squareAvg }: Symbols<Inputs>, { alpha, fresh, l2 }: Symbols<Scalars>) {
  const g = grad.add(param.mul(l2));
  return { g, v: squareAvg.mul(alpha).add(g.mul(g).mul(fresh)) };
}
const root = (v: Expr, { epsInside, epsOutside }: Symbols<Scalars>): Expr => v.add(epsInside).sqrt().add(epsOutside);

const plain: Update<Inputs, Scalars, 'param' | 'squareAvg'> = defineUpdate('rmsprop', inputs, scalars, (t, s) => {
  const { g, v } = squares(t, s);
  return { param: t.param.sub(g.div(root(v, s)).mul(s.lr)), squareAvg: v };
});

const withMomentum: Update<Inputs | 'momentumBuffer', Scalars, 'param' | 'squareAvg' | 'momentumBuffer'> = defineUpdate(
  'rmspropMomentum',
  [...inputs, 'momentumBuffer'],
  scalars,
  (t, s) => {
    const { g, v } = squares(t, s);
    const buffer = t.momentumBuffer.mul(s.momentum).add(g.div(root(v, s)));
    return { param: t.param.sub(buffer.mul(s.lr)), squareAvg: v, momentumBuffer: buffer };
  },
);

const centered: Update<Inputs | 'gradAvg', Scalars, 'param' | 'squareAvg' | 'gradAvg'> = defineUpdate(
  'rmspropCentered',
  [...inputs, 'gradAvg'],
  scalars,
  (t, s) => {
    const { g, v } = squares(t, s);
    const mean = t.gradAvg.add(g.sub(t.gradAvg).mul(s.fresh));
    return { param: t.param.sub(g.div(root(v.sub(mean.mul(mean)), s)).mul(s.lr)), squareAvg: v, gradAvg: mean };
  },
);

type Everything = Inputs | 'gradAvg' | 'momentumBuffer';
const centeredMomentum: Update<Everything, Scalars, Exclude<Everything, 'grad'>> = defineUpdate(
  'rmspropCenteredMomentum',
  [...inputs, 'gradAvg', 'momentumBuffer'],
  scalars,
  (t, s) => {
    const { g, v } = squares(t, s);
    const mean = t.gradAvg.add(g.sub(t.gradAvg).mul(s.fresh));
    const buffer = t.momentumBuffer.mul(s.momentum).add(g.div(root(v.sub(mean.mul(mean)), s)));
    return { param: t.param.sub(buffer.mul(s.lr)), squareAvg: v, gradAvg: mean, momentumBuffer: buffer };
  },
);

function nextNumbers(state: { step: number }, group: Group<Full>): LiveScalars {
  return (out, at) => {
    state.step += 1;
    out[at] = group.lr;
    out[at + 1] = group.alpha;
    out[at + 2] = 1 - group.alpha;
    out[at + 3] = group.epsInsideRoot ? group.eps : 0;
    out[at + 4] = group.epsInsideRoot ? 0 : group.eps;
    out[at + 5] = group.weightDecay;
    out[at + 6] = group.momentum;
  };
}

interface State extends Record<string, Tensor | number> {
  step: number;
  squareAvg: Tensor;
}

const defaults: Full = {
  lr: 1e-2,
  alpha: 0.99,
  eps: 1e-8,
  weightDecay: 0,
  momentum: 0,
  centered: false,
  maximize: false,
  epsInsideRoot: false,
};

/** Steps divided by a running root mean square of the gradient (Hinton 2012; torch.optim.RMSprop). */
export class RMSprop extends Optimizer<Full> {
  constructor(params: Params<Full>, options: Given<RMSpropOptions> = {}) {
    super('RMSprop', params, withDefaults('RMSprop', defaults, options));
  }

  protected override check(group: Group<Full>): void {
    super.check(group);
    checkNumber('RMSprop', 'alpha', group.alpha, (v) => v >= 0 && v <= 1, 'in [0, 1]');
    checkNonNegative('RMSprop', group, ['eps', 'weightDecay', 'momentum']);
  }

  protected update(p: Parameter, grad: Tensor, group: Group<Full>): void {
    const state = this.stateOf<State>(p, () => ({
      step: 0,
      squareAvg: zerosLike(p),
      ...(group.momentum > 0 && { momentumBuffer: zerosLike(p) }),
      ...(group.centered && { gradAvg: zerosLike(p) }),
    })) as State & { gradAvg?: Tensor; momentumBuffer?: Tensor };
    const tensors = { param: p, grad, squareAvg: state.squareAvg };
    const numbers = nextNumbers(state, group);
    const { gradAvg, momentumBuffer } = state;
    if (gradAvg && momentumBuffer) runUpdate(centeredMomentum, { ...tensors, gradAvg, momentumBuffer }, numbers);
    else if (gradAvg) runUpdate(centered, { ...tensors, gradAvg }, numbers);
    else if (momentumBuffer) runUpdate(withMomentum, { ...tensors, momentumBuffer }, numbers);
    else runUpdate(plain, tensors, numbers);
  }
}
