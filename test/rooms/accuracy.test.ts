// The engine's vectorized functions against the host's float64 ones: at most 2 units in the last place, all over their range.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Tensor, tensor } from 'chainrule';
import { erf } from '../../dist/core/special.js';

const COUNT = 20_000;

/** Floats of both signs whose exponents, not values, are spread evenly between two bounds. */
const spread = (low: number, high: number, signs: readonly number[] = [1, -1]): Float32Array =>
  Float32Array.from({ length: COUNT }, (_, i) => (signs[i % signs.length] ?? 1) * low * (high / low) ** ((i + 0.5) / COUNT));

/** The distance between neighbouring floats at a value. */
function ulp(value: number): number {
  const exponent = Math.max(-126, Math.floor(Math.log2(Math.abs(value))));
  return 2 ** (exponent - 23);
}

interface Row {
  readonly call: (x: Tensor) => Tensor;
  readonly exact: (x: number) => number;
  readonly points: Float32Array;
}

const rows: Readonly<Record<string, Row>> = {
  exp: { call: (x) => x.exp(), exact: Math.exp, points: spread(1e-6, 87) },
  expm1: { call: (x) => x.expm1(), exact: Math.expm1, points: spread(1e-20, 80) },
  log: { call: (x) => x.log(), exact: Math.log, points: spread(1e-38, 3e38, [1]) },
  log1p: { call: (x) => x.log1p(), exact: Math.log1p, points: spread(1e-20, 3e38, [1]) },
  tanh: { call: (x) => x.tanh(), exact: Math.tanh, points: spread(1e-20, 20) },
  erf: { call: (x) => x.erf(), exact: erf, points: spread(1e-20, 10) },
  sin: { call: (x) => x.sin(), exact: Math.sin, points: spread(1e-20, 1e6) },
  cos: { call: (x) => x.cos(), exact: Math.cos, points: spread(1e-6, 1e6) },
  pow: { call: (x) => x.pow(2.7), exact: (x) => x ** Math.fround(2.7), points: spread(1e-13, 1e13, [1]) },
};

for (const [name, { call, exact, points }] of Object.entries(rows)) {
  test(`${name} is right to 2 ulp`, () => {
    const results = call(tensor(points)).toArray();
    let worst = 0;
    points.forEach((x, i) => {
      const wanted = exact(x);
      worst = Math.max(worst, Math.abs((results[i] ?? Number.NaN) - wanted) / ulp(wanted));
    });
    assert.ok(worst <= 2, `worst error ${worst.toFixed(2)} ulp`);
  });
}
