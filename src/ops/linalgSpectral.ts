import { LibError } from '../core/errors.js';
import { tensor } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { isRecorded } from './apply.js';
import { customGrad } from './customGrad.js';
import { defineComposite, defineCustom, type Op } from './define.js';
import { eighOf, identity, needMatrix, needSquare, qrOf, svdOf, symmetric, torchLinalg } from './factorRows.js';
import { cat } from './join.js';
import { reflected } from './linalgFactors.js';

/** Eigenvalues of symmetric matrices, singular values, and what follows from them. */

const mT = (x: Tensor): Tensor => x.transpose(-2, -1);
const asColumns = (d: Tensor): Tensor => d.unsqueeze(-2);

/** x / E with E[i, j] = d[j] − d[i] beside the diagonal, and zeros on it. */
function overDifferences(x: Tensor, d: Tensor): Tensor {
  const eye = identity(x, x.sizeAt(-1));
  const differences = asColumns(d).sub(d.unsqueeze(-1)).add(eye);
  return x.mul(eye.neg().add(1)).div(differences);
}

export interface Eigh {
  /** (…, n), ascending. */
  readonly eigenvalues: Tensor;
  /** (…, n, n): columns. */
  readonly eigenvectors: Tensor;
}
export interface EighOptions {
  /** Which triangle is read. Default 'L'. */
  readonly UPLO?: 'L' | 'U';
}

const eighStep: Op<[a: Tensor], Eigh> = defineCustom({
  name: 'linalg.eigh',
  args: (a: Tensor) => ({ inputs: [a], params: null }),
  forward: ([a]) => eighOf('linalg.eigh', a as Tensor, true),
  keeps: [0, 1],
  grad([gw, gv], { outputs: [w, v] }) {
    if (!w || !v || (!gw && !gv)) return [null];
    const eye = identity(v, v.sizeAt(-1));
    const ofValues = gw && asColumns(gw).mul(eye);
    const ofVectors = gv && overDifferences(mT(v).matmul(gv), w);
    const inner = ofValues && ofVectors ? ofValues.add(ofVectors) : ((ofValues ?? ofVectors) as Tensor);
    return [v.matmul(inner).matmul(mT(v))];
  },
  result: ([eigenvalues, eigenvectors]) => ({ eigenvalues: eigenvalues as Tensor, eigenvectors: eigenvectors as Tensor }),
  *samples() {},
  torch: null,
});

function triangleOf(op: string, a: Tensor, UPLO: string): Tensor {
  needSquare(op, a);
  if (UPLO !== 'L' && UPLO !== 'U') throw new LibError('value', `${op}: UPLO must be 'L' or 'U', got '${UPLO}'.`);
  return UPLO === 'U' ? mT(a) : a;
}

/**
 * A = V diag(w) Vᵀ for symmetric A (…, n, n), of which one triangle is read. In each column of V the first entry that has at least half
 * the largest magnitude is positive. The gradient by V is defined where eigenvalues differ.
 */
export const eigh: Op<[a: Tensor, options?: EighOptions], Eigh> = defineComposite({
  name: 'linalg.eigh',
  compose: (a: Tensor, { UPLO = 'L' }: EighOptions = {}) => eighStep(triangleOf('linalg.eigh', a, UPLO)),
  prepare: (a: Tensor, ...rest) => [symmetric(a), ...rest],
  torch: { call: 'fixed(torch.linalg.eigh(sym(a[0]), *[v for v in o.values()]))' },
  *samples(random): Iterable<[a: Tensor, options?: EighOptions]> {
    yield [random([3, 3])];
    yield [random([2, 4, 4])];
    yield [random([3, 3]), { UPLO: 'U' }];
    yield [random([1, 1])];
  },
  *errors(random): Iterable<readonly [[a: Tensor, options?: EighOptions], string]> {
    yield [[random([2, 3])], 'must be square'];
    yield [[random([2, 2]), { UPLO: 'X' as 'L' }], "UPLO must be 'L' or 'U'"];
    yield [[random([2, 2]).div(0)], 'must be finite'];
  },
});

/** The eigenvalues (…, n), ascending, of symmetric A (…, n, n). */
export const eigvalsh: Op<[a: Tensor, options?: EighOptions]> = defineComposite({
  name: 'linalg.eigvalsh',
  compose(a: Tensor, { UPLO = 'L' }: EighOptions = {}) {
    const x = triangleOf('linalg.eigvalsh', a, UPLO);
    return isRecorded([x]) ? eighStep(x).eigenvalues : (eighOf('linalg.eigvalsh', x, false)[0] as Tensor);
  },
  prepare: (a: Tensor, ...rest) => [symmetric(a), ...rest],
  torch: { call: 'torch.linalg.eigvalsh(sym(a[0]), *[v for v in o.values()])' },
  *samples(random): Iterable<[a: Tensor, options?: EighOptions]> {
    yield [random([3, 3])];
    yield [random([2, 4, 4]), { UPLO: 'U' }];
  },
  *errors(random): Iterable<readonly [[a: Tensor], string]> {
    yield [[random([2, 3])], 'must be square'];
  },
});

/** Skew part, twice. */
const skew = (x: Tensor): Tensor => x.sub(mT(x));

interface UsVh {
  readonly u: Tensor;
  readonly s: Tensor;
  readonly vh: Tensor;
}

/** @internal The reduced factors, of which all three carry gradient. */
export const svdStep: Op<[a: Tensor], UsVh> = defineCustom({
  name: 'linalg.svd',
  args: (a: Tensor) => ({ inputs: [a], params: null }),
  forward: ([a]) => svdOf('linalg.svd', a as Tensor, true),
  keeps: [0, 1, 2],
  grad([gu, gs, gvh], { outputs: [u, s, vh] }) {
    if (!u || !s || !vh) return [null];
    const [m, n, k] = [u.sizeAt(-2), vh.sizeAt(-1), s.sizeAt(-1)];
    const parts: Tensor[] = gs ? [asColumns(gs).mul(identity(s, k))] : [];
    const squares = s.mul(s);
    if (gu) parts.push(overDifferences(skew(mT(u).matmul(gu)), squares).mul(asColumns(s)));
    if (gvh) parts.push(overDifferences(skew(vh.matmul(mT(gvh))), squares).mul(s.unsqueeze(-1)));
    if (parts.length === 0) return [null];
    let g = u.matmul(parts.reduce((a, b) => a.add(b)).matmul(vh));
    if (gu && m > k) {
      const outside = gu.sub(u.matmul(mT(u).matmul(gu)));
      g = g.add(outside.div(asColumns(s)).matmul(vh));
    }
    if (gvh && n > k) {
      const outside = gvh.sub(gvh.matmul(mT(vh)).matmul(vh));
      g = g.add(u.div(asColumns(s)).matmul(outside));
    }
    return [g];
  },
  result: ([u, s, vh]) => ({ u: u as Tensor, s: s as Tensor, vh: vh as Tensor }),
  *samples() {},
  torch: null,
});

/** Columns (…, m, k) that are orthonormal, with m − k more that are so too. These carry no gradient. */
function completed(u: Tensor): Tensor {
  const [m, k] = [u.sizeAt(-2), u.sizeAt(-1)];
  if (m === k) return u;
  const columns = identity(u, m).expand([...u.shape.slice(0, -1), m]);
  if (k === 0) return columns;
  const [packed, tau] = qrOf('linalg.svd', u.detach()) as [Tensor, Tensor];
  return cat([u, reflected('linalg.svd', packed, tau, columns, false).narrow(-1, k, m - k)], { dim: -1 });
}

export interface SVD {
  readonly U: Tensor;
  /** (…, k), descending. */
  readonly S: Tensor;
  readonly Vh: Tensor;
}
export interface SVDOptions {
  /** U (…, m, m) and Vh (…, n, n); else (…, m, k) and (…, k, n), k = min(m, n). Default true. */
  readonly fullMatrices?: boolean;
}

/**
 * A = U diag(S) Vh for A (…, m, n). In each column of U the first entry that has at least half the largest magnitude is positive.
 * The gradient by U and Vh is defined where singular values differ; columns beyond min(m, n) carry none.
 */
export const svd: Op<[a: Tensor, options?: SVDOptions], SVD> = defineComposite({
  name: 'linalg.svd',
  compose(a: Tensor, { fullMatrices = true }: SVDOptions = {}) {
    needMatrix('linalg.svd', a);
    const { u, s, vh } = svdStep(a);
    return fullMatrices ? { U: completed(u), S: s, Vh: mT(completed(mT(vh))) } : { U: u, S: s, Vh: vh };
  },
  torch: { call: 'fixed(torch.linalg.svd(*a, **o))' },
  *samples(random): Iterable<[a: Tensor, options?: SVDOptions]> {
    yield [random([3, 3])];
    yield [random([2, 4, 2]), { fullMatrices: false }];
    yield [random([2, 3, 5]), { fullMatrices: false }];
  },
  *errors(random): Iterable<readonly [[a: Tensor], string]> {
    yield [[random([3])], 'at least 2 dims'];
    yield [[random([2, 2]).div(0)], 'must be finite'];
  },
});

/** The singular values (…, min(m, n)), descending. */
export const svdvals: Op<[a: Tensor]> = defineComposite({
  name: 'linalg.svdvals',
  compose(a: Tensor) {
    needMatrix('linalg.svdvals', a);
    return isRecorded([a]) ? svdStep(a).s : (svdOf('linalg.svdvals', a, false)[0] as Tensor);
  },
  torch: torchLinalg('svdvals'),
  *samples(random): Iterable<[a: Tensor]> {
    yield [random([3, 3])];
    yield [random([2, 4, 2])];
    yield [random([2, 5])];
  },
  *errors(random): Iterable<readonly [[a: Tensor], string]> {
    yield [[random([3])], 'at least 2 dims'];
  },
});

export interface RankOptions {
  /** Singular values up to this count as 0: a number, or one for each matrix (…). Default 0. */
  readonly atol?: number | Tensor;
  /** Or up to this times the largest. Default: max(m, n) times the type's epsilon; 0 if atol is given. */
  readonly rtol?: number | Tensor;
  /** A is symmetric: eigenvalues are enough. Default false. */
  readonly hermitian?: boolean;
}

const EPSILON = { float32: 2 ** -23, float64: 2 ** -52 } as const;

/** max(atol, rtol · the largest value), per matrix (…, 1). */
function cutoff(a: Tensor, values: Tensor, { atol, rtol }: RankOptions): Tensor {
  const epsilon = a.dtype === 'float64' ? EPSILON.float64 : EPSILON.float32;
  const given = atol !== undefined && (typeof atol !== 'number' || atol > 0);
  const relative = rtol ?? (given ? 0 : Math.max(a.sizeAt(-2), a.sizeAt(-1)) * epsilon);
  if (values.sizeAt(-1) === 0) return values;
  const perMatrix = (x: number | Tensor): number | Tensor => (typeof x === 'number' ? x : x.detach().unsqueeze(-1));
  const least = values.amax({ dim: -1, keepdim: true }).mul(perMatrix(relative));
  return atol === undefined ? least : typeof atol === 'number' ? least.clampMin(atol) : least.maximum(atol.detach().unsqueeze(-1));
}

/** U, S, Vh of a, which are also those of a symmetric matrix's eigenvalues with their signs in Vh. */
function spectrum(op: string, a: Tensor, hermitian: boolean): readonly [u: Tensor, s: Tensor, vh: Tensor] {
  if (!hermitian) return svdOf(op, a, true) as [Tensor, Tensor, Tensor];
  needSquare(op, a);
  const [w, v] = eighOf(op, a, true) as [Tensor, Tensor];
  return [v, w.abs(), mT(v.mul(asColumns(w.sign())))];
}

/** How many singular values are above max(atol, rtol · the largest): int32 (…). */
export const matrixRank: Op<[a: Tensor, options?: RankOptions]> = defineComposite({
  name: 'linalg.matrixRank',
  compose(a: Tensor, options: RankOptions = {}) {
    needMatrix('linalg.matrixRank', a);
    const x = a.detach();
    const [, s] = spectrum('linalg.matrixRank', x, options.hermitian ?? false);
    return s
      .gt(cutoff(x, s, options))
      .int()
      .sum({ dim: -1 })
      .int();
  },
  differentiable: false,
  torch: torchLinalg('matrix_rank'),
  *samples(random): Iterable<[a: Tensor, options?: RankOptions]> {
    yield [random([3, 3])];
    yield [
      tensor([
        [1, 2, 0, 1],
        [2, 4, 0, 2],
      ]),
    ];
    yield [random([3, 3]), { atol: 1 }];
    yield [random([3, 3]), { rtol: 0.5 }];
    yield [
      tensor([
        [2, -1, 1],
        [-1, 2, 1],
        [1, 1, 2],
      ]),
      { hermitian: true },
    ];
  },
  *errors(random): Iterable<readonly [[a: Tensor, options?: RankOptions], string]> {
    yield [[random([3])], 'at least 2 dims'];
    yield [[random([2, 3]), { hermitian: true }], 'must be square'];
  },
});

/** The gradient of P = A⁺ (Golub and Pereyra). */
function pinvGrad(g: Tensor, a: Tensor, p: Tensor): Tensor {
  const [pt, gt] = [mT(p), mT(g)];
  const first = pt.matmul(g).matmul(pt).neg();
  const near = gt
    .sub(a.matmul(p.matmul(gt)))
    .matmul(p)
    .matmul(pt);
  const ptp = pt.matmul(p.matmul(gt));
  return first.add(near).add(ptp.sub(ptp.matmul(p).matmul(a)));
}

/** @internal Under the name of the op that asks. */
export function pseudoInverse(name: string, a: Tensor, options: RankOptions): Tensor {
  return customGrad({
    name,
    inputs: [a],
    params: null,
    saves: [0, 'output'],
    compute() {
      const [u, s, vh] = spectrum(name, a, options.hermitian ?? false);
      const inverse = s.gt(cutoff(a, s, options)).where(s.reciprocal(), 0);
      return mT(vh).mul(asColumns(inverse)).matmul(mT(u));
    },
    grad: (g, { inputs: [x], output }) => [x ? pinvGrad(g, x, output) : null],
  });
}

/** The Moore-Penrose inverse (…, n, m) of A (…, m, n): singular values up to max(atol, rtol · the largest) count as 0. */
export const pinv: Op<[a: Tensor, options?: RankOptions]> = defineComposite({
  name: 'linalg.pinv',
  compose(a: Tensor, options: RankOptions = {}) {
    needMatrix('linalg.pinv', a);
    return pseudoInverse('linalg.pinv', a, options);
  },
  torch: torchLinalg('pinv'),
  *samples(random): Iterable<[a: Tensor, options?: RankOptions]> {
    yield [random([3, 3])];
    yield [random([2, 4, 2])];
    yield [random([2, 5])];
  },
  *errors(random): Iterable<readonly [[a: Tensor], string]> {
    yield [[random([3])], 'at least 2 dims'];
  },
});

export interface PinverseOptions {
  /** Singular values up to this times the largest count as 0. Default 1e-15. */
  readonly rcond?: number;
}
/** The Moore-Penrose inverse: {@link pinv} by its old name. */
export const pinverse: Op<[a: Tensor, options?: PinverseOptions]> = defineComposite({
  name: 'pinverse',
  compose(a: Tensor, { rcond = 1e-15 }: PinverseOptions = {}) {
    needMatrix('pinverse', a);
    return pseudoInverse('pinverse', a, { rtol: rcond });
  },
  *samples(random): Iterable<[a: Tensor, options?: PinverseOptions]> {
    yield [random([3, 2])];
  },
  *errors(random): Iterable<readonly [[a: Tensor], string]> {
    yield [[random([3])], 'at least 2 dims'];
  },
});

/** A = U H for A (…, m, n), m ≥ n: U has orthonormal columns, the nearest to A there are, and H is symmetric and not negative. */
export const polar: Op<[a: Tensor], { readonly U: Tensor; readonly H: Tensor }> = defineComposite({
  name: 'linalg.polar',
  compose(a: Tensor) {
    needMatrix('linalg.polar', a);
    if (a.sizeAt(-2) < a.sizeAt(-1))
      throw new LibError('shape', `linalg.polar: there must be as many rows as columns, got ${a.sizeAt(-2)} and ${a.sizeAt(-1)}.`);
    const { u, s, vh } = svdStep(a);
    return { U: u.matmul(vh), H: mT(vh).mul(asColumns(s)).matmul(vh) };
  },
  torch: torchLinalg('polar'),
  *samples(random): Iterable<[a: Tensor]> {
    yield [random([3, 3])];
    yield [random([2, 4, 2])];
  },
  *errors(random): Iterable<readonly [[a: Tensor], string]> {
    yield [[random([2, 3])], 'as many rows as columns'];
  },
});
