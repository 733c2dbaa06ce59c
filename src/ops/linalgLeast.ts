import { LibError } from '../core/errors.js';
import { formatShape, needWhole } from '../core/shape.js';
import { randn } from '../tensor/random.js';
import type { Tensor } from '../tensor/tensor.js';
import { defineComposite, type Op } from './define.js';
import { identity, needMatrix, needReal, svdOf, triangular } from './factorRows.js';
import { qr } from './linalgFactors.js';
import { matrixRank, pseudoInverse, svdStep } from './linalgSpectral.js';

/** Least squares, and factors of low rank. */

const mT = (x: Tensor): Tensor => x.transpose(-2, -1);

export interface LstsqOptions {
  /** Singular values up to this times the largest count as 0. Default: max(m, n) times the type's epsilon. */
  readonly rcond?: number;
  /** 'gels' is for matrices of full rank, and quicker; the others take any, and give the shortest solution. Default 'gelsy'. */
  readonly driver?: 'gels' | 'gelsy' | 'gelsd' | 'gelss';
}
export interface Lstsq {
  /** (…, n, k), or (…, n) for vectors. */
  readonly solution: Tensor;
  /** Squared lengths (…, k) of A X − B where m > n; else, and for 'gelsy', empty. */
  readonly residuals: Tensor;
  /** int32 (…); empty for 'gels'. */
  readonly rank: Tensor;
  /** Of A, for 'gelsd' and 'gelss'; else empty. */
  readonly singularValues: Tensor;
}

/** By Q R of A, or of Aᵀ. */
function fullRankSolution(a: Tensor, b: Tensor): Tensor {
  const name = 'linalg.lstsq';
  if (a.sizeAt(-2) >= a.sizeAt(-1)) {
    const { Q, R } = qr(a);
    return triangular(name, R, mT(Q).matmul(b), { upper: true });
  }
  const { Q, R } = qr(mT(a));
  return Q.matmul(triangular(name, mT(R), b, { upper: false }));
}

/** X that makes ‖A X − B‖ least, for A (…, m, n) and B (…, m, k) or vectors (…, m): the shortest such X where there are many. */
export const lstsq: Op<[a: Tensor, b: Tensor, options?: LstsqOptions], Lstsq> = defineComposite({
  name: 'linalg.lstsq',
  compose(a: Tensor, b: Tensor, { rcond, driver = 'gelsy' }: LstsqOptions = {}) {
    needMatrix('linalg.lstsq', a);
    needReal('linalg.lstsq', a, b);
    const vector = b.ndim === a.ndim - 1;
    const columns = vector ? b.unsqueeze(-1) : b;
    if (columns.ndim < 2 || columns.sizeAt(-2) !== a.sizeAt(-2)) {
      const got = `${formatShape(a.shape)} and ${formatShape(b.shape)}`;
      throw new LibError('shape', `linalg.lstsq: both must have the same number of rows, got ${got}.`);
    }
    const options = rcond === undefined ? {} : { rtol: rcond };
    const x = driver === 'gels' ? fullRankSolution(a, columns) : pseudoInverse('linalg.lstsq', a, options).matmul(columns);
    const nothing = (): Tensor => a.detach().reshape([-1]).narrow(0, 0, 0);
    const misses = driver !== 'gelsy' && a.sizeAt(-2) > a.sizeAt(-1) ? a.matmul(x).sub(columns).square().sum({ dim: -2 }) : nothing();
    const wantsValues = driver === 'gelsd' || driver === 'gelss';
    return {
      solution: vector ? x.squeeze({ dim: -1 }) : x,
      residuals: vector && misses.ndim > 1 ? misses.squeeze({ dim: -1 }) : misses,
      rank: driver === 'gels' ? nothing().int() : matrixRank(a, options),
      singularValues: wantsValues ? (svdOf('linalg.lstsq', a.detach(), false)[0] as Tensor) : nothing(),
    };
  },
  torch: {
    call: '(lambda r: (r.solution, ((a[0] @ r.solution - a[1]) ** 2).sum(-2) if a[0].shape[-2] > a[0].shape[-1] and "driver" in o else r.residuals, r.rank, r.singular_values))(torch.linalg.lstsq(*a, **o))',
  },
  *samples(random): Iterable<[a: Tensor, b: Tensor, options?: LstsqOptions]> {
    yield [random([4, 2]), random([4, 3])];
    yield [random([2, 3, 3]).add(identity(random([1]), 3).mul(4)), random([2, 3, 1]), { driver: 'gels' }];
    yield [random([4, 2]), random([4, 1]), { driver: 'gels' }];
    yield [random([2, 4]), random([2, 2]), { driver: 'gels' }];
    yield [random([2, 4]), random([2, 2]), { driver: 'gelsd' }];
    yield [random([4, 2]), random([4, 2]), { driver: 'gelss' }];
  },
  *errors(random): Iterable<readonly [[a: Tensor, b: Tensor, options?: LstsqOptions], string]> {
    yield [[random([3, 2]), random([2, 2])], 'the same number of rows'];
    yield [[random([3, 2]), random([3, 2]), { driver: 'x' as 'gels' }], "driver must be 'gels', 'gelsd', 'gelss' or 'gelsy', got 'x'"];
  },
});

export interface LowrankOptions {
  /** How many singular values: a little more than A's rank. Default 6. */
  readonly q?: number;
  /** Rounds of subspace iteration. Default 2. */
  readonly niter?: number;
}
export interface USV {
  readonly U: Tensor;
  readonly S: Tensor;
  readonly V: Tensor;
}

/** Columns that span A's range nearly: A (Aᵀ A)ⁿ times random ones, made orthonormal after each product (Halko et al., 2009). */
function approximateBasis(a: Tensor, q: number, niter: number): Tensor {
  let basis = qr(a.matmul(randn([a.sizeAt(-1), q], { dtype: a.dtype, device: a.device }))).Q;
  for (let i = 0; i < niter; i++) basis = qr(a.matmul(qr(mT(a).matmul(basis)).Q)).Q;
  return basis;
}

function lowrank(op: string, a: Tensor, q: number, niter: number): USV {
  const most = Math.min(a.sizeAt(-2), a.sizeAt(-1));
  if (!Number.isInteger(q) || q < 0 || q > most) throw new LibError('value', `${op}: q must be in 0..${most}, got ${q}.`);
  needWhole(op, 'niter', niter, 0);
  const basis = approximateBasis(a, q, niter);
  const { u, s, vh } = svdStep(mT(basis).matmul(a));
  return { U: basis.matmul(u), S: s, V: mT(vh) };
}

export interface SvdLowrankOptions extends LowrankOptions {
  /** Subtracted from A first; broadcasts. */
  readonly M?: Tensor;
}

/** The first q singular values of A (…, m, n) and their vectors, A ≈ U diag(S) Vᵀ, found by random projections. */
export const svdLowrank: Op<[a: Tensor, options?: SvdLowrankOptions], USV> = defineComposite({
  name: 'svdLowrank',
  compose(a: Tensor, { q = 6, niter = 2, M }: SvdLowrankOptions = {}) {
    needMatrix('svdLowrank', a);
    return lowrank('svdLowrank', M ? a.sub(M) : a, q, niter);
  },
  torch: null,
  *samples(random): Iterable<[a: Tensor, options?: SvdLowrankOptions]> {
    yield [random([3, 4]), { q: 3 }];
  },
  *errors(random): Iterable<readonly [[a: Tensor, options?: SvdLowrankOptions], string]> {
    yield [[random([3, 4])], 'q must be in 0..3, got 6'];
    yield [[random([3, 4]), { q: 2, niter: -1 }], 'niter must be'];
  },
});

export interface PcaOptions extends LowrankOptions {
  /** Subtract the mean of the rows first. Default true. */
  readonly center?: boolean;
}

/** The first q principal components (columns of V) of the rows of A (…, m, n). q defaults to min(6, m, n). */
export const pcaLowrank: Op<[a: Tensor, options?: PcaOptions], USV> = defineComposite({
  name: 'pcaLowrank',
  compose(a: Tensor, { q, niter = 2, center = true }: PcaOptions = {}) {
    needMatrix('pcaLowrank', a);
    const centered = center ? a.sub(a.mean({ dim: -2, keepdim: true })) : a;
    return lowrank('pcaLowrank', centered, q ?? Math.min(6, a.sizeAt(-2), a.sizeAt(-1)), niter);
  },
  torch: null,
  *samples(random): Iterable<[a: Tensor, options?: PcaOptions]> {
    yield [random([3, 4]), { center: false }];
  },
  *errors(random): Iterable<readonly [[a: Tensor, options?: PcaOptions], string]> {
    yield [[random([3, 4]), { q: 4 }], 'q must be in 0..3'];
  },
});
