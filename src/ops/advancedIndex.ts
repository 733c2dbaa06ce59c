import { LibError } from '../core/errors.js';
import { broadcastShapes, formatShape, type Shape, sameShape, sizeOf } from '../core/shape.js';
import { specOf } from '../core/spec.js';
import { valuesOf } from '../tensor/capturing.js';
import { Tensor } from '../tensor/tensor.js';
import { range } from './fused.js';
import { asIndex, gatherRow } from './scatterRows.js';

/** Indices per dim: int tensors, bool masks (which stand for as many dims as they have), and null for a whole dim. */
export type IndexList = readonly (Tensor | null)[];

/** A list of indices, reduced to one index into rows of a table. */
export interface ResolvedIndices {
  /** Which row of the table each place reads: (count,), int32. */
  readonly flat: Tensor;
  readonly count: number;
  /** x as a table: (indexed places, everything else). */
  rows(x: Tensor): Tensor;
  /** A table as a tensor like x. */
  unrows(table: Tensor): Tensor;
  /** Rows read (count, everything else) as the result. */
  restore(read: Tensor): Tensor;
  /** Values that broadcast to the result as rows to write. */
  unrestore(values: Tensor): Tensor;
}

export function resolveIndices(op: string, x: Tensor, list: IndexList): ResolvedIndices {
  const indices = expandMasks(op, x, list);
  const dims = indices.flatMap((t, d) => (t === null ? [] : [d]));
  if (dims.length === 0) throw new LibError('value', `${op}: at least one index must not be null, got ${list.length} null.`);
  const rest = x.shape.map((_, d) => d).filter((d) => !dims.includes(d));
  const ids = dims.map((d) => asIndex(op, indices[d] as Tensor));
  const batch = ids.reduce<Shape>((shape, t) => broadcastShapes(op, shape, t.shape), []);
  const order = [...dims, ...rest];
  const sizes = order.map((d) => x.shape[d] ?? 1);
  const others = sizes.slice(dims.length);
  const adjacent = dims.every((d, i) => i === 0 || d === (dims[i - 1] ?? 0) + 1);
  // Dims of the result: `lead` whole dims, then the indices' own, then the remaining whole dims.
  const lead = adjacent ? (dims[0] ?? 0) : 0;
  const placed = [...batch.map((_, i) => i)];
  placed.splice(0, 0, ...Array.from({ length: lead }, (_, i) => batch.length + i));
  for (let i = lead; i < others.length; i++) placed.push(batch.length + i);
  const shape = [...others.slice(0, lead), ...batch, ...others.slice(lead)];
  const inverse = (perm: readonly number[]): number[] => perm.map((_, i) => perm.indexOf(i));
  const table: Shape = [sizeOf(sizes.slice(0, dims.length)), sizeOf(others)];
  return {
    flat: linear(op, ids, sizes, batch),
    count: sizeOf(batch),
    rows: (y) => y.permute(order).reshape(table),
    unrows: (y) => y.reshape(sizes).permute(inverse(order)),
    restore: (read) => read.reshape([...batch, ...others]).permute(placed),
    unrestore: (values) =>
      spread(op, values, shape)
        .permute(inverse(placed))
        .reshape([sizeOf(batch), sizeOf(others)]),
  };
}

function spread(op: string, values: Tensor, shape: Shape): Tensor {
  const lead = shape.length - values.ndim;
  const fits = lead >= 0 && values.shape.every((size, i) => size === 1 || size === shape[lead + i]);
  if (!fits)
    throw new LibError(
      'shape',
      `${op}: the values must broadcast to the indexed shape, got ${formatShape(values.shape)} for ${formatShape(shape)}.`,
    );
  return values.expand(shape);
}

/** Masks as int tensors, one for each of their dims; and null for every dim not spoken of. */
function expandMasks(op: string, x: Tensor, list: IndexList): (Tensor | null)[] {
  const indices: (Tensor | null)[] = [];
  for (const t of list) {
    if (t === null || t.dtype !== 'bool') {
      indices.push(t);
      continue;
    }
    const covered = x.shape.slice(indices.length, indices.length + t.ndim);
    if (!sameShape(covered, t.shape)) {
      throw new LibError(
        'shape',
        `${op}: a mask must have the size of the dim it stands for, got ${formatShape(t.shape)} for ${formatShape(covered)}.`,
      );
    }
    const rows = trueRows(op, t);
    for (let d = 0; d < t.ndim; d++) indices.push(rows.select(1, d));
  }
  if (indices.length > x.ndim) {
    throw new LibError(
      'index',
      `${op}: there may be at most one index for each dim, got ${indices.length} for shape ${formatShape(x.shape)}.`,
    );
  }
  while (indices.length < x.ndim) indices.push(null);
  return indices;
}

const offsetRows = new Map<string, ReturnType<typeof gatherRow>>();

/** Σ over indices of index · stride. Each index goes through a table of offsets, which checks and wraps it by its own dim's size. */
function linear(op: string, ids: readonly Tensor[], sizes: readonly number[], batch: Shape): Tensor {
  const [only] = ids;
  if (ids.length === 1 && only !== undefined) return only.reshape([only.size]);
  let row = offsetRows.get(op);
  if (row === undefined) {
    row = gatherRow(op);
    offsetRows.set(op, row);
  }
  const look = row;
  const offsets = ids.map((t, k) => {
    const table = range(t.device, sizes[k] ?? 1, sizeOf(sizes.slice(k + 1, ids.length)));
    return look(table, 0, t.reshape([t.size]), true).reshape(t.shape);
  });
  return offsets
    .reduce((a, b) => a.add(b))
    .expand(batch)
    .reshape([sizeOf(batch)]);
}

/** Where a tensor is not 0, counted in row-major order: (n,), int32. */
export function trueIndices(op: string, x: Tensor): Tensor {
  const values = valuesOf(op, x);
  const found: number[] = [];
  for (let i = 0; i < values.length; i++) if (values[i] !== 0) found.push(i);
  return upload(x, [found.length], Int32Array.from(found));
}

/** Where a tensor is not 0, as rows of indices: (n, dims), int32. */
export function trueRows(op: string, x: Tensor): Tensor {
  const values = valuesOf(op, x);
  const rows: number[] = [];
  for (let i = 0; i < values.length; i++) {
    if (values[i] === 0) continue;
    let left = i;
    const row = new Array<number>(x.ndim);
    for (let d = x.ndim - 1; d >= 0; d--) {
      const size = x.shape[d] ?? 1;
      row[d] = left % size;
      left = Math.floor(left / size);
    }
    rows.push(...row);
  }
  const count = x.ndim === 0 ? Number(values[0] !== 0) : rows.length / x.ndim;
  return upload(x, [count, x.ndim], Int32Array.from(rows));
}

function upload({ device }: Tensor, shape: Shape, values: Int32Array): Tensor {
  const spec = specOf('int32', shape);
  const out = new Tensor(spec, device.allocate(spec.bytes), 0, device);
  device.upload(out.storage, 0, new Uint8Array(values.buffer));
  return out;
}
