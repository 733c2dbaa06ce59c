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

/** A function of tensors, of arrays, maps and plain objects of them, and of plain values. */
export type TensorFunction = (...args: never[]) => unknown;
type Arguments<F extends TensorFunction> = Parameters<F>;

/** Which argument, or arguments, a derivative is taken by. */
export type Argnums = number | readonly number[];

export interface ArgnumOptions<N extends Argnums = Argnums> {
  /** Positions of the arguments that the derivative is taken by: a number (default 0), or a list, for which there is a list of derivatives. */
  readonly argnums?: N;
}
export interface AuxOptions<N extends Argnums = Argnums> extends ArgnumOptions<N> {
  /** The function gives [what is differentiated, anything else]; the other is handed on behind the result. Default false. */
  readonly hasAux?: boolean;
}

/** What stands in the places of the tensors of S. */
export type InPlaces<S, L> = S extends Tensor
  ? L
  : S extends ReadonlyMap<infer K, infer V>
    ? Map<K, InPlaces<V, L>>
    : S extends object
      ? { [K in keyof S]: InPlaces<S[K], L> }
      : S;
/** Of each argument that was asked for, the tensors replaced by L. */
export type OfArguments<A extends readonly unknown[], N extends Argnums, L> = N extends readonly number[]
  ? { -readonly [K in keyof N]: InPlaces<A[N[K] & number], L> }
  : InPlaces<A[N & number], L>;
/** The gradients by the chosen arguments: tensors, or arrays, maps and objects with gradients in the places of their tensors. */
export type GradientOf<F extends TensorFunction, N extends Argnums> = OfArguments<Arguments<F>, N, Tensor>;
/** For each tensor of the result, a Jacobian by each tensor of the chosen arguments. */
export type JacobianOf<F extends TensorFunction, N extends Argnums> = InPlaces<ReturnType<F>, GradientOf<F, N>>;

/** The arguments that a derivative is taken by, and the call with other tensors in their places. */
interface Chosen {
  readonly tensors: readonly Tensor[];
  /** The arguments, with anything in the places of their tensors: an array where a list of arguments was asked for. */
  place(values: readonly unknown[]): unknown;
  call(tensors: readonly Tensor[]): unknown;
}
function chosen(op: string, f: TensorFunction, args: readonly unknown[], argnums: Argnums = 0): Chosen {
  const positions = (typeof argnums === 'number' ? [argnums] : argnums).map((n) => (n < 0 ? n + args.length : n));
  if (new Set(positions).size < positions.length || positions.length === 0)
    throw new LibError('value', `${op}: argnums must be positions that differ, got [${positions.join(', ')}].`);
  const parts = positions.map((at) => args[at]);
  parts.forEach((part, i) => {
    if (collectTensors(part).length > 0) return;
    const says = `${op}: argument ${positions[i]} must be a tensor or hold some, got ${typeof part}.`;
    throw new LibError('value', says, 'say which one with { argnums }.');
  });
  const whole = typeof argnums === 'number' ? parts[0] : parts;
  const call = (tensors: readonly Tensor[]): unknown => {
    const others = withTensors(parts, tensors);
    const all = args.map((arg, i) => (positions.includes(i) ? others[positions.indexOf(i)] : arg));
    return (f as (...all: readonly unknown[]) => unknown)(...all);
  };
  return { tensors: collectTensors(parts), place: (values) => withTensors(whole, values), call };
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

/** What a function gives, in two: the result, and with `hasAux` what else. */
function parted(op: string, result: unknown, hasAux: boolean): readonly [result: unknown, aux: readonly unknown[]] {
  if (!hasAux) return [result, []];
  if (Array.isArray(result) && result.length === 2) return [result[0], [result[1]]];
  throw new LibError('value', `${op}: with hasAux the function must give [result, anything else], got ${typeof result}.`);
}
/** Results of inner functions: no graph, unless one is wanted outside. */
const released = (value: unknown, keep: boolean): unknown =>
  keep
    ? value
    : withTensors(
        value,
        collectTensors(value).map((y) => y.detach()),
      );

interface Differentiated {
  readonly value: unknown;
  readonly gradient: unknown;
  readonly aux: readonly unknown[];
}
function differentiated(f: TensorFunction, args: readonly unknown[], { argnums, hasAux = false }: AuxOptions): Differentiated {
  const { tensors, place, call } = chosen('grad', f, args, argnums);
  const createGraph = carriesTangents() || (isGradEnabled() && wantsGrad(args));
  const xs = tensors.map(fresh);
  const given = enableGrad(() => call(xs));
  const [y, aux] = parted('grad', given, hasAux);
  if (!isTensor(y) || y.size !== 1) {
    const got = isTensor(y) ? `shape ${formatShape(y.shape)}` : typeof y;
    throw new LibError('shape', `grad: the function must give one number, got ${got}.`, 'jacrev takes any shape.');
  }
  const gs = y.requiresGrad ? gradMany('grad', [y], [null], xs, { createGraph, allowUnused: true }) : [];
  const gradient = place(xs.map((x, i) => gs[i] ?? x.detach().mul(0)));
  return { value: released(y, createGraph), gradient, aux: aux.map((v) => released(v, createGraph)) };
}

type Value<F extends TensorFunction, Aux> = Aux extends true ? ReturnType<F> : Tensor;
/** With hasAux true, the second of two that the function gives. */
type AuxOf<F extends TensorFunction> = ReturnType<F> extends readonly [unknown, infer A] ? A : unknown;
/** A result, or with hasAux [result, aux]. */
type WithAux<F extends TensorFunction, R, Aux> = Aux extends true ? [result: R, aux: AuxOf<F>] : R;
type MainOf<F extends TensorFunction, Aux> = Aux extends true
  ? ReturnType<F> extends readonly [infer M, unknown]
    ? (...args: Arguments<F>) => M
    : F
  : F;

/**
 * `f` becomes a function that gives its value and the gradient by one argument, or some; each may be an array, map or object of tensors.
 * Derivatives of any order come from nesting. What `f` closes over counts as constant. With `hasAux` the value is what `f` gives.
 */
export function valueAndGrad<F extends TensorFunction, const N extends Argnums = 0, const Aux extends boolean = false>(
  f: F,
  options: ArgnumOptions<N> & { readonly hasAux?: Aux } = {},
): (...args: Arguments<F>) => [value: Value<F, Aux>, gradient: GradientOf<F, N>] {
  return (...args) => {
    const { value, gradient, aux } = differentiated(f, args, options);
    return [options.hasAux ? [value, ...aux] : value, gradient] as [Value<F, Aux>, GradientOf<F, N>];
  };
}

/** The gradient, and the value: {@link valueAndGrad} in PyTorch's order (torch.func.grad_and_value); with `hasAux` [gradient, [value, aux]]. */
export function gradAndValue<F extends TensorFunction, const N extends Argnums = 0, const Aux extends boolean = false>(
  f: F,
  options: ArgnumOptions<N> & { readonly hasAux?: Aux } = {},
): (...args: Arguments<F>) => [gradient: GradientOf<F, N>, value: Value<F, Aux>] {
  const both = valueAndGrad<F, N, Aux>(f, options);
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
 * The gradient of a function that gives one number, by one argument or some, by each tensor in them (PyTorch: torch.func.grad).
 * @example
 * const slope = grad((x: Tensor) => x.sin())(tensor(0)); // cos 0 = 1
 * const [da, db] = grad((a: Tensor, b: Tensor) => a.mul(b).sum(), { argnums: [0, 1] })(tensor([1, 2]), tensor([3, 4]));
 */
export function grad<F extends TensorFunction, const N extends Argnums = 0, const Aux extends boolean = false>(
  f: F,
  options: ArgnumOptions<N> & { readonly hasAux?: Aux } = {},
): (...args: Arguments<F>) => WithAux<F, GradientOf<F, N>, Aux> {
  return (...args) => {
    const { gradient, aux } = differentiated(f, args, options);
    return (options.hasAux ? [gradient, ...aux] : gradient) as WithAux<F, GradientOf<F, N>, Aux>;
  };
}

/** For each tensor of a result: for each of `count` inputs, its Jacobian; in their places. */
function assembled(result: unknown, place: Chosen['place'], jacobian: (output: number, input: number) => Tensor, count: number): unknown {
  const perOutput = collectTensors(result).map((_, k) => place(Array.from({ length: count }, (__, i) => jacobian(k, i))));
  return withTensors(result, perOutput);
}
const basisOf = ({ size, shape, dtype, device }: Tensor): Tensor => eye(size, size, { dtype, device }).reshape([size, ...shape]);

type JacobianFunction<F extends TensorFunction, N extends Argnums, Aux> = (
  ...args: Arguments<F>
) => WithAux<F, JacobianOf<MainOf<F, Aux>, N>, Aux>;
type JacobianOptions<N extends Argnums, Aux> = ArgnumOptions<N> & { readonly hasAux?: Aux };

/** Jacobians (…output, …input) by reverse mode, one pass over all elements of an output at once (PyTorch: torch.func.jacrev). */
export function jacrev<F extends TensorFunction, const N extends Argnums = 0, const Aux extends boolean = false>(
  f: F,
  { argnums, hasAux }: JacobianOptions<N, Aux> = {},
): JacobianFunction<F, N, Aux> {
  return (...args) => {
    const { tensors, place, call } = chosen('jacrev', f, args, argnums);
    const createGraph = carriesTangents() || (isGradEnabled() && wantsGrad(args));
    const xs = tensors.map(fresh);
    const given = enableGrad(() => call(xs));
    const [result, aux] = parted('jacrev', given, hasAux === true);
    const rows = collectTensors(result).map((y) => {
      const row = (v: Tensor): readonly Tensor[] => {
        const gs = y.requiresGrad ? gradMany('jacrev', [y], [v], xs, { retainGraph: true, createGraph, allowUnused: true }) : [];
        return xs.map((x, i) => gs[i] ?? x.detach().mul(0));
      };
      const basis = basisOf(y);
      // A graph of the rows belongs to the tensors outside, which mapping cannot reach: then row by row.
      if (!createGraph) return noGrad(() => vmap(row)(basis)).map((g, i) => g.reshape([...y.shape, ...(xs[i] as Tensor).shape]));
      const each = Array.from({ length: y.size }, (_, k) => row(basis.select(0, k)));
      return xs.map((x, i) => stack(each.map((gs) => gs[i] as Tensor)).reshape([...y.shape, ...x.shape]));
    });
    const jacobians = assembled(result, place, (k, i) => rows[k]?.[i] as Tensor, xs.length);
    return (hasAux ? [jacobians, ...aux.map((v) => released(v, createGraph))] : jacobians) as ReturnType<JacobianFunction<F, N, Aux>>;
  };
}

/** Jacobians (…output, …input) by forward mode, one pass over all elements of an input at once (PyTorch: torch.func.jacfwd). */
export function jacfwd<F extends TensorFunction, const N extends Argnums = 0, const Aux extends boolean = false>(
  f: F,
  { argnums, hasAux }: JacobianOptions<N, Aux> = {},
): JacobianFunction<F, N, Aux> {
  return (...args) => {
    const { tensors, place, call } = chosen('jacfwd', f, args, argnums);
    let result: unknown = null;
    const columns = tensors.map((x, at) => {
      const column = (v: Tensor): readonly Tensor[] => {
        const seeds = tensors.map((_, i) => (i === at ? v : null));
        const [, tangents] = jvp(
          (...ts: Tensor[]) => {
            [result] = parted('jacfwd', call(ts), hasAux === true);
            return result;
          },
          [...tensors],
          seeds,
        );
        return collectTensors(tangents);
      };
      return vmap(column)(basisOf(x)).map((all) => {
        const shape = all.shape.slice(1); // (input elements, …output)
        return all
          .reshape([x.size, all.size / Math.max(1, x.size)])
          .t()
          .reshape([...shape, ...x.shape]);
      });
    });
    const jacobians = assembled(result, place, (k, i) => columns[i]?.[k] as Tensor, tensors.length);
    // What else there is was made for one example of the basis and holds no values of its own; the function gives it once more.
    const again = hasAux ? noGrad(() => call(tensors)) : null;
    return (hasAux ? [jacobians, ...parted('jacfwd', again, true)[1]] : jacobians) as ReturnType<JacobianFunction<F, N, Aux>>;
  };
}

/** The Jacobian by the cheaper mode: reverse when there are no more outputs than inputs, else forward. */
export function jacobian<F extends TensorFunction, const N extends Argnums = 0>(
  f: F,
  options: ArgnumOptions<N> = {},
): JacobianFunction<F, N, false> {
  const count = (tensors: readonly Tensor[]): number => tensors.reduce((sum, { size }) => sum + size, 0);
  return (...args) => {
    const { tensors, call } = chosen('jacobian', f, args, options.argnums);
    const outputs = count(collectTensors(noGrad(() => call(tensors))));
    return (outputs <= count(tensors) ? jacrev : jacfwd)<F, N>(f, options)(...args);
  };
}

/** Hessians (…input, …input) of a function that gives one number, for each pair of inputs: forward mode over reverse mode (torch.func.hessian). */
export function hessian<F extends TensorFunction, const N extends Argnums = 0>(
  f: F,
  options: ArgnumOptions<N> = {},
): (...args: Arguments<F>) => InPlaces<GradientOf<F, N>, GradientOf<F, N>> {
  const gradient = grad<F, N>(f, options) as TensorFunction;
  return jacfwd(gradient, options) as (...args: Arguments<F>) => InPlaces<GradientOf<F, N>, GradientOf<F, N>>;
}

/** The Hessian times a vector, without the Hessian: forward mode over reverse mode (PyTorch: torch.autograd.functional.hvp). */
export function hvp(f: (x: Tensor) => Tensor, x: Tensor, v: Tensor): [value: Tensor, product: Tensor] {
  const product = jvp((t) => grad(f)(t), [x], [v])[1];
  return [noGrad(() => f(x)), product];
}
