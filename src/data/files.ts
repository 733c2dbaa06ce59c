import { platform } from '#platform';
import { LibError } from '../core/errors.js';
import { fileName } from '../io/fileName.js';
import { toDevice } from '../io/hostArray.js';
import type { Tensor } from '../tensor/tensor.js';
import { decodeNetpbm } from './netpbm.js';
import { decodePng } from './png.js';

/** A path, an address, or the bytes themselves. */
export type FileSource = string | URL | Uint8Array;

const bytesOf = async (op: string, source: FileSource): Promise<Uint8Array> =>
  source instanceof Uint8Array ? source : platform.readFile(op, source);
const nameOf = (source: FileSource): string => (source instanceof Uint8Array ? 'the file' : fileName(source));

/** A text file in UTF-8. */
export async function readText(source: FileSource): Promise<string> {
  const bytes = await bytesOf('readText', source);
  try {
    return new TextDecoder('utf-8', { fatal: true }).decode(bytes);
  } catch {
    throw new LibError('data', `readText: ${nameOf(source)}: the text must be UTF-8, got other bytes.`);
  }
}

export interface CsvOptions {
  /** What parts fields. Default ','. */
  readonly separator?: string;
  /** Whether the first line names the columns. Default true. */
  readonly header?: boolean;
}

/** A table of texts. */
export class CsvTable {
  constructor(
    readonly columns: readonly string[],
    readonly rows: readonly (readonly string[])[],
  ) {}

  private at(column: string): number {
    const i = this.columns.indexOf(column);
    if (i < 0) throw new LibError('value', `CsvTable: columns are ${this.columns.join(', ')}, got '${column}'.`);
    return i;
  }

  /** The texts of a column. */
  column(name: string): string[] {
    const i = this.at(name);
    return this.rows.map((row) => row[i] as string);
  }

  /** Columns of numbers as (rows, columns) in float32; empty fields become NaN. */
  numbers(columns: readonly string[] = this.columns): Tensor {
    const at = columns.map((c) => this.at(c));
    const data = new Float32Array(this.rows.length * at.length);
    for (const [r, row] of this.rows.entries()) {
      for (const [c, i] of at.entries()) {
        const text = (row[i] as string).trim();
        const value = text === '' ? Number.NaN : Number(text);
        if (Number.isNaN(value) && text !== '' && text.toLowerCase() !== 'nan')
          throw new LibError('data', `CsvTable: column '${columns[c]}' must hold numbers, got '${text}' in row ${r + 1}.`);
        data[r * at.length + c] = value;
      }
    }
    return toDevice({ dtype: 'float32', shape: [this.rows.length, at.length], data });
  }

  /** A column of names as classes 0.., in alphabetical order, with the names. */
  classes(column: string): { readonly labels: Tensor; readonly names: readonly string[] } {
    const texts = this.column(column);
    const names = [...new Set(texts)].sort();
    const labels = Int32Array.from(texts, (t) => names.indexOf(t));
    return { labels: toDevice({ dtype: 'int32', shape: [labels.length], data: labels }), names };
  }
}

/**
 * Reads comma-separated values (RFC 4180): quoted fields may hold separators, line ends and doubled quotes. Rows must be as long as the first.
 * @example parseCsv('a,b\n1,"x, y"\n').rows // [["1", "x, y"]]
 */
export function parseCsv(text: string, { separator = ',', header = true }: CsvOptions = {}): CsvTable {
  if (separator.length !== 1 || separator === '"' || /[\r\n]/.test(separator))
    throw new LibError('option', `parseCsv: separator must be one character, got ${JSON.stringify(separator)}.`);
  const records = recordsIn(text.replace(/^\ufeff/, ''), separator);
  const [first = []] = records;
  const odd = records.findIndex((r) => r.length !== first.length);
  if (odd >= 0)
    throw new LibError(
      'data',
      `parseCsv: rows must have ${first.length} fields as the first one, got ${records[odd]?.length} in line ${odd + 1}.`,
    );
  return header
    ? new CsvTable(first, records.slice(1))
    : new CsvTable(
        first.map((_, i) => `${i}`),
        records,
      );
}

function recordsIn(text: string, separator: string): string[][] {
  const records: string[][] = [];
  let record: string[] = [];
  let at = 0;
  while (at < text.length) {
    const [field, end] = text[at] === '"' ? quoted(text, at, separator, records.length + 1) : plain(text, at, separator);
    record.push(field);
    at = end;
    if (text[at] === separator) {
      at++;
      if (at < text.length && !/[\r\n]/.test(text[at] as string)) continue;
      record.push('');
    }
    if (text[at] === '\r') at++;
    if (text[at] === '\n') at++;
    if (record.length > 1 || record[0] !== '') records.push(record); // blank lines part nothing
    record = [];
  }
  return records;
}

function plain(text: string, from: number, separator: string): [string, number] {
  let end = from;
  while (end < text.length && text[end] !== separator && text[end] !== '\n' && text[end] !== '\r') end++;
  return [text.slice(from, end), end];
}

function quoted(text: string, from: number, separator: string, line: number): [string, number] {
  let field = '';
  for (let at = from + 1; at < text.length; at++) {
    if (text[at] !== '"') field += text[at];
    else if (text[at + 1] === '"') field += text[at++];
    else if (at + 1 === text.length || text[at + 1] === separator || /[\r\n]/.test(text[at + 1] as string)) return [field, at + 1];
    else throw new LibError('data', `parseCsv: a closing quote must end its field, got '${text[at + 1]}' after it in record ${line}.`);
  }
  throw new LibError('data', `parseCsv: quotes must be closed, got an open one in record ${line}.`);
}

/** {@link parseCsv} of a file. */
export async function readCsv(source: FileSource, options: CsvOptions = {}): Promise<CsvTable> {
  return parseCsv(await readText(source), options);
}

/**
 * A picture of a PNG, PGM or PPM file as (channels, height, width): uint8 0..255 (int32 0..65535 where samples have 16 bits). Channels are
 * 1 (grey), 2 (grey, alpha), 3 (red, green, blue) or 4 (with alpha).
 */
export async function readImage(source: FileSource): Promise<Tensor> {
  const bytes = await bytesOf('readImage', source);
  const file = nameOf(source);
  if (bytes[0] === 0x89 && bytes[1] === 0x50) return toDevice(await decodePng(bytes, file));
  if (bytes[0] === 0x50) return toDevice(decodeNetpbm(bytes, file));
  throw new LibError(
    'data',
    `readImage: ${file}: the file must be PNG, PGM or PPM, got bytes that begin with ${[...bytes.subarray(0, 4)].join(' ')}.`,
  );
}

/**
 * The characters of a text as numbers, and back.
 * @example new Characters('hello').encode('hell') // [1, 0, 2, 2]
 */
export class Characters {
  /** All characters, in order of their code. */
  readonly vocabulary: readonly string[];
  private readonly numbers: ReadonlyMap<string, number>;

  constructor(text: string) {
    this.vocabulary = [...new Set(text)].sort((a, b) => (a.codePointAt(0) as number) - (b.codePointAt(0) as number));
    this.numbers = new Map(this.vocabulary.map((c, i) => [c, i]));
  }

  /** (length) in int32. */
  encode(text: string): Tensor {
    const data = Int32Array.from(text, (c) => {
      const i = this.numbers.get(c);
      if (i === undefined) throw new LibError('value', `Characters: texts must be of the vocabulary, got ${JSON.stringify(c)}.`);
      return i;
    });
    return toDevice({ dtype: 'int32', shape: [data.length], data });
  }
  decode(ids: ArrayLike<number> | Tensor): string {
    const list = 'toArray' in ids ? ids.toArray() : ids;
    return Array.from(list, (i) => this.vocabulary[i] ?? '\ufffd').join('');
  }
}
