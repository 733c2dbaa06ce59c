import { prototypeDigits, shapes } from '../data/synthetic.js';
import { Conv2d, contentLoss, InstanceNorm2d, Linear, Module, Parameter, styleLoss } from '../nn/index.js';
import { crossEntropy } from '../ops/loss.js';
import { adaptiveInstanceNorm } from '../ops/norm.js';
import type { Tensor } from '../tensor/tensor.js';
import { customTask, measured, type TinyTask, trainSteps } from './task.js';

/** A small classifier whose layers are what pictures are compared by. Train it first: {@link trainExtractor}. */
export class FeatureExtractor extends Module {
  readonly conv1: Conv2d;
  readonly conv2: Conv2d;
  readonly head: Linear;
  constructor(classes: number = 10) {
    super();
    this.conv1 = new Conv2d(1, 12, 3, { padding: 1 });
    this.conv2 = new Conv2d(12, 24, 3, { padding: 1 });
    this.head = new Linear(24, classes);
  }
  /** The maps of both layers, fine to coarse. */
  features(x: Tensor): [fine: Tensor, coarse: Tensor] {
    const fine = this.conv1.forward(x).relu();
    return [fine, this.conv2.forward(fine.avgPool2d(2)).relu()];
  }
  override forward(x: Tensor): Tensor {
    return this.head.forward(this.features(x)[1].mean({ dim: [2, 3] }));
  }
}

/** A feature extractor that has learned the synthetic digits, frozen. */
export function trainExtractor(steps: number = 60): FeatureExtractor {
  const extractor = new FeatureExtractor();
  const batch = (step: number): [Tensor, Tensor] => {
    const { x, y } = prototypeDigits({ samples: 40, seed: step + 1 });
    return [x, y];
  };
  trainSteps(extractor, batch, (x: Tensor, y: Tensor) => crossEntropy(extractor.forward(x), y), { steps });
  return extractor.requiresGrad_(false).eval();
}

export interface StyleWeights {
  /** Factor of the Gram matrices' distance. Default 0.01. */
  readonly style?: number;
  /** Factor of the coarse features' distance. Default 1. */
  readonly content?: number;
}
/** How far a picture is from the content of one and the style of another, as the extractor sees them (Gatys et al. 2016). */
export function transferLoss(
  extractor: FeatureExtractor,
  picture: Tensor,
  content: Tensor,
  style: Tensor,
  { style: styleWeight = 0.01, content: contentWeight = 1 }: StyleWeights = {},
): Tensor {
  const own = extractor.features(picture);
  const [, ofContent] = extractor.features(content);
  const ofStyle = extractor.features(style);
  return styleLoss(own, ofStyle)
    .mul(styleWeight)
    .add(contentLoss([own[1]], [ofContent]).mul(contentWeight));
}

/** A picture whose pixels are learned: style transfer by optimization. */
export class StyledPicture extends Module<readonly []> {
  readonly pixels: Parameter;
  constructor(start: Tensor) {
    super();
    this.pixels = new Parameter(start.detach().clone());
  }
  override forward(): Tensor {
    return this.pixels;
  }
}

/** A network that paints any content in one style; instance norm forgets each picture's own contrast (Ulyanov et al. 2016). */
export class StyleGenerator extends Module {
  readonly conv1: Conv2d;
  readonly norm1: InstanceNorm2d;
  readonly conv2: Conv2d;
  readonly norm2: InstanceNorm2d;
  readonly conv3: Conv2d;
  constructor(width: number = 16) {
    super();
    this.conv1 = new Conv2d(1, width, 3, { padding: 1 });
    this.norm1 = new InstanceNorm2d(width, { affine: true });
    this.conv2 = new Conv2d(width, width, 3, { padding: 1 });
    this.norm2 = new InstanceNorm2d(width, { affine: true });
    this.conv3 = new Conv2d(width, 1, 3, { padding: 1 });
  }
  override forward(x: Tensor): Tensor {
    const h = this.norm1.forward(this.conv1.forward(x)).relu();
    return this.conv3.forward(this.norm2.forward(this.conv2.forward(h)).relu());
  }
}

/** Any content in any style: the content's features get the mean and deviation of the style's (AdaIN; Huang & Belongie 2017). */
export class AdaptiveStyle extends Module<readonly [content: Tensor, style: Tensor]> {
  readonly encoder: Conv2d;
  readonly middle: Conv2d;
  readonly decoder: Conv2d;
  constructor(width: number = 16) {
    super();
    this.encoder = new Conv2d(1, width, 3, { padding: 1 });
    this.middle = new Conv2d(width, width, 3, { padding: 1 });
    this.decoder = new Conv2d(width, 1, 3, { padding: 1 });
  }
  override forward(content: Tensor, style: Tensor): Tensor {
    const [a, b] = [content, style].map((x) => this.encoder.forward(x).relu()) as [Tensor, Tensor];
    return this.decoder.forward(this.middle.forward(adaptiveInstanceNorm(a, b)).relu());
  }
}

const contents = (step: number): Tensor => prototypeDigits({ samples: 8, noise: 0.05, seed: step + 1 }).x;
const styles = (step: number): Tensor => shapes({ samples: 8, size: 8, noise: 0.05, seed: step + 1 }).x;

export const styledPictureTiny: TinyTask<StyledPicture> = customTask({
  id: 'ARC-30',
  name: 'style transfer, pixels',
  build: () => new StyledPicture(contents(0)),
  train: (model) => {
    const extractor = trainExtractor();
    const [content, style] = [contents(0), styles(0)];
    const loss = (): Tensor => transferLoss(extractor, model.forward(), content, style);
    const before = measured(model, loss);
    trainSteps(model, (): [] => [], loss, { steps: 60, lr: 0.03 });
    return [before, measured(model, loss)];
  },
});
export const styleGeneratorTiny: TinyTask<StyleGenerator> = customTask({
  id: 'ARC-30',
  name: 'style transfer, instance norm',
  build: () => new StyleGenerator(),
  train: (model) => {
    const extractor = trainExtractor();
    const style = styles(0).narrow(0, 0, 1).expand([8, 1, 8, 8]);
    const loss = (content: Tensor): Tensor => transferLoss(extractor, model.forward(content), content, style);
    const before = measured(model, () => loss(contents(-1)));
    trainSteps(model, (step): [Tensor] => [contents(step)], loss, { steps: 60 });
    return [before, measured(model, () => loss(contents(-1)))];
  },
});
export const adaptiveStyleTiny: TinyTask<AdaptiveStyle> = customTask({
  id: 'ARC-30',
  name: 'style transfer, AdaIN',
  build: () => new AdaptiveStyle(),
  train: (model) => {
    const extractor = trainExtractor();
    const loss = (content: Tensor, style: Tensor): Tensor => transferLoss(extractor, model.forward(content, style), content, style);
    const before = measured(model, () => loss(contents(-1), styles(-1)));
    trainSteps(model, (step): [Tensor, Tensor] => [contents(step), styles(step)], loss, { steps: 100, lr: 3e-3 });
    return [before, measured(model, () => loss(contents(-1), styles(-1)))];
  },
});
