import { LibError } from '../core/errors.js';
import { formatShape } from '../core/shape.js';
import { zeros } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { defineComposite, defineCustom, type Op } from './define.js';
import {
  choleskyOf,
  identity,
  luOf,
  needMatrix,
  needSquare,
  permutationOf,
  positiveDefinite,
  qrOf,
  reorder,
  triangular,
  unitLower,
} from './factorRows.js';
import { cat } from './join.js';

/** Cholesky, LU and QR: `linalg.*` and their namesakes at the root. */

const mT = (x: Tensor): Tensor => x.transpose(-2, -1);

/** Half the diagonal, all below it, nothing above. */
const lowerHalf = (x: Tensor): Tensor => x.tril({ diagonal: -1 }).add(x.mul(identity(x, x.sizeAt(-1)).mul(0.5)));

function choleskyGrad(g: Tensor, l: Tensor): Tensor {
  const half = lowerHalf(mT(l).matmul(g));
  const inner = half.add(mT(half)).mul(0.5);
  const left = triangular('choleskyBackward', mT(l), inner, { upper: true });
  return mT(triangular('choleskyBackward', mT(l), mT(left), { upper: true }));
}

export interface UpperOptions {
  /** Work with the upper triangle, U = Lᵀ. Default false. */
  readonly upper?: boolean;
}

const choleskyStep: Op<[a: Tensor, strict: boolean], { readonly l: Tensor; readonly info: Tensor }> = defineCustom({
  name: 'linalg.cholesky',
  args: (a: Tensor, strict: boolean) => ({ inputs: [a], params: { strict } }),
  forward: ([a], { strict }: { readonly strict: boolean }) => choleskyOf('linalg.cholesky', a as Tensor, strict),
  keeps: [0],
  differentiable: [0],
  grad: ([g], { outputs: [l] }) => [g && l ? choleskyGrad(g, l) : null],
  result: ([l, info]) => ({ l: l as Tensor, info: info as Tensor }),
  *samples() {},
  torch: null,
});

const spd = 'torch.linalg.cholesky(spd(a[0]), **o)';

/**
 * L with A = L Lᵀ for symmetric positive definite A (…, n, n), of which the lower triangle is read; with `upper`, Lᵀ from the upper one.
 * @example linalg.cholesky(tensor([[4, 2], [2, 5]])) // [[2, 0], [1, 2]]
 */
export const cholesky: Op<[a: Tensor, options?: UpperOptions]> = defineComposite({
  name: 'linalg.cholesky',
  compose(a: Tensor, { upper = false }: UpperOptions = {}) {
    needSquare('linalg.cholesky', a);
    const { l } = choleskyStep(upper ? mT(a) : a, true);
    return upper ? mT(l) : l;
  },
  prepare: (a: Tensor, ...rest) => [positiveDefinite(a), ...rest],
  torch: { call: spd },
  *samples(random): Iterable<[a: Tensor, options?: UpperOptions]> {
    yield [random([3, 3])];
    yield [random([2, 2, 4, 4]), { upper: true }];
    yield [random([1, 1])];
    yield [random([0, 3, 3])];
  },
  *errors(random): Iterable<readonly [[a: Tensor], string]> {
    yield [[random([2, 3])], 'must be square'];
    yield [[random([3])], 'at least 2 dims'];
    yield [[random([3, 3], { low: -2, high: -1 })], 'must be positive definite'];
    yield [[random.integers([3, 3], 0, 2)], 'must be of type float32 or float64'];
  },
});

export interface ExOptions {
  /** Throw where a matrix fails, instead of reporting it. Default false. */
  readonly checkErrors?: boolean;
}

/** {@link cholesky} with, for each matrix, an int32 `info`: 0, or the order of the first leading minor that is not positive definite. */
export const choleskyEx: Op<[a: Tensor, options?: UpperOptions & ExOptions], { readonly L: Tensor; readonly info: Tensor }> =
  defineComposite({
    name: 'linalg.choleskyEx',
    compose(a: Tensor, { upper = false, checkErrors = false }: UpperOptions & ExOptions = {}) {
      needSquare('linalg.choleskyEx', a);
      const { l, info } = choleskyStep(upper ? mT(a) : a, checkErrors);
      return { L: upper ? mT(l) : l, info };
    },
    prepare: (a: Tensor, ...rest) => [positiveDefinite(a), ...rest],
    torch: { call: 'torch.linalg.cholesky_ex(spd(a[0]), **o)' },
    *samples(random): Iterable<[a: Tensor, options?: UpperOptions & ExOptions]> {
      yield [random([2, 3, 3])];
      yield [random([3, 3]), { upper: true }];
    },
    *errors(random): Iterable<readonly [[a: Tensor, options?: ExOptions], string]> {
      yield [[random([3, 3], { low: -2, high: -1 }), { checkErrors: true }], 'in batch element 0'];
    },
  });

/** Gradients of the factors, L (m, k) with ones on its diagonal and U (k, n), to one of A (…, m, n); `order`: A's rows in L U. */
function luGrad(gl: Tensor, gu: Tensor, [l, u, order]: readonly [Tensor, Tensor, Tensor]): Tensor {
  const [m, k, n] = [l.sizeAt(-2), l.sizeAt(-1), u.sizeAt(-1)];
  const name = 'luBackward';
  const [l1, u1] = [l.narrow(-2, 0, k), u.narrow(-1, 0, k)];
  let [gl1, gu1] = [gl.narrow(-2, 0, k), gu.narrow(-1, 0, k)];
  let [below, right]: (Tensor | null)[] = [null, null];
  if (m > k) {
    below = mT(triangular(name, u1, mT(gl.narrow(-2, k, m - k)), { upper: true }));
    gu1 = gu1.sub(mT(l.narrow(-2, k, m - k)).matmul(below));
  }
  if (n > k) {
    right = triangular(name, mT(l1), gu.narrow(-1, k, n - k), { upper: true, unit: true });
    gl1 = gl1.sub(right.matmul(mT(u.narrow(-1, k, n - k))));
  }
  const inner = mT(l1)
    .matmul(gl1)
    .tril({ diagonal: -1 })
    .add(gu1.matmul(mT(u1)).triu());
  const left = triangular(name, mT(l1), inner, { upper: true, unit: true });
  const square = mT(triangular(name, u1, mT(left), { upper: true }));
  const whole = below ? cat([square, below], { dim: -2 }) : right ? cat([square, right], { dim: -1 }) : square;
  return reorder(name, whole, order.argsort());
}

const luStep: Op<[a: Tensor, strict: boolean], readonly Tensor[]> = defineCustom({
  name: 'linalg.luFactor',
  args: (a: Tensor, strict: boolean) => ({ inputs: [a], params: { strict } }),
  forward: ([a], { strict }: { readonly strict: boolean }) => luOf('linalg.luFactor', a as Tensor, strict),
  keeps: [0, 1],
  differentiable: [0],
  grad([g], { outputs: [lu, pivots] }) {
    if (!g || !lu || !pivots) return [null];
    const k = pivots.sizeAt(-1);
    const [l, u] = [unitLower(lu.narrow(-1, 0, k)), lu.narrow(-2, 0, k).triu()];
    const order = permutationOf('luBackward', pivots, lu.sizeAt(-2));
    return [luGrad(g.narrow(-1, 0, k).tril({ diagonal: -1 }), g.narrow(-2, 0, k).triu(), [l, u, order])];
  },
  result: (outputs) => outputs,
  *samples() {},
  torch: null,
});

export interface LUFactor {
  /** Both factors in one matrix: U with its diagonal, and L below, without its ones. */
  readonly LU: Tensor;
  /** int32 (…, min(m, n)), counted from 1: row i was swapped with row pivots[i] − 1. */
  readonly pivots: Tensor;
}

function* luSamples(random: (shape: readonly number[]) => Tensor): Iterable<[a: Tensor]> {
  yield [random([3, 3])];
  yield [random([2, 4, 2])];
  yield [random([2, 3, 5])];
}

/** A = P L U in compact form, for `linalg.luSolve`. A is (…, m, n). A singular one is an error if it is square. */
export const luFactor: Op<[a: Tensor], LUFactor> = defineComposite({
  name: 'linalg.luFactor',
  compose(a: Tensor) {
    needMatrix('linalg.luFactor', a);
    const [LU, pivots] = luStep(a, true) as [Tensor, Tensor];
    return { LU, pivots };
  },
  torch: { call: 'torch.linalg.lu_factor(*a, **o)' },
  samples: luSamples,
  *errors(random): Iterable<readonly [[a: Tensor], string]> {
    yield [[zeros([2, 2])], 'must be invertible'];
    yield [[random([3])], 'at least 2 dims'];
  },
});

export interface LUFactorExOptions extends ExOptions {
  /** Rows are swapped so that pivots are large: always, as PyTorch does outside of CUDA. */
  readonly pivot?: true;
}
/** {@link luFactor} with, for each matrix, an int32 `info`: 0, or the first pivot (from 1) that is 0. */
export const luFactorEx: Op<[a: Tensor, options?: LUFactorExOptions], LUFactor & { readonly info: Tensor }> = defineComposite({
  name: 'linalg.luFactorEx',
  compose(a: Tensor, { checkErrors = false, pivot = true }: LUFactorExOptions = {}) {
    needMatrix('linalg.luFactorEx', a);
    if (!pivot) throw new LibError('option', 'linalg.luFactorEx: pivot must be true, got false.');
    const [LU, pivots, info] = luStep(a, checkErrors) as [Tensor, Tensor, Tensor];
    return { LU, pivots, info };
  },
  torch: { call: 'torch.linalg.lu_factor_ex(*a, **o)' },
  samples: luSamples,
  *errors(): Iterable<readonly [[a: Tensor, options?: LUFactorExOptions], string]> {
    yield [[zeros([2, 2]), { pivot: false as true }], 'pivot must be true'];
    yield [[zeros([2, 2]), { checkErrors: true }], 'pivot 1 is 0'];
  },
});

export interface LUUnpackOptions {
  /** Default true; else L and U are empty. */
  readonly unpackData?: boolean;
  /** Default true; else P is empty. */
  readonly unpackPivots?: boolean;
}
export interface PLU {
  readonly P: Tensor;
  readonly L: Tensor;
  readonly U: Tensor;
}

/** P (…, m, m), L (…, m, k) and U (…, k, n) of a compact LU factorization. */
export const luUnpack: Op<[lu: Tensor, pivots: Tensor, options?: LUUnpackOptions], PLU> = defineComposite({
  name: 'luUnpack',
  compose(lu: Tensor, pivots: Tensor, { unpackData = true, unpackPivots = true }: LUUnpackOptions = {}) {
    needMatrix('luUnpack', lu);
    if (pivots.dtype !== 'int32') throw new LibError('dtype', `luUnpack: the pivots must be of type int32, got ${pivots.dtype}.`);
    const [m, k] = [lu.sizeAt(-2), Math.min(lu.sizeAt(-2), lu.sizeAt(-1))];
    if (pivots.ndim !== lu.ndim - 1 || pivots.sizeAt(-1) !== k) {
      const got = `${formatShape(pivots.shape)} for ${formatShape(lu.shape)}`;
      throw new LibError('shape', `luUnpack: there must be a pivot for each of the ${k} diagonal elements, got ${got}.`);
    }
    const nothing = (): Tensor => lu.detach().reshape([-1]).narrow(0, 0, 0);
    const P = unpackPivots ? permutationMatrix(lu, permutationOf('luUnpack', pivots, m)) : nothing();
    if (!unpackData) return { P, L: nothing(), U: nothing() };
    return { P, L: unitLower(lu.narrow(-1, 0, k)), U: lu.narrow(-2, 0, k).triu() };
  },
  torch: { call: '(lambda r: torch.lu_unpack(r[0], r[1], **o))(torch.linalg.lu_factor(a[0]))' },
  prepare: (a: Tensor, _: Tensor, ...rest) => {
    const { LU, pivots } = luFactor(a);
    return [LU, pivots, ...rest];
  },
  *samples(random): Iterable<[lu: Tensor, pivots: Tensor, options?: LUUnpackOptions]> {
    yield [random([3, 3]), random.integers([3], 1, 2)];
    yield [random([2, 4, 2]), random.integers([2, 2], 1, 2)];
    yield [random([2, 3]), random.integers([2], 1, 2), { unpackPivots: false }];
  },
  *errors(random): Iterable<readonly [[lu: Tensor, pivots: Tensor], string]> {
    yield [[random([3, 3]), random([3])], 'must be of type int32'];
    yield [[random([3, 3]), random.integers([2], 1, 3)], 'for each of the 3 diagonal'];
    yield [[random([3, 3]), random.integers([3], 4, 5)], 'pivots must be rows'];
  },
});

/** The matrix P with (P x)[order[i]] = x[i]. */
function permutationMatrix(like: Tensor, order: Tensor): Tensor {
  const m = order.sizeAt(-1);
  const columns = reorder('luUnpack', identity(like, m), order);
  return mT(columns).contiguous();
}

/** A = P L U with partial pivoting: P (…, m, m) a permutation, L (…, m, k) with ones on its diagonal, U (…, k, n). */
export const lu: Op<[a: Tensor], PLU> = defineComposite({
  name: 'linalg.lu',
  compose(a: Tensor) {
    needMatrix('linalg.lu', a);
    const [packed, pivots] = luStep(a, false) as [Tensor, Tensor];
    return luUnpack(packed, pivots);
  },
  torch: { call: 'torch.linalg.lu(*a, **o)' },
  samples: luSamples,
  *errors(random): Iterable<readonly [[a: Tensor], string]> {
    yield [[random([3])], 'at least 2 dims'];
  },
});

/** T of H1 H2 … = I − V T Vᵀ, for V (…, m, k) with ones on its diagonal: (I + diag(tau) striu(VᵀV)) T = diag(tau). */
function blockFactor(name: string, v: Tensor, tau: Tensor): Tensor {
  const products = mT(v).matmul(v).mul(tau.unsqueeze(-1));
  return triangular(name, products, tau.unsqueeze(-1).mul(identity(tau, tau.sizeAt(-1))), { upper: true, unit: true });
}

/** H1 H2 … C (or with `transpose` … H2 H1 C), the reflections given by packed (…, m, k) and tau (…, k). */
export function reflected(name: string, packed: Tensor, tau: Tensor, c: Tensor, transpose: boolean): Tensor {
  const v = unitLower(packed);
  const t = blockFactor(name, v, tau);
  return c.sub(v.matmul((transpose ? mT(t) : t).matmul(mT(v).matmul(c))));
}

function checkReflections(op: string, packed: Tensor, tau: Tensor): void {
  needMatrix(op, packed);
  const [m, n, k] = [packed.sizeAt(-2), packed.sizeAt(-1), tau.shape.at(-1) ?? 0];
  if (n > m || k > n) {
    throw new LibError(
      'shape',
      `${op}: there must be rows ≥ columns ≥ tau, got ${formatShape(packed.shape)} and ${formatShape(tau.shape)}.`,
    );
  }
  if (tau.ndim !== packed.ndim - 1) {
    throw new LibError(
      'shape',
      `${op}: tau must have a dim less than the matrix, got ${formatShape(tau.shape)} for ${formatShape(packed.shape)}.`,
    );
  }
}

/** The first n columns of the product of Householder's reflections: v in the columns of a (…, m, n) below its diagonal, tau (…, k). */
export const householderProduct: Op<[a: Tensor, tau: Tensor]> = defineComposite({
  name: 'linalg.householderProduct',
  compose(a: Tensor, tau: Tensor) {
    checkReflections('linalg.householderProduct', a, tau);
    const columns = identity(a, a.sizeAt(-2), a.sizeAt(-1)).expand(a.shape);
    return reflected('linalg.householderProduct', a.narrow(-1, 0, tau.sizeAt(-1)), tau, columns, false);
  },
  torch: { call: 'torch.linalg.householder_product(*a, **o)' },
  *samples(random): Iterable<[a: Tensor, tau: Tensor]> {
    yield [random([4, 3]), random([3])];
    yield [random([2, 3, 3]), random([2, 2])];
  },
  *errors(random): Iterable<readonly [[a: Tensor, tau: Tensor], string]> {
    yield [[random([2, 3]), random([2])], 'rows ≥ columns'];
    yield [[random([3, 2]), random([1, 2])], 'tau must have a dim less'];
  },
});

export interface OrmqrOptions {
  /** Q from the left; else other @ Q. Default true. */
  readonly left?: boolean;
  /** Qᵀ for Q. Default false. */
  readonly transpose?: boolean;
}

/** Q @ other (…, m, n), Q being the whole (m, m) product of the reflections given by a and tau, as geqrf makes them. */
export const ormqr: Op<[a: Tensor, tau: Tensor, other: Tensor, options?: OrmqrOptions]> = defineComposite({
  name: 'ormqr',
  compose(a: Tensor, tau: Tensor, other: Tensor, { left = true, transpose = false }: OrmqrOptions = {}) {
    needMatrix('ormqr', a, other);
    const k = tau.sizeAt(-1);
    if (other.sizeAt(left ? -2 : -1) !== a.sizeAt(-2) || k > a.sizeAt(-1)) {
      const got = `${formatShape(a.shape)}, ${formatShape(tau.shape)} and ${formatShape(other.shape)}`;
      throw new LibError('shape', `ormqr: a (m, ≥ k), tau (k) and other (${left ? 'm, n' : 'n, m'}) must fit, got ${got}.`);
    }
    const packed = a.narrow(-1, 0, k);
    return left ? reflected('ormqr', packed, tau, other, transpose) : mT(reflected('ormqr', packed, tau, mT(other), !transpose));
  },
  *samples(random): Iterable<[a: Tensor, tau: Tensor, other: Tensor, options?: OrmqrOptions]> {
    yield [random([4, 2]), random([2]), random([4, 3])];
    yield [random([2, 3, 3]), random([2, 3]), random([2, 3, 2]), { transpose: true }];
    yield [random([3, 2]), random([2]), random([4, 3]), { left: false }];
  },
  *errors(random): Iterable<readonly [[a: Tensor, tau: Tensor, other: Tensor], string]> {
    yield [[random([4, 2]), random([2]), random([3, 3])], 'must fit'];
  },
});

/** The QR factorization as LAPACK has it: R with Householder's vectors below it, and tau. Not differentiable. */
export const geqrf: Op<[a: Tensor], { readonly a: Tensor; readonly tau: Tensor }> = defineComposite({
  name: 'geqrf',
  compose(a: Tensor) {
    needMatrix('geqrf', a);
    const [packed, tau] = qrOf('geqrf', a.detach()) as [Tensor, Tensor];
    return { a: packed, tau };
  },
  differentiable: false,
  *samples(random): Iterable<[a: Tensor]> {
    yield [random([4, 3])];
    yield [random([2, 2, 3])];
  },
  *errors(random): Iterable<readonly [[a: Tensor], string]> {
    yield [[random([3])], 'at least 2 dims'];
  },
});

export interface QR {
  readonly Q: Tensor;
  readonly R: Tensor;
}
export interface QROptions {
  /** 'reduced': Q (m, k), R (k, n), k = min(m, n). 'complete': Q (m, m), R (m, n). 'r': R alone, of 'reduced'. Default 'reduced'. */
  readonly mode?: 'reduced' | 'complete' | 'r';
}

/** Gradients of Q (m, k) and R (k, n), k = min(m, n), to one of A. */
function qrGrad(gq: Tensor, gr: Tensor, q: Tensor, r: Tensor, a: Tensor): Tensor {
  const [m, n] = [q.sizeAt(-2), r.sizeAt(-1)];
  if (m < n) {
    const right = gr.narrow(-1, m, n - m);
    const whole = gq.add(a.narrow(-1, m, n - m).matmul(mT(right)));
    return cat([qrGrad(whole, gr.narrow(-1, 0, m), q, r.narrow(-1, 0, m), a), q.matmul(right)], { dim: -1 });
  }
  const upper = gr.matmul(mT(r)).sub(mT(q).matmul(gq)).triu();
  const even = upper.add(mT(upper)).sub(upper.mul(identity(upper, n)));
  return mT(triangular('qrBackward', r, mT(gq.add(q.matmul(even))), { upper: true }));
}

const qrStep: Op<[a: Tensor, complete: boolean], QR> = defineCustom({
  name: 'linalg.qr',
  args: (a: Tensor, complete: boolean) => ({ inputs: [a], params: { complete } }),
  forward([a], { complete }: { readonly complete: boolean }) {
    const x = a as Tensor;
    const [packed, tau] = qrOf('linalg.qr', x) as [Tensor, Tensor];
    const [m, k] = [x.sizeAt(-2), tau.sizeAt(-1)];
    const columns = identity(x, m, complete ? m : k).expand([...x.shape.slice(0, -2), m, complete ? m : k]);
    const q = reflected('linalg.qr', packed.narrow(-1, 0, k), tau, columns, false);
    return [q, (complete ? packed : packed.narrow(-2, 0, k)).triu()];
  },
  saves: [0],
  keeps: [0, 1],
  grad([gq, gr], { inputs: [a], outputs: [q, r], params: { complete } }) {
    if (!a || !q || !r || (!gq && !gr)) return [null];
    if (complete && a.sizeAt(-2) > a.sizeAt(-1)) {
      const shape = formatShape(a.shape);
      throw new LibError(
        'grad',
        `linalg.qr: the complete factors of more rows than columns have no gradient, got shape ${shape}.`,
        "use mode 'reduced'.",
      );
    }
    return [qrGrad(gq ?? q.mul(0), gr ?? r.mul(0), q, r, a)];
  },
  result: ([Q, R]) => ({ Q: Q as Tensor, R: R as Tensor }),
  *samples() {},
  torch: null,
});

/**
 * A = Q R with orthonormal columns in Q and an upper triangle R, for A (…, m, n).
 * @example linalg.qr(tensor([[3, 1], [4, 2]])).R // [[-5, -2.2], [0, 0.4]]
 */
export const qr: Op<[a: Tensor, options?: QROptions], QR> = defineComposite({
  name: 'linalg.qr',
  compose(a: Tensor, { mode = 'reduced' }: QROptions = {}) {
    needMatrix('linalg.qr', a);
    const both = qrStep(a, mode === 'complete');
    return mode === 'r' ? { Q: a.detach().reshape([-1]).narrow(0, 0, 0), R: both.R } : both;
  },
  torch: { call: 'torch.linalg.qr(*a, **o)' },
  *samples(random): Iterable<[a: Tensor, options?: QROptions]> {
    yield [random([3, 3])];
    yield [random([2, 5, 3])];
    yield [random([2, 2, 4])];
    yield [random([2, 4]), { mode: 'complete' }];
    yield [random([4, 2]), { mode: 'r' }];
  },
  *errors(random): Iterable<readonly [[a: Tensor, options?: QROptions], string]> {
    yield [[random([3])], 'at least 2 dims'];
    yield [[random([3, 3]), { mode: 'full' as 'r' }], "mode must be 'complete', 'r' or 'reduced', got 'full'"];
  },
});
