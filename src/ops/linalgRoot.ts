import type { Tensor } from '../tensor/tensor.js';
import { defineComposite, type Op } from './define.js';
import { needMatrix } from './factorRows.js';
import type { Overloaded } from './foldRows.js';
import { type LUFactor, luFactor, luFactorEx, type QR, qr as reducedQr } from './linalgFactors.js';
import type { USV } from './linalgLeast.js';
import { type LUSolveOptions, luSolve as solveWithFactors } from './linalgSolve.js';
import { svd as fullSvd, svdvals } from './linalgSpectral.js';

/** Linear algebra under its old names, torch.*: these are methods too. New code may prefer `linalg`. */

export { det, logdet, slogdet } from './linalgDet.js';
export { cholesky, geqrf, householderProduct as orgqr, luUnpack, ormqr } from './linalgFactors.js';
export { pcaLowrank, svdLowrank } from './linalgLeast.js';
export { matrixExp, matrixPower } from './linalgProducts.js';
export { choleskyInverse, choleskySolve, inv as inverse, triangularSolve } from './linalgSolve.js';
export { pinverse } from './linalgSpectral.js';

export interface LUOptions<Infos extends boolean = boolean> {
  /** Also give `info`, as {@link linalg.luFactorEx} does, and accept matrices without inverse. Default false. */
  readonly getInfos?: Infos;
  /** Rows are always swapped; kept for PyTorch's sake. */
  readonly pivot?: true;
}
type LUWithInfo = LUFactor & { readonly info: Tensor };
export interface LUMethod {
  (options: LUOptions<true> & { readonly getInfos: true }): LUWithInfo;
  (options?: LUOptions<false>): LUFactor;
}
export interface LU extends Overloaded<LUMethod> {
  (a: Tensor, options: LUOptions<true> & { readonly getInfos: true }): LUWithInfo;
  (a: Tensor, options?: LUOptions<false>): LUFactor;
}
/** The compact LU factors of A with rows swapped: {@link linalg.luFactor}. */
export const lu: LU = defineComposite({
  name: 'lu',
  compose: (a: Tensor, { getInfos = false }: LUOptions = {}): LUFactor => (getInfos ? luFactorEx(a) : luFactor(a)),
  torch: { call: 'torch.lu(a[0], pivot=True, **o)' },
  *samples(random): Iterable<[a: Tensor, options?: LUOptions]> {
    yield [random([3, 3])];
    yield [random([2, 3, 2]), { getInfos: true }];
  },
}) as unknown as LU;

/** A = Q R; with `some: false`, Q is square. See {@link linalg.qr}. */
export const qr: Op<[a: Tensor, options?: { readonly some?: boolean }], QR> = defineComposite({
  name: 'qr',
  compose: (a: Tensor, { some = true }: { readonly some?: boolean } = {}) => reducedQr(a, { mode: some ? 'reduced' : 'complete' }),
  torch: { call: 'torch.linalg.qr(a[0], mode="reduced" if o.get("some", True) else "complete")' },
  *samples(random): Iterable<[a: Tensor, options?: { readonly some?: boolean }]> {
    yield [random([4, 3])];
    yield [random([2, 3]), { some: false }];
  },
  *errors(random): Iterable<readonly [[a: Tensor], string]> {
    yield [[random([3])], 'at least 2 dims'];
  },
});

export interface OldSvdOptions {
  /** U (…, m, k) and V (…, n, k), k = min(m, n); else both are square. Default true. */
  readonly some?: boolean;
  /** Default true; else U and V are zeros. */
  readonly computeUv?: boolean;
}

/** A = U diag(S) Vᵀ, with V where {@link linalg.svd} has its transpose. */
export const svd: Op<[a: Tensor, options?: OldSvdOptions], USV> = defineComposite({
  name: 'svd',
  compose(a: Tensor, { some = true, computeUv = true }: OldSvdOptions = {}) {
    needMatrix('svd', a);
    if (computeUv) {
      const { U, S, Vh } = fullSvd(a, { fullMatrices: !some });
      return { U, S, V: Vh.transpose(-2, -1) };
    }
    const square = (n: number): Tensor =>
      a
        .detach()
        .narrow(-2, 0, 0)
        .narrow(-1, 0, 0)
        .sum()
        .expand([...a.shape.slice(0, -2), n, n])
        .clone();
    return { U: square(a.sizeAt(-2)), S: svdvals(a), V: square(a.sizeAt(-1)) };
  },
  torch: {
    call: '(lambda r: (r[0], r[1], r[2].mT))(fixed((lambda r: (r.U, r.S, r.V.mT))(torch.svd(*a, **o)))) if o.get("compute_uv", True) else torch.svd(*a, **o)',
  },
  *samples(random): Iterable<[a: Tensor, options?: OldSvdOptions]> {
    yield [random([3, 2])];
    yield [random([2, 2, 2]), { some: false }];
    yield [random([3, 2]), { computeUv: false }];
  },
  *errors(random): Iterable<readonly [[a: Tensor], string]> {
    yield [[random([3])], 'at least 2 dims'];
  },
});

/** X with A X = b, A given by its compact LU factors: {@link linalg.luSolve} with the right side first. */
export const luSolve: Op<[b: Tensor, lu: Tensor, pivots: Tensor, options?: LUSolveOptions]> = defineComposite({
  name: 'luSolve',
  compose: (b: Tensor, lu: Tensor, pivots: Tensor, options: LUSolveOptions = {}) => solveWithFactors(lu, pivots, b, options),
  torch: { call: 'torch.lu_solve(a[0], a[1], a[2].int())' },
  *samples(random): Iterable<[b: Tensor, lu: Tensor, pivots: Tensor]> {
    yield [random([3, 2]), random([3, 3]), random.integers([3], 3, 4)];
  },
  *errors(random): Iterable<readonly [[b: Tensor, lu: Tensor, pivots: Tensor], string]> {
    yield [[random([2, 2]), random([3, 3]), random.integers([3], 3, 4)], 'the same number of rows'];
  },
});
