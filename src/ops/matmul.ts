import { LibError } from '../core/errors.js';
import { broadcastShapes, formatShape, needDims, resolveDims, type Shape, sameShape, sizeOf } from '../core/shape.js';
import { input, scalar } from '../expr/expr.js';
import type { Tensor } from '../tensor/tensor.js';
import { defineComposite, defineCustom, type Op } from './define.js';
import { functional, fuse, fuseSum } from './fused.js';
import { checkProduct, gemm } from './gemm.js';

/**
 * The matrix product, with PyTorch's rules for every rank: vectors are rows on the left and columns on the right, leading dims are
 * batches and broadcast. Transposed operands are read in place.
 * @example tensor([[1, 2]]).matmul(tensor([[3], [4]])) // [[11]]
 */
export const matmul: Op<[a: Tensor, b: Tensor]> = defineComposite({
  name: 'matmul',
  compose(a: Tensor, b: Tensor) {
    if (a.ndim === 2 && b.ndim === 2) return gemm('matmul', a, b); // the everyday case, whose checks are gemm's
    if (a.ndim === 0 || b.ndim === 0) {
      throw new LibError(
        'shape',
        `matmul: both tensors must have at least one dim, got ${formatShape(a.shape)} @ ${formatShape(b.shape)}.`,
        'use mul() for numbers.',
      );
    }
    const [depth, inner] = [a.shape.at(-1), b.shape.at(b.ndim === 1 ? 0 : -2)];
    if (depth !== inner) {
      const shapes = `${formatShape(a.shape)} @ ${formatShape(b.shape)}`;
      throw new LibError('shape', `matmul: inner dimensions must agree, got ${shapes}: ${depth} ≠ ${inner}.`);
    }
    const left = a.ndim === 1 ? a.reshape([1, a.size]) : a;
    const right = b.ndim === 1 ? b.reshape([b.size, 1]) : b;
    const product = right.ndim === 2 && left.ndim > 2 ? tallProduct(left, right) : gemm('matmul', left, right);
    if (a.ndim > 1 && b.ndim > 1) return product;
    const shape = product.shape.filter((_, i) => !(a.ndim === 1 && i === product.ndim - 2) && !(b.ndim === 1 && i === product.ndim - 1));
    return product.reshape(shape);
  },
  *samples(random) {
    yield [random([3]), random([3])];
    yield [random([2, 3]), random([3, 4])];
    yield [random([3]), random([3, 4])];
    yield [random([2, 3]), random([3])];
    yield [random([2, 2, 3]), random([3, 4])]; // one matrix for the whole batch
    yield [random([2, 1, 2, 3]), random([3, 3, 2])]; // batches broadcast
    yield [random([4, 2, 3]), random([3])];
    yield [random([3, 2]).transpose(0, 1), random([4, 3]).transpose(0, 1)];
    yield [random([0, 3]), random([3, 2])];
  },
  *errors(random) {
    yield [[random([2, 3]), random([4, 5])], 'inner dimensions must agree'];
    yield [[random([2, 2, 3]), random([3, 3, 4])], 'do not broadcast'];
    yield [[random([]), random([3])], 'at least one dim'];
    yield [[random([2, 3]), random.integers([3, 2], 0, 3)], 'must have one type'];
  },
});

/** A batch against one matrix is one tall product: one pass over the matrix, and one product for its gradient. */
function tallProduct(a: Tensor, b: Tensor): Tensor {
  const lead = a.shape.slice(0, -1);
  return gemm('matmul', a.reshape([sizeOf(lead), a.sizeAt(-1)]), b).reshape([...lead, b.sizeAt(-1)]);
}

/** Exactly these ranks, or an error that says so. */
function needRanks(op: string, tensors: readonly (readonly [Tensor, number])[]): void {
  for (const [x, rank] of tensors) needDims(op, x, rank, rank, 'use matmul().');
}

/** The product of two matrices: (m, k) @ (k, n). */
export const mm: Op<[a: Tensor, b: Tensor]> = defineComposite({
  name: 'mm',
  compose(a: Tensor, b: Tensor) {
    needRanks('mm', [
      [a, 2],
      [b, 2],
    ]);
    return gemm('mm', a, b);
  },
  *samples(random) {
    yield [random([2, 3]), random([3, 4])];
  },
  *errors(random) {
    yield [[random([2, 3]), random([2, 3])], 'inner dimensions must agree'];
    yield [[random([2, 3]), random([3])], 'must have 2 dims'];
  },
});

/** The products of two batches of matrices: (b, m, k) @ (b, k, n). */
export const bmm: Op<[a: Tensor, b: Tensor]> = defineComposite({
  name: 'bmm',
  compose(a: Tensor, b: Tensor) {
    needRanks('bmm', [
      [a, 3],
      [b, 3],
    ]);
    if (a.shape[0] !== b.shape[0]) {
      throw new LibError(
        'shape',
        `bmm: batch sizes must be equal, got ${formatShape(a.shape)} @ ${formatShape(b.shape)}.`,
        'matmul() broadcasts.',
      );
    }
    return gemm('bmm', a, b);
  },
  *samples(random) {
    yield [random([2, 3, 4]), random([2, 4, 2])];
  },
  *errors(random) {
    yield [[random([2, 3, 4]), random([3, 4, 2])], 'batch sizes must be equal'];
    yield [[random([2, 3, 4]), random([2, 3, 2])], 'inner dimensions must agree'];
  },
});

/** The product of a matrix and a vector: (m, k) @ (k). */
export const mv: Op<[a: Tensor, b: Tensor]> = defineComposite({
  name: 'mv',
  compose(a: Tensor, b: Tensor) {
    needRanks('mv', [
      [a, 2],
      [b, 1],
    ]);
    return gemm('mv', a, b.reshape([b.size, 1])).reshape([a.sizeAt(0)]);
  },
  *samples(random) {
    yield [random([2, 3]), random([3])];
  },
  *errors(random) {
    yield [[random([2, 3]), random([2])], 'inner dimensions must agree'];
  },
});

/** The inner product of two vectors. */
export const dot: Op<[a: Tensor, b: Tensor]> = defineComposite({
  name: 'dot',
  compose(a: Tensor, b: Tensor) {
    needRanks('dot', [
      [a, 1],
      [b, 1],
    ]);
    if (a.size !== b.size) throw new LibError('shape', `dot: both must have one length, got ${a.size} and ${b.size}.`);
    checkProduct('dot', a.spec, b.spec);
    return fuseSum('dot', [a, b], input(0).mul(input(1)), [0]);
  },
  *samples(random) {
    yield [random([5]), random([5])];
  },
  *errors(random) {
    yield [[random([5]), random([4])], 'must have one length'];
  },
});

/** All products of the entries of two vectors: (n) and (m) give (n, m). */
export const outer: Op<[a: Tensor, b: Tensor]> = defineComposite({
  name: 'outer',
  compose(a: Tensor, b: Tensor) {
    needRanks('outer', [
      [a, 1],
      [b, 1],
    ]);
    return a.reshape([a.size, 1]).mul(b);
  },
  *samples(random) {
    yield [random([3]), random([4])];
  },
  *errors(random) {
    yield [[random([3, 1]), random([4])], 'must have 1 dim'];
  },
});

export interface ScaleOptions {
  /** Multiplies the first tensor. Default 1. */
  readonly beta?: number;
  /** Multiplies the product. Default 1. */
  readonly alpha?: number;
}

/** beta · x + alpha · product, in one pass; without x where beta is 0, as x may then hold NaN. */
function plusScaled(op: string, x: Tensor, product: Tensor, { beta = 1, alpha = 1 }: ScaleOptions): Tensor {
  if (beta === 0) return fuse(op, [product], input(0).mul(scalar(0)), [alpha]);
  if (!sameShape(broadcastShapes(op, x.shape, product.shape), product.shape)) {
    throw new LibError(
      'shape',
      `${op}: the first tensor must broadcast to the product, got ${formatShape(x.shape)} for ${formatShape(product.shape)}.`,
    );
  }
  return fuse(
    op,
    [x, product],
    input(0)
      .mul(scalar(0))
      .add(input(1).mul(scalar(1))),
    [beta, alpha],
  );
}

/** beta · x + alpha · (a @ b) for matrices; x broadcasts. */
export const addmm: Op<[x: Tensor, a: Tensor, b: Tensor, options?: ScaleOptions]> = defineComposite({
  name: 'addmm',
  compose(x: Tensor, a: Tensor, b: Tensor, options: ScaleOptions = {}) {
    needRanks('addmm', [
      [a, 2],
      [b, 2],
    ]);
    const { beta = 1, alpha = 1 } = options;
    if (beta === 1 && alpha === 1 && x.ndim === 1 && x.size === b.sizeAt(1)) return gemm('addmm', a, b, x);
    return plusScaled('addmm', x, gemm('addmm', a, b), options);
  },
  *samples(random): Iterable<[x: Tensor, a: Tensor, b: Tensor, options?: ScaleOptions]> {
    yield [random([4]), random([2, 3]), random([3, 4])];
    yield [random([2, 4]), random([2, 3]), random([3, 4]), { beta: 0.5, alpha: -2 }];
    yield [random([2, 1]), random([2, 3]), random([3, 4])];
  },
  *errors(random): Iterable<readonly [[x: Tensor, a: Tensor, b: Tensor, options?: ScaleOptions], string]> {
    yield [[random([3]), random([2, 3]), random([3, 4])], 'do not broadcast'];
  },
});

/** beta · x + alpha · (a @ b) for a matrix a and a vector b. */
export const addmv: Op<[x: Tensor, a: Tensor, b: Tensor, options?: ScaleOptions]> = defineComposite({
  name: 'addmv',
  compose: (x: Tensor, a: Tensor, b: Tensor, options: ScaleOptions = {}) => plusScaled('addmv', x, mv(a, b), options),
  *samples(random): Iterable<[x: Tensor, a: Tensor, b: Tensor, options?: ScaleOptions]> {
    yield [random([2]), random([2, 3]), random([3]), { beta: 2 }];
  },
});

/** beta · x + alpha · (a @ b) for batches of matrices; x broadcasts. */
export const baddbmm: Op<[x: Tensor, a: Tensor, b: Tensor, options?: ScaleOptions]> = defineComposite({
  name: 'baddbmm',
  compose: (x: Tensor, a: Tensor, b: Tensor, options: ScaleOptions = {}) => plusScaled('baddbmm', x, bmm(a, b), options),
  *samples(random): Iterable<[x: Tensor, a: Tensor, b: Tensor, options?: ScaleOptions]> {
    yield [random([2, 2, 4]), random([2, 2, 3]), random([2, 3, 4]), { alpha: 0.5 }];
    yield [random([4]), random([2, 2, 3]), random([2, 3, 4])];
  },
});

/** beta · x + alpha · Σ over the batch of (a @ b); x (m, n) broadcasts. */
export const addbmm: Op<[x: Tensor, a: Tensor, b: Tensor, options?: ScaleOptions]> = defineComposite({
  name: 'addbmm',
  compose(x: Tensor, a: Tensor, b: Tensor, options: ScaleOptions = {}) {
    needRanks('addbmm', [
      [a, 3],
      [b, 3],
    ]);
    const [batch, m, k] = a.dims(3);
    if (batch !== b.sizeAt(0)) {
      throw new LibError('shape', `addbmm: batch sizes must be equal, got ${formatShape(a.shape)} @ ${formatShape(b.shape)}.`);
    }
    // The sum of the batch's products is one product over (batch, k).
    const product = gemm('addbmm', a.permute([1, 0, 2]).reshape([m, batch * k]), b.reshape([batch * b.sizeAt(1), b.sizeAt(2)]));
    return plusScaled('addbmm', x, product, options);
  },
  *samples(random): Iterable<[x: Tensor, a: Tensor, b: Tensor, options?: ScaleOptions]> {
    yield [random([2, 4]), random([3, 2, 5]), random([3, 5, 4]), { beta: 0.5 }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, a: Tensor, b: Tensor, options?: ScaleOptions], string]> {
    yield [[random([2, 4]), random([3, 2, 5]), random([2, 5, 4])], 'batch sizes must be equal'];
  },
});

const matrixLinear: Op<[x: Tensor, weight: Tensor, bias: Tensor | null]> = defineCustom({
  name: 'linear',
  args: (x: Tensor, weight: Tensor, bias: Tensor | null) => {
    checkLinear(x, weight, bias);
    return { inputs: bias === null ? [x, weight] : [x, weight, bias], params: null };
  },
  forward: ([x, weight, bias]) => {
    const [a, w] = [x as Tensor, weight as Tensor];
    const y = gemm('linear', asMatrix(a), w.transpose(0, 1), bias);
    return [a.ndim === 2 ? y : y.reshape([...a.shape.slice(0, -1), w.sizeAt(0)])];
  },
  saves: [0, 1],
  grad: ([g], { inputs: [x, weight, bias], needs }) => {
    if (!g || !x || !weight) return [];
    const rows = asMatrix(g);
    const gx = needs[0] ? gemm('linearBackward', rows, weight) : null;
    return [
      gx && x.ndim !== 2 ? gx.reshape(x.shape) : gx,
      needs[1] ? gemm('linearBackward', rows.transpose(0, 1), asMatrix(x)) : null,
      ...(bias ? [needs[2] ? fuseSum('linearBackward', [rows], input(0), [0]) : null] : []),
    ];
  },
  *samples() {},
});

/** x Wᵀ + b over the last dim: x (…, in), weight (out, in), bias (out) or left out. One kernel. */
export const linear: Op<[x: Tensor, weight: Tensor, bias?: Tensor | null]> = defineComposite({
  name: 'linear',
  compose(x: Tensor, weight: Tensor, bias: Tensor | null = null) {
    if (weight.ndim !== 1) return matrixLinear(x, weight, bias);
    return matrixLinear(x, weight.unsqueeze(0), bias?.ndim === 0 ? bias.unsqueeze(0) : bias).squeeze({ dim: -1 });
  },
  *samples(random): Iterable<[x: Tensor, weight: Tensor, bias?: Tensor | null]> {
    yield [random([4, 3]), random([2, 3]), random([2])];
    yield [random([2, 4, 3]), random([5, 3])];
    yield [random([3]), random([2, 3]), random([2])];
    yield [random([2, 4, 3]), random([3]), random([])];
  },
  *errors(random): Iterable<readonly [[x: Tensor, weight: Tensor, bias?: Tensor | null], string]> {
    yield [[random([4, 3]), random([2, 4])], 'must agree in the last dim'];
    yield [[random([4, 3]), random([2, 3]), random([3])], 'the bias must be'];
    yield [[random([4, 3]), random.integers([2, 3], 0, 2)], 'must have one type'];
  },
  torch: functional('linear'),
});

const asMatrix = (x: Tensor): Tensor => (x.ndim === 2 ? x : x.reshape([sizeOf(x.shape.slice(0, -1)), x.sizeAt(-1)]));

function checkLinear(x: Tensor, weight: Tensor, bias: Tensor | null): void {
  if (x.ndim === 0 || weight.ndim !== 2 || x.shape.at(-1) !== weight.shape[1]) {
    const got = `x ${formatShape(x.shape)} and weight ${formatShape(weight.shape)}`;
    throw new LibError('shape', `linear: x (…, in) and weight (out, in) must agree in the last dim, got ${got}.`);
  }
  if (bias !== null && (bias.ndim !== 1 || bias.size !== weight.shape[0])) {
    throw new LibError('shape', `linear: the bias must be (${weight.shape[0]},), got ${formatShape(bias.shape)}.`);
  }
}

/** yₖ = x1ᵀ Wₖ x2 + bₖ over the last dims: x1 (…, n), x2 (…, m), weight (out, n, m), bias (out) or left out. */
export const bilinear: Op<[x1: Tensor, x2: Tensor, weight: Tensor, bias?: Tensor | null]> = defineComposite({
  name: 'bilinear',
  compose(x1: Tensor, x2: Tensor, weight: Tensor, bias: Tensor | null = null) {
    const [out, n, m] = weight.ndim === 3 ? weight.dims(3) : [0, 0, 0];
    if (x1.shape.at(-1) !== n || x2.shape.at(-1) !== m || !sameShape(x1.shape.slice(0, -1), x2.shape.slice(0, -1))) {
      const got = `${formatShape(x1.shape)}, ${formatShape(x2.shape)} and ${formatShape(weight.shape)}`;
      throw new LibError('shape', `bilinear: x1 (…, n), x2 (…, m) and weight (out, n, m) must agree, got ${got}.`);
    }
    const left = gemm('bilinear', asMatrix(x1), weight.permute([1, 0, 2]).reshape([n, out * m])).reshape([-1, out, m]);
    const y = gemm('bilinear', left, asMatrix(x2).unsqueeze(2)).reshape([...x1.shape.slice(0, -1), out]);
    return bias === null ? y : y.add(bias);
  },
  *samples(random): Iterable<[x1: Tensor, x2: Tensor, weight: Tensor, bias?: Tensor | null]> {
    yield [random([3, 2]), random([3, 4]), random([5, 2, 4]), random([5])];
    yield [random([2, 3, 2]), random([2, 3, 4]), random([1, 2, 4])];
  },
  *errors(random): Iterable<readonly [[x1: Tensor, x2: Tensor, weight: Tensor, bias?: Tensor | null], string]> {
    yield [[random([3, 2]), random([3, 4]), random([5, 4, 2])], 'must agree'];
  },
  torch: functional('bilinear'),
});

/** The Kronecker product: blocks a[i, j] · b. The shorter shape is filled up with leading ones. */
export const kron: Op<[a: Tensor, b: Tensor]> = defineComposite({
  name: 'kron',
  compose(a: Tensor, b: Tensor) {
    const rank = Math.max(a.ndim, b.ndim);
    const filled = (x: Tensor): Shape => [...new Array<number>(rank - x.ndim).fill(1), ...x.shape];
    const [sa, sb] = [filled(a), filled(b)];
    const product = a.reshape(sa.flatMap((d) => [d, 1])).mul(b.reshape(sb.flatMap((d) => [1, d])));
    return product.reshape(sa.map((d, i) => d * (sb[i] ?? 1)));
  },
  *samples(random) {
    yield [random([2, 3]), random([2, 2])];
    yield [random([3]), random([2, 2])];
  },
});

export interface TensordotOptions {
  /** How many dims to fold (last of a, first of b), or which: [dims of a, dims of b]. Default 2. */
  readonly dims?: number | readonly [a: readonly number[], b: readonly number[]];
}

/** Σ over pairs of dims of a and b; the result has the other dims of a, then those of b. */
export const tensordot: Op<[a: Tensor, b: Tensor, options?: TensordotOptions]> = defineComposite({
  name: 'tensordot',
  compose(first: Tensor, second: Tensor, { dims = 2 }: TensordotOptions = {}) {
    if (typeof dims === 'number' && !(dims >= 0)) throw new LibError('value', `tensordot: dims must be at least 0, got ${dims}.`);
    const count = (n: number, from: number): number[] => Array.from({ length: n }, (_, i) => from + i);
    const [da, db] = typeof dims === 'number' ? [count(dims, first.ndim - dims), count(dims, 0)] : dims;
    const positive = (list: readonly number[], rank: number): number[] => {
      resolveDims('tensordot', list, rank);
      return list.map((d) => (d < 0 ? d + rank : d));
    };
    const [fa, fb] = [positive(da, first.ndim), positive(db, second.ndim)];
    const one = (x: Tensor, own: readonly number[], y: Tensor, other: readonly number[]): Tensor => {
      // A dim of size 1 meets any size: the other is summed.
      const dim = own.filter((d, i) => x.shape[d] !== 1 && y.shape[other[i] ?? 0] === 1);
      return dim.length > 0 ? x.sum({ dim, keepdim: true }) : x;
    };
    const [a, b] = [one(first, fa, second, fb), one(second, fb, first, fa)];
    if (fa.length !== fb.length || fa.some((d, i) => a.shape[d] !== b.shape[fb[i] ?? 0])) {
      const got = `dims [${da.join(', ')}] of ${formatShape(a.shape)} and [${db.join(', ')}] of ${formatShape(b.shape)}`;
      throw new LibError('shape', `tensordot: paired dims must have equal sizes, got ${got}.`);
    }
    const [ra, rb] = [a.shape.map((_, i) => i).filter((i) => !fa.includes(i)), b.shape.map((_, i) => i).filter((i) => !fb.includes(i))];
    const [shapeA, shapeB] = [ra.map((i) => a.shape[i] ?? 1), rb.map((i) => b.shape[i] ?? 1)];
    const depth = sizeOf(fa.map((i) => a.shape[i] ?? 1));
    const left = a.permute([...ra, ...fa]).reshape([sizeOf(shapeA), depth]);
    return gemm('tensordot', left, b.permute([...fb, ...rb]).reshape([depth, sizeOf(shapeB)])).reshape([...shapeA, ...shapeB]);
  },
  *samples(random): Iterable<[a: Tensor, b: Tensor, options?: TensordotOptions]> {
    yield [random([2, 3, 4]), random([3, 4, 5])];
    yield [
      random([2, 3, 4]),
      random([4, 2]),
      {
        dims: [
          [2, 0],
          [0, 1],
        ],
      },
    ];
    yield [random([2, 3]), random([3, 2]), { dims: 1 }];
    yield [random([2]), random([3]), { dims: 0 }];
    yield [random([2, 1]), random([3, 4]), { dims: 1 }];
  },
  *errors(random): Iterable<readonly [[a: Tensor, b: Tensor, options?: TensordotOptions], string]> {
    yield [[random([2, 3]), random([2, 3]), { dims: 1 }], 'equal sizes'];
    yield [[random([2, 3]), random([2, 3]), { dims: -1 }], 'at least 0'];
  },
});
