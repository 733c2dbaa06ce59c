import { cosineSimilarity } from '../ops/loss.js';
import { bilinear } from '../ops/matmul.js';

import { type PairwiseDistanceOptions, pairwiseDistance } from '../ops/products.js';
import { empty } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { uniform_ } from './init.js';
import { checkSizes } from './linear.js';
import { Module, Parameter } from './module.js';

type Pair = readonly [a: Tensor, b: Tensor];

/** The p-norm of a - b, row by row (torch.nn.PairwiseDistance). */
export class PairwiseDistance extends Module<Pair> {
  constructor(readonly options: PairwiseDistanceOptions = {}) {
    super();
  }
  override forward(a: Tensor, b: Tensor): Tensor {
    return pairwiseDistance(a, b, this.options);
  }
}
/** The cosine of the angle between vectors along `dim` (torch.nn.CosineSimilarity). */
export class CosineSimilarity extends Module<Pair> {
  constructor(readonly options: { readonly dim?: number; readonly eps?: number } = {}) {
    super();
  }
  override forward(a: Tensor, b: Tensor): Tensor {
    return cosineSimilarity(a, b, this.options);
  }
}

export interface BilinearOptions {
  /** Learn an additive bias. Default true. */
  readonly bias?: boolean;
}
/** y = x1ᵀ A x2 + b with one matrix for each output feature (torch.nn.Bilinear). */
export class Bilinear extends Module<Pair> {
  readonly weight: Parameter;
  readonly bias: Parameter | null;
  constructor(
    readonly in1Features: number,
    readonly in2Features: number,
    readonly outFeatures: number,
    { bias = true }: BilinearOptions = {},
  ) {
    super();
    checkSizes('Bilinear', { in1Features, in2Features, outFeatures });
    const bound = 1 / Math.sqrt(in1Features);
    this.weight = new Parameter(uniform_(empty([outFeatures, in1Features, in2Features]), -bound, bound));
    this.bias = bias ? new Parameter(uniform_(empty([outFeatures]), -bound, bound)) : null;
  }
  override forward(x1: Tensor, x2: Tensor): Tensor {
    return bilinear(x1, x2, this.weight, this.bias);
  }
}
