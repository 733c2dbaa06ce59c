import { type Shape, sizeOf } from '../../core/shape.js';

/** Nested loops over an index space: sizes, and for every operand its strides (elements). The last dim runs fastest. */
export interface Loops {
  readonly dims: number[];
  readonly strides: number[][];
}

/** The largest step that any operand takes along each dim: dims are sorted by it, so that the fastest runs last. */
function reach(strides: readonly (readonly number[])[], d: number): number {
  let most = 0;
  for (const s of strides) most = Math.max(most, Math.abs(s[d] ?? 0));
  return most;
}

/** Dims of `shape` without those of size 1, slowest first as seen by `leading` (the operands that decide the order). */
export function sortedDims(shape: Shape, leading: readonly (readonly number[])[], among?: readonly number[]): number[] {
  const dims: number[] = [];
  const candidates = among ?? shape.keys();
  for (const d of candidates) if (shape[d] !== 1) dims.push(d);
  let sorted = true;
  for (let i = 1; i < dims.length && sorted; i++) sorted = reach(leading, dims[i - 1] as number) >= reach(leading, dims[i] as number);
  return sorted ? dims : dims.sort((a, b) => reach(leading, b) - reach(leading, a) || a - b);
}

/** Loops over `order` (dims of `shape`), neighbours merged wherever every operand walks them as one. Never without a dim. */
export function coalesce(shape: Shape, operands: readonly (readonly number[])[], order: readonly number[]): Loops {
  const dims: number[] = [];
  const strides: number[][] = operands.map(() => []);
  for (const d of order) {
    const size = shape[d] as number;
    if (size === 1) continue;
    const last = dims.length - 1;
    if (last >= 0 && operands.every((s, k) => strides[k]?.[last] === (s[d] ?? 0) * size)) {
      dims[last] = (dims[last] as number) * size;
      for (const [k, s] of operands.entries()) (strides[k] as number[])[last] = s[d] ?? 0;
    } else {
      dims.push(size);
      operands.forEach((s, k) => strides[k]?.push(s[d] ?? 0));
    }
  }
  if (dims.length === 0) {
    dims.push(1);
    for (const s of strides) s.push(1);
  }
  return { dims, strides };
}

/** The same loops without any dim instead of a dim of size 1: for operands whose innermost loop is written apart. */
export function outerLoops(shape: Shape, operands: readonly (readonly number[])[], order: readonly number[]): Loops {
  const loops = coalesce(shape, operands, order);
  return order.every((d) => shape[d] === 1) ? { dims: [], strides: operands.map(() => []) } : loops;
}

/**
 * Where one of `readers` jumps along the last dim but walks another one, that dim becomes the last but one: the engine then reads
 * patches of the two. For loops that may be reordered.
 */
export function pairTransposed({ dims, strides }: Loops, readers: readonly number[]): void {
  const last = dims.length - 1;
  for (const k of readers) {
    const s = strides[k] ?? [];
    const walked = s.indexOf(1);
    if (Math.abs(s[last] ?? 0) <= 1 || walked < 0 || walked === last - 1) continue;
    for (const list of [dims, ...strides]) list.splice(last - 1, 0, ...list.splice(walked, 1));
    return;
  }
}

/** Rows shorter than this are walked in the order of memory, whatever repeats along them. */
const LONG_ROW = 128;

/**
 * Where an operand is one number along the last dim, the dims that it does not change along go inside of those that it does: the engine
 * spreads such a number out, and again only when it changes. For loops that may be reordered.
 */
export function repeatInside({ dims, strides }: Loops): void {
  const last = dims.length - 1;
  if (last < 2 || (dims[last] ?? 0) < LONG_ROW) return;
  const repeated = strides.filter((s) => s[last] === 0);
  const moves = (d: number): boolean => repeated.some((s) => s[d] !== 0);
  const outer = [...dims.keys()].slice(0, last);
  const order = [...outer.filter(moves), ...outer.filter((d) => !moves(d)), last];
  for (const list of [dims, ...strides]) list.splice(0, list.length, ...order.map((d) => list[d] ?? 0));
}

/** Whether no two steps along the dims meet: every stride passes over all that the smaller ones reach. */
export function isInjective(dims: readonly number[], strides: readonly number[]): boolean {
  const order = [...dims.keys()].sort((a, b) => Math.abs(strides[a] ?? 0) - Math.abs(strides[b] ?? 0));
  let extent = 1;
  for (const d of order) {
    const stride = Math.abs(strides[d] ?? 0);
    if (stride < extent && (dims[d] ?? 1) > 1) return false;
    extent += stride * ((dims[d] ?? 1) - 1);
  }
  return true;
}

/** Whether slices along the first dim write apart from each other, however the others overlap. */
export function slabsDisjoint(dims: readonly number[], strides: readonly number[]): boolean {
  let extent = 1;
  for (let d = 1; d < dims.length; d++) extent += Math.abs(strides[d] ?? 0) * ((dims[d] ?? 1) - 1);
  return Math.abs(strides[0] ?? 0) >= extent || sizeOf(dims.slice(0, 1)) === 1;
}
