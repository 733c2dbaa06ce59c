import { fillIntegers, fillNormal, fillUniform } from '../../core/draws.js';
import type { DType } from '../../core/dtype.js';
import type { RandomKernel } from '../../program/kernel.js';
import type { Run, View } from './view.js';

/** Draws in order of the output's elements. */
export function random({ by }: RandomKernel): Run {
  return (_, outputs, [low = 0, high = 0, offset = 0, from = 0, to = 0]) => {
    const out = outputs[0] as View;
    const key = { low, high };
    if (by === 'integers') {
      const values = new Int32Array(out.size);
      fillIntegers(values, from, to, key, offset);
      out.store(values);
      return;
    }
    const values = out.dtype === 'float64' ? new Float64Array(out.size) : new Float32Array(out.size);
    if (by === 'normal') fillNormal(values, key, offset);
    else fillUniform(values, key, offset);
    out.store(by === 'uniform' ? values.map((u) => belowOne(u, out.dtype)) : values);
  };
}

/** A uniform keeps as many leading bits as its type has, because rounding could make it 1. */
function belowOne(u: number, dtype: DType): number {
  const bits = uniformBits[dtype];
  return bits === undefined ? u : Math.floor(u * 2 ** bits) * 2 ** -bits;
}

const uniformBits: Readonly<Partial<Record<DType, number>>> = { float16: 11, bfloat16: 8 };
