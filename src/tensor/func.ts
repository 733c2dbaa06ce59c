import { LibError } from '../core/errors.js';
import { formatShape } from '../core/shape.js';
import { isGradEnabled, setTangentTap } from '../ops/apply.js';
import { stack } from '../ops/join.js';
import { enableGrad, gradMany, noGrad } from './autograd.js';
import { eye } from './creation.js';
import { jvp } from './forward.js';
import { isTensor, type Tensor } from './tensor.js';
import { collectTensors, withTensors } from './tree.js';
import { vmap } from './vmap.js';

/** A function of tensors and plain values. */
export type TensorFunction = (...args: never[]) => Tensor;
type Arguments<F extends TensorFunction> = Parameters<F>;

export interface ArgnumOptions<N extends number = number> {
  /** Position of the argument that the derivative is taken by. Default 0. */
  readonly argnum?: N;
}

/** The gradient by an argument: a tensor, or the argument's array, map or object with gradients in the places of its tensors. */
export type GradientOf<A> = A extends Tensor ? Tensor : A;

function argumentAt(op: string, args: readonly unknown[], argnum: number): Tensor {
  const x = args[argnum];
  if (isTensor(x)) return x;
  throw new LibError('value', `${op}: argument ${argnum} must be a tensor, got ${typeof x}.`, 'say which one with { argnum }.');
}

const carriesTangents = (): boolean => {
  const tap = setTangentTap(null);
  setTangentTap(tap);
  return tap !== null;
};

const wantsGrad = (args: readonly unknown[]): boolean => collectTensors(args).some((x) => x.requiresGrad);

/** The same values as a tensor of their own that gradients can be asked for; derivatives from outside pass through. */
function fresh(x: Tensor): Tensor {
  const y = x.reshape(x.shape);
  return y.requiresGrad ? y : y.requiresGrad_();
}

function replaced<A extends readonly unknown[]>(args: A, at: number, x: unknown): A {
  return args.map((arg, i) => (i === at ? x : arg)) as unknown as A;
}

/**
 * `f` becomes a function that gives its value and the gradient by one argument (PyTorch: torch.func.grad_and_value), which may be an
 * array, map or object of tensors. Derivatives of any order come from nesting. What `f` closes over counts as constant.
 */
export function valueAndGrad<F extends TensorFunction, const N extends number = 0>(
  f: F,
  { argnum }: ArgnumOptions<N> = {},
): (...args: Arguments<F>) => [value: Tensor, gradient: GradientOf<Arguments<F>[N]>] {
  const at = argnum ?? 0;
  return (...args) => {
    const given = collectTensors(args[at]);
    if (given.length === 0) argumentAt('grad', args, at);
    const createGraph = carriesTangents() || (isGradEnabled() && wantsGrad(args));
    const xs = given.map(fresh);
    const y = enableGrad(() => f(...replaced(args, at, withTensors(args[at], xs))));
    if (y.size !== 1) {
      throw new LibError('shape', `grad: the function must give one number, got shape ${formatShape(y.shape)}.`, 'jacrev takes any shape.');
    }
    const gs = y.requiresGrad ? gradMany('grad', [y], [null], xs, { createGraph, allowUnused: true }) : [];
    const gradient = withTensors(
      args[at],
      xs.map((x, i) => gs[i] ?? x.detach().mul(0)),
    );
    return [createGraph ? y : y.detach(), gradient as GradientOf<Arguments<F>[N]>];
  };
}

/** The gradient by one argument, and the value: {@link valueAndGrad} in PyTorch's order (torch.func.grad_and_value). */
export function gradAndValue<F extends TensorFunction, const N extends number = 0>(
  f: F,
  options: ArgnumOptions<N> = {},
): (...args: Arguments<F>) => [gradient: GradientOf<Arguments<F>[N]>, value: Tensor] {
  const both = valueAndGrad(f, options);
  return (...args) => {
    const [value, gradient] = both(...args);
    return [gradient, value];
  };
}

/**
 * The value of `f` at x, and the function of tangents that is its linear approximation there (torch.func.linearize). The approximation is
 * computed anew for each tangent.
 */
export function linearize(f: (x: Tensor) => Tensor, x: Tensor): [value: Tensor, tangents: (v: Tensor) => Tensor] {
  const at = x.detach();
  return [noGrad(() => f(at)), (v) => jvp(f, [at], [v])[1]];
}

/** The value of `f` at x, and vᵀ times its Hessian there (torch.autograd.functional.vhp): Hessians are symmetric, so it is {@link hvp}. */
export const vhp = (f: (x: Tensor) => Tensor, x: Tensor, v: Tensor): [value: Tensor, product: Tensor] => hvp(f, x, v);

/**
 * The gradient of a function that gives one number, by one argument, or by each tensor in it (PyTorch: torch.func.grad).
 * @example
 * const slope = grad((x: Tensor) => x.sin())(tensor(0)); // cos 0 = 1
 */
export function grad<F extends TensorFunction, const N extends number = 0>(
  f: F,
  options: ArgnumOptions<N> = {},
): (...args: Arguments<F>) => GradientOf<Arguments<F>[N]> {
  const both = valueAndGrad(f, options);
  return (...args) => both(...args)[1];
}

/** The Jacobian (…output, …input) by reverse mode, one pass over all outputs at once (PyTorch: torch.func.jacrev). */
export function jacrev<F extends TensorFunction>(f: F, { argnum = 0 }: ArgnumOptions = {}): (...args: Arguments<F>) => Tensor {
  return (...args) => {
    const given = argumentAt('jacrev', args, argnum);
    const createGraph = carriesTangents() || (isGradEnabled() && wantsGrad(args));
    const x = fresh(given);
    const y = enableGrad(() => f(...replaced(args, argnum, x)));
    const basis = eye(y.size, y.size, { dtype: y.dtype, device: y.device }).reshape([y.size, ...y.shape]);
    const row = (v: Tensor): Tensor => {
      const [g] = y.requiresGrad ? gradMany('jacrev', [y], [v], [x], { retainGraph: true, createGraph, allowUnused: true }) : [null];
      return g ?? x.detach().mul(0);
    };
    // A graph of the rows belongs to the tensors outside, which mapping cannot reach: then row by row.
    const rows = createGraph ? stack(Array.from({ length: y.size }, (_, i) => row(basis.select(0, i)))) : noGrad(() => vmap(row)(basis));
    return rows.reshape([...y.shape, ...given.shape]);
  };
}

/** The Jacobian (…output, …input) by forward mode, one pass over all inputs at once (PyTorch: torch.func.jacfwd). */
export function jacfwd<F extends TensorFunction>(f: F, { argnum = 0 }: ArgnumOptions = {}): (...args: Arguments<F>) => Tensor {
  return (...args) => {
    const x = argumentAt('jacfwd', args, argnum);
    const basis = eye(x.size, x.size, { dtype: x.dtype, device: x.device }).reshape([x.size, ...x.shape]);
    const column = (v: Tensor): Tensor => jvp((t) => f(...replaced(args, argnum, t)), [x], [v])[1];
    const columns = vmap(column)(basis); // (input elements, …output)
    const shape = columns.shape.slice(1);
    return columns
      .reshape([x.size, columns.size / x.size])
      .t()
      .reshape([...shape, ...x.shape]);
  };
}

/** The Jacobian by the cheaper mode: reverse when there are no more outputs than inputs, else forward. */
export function jacobian<F extends TensorFunction>(f: F, options: ArgnumOptions = {}): (...args: Arguments<F>) => Tensor {
  return (...args) => {
    const x = argumentAt('jacobian', args, options.argnum ?? 0);
    const outputs = noGrad(() => f(...args)).size;
    return (outputs <= x.size ? jacrev : jacfwd)(f, options)(...args);
  };
}

/** The Hessian (…input, …input) of a function that gives one number: forward mode over reverse mode (PyTorch: torch.func.hessian). */
export function hessian<F extends TensorFunction>(f: F, options: ArgnumOptions = {}): (...args: Arguments<F>) => Tensor {
  return jacfwd(grad(f, options) as unknown as F, options);
}

/** The Hessian times a vector, without the Hessian: forward mode over reverse mode (PyTorch: torch.autograd.functional.hvp). */
export function hvp(f: (x: Tensor) => Tensor, x: Tensor, v: Tensor): [value: Tensor, product: Tensor] {
  const product = jvp((t) => grad(f)(t), [x], [v])[1];
  return [noGrad(() => f(x)), product];
}
