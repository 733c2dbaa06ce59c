import { type EmbeddingBagOptions as CallOptions, embeddingBag } from '../ops/embeddingBag.js';
import { noGrad } from '../tensor/autograd.js';
import { empty } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { normal_ } from './init.js';
import { checkSizes } from './linear.js';
import { Module, Parameter } from './module.js';

export type EmbeddingBagOptions = Pick<
  CallOptions,
  'mode' | 'includeLastOffset' | 'paddingIdx' | 'maxNorm' | 'normType' | 'scaleGradByFreq' | 'sparse'
>;

/** Sums, means or maxima of embeddings over bags of indices (torch.nn.EmbeddingBag). */
export class EmbeddingBag extends Module<readonly [indices: Tensor, options?: Pick<CallOptions, 'offsets' | 'perSampleWeights'>]> {
  readonly weight: Parameter;
  constructor(
    readonly numEmbeddings: number,
    readonly embeddingDim: number,
    readonly options: EmbeddingBagOptions = {},
  ) {
    super();
    checkSizes('EmbeddingBag', { numEmbeddings, embeddingDim });
    this.weight = new Parameter(normal_(empty([numEmbeddings, embeddingDim])));
    const { paddingIdx } = options;
    if (paddingIdx !== undefined) noGrad(() => this.weight.select(0, paddingIdx).zero_());
  }
  override forward(indices: Tensor, options: Pick<CallOptions, 'offsets' | 'perSampleWeights'> = {}): Tensor {
    return embeddingBag(indices, this.weight, { ...this.options, ...options });
  }
}
