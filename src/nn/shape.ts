import { LibError } from '../core/errors.js';
import type { Shape } from '../core/shape.js';
import { dropout } from '../tensor/random.js';
import type { Tensor } from '../tensor/tensor.js';
import { Module } from './module.js';

/** Merges dims startDim..endDim into one; by default all but the first (torch.nn.Flatten). */
export class Flatten extends Module {
  readonly startDim: number;
  readonly endDim: number;
  constructor({ startDim = 1, endDim = -1 }: { readonly startDim?: number; readonly endDim?: number } = {}) {
    super();
    this.startDim = startDim;
    this.endDim = endDim;
  }
  override forward(x: Tensor): Tensor {
    return x.flatten({ startDim: this.startDim, endDim: this.endDim });
  }
}

/** Splits one dim into several (torch.nn.Unflatten). */
export class Unflatten extends Module {
  constructor(
    readonly dim: number,
    readonly sizes: Shape,
  ) {
    super();
  }
  override forward(x: Tensor): Tensor {
    return x.unflatten(this.dim, this.sizes);
  }
}

function checkProbability(op: string, p: number): void {
  if (!(p >= 0 && p <= 1)) throw new LibError('value', `${op}: p must be a probability in [0, 1], got ${p}.`);
}

/** In training, zeroes elements with probability `p` and scales the rest by 1 / (1 − p) (Srivastava et al. 2014; torch.nn.Dropout). */
export class Dropout extends Module {
  constructor(readonly p: number = 0.5) {
    super();
    checkProbability('Dropout', p);
  }
  override forward(x: Tensor): Tensor {
    return dropout(x, { p: this.p, training: this.training });
  }
  override extraRepr(): string {
    return `p=${this.p}`;
  }
}
