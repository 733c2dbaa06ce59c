import { LibError } from '../core/errors.js';
import { formatShape, type Shape } from '../core/shape.js';
import { qr } from '../ops/linalgFactors.js';
import { noGrad } from '../tensor/autograd.js';
import { eye } from '../tensor/creation.js';
import { type Generator, initGenerator } from '../tensor/random.js';
import type { Tensor } from '../tensor/tensor.js';

/**
 * PyTorch's torch.nn.init: each function overwrites a tensor, outside the graph, and returns it. Random ones draw from the 'init'
 * stream unless a generator is given, so that initialization never shifts data order or dropout.
 */
export interface InitOptions {
  /** Where random numbers come from. Default: the 'init' stream of `manualSeed`. */
  readonly generator?: Generator;
}

export type Nonlinearity = 'linear' | 'conv1d' | 'conv2d' | 'conv3d' | 'sigmoid' | 'tanh' | 'relu' | 'leakyRelu' | 'selu';

const gains: Readonly<Record<Exclude<Nonlinearity, 'leakyRelu'>, number>> = {
  ...{ linear: 1, conv1d: 1, conv2d: 1, conv3d: 1, sigmoid: 1 },
  ...{ tanh: 5 / 3, relu: Math.SQRT2, selu: 3 / 4 },
};

/** The factor by which weights are scaled so that an activation keeps the variance (`param`: leaky ReLU's slope, default 0.01). */
export function calculateGain(nonlinearity: Nonlinearity, param = 0.01): number {
  if (nonlinearity === 'leakyRelu') return Math.sqrt(2 / (1 + param ** 2));
  const gain = gains[nonlinearity];
  if (gain === undefined) throw new LibError('option', `calculateGain: the nonlinearity must be known, got '${String(nonlinearity)}'.`);
  return gain;
}

/**
 * Inputs and outputs of one unit of a weight of shape (out, in, ...kernel). A convolution in groups has (out, in / groups, ...kernel):
 * fanIn comes out right, fanOut needs `groups`. Embeddings have none: say the deviation yourself.
 */
export function fans(op: string, shape: Shape, groups = 1): { readonly fanIn: number; readonly fanOut: number } {
  const [out, inputs, ...kernel] = shape;
  if (out === undefined || inputs === undefined) {
    throw new LibError('shape', `${op}: the tensor must have at least 2 dimensions, got shape ${formatShape(shape)}.`);
  }
  const field = kernel.reduce((n, d) => n * d, 1);
  return { fanIn: inputs * field, fanOut: (out * field) / groups };
}

/** Uniform in [low, high). Defaults 0 and 1. */
export const uniform_ = (x: Tensor, low = 0, high = 1, { generator = initGenerator() }: InitOptions = {}): Tensor =>
  noGrad(() => x.uniform_(low, high, { generator }));

/** Normal. Defaults: mean 0, deviation 1. */
export const normal_ = (x: Tensor, mean = 0, std = 1, { generator = initGenerator() }: InitOptions = {}): Tensor =>
  noGrad(() => x.normal_(mean, std, { generator }));

/** Normal, redrawn outside [low, high] (by inverting the distribution function). Defaults: mean 0, std 1, low -2, high 2. */
export function truncNormal_(x: Tensor, mean = 0, std = 1, low = -2, high = 2, { generator = initGenerator() }: InitOptions = {}): Tensor {
  if (!(low < high)) throw new LibError('value', `truncNormal_: low must be below high, got ${low} and ${high}.`);
  // erf of the bounds, as tensors: the inverse of the truncated distribution function is erfinv of a uniform between them.
  return noGrad(() => {
    const bound = (v: number): number =>
      x
        .detach()
        .reshape([-1])
        .narrow(0, 0, 1)
        .float()
        .mul(0)
        .add((v - mean) / (std * Math.SQRT2))
        .erf()
        .itemNow();
    x.uniform_(bound(low), bound(high), { generator });
    return x.copy_(
      x
        .erfinv()
        .mul(std * Math.SQRT2)
        .add(mean)
        .clamp({ min: low, max: high }),
    );
  });
}

export const constant_ = (x: Tensor, value: number): Tensor => noGrad(() => x.fill_(value));
export const zeros_ = (x: Tensor): Tensor => constant_(x, 0);
export const ones_ = (x: Tensor): Tensor => constant_(x, 1);

/** The identity matrix. */
export function eye_(x: Tensor): Tensor {
  const [rows, columns] = x.dims(2);
  return noGrad(() => x.copy_(eye(rows, columns)));
}

/** Convolution weights that pass channels through unchanged: 1 at the kernel's centre of channel i → i, per group. */
export function dirac_(x: Tensor, groups = 1): Tensor {
  if (x.ndim < 3 || x.ndim > 5)
    throw new LibError('shape', `dirac_: the tensor must have 3 to 5 dimensions, got shape ${formatShape(x.shape)}.`);
  const [out = 1, inputs = 1, ...kernel] = x.shape;
  if (out % groups !== 0) throw new LibError('value', `dirac_: groups must divide the output channels, got ${groups} for ${out}.`);
  const perGroup = out / groups;
  return noGrad(() => {
    x.fill_(0);
    for (let o = 0; o < out; o++) {
      if (o % perGroup >= inputs) continue;
      let at = x.select(0, o).select(0, o % perGroup);
      for (const k of kernel) at = at.select(0, Math.floor(k / 2));
      at.fill_(1);
    }
    return x;
  });
}

/** Options of initializers that read fans. */
export interface FanOptions extends InitOptions {
  /** Groups of the convolution whose weight it is: they divide fanOut, which PyTorch forgets. Default 1. */
  readonly groups?: number;
}

export interface XavierOptions extends FanOptions {
  /** Extra factor; see {@link calculateGain}. Default 1. */
  readonly gain?: number;
}

/** Uniform with variance 2 / (fanIn + fanOut) (Glorot & Bengio 2010). */
export function xavierUniform_(x: Tensor, { gain = 1, groups = 1, ...options }: XavierOptions = {}): Tensor {
  const { fanIn, fanOut } = fans('xavierUniform_', x.shape, groups);
  const bound = gain * Math.sqrt(6 / (fanIn + fanOut));
  return uniform_(x, -bound, bound, options);
}

/** Normal with variance 2 / (fanIn + fanOut) (Glorot & Bengio 2010). */
export function xavierNormal_(x: Tensor, { gain = 1, groups = 1, ...options }: XavierOptions = {}): Tensor {
  const { fanIn, fanOut } = fans('xavierNormal_', x.shape, groups);
  return normal_(x, 0, gain * Math.sqrt(2 / (fanIn + fanOut)), options);
}

export interface KaimingOptions extends FanOptions {
  /** Slope of the leaky ReLU that follows. Default 0. */
  readonly a?: number;
  /** Keep the variance forward ('fanIn', default) or backward ('fanOut'). */
  readonly mode?: 'fanIn' | 'fanOut';
  /** Default 'leakyRelu'. */
  readonly nonlinearity?: Nonlinearity;
}

function kaimingStd(op: string, x: Tensor, { a = 0, mode = 'fanIn', nonlinearity = 'leakyRelu', groups = 1 }: KaimingOptions): number {
  if (mode !== 'fanIn' && mode !== 'fanOut')
    throw new LibError('option', `${op}: mode must be 'fanIn' or 'fanOut', got '${String(mode)}'.`);
  return calculateGain(nonlinearity, a) / Math.sqrt(fans(op, x.shape, groups)[mode]);
}

/** Uniform with variance gain² / fan (He et al. 2015). */
export function kaimingUniform_(x: Tensor, options: KaimingOptions = {}): Tensor {
  const bound = Math.sqrt(3) * kaimingStd('kaimingUniform_', x, options);
  return uniform_(x, -bound, bound, options);
}

/** Normal with variance gain² / fan (He et al. 2015). */
export const kaimingNormal_ = (x: Tensor, options: KaimingOptions = {}): Tensor =>
  normal_(x, 0, kaimingStd('kaimingNormal_', x, options), options);

export interface OrthogonalOptions extends InitOptions {
  /** Factor of all values. Default 1. */
  readonly gain?: number;
}

/**
 * A random matrix with orthonormal rows or columns (Saxe et al. 2014), times the gain; dims beyond the first are flattened. It is the Q of a
 * normal matrix, signs such that R has a positive diagonal: uniform over all such matrices.
 */
export function orthogonal_(x: Tensor, { gain = 1, generator = initGenerator() }: OrthogonalOptions = {}): Tensor {
  fans('orthogonal_', x.shape);
  const [rows = 1, ...rest] = x.shape;
  const columns = rest.reduce((n, d) => n * d, 1);
  return noGrad(() => {
    const [tall, wide] = [Math.max(rows, columns), Math.min(rows, columns)];
    const sample = x.detach().to('float64').reshape([-1]).normal_(0, 1, { generator }).reshape([tall, wide]);
    const { Q, R } = qr(sample);
    const q = Q.mul(R.diagonal().ge(0).to('float64').mul(2).sub(1)).mul(gain);
    return x.copy_((rows >= columns ? q : q.t()).reshape(x.shape));
  });
}

/** Normal entries with a share of `sparsity` zeros in each column (Martens 2010). Default std 0.01. */
export function sparse_(x: Tensor, sparsity: number, { std = 0.01, ...options }: InitOptions & { readonly std?: number } = {}): Tensor {
  const [rows, columns] = x.dims(2);
  if (!(sparsity >= 0 && sparsity <= 1)) throw new LibError('value', `sparse_: sparsity must be in [0, 1], got ${sparsity}.`);
  const zeros = Math.ceil(sparsity * rows);
  return noGrad(() => {
    normal_(x, 0, std, options);
    for (let c = 0; c < columns; c++) {
      const order = x.detach().select(1, c).clone();
      uniform_(order, 0, 1, options);
      const chosen = order.argsort().narrow(0, 0, zeros);
      x.select(1, c).copy_(x.select(1, c).indexFill(0, chosen, 0));
    }
    return x;
  });
}
