import { LibError } from '../core/errors.js';
import { formatShape, type Shape } from '../core/shape.js';
import type { Spec } from '../core/spec.js';
import { apply, type Definition, isGradEnabled } from '../ops/apply.js';
import { embedding } from '../ops/embedding.js';
import { cat } from '../ops/join.js';
import { noGrad } from '../tensor/autograd.js';
import { capturing, SymbolicStorage } from '../tensor/capturing.js';
import { tensor, zeros } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import type { Parameter } from './module.js';

/**
 * A matrix that is zero but for some rows: the gradient of an embedding. A row that comes more than once stands for the sum
 * (PyTorch: a sparse COO tensor with one sparse dim).
 */
export class SparseRows {
  /** `indices` (n) in int32, `values` (n, width), `shape` (count, width). */
  constructor(
    readonly indices: Tensor,
    readonly values: Tensor,
    readonly shape: Shape,
  ) {
    if (indices.ndim !== 1 || values.ndim !== 2 || values.shape[0] !== indices.size || values.shape[1] !== shape[1]) {
      const got = `${formatShape(indices.shape)} and ${formatShape(values.shape)} for ${formatShape(shape)}`;
      throw new LibError('shape', `SparseRows: there must be indices (n) and values (n, width), got ${got}.`);
    }
  }

  /** The whole matrix. */
  toDense(): Tensor {
    const { dtype, device } = this.values;
    return zeros(this.shape, { dtype, device }).indexAdd(0, this.indices, this.values);
  }

  /** The sum of two. */
  add(other: SparseRows): SparseRows {
    return new SparseRows(cat([this.indices, other.indices]), cat([this.values, other.values]), this.shape);
  }
  neg(): SparseRows {
    return new SparseRows(this.indices, this.values.neg(), this.shape);
  }

  /** Every row once, in order, with its sum. Reads the indices; {@link totals} does not. */
  coalesce(): SparseRows {
    const rows = [...new Set(this.indices.toArray())].sort((a, b) => a - b);
    const place = new Map(rows.map((row, i) => [row, i]));
    const places = tensor(
      Array.from(this.indices.toArray(), (row) => place.get(row) ?? 0),
      { dtype: 'int32', device: this.indices.device },
    );
    const { dtype, device } = this.values;
    const sums = zeros([rows.length, this.shape[1] ?? 0], { dtype, device }).indexAdd(0, places, this.values);
    return new SparseRows(tensor(rows, { dtype: 'int32', device }), sums, this.shape);
  }

  /**
   * The same indices in order, each with the sum of its row: rows that come again have equal values, so that writing them in any order
   * gives one result. `first` is 1 where a row comes for the first time, else 0. Of fixed size: it can be captured.
   */
  totals(): { readonly indices: Tensor; readonly values: Tensor; readonly first: Tensor } {
    const n = this.indices.size;
    const order = this.indices.argsort();
    const indices = this.indices.indexSelect(0, order);
    const starts =
      n < 2
        ? null
        : indices
            .narrow(0, 1, n - 1)
            .ne(indices.narrow(0, 0, n - 1))
            .int();
    const one = (value: number): Tensor => tensor([value], { dtype: 'int32', device: indices.device });
    const segments = starts === null ? zeros([n], { dtype: 'int32', device: indices.device }) : cat([one(0), starts.cumsum(0).int()]);
    const { dtype, device } = this.values;
    const sums = zeros(this.values.shape, { dtype, device }).indexAdd(0, segments, this.values.indexSelect(0, order));
    const first = starts === null ? zeros([n], { dtype, device }).add(1) : cat([one(1), starts]).to(dtype);
    return { indices, values: sums.indexSelect(0, segments), first };
  }
}

/** An embedding whose weight gets its gradient as rows: they are handed over when backward reaches the rows that were looked up. */
export function sparseLookup(indices: Tensor, weight: Parameter, paddingIdx: number | undefined): Tensor {
  const rows = embedding(indices, weight.detach());
  if (!isGradEnabled() || !weight.requiresGrad) return rows;
  rows.requiresGrad_().registerHook((g) => {
    noGrad(() => {
      const ids = indices.reshape([-1]).int();
      const all = g.reshape([ids.size, weight.sizeAt(1)]);
      const values = paddingIdx === undefined ? all.clone() : all.maskedFill(ids.eq(paddingIdx).unsqueeze(1), 0);
      const fresh = new SparseRows(ids, values, weight.shape);
      weight.sparseGrad = weight.sparseGrad === null ? fresh : checkOwn(weight.sparseGrad).add(fresh);
    });
    return undefined;
  });
  return rows;
}

/** Rows from before a capture would be frozen in it. */
export function checkOwn(rows: SparseRows): SparseRows {
  if (capturing() !== null && !(rows.values.storage instanceof SymbolicStorage)) throw outside();
  return rows;
}

const outside = (): LibError =>
  new LibError(
    'capture',
    'compile: sparse gradients must begin and end in the compiled function, got some from outside.',
    'call zeroGrad() first in it, and step() at its end.',
  );

const writing: Definition = {
  name: 'writeRows',
  args: () => ({ inputs: [], params: null }),
  *samples() {},
  infer: ([self]: readonly Spec[]) => self as Spec,
  kernel: () => ({ family: 'scatter', dim: 0, by: 'set', wrap: false }),
  plans: new Map(),
  foreign: false,
} as unknown as Definition;

/** table[indices[i]] = rows[i], in place: other rows are not touched. */
export function writeRows(table: Tensor, indices: Tensor, rows: Tensor): void {
  const [n, width] = rows.dims(2);
  const index = indices.reshape([n, 1]).expand([n, width]);
  noGrad(() => apply(writing, { inputs: [table, index, rows], params: null, key: '' }, [table]));
}
