import { LibError } from '../core/errors.js';
import { formatShape, needDims, resolveDim } from '../core/shape.js';
import { specOf } from '../core/spec.js';
import { type Expr, input, scalar } from '../expr/expr.js';
import type { Tensor } from '../tensor/tensor.js';
import { defineComposite, defineCustom, type Op } from './define.js';
import { constantTable, functional, fuse, fuseSum, needFloat } from './fused.js';
import { dot, type ScaleOptions, tensordot } from './matmul.js';
import { pNorm as norm } from './pNorm.js';
import { composed } from './shortRows.js';
import { diagonal } from './view.js';

/** Products and distances of vectors. */

type Pair = Op<[a: Tensor, b: Tensor]>;

/** The scalar product of two vectors: {@link dot}, whose complex form conjugates. */
export const vdot: Pair = composed('vdot', dot, (random) => [[random([5]), random([5])]]);

/** Scalar products along the last dims: (…a, n) and (…b, n) to (…a, …b). A scalar multiplies. */
export const inner: Pair = composed(
  'inner',
  (a, b) => {
    if (a.ndim === 0 || b.ndim === 0) return a.mul(b);
    if (a.sizeAt(-1) !== b.sizeAt(-1)) {
      throw new LibError('shape', `inner: the last dims must agree, got ${formatShape(a.shape)} and ${formatShape(b.shape)}.`);
    }
    return tensordot(a, b, { dims: [[-1], [-1]] });
  },
  (random) => [
    [random([2, 3]), random([4, 3])],
    [random([3]), random([3])],
    [random([2, 3]), random([])],
  ],
  { errors: (random) => [[[random([2]), random([3])], 'must agree']] },
);

/** The sum of a matrix's main diagonal. */
export const trace: Op<[x: Tensor]> = composed(
  'trace',
  (x) => {
    needDims('trace', x, 2, 2);
    return diagonal(x).sum();
  },
  (random) => [[random([3, 4])]],
  { errors: (random) => [[[random([3])], 'must have 2 dims']] },
);

/** beta · x + alpha · (a ⊗ b): the outer product of two vectors, added. x broadcasts; with beta 0 its values do not matter. */
export const addr: Op<[x: Tensor, a: Tensor, b: Tensor, options?: ScaleOptions]> = defineComposite({
  name: 'addr',
  compose(x: Tensor, a: Tensor, b: Tensor, { beta = 1, alpha = 1 }: ScaleOptions = {}) {
    if (a.ndim !== 1 || b.ndim !== 1)
      throw new LibError('shape', `addr: a and b must be vectors, got ${formatShape(a.shape)} and ${formatShape(b.shape)}.`);
    const product = input(1).mul(input(2)).mul(scalar(1));
    const expr = beta === 0 ? product : input(0).mul(scalar(0)).add(product);
    return fuse('addr', [x.expand([a.size, b.size]), a.reshape([a.size, 1]), b], expr, [beta, alpha], x.dtype);
  },
  *samples(random): Iterable<[x: Tensor, a: Tensor, b: Tensor, options?: ScaleOptions]> {
    yield [random([2, 3]), random([2]), random([3])];
    yield [random([3]), random([2]), random([3]), { beta: 0.5, alpha: -2 }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, a: Tensor, b: Tensor, options?: ScaleOptions], string]> {
    yield [[random([2, 3]), random([2, 1]), random([3])], 'must be vectors'];
  },
});

export interface CrossOptions {
  /** The dim of size 3. Default: the first one. */
  readonly dim?: number;
}
/** The vector product along a dim of size 3; the others broadcast. */
export const cross: Op<[a: Tensor, b: Tensor, options?: CrossOptions]> = defineComposite({
  name: 'cross',
  compose(a: Tensor, b: Tensor, { dim }: CrossOptions = {}) {
    const at = dim === undefined ? a.shape.indexOf(3) : resolveDim('cross', dim, a.ndim);
    if (at < 0 || a.ndim !== b.ndim || a.shape[at] !== 3 || b.shape[at] !== 3) {
      throw new LibError(
        'shape',
        `cross: both must have equally many dims, one of size 3, got ${formatShape(a.shape)} and ${formatShape(b.shape)}.`,
      );
    }
    const turn = (x: Tensor, by: number): Tensor => x.roll(-by, { dims: at });
    const expr = input(0)
      .mul(input(1))
      .sub(input(2).mul(input(3)));
    return fuse('cross', [turn(a, 1), turn(b, 2), turn(a, 2), turn(b, 1)], expr);
  },
  *samples(random): Iterable<[a: Tensor, b: Tensor, options?: CrossOptions]> {
    yield [random([2, 3]), random([2, 3])];
    yield [random([3, 2, 3]), random([1, 2, 3]), { dim: -1 }];
  },
  *errors(random): Iterable<readonly [[a: Tensor, b: Tensor, options?: CrossOptions], string]> {
    yield [[random([2, 4]), random([2, 4])], 'one of size 3'];
  },
});

export interface DistanceOptions {
  /** The norm of differences: Σ |d|ᵖ to the 1/p; 0 counts, Infinity takes the largest. Default 2. */
  readonly p?: number;
}

/** The p-norm of a - b, over all elements; a and b broadcast. */
export const dist: Op<[a: Tensor, b: Tensor, options?: DistanceOptions]> = defineComposite({
  name: 'dist',
  compose: (a: Tensor, b: Tensor, { p = 2 }: DistanceOptions = {}) => norm(a.sub(b), { p }),
  *samples(random): Iterable<[a: Tensor, b: Tensor, options?: DistanceOptions]> {
    yield [random([2, 3]), random([3])];
    yield [random([4]), random([4]), { p: 1 }];
  },
});

const apart = input(0).sub(input(1));
/** |d|ᵖ as an expression whose slope is finite wherever the norm's is. */
function power(p: number): Expr {
  if (p === 0) return apart.notEqual(0);
  if (p === 1) return apart.abs();
  if (p === 2) return apart.mul(apart);
  return apart.equal(0).select(0, apart.abs().pow(p));
}
const root = (p: number): Expr =>
  input(0)
    .equal(0)
    .select(0, p === 2 ? input(0).sqrt() : input(0).pow(1 / p));

/** Distances of vectors in the last dims of two tensors that broadcast. Where they are equal the gradient is 0. */
function distances(op: string, a: Tensor, b: Tensor, p: number, keepdim = false): Tensor {
  needFloat(op, a, b);
  if (!(p >= 0)) throw new LibError('value', `${op}: p must not be negative, got ${p}.`);
  if (p === Number.POSITIVE_INFINITY) return fuse(op, [a, b], apart.abs()).amax({ dim: -1, keepdim });
  const rank = Math.max(a.ndim, b.ndim);
  const sum = fuseSum(op, [a, b], power(p), [rank - 1], { keepdim });
  return p === 0 || p === 1 ? sum : fuse(op, [sum], root(p));
}

function sameWidths(op: string, a: Tensor, b: Tensor): void {
  if (a.ndim < 2 || b.ndim < 2 || a.sizeAt(-1) !== b.sizeAt(-1)) {
    throw new LibError(
      'shape',
      `${op}: both must be (…, count, width) with one width, got ${formatShape(a.shape)} and ${formatShape(b.shape)}.`,
    );
  }
}

export interface CdistOptions extends DistanceOptions {
  /** Whether Euclidean distances are products of matrices, fast, or differences, which lose no digits of near points. By default
   *  products where either count is above 25. Tensors with leading dims and 16-bit types always take differences. */
  readonly computeMode?: 'use_mm_for_euclid_dist_if_necessary' | 'use_mm_for_euclid_dist' | 'donot_use_mm_for_euclid_dist';
}
/** From so many rows on, Euclidean distances and their gradients are products. */
const MANY = 26;

const slope = input(1)
  .equal(0)
  .select(0, input(0).div(input(1)));
const finite = input(0).sub(input(0)).equal(0).select(input(0), 0);
const square = input(0).mul(input(0));
const rest = input(0).add(input(1)).sub(input(2).mul(2));
/** Rounding may leave less than 0 between equal rows; NaN stays. */
const restRoot = rest.lessEqual(0).select(0, rest.sqrt());

/** Both with b's mean at 0, so that squares are small. A row with a number that is not finite spoils no other. */
function centred([a, b]: readonly Tensor[]): [a: Tensor, b: Tensor] {
  const mean = fuse('cdist', [(b as Tensor).mean({ dim: 0 })], finite);
  return [(a as Tensor).sub(mean), (b as Tensor).sub(mean)];
}

/** Of rows a (n, width) and b (m, width): √(|a|² + |b|² - 2 ab) or, with `exact`, √Σ (a - b)². Σ g/d (a - b) is a Σ g/d - (g/d) b. */
const euclidean: Op<[a: Tensor, b: Tensor, exact: boolean]> = defineCustom({
  name: 'cdist',
  args: (a: Tensor, b: Tensor, exact: boolean) => ({ inputs: [a, b], params: { exact } }),
  forward: ([a, b], { exact }) => {
    if (!exact) {
      const [x, y] = centred([a as Tensor, b as Tensor]);
      const [across, down] = [x, y].map((t) => fuseSum('cdist', [t], square, [1])) as [Tensor, Tensor];
      return [fuse('cdist', [across.unsqueeze(-1), down.unsqueeze(0), x.mm(y.t())], restRoot)];
    }
    // (n, width, m): what is summed are rows of b's columns, many numbers at once.
    const sum = fuseSum('cdist', [(a as Tensor).unsqueeze(-1), (b as Tensor).t().contiguous().unsqueeze(0)], power(2), [1]);
    return [fuse('cdist', [sum], root(2))];
  },
  saves: [0, 1],
  keeps: [0],
  grad: ([g], { inputs, output }) => {
    if (!g) return [null, null];
    const weight = fuse('cdist', [g, output], slope);
    const [a, b] = centred(inputs);
    const pull = (w: Tensor, x: Tensor, y: Tensor): Tensor => w.sum({ dim: 1, keepdim: true }).mul(x).sub(w.mm(y));
    return [pull(weight, a, b), pull(weight.t(), b, a)];
  },
  *samples() {},
});

/** Distances between all rows of a (…, n, width) and all of b (…, m, width): (…, n, m). Leading dims broadcast. */
export const cdist: Op<[a: Tensor, b: Tensor, options?: CdistOptions]> = defineComposite({
  name: 'cdist',
  compose(a: Tensor, b: Tensor, { p = 2, computeMode = 'use_mm_for_euclid_dist_if_necessary' }: CdistOptions = {}) {
    sameWidths('cdist', a, b);
    const many = Math.max(a.sizeAt(0), b.sizeAt(0)) >= MANY;
    if (p !== 2 || a.ndim + b.ndim > 4 || !(many || computeMode === 'use_mm_for_euclid_dist'))
      return distances('cdist', a.unsqueeze(-2), b.unsqueeze(-3), p);
    return euclidean(a, b, computeMode === 'donot_use_mm_for_euclid_dist' || a.dtype.includes('16') || b.dtype.includes('16'));
  },
  *samples(random): Iterable<[a: Tensor, b: Tensor, options?: CdistOptions]> {
    yield [random([3, 2]), random([4, 2])];
    yield [random([3, 2]), random([27, 2])];
    yield [random([4, 3]), random([2, 3]), { computeMode: 'use_mm_for_euclid_dist' }];
    yield [random([3, 2]), random([27, 2]), { computeMode: 'donot_use_mm_for_euclid_dist' }];
    yield [random([2, 3, 2]), random([4, 2]), { p: 1 }];
    yield [random([3, 4]), random([2, 4]), { p: 3 }];
    yield [random([3, 4]), random([2, 4]), { p: Number.POSITIVE_INFINITY }];
  },
  *errors(random): Iterable<readonly [[a: Tensor, b: Tensor, options?: DistanceOptions], string]> {
    yield [[random([3, 2]), random([4, 3])], 'with one width'];
    yield [[random([3, 2]), random([4, 2]), { p: -1 }], 'must not be negative'];
  },
});

/** Distances between the rows of x (n, width), each pair once: (n · (n - 1) / 2), in the order (0, 1), (0, 2) … (1, 2) … */
export const pdist: Op<[x: Tensor, options?: DistanceOptions]> = defineComposite({
  name: 'pdist',
  compose(x: Tensor, { p = 2 }: DistanceOptions = {}) {
    if (x.ndim !== 2) throw new LibError('shape', `pdist: the tensor must be (count, width), got shape ${formatShape(x.shape)}.`);
    const n = x.sizeAt(0);
    const pairs = Array.from({ length: n }, (_, i) => Array.from({ length: n - 1 - i }, (_unused, j) => [i, i + 1 + j] as const)).flat();
    const rows = (which: 0 | 1): Tensor =>
      x.indexSelect(
        0,
        constantTable(x.device, `pdist${which}/${n}`, specOf('int32', [pairs.length]), () => Int32Array.from(pairs, (pair) => pair[which])),
      );
    return distances('pdist', rows(0), rows(1), p);
  },
  *samples(random): Iterable<[x: Tensor, options?: DistanceOptions]> {
    yield [random([4, 3])];
    yield [random([4, 3]), { p: 3 }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, options?: DistanceOptions], string]> {
    yield [[random([3])], '(count, width)'];
  },
  torch: functional('pdist'),
});

export interface PairwiseDistanceOptions extends DistanceOptions {
  /** Added to each difference, so that none is 0. Default 1e-6. */
  readonly eps?: number;
  /** Keep the last dim, with size 1. Default false. */
  readonly keepdim?: boolean;
}
/** Distances of corresponding rows of a and b (…, width), which broadcast: the p-norm of a - b + eps. */
export const pairwiseDistance: Op<[a: Tensor, b: Tensor, options?: PairwiseDistanceOptions]> = defineComposite({
  name: 'pairwiseDistance',
  compose(a: Tensor, b: Tensor, { p = 2, eps = 1e-6, keepdim = false }: PairwiseDistanceOptions = {}) {
    needFloat('pairwiseDistance', a, b);
    return norm(fuse('pairwiseDistance', [a, b], apart.add(scalar(0)), [eps]), { p, dim: -1, keepdim });
  },
  *samples(random): Iterable<[a: Tensor, b: Tensor, options?: PairwiseDistanceOptions]> {
    yield [random([3, 4]), random([3, 4])];
    yield [random([3, 4]), random([4]), { p: 1, keepdim: true }];
  },
  *errors(random): Iterable<readonly [[a: Tensor, b: Tensor, options?: PairwiseDistanceOptions], string]> {
    yield [[random([3, 4]), random([3, 5])], 'do not broadcast'];
  },
  torch: functional('pairwise_distance'),
});

/** Entries of `dim` whose p-norm (over all other dims) exceeds `maxnorm`, scaled down to it. */
export const renorm: Op<[x: Tensor, p: number, dim: number, maxnorm: number]> = defineComposite({
  name: 'renorm',
  compose(x: Tensor, p: number, dim: number, maxnorm: number) {
    needFloat('renorm', x);
    needDims('renorm', x, 2);
    if (!(p > 0) || !(maxnorm >= 0))
      throw new LibError('value', `renorm: p must be positive and maxnorm not negative, got ${p} and ${maxnorm}.`);
    const at = resolveDim('renorm', dim, x.ndim);
    const others = x.shape.map((_, i) => i).filter((i) => i !== at);
    const size = norm(x, { p, dim: others, keepdim: true });
    const limit = scalar(0);
    const factor = limit.less(input(1)).select(limit.div(input(1).add(1e-7)), 1);
    return fuse('renorm', [x, size], input(0).mul(factor), [maxnorm]);
  },
  *samples(random) {
    yield [random([3, 4]), 2, 0, 1.5];
    yield [random([2, 3, 2]), 1, 1, 100];
  },
  *errors(random) {
    yield [[random([3]), 2, 0, 1], 'at least 2 dims'];
    yield [[random([3, 2]), 0, 0, 1], 'p must be positive'];
  },
});
