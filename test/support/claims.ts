import assert from 'node:assert/strict';
import { test } from 'node:test';
import { manualSeed, setDefaultDtype, type Tensor } from '../../dist/index.js';

/** Runs each claim in float64 from the same seed. Names start with the claim's ID: docs/fundamentals.md lists them. */
export function provesClaims(claims: Readonly<Record<string, () => void | Promise<void>>>): void {
  for (const [name, claim] of Object.entries(claims)) {
    test(name, async () => {
      setDefaultDtype('float64');
      manualSeed(7);
      try {
        await claim();
      } finally {
        setDefaultDtype('float32');
      }
    });
  }
}

export const value = (x: Tensor): number => x.detach().itemNow();
export const values = (x: Tensor): number[] => [...x.detach().reshape([-1]).toArray()].map(Number);

type Numbers = number | readonly number[] | Tensor;
const numbers = (x: Numbers): readonly number[] => (typeof x === 'number' ? [x] : Array.isArray(x) ? x : values(x as Tensor));

/** Every element within an absolute tolerance. */
export function near(got: Numbers, want: Numbers, tolerance: number, what = 'value'): void {
  const [g, w] = [numbers(got), numbers(want)];
  assert.equal(g.length, w.length, `${what}: elements`);
  for (const [i, v] of g.entries()) {
    const wanted = w[i] as number;
    assert.ok(v === wanted || Math.abs(v - wanted) <= tolerance, `${what}: element ${i} is ${v}, wanted ${wanted} to ${tolerance}`);
  }
}
export const within = (got: number, low: number, high: number, what = 'value'): void =>
  assert.ok(got >= low && got <= high, `${what}: ${got} is not in [${low}, ${high}]`);

export const mean = (x: readonly number[]): number => x.reduce((a, b) => a + b, 0) / x.length;
export function variance(x: readonly number[]): number {
  const center = mean(x);
  return mean(x.map((v) => (v - center) ** 2));
}
export const range = (count: number, from = 0): number[] => Array.from({ length: count }, (_, i) => i + from);

/** Singular values, largest first, by turning pairs of columns until they are orthogonal (one-sided Jacobi). */
export function singularValues(x: Tensor): number[] {
  const [rows, columns] = x.dims(2) as [number, number];
  const a = values(x.t()); // column after column
  const at = (c: number, r: number): number => a[c * rows + r] as number;
  for (let sweep = 0; sweep < 60; sweep++) {
    let turned = false;
    for (let p = 0; p < columns; p++) {
      for (let q = p + 1; q < columns; q++) {
        let [pp, qq, pq] = [0, 0, 0];
        for (let r = 0; r < rows; r++) {
          pp += at(p, r) ** 2;
          qq += at(q, r) ** 2;
          pq += at(p, r) * at(q, r);
        }
        if (Math.abs(pq) <= 1e-15 * Math.sqrt(pp * qq)) continue;
        turned = true;
        const zeta = (qq - pp) / (2 * pq);
        const t = (zeta >= 0 ? 1 : -1) / (Math.abs(zeta) + Math.hypot(1, zeta));
        const c = 1 / Math.hypot(1, t);
        for (let r = 0; r < rows; r++) {
          const [u, v] = [at(p, r), at(q, r)];
          a[p * rows + r] = c * u - c * t * v;
          a[q * rows + r] = c * t * u + c * v;
        }
      }
    }
    if (!turned) break;
  }
  return range(columns)
    .map((c) => Math.hypot(...range(rows).map((r) => at(c, r))))
    .sort((u, v) => v - u);
}

/** Solves A x = b by elimination with the largest pivots. */
export function solve(a: readonly (readonly number[])[], b: readonly number[]): number[] {
  const m = a.map((row, i) => [...row, b[i] as number]);
  const n = b.length;
  const get = (i: number, j: number): number => (m[i] as number[])[j] as number;
  for (let k = 0; k < n; k++) {
    const pivot = range(n - k, k).reduce((best, i) => (Math.abs(get(i, k)) > Math.abs(get(best, k)) ? i : best), k);
    [m[k], m[pivot]] = [m[pivot] as number[], m[k] as number[]];
    for (let i = k + 1; i < n; i++) {
      const factor = get(i, k) / get(k, k);
      if (factor !== 0) for (let j = k; j <= n; j++) (m[i] as number[])[j] = get(i, j) - factor * get(k, j);
    }
  }
  const x = new Array<number>(n).fill(0);
  for (let i = n - 1; i >= 0; i--) {
    const known = range(n - i - 1, i + 1).reduce((s, j) => s + get(i, j) * (x[j] as number), 0);
    x[i] = (get(i, n) - known) / get(i, i);
  }
  return x;
}
