import { type DType, dtypes, type TypedArray, typedArray } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import { formatShape, type Shape, sizeOf } from '../core/shape.js';
import { specOf } from '../core/spec.js';
import { type Device, defaultDevice } from '../tensor/device.js';
import { Tensor } from '../tensor/tensor.js';

/** A dense array outside of any device: what files hold and what worker threads send. 16-bit floats show their bits. */
export interface HostArray {
  readonly dtype: DType;
  readonly shape: Shape;
  readonly data: TypedArray;
}

export const bytesOf = ({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array => new Uint8Array(buffer, byteOffset, byteLength);

/** Copies an array to a device. */
export function toDevice({ dtype, shape, data }: HostArray, device: Device = defaultDevice()): Tensor {
  if (data.length !== sizeOf(shape)) {
    throw new LibError('shape', `toDevice: shape ${formatShape(shape)} needs ${sizeOf(shape)} elements, got ${data.length}.`);
  }
  const spec = specOf(dtype, shape);
  const storage = device.allocate(spec.bytes);
  if (spec.bytes > 0) device.upload(storage, 0, bytesOf(data));
  return new Tensor(spec, storage, 0, device);
}

/** Copies a tensor's elements from its device. */
export async function toHost(x: Tensor): Promise<HostArray> {
  const dense = x.isContiguous() ? x : x.detach().contiguous();
  const { bytes, size, shape, dtype } = dense.spec;
  const buffer = bytes === 0 ? new ArrayBuffer(0) : await dense.device.download(dense.storage, dense.offset * dtypes[dtype].bytes, bytes);
  return { dtype, shape, data: typedArray(dtype, buffer, 0, size) };
}

/** An array over bytes of a file, copied only where the bytes are not aligned for their type. */
export function arrayOver(dtype: DType, shape: Shape, bytes: Uint8Array): HostArray {
  const aligned = bytes.byteOffset % dtypes[dtype].bytes === 0 ? bytes : bytes.slice();
  return { dtype, shape, data: typedArray(dtype, aligned.buffer, aligned.byteOffset, sizeOf(shape)) };
}
