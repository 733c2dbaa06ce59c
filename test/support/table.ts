// The table: every op of the package.
import { readdirSync } from 'node:fs';
import * as library from '../../dist/index.js';
import { methods } from '../../dist/ops/index.js';
import { withDevice } from '../../dist/tensor/device.js';
import { samplesOf } from '../../dist/testing/properties.js';
import { type AnyOp, opsIn } from '../../dist/testing/table.js';
import { reference } from './backends.js';

async function modulesIn(folder: string): Promise<object[]> {
  const url = new URL(`../../dist/${folder}/`, import.meta.url);
  const files = readdirSync(url).filter((file) => file.endsWith('.js'));
  return Promise.all(files.map((file) => import(new URL(file, url).href) as Promise<object>));
}

/** Those that users know: exported, or methods of Tensor. */
export const publicOps: readonly AnyOp[] = opsIn(library, library.linalg, library.masked, library.signal.windows, library.fft, methods);

const generic = (op: AnyOp): boolean => !publicOps.includes(op) && withDevice(reference, () => samplesOf(op.row)).length === 0;

/** Those, and the rows beneath them that have samples of their own. */
export const ops: readonly AnyOp[] = opsIn(library, methods, ...(await modulesIn('ops'))).filter((op) => !generic(op));

/** Ops whose result's shape, or the work itself, depends on values: a program cannot hold them. */
export const readsValues: readonly string[] = [
  'argwhere bincount index indexPut maskedSelect nonzero oneHot repeatInterleave unique',
  'histogram histogramdd linalg.ldlFactor linalg.ldlFactorEx linalg.ldlSolve lobpcg uniqueConsecutive',
  ...['chebyshev', 'shiftedChebyshev'].flatMap((kind) => ['T', 'U', 'V', 'W'].map((letter) => `${kind}Polynomial${letter}`)),
  'hermitePolynomialH hermitePolynomialHe laguerrePolynomialL legendrePolynomialP',
]
  .flatMap((names) => names.split(' '))
  .sort();
