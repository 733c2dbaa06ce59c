import { LibError } from '../core/errors.js';
import { crc32 } from '../io/crc32.js';
import type { HostArray } from '../io/hostArray.js';
import { planes } from './netpbm.js';

/** The header of a PNG file. */
interface Header {
  readonly width: number;
  readonly height: number;
  readonly depth: number;
  readonly color: number;
  readonly interlaced: boolean;
}

const SIGNATURE = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a];
/** Samples a pixel by color type, and the depths that each allows. */
const COLORS: Readonly<Record<number, { readonly samples: number; readonly depths: readonly number[] }>> = {
  0: { samples: 1, depths: [1, 2, 4, 8, 16] },
  2: { samples: 3, depths: [8, 16] },
  3: { samples: 1, depths: [1, 2, 4, 8] },
  4: { samples: 2, depths: [8, 16] },
  6: { samples: 4, depths: [8, 16] },
};
/** The seven passes of Adam7: where they begin, and their steps. */
const PASSES = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
] as const;

const wrong = (file: string, rule: string, got: string): LibError => new LibError('data', `readImage: ${file}: ${rule}, got ${got}.`);

/** A PNG picture (ISO/IEC 15948) of any color type, depth and interlacing. Palettes become colors, with alpha where they have it. */
export async function decodePng(bytes: Uint8Array, file = 'the file'): Promise<HostArray> {
  if (!SIGNATURE.every((b, i) => bytes[i] === b)) throw wrong(file, 'a PNG must begin with its signature', 'other bytes');
  const chunks = chunksOf(bytes, file);
  const header = headerOf(chunks.get('IHDR')?.[0], file);
  const packed = chunks.get('IDAT') ?? [];
  const pixels = unfold(await inflate(packed, file), header, file);
  const palette = chunks.get('PLTE')?.[0];
  if (header.color !== 3) {
    const { samples } = COLORS[header.color] as { samples: number };
    return planes(scaled(pixels, header), samples, header.height, header.width, header.depth === 16);
  }
  if (palette === undefined) throw wrong(file, 'pictures with a palette must have one', 'none');
  const alpha = chunks.get('tRNS')?.[0];
  const channels = alpha === undefined ? 3 : 4;
  const colors = new Uint8Array(pixels.length * channels);
  for (const [i, p] of pixels.entries()) {
    if (3 * p + 2 >= palette.length) throw wrong(file, `colors must be among ${palette.length / 3}`, `${p}`);
    for (let c = 0; c < 3; c++) colors[i * channels + c] = palette[3 * p + c] as number;
    if (alpha !== undefined) colors[i * channels + 3] = alpha[p] ?? 255;
  }
  return planes(colors, channels, header.height, header.width, false);
}

/** The contents of all chunks by type. */
function chunksOf(bytes: Uint8Array, file: string): Map<string, Uint8Array[]> {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const chunks = new Map<string, Uint8Array[]>();
  for (let at = 8; at < bytes.length; ) {
    const length = at + 12 <= bytes.length ? view.getUint32(at) : Number.POSITIVE_INFINITY;
    if (at + 12 + length > bytes.length) throw wrong(file, 'chunks must be complete', `an end at byte ${bytes.length}`);
    const type = String.fromCharCode(...bytes.subarray(at + 4, at + 8));
    if (crc32([bytes.subarray(at + 4, at + 8 + length)]) !== view.getUint32(at + 8 + length))
      throw wrong(file, `the checksum of ${type} must be right`, 'another');
    chunks.set(type, [...(chunks.get(type) ?? []), bytes.subarray(at + 8, at + 8 + length)]);
    if (type === 'IEND') break;
    at += 12 + length;
  }
  return chunks;
}

function headerOf(chunk: Uint8Array | undefined, file: string): Header {
  if (chunk?.length !== 13) throw wrong(file, 'the header must have 13 bytes', `${chunk?.length ?? 'none'}`);
  const view = new DataView(chunk.buffer, chunk.byteOffset, 13);
  const [width, height] = [view.getUint32(0), view.getUint32(4)];
  const [depth = 0, color = 0, compression = 0, filter = 0, interlace = 0] = chunk.subarray(8);
  if (COLORS[color]?.depths.includes(depth) !== true) throw wrong(file, 'color type and depth must fit', `${color} and ${depth}`);
  if (width < 1 || height < 1 || compression !== 0 || filter !== 0 || interlace > 1)
    throw wrong(file, 'the header must be known', `${width} x ${height}, methods ${compression}, ${filter}, ${interlace}`);
  return { width, height, depth, color, interlaced: interlace === 1 };
}

async function inflate(parts: readonly Uint8Array[], file: string): Promise<Uint8Array> {
  try {
    const stream = new Blob(parts as Uint8Array<ArrayBuffer>[]).stream().pipeThrough(new DecompressionStream('deflate'));
    return new Uint8Array(await new Response(stream).arrayBuffer());
  } catch {
    throw wrong(file, 'the compressed pixels must be complete', `${parts.reduce((n, p) => n + p.length, 0)} bytes that are not`);
  }
}

/** Filtered lines as samples, pass by pass. */
function unfold(data: Uint8Array, { width, height, depth, color, interlaced }: Header, file: string): Uint16Array {
  const { samples } = COLORS[color] as { samples: number };
  const out = new Uint16Array(width * height * samples);
  let at = 0;
  for (const [x0, y0, dx, dy] of interlaced ? PASSES : ([[0, 0, 1, 1]] as const)) {
    const [columns, lines] = [Math.ceil((width - x0) / dx), Math.ceil((height - y0) / dy)];
    if (columns <= 0 || lines <= 0) continue;
    const stride = Math.ceil((columns * samples * depth) / 8);
    let before = new Uint8Array(stride);
    for (let y = 0; y < lines; y++, at += stride + 1) {
      if (at + 1 + stride > data.length) throw wrong(file, `pixels must have ${height} lines`, `${data.length} bytes`);
      const line = data.slice(at + 1, at + 1 + stride);
      unfilter(data[at] as number, line, before, Math.max(1, (samples * depth) >> 3), file);
      for (let i = 0; i < columns * samples; i++) {
        const x = x0 + Math.floor(i / samples) * dx;
        out[((y0 + y * dy) * width + x) * samples + (i % samples)] = sampleAt(line, i, depth);
      }
      before = line;
    }
  }
  return out;
}

function sampleAt(line: Uint8Array, i: number, depth: number): number {
  if (depth === 8) return line[i] as number;
  if (depth === 16) return 256 * (line[2 * i] as number) + (line[2 * i + 1] as number);
  const bit = i * depth;
  return ((line[bit >> 3] as number) >> (8 - depth - (bit & 7))) & ((1 << depth) - 1);
}

/** Undoes what each line says it was filtered by, in place. */
function unfilter(kind: number, line: Uint8Array, above: Uint8Array, step: number, file: string): void {
  if (kind > 4) throw wrong(file, 'filters of lines must be 0..4', `${kind}`);
  if (kind === 0) return;
  for (let i = 0; i < line.length; i++) {
    const [a, b, c] = [i < step ? 0 : (line[i - step] as number), above[i] as number, i < step ? 0 : (above[i - step] as number)];
    const guess = kind === 1 ? a : kind === 2 ? b : kind === 3 ? (a + b) >> 1 : paeth(a, b, c);
    line[i] = (line[i] as number) + guess;
  }
}

/** Of left, above and upper left the one nearest to a + b - c. */
function paeth(a: number, b: number, c: number): number {
  const [pa, pb, pc] = [Math.abs(b - c), Math.abs(a - c), Math.abs(a + b - 2 * c)];
  if (pa <= pb && pa <= pc) return a;
  return pb <= pc ? b : c;
}

/** Grey values of less than 8 bits over the whole range. */
function scaled(pixels: Uint16Array, { depth }: Header): Uint16Array {
  return depth < 8 ? pixels.map((v) => (v * 255) / ((1 << depth) - 1)) : pixels;
}
