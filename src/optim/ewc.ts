import { LibError } from '../core/errors.js';
import { ewcPenalty } from '../nn/lossHelpers.js';
import type { Parameter } from '../nn/module.js';
import { multinomial } from '../ops/random.js';
import { grad, noGrad } from '../tensor/autograd.js';
import { tensor, zerosLike } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { checkNumber } from './optimizer.js';

export interface FisherOptions {
  /** Use these labels, one for each example, instead of drawing them from the model (the empirical Fisher). */
  readonly labels?: Iterable<number>;
}

/**
 * The diagonal of the Fisher information: the mean over examples of (∂ log p(y | x) / ∂θ)², with y drawn from the model.
 * `logProbabilities` gives the log-probabilities of the classes for one example, (classes) or (1, classes).
 */
export function fisherDiagonal<X>(
  parameters: Iterable<Parameter>,
  examples: Iterable<X>,
  logProbabilities: (example: X) => Tensor,
  { labels }: FisherOptions = {},
): Tensor[] {
  const params = [...parameters];
  const sums = noGrad(() => params.map((p) => zerosLike(p)));
  const given = labels?.[Symbol.iterator]();
  let count = 0;
  for (const example of examples) {
    const logs = logProbabilities(example).reshape([-1]);
    const label =
      given === undefined ? noGrad(() => multinomial(logs.exp(), 1)) : tensor([nextLabel(given, logs.size)], { dtype: 'int32' });
    const grads = grad(logs.indexSelect(0, label).sum(), params, { allowUnused: true });
    noGrad(() => {
      grads.forEach((g, i) => {
        if (g !== null) sums[i]?.add_(g.square());
      });
    });
    count++;
  }
  if (count === 0) throw new LibError('value', 'fisherDiagonal: there must be examples, got none.');
  return noGrad(() => sums.map((s) => s.div(count)));
}

function nextLabel(labels: Iterator<number>, classes: number): number {
  const { value, done } = labels.next();
  const label = done === true ? Number.NaN : (value as number);
  checkNumber(
    'fisherDiagonal',
    'labels',
    label,
    (v) => Number.isInteger(v) && v >= 0 && v < classes,
    `one class of ${classes} for each example`,
  );
  return label;
}

/**
 * Elastic weight consolidation (Kirkpatrick et al. 2017): (λ / 2) Σ F (θ - θ*)², which holds weights that an earlier task needs.
 * @example
 * const w = new Parameter(tensor([1, 2]));
 * const memory = new EWC([w], [tensor([1, 10])]);
 * noGrad(() => w.add_(1));
 * console.assert(memory.penalty(2).itemNow() === 11);
 */
export class EWC {
  private readonly params: readonly Parameter[];
  /** Where the parameters were. */
  readonly anchor: readonly Tensor[];

  constructor(
    parameters: Iterable<Parameter>,
    readonly fisher: readonly Tensor[],
  ) {
    this.params = [...parameters];
    if (fisher.length !== this.params.length) {
      throw new LibError('value', `EWC: there must be one importance for each parameter, got ${fisher.length} for ${this.params.length}.`);
    }
    this.anchor = noGrad(() => this.params.map((p) => p.detach().clone()));
  }

  /** What to add to the loss of the next task. */
  penalty(lambda: number): Tensor {
    return ewcPenalty(this.params, this.anchor, this.fisher, lambda);
  }
}
