import { isTensor } from '../tensor/tensor.js';
import type { ToOptions, ToTarget } from './cast.js';

/** @internal What a target and options ask for. */
export function wishes(target: ToTarget, options: ToOptions): ToOptions {
  if (typeof target === 'string') return { ...options, dtype: target };
  if (isTensor(target)) return { ...options, dtype: target.dtype, device: target.device };
  return 'allocate' in target ? { ...options, device: target } : { ...target, ...options };
}
