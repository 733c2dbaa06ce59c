import { LibError } from '../core/errors.js';
import { snakeCase } from '../core/names.js';
import { needWhole } from '../core/shape.js';
import { getDefaultDtype, type TensorOptions, tensor } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { defineComposite, type Op } from './define.js';

/** torch.signal.windows: weights of `M` neighbouring samples, largest in the middle. */

export interface WindowOptions extends TensorOptions {
  /** Symmetric, for filters; else one period of a periodic window, for spectra. Default true. */
  readonly sym?: boolean;
}
export interface ExponentialOptions extends WindowOptions {
  /** Where the window is 1; only for `sym: false`. Default: the middle. */
  readonly center?: number;
  /** The distance over which it falls to 1/e. Default 1. */
  readonly tau?: number;
}
export interface GaussianOptions extends WindowOptions {
  /** Default 1. */
  readonly std?: number;
}
export interface GeneralCosineOptions extends WindowOptions {
  /** Weights of the cosines, whose signs alternate. */
  readonly a: readonly number[];
}
export interface GeneralHammingOptions extends WindowOptions {
  /** The weight of the constant; that of the cosine is 1 - alpha. Default 0.54. */
  readonly alpha?: number;
}
export interface KaiserOptions extends WindowOptions {
  /** The larger, the narrower the window. Default 12. */
  readonly beta?: number;
}
type Window<Options = WindowOptions> = Op<[M: number, options?: Options]>;
type Shape = (n: number, last: number) => number;

/** The window's values at n = 0 … M - 1, of a curve over 0 … last. */
function sampled(op: string, M: number, { sym = true, dtype = getDefaultDtype(), ...options }: WindowOptions, value: Shape): Tensor {
  needWhole(op, 'the size M', M, 0);
  if (dtype !== 'float32' && dtype !== 'float64') throw new LibError('dtype', `${op}: dtype must be float32 or float64, got ${dtype}.`);
  const last = sym ? M - 1 : M;
  const data = Float64Array.from({ length: M }, (_, n) => (M === 1 ? 1 : value(n, last)));
  return tensor(data, { dtype, ...rest(options) });
}
const rest = ({ device, requiresGrad }: TensorOptions): TensorOptions => ({
  ...(device && { device }),
  ...(requiresGrad && { requiresGrad }),
});

function windowRow<Options extends WindowOptions>(
  name: string,
  value: (options: Options) => Shape,
  samples: readonly (readonly [M: number, options: Options])[],
  bad: readonly (readonly [options: Options, says: string])[] = [],
): Window<Options> {
  const op = `signal.windows.${name}`;
  const snake = snakeCase(name);
  return defineComposite({
    name: op,
    compose: (M: number, options: Options = {} as Options) => sampled(op, M, options, value(options)),
    differentiable: false,
    *samples(): Iterable<[M: number, options?: Options]> {
      for (const [M, options] of samples) yield [M, { ...options, dtype: 'float64' }];
    },
    *errors(): Iterable<readonly [[M: number, options?: Options], string]> {
      yield [[-1, samples[0]?.[1] as Options], 'whole number of at least 0'];
      yield [[5, { ...samples[0]?.[1], dtype: 'int32' } as Options], 'dtype must be float32 or float64'];
      for (const [options, says] of bad) yield [[5, options], says];
    },
    torch: { call: `torch.signal.windows.${snake}(a[0], **o)` },
  });
}
const usual: readonly (readonly [number, WindowOptions])[] = [
  [7, {}],
  [6, { sym: false }],
  [1, {}],
  [0, {}],
];

const cosines =
  (a: readonly number[]): Shape =>
  (n, last) =>
    a.reduce((sum, c, k) => sum + (k % 2 === 0 ? c : -c) * Math.cos((2 * Math.PI * k * n) / last), 0);

function positive(op: string, name: string, value: number): number {
  if (!(value > 0)) throw new LibError('value', `signal.windows.${op}: ${name} must be positive, got ${value}.`);
  return value;
}

/** Triangles that are 0 at both ends. */
export const bartlett: Window = windowRow('bartlett', () => (n, last) => 1 - Math.abs((2 * n) / last - 1), usual);
/** Three cosines: 0.42, 0.5 and 0.08. */
export const blackman: Window = windowRow('blackman', () => cosines([0.42, 0.5, 0.08]), usual);
/** One arch of a sine. */
export const cosine: Window = windowRow('cosine', () => (n, last) => Math.sin((Math.PI * (n + 0.5)) / (last + 1)), usual);
/** exp(-|n - center| / tau). */
export const exponential: Window<ExponentialOptions> = windowRow<ExponentialOptions>(
  'exponential',
  ({ sym = true, center, tau = 1 }: ExponentialOptions) => {
    positive('exponential', 'tau', tau);
    if (sym && center !== undefined)
      throw new LibError('option', `signal.windows.exponential: center is for sym: false, got center ${center} of a symmetric window.`);
    return (n, last) => Math.exp(-Math.abs(n - (center ?? last / 2)) / tau);
  },
  [...usual, [6, { sym: false, center: 1, tau: 2.5 }]],
  [
    [{ tau: 0 }, 'tau must be positive'],
    [{ center: 2 }, 'center is for sym: false'],
  ],
);
/** exp(-(n - center)² / 2 std²). */
export const gaussian: Window<GaussianOptions> = windowRow<GaussianOptions>(
  'gaussian',
  ({ std = 1 }: GaussianOptions) => {
    positive('gaussian', 'std', std);
    return (n, last) => Math.exp(-0.5 * ((n - last / 2) / std) ** 2);
  },
  [...usual, [8, { std: 2.5 }]],
  [[{ std: -1 }, 'std must be positive']],
);
/** Σ (-1)ᵏ a[k] cos(2πkn / last). */
export const generalCosine: Op<[M: number, options: GeneralCosineOptions]> = windowRow<GeneralCosineOptions>(
  'generalCosine',
  ({ a }: GeneralCosineOptions) => {
    if (!Array.isArray(a) || a.length === 0)
      throw new LibError('option', 'signal.windows.generalCosine: a must be a list of weights, got none.');
    return cosines(a);
  },
  usual.map(([M, options]) => [M, { ...options, a: [0.46, 0.23, 0.31] }] as const),
  [[{ a: [] }, 'a list of weights']],
);
/** alpha - (1 - alpha) cos(2πn / last). */
export const generalHamming: Window<GeneralHammingOptions> = windowRow<GeneralHammingOptions>(
  'generalHamming',
  ({ alpha = 0.54 }: GeneralHammingOptions) => cosines([alpha, 1 - alpha]),
  [...usual, [5, { alpha: 0.7 }]],
);
/** 0.54 - 0.46 cos(2πn / last). */
export const hamming: Window = windowRow('hamming', () => cosines([0.54, 0.46]), usual);
/** (1 - cos(2πn / last)) / 2. */
export const hann: Window = windowRow('hann', () => cosines([0.5, 0.5]), usual);
/** I0(beta √(1 - u²)) / I0(beta), u from -1 to 1. */
export const kaiser: Window<KaiserOptions> = windowRow<KaiserOptions>(
  'kaiser',
  ({ beta = 12 }: KaiserOptions) => {
    if (!(beta >= 0)) throw new LibError('value', `signal.windows.kaiser: beta must not be negative, got ${beta}.`);
    return (n, last) => besselI0(beta * Math.sqrt(Math.max(0, 1 - ((2 * n) / last - 1) ** 2))) / besselI0(beta);
  },
  [...usual, [6, { beta: 5 }]],
  [[{ beta: -1 }, 'must not be negative']],
);
/** Four cosines with small side lobes. */
export const nuttall: Window = windowRow('nuttall', () => cosines([0.3635819, 0.4891775, 0.1365995, 0.0106411]), usual);

/** Σ (x²/4)ᵏ / k!². */
function besselI0(x: number): number {
  let [sum, term] = [1, 1];
  for (let k = 1; term > sum * 1e-17; k++) {
    term *= (x / (2 * k)) ** 2;
    sum += term;
  }
  return sum;
}
