import { type DType, dtypes } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import type { Storage } from '../program/backend.js';
import type { Device } from '../tensor/device.js';
import type { Tensor } from '../tensor/tensor.js';
import type { Replay } from './replay.js';
import { collectTensors } from './tree.js';

/** Largest difference, relative to the largest value of a tensor: other orders of summation are right, other formulas are not. */
const TOLERANCE = 1e-6;

/** Bytes that a program writes, and how they are to be read. */
interface Written {
  readonly what: string;
  readonly dtype: DType;
  readonly values: Float64Array;
}

/**
 * Runs a capture as it was written down, step by step into memory of its own, and then optimized from the same state; fails where
 * results or written tensors differ by more than 1e-6 of their largest value. The optimized run counts.
 */
export function verified(plain: Replay, optimized: Replay, tensors: readonly Tensor[]): unknown {
  const { device } = optimized;
  if (device.downloadNow === undefined) {
    throw new LibError('device', `compile: verify needs a device whose values can be read at once, got ${device.name}.`);
  }
  const storages = [...new Set(optimized.writtenTensors(tensors).map((t) => t.storage))];
  const before = storages.map((s) => bytesOf(device, s));
  let expected: Written[];
  try {
    expected = outcome(plain.run(tensors, 'trial'), plain, tensors);
  } finally {
    for (const [i, s] of storages.entries()) device.upload(s, 0, before[i] as Uint8Array);
  }
  const result = optimized.run(tensors, 'first');
  const got = outcome(result, optimized, tensors);
  for (const [i, a] of expected.entries()) check(a, got[i]);
  return result;
}

const bytesOf = (device: Device, s: Storage): Uint8Array => new Uint8Array(device.downloadNow?.(s, 0, s.byteLength) ?? new ArrayBuffer(0));

/** Everything that a run left behind, as numbers. */
function outcome(result: unknown, replay: Replay, tensors: readonly Tensor[]): Written[] {
  const found: Tensor[] = [];
  collectTensors(result, found);
  const results = found.map((t, i) => ({ what: `result ${i + 1}`, t }));
  const writes = replay.writtenTensors(tensors).map((t, i) => ({ what: `written tensor ${i + 1}, ${shapeOf(t)}`, t }));
  return [...results, ...writes].map(({ what, t }) => ({ what, dtype: t.dtype, values: Float64Array.from(t.detach().toArray(), Number) }));
}
const shapeOf = (t: Tensor): string => `(${t.shape.join(', ')})`;

function check(a: Written, b: Written | undefined): void {
  let [largest, worst] = [0, 0];
  a.values.forEach((x, i) => {
    const y = b?.values[i] ?? Number.NaN;
    if (Object.is(x, y)) return;
    largest = Math.max(largest, Math.abs(x));
    worst = Math.max(worst, Number.isNaN(x - y) ? Number.POSITIVE_INFINITY : Math.abs(x - y));
  });
  if (worst === 0 || worst <= Math.max(largest, largestOf(a)) * (dtypes[a.dtype].bytes < 4 ? 2 ** -8 : TOLERANCE)) return;
  throw new LibError(
    'capture',
    `compile: verify found a difference between the optimized program and its steps one by one, got ${worst} in ${a.what}.`,
    'this is a defect of the library; { fuse: false } avoids it, and a report with the function helps.',
  );
}
const largestOf = ({ values }: Written): number => values.reduce((m, v) => Math.max(m, Math.abs(v) || 0), 0);
