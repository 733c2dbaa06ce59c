import { isFloat } from '../../core/dtype.js';
import type { ScanKernel, SortKernel } from '../../program/kernel.js';
import { linesAlong, type Run, type View } from './view.js';

/** Running folds: out[j] is the fold of x[0..j] along `dim`. */
export function scan(kernel: ScanKernel): Run {
  return ([x], [out, winners]) => {
    if (!x || !out) return;
    if (kernel.by === 'max' || kernel.by === 'min') scanWinners(kernel, x, out, winners);
    else out.store(scanValues(x, kernel.dim, kernel.by === 'prod' && !isFloat(out.dtype) ? Math.imul : combiners[kernel.by]));
  };
}

type Combine = (a: number, b: number) => number;

const combiners: Readonly<Record<'sum' | 'prod' | 'logSumExp', Combine>> = {
  sum: (a, b) => a + b,
  prod: (a, b) => a * b,
  logSumExp: (a, b) => (a === b ? a + Math.LN2 : Math.max(a, b) + Math.log1p(Math.exp(-Math.abs(a - b)))),
};

function scanValues(x: View, dim: number, combine: Combine): Float64Array {
  const values = x.load();
  forEachLine(x.shape, dim, (at, length) => {
    for (let j = 1; j < length; j++) values[at(j)] = combine(values[at(j - 1)] as number, values[at(j)] as number);
  });
  return values;
}

/** The running extreme and where it was last seen; every NaN replaces what was there before. */
function scanWinners({ dim, by }: ScanKernel, x: View, out: View, winners: View | undefined): void {
  const values = x.load();
  const indices = new Float64Array(values.length);
  const holds = by === 'max' ? (v: number, best: number) => v >= best : (v: number, best: number) => v <= best;
  forEachLine(x.shape, dim, (at, length) => {
    for (let j = 1; j < length; j++) {
      const [v, best] = [values[at(j)] as number, values[at(j - 1)] as number];
      const wins = Number.isNaN(v) || holds(v, best);
      values[at(j)] = wins ? v : best;
      indices[at(j)] = wins ? j : (indices[at(j - 1)] as number);
    }
  });
  out.store(values);
  winners?.store(indices);
}

/** Orders each line by value; equal elements stay in their order, in both directions. */
export function sort({ dim, descending, k }: SortKernel): Run {
  const compare: Combine = descending ? (a, b) => ascending(b, a) : ascending;
  return ([x], [out, indices]) => {
    if (!x || !out) return;
    const values = x.load();
    const kept = Math.min(k ?? Number.POSITIVE_INFINITY, x.shape[dim] ?? 1);
    const sorted = new Float64Array(out.size);
    const order = new Float64Array(out.size);
    const { inners } = linesAlong(x.shape, dim);
    forEachLine(x.shape, dim, (at, length, outer, inner) => {
      const line = Array.from({ length }, (_, j) => j);
      line.sort((a, b) => compare(values[at(a)] as number, values[at(b)] as number));
      for (let j = 0; j < kept; j++) {
        const to = (outer * kept + j) * inners + inner;
        sorted[to] = values[at(line[j] as number)] as number;
        order[to] = line[j] as number;
      }
    });
    out.store(sorted);
    indices?.store(order);
  };
}

/** The order of numbers with NaN as the largest. */
function ascending(a: number, b: number): number {
  if (Number.isNaN(a) || Number.isNaN(b)) return Number(Number.isNaN(a)) - Number(Number.isNaN(b));
  return a < b ? -1 : Number(a > b);
}

/** Visits the lines of a dense array along `dim`; `at(j)` is where a line's element j lies. */
function forEachLine(
  shape: readonly number[],
  dim: number,
  visit: (at: (j: number) => number, length: number, outer: number, inner: number) => void,
): void {
  const { outers, length, inners } = linesAlong(shape, dim);
  for (let outer = 0; outer < outers; outer++) {
    for (let inner = 0; inner < inners; inner++) visit((j) => (outer * length + j) * inners + inner, length, outer, inner);
  }
}
