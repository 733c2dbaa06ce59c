import { type DType, dtypes } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import { type Spec, specOf } from '../core/spec.js';
import { checkReadable } from '../tensor/capturing.js';
import type { Device } from '../tensor/device.js';
import { Tensor } from '../tensor/tensor.js';
import { wishes } from './castTarget.js';
import { customGrad } from './customGrad.js';
import { defineComposite, defineOp, type Op } from './define.js';

const convert: Op<[x: Tensor, dtype: DType]> = defineOp({
  name: 'to',
  args: (x: Tensor, dtype: DType) => ({ inputs: [x], params: dtype, key: dtype }),
  infer: ([x], dtype) => specOf(dtype, (x as Spec).shape),
  kernel: () => ({ family: 'copy' }),
  grad: ([g], { inputs: [x] }) => [g && x ? to(g, x.dtype) : null],
  *samples() {},
});

export interface ToOptions {
  /** Default: the tensor's own type. */
  readonly dtype?: DType;
  /** Default: where the tensor is. */
  readonly device?: Device;
  /** Copy even where nothing changes. Default false. */
  readonly copy?: boolean;
  /** No effect: kept for PyTorch's sake. */
  readonly nonBlocking?: boolean;
}
/** An element type, a device, a tensor that has both, or nothing but options. */
export type ToTarget = DType | Device | Tensor | ToOptions;

/** The same values as another element type (floats to integers: truncated) or on another device; itself where nothing changes. */
export const to: Op<[x: Tensor, target: ToTarget, options?: ToOptions]> = defineComposite({
  name: 'to',
  compose(x: Tensor, target: ToTarget, options?: ToOptions) {
    const {
      dtype = x.dtype,
      device,
      copy = false,
    } = typeof target === 'string' && !options ? { dtype: target } : wishes(target, options ?? {});
    if (!(dtype in dtypes)) throw new LibError('dtype', `to: the type must be one of ${Object.keys(dtypes).join(', ')}, got ${dtype}.`);
    const there = device === undefined ? x : move(x, device);
    if (there.dtype !== dtype) return convert(there, dtype);
    return copy && there === x ? x.clone() : there;
  },
  torch: { call: 'a[0].to(getattr(torch, a[1]) if isinstance(a[1], str) else a[1])' },
  *samples(random): Iterable<[x: Tensor, target: ToTarget, options?: ToOptions]> {
    yield [random([2, 3]), 'float64'];
    yield [random([2, 3]), 'int32'];
    yield [random([2, 3]), 'bool'];
    yield [random.integers([4], -3, 4), 'float32'];
    yield [random([2]), random.integers([1], 0, 2)];
  },
  *errors(random): Iterable<readonly [[x: Tensor, target: ToTarget], string]> {
    yield [[random([2]), 'int7' as DType], "target must be 'bfloat16', 'bool'"];
  },
});

/** Copies the bytes through the host; a gradient travels the other way. */
function move(x: Tensor, device: Device): Tensor {
  if (x.device === device) return x;
  const from = x.device;
  return customGrad({
    name: 'to',
    inputs: [x],
    params: null,
    saves: [],
    compute() {
      checkReadable('to', x);
      if (from.downloadNow === undefined) {
        throw new LibError(
          'device',
          `to: values of ${from.name} cannot be read at once, got a move to ${device.name}.`,
          'use tensor(await x.data(), { device }).',
        );
      }
      const dense = x.contiguous();
      const bytes = from.downloadNow(dense.storage, dense.offset * dtypes[x.dtype].bytes, dense.spec.bytes);
      const storage = device.allocate(dense.spec.bytes);
      if (bytes.byteLength > 0) device.upload(storage, 0, new Uint8Array(bytes));
      return new Tensor(dense.spec, storage, 0, device);
    },
    grad: (g) => [move(g, from)],
  });
}

/** As float32. */
export const float = (x: Tensor): Tensor => to(x, 'float32');
/** As float64. */
export const double = (x: Tensor): Tensor => to(x, 'float64');
/** As float16: 5 bits of exponent, 10 of fraction. */
export const half = (x: Tensor): Tensor => to(x, 'float16');

const asPairs = (x: Tensor, dtype: DType): Tensor => to(x, dtype).unsqueeze(-1).pad([0, 1]);
/** Real numbers as complex ones of float16: pairs (…, 2). */
export const chalf = (x: Tensor): Tensor => asPairs(x, 'float16');
/** Real numbers as complex ones of float32: pairs (…, 2). */
export const cfloat = (x: Tensor): Tensor => asPairs(x, 'float32');
/** Real numbers as complex ones of float64: pairs (…, 2). */
export const cdouble = (x: Tensor): Tensor => asPairs(x, 'float64');
/** As bfloat16: float32's exponents, 7 bits of fraction. */
export const bfloat16 = (x: Tensor): Tensor => to(x, 'bfloat16');
/** As int32, truncated towards zero. */
export const int = (x: Tensor): Tensor => to(x, 'int32');
/** As int32, which stands for PyTorch's int64. */
export const long = (x: Tensor): Tensor => to(x, 'int32');
/** The values that int16 would hold, cut to its 16 bits. There is no such type: they are int32. */
export const short = (x: Tensor): Tensor => wrapped(x, 16);
/** The values that int8 would hold, cut to its 8 bits. There is no such type: they are int32. */
export const char = (x: Tensor): Tensor => wrapped(x, 8);
function wrapped(x: Tensor, bits: number): Tensor {
  const half = 2 ** (bits - 1);
  return to(x, 'int32')
    .add(half)
    .remainder(2 * half)
    .sub(half);
}
/** As uint8. */
export const byte = (x: Tensor): Tensor => to(x, 'uint8');
/** As bool: whether an element is not zero. */
export const bool = (x: Tensor): Tensor => to(x, 'bool');
/** As the element type of another tensor. */
export const typeAs = (x: Tensor, other: Tensor): Tensor => to(x, other.dtype);
