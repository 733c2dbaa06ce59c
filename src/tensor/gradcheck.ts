import { LibError } from '../core/errors.js';
import { formatShape } from '../core/shape.js';
import { backward, grad, noGrad } from './autograd.js';
import { zerosLike } from './creation.js';
import type { Tensor } from './tensor.js';

export interface GradcheckOptions {
  /** Step of the central difference. Default 1e-5: near the cube root of float64's precision. */
  readonly eps?: number;
  /** Largest allowed ‖analytic − numeric‖ / (‖analytic‖ + ‖numeric‖), beyond what rounding of `f` explains. Default 1e-6. */
  readonly tolerance?: number;
  /** Also check the gradient of the gradient. Default false. */
  readonly second?: boolean;
}

export interface GradcheckResult {
  readonly passed: boolean;
  /** Per input that requires grad, the relative error of its gradient. */
  readonly errors: readonly number[];
}

/**
 * Compares the gradients of `f` with central differences (PyTorch: torch.autograd.gradcheck). Inputs that are to be checked
 * must be float64 leaves that require grad. The result is weighted by a fixed pseudo-random functional, so no coordinate can hide.
 *
 * @example gradcheck((x) => x.tanh(), [tensor([0.3], { dtype: 'float64', requiresGrad: true })]).passed // true
 */
export function gradcheck(
  f: (...inputs: Tensor[]) => Tensor | readonly Tensor[],
  inputs: readonly Tensor[],
  options: GradcheckOptions = {},
): GradcheckResult {
  const { eps = 1e-5, tolerance = 1e-6, second = false } = options;
  const checked = inputs.filter((x) => x.requiresGrad);
  for (const x of checked) {
    if (x.dtype !== 'float64' || !x.isLeaf) {
      throw new LibError(
        'dtype',
        `gradcheck: inputs to check must be float64 leaves, got ${x.dtype} of shape ${formatShape(x.shape)}.`,
        "make them with { dtype: 'float64', requiresGrad: true }.",
      );
    }
  }
  const results = (): readonly Tensor[] => {
    const ys = f(...inputs);
    return 'spec' in ys ? [ys] : ys;
  };
  const loss = functional((recorded) => (recorded ? results() : noGrad(results)));
  const errors = compare(loss, checked, eps);
  if (second) {
    const slopes = (createGraph: boolean): Tensor[] =>
      grad(loss(true), checked, { createGraph, allowUnused: true }).filter((g) => g !== null);
    // Of a linear function there is no second derivative.
    if (slopes(true).some((g) => g.requiresGrad)) errors.push(...compare(functional(slopes), checked, eps));
  }
  return { passed: errors.every((e) => e < tolerance), errors };
}

/** A number that depends on an input; only its value is asked for when it is not to be recorded. */
type Loss = (recorded: boolean) => Tensor;

/** Σ wᵢ yᵢ with fixed weights of mixed sign and size, over the results that carry gradient in the first call, which is recorded. */
function functional(results: (recorded: boolean) => readonly Tensor[]): Loss {
  let weights: readonly (Tensor | null)[] | undefined;
  return (recorded) => {
    const ys = results(recorded);
    weights ??= ys.map((y, k) => (y.dtype === 'float64' && y.requiresGrad ? weightsLike(y, k) : null));
    const [first, ...rest] = weights.flatMap((w, k) => (w === null ? [] : [(ys[k] as Tensor).mul(w).sum()]));
    if (first === undefined) throw new LibError('grad', 'gradcheck: the result must depend on an input that requires grad, got none.');
    return rest.reduce((a, b) => a.add(b), first);
  };
}

function weightsLike(y: Tensor, salt: number): Tensor {
  const values = Float64Array.from({ length: y.size }, (_, i) => Math.sin(1.7 * i + 0.9 + salt) + 0.3);
  const w = zerosLike(y);
  w.device.upload(w.storage, w.offset * 8, new Uint8Array(values.buffer));
  return w;
}

function compare(loss: Loss, inputs: readonly Tensor[], eps: number): number[] {
  for (const x of inputs) x.grad = null;
  const value = loss(true);
  backward(value);
  // Rounding of the loss, seen through a quotient of differences: nothing below can be told from zero.
  const noise = (8 * Number.EPSILON * Math.max(1, Math.abs(value.itemNow()))) / eps;
  return inputs.map((x) => {
    const analytic = x.grad === null ? new Float64Array(x.size) : Float64Array.from(x.grad.toArray());
    const numeric = centralDifference(loss, x, eps);
    x.grad = null;
    return relativeError(analytic, numeric, noise * Math.sqrt(x.size));
  });
}

/** (L(x + ε eᵢ) − L(x − ε eᵢ)) / 2ε for every element; ε grows with elements so large that they would swallow it. */
function centralDifference(loss: Loss, x: Tensor, eps: number): Float64Array {
  const values = Float64Array.from(x.toArray());
  const write = (i: number, v: number): void => {
    x.device.upload(x.storage, (x.offset + i) * 8, new Uint8Array(Float64Array.of(v).buffer));
  };
  if (!x.spec.contiguous) throw new LibError('shape', `gradcheck: inputs to check must be dense, got strides ${x.stride().join()}.`);
  return values.map((v, i) => {
    const step = Number.isFinite(v) && Math.abs(v) > 1e3 ? (eps * Math.abs(v)) / 1e3 : eps; // infinities stay: no difference
    write(i, v + step);
    const up = loss(false).itemNow();
    write(i, v - step);
    const down = loss(false).itemNow();
    write(i, v);
    return (up - down) / (2 * step);
  });
}

function relativeError(a: Float64Array, b: Float64Array, noise: number): number {
  const norm = (f: (i: number) => number): number => Math.sqrt(a.reduce((s, _, i) => s + f(i) ** 2, 0));
  const apart = norm((i) => (a[i] ?? 0) - (b[i] ?? 0));
  return Math.max(0, apart - noise) / (norm((i) => a[i] ?? 0) + norm((i) => b[i] ?? 0) + 1e-12);
}
