/** What pages load of the functions that JavaScript's Math lacks (core/special.ts): logarithms of factorials. */

/** c0 + c1 x + c2 x^2 + ..., from the highest power down. */
export function horner(x: number, c: readonly number[]): number {
  let y = c[c.length - 1] as number;
  for (let i = c.length - 2; i >= 0; i--) y = y * x + (c[i] as number);
  return y;
}

/** Stirling's series: B(2k) / (2k (2k - 1)). */
const STIRLING = [1 / 12, -1 / 360, 1 / 1260, -1 / 1680, 1 / 1188, -691 / 360360, 1 / 156, -3617 / 122400, 43867 / 244188];

/** log Gamma(x), x >= 8. */
export const lgammaFar = (x: number): number => (x - 0.5) * (Math.log(x) - 1) + (0.4189385332046727 + horner(1 / (x * x), STIRLING) / x);

/** log n! of a whole number. */
export function logFactorial(n: number): number {
  if (n >= 7) return lgammaFar(n + 1);
  let product = 1;
  for (let i = 2; i <= n; i++) product *= i;
  return Math.log(product);
}
