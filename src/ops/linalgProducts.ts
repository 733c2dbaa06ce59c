import { LibError } from '../core/errors.js';
import { formatShape, needDims, needWhole } from '../core/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import { customGrad } from './customGrad.js';
import { defineComposite, type Op } from './define.js';
import { eighOf, expOf, identity, needSquare, positiveDefinite, torchLinalg } from './factorRows.js';
import { cat } from './join.js';
import { inv } from './linalgSolve.js';

/** Products and functions of matrices. */

const mT = (x: Tensor): Tensor => x.transpose(-2, -1);

/** exp of [[a, g], [0, a]] holds, right above, what exp does to a step g. */
function expTangent(a: Tensor, g: Tensor): Tensor {
  const n = a.sizeAt(-1);
  const top = cat([a, g], { dim: -1 });
  const bottom = cat([a.mul(0), a], { dim: -1 });
  return exponential('matrixExpBackward', cat([top, bottom], { dim: -2 }))
    .narrow(-2, 0, n)
    .narrow(-1, n, n);
}

function exponential(name: string, a: Tensor): Tensor {
  return customGrad({
    name,
    inputs: [a],
    params: null,
    saves: [0],
    compute: () => expOf(name, a),
    grad: (g, { inputs: [x] }) => [x ? expTangent(mT(x), g) : null],
  });
}

/** Σ Aᵏ / k! for A (…, n, n). */
export const matrixExp: Op<[a: Tensor]> = defineComposite({
  name: 'linalg.matrixExp',
  compose(a: Tensor) {
    needSquare('linalg.matrixExp', a);
    return exponential('linalg.matrixExp', a);
  },
  torch: torchLinalg('matrix_exp'),
  *samples(random): Iterable<[a: Tensor]> {
    yield [random([3, 3])];
    yield [random([2, 2, 2], { low: -0.2, high: 0.2 })];
    yield [random([1, 1])];
  },
  *errors(random): Iterable<readonly [[a: Tensor], string]> {
    yield [[random([2, 3])], 'must be square'];
  },
});

/** Aⁿ for A (…, k, k) and a whole number n; of the inverse, where n is negative. */
export const matrixPower: Op<[a: Tensor, n: number]> = defineComposite({
  name: 'linalg.matrixPower',
  compose(a: Tensor, n: number) {
    needSquare('linalg.matrixPower', a);
    if (n === 0) return a.mul(0).add(identity(a, a.sizeAt(-1)));
    let square = n < 0 ? inv(a) : a;
    let power: Tensor | null = null;
    for (let rest = Math.abs(n); ; square = square.matmul(square)) {
      if (rest % 2 === 1) power = power ? power.matmul(square) : square;
      rest = Math.floor(rest / 2);
      if (rest === 0) return power === a ? a.clone() : (power as Tensor);
    }
  },
  torch: torchLinalg('matrix_power'),
  *samples(random): Iterable<[a: Tensor, n: number]> {
    for (const n of [1, 2, 5, -2]) yield [random([2, 3, 3]), n];
    yield [random([3, 3]), 3];
  },
  *errors(random): Iterable<readonly [[a: Tensor, n: number], string]> {
    yield [[random([2, 3]), 2], 'must be square'];
    yield [[random([2, 2]), 0.5], 'n must be a whole number'];
  },
});

/** The symmetric positive definite X with X X = A, for such an A (…, n, n), of which the lower triangle is read. */
export const matrixSqrth: Op<[a: Tensor]> = defineComposite({
  name: 'linalg.matrixSqrth',
  compose(a: Tensor) {
    needSquare('linalg.matrixSqrth', a);
    return symmetricRoot(a);
  },
  prepare: (a: Tensor) => [positiveDefinite(a)],
  torch: { call: 'torch.linalg.matrix_sqrth(spd(a[0]))' },
  *samples(random): Iterable<[a: Tensor]> {
    yield [random([3, 3])];
    yield [random([2, 2, 2])];
  },
  *errors(random): Iterable<readonly [[a: Tensor], string]> {
    yield [[random([2, 3])], 'must be square'];
  },
});

const splitRoot = (x: Tensor): readonly [w: Tensor, v: Tensor] => eighOf('linalg.matrixSqrth', x, true) as [Tensor, Tensor];

function symmetricRoot(a: Tensor): Tensor {
  return customGrad({
    name: 'linalg.matrixSqrth',
    inputs: [a],
    params: null,
    saves: ['output'],
    compute() {
      const [w, v] = splitRoot(a);
      return v.mul(w.sqrt().unsqueeze(-2)).matmul(mT(v));
    },
    grad: (g, { output }) => [sylvester(output, g.add(mT(g)).mul(0.5))],
  });
}

/** Y with X Y + Y X = G for symmetric X and G. Linear in G; the derivative by X is again one of these. */
function sylvester(x: Tensor, g: Tensor): Tensor {
  return customGrad({
    name: 'sylvester',
    inputs: [x, g],
    params: null,
    saves: [0, 'output'],
    compute() {
      const [s, v] = splitRoot(x);
      const inner = mT(v)
        .matmul(g)
        .matmul(v)
        .div(s.unsqueeze(-2).add(s.unsqueeze(-1)));
      return v.matmul(inner).matmul(mT(v));
    },
    grad(h, { inputs: [of], output }) {
      const back = sylvester(of as Tensor, h.add(mT(h)).mul(0.5));
      return [back.matmul(output).add(output.matmul(back)).neg(), back];
    },
  });
}

/** The cheapest order of a chain of products: where to split each stretch, by dynamic programming over its length. */
function bestSplits(sizes: readonly number[]): number[][] {
  const count = sizes.length - 1;
  const cost = Array.from({ length: count }, () => new Array<number>(count).fill(0));
  const splits = cost.map((row) => [...row]);
  for (let length = 1; length < count; length++) {
    for (let i = 0; i + length < count; i++) {
      const j = i + length;
      let best = Number.POSITIVE_INFINITY;
      for (let k = i; k < j; k++) {
        const outer = (sizes[i] as number) * (sizes[k + 1] as number) * (sizes[j + 1] as number);
        const total = (cost[i]?.[k] ?? 0) + (cost[k + 1]?.[j] ?? 0) + outer;
        if (total < best) {
          best = total;
          (splits[i] as number[])[j] = k;
        }
      }
      (cost[i] as number[])[j] = best;
    }
  }
  return splits;
}

function chain(op: string, tensors: readonly Tensor[]): Tensor {
  const [first, last] = [tensors[0], tensors.at(-1)];
  if (first === undefined || last === undefined || tensors.length < 2)
    throw new LibError('value', `${op}: there must be at least two tensors, got ${tensors.length}.`);
  const mats = tensors.map((x, i) => {
    if (x.ndim === 1 && i === 0) return x.unsqueeze(0);
    if (x.ndim === 1 && i === tensors.length - 1) return x.unsqueeze(1);
    if (x.ndim !== 2) {
      throw new LibError('shape', `${op}: tensors must be matrices, the first and last perhaps vectors, got ${formatShape(x.shape)}.`);
    }
    return x;
  });
  const splits = bestSplits([mats[0]?.sizeAt(0) ?? 0, ...mats.map((x) => x.sizeAt(1))]);
  const multiply = (i: number, j: number): Tensor => {
    if (i === j) return mats[i] as Tensor;
    const k = splits[i]?.[j] ?? i;
    return multiply(i, k).matmul(multiply(k + 1, j));
  };
  const product = multiply(0, mats.length - 1);
  return product.reshape([...(first.ndim === 1 ? [] : [product.sizeAt(0)]), ...(last.ndim === 1 ? [] : [product.sizeAt(1)])]);
}

/** The product of two or more matrices in the cheapest order; the first and the last may be vectors. */
export const multiDot: Op<[tensors: readonly Tensor[]]> = defineComposite({
  name: 'linalg.multiDot',
  compose: (tensors: readonly Tensor[]) => chain('linalg.multiDot', tensors),
  torch: torchLinalg('multi_dot'),
  *samples(random): Iterable<[tensors: readonly Tensor[]]> {
    yield [[random([2, 3]), random([3, 4])]];
    yield [[random([5, 2]), random([2, 6]), random([6, 1]), random([1, 3])]];
    yield [[random([3]), random([3, 4]), random([4])]];
  },
  *errors(random): Iterable<readonly [[tensors: readonly Tensor[]], string]> {
    yield [[[random([2, 3])]], 'at least two tensors'];
    yield [[[random([2, 3]), random([2, 3, 4]), random([4, 2])]], 'must be matrices'];
    yield [[[random([2, 3]), random([2, 3])]], 'inner dimensions must agree'];
  },
});

/** The product of one or more matrices in the cheapest order. */
export const chainMatmul: Op<Tensor[]> = defineComposite({
  name: 'chainMatmul',
  compose: (...matrices: Tensor[]) => (matrices.length === 1 ? (matrices[0] as Tensor).clone() : chain('chainMatmul', matrices)),
  torch: { call: 'torch.chain_matmul(*a)' },
  *samples(random): Iterable<Tensor[]> {
    yield [random([2, 3]), random([3, 4]), random([4, 1])];
    yield [random([2, 3])];
  },
  *errors(): Iterable<readonly [Tensor[], string]> {
    yield [[], 'at least two tensors'];
  },
});

function powers(x: Tensor, count: number): Tensor {
  const column = x.unsqueeze(-1);
  if (count < 2) return column.mul(0).add(1).narrow(-1, 0, count);
  return cat([column.detach().mul(0).add(1), column.expand([...x.shape, count - 1])], { dim: -1 }).cumprod(-1);
}

/** Rows of powers x⁰, x¹, … of each element of x (…, k): (…, k, N). N defaults to k. */
export const vander: Op<[x: Tensor, options?: { readonly N?: number }]> = defineComposite({
  name: 'linalg.vander',
  compose(input: Tensor, { N }: { readonly N?: number } = {}) {
    const x = input.ndim === 0 ? input.unsqueeze(0) : input;
    const count = N ?? x.sizeAt(-1);
    needWhole('linalg.vander', 'N', count, N === undefined ? 0 : 2);
    return powers(x, count);
  },
  torch: { call: 'torch.linalg.vander(a[0], **{k.upper().replace("_", ""): v for k, v in o.items()})' },
  *samples(random): Iterable<[x: Tensor, options?: { readonly N?: number }]> {
    yield [random([3])];
    yield [random([2, 3]), { N: 4 }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, options?: { readonly N?: number }], string]> {
    yield [[random([3]), { N: 1 }], 'at least 2'];
  },
});

export interface VanderOptions {
  /** Powers of each element. Default: as many as elements. */
  readonly N?: number;
  /** From x⁰ upwards, instead of down to it. Default false. */
  readonly increasing?: boolean;
}
/** Powers of the elements of a vector as rows, highest first: (k, N). {@link vander} of `linalg` begins with the lowest. */
export const vandermonde: Op<[x: Tensor, options?: VanderOptions]> = defineComposite({
  name: 'vander',
  compose(x: Tensor, { N = x.size, increasing = false }: VanderOptions = {}) {
    needDims('vander', x, 1, 1);
    needWhole('vander', 'N', N, 0);
    const rows = powers(x, N);
    return increasing ? rows : rows.flip(1);
  },
  torch: { call: 'torch.vander(a[0], **{"N" if k == "_n" else k: v for k, v in o.items()})' },
  *samples(random): Iterable<[x: Tensor, options?: VanderOptions]> {
    yield [random([3])];
    yield [random([3]), { N: 4, increasing: true }];
    yield [random([2]), { N: 1 }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, options?: VanderOptions], string]> {
    yield [[random([2, 3])], 'must have 1 dim'];
    yield [[random([3]), { N: -1 }], 'whole number of at least 0'];
  },
});

export interface AlongOptions {
  /** Default -1. */
  readonly dim?: number;
}

/** Σ x · y along `dim`; shapes broadcast. */
export const vecdot: Op<[x: Tensor, y: Tensor, options?: AlongOptions]> = defineComposite({
  name: 'linalg.vecdot',
  compose(x: Tensor, y: Tensor, { dim = -1 }: AlongOptions = {}) {
    return x.mul(y).sum({ dim });
  },
  torch: torchLinalg('vecdot'),
  *samples(random): Iterable<[x: Tensor, y: Tensor, options?: AlongOptions]> {
    yield [random([2, 3]), random([2, 3])];
    yield [random([2, 3]), random([2, 1]), { dim: 0 }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, y: Tensor], string]> {
    yield [[random([2, 3]), random([2, 4])], 'do not broadcast'];
  },
});

/** The cross product of vectors of length 3 along `dim`; shapes broadcast. */
export const cross: Op<[a: Tensor, b: Tensor, options?: AlongOptions]> = defineComposite({
  name: 'linalg.cross',
  compose(a: Tensor, b: Tensor, { dim = -1 }: AlongOptions = {}) {
    if (a.ndim !== b.ndim || a.sizeAt(dim) !== 3 || b.sizeAt(dim) !== 3) {
      const got = `${formatShape(a.shape)} and ${formatShape(b.shape)} along ${dim}`;
      throw new LibError('shape', `linalg.cross: both must have as many dims, and size 3 along one, got ${got}.`);
    }
    const shifted = (x: Tensor, by: number): Tensor => x.roll(by, { dims: dim });
    return shifted(a, -1)
      .mul(shifted(b, -2))
      .sub(shifted(a, -2).mul(shifted(b, -1)));
  },
  torch: torchLinalg('cross'),
  *samples(random): Iterable<[a: Tensor, b: Tensor, options?: AlongOptions]> {
    yield [random([3]), random([3])];
    yield [random([2, 3]), random([1, 3])];
    yield [random([3, 2]), random([3, 2]), { dim: 0 }];
  },
  *errors(random): Iterable<readonly [[a: Tensor, b: Tensor], string]> {
    yield [[random([2]), random([2])], 'size 3 along one'];
    yield [[random([3]), random([2, 3])], 'as many dims'];
  },
});
