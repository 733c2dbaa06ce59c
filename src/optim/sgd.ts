import { LibError } from '../core/errors.js';
import type { Expr } from '../expr/expr.js';
import type { Parameter } from '../nn/module.js';
import type { LiveScalars } from '../ops/define.js';
import { zerosLike } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkNumber, type Group, Optimizer, type Params, withDefaults } from './optimizer.js';
import { defineUpdate, runUpdate, type Update } from './update.js';

export interface SGDOptions {
  /** Step size. Default 1e-3. */
  readonly lr?: number;
  /** Share of the last step's direction that is kept. Default 0. */
  readonly momentum?: number;
  /** How much of the new gradient is held back. Default 0. */
  readonly dampening?: number;
  /** L2 penalty added to the gradient. Default 0. */
  readonly weightDecay?: number;
  /** Look ahead along the momentum (Sutskever et al. 2013). Needs momentum > 0 and no dampening. Default false. */
  readonly nesterov?: boolean;
  /** Climb instead of descend. Default false. */
  readonly maximize?: boolean;
}
type Full = Required<SGDOptions>;
type Scalars = 'lr' | 'weightDecay' | 'momentum' | 'fresh';

const scalars = ['lr', 'weightDecay', 'momentum', 'fresh'] as const;
const decayed = (param: Expr, grad: Expr, weightDecay: Expr): Expr => grad.add(param.mul(weightDecay));

const plain: Update<'param' | 'grad', Scalars, 'param'> = defineUpdate('sgd', ['param', 'grad'], scalars, ({ param, grad }, s) => ({
  param: param.sub(decayed(param, grad, s.weightDecay).mul(s.lr)),
}));

type MomentumUpdate = Update<'param' | 'grad' | 'momentumBuffer', Scalars, 'param' | 'momentumBuffer'>;

const withMomentum = (name: string, nesterov: boolean): MomentumUpdate =>
  defineUpdate(
    name,
    ['param', 'grad', 'momentumBuffer'],
    scalars,
    ({ param, grad, momentumBuffer }, { lr, weightDecay, momentum, fresh }) => {
      const g = decayed(param, grad, weightDecay);
      const buffer = momentumBuffer.mul(momentum).add(g.mul(fresh));
      const direction = nesterov ? g.add(buffer.mul(momentum)) : buffer;
      return { param: param.sub(direction.mul(lr)), momentumBuffer: buffer };
    },
  );

const heavyBall: MomentumUpdate = withMomentum('sgdMomentum', false);
const nesterovUpdate: MomentumUpdate = withMomentum('sgdNesterov', true);
const defaults: Full = { lr: 1e-3, momentum: 0, dampening: 0, weightDecay: 0, nesterov: false, maximize: false };

/** Writes the numbers of a step, in the order of `scalars`; `first` is about the first call only. */
function nextNumbers(group: Group<Full>, first: boolean): LiveScalars {
  let whole = first;
  return (out, at) => {
    out[at] = group.lr;
    out[at + 1] = group.weightDecay;
    out[at + 2] = group.momentum;
    out[at + 3] = whole ? 1 : 1 - group.dampening;
    whole = false;
  };
}

/** Stochastic gradient descent with momentum and Nesterov's variant, as PyTorch defines them (torch.optim.SGD). */
export class SGD extends Optimizer<Full> {
  constructor(params: Params<Full>, options: SGDOptions = {}) {
    super('SGD', params, withDefaults('SGD', defaults, options));
  }

  protected override check(group: Group<Full>): void {
    super.check(group);
    for (const key of ['momentum', 'weightDecay'] as const) checkNumber('SGD', key, group[key], (v) => v >= 0, 'a finite number >= 0');
    checkNumber('SGD', 'dampening', group.dampening, () => true, 'a finite number');
    if (group.nesterov && (group.momentum <= 0 || group.dampening !== 0)) {
      throw new LibError(
        'value',
        `SGD: nesterov needs momentum > 0 and dampening 0, got momentum ${group.momentum}, dampening ${group.dampening}.`,
      );
    }
  }

  protected update(p: Parameter, gradient: Tensor, group: Group<Full>): void {
    const grad = group.maximize ? gradient.neg() : gradient;
    if (group.momentum === 0) {
      runUpdate(plain, { param: p, grad }, nextNumbers(group, false));
      return;
    }
    const known = this.state.get(p) as { momentumBuffer: Tensor } | undefined;
    // The first step takes the gradient whole, as PyTorch does: the buffer starts as a copy of it.
    const { momentumBuffer } = known ?? this.stateOf(p, () => ({ momentumBuffer: zerosLike(p) }));
    const numbers = nextNumbers(group, known === undefined);
    runUpdate(group.nesterov ? nesterovUpdate : heavyBall, { param: p, grad, momentumBuffer }, numbers);
  }
}
