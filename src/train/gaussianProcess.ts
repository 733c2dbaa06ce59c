/** Lower triangle L with L Lᵀ = a, of a small positive definite matrix. */
function cholesky(a: readonly (readonly number[])[]): number[][] {
  const l: number[][] = a.map(() => []);
  for (const [i, row] of a.entries()) {
    for (let j = 0; j <= i; j++) {
      let sum = row[j] as number;
      for (let k = 0; k < j; k++) sum -= (l[i]?.[k] as number) * (l[j]?.[k] as number);
      (l[i] as number[])[j] = i === j ? Math.sqrt(Math.max(sum, 1e-12)) : sum / (l[j]?.[j] as number);
    }
  }
  return l;
}

function forward(l: readonly (readonly number[])[], b: readonly number[]): number[] {
  const x: number[] = [];
  for (const [i, row] of l.entries()) {
    let sum = b[i] as number;
    for (let k = 0; k < i; k++) sum -= (row[k] as number) * (x[k] as number);
    x.push(sum / (row[i] as number));
  }
  return x;
}
function backward(l: readonly (readonly number[])[], b: readonly number[]): number[] {
  const x = new Array<number>(b.length).fill(0);
  for (let i = b.length - 1; i >= 0; i--) {
    let sum = b[i] as number;
    for (let k = i + 1; k < b.length; k++) sum -= (l[k]?.[i] as number) * (x[k] as number);
    x[i] = sum / (l[i]?.[i] as number);
  }
  return x;
}

/** Matérn 5/2: twice differentiable, as objectives of training are at best. */
function matern(a: readonly number[], b: readonly number[], length: number): number {
  const r = (Math.sqrt(5) * Math.hypot(...a.map((v, i) => v - (b[i] as number)))) / length;
  return (1 + r + (r * r) / 3) * Math.exp(-r);
}

export interface Posterior {
  readonly mean: number;
  readonly std: number;
}

/**
 * A Gaussian process over points of the unit cube: mean and uncertainty of a function that was seen at a few places. Values are
 * standardized; length scale and noise are those of largest marginal likelihood on a small grid (Rasmussen & Williams 2006).
 */
export class GaussianProcess {
  private readonly center: number;
  private readonly scale: number;
  private readonly length: number;
  private readonly l: readonly (readonly number[])[];
  private readonly weights: readonly number[];

  constructor(
    private readonly points: readonly (readonly number[])[],
    values: readonly number[],
  ) {
    this.center = values.reduce((a, b) => a + b, 0) / values.length;
    this.scale = Math.sqrt(values.reduce((s, v) => s + (v - this.center) ** 2, 0) / values.length) || 1;
    const y = values.map((v) => (v - this.center) / this.scale);
    const tries = [0.1, 0.2, 0.35, 0.6, 1, 2].flatMap((length) => [1e-6, 1e-3, 0.03].map((noise) => this.solve(y, length, noise)));
    const best = tries.reduce((a, b) => (b.likelihood > a.likelihood ? b : a));
    this.length = best.length;
    this.l = best.l;
    this.weights = best.weights;
  }

  private solve(
    y: readonly number[],
    length: number,
    noise: number,
  ): { length: number; l: number[][]; weights: number[]; likelihood: number } {
    const { points } = this;
    const l = cholesky(points.map((a, i) => points.map((b, j) => matern(a, b, length) + (i === j ? noise : 0))));
    const weights = backward(l, forward(l, y));
    const fit = y.reduce((s, v, i) => s + v * (weights[i] as number), 0);
    const volume = l.reduce((s, row, i) => s + Math.log(row[i] as number), 0);
    return { length, l, weights, likelihood: -0.5 * fit - volume };
  }

  at(point: readonly number[]): Posterior {
    const k = this.points.map((p) => matern(p, point, this.length));
    const mean = k.reduce((s, v, i) => s + v * (this.weights[i] as number), 0);
    const v = forward(this.l, k);
    const variance = Math.max(1e-12, 1 - v.reduce((s, u) => s + u * u, 0));
    return { mean: this.center + this.scale * mean, std: this.scale * Math.sqrt(variance) };
  }
}

/** P(Z <= z) of the normal distribution, to 1e-7 (Abramowitz & Stegun 7.1.26 is enough to rank candidates). */
function normalCdf(z: number): number {
  const t = 1 / (1 + 0.3275911 * (Math.abs(z) / Math.SQRT2));
  const poly = t * (0.254829592 + t * (-0.284496736 + t * (1.421413741 + t * (-1.453152027 + t * 1.061405429))));
  const erf = 1 - poly * Math.exp((-z * z) / 2);
  return z >= 0 ? (1 + erf) / 2 : (1 - erf) / 2;
}

/** How much lower than `best` a point will be, on average over what it may be (Mockus 1978). */
export function expectedImprovement({ mean, std }: Posterior, best: number): number {
  const z = (best - mean) / std;
  return (best - mean) * normalCdf(z) + (std * Math.exp((-z * z) / 2)) / Math.sqrt(2 * Math.PI);
}
