import { type DType, typedArray } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import { sizeOf } from '../core/shape.js';
import type { HostArray } from '../io/hostArray.js';

// The format: two zero bytes, a type, the number of dimensions; their sizes and then the elements, big endian.
// http://yann.lecun.com/exdb/mnist/

interface ElementType {
  readonly name: string;
  readonly bytes: number;
  readonly dtype: DType;
  readonly read: (view: DataView, at: number) => number;
}

const types: Readonly<Record<number, ElementType>> = {
  8: { name: 'uint8', bytes: 1, dtype: 'uint8', read: (v, at) => v.getUint8(at) },
  9: { name: 'int8', bytes: 1, dtype: 'int32', read: (v, at) => v.getInt8(at) },
  11: { name: 'int16', bytes: 2, dtype: 'int32', read: (v, at) => v.getInt16(at) },
  12: { name: 'int32', bytes: 4, dtype: 'int32', read: (v, at) => v.getInt32(at) },
  13: { name: 'float32', bytes: 4, dtype: 'float32', read: (v, at) => v.getFloat32(at) },
  14: { name: 'float64', bytes: 8, dtype: 'float64', read: (v, at) => v.getFloat64(at) },
};

export interface IdxOptions {
  /** The file's name in errors. */
  readonly file?: string;
  /** What the file must hold: MNIST's images have 3 dimensions, its labels one. Default: anything. */
  readonly holds?: 'images' | 'labels';
}

function broken(file: string, rule: string, got: string): LibError {
  return new LibError('file', `readIdx: ${file}: ${rule}, got ${got}.`);
}

/** Reads the bytes of an IDX file. 8 and 16 bit signed integers become int32. */
export function decodeIdx(bytes: Uint8Array, { file = 'the file', holds }: IdxOptions = {}): HostArray {
  const { type, shape, start } = readHeader(bytes, file, holds);
  const size = sizeOf(shape);
  const expected = start + size * type.bytes;
  if (bytes.length < expected) throw broken(file, `expected ${expected} bytes`, `${bytes.length}: truncated at byte ${bytes.length}`);
  if (bytes.length > expected)
    throw broken(file, `expected ${expected} bytes`, `${bytes.length}: more than the header says, from byte ${expected}`);
  if (type.dtype === 'uint8') return { dtype: 'uint8', shape, data: bytes.subarray(start) };
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const data = typedArray(type.dtype, new ArrayBuffer(size * Math.max(type.bytes, 4)), 0, size);
  for (let i = 0; i < size; i++) data[i] = type.read(view, start + i * type.bytes);
  return { dtype: type.dtype, shape, data };
}

function readHeader(bytes: Uint8Array, file: string, holds: IdxOptions['holds']): { type: ElementType; shape: number[]; start: number } {
  if (bytes.length < 4) throw broken(file, 'an IDX file starts with 4 bytes', `${bytes.length} bytes: truncated at byte ${bytes.length}`);
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const magic = view.getUint32(0);
  if (magic >>> 16 !== 0) throw broken(file, 'an IDX file starts with two zero bytes', `the magic number 0x${hex(magic)} at byte 0`);
  const type = types[(magic >>> 8) & 0xff];
  if (type === undefined) {
    const known = Object.entries(types).map(([code, t]) => `0x${Number(code).toString(16).padStart(2, '0')} (${t.name})`);
    throw broken(file, `the element type is one of ${known.join(', ')}`, `0x${hex(magic).slice(4, 6)} at byte 2`);
  }
  const rank = magic & 0xff;
  checkContent(file, holds, magic, rank);
  const start = 4 + 4 * rank;
  if (bytes.length < start) throw broken(file, `expected a header of ${start} bytes`, `${bytes.length}: truncated at byte ${bytes.length}`);
  return { type, shape: Array.from({ length: rank }, (_, d) => view.getUint32(4 + 4 * d)), start };
}

const hex = (magic: number): string => magic.toString(16).padStart(8, '0');

function checkContent(file: string, holds: IdxOptions['holds'], magic: number, rank: number): void {
  if (holds === undefined || magic === (holds === 'images' ? 2051 : 2049)) return;
  const expected =
    holds === 'images' ? 'images: 3 dimensions of uint8 (magic number 2051)' : 'labels: 1 dimension of uint8 (magic number 2049)';
  const what = magic === 2051 ? ', a file of images' : magic === 2049 ? ', a file of labels' : '';
  throw broken(
    file,
    `the file must hold ${expected}`,
    `${rank} dimension${rank === 1 ? '' : 's'} (magic number ${magic}${what}) at byte 0`,
  );
}

/** Images and labels belong together, one each. */
export function checkPair(images: HostArray, labels: HostArray, imagesFile: string, labelsFile: string): void {
  const [a, b] = [images.shape[0], labels.shape[0]];
  if (a === b) return;
  throw new LibError(
    'data',
    `readIdx: ${imagesFile} and ${labelsFile} must count the same items, got ${a} images and ${b} labels at byte 4.`,
  );
}
