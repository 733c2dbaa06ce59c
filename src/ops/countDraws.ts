import { isFloat } from '../core/dtype.js';
import { LibError } from '../core/errors.js';
import { broadcastShapes, needWhole, sizeOf } from '../core/shape.js';
import { specOf } from '../core/spec.js';
import { logFactorial } from '../core/stirling.js';
import { checkReadable } from '../tensor/capturing.js';
import { tensor } from '../tensor/creation.js';
import { defaultGenerator, drawn } from '../tensor/generator.js';
import type { RandomOptions } from '../tensor/random.js';
import type { Tensor } from '../tensor/tensor.js';

/**
 * Random counts. How much work one takes depends on the values, which are therefore read: a capture refuses them. One uniform number of
 * the stream makes each count, so every engine draws the same ones.
 */

/** A distribution over 0, 1, …: its most likely count, that one's log-probability, and the ratio of a count's to that of the one below. */
interface Counts {
  readonly mode: number;
  readonly logAtMode: number;
  ratio(count: number): number;
  readonly most: number;
}

/** The count whose share of [0, 1) holds u, with shares laid out from the mode outwards: some standard deviations of steps. */
function countAt(u: number, { mode, logAtMode, ratio, most }: Counts): number {
  let [low, high] = [mode, mode];
  let [below, above] = [Math.exp(logAtMode), Math.exp(logAtMode)];
  let left = u - above;
  while (left >= 0 && below + above > 0) {
    above = high < most ? above * ratio(high + 1) : 0;
    high++;
    left -= above;
    if (left < 0) return high;
    below = low > 0 ? below / ratio(low) : 0;
    low--;
    left -= below;
    if (left < 0) return low;
  }
  return mode;
}

function drawEach(
  op: string,
  inputs: readonly [Tensor, ...Tensor[]],
  { generator = defaultGenerator() }: RandomOptions,
  of: Counter,
): Tensor {
  const [{ dtype, device }] = inputs;
  for (const x of inputs) {
    checkReadable(op, x);
    if (!isFloat(x.dtype) || x.dtype !== dtype)
      throw new LibError('dtype', `${op}: the tensors must be of one floating type, got ${inputs.map((t) => t.dtype).join(' and ')}.`);
  }
  const shape = inputs.map((x) => x.shape).reduce((a, b) => broadcastShapes(op, a, b));
  const values = inputs.map((x) => x.detach().expand(shape).contiguous().toArray());
  const u = drawn(op, 'uniform', specOf('float64', shape), device, generator).toArray();
  const counts = new Float64Array(sizeOf(shape));
  for (let i = 0; i < counts.length; i++) {
    const known = of(...values.map((v) => v[i] as number));
    counts[i] = typeof known === 'number' ? known : countAt(u[i] as number, known);
  }
  return tensor(counts, { shape, dtype, device });
}
type Counter = (...values: number[]) => Counts | number;

/**
 * Counts of events of each rate (Poisson), in the type of the rates. No gradient flows.
 * @example poisson(full([3], 4)).shape // [3]
 */
export function poisson(rates: Tensor, options: RandomOptions = {}): Tensor {
  return drawEach('poisson', [rates], options, (rate = 0) => {
    if (!(rate >= 0 && rate < Number.POSITIVE_INFINITY))
      throw new LibError('value', `poisson: rates must be finite and at least 0, got ${rate}.`);
    const mode = Math.floor(rate);
    const logAtMode = mode * Math.log(rate || 1) - rate - logFactorial(mode);
    return { mode, logAtMode, ratio: (k) => rate / k, most: Number.POSITIVE_INFINITY };
  });
}

/**
 * Successes among `count` trials of probability `prob`, elementwise and broadcast, in the type of both. No gradient flows.
 * @example binomial(full([3], 10), full([3], 0.5)).shape // [3]
 */
export function binomial(count: Tensor, prob: Tensor, options: RandomOptions = {}): Tensor {
  return drawEach('binomial', [count, prob], options, (n = 0, p = 0) => {
    needWhole('binomial', 'each count', n, 0);
    if (!(p >= 0 && p <= 1)) throw new LibError('value', `binomial: probabilities must be in [0, 1], got ${p}.`);
    if (p === 0 || p === 1) return n * p;
    const mode = Math.min(n, Math.floor((n + 1) * p));
    const ways = logFactorial(n) - logFactorial(mode) - logFactorial(n - mode);
    const logAtMode = ways + mode * Math.log(p) + (n - mode) * Math.log1p(-p);
    return { mode, logAtMode, ratio: (k) => ((n - k + 1) / k) * (p / (1 - p)), most: n };
  });
}
