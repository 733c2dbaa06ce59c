import { Embedding, init, LayerNorm, MixtureOfExperts, type MixtureOfExpertsOptions, Module, SelfAttention } from '../nn/index.js';
import { linear } from '../ops/matmul.js';
import type { Tensor } from '../tensor/tensor.js';
import { supervisedTask, type TinyTask } from './task.js';
import { nextTokenLoss, nextWords, wordCount } from './textTask.js';

export interface MoEOptions extends MixtureOfExpertsOptions {
  /** Default 32000. */
  readonly vocabulary?: number;
  /** Default 512. */
  readonly width?: number;
  /** Default 8. */
  readonly layers?: number;
  /** Default 8. */
  readonly heads?: number;
}

/** Attention, then a few of many feed-forward parts for each token. */
class MoEBlock extends Module<readonly [x: Tensor], readonly [output: Tensor, balanceLoss: Tensor]> {
  readonly norm1: LayerNorm;
  readonly attention: SelfAttention;
  readonly norm2: LayerNorm;
  readonly experts: MixtureOfExperts;
  constructor(width: number, heads: number, options: MixtureOfExpertsOptions) {
    super();
    this.norm1 = new LayerNorm(width);
    this.attention = new SelfAttention(width, heads, { causal: true, positions: 'rotary' });
    this.norm2 = new LayerNorm(width);
    this.experts = new MixtureOfExperts(width, options);
  }
  override forward(x: Tensor): readonly [output: Tensor, balanceLoss: Tensor] {
    const h = x.add(this.attention.forward(this.norm1.forward(x)));
    const [y, balance] = this.experts.forward(this.norm2.forward(h));
    return [h.add(y), balance];
  }
}

/**
 * A language model whose feed-forward parts are mixtures of experts (Fedus et al. 2021): ids (batch, time) to logits (batch, time,
 * vocabulary) and the sum of the blocks' balance losses, to be added to the loss.
 */
export class MoETransformer extends Module<readonly [ids: Tensor], readonly [logits: Tensor, balanceLoss: Tensor]> {
  readonly token: Embedding;
  readonly blocks: readonly MoEBlock[];
  readonly norm: LayerNorm;
  constructor({ vocabulary = 32000, width = 512, layers = 8, heads = 8, ...experts }: MoEOptions = {}) {
    super();
    this.token = new Embedding(vocabulary, width);
    this.blocks = Array.from({ length: layers }, () => new MoEBlock(width, heads, experts));
    this.norm = new LayerNorm(width);
    init.normal_(this.token.weight, 0, 0.02);
  }
  override forward(ids: Tensor): readonly [logits: Tensor, balanceLoss: Tensor] {
    let h = this.token.forward(ids);
    const balances: Tensor[] = [];
    for (const block of this.blocks) {
      const [next, balance] = block.forward(h);
      h = next;
      balances.push(balance);
    }
    return [linear(this.norm.forward(h), this.token.weight), balances.reduce((a, b) => a.add(b))];
  }
  loss(ids: Tensor, next: Tensor): Tensor {
    const [logits, balance] = this.forward(ids);
    return nextTokenLoss(logits, next).add(balance);
  }
  /** Parameters in all, and those that work on one token. */
  countParameters(): { readonly total: number; readonly active: number } {
    const total = this.parameters().reduce((n, p) => n + p.size, 0);
    const idle = this.blocks.reduce((n, { experts }) => {
      const counts = experts.countParameters();
      return n + counts.total - counts.active;
    }, 0);
    return { total, active: total - idle };
  }
}

export const moeTiny: TinyTask<MoETransformer> = supervisedTask({
  id: 'ARC-22',
  name: 'mixture of experts',
  build: () => new MoETransformer({ vocabulary: wordCount(), width: 32, layers: 2, heads: 4, numExperts: 4, hidden: 64 }),
  batch: (step) => nextWords(step),
  loss: (model, x: Tensor, y: Tensor) => model.loss(x, y),
  steps: 120,
  lr: 5e-3,
});
