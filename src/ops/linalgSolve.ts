import { LibError } from '../core/errors.js';
import { broadcastShapes, formatShape, needWhole, type Shape, sameShape, sizeOf } from '../core/shape.js';
import { zeros } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { isGradEnabled } from './apply.js';
import { customGrad } from './customGrad.js';
import { defineComposite, defineCustom, type Op } from './define.js';
import { identity, luOf, needMatrix, needReal, needSquare, permutationOf, reorder, torchLinalg, triangular } from './factorRows.js';
import type { ExOptions, UpperOptions } from './linalgFactors.js';
import { sumToShape } from './reduce.js';

/** Systems of equations and inverses. */

const mT = (x: Tensor): Tensor => x.transpose(-2, -1);

/** Refuses factors and right sides whose sizes do not fit: a (…, n, n), b (…, n, k). */
function needRows(op: string, a: Tensor, b: Tensor): void {
  needSquare(op, a);
  needMatrix(op, a, b);
  if (a.sizeAt(-1) !== b.sizeAt(-2)) {
    throw new LibError('shape', `${op}: both must have the same number of rows, got ${formatShape(a.shape)} and ${formatShape(b.shape)}.`);
  }
  broadcastShapes(op, a.shape.slice(0, -2), b.shape.slice(0, -2));
}

/** @internal x with A x = b, or Aᵀ x = b, by P L U = A. */
export function solveByLU(name: string, lu: Tensor, pivots: Tensor, b: Tensor, adjoint: boolean): Tensor {
  const order = permutationOf(name, pivots, lu.sizeAt(-1));
  if (!adjoint) {
    const y = triangular(name, lu, reorder(name, b, order), { upper: false, unit: true });
    return triangular(name, lu, y, { upper: true });
  }
  const y = triangular(name, mT(lu), b, { upper: false });
  return reorder(name, triangular(name, mT(lu), y, { upper: true, unit: true }), order.argsort());
}

interface Named {
  readonly name: string;
  readonly strict: boolean;
}

const solveSteps = new Map<string, Op<[a: Tensor, b: Tensor], readonly Tensor[]>>();

/** a, b → [x, lu, pivots, info] with a x = b; only x carries gradient. */
function solved({ name, strict }: Named, a: Tensor, b: Tensor): readonly Tensor[] {
  const key = `${name}|${strict}`;
  let step = solveSteps.get(key);
  if (step === undefined) {
    step = solveStep({ name, strict });
    solveSteps.set(key, step);
  }
  return step(a, b);
}

function solveStep({ name, strict }: Named): Op<[a: Tensor, b: Tensor], readonly Tensor[]> {
  return defineCustom({
    name,
    args: (a: Tensor, b: Tensor) => ({ inputs: [a, b], params: null }),
    forward([a, b]) {
      const [lu, pivots, info] = luOf(name, a as Tensor, strict) as [Tensor, Tensor, Tensor];
      return [solveByLU(name, lu, pivots, b as Tensor, false), lu, pivots, info];
    },
    saves: [0],
    keeps: [0, 1, 2],
    differentiable: [0],
    grad([g], { inputs: [a, b], outputs: [x, lu, pivots], needs }) {
      if (!g || !a || !b || !x || !lu || !pivots) return [null, null];
      // The factors carry no gradient: where the rule is differentiated itself, it must go through A again.
      const gb = isGradEnabled()
        ? (solved({ name: `${name}Backward`, strict: false }, mT(a), g)[0] as Tensor)
        : solveByLU(`${name}Backward`, lu, pivots, g, true);
      return [needs[0] ? sumToShape(gb.matmul(mT(x)).neg(), a.shape) : null, needs[1] ? sumToShape(gb, b.shape) : null];
    },
    result: (outputs) => outputs,
    *samples() {},
    torch: null,
  });
}

export interface LeftOptions {
  /** A X = B; else X A = B. Default true. */
  readonly left?: boolean;
}

/** PyTorch takes B as vectors where its shape is A's without the last dim, or it has one dim. */
const isVector = (a: Tensor, b: Tensor): boolean => b.ndim === 1 || (a.ndim - 1 === b.ndim && sameShape(b.shape, a.shape.slice(0, -1)));

function solveAny(how: Named, a: Tensor, b: Tensor, { left = true }: LeftOptions): { readonly result: Tensor; readonly info: Tensor } {
  needSquare(how.name, a);
  needReal(how.name, a, b);
  const vector = isVector(a, b);
  if (vector && !left) {
    throw new LibError('shape', `${how.name}: with left: false, B must be matrices, got shape ${formatShape(b.shape)}.`);
  }
  const columns = vector ? b.unsqueeze(-1) : left ? b : mT(b);
  needRows(how.name, a, columns);
  const [x, , , info] = solved(how, left ? a : mT(a), columns) as [Tensor, Tensor, Tensor, Tensor];
  return { result: vector ? x.squeeze({ dim: -1 }) : left ? x : mT(x), info };
}

type SolveArgs = [a: Tensor, b: Tensor, options?: LeftOptions];

/**
 * X with A X = B for invertible A (…, n, n) and B (…, n, k) or vectors (…, n); batches broadcast. A singular matrix is an error.
 * @example linalg.solve(tensor([[2, 0], [0, 4]]), tensor([2, 8])) // [1, 2]
 */
export const solve: Op<SolveArgs> = defineComposite({
  name: 'linalg.solve',
  compose: (a: Tensor, b: Tensor, options: LeftOptions = {}) => solveAny({ name: 'linalg.solve', strict: true }, a, b, options).result,
  torch: torchLinalg('solve'),
  *samples(random): Iterable<SolveArgs> {
    yield [random([3, 3]), random([3, 2])];
    yield [random([3, 3]), random([3])];
    yield [random([2, 3, 3]), random([2, 3])];
    yield [random([3, 3]), random([2, 2, 3, 1])];
    yield [random([2, 1, 2, 2]), random([3, 2, 2])];
    yield [random([3, 3]), random([2, 3]), { left: false }];
  },
  *errors(random): Iterable<readonly [SolveArgs, string]> {
    yield [[random([2, 3]), random([2])], 'must be square'];
    yield [[random([3, 3]), random([2, 2])], 'the same number of rows'];
    yield [[zeros([2, 2]), random([2])], 'must be invertible'];
    yield [[random([2, 3, 3]), random([3, 3, 2])], 'do not broadcast'];
    yield [[random([3, 3]), random([3]), { left: false }], 'B must be matrices'];
    yield [[random([3, 3]), random.integers([3], 0, 2)], 'must be of type float32'];
  },
});

/** {@link solve} with, for each matrix, an int32 `info`: 0, or the first pivot (from 1) that is 0. */
export const solveEx: Op<[a: Tensor, b: Tensor, options?: LeftOptions & ExOptions], { readonly result: Tensor; readonly info: Tensor }> =
  defineComposite({
    name: 'linalg.solveEx',
    compose: (a: Tensor, b: Tensor, options: LeftOptions & ExOptions = {}) =>
      solveAny({ name: 'linalg.solveEx', strict: options.checkErrors ?? false }, a, b, options),
    torch: torchLinalg('solve_ex'),
    *samples(random): Iterable<[a: Tensor, b: Tensor, options?: LeftOptions & ExOptions]> {
      yield [random([2, 3, 3]), random([3, 2])];
    },
    *errors(random): Iterable<readonly [[a: Tensor, b: Tensor, options?: LeftOptions & ExOptions], string]> {
      yield [[zeros([2, 2]), random([2]), { checkErrors: true }], 'must be invertible'];
    },
  });

/** [inverse, info], whose gradient needs the inverse alone. */
function inverseOf(how: Named, a: Tensor): { readonly inverse: Tensor; readonly info: Tensor } {
  needSquare(how.name, a);
  let info: Tensor | undefined;
  const inverse = customGrad({
    name: how.name,
    inputs: [a],
    params: null,
    saves: ['output'],
    compute() {
      const [x, , , found] = solved(how, a, identity(a, a.sizeAt(-1))) as [Tensor, Tensor, Tensor, Tensor];
      info = found;
      return x;
    },
    grad: (g, { output }) => [mT(output).matmul(g).matmul(mT(output)).neg()],
  });
  return { inverse, info: info as Tensor };
}

/** The inverse of A (…, n, n). A singular matrix is an error. Prefer solve() to multiplying by an inverse. */
export const inv: Op<[a: Tensor]> = defineComposite({
  name: 'linalg.inv',
  compose: (a: Tensor) => inverseOf({ name: 'linalg.inv', strict: true }, a).inverse,
  torch: torchLinalg('inv'),
  *samples(random): Iterable<[a: Tensor]> {
    yield [random([3, 3])];
    yield [random([2, 2, 2])];
    yield [random([0, 3, 3])];
  },
  *errors(random): Iterable<readonly [[a: Tensor], string]> {
    yield [[random([2, 3])], 'must be square'];
    yield [[zeros([2, 3, 3])], 'a singular one (pivot 1 is 0) in batch element 0'];
  },
});

/** {@link inv} with, for each matrix, an int32 `info`: 0, or the first pivot (from 1) that is 0. */
export const invEx: Op<[a: Tensor, options?: ExOptions], { readonly inverse: Tensor; readonly info: Tensor }> = defineComposite({
  name: 'linalg.invEx',
  compose: (a: Tensor, { checkErrors = false }: ExOptions = {}) => inverseOf({ name: 'linalg.invEx', strict: checkErrors }, a),
  torch: torchLinalg('inv_ex'),
  *samples(random): Iterable<[a: Tensor]> {
    yield [random([2, 3, 3])];
  },
  *errors(): Iterable<readonly [[a: Tensor, options?: ExOptions], string]> {
    yield [[zeros([2, 2]), { checkErrors: true }], 'must be invertible'];
  },
});

export interface LUSolveOptions extends LeftOptions {
  /** Solve with Aᵀ. Default false. */
  readonly adjoint?: boolean;
}

function solveWithLU(op: string, lu: Tensor, pivots: Tensor, b: Tensor, { left = true, adjoint = false }: LUSolveOptions): Tensor {
  const columns = left ? b : mT(b);
  needRows(op, lu, columns);
  if (pivots.dtype !== 'int32' || pivots.ndim !== lu.ndim - 1 || pivots.sizeAt(-1) !== lu.sizeAt(-1)) {
    const got = `${pivots.dtype} ${formatShape(pivots.shape)}`;
    throw new LibError('shape', `${op}: the pivots must be int32 ${formatShape(lu.shape.slice(0, -1))}, got ${got}.`);
  }
  const x = solveByLU(op, lu, pivots, columns, adjoint === left);
  return left ? x : mT(x);
}

/** X with A X = B (or X A = B, or with Aᵀ), A given by its compact LU factors (…, n, n) and pivots; B (…, n, k). */
export const luSolve: Op<[lu: Tensor, pivots: Tensor, b: Tensor, options?: LUSolveOptions]> = defineComposite({
  name: 'linalg.luSolve',
  compose: (lu: Tensor, pivots: Tensor, b: Tensor, options: LUSolveOptions = {}) => solveWithLU('linalg.luSolve', lu, pivots, b, options),
  torch: { call: 'torch.linalg.lu_solve(a[0], a[1].int(), *a[2:], **o)' },
  *samples(random): Iterable<[lu: Tensor, pivots: Tensor, b: Tensor, options?: LUSolveOptions]> {
    yield [random([3, 3]), random.integers([3], 3, 4), random([3, 2])];
    yield [random([2, 3, 3]), random.integers([2, 3], 3, 4), random([3, 2]), { adjoint: true }];
    yield [random([3, 3]), random.integers([3], 3, 4), random([2, 3]), { left: false }];
  },
  *errors(random): Iterable<readonly [[lu: Tensor, pivots: Tensor, b: Tensor], string]> {
    yield [[random([3, 3]), random([3]), random([3, 2])], 'the pivots must be int32'];
    yield [[random([3, 3]), random.integers([3], 1, 4), random([2, 2])], 'the same number of rows'];
    yield [[random([3, 3]), random.integers([3], 7, 8), random([3, 2])], 'pivots must be rows'];
  },
});

export interface SolveTriangularOptions extends LeftOptions {
  /** A is an upper triangle; else a lower one. What is on the other side is not read. */
  readonly upper: boolean;
  /** Ones stand for the diagonal. Default false. */
  readonly unitriangular?: boolean;
}

function solveTriangle(op: string, a: Tensor, b: Tensor, { upper, left = true, unitriangular = false }: SolveTriangularOptions): Tensor {
  const columns = left ? b : mT(b);
  needRows(op, a, columns);
  if (left) return triangular(op, a, columns, { upper, unit: unitriangular });
  return mT(triangular(op, mT(a), columns, { upper: !upper, unit: unitriangular }));
}

/** Leads a sample away from singular triangles; `far` in fixtures/make.py. */
const far = (x: Tensor): Tensor => x.add(identity(x, x.sizeAt(-1)).mul(4));
/** The triangle alone, as PyTorch gives gradients for what it does not read, too. */
const farTriangle = (x: Tensor, { upper = false }: UpperOptions): Tensor => (upper ? far(x).triu() : far(x).tril());

/** X with A X = B (or X A = B) for a triangle A (…, n, n) and B (…, n, k); batches broadcast. */
export const solveTriangular: Op<[a: Tensor, b: Tensor, options: SolveTriangularOptions]> = defineComposite({
  name: 'linalg.solveTriangular',
  compose: (a: Tensor, b: Tensor, options: SolveTriangularOptions) => solveTriangle('linalg.solveTriangular', a, b, options),
  prepare: (a: Tensor, ...rest) => [far(a), ...rest],
  torch: { call: 'torch.linalg.solve_triangular(far(a[0]), a[1], **o)' },
  *samples(random): Iterable<[a: Tensor, b: Tensor, options: SolveTriangularOptions]> {
    yield [random([3, 3]), random([3, 2]), { upper: true }];
    yield [random([2, 3, 3]), random([3, 2]), { upper: false }];
    yield [random([3, 3]), random([2, 2, 3]), { upper: false, left: false, unitriangular: true }];
  },
  *errors(random): Iterable<readonly [[a: Tensor, b: Tensor, options: SolveTriangularOptions], string]> {
    yield [[random([3, 2]), random([3, 2]), { upper: true }], 'must be square'];
    yield [[random([3, 3]), random([2, 2]), { upper: true }], 'the same number of rows'];
  },
});

export interface TriangularSolveOptions {
  /** Default true. */
  readonly upper?: boolean;
  /** Solve with Aᵀ. Default false. */
  readonly transpose?: boolean;
  /** Ones stand for the diagonal. Default false. */
  readonly unitriangular?: boolean;
}
/** X with A X = b for a triangle A, and A: {@link solveTriangular} by its old name, with the right side first. */
export const triangularSolve: Op<
  [b: Tensor, a: Tensor, options?: TriangularSolveOptions],
  { readonly solution: Tensor; readonly clonedCoefficient: Tensor }
> = defineComposite({
  name: 'triangularSolve',
  compose(b: Tensor, a: Tensor, { upper = true, transpose = false, unitriangular = false }: TriangularSolveOptions = {}) {
    const options = { upper: upper !== transpose, unitriangular };
    return { solution: solveTriangle('triangularSolve', transpose ? mT(a) : a, b, options), clonedCoefficient: a.clone() };
  },
  prepare: (b: Tensor, a: Tensor, ...rest) => [b, far(a), ...rest],
  torch: { call: 'torch.triangular_solve(a[0], far(a[1]), **o)' },
  *samples(random): Iterable<[b: Tensor, a: Tensor, options?: TriangularSolveOptions]> {
    yield [random([3, 2]), random([3, 3])];
    yield [random([2, 3, 2]), random([2, 3, 3]), { upper: false, transpose: true }];
  },
  *errors(random): Iterable<readonly [[b: Tensor, a: Tensor], string]> {
    yield [[random([2, 2]), random([3, 3])], 'the same number of rows'];
  },
});

/** X with A X = b, A = L Lᵀ given by L (…, n, n), or with `upper` by Lᵀ; b (…, n, k). */
export const choleskySolve: Op<[b: Tensor, l: Tensor, options?: UpperOptions]> = defineComposite({
  name: 'choleskySolve',
  compose(b: Tensor, l: Tensor, { upper = false }: UpperOptions = {}) {
    needRows('choleskySolve', l, b);
    const lower = upper ? mT(l) : l;
    const y = triangular('choleskySolve', lower, b, { upper: false });
    return triangular('choleskySolve', mT(lower), y, { upper: true });
  },
  prepare: (b: Tensor, l: Tensor, options: UpperOptions = {}) => [b, farTriangle(l, options), options],
  torch: { call: 'torch.cholesky_solve(a[0], far_triangle(a[1], o), **o)' },
  *samples(random): Iterable<[b: Tensor, l: Tensor, options?: UpperOptions]> {
    yield [random([3, 2]), random([3, 3])];
    yield [random([2, 3, 2]), random([2, 3, 3]), { upper: true }];
  },
  *errors(random): Iterable<readonly [[b: Tensor, l: Tensor], string]> {
    yield [[random([2, 2]), random([3, 3])], 'the same number of rows'];
  },
});

/** The inverse of A = L Lᵀ, given by L (…, n, n), or with `upper` by Lᵀ. */
export const choleskyInverse: Op<[l: Tensor, options?: UpperOptions]> = defineComposite({
  name: 'choleskyInverse',
  compose(l: Tensor, { upper = false }: UpperOptions = {}) {
    needSquare('choleskyInverse', l);
    const x = triangular('choleskyInverse', upper ? mT(l) : l, identity(l, l.sizeAt(-1)), { upper: false });
    return mT(x).matmul(x);
  },
  prepare: (l: Tensor, options: UpperOptions = {}) => [farTriangle(l, options), options],
  torch: { call: 'torch.cholesky_inverse(far_triangle(a[0], o), **o)' },
  *samples(random): Iterable<[l: Tensor, options?: UpperOptions]> {
    yield [random([3, 3])];
    yield [random([2, 3, 3]), { upper: true }];
  },
  *errors(random): Iterable<readonly [[l: Tensor], string]> {
    yield [[random([2, 3])], 'must be square'];
  },
});

/** The inverse of `a` as a linear map from its first `ind` dims to the others, which must hold as many elements. */
export const tensorinv: Op<[a: Tensor, options?: { readonly ind?: number }]> = defineComposite({
  name: 'linalg.tensorinv',
  compose(a: Tensor, { ind = 2 }: { readonly ind?: number } = {}) {
    needWhole('linalg.tensorinv', 'ind', ind, 1);
    const [first, rest] = [a.shape.slice(0, ind), a.shape.slice(ind)];
    const n = sizeOf(rest);
    if (sizeOf(first) !== n) {
      throw new LibError('shape', `linalg.tensorinv: the first ${ind} dims must hold as much as the others, got ${formatShape(a.shape)}.`);
    }
    return inverseOf({ name: 'linalg.tensorinv', strict: true }, a.reshape([n, n])).inverse.reshape([...rest, ...first]);
  },
  torch: torchLinalg('tensorinv'),
  *samples(random): Iterable<[a: Tensor, options?: { readonly ind?: number }]> {
    yield [random([4, 2, 2]), { ind: 1 }];
    yield [random([2, 3, 6])];
  },
  *errors(random): Iterable<readonly [[a: Tensor, options?: { readonly ind?: number }], string]> {
    yield [[random([2, 3, 4])], 'must hold as much'];
    yield [[random([4, 4]), { ind: 0 }], 'ind must be a whole number of at least 1'];
  },
});

export interface TensorsolveOptions {
  /** Dims of `a` that are moved to its end first. */
  readonly dims?: readonly number[];
}
/** X with tensordot(a, X, { dims: X.ndim }) = b. The shape of `a` is b's, then X's. */
export const tensorsolve: Op<[a: Tensor, b: Tensor, options?: TensorsolveOptions]> = defineComposite({
  name: 'linalg.tensorsolve',
  compose(a: Tensor, b: Tensor, { dims }: TensorsolveOptions = {}) {
    const end = dims?.map((_, i) => a.ndim - dims.length + i);
    const x = dims && end ? a.movedim(dims, end) : a;
    const rest: Shape = x.shape.slice(b.ndim);
    const n = sizeOf(rest);
    if (sizeOf(x.shape.slice(0, b.ndim)) !== n || b.size !== n) {
      const got = `${formatShape(x.shape)} and ${formatShape(b.shape)}`;
      throw new LibError('shape', `linalg.tensorsolve: the dims of a must be those of b, then others that hold as much, got ${got}.`);
    }
    return solveAny({ name: 'linalg.tensorsolve', strict: true }, x.reshape([n, n]), b.reshape([n]), {}).result.reshape(rest);
  },
  torch: torchLinalg('tensorsolve'),
  *samples(random): Iterable<[a: Tensor, b: Tensor, options?: TensorsolveOptions]> {
    yield [random([2, 2, 4]), random([2, 2])];
    yield [random([2, 3, 3, 2]), random([3, 2]), { dims: [0, 2] }];
  },
  *errors(random): Iterable<readonly [[a: Tensor, b: Tensor], string]> {
    yield [[random([2, 3, 4]), random([2, 3])], 'hold as much'];
  },
});
