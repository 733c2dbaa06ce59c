import { LibError } from '../core/errors.js';
import { formatShape } from '../core/shape.js';
import { where } from '../ops/compare.js';
import { indexSelect } from '../ops/indexing.js';
import { cat, stack } from '../ops/join.js';
import { full, tensor } from '../tensor/creation.js';
import { isTensor, type Tensor } from '../tensor/tensor.js';

/** Lengths of sequences: numbers, or an integer tensor, whose values are read at once. */
export type Lengths = readonly number[] | Tensor;

/**
 * Sequences of several lengths without padding, as {@link packPaddedSequence} makes them: the rows of step 0 of all sequences, longest
 * first, then those of step 1, and so on. `batchSizes[t]` sequences have a step t (torch.nn.utils.rnn.PackedSequence).
 */
export class PackedSequence {
  constructor(
    /** (Σ batchSizes, …) */ readonly data: Tensor,
    readonly batchSizes: readonly number[],
    /** Which sequence of the batch stands at each place; null: they stand in their own order. */
    readonly sortedIndices: readonly number[] | null = null,
  ) {}

  /** At which place each sequence of the batch stands; null: at its own. */
  get unsortedIndices(): readonly number[] | null {
    return this.sortedIndices === null ? null : inverse(this.sortedIndices);
  }

  /** The same sequences with other values in each row: `packed.with(layer.forward(packed.data))`. */
  with(data: Tensor): PackedSequence {
    return new PackedSequence(data, this.batchSizes, this.sortedIndices);
  }
}

export interface PackOptions {
  /** The sequences are (batch, time, …) instead of (time, batch, …). Default false. */
  readonly batchFirst?: boolean;
  /** Lengths must fall; else they are sorted here, and put back where results are unpacked. Default true. */
  readonly enforceSorted?: boolean;
}

/**
 * Packs padded sequences (time, batch, …) of the given lengths (torch.nn.utils.rnn.pack_padded_sequence).
 * @example const packed = packPaddedSequence(randn([5, 2, 3]), [5, 2]); // packed.data: (7, 3)
 */
export function packPaddedSequence(
  x: Tensor,
  lengths: Lengths,
  { batchFirst = false, enforceSorted = true }: PackOptions = {},
): PackedSequence {
  const op = 'packPaddedSequence';
  const [time, batch] = layoutOf(op, x, batchFirst);
  const counts = checkLengths(op, lengths, batch, time);
  const order = counts.map((_, b) => b).sort((a, b) => (counts[b] as number) - (counts[a] as number));
  const sorted = order.every((b, i) => b === i);
  if (!sorted && enforceSorted) {
    throw new LibError('value', `${op}: lengths must fall, got [${counts.join(', ')}].`, 'pass { enforceSorted: false }.');
  }
  const rows: number[] = [];
  const batchSizes = Array.from({ length: Math.max(...counts) }, (_, t) => {
    const present = order.filter((b) => (counts[b] as number) > t);
    for (const b of present) rows.push(batchFirst ? b * time + t : t * batch + b);
    return present.length;
  });
  return new PackedSequence(pickRows(flatRows(x), rows), batchSizes, enforceSorted ? null : order);
}

export interface PadPackedOptions {
  /** Give (batch, time, …) instead of (time, batch, …). Default false. */
  readonly batchFirst?: boolean;
  /** What stands after a sequence's end. Default 0. */
  readonly paddingValue?: number;
  /** The size of the time dim. Default: the longest sequence's. */
  readonly totalLength?: number;
}

/** The inverse of {@link packPaddedSequence}: the padded sequences and their lengths (torch.nn.utils.rnn.pad_packed_sequence). */
export function padPackedSequence(packed: PackedSequence, options: PadPackedOptions = {}): [padded: Tensor, lengths: number[]] {
  const { batchFirst = false, paddingValue = 0, totalLength = packed.batchSizes.length } = options;
  const { data, batchSizes } = packed;
  if (!(totalLength >= batchSizes.length)) {
    throw new LibError(
      'value',
      `padPackedSequence: totalLength must be at least the longest, got ${totalLength} for ${batchSizes.length}.`,
    );
  }
  const places = packed.unsortedIndices ?? Array.from({ length: batchSizes[0] as number }, (_, b) => b);
  const lengths = places.map((place) => batchSizes.filter((n) => n > place).length);
  const starts: number[] = [0];
  for (const n of batchSizes) starts.push((starts.at(-1) as number) + n);
  const [outer, inner] = batchFirst ? [places.length, totalLength] : [totalLength, places.length];
  const rows = Array.from({ length: outer * inner }, (_, i) => {
    const [high, low] = [Math.floor(i / inner), i % inner];
    const [t, b] = batchFirst ? [low, high] : [high, low];
    return t < (lengths[b] as number) ? (starts[t] as number) + (places[b] as number) : -1;
  });
  const rest = data.shape.slice(1);
  const picked = pickRows(
    data,
    rows.map((r) => Math.max(r, 0)),
  ).reshape([outer, inner, ...rest]);
  if (!rows.includes(-1)) return [picked, lengths];
  const here = tensor(
    rows.map((r) => Number(r >= 0)),
    { shape: [outer, inner, ...rest.map(() => 1)], dtype: 'bool', device: data.device },
  );
  return [where(here, picked, paddingValue), lengths];
}

/** Sequences (length, …) of several lengths, packed (torch.nn.utils.rnn.pack_sequence). */
export function packSequence(
  sequences: readonly Tensor[],
  { enforceSorted = true }: Pick<PackOptions, 'enforceSorted'> = {},
): PackedSequence {
  return packPaddedSequence(
    padSequence(sequences),
    sequences.map((s) => s.sizeAt(0)),
    { enforceSorted },
  );
}

/** The sequences (length, …) that were packed (torch.nn.utils.rnn.unpack_sequence). */
export function unpackSequence(packed: PackedSequence): Tensor[] {
  const [padded, lengths] = padPackedSequence(packed, { batchFirst: true });
  return unpadSequence(padded, lengths, { batchFirst: true });
}

export interface PadOptions {
  /** Give (batch, time, …) instead of (time, batch, …). Default false. */
  readonly batchFirst?: boolean;
  /** What fills the shorter ones. Default 0. */
  readonly paddingValue?: number;
  /** Where it is put. Default 'right'. */
  readonly paddingSide?: 'left' | 'right';
}

/** Sequences (length, …) filled up to the longest and stacked: (time, batch, …) (torch.nn.utils.rnn.pad_sequence). */
export function padSequence(sequences: readonly Tensor[], options: PadOptions = {}): Tensor {
  const { batchFirst = false, paddingValue = 0, paddingSide = 'right' } = options;
  if (paddingSide !== 'left' && paddingSide !== 'right') {
    throw new LibError('option', `padSequence: paddingSide must be 'left' or 'right', got '${String(paddingSide)}'.`);
  }
  if (sequences.length === 0) throw new LibError('value', 'padSequence: there must be at least one sequence, got none.');
  const longest = Math.max(...sequences.map((s) => s.sizeAt(0)));
  const filled = sequences.map((s) => {
    const missing = longest - s.sizeAt(0);
    if (missing === 0) return s;
    const padding = full([missing, ...s.shape.slice(1)], paddingValue, { dtype: s.dtype, device: s.device });
    return cat(paddingSide === 'right' ? [s, padding] : [padding, s]);
  });
  return stack(filled, { dim: batchFirst ? 0 : 1 });
}

/** The inverse of {@link padSequence}: each sequence (length, …), as a view (torch.nn.utils.rnn.unpad_sequence). */
export function unpadSequence(padded: Tensor, lengths: Lengths, { batchFirst = false }: Pick<PadOptions, 'batchFirst'> = {}): Tensor[] {
  const [time, batch] = layoutOf('unpadSequence', padded, batchFirst);
  return checkLengths('unpadSequence', lengths, batch, time, 0).map((n, b) => padded.select(batchFirst ? 0 : 1, b).narrow(0, 0, n));
}

const flatRows = (x: Tensor): Tensor => x.reshape([x.sizeAt(0) * x.sizeAt(1), ...x.shape.slice(2)]);

/** @internal The entries of a dim in another order. */
export function pickRows(x: Tensor, rows: readonly number[], dim = 0): Tensor {
  return indexSelect(x, dim, tensor(rows, { shape: [rows.length], dtype: 'int32', device: x.device }));
}

function inverse(order: readonly number[]): number[] {
  const places: number[] = [];
  for (const [place, b] of order.entries()) places[b] = place;
  return places;
}

function layoutOf(op: string, x: Tensor, batchFirst: boolean): readonly [time: number, batch: number] {
  if (x.ndim < 2) throw new LibError('shape', `${op}: sequences must have a time and a batch dim, got shape ${formatShape(x.shape)}.`);
  return batchFirst ? [x.sizeAt(1), x.sizeAt(0)] : [x.sizeAt(0), x.sizeAt(1)];
}

function checkLengths(op: string, lengths: Lengths, batch: number, time: number, least = 1): number[] {
  const counts = isTensor(lengths) ? Array.from(lengths.toArray()) : [...lengths];
  if (counts.length !== batch)
    throw new LibError('shape', `${op}: there must be one length for each sequence, got ${counts.length} for ${batch}.`);
  const wrong = counts.find((n) => !Number.isInteger(n) || n < least || n > time);
  if (wrong !== undefined) throw new LibError('value', `${op}: lengths must be integers in ${least}..${time}, got ${wrong}.`);
  return counts;
}
