import { LibError } from '../core/errors.js';
import { grad, noGrad } from '../tensor/autograd.js';
import { arange, zeros } from '../tensor/creation.js';
import { getRandomState, setRandomState } from '../tensor/generator.js';
import { Generator, randn } from '../tensor/random.js';
import type { Tensor } from '../tensor/tensor.js';
import type { AnyModule, Parameter } from './module.js';

/** The gradients of a model's parameters against differences of its loss. For tests: it evaluates the loss thousands of times. */

export interface GradientCheckOptions {
  /** Step of the differences. Default 1e-5, near the best in float64; sensible from 1e-6 to 1e-4. */
  readonly eps?: number;
  /** Parameters of at most so many elements are checked element by element, larger ones along random directions. Default 200. */
  readonly elements?: number;
  /** Random directions for each large parameter. Default 20. */
  readonly directions?: number;
  /** Of the random directions. Default 0. */
  readonly seed?: number;
}

/** Below 1e-6, up to 1e-3, or above: of a relative error. */
export type GradientVerdict = 'pass' | 'suspicious' | 'fail';

export interface ParameterCheck {
  readonly name: string;
  /** ‖analytic − numeric‖ / (‖analytic‖ + ‖numeric‖ + 1e-12), beyond what the rounding of the loss explains. */
  readonly error: number;
  readonly verdict: GradientVerdict;
  /** Differences that straddle a bend of the loss (a ReLU at 0, a tie of a maximum): they say nothing, and are left out of the error. */
  readonly kinks: number;
}

export interface GradientCheck {
  readonly parameters: readonly ParameterCheck[];
  /** The worst of the parameters'. */
  readonly verdict: GradientVerdict;
  /** What is wrong, or was left out, in words. */
  readonly problems: readonly string[];
}

/**
 * Compares the gradient of `loss` by each parameter of a float64 model with central differences. Dropout is off, every evaluation draws
 * the same random numbers, and running statistics, gradients and random streams are afterwards what they were.
 * @example
 * const model = new Sequential(new Linear(3, 4), new Tanh(), new Linear(4, 1)).double();
 * const x = randn([5, 3], { dtype: 'float64' });
 * checkGradients(model, () => model.forward(x).square().mean()).verdict // 'pass'
 */
export function checkGradients(model: AnyModule, loss: () => Tensor, options: GradientCheckOptions = {}): GradientCheck {
  const { eps = 1e-5, elements = 200, directions = 20, seed = 0 } = options;
  if (!(eps >= 1e-8 && eps <= 1e-2)) throw new LibError('value', `checkGradients: eps must be from 1e-8 to 1e-2, got ${eps}.`);
  const named = [...model.namedParameters()].filter(([, p]) => p.requiresGrad);
  for (const [name, { dtype }] of named) {
    if (dtype === 'float64') continue;
    throw new LibError('dtype', `checkGradients: parameters must be float64, got ${dtype} for ${name}.`, 'convert them: model.double().');
  }
  if (named.length === 0) throw new LibError('value', 'checkGradients: the model must have parameters that require grad, got none.');
  return undisturbed(model, loss, (evaluate) => {
    const value = evaluate();
    const analytic = grad(
      value,
      named.map(([, p]) => p),
      { allowUnused: true },
    );
    // Rounding of the loss, seen through a quotient of differences.
    const noise = (8 * Number.EPSILON * Math.max(1, Math.abs(value.itemNow()))) / eps;
    const generator = new Generator(seed);
    const parameters = named.map(([name, p], i) => {
      const probe = { p, analytic: analytic[i] ?? zeros(p.shape, { dtype: 'float64' }), value: value.itemNow(), eps, noise, evaluate };
      return checkOne(name, probe, p.size <= elements ? unitVectors(p) : randomVectors(p, directions, generator));
    });
    return verdictOf(parameters);
  });
}

/** Runs `body` with dropout off; each call of what it gets starts from the same random state and leaves buffers as they were. */
function undisturbed<T>(model: AnyModule, loss: () => Tensor, body: (evaluate: () => Tensor) => T): T {
  const dropping = model.modules().filter((m) => m.training && /Drop|RReLU/.test(m.constructor.name));
  const [buffers, random] = [[...model.namedBuffers()].map(([, b]) => [b, b.detach().clone()] as const), getRandomState()];
  const restore = (): void => {
    for (const [buffer, before] of buffers) noGrad(() => buffer.copy_(before));
    setRandomState(random);
  };
  for (const m of dropping) m.training = false;
  try {
    return body(() => {
      restore();
      const value = loss();
      if (value.size === 1) return value;
      throw new LibError('shape', `checkGradients: the loss must be one number, got shape [${value.shape.join(', ')}].`);
    });
  } finally {
    for (const m of dropping) m.training = true;
    restore();
  }
}

interface Probe {
  readonly p: Parameter;
  readonly analytic: Tensor;
  readonly value: number;
  readonly eps: number;
  readonly noise: number;
  evaluate(): Tensor;
}

/** One place after the other. */
function* unitVectors(p: Tensor): Iterable<Tensor> {
  const places = arange(p.size).reshape(p.shape);
  for (let i = 0; i < p.size; i++) yield places.eq(i).to('float64');
}

function* randomVectors(p: Tensor, count: number, generator: Generator): Iterable<Tensor> {
  for (let i = 0; i < count; i++) {
    const v = randn(p.shape, { dtype: 'float64', generator });
    yield v.div(v.norm());
  }
}

/** Slopes along `directions`, from the gradient and from differences. */
function checkOne(name: string, { p, analytic, value, eps, noise, evaluate }: Probe, directions: Iterable<Tensor>): ParameterCheck {
  const start = p.detach().clone();
  const at = (step: Tensor): number =>
    noGrad(() => {
      p.copy_(start.add(step));
      return evaluate().itemNow();
    });
  const pairs: (readonly [exact: number, measured: number])[] = [];
  let kinks = 0;
  const aside = (direction: Tensor, step: number): readonly [slope: number, bend: number] => {
    const [up, down] = [at(direction.mul(step)), at(direction.mul(-step))];
    return [(up - down) / (2 * step), Math.abs(up - 2 * value + down) / step];
  };
  for (const direction of directions) {
    const [slope, bend] = aside(direction, eps);
    // How far the slopes to both sides are apart: half as far at half the step where the loss is smooth, as far at a bend.
    const bent = bend > 1e-4 * Math.abs(slope) + 8 * noise && aside(direction, eps / 2)[1] > 0.75 * bend;
    if (bent) kinks++;
    else pairs.push([analytic.mul(direction).sum().itemNow(), slope]);
  }
  noGrad(() => p.copy_(start));
  const length = (of: (pair: readonly [number, number]) => number): number => Math.hypot(...pairs.map(of));
  const apart = Math.max(0, length(([exact, measured]) => exact - measured) - noise * Math.sqrt(pairs.length));
  const error = apart / (length(([exact]) => exact) + length(([, measured]) => measured) + 1e-12);
  return { name, error, verdict: error < 1e-6 ? 'pass' : error <= 1e-3 ? 'suspicious' : 'fail', kinks };
}

function verdictOf(parameters: readonly ParameterCheck[]): GradientCheck {
  const has = (verdict: GradientVerdict): boolean => parameters.some((check) => check.verdict === verdict);
  const verdict = has('fail') ? 'fail' : has('suspicious') ? 'suspicious' : 'pass';
  const problems = parameters.flatMap(({ name, error, verdict: own, kinks }) => [
    ...(own === 'pass' ? [] : [`${name}: the gradient differs from differences by a relative error of ${error.toExponential(1)}`]),
    ...(kinks === 0 ? [] : [`${name}: ${kinks} differences straddle a bend and were left out`]),
  ]);
  return { parameters, verdict, problems };
}
