import { LibError } from '../core/errors.js';
import { embedding, type EmbeddingOptions as LookupOptions } from '../ops/embedding.js';
import { noGrad } from '../tensor/autograd.js';
import { empty } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { normal_ } from './init.js';
import { checkSizes } from './linear.js';
import { Module, Parameter } from './module.js';
import { sparseLookup } from './sparseRows.js';

export interface EmbeddingOptions extends Pick<LookupOptions, 'maxNorm' | 'normType' | 'scaleGradByFreq'> {
  /** A row that stays zero and gets no gradient. Default: none. */
  readonly paddingIdx?: number;
  /**
   * Gradients of the weight are rows: `weight.sparseGrad` holds (indices, values) in place of `weight.grad`, and SGD, Adagrad and
   * SparseAdam touch no other rows. Default false.
   */
  readonly sparse?: boolean;
}

/** A table of vectors looked up by index: integers of any shape → (…, embeddingDim) (torch.nn.Embedding). */
export class Embedding extends Module {
  readonly weight: Parameter;
  readonly paddingIdx: number | undefined;
  readonly sparse: boolean;
  readonly lookup: Pick<LookupOptions, 'maxNorm' | 'normType' | 'scaleGradByFreq'>;

  constructor(
    readonly numEmbeddings: number,
    readonly embeddingDim: number,
    { paddingIdx, sparse = false, ...lookup }: EmbeddingOptions = {},
  ) {
    super();
    this.lookup = lookup;
    checkSizes('Embedding', { numEmbeddings, embeddingDim });
    if (paddingIdx !== undefined && !(Number.isInteger(paddingIdx) && paddingIdx >= -numEmbeddings && paddingIdx < numEmbeddings)) {
      throw new LibError('index', `Embedding: paddingIdx must be a row, got ${paddingIdx} of ${numEmbeddings}.`);
    }
    if (sparse && (lookup.maxNorm !== undefined || lookup.scaleGradByFreq))
      throw new LibError(
        'option',
        'Embedding: gradients of rows go without maxNorm and scaleGradByFreq, got sparse: true with one of them.',
      );
    this.paddingIdx = paddingIdx !== undefined && paddingIdx < 0 ? paddingIdx + numEmbeddings : paddingIdx;
    this.sparse = sparse;
    this.weight = new Parameter(normal_(empty([numEmbeddings, embeddingDim])));
    const row = this.paddingIdx;
    if (row !== undefined) noGrad(() => this.weight.select(0, row).zero_());
  }

  override forward(indices: Tensor): Tensor {
    if (this.sparse) return sparseLookup(indices, this.weight, this.paddingIdx);
    return embedding(indices, this.weight, { ...this.lookup, ...(this.paddingIdx !== undefined && { paddingIdx: this.paddingIdx }) });
  }
  override extraRepr(): string {
    return `${this.numEmbeddings}, ${this.embeddingDim}`;
  }
}
