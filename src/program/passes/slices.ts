import { dtypes } from '../../core/dtype.js';
import { type Spec, specOf } from '../../core/spec.js';
import type { MapKernel, ReduceKernel, WindowKernel } from '../kernel.js';
import type { ProgramOperand, Step } from '../program.js';

/** A step that a loop can hold. */
export type Member = Step & { readonly kernel: LoopedKernel };

export type LoopedKernel = MapKernel | ReduceKernel | WindowKernel;

interface Extent {
  readonly size: number;
  readonly stride: number;
}

/** The elements of a buffer that a step touches for one index of one of its dims. */
export interface Access {
  readonly buffer: number;
  readonly offset: number;
  /** Elements from one index to the next; 0: the same for all. */
  readonly stride: number;
  /** The other dims, largest step first, merged where they follow each other; without repetition. */
  readonly inner: readonly Extent[];
  readonly spec: Spec;
  readonly bytes: number;
}

/** Whether a loop may hold a step. Of windows, those over planes (batch, channels, …). */
export function isMember<S extends Step>(step: S): step is S & Member {
  const { kernel, inputs, outputs } = step;
  if (kernel.family === 'reduce') return true;
  if (kernel.family === 'map') return kernel.parts === undefined;
  if (kernel.family !== 'window') return false;
  const [batch = 1, channels = 1] = (inputs[0] as ProgramOperand).spec.shape;
  const isLed = ({ spec: { shape } }: ProgramOperand): boolean => shape.length > 2 && shape[0] === batch && shape[1] === channels;
  return batch * channels === kernel.geometry.planes && [...inputs, ...outputs].every(isLed);
}

/** The iteration space of a step; of windows, the dims before the planes'. */
export const shapeOf = ({ kernel, outputs }: Member): readonly number[] => {
  if (kernel.family === 'reduce') return kernel.shape;
  const { shape } = (outputs[0] as ProgramOperand).spec;
  return kernel.family === 'window' ? shape.slice(0, 2) : shape;
};

/** A kernel for `block` indices of a dim that has `size`. */
export function resized(kernel: LoopedKernel, dim: number, size: number, block: number): LoopedKernel {
  if (kernel.family === 'map') return kernel;
  if (kernel.family === 'reduce') return { ...kernel, shape: kernel.shape.map((n, d) => (d === dim ? block : n)) };
  return { ...kernel, geometry: { ...kernel.geometry, planes: (kernel.geometry.planes / size) * block } };
}

/** Dims that can be walked from outside: those that are not reduced. */
export const dimsOf = (step: Member): number[] => {
  const { kernel } = step;
  return [...shapeOf(step).keys()].filter((d) => kernel.family !== 'reduce' || !kernel.dims.includes(d));
};

/** Which dim of an operand is the step's `dim`; -1 where it has none. */
function dimIn({ spec }: ProgramOperand, step: Member, dim: number, written: boolean): number {
  const { kernel } = step;
  if (kernel.family === 'window') return dim;
  const rank = shapeOf(step).length;
  const rankOf = spec.shape.length;
  if (!written || kernel.family === 'map' || rankOf === rank) return dim - (rank - rankOf);
  return [...shapeOf(step).keys()].filter((d) => !kernel.dims.includes(d)).indexOf(dim);
}

export function accessOf(x: ProgramOperand, step: Member, dim: number, written: boolean): Access | null {
  const { spec, buffer, offset } = x;
  const own = dimIn(x, step, dim, written);
  const size = spec.shape[own] ?? 1;
  const stride = size === 1 ? 0 : (spec.strides[own] ?? 0);
  if (spec.strides.some((s) => s < 0) || (written && size !== shapeOf(step)[dim])) return null;
  const dims = spec.shape.map((n, d): Extent => ({ size: n, stride: spec.strides[d] ?? 0 })).filter((_, d) => d !== own || stride === 0);
  return { buffer, offset, stride, inner: merged(dims), spec, bytes: spec.size * dtypes[spec.dtype].bytes };
}

function merged(dims: readonly Extent[]): Extent[] {
  const out: Extent[] = [];
  for (const dim of dims.filter(({ size, stride }) => size > 1 && stride > 0).sort((a, b) => b.stride - a.stride)) {
    const last = out.at(-1);
    if (last !== undefined && last.stride === dim.stride * dim.size)
      out[out.length - 1] = { size: last.size * dim.size, stride: dim.stride };
    else out.push(dim);
  }
  return out;
}

/** Both touch the same elements in each turn, and others in every turn. */
export const isSame = (a: Access, b: Access): boolean =>
  a.buffer === b.buffer &&
  a.offset === b.offset &&
  a.stride === b.stride &&
  a.stride !== 0 &&
  a.spec.dtype === b.spec.dtype &&
  a.inner.length === b.inner.length &&
  a.inner.every(({ size, stride }, i) => size === b.inner[i]?.size && stride === b.inner[i]?.stride);

/** Elements in a cache line: what lies closer together than that should be touched together. */
const LINE = 16;

/** Whether one index after another goes over the same lines of memory: a loop along the columns of rows. */
export const isTorn = ({ stride, inner }: Access): boolean => stride !== 0 && stride < LINE && inner.some((e) => e.stride > stride);

/** Bytes that are touched for one index. */
export const unitBytes = ({ inner, spec }: Access): number => inner.reduce((n, { size }) => n * size, dtypes[spec.dtype].bytes);

/**
 * The spec of an operand for `block` indices of a step's dim: with the strides it has or, in a buffer of the loop's own (`compact`: how
 * it is written), as if those elements lay side by side.
 */
export function blockOf(x: ProgramOperand, step: Member, dim: number, block: number, written: boolean, compact?: Access): Spec {
  const { spec } = x;
  const own = dimIn(x, step, dim, written);
  const isSliced = own >= 0 && (spec.shape[own] ?? 1) > 1;
  const shape = spec.shape.map((n, d) => (d === own && isSliced ? block : n));
  if (compact === undefined) return specOf(spec.dtype, shape, spec.strides);
  const all = merged([...compact.inner, { size: block, stride: compact.stride }]);
  let next = 1;
  const dense = new Map<Extent, number>();
  for (const extent of all.toReversed()) {
    dense.set(extent, next);
    next *= extent.size;
  }
  const strideOf = (stride: number): number => {
    const extent = all.find((e) => stride >= e.stride && stride < e.stride * e.size && stride % e.stride === 0);
    return extent === undefined ? 0 : (dense.get(extent) ?? 0) * (stride / extent.stride);
  };
  return specOf(
    spec.dtype,
    shape,
    shape.map((n, d) => (n === 1 ? 0 : strideOf(spec.strides[d] ?? 0))),
  );
}
