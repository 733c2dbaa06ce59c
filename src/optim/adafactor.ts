import { LibError } from '../core/errors.js';
import type { Parameter } from '../nn/module.js';
import type { LiveScalars } from '../ops/define.js';
import { zeros, zerosLike } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkNonNegative, checkNumber, type Given, type Group, Optimizer, type Params, withDefaults } from './optimizer.js';
import { defineUpdate, runUpdate, type Update } from './update.js';

export interface AdafactorOptions {
  /** Largest relative step size: it falls as 1 / √t from there on. Default 1e-2. */
  readonly lr?: number;
  /** The decay rate of the second average is 1 - t^beta2Decay. Default -0.8. */
  readonly beta2Decay?: number;
  /** Smallest second average (default: the precision of the type) and smallest size of a parameter. Default [null, 1e-3]. */
  readonly eps?: readonly [number | null, number];
  /** Steps whose root mean square is larger are scaled down to it. Default 1. */
  readonly d?: number;
  /** Decay apart from the gradient. Default 0. */
  readonly weightDecay?: number;
  /** Climb instead of descend. Default false. */
  readonly maximize?: boolean;
}
type Full = Required<AdafactorOptions>;

/** average + (value - average) · share. */
const follow: Update<'average' | 'value', 'share', 'average'> = defineUpdate(
  'adafactorAverage',
  ['average', 'value'],
  ['share'],
  ({ average, value }, { share }) => ({ average: average.add(value.sub(average).mul(share)) }),
);

const finish: Update<'param' | 'direction' | 'size' | 'length', 'keep' | 'rate' | 'floor' | 'perRoot' | 'most', 'param'> = defineUpdate(
  'adafactor',
  ['param', 'direction', 'size', 'length'],
  ['keep', 'rate', 'floor', 'perRoot', 'most'],
  ({ param, direction, size, length }, { keep, rate, floor, perRoot, most }) => {
    const alpha = size.mul(perRoot).max(floor).mul(rate);
    return { param: param.mul(keep).sub(direction.mul(alpha.div(length.mul(perRoot).div(most).max(1)))) };
  },
);

interface Factored extends Record<string, Tensor | number> {
  step: number;
  rowVar: Tensor;
  colVar: Tensor;
}
interface Whole extends Record<string, Tensor | number> {
  step: number;
  variance: Tensor;
}

const precision: Readonly<Record<string, number>> = { float64: 2 ** -52, float32: 2 ** -23, float16: 2 ** -10, bfloat16: 2 ** -7 };

const defaults: Full = { lr: 1e-2, beta2Decay: -0.8, eps: [null, 1e-3], d: 1, weightDecay: 0, maximize: false };

/**
 * Adam in little memory: of matrices the second average is kept as its row and column means, and there is no first one
 * (Shazeer & Stern 2018; torch.optim.Adafactor).
 */
export class Adafactor extends Optimizer<Full> {
  constructor(params: Params<Full>, options: Given<AdafactorOptions> = {}) {
    super('Adafactor', params, withDefaults('Adafactor', defaults, options));
  }

  protected override check(group: Group<Full>): void {
    super.check(group);
    checkNumber('Adafactor', 'beta2Decay', group.beta2Decay, (v) => v <= 0, 'a finite number <= 0');
    checkNumber('Adafactor', 'd', group.d, (v) => v >= 1, 'a finite number >= 1');
    checkNonNegative('Adafactor', group, ['weightDecay']);
    if (!Array.isArray(group.eps))
      throw new LibError('value', `Adafactor: eps must be two numbers, the first or null, got ${String(group.eps)}.`);
    const [eps1, eps2] = group.eps;
    if (!((eps1 ?? 0) >= 0 && eps2 >= 0)) throw new LibError('value', `Adafactor: eps must be >= 0, got ${eps1} and ${eps2}.`);
  }

  protected update(p: Parameter, grad: Tensor, group: Group<Full>): void {
    const eps = group.eps[0] ?? precision[p.dtype] ?? 2 ** -23;
    const { state, variance } = p.ndim > 1 ? this.factored(p, grad, group, eps) : this.whole(p, grad, group);
    const direction = variance
      .clamp({ min: eps * eps })
      .rsqrt()
      .mul(grad);
    runUpdate(finish, { param: p, direction, size: p.norm(), length: direction.norm() }, (out, at) => {
      const { lr, weightDecay } = group;
      out[at] = 1 - lr * weightDecay;
      out[at + 1] = Math.min(lr, 1 / Math.sqrt(state.step));
      out[at + 2] = group.eps[1];
      out[at + 3] = 1 / Math.sqrt(p.size);
      out[at + 4] = group.d;
    });
  }

  /** The estimate (…, rows, columns) from the means over columns and over rows. */
  private factored(p: Parameter, grad: Tensor, group: Group<Full>, eps: number): { state: Factored; variance: Tensor } {
    const state = this.stateOf<Factored>(p, () => {
      const shape = (dim: number): number[] => p.shape.map((size, d) => (d === p.ndim - dim ? 1 : size));
      const make = (dim: number): Tensor => zeros(shape(dim), { dtype: p.dtype, device: p.device });
      return { step: 0, rowVar: make(1), colVar: make(2) };
    });
    const { rowVar, colVar } = state;
    const squares = grad.square();
    runUpdate(follow, { average: rowVar, value: squares.mean({ dim: -1, keepdim: true }) }, counted(state, group));
    runUpdate(follow, { average: colVar, value: squares.mean({ dim: -2, keepdim: true }) }, share(state, group));
    return { state, variance: rowVar.mul(colVar).div(rowVar.mean({ dim: -2, keepdim: true }).clamp({ min: eps })) };
  }

  private whole(p: Parameter, grad: Tensor, group: Group<Full>): { state: Whole; variance: Tensor } {
    const state = this.stateOf<Whole>(p, () => ({ step: 0, variance: zerosLike(p) }));
    runUpdate(follow, { average: state.variance, value: grad.square() }, counted(state, group));
    return { state, variance: state.variance };
  }
}

function share(state: { readonly step: number }, { beta2Decay }: Group<Full>): LiveScalars {
  return (out, at) => {
    out[at] = state.step ** beta2Decay;
  };
}

/** Counts the step first. */
function counted(state: { step: number }, group: Group<Full>): LiveScalars {
  const write = share(state, group);
  return (out, at) => {
    state.step += 1;
    write(out, at);
  };
}
