import { LibError } from '../core/errors.js';
import type { Expr } from '../expr/expr.js';
import type { Parameter } from '../nn/module.js';
import type { SparseRows } from '../nn/sparseRows.js';
import type { LiveScalars } from '../ops/define.js';
import { noGrad } from '../tensor/autograd.js';
import { zerosLike } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkNonNegative, checkNumber, type Given, type Group, Optimizer, type Params, type Words, withDefaults } from './optimizer.js';
import { runOnRows } from './sparse.js';
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
  /**
   * Look ahead along the momentum (Sutskever et al. 2013). Needs momentum > 0 and no dampening. Default false. `true` is PyTorch's form,
   * whose parameters are the shifted ones; 'lookAhead' takes gradients at the shifted point, so `step` needs a closure.
   */
  readonly nesterov?: boolean | 'lookAhead';
  /** Climb instead of descend. Default false. */
  readonly maximize?: boolean;
  /**
   * What the momentum buffer v holds, for momentum m. 'sum' (default, PyTorch): v = m v + g, a step of lr v. 'rateInside':
   * v = m v + lr g, a step of v. 'average': v = m v + (1 - m) g, a step of lr v.
   */
  readonly momentumConvention?: 'sum' | 'rateInside' | 'average';
}
type Full = Required<SGDOptions>;
type Scalars = 'rate' | 'weightDecay' | 'momentum' | 'fresh';

const scalars = ['rate', 'weightDecay', 'momentum', 'fresh'] as const;
const decayed = (param: Expr, grad: Expr, weightDecay: Expr): Expr => grad.add(param.mul(weightDecay));

const plain: Update<'param' | 'grad', Scalars, 'param'> = defineUpdate(
  'sgd',
  ['param', 'grad'],
  scalars,
  ({ param, grad }, s) => ({ param: param.sub(decayed(param, grad, s.weightDecay).mul(s.rate)) }),
  { ahead: true },
);

type MomentumUpdate = Update<'param' | 'grad' | 'momentumBuffer', Scalars, 'param' | 'momentumBuffer'>;

const withMomentum = (name: string, nesterov: boolean): MomentumUpdate =>
  defineUpdate(
    name,
    ['param', 'grad', 'momentumBuffer'],
    scalars,
    ({ param, grad, momentumBuffer }, { rate, weightDecay, momentum, fresh }) => {
      const g = decayed(param, grad, weightDecay);
      const buffer = momentumBuffer.mul(momentum).add(g.mul(fresh));
      const direction = nesterov ? g.mul(fresh).add(buffer.mul(momentum)) : buffer;
      return { param: param.sub(direction.mul(rate)), momentumBuffer: buffer };
    },
    { ahead: true },
  );

const heavyBall: MomentumUpdate = withMomentum('sgdMomentum', false);
const nesterovUpdate: MomentumUpdate = withMomentum('sgdNesterov', true);

/** To where the momentum alone would carry a parameter. */
const shift: Update<'param' | 'momentumBuffer', 'rate', 'param'> = defineUpdate(
  'sgdLookAhead',
  ['param', 'momentumBuffer'],
  ['rate'],
  ({ param, momentumBuffer }, { rate }) => ({ param: param.sub(momentumBuffer.mul(rate)) }),
);

const defaults: Full = {
  lr: 1e-3,
  momentum: 0,
  dampening: 0,
  weightDecay: 0,
  nesterov: false,
  maximize: false,
  momentumConvention: 'sum',
};
const words: Words = { nesterov: ['lookAhead'] };
const conventions = ['sum', 'rateInside', 'average'];

/** How much of the buffer is a step. */
const rateOf = ({ lr, momentumConvention }: Group<Full>): number => (momentumConvention === 'rateInside' ? 1 : lr);

/** How much of a gradient enters the buffer. */
function freshOf(group: Group<Full>): number {
  if (group.momentum === 0) return 1;
  if (group.momentumConvention === 'average') return 1 - group.momentum;
  return (group.momentumConvention === 'rateInside' ? group.lr : 1) * (1 - group.dampening);
}

/** Writes the numbers of a step, in the order of `scalars`; `first` is about the first call only. */
function nextNumbers(group: Group<Full>, first: boolean): LiveScalars {
  let whole = first && group.momentumConvention === 'sum';
  return (out, at) => {
    out[at] = group.momentum === 0 ? group.lr : rateOf(group);
    out[at + 1] = group.weightDecay;
    out[at + 2] = group.momentum;
    out[at + 3] = whole ? 1 : freshOf(group);
    whole = false;
  };
}

/**
 * Stochastic gradient descent with momentum and Nesterov's variant, as PyTorch defines them (torch.optim.SGD).
 * @example
 * const w = new Parameter(tensor([1, 2]));
 * const optimizer = new SGD([w], { lr: 0.5 });
 * w.square().sum().backward();
 * optimizer.step(); // w is [0, 0]
 */
export class SGD extends Optimizer<Full> {
  constructor(params: Params<Full>, options: Given<SGDOptions> = {}) {
    super('SGD', params, withDefaults('SGD', defaults, options, words));
  }

  protected override get words(): Words {
    return words;
  }

  protected override check(group: Group<Full>): void {
    super.check(group);
    checkNonNegative('SGD', group, ['momentum', 'weightDecay']);
    checkNumber('SGD', 'dampening', group.dampening, () => true, 'a finite number');
    if (!conventions.includes(group.momentumConvention)) {
      throw new LibError('option', `SGD: momentumConvention must be one of ${conventions.join(', ')}, got '${group.momentumConvention}'.`);
    }
    if (group.nesterov !== false && (group.momentum <= 0 || group.dampening !== 0)) {
      throw new LibError(
        'value',
        `SGD: nesterov needs momentum > 0 and dampening 0, got momentum ${group.momentum}, dampening ${group.dampening}.`,
      );
    }
  }

  override step(): void;
  override step<T>(closure: () => T): T;
  override step<T>(closure?: () => T): T | undefined {
    if (closure !== undefined) return super.step(closure);
    if (this.paramGroups.some((g) => g.nesterov === 'lookAhead')) {
      throw new LibError('option', "SGD: nesterov 'lookAhead' takes gradients at another point, got step() without a closure.");
    }
    super.step();
    return undefined;
  }

  /** Runs the closure where the gradients are wanted, and brings the parameters back. */
  protected override evaluate<T>(closure: () => T): T {
    const moved = noGrad(() =>
      this.paramGroups.flatMap((group) =>
        group.nesterov !== 'lookAhead' ? [] : group.params.map((p) => [p, this.lookAhead(p, group)] as const),
      ),
    );
    const result = super.evaluate(closure);
    noGrad(() => {
      for (const [p, value] of moved) p.copy_(value);
    });
    return result;
  }

  /** Moves a parameter along its momentum and returns where it was. */
  private lookAhead(p: Parameter, group: Group<Full>): Tensor {
    const was = p.clone();
    const { momentumBuffer } = this.stateOf(p, () => ({ momentumBuffer: zerosLike(p) }));
    runUpdate(shift, { param: p, momentumBuffer }, (out, at) => {
      out[at] = rateOf(group) * group.momentum;
    });
    return was;
  }

  /** Without momentum and decay, rows that have no gradient stay as they are; otherwise all rows move. */
  protected override updateRows(p: Parameter, grad: SparseRows, group: Group<Full>): void {
    if (group.momentum !== 0 || group.weightDecay !== 0) this.update(p, grad.toDense(), group);
    else runOnRows(plain, p, grad, {}, nextNumbers(group, false));
  }

  protected update(p: Parameter, grad: Tensor, group: Group<Full>): void {
    if (group.momentum === 0) {
      runUpdate(plain, { param: p, grad }, nextNumbers(group, false));
      return;
    }
    const known = this.state.get(p) as { momentumBuffer: Tensor } | undefined;
    // The first step takes the gradient whole, as PyTorch does: the buffer starts as a copy of it.
    const { momentumBuffer } = known ?? this.stateOf(p, () => ({ momentumBuffer: zerosLike(p) }));
    const numbers = nextNumbers(group, known === undefined);
    runUpdate(group.nesterov === true ? nesterovUpdate : heavyBall, { param: p, grad, momentumBuffer }, numbers);
  }
}
