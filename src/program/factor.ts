import { KernelError } from '../core/errors.js';
import type { FactorKernel } from './kernel.js';

type By = FactorKernel['by'];

/** How many dims an operand has besides those of the batch: inputs, then outputs. */
export function factorRanks({ by, vectors }: FactorKernel): readonly number[] {
  switch (by) {
    case 'cholesky':
      return [2, 2, 0];
    case 'lu':
      return [2, 2, 1, 0];
    case 'qr':
      return [2, 2, 1];
    case 'eigh':
      return vectors ? [2, 1, 2] : [2, 1];
    case 'svd':
      return vectors ? [2, 2, 1, 2] : [2, 1];
    case 'triangularSolve':
      return [2, 2, 2];
    case 'permutation':
      return [1, 1];
    case 'exp':
      return [2, 2];
    case 'eig':
      return vectors ? [2, 2, 3, 1] : [2, 2];
  }
}

const failures: Readonly<Partial<Record<By, readonly [rule: string, fact: (order: number) => string]>>> = {
  cholesky: ['the matrix must be positive definite', (order) => `a leading minor of order ${order} that is not`],
  lu: ['the matrix must be invertible', (order) => `a singular one (pivot ${order} is 0)`],
  permutation: ['pivots must be rows, counted from 1', (order) => `another number at place ${order}`],
};

/** The error of a strict factorization: the number of the matrix in its batch (row-major), and the order at which it failed, from 1. */
export function factorError(by: By, batch: number, order: number): KernelError {
  const [rule, fact] = failures[by] ?? ['the matrix must be finite', () => 'NaN, infinities or no convergence'];
  return new KernelError('value', `${fact(order)} in batch element ${batch}`, rule);
}
