import { type DType, dtypes } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import type { Storage } from '../program/backend.js';
import type { Device } from '../tensor/device.js';
import type { Tensor } from '../tensor/tensor.js';
import { collectTensors } from '../tensor/tree.js';
import type { Replay } from './replay.js';
import { differing, Sums } from './sums.js';

/** Where a device does not keep the bits of fused steps: largest difference, relative to the largest value of a tensor. */
const TOLERANCE = 1e-6;

/** Bytes that a program writes, and how they are to be read. */
interface Written {
  readonly what: string;
  readonly dtype: DType;
  readonly values: Float64Array;
}

/**
 * Runs a capture three times from the same state: optimized, kernel by kernel, to learn its sums; as it was written down, step by step
 * into memory of its own; and optimized in one call, the run that counts. Each sum of the second run must be that of the first one
 * within what another order of addition may change (`capture/sums.ts`), and is replaced by it; then results and written tensors of
 * the last two runs must be the same bits. Where a device computes fused steps otherwise, they may differ by 1e-6 of a tensor's largest value.
 */
export function verified(plain: Replay, optimized: Replay, tensors: readonly Tensor[]): unknown {
  const { device } = optimized;
  if (device.downloadNow === undefined) {
    throw new LibError('device', `compile: verify needs a device whose values can be read at once, got ${device.name}.`);
  }
  const storages = [...new Set(optimized.writtenTensors(tensors).map(({ tensor }) => tensor.storage))];
  const before = storages.map((s) => bytesOf(device, s));
  const restoring = <R>(run: () => R): R => {
    try {
      return run();
    } finally {
      for (const [i, s] of storages.entries()) device.upload(s, 0, before[i] as Uint8Array);
    }
  };
  const sums = new Sums(device, optimized.twins);
  restoring(() => optimized.run(tensors, 'trial', sums.tell));
  const expected = restoring(() => outcome(plain.run(tensors, 'trial', sums.take), plain, tensors));
  const result = optimized.run(tensors, 'first');
  const got = outcome(result, optimized, tensors);
  for (const [i, a] of expected.entries()) check(a, got[i], device.keepsBits === true);
  return result;
}

const bytesOf = (device: Device, s: Storage): Uint8Array => new Uint8Array(device.downloadNow?.(s, 0, s.byteLength) ?? new ArrayBuffer(0));

/** Everything that a run left behind, as numbers. */
function outcome(result: unknown, replay: Replay, tensors: readonly Tensor[]): Written[] {
  const found: Tensor[] = [];
  collectTensors(result, found);
  const results = found.map((t, i) => ({ what: `result ${i + 1}, ${shapeOf(t)}`, t }));
  const writes = replay
    .writtenTensors(tensors)
    .map(({ tensor: t, by }, i) => ({ what: `written tensor ${i + 1}, ${shapeOf(t)}, of ${by}`, t }));
  return [...results, ...writes].map(({ what, t }) => ({ what, dtype: t.dtype, values: new Float64Array(t.detach().toArray()) }));
}
const shapeOf = (t: Tensor): string => `(${t.shape.join(', ')})`;

function check(a: Written, b: Written | undefined, keepsBits: boolean): void {
  let worst = 0;
  for (let i = 0; i < a.values.length; i++) {
    const [x, y] = [a.values[i] as number, b?.values[i] ?? Number.NaN];
    if (x !== y && !(Number.isNaN(x) && Number.isNaN(y)))
      worst = Math.max(worst, Number.isNaN(x - y) ? Number.POSITIVE_INFINITY : Math.abs(x - y));
  }
  const slack = keepsBits ? 0 : largestOf(a) * (dtypes[a.dtype].bytes < 4 ? 2 ** -8 : TOLERANCE);
  if (worst > slack) throw differing(worst, a.what);
}
const largestOf = ({ values }: Written): number => values.reduce((m, v) => Math.max(m, Math.abs(v) || 0), 0);
