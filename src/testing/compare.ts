import { LibError } from '../core/errors.js';
import { formatShape, sameShape } from '../core/shape.js';
import type { Tensor } from '../tensor/tensor.js';

export interface Tolerance {
  readonly rtol: number;
  readonly atol: number;
}

/** The tolerances of the whole project. A reduction over K terms may scale float32's by sqrt(K). */
export const tolerances: { readonly float32: Tolerance; readonly float64: Tolerance } = {
  float32: { rtol: 1.3e-6, atol: 1e-5 },
  float64: { rtol: 1e-7, atol: 1e-7 },
};

/** Throws with the first differing place when |actual - expected| > atol + rtol · |expected|; NaN equals NaN. */
export function expectClose(actual: ArrayLike<number>, expected: ArrayLike<number>, { rtol, atol }: Tolerance, what = 'values'): void {
  if (actual.length !== expected.length) {
    throw new LibError('value', `${what}: must have the same count, got ${actual.length} instead of ${expected.length}.`);
  }
  for (let i = 0; i < actual.length; i++) {
    const [a, e] = [actual[i] as number, expected[i] as number];
    if (Object.is(a, e) || a === e || (Number.isNaN(a) && Number.isNaN(e))) continue;
    if (!(Math.abs(a - e) <= atol + rtol * Math.abs(e))) {
      throw new LibError('value', `${what}: must agree within rtol ${rtol}, atol ${atol}, got ${a} instead of ${e} at element ${i}.`);
    }
  }
}

export function expectTensorsClose(actual: Tensor, expected: Tensor, tolerance: Tolerance, what = 'tensors'): void {
  if (!sameShape(actual.shape, expected.shape) || actual.dtype !== expected.dtype) {
    const facts = `${actual.dtype} ${formatShape(actual.shape)} instead of ${expected.dtype} ${formatShape(expected.shape)}`;
    throw new LibError('value', `${what}: must have the same type and shape, got ${facts}.`);
  }
  expectClose(actual.toArray(), expected.toArray(), tolerance, what);
}

/** The fixed weights of mixed sign and size by which suites turn results into one number: no coordinate can hide. */
export const functionalWeights = (size: number, salt: number): Float64Array =>
  Float64Array.from({ length: size }, (_, i) => Math.sin(1.7 * i + 0.9 + salt) + 0.3);
