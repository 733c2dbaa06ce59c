// A small convolutional network on the MNIST digits.   npx chainrule train examples/mnist.ts
import { crossEntropy, type Tensor } from 'chainrule';
import { mnist, randomSplit } from 'chainrule/data';
import { BatchNorm2d, Conv2d, Linear, MaxPool2d, Module } from 'chainrule/nn';
import { AdamW, OneCycleLR } from 'chainrule/optim';
import { accuracy, confusionMatrix, experiment } from 'chainrule/train';

class Net extends Module {
  readonly conv1: Conv2d;
  readonly norm1: BatchNorm2d;
  readonly conv2: Conv2d;
  readonly norm2: BatchNorm2d;
  readonly pool = new MaxPool2d(2);
  readonly head: Linear;

  constructor({ width }: { readonly width: number }) {
    super();
    this.conv1 = new Conv2d(1, width, 3, { padding: 1, bias: false });
    this.norm1 = new BatchNorm2d(width);
    this.conv2 = new Conv2d(width, 2 * width, 3, { padding: 1, bias: false });
    this.norm2 = new BatchNorm2d(2 * width);
    this.head = new Linear(2 * width * 7 * 7, 10);
  }

  override forward(x: Tensor): Tensor {
    // Pooling comes first: it leaves a quarter of the values to normalize.
    x = this.norm1.forward(this.pool.forward(this.conv1.forward(x))).relu(); // (batch, width, 14, 14)
    x = this.norm2.forward(this.pool.forward(this.conv2.forward(x))).relu(); // (batch, 2 width, 7, 7)
    return this.head.forward(x.flatten({ startDim: 1 })); // (batch, 10)
  }
}

export default experiment({
  model: { type: Net, width: 16 },
  data: {
    async make({ validation }: { readonly validation: number }) {
      const { train, test } = await mnist();
      const [fitted, held] = randomSplit(train, [train.length - validation, validation], { seed: 0 });
      return { train: fitted, validation: held, test };
    },
    validation: 5_000,
  },
  loss: crossEntropy,
  optimizer: { type: AdamW, lr: 1e-3, weightDecay: 0.01 },
  schedule: {
    make: (optimizer, { maxLr }: { readonly maxLr: number }, { totalSteps }) => new OneCycleLR(optimizer, maxLr, { totalSteps }),
    maxLr: 1e-2,
  },
  metrics: [accuracy(), confusionMatrix()],
  epochs: 3,
  batchSize: 128,
  seed: 1,
});
