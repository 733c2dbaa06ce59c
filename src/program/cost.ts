import { sizeOf } from '../core/shape.js';
import { arity, topological } from '../expr/expr.js';
import type { AttentionKernel, GemmKernel, Kernel, RecurrentKernel } from './kernel.js';
import type { ProgramOperand, Step } from './program.js';

/** What a step has to do at least. */
export interface Cost {
  /** Arithmetic on elements: a fused multiply-add counts twice, every other instruction once. */
  readonly flops: number;
  /** Bytes that are read and written, each once. */
  readonly bytes: number;
}

/** Arithmetic and memory traffic of one step, from its sizes alone. */
export function costOf({ kernel, inputs, outputs }: Step): Cost {
  const read = new Map<string, number>();
  for (const x of inputs) read.set(`${x.buffer} ${x.offset} ${x.spec.id}`, bytesOf(x));
  const bytes = [...read.values()].reduce((a, b) => a + b, 0) + outputs.reduce((n, y) => n + bytesOf(y), 0);
  return { flops: flopsOf(kernel, inputs, outputs), bytes };
}

/** Bytes behind an operand: what is repeated by a stride of 0 is there once. */
function bytesOf({ spec: { shape, strides, bytes, size } }: ProgramOperand): number {
  if (size === 0) return 0;
  const distinct = shape.reduce((n, d, i) => (strides[i] === 0 ? n : n * d), 1);
  return (bytes / size) * distinct;
}

function flopsOf(kernel: Kernel, inputs: readonly ProgramOperand[], outputs: readonly ProgramOperand[]): number {
  const size = outputs[0]?.spec.size ?? 0;
  switch (kernel.family) {
    case 'map':
      return (
        (outputs.reduce((n, y) => n + y.spec.size, 0) / kernel.exprs.length) *
        topological(kernel.exprs).filter(({ node }) => node.kind === 'apply').length
      );
    case 'reduce': {
      const perElement = topological([kernel.expr]).filter(({ node }) => node.kind === 'apply').length;
      return sizeOf(kernel.shape) * (1 + perElement) + (kernel.finish === undefined ? 0 : size * arity([kernel.finish]).inputs);
    }
    case 'gemm':
      return gemmFlops(kernel, inputs, outputs);
    case 'window':
      return size * sizeOf(kernel.geometry.kernel);
    case 'scan':
      return size;
    case 'attention':
      return attentionFlops(kernel, inputs);
    case 'recurrent':
      return recurrentFlops(kernel, inputs, outputs);
    case 'product': {
      const perElement = topological(kernel.epilogue.exprs).filter(({ node }) => node.kind === 'apply').length;
      return gemmFlops(kernel.product, inputs, outputs) + size * perElement;
    }
    case 'loop':
      return kernel.count * kernel.steps.reduce((n, step) => n + costOf(step).flops, 0);
    default:
      return 0;
  }
}

function gemmFlops({ views, geometry }: GemmKernel, [a]: readonly ProgramOperand[], [out]: readonly ProgramOperand[]): number {
  if (views === 'dense' || geometry === undefined) return 2 * (out?.spec.size ?? 0) * (a?.spec.shape.at(-1) ?? 0);
  const { batch, inChannels, outChannels, groups, kernel, output } = geometry;
  return 2 * batch * outChannels * sizeOf(output) * (inChannels / groups) * sizeOf(kernel);
}

/** Two products forward, five backward, half of each where half of the scores are not looked at. */
function attentionFlops({ by, causal }: AttentionKernel, [q, k, v]: readonly ProgramOperand[]): number {
  const [widths, valueWidths] = by === 'forward' ? [1, 1] : [3, 2];
  const width = widths * (q?.spec.shape.at(-1) ?? 0) + valueWidths * (v?.spec.shape.at(-1) ?? 0);
  const queries = (q?.spec.size ?? 0) / Math.max(1, q?.spec.shape.at(-1) ?? 1);
  return (2 * width * queries * (k?.spec.shape.at(-2) ?? 0)) / (causal ? 2 : 1);
}

/** One product of the states with the weight, (gates · hidden, hidden), in every step. */
function recurrentFlops({ by }: RecurrentKernel, inputs: readonly ProgramOperand[], outputs: readonly ProgramOperand[]): number {
  const [sums, states] = by === 'forward' ? [inputs[0], outputs[0]] : [outputs[0], inputs[1]];
  return 2 * (sums?.spec.size ?? 0) * (states?.spec.shape.at(-1) ?? 0);
}
