import { Dropout, Embedding, init, LayerNorm, Linear, Module, Parameter, TransformerBlock } from '../nn/index.js';
import { crossEntropy } from '../ops/loss.js';
import { linear } from '../ops/matmul.js';
import { WarmupLR } from '../optim/index.js';
import { arange, zeros } from '../tensor/creation.js';
import { Generator, rand, randint } from '../tensor/random.js';
import type { Tensor } from '../tensor/tensor.js';
import { supervisedTask, type TinyTask } from './task.js';
import { nextWords, wordCount } from './textTask.js';

export interface BertOptions {
  /** Default 30522. */
  readonly vocabulary?: number;
  /** Default 768. */
  readonly width?: number;
  /** Default 12. */
  readonly layers?: number;
  /** Default 12. */
  readonly heads?: number;
  /** Hidden width of the feed-forward parts. Default 4 · width. */
  readonly hidden?: number;
  /** Longest input. Default 512. */
  readonly maxLength?: number;
  /** Norms after the sums, as BERT has them, or before the parts. Default 'post'. */
  readonly normPosition?: 'pre' | 'post';
  /** Default 0.1. */
  readonly dropout?: number;
  /** Deviation of weights at the start. Narrow models need larger ones to begin to learn. Default 0.02. */
  readonly initStd?: number;
}

export interface BertInputs {
  /** Which of two sentences a token is in, 0 or 1: (batch, time). Default: all in the first. */
  readonly tokenTypes?: Tensor;
  /** True where a token is one, false on padding: (batch, time). Default: all. */
  readonly attentionMask?: Tensor;
}

/** A Transformer that reads in both directions (Devlin et al. 2019): ids (batch, time) → (batch, time, width). */
export class Bert extends Module<readonly [ids: Tensor, inputs?: BertInputs]> {
  readonly wordEmbeddings: Embedding;
  readonly positionEmbeddings: Embedding;
  readonly tokenTypeEmbeddings: Embedding;
  readonly norm: LayerNorm;
  readonly drop: Dropout;
  readonly blocks: readonly TransformerBlock[];
  /** Behind the last block of the pre-norm form. */
  readonly lastNorm: LayerNorm | null;
  readonly pooler: Linear;

  constructor(options: BertOptions = {}) {
    super();
    const { vocabulary = 30522, width = 768, layers = 12, heads = 12, hidden = 4 * width, maxLength = 512 } = options;
    const { normPosition = 'post', dropout = 0.1, initStd = 0.02 } = options;
    const block = { activation: 'gelu', normPosition, dropout, hidden, eps: 1e-12 } as const;
    this.wordEmbeddings = new Embedding(vocabulary, width);
    this.positionEmbeddings = new Embedding(maxLength, width);
    this.tokenTypeEmbeddings = new Embedding(2, width);
    this.norm = new LayerNorm(width, { eps: 1e-12 });
    this.drop = new Dropout(dropout);
    this.blocks = Array.from({ length: layers }, () => new TransformerBlock(width, heads, block));
    this.lastNorm = normPosition === 'pre' ? new LayerNorm(width, { eps: 1e-12 }) : null;
    this.pooler = new Linear(width, width);
    initNormal(this, initStd);
  }

  override forward(ids: Tensor, { tokenTypes, attentionMask }: BertInputs = {}): Tensor {
    const time = ids.sizeAt(1);
    const types = tokenTypes ?? zeros([1, 1], { dtype: 'int32' });
    const embedded = this.wordEmbeddings
      .forward(ids)
      .add(this.positionEmbeddings.forward(arange(time, { dtype: 'int32' })))
      .add(this.tokenTypeEmbeddings.forward(types));
    const attnMask = attentionMask === undefined ? null : attentionMask.to('bool').unsqueeze(1).unsqueeze(1); // (batch, 1, 1, time)
    let h = this.drop.forward(this.norm.forward(embedded));
    for (const block of this.blocks) h = block.forward(h, { attnMask });
    return this.lastNorm === null ? h : this.lastNorm.forward(h);
  }
  /** The first token's state through a layer and tanh: what a classifier of whole texts reads, (batch, width). */
  pooled(states: Tensor): Tensor {
    return this.pooler.forward(states.select(1, 0)).tanh();
  }
}

/** Normal weights and biases 0, as BERT and its kin start. */
function initNormal(model: Module<readonly never[], unknown>, std: number): void {
  for (const [name, p] of model.namedParameters()) {
    if (p.ndim > 1) init.normal_(p, 0, std);
    else if (name.endsWith('bias')) init.zeros_(p);
  }
}

/** BERT and a guess of the word at each place: logits (batch, time, vocabulary). The last layer is the embedding's table. */
export class MaskedLanguageModel extends Module<readonly [ids: Tensor, inputs?: BertInputs]> {
  readonly bert: Bert;
  readonly transform: Linear;
  readonly norm: LayerNorm;
  readonly bias: Parameter;
  constructor(options: BertOptions = {}) {
    super();
    this.bert = new Bert(options);
    const { embeddingDim: width, numEmbeddings: vocabulary } = this.bert.wordEmbeddings;
    this.transform = new Linear(width, width);
    this.norm = new LayerNorm(width, { eps: 1e-12 });
    this.bias = new Parameter(zeros([vocabulary]));
    initNormal(this.transform, options.initStd ?? 0.02);
  }
  override forward(ids: Tensor, inputs: BertInputs = {}): Tensor {
    const h = this.norm.forward(this.transform.forward(this.bert.forward(ids, inputs)).gelu());
    return linear(h, this.bert.wordEmbeddings.weight, this.bias);
  }
}

export interface MaskingOptions {
  /** The number of the token that hides a word. */
  readonly maskToken: number;
  /** Words that random replacements come from. */
  readonly vocabulary: number;
  /** Share of words to be guessed. Default 0.15. */
  readonly share?: number;
  readonly generator?: Generator;
}
/** Of the words to be guessed 80 % are hidden, 10 % replaced at random and 10 % kept. Targets are -100 where nothing is to be guessed. */
export function maskTokens(ids: Tensor, options: MaskingOptions): readonly [inputs: Tensor, targets: Tensor] {
  const { maskToken, vocabulary, share = 0.15, generator } = options;
  const stream = generator ? { generator } : {};
  const [chance, kind] = [rand(ids.shape, stream), rand(ids.shape, stream)];
  const chosen = chance.lt(share);
  const hidden = ids.maskedFill(chosen.logicalAnd(kind.lt(0.8)), maskToken);
  const replaced = chosen.logicalAnd(kind.ge(0.9));
  return [replaced.where(randint(0, vocabulary, ids.shape, stream), hidden), ids.maskedFill(chosen.logicalNot(), -100)];
}

export const bertBase = (options: BertOptions = {}): Bert => new Bert(options);
export const bertLarge = (options: BertOptions = {}): Bert => new Bert({ width: 1024, layers: 24, heads: 16, ...options });

const masked = (name: string, normPosition: 'pre' | 'post'): TinyTask<MaskedLanguageModel> =>
  supervisedTask({
    id: 'ARC-17',
    name,
    build: () => {
      const shape = { width: 64, layers: 2, heads: 4, hidden: 128, maxLength: 16 };
      return new MaskedLanguageModel({ ...shape, vocabulary: wordCount() + 1, normPosition, initStd: 0.05 });
    },
    batch: (step) => {
      const [ids] = nextWords(step, 64);
      const words = wordCount();
      const [inputs, targets] = maskTokens(ids, { maskToken: words, vocabulary: words, generator: new Generator(step + 1) });
      return [inputs, targets] as const;
    },
    loss: (model, inputs: Tensor, targets: Tensor) => crossEntropy(model.forward(inputs).flatten({ endDim: 1 }), targets.reshape([-1])),
    steps: 200,
    lr: 5e-3,
    // Without a warm-up the form with norms after the sums does not leave the plateau of single words.
    schedule: (optimizer) => new WarmupLR(optimizer, 40),
  });
export const bertTiny: TinyTask<MaskedLanguageModel> = masked('BERT, masked words', 'post');
export const bertPreNormTiny: TinyTask<MaskedLanguageModel> = masked('BERT, pre-norm', 'pre');
