import { platform } from '#platform';
import { type DType, dtypes } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import { type Shape, sizeOf } from '../core/shape.js';
import type { Tensor } from '../tensor/tensor.js';
import { fileName } from './fileName.js';
import { arrayOver, bytesOf, type HostArray, toDevice, toHost } from './hostArray.js';

// The format: 8 bytes with the length of the header (little endian), the header as JSON, the arrays one after the other.
// https://huggingface.co/docs/safetensors

const codes: Readonly<Record<DType, string>> = {
  float32: 'F32',
  float64: 'F64',
  float16: 'F16',
  bfloat16: 'BF16',
  int32: 'I32',
  uint8: 'U8',
  bool: 'BOOL',
};
const dtypeByCode: ReadonlyMap<string, DType> = new Map(Object.entries(codes).map(([dtype, code]) => [code, dtype as DType]));

export interface SafetensorsContent {
  readonly tensors: ReadonlyMap<string, HostArray>;
  readonly metadata: Readonly<Record<string, string>>;
}

export interface SaveOptions {
  /** Texts to keep in the file's header. Default: none. */
  readonly metadata?: Readonly<Record<string, string>>;
}

/** The file in parts, header first, so that large arrays are not copied again. */
export function encodeChunks(tensors: ReadonlyMap<string, HostArray>, { metadata = {} }: SaveOptions = {}): Uint8Array[] {
  const header: Record<string, unknown> = {};
  if (Object.keys(metadata).length > 0) header.__metadata__ = metadata;
  // Wide types first: every array is then aligned for its type.
  const entries = [...tensors].sort(([, a], [, b]) => dtypes[b.dtype].bytes - dtypes[a.dtype].bytes);
  let at = 0;
  for (const [name, { dtype, shape, data }] of entries) {
    if (name === '__metadata__') throw new LibError('value', "saveSafetensors: names must not be '__metadata__', got one that is.");
    header[name] = { dtype: codes[dtype], shape, data_offsets: [at, at + data.byteLength] };
    at += data.byteLength;
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const padded = Math.ceil(json.length / 8) * 8;
  const head = new Uint8Array(8 + padded).fill(0x20);
  new DataView(head.buffer).setBigUint64(0, BigInt(padded), true);
  head.set(json, 8);
  return [head, ...entries.map(([, { data }]) => bytesOf(data))];
}

/** Named arrays as one safetensors file. */
export function encodeSafetensors(tensors: ReadonlyMap<string, HostArray>, options: SaveOptions = {}): Uint8Array {
  const chunks = encodeChunks(tensors, options);
  const out = new Uint8Array(chunks.reduce((n, c) => n + c.length, 0));
  let at = 0;
  for (const chunk of chunks) {
    out.set(chunk, at);
    at += chunk.length;
  }
  return out;
}

interface Entry {
  readonly name: string;
  readonly code: string;
  readonly shape: Shape;
  readonly begin: number;
  readonly end: number;
}

/** Reads a safetensors file, whose header is checked whole before any of it is believed. `file` is its name in errors. */
export function decodeSafetensors(bytes: Uint8Array, { file = 'the file' }: { readonly file?: string } = {}): SafetensorsContent {
  const { header, start } = readHeader(bytes, file);
  const { __metadata__: metadata, ...rest } = header;
  const entries = Object.entries(rest).map(([name, value]) => checkEntry(name, value, file, start));
  checkLayout(entries, bytes.length, start, file);
  const tensors = new Map<string, HostArray>();
  for (const entry of entries) {
    const raw = bytes.subarray(start + entry.begin, start + entry.end);
    const dtype = dtypeByCode.get(entry.code);
    tensors.set(entry.name, dtype === undefined ? fromInt64(entry, raw, file, start) : arrayOver(dtype, entry.shape, raw));
  }
  return { tensors, metadata: checkMetadata(metadata, file) };
}

function broken(file: string, byte: number, rule: string, got: string): LibError {
  return new LibError('file', `loadSafetensors: ${file}: ${rule}, got ${got} at byte ${byte}.`);
}

function readHeader(bytes: Uint8Array, file: string): { header: Record<string, unknown>; start: number } {
  if (bytes.length < 8) throw broken(file, bytes.length, 'a file starts with 8 bytes of header length', `its end`);
  const length = new DataView(bytes.buffer, bytes.byteOffset, 8).getBigUint64(0, true);
  if (length > 100_000_000n)
    throw broken(file, 0, 'a header has at most 100000000 bytes', `a length of ${length} (not a safetensors file?)`);
  const start = 8 + Number(length);
  if (start > bytes.length) throw broken(file, bytes.length, `the header ends at byte ${start}`, 'the end of the file: truncated');
  try {
    const header: unknown = JSON.parse(new TextDecoder('utf-8', { fatal: true }).decode(bytes.subarray(8, start)));
    if (isRecord(header)) return { header, start };
  } catch {
    // falls through to the same message
  }
  throw broken(file, 8, 'the header is a JSON object', 'something else');
}

const isRecord = (x: unknown): x is Record<string, unknown> => typeof x === 'object' && x !== null && !Array.isArray(x);
const isCount = (x: unknown): x is number => typeof x === 'number' && Number.isSafeInteger(x) && x >= 0;

function checkEntry(name: string, value: unknown, file: string, start: number): Entry {
  const { dtype, shape, data_offsets: offsets } = isRecord(value) ? value : {};
  const [begin, end] = Array.isArray(offsets) ? offsets : [];
  if (typeof dtype !== 'string' || !Array.isArray(shape) || !shape.every(isCount) || !isCount(begin) || !isCount(end)) {
    throw broken(file, 8, `'${name}' has dtype, shape and data_offsets`, JSON.stringify(value));
  }
  const bytes = dtype === 'I64' ? 8 : dtypes[dtypeByCode.get(dtype) ?? 'bool'].bytes;
  if (dtype !== 'I64' && !dtypeByCode.has(dtype)) {
    throw broken(file, start + begin, `'${name}' has one of the types ${[...dtypeByCode.keys(), 'I64'].join(', ')}`, dtype);
  }
  const needed = sizeOf(shape) * bytes;
  if (end - begin !== needed) {
    throw broken(file, start + begin, `'${name}', ${dtype} of shape (${shape.join(', ')}), takes ${needed} bytes`, `${end - begin} bytes`);
  }
  return { name, code: dtype, shape, begin, end };
}

/** Arrays lie one after the other, without holes and overlaps, up to the end of the file. */
function checkLayout(entries: readonly Entry[], fileBytes: number, start: number, file: string): void {
  let at = 0;
  let before = 'the header';
  for (const { name, begin, end } of [...entries].sort((a, b) => a.begin - b.begin || a.end - b.end)) {
    if (begin < at) throw broken(file, start + begin, `'${name}' begins after '${before}'`, 'arrays that overlap');
    if (begin > at) throw broken(file, start + at, `'${name}' begins where '${before}' ends`, `${begin - at} bytes that belong to nothing`);
    if (start + end > fileBytes) {
      throw broken(file, fileBytes, `'${name}' ends at byte ${start + end}`, 'the end of the file: truncated');
    }
    at = end;
    before = name;
  }
  if (start + at < fileBytes) throw broken(file, start + at, `the file ends with '${before}'`, `${fileBytes - start - at} more bytes`);
}

function checkMetadata(metadata: unknown, file: string): Readonly<Record<string, string>> {
  if (metadata === undefined) return {};
  if (isRecord(metadata) && Object.values(metadata).every((v) => typeof v === 'string')) return metadata as Record<string, string>;
  throw broken(file, 8, '__metadata__ holds texts', JSON.stringify(metadata));
}

/** PyTorch's counters are 64-bit; ours are int32. */
function fromInt64({ name, shape, begin }: Entry, raw: Uint8Array, file: string, start: number): HostArray {
  const view = new DataView(raw.buffer, raw.byteOffset, raw.byteLength);
  const data = new Int32Array(raw.byteLength / 8);
  for (let i = 0; i < data.length; i++) {
    const value = view.getBigInt64(i * 8, true);
    if (value !== BigInt.asIntN(32, value)) throw broken(file, start + begin + i * 8, `'${name}' (I64) fits into int32`, `${value}`);
    data[i] = Number(value);
  }
  return { dtype: 'int32', shape, data };
}

/**
 * Saves named tensors as a safetensors file. The file is replaced whole or not at all.
 * @example await saveSafetensors('weights.safetensors', model.stateDict())
 */
export async function saveSafetensors(path: string | URL, tensors: ReadonlyMap<string, Tensor>, options: SaveOptions = {}): Promise<void> {
  const arrays = new Map<string, HostArray>();
  for (const [name, x] of tensors) arrays.set(name, await toHost(x));
  await platform.writeFile('saveSafetensors', path, encodeChunks(arrays, options));
}

/**
 * Loads the tensors of a safetensors file (a path, in browsers an address) onto the default device.
 * @example model.loadStateDict(await loadSafetensors('weights.safetensors'))
 */
export async function loadSafetensors(source: string | URL): Promise<Map<string, Tensor>> {
  const { tensors } = decodeSafetensors(await platform.readFile('loadSafetensors', source), { file: fileName(source) });
  return new Map([...tensors].map(([name, array]) => [name, toDevice(array)]));
}
