import type { TensorOptions } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { bartlett, blackman, generalCosine, kaiser } from './windows.js';

/** torch.hann_window and its kin: periodic unless said. */

export interface PeriodicOptions extends TensorOptions {
  /** One period, for spectra; else symmetric. Default true. */
  readonly periodic?: boolean;
}
const form = ({ periodic = true, ...options }: PeriodicOptions): TensorOptions & { readonly sym: boolean } => ({
  ...options,
  sym: !periodic,
});

/** A triangle that is 0 at its ends: `signal.windows.bartlett`. */
export const bartlettWindow = (windowLength: number, options: PeriodicOptions = {}): Tensor => bartlett(windowLength, form(options));
/** Three cosines, 0.42, 0.5 and 0.08: `signal.windows.blackman`. */
export const blackmanWindow = (windowLength: number, options: PeriodicOptions = {}): Tensor => blackman(windowLength, form(options));
/** alpha - beta cos; alpha 0.54 and beta 0.46 unless said. */
export function hammingWindow(
  windowLength: number,
  { alpha = 0.54, beta = 0.46, ...options }: PeriodicOptions & { readonly alpha?: number; readonly beta?: number } = {},
): Tensor {
  return generalCosine(windowLength, { ...form(options), a: [alpha, beta] });
}
/** (1 - cos) / 2: `signal.windows.hann`. */
export const hannWindow = (windowLength: number, options: PeriodicOptions = {}): Tensor =>
  generalCosine(windowLength, { ...form(options), a: [0.5, 0.5] });
/** Bessel's function of a half circle; beta is 12 unless said: `signal.windows.kaiser`. */
export function kaiserWindow(windowLength: number, { beta = 12, ...options }: PeriodicOptions & { readonly beta?: number } = {}): Tensor {
  return kaiser(windowLength, { ...form(options), beta });
}
