import { Dropout, Embedding, init, LayerNorm, Module, TransformerBlock, type TransformerBlockOptions } from '../nn/index.js';
import { cat } from '../ops/join.js';
import { linear } from '../ops/matmul.js';
import { noGrad } from '../tensor/autograd.js';
import { arange } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { supervisedTask, type TinyTask } from './task.js';
import { nextTokenLoss, nextWords, wordCount } from './textTask.js';

export interface GptOptions {
  /** Default 50257. */
  readonly vocabulary?: number;
  /** Longest text that is seen at once. Default 1024. */
  readonly context?: number;
  /** Default 768. */
  readonly width?: number;
  /** Default 12. */
  readonly layers?: number;
  /** Default 12. */
  readonly heads?: number;
  /** Default 0.1. */
  readonly dropout?: number;
  /** Other settings of the blocks: norm position, activation, gate. */
  readonly block?: TransformerBlockOptions;
}

/**
 * A Transformer that predicts the next token (GPT-2; Radford et al. 2019): ids (batch, time) → logits (batch, time, vocabulary). Norms
 * come before the parts and once at the end, the last layer is the embedding's table, and weights that write to the residual stream
 * start smaller by the root of their number.
 */
export class Gpt extends Module {
  readonly token: Embedding;
  readonly position: Embedding;
  readonly drop: Dropout;
  readonly blocks: readonly TransformerBlock[];
  readonly norm: LayerNorm;
  readonly context: number;

  constructor(options: GptOptions = {}) {
    super();
    const { vocabulary = 50257, context = 1024, width = 768, layers = 12, heads = 12, dropout = 0.1, block = {} } = options;
    this.token = new Embedding(vocabulary, width);
    this.position = new Embedding(context, width);
    this.drop = new Dropout(dropout);
    this.blocks = Array.from({ length: layers }, () => new TransformerBlock(width, heads, { causal: true, dropout, ...block }));
    this.norm = new LayerNorm(width);
    this.context = context;
    const writesResidual = (name: string): boolean => /(attention\.out|feedForward\.linear2)\.weight$/.test(name);
    init.gpt2Init(this, { nLayer: layers, writesResidual });
  }
  override forward(ids: Tensor): Tensor {
    const positions = this.position.forward(arange(ids.sizeAt(1), { dtype: 'int32' }));
    let h = this.drop.forward(this.token.forward(ids).add(positions));
    for (const block of this.blocks) h = block.forward(h);
    return linear(this.norm.forward(h), this.token.weight);
  }
}

export interface GenerateOptions {
  /** Logits are divided by it; 0 takes the likeliest token. Default 1. */
  readonly temperature?: number;
  /** Draw from this many likeliest tokens only. Default: all. */
  readonly topK?: number;
}
/** Goes on from ids (batch, time) by `count` tokens: (batch, time + count). Sees the last `context` tokens. */
export function generate(
  model: Module,
  ids: Tensor,
  count: number,
  { context, temperature = 1, topK }: GenerateOptions & { readonly context: number },
): Tensor {
  return noGrad(() => {
    let all = ids;
    for (let i = 0; i < count; i++) {
      const time = all.sizeAt(1);
      const seen = time > context ? all.narrow(1, time - context, context) : all;
      const logits = model.forward(seen).select(1, -1);
      all = cat([all, draw(logits, temperature, topK)], { dim: 1 });
    }
    return all;
  });
}
function draw(logits: Tensor, temperature: number, topK: number | undefined): Tensor {
  if (temperature === 0) return logits.argmax({ dim: -1, keepdim: true });
  const kept = topK === undefined ? logits : logits.maskedFill(logits.lt(logits.topk(topK).values.narrow(-1, topK - 1, 1)), -Infinity);
  return kept.div(temperature).softmax().multinomial(1);
}

/** Nats and bits a token and perplexity of a model on text, in evaluation mode. */
export function perplexityReport(
  model: Module,
  ids: Tensor,
  next: Tensor,
): { readonly nats: number; readonly bits: number; readonly perplexity: number } {
  const { training } = model;
  model.eval();
  const nats = noGrad(() => nextTokenLoss(model.forward(ids), next).itemNow());
  model.train(training);
  return { nats, bits: nats / Math.LN2, perplexity: Math.exp(nats) };
}

export const gpt2Small = (options: GptOptions = {}): Gpt => new Gpt(options);
export const gpt2Medium = (options: GptOptions = {}): Gpt => new Gpt({ width: 1024, layers: 24, heads: 16, ...options });
export const gpt2Large = (options: GptOptions = {}): Gpt => new Gpt({ width: 1280, layers: 36, heads: 20, ...options });
export const gpt2Xl = (options: GptOptions = {}): Gpt => new Gpt({ width: 1600, layers: 48, heads: 25, ...options });

/** A GPT for the synthetic text. */
export const smallGpt = (options: GptOptions = {}): Gpt =>
  new Gpt({ vocabulary: wordCount(), context: 16, width: 48, layers: 2, heads: 4, ...options });

export const gptTiny: TinyTask<Gpt> = supervisedTask({
  id: 'ARC-18',
  name: 'GPT-2',
  build: () => smallGpt(),
  batch: (step) => nextWords(step),
  loss: (model, x: Tensor, y: Tensor) => nextTokenLoss(model.forward(x), y),
  steps: 120,
  lr: 5e-3,
});
