import { LibError } from '../core/errors.js';
import type { HostArray } from '../io/hostArray.js';

/** The picture of channels that lie side by side, as planes. */
export function planes(pixels: ArrayLike<number>, channels: number, height: number, width: number, wide: boolean): HostArray {
  const size = height * width;
  const data = wide ? new Int32Array(channels * size) : new Uint8Array(channels * size);
  for (let c = 0; c < channels; c++) for (let i = 0; i < size; i++) data[c * size + i] = pixels[i * channels + c] as number;
  return { dtype: wide ? 'int32' : 'uint8', shape: [channels, height, width], data };
}

/** Numbers and where the first one ends, comments left out. */
class Header {
  at = 2;
  constructor(
    private readonly bytes: Uint8Array,
    private readonly file: string,
  ) {}

  fail(rule: string, got: string): LibError {
    return new LibError('data', `readImage: ${this.file}: ${rule}, got ${got}.`);
  }

  next(what: string): number {
    const { bytes } = this;
    for (;;) {
      while (this.at < bytes.length && (bytes[this.at] as number) <= 0x20) this.at++;
      if (bytes[this.at] !== 0x23) break;
      while (this.at < bytes.length && bytes[this.at] !== 0x0a) this.at++;
    }
    let [value, digits] = [0, 0];
    for (; this.at < bytes.length; this.at++, digits++) {
      const digit = (bytes[this.at] as number) - 0x30;
      if (digit < 0 || digit > 9) break;
      value = 10 * value + digit;
    }
    if (digits === 0) throw this.fail(`${what} must be a number`, `byte ${bytes[this.at] ?? 'the end'} at ${this.at}`);
    return value;
  }
}

/** PGM and PPM pictures, plain (P2, P3) and raw (P5, P6). Samples are scaled to 0..255 or, above 255, to 0..65535. */
export function decodeNetpbm(bytes: Uint8Array, file = 'the file'): HostArray {
  const kind = (bytes[1] ?? 0) - 0x30;
  const header = new Header(bytes, file);
  if (bytes[0] !== 0x50 || ![2, 3, 5, 6].includes(kind)) throw header.fail('the file must be P2, P3, P5 or P6', `P${kind}`);
  const [width, height, top] = [header.next('the width'), header.next('the height'), header.next('the largest value')];
  if (top < 1 || top > 65535 || width < 1 || height < 1)
    throw header.fail('width and height must be positive and the largest value in 1..65535', `${width}, ${height}, ${top}`);
  const channels = kind % 3 === 0 ? 3 : 1;
  const count = width * height * channels;
  const raw = kind > 3 ? rawSamples(bytes.subarray(header.at + 1), count, top > 255, header) : null;
  const [wide, full] = top > 255 ? [true, 65535] : [false, 255];
  const samples = Float64Array.from({ length: count }, (_, i) => {
    const v = raw === null ? header.next('a sample') : (raw[i] as number);
    if (v > top) throw header.fail(`samples must be at most ${top}`, `${v}`);
    return Math.round((v * full) / top);
  });
  return planes(samples, channels, height, width, wide);
}

function rawSamples(bytes: Uint8Array, count: number, wide: boolean, header: Header): ArrayLike<number> {
  const needed = wide ? 2 * count : count;
  if (bytes.length < needed) throw header.fail(`the pixels need ${needed} bytes`, `${bytes.length}`);
  return wide ? Float64Array.from({ length: count }, (_, i) => 256 * (bytes[2 * i] as number) + (bytes[2 * i + 1] as number)) : bytes;
}
