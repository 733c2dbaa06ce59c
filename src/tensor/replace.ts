import { LibError } from '../core/errors.js';
import { capturing } from './capturing.js';
import type { Tensor } from './tensor.js';

let count = 0;
/** How often tensors were given other bytes: programs that were captured before hold the old ones. */
export const replacements = (): number => count;

/** Gives a tensor the bytes, type, shape and place of another one; it stays the object that modules and optimizers hold (`x.data = y`). */
export function replaceData(op: string, x: Tensor, { spec, storage, offset, device }: Tensor): void {
  if (capturing() !== null)
    throw new LibError('capture', `${op}: tensors must keep their bytes while compile() is capturing, got new ones.`, 'do it before.');
  Object.assign(x, { spec, storage, offset, device });
  count++;
}
