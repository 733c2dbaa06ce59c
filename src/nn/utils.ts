import { LibError } from '../core/errors.js';
import { cat } from '../ops/join.js';
import { noGrad } from '../tensor/autograd.js';
import { zerosLike } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import type { Conv1d, Conv2d, Conv3d, ConvTranspose1d, ConvTranspose2d, ConvTranspose3d } from './conv.js';
import type { Linear } from './linear.js';
import { type AnyModule, Parameter } from './module.js';
import type { BatchNorm1d, BatchNorm2d, BatchNorm3d } from './norm.js';

/** torch.nn.utils: parameters as one vector, and layers joined with the batch norm behind them. */

/** All parameters end to end as one vector; gradients flow (torch.nn.utils.parameters_to_vector). */
export function parametersToVector(parameters: Iterable<Tensor>): Tensor {
  const parts = [...parameters];
  if (parts.length === 0) throw new LibError('value', 'parametersToVector: there must be parameters, got none.');
  return cat(parts.map((p) => p.reshape([p.size])));
}

/** Writes a vector into the parameters, one after another (torch.nn.utils.vector_to_parameters). */
export function vectorToParameters(vector: Tensor, parameters: Iterable<Tensor>): void {
  const parts = [...parameters];
  const total = parts.reduce((n, p) => n + p.size, 0);
  if (vector.ndim !== 1 || vector.size !== total) {
    const got = `shape (${vector.shape.join(', ')}) for ${total} numbers`;
    throw new LibError('shape', `vectorToParameters: the vector must have as many elements as the parameters, got ${got}.`);
  }
  noGrad(() => {
    let at = 0;
    for (const p of parts) {
      p.copy_(vector.detach().narrow(0, at, p.size).reshape(p.shape));
      at += p.size;
    }
  });
}

/** What a batch norm does to a channel: running statistics, scale and shift. */
export interface NormValues {
  readonly runningMean: Tensor;
  readonly runningVar: Tensor;
  readonly eps: number;
  readonly weight?: Tensor | null;
  readonly bias?: Tensor | null;
}

function fused(weight: Tensor, bias: Tensor | null, channel: number, norm: NormValues): [weight: Parameter, bias: Parameter] {
  return noGrad(() => {
    const gain = norm.runningVar
      .add(norm.eps)
      .rsqrt()
      .mul(norm.weight ?? 1);
    const before = bias ?? zerosLike(norm.runningMean);
    const along = weight.shape.map((_, d) => (d === channel ? gain.size : 1));
    const shifted = before.sub(norm.runningMean).mul(gain);
    const after = norm.bias ? shifted.add(norm.bias) : shifted;
    return [new Parameter(weight.detach().mul(gain.detach().reshape(along))), new Parameter(after.detach())];
  });
}

/** A convolution's weight and bias with a batch norm's arithmetic in them (torch.nn.utils.fuse_conv_bn_weights). */
export function fuseConvBnWeights(
  weight: Tensor,
  bias: Tensor | null,
  norm: NormValues,
  { transpose = false }: { readonly transpose?: boolean } = {},
): [weight: Parameter, bias: Parameter] {
  return fused(weight, bias, transpose ? 1 : 0, norm);
}
/** A linear layer's weight and bias with a batch norm's arithmetic in them (torch.nn.utils.fuse_linear_bn_weights). */
export const fuseLinearBnWeights = (weight: Tensor, bias: Tensor | null, norm: NormValues): [weight: Parameter, bias: Parameter] =>
  fused(weight, bias, 0, norm);

type AnyBatchNorm = BatchNorm1d | BatchNorm2d | BatchNorm3d;
type AnyConv = Conv1d | Conv2d | Conv3d | ConvTranspose1d | ConvTranspose2d | ConvTranspose3d;

function valuesOf(op: string, layer: AnyModule, norm: AnyBatchNorm): NormValues {
  if (layer.training || norm.training)
    throw new LibError('state', `${op}: the layer and the norm must be in evaluation mode, got training.`, 'call eval() on both first.');
  const { runningMean, runningVar, eps, weight, bias } = norm;
  if (!runningMean || !runningVar) throw new LibError('state', `${op}: the norm must keep running statistics, got none.`);
  return { runningMean, runningVar, eps, weight, bias };
}
function withWeights<M extends AnyModule>(layer: M, [weight, bias]: readonly [Parameter, Parameter]): M {
  return Object.assign(layer.clone(), { weight, bias });
}

/**
 * A new convolution that does what a convolution and the batch norm behind it do in evaluation (torch.nn.utils.fuse_conv_bn_eval).
 * @example
 * const [conv, norm] = [new Conv2d(1, 4, 3).eval(), new BatchNorm2d(4).eval()];
 * const y = fuseConvBnEval(conv, norm).forward(zeros([1, 1, 8, 8])); // (1, 4, 6, 6)
 */
export function fuseConvBnEval<M extends AnyConv>(
  conv: M,
  norm: AnyBatchNorm,
  { transpose = conv.constructor.name.startsWith('ConvTranspose') }: { readonly transpose?: boolean } = {},
): M {
  const values = valuesOf('fuseConvBnEval', conv as unknown as AnyModule, norm);
  const { weight, bias } = conv;
  return withWeights(conv as unknown as AnyModule, fuseConvBnWeights(weight, bias, values, { transpose })) as unknown as M;
}
/** A new linear layer that does what one and the batch norm behind it do in evaluation (torch.nn.utils.fuse_linear_bn_eval). */
export function fuseLinearBnEval(linear: Linear, norm: AnyBatchNorm): Linear {
  const values = valuesOf('fuseLinearBnEval', linear as unknown as AnyModule, norm);
  const weights = fuseLinearBnWeights(linear.weight, linear.bias, values);
  return withWeights(linear as unknown as AnyModule, weights) as unknown as Linear;
}
