import { LibError } from './errors.js';

export type Shape = readonly number[];

export function sizeOf(shape: Shape): number {
  let n = 1;
  for (let i = 0; i < shape.length; i++) n *= shape[i] as number;
  return n;
}

export function sameShape(a: Shape, b: Shape): boolean {
  if (a.length !== b.length) return false;
  for (let i = 0; i < a.length; i++) if (a[i] !== b[i]) return false;
  return true;
}

/** [0, 1, …, length - 1]. */
export function range(length: number): number[] {
  const list: number[] = [];
  for (let i = 0; i < length; i++) list.push(i);
  return list;
}

/** A list of numbers as part of a key: what `${list}` gives, in a fraction of the time. */
export function keyOf(list: readonly number[]): string {
  let key = '';
  for (let i = 0; i < list.length; i++) key += `${list[i]},`;
  return key;
}

export function formatShape(shape: Shape): string {
  return shape.length === 1 ? `(${shape[0]},)` : `(${shape.join(', ')})`;
}

/** What `formatShape(x.shape)` is in the build for browsers (scripts/build/browser.mjs), where it takes fewer bytes. */
export const shapeText = ({ shape }: { readonly shape: Shape }): string => formatShape(shape);

/** Refuses a number that is not whole or below `least`; `what` says whose it is. */
export function needWhole(op: string, what: string, value: number, least: number): void {
  if (!Number.isInteger(value) || value < least)
    throw new LibError('value', `${op}: ${what} must be a whole number of at least ${least}, got ${value}.`);
}

/** Refuses tensors of fewer dims than `least` or more than `most`. */
export function needDims(
  op: string,
  { shape }: { readonly shape: Shape },
  least: number,
  most: number = Number.POSITIVE_INFINITY,
  hint?: string,
): void {
  const { length } = shape;
  if (length >= least && length <= most) return;
  const bound = least === most ? '' : length < least ? 'at least ' : 'at most ';
  const count = Math.min(most, Math.max(least, length));
  throw new LibError(
    'shape',
    `${op}: the tensor must have ${bound}${count} dim${count === 1 ? '' : 's'}, got shape ${formatShape(shape)}.`,
    hint,
  );
}

/** Rejects shapes that no tensor can have. */
export function checkShape(op: string, shape: Shape): void {
  for (const d of shape) {
    if (!Number.isInteger(d) || d < 0)
      throw new LibError('shape', `${op}: sizes must be non-negative integers, got ${formatShape(shape)}.`);
  }
}

/** The shape that tensors of several shapes broadcast to (torch.broadcast_shapes). */
export const broadcastAll = (...shapes: readonly Shape[]): Shape =>
  shapes.reduce<Shape>((all, shape) => broadcastShapes('broadcastShapes', all, shape), []);

/** NumPy broadcasting: align right, and let every dimension of size 1 stretch. */
export function broadcastShapes(op: string, a: Shape, b: Shape): Shape {
  if (sameShape(a, b)) return a;
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, i) => {
    const da = a[i - rank + a.length] ?? 1;
    const db = b[i - rank + b.length] ?? 1;
    if (da !== db && da !== 1 && db !== 1) {
      throw new LibError(
        'shape',
        `${op}: sizes must be equal or 1, got shapes ${formatShape(a)} and ${formatShape(b)}, which do not broadcast: dim ${i - rank} is ${da} and ${db}.`,
      );
    }
    return da === 1 ? db : da;
  });
}

/** Row-major strides of a dense tensor. */
export function contiguousStrides(shape: Shape): number[] {
  const strides = new Array<number>(shape.length).fill(1);
  for (let i = shape.length - 2; i >= 0; i--) strides[i] = (strides[i + 1] ?? 1) * Math.max(shape[i + 1] ?? 1, 1);
  return strides;
}

/** Strides of a tensor read at a larger, broadcast shape: 0 wherever it is stretched. */
export function broadcastStrides(shape: Shape, strides: readonly number[], into: Shape): number[] {
  const lead = into.length - shape.length;
  return into.map((_, i) => (i < lead || shape[i - lead] === 1 ? 0 : (strides[i - lead] ?? 0)));
}

/** A dim in 0..rank-1 from one that may count from the end. A scalar accepts -1 and 0, as in PyTorch. */
export function resolveDim(op: string, dim: number, rank: number): number {
  const room = Math.max(rank, 1);
  const resolved = dim < 0 ? dim + room : dim;
  if (!Number.isInteger(dim) || resolved < 0 || resolved >= room) {
    throw new LibError('index', `${op}: dim must be in ${-room}..${room - 1}, got dim ${dim} is out of range for ${rank} dimensions.`);
  }
  return resolved;
}

/** Several dims, resolved, without duplicates; none given means all of them. */
export function resolveDims(op: string, dim: number | readonly number[] | undefined, rank: number): number[] {
  if (dim === undefined || (typeof dim !== 'number' && dim.length === 0)) return range(rank);
  if (typeof dim === 'number') {
    const only = resolveDim(op, dim, rank);
    return rank === 0 ? [] : [only];
  }
  const dims = dim.map((d) => resolveDim(op, d, rank));
  if (new Set(dims).size !== dims.length) {
    throw new LibError('index', `${op}: each dim may appear once, got dim [${dim.join(', ')}].`);
  }
  return rank === 0 ? [] : dims.sort((a, b) => a - b);
}
