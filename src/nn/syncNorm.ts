import { LibError } from '../core/errors.js';
import { updateRunning } from '../ops/normRows.js';
import { noGrad } from '../tensor/autograd.js';
import type { Tensor } from '../tensor/tensor.js';
import type { AnyModule } from './module.js';
import type { BatchNorm } from './norm.js';

/** Batch normalization over more than one worker's batch, and statistics that are measured anew. */

/** Per channel, (channels,): what a batch is normalized by. Gradients flow through both. */
export interface BatchStatistics {
  readonly mean: Tensor;
  /** Biased: divided by count. */
  readonly variance: Tensor;
  /** Values in each channel. */
  readonly count: number;
}

/** A batch norm's parts that this file needs. */
interface NormState {
  readonly weight: Tensor | null;
  readonly bias: Tensor | null;
  readonly runningMean: Tensor | null;
  readonly runningVar: Tensor | null;
  readonly eps: number;
}

const otherDims = (x: Tensor): number[] => x.shape.flatMap((_, d) => (d === 1 ? [] : [d]));

/** Mean and variance of each channel of x (batch, channels, …). */
export function statisticsOf(x: Tensor): BatchStatistics {
  const dim = otherDims(x);
  const mean = x.mean({ dim });
  return { mean, variance: x.var({ dim, correction: 0 }), count: x.size / Math.max(x.sizeAt(1), 1) };
}

/** The statistics of all batches together, from each one's: Σ n (var + (mean - mean of all)²) / Σ n. */
export function combineStatistics(parts: readonly BatchStatistics[]): BatchStatistics {
  if (parts.length === 0) throw new LibError('value', 'combineStatistics: there must be at least one batch, got none.');
  const count = parts.reduce((n, part) => n + part.count, 0);
  const sum = (terms: readonly Tensor[]): Tensor => terms.reduce((a, b) => a.add(b));
  const mean = sum(parts.map((part) => part.mean.mul(part.count / count)));
  const variance = sum(parts.map((part) => part.variance.add(part.mean.sub(mean).square()).mul(part.count / count)));
  return { mean, variance, count };
}

/** @internal (x - mean) / √(variance + eps), then scale and shift. */
export function normalizeBy(x: Tensor, { mean, variance }: BatchStatistics, { weight, bias, eps }: NormState): Tensor {
  const shape = x.shape.map((size, d) => (d === 1 ? size : 1));
  const y = x.sub(mean.reshape(shape)).mul(variance.add(eps).rsqrt().reshape(shape));
  const scaled = weight ? y.mul(weight.reshape(shape)) : y;
  return bias ? scaled.add(bias.reshape(shape)) : scaled;
}

/** @internal Moves the running statistics. */
export function trackStatistics({ mean, variance, count }: BatchStatistics, state: NormState, momentum: number | Tensor): void {
  if (count <= 1) throw new LibError('value', `batchNorm: training needs more than one value for each channel, got ${count}.`);
  const { runningMean, runningVar } = state;
  if (runningMean) updateRunning(runningMean, mean.detach(), momentum, 1);
  if (runningVar) updateRunning(runningVar, variance.detach(), momentum, count / (count - 1));
}

/**
 * Applies one batch norm to the batches of several replicas as if they were one batch (torch.nn.SyncBatchNorm): in training the
 * statistics of all are combined and the running ones moved once.
 */
export function syncBatchNorm(norm: BatchNorm, batches: readonly Tensor[]): Tensor[] {
  if (batches.length === 0) return [];
  const all = combineStatistics(batches.map(statisticsOf));
  const before = norm.syncStatistics;
  norm.syncStatistics = () => all;
  try {
    return batches.map((x, i) => {
      if (i === 0) return norm.forward(x);
      return norm.training && !norm.statisticsFrozen ? normalizeBy(x, all, norm) : norm.forward(x);
    });
  } finally {
    norm.syncStatistics = before;
  }
}

const isTracking = (m: AnyModule): m is AnyModule & BatchNorm =>
  'numBatchesTracked' in m && 'resetRunningStats' in m && m.numBatchesTracked !== null;

/**
 * Measures the running statistics of all batch norms of a model anew: their plain average over `batches`, passed through without
 * gradient (torch.optim.swa_utils.update_bn). Modes and momenta are as before afterwards.
 */
export function reestimateStatistics<Batch>(model: AnyModule, batches: Iterable<Batch>, forward: (batch: Batch) => unknown): void {
  const norms = model.modules().filter(isTracking);
  const modes = model.modules().map((m) => [m, m.training] as const);
  const momenta = norms.map((m) => m.momentum);
  for (const m of norms) {
    m.resetRunningStats();
    m.momentum = null;
  }
  model.eval();
  for (const m of norms) m.training = true;
  try {
    noGrad(() => {
      for (const batch of batches) forward(batch);
    });
  } finally {
    norms.forEach((m, i) => {
      m.momentum = momenta[i] as number | null;
    });
    for (const [m, mode] of modes) m.training = mode;
  }
}
