import { internal } from '../../core/errors.js';
import { sizeOf } from '../../core/shape.js';
import type { AttentionKernel, LayerNormKernel, RecurrentKernel } from '../../program/kernel.js';
import type { ProgramOperand, Step } from '../../program/program.js';
import type { TapeWriter } from './tapeWriter.js';

const masks = { none: 0, bool: 1, float: 2 } as const;

/** Strides along (batch.., row, column); results hold the last of several batch dims between row and column. */
function stridesOf({ spec }: ProgramOperand, interleaved: boolean): readonly number[] {
  const { strides } = spec;
  if (!interleaved || strides.length < 4) return strides;
  return [...strides.slice(0, -3), strides.at(-2) ?? 0, strides.at(-3) ?? 0, strides.at(-1) ?? 0];
}

export function writeAttention(tape: TapeWriter, { inputs, outputs, scalarBase }: Step, { by, causal, mask }: AttentionKernel): void {
  const [q, k, v, ...rest] = inputs;
  const bias = mask === 'none' ? undefined : rest[by === 'forward' ? 0 : 2];
  const [y, lse] = by === 'forward' ? outputs : rest;
  if (q === undefined || k === undefined || v === undefined || y === undefined || lse === undefined) {
    throw internal('an attention needs q, k, v, a result and its sums');
  }
  const batch = q.spec.shape.slice(0, -2);
  const sizes = [q.spec.shape.at(-2), k.spec.shape.at(-2), q.spec.shape.at(-1), v.spec.shape.at(-1)];
  tape.begin('attention', scalarBase);
  tape.ints(Number(by === 'backward'), Number(causal), masks[mask], ...sizes.map((n) => n ?? 1), batch.length, ...batch);
  for (const o of [q, k, v]) tape.view(o, stridesOf(o, false));
  tape.view(y, stridesOf(y, true));
  tape.view(lse, lse.spec.strides);
  if (bias !== undefined) tape.view(bias, bias.spec.strides);
  if (by === 'backward') for (const o of [inputs.at(-1) as ProgramOperand, ...outputs]) tape.view(o, stridesOf(o, true));
  tape.end();
}

const cells = { lstm: 0, gru: 1, tanh: 2, relu: 3 } as const;

export function writeRecurrent(tape: TapeWriter, { inputs, outputs, scalarBase }: Step, kernel: RecurrentKernel): void {
  const { by, cell, reverse, extra } = kernel;
  const backward = by === 'backward';
  const at = backward ? 0 : cell === 'lstm' ? 3 : 2;
  const weight = inputs[at];
  const states = backward ? inputs[1] : outputs[0];
  if (weight === undefined || states === undefined) throw internal('a recurrent layer needs a weight and states');
  const [steps = 1, batch = 0, hidden = 0] = states.spec.shape;
  const others = inputs.filter((_, i) => i !== at);
  for (const o of [...others, ...outputs]) if (!o.spec.contiguous) throw internal('a recurrent layer reads and writes dense tensors');
  tape.begin('recurrent', scalarBase);
  tape.ints(Number(backward), cells[cell], Number(reverse), steps - 1, batch, hidden, Number(extra));
  tape.view(weight, weight.spec.strides);
  for (const o of backward ? [...others, ...outputs] : [...outputs, ...others]) tape.operand(o);
  tape.end();
}

export function writeLayerNorm(tape: TapeWriter, { inputs, outputs, scalarBase }: Step, kernel: LayerNormKernel): void {
  const { by, dims, centered, weighted, biased } = kernel;
  const x = inputs[by === 'forward' ? 0 : 1];
  if (x === undefined) throw internal('a norm needs an input');
  const size = sizeOf(x.spec.shape.slice(-dims));
  tape.begin('layerNorm', scalarBase);
  tape.ints(Number(by === 'backward'), Number(centered), Number(weighted), Number(biased), x.spec.size / size, size);
  for (const o of [...inputs, ...outputs]) {
    if (!o.spec.contiguous) throw internal('a norm reads and writes dense tensors');
    tape.operand(o);
  }
  tape.end();
}
