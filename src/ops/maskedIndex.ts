import type { Tensor } from '../tensor/tensor.js';
import type { IndexList } from './advancedIndex.js';
import type { Op } from './define.js';
import { index, indexPut } from './indexing.js';
import { composed } from './shortRows.js';

/** Reads and writes at indices of which only those under a mask count: the others need not lie inside. */

/** Indices clamped to those that a tensor has, of which negative ones count from the end. */
const inside = (x: Tensor, indices: IndexList): IndexList =>
  indices.map((t, d) => t?.clamp({ min: -x.sizeAt(d), max: x.sizeAt(d) - 1 }) ?? null);

/** {@link index} with `fill` where the mask is false; indices are clamped to the tensor (torch._unsafe_masked_index). */
export const unsafeMaskedIndex: Op<[x: Tensor, mask: Tensor, indices: IndexList, fill: number]> = composed(
  'unsafeMaskedIndex',
  (x, mask, indices, fill) => mask.where(index(x, inside(x, indices)), fill),
  (random) => [
    [random([4, 3]), random.bool([5, 2]), [random.integers([5, 1], -2, 6), random.integers([2], 0, 3)], 7],
    [random([4, 3]), random.bool([5, 3]), [random.integers([5], -2, 6)], 0.5],
  ],
  {
    torch: 'torch._unsafe_masked_index(a[0], a[1], [i.long() for i in a[2]], a[3])',
    errors: (random) => [[[random([4]), random.bool([3]), [random.integers([2], 0, 4)], 0], 'do not broadcast']],
  },
);

/** Adds the values that the mask leaves at indices, which are clamped to the tensor (torch._unsafe_masked_index_put_accumulate). */
export const unsafeMaskedIndexPutAccumulate: Op<[x: Tensor, mask: Tensor, indices: IndexList, values: Tensor]> = composed(
  'unsafeMaskedIndexPutAccumulate',
  (x, mask, indices, values) => indexPut(x, inside(x, indices), mask.where(values, 0), { accumulate: true }),
  (random) => [
    [random([4, 3]), random.bool([5, 2]), [random.integers([5, 1], -2, 6), random.integers([2], 0, 3)], random([5, 2])],
    [random([4, 3]), random.bool([5, 3]), [random.integers([5], -2, 6)], random([5, 3])],
  ],
  {
    torch: 'torch._unsafe_masked_index_put_accumulate(a[0], a[1], [i.long() for i in a[2]], a[3])',
    errors: (random) => [[[random([4]), random.bool([2]), [random.integers([2], 0, 4)], random([3])], 'do not broadcast']],
  },
);
