import { isFloat } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import { formatShape } from '../core/shape.js';
import { input } from '../expr/expr.js';
import { tensor } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { ctcBatch, ctcEach } from './ctcRows.js';
import { defineComposite, type Op } from './define.js';
import { needFloat } from './fused.js';
import { type CrossEntropyOptions, crossEntropy } from './loss.js';
import { checkReduction, elementwise, type LossOptions } from './lossParts.js';
import { linear } from './matmul.js';

/** Losses of sequences and of large vocabularies. */

/** How long each example of a batch is: (N,) in int32, or numbers. */
export type Lengths = Tensor | readonly number[] | number;

export interface CtcOptions extends LossOptions {
  /** The class that stands for nothing. Default 0. */
  readonly blank?: number;
  /** Give 0, with gradient 0, for targets that no alignment fits, instead of infinity. Default false. */
  readonly zeroInfinity?: boolean;
}

type CtcCall = [logProbs: Tensor, targets: Tensor, inputLengths: Lengths, targetLengths: Lengths, options?: CtcOptions];

/**
 * -log Σ over all alignments of the targets with the steps of logProbs (T, N, C) or (T, C), log-probabilities (Graves et al. 2006).
 * Targets are (N, S), padded, or concatenated (ΣS,). The mean divides each loss by its target's length first. As in PyTorch, the
 * gradient counts on logProbs being normalized: it is p - posterior.
 */
export const ctcLoss: Op<CtcCall> = defineComposite({
  name: 'ctcLoss',
  expects: 'logProbabilities',
  // The gradient is that of normalized log-probabilities, which finite differences of single entries are not.
  kinks: true,
  compose(logProbs: Tensor, targets: Tensor, inputLengths: Lengths, targetLengths: Lengths, options: CtcOptions = {}) {
    const { blank = 0, reduction = 'mean', zeroInfinity = false } = options;
    needFloat('ctcLoss', logProbs);
    checkReduction('ctcLoss', reduction);
    const batch = ctcBatch('ctcLoss', logProbs, targets, inputLengths, targetLengths, blank);
    const each = ctcEach(batch, zeroInfinity);
    if (reduction === 'mean') return elementwise('ctcLoss', [each, batch.targetLengths], input(0).div(input(1).max(1)), 'mean');
    if (reduction === 'sum') return each.sum();
    return logProbs.ndim === 2 ? each.reshape([]) : each;
  },
  *samples(random): Iterable<CtcCall> {
    const labels = (...rows: readonly number[][]): Tensor => tensor(rows, { dtype: 'int32' });
    const probs = (...shape: readonly number[]): Tensor => random(shape, { low: -3, high: -0.2 });
    yield [probs(6, 2, 4), labels([1, 2, 3], [3, 3, 0]), [6, 5], [3, 2]];
    yield [
      probs(6, 2, 4),
      labels([1, 2], [3, 1]),
      tensor([6, 4], { dtype: 'int32' }),
      tensor([2, 1], { dtype: 'int32' }),
      { reduction: 'none' },
    ];
    yield [probs(7, 3, 4), tensor([0, 1, 0, 0, 2], { dtype: 'int32' }), [7, 7, 5], [2, 2, 1], { blank: 3, reduction: 'sum' }]; // concatenated
    yield [probs(5, 4), tensor([2, 1], { dtype: 'int32' }), [5], [2]];
    yield [probs(3, 2, 4), labels([1, 1], [1, 2]), [3, 3], [0, 2], { reduction: 'none' }]; // an empty target
    yield [probs(2, 2, 4), labels([1, 1], [1, 2]), [2, 2], [2, 2], { zeroInfinity: true }]; // two equal labels need three steps
    yield [probs(2, 1, 4), labels([2, 2]), [2], [2], { zeroInfinity: true }]; // flat: the one call whose differences are the gradient
  },
  *errors(random): Iterable<readonly [CtcCall, string]> {
    const targets = tensor([[1, 2]], { dtype: 'int32' });
    yield [[random([4, 1, 3]), targets, [5], [2]], 'whole numbers from 0 to 4, the steps of logProbs, got 5'];
    yield [[random([4, 1, 3]), targets, [4], [3]], 'whole numbers from 0 to 2, the labels there are, got 3'];
    yield [[random([4, 1, 3]), targets, [4, 4], [2]], 'one length for each of the 1 examples, got 2'];
    yield [[random([4, 1, 3]), targets, [4], [2], { blank: 3 }], 'blank must be a class, 0 to 2, got 3'];
    yield [[random([4, 1, 2]), targets, [4], [2]], 'out of range for dimension of size 2'];
    yield [[random([4, 2, 3]), targets, [4, 4], [2, 2]], 'targets must be (2, S)'];
    yield [[random([4, 2, 3]), targets.reshape([2]), [4, 4], [2, 1]], 'as many labels as targetLengths add up to, got 2 for 3'];
    yield [[random([4]), targets, [4], [2]], 'must be (T, N, C) or (T, C)'];
    yield [[random([4, 1, 3]), targets, [4], [2], { reduction: 'average' as 'mean' }], "got 'average'"];
  },
  torch: {
    call:
      'torch.nn.functional.ctc_loss(a[0], a[1].long(), *(torch.as_tensor(l) if a[0].dim() == 3 else torch.as_tensor(l[0]) for l in a[2:]), ' +
      '**o)',
  },
});

export interface LinearCrossEntropyOptions extends CrossEntropyOptions {
  /** (C,) or (C, d1, …). Default: none. */
  readonly linearBias?: Tensor | null;
}

type LinearCall = [x: Tensor, linearWeight: Tensor, target: Tensor, options?: LinearCrossEntropyOptions];

/**
 * {@link crossEntropy} of x Wᵀ + b: x (N, features) or (features,), weight (C, features) or (C, d1, …, features). Targets as there.
 * @example linearCrossEntropy(randn([8, 16]), randn([100, 16]), randint(0, 100, [8])).shape // []
 */
export const linearCrossEntropy: Op<LinearCall> = defineComposite({
  name: 'linearCrossEntropy',
  expects: 'features',
  compose(x: Tensor, linearWeight: Tensor, target: Tensor, { linearBias = null, ...options }: LinearCrossEntropyOptions = {}) {
    if (linearWeight.ndim < 2 || x.ndim < 1 || x.ndim > 2 || x.sizeAt(-1) !== linearWeight.sizeAt(-1)) {
      const got = `${formatShape(x.shape)} and ${formatShape(linearWeight.shape)}`;
      throw new LibError(
        'shape',
        `linearCrossEntropy: x must be (N, features) or (features,) and the weight (C, …, features), got ${got}.`,
      );
    }
    const outer = linearWeight.shape.slice(0, -1);
    if (outer.length > 1 && x.ndim === 1)
      throw new LibError(
        'shape',
        `linearCrossEntropy: several losses of one weight need a batch (N, features), got shapes ${formatShape(x.shape)} and ${formatShape(linearWeight.shape)}.`,
      );
    if (options.ignoreIndex !== undefined && isFloat(target.dtype))
      throw new LibError('option', `linearCrossEntropy: ignoreIndex is for class targets, got targets of type ${target.dtype}.`);
    const logits = linear(x, linearWeight.reshape([-1, linearWeight.sizeAt(-1)]), linearBias?.reshape([-1]) ?? null);
    return crossEntropy(logits.reshape([...x.shape.slice(0, -1), ...outer]), target, options);
  },
  *samples(random): Iterable<LinearCall> {
    yield [random([4, 5]), random([3, 5]), random.integers([4], 0, 3)];
    yield [random([4, 5]), random([3, 5]), random.integers([4], 0, 3), { linearBias: random([3]), labelSmoothing: 0.1 }];
    yield [random([4, 5]), random([3, 2, 5]), random.integers([4, 2], 0, 3), { reduction: 'none' }];
    yield [random([5]), random([3, 5]), random.integers([], 0, 3)];
  },
  *errors(random): Iterable<readonly [LinearCall, string]> {
    yield [[random([4, 5]), random([3, 4]), random.integers([4], 0, 3)], 'got (4, 5) and (3, 4)'];
    yield [[random([4, 5]), random([3, 5]), random.integers([4], 3, 4)], 'out of range for dimension of size 3'];
    yield [[random([4, 5]), random([3, 5]), random([4, 3]), { ignoreIndex: 0 }], 'ignoreIndex is for class targets'];
    yield [[random([5]), random([3, 2, 5]), random([3, 2])], 'need a batch'];
  },
  torch: { call: 'torch.nn.functional.linear_cross_entropy(a[0], a[1], a[2].long(), **o)' },
});
