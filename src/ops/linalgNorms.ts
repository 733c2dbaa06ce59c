import { LibError } from '../core/errors.js';
import { formatShape, resolveDims } from '../core/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import { defineComposite, type Op } from './define.js';
import { needMatrix, needReal, needSquare, torchLinalg } from './factorRows.js';
import { invEx } from './linalgSolve.js';
import { svdvals } from './linalgSpectral.js';
import { pNorm } from './pNorm.js';

/** Norms of vectors and matrices, and condition numbers. */

type Dims = number | readonly number[];

export interface VectorNormOptions {
  /** Any number, ±Infinity included. Default 2. */
  readonly ord?: number;
  /** Default: all, as one vector. */
  readonly dim?: Dims;
  /** Keep reduced dims, with size 1. Default false. */
  readonly keepdim?: boolean;
  /** The type to compute in and of the result. Default: x's. */
  readonly dtype?: 'float32' | 'float64';
}

/** (Σ |x|ᵖ)^(1/p) over `dim`; the largest or smallest |x| for ±Infinity, the count of what is not 0 for 0. */
export const vectorNorm: Op<[x: Tensor, options?: VectorNormOptions]> = defineComposite({
  name: 'linalg.vectorNorm',
  compose(x: Tensor, { ord = 2, dim, keepdim = false, dtype }: VectorNormOptions = {}) {
    const wide = dtype ? x.to(dtype) : x;
    needReal('linalg.vectorNorm', wide);
    return pNorm(wide, { p: ord, keepdim, ...(dim !== undefined && { dim }) });
  },
  torch: torchLinalg('vector_norm'),
  *samples(random): Iterable<[x: Tensor, options?: VectorNormOptions]> {
    yield [random([2, 3])];
    for (const ord of [1, 0, 3, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) yield [random([2, 3]), { ord, dim: 1 }];
    yield [random([2, 3, 4]), { dim: [0, 2], keepdim: true }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, options?: VectorNormOptions], string]> {
    yield [[random([2]), { dim: 3 }], 'dim 3 is out of range'];
    yield [[random.integers([2], 0, 3)], 'must be of type float32 or float64'];
  },
});

export type MatrixOrder = number | 'fro' | 'nuc';

export interface MatrixNormOptions {
  /** 'fro' (default), 'nuc' (the sum of singular values), ±2 (largest, smallest of them), ±1 (sums of columns), ±Infinity (of rows). */
  readonly ord?: MatrixOrder;
  /** The two dims of the matrices. Default [-2, -1]. */
  readonly dim?: readonly [number, number];
  /** Default false. */
  readonly keepdim?: boolean;
}

function matrixNormOf(op: string, x: Tensor, { ord = 'fro', dim = [-2, -1], keepdim = false }: MatrixNormOptions): Tensor {
  needMatrix(op, x);
  const [r = 0, c = 0] = resolveDims(op, dim, x.ndim).length === 2 ? dim.map((d) => (d < 0 ? d + x.ndim : d)) : [];
  if (r === c) throw new LibError('index', `${op}: dim must be two different dims, got [${dim.join(', ')}].`);
  if (ord === 'fro') return pNorm(x, { dim: [r, c], keepdim });
  if (typeof ord === 'string' ? ord !== 'nuc' : ![1, 2, Number.POSITIVE_INFINITY].includes(Math.abs(ord))) {
    throw new LibError('value', `${op}: ord of matrices must be 'fro', 'nuc', ±1, ±2 or ±Infinity, got ${ord}.`);
  }
  const m = x.movedim([r, c], [-2, -1]);
  const [values, op2] =
    ord === 'nuc' || Math.abs(ord) === 2 ? [svdvals(m), ord] : [pNorm(m, { p: 1, dim: Math.abs(ord) === 1 ? -2 : -1 }), ord];
  const nothing = values.sizeAt(-1) === 0 && op2 !== 'nuc' && op2 > 0;
  const y = op2 === 'nuc' || nothing ? values.sum({ dim: -1 }) : op2 > 0 ? values.amax({ dim: -1 }) : values.amin({ dim: -1 });
  return keepdim ? [r, c].sort((p, q) => p - q).reduce((t, d) => t.unsqueeze(d), y) : y;
}

/** A norm of matrices: of the last two dims, or of `dim`. */
export const matrixNorm: Op<[a: Tensor, options?: MatrixNormOptions]> = defineComposite({
  name: 'linalg.matrixNorm',
  compose: (a: Tensor, options: MatrixNormOptions = {}) => matrixNormOf('linalg.matrixNorm', a, options),
  torch: torchLinalg('matrix_norm'),
  *samples(random): Iterable<[a: Tensor, options?: MatrixNormOptions]> {
    yield [random([2, 3, 4])];
    for (const ord of ['nuc', 1, -1, 2, -2, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY] as const)
      yield [random([2, 3, 3]), { ord }];
    yield [random([3, 2, 4]), { ord: 1, dim: [2, 0], keepdim: true }];
  },
  *errors(random): Iterable<readonly [[a: Tensor, options?: MatrixNormOptions], string]> {
    yield [[random([2, 2]), { ord: 3 }], 'ord of matrices must be'];
    yield [[random([2])], 'at least 2 dims'];
    yield [[random([2, 2]), { dim: [0, -2] }], 'dim'];
  },
});

export interface LinalgNormOptions {
  /** As of {@link vectorNorm} or {@link matrixNorm}. Default: the 2-norm of all elements. */
  readonly ord?: MatrixOrder;
  /** One dim: vectors; two: matrices. Default: all of x, which then has one or two dims if `ord` is given. */
  readonly dim?: Dims;
  /** Default false. */
  readonly keepdim?: boolean;
}

/** The norm of vectors or of matrices, as `dim` and `ord` say. */
export const norm: Op<[x: Tensor, options?: LinalgNormOptions]> = defineComposite({
  name: 'linalg.norm',
  compose(x: Tensor, { ord, dim, keepdim = false }: LinalgNormOptions = {}) {
    needReal('linalg.norm', x);
    if (ord === undefined) return pNorm(x, { keepdim, ...(dim !== undefined && { dim }) });
    const dims = dim === undefined ? [...x.shape.keys()] : typeof dim === 'number' ? [dim] : dim;
    if (dims.length === 2) return matrixNormOf('linalg.norm', x, { ord, dim: [dims[0] ?? 0, dims[1] ?? 1], keepdim });
    if (dims.length !== 1 || typeof ord === 'string') {
      throw new LibError(
        'value',
        `linalg.norm: ord ${ord} is for ${typeof ord === 'string' ? 'matrices' : 'one dim or two'}, got ${dims.length} dims.`,
      );
    }
    return pNorm(x, { p: ord, dim: dims, keepdim });
  },
  torch: torchLinalg('norm'),
  *samples(random): Iterable<[x: Tensor, options?: LinalgNormOptions]> {
    yield [random([2, 3, 4])];
    yield [random([3, 4]), { ord: 'nuc' }];
    yield [random([3]), { ord: 1 }];
    yield [random([2, 3, 4]), { ord: 1, dim: 1 }];
    yield [random([2, 3, 4]), { ord: Number.POSITIVE_INFINITY, dim: [0, 2], keepdim: true }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, options?: LinalgNormOptions], string]> {
    yield [[random([2, 2, 2]), { ord: 2 }], 'one dim or two'];
    yield [[random([2]), { ord: 'fro' }], 'for matrices'];
  },
});

/** ‖A‖ ‖A⁻¹‖ in one of {@link matrixNorm}'s norms: by default (2) the largest singular value over the smallest. Infinity if singular. */
export const cond: Op<[a: Tensor, options?: { readonly p?: MatrixOrder }]> = defineComposite({
  name: 'linalg.cond',
  compose(a: Tensor, { p = 2 }: { readonly p?: MatrixOrder } = {}) {
    needMatrix('linalg.cond', a);
    if (p === 2 || p === -2) {
      const s = svdvals(a);
      const [first, last] = [s.select(-1, 0), s.select(-1, s.sizeAt(-1) - 1)];
      return p === 2 ? first.div(last) : last.div(first);
    }
    needSquare('linalg.cond', a);
    const { inverse, info } = invEx(a);
    const product = matrixNormOf('linalg.cond', a, { ord: p }).mul(matrixNormOf('linalg.cond', inverse, { ord: p }));
    return info.ne(0).where(Number.POSITIVE_INFINITY, product);
  },
  torch: { call: 'torch.linalg.cond(*a, **o)' },
  *samples(random): Iterable<[a: Tensor, options?: { readonly p?: MatrixOrder }]> {
    yield [random([3, 3])];
    yield [random([2, 4, 2]), { p: -2 }];
    for (const p of ['fro', 1, Number.POSITIVE_INFINITY, 'nuc'] as const) yield [random([2, 2]), { p }];
  },
  *errors(random): Iterable<readonly [[a: Tensor, options?: { readonly p?: MatrixOrder }], string]> {
    yield [[random([3, 2]), { p: 1 }], 'must be square'];
    yield [[random([2, 2]), { p: 4 }], 'ord of matrices must be'];
    yield [[random([3])], `at least 2 dims, got shape ${formatShape([3])}`];
  },
});
