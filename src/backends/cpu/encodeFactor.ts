import { broadcastStrides } from '../../core/shape.js';
import { factorRanks } from '../../program/factor.js';
import type { FactorKernel } from '../../program/kernel.js';
import type { Step } from '../../program/program.js';
import { outerLoops } from './encodeLoops.js';
import type { TapeWriter } from './tapeWriter.js';

/** By their numbers on a tape. */
export const factorNames: readonly FactorKernel['by'][] = [
  'cholesky',
  'lu',
  'qr',
  'eigh',
  'svd',
  'triangularSolve',
  'permutation',
  'exp',
  'eig',
];

/** The batch dims keep their order, so that the engine's number of a matrix is the user's. */
export function writeFactor(tape: TapeWriter, { inputs, outputs, scalarBase }: Step, kernel: FactorKernel): void {
  const ranks = factorRanks(kernel);
  const operands = [...inputs, ...outputs].map(({ spec }, k) => ({ spec, own: spec.shape.length - (ranks[k] ?? 0) }));
  const first = operands[inputs.length];
  const batch = first?.spec.shape.slice(0, first.own) ?? [];
  const strides = operands.map(({ spec, own }) => broadcastStrides(spec.shape.slice(0, own), spec.strides.slice(0, own), batch));
  const loops = outerLoops(batch, strides, [...batch.keys()]);
  const own = operands.map((o) => ({ shape: o.spec.shape.slice(o.own), strides: o.spec.strides.slice(o.own) }));
  const [m, n] = [own[0]?.shape[0] ?? 1, own[0]?.shape[1] ?? 1];
  const { upper, unit, vectors, strict } = kernel;
  tape.begin('factor', scalarBase);
  tape.ints(
    factorNames.indexOf(kernel.by),
    Number(upper ?? 0) + 2 * Number(unit ?? 0) + 4 * Number(vectors ?? 0) + 8 * Number(strict ?? 0),
  );
  tape.ints(m, n, own.at(-1)?.shape.at(-1) ?? 1, loops.dims.length, ...loops.dims, operands.length);
  [...inputs, ...outputs].forEach((o, k) => {
    const [row = 0, column = 0] = own[k]?.strides ?? [];
    tape.view(o, [...(loops.strides[k] ?? []), row, column]);
  });
  tape.end();
}
