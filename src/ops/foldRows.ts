import { computeType, type DType } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import { formatShape, resolveDims, type Shape } from '../core/shape.js';
import { type Spec, specOf } from '../core/spec.js';
import { type Expr, input } from '../expr/expr.js';
import type { Reducer } from '../program/kernel.js';
import type { Tensor } from '../tensor/tensor.js';
import { type AnyRow, defineOp, type KernelRow, type Op } from './define.js';
import { reducedShape } from './layout.js';

/** Which dims a reduction folds, and how its result looks. */
export interface DimOptions {
  /** Dimension or dimensions to reduce; default: all of them. */
  readonly dim?: number | readonly number[];
  /** Keep each reduced dimension, with size 1. Default false. */
  readonly keepdim?: boolean;
}

/** A reduction along one dimension that also says where: PyTorch's named tuples. */
export interface ValuesIndices {
  readonly values: Tensor;
  /** int32. */
  readonly indices: Tensor;
}

/** Function types with overloads carry the type of their method, which cannot be derived. */
export interface Overloaded<Method> {
  /** @internal Never there: a type alone. */
  readonly asMethod?: Method;
  /** @internal */
  readonly row: AnyRow;
}

export interface FoldParams {
  readonly dims: readonly number[];
  readonly keepdim: boolean;
  readonly out: Shape;
  readonly dtype: DType;
}

export function foldParams(op: string, x: Tensor, { dim, keepdim = false }: DimOptions, dtype: DType = x.dtype): FoldParams {
  const dims = resolveDims(op, dim, x.ndim);
  return { dims, keepdim, out: reducedShape(x.shape, dims, keepdim), dtype };
}

/** A result of a reduction, stretched back over what was reduced. */
export function spread(y: Tensor, x: { readonly shape: Shape }, dims: readonly number[]): Tensor {
  return y.reshape(reducedShape(x.shape, dims, true)).expand(x.shape);
}

/** How many elements each result is made of. */
export const countOf = (shape: Shape, dims: readonly number[]): number => dims.reduce((n, d) => n * (shape[d] ?? 1), 1);

interface FoldRow {
  readonly by: Reducer;
  readonly expr?: Expr;
  readonly finish?: Expr;
  /** The result's type. Default: the input's. */
  dtype?(of: DType): DType;
  /** Whether nothing at all can be folded. */
  readonly needsElements?: boolean;
  readonly grad?: KernelRow<[], FoldParams>['grad'];
  readonly saves?: readonly (number | 'output')[];
  /** Samples must not hold NaN or ties where gradients are checked; default: random numbers. */
  samples?(random: Parameters<KernelRow<[], FoldParams>['samples']>[0]): Iterable<[x: Tensor, options?: DimOptions]>;
  readonly torch?: AnyRow['torch'];
  readonly kinks?: boolean;
}

/** A row that is one reduce kernel over any dims. */
export function foldRow(name: string, row: FoldRow): Op<[x: Tensor, options?: DimOptions]> {
  const { by, expr = input(0), finish, needsElements = false, dtype = (of) => of } = row;
  return defineOp({
    name,
    args: (x: Tensor, options: DimOptions = {}) => {
      const params = foldParams(name, x, options, dtype(x.dtype));
      return { inputs: [x], params, key: `${params.dims}|${params.keepdim}` };
    },
    infer([x], params: FoldParams) {
      const { shape } = x as Spec;
      if (needsElements && countOf(shape, params.dims) === 0) {
        throw new LibError(
          'shape',
          `${name}: there must be elements to choose from, got shape ${formatShape(shape)} over dim [${params.dims.join(', ')}].`,
        );
      }
      return specOf(params.dtype, params.out);
    },
    kernel: ({ dims }: FoldParams, [x]) => {
      const { shape, dtype: type } = x as Spec;
      return { family: 'reduce', by, dims, expr, shape, compute: computeType(type), ...(finish && { finish }) };
    },
    ...(row.grad && { grad: row.grad }),
    ...(row.saves && { saves: row.saves }),
    ...(row.torch !== undefined && { torch: row.torch }),
    ...(row.kinks !== undefined && { kinks: row.kinks }),
    *samples(random): Iterable<[x: Tensor, options?: DimOptions]> {
      if (row.samples) return yield* row.samples(random);
      yield [random([7])];
      yield [random([2, 3, 4])];
      yield [random([2, 3, 4]), { dim: 1 }];
      yield [random([2, 3, 4]), { dim: [0, 2], keepdim: true }];
      yield [random([])];
    },
    *errors(random): Iterable<readonly [[x: Tensor, options?: DimOptions], string]> {
      yield [[random([2, 3]), { dim: 5 }], 'dim 5 is out of range'];
      if (needsElements) yield [[random([0, 3]), { dim: 0 }], 'there must be elements'];
    },
  });
}

/** The gradient of an extreme, shared evenly among the elements that reach it. */
export function shareEvenly(g: Tensor, x: Tensor, y: Tensor, dims: readonly number[]): Tensor {
  const winners = x.detach().eq(spread(y.detach(), x, dims));
  const count = winners.sum({ dim: dims, keepdim: true });
  const share = g.reshape(count.shape).div(count).to(x.dtype);
  return winners.where(share, 0);
}

/** For each element of the last dim, the product of those before it. */
export const productsBefore = (x: Tensor): Tensor =>
  x.sizeAt(-1) === 0
    ? x
    : x
        .narrow(-1, 0, x.sizeAt(-1) - 1)
        .pad([1, 0], { value: 1 })
        .cumprod(-1);
