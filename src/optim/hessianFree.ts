import { LibError } from '../core/errors.js';
import type { Parameter } from '../nn/module.js';
import { enableGrad, grad, noGrad } from '../tensor/autograd.js';
import { zerosLike } from '../tensor/creation.js';
import { isTensor, type Tensor } from '../tensor/tensor.js';
import { dot, flatten, moveAlong } from './flat.js';
import { checkNonNegative, checkNumber, type Group, Optimizer, type Params, withDefaults } from './optimizer.js';

export interface HessianFreeOptions {
  /** Share of the Newton step that is gone. Default 1. */
  readonly lr?: number;
  /** Added to the diagonal of the curvature at first. Default 1. */
  readonly damping?: number;
  /** Fit the damping to how well the quadratic model foretold the loss (Levenberg–Marquardt). Default true. */
  readonly adaptDamping?: boolean;
  /** Iterations of conjugate gradients at most. Default 50. */
  readonly cgIterations?: number;
  /** They stop when the residual is this share of the gradient. Default 1e-4. */
  readonly cgTolerance?: number;
  /** Curvature of the loss by the model's outputs alone: never negative. The closure gives { loss, output }. Default false. */
  readonly gaussNewton?: boolean;
}
type Full = Required<HessianFreeOptions>;

/** What the closure computes, with its graph: no backward(). */
export type HessianFreeObjective = Tensor | { readonly loss: Tensor; readonly output: Tensor };

const defaults: Full = { lr: 1, damping: 1, adaptDamping: true, cgIterations: 50, cgTolerance: 1e-4, gaussNewton: false };

/**
 * Newton's method by conjugate gradients on products of the damped Hessian with vectors, which is never built (Martens 2010). The closure
 * returns the loss and calls no backward(). A step that would raise the loss is not taken. Reads values: it runs outside compile().
 * @example
 * const w = new Parameter(tensor([3, -4]));
 * const optimizer = new HessianFree([w], { damping: 0 });
 * optimizer.step(() => w.square().sum()); // w is [0, 0]
 */
export class HessianFree extends Optimizer<Full> {
  constructor(params: Params<Full>, options: HessianFreeOptions = {}) {
    super('HessianFree', params, withDefaults('HessianFree', defaults, options));
  }

  protected override check(group: Group<Full>): void {
    super.check(group);
    checkNonNegative('HessianFree', group, ['damping', 'cgTolerance']);
    checkNumber('HessianFree', 'cgIterations', group.cgIterations, (v) => Number.isInteger(v) && v > 0, 'a positive integer');
  }

  override step(): void;
  override step<T>(closure: () => T): T;
  override step<T>(closure?: () => T): T | undefined {
    if (closure === undefined) throw new LibError('option', 'HessianFree: step needs a closure that computes the loss, got none.');
    for (const group of this.paramGroups) {
      this.check(group);
    }
    const [group] = this.paramGroups as [Group<Full>];
    const params = this.paramGroups.flatMap((g) => g.params);
    const result = enableGrad(closure);
    const objective = result as HessianFreeObjective;
    const loss = lossOf(objective);
    const curvature = enableGrad(() => curvatureOf(objective, params, group.gaussNewton));
    const { direction, foretold } = noGrad(() => solve(curvature, group));
    this.stepCount++;
    if (foretold === 0) return result; // the gradient is zero
    const was = noGrad(() => params.map((p) => p.clone()));
    noGrad(() => moveAlong(params, direction, group.lr));
    const after = noGrad(() => lossOf(closure() as HessianFreeObjective).itemNow());
    if (!this.trusts(group, (after - loss.itemNow()) / foretold, after)) {
      noGrad(() => {
        params.forEach((p, i) => {
          p.copy_(was[i] as Tensor);
        });
      });
    }
    return result;
  }

  /** Whether the step is to be kept; trusts the quadratic model less or more from now on. */
  private trusts(group: Group<Full>, ratio: number, after: number): boolean {
    const fails = !Number.isFinite(after) || ratio < 0;
    if (!group.adaptDamping) return !fails;
    if (fails || ratio < 0.25) group.damping *= 1.5;
    else if (ratio > 0.75) group.damping /= 1.5;
    return !fails;
  }

  protected update(): void {
    throw new LibError('option', 'HessianFree: parameters are updated together.');
  }
}

const lossOf = (objective: HessianFreeObjective): Tensor => (isTensor(objective) ? objective : objective.loss);

interface Curvature {
  readonly gradient: Tensor;
  /** The curvature matrix times a vector. */
  times(v: Tensor): Tensor;
}

function curvatureOf(objective: HessianFreeObjective, params: readonly Parameter[], gaussNewton: boolean): Curvature {
  const loss = lossOf(objective);
  const gradients = gradsOf(loss, params, { createGraph: !gaussNewton, retainGraph: true });
  const gradient = flatten(gradients).detach();
  if (!gaussNewton) {
    const flat = flatten(gradients);
    return { gradient, times: (v) => enableGrad(() => flatten(gradsOf(flat.mul(v).sum(), params, { retainGraph: true }))) };
  }
  if (isTensor(objective)) {
    throw new LibError('option', 'HessianFree: with gaussNewton the closure must give { loss, output }, got a tensor.');
  }
  return { gradient, times: gaussNewtonProduct(objective.loss, objective.output, params) };
}

/** Jᵀ H J v: J of the output by the parameters, H of the loss by the output. */
function gaussNewtonProduct(loss: Tensor, output: Tensor, params: readonly Parameter[]): (v: Tensor) => Tensor {
  const weight = zerosLike(output).requiresGrad_();
  // Linear in `weight`, so that its gradient by it, along v, is J v.
  const pulled = flatten(gradsOf(output, params, { gradient: weight, createGraph: true }));
  const [outer] = grad(loss, [output], { createGraph: true }) as [Tensor];
  return (v) =>
    enableGrad(() => {
      const [pushed] = grad(pulled.mul(v).sum(), [weight], { retainGraph: true }) as [Tensor];
      if (!outer.requiresGrad) return zerosLike(v);
      const [curved] = grad(outer.mul(pushed).sum(), [output], { retainGraph: true, allowUnused: true });
      return flatten(gradsOf(output, params, { gradient: curved ?? zerosLike(output), retainGraph: true }));
    });
}

interface Pass {
  readonly gradient?: Tensor;
  readonly createGraph?: boolean;
  readonly retainGraph?: boolean;
}
/** Gradients; of parameters that do not matter, zeros. */
function gradsOf(y: Tensor, params: readonly Parameter[], pass: Pass): Tensor[] {
  if (!y.requiresGrad) return params.map((p) => zerosLike(p));
  return grad(y, params, { ...pass, allowUnused: true }).map((g, i) => g ?? zerosLike(params[i] as Parameter));
}

/** Conjugate gradients for (C + damping) d = -gradient; `foretold` is the change of the loss that the quadratic model expects. */
function solve({ gradient, times }: Curvature, { damping, cgIterations, cgTolerance, lr }: Group<Full>) {
  const damped = (v: Tensor): Tensor => times(v).detach().add(v.mul(damping));
  let direction = zerosLike(gradient);
  let residual = gradient.neg();
  let search = residual;
  let size = dot(residual, residual);
  const enough = cgTolerance ** 2 * size;
  for (let i = 0; i < cgIterations && size > enough; i++) {
    const product = damped(search);
    const curve = dot(search, product);
    if (curve <= 0) {
      if (i === 0) direction = residual; // no curvature to go by: straight down
      break;
    }
    const alpha = size / curve;
    direction = direction.add(search.mul(alpha));
    residual = residual.sub(product.mul(alpha));
    const next = dot(residual, residual);
    search = residual.add(search.mul(next / size));
    size = next;
  }
  const step = direction.mul(lr);
  const foretold = dot(gradient, step) + dot(step, damped(step)) / 2;
  return { direction, foretold: foretold > 0 ? -Number.MIN_VALUE : foretold };
}
