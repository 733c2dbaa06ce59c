import { LibError } from '../core/errors.js';
import type { Tensor } from '../tensor/tensor.js';
import type { EpochRecord } from './progress.js';

export interface SuspiciousLabel {
  readonly index: number;
  readonly label: number;
  /** The class that the models say instead. */
  readonly predicted: number;
  /** -log of the probability of the label, by a model that had not seen the item. */
  readonly loss: number;
}

/**
 * Items whose labels are least believable, the worst first: by their loss under out-of-fold outputs ({@link crossValidate}), logits
 * (items, classes). Relabel them or leave them out.
 */
export function suspiciousLabels(outOfFold: Tensor, labels: ArrayLike<number> | Tensor): SuspiciousLabel[] {
  const [items = 0, classes = 0] = outOfFold.shape;
  const list = 'toArray' in labels ? labels.toArray() : labels;
  if (outOfFold.ndim !== 2 || list.length !== items)
    throw new LibError(
      'shape',
      `suspiciousLabels: there must be outputs (items, classes) and a label each, got (${outOfFold.shape.join(', ')}) and ${list.length}.`,
    );
  const logs = outOfFold.detach().logSoftmax({ dim: 1 }).toArray();
  return Array.from({ length: items }, (_, index) => {
    const row = Array.from(logs.subarray(index * classes, (index + 1) * classes));
    const label = list[index] as number;
    return { index, label, predicted: row.indexOf(Math.max(...row)), loss: -(row[label] ?? Number.NEGATIVE_INFINITY) };
  }).sort((a, b) => b.loss - a.loss);
}

/** A score over epochs, of both sides. */
export interface LearningCurve {
  readonly epochs: readonly number[];
  readonly train: readonly number[];
  /** NaN in epochs without validation. */
  readonly validation: readonly number[];
}

/** A score of `fit`'s history as a curve. Over numbers of samples: {@link sweep}. */
export function learningCurve(history: readonly EpochRecord[], score = 'loss'): LearningCurve {
  const known = Object.keys(history[0]?.train ?? {});
  if (history.length > 0 && !known.includes(score) && history[0]?.validation?.[score] === undefined)
    throw new LibError('option', `learningCurve: score must be one of ${known.join(', ')}, got '${score}'.`);
  return {
    epochs: history.map((h) => h.epoch + 1),
    train: history.map((h) => h.train[score] ?? Number.NaN),
    validation: history.map((h) => h.validation?.[score] ?? Number.NaN),
  };
}
