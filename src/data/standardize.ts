import { LibError } from '../core/errors.js';
import { formatShape } from '../core/shape.js';
import { where } from '../ops/functions.js';
import { noGrad } from '../tensor/autograd.js';
import type { Tensor } from '../tensor/tensor.js';

export interface StandardizeOptions {
  /** Divide by the standard deviation. Default true; false: only centre. */
  readonly scale?: boolean;
}

/**
 * Features with mean 0 and standard deviation 1 over dimension 0, by the statistics of the data that it was fitted on: the training part.
 * Features that are constant there are only centred.
 * @example
 * const s = new Standardizer().fit(tensor([[1, 5], [3, 5]]));
 * s.transform(tensor([[2, 6]])); // (1, 2)
 */
export class Standardizer {
  private mean: Tensor | null = null;
  private std: Tensor | null = null;

  constructor(private readonly options: StandardizeOptions = {}) {}

  /** Measures mean and (biased) standard deviation of each feature of (items, ...). */
  fit(x: Tensor): this {
    if (x.ndim < 2 || x.shape[0] === 0)
      throw new LibError('shape', `Standardizer: data must be (items, features, ...), got ${formatShape(x.shape)}.`);
    noGrad(() => {
      this.mean = x.mean({ dim: 0 });
      const std = x.std({ dim: 0, correction: 0 });
      this.std = where(std.gt(0), std, std.mul(0).add(1));
    });
    return this;
  }

  private fitted(x: Tensor): readonly [mean: Tensor, std: Tensor] {
    const { mean, std } = this;
    if (mean === null || std === null)
      throw new LibError('state', 'Standardizer: fit must come first, got no statistics.', 'fit it on the training part.');
    if (`${x.shape.slice(1)}` !== `${mean.shape}`)
      throw new LibError(
        'shape',
        `Standardizer: items must be as those fitted on, ${formatShape(mean.shape)}, got ${formatShape(x.shape.slice(1))}.`,
      );
    return [mean, std];
  }

  transform(x: Tensor): Tensor {
    const [mean, std] = this.fitted(x);
    return this.options.scale === false ? x.sub(mean) : x.sub(mean).div(std);
  }
  fitTransform(x: Tensor): Tensor {
    return this.fit(x).transform(x);
  }
  /** Back to the units of before. */
  inverse(x: Tensor): Tensor {
    const [mean, std] = this.fitted(x);
    return this.options.scale === false ? x.add(mean) : x.mul(std).add(mean);
  }

  stateDict(): { readonly mean: Tensor | null; readonly std: Tensor | null } {
    return { mean: this.mean, std: this.std };
  }
  loadStateDict({ mean, std }: { readonly mean: Tensor | null; readonly std: Tensor | null }): void {
    this.mean = mean?.detach().clone() ?? null;
    this.std = std?.detach().clone() ?? null;
  }
}

/**
 * The condition number of the second moments XᵀX / n of (items, features), with a column of ones for the bias: how much slower gradient
 * descent on a linear model is along its flattest direction than along its steepest. Standardizing brings it down.
 */
export function conditioning(x: Tensor): number {
  if (x.ndim !== 2) throw new LibError('shape', `conditioning: data must be (items, features), got ${formatShape(x.shape)}.`);
  const rows = (x.detach().to('float64').tolist() as number[][]).map((r) => [1, ...r]);
  const d = (x.shape[1] as number) + 1;
  const moments = Array.from({ length: d }, (_, i) =>
    Array.from({ length: d }, (__, j) => rows.reduce((s, r) => s + (r[i] as number) * (r[j] as number), 0) / rows.length),
  );
  const values = jacobiEigenvalues(moments);
  const smallest = Math.min(...values);
  return smallest <= 0 ? Number.POSITIVE_INFINITY : Math.max(...values) / smallest;
}

/** Eigenvalues of a small symmetric matrix by rotations (Jacobi 1846). */
export function jacobiEigenvalues(matrix: readonly (readonly number[])[]): number[] {
  const a = matrix.map((row) => [...row]);
  const n = a.length;
  const at = (i: number, j: number): number => a[i]?.[j] as number;
  for (let sweep = 0; sweep < 60; sweep++) {
    let off = 0;
    for (let p = 0; p < n; p++) for (let q = p + 1; q < n; q++) off += at(p, q) ** 2;
    if (off < 1e-28 * a.reduce((s, row, i) => s + (row[i] as number) ** 2, 0)) break;
    for (let p = 0; p < n; p++) for (let q = p + 1; q < n; q++) rotate(a, p, q);
  }
  return a.map((row, i) => row[i] as number);
}

function rotate(a: number[][], p: number, q: number): void {
  const [x, y] = [a[p] as number[], a[q] as number[]];
  if (x[q] === 0) return;
  const theta = ((y[q] as number) - (x[p] as number)) / (2 * (x[q] as number));
  const t = (theta < 0 ? -1 : 1) / (Math.abs(theta) + Math.sqrt(theta * theta + 1));
  const c = 1 / Math.sqrt(t * t + 1);
  const s = t * c;
  for (const row of a) {
    const [u, v] = [row[p] as number, row[q] as number];
    row[p] = c * u - s * v;
    row[q] = s * u + c * v;
  }
  for (let j = 0; j < a.length; j++) {
    const [u, v] = [x[j] as number, y[j] as number];
    x[j] = c * u - s * v;
    y[j] = s * u + c * v;
  }
}
