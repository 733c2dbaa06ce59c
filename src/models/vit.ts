import { prototypeDigits } from '../data/synthetic.js';
import { Dropout, init, LayerNorm, Linear, Module, Parameter, PatchEmbedding, TransformerBlock } from '../nn/index.js';
import { crossEntropy } from '../ops/loss.js';
import { empty } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { supervisedTask, type TinyTask } from './task.js';

export interface ViTOptions {
  /** Height and width of the pictures. Default 224. */
  readonly imageSize?: number;
  /** Default 16. */
  readonly patchSize?: number;
  /** Channels of the picture. Default 3. */
  readonly inChannels?: number;
  /** Default 768. */
  readonly width?: number;
  /** Default 12. */
  readonly layers?: number;
  /** Default 12. */
  readonly heads?: number;
  /** Hidden width of the feed-forward parts. Default 4 · width. */
  readonly hidden?: number;
  /** Default 1000. */
  readonly classes?: number;
  /** Default 0. */
  readonly dropout?: number;
}

/** Patches as words (Dosovitskiy et al. 2021): (batch, channels, height, width) → (batch, classes), read from the class token. */
export class VisionTransformer extends Module {
  readonly patches: PatchEmbedding;
  readonly position: Parameter;
  readonly drop: Dropout;
  readonly blocks: readonly TransformerBlock[];
  readonly norm: LayerNorm;
  /** May be replaced, by a head for other classes. */
  head: Module;

  constructor(options: ViTOptions = {}) {
    super();
    const { imageSize = 224, patchSize = 16, inChannels = 3, width = 768, layers = 12, heads = 12, hidden = 4 * width } = options;
    const { classes = 1000, dropout = 0 } = options;
    this.patches = new PatchEmbedding(patchSize, { inChannels, embedDim: width, classToken: true });
    this.position = new Parameter(init.normal_(empty([1, (imageSize / patchSize) ** 2 + 1, width]), 0, 0.02));
    this.drop = new Dropout(dropout);
    this.blocks = Array.from({ length: layers }, () => new TransformerBlock(width, heads, { hidden, dropout, eps: 1e-6 }));
    this.norm = new LayerNorm(width, { eps: 1e-6 });
    const head = new Linear(width, classes);
    this.head = head;
    for (const m of this.modules()) {
      if (!(m instanceof Linear)) continue;
      init.xavierUniform_(m.weight);
      if (m.bias !== null) init.zeros_(m.bias);
    }
    init.zeros_(head.weight); // all classes alike at first
  }
  override forward(x: Tensor): Tensor {
    let h = this.drop.forward(this.patches.forward(x).add(this.position));
    for (const block of this.blocks) h = block.forward(h);
    return this.head.forward(this.norm.forward(h).select(1, 0));
  }
}

export const vitB16 = (options: ViTOptions = {}): VisionTransformer => new VisionTransformer(options);
export const vitB32 = (options: ViTOptions = {}): VisionTransformer => new VisionTransformer({ patchSize: 32, ...options });
export const vitL16 = (options: ViTOptions = {}): VisionTransformer =>
  new VisionTransformer({ width: 1024, layers: 24, heads: 16, ...options });

export const vitTiny: TinyTask<VisionTransformer> = supervisedTask({
  id: 'ARC-21',
  name: 'ViT',
  build: () =>
    new VisionTransformer({ imageSize: 8, patchSize: 2, inChannels: 1, width: 32, layers: 2, heads: 4, hidden: 64, classes: 10 }),
  batch: (step) => {
    const { x, y } = prototypeDigits({ samples: 40, seed: step + 1 });
    return [x, y];
  },
  loss: (model, x: Tensor, y: Tensor) => crossEntropy(model.forward(x), y),
  steps: 80,
  lr: 3e-3,
});
