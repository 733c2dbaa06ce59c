/**
 * Eigenvalues and eigenvectors of a general real matrix: rotations to Hessenberg form, shifted QR steps to a complex triangle
 * (Golub & Van Loan, Matrix Computations, 7.4-7.5), back substitution.
 */

/** A complex matrix, n x n, row by row. */
interface Matrix {
  readonly n: number;
  readonly re: Float64Array;
  readonly im: Float64Array;
}
type Complex = readonly [re: number, im: number];

const EPS = 2 ** -52;
const at = ({ n, re, im }: Matrix, i: number, j: number): Complex => [re[i * n + j] as number, im[i * n + j] as number];
const size = ([a, b]: Complex): number => Math.hypot(a, b);
const minus = (x: Complex, y: Complex): Complex => [x[0] - y[0], x[1] - y[1]];
const times = (x: Complex, y: Complex): Complex => [x[0] * y[0] - x[1] * y[1], x[0] * y[1] + x[1] * y[0]];
function over(x: Complex, y: Complex): Complex {
  const r = y[0] * y[0] + y[1] * y[1];
  return [(x[0] * y[0] + x[1] * y[1]) / r, (x[1] * y[0] - x[0] * y[1]) / r];
}
function root([a, b]: Complex): Complex {
  const r = Math.sqrt((size([a, b]) + Math.abs(a)) / 2);
  if (r === 0) return [0, 0];
  return a >= 0 ? [r, b / (2 * r)] : [Math.abs(b) / (2 * r), b < 0 ? -r : r];
}

/** What turns (x, y) into (c x + s y, c y - s̄ x). */
interface Rotation {
  readonly c: number;
  readonly s: Complex;
}
/** The one after which y is 0. */
function rotation(x: Complex, y: Complex): Rotation {
  const [most, r] = [size(x), Math.hypot(...x, ...y)];
  if (size(y) === 0) return { c: 1, s: [0, 0] };
  if (most === 0) return { c: 0, s: [1, 0] };
  return { c: most / r, s: over(times(x, bar(y)), [most * r, 0]) };
}
/** Turns `count` pairs of entries: from `i` and `j` on, along a row (`step` 1) or a column. */
function turn({ re, im }: Matrix, i: number, j: number, step: number, count: number, { c, s: [p, q] }: Rotation): void {
  for (let k = 0; k < count; k++, i += step, j += step) {
    const [a, b, x, y] = [re[i] as number, im[i] as number, re[j] as number, im[j] as number];
    re[i] = c * a + p * x - q * y;
    im[i] = c * b + p * y + q * x;
    re[j] = c * x - p * a - q * b;
    im[j] = c * y - p * b + q * a;
  }
}
const bar = ([a, b]: Complex): Complex => [a, -b];
/** G M, of rows i and i + 1. */
const rows = (m: Matrix, i: number, from: number, g: Rotation): void => turn(m, i * m.n + from, (i + 1) * m.n + from, 1, m.n - from, g);
/** M Gᴴ, of columns j and j + 1. */
const columns = (m: Matrix, j: number, count: number, { c, s }: Rotation): void => turn(m, j, j + 1, m.n, count, { c, s: bar(s) });

function toHessenberg(h: Matrix, z: Matrix): void {
  for (let k = 0; k + 2 < h.n; k++)
    for (let i = h.n - 1; i > k + 1; i--) {
      const g = rotation(at(h, i - 1, k), at(h, i, k));
      rows(h, i - 1, k, g);
      columns(h, i - 1, h.n, g);
      columns(z, i - 1, h.n, g);
    }
}

/** The eigenvalue of the last two rows that is nearer to the last entry; now and then another shift, against cycles. */
function shiftOf(h: Matrix, end: number, tries: number): Complex {
  const [a, b, c, d] = [at(h, end - 1, end - 1), at(h, end - 1, end), at(h, end, end - 1), at(h, end, end)];
  if (tries % 10 === 9) return [d[0] + size(c), d[1]];
  const half: Complex = over(minus(a, d), [2, 0]);
  const square = times(half, half);
  const product = times(b, c);
  const r = root([square[0] + product[0], square[1] + product[1]]);
  const sum: Complex = half[0] * r[0] + half[1] * r[1] >= 0 ? [half[0] + r[0], half[1] + r[1]] : minus(half, r);
  return size(sum) === 0 ? d : minus(d, over(product, sum));
}

/** The upper triangle T of A = Z T Zᴴ, in place of the Hessenberg matrix. False: no convergence. */
function toTriangle(h: Matrix, z: Matrix): boolean {
  const { n } = h;
  for (let end = n - 1, tries = 0; end > 0; ) {
    let start = end;
    while (start > 0 && size(at(h, start, start - 1)) > EPS * (size(at(h, start, start)) + size(at(h, start - 1, start - 1)))) start--;
    if (start > 0) [h.re[start * n + start - 1], h.im[start * n + start - 1]] = [0, 0];
    if (start === end) {
      [end, tries] = [end - 1, 0];
      continue;
    }
    if (tries++ > 300) return false;
    const shift = shiftOf(h, end, tries);
    const moveDiagonal = (sign: number): void => {
      for (let i = start; i <= end; i++) {
        h.re[i * n + i] = (h.re[i * n + i] as number) + sign * shift[0];
        h.im[i * n + i] = (h.im[i * n + i] as number) + sign * shift[1];
      }
    };
    moveDiagonal(-1);
    const turns: Rotation[] = [];
    for (let k = start; k < end; k++) {
      const g = rotation(at(h, k, k), at(h, k + 1, k));
      rows(h, k, k, g);
      turns.push(g);
    }
    turns.forEach((g, i) => {
      columns(h, start + i, Math.min(start + i + 2, end + 1), g);
      columns(z, start + i, n, g);
    });
    moveDiagonal(1);
  }
  return true;
}

/** Z times the solution of (T - λ) y = 0 for the eigenvalue at `i`. */
function vectorOf(t: Matrix, z: Matrix, i: number): Complex[] {
  const [value, tiny] = [at(t, i, i), EPS * Math.max(1e-130, Math.hypot(...t.re))];
  const y: Complex[] = new Array<Complex>(t.n).fill([0, 0]);
  y[i] = [1, 0];
  for (let j = i - 1; j >= 0; j--) {
    let sum: Complex = [0, 0];
    for (let k = j + 1; k <= i; k++) sum = minus(sum, times(at(t, j, k), y[k] as Complex));
    const off = minus(at(t, j, j), value);
    y[j] = over(sum, size(off) < tiny ? [tiny, 0] : off);
    const most = size(y[j] as Complex);
    if (most > 1e100) for (let k = j; k <= i; k++) y[k] = over(y[k] as Complex, [most, 0]); // Jordan blocks
  }
  return y.map((_, row) => y.reduce<Complex>((sum, c, k) => minus(sum, times(at(z, row, k), c)), [0, 0]));
}

interface Eigenpair {
  readonly value: Complex;
  readonly vector: readonly Complex[];
  /** The entry of the vector that is real and positive: the first that has at least 0.999 of the largest size. */
  readonly lead: number;
}
/** To length 1, and the phase in which the lead is positive. */
function turned(value: Complex, v: readonly Complex[]): Eigenpair {
  const length = Math.hypot(...v.flat());
  const most = Math.max(...v.map(size));
  const lead = v.findIndex((c) => size(c) >= 0.999 * most);
  const first = v[lead] as Complex;
  const unit = times(over(first, [size(first), 0]), [length, 0]);
  return { value, lead, vector: v.map((c, k) => (k === lead ? [size(first) / length, 0] : over(c, unit))) };
}

/** Eigenvalues in ascending order (real parts, then imaginary ones) with vectors; complex ones in exact pairs. null: no convergence. */
export function eigenpairs(a: Float64Array, n: number): readonly Eigenpair[] | null {
  const unit = 2 ** Math.floor(Math.log2(a.reduce((most, e) => Math.max(most, Math.abs(e)), 0) || 1)); // squares stay in range
  const t: Matrix = { n, re: a.map((e) => e / unit), im: new Float64Array(n * n) };
  const z: Matrix = { n, re: new Float64Array(n * n), im: new Float64Array(n * n) };
  for (let i = 0; i < n; i++) z.re[i * n + i] = 1;
  const noise = 8 * n * EPS * Math.hypot(...t.re);
  toHessenberg(t, z);
  if (!toTriangle(t, z)) return null;
  const all = Array.from({ length: n }, (_, i) => turned(at(t, i, i), vectorOf(t, z, i)));
  const real = all.filter(({ value: [, im] }) => Math.abs(im) <= noise);
  const upper = all.filter(({ value: [, im] }) => im > noise);
  const found = [
    ...real.map(({ value, vector }) =>
      turned(
        [value[0], 0],
        vector.map(([re]) => [re, 0]),
      ),
    ),
    ...upper.flatMap(({ value, vector, lead }) => [
      { value: bar(value), vector: vector.map(bar), lead },
      { value, vector, lead },
    ]),
  ];
  // Where noise hid one of two, they stay as they were found.
  const pairs = found.length === n ? found : all;
  const sized = pairs.map(({ value: [re, im], ...pair }) => ({ ...pair, value: [re * unit, im * unit] as const }));
  return sized.sort((p, q) => p.value[0] - q.value[0] || p.value[1] - q.value[1]);
}
