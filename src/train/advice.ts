import { adviseInit as adviseInitOf } from '../nn/initAudit.js';

/** What is known of a model and its task; leave out what is not. */
export interface Situation {
  readonly architecture?: 'mlp' | 'cnn' | 'transformer' | 'recurrent' | 'gan' | 'styleTransfer';
  /** Layers, roughly. */
  readonly depth?: number;
  readonly batchSize?: number;
  readonly normalization?: 'none' | 'batch' | 'layer' | 'group';
  readonly activation?: string;
  readonly residual?: boolean;
  /** Most parameters are tables of which a batch touches few rows. */
  readonly sparseEmbeddings?: boolean;
  readonly memoryBound?: boolean;
  /** Few parameters, a smooth loss and all data in one batch. */
  readonly smallFullBatch?: boolean;
  readonly examples?: number;
  /** Share of hidden units that never fire. */
  readonly deadUnits?: number;
  readonly languageModel?: boolean;
  readonly weightDecay?: number;
  readonly optimizer?: string;
  readonly task?: 'regression' | 'binary' | 'multiclass' | 'multilabel' | 'positive';
}

/** A suggestion with its reason. Nothing applies it. */
export interface Advice {
  readonly use: string;
  readonly because: string;
}

interface Rule extends Advice {
  readonly when: (s: Situation) => boolean;
}

const deep = (s: Situation): boolean => (s.depth ?? 0) >= 20;

const optimizers: readonly Rule[] = [
  {
    when: (s) => s.optimizer?.toLowerCase() === 'adam' && (s.weightDecay ?? 0) > 0,
    use: 'AdamW in place of Adam with weightDecay',
    because: "Adam divides the penalty's gradient by its own size, so weights with large gradients hardly decay.",
  },
  {
    when: (s) => s.sparseEmbeddings === true,
    use: 'SparseAdam or Adagrad for the embeddings (sparse: true)',
    because: 'rows that a batch does not touch neither move nor forget their averages, and cost nothing.',
  },
  {
    when: (s) => s.smallFullBatch === true,
    use: "LBFGS with lineSearchFn: 'strongWolfe'",
    because: 'without noise in the gradient its curvature can be learned, which takes far fewer steps.',
  },
  {
    when: (s) => s.memoryBound === true,
    use: 'SGD with momentum, or Lion',
    because: 'they keep one number per parameter where Adam keeps two.',
  },
  {
    when: (s) => s.architecture === 'transformer' || s.languageModel === true,
    use: 'AdamW with a warm-up and a cosine (WarmupCosineLR)',
    because: 'gradients differ in size between layers by orders of magnitude, and early second averages are not to be trusted.',
  },
  {
    when: (s) => s.architecture === 'cnn',
    use: 'SGD with momentum 0.9, lr 0.1 and decay 1e-4, or AdamW',
    because: 'tuned SGD often generalizes a little better on images; AdamW needs less tuning.',
  },
  { when: () => true, use: 'AdamW with lr 1e-3', because: 'it works without much tuning on nearly everything.' },
];

const activations: readonly Rule[] = [
  {
    when: (s) => s.architecture === 'recurrent',
    use: 'tanh for states and sigmoid for gates',
    because: 'what is fed back must stay bounded.',
  },
  {
    when: (s) => s.languageModel === true,
    use: 'SwiGLU in the feed-forward layers',
    because: 'gated units reach a lower loss at equal size in language models.',
  },
  {
    when: (s) => s.architecture === 'transformer' || deep(s),
    use: 'GELU or SiLU',
    because: 'they are smooth and let small negative values through, which deep stacks train better with.',
  },
  {
    when: (s) => (s.deadUnits ?? 0) > 0.2,
    use: 'LeakyReLU, then PReLU or ELU, then SiLU',
    because: 'a unit that never fires has no gradient under ReLU and cannot come back.',
  },
  {
    when: (s) => s.architecture === 'mlp' && s.normalization === 'none' && (s.depth ?? 0) > 4,
    use: 'SELU with LeCun normal initial weights (and alpha dropout)',
    because: 'it keeps mean and variance of activations by itself in plain feed-forward nets.',
  },
  { when: () => true, use: 'ReLU', because: 'it is cheap, does not saturate above zero, and is a hard baseline to beat.' },
];

const outputs: Readonly<Record<NonNullable<Situation['task']>, Advice>> = {
  regression: { use: 'no activation, with a squared or Huber loss', because: 'targets may have any value.' },
  binary: { use: 'no activation, with binaryCrossEntropyWithLogits', because: 'sigmoid and logarithm together are stable.' },
  multiclass: { use: 'no activation, with crossEntropy', because: 'it contains the softmax, in its stable form.' },
  multilabel: { use: 'no activation, with binaryCrossEntropyWithLogits', because: 'every label is a decision of its own.' },
  positive: { use: 'softplus or exp', because: 'the result must be above zero.' },
};

const normalizations: readonly Rule[] = [
  { when: (s) => s.architecture === 'styleTransfer', use: 'InstanceNorm', because: 'contrast and color of one image are its style.' },
  {
    when: (s) => s.architecture === 'transformer' || s.architecture === 'recurrent',
    use: 'LayerNorm or RMSNorm',
    because: 'statistics of a token do not depend on the length of sequences or on the rest of the batch.',
  },
  {
    when: (s) => s.batchSize === 1 || s.architecture === 'gan',
    use: 'no BatchNorm: LayerNorm, GroupNorm or spectral norm',
    because: 'samples of a batch must not see each other, or there is but one.',
  },
  {
    when: (s) => s.architecture === 'cnn' && (s.batchSize ?? 32) < 16,
    use: 'GroupNorm with 32 groups',
    because: 'means over few samples are noisy, and other in evaluation than in training.',
  },
  { when: (s) => s.architecture === 'cnn', use: 'BatchNorm', because: 'with large batches it trains fastest and regularizes.' },
  { when: () => true, use: 'LayerNorm, or none up to a few layers', because: 'shallow nets with sound initial weights do without.' },
];

const regularizers: readonly Rule[] = [
  {
    when: (s) => s.languageModel === true,
    use: 'little or no dropout, weight decay 0.1',
    because: 'pretraining sees each token about once: there is little to overfit.',
  },
  {
    when: (s) => s.architecture === 'cnn' && s.normalization === 'batch',
    use: 'no dropout between a convolution and its BatchNorm; augmentation and decay 1e-4',
    because: 'dropout changes the variance that BatchNorm has measured, between training and evaluation.',
  },
  {
    when: (s) => s.architecture === 'mlp' && (s.examples ?? 0) < 100_000,
    use: 'dropout 0.2 to 0.5 in hidden layers, and light weight decay',
    because: 'small fully connected nets memorize small data.',
  },
  { when: () => true, use: 'both lightly: dropout 0.1, weight decay 0.01', because: 'they act on different things and are cheap.' },
];

const choose = (rules: readonly Rule[], s: Situation): Advice[] =>
  rules.filter(({ when }) => when(s)).map(({ use, because }) => ({ use, because }));

/**
 * Suggests an optimizer, best first, each with its reason.
 * @example adviseOptimizer({ architecture: 'transformer' })[0].use // 'AdamW with a warm-up and a cosine (WarmupCosineLR)'
 */
export const adviseOptimizer = (s: Situation): readonly Advice[] => choose(optimizers, s);
/** Suggests activations of hidden layers, best first, and with `task` the last layer's. */
export const adviseActivation = (s: Situation): { readonly hidden: readonly Advice[]; readonly output: Advice | null } => ({
  hidden: choose(activations, s),
  output: s.task === undefined ? null : outputs[s.task],
});
/** Suggests how weights begin, best first. */
export function adviseInit(s: Situation): readonly Advice[] {
  const parts = [s.architecture === 'recurrent' && 'LSTM', s.residual === true && deep(s) && 'Residual', s.activation ?? 'ReLU'];
  const normalized = (s.normalization ?? 'none') !== 'none';
  return parts
    .filter((part) => part !== false)
    .map((part) => adviseInitOf(part, { normalized }))
    .map(({ weights, reason }) => ({ use: weights, because: reason }));
}
/** Suggests a normalization, best first. */
export const adviseNormalization = (s: Situation): readonly Advice[] => choose(normalizations, s);
/** Suggests how much dropout and weight decay, best first. */
export const adviseRegularization = (s: Situation): readonly Advice[] => choose(regularizers, s);
