import { LibError } from '../core/errors.js';
import { formatShape, sameShape } from '../core/shape.js';
import { cat } from '../ops/join.js';
import type { Tensor } from '../tensor/tensor.js';
import { Module } from './module.js';

export interface ResidualOptions {
  /** What x passes through beside the branch where shapes differ: a linear layer or a 1×1 convolution. Default: nothing. */
  readonly shortcut?: Module | null;
  /** Before the branch only: a norm and an activation make the pre-activation form, with which a thousand layers train. Default: nothing. */
  readonly pre?: Module | null;
  /** After the sum: the form of the first residual nets. Default: nothing. */
  readonly post?: Module | null;
  /** Multiplies the branch. Default 1. */
  readonly scale?: number;
}

/** x + F(x) (He et al. 2016): post(shortcut(x) + scale · branch(pre(x))). */
export class Residual extends Module {
  readonly pre: Module | null;
  readonly shortcut: Module | null;
  readonly post: Module | null;
  readonly scale: number;

  constructor(
    readonly branch: Module,
    { shortcut = null, pre = null, post = null, scale = 1 }: ResidualOptions = {},
  ) {
    super();
    this.pre = pre;
    this.shortcut = shortcut;
    this.post = post;
    this.scale = scale;
  }

  override forward(x: Tensor): Tensor {
    const y = this.branch.forward(this.pre === null ? x : this.pre.forward(x));
    const straight = this.shortcut === null ? x : this.shortcut.forward(x);
    if (!sameShape(y.shape, straight.shape)) {
      const got = `${formatShape(y.shape)} and ${formatShape(straight.shape)}`;
      throw new LibError(
        'shape',
        `Residual: branch and shortcut must give one shape, got ${got}.`,
        'pass { shortcut }: a linear layer or a 1×1 convolution.',
      );
    }
    const sum = straight.add(this.scale === 1 ? y : y.mul(this.scale));
    return this.post === null ? sum : this.post.forward(sum);
  }
}

export interface ParallelOptions {
  /** Join the results along `dim`, add them or multiply them. Default 'cat'. */
  readonly merge?: 'cat' | 'add' | 'mul';
  /** Where results are joined. Default 1, the channels. */
  readonly dim?: number;
}

/** Branches that read the same input, and their results merged (Szegedy et al. 2015). */
export class Parallel extends Module {
  readonly merge: 'cat' | 'add' | 'mul';
  readonly dim: number;

  constructor(
    readonly branches: readonly Module[],
    { merge = 'cat', dim = 1 }: ParallelOptions = {},
  ) {
    super();
    if (branches.length === 0) throw new LibError('value', 'Parallel: there must be at least one branch, got none.');
    if (!['cat', 'add', 'mul'].includes(merge)) {
      throw new LibError('option', `Parallel: merge must be 'cat', 'add' or 'mul', got '${String(merge)}'.`);
    }
    this.merge = merge;
    this.dim = dim;
  }

  override forward(x: Tensor): Tensor {
    const results = this.branches.map((branch) => branch.forward(x));
    if (this.merge === 'cat') return cat(results, { dim: this.dim });
    return results.reduce((a, b) => (this.merge === 'add' ? a.add(b) : a.mul(b)));
  }
}

/** Layers that each read the input and all results before, joined (Huang et al. 2017): channels grow by each layer's. */
export class DenselyConnected extends Module {
  constructor(
    readonly layers: readonly Module[],
    /** Where tensors are joined: the channels. */
    readonly dim: number = 1,
  ) {
    super();
  }
  override forward(x: Tensor): Tensor {
    let joined = x;
    for (const layer of this.layers) joined = cat([joined, layer.forward(joined)], { dim: this.dim });
    return joined;
  }
}
