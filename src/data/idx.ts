import { platform } from '#platform';
import { LibError } from '../core/errors.js';
import { fileName } from '../io/fileName.js';
import { type HostArray, toDevice } from '../io/hostArray.js';
import type { Tensor } from '../tensor/tensor.js';
import { decodeIdx, type IdxOptions } from './idxFormat.js';

/** An IDX file, packed with gzip or not, up to the device. */
export async function readIdxHost(source: string | URL | Uint8Array, options: IdxOptions = {}): Promise<HostArray> {
  const file = options.file ?? (source instanceof Uint8Array ? 'the file' : fileName(source));
  const bytes = source instanceof Uint8Array ? source : await platform.readFile('readIdx', source);
  return decodeIdx(isGzip(bytes) ? await unpack(bytes, file) : bytes, { ...options, file });
}

/**
 * Reads an IDX file (the format of MNIST), packed with gzip or not: a path, an address or its bytes.
 * @example const images = await readIdx('train-images-idx3-ubyte.gz') // uint8, (60000, 28, 28)
 */
export async function readIdx(source: string | URL | Uint8Array, options: IdxOptions = {}): Promise<Tensor> {
  return toDevice(await readIdxHost(source, options));
}

const isGzip = (bytes: Uint8Array): boolean => bytes[0] === 0x1f && bytes[1] === 0x8b;

async function unpack(bytes: Uint8Array, file: string): Promise<Uint8Array> {
  try {
    const stream = new Blob([bytes as Uint8Array<ArrayBuffer>]).stream().pipeThrough(new DecompressionStream('gzip'));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  } catch (error) {
    const why = error instanceof Error ? (error.cause instanceof Error ? error.cause.message : error.message) : String(error);
    throw new LibError('file', `readIdx: ${file}: the gzip data (${bytes.length} bytes) must be complete, got: ${why}.`);
  }
}
