import { shapes } from '../data/synthetic.js';
import { BatchNorm2d, Conv2d, Module, SegmentationHead } from '../nn/index.js';
import { binaryCrossEntropyWithLogits } from '../ops/loss.js';
import { diceBceLoss, diceLoss } from '../ops/lossTasks.js';
import { noGrad } from '../tensor/autograd.js';
import type { Tensor } from '../tensor/tensor.js';
import { supervisedTask, type TinyResult, type TinyTask } from './task.js';

/** What a segmentation network minimizes; the target is 1 on the object and 0 elsewhere. */
export const segmentationLosses: Readonly<Record<'bce' | 'dice' | 'diceBce', (logits: Tensor, mask: Tensor) => Tensor>> = {
  bce: (logits, mask) => binaryCrossEntropyWithLogits(logits, mask),
  dice: (logits, mask) => diceLoss(logits.sigmoid(), mask),
  diceBce: (logits, mask) => diceBceLoss(logits, mask),
};
export type SegmentationLossName = keyof typeof segmentationLosses;

/** Growing dilation at full resolution, then a class for each pixel: (batch, channels, height, width) → (batch, classes, height, width). */
export class SegmentationNet extends Module {
  readonly convs: readonly Conv2d[];
  readonly norms: readonly BatchNorm2d[];
  readonly head: SegmentationHead;
  constructor(inChannels: number, classes: number = 1, width: number = 12) {
    super();
    const dilations = [1, 2, 4];
    this.convs = dilations.map(
      (dilation, i) => new Conv2d(i === 0 ? inChannels : width, width, 3, { padding: dilation, dilation, bias: false }),
    );
    this.norms = dilations.map(() => new BatchNorm2d(width));
    this.head = new SegmentationHead(width, classes);
  }
  override forward(x: Tensor): Tensor {
    let h = x;
    for (const [i, conv] of this.convs.entries()) h = (this.norms[i] as BatchNorm2d).forward(conv.forward(h)).relu();
    return this.head.forward(h);
  }
}

/** The Dice coefficient of the pixels whose logit is positive, 1 at best. */
export function diceScore(logits: Tensor, mask: Tensor): number {
  return noGrad(() => {
    const predicted = logits.gt(0).to(mask.dtype);
    return predicted.mul(mask).sum().mul(2).add(1e-7).div(predicted.sum().add(mask.sum()).add(1e-7)).itemNow();
  });
}

const task = (kind: SegmentationLossName): TinyTask<SegmentationNet> =>
  supervisedTask({
    id: 'ARC-26',
    name: `segmentation, ${kind}`,
    build: () => new SegmentationNet(1),
    batch: (step) => {
      const { x, mask } = shapes({ samples: 16, size: 16, noise: 0.3, seed: step + 1 });
      return [x, mask];
    },
    loss: (model, x: Tensor, mask: Tensor) => segmentationLosses[kind](model.forward(x), mask),
    steps: 60,
  });
export const segmentationBceTiny: TinyTask<SegmentationNet> = task('bce');
export const segmentationDiceTiny: TinyTask<SegmentationNet> = task('dice');
export const segmentationBothTiny: TinyTask<SegmentationNet> = task('diceBce');

/** The Dice score on pictures drawn apart after training with each loss. */
export function compareSegmentationLosses(): Readonly<Record<SegmentationLossName, number>> {
  const { x, mask } = shapes({ samples: 32, size: 16, noise: 0.3, seed: 0 });
  const score = ({ model }: TinyResult<SegmentationNet>): number =>
    diceScore(
      noGrad(() => model.eval().forward(x)),
      mask,
    );
  return { bce: score(segmentationBceTiny.run()), dice: score(segmentationDiceTiny.run()), diceBce: score(segmentationBothTiny.run()) };
}
