import { type DType, isFloat } from '../core/dtype.js';
import { snakeCase } from '../core/names.js';
import type { Tensor } from '../tensor/tensor.js';
import { defineComposite, type Op, type Random } from './define.js';
import { constantView } from './fused.js';
import { checkMask } from './mapTyped.js';

/** torch.masked: reductions and normalizations of the elements where a mask is true. Without a mask, of all. */

export interface MaskOptions {
  /** Which elements count (bool, broadcasts to the tensor). Default: all. */
  readonly mask?: Tensor;
  /** Type of the result. Default: the tensor's. */
  readonly dtype?: DType;
}
export interface MaskedReduceOptions extends MaskOptions {
  /** Default: all dims. */
  readonly dim?: number | readonly number[];
  /** Keep reduced dims, with size 1. Default false. */
  readonly keepdim?: boolean;
}
export interface MaskedVarOptions extends MaskedReduceOptions {
  /** What the count is lessened by. Default 1. */
  readonly correction?: number;
  /** The same in words: 1 or 0. */
  readonly unbiased?: boolean;
}
export interface MaskedArgOptions extends MaskOptions {
  /** Default: the place in the flattened tensor. */
  readonly dim?: number;
  /** Default false. */
  readonly keepdim?: boolean;
}
export interface MaskedNormOptions extends MaskedReduceOptions {
  /** Default 2. */
  readonly ord?: number;
}
export interface MaskedNormalizeOptions extends MaskOptions {
  /** What is divided by at least. Default 1e-12. */
  readonly eps?: number;
}
export interface MaskedLogaddexpOptions {
  /** Where the first tensor counts. */
  readonly inputMask?: Tensor;
  /** Where the second one counts. */
  readonly otherMask?: Tensor;
  /** Type of the result. */
  readonly dtype?: DType;
}

type Reduction<Options = MaskedReduceOptions> = Op<[x: Tensor, options?: Options]>;
type Along<Options = MaskOptions> = Op<[x: Tensor, dim: number, options?: Options]>;

/** x with `value` where the mask is false. */
function filled(op: string, x: Tensor, mask: Tensor | undefined, value: number): Tensor {
  if (mask === undefined) return x;
  checkMask(op, mask);
  return mask.expand(x.shape).where(x, value);
}
const lowest = ({ dtype }: Tensor): number => (isFloat(dtype) ? Number.NEGATIVE_INFINITY : dtype === 'int32' ? -(2 ** 31) : 0);
const highest = ({ dtype }: Tensor): number =>
  isFloat(dtype) ? Number.POSITIVE_INFINITY : dtype === 'int32' ? 2 ** 31 - 1 : dtype === 'uint8' ? 255 : 1;

const dims = ({ dim, keepdim }: MaskedReduceOptions): { readonly dim?: number | readonly number[]; readonly keepdim?: boolean } => ({
  ...(dim !== undefined && { dim }),
  ...(keepdim !== undefined && { keepdim }),
});
const typed = (x: Tensor, dtype: DType | undefined): Tensor => (dtype === undefined ? x : x.to(dtype));

interface Rule<Options extends MaskOptions> {
  compute(x: Tensor, options: Options, op: string): Tensor;
  readonly more?: readonly Options[];
  readonly differentiable?: false;
}
const torch = (name: string, args = '*a'): { readonly call: string } => ({ call: `torch.masked.${name}(${args}, **o)` });

function reduction<Options extends MaskedReduceOptions | MaskedArgOptions>(
  name: string,
  { compute, more = [], differentiable }: Rule<Options>,
): Reduction<Options> {
  const op = `masked.${name}`;
  return defineComposite({
    name: op,
    compose: (x: Tensor, options: Options = {} as Options) => compute(x, options, op),
    ...(differentiable === false && { differentiable }),
    *samples(random: Random): Iterable<[x: Tensor, options?: Options]> {
      yield [random([2, 3])];
      yield [random([3, 4]), { mask: someIn(random, [3, 4]), dim: 1 } as Options];
      yield [random([2, 5]), { mask: someIn(random, [5]), dim: -1, keepdim: true } as Options];
      for (const options of more) yield [random([3, 4]), { mask: someIn(random, [3, 4]), ...options }];
    },
    *errors(random: Random): Iterable<readonly [[x: Tensor, options?: Options], string]> {
      yield [[random([3]), { mask: random([3]) } as Options], 'must be of type bool'];
      yield [[random([3]), { dim: 2 } as Options], 'dim 2 is out of range'];
    },
    torch: torch(snakeCase(name)),
  });
}
/** A mask with something true in each row and, where there is room, something false. */
function someIn(random: Random, shape: readonly number[]): Tensor {
  const n = shape.at(-1) ?? 1;
  return random.bool(shape).logicalOr(random.integers([n], 0, 1).add(1).cumsum(0).le(2));
}

/** The sum over `dim` of what the mask lets through; 0 of nothing. */
export const sum: Reduction = reduction('sum', {
  compute: (x, { mask, dtype, ...rest }, op) => filled(op, x, mask, 0).sum({ ...dims(rest), ...(dtype && { dtype }) }),
});
/** The product over `dim` of what the mask lets through; 1 of nothing. */
export const prod: Reduction = reduction('prod', {
  compute: (x, { mask, dtype, ...rest }, op) => filled(op, x, mask, 1).prod({ ...dims(rest), ...(dtype && { dtype }) }),
});
/** The largest over `dim` of what the mask lets through; -Infinity of nothing. */
export const amax: Reduction = reduction('amax', {
  compute: (x, { mask, dtype, ...rest }, op) => typed(filled(op, x, mask, lowest(x)).amax(dims(rest)), dtype),
});
/** The smallest over `dim` of what the mask lets through; Infinity of nothing. */
export const amin: Reduction = reduction('amin', {
  compute: (x, { mask, dtype, ...rest }, op) => typed(filled(op, x, mask, highest(x)).amin(dims(rest)), dtype),
});
/** Where the largest element stands of those that the mask lets through, in the tensor's type as in PyTorch. */
export const argmax: Reduction<MaskedArgOptions> = reduction<MaskedArgOptions>('argmax', {
  compute: (x, { mask, dtype = x.dtype, ...rest }, op) => filled(op, x, mask, lowest(x)).argmax(rest).to(dtype),
  differentiable: false,
});
/** Where the smallest element stands of those that the mask lets through, in the tensor's type as in PyTorch. */
export const argmin: Reduction<MaskedArgOptions> = reduction<MaskedArgOptions>('argmin', {
  compute: (x, { mask, dtype = x.dtype, ...rest }, op) => filled(op, x, mask, highest(x)).argmin(rest).to(dtype),
  differentiable: false,
});

/** How many elements the mask lets through over `dim`, in the type of `like`. */
function counted(x: Tensor, like: Tensor, mask: Tensor | undefined, rest: MaskedReduceOptions): Tensor {
  const all = mask ? mask.expand(x.shape) : constantView(x.device, 'bool', x.shape, 1);
  return all.sum(dims(rest)).to(like.dtype);
}
/** The mean over `dim` of what the mask lets through; NaN of nothing. */
export const mean: Reduction = reduction('mean', {
  compute(x, { mask, dtype, ...rest }, op) {
    const total = filled(op, typed(x, dtype), mask, 0).sum(dims(rest));
    return total.div(counted(x, total, mask, rest));
  },
});

function spread(x: Tensor, { mask, dtype, correction, unbiased, ...rest }: MaskedVarOptions, op: string): Tensor {
  const wide = typed(x, dtype ?? (isFloat(x.dtype) ? undefined : 'float32'));
  const keep = { ...rest, keepdim: true };
  const center = filled(op, wide, mask, 0)
    .sum(dims(keep))
    .div(counted(wide, wide, mask, keep));
  const total = filled(op, wide.sub(center).square(), mask, 0).sum(dims(rest));
  const less = correction ?? (unbiased === undefined ? 1 : Number(unbiased));
  return total.div(counted(wide, wide, mask, rest).sub(less).clamp({ min: 0 }));
}
const varSamples: readonly MaskedVarOptions[] = [
  { dim: 1, correction: 0 },
  { dim: 1, unbiased: false, keepdim: true },
];
const variance: Reduction<MaskedVarOptions> = reduction<MaskedVarOptions>('var', { compute: spread, more: varSamples });

/** The variance over `dim` of what the mask lets through. */
export { variance as var };
/** The standard deviation over `dim` of what the mask lets through. */
export const std: Reduction<MaskedVarOptions> = reduction<MaskedVarOptions>('std', {
  compute: (x, options, op) => spread(x, options, op).sqrt(),
  more: varSamples,
});
/** The norm over `dim` of what the mask lets through. */
export const norm: Reduction<MaskedNormOptions> = reduction<MaskedNormOptions>('norm', {
  compute(x, { mask, dtype, ord = 2, ...rest }, op) {
    const none = ord === Number.NEGATIVE_INFINITY ? Number.POSITIVE_INFINITY : 0;
    return typed(filled(op, x, mask, none), dtype).norm({ p: ord, ...dims(rest) });
  },
  more: [{ ord: 1, dim: 1 }],
});
/** log Σ exp over `dim` of what the mask lets through. */
export const logsumexp: Reduction = reduction('logsumexp', {
  compute: (x, { mask, dtype, ...rest }, op) => typed(filled(op, x, mask, lowest(x)).logsumexp(dims(rest)), dtype),
});
/** The lower median along `dim` (default: the last) of what the mask lets through; NaN of nothing. */
export const median: Reduction<MaskedArgOptions> = reduction<MaskedArgOptions>('median', {
  compute(x, { mask, dtype, dim = -1, keepdim = false }, op) {
    const wide = isFloat(x.dtype) ? x : x.float();
    const { values } = filled(op, wide, mask, Number.NaN).nanmedian({ dim, keepdim });
    return values.to(dtype ?? x.dtype);
  },
});

interface AlongRule {
  compute(x: Tensor, dim: number): Tensor;
  none(x: Tensor): number;
}
function along(name: string, { compute, none }: AlongRule): Along {
  const op = `masked.${name}`;
  return defineComposite({
    name: op,
    compose: (x: Tensor, dim: number, { mask, dtype }: MaskOptions = {}) => compute(typed(filled(op, x, mask, none(x)), dtype), dim),
    *samples(random: Random): Iterable<[x: Tensor, dim: number, options?: MaskOptions]> {
      yield [random([2, 3]), 1];
      yield [random([3, 4]), 1, { mask: someIn(random, [3, 4]) }];
      yield [random([2, 5]), -1, { mask: someIn(random, [5]) }];
    },
    *errors(random: Random): Iterable<readonly [[x: Tensor, dim: number, options?: MaskOptions], string]> {
      yield [[random([3]), 0, { mask: random([3]) }], 'must be of type bool'];
    },
    torch: torch(snakeCase(name)),
  });
}
/** The running sum along a dim, to which what the mask hides adds nothing. */
export const cumsum: Along = along('cumsum', { compute: (x, dim) => x.cumsum(dim), none: () => 0 });
/** The running product along a dim, which what the mask hides leaves as it is. */
export const cumprod: Along = along('cumprod', { compute: (x, dim) => x.cumprod(dim), none: () => 1 });
/** The softmax over a dim of what the mask lets through; 0 elsewhere, NaN where it hides all. */
export const softmax: Along = along('softmax', { compute: (x, dim) => x.softmax({ dim }), none: lowest });
/** The logarithm of {@link softmax}. */
export const logSoftmax: Along = along('logSoftmax', { compute: (x, dim) => x.logSoftmax({ dim }), none: lowest });
/** The softmax of -x over a dim of what the mask lets through. */
export const softmin: Along = along('softmin', { compute: (x, dim) => x.softmin({ dim }), none: highest });

/** x over its norm along a dim, both of what the mask lets through; 0 elsewhere. */
export const normalize: Op<[x: Tensor, ord: number, dim: number, options?: MaskedNormalizeOptions]> = defineComposite({
  name: 'masked.normalize',
  compose(x: Tensor, ord: number, dim: number, { mask, dtype, eps = 1e-12 }: MaskedNormalizeOptions = {}) {
    const seen = typed(filled('masked.normalize', x, mask, 0), dtype);
    return seen.div(norm(x, { ord, dim, keepdim: true, ...(mask && { mask }), ...(dtype && { dtype }) }).clamp({ min: eps }));
  },
  *samples(random): Iterable<[x: Tensor, ord: number, dim: number, options?: MaskedNormalizeOptions]> {
    yield [random([3, 4]), 2, 1, { mask: someIn(random, [3, 4]) }];
    yield [random([3, 4]), 1, 0];
  },
  *errors(random): Iterable<readonly [[x: Tensor, ord: number, dim: number, options?: MaskedNormalizeOptions], string]> {
    yield [[random([3]), 2, 0, { mask: random([3]) }], 'must be of type bool'];
  },
  torch: torch('normalize'),
});

/** log(exp x + exp y) of what the masks let through. */
export const logaddexp: Op<[x: Tensor, other: Tensor, options?: MaskedLogaddexpOptions]> = defineComposite({
  name: 'masked.logaddexp',
  compose(x: Tensor, other: Tensor, { inputMask, otherMask, dtype }: MaskedLogaddexpOptions = {}) {
    const [a, b] = [filled('masked.logaddexp', x, inputMask, lowest(x)), filled('masked.logaddexp', other, otherMask, lowest(other))];
    return typed(a.logaddexp(b), dtype);
  },
  *samples(random): Iterable<[x: Tensor, other: Tensor, options?: MaskedLogaddexpOptions]> {
    yield [random([4]), random([4])];
    // With nothing hidden: PyTorch's second gradients at -Infinity are NaN.
    yield [random([2, 4]), random([2, 4]), { inputMask: random.integers([4], 0, 1).eq(0) }];
  },
  *errors(random): Iterable<readonly [[x: Tensor, other: Tensor, options?: MaskedLogaddexpOptions], string]> {
    yield [[random([3]), random([3]), { inputMask: random([3]) }], 'must be of type bool'];
  },
  torch: { call: 'torch.masked._ops.logaddexp(*a, **o)' },
});
