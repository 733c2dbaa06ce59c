import { Embedding, init, Linear, Module, RMSNorm, TransformerBlock } from '../nn/index.js';
import { ones } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { supervisedTask, type TinyTask } from './task.js';
import { nextTokenLoss, nextWords, wordCount } from './textTask.js';

export interface LlamaOptions {
  /** Default 32000. */
  readonly vocabulary?: number;
  /** Default 4096. */
  readonly width?: number;
  /** Default 32. */
  readonly layers?: number;
  /** Default 32. */
  readonly heads?: number;
  /** Heads of keys and values, each shared by a group of queries' heads. Default: as many as heads. */
  readonly kvHeads?: number;
  /** Hidden width of the gated feed-forward parts. Default 11008. */
  readonly hidden?: number;
  /** The base of the rotary positions. Default 10000. */
  readonly rotaryBase?: number;
  /** How many tokens back a position sees, itself included (Mistral's sliding window). Default: all. */
  readonly window?: number;
}

/** RMS norms, rotary positions, SwiGLU and no biases (Touvron et al. 2023): ids (batch, time) → logits (batch, time, vocabulary). */
export class Llama extends Module {
  readonly token: Embedding;
  readonly blocks: readonly TransformerBlock[];
  readonly norm: RMSNorm;
  readonly head: Linear;
  readonly window: number;

  constructor(options: LlamaOptions = {}) {
    super();
    const { vocabulary = 32000, width = 4096, layers = 32, heads = 32, hidden = 11008, rotaryBase = 10000 } = options;
    const settings = { causal: true, norm: 'rms', gated: true, activation: 'silu', positions: 'rotary', bias: false } as const;
    const block = { ...settings, hidden, rotaryBase, numKvHeads: options.kvHeads ?? heads };
    this.token = new Embedding(vocabulary, width);
    this.blocks = Array.from({ length: layers }, () => new TransformerBlock(width, heads, block));
    this.norm = new RMSNorm(width, { eps: 1e-5 });
    this.head = new Linear(width, vocabulary, { bias: false });
    this.window = options.window ?? Number.POSITIVE_INFINITY;
    for (const p of this.parameters()) if (p.ndim > 1) init.normal_(p, 0, 0.02);
  }
  override forward(ids: Tensor): Tensor {
    const time = ids.sizeAt(1);
    // Where the window is longer than the text, causal attention has it built in.
    const attnMask = time <= this.window ? null : ones([time, time], { dtype: 'bool' }).triu({ diagonal: 1 - this.window });
    let h = this.token.forward(ids);
    for (const block of this.blocks) h = block.forward(h, { attnMask });
    return this.head.forward(this.norm.forward(h));
  }
}

export const llama2_7b = (options: LlamaOptions = {}): Llama => new Llama(options);
export const llama2_13b = (options: LlamaOptions = {}): Llama =>
  new Llama({ width: 5120, layers: 40, heads: 40, hidden: 13824, ...options });
export const llama3_8b = (options: LlamaOptions = {}): Llama =>
  new Llama({ vocabulary: 128256, kvHeads: 8, hidden: 14336, rotaryBase: 500000, ...options });
export const mistral7b = (options: LlamaOptions = {}): Llama => new Llama({ kvHeads: 8, hidden: 14336, window: 4096, ...options });

const onWords = (name: string, options: LlamaOptions): TinyTask<Llama> =>
  supervisedTask({
    id: 'ARC-19',
    name,
    build: () => new Llama({ vocabulary: wordCount(), width: 48, layers: 2, heads: 4, hidden: 128, ...options }),
    batch: (step) => nextWords(step),
    loss: (model, x: Tensor, y: Tensor) => nextTokenLoss(model.forward(x), y),
    steps: 120,
    lr: 5e-3,
  });
export const llamaTiny: TinyTask<Llama> = onWords('Llama', {});
export const mistralTiny: TinyTask<Llama> = onWords('Mistral: grouped heads, sliding window', { kvHeads: 2, window: 8 });
