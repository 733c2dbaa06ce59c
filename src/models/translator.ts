import { reverseSequences } from '../data/synthetic.js';
import {
  Dropout,
  Embedding,
  generateSquareSubsequentMask,
  init,
  Module,
  SinusoidalEncoding,
  Transformer,
  TransformerDecoder,
  TransformerDecoderLayer,
  TransformerEncoder,
  TransformerEncoderLayer,
} from '../nn/index.js';
import { cat } from '../ops/join.js';
import { crossEntropy } from '../ops/loss.js';
import { linear } from '../ops/matmul.js';
import { Adam, InverseSqrtLR, type Optimizer } from '../optim/index.js';
import { noGrad } from '../tensor/autograd.js';
import { full } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { supervisedTask, type TinyTask } from './task.js';

export interface TranslatorOptions {
  /** Shared by both languages. Default 37000. */
  readonly vocabulary?: number;
  /** Default 512. */
  readonly width?: number;
  /** Of the encoder, and as many of the decoder. Default 6. */
  readonly layers?: number;
  /** Default 8. */
  readonly heads?: number;
  /** Hidden width of the feed-forward parts. Default 4 · width. */
  readonly hidden?: number;
  /** Default 0.1. */
  readonly dropout?: number;
  /** Longest sentence. Default 512. */
  readonly maxLength?: number;
}

/**
 * The first Transformer (Vaswani et al. 2017): source ids (batch, sources) and target ids so far (batch, targets) → logits of each next
 * target (batch, targets, vocabulary). Norms after the sums, ReLU, sinusoidal positions, and one table for both languages and the output.
 */
export class Translator extends Module<readonly [source: Tensor, target: Tensor]> {
  readonly embedding: Embedding;
  readonly positions: SinusoidalEncoding;
  readonly drop: Dropout;
  readonly transformer: Transformer;
  readonly width: number;

  constructor(options: TranslatorOptions = {}) {
    super();
    const { vocabulary = 37000, width = 512, layers = 6, heads = 8, hidden = 4 * width, dropout = 0.1, maxLength = 512 } = options;
    const layer = { dimFeedforward: hidden, dropout, batchFirst: true };
    this.embedding = new Embedding(vocabulary, width);
    this.positions = new SinusoidalEncoding(width, maxLength);
    this.drop = new Dropout(dropout);
    // Stacks of its own, without the norm behind the last layer that nn.Transformer adds: each layer ends with one.
    this.transformer = new Transformer({
      dModel: width,
      nhead: heads,
      ...layer,
      customEncoder: new TransformerEncoder(new TransformerEncoderLayer(width, heads, layer), layers),
      customDecoder: new TransformerDecoder(new TransformerDecoderLayer(width, heads, layer), layers),
    });
    this.width = width;
    init.normal_(this.embedding.weight, 0, 1 / Math.sqrt(width));
  }

  private embed(ids: Tensor): Tensor {
    return this.drop.forward(this.positions.forward(this.embedding.forward(ids).mul(Math.sqrt(this.width))));
  }
  override forward(source: Tensor, target: Tensor): Tensor {
    const tgtMask = generateSquareSubsequentMask(target.sizeAt(1));
    const h = this.transformer.forward(this.embed(source), this.embed(target), { tgtMask, tgtIsCausal: true });
    return linear(h, this.embedding.weight);
  }
  /** The likeliest next symbol, `length` times, from the start symbol: (batch, length). */
  greedy(source: Tensor, length: number, start = 0): Tensor {
    const { training } = this;
    this.eval();
    const all = noGrad(() => {
      let target = full([source.sizeAt(0), 1], start, { dtype: 'int32' });
      for (let i = 0; i < length; i++) {
        const next = this.forward(source, target).select(1, -1).argmax({ dim: -1, keepdim: true });
        target = cat([target, next], { dim: 1 });
      }
      return target.narrow(1, 1, length);
    });
    this.train(training);
    return all;
  }
  /** Cross entropy of each target after those before it (0 begins), with a tenth of each spread over all symbols. */
  loss(source: Tensor, target: Tensor, { labelSmoothing = 0.1 }: { readonly labelSmoothing?: number } = {}): Tensor {
    const shifted = target.narrow(1, 0, target.sizeAt(1) - 1).pad([1, 0]);
    return crossEntropy(this.forward(source, shifted).flatten({ endDim: 1 }), target.reshape([-1]), { labelSmoothing });
  }
}

export const transformerBase = (options: TranslatorOptions = {}): Translator => new Translator(options);
export const transformerBig = (options: TranslatorOptions = {}): Translator =>
  new Translator({ width: 1024, heads: 16, dropout: 0.3, ...options });

export const translatorTiny: TinyTask<Translator> = supervisedTask({
  id: 'ARC-20',
  name: 'Transformer, reversing',
  build: () => new Translator({ vocabulary: 9, width: 32, layers: 1, heads: 4, hidden: 64, maxLength: 8 }),
  batch: (step) => {
    const { x, y } = reverseSequences({ samples: 64, length: 4, seed: step + 1 });
    return [x, y];
  },
  loss: (model, source: Tensor, target: Tensor) => model.loss(source, target),
  steps: 200,
  lr: 1,
  // Adam with the paper's betas and its schedule: a linear rise, then the inverse square root.
  optimizer: (params, lr) => new Adam(params, { lr, betas: [0.9, 0.98], eps: 1e-9 }) as unknown as Optimizer,
  schedule: (optimizer) => new InverseSqrtLR(optimizer, 100, { modelDim: 32 }),
});
