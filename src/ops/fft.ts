import { resolveDims } from '../core/shape.js';
import { arange, type TensorOptions } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { defineComposite, type Op } from './define.js';
import { roll } from './rearrange.js';

/** torch.fft: transforms, and what helps to read them. */
export * from './fourier.js';

export interface ShiftOptions {
  /** Default: all dims. */
  readonly dim?: number | readonly number[];
}
type Shift = Op<[x: Tensor, options?: ShiftOptions]>;

function shiftRow(name: 'fftshift' | 'ifftshift', by: (size: number) => number): Shift {
  return defineComposite({
    name: `fft.${name}`,
    compose(x: Tensor, { dim }: ShiftOptions = {}) {
      const dims = resolveDims(`fft.${name}`, dim ?? x.shape.map((_, d) => d), x.ndim);
      return dims.length === 0
        ? x.clone()
        : roll(
            x,
            dims.map((d) => by(x.sizeAt(d))),
            { dims },
          );
    },
    *samples(random): Iterable<[x: Tensor, options?: ShiftOptions]> {
      yield [random([5])];
      yield [random([4, 5]), { dim: 1 }];
      yield [random([3, 4])];
    },
    *errors(random): Iterable<readonly [[x: Tensor, options?: ShiftOptions], string]> {
      yield [[random([3]), { dim: 2 }], 'dim 2 is out of range'];
    },
    torch: { call: `torch.fft.${name}(a[0], **o)` },
  });
}
/** Puts the zero frequency into the middle. */
export const fftshift: Shift = shiftRow('fftshift', (size) => Math.floor(size / 2));
/** Undoes {@link fftshift}. */
export const ifftshift: Shift = shiftRow('ifftshift', (size) => -Math.floor(size / 2));

export interface FrequencyOptions extends TensorOptions {
  /** The distance between samples. Default 1. */
  readonly d?: number;
}
/** The frequencies of a transform of n samples: 0, 1, …, then the negative ones, over n·d. */
export const fftfreq = (n: number, { d = 1, ...options }: FrequencyOptions = {}): Tensor =>
  ifftshift(arange(-Math.floor(n / 2), Math.ceil(n / 2), { dtype: 'float32', ...options })).div(n * d);
/** The frequencies that are not negative: 0, 1, …, ⌊n/2⌋, over n·d. */
export const rfftfreq = (n: number, { d = 1, ...options }: FrequencyOptions = {}): Tensor =>
  arange(0, Math.floor(n / 2) + 1, { dtype: 'float32', ...options }).div(n * d);
