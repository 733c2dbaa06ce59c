import type { LossInput } from '../ops/define.js';

/** Which output belongs to which loss: plain data, read by advice and by the doctor. */

/** What a model's last step makes. */
export type OutputKind = 'identity' | 'sigmoid' | 'softmax' | 'logSigmoid' | 'logSoftmax';

export interface LossPairing {
  readonly task: string;
  readonly output: OutputKind;
  /** What the loss must declare (its module's or row's `expects`). */
  readonly expects: LossInput;
  readonly losses: readonly string[];
  /** The gradient by the raw score, where it is the canonical prediction - target. */
  readonly gradient?: string;
}

/** The pairs that belong together. The model's output goes into the loss as it is. */
export const lossPairings: readonly LossPairing[] = [
  {
    task: 'regression',
    output: 'identity',
    expects: 'values',
    losses: ['mseLoss', 'l1Loss', 'smoothL1Loss', 'huberLoss'],
    gradient: 'ŷ - y',
  },
  {
    task: 'two classes',
    output: 'identity',
    expects: 'logits',
    losses: ['binaryCrossEntropyWithLogits', 'softMarginLoss'],
    gradient: 'σ(z) - y',
  },
  { task: 'two classes', output: 'sigmoid', expects: 'probabilities', losses: ['binaryCrossEntropy'], gradient: 'σ(z) - y' },
  { task: 'classes', output: 'identity', expects: 'logits', losses: ['crossEntropy', 'focalCrossEntropy'], gradient: 'p - y' },
  { task: 'classes', output: 'logSoftmax', expects: 'logProbabilities', losses: ['nllLoss', 'klDiv', 'ctcLoss'], gradient: 'p - y' },
  {
    task: 'several labels',
    output: 'identity',
    expects: 'logits',
    losses: ['binaryCrossEntropyWithLogits', 'multilabelSoftMarginLoss'],
    gradient: 'σ(z) - y',
  },
  { task: 'masks', output: 'sigmoid', expects: 'probabilities', losses: ['diceLoss', 'iouLoss'] },
  { task: 'margins', output: 'identity', expects: 'scores', losses: ['hingeLoss', 'multiMarginLoss', 'multilabelMarginLoss'] },
];

export interface PairingProblem {
  readonly problem: string;
  readonly fix: string;
}

const takes: Readonly<Record<OutputKind, readonly LossInput[]>> = {
  identity: ['logits', 'values', 'scores', 'embeddings', 'distances', 'features'],
  sigmoid: ['probabilities'],
  softmax: ['probabilities'],
  logSigmoid: ['logProbabilities'],
  logSoftmax: ['logProbabilities'],
};

/**
 * What is wrong with a loss that declares `expects` behind an output, or null. `labels: 'several'` when an example may have more than
 * one label.
 * @example checkPairing('softmax', 'logits')?.fix // 'take the softmax away: the loss applies it itself.'
 */
export function checkPairing(
  output: OutputKind,
  expects: LossInput,
  { labels = 'one' }: { readonly labels?: 'one' | 'several' } = {},
): PairingProblem | null {
  if (labels === 'several' && (output === 'softmax' || output === 'logSoftmax')) {
    return {
      problem: 'softmax makes labels compete that may hold together',
      fix: 'use one sigmoid a label: binaryCrossEntropyWithLogits on the logits.',
    };
  }
  if (takes[output].includes(expects)) return null;
  if (expects === 'logits') {
    const problem = `the loss applies its own squashing to what ${output} has squashed already, so gradients shrink and confidence is bounded`;
    return { problem, fix: `take the ${output} away: the loss applies it itself.` };
  }
  if (expects === 'values' || expects === 'scores') {
    const problem = `behind ${output} the gradient of this loss vanishes where the model is surely wrong`;
    return { problem, fix: 'use cross entropy on the logits, or an identity output for regression.' };
  }
  if (expects === 'logProbabilities')
    return { problem: `the loss reads logarithms, ${output} gives none`, fix: 'end with logSoftmax, or use crossEntropy on the logits.' };
  return {
    problem: `the loss reads ${expects}, ${output} gives something else`,
    fix: `convert the output to ${expects}, or choose the loss for logits.`,
  };
}
