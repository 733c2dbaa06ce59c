import type { DType } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import type { Tensor } from '../tensor/tensor.js';
import { defineComposite, type Op } from './define.js';
import type { DimOptions } from './foldRows.js';
import { matrixNorm } from './linalgNorms.js';
import { pNorm } from './pNorm.js';

/** Norms under their old names; `linalg` has them all. */

export interface NormOptions extends DimOptions {
  /**
   * 2 or 'fro': Euclidean (the default). 1: sum of sizes. ±Infinity: largest or smallest size. 0: how many are not 0. 'nuc': the sum
   * of singular values of the matrices in two dims.
   */
  readonly p?: number | 'fro' | 'nuc';
  /** The type to compute in and of the result. Default: the tensor's. */
  readonly dtype?: DType;
}
type Norm<Options> = Op<[x: Tensor, options?: Options]>;

/** The p-norm over `dim`. Its gradient at zero is 0. */
export const norm: Norm<NormOptions> = defineComposite({
  name: 'norm',
  compose(x: Tensor, { p = 'fro', dtype, ...options }: NormOptions = {}) {
    const wide = dtype ? x.to(dtype) : x;
    return p === 'nuc' ? nuclear('norm', wide, options) : pNorm(wide, { ...options, p });
  },
  // Infinity is null in JSON.
  torch: { call: 'torch.norm(a[0], **{k: (float("inf") if k == "p" and v is None else v) for k, v in o.items()})' },
  *samples(random): Iterable<[x: Tensor, options?: NormOptions]> {
    yield [random([7])];
    yield [random([2, 3, 4]), { dim: 1 }];
    yield [random([2, 3, 4]), { dim: [0, 2], keepdim: true }];
    for (const p of [0, 1, 3, 1.5, Number.POSITIVE_INFINITY]) yield [random([3, 4]), { p, dim: 1 }];
    yield [random([3, 4], { low: 1, high: 2 }), { p: -2, dim: 1 }];
    yield [random([2, 3]), { p: 'nuc' }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, options?: NormOptions], string]> {
    yield [[random([2, 3]), { dim: 5 }], 'dim 5 is out of range'];
    yield [[random.integers([3], 0, 5)], 'must be of a floating type'];
    yield [[random([3]), { p: 'nuc' }], 'two dims'];
  },
});

function nuclear(op: string, x: Tensor, { dim, keepdim = false }: DimOptions): Tensor {
  const dims = dim === undefined && x.ndim === 2 ? [0, 1] : dim;
  if (!Array.isArray(dims) || dims.length !== 2)
    throw new LibError('value', `${op}: the nuclear norm needs the two dims of its matrices, got dim ${String(dim)}.`);
  return matrixNorm(x, { ord: 'nuc', dim: dims as unknown as [number, number], keepdim });
}

/** The sum of singular values of a matrix, or of those in two dims. */
export const nuclearNorm: Norm<DimOptions> = defineComposite({
  name: 'nuclearNorm',
  compose: (x: Tensor, options: DimOptions = {}) => nuclear('nuclearNorm', x, options),
  *samples(random): Iterable<[x: Tensor, options?: DimOptions]> {
    yield [random([2, 3])];
    yield [random([2, 2, 3]), { dim: [1, 2], keepdim: true }];
  },
  *errors(random): Iterable<readonly [[x: Tensor], string]> {
    yield [[random([2, 2, 3])], 'two dims'];
  },
});

/** The Euclidean norm over `dim`. */
export const frobeniusNorm: Norm<DimOptions> = defineComposite({
  name: 'frobeniusNorm',
  compose: (x: Tensor, options: DimOptions = {}) => pNorm(x, options),
  torch: { call: 'torch.norm(a[0], **o)' },
  *samples(random): Iterable<[x: Tensor, options?: DimOptions]> {
    yield [random([2, 3]), { dim: 1 }];
  },
});
