import { LibError } from '../core/errors.js';
import { broadcastShapes, formatShape, sizeOf } from '../core/shape.js';
import { valuesOf } from '../tensor/capturing.js';
import { tensor } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { defineComposite, type Op } from './define.js';
import { needReal, needSquare, symmetric } from './factorRows.js';

/** Symmetric indefinite systems: A = P L D Lᵀ Pᵀ by Bunch and Kaufman's pivoting. Values are read and factored at once. */

export interface LDLOptions {
  /** Means nothing for real matrices; kept for PyTorch's sake. */
  readonly hermitian?: boolean;
}
export interface LDLExOptions extends LDLOptions {
  /** Throw where a pivot is 0. Default false. */
  readonly checkErrors?: boolean;
}
export interface LDLFactor {
  /** D's blocks on the diagonal, L below them; (…, n, n). */
  readonly LD: Tensor;
  /** int32 (…, n): the row that was swapped, from 1; twice negative for a block of 2. */
  readonly pivots: Tensor;
}

const ALPHA = (1 + Math.sqrt(17)) / 8;

/** One matrix of the batch, by its lower triangle. */
class Lower {
  constructor(
    readonly data: Float64Array,
    readonly from: number,
    readonly n: number,
  ) {}
  at(i: number, j: number): number {
    return this.data[this.from + i * this.n + j] as number;
  }
  set(i: number, j: number, value: number): void {
    this.data[this.from + i * this.n + j] = value;
  }
  swap(i: number, j: number, k: number, l: number): void {
    const held = this.at(i, j);
    this.set(i, j, this.at(k, l));
    this.set(k, l, held);
  }
  /** Swaps rows and columns p and q > … of what is not factored yet, p ≤ q. */
  swapBoth(p: number, q: number): void {
    for (let i = q + 1; i < this.n; i++) this.swap(i, p, i, q);
    for (let i = p + 1; i < q; i++) this.swap(i, p, q, i);
    this.swap(p, p, q, q);
  }
}

interface Pivot {
  readonly row: number;
  readonly size: 1 | 2;
  readonly zero: boolean;
}

function choosePivot(a: Lower, k: number): Pivot {
  const own = Math.abs(a.at(k, k));
  let [most, largest] = [k, 0];
  for (let i = k + 1; i < a.n; i++) if (Math.abs(a.at(i, k)) > largest) [most, largest] = [i, Math.abs(a.at(i, k))];
  if (Math.max(own, largest) === 0 || Number.isNaN(own)) return { row: k, size: 1, zero: true };
  if (own >= ALPHA * largest) return { row: k, size: 1, zero: false };
  let across = 0;
  for (let j = k; j < most; j++) across = Math.max(across, Math.abs(a.at(most, j)));
  for (let i = most + 1; i < a.n; i++) across = Math.max(across, Math.abs(a.at(i, most)));
  if (own >= ALPHA * largest * (largest / across)) return { row: k, size: 1, zero: false };
  return { row: most, size: Math.abs(a.at(most, most)) >= ALPHA * across ? 1 : 2, zero: false };
}

function eliminateOne(a: Lower, k: number): void {
  const d = 1 / a.at(k, k);
  for (let j = k + 1; j < a.n; j++) {
    const x = d * a.at(j, k);
    for (let i = j; i < a.n; i++) a.set(i, j, a.at(i, j) - a.at(i, k) * x);
  }
  for (let i = k + 1; i < a.n; i++) a.set(i, k, a.at(i, k) * d);
}

function eliminateTwo(a: Lower, k: number): void {
  if (k + 2 >= a.n) return;
  const d21 = a.at(k + 1, k);
  const [d11, d22] = [a.at(k + 1, k + 1) / d21, a.at(k, k) / d21];
  const scale = 1 / (d11 * d22 - 1) / d21;
  for (let j = k + 2; j < a.n; j++) {
    const first = scale * (d11 * a.at(j, k) - a.at(j, k + 1));
    const second = scale * (d22 * a.at(j, k + 1) - a.at(j, k));
    for (let i = j; i < a.n; i++) a.set(i, j, a.at(i, j) - a.at(i, k) * first - a.at(i, k + 1) * second);
    a.set(j, k, first);
    a.set(j, k + 1, second);
  }
}

/** Factors in place; gives the first zero pivot from 1, or 0. */
function factor(a: Lower, pivots: Int32Array, from: number): number {
  let info = 0;
  for (let k = 0; k < a.n; ) {
    const { row, size, zero } = choosePivot(a, k);
    const last = k + size - 1;
    if (row !== last) {
      a.swapBoth(last, row);
      if (size === 2) a.swap(k + 1, k, row, k);
    }
    if (zero) info ||= k + 1;
    else if (size === 1) eliminateOne(a, k);
    else eliminateTwo(a, k);
    for (let i = k; i <= last; i++) pivots[from + i] = size === 1 ? row + 1 : -(row + 1);
    k += size;
  }
  return info;
}

interface Factored extends LDLFactor {
  readonly info: Tensor;
}
function ldl(op: string, a: Tensor, strict: boolean): Factored {
  needSquare(op, a);
  const [n, batch] = [a.sizeAt(-1), a.shape.slice(0, -2)];
  const data = Float64Array.from(valuesOf(op, a.detach()));
  const count = sizeOf(batch);
  const [pivots, info] = [new Int32Array(count * n), new Int32Array(count)];
  for (let b = 0; b < count; b++) info[b] = factor(new Lower(data, b * n * n, n), pivots, b * n);
  const bad = info.findIndex((v) => v > 0);
  if (strict && bad >= 0) throw new LibError('value', `${op}: D must be invertible, got pivot ${info[bad]} of matrix ${bad} is 0.`);
  const made = { device: a.device } as const;
  return {
    LD: tensor(data, { ...made, shape: a.shape, dtype: a.dtype }).tril(),
    pivots: tensor(pivots, { ...made, shape: [...batch, n], dtype: 'int32' }),
    info: tensor(info, { ...made, shape: batch, dtype: 'int32' }),
  };
}

/** L, D and the swaps of A = P L D Lᵀ Pᵀ for symmetric A (…, n, n), of which the lower triangle is read. Not differentiable. */
export const ldlFactor: Op<[a: Tensor, options?: LDLOptions], LDLFactor> = defineComposite({
  name: 'linalg.ldlFactor',
  compose(a: Tensor, _options: LDLOptions = {}) {
    const { LD, pivots } = ldl('linalg.ldlFactor', a, true);
    return { LD, pivots };
  },
  differentiable: false,
  prepare: (a: Tensor) => [symmetric(a)] as [Tensor],
  torch: { call: '(lambda r: (r[0].tril(), r[1]))(torch.linalg.ldl_factor(sym(a[0])))' },
  *samples(random): Iterable<[a: Tensor, options?: LDLOptions]> {
    yield [random([5, 5])];
    yield [random([2, 4, 4])];
  },
  *errors(random): Iterable<readonly [[a: Tensor], string]> {
    yield [[random([2, 3])], 'must be square'];
    yield [[random([2, 2]).mul(0)], 'must be invertible'];
  },
});

/** {@link ldlFactor} with, for each matrix, an int32 `info`: 0, or the first pivot (from 1) that is 0. */
export const ldlFactorEx: Op<[a: Tensor, options?: LDLExOptions], Factored> = defineComposite({
  name: 'linalg.ldlFactorEx',
  compose: (a: Tensor, { checkErrors = false }: LDLExOptions = {}) => ldl('linalg.ldlFactorEx', a, checkErrors),
  differentiable: false,
  prepare: (a: Tensor) => [symmetric(a)] as [Tensor],
  torch: { call: '(lambda r: (r[0].tril(), r[1], r[2]))(torch.linalg.ldl_factor_ex(sym(a[0])))' },
  *samples(random): Iterable<[a: Tensor, options?: LDLExOptions]> {
    yield [random([3, 3])];
  },
  *errors(random): Iterable<readonly [[a: Tensor, options?: LDLExOptions], string]> {
    yield [[random([2, 2]).mul(0), { checkErrors: true }], 'must be invertible'];
  },
});

/** Right sides as rows of numbers. */
interface Sides {
  readonly x: Float64Array;
  readonly from: number;
  readonly k: number;
}
function addRow({ x, from, k }: Sides, to: number, source: number, factor: number): void {
  for (let c = 0; c < k; c++) x[from + to * k + c] = (x[from + to * k + c] as number) + factor * (x[from + source * k + c] as number);
}
function swapRows({ x, from, k }: Sides, i: number, j: number): void {
  if (i === j) return;
  for (let c = 0; c < k; c++) {
    const [p, q] = [from + i * k + c, from + j * k + c];
    const held = x[p] as number;
    x[p] = x[q] as number;
    x[q] = held;
  }
}
function divideBlock(a: Lower, { x, from, k }: Sides, r: number): void {
  const off = a.at(r + 1, r);
  const [first, second] = [a.at(r, r) / off, a.at(r + 1, r + 1) / off];
  const denominator = first * second - 1;
  for (let c = 0; c < k; c++) {
    const [p, q] = [from + r * k + c, from + (r + 1) * k + c];
    const [u, v] = [(x[p] as number) / off, (x[q] as number) / off];
    x[p] = (second * u - v) / denominator;
    x[q] = (first * v - u) / denominator;
  }
}

/** Solves A X = B in place: L and D forwards, Lᵀ backwards. */
function solveOne(a: Lower, pivots: Int32Array, at: number, sides: Sides): void {
  const { n } = a;
  const pivot = (i: number): number => pivots[at + i] as number;
  for (let r = 0; r < n; ) {
    const size = pivot(r) > 0 ? 1 : 2;
    swapRows(sides, r + size - 1, Math.abs(pivot(r)) - 1);
    for (let i = r + size; i < n; i++) for (let s = 0; s < size; s++) addRow(sides, i, r + s, -a.at(i, r + s));
    if (size === 2) divideBlock(a, sides, r);
    else
      for (let c = 0; c < sides.k; c++)
        sides.x[sides.from + r * sides.k + c] = (sides.x[sides.from + r * sides.k + c] as number) / a.at(r, r);
    r += size;
  }
  for (let r = n - 1; r >= 0; ) {
    const size = pivot(r) > 0 ? 1 : 2;
    for (let i = r + 1; i < n; i++) for (let s = 0; s < size; s++) addRow(sides, r - s, i, -a.at(i, r - s));
    swapRows(sides, r, Math.abs(pivot(r)) - 1);
    r -= size;
  }
}

/** X with A X = B, for B (…, n, k) and A as {@link ldlFactor} gives it. Not differentiable. */
export const ldlSolve: Op<[LD: Tensor, pivots: Tensor, b: Tensor, options?: LDLOptions]> = defineComposite({
  name: 'linalg.ldlSolve',
  compose(LD: Tensor, pivots: Tensor, b: Tensor, _options: LDLOptions = {}) {
    const op = 'linalg.ldlSolve';
    needSquare(op, LD);
    needReal(op, LD, b);
    const n = LD.sizeAt(-1);
    if (b.ndim < 2 || b.sizeAt(-2) !== n || pivots.dtype !== 'int32' || `${pivots.shape}` !== `${LD.shape.slice(0, -1)}`) {
      const got = `LD ${formatShape(LD.shape)}, pivots ${formatShape(pivots.shape)} and B ${formatShape(b.shape)}`;
      throw new LibError('shape', `${op}: LD (…, n, n), int32 pivots (…, n) and B (…, n, k) must agree, got ${got}.`);
    }
    const batch = broadcastShapes(op, LD.shape.slice(0, -2), b.shape.slice(0, -2));
    const k = b.sizeAt(-1);
    const data = Float64Array.from(valuesOf(op, LD.detach().expand([...batch, n, n])));
    const swaps = Int32Array.from(valuesOf(op, pivots.expand([...batch, n])));
    const x = Float64Array.from(valuesOf(op, b.detach().expand([...batch, n, k])));
    for (let i = 0; i < sizeOf(batch); i++) solveOne(new Lower(data, i * n * n, n), swaps, i * n, { x, from: i * n * k, k });
    return tensor(x, { shape: [...batch, n, k], dtype: b.dtype, device: b.device });
  },
  differentiable: false,
  torch: { call: 'torch.linalg.ldl_solve(a[0].detach(), a[1].int(), a[2].detach())' },
  *samples(random): Iterable<[LD: Tensor, pivots: Tensor, b: Tensor]> {
    const { LD, pivots } = ldlFactor(symmetric(random([5, 5])));
    yield [LD, pivots, random([5, 2])];
    yield [LD, pivots, random([3, 5, 1])];
  },
  *errors(random): Iterable<readonly [[LD: Tensor, pivots: Tensor, b: Tensor], string]> {
    yield [[random([3, 3]), random.integers([2], 1, 2), random([3, 1])], 'must agree'];
  },
});
