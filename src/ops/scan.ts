import { isFloat } from '../core/dtype.js';
import { needDims, needWhole, resolveDim } from '../core/shape.js';
import { type Spec, specOf } from '../core/spec.js';
import { constant, input } from '../expr/expr.js';
import type { ScanKernel } from '../program/kernel.js';
import { tensor } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { isRecorded } from './apply.js';
import { customGrad } from './customGrad.js';
import { defineComposite, defineOp, type KernelRow, type Op, type Random } from './define.js';
import { productsBefore, type ValuesIndices } from './foldRows.js';
import { constantView, needFloat } from './fused.js';
import { cat } from './join.js';
import { mapTyped } from './mapTyped.js';
import { routeBack } from './sortRow.js';

interface ScanParams {
  readonly dim: number;
}
type ScanArgs = [x: Tensor, dim: number];
type Scan = Op<ScanArgs>;

function* scanSamples(random: Random): Iterable<ScanArgs> {
  yield [random([6]), 0];
  yield [random([2, 5]), 1];
  yield [random([3, 2, 4]), -2];
  yield [random([]), 0];
}
function* scanErrors(random: Random): Iterable<readonly [ScanArgs, string]> {
  yield [[random([2, 3]), 5], 'dim 5 is out of range'];
}

const dense = ({ dtype, shape }: Spec): Spec => specOf(dtype, shape);

type ScanRow = Pick<KernelRow<ScanArgs, ScanParams>, 'grad' | 'saves' | 'samples'>;

/** A row that is one scan kernel with one output. Integers and bool run in int32. */
function scanRow(name: string, by: ScanKernel['by'], { samples, ...row }: ScanRow): Scan {
  const plain: Scan = defineOp({
    name,
    args: (x: Tensor, dim: number) => ({ inputs: [x], params: { dim }, key: `${dim}` }),
    infer: ([x]) => dense(x as Spec),
    kernel: ({ dim }: ScanParams) => ({ family: 'scan', by, dim }),
    ...row,
    samples,
  });
  return defineComposite({
    name,
    compose(x: Tensor, dim: number) {
      const at = resolveDim(name, dim, x.ndim);
      const wide = isFloat(x.dtype) ? x : x.int();
      return wide.ndim === 0 ? plain(wide.reshape([1]), 0).reshape([]) : plain(wide, at);
    },
    samples,
    errors: scanErrors,
  });
}

/** The running sum from the far end. */
const reverseSum = (x: Tensor, dim: number): Tensor => x.flip(dim).cumsum(dim).flip(dim);

/** The running sum along `dim`. */
export const cumsum: Scan = scanRow('cumsum', 'sum', {
  grad: ([g], { params: { dim } }) => [g ? reverseSum(g, dim) : null],
  *samples(random) {
    yield* scanSamples(random);
    yield [random.integers([5], -3, 4), 0];
  },
});

/**
 * The same gradient without a quotient, for where it is differentiated again: what is before an element, times the products from it on,
 * each weighed by its gradient. Takes the square of the dim's size in memory.
 */
function productSlopes(g: Tensor, x: Tensor, dim: number): Tensor {
  const line = x.movedim(dim, -1);
  const n = line.sizeAt(-1);
  const later = constantView(x.device, x.dtype, [n, n], 1).triu({ diagonal: 1 }).ne(0);
  const from = later.where(line.unsqueeze(-2), 1).cumprod(-1); // (…, element, end)
  const weighed = from.mul(g.movedim(dim, -1).unsqueeze(-2)).triu().sum({ dim: -1 });
  return productsBefore(line).mul(weighed).movedim(-1, dim);
}

/** The running product along `dim`. The gradient is right where elements are zero. */
export const cumprod: Scan = scanRow('cumprod', 'prod', {
  saves: [0, 'output'],
  grad([g], { inputs: [x], output, params: { dim } }) {
    if (!g || !x) return [null];
    if (isRecorded([x])) return [productSlopes(g, x, dim)];
    // Before the first zero the product can be divided by the element; at it, the product without it is made anew; beyond, all is 0.
    const zero = x.detach().eq(0);
    const first = zero.logicalAnd(zero.to(x.dtype).cumsum(dim).eq(1));
    const without = reverseSum(g.mul(first.where(1, x).cumprod(dim)), dim);
    const divided = reverseSum(g.mul(output), dim).div(zero.where(1, x));
    return [zero.where(first.where(without, 0), divided)];
  },
  *samples(random) {
    yield* scanSamples(random);
    yield [
      tensor([
        [2, 0, 3, 0.5],
        [0, 1, 5, 2],
        [1, 2, 3, 4],
      ]),
      1,
    ];
  },
});

function winnerRow(name: 'cummax' | 'cummin', by: 'max' | 'min'): Op<ScanArgs, ValuesIndices> {
  const plain: Op<ScanArgs, ValuesIndices> = defineOp({
    name,
    args: (x: Tensor, dim: number) => ({ inputs: [x], params: { dim }, key: `${dim}` }),
    infer: ([x]) => [specOf((x as Spec).dtype, (x as Spec).shape), specOf('int32', (x as Spec).shape)],
    kernel: ({ dim }: ScanParams) => ({ family: 'scan', by, dim }),
    saves: ['output'],
    differentiable: [0],
    grad: ([g], { inputs: [x], outputs: [, indices], params: { dim } }) => [g && x && indices ? routeBack(g, x, dim, indices) : null],
    result: ([values, indices]) => ({ values: values as Tensor, indices: indices as Tensor }),
    samples: scanSamples,
  });
  return defineComposite({
    name,
    compose(x: Tensor, dim: number): ValuesIndices {
      const at = resolveDim(name, dim, x.ndim);
      if (x.ndim > 0) return plain(x, at);
      const { values, indices } = plain(x.reshape([1]), 0);
      return { values: values.reshape([]), indices: indices.reshape([]) };
    },
    *samples(random): Iterable<ScanArgs> {
      yield* scanSamples(random);
      yield [random.integers([6], 0, 3), 0];
    },
    errors: scanErrors,
  });
}
/** The running maximum along `dim` and the index of its last place so far. The gradient goes to that place. */
export const cummax: Op<ScanArgs, ValuesIndices> = winnerRow('cummax', 'max');
/** The running minimum along `dim` and the index of its last place so far. The gradient goes to that place. */
export const cummin: Op<ScanArgs, ValuesIndices> = winnerRow('cummin', 'min');

const rawLogScan: Scan = defineOp({
  name: 'logcumsumexp',
  args: (x: Tensor, dim: number) => ({ inputs: [x], params: { dim }, key: `${dim}` }),
  infer: ([x]) => dense(x as Spec),
  kernel: ({ dim }: ScanParams) => ({ family: 'scan', by: 'logSumExp', dim }),
  *samples() {},
});

/** log of positive and of negative parts, so that sums of signed terms can be made in logarithms: exp(a) - exp(b). */
const logOf = (v: Tensor, negative: boolean): Tensor => {
  const part = negative ? input(0).neg() : input(0);
  return mapTyped('logcumsumexp', [v], constant(0).less(part).select(part.log(), Number.NEGATIVE_INFINITY));
};
const signedExp = (plus: Tensor, minus: Tensor, shift: Tensor, sign: 1 | -1): Tensor => {
  const moved = (i: number) => (sign === 1 ? input(i).add(input(2)) : input(i).sub(input(2)));
  return mapTyped('logcumsumexp', [plus, minus, shift], moved(0).exp().sub(moved(1).exp()));
};

/** Jᵀ of logcumsumexp: Σ_{j ≥ i} g_j exp(x_i - y_j), summed in logarithms, where nothing overflows. */
function logScanAdjoint(g: Tensor, x: Tensor, y: Tensor, dim: number): Tensor {
  return customGrad({
    name: 'logcumsumexpBackward',
    inputs: [g, x, y],
    params: dim,
    saves: [0, 1, 2, 'output'],
    compute() {
      const fold = (negative: boolean): Tensor => rawLogScan(logOf(g, negative).sub(y).flip(dim), dim).flip(dim);
      return signedExp(fold(false), fold(true), x, 1);
    },
    grad(v, { inputs: [g2, x2, y2], output }) {
      if (!g2 || !x2 || !y2) return [];
      const pushed = logScanTangent(v, x2, y2, dim);
      return [pushed, v.mul(output), g2.mul(pushed).neg()];
    },
  });
}
/** J of logcumsumexp: Σ_{i ≤ j} v_i exp(x_i - y_j). */
function logScanTangent(v: Tensor, x: Tensor, y: Tensor, dim: number): Tensor {
  return customGrad({
    name: 'logcumsumexpTangent',
    inputs: [v, x, y],
    params: dim,
    saves: [0, 1, 2, 'output'],
    compute() {
      const fold = (negative: boolean): Tensor => rawLogScan(logOf(v, negative).add(x), dim);
      return signedExp(fold(false), fold(true), y, -1);
    },
    grad(w, { inputs: [v2, x2, y2], output }) {
      if (!v2 || !x2 || !y2) return [];
      const pulled = logScanAdjoint(w, x2, y2, dim);
      return [pulled, v2.mul(pulled), w.mul(output).neg()];
    },
  });
}

/** log Σ exp over the elements so far along `dim`, without overflow. */
export const logcumsumexp: Scan = defineComposite({
  name: 'logcumsumexp',
  compose(x: Tensor, dim: number) {
    needFloat('logcumsumexp', x);
    const at = resolveDim('logcumsumexp', dim, x.ndim);
    const line = x.ndim === 0 ? x.reshape([1]) : x;
    const y = customGrad({
      name: 'logcumsumexp',
      inputs: [line],
      params: at,
      saves: [0, 'output'],
      compute: () => rawLogScan(line, at),
      grad: (g, { inputs: [of], output }) => [of ? logScanAdjoint(g, of, output, at) : null],
    });
    return x.ndim === 0 ? y.reshape([]) : y;
  },
  *samples(random): Iterable<ScanArgs> {
    yield* scanSamples(random);
    yield [tensor([100, -100, 90, 101]), 0];
  },
  errors: scanErrors,
});

export interface DiffOptions {
  /** How many times to take differences. Default 1. */
  readonly n?: number;
  /** Default -1. */
  readonly dim?: number;
  /** What to join in front first. */
  readonly prepend?: Tensor;
  /** What to join behind first. */
  readonly append?: Tensor;
}
/** Differences of neighbours along `dim`, taken n times: the size shrinks by n. */
export const diff: Op<[x: Tensor, options?: DiffOptions]> = defineComposite({
  name: 'diff',
  compose(x: Tensor, { n = 1, dim = -1, prepend, append }: DiffOptions = {}) {
    needDims('diff', x, 1);
    const at = resolveDim('diff', dim, x.ndim);
    needWhole('diff', 'n', n, 0);
    if (n === 0) return x.clone(); // nothing is joined either
    const parts = [prepend, x, append].filter((t) => t !== undefined);
    let y = parts.length > 1 ? cat(parts, { dim: at }) : x;
    for (let i = 0; i < n; i++) {
      const size = Math.max((y.shape[at] ?? 0) - 1, 0);
      const start = Math.min(1, y.shape[at] ?? 0);
      const [later, earlier] = [y.narrow(at, start, size), y.narrow(at, 0, size)];
      y = y.dtype === 'bool' ? later.ne(earlier) : later.sub(earlier);
    }
    return y;
  },
  *samples(random): Iterable<[x: Tensor, options?: DiffOptions]> {
    yield [random([6])];
    yield [random([3, 4]), { dim: 0, n: 2 }];
    yield [random([3, 4]), { prepend: random([3, 1]), append: random([3, 2]) }];
    yield [random([3, 4]), { n: 0, append: random([3, 2]) }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, options?: DiffOptions], string]> {
    yield [[random([3]), { n: -1 }], 'n must be a whole number of at least 0'];
    yield [[random([])], 'must have at least 1 dim'];
  },
});
