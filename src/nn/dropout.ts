import { LibError } from '../core/errors.js';
import { alphaDropout, dropout1d, dropout2d, dropout3d, dropPath, featureAlphaDropout } from '../ops/dropouts.js';
import { checkProbability } from '../ops/probability.js';
import { dropout } from '../tensor/random.js';
import type { Tensor } from '../tensor/tensor.js';
import { byName } from './byName.js';
import { Module } from './module.js';

/** A layer that drops something in training and nothing in evaluation. */
export abstract class Dropping extends Module {
  readonly p: number;
  constructor(options?: number | { readonly p?: number }) {
    super();
    const { p = 0.5 } = byName(['p'], options);
    this.p = p;
    if (!(p >= 0 && p <= 1)) throw new LibError('value', `${this.constructor.name}: p must be a probability in [0, 1], got ${p}.`);
  }
  override extraRepr(): string {
    return `p=${this.p}`;
  }
}

export interface ClassicDropoutOptions {
  /** Scale in training, so that evaluation changes nothing; false: scale by 1 − p in evaluation instead. Default true. */
  readonly inverted?: boolean;
}

/** In training, zeroes elements with probability `p` and scales the rest by 1 / (1 − p) (Srivastava et al. 2014; torch.nn.Dropout). */
export class Dropout extends Dropping {
  readonly inverted: boolean;
  constructor(first?: number | ({ readonly p?: number } & ClassicDropoutOptions), second: ClassicDropoutOptions = {}) {
    super(first);
    this.inverted = (typeof first === 'object' ? first : second).inverted ?? true;
  }
  override forward(x: Tensor): Tensor {
    return dropout(x, { p: this.p, training: this.training, inverted: this.inverted });
  }
}
/** Drops whole channels of (N, C, L) or (C, L) (torch.nn.Dropout1d). */
export class Dropout1d extends Dropping {
  override forward(x: Tensor): Tensor {
    return dropout1d(x, { p: this.p, training: this.training });
  }
}
/** Drops whole channels of (N, C, H, W) (torch.nn.Dropout2d). */
export class Dropout2d extends Dropping {
  override forward(x: Tensor): Tensor {
    return dropout2d(x, { p: this.p, training: this.training });
  }
}
/** Drops whole channels of (N, C, D, H, W) or (C, D, H, W) (torch.nn.Dropout3d). */
export class Dropout3d extends Dropping {
  override forward(x: Tensor): Tensor {
    return dropout3d(x, { p: this.p, training: this.training });
  }
}
/** Dropout that keeps the mean 0 and variance 1 of SELU networks (torch.nn.AlphaDropout). */
export class AlphaDropout extends Dropping {
  override forward(x: Tensor): Tensor {
    return alphaDropout(x, { p: this.p, training: this.training });
  }
}
/** The same for whole channels (torch.nn.FeatureAlphaDropout). */
export class FeatureAlphaDropout extends Dropping {
  override forward(x: Tensor): Tensor {
    return featureAlphaDropout(x, { p: this.p, training: this.training });
  }
}

export interface DropPathOptions {
  /** 'row' drops each example by itself, 'batch' all of them together. Default 'row'. */
  readonly mode?: 'row' | 'batch';
}

/** Stochastic depth: put it at the end of a residual branch, which is dropped with probability `p` (Huang et al. 2016). */
export class DropPath extends Dropping {
  readonly mode: 'row' | 'batch';
  constructor(p = 0.5, { mode = 'row' }: DropPathOptions = {}) {
    super(p);
    this.mode = mode;
  }
  override forward(x: Tensor): Tensor {
    return dropPath(x, { p: this.p, training: this.training, mode: this.mode });
  }
}

/**
 * Drop probabilities of `depth` residual branches that rise linearly to that of the last: (l / depth) · last for l = 1 … depth.
 * @example dropPathRates(4, 0.5) // [0.125, 0.25, 0.375, 0.5]
 */
export function dropPathRates(depth: number, last: number): number[] {
  if (!Number.isInteger(depth) || depth < 1) throw new LibError('value', `dropPathRates: depth must be a positive integer, got ${depth}.`);
  checkProbability('dropPathRates', last);
  return Array.from({ length: depth }, (_, l) => ((l + 1) / depth) * last);
}
