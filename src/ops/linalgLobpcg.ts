import { LibError } from '../core/errors.js';
import { formatShape, needWhole, type Shape } from '../core/shape.js';
import { valuesOf } from '../tensor/capturing.js';
import { randn } from '../tensor/random.js';
import type { Tensor } from '../tensor/tensor.js';
import { customGrad } from './customGrad.js';
import { defineComposite, type Op } from './define.js';
import { eighOf, identity, needSquare, positiveDefinite, triangular } from './factorRows.js';
import { cat } from './join.js';
import { cholesky, qr } from './linalgFactors.js';
import { solve } from './linalgSolve.js';

/** A few eigenvalues of a large symmetric matrix, by iteration (Knyazev, 2001; Duersch et al., 2018). */

const op = 'lobpcg';
const mT = (x: Tensor): Tensor => x.transpose(-2, -1);
const lengths = (x: Tensor): Tensor => x.square().sum({ dim: -2, keepdim: true }).sqrt();

interface Iteration {
  readonly start: Tensor;
  readonly iK: Tensor | undefined;
  readonly k: number;
  readonly niter: number;
  readonly tol: number;
}

/** Eigenvalues (…, 1, k) and eigenvectors (…, m, k), from one tensor. */
const parted = (pairs: Tensor): [Tensor, Tensor] => [pairs.narrow(-2, 0, 1), pairs.narrow(-2, 1, pairs.sizeAt(-2) - 1)];

/** The least eigenpairs of A, sought in the span of the vectors so far, their residuals, and the directions of their last change. */
function iterate(a: Tensor, { start, iK, k, niter, tol }: Iteration): Tensor {
  const n = start.sizeAt(-1);
  let basis = qr(start).Q;
  const scale = lengths(a.matmul(basis)).mean({ dim: -1, keepdim: true });
  for (let left = niter; ; left--) {
    const [values, vectors] = eighOf(op, mT(basis).matmul(a.matmul(basis)), true) as [Tensor, Tensor];
    const [w, z] = [values.narrow(-1, 0, n).unsqueeze(-2), vectors.narrow(-1, 0, n)];
    const x = basis.matmul(z);
    const residual = a.matmul(x).sub(x.mul(w));
    const excess = lengths(residual).sub(w.abs().add(scale).mul(tol)).narrow(-1, 0, k);
    if (left === 0 || valuesOf(op, excess).every((v) => v < 0)) return cat([w, x], { dim: -2 }).narrow(-1, 0, k);
    const others = basis.sizeAt(-1) - n;
    const change = basis.narrow(-1, n, others).matmul(z.narrow(-2, n, others));
    basis = qr(cat([x, change, iK ? iK.matmul(residual) : residual], { dim: -1 })).Q;
  }
}

const pairsOf = (a: Tensor, how: Iteration): [Tensor, Tensor] =>
  parted(
    customGrad({
      name: op,
      inputs: [a],
      params: null,
      saves: [0, 'output'],
      compute: () => iterate(a, how),
      grad(g, { inputs, output }) {
        const [[w, x], [gw, gx], matrix] = [parted(output), parted(g), inputs[0] as Tensor];
        const columns = mT(x).unsqueeze(-1);
        const beside = identity(x, matrix.sizeAt(-1)).sub(columns.matmul(mT(columns)));
        // A − λ, made regular along the eigenvector, where the right side is 0.
        const shifted = matrix.unsqueeze(-3).sub(beside.mul(mT(w).unsqueeze(-1)));
        const turns = solve(shifted, beside.matmul(mT(gx).unsqueeze(-1))).squeeze({ dim: -1 });
        return [x.mul(gw).sub(mT(turns)).matmul(mT(x))];
      },
    }),
  );

export interface LobpcgOptions {
  /** How many eigenvalues. Default: the columns of X, or 1. */
  readonly k?: number;
  /** Symmetric and positive definite, of A's shape: A x = λ B x is solved. Default: the identity. */
  readonly B?: Tensor;
  /** The vectors (…, m, n) to begin with, n ≥ k. Default: n random ones. */
  readonly X?: Tensor;
  /** How many vectors to iterate, where X is not given. Default: k. */
  readonly n?: number;
  /** A preconditioner (…, m, m): near the inverse of A. Default: none. */
  readonly iK?: Tensor;
  /** How many iterations at most; -1: as many as it takes. Default 1000. */
  readonly niter?: number;
  /** Residuals |A x − λ B x| up to this, relative to A and λ, count as 0. Default: the root of the type's epsilon. */
  readonly tol?: number;
  /** The largest eigenvalues, descending; else the smallest, ascending. Default true. */
  readonly largest?: boolean;
  /** PyTorch's two ways to make a basis. Here it is orthonormal in either case. Default 'ortho'. */
  readonly method?: 'basic' | 'ortho';
}

function checkStart(a: Tensor, start: Shape, { B = a, k }: LobpcgOptions & { readonly k: number }): void {
  const [m, n] = [a.sizeAt(-1), start.at(-1) as number];
  needWhole(op, 'k', k, 1);
  needWhole(op, 'n', n, k);
  if (`${B.shape}` !== `${a.shape}` || `${start}` !== `${[...a.shape.slice(0, -1), n]}` || m < 3 * n) {
    const got = [a.shape, B.shape, start].map(formatShape).join(', ');
    throw new LibError('shape', `${op}: A and B must be (…, m, m) and X (…, m, n) with m at least 3 n, got ${got}.`, 'use linalg.eigh.');
  }
}

/** A x = λ B x by the Cholesky factor of B: as the problem of L⁻¹ A L⁻ᵀ, whose vectors are Lᵀ x. */
function generalized(a: Tensor, B: Tensor, how: Iteration): [Tensor, Tensor] {
  const l = cholesky(B);
  const divided = (x: Tensor): Tensor => mT(triangular(op, l, x, { upper: false }));
  const seen = (x: Tensor): Tensor => mT(l).matmul(x);
  const [w, x] = pairsOf(divided(divided(a)), { ...how, start: seen(how.start), iK: how.iK && seen(how.iK).matmul(l) });
  return [w, triangular(op, mT(l), x, { upper: true })];
}

/** Each column with the sign that eigenvectors have here: that of its first large entry. */
function turned(x: Tensor): Tensor {
  const sizes = x.detach().abs();
  const large = sizes.ge(sizes.amax({ dim: -2, keepdim: true }).mul(0.5)).int();
  return x.mul(
    x
      .detach()
      .gather(-2, large.argmax({ dim: -2, keepdim: true }))
      .sign(),
  );
}

/**
 * The k largest (or smallest) eigenvalues (…, k) of symmetric positive definite A (…, m, m), and their vectors (…, m, k), of which the
 * first entry that has at least half the largest magnitude is positive. The gradient by vectors is defined where eigenvalues differ.
 * Values are read to know when to stop, so a capture refuses it.
 * @example lobpcg(tensor([2, 3, 5]).diag())[0].tolist() // [5]
 */
export const lobpcg: Op<[a: Tensor, options?: LobpcgOptions], readonly [eigenvalues: Tensor, eigenvectors: Tensor]> = defineComposite({
  name: op,
  compose(a: Tensor, options: LobpcgOptions = {}): readonly [Tensor, Tensor] {
    const { B, X, iK, niter = 1000, tol = a.dtype === 'float64' ? 2 ** -26 : 2 ** -11.5, largest = true } = options;
    needSquare(op, ...[a, B, X && a, iK].filter((t) => t !== undefined));
    const k = options.k ?? X?.sizeAt(-1) ?? 1;
    const start = X ?? randn([...a.shape.slice(0, -1), options.n ?? k], { dtype: a.dtype, device: a.device });
    checkStart(a, start.shape, { ...options, k });
    needWhole(op, 'niter', niter, -1);
    const sign = largest ? -1 : 1;
    const whole = a.add(mT(a)).mul(sign / 2);
    const how = { start, iK, k, niter, tol };
    const [w, x] = B ? generalized(whole, B, how) : pairsOf(whole, how);
    return [w.squeeze({ dim: -2 }).mul(sign), turned(x)];
  },
  prepare: (a: Tensor, { B, ...rest }: LobpcgOptions = {}) => [positiveDefinite(a), { ...rest, ...(B && { B: positiveDefinite(B) }) }],
  torch: { call: 'lobpcg(a[0], o)' },
  *samples(random): Iterable<[a: Tensor, options?: LobpcgOptions]> {
    const exact = { tol: 1e-12, niter: 30 };
    yield [random([4, 4]), { k: 1, ...exact }];
    yield [random([7, 7]), { k: 1, n: 2, largest: false, ...exact }];
    yield [random([2, 6, 6]), { X: random([2, 6, 2]), iK: identity(random([1]), 6), method: 'basic', ...exact }];
    yield [random([6, 6]), { B: random([6, 6]), k: 2, ...exact }];
  },
  *errors(random): Iterable<readonly [[a: Tensor, options?: LobpcgOptions], string]> {
    yield [[random([2, 3])], 'must be square'];
    yield [[random([5, 5]), { k: 2 }], 'm at least 3 n, got (5, 5), (5, 5), (5, 2)'];
    yield [[random([5, 5]), { k: 2, n: 1 }], 'n must be a whole number of at least 2'];
    yield [[random([5, 5]), { k: 0 }], 'k must be a whole number of at least 1'];
    yield [[random([5, 5]), { niter: -2 }], 'niter must be'];
    yield [[random([5, 5]), { X: random([4, 1]) }], 'got (5, 5), (5, 5), (4, 1)'];
    yield [[random([5, 5]), { B: random([3, 3]) }], 'A and B must be'];
    yield [[random([5, 5]), { method: 'x' as 'ortho' }], "method must be 'basic' or 'ortho', got 'x'"];
  },
});
