import { type Shape, sameShape } from '../core/shape.js';
import { type Spec, specOf } from '../core/spec.js';
import type { LayerNormKernel } from '../program/kernel.js';
import type { Tensor } from '../tensor/tensor.js';
import { defineOp, type Op } from './define.js';

/** Layer norm and RMS norm as one kernel each way: for float32, dense x and statistics over the last dims. */

export interface NormWalk {
  readonly dims: readonly number[];
  /** Layer norm; else RMS norm. */
  readonly centered: boolean;
  readonly weighted: boolean;
  readonly biased: boolean;
}

/** Whether the kernel computes this: weight and bias have the shape of the normalized dims. */
export function hasLayerNorm(x: Tensor, { dims, ...rest }: NormWalk, ...affine: readonly (Tensor | null)[]): boolean {
  const start = x.ndim - dims.length;
  const inner = x.shape.slice(start);
  if (!x.spec.contiguous || x.size === 0 || dims.length === 0 || dims.some((d, i) => d !== start + i)) return false;
  const fits = (t: Tensor | null): boolean => t === null || (t.dtype === 'float32' && sameShape(t.shape, inner));
  return x.dtype === 'float32' && affine.every(fits) && x.device.supports(kernelOf('forward', { dims, ...rest }), ['float32']);
}

const kernelOf = (by: LayerNormKernel['by'], { dims, centered, weighted, biased }: NormWalk): LayerNormKernel => ({
  ...{ family: 'layerNorm', by, centered, weighted, biased },
  dims: dims.length,
});

/** The statistics keep the normalized dims with size 1. */
const statisticsOf = (x: Spec, dims: readonly number[]): Spec =>
  specOf(
    'float32',
    x.shape.map((size, d) => (dims.includes(d) ? 1 : size)),
  );

/** x [, weight] [, bias] → y, [mean], 1/√(variance + eps), [variance]: those of layer norm only. */
export const layerNormForward: Op<[inputs: readonly Tensor[], walk: NormWalk, eps: number], readonly Tensor[]> = defineOp({
  name: 'layerNorm',
  args: (inputs: readonly Tensor[], walk: NormWalk, eps: number) => ({ inputs: dense(inputs), params: walk, scalars: [eps] }),
  infer: ([x], { dims, centered }: NormWalk) => {
    const statistics = statisticsOf(x as Spec, dims);
    return [x as Spec, ...(centered ? [statistics, statistics, statistics] : [statistics])];
  },
  kernel: (walk: NormWalk) => kernelOf('forward', walk),
  result: (outputs) => outputs,
  *samples() {},
  torch: null,
});

/** Gradient of y, x, [mean], 1/√(variance + eps) [, weight] → gradients of x [, weight] [, bias]. */
export const layerNormBackward: Op<[inputs: readonly Tensor[], walk: NormWalk], readonly Tensor[]> = defineOp({
  name: 'layerNormBackward',
  args: (inputs: readonly Tensor[], walk: NormWalk) => ({ inputs: dense(inputs), params: walk }),
  infer: ([, x], { dims, weighted, biased }: NormWalk) => {
    const inner: Shape = (x as Spec).shape.slice(-dims.length);
    return [x as Spec, ...Array(Number(weighted) + Number(biased)).fill(specOf('float32', inner))];
  },
  kernel: (walk: NormWalk) => kernelOf('backward', walk),
  result: (outputs) => outputs,
  *samples() {},
  torch: null,
});

const dense = (inputs: readonly Tensor[]): Tensor[] => inputs.map((x) => x.contiguous());
