import { tensor } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { isRecorded } from './apply.js';
import { defineComposite, defineCustom, type Op } from './define.js';
import { eigOf, identity, needSquare } from './factorRows.js';
import { conjugated, timesPairs } from './fourierParts.js';
import { oneHot } from './indexing.js';
import { cat, stack } from './join.js';
import { solve } from './linalgSolve.js';

/** Eigenvalues of matrices that need not be symmetric. Complex numbers are pairs in a last dim of 2. */

export interface Eig {
  /** (…, n, 2), ascending by real, then imaginary parts. */
  readonly eigenvalues: Tensor;
  /** (…, n, n, 2): columns of length 1. */
  readonly eigenvectors: Tensor;
}

/** Pairs X + iY (…, n, n, 2) as the real matrices [X -Y; Y X], whose products are those of the complex ones. */
function asReal(z: Tensor): Tensor {
  const [x, y] = [z.select(-1, 0), z.select(-1, 1)];
  return cat([cat([x, y], { dim: -2 }), cat([y.neg(), x], { dim: -2 })], { dim: -1 });
}

/** The gradient g of vectors v without what would make them longer, or turn them: the lead of each stays real. */
function ofDirections(g: Tensor, v: Tensor, lead: Tensor): Tensor {
  const along = timesPairs(conjugated(v), g).sum({ dim: -3, keepdim: true });
  const place = oneHot(lead, { numClasses: v.sizeAt(-2) }).transpose(-2, -1);
  const turn = place.mul(along.select(-1, 1)).div(place.mul(v.select(-1, 0)).sum({ dim: -2, keepdim: true }));
  return g.sub(v.mul(along.narrow(-1, 0, 1))).sub(stack([turn.mul(0), turn], { dim: -1 }));
}

const eigStep: Op<[a: Tensor], Eig> = defineCustom({
  name: 'linalg.eig',
  args: (a: Tensor) => ({ inputs: [a], params: null }),
  forward: ([a]) => eigOf('linalg.eig', a as Tensor, true),
  keeps: [0, 1, 2],
  differentiable: [0, 1],
  grad([gw, gv], { outputs: [w, v, lead] }) {
    if (!w || !v || !lead || (!gw && !gv)) return [null];
    const n = v.sizeAt(-2);
    const eye = identity(v, n).unsqueeze(-1);
    const adjoint = asReal(v).transpose(-2, -1); // of the complex matrix
    let inner = (gw ?? w.mul(0)).unsqueeze(-3).mul(eye);
    if (gv) {
      const products = adjoint.matmul(asReal(ofDirections(gv, v, lead)).narrow(-1, 0, n));
      const differences = w.unsqueeze(-3).sub(w.unsqueeze(-2)); // λ[j] - λ[i], by whose conjugates is divided
      const squares = differences.square().sum({ dim: -1, keepdim: true }).add(eye);
      inner = inner.add(timesPairs(stack(products.chunk(2, { dim: -2 }), { dim: -1 }), differences).div(squares));
    }
    return [solve(adjoint, asReal(inner).matmul(adjoint.narrow(-1, 0, n))).narrow(-2, 0, n)];
  },
  result: ([eigenvalues, eigenvectors]) => ({ eigenvalues: eigenvalues as Tensor, eigenvectors: eigenvectors as Tensor }),
  *samples() {},
  torch: null,
});

/**
 * A V = V diag(w) for square A (…, n, n): eigenvalues and eigenvectors as pairs. In each column of V the largest entry (the first that has
 * 0.999 of the largest size) is real and positive. The gradient is defined where eigenvalues differ.
 * @example linalg.eig(tensor([[0, -1], [1, 0]])).eigenvalues.tolist() // [[0, -1], [0, 1]]: -i and i
 */
export const eig: Op<[a: Tensor], Eig> = defineComposite({
  name: 'linalg.eig',
  compose(a: Tensor) {
    needSquare('linalg.eig', a);
    return eigStep(a);
  },
  torch: { call: 'ascending(torch.linalg.eig(a[0]))' },
  *samples(random): Iterable<[a: Tensor]> {
    yield [random([3, 3])];
    yield [random([2, 4, 4])];
    yield [
      tensor([
        [0, -2, 1],
        [1, 0, 0.5],
        [0.3, 0, 2],
      ]),
    ];
    yield [random([1, 1])];
    yield [random([0, 2, 2])];
  },
  *errors(random): Iterable<readonly [[a: Tensor], string]> {
    yield [[random([2, 3])], 'must be square'];
    yield [[random.integers([2, 2], 0, 3)], 'must be of type float32 or float64'];
    yield [[random([2, 2]).div(0)], 'must be finite'];
  },
});

/** The eigenvalues (…, n, 2) of square A (…, n, n), as pairs, ascending by real, then imaginary parts. */
export const eigvals: Op<[a: Tensor]> = defineComposite({
  name: 'linalg.eigvals',
  compose(a: Tensor) {
    needSquare('linalg.eigvals', a);
    return isRecorded([a]) ? eigStep(a).eigenvalues : (eigOf('linalg.eigvals', a, false)[0] as Tensor);
  },
  torch: { call: 'ascending(torch.linalg.eig(a[0]))[0]' },
  *samples(random): Iterable<[a: Tensor]> {
    yield [random([3, 3])];
    yield [random([2, 5, 5])];
  },
  *errors(random): Iterable<readonly [[a: Tensor], string]> {
    yield [[random([2, 3])], 'must be square'];
  },
});
