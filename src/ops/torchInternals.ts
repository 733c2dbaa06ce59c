import { type DType, promote } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import { formatShape, sameShape } from '../core/shape.js';
import { zeros } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { type AttentionOptions, scaledDotProductAttention } from './attention.js';
import { attentionScores } from './attentionScores.js';
import type { PerDim } from './convShape.js';
import type { Op } from './define.js';
import { nativeBatchNorm, type WithStatistics } from './nativeForms.js';
import { windowsOf } from './poolRows.js';
import { composed, derived } from './shortRows.js';

/** What PyTorch's layers and their backward passes are made of, where programs call that by name. */

/** The gradient of softmax along a dim, from the result's and the result (torch._softmax_backward_data). */
export const softmaxBackwardData: Op<[g: Tensor, output: Tensor, dim: number, inputDtype: DType]> = composed(
  'softmaxBackwardData',
  (gradient, output, dim, inputDtype) => {
    const g = gradient.to(promote(gradient.dtype, inputDtype));
    return output.mul(g.sub(g.mul(output).sum({ dim, keepdim: true }))).to(inputDtype);
  },
  (random) => [
    [random([2, 3, 4]), random([2, 3, 4]), 1, 'float64'],
    [random([5]), random([5]), -1, 'float64'],
  ],
  {
    torch: '(lambda g, y, dim, t: torch._softmax_backward_data(g.to(t), y.to(t), dim, t))(*a[:3], getattr(torch, a[3]))',
    errors: (random) => [[[random([2]), random([2]), 1, 'float32'], 'out of range']],
  },
);

type PoolBackwardArgs = [
  g: Tensor,
  x: Tensor,
  kernelSize: PerDim,
  stride: PerDim,
  padding: PerDim,
  dilation: PerDim,
  ceilMode: boolean,
  indices: Tensor,
];
const back = 'maxPool2dWithIndicesBackward';
/** The gradient of {@link maxPool2dWithIndices} by x: each window's goes to its winner. */
export const maxPool2dWithIndicesBackward: Op<PoolBackwardArgs> = composed(
  back,
  (g, x, kernelSize, stride, padding, dilation, ceilMode, indices) => {
    const shape = windowsOf(back, 2, x, kernelSize, { stride, padding, dilation, ceilMode }).slice(4 - x.ndim);
    if (![g, indices].every((t) => sameShape(t.shape, shape))) {
      const got = `${formatShape(g.shape)} and ${formatShape(indices.shape)}`;
      throw new LibError('shape', `${back}: the gradient and indices must be ${formatShape(shape)}, got ${got}.`);
    }
    const flat = (t: Tensor): Tensor => t.flatten({ startDim: -2 });
    return zeros(flat(x).shape, { dtype: g.dtype, device: g.device }).scatterAdd(-1, flat(indices), flat(g)).reshape(x.shape);
  },
  (random) => [
    [random([1, 2, 3, 2]), random([1, 2, 5, 4]), 3, 2, 1, [1, 1], false, random.integers([1, 2, 3, 2], 0, 20)],
    [random([2, 2, 2]), random([2, 4, 4]), [2, 2], [], 0, 1, true, random.integers([2, 2, 2], 0, 16)],
  ],
  {
    torch:
      'torch.ops.aten.max_pool2d_with_indices_backward(*[[v] if isinstance(v, int) and not isinstance(v, bool) else v for v in a[:7]], a[7].long())',
    errors: (random) => [
      [[random([2, 2, 2]), random([2, 5, 4]), 2, 2, 0, 1, true, random.integers([2, 2, 2], 0, 9)], 'must be (2, 3, 2), got (2, 2, 2)'],
      [[random([2, 2, 2]), random([2, 4, 4]), 2, 2, 0, 1, false, random.integers([2, 2, 2], 16, 20)], 'out of range'],
    ],
  },
);

/** {@link nativeBatchNorm} under the name that it has where running statistics are known to change (torch._native_batch_norm_legit). */
export const nativeBatchNormLegit: typeof nativeBatchNorm = derived(
  'nativeBatchNormLegit',
  nativeBatchNorm,
  (found) => found,
  'torch._native_batch_norm_legit(*a[:3], *a[5:])',
);

type Maybe = Tensor | null;
type UpdateArgs = [x: Tensor, weight: Maybe, bias: Maybe, runningMean: Maybe, runningVar: Maybe, momentum: number, eps: number];
/** {@link nativeBatchNorm} in training; what it reserves for a backward pass is empty (torch._batch_norm_with_update). */
export const batchNormWithUpdate: Op<UpdateArgs, readonly [...WithStatistics, reserve: Tensor]> = composed(
  'batchNormWithUpdate',
  (x, weight, bias, runningMean, runningVar, momentum, eps) => [
    ...nativeBatchNorm(x, weight, bias, runningMean, runningVar, true, momentum, eps),
    zeros([0], { dtype: 'uint8', device: x.device }),
  ],
  (random) => [[random([8, 2, 3]), random([2]), random([2]), null, null, 0.1, 1e-5]],
  { torch: 'torch.ops.aten._batch_norm_with_update(*a[:3], torch.zeros(2, dtype=a[0].dtype), torch.ones(2, dtype=a[0].dtype), *a[5:])' },
);

type AttentionArgs = [q: Tensor, k: Tensor, v: Tensor, options?: Omit<AttentionOptions, 'enableGqa'>];
/** {@link scaledDotProductAttention} of (batch, heads, …), and the logarithm of each query's Σ e^score, through which no gradient flows. */
export const scaledDotProductFlashAttentionForCpu: Op<AttentionArgs, readonly [y: Tensor, logSums: Tensor]> = composed(
  'scaledDotProductFlashAttentionForCpu',
  (q, k, v, options = {}) => {
    const y = scaledDotProductAttention(q, k, v, options);
    const { attnMask = null, isCausal = false, scale = 1 / Math.sqrt(q.sizeAt(-1)) } = options;
    const [queries, keys, mask] = [q, k, attnMask].map((t) => t?.detach() ?? null) as [Tensor, Tensor, Maybe];
    return [y, attentionScores(queries, keys, mask, isCausal, scale).logsumexp({ dim: -1 })];
  },
  (random) => [
    [random([1, 2, 3, 4]), random([1, 2, 5, 4]), random([1, 2, 5, 4])],
    [random([1, 2, 3, 4]), random([1, 2, 3, 4]), random([1, 2, 3, 4]), { isCausal: true }],
    [random([1, 2, 3, 4]), random([1, 2, 5, 4]), random([1, 2, 5, 4]), { attnMask: random([3, 5]), scale: 0.7 }],
  ],
  {
    torch: 'torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(*a, **o)',
    errors: (random) => [[[random([1, 1, 3, 4]), random([1, 1, 3, 5]), random([1, 1, 3, 4])], 'must agree']],
  },
);
