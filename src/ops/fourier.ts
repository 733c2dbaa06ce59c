import { isFloat } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import { formatShape, needWhole, resolveDim } from '../core/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import { defineComposite, type Op } from './define.js';
import { conjugated, dft, type Sign } from './fourierParts.js';
import { cat, stack } from './join.js';

/**
 * torch.fft's transforms. Complex numbers are pairs, as torch.view_as_real gives them: a last dim of size 2, real and imaginary part,
 * which `dim` does not count. Real tensors (what rfft and ihfft take, what irfft and hfft give) have no such dim.
 */

export interface FftOptions {
  /** The size that is transformed: longer ones are cut, shorter ones filled with zeros. Default: the tensor's; of irfft and hfft 2 (m - 1). */
  readonly n?: number;
  /** Default -1. */
  readonly dim?: number;
  /** 'backward' (default) divides inverse transforms by the size, 'forward' the others, 'ortho' both by its root. */
  readonly norm?: 'backward' | 'forward' | 'ortho';
}
export interface FftnOptions extends Pick<FftOptions, 'norm'> {
  /** Sizes for the dims that are transformed; -1 leaves one as it is. */
  readonly s?: readonly number[];
  /** Default: the last ones, as many as `s` has, or all. Of fft2 and its kin the last two. */
  readonly dim?: number | readonly number[];
}
type Fft = Op<[x: Tensor, options?: FftOptions]>;
type Fftn = Op<[x: Tensor, options?: FftnOptions]>;

/** Pairs to pairs, real numbers to the half of pairs that says all, or such a half to real numbers. */
type Kind = 'pairs' | 'fromReal' | 'toReal';
interface Form {
  readonly name: string;
  readonly kind: Kind;
  readonly sign: Sign;
}
interface Axis {
  readonly dim: number;
  readonly n: number;
}

/** A dim with n entries: cut, or filled with zeros. */
function sized(x: Tensor, { dim, n }: Axis): Tensor {
  const size = x.sizeAt(dim);
  return n <= size ? x.narrow(dim, 0, n) : x.pad([...new Array<number>(2 * (x.ndim - dim) - 1).fill(0), n - size]);
}
const along = (x: Tensor, axis: Axis, sign: Sign): Tensor => dft(sized(x, axis).transpose(axis.dim, -2), sign).transpose(axis.dim, -2);

function fromReal(x: Tensor, axis: Axis, sign: Sign): Tensor {
  const real = sized(x, axis);
  return along(stack([real, real.mul(0)], { dim: -1 }), axis, sign).narrow(axis.dim, 0, Math.floor(axis.n / 2) + 1);
}
function toReal(x: Tensor, { dim, n }: Axis, sign: Sign): Tensor {
  const half = sized(x, { dim, n: Math.floor(n / 2) + 1 });
  const other = conjugated(half.narrow(dim, 1, n - half.sizeAt(dim))).flip(dim);
  return along(cat([half, other], { dim }), { dim, n }, sign).select(-1, 0);
}

function checkedSize(name: string, n: number): number {
  needWhole(name, 'each size', n, 1);
  return n;
}

function transform(
  { name, kind, sign }: Form,
  x: Tensor,
  dims: readonly number[],
  sizes: readonly number[],
  norm: FftOptions['norm'],
): Tensor {
  const real = kind === 'fromReal';
  if (!real && (x.ndim < 1 || x.sizeAt(-1) !== 2))
    throw new LibError('shape', `${name}: complex numbers must be pairs in a last dim of size 2, got shape ${formatShape(x.shape)}.`);
  const rank = real ? x.ndim : x.ndim - 1;
  if (rank === 0) throw new LibError('shape', `${name}: the tensor must have dims to transform, got shape ${formatShape(x.shape)}.`);
  const whole = isFloat(x.dtype) ? x : x.float();
  const axes = dims.map((d, i) => {
    const dim = resolveDim(name, d, rank);
    const last = kind === 'toReal' && i === dims.length - 1;
    const given = sizes[i] ?? -1;
    const n = given !== -1 ? given : last ? 2 * (x.sizeAt(dim) - 1) : x.sizeAt(dim);
    return { dim, n: checkedSize(name, n) };
  });
  if (new Set(axes.map(({ dim }) => dim)).size < dims.length)
    throw new LibError('index', `${name}: dims must be unique, got [${dims.join(', ')}].`);
  const [last, others] = [axes.at(-1), axes.slice(0, -1)];
  if (last === undefined) return whole;
  let y = real ? fromReal(whole, last, sign) : whole;
  for (const axis of kind === 'pairs' ? axes : others) y = along(y, axis, sign);
  if (kind === 'toReal') y = toReal(y, last, sign);
  const size = axes.reduce((product, { n }) => product * n, 1);
  const divided = norm === 'ortho' ? Math.sqrt(size) : (norm === 'forward') === (sign === -1) ? size : 1;
  return divided === 1 ? y : y.div(divided);
}

const torchCall = ({ name, kind }: Form): { call: string } => {
  const call = `torch.${name}(${kind === 'fromReal' ? 'a[0]' : 'torch.view_as_complex(a[0])'}, **o)`;
  return { call: kind === 'toReal' ? call : `torch.view_as_real(${call}.resolve_conj())` };
};
const pairs = (kind: Kind, ...shape: number[]): number[] => (kind === 'fromReal' ? shape : [...shape, 2]);

function oneDim(form: Form): Fft {
  const { name, kind } = form;
  return defineComposite({
    name,
    compose: (x: Tensor, { n, dim = -1, norm = 'backward' }: FftOptions = {}) =>
      transform(form, x, [dim], n === undefined ? [] : [checkedSize(name, n)], norm),
    *samples(random): Iterable<[x: Tensor, options?: FftOptions]> {
      yield [random(pairs(kind, 2, 6))];
      yield [random(pairs(kind, 5, 2)), { n: 7, dim: 0, norm: 'ortho' }];
      yield [random(pairs(kind, 6)), { n: 4, norm: 'forward' }];
    },
    *errors(random): Iterable<readonly [[x: Tensor, options?: FftOptions], string]> {
      yield [[random(pairs(kind, 3)), { dim: 1 }], 'out of range'];
      yield [[random(pairs(kind, 3)), { n: 0 }], 'at least 1'];
      yield [[random(pairs(kind))], 'must have dims to transform'];
      yield [[random(pairs(kind, 3)), { norm: 'x' as 'ortho' }], "norm must be 'backward', 'forward' or 'ortho'"];
      if (kind !== 'fromReal') yield [[random([3])], 'pairs in a last dim of size 2'];
    },
    torch: torchCall(form),
  });
}

function manyDims(form: Form, usual?: readonly number[]): Fftn {
  const { name, kind } = form;
  return defineComposite({
    name,
    compose(x: Tensor, { s, dim = usual, norm = 'backward' }: FftnOptions = {}) {
      const rank = kind === 'fromReal' ? x.ndim : x.ndim - 1;
      const count = s?.length ?? rank;
      const dims = typeof dim === 'number' ? [dim] : (dim ?? Array.from({ length: count }, (_, i) => i - count));
      if (s && s.length !== dims.length)
        throw new LibError('value', `${name}: there must be a size for each of ${dims.length} dims, got ${s.length}.`);
      return transform(form, x, dims, s ?? [], norm);
    },
    *samples(random): Iterable<[x: Tensor, options?: FftnOptions]> {
      yield [random(pairs(kind, 2, 3, 4))];
      yield [random(pairs(kind, 3, 4)), { s: [4, -1], dim: [1, 0], norm: 'ortho' }];
      yield [random(pairs(kind, 3, 4)), { dim: 0 }];
    },
    *errors(random): Iterable<readonly [[x: Tensor, options?: FftnOptions], string]> {
      yield [[random(pairs(kind, 3, 3)), { dim: [0, 0] }], 'must be unique'];
      yield [[random(pairs(kind, 3, 3)), { s: [2], dim: [0, 1] }], 'a size for each of 2 dims'];
    },
    torch: torchCall(form),
  });
}

const forms = (name: string, kind: Kind, sign: Sign): Form => ({ name: `fft.${name}`, kind, sign });
/**
 * The discrete Fourier transform of pairs (…, n, 2), along a dim. Of real numbers: {@link rfft}, or pairs with zeros.
 * @example fft.fft(tensor([[1, 0], [0, 0], [0, 0]])) // three times 1 + 0i
 */
export const fft: Fft = oneDim(forms('fft', 'pairs', -1));
/** The inverse of {@link fft}. */
export const ifft: Fft = oneDim(forms('ifft', 'pairs', 1));
/** The transform of real numbers, (…, n) to pairs (…, ⌊n / 2⌋ + 1, 2): the other half are their conjugates. */
export const rfft: Fft = oneDim(forms('rfft', 'fromReal', -1));
/** The inverse of {@link rfft}, to real numbers. Give `n` where it is odd. */
export const irfft: Fft = oneDim(forms('irfft', 'toReal', 1));
/** The real transform of numbers of which one half, (…, m, 2), is given and the other half conjugate: (…, n). */
export const hfft: Fft = oneDim(forms('hfft', 'toReal', -1));
/** The inverse of {@link hfft}. */
export const ihfft: Fft = oneDim(forms('ihfft', 'fromReal', 1));

/** {@link fft} along two dims. */
export const fft2: Fftn = manyDims(forms('fft2', 'pairs', -1), [-2, -1]);
/** {@link ifft} along two dims. */
export const ifft2: Fftn = manyDims(forms('ifft2', 'pairs', 1), [-2, -1]);
/** {@link rfft} along two dims: the last one is halved. */
export const rfft2: Fftn = manyDims(forms('rfft2', 'fromReal', -1), [-2, -1]);
/** {@link irfft} along two dims. */
export const irfft2: Fftn = manyDims(forms('irfft2', 'toReal', 1), [-2, -1]);
/** {@link hfft} along two dims. */
export const hfft2: Fftn = manyDims(forms('hfft2', 'toReal', -1), [-2, -1]);
/** {@link ihfft} along two dims. */
export const ihfft2: Fftn = manyDims(forms('ihfft2', 'fromReal', 1), [-2, -1]);

/** {@link fft} along several dims. */
export const fftn: Fftn = manyDims(forms('fftn', 'pairs', -1));
/** {@link ifft} along several dims. */
export const ifftn: Fftn = manyDims(forms('ifftn', 'pairs', 1));
/** {@link rfft} along several dims: the last one is halved. */
export const rfftn: Fftn = manyDims(forms('rfftn', 'fromReal', -1));
/** {@link irfft} along several dims. */
export const irfftn: Fftn = manyDims(forms('irfftn', 'toReal', 1));
/** {@link hfft} along several dims. */
export const hfftn: Fftn = manyDims(forms('hfftn', 'toReal', -1));
/** {@link ihfft} along several dims. */
export const ihfftn: Fftn = manyDims(forms('ihfftn', 'fromReal', 1));
