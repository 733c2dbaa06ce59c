import { type DType, dtypes } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import { type Spec, specOf } from '../core/spec.js';
import { checkReadable } from '../tensor/capturing.js';
import type { Device } from '../tensor/device.js';
import { Tensor } from '../tensor/tensor.js';
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

/** The same values as another element type (floats to integers: truncated) or on another device; itself where nothing changes. */
export const to: Op<[x: Tensor, target: DType | Device]> = defineComposite({
  name: 'to',
  compose(x: Tensor, target: DType | Device) {
    if (typeof target !== 'string') return move(x, target);
    if (!(target in dtypes)) throw new LibError('dtype', `to: the type must be one of ${Object.keys(dtypes).join(', ')}, got ${target}.`);
    return x.dtype === target ? x : convert(x, target);
  },
  torch: { call: 'a[0].to(getattr(torch, a[1]))' },
  *samples(random): Iterable<[x: Tensor, target: DType]> {
    yield [random([2, 3]), 'float64'];
    yield [random([2, 3]), 'int32'];
    yield [random([2, 3]), 'bool'];
    yield [random.integers([4], -3, 4), 'float32'];
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
/** As bfloat16: float32's exponents, 7 bits of fraction. */
export const bfloat16 = (x: Tensor): Tensor => to(x, 'bfloat16');
/** As int32, truncated towards zero. */
export const int = (x: Tensor): Tensor => to(x, 'int32');
/** As uint8. */
export const byte = (x: Tensor): Tensor => to(x, 'uint8');
/** As bool: whether an element is not zero. */
export const bool = (x: Tensor): Tensor => to(x, 'bool');
/** As the element type of another tensor. */
export const typeAs = (x: Tensor, other: Tensor): Tensor => to(x, other.dtype);
