// The smallest network that can learn "one or the other, not both".   npx chainrule train examples/xor.ts
import { type Tensor, tensor } from 'chainrule';
import { TensorDataset } from 'chainrule/data';
import { BCEWithLogitsLoss, Linear, Module } from 'chainrule/nn';
import { Adam } from 'chainrule/optim';
import { accuracy, experiment } from 'chainrule/train';

class Net extends Module {
  readonly hidden: Linear;
  readonly output: Linear;

  constructor({ width }: { readonly width: number }) {
    super();
    this.hidden = new Linear(2, width);
    this.output = new Linear(width, 1);
  }

  override forward(x: Tensor): Tensor {
    return this.output.forward(this.hidden.forward(x).tanh());
  }
}

const loss = new BCEWithLogitsLoss();

export default experiment({
  model: { type: Net, width: 8 },
  data: () => {
    const table = new TensorDataset(
      tensor([
        [0, 0],
        [0, 1],
        [1, 0],
        [1, 1],
      ]),
      tensor([[0], [1], [1], [0]]),
    );
    return { train: table, test: table };
  },
  loss: (output, target) => loss.forward(output, target),
  optimizer: { type: Adam, lr: 0.05 },
  metrics: [accuracy()],
  epochs: 300,
  batchSize: 4,
  seed: 1,
});
