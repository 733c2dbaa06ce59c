import { fullLike } from '../tensor/creation.js';
import { isTensor, type Tensor } from '../tensor/tensor.js';
import type { Op } from './define.js';
import { positive } from './pointwise.js';
import { composed, derived } from './shortRows.js';
import { unbind } from './split.js';
import { asStrided, clone, diagonal, expand, narrow, permute, select, squeeze, t, transpose, unfold, unsqueeze, view } from './view.js';
import { splitWithSizes } from './viewForms.js';

/** Views that PyTorch also has as copies, and words for complex numbers that say nothing of real ones. */

/** The copy of a view's result. */
const copied = <Args extends readonly unknown[]>(op: Op<Args>, torch?: string): Op<Args> => derived(`${op.row.name}Copy`, op, clone, torch);
const pieces = <Args extends readonly unknown[]>(op: Op<Args, Tensor[]>): Op<Args, Tensor[]> =>
  derived(`${op.row.name}Copy`, op, (list) => list.map(clone));

/** {@link diagonal}, copied. */
export const diagonalCopy: typeof diagonal = copied(diagonal);
/** {@link expand}, copied. */
export const expandCopy: typeof expand = copied(expand);
/** {@link narrow}, copied. */
export const narrowCopy: typeof narrow = copied(narrow);
/** {@link permute}, copied. */
export const permuteCopy: typeof permute = copied(permute);
/** {@link select}, copied. */
export const selectCopy: typeof select = copied(select);
/** {@link squeeze}, copied. */
export const squeezeCopy: typeof squeeze = copied(
  squeeze,
  'torch.squeeze_copy(a[0], *(tuple(v) if isinstance(v, list) else v for v in o.values()))',
);
/** {@link t}, copied. */
export const tCopy: typeof t = copied(t);
/** {@link transpose}, copied. */
export const transposeCopy: typeof transpose = copied(transpose);
/** {@link unfold}, copied. */
export const unfoldCopy: typeof unfold = copied(unfold);
/** {@link unsqueeze}, copied. */
export const unsqueezeCopy: typeof unsqueeze = copied(unsqueeze);
/** {@link view}, copied. */
export const viewCopy: typeof view = copied(view);
/** {@link splitWithSizes}, copied. */
export const splitWithSizesCopy: typeof splitWithSizes = pieces(splitWithSizes);
/** {@link asStrided}, copied. */
export const asStridedCopy: typeof asStrided = copied(asStrided, 'torch.as_strided_copy(a[0], a[1], a[2], o.get("storage_offset"))');
/** {@link unbind}, copied. */
export const unbindCopy: typeof unbind = pieces(unbind);
/** A dense copy: another name of {@link clone}. */
export const aliasCopy: typeof clone = derived('aliasCopy', clone, (x) => x);

/** One value (a number or a 0-d tensor) at every place, with the shape and type of `x`. */
export const fill: Op<[x: Tensor, value: number | boolean | Tensor]> = composed(
  'fill',
  (x, value) => (isTensor(value) ? value.to(x.dtype).expand(x.shape).clone() : fullLike(x.detach(), Number(value))),
  (random) => [
    [random([2, 3]), 1.5],
    [random([3]), random([])],
  ],
  { torch: 'torch.ops.aten.fill(a[0], a[1])' },
);

type Unchanged = Op<[x: Tensor]>;
const unchanged = (name: string, torch?: string): Unchanged => derived(name, positive, (x) => x, torch);
/** The conjugate: of real numbers, themselves. */
export const conj: Unchanged = unchanged('conj');
/** The conjugate: of real numbers, themselves. */
export const conjPhysical: Unchanged = unchanged('conjPhysical');
/** The real part: of real numbers, themselves. */
export const real: Unchanged = unchanged('real');
/** Real numbers are never stored as conjugates: the values as they are. */
export const resolveConj: Unchanged = unchanged('resolveConj');
/** Values are never stored negated: the values as they are. */
export const resolveNeg: Unchanged = unchanged('resolveNeg');
