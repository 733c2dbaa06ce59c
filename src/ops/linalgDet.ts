import { zeros } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { isGradEnabled } from './apply.js';
import { defineComposite, defineCustom, type Op } from './define.js';
import { identity, luOf, needSquare, torchLinalg } from './factorRows.js';
import { range } from './fused.js';
import { cat } from './join.js';
import { invEx, solveByLU } from './linalgSolve.js';
import { svdStep } from './linalgSpectral.js';

/** Determinants. */

const mT = (x: Tensor): Tensor => x.transpose(-2, -1);
const diagonalOf = (x: Tensor): Tensor => x.diagonal({ dim1: -2, dim2: -1 });
const asMatrix = (x: Tensor): Tensor => x.unsqueeze(-1).unsqueeze(-1);

/** 1 or −1: the sign of the permutation that swaps row i with row pivots[i] − 1. */
function parity(pivots: Tensor, like: Tensor): Tensor {
  const swaps = pivots
    .ne(range(like.device, pivots.sizeAt(-1)).add(1))
    .int()
    .sum({ dim: -1 })
    .remainder(2);
  return swaps.to(like.dtype).mul(-2).add(1);
}

/** Products of all elements but one along the last dim. */
function productsOfOthers(s: Tensor): Tensor {
  const n = s.sizeAt(-1);
  const one = s.narrow(-1, 0, 1).detach().mul(0).add(1);
  const before = (x: Tensor): Tensor => cat([one, x.narrow(-1, 0, n - 1)], { dim: -1 }).cumprod(-1);
  return before(s).mul(before(s.flip(-1)).flip(-1));
}

/** The matrix of cofactors, also of singular matrices: det(U) det(V) U diag(products of the other singular values) Vh. */
function cofactors(a: Tensor): Tensor {
  const { u, s, vh } = svdStep(a);
  const signs = det(u.detach()).mul(det(vh.detach()));
  return u.mul(productsOfOthers(s).unsqueeze(-2)).matmul(vh).mul(asMatrix(signs));
}

/** det(A) A⁻ᵀ as something to be differentiated: by singular values where A is singular, and by its inverse elsewhere. */
function differentiableCofactors(a: Tensor, singular: Tensor): Tensor {
  const n = a.sizeAt(-1);
  const eye = identity(a, n);
  const regular = singular.where(eye, a);
  const steps = singular.where(a, eye.mul(range(a.device, n).add(1)));
  const ofRegular = asMatrix(det(regular)).mul(mT(invEx(regular).inverse));
  return singular.where(cofactors(steps), ofRegular);
}

const TINY = { float32: 2 ** -23, float64: 2 ** -52 } as const;

/** det(A) A⁻ᵀ from the factors; pivots of 0 become tiny, so that the product stays what it is in the limit. */
function cofactorsByLU(lu: Tensor, pivots: Tensor): Tensor {
  const d = diagonalOf(lu);
  const tiny = lu.dtype === 'float64' ? TINY.float64 : TINY.float32;
  const least = d
    .abs()
    .amax({ dim: -1, keepdim: true })
    .mul(tiny)
    .clampMin(tiny * 1e-20);
  const added = d.eq(0).where(least, 0);
  const eye = identity(lu, lu.sizeAt(-1));
  const whole = lu.add(added.unsqueeze(-1).mul(eye));
  const value = d.add(added).prod({ dim: -1 }).mul(parity(pivots, lu));
  return solveByLU('detBackward', whole, pivots, eye.mul(asMatrix(value)), true);
}

const detStep: Op<[a: Tensor], readonly Tensor[]> = defineCustom({
  name: 'linalg.det',
  args: (a: Tensor) => ({ inputs: [a], params: null }),
  forward([a]) {
    const [lu, pivots] = luOf('linalg.det', a as Tensor, false) as [Tensor, Tensor];
    return [diagonalOf(lu).prod({ dim: -1 }).mul(parity(pivots, lu)), lu, pivots];
  },
  saves: [0],
  keeps: [1, 2],
  differentiable: [0],
  grad([g], { inputs: [a], outputs: [, lu, pivots] }) {
    if (!g || !a || !lu || !pivots) return [null];
    if (a.size === 0) return [a.mul(0)];
    const singular = asMatrix(diagonalOf(lu).eq(0).any({ dim: -1 }));
    const cofactor = isGradEnabled() ? differentiableCofactors(a, singular) : cofactorsByLU(lu, pivots);
    return [cofactor.mul(asMatrix(g))];
  },
  result: (outputs) => outputs,
  *samples() {},
  torch: null,
});

/** The determinant (…) of A (…, n, n). Its gradient is right for singular matrices too (of higher order: for rank n − 1). */
export const det: Op<[a: Tensor]> = defineComposite({
  name: 'linalg.det',
  compose(a: Tensor) {
    needSquare('linalg.det', a);
    return detStep(a)[0] as Tensor;
  },
  torch: torchLinalg('det'),
  *samples(random): Iterable<[a: Tensor]> {
    yield [random([3, 3])];
    yield [random([2, 2, 2])];
    yield [random([1, 1])];
    yield [random([0, 3, 3])];
    yield [zeros([1, 1])];
  },
  *errors(random): Iterable<readonly [[a: Tensor], string]> {
    yield [[random([2, 3])], 'must be square'];
  },
});

const slogdetStep: Op<[a: Tensor], readonly Tensor[]> = defineCustom({
  name: 'linalg.slogdet',
  args: (a: Tensor) => ({ inputs: [a], params: null }),
  forward([a]) {
    const [lu, pivots] = luOf('linalg.slogdet', a as Tensor, false) as [Tensor, Tensor];
    const d = diagonalOf(lu);
    return [d.sign().prod({ dim: -1 }).mul(parity(pivots, lu)), d.abs().log().sum({ dim: -1 }), lu, pivots];
  },
  saves: [0],
  keeps: [2, 3],
  differentiable: [1],
  grad([, g], { inputs: [a], outputs: [, , lu, pivots] }) {
    if (!g || !a || !lu || !pivots) return [null];
    const inverse = isGradEnabled()
      ? mT(invEx(a).inverse)
      : solveByLU('slogdetBackward', lu, pivots, identity(lu, lu.sizeAt(-1)).expand(lu.shape), true);
    return [inverse.mul(asMatrix(g))];
  },
  result: (outputs) => outputs,
  *samples() {},
  torch: null,
});

/** The determinant (…) of A (…, n, n) as its sign and the logarithm of its magnitude: 0 and −Infinity where A is singular. */
export const slogdet: Op<[a: Tensor], { readonly sign: Tensor; readonly logabsdet: Tensor }> = defineComposite({
  name: 'linalg.slogdet',
  compose(a: Tensor) {
    needSquare('linalg.slogdet', a);
    const [sign, logabsdet] = slogdetStep(a) as [Tensor, Tensor];
    return { sign, logabsdet };
  },
  torch: torchLinalg('slogdet'),
  *samples(random): Iterable<[a: Tensor]> {
    yield [random([3, 3])];
    yield [random([2, 2, 2])];
  },
  *errors(random): Iterable<readonly [[a: Tensor], string]> {
    yield [[random([2, 3])], 'must be square'];
  },
});

/** The logarithm of the determinant (…) of A (…, n, n): NaN where that is negative, −Infinity where it is 0. */
export const logdet: Op<[a: Tensor]> = defineComposite({
  name: 'logdet',
  compose(a: Tensor) {
    needSquare('logdet', a);
    const [sign, logabsdet] = slogdetStep(a) as [Tensor, Tensor];
    return sign.lt(0).where(Number.NaN, logabsdet);
  },
  *samples(random): Iterable<[a: Tensor]> {
    yield [random([2, 2]).add(identity(random([1]), 2).mul(4))];
    yield [random([3, 3, 3])];
  },
  *errors(random): Iterable<readonly [[a: Tensor], string]> {
    yield [[random([2, 3])], 'must be square'];
  },
});
