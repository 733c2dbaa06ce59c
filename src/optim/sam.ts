import { LibError } from '../core/errors.js';
import type { Parameter } from '../nn/module.js';
import { stack } from '../ops/join.js';
import { enableGrad, noGrad } from '../tensor/autograd.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkNumber, type Group, type Optimizer, type OptimizerState } from './optimizer.js';
import { defineUpdate, runUpdate, type Update } from './update.js';

export interface SAMOptions {
  /** How far up the loss is climbed. Default 0.05. */
  readonly rho?: number;
  /** Measure distance relative to each weight (ASAM, Kwon et al. 2021). Default false. */
  readonly adaptive?: boolean;
}

const climb: Update<'param' | 'grad' | 'norm', 'rho', 'param'> = defineUpdate(
  'samClimb',
  ['param', 'grad', 'norm'],
  ['rho'],
  ({ param, grad, norm }, { rho }) => ({ param: param.add(grad.mul(rho.div(norm.add(1e-12)))) }),
);
const climbAdaptive: Update<'param' | 'grad' | 'norm', 'rho', 'param'> = defineUpdate(
  'samClimbAdaptive',
  ['param', 'grad', 'norm'],
  ['rho'],
  ({ param, grad, norm }, { rho }) => ({
    param: param.add(
      param
        .mul(param)
        .mul(grad)
        .mul(rho.div(norm.add(1e-12))),
    ),
  }),
);

/**
 * Sharpness-aware minimization (Foret et al. 2021): another optimizer's step, with the gradients at the worst point nearby. The closure
 * of `step` clears the gradients, computes loss and gradients, and runs twice.
 * @example
 * const w = new Parameter(tensor([1, -2]));
 * const optimizer = new SAM(new SGD([w], { lr: 0.1 }));
 * optimizer.step(() => {
 *   optimizer.zeroGrad();
 *   const loss = w.square().sum();
 *   loss.backward();
 *   return loss;
 * });
 */
export class SAM {
  rho: number;
  readonly adaptive: boolean;

  constructor(
    readonly base: Optimizer,
    { rho = 0.05, adaptive = false }: SAMOptions = {},
  ) {
    checkNumber('SAM', 'rho', rho, (v) => v >= 0, 'a finite number >= 0');
    this.rho = rho;
    this.adaptive = adaptive;
  }

  get paramGroups(): Group<{ readonly lr: number }>[] {
    return this.base.paramGroups;
  }
  get stepCount(): number {
    return this.base.stepCount;
  }
  zeroGrad(options: { readonly setToNone?: boolean } = {}): void {
    this.base.zeroGrad(options);
  }

  /** Returns what the closure gave at the parameters themselves. */
  step<T>(closure: () => T): T {
    if (closure === undefined) throw new LibError('option', 'SAM: step needs a closure that computes loss and gradients, got none.');
    const result = enableGrad(closure);
    const params = this.paramGroups.flatMap((g) => g.params.filter((p) => p.grad !== null));
    const was = noGrad(() => this.moveUp(params));
    enableGrad(closure);
    noGrad(() => {
      params.forEach((p, i) => {
        p.copy_(was[i] as Tensor);
      });
    });
    this.base.step();
    return result;
  }

  /** Goes up the gradient and returns the parameters as they were. */
  private moveUp(params: readonly Parameter[]): Tensor[] {
    const lengths = params.map((p) => (this.adaptive ? p.detach().mul(p.grad as Tensor) : (p.grad as Tensor)).norm());
    if (lengths.length === 0) return [];
    const norm = stack(lengths).norm();
    return params.map((p) => {
      const was = p.clone();
      const climbing = this.adaptive ? climbAdaptive : climb;
      runUpdate(climbing, { param: p, grad: p.grad as Tensor, norm }, (out, at) => {
        out[at] = this.rho;
      });
      return was;
    });
  }

  stateDict(): OptimizerState {
    return this.base.stateDict();
  }
  loadStateDict(state: OptimizerState): void {
    this.base.loadStateDict(state);
  }
}
