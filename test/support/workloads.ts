// The workloads of bench/workloads.mjs in small: the same layers, losses and optimizers, narrower.

import type { Tensor } from '../../dist/index.js';
import * as cr from '../../dist/index.js';
import * as nn from '../../dist/nn/index.js';
import { Adam, AdamW, type Optimizer, SGD } from '../../dist/optim/index.js';

export interface Workload {
  readonly model: nn.Module;
  readonly optimizer: Optimizer;
  readonly loss: (output: Tensor, target: Tensor) => Tensor;
  batch(size: number): readonly [x: Tensor, y: Tensor];
}

const adamw = (model: nn.Module, lr = 1e-3): Optimizer => new AdamW(model.parameters(), { lr });
const classes = (count: number, shape: readonly number[]): Tensor => cr.randint(0, count, shape);

/** Pre-norm, with the library's attention. */
class GptBlock extends nn.Module {
  readonly norm1: nn.LayerNorm;
  readonly qkv: nn.Linear;
  readonly out: nn.Linear;
  readonly norm2: nn.LayerNorm;
  readonly up: nn.Linear;
  readonly down: nn.Linear;
  constructor(
    readonly width: number,
    readonly heads: number,
  ) {
    super();
    this.norm1 = new nn.LayerNorm(width);
    this.qkv = new nn.Linear(width, 3 * width);
    this.out = new nn.Linear(width, width);
    this.norm2 = new nn.LayerNorm(width);
    this.up = new nn.Linear(width, 4 * width);
    this.down = new nn.Linear(4 * width, width);
  }
  override forward(x: Tensor): Tensor {
    const { width, heads } = this;
    const [batch = 0, time = 0] = x.shape;
    const headsOf = (z: Tensor): Tensor => z.reshape([batch, time, heads, width / heads]).transpose(1, 2);
    const [q, k, v] = this.qkv.forward(this.norm1.forward(x)).split(width, { dim: 2 }).map(headsOf) as [Tensor, Tensor, Tensor];
    const looked = cr.scaledDotProductAttention(q, k, v, { isCausal: true });
    const h = x.add(this.out.forward(looked.transpose(1, 2).reshape([batch, time, width])));
    return h.add(this.down.forward(this.up.forward(this.norm2.forward(h)).gelu()));
  }
}

class Gpt extends nn.Module {
  readonly token: nn.Embedding;
  readonly position: nn.Embedding;
  readonly blocks: readonly GptBlock[];
  readonly norm: nn.LayerNorm;
  readonly head: nn.Linear;
  constructor(vocabulary: number, context: number, layers: number, width: number, heads: number) {
    super();
    this.token = new nn.Embedding(vocabulary, width);
    this.position = new nn.Embedding(context, width);
    this.blocks = Array.from({ length: layers }, () => new GptBlock(width, heads));
    this.norm = new nn.LayerNorm(width);
    this.head = new nn.Linear(width, vocabulary, { bias: false });
  }
  override forward(ids: Tensor): Tensor {
    const start = this.token.forward(ids).add(this.position.forward(cr.arange(ids.shape[1] as number, { dtype: 'int32' })));
    return this.head.forward(this.norm.forward(this.blocks.reduce((h, block) => block.forward(h), start)));
  }
}

class LstmClassifier extends nn.Module {
  readonly lstm = new nn.LSTM(8, 24, { batchFirst: true });
  readonly head = new nn.Linear(24, 10);
  override forward(x: Tensor): Tensor {
    return this.head.forward(this.lstm.forward(x)[0].select(1, -1));
  }
}

function residualBlock(channels: number, out: number, stride: number): nn.Module {
  const conv = (from: number, step: number): nn.Conv2d => new nn.Conv2d(from, out, 3, { stride: step, padding: 1, bias: false });
  const branch = new nn.Sequential(
    ...[conv(channels, stride), new nn.BatchNorm2d(out), new nn.ReLU()],
    ...[conv(out, 1), new nn.BatchNorm2d(out)],
  );
  const same = stride === 1 && channels === out;
  const shortcut = same ? null : new nn.Sequential(new nn.Conv2d(channels, out, 1, { stride, bias: false }), new nn.BatchNorm2d(out));
  return new nn.Residual(branch, { shortcut, post: new nn.ReLU() });
}

/** Twenty layers, as in He et al. 2016. */
function resnet20(width: number): nn.Module {
  const blocks = [width, 2 * width, 4 * width].flatMap((out, stage) =>
    [0, 1, 2].map((i) => residualBlock(i === 0 ? Math.max(width, out / 2) : out, out, i === 0 && stage > 0 ? 2 : 1)),
  );
  const stem = [new nn.Conv2d(3, width, 3, { padding: 1, bias: false }), new nn.BatchNorm2d(width), new nn.ReLU()];
  return new nn.Sequential(...stem, ...blocks, new nn.AdaptiveAvgPool2d(1), new nn.Flatten(), new nn.Linear(4 * width, 10));
}

export const workloads: Readonly<Record<string, () => Workload>> = {
  xor_mlp() {
    const model = new nn.Sequential(new nn.Linear(2, 8), new nn.Tanh(), new nn.Linear(8, 1));
    const optimizer = new SGD(model.parameters(), { lr: 0.1 });
    return { model, optimizer, loss: cr.binaryCrossEntropyWithLogits, batch: (n) => [cr.randn([n, 2]), cr.rand([n, 1])] };
  },
  mnist_mlp() {
    const layers = [new nn.Linear(98, 64), new nn.ReLU(), new nn.Dropout(0.1), new nn.Linear(64, 32), new nn.ReLU(), new nn.Linear(32, 10)];
    const model = new nn.Sequential(...layers);
    return { model, optimizer: adamw(model), loss: cr.crossEntropy, batch: (n) => [cr.randn([n, 98]), classes(10, [n])] };
  },
  wide_mlp() {
    const layers = [new nn.Linear(64, 256), new nn.GELU(), new nn.Linear(256, 256), new nn.GELU(), new nn.Linear(256, 64)];
    const model = new nn.Sequential(...layers);
    return { model, optimizer: adamw(model), loss: cr.mseLoss, batch: (n) => [cr.randn([n, 64]), cr.randn([n, 64])] };
  },
  cnn() {
    const model = new nn.Sequential(
      ...[new nn.Conv2d(1, 8, 3, { padding: 1 }), new nn.BatchNorm2d(8), new nn.ReLU(), new nn.MaxPool2d(2)],
      ...[new nn.Conv2d(8, 16, 3, { padding: 1 }), new nn.BatchNorm2d(16), new nn.ReLU(), new nn.MaxPool2d(2)],
      ...[new nn.Flatten(), new nn.Dropout(0.2), new nn.Linear(16 * 9, 32), new nn.ReLU(), new nn.Linear(32, 10)],
    );
    return { model, optimizer: adamw(model), loss: cr.crossEntropy, batch: (n) => [cr.randn([n, 1, 12, 12]), classes(10, [n])] };
  },
  resnet20() {
    const model = resnet20(4);
    const optimizer = new SGD(model.parameters(), { lr: 0.1, momentum: 0.9, weightDecay: 1e-4 });
    return { model, optimizer, loss: cr.crossEntropy, batch: (n) => [cr.randn([n, 3, 16, 16]), classes(10, [n])] };
  },
  gpt_mini() {
    const model = new Gpt(20, 24, 2, 32, 2);
    const loss = (logits: Tensor, ids: Tensor): Tensor => cr.crossEntropy(logits.reshape([-1, 20]), ids.reshape([-1]));
    return { model, optimizer: adamw(model, 3e-4), loss, batch: (n) => [classes(20, [n, 24]), classes(20, [n, 24])] };
  },
  lstm() {
    const model = new LstmClassifier();
    const optimizer = new Adam(model.parameters());
    return { model, optimizer, loss: cr.crossEntropy, batch: (n) => [cr.randn([n, 12, 8]), classes(10, [n])] };
  },
};
