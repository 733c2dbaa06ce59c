/** A dense matrix in row-major order. */
export interface Mat {
  readonly rows: number;
  readonly cols: number;
  readonly data: Float64Array;
}

type Vec = number[];

const inner = (x: Vec, y: Vec): number => x.reduce((sum, e, i) => sum + e * (y[i] as number), 0);

/** The vector or its negative: the first entry with at least half the largest magnitude is positive. */
export function positiveFirst(v: Vec): Vec {
  const largest = v.reduce((most, e) => Math.max(most, Math.abs(e)), 0);
  return (v.find((e) => Math.abs(e) >= 0.5 * largest) ?? 0) < 0 ? v.map((e) => -e) : v;
}

/** (x, y) becomes (c x - s y, s x + c y). */
function rotate(x: Vec, y: Vec, c: number, s: number): void {
  for (let i = 0; i < x.length; i++) {
    const [a, b] = [x[i] as number, y[i] as number];
    x[i] = c * a - s * b;
    y[i] = s * a + c * b;
  }
}

/** Cosine and sine of the rotation that makes the off-diagonal entry of [[p, off], [off, q]] zero. */
function rotation(p: number, q: number, off: number): readonly [c: number, s: number] {
  const zeta = (q - p) / (2 * off);
  const t = (zeta < 0 ? -1 : 1) / (Math.abs(zeta) + Math.hypot(1, zeta));
  const c = 1 / Math.hypot(1, t);
  return [c, c * t];
}

/** Cyclic Jacobi: plane rotations from both sides until nothing is left beside the diagonal. Vectors are given one by one. */
export function jacobiEigen({ rows: n, data }: Mat): { readonly values: Vec; readonly vectors: readonly Vec[] } {
  const a = Array.from({ length: n }, (_, r) => [...data.subarray(r * n, r * n + n)]);
  const vectors = a.map((_, r) => a.map((__, c) => Number(r === c)));
  for (let sweep = 0; sweep < 60; sweep++) {
    let turned = false;
    for (let p = 0; p < n; p++) {
      for (let q = p + 1; q < n; q++) {
        const [rowP, rowQ] = [a[p] as Vec, a[q] as Vec];
        const [app, aqq, off] = [rowP[p] as number, rowQ[q] as number, rowP[q] as number];
        if (!(Math.abs(off) > 1e-17 * Math.sqrt(Math.abs(app * aqq)) && Math.abs(off) > 1e-300)) continue;
        turned = true;
        const [c, s] = rotation(app, aqq, off);
        rotate(rowP, rowQ, c, s);
        for (const row of a) {
          const [x, y] = [row[p] as number, row[q] as number];
          row[p] = c * x - s * y;
          row[q] = s * x + c * y;
        }
        [rowP[q], rowQ[p]] = [0, 0];
        rotate(vectors[p] as Vec, vectors[q] as Vec, c, s);
      }
    }
    if (!turned) break;
  }
  return { values: a.map((row, i) => row[i] as number), vectors };
}

/** One-sided Jacobi: rotates the columns until they are orthogonal; their lengths are the singular values. */
export function jacobiSvd(a: Mat): { readonly left: readonly Vec[]; readonly values: Vec; readonly right: readonly Vec[] } {
  if (a.rows < a.cols) {
    const flipped = a.data.map((_, i) => a.data[(i % a.rows) * a.cols + Math.floor(i / a.rows)] as number);
    const { left, values, right } = jacobiSvd({ rows: a.cols, cols: a.rows, data: flipped });
    return { left: right, values, right: left };
  }
  const { rows: m, cols: n } = a;
  const columns = Array.from({ length: n }, (_, c) => Array.from({ length: m }, (__, r) => a.data[r * n + c] as number));
  const right = columns.map((_, r) => columns.map((__, c) => Number(r === c)));
  for (let sweep = 0; sweep < 60; sweep++) {
    let turned = false;
    for (let p = 0; p < n; p++) {
      for (let q = p + 1; q < n; q++) {
        const [x, y] = [columns[p] as Vec, columns[q] as Vec];
        const [xx, yy, xy] = [inner(x, x), inner(y, y), inner(x, y)];
        if (!(Math.abs(xy) > 1e-15 * Math.sqrt(xx) * Math.sqrt(yy) && Math.abs(xy) > 1e-290)) continue;
        turned = true;
        const [c, s] = rotation(xx, yy, xy);
        rotate(x, y, c, s);
        rotate(right[p] as Vec, right[q] as Vec, c, s);
      }
    }
    if (!turned) break;
  }
  const lengths = columns.map((x) => Math.sqrt(inner(x, x)));
  const order = [...lengths.keys()].sort((p, q) => (lengths[q] as number) - (lengths[p] as number));
  const left: Vec[] = [];
  for (const k of order) {
    const length = lengths[k] as number;
    left.push(length > 0 ? (columns[k] as Vec).map((e) => e / length) : orthogonalTo(left, m));
  }
  return { left, values: order.map((k) => lengths[k] as number), right: order.map((k) => right[k] as Vec) };
}

/** A unit vector orthogonal to the given ones: the first unit vector of which enough is left without them. */
function orthogonalTo(vectors: readonly Vec[], n: number): Vec {
  for (let k = 0; k < n; k++) {
    let x = Array.from({ length: n }, (_, i) => Number(i === k));
    for (const v of [...vectors, ...vectors]) {
      const along = inner(x, v);
      x = x.map((e, i) => e - along * (v[i] as number));
    }
    const length = Math.sqrt(inner(x, x));
    if (length * length * (n + 1) >= 0.5) return x.map((e) => e / length);
  }
  return new Array<number>(n).fill(0);
}

function product(a: Float64Array, b: Float64Array, n: number): Float64Array {
  const y = new Float64Array(n * n);
  for (let r = 0; r < n; r++) {
    for (let k = 0; k < n; k++) {
      const factor = a[r * n + k] as number;
      for (let c = 0; c < n; c++) (y[r * n + c] as number) += factor * (b[k * n + c] as number);
    }
  }
  return y;
}

/** Σ aᵏ / k! of a / 2ˢ, which is small, squared s times. */
export function expm({ rows: n, data }: Mat): Float64Array {
  let norm = 0;
  for (let r = 0; r < n; r++)
    norm = Math.max(
      norm,
      data.subarray(r * n, r * n + n).reduce((sum, e) => sum + Math.abs(e), 0),
    );
  if (!Number.isFinite(norm)) return data.map(() => Number.NaN);
  const squarings = Math.max(0, Math.ceil(Math.log2(norm * 2)));
  const small = data.map((e) => e / 2 ** squarings);
  let term: Float64Array = data.map((_, i) => Number(i % (n + 1) === 0));
  let sum: Float64Array = term;
  for (let k = 1; k <= 20; k++) {
    term = product(term, small, n).map((e) => e / k);
    sum = sum.map((e, i) => e + (term[i] as number));
  }
  for (let s = 0; s < squarings; s++) sum = product(sum, sum, n);
  return sum;
}
