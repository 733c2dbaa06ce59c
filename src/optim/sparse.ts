import { LibError } from '../core/errors.js';
import type { Parameter } from '../nn/module.js';
import { type SparseRows, writeRows } from '../nn/sparseRows.js';
import type { LiveScalars } from '../ops/define.js';
import type { Tensor } from '../tensor/tensor.js';
import { runUpdate, type Update } from './update.js';

/**
 * Runs an update on the rows of a sparse gradient alone: gathers them from the parameter and its state, updates them as if they were
 * all there is, and writes them back.
 */
export function runOnRows<In extends string, S extends string, Out extends In>(
  update: Update<In, S, Out>,
  p: Parameter,
  gradient: SparseRows,
  state: { readonly [K in Exclude<In, 'param' | 'grad'>]: Tensor },
  scalars: LiveScalars,
): void {
  const { indices, values } = gradient.totals();
  const whole: Record<string, Tensor> = { param: p, ...(state as Record<string, Tensor>) };
  const rows = Object.fromEntries(Object.entries(whole).map(([key, t]) => [key, t.detach().indexSelect(0, indices)]));
  runUpdate(update, { ...rows, grad: values } as { readonly [K in In]: Tensor }, scalars);
  for (const key of Object.keys(update.outputs)) writeRows(whole[key] as Tensor, indices, rows[key] as Tensor);
}

/** For optimizers that need all of a gradient. */
export const needsDense = (name: string): LibError =>
  new LibError('grad', `${name}: gradients must be dense, got rows of an embedding.`, 'use SGD, Adagrad or SparseAdam, or sparse: false.');
