// Objectives and comparisons that the tests of optimizers share.
import assert from 'node:assert/strict';
import { type DType, Parameter, type Tensor, tensor } from '../../dist/index.js';

export const sine = (size: number, phase: number): number[] => Array.from({ length: size }, (_, i) => Math.sin(phase + 1.7 * i));
export const flat = (params: readonly Parameter[]): number[] => params.flatMap((p) => [...p.detach().reshape([-1]).toArray()]) as number[];

export function assertClose(got: readonly number[], want: readonly number[], [rtol, atol]: readonly [number, number], what: string): void {
  assert.equal(got.length, want.length, what);
  got.forEach((g, i) => {
    const w = want[i] as number;
    assert.ok(Math.abs(g - w) <= atol + rtol * Math.abs(w), `${what}: element ${i} is ${g}, wanted ${w}`);
  });
}

export interface Problem {
  readonly params: Parameter[];
  loss(): Tensor;
}

/** Σ c (p - t)² / 2 and a constant force, over a matrix and a vector, as in fixtures/optim.py. */
export function bowl(dtype: DType, step = 1): Problem {
  const sizes = [
    [12, [3, 4]],
    [5, [5]],
  ] as const;
  const at = (phase: number, add = 0): Tensor[] =>
    sizes.map(([n, shape], k) =>
      tensor(
        sine(n, phase + k).map((v) => v + add),
        { dtype },
      ).reshape(shape),
    );
  const [targets, curvatures] = [at(2), at(4, 1.5)];
  const params = at(0.3).map((t) => new Parameter(t));
  const loss = (): Tensor =>
    params
      .map((p, k) => {
        const [t, c] = [targets[k] as Tensor, curvatures[k] as Tensor];
        return c
          .mul(p.sub(t).square())
          .sum()
          .div(2)
          .add(p.sum().mul(0.1 * Math.cos(0.7 * step)));
      })
      .reduce((a, b) => a.add(b));
  return { params, loss };
}
