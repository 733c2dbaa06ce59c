import { specOf } from '../../core/spec.js';
import type { ProgramOperand, Step } from '../program.js';
import type { BufferFacts } from './fuse.js';
import { wholeCopy } from './widen.js';

/** Products of more rows read a matrix so often that a narrow copy of it pays. */
const FEW_ROWS = 512;
/** Smaller ones stay in the caches. */
const LARGE = 2 ** 20;

/**
 * A large float32 matrix that is made 16-bit only for products of few rows (a weight under autocast) is read by those products as it is:
 * they round its elements where they pack them, and the copy is never made.
 */
export function narrowInProducts<S extends Step>(steps: readonly S[], facts: BufferFacts): S[] {
  const out: (S | null)[] = [...steps];
  out.forEach((step, at) => {
    const [wide, made] = step === null ? [] : wholeCopy(step);
    if (wide?.spec.dtype !== 'float32' || !made?.spec.dtype.endsWith('float16')) return;
    if (made.spec.size < LARGE || !facts.isTemporary(made.buffer)) return;
    const later = out.slice(at + 1);
    const reads = later.map((other) => other?.inputs.some((x) => x.buffer === made.buffer) === true);
    const before = later.slice(0, reads.lastIndexOf(true) + 1) as S[];
    const stays = before.every(({ outputs }) => outputs.every((x) => !facts.mayMeet(x.buffer, wide.buffer) && x.buffer !== made.buffer));
    if (!stays || !before.every((other, i) => !reads[i] || multipliesBy(other, made.buffer))) return;
    out[at] = null;
    before.forEach((other, i) => {
      if (!reads[i]) return;
      const [a, b, ...rest] = other.inputs as [ProgramOperand, ProgramOperand];
      const read = {
        buffer: wide.buffer,
        offset: b.offset - made.offset + wide.offset,
        spec: specOf('float32', b.spec.shape, b.spec.strides),
      };
      out[at + 1 + i] = { ...other, inputs: [a, read, ...rest] };
    });
  });
  return out.filter((step) => step !== null);
}

/** A dense product of few rows with this as its right matrix, and nothing else. */
function multipliesBy({ kernel, inputs }: Step, buffer: number): boolean {
  const product = kernel.family === 'product' ? kernel.product : kernel;
  const [a, b] = inputs;
  if (product.family !== 'gemm' || product.views !== 'dense' || a === undefined || b?.buffer !== buffer) return false;
  const others = inputs.every((x) => x === b || x.buffer !== buffer);
  return others && b.spec.shape.length === 2 && a.spec.dtype === b.spec.dtype && a.spec.size <= FEW_ROWS * (a.spec.shape.at(-1) ?? 0);
}
