import { type Spec, specOf } from '../core/spec.js';
import type { AttentionKernel } from '../program/kernel.js';
import type { Tensor } from '../tensor/tensor.js';
import { isGradEnabled } from './apply.js';
import { composedGradient } from './composed.js';
import { defineOp, type Op } from './define.js';

/** Attention as one kernel, forward and backward: the matrix of weights is never written down. */

interface AttentionParams {
  readonly causal: boolean;
  readonly mask: AttentionKernel['mask'];
}

/** softmax(q kᵀ · scale + mask) v from other rows: the definition, and what is differentiated when gradients must be. */
export type ComposedAttention = (q: Tensor, k: Tensor, v: Tensor, mask: Tensor | null, causal: boolean, scale: number) => Tensor;

const name = 'scaledDotProductAttention';
const maskOf = (mask: Tensor | null | undefined): AttentionKernel['mask'] => (!mask ? 'none' : mask.dtype === 'bool' ? 'bool' : 'float');
const kernelOf = (by: AttentionKernel['by'], { causal, mask }: AttentionParams): AttentionKernel => ({
  family: 'attention',
  by,
  causal,
  mask,
});
const given = (...inputs: readonly (Tensor | null)[]): Tensor[] => inputs.filter((x) => x !== null);

/** Whether the tensors' device has the kernel for them. A mask that is learned needs the composition. */
export function hasAttention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | null): boolean {
  const floats = mask === null || mask.dtype === 'bool' ? [q, k, v] : [q, k, v, mask];
  if (floats.some((x) => x.dtype !== 'float32') || mask?.requiresGrad) return false;
  return q.device.supports(kernelOf('forward', { causal: false, mask: maskOf(mask) }), ['float32']);
}

/** (…, heads, n, e) as the kernel lays it out: (…, n, heads, e), so that joining the heads again is a view. */
const swapped = (x: Tensor): Tensor => (x.ndim > 3 ? x.transpose(-3, -2) : x);

function interleaved(batch: readonly number[], rows: number, width: number): number[] {
  return batch.length < 2 ? [...batch, rows, width] : [...batch.slice(0, -1), rows, batch.at(-1) ?? 1, width];
}

type Forward = (
  compose: ComposedAttention,
) => Op<[q: Tensor, k: Tensor, v: Tensor, mask: Tensor | null, causal: boolean, scale: number], Tensor>;

/** The row, for q, k, v with equal batch dims and a mask (…, queries, keys): (…, queries, heads, values) where there are heads. */
const attentionRow: Forward = (compose) =>
  defineOp({
    name,
    args: (q: Tensor, k: Tensor, v: Tensor, mask: Tensor | null, causal: boolean, scale: number) => ({
      inputs: given(q, k, v, mask),
      params: { causal, mask: maskOf(mask) },
      scalars: [scale],
    }),
    infer: ([q, , v]) => {
      const { shape } = q as Spec;
      const batch = shape.slice(0, -2);
      const rows = shape.at(-2) ?? 1;
      return [specOf('float32', interleaved(batch, rows, (v as Spec).shape.at(-1) ?? 1)), specOf('float32', [...batch, rows])];
    },
    kernel: (params: AttentionParams) => kernelOf('forward', params),
    saves: ({ mask }) => (mask === 'none' ? [0, 1, 2, 'output'] : [0, 1, 2, 3, 'output']),
    differentiable: [0],
    grad: ([g], { inputs, outputs, params, scalars, needs }) => {
      if (!g) return [];
      const [q, k, v] = inputs as readonly [Tensor, Tensor, Tensor];
      const mask = inputs[3] ?? null;
      const scale = scalars[0] ?? 1;
      if (isGradEnabled()) {
        const again = ([a, b, c, d]: readonly Tensor[]): Tensor[] => [
          swapped(compose(a as Tensor, b as Tensor, c as Tensor, d ?? null, params.causal, scale)),
        ];
        return composedGradient(name, again, inputs, [g], needs);
      }
      return attentionBackward(given(q, k, v, outputs[0] as Tensor, outputs[1] as Tensor, mask, g), params, scale).map(swapped);
    },
    *samples() {},
    torch: null,
  });

const attentionBackward: Op<[inputs: readonly Tensor[], params: AttentionParams, scale: number], readonly Tensor[]> = defineOp({
  name: `${name}Backward`,
  args: (inputs: readonly Tensor[], params: AttentionParams, scale: number) => ({ inputs, params, scalars: [scale] }),
  infer: (specs) =>
    specs.slice(0, 3).map(({ shape }) => specOf('float32', interleaved(shape.slice(0, -2), shape.at(-2) ?? 1, shape.at(-1) ?? 1))),
  kernel: (params: AttentionParams) => kernelOf('backward', params),
  result: (outputs) => outputs,
  *samples() {},
  torch: null,
});

let row: ReturnType<Forward> | null = null;

/** The composition's result, from one kernel. */
export function fusedAttention(
  compose: ComposedAttention,
  q: Tensor,
  k: Tensor,
  v: Tensor,
  mask: Tensor | null,
  causal: boolean,
  scale: number,
): Tensor {
  row ??= attentionRow(compose);
  return swapped(row(q, k, v, mask, causal, scale));
}
