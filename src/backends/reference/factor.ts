import { broadcastStrides, contiguousStrides, sizeOf } from '../../core/shape.js';
import { factorError, factorRanks } from '../../program/factor.js';
import type { FactorKernel } from '../../program/kernel.js';
import { eigenpairs } from './complexSchur.js';
import { expm, jacobiEigen, jacobiSvd, type Mat, positiveFirst } from './factorMath.js';
import { type Run, type View, Walk } from './view.js';

/** Factorizations as textbooks write them, one matrix at a time. */
export function factor(kernel: FactorKernel): Run {
  const ranks = factorRanks(kernel);
  return (inputs, outputs) => {
    const views = [...inputs, ...outputs];
    const first = outputs[0] as View;
    const batch = first.shape.slice(0, first.shape.length - (ranks[inputs.length] ?? 0));
    const own = views.map((v, k) => v.shape.slice(v.shape.length - (ranks[k] ?? 0)));
    const data = views.map((v, k) => (k < inputs.length ? v.load() : new Float64Array(v.size)));
    const strides = views.map((v, k) => {
      const outer = v.shape.length - (ranks[k] ?? 0);
      return broadcastStrides(v.shape.slice(0, outer), contiguousStrides(v.shape).slice(0, outer), batch);
    });
    const walk = new Walk(
      batch,
      strides,
      views.map(() => 0),
    );
    let failure: Error | null = null;
    for (let i = 0; i < walk.size; i++, walk.step()) {
      const mats = own.map((shape, k) => {
        const start = walk.position(k);
        const [rows = 1, cols = 1] = shape;
        return { rows, cols, data: (data[k] as Float64Array).subarray(start, start + sizeOf(shape)) };
      });
      const info = solvers[kernel.by](mats, kernel);
      const last = mats.at(-1) as Mat;
      if (kernel.by === 'cholesky' || kernel.by === 'lu') last.data[0] = info;
      if (info > 0) failure ??= factorError(kernel.by, i, info);
    }
    if (failure !== null && kernel.strict) throw failure;
    outputs.forEach((v, k) => v.store(data[inputs.length + k] as Float64Array));
  };
}

type Solver = (mats: readonly Mat[], kernel: FactorKernel) => number;

const get = (a: Mat, r: number, c: number): number => a.data[r * a.cols + c] as number;
function set(a: Mat, r: number, c: number, value: number): void {
  a.data[r * a.cols + c] = value;
}

const solvers: Readonly<Record<FactorKernel['by'], Solver>> = {
  cholesky: ([a, l]) => cholesky(a as Mat, l as Mat),
  lu: ([a, lu, pivots]) => decompose(a as Mat, lu as Mat, (pivots as Mat).data),
  qr: ([a, packed, tau]) => householder(a as Mat, packed as Mat, (tau as Mat).data),
  eigh: ([a, w, v]) => eigen(a as Mat, w as Mat, v),
  svd: (mats, { vectors }) => singular(mats, vectors === true),
  triangularSolve: ([a, b, x], { upper = false, unit = false }) => substitute(a as Mat, b as Mat, x as Mat, upper, unit),
  permutation: ([pivots, order]) => permute((pivots as Mat).data, (order as Mat).data),
  eig: ([a, w, v, lead]) => general(a as Mat, w as Mat, v, lead),
  exp([a, y]) {
    (y as Mat).data.set(expm(a as Mat));
    return 0;
  },
};

function cholesky(a: Mat, l: Mat): number {
  for (let r = 0; r < a.rows; r++) {
    for (let c = 0; c <= r; c++) {
      let rest = get(a, r, c);
      for (let k = 0; k < c; k++) rest -= get(l, r, k) * get(l, c, k);
      if (c < r) set(l, r, c, rest / get(l, c, c));
      else if (!(rest > 0)) return r + 1;
      else set(l, r, r, Math.sqrt(rest));
    }
  }
  return 0;
}

/** Elimination with the largest pivot of each column. */
function decompose(a: Mat, lu: Mat, pivots: Float64Array): number {
  lu.data.set(a.data);
  let info = 0;
  for (let k = 0; k < Math.min(a.rows, a.cols); k++) {
    let best = k;
    for (let r = k + 1; r < a.rows; r++) if (Math.abs(get(lu, r, k)) > Math.abs(get(lu, best, k))) best = r;
    pivots[k] = best + 1;
    for (let c = 0; c < a.cols; c++) {
      const kept = get(lu, k, c);
      set(lu, k, c, get(lu, best, c));
      set(lu, best, c, kept);
    }
    if (get(lu, k, k) === 0) {
      info ||= k + 1;
      continue;
    }
    for (let r = k + 1; r < a.rows; r++) {
      const factor = get(lu, r, k) / get(lu, k, k);
      set(lu, r, k, factor);
      for (let c = k + 1; c < a.cols; c++) set(lu, r, c, get(lu, r, c) - factor * get(lu, k, c));
    }
  }
  return info;
}

/** H = I - tau v vᵀ, v starting with 1, takes each column to (beta, 0, …), where beta has the other sign than the column's head. */
function householder(a: Mat, packed: Mat, tau: Float64Array): number {
  packed.data.set(a.data);
  for (let k = 0; k < Math.min(a.rows, a.cols); k++) {
    const head = get(packed, k, k);
    let tail = 0;
    for (let r = k + 1; r < a.rows; r++) tail = Math.hypot(tail, get(packed, r, k));
    if (tail === 0) continue;
    const beta = head > 0 ? -Math.hypot(head, tail) : Math.hypot(head, tail);
    const t = (beta - head) / beta;
    for (let r = k + 1; r < a.rows; r++) set(packed, r, k, get(packed, r, k) / (head - beta));
    for (let c = k + 1; c < a.cols; c++) {
      let along = get(packed, k, c);
      for (let r = k + 1; r < a.rows; r++) along += get(packed, r, k) * get(packed, r, c);
      set(packed, k, c, get(packed, k, c) - t * along);
      for (let r = k + 1; r < a.rows; r++) set(packed, r, c, get(packed, r, c) - t * along * get(packed, r, k));
    }
    set(packed, k, k, beta);
    tau[k] = t;
  }
  return 0;
}

function substitute(a: Mat, b: Mat, x: Mat, upper: boolean, unit: boolean): number {
  const n = a.rows;
  for (let c = 0; c < b.cols; c++) {
    for (let i = 0; i < n; i++) {
      const r = upper ? n - 1 - i : i;
      let rest = get(b, r, c);
      for (let k = upper ? r + 1 : 0; k < (upper ? n : r); k++) rest -= get(a, r, k) * get(x, k, c);
      set(x, r, c, unit ? rest : rest / get(a, r, r));
    }
  }
  return 0;
}

function permute(pivots: Float64Array, order: Float64Array): number {
  for (let i = 0; i < order.length; i++) order[i] = i;
  for (const [i, pivot] of pivots.entries()) {
    if (!(pivot >= 1 && pivot <= order.length)) return i + 1;
    const kept = order[i] as number;
    order[i] = order[pivot - 1] as number;
    order[pivot - 1] = kept;
  }
  return 0;
}

function eigen(a: Mat, w: Mat, v: Mat | undefined): number {
  const n = a.rows;
  const symmetric = a.data.map((_, i) => get(a, Math.max(Math.floor(i / n), i % n), Math.min(Math.floor(i / n), i % n)));
  const { values, vectors } = jacobiEigen({ rows: n, cols: n, data: symmetric });
  if (!symmetric.every(Number.isFinite)) return 1;
  const order = [...values.keys()].sort((p, q) => (values[p] as number) - (values[q] as number));
  order.forEach((from, to) => {
    w.data[to] = values[from] as number;
    if (v) positiveFirst(vectors[from] as number[]).forEach((x, r) => set(v, r, to, x));
  });
  return 0;
}

function singular(mats: readonly Mat[], vectors: boolean): number {
  const [a, u, s, vh] = vectors ? mats : [mats[0], undefined, mats[1], undefined];
  if (!a || !s) return 0;
  if (!a.data.every(Number.isFinite)) return 1;
  const { left, values, right } = jacobiSvd(a);
  values.forEach((value, k) => {
    s.data[k] = value;
    if (!u || !vh) return;
    const [x, y] = [left[k] as number[], right[k] as number[]];
    const fixed = positiveFirst(x);
    const sign = fixed === x ? 1 : -1;
    fixed.forEach((e, r) => set(u, r, k, e));
    y.forEach((e, c) => set(vh, k, c, sign * e));
  });
  return 0;
}

function general({ rows: n, data }: Mat, w: Mat, v: Mat | undefined, lead: Mat | undefined): number {
  if (!data.every(Number.isFinite)) return 1;
  const pairs = eigenpairs(data, n);
  if (pairs === null) return n;
  pairs.forEach((pair, j) => {
    w.data.set(pair.value, 2 * j);
    if (!v || !lead) return;
    pair.vector.forEach((z, i) => {
      v.data.set(z, 2 * (i * n + j));
    });
    lead.data[j] = pair.lead;
  });
  return 0;
}
