// The engine's factorizations against the reference backend: sizes around and beyond its blocks, batches, strides, both types.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { DType } from '../../dist/core/dtype.js';
import { KernelError } from '../../dist/core/errors.js';
import type { FactorKernel, Kernel } from '../../dist/program/kernel.js';
import { cpuBackends } from '../support/cpuBackends.js';
import { compareRuns, type Operand, Random } from '../support/kernelCases.js';

type Shape = readonly number[];

/** Outputs of a factorization of an (…, m, n) matrix. */
function outputsOf(r: Random, dtype: DType, { by, vectors }: FactorKernel, batch: Shape, m: number, n: number): Operand[] {
  const k = Math.min(m, n);
  const matrix = (rows: number, cols: number): Operand => r.dense(dtype, [...batch, rows, cols]);
  const vector = (size: number, type: DType = dtype): Operand => r.dense(type, [...batch, size]);
  const info = r.dense('int32', batch);
  switch (by) {
    case 'cholesky':
      return [matrix(n, n), info];
    case 'lu':
      return [matrix(m, n), vector(k, 'int32'), info];
    case 'qr':
      return [matrix(m, n), vector(k)];
    case 'eigh':
      return vectors ? [vector(n), matrix(n, n)] : [vector(n)];
    case 'svd':
      return vectors ? [matrix(m, k), vector(k), matrix(k, n)] : [vector(k)];
    case 'eig':
      return vectors ? [matrix(n, 2), r.dense(dtype, [...batch, n, n, 2]), vector(n, 'int32')] : [matrix(n, 2)];
    default:
      return [matrix(n, n)];
  }
}

/** Numbers on the diagonal that keep the matrices far from singular, and their eigenvalues apart. */
function raiseDiagonal({ spec, offset, bytes }: Operand, by: number): Operand {
  const [rows = 0, cols = 0] = spec.shape.slice(-2);
  const data = spec.dtype === 'float64' ? new Float64Array(bytes.buffer) : new Float32Array(bytes.buffer);
  const batch = spec.shape.slice(0, -2);
  const count = batch.reduce((a, b) => a * b, 1);
  for (let i = 0; i < count; i++) {
    let [at, rest] = [offset, i];
    for (let d = batch.length - 1; d >= 0; d--) {
      at += (rest % (batch[d] ?? 1)) * (spec.strides[d] ?? 0);
      rest = Math.floor(rest / (batch[d] ?? 1));
    }
    const step = (spec.strides.at(-2) ?? 0) + (spec.strides.at(-1) ?? 0);
    for (let k = 0; k < Math.min(rows, cols); k++) (data[at + k * step] as number) += by * (1 + k / rows);
  }
  return { spec, offset, bytes };
}

const sizes: readonly (readonly [batch: Shape, m: number, n: number])[] = [
  [[], 1, 1],
  [[3], 2, 2],
  [[2, 3], 5, 5],
  [[], 33, 33],
  [[40], 4, 4],
];
const oblong: typeof sizes = [
  [[2], 3, 5],
  [[], 7, 2],
  [[], 40, 15],
];
/** Beyond a block. */
const large: typeof sizes = [
  [[], 70, 70],
  [[2], 150, 150],
];
const largeOblong: typeof sizes = [
  [[], 100, 40],
  [[], 40, 100],
  [[2], 130, 90],
];
const blocked = ['cholesky', 'lu', 'qr'];
/** Symmetric matrices whose eigenvalues coincide, nearly or wholly, or are 0 but for one: their halves leave little to join. */
const clustered: readonly (readonly [name: string, entry: (i: number, j: number) => number])[] = [
  ['all ones', () => 1],
  ['the identity', (i, j) => (i === j ? 1 : 0)],
  ['zero', () => 0],
  ['tiny numbers', (i, j) => 1e-300 * Math.cos(i * j + i + j)],
  ['a chain', (i, j) => (Math.abs(i - j) === 1 ? -1 : i === j ? 2 : 0)],
  ["Wilkinson's, whose largest come in pairs", (i, j) => (i === j ? Math.abs(i - 20) : Math.abs(i - j) === 1 ? 1 : 0)],
];

const backends = cpuBackends();
const skip = backends.length === 0 && 'no native engine';
const check = (kernel: Kernel, inputs: readonly Operand[], outputs: readonly Operand[], terms: number): void =>
  compareRuns(backends, kernel, inputs, outputs, { terms });

describe('kernels: factor', { skip }, () => {
  const kernels: readonly FactorKernel[] = [
    { family: 'factor', by: 'cholesky', strict: true },
    { family: 'factor', by: 'lu', strict: true },
    { family: 'factor', by: 'qr' },
    { family: 'factor', by: 'eigh', vectors: true, strict: true },
    { family: 'factor', by: 'eigh', strict: true },
    { family: 'factor', by: 'svd', vectors: true, strict: true },
    { family: 'factor', by: 'svd', strict: true },
    { family: 'factor', by: 'eig', vectors: true, strict: true },
    { family: 'factor', by: 'eig', strict: true },
    { family: 'factor', by: 'exp' },
  ];
  for (const kernel of kernels) {
    const { by, vectors = false } = kernel;
    test(`${by}${vectors ? ' with vectors' : ''}`, () => {
      const r = new Random(by.length);
      for (const dtype of ['float64', 'float32'] as const) {
        const takesOblong = ['lu', 'qr', 'svd'].includes(by);
        const more = [...(takesOblong ? oblong : []), ...(blocked.includes(by) ? large : [])];
        for (const [batch, m, n] of [...sizes, ...more, ...(takesOblong && blocked.includes(by) ? largeOblong : [])]) {
          const shape = [...batch, m, n];
          for (const a of [r.dense(dtype, shape, 'unit'), r.view(dtype, shape, 'unit')]) {
            const input = raiseDiagonal(a, by === 'exp' || by === 'eig' ? 0 : 2 * Math.max(m, n));
            check(kernel, [input], outputsOf(r, dtype, kernel, batch, m, n), 20 * Math.max(m, n) ** 2);
          }
        }
      }
    });
  }

  test('triangularSolve from both sides, batches broadcast', () => {
    const r = new Random(5);
    for (const dtype of ['float64', 'float32'] as const) {
      for (const [batch, n, k] of [...sizes, ...oblong, ...large, ...largeOblong]) {
        for (const [upper, unit] of [
          [true, false],
          [false, false],
          [false, true],
        ] as const) {
          const a = raiseDiagonal(r.view(dtype, [...batch.slice(1), n, n], 'unit'), 2 * n);
          if (unit && n > 5) continue;
          const kernel: FactorKernel = { family: 'factor', by: 'triangularSolve', upper, unit };
          check(kernel, [a, r.view(dtype, [...batch, n, k], 'unit')], [r.dense(dtype, [...batch, n, k])], 100 * n);
        }
      }
    }
  });

  test('permutation of swaps', () => {
    const r = new Random(6);
    const kernel: FactorKernel = { family: 'factor', by: 'permutation', rows: 5, strict: true };
    check(kernel, [r.values('int32', [2, 3], [2, 2, 5, 1, 2, 3])], [r.dense('int32', [2, 5])], 1);
    assert.throws(() => check(kernel, [r.values('int32', [2, 3], [2, 2, 5, 1, 2, 6])], [r.dense('int32', [2, 5])], 1), KernelError);
  });

  test('rank-deficient matrices have orthonormal vectors too', () => {
    const r = new Random(7);
    const ones = r.values('float64', [3, 3], new Array<number>(9).fill(1));
    const zero = r.values('float64', [3, 2], new Array<number>(6).fill(0));
    const kernel: FactorKernel = { family: 'factor', by: 'svd', strict: true };
    check(kernel, [ones], [r.dense('float64', [3])], 9); // a zero is one up to roundings of the largest, as in LAPACK
    check({ ...kernel, vectors: true }, [zero], outputsOf(r, 'float64', { ...kernel, vectors: true }, [], 3, 2), 1);
  });

  test('eigenvalues and singular values that coincide', () => {
    const r = new Random(9);
    const n = 41;
    const eigh: FactorKernel = { family: 'factor', by: 'eigh', strict: true };
    const svd: FactorKernel = { family: 'factor', by: 'svd', strict: true };
    for (const dtype of ['float64', 'float32'] as const) {
      for (const [name, entry] of clustered) {
        if (dtype === 'float32' && name === 'tiny numbers') continue;
        const a = r.values(
          dtype,
          [n, n],
          Array.from({ length: n * n }, (_, k) => entry(Math.floor(k / n), k % n)),
        );
        for (const kernel of [eigh, svd]) check(kernel, [a], outputsOf(r, dtype, kernel, [], n, n), 20 * n ** 2);
      }
    }
  });

  test('failures say which matrix, and where', () => {
    const r = new Random(8);
    const bad = r.values('float64', [3, 2, 2], [1, 0, 0, 1, 4, 2, 2, 1, 0, 0, 0, 0]);
    const nan = r.values('float32', [2, 1, 1], [1, Number.NaN]);
    for (const [kernel, input, says] of [
      [{ family: 'factor', by: 'cholesky', strict: true }, bad, 'order 2 that is not in batch element 1'],
      [{ family: 'factor', by: 'lu', strict: true }, bad, '(pivot 2 is 0) in batch element 1'],
      [{ family: 'factor', by: 'eigh', strict: true }, nan, 'in batch element 1'],
      [{ family: 'factor', by: 'svd', strict: true }, nan, 'in batch element 1'],
      [{ family: 'factor', by: 'eig', strict: true }, nan, 'in batch element 1'],
    ] as const satisfies readonly (readonly [FactorKernel, Operand, string])[]) {
      const { shape, dtype } = input.spec;
      const run = (): void => check(kernel, [input], outputsOf(r, dtype, kernel, shape.slice(0, 1), shape[1] ?? 1, shape[2] ?? 1), 1);
      assert.throws(run, (error: Error) => error instanceof KernelError && error.facts.includes(says));
    }
    const lax: FactorKernel = { family: 'factor', by: 'lu' };
    check(lax, [bad], outputsOf(r, 'float64', lax, [3], 2, 2), 1);
  });
});
