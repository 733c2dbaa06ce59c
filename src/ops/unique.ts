import type { DType } from '../core/dtype.js';
import { range, resolveDim } from '../core/shape.js';
import { valuesOf } from '../tensor/capturing.js';
import { type NestedData, tensor } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { defineComposite } from './define.js';
import type { Overloaded } from './foldRows.js';

/** Distinct values, and distinct runs. How many there are depends on the data, so it is read now. */

export interface UniqueConsecutiveOptions<Inverse extends boolean = boolean, Counts extends boolean = boolean> {
  /** Also give, for each input element (or entry of `dim`), where it is among the values. Default false. */
  readonly returnInverse?: Inverse;
  /** Also give how often each value occurs. Default false. */
  readonly returnCounts?: Counts;
  /** Compare whole entries of this dim. Default: elements, whatever the shape. */
  readonly dim?: number;
}
export interface UniqueOptions<Inverse extends boolean = boolean, Counts extends boolean = boolean>
  extends UniqueConsecutiveOptions<Inverse, Counts> {
  /** The values are in order either way; kept for PyTorch's sake. */
  readonly sorted?: boolean;
}

/** The values alone, or with what was asked for: `inverseIndices` (the input's shape, or a vector for `dim`) and `counts`, int32. */
export type UniqueResult<Inverse extends boolean, Counts extends boolean> = [Inverse | Counts] extends [false]
  ? Tensor
  : { readonly values: Tensor } & (Inverse extends true ? { readonly inverseIndices: Tensor } : unknown) &
      (Counts extends true ? { readonly counts: Tensor } : unknown);

export type UniqueMethod = <I extends boolean = false, C extends boolean = false>(options?: UniqueOptions<I, C>) => UniqueResult<I, C>;
export interface Unique extends Overloaded<UniqueMethod> {
  <I extends boolean = false, C extends boolean = false>(x: Tensor, options?: UniqueOptions<I, C>): UniqueResult<I, C>;
}
export type UniqueConsecutiveMethod = <I extends boolean = false, C extends boolean = false>(
  options?: UniqueConsecutiveOptions<I, C>,
) => UniqueResult<I, C>;
export interface UniqueConsecutive extends Overloaded<UniqueConsecutiveMethod> {
  <I extends boolean = false, C extends boolean = false>(x: Tensor, options?: UniqueConsecutiveOptions<I, C>): UniqueResult<I, C>;
}

/** Entries as rows of numbers; `x` with the compared dim in front. */
interface Entries {
  readonly x: Tensor;
  readonly data: ArrayLike<number>;
  readonly count: number;
  readonly width: number;
}

function entriesOf(op: string, x: Tensor, dim: number | undefined): Entries {
  if (dim === undefined) return { x: x.reshape([x.size]), data: valuesOf(op, x), count: x.size, width: 1 };
  const front = x.movedim(resolveDim(op, dim, x.ndim), 0);
  const count = front.sizeAt(0);
  return { x: front, data: valuesOf(op, front), count, width: count === 0 ? 0 : front.size / count };
}

/** Below 0, 0 or above 0 as one entry comes before, equals or follows another. NaN follows all and equals nothing. */
function compare({ data, width }: Entries, i: number, j: number): number {
  for (let k = 0; k < width; k++) {
    const [a, b] = [data[i * width + k] as number, data[j * width + k] as number];
    if (a < b || (Number.isNaN(b) && !Number.isNaN(a))) return -1;
    if (a !== b) return 1;
  }
  return 0;
}

type Found = Tensor | { values: Tensor; inverseIndices?: Tensor; counts?: Tensor };

function distinct(op: string, x: Tensor, sort: boolean, options: UniqueOptions): Found {
  const { returnInverse = false, returnCounts = false, dim } = options;
  const entries = entriesOf(op, x.detach(), dim);
  const order = range(entries.count);
  if (sort) order.sort((i, j) => compare(entries, i, j));
  const [firsts, counts, inverse] = [[] as number[], [] as number[], new Int32Array(entries.count)];
  order.forEach((i, at) => {
    if (at === 0 || compare(entries, order[at - 1] as number, i) !== 0) {
      firsts.push(i);
      counts.push(0);
    }
    counts[counts.length - 1] = (counts.at(-1) ?? 0) + 1;
    inverse[i] = firsts.length - 1;
  });
  const made = (numbers: NestedData, shape: readonly number[], dtype: DType = 'int32'): Tensor =>
    tensor(numbers, { dtype, device: x.device, shape });
  const picked = entries.x.indexSelect(0, made(firsts, [firsts.length]));
  const values = dim === undefined ? picked : picked.movedim(0, dim);
  if (!returnInverse && !returnCounts) return values;
  return {
    values,
    ...(returnInverse && { inverseIndices: made(inverse, dim === undefined ? x.shape : [inverse.length]) }),
    ...(returnCounts && { counts: made(counts, [counts.length]) }),
  };
}

/**
 * The distinct values in order, of all elements or of entries of a dim. With options: inverse and counts too.
 * @example unique(tensor([3, 1, 3]), { returnCounts: true }).counts // [1, 2]
 */
export const unique: Unique = defineComposite({
  name: 'unique',
  compose: (x: Tensor, options: UniqueOptions = {}) => distinct('unique', x, true, options),
  differentiable: false,
  *samples(random): Iterable<[x: Tensor, options?: UniqueOptions]> {
    yield [random.integers([9], 0, 4)];
    yield [random.integers([2, 5], -2, 3)];
    yield [random.integers([3, 4], 0, 3), { returnInverse: true, returnCounts: true }];
    yield [random.integers([6, 2], 0, 2), { dim: 0, returnInverse: true }];
    yield [random.integers([2, 6], 0, 2), { dim: 1, returnCounts: true }];
    yield [tensor([1, Number.NaN, 1, Number.NaN]), { returnCounts: true }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, options?: UniqueOptions], string]> {
    yield [[random([2]), { dim: 1 }], 'dim 1 is out of range'];
  },
}) as unknown as Unique;

/**
 * The elements, or entries of a dim, without those that equal the one before.
 * @example uniqueConsecutive(tensor([1, 1, 2, 1])) // [1, 2, 1]
 */
export const uniqueConsecutive: UniqueConsecutive = defineComposite({
  name: 'uniqueConsecutive',
  compose: (x: Tensor, options: UniqueConsecutiveOptions = {}) => distinct('uniqueConsecutive', x, false, options),
  differentiable: false,
  *samples(random): Iterable<[x: Tensor, options?: UniqueConsecutiveOptions]> {
    yield [random.integers([9], 0, 2)];
    yield [random.integers([3, 4], 0, 2), { returnInverse: true, returnCounts: true }];
    yield [random.integers([6, 1], 0, 2), { dim: 0, returnInverse: true }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, options?: UniqueConsecutiveOptions], string]> {
    yield [[random([2]), { dim: 1 }], 'dim 1 is out of range'];
  },
}) as unknown as UniqueConsecutive;
