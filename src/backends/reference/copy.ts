import { contiguousStrides } from '../../core/shape.js';
import type { CopyKernel } from '../../program/kernel.js';
import { type Run, type View, Walk } from './view.js';

/** Fills the output, then writes or adds each input at its place. */
export function copy(kernel: CopyKernel): Run {
  return (inputs, outputs) => {
    const out = outputs[0] as View;
    if (inputs.length === 1 && !kernel.places && !kernel.accumulate) {
      out.store((inputs[0] as View).load(out.shape));
      return;
    }
    const result = kernel.fill === undefined ? out.load() : new Float64Array(out.size).fill(kernel.fill);
    inputs.forEach((x, n) => {
      const shape = kernel.places ? x.shape : out.shape;
      const { offset, strides } = kernel.places?.[n] ?? { offset: 0, strides: contiguousStrides(shape) };
      const walk = new Walk(shape, [x.stridesIn(shape), strides], [x.offset, offset]);
      for (let i = 0; i < walk.size; i++, walk.step()) {
        const [value, at] = [x.get(walk.position(0)), walk.position(1)];
        result[at] = kernel.accumulate ? (result[at] as number) + value : value;
      }
    });
    out.store(result);
  };
}
