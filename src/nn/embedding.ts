import { LibError } from '../core/errors.js';
import { embedding } from '../ops/embedding.js';
import { noGrad } from '../tensor/autograd.js';
import { empty } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { normal_ } from './init.js';
import { checkSizes } from './linear.js';
import { Module, Parameter } from './module.js';

export interface EmbeddingOptions {
  /** A row that stays zero and gets no gradient. Default: none. */
  readonly paddingIdx?: number;
}

/** A table of vectors looked up by index: integers of any shape → (…, embeddingDim) (torch.nn.Embedding). */
export class Embedding extends Module {
  readonly weight: Parameter;
  readonly paddingIdx: number | undefined;

  constructor(
    readonly numEmbeddings: number,
    readonly embeddingDim: number,
    { paddingIdx }: EmbeddingOptions = {},
  ) {
    super();
    checkSizes('Embedding', { numEmbeddings, embeddingDim });
    if (paddingIdx !== undefined && !(Number.isInteger(paddingIdx) && paddingIdx >= -numEmbeddings && paddingIdx < numEmbeddings)) {
      throw new LibError('index', `Embedding: paddingIdx must be a row, got ${paddingIdx} of ${numEmbeddings}.`);
    }
    this.paddingIdx = paddingIdx !== undefined && paddingIdx < 0 ? paddingIdx + numEmbeddings : paddingIdx;
    this.weight = new Parameter(normal_(empty([numEmbeddings, embeddingDim])));
    const row = this.paddingIdx;
    if (row !== undefined) noGrad(() => this.weight.select(0, row).zero_());
  }

  override forward(indices: Tensor): Tensor {
    return embedding(indices, this.weight, this.paddingIdx === undefined ? {} : { paddingIdx: this.paddingIdx });
  }
  override extraRepr(): string {
    return `${this.numEmbeddings}, ${this.embeddingDim}`;
  }
}
