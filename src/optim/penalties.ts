import { Embedding } from '../nn/embedding.js';
import type { AnyModule, Parameter } from '../nn/module.js';
import { noGrad } from '../tensor/autograd.js';
import { checkNumber } from './optimizer.js';
import { defineUpdate, runUpdate, type Update } from './update.js';

export interface DecayGroupsOptions {
  /** For all that decays. Default 0.01. */
  readonly weightDecay?: number;
  /** Leave embeddings alone too. Default false. */
  readonly excludeEmbeddings?: boolean;
  /** Leave other parameters alone, by name. */
  readonly exclude?: (name: string, parameter: Parameter) => boolean;
}

/**
 * A model's parameters as two groups: those that decay, and biases, scales and shifts of norms and slopes of activations (all that has
 * fewer than two dims), that do not.
 * @example new AdamW(decayGroups(new Linear(2, 3), { weightDecay: 0.1 }), { lr: 1e-3 })
 */
export function decayGroups(
  model: AnyModule,
  { weightDecay = 0.01, excludeEmbeddings = false, exclude }: DecayGroupsOptions = {},
): { readonly params: readonly Parameter[]; readonly weightDecay: number }[] {
  checkNumber('decayGroups', 'weightDecay', weightDecay, (v) => v >= 0, 'a finite number >= 0');
  const tables = new Set(model.modules().flatMap((m) => (excludeEmbeddings && (m as object) instanceof Embedding ? m.parameters() : [])));
  const decays = ([name, p]: readonly [string, Parameter]): boolean => p.ndim > 1 && !tables.has(p) && exclude?.(name, p) !== true;
  const all = [...model.namedParameters()];
  return [
    { params: all.filter(decays).map(([, p]) => p), weightDecay },
    { params: all.filter((entry) => !decays(entry)).map(([, p]) => p), weightDecay: 0 },
  ].filter((g) => g.params.length > 0);
}

const shrink: Update<'param', 'threshold', 'param'> = defineUpdate(
  'softThreshold',
  ['param'],
  ['threshold'],
  ({ param }, { threshold }) => ({
    param: param.sign().mul(param.abs().sub(threshold).max(0)),
  }),
);

interface Grouped {
  readonly paramGroups: readonly { readonly lr: number; readonly params: readonly Parameter[] }[];
}

/**
 * The proximal step of an L1 penalty: w ← sign(w) max(|w| - lr λ, 0) for all parameters of an optimizer, with the rate of each group.
 * Call it after `optimizer.step()`; weights that the data does not need become exactly zero.
 */
export function proximalL1_(optimizer: Grouped, lambda: number): void {
  checkNumber('proximalL1_', 'lambda', lambda, (v) => v >= 0, 'a finite number >= 0');
  for (const group of optimizer.paramGroups) {
    for (const param of group.params) {
      runUpdate(shrink, { param }, (out, at) => {
        out[at] = group.lr * lambda;
      });
    }
  }
}

export interface MaxNormOptions {
  /** The dim of the units, each of which is limited by itself. Default 0: rows of weights, filters of convolutions. */
  readonly dim?: number;
}

/** Scales the weights of every unit down to a norm of at most `maxNorm`, in place (Srebro & Shraibman 2005). Vectors are left alone. */
export function maxNorm_(parameters: Iterable<Parameter>, maxNorm: number, { dim = 0 }: MaxNormOptions = {}): void {
  checkNumber('maxNorm_', 'maxNorm', maxNorm, (v) => v > 0, 'a finite number > 0');
  noGrad(() => {
    for (const p of parameters) {
      if (p.ndim < 2) continue;
      const unit = dim < 0 ? dim + p.ndim : dim;
      const others = p.shape.map((_, d) => d).filter((d) => d !== unit);
      const norms = p.norm({ dim: others, keepdim: true });
      p.mul_(norms.clamp({ min: 1e-12 }).reciprocal().mul(maxNorm).clamp({ max: 1 }));
    }
  });
}

export interface SparsityReport {
  readonly zeros: number;
  readonly total: number;
  /** zeros / total. */
  readonly sparsity: number;
}

/** How many weights are zero, or not larger than `threshold` in size. Reads values. */
export function sparsityOf(parameters: Iterable<Parameter>, { threshold = 0 }: { readonly threshold?: number } = {}): SparsityReport {
  return noGrad(() => {
    let [zeros, total] = [0, 0];
    for (const p of parameters) {
      zeros += p.abs().le(threshold).float().sum().itemNow();
      total += p.size;
    }
    return { zeros, total, sparsity: total === 0 ? 0 : zeros / total };
  });
}
