import { LibError } from '../core/errors.js';
import { formatShape } from '../core/shape.js';
import { cat } from '../ops/join.js';
import { empty } from '../tensor/creation.js';
import type { Tensor } from '../tensor/tensor.js';
import { Conv2d } from './conv.js';
import { normal_ } from './init.js';
import { Module, Parameter } from './module.js';

export interface PatchEmbeddingOptions {
  /** Channels of the image. Default 3. */
  readonly inChannels?: number;
  /** Width of a token. Default 768. */
  readonly embedDim?: number;
  /** Put a learned token before the others, for the whole image. Default false. */
  readonly classToken?: boolean;
}

/** An image (batch, channels, height, width) cut into patches, each projected to a token: (batch, tokens, embedDim), row by row. */
export class PatchEmbedding extends Module {
  readonly classToken: Parameter | null;
  readonly proj: Conv2d;

  constructor(
    readonly patchSize: number,
    { inChannels = 3, embedDim = 768, classToken = false }: PatchEmbeddingOptions = {},
  ) {
    super();
    this.classToken = classToken ? new Parameter(normal_(empty([1, 1, embedDim]), 0, 0.02)) : null;
    this.proj = new Conv2d(inChannels, embedDim, patchSize, { stride: patchSize });
  }

  override forward(x: Tensor): Tensor {
    const { patchSize } = this;
    if (x.ndim !== 4 || x.sizeAt(2) % patchSize !== 0 || x.sizeAt(3) % patchSize !== 0) {
      const got = `shape ${formatShape(x.shape)} for patches of ${patchSize}`;
      throw new LibError('shape', `PatchEmbedding: the input must be (batch, channels, height, width) in whole patches, got ${got}.`);
    }
    const tokens = this.proj.forward(x).flatten({ startDim: 2 }).transpose(1, 2);
    if (this.classToken === null) return tokens;
    return cat([this.classToken.expand([x.sizeAt(0), 1, tokens.sizeAt(2)]), tokens], { dim: 1 });
  }
}
