import { LibError } from '../core/errors.js';
import { formatShape } from '../core/shape.js';
import { cat } from '../ops/join.js';
import { noGrad } from '../tensor/autograd.js';
import type { Tensor } from '../tensor/tensor.js';
import { asTensor, checkSameShape, collected, forms, type MetricForms, runningMean, type Values } from './metric.js';

function checkMatrix(op: string, x: Tensor): void {
  if (x.ndim !== 2) throw new LibError('shape', `${op}: embeddings must be (examples, dims), got ${formatShape(x.shape)}.`);
}

export interface RecallAtOptions {
  /** How many neighbours are looked at. Default 1. */
  readonly k?: number;
  /** What is near: 'euclidean' (default) or 'cosine'. */
  readonly distance?: 'euclidean' | 'cosine';
}

/** Rows whose label is among those of their k nearest other rows; rows that are alone in their class do not count. */
function recallOf(rows: readonly (readonly number[])[], k: number, cosine: boolean): number {
  const width = (rows[0]?.length ?? 1) - 1;
  const labels = rows.map((r) => r[width] as number);
  const points = rows.map((r) => (cosine ? unit(r.slice(0, width)) : r.slice(0, width)));
  const sizes = new Map<number, number>();
  for (const l of labels) sizes.set(l, (sizes.get(l) ?? 0) + 1);
  let [found, asked] = [0, 0];
  for (const [i, p] of points.entries()) {
    if ((sizes.get(labels[i] as number) ?? 0) < 2) continue;
    asked++;
    const near: { d: number; j: number }[] = [];
    for (const [j, q] of points.entries()) {
      if (j === i) continue;
      let d = 0;
      for (let c = 0; c < width; c++) d += ((p[c] as number) - (q[c] as number)) ** 2;
      if (near.length === k && d >= (near[k - 1] as { d: number }).d) continue;
      const at = near.findIndex((n) => d < n.d);
      near.splice(at < 0 ? near.length : at, 0, { d, j });
      if (near.length > k) near.pop();
    }
    if (near.some(({ j }) => labels[j] === labels[i])) found++;
  }
  return asked === 0 ? Number.NaN : found / asked;
}
function unit(x: readonly number[]): number[] {
  const length = Math.hypot(...x) || 1;
  return x.map((v) => v / length);
}

/**
 * The share of examples with one of their own class among the `k` nearest others. Outputs are embeddings (examples, dims).
 * @example recallAtK([[0, 0], [0, 1], [5, 5], [0, 2]], [0, 0, 1, 1]) // 0.75
 */
export const recallAtK: MetricForms<RecallAtOptions> = forms(({ k = 1, distance = 'euclidean' }) => {
  if (!Number.isInteger(k) || k < 1) throw new LibError('value', `recallAtK: k must be a positive integer, got ${k}.`);
  if (distance !== 'euclidean' && distance !== 'cosine')
    throw new LibError('option', `recallAtK: distance must be 'euclidean' or 'cosine', got ${JSON.stringify(distance)}.`);
  return collected(
    `recall@${k}`,
    'higher',
    (output, target) => {
      const x = output.dtype === 'int32' ? output.to('float32') : output;
      checkMatrix('recallAtK', x);
      return cat([x, target.to(x.dtype).reshape([-1, 1])], { dim: 1 });
    },
    (rows) => recallOf(rows, k, distance === 'cosine'),
  );
});

export interface AlignmentOptions {
  /** The power of the distance. Default 2. */
  readonly alpha?: number;
}

/**
 * The mean distance of positive pairs, ‖x - y‖^α, rows of both (pairs, dims) (Wang & Isola 2020). Meant for embeddings of length 1.
 * @example alignment([[1, 0], [0, 1]], [[1, 0], [1, 0]]) // 1
 */
export const alignment: MetricForms<AlignmentOptions> = forms(({ alpha = 2 }) =>
  runningMean('alignment', (output, target) => {
    checkSameShape('alignment', output, target);
    const x = output.dtype === 'int32' ? output.to('float64') : output;
    return x
      .sub(target)
      .square()
      .sum({ dim: 1 })
      .pow(alpha / 2)
      .mean();
  }),
);

/**
 * log of the mean of exp(-t ‖x_i - x_j‖²) over all pairs (Wang & Isola 2020): the lower, the more evenly embeddings are spread.
 * @example uniformity([[1, 0], [-1, 0]]) // -8
 */
export function uniformity(embeddings: Values, { t = 2 }: { readonly t?: number } = {}): number {
  const x = asTensor(embeddings, false);
  checkMatrix('uniformity', x);
  const n = x.shape[0] as number;
  if (n < 2) throw new LibError('value', `uniformity: there must be at least two embeddings, got ${n}.`);
  return noGrad(() => {
    const lengths = x.square().sum({ dim: 1, keepdim: true });
    const squared = lengths
      .add(lengths.transpose(0, 1))
      .sub(x.matmul(x.transpose(0, 1)).mul(2))
      .clamp({ min: 0 });
    // The diagonal's n ones and each pair twice are taken out again.
    const all = squared.mul(-t).exp().sum().itemNow();
    const diagonal = squared.diagonal().mul(-t).exp().sum().itemNow();
    return Math.log((all - diagonal) / (n * (n - 1)));
  });
}
