// The workloads that speed is judged by, as a PyTorch user would write them. Names and sizes are those of peers/torchPeer.py.
import * as cr from 'chainrule';
import {
  AdaptiveAvgPool2d,
  BatchNorm2d,
  Conv2d,
  Embedding,
  Flatten,
  GELU,
  LayerNorm,
  Linear,
  LSTM,
  MaxPool2d,
  Module,
  ReLU,
  Sequential,
  Tanh,
} from 'chainrule/nn';
import { Adam, AdamW, SGD } from 'chainrule/optim';

const matmul = (name, m, k, n) => ({
  name,
  group: 'matmul',
  flops: 2 * m * k * n,
  bytes: 4 * (m * k + k * n + m * n),
  make() {
    const [a, b] = [cr.randn([m, k]), cr.randn([k, n])];
    return () => cr.noGrad(() => a.matmul(b));
  },
});

/** One step: zero the gradients, forward, loss, backward, optimizer step. `cast`: forward and loss under autocast, in bfloat16. */
const training = (name, flops, build) => ({
  name,
  group: 'workloads',
  flops,
  build,
  make({ cast = false } = {}) {
    const { model, optimizer, x, y, loss } = build();
    const forward = () => loss(model.forward(x), y);
    return () => {
      optimizer.zeroGrad();
      const l = cast ? cr.autocast(forward) : forward();
      l.backward();
      optimizer.step();
    };
  },
});

const adamw = (model) => new AdamW(model.parameters(), { lr: 1e-3 });

/** A pre-norm transformer block. Attention is the library's function; the PyTorch peer writes it by hand, as its workload does. */
class GptBlock extends Module {
  constructor(width, heads) {
    super();
    this.heads = heads;
    this.norm1 = new LayerNorm(width);
    this.qkv = new Linear(width, 3 * width);
    this.out = new Linear(width, width);
    this.norm2 = new LayerNorm(width);
    this.up = new Linear(width, 4 * width);
    this.down = new Linear(4 * width, width);
  }
  forward(x) {
    const [batch, time, width] = x.shape;
    const headsOf = (z) => z.reshape([batch, time, this.heads, width / this.heads]).transpose(1, 2);
    const [q, k, v] = this.qkv.forward(this.norm1.forward(x)).split(width, { dim: 2 }).map(headsOf);
    const looked = cr.scaledDotProductAttention(q, k, v, { isCausal: true });
    const h = x.add(this.out.forward(looked.transpose(1, 2).reshape([batch, time, width])));
    return h.add(this.down.forward(this.up.forward(this.norm2.forward(h)).gelu()));
  }
}

class Gpt extends Module {
  constructor(vocabulary, context, layers, width, heads) {
    super();
    this.token = new Embedding(vocabulary, width);
    this.position = new Embedding(context, width);
    this.blocks = Array.from({ length: layers }, () => new GptBlock(width, heads));
    this.norm = new LayerNorm(width);
    this.head = new Linear(width, vocabulary, { bias: false });
  }
  forward(ids) {
    let x = this.token.forward(ids).add(this.position.forward(cr.arange(ids.shape[1], { dtype: 'int32' })));
    for (const block of this.blocks) x = block.forward(x);
    return this.head.forward(this.norm.forward(x));
  }
}

class LstmClassifier extends Module {
  constructor() {
    super();
    this.lstm = new LSTM(64, 256, { batchFirst: true });
    this.head = new Linear(256, 10);
  }
  forward(x) {
    return this.head.forward(this.lstm.forward(x)[0].select(1, -1));
  }
}

/** Two 3x3 convolutions beside a shortcut (He et al. 2016). */
class ResidualBlock extends Module {
  constructor(channels, out, stride) {
    super();
    this.conv1 = new Conv2d(channels, out, 3, { stride, padding: 1, bias: false });
    this.norm1 = new BatchNorm2d(out);
    this.conv2 = new Conv2d(out, out, 3, { padding: 1, bias: false });
    this.norm2 = new BatchNorm2d(out);
    const same = stride === 1 && channels === out;
    this.shortcut = same ? null : new Sequential(new Conv2d(channels, out, 1, { stride, bias: false }), new BatchNorm2d(out));
  }
  forward(x) {
    const inner = this.norm1.forward(this.conv1.forward(x)).relu();
    return this.norm2
      .forward(this.conv2.forward(inner))
      .add(this.shortcut ? this.shortcut.forward(x) : x)
      .relu();
  }
}

function resnet20() {
  const blocks = [16, 32, 64].flatMap((out, stage) =>
    [0, 1, 2].map((i) => new ResidualBlock(i === 0 ? Math.max(16, out / 2) : out, out, i === 0 && stage > 0 ? 2 : 1)),
  );
  const stem = [new Conv2d(3, 16, 3, { padding: 1, bias: false }), new BatchNorm2d(16), new ReLU()];
  return new Sequential(...stem, ...blocks, new AdaptiveAvgPool2d(1), new Flatten(), new Linear(64, 10));
}

/** Multiplications and additions of the forward pass for one image: stem, then six convolutions (one of half depth) and a shortcut. */
const resnet20Flops = 2 * (3 * 16 * 9 * 1024 + 6 * 16 * 16 * 9 * 1024 + 5.5 * 32 * 32 * 9 * 256 * 2 + 16 * 32 * 256 + 32 * 64 * 64);

export const cases = [
  ...[64, 256, 512, 1024, 2048].map((n) => matmul(`matmul${n}`, n, n, n)),
  matmul('matmul64x784x256', 64, 784, 256),
  matmul('matmul1x4096x4096', 1, 4096, 4096),
  training('xor_mlp', 0, () => {
    const model = new Sequential(new Linear(2, 8), new Tanh(), new Linear(8, 1));
    const optimizer = new SGD(model.parameters(), { lr: 0.1 });
    return { model, optimizer, x: cr.randn([4, 2]), y: cr.rand([4, 1]), loss: cr.binaryCrossEntropyWithLogits };
  }),
  training('mnist_mlp', 2 * 64 * (2 * 784 * 256 + 3 * 256 * 128 + 3 * 128 * 10), () => {
    const model = new Sequential(new Linear(784, 256), new ReLU(), new Linear(256, 128), new ReLU(), new Linear(128, 10));
    return { model, optimizer: adamw(model), x: cr.randn([64, 784]), y: cr.randint(0, 10, [64]), loss: cr.crossEntropy };
  }),
  training('wide_mlp', 2 * 256 * (2 * 1024 * 4096 + 3 * 4096 * 4096 + 3 * 4096 * 1024), () => {
    const model = new Sequential(new Linear(1024, 4096), new GELU(), new Linear(4096, 4096), new GELU(), new Linear(4096, 1024));
    return { model, optimizer: adamw(model), x: cr.randn([256, 1024]), y: cr.randn([256, 1024]), loss: cr.mseLoss };
  }),
  training('cnn', 2 * 64 * (2 * 784 * 9 * 32 + 3 * 196 * 9 * 32 * 64 + 3 * 3136 * 128 + 3 * 1280), () => {
    const model = new Sequential(
      ...[new Conv2d(1, 32, 3, { padding: 1 }), new BatchNorm2d(32), new ReLU(), new MaxPool2d(2)],
      ...[new Conv2d(32, 64, 3, { padding: 1 }), new BatchNorm2d(64), new ReLU(), new MaxPool2d(2)],
      ...[new Flatten(), new Linear(64 * 49, 128), new ReLU(), new Linear(128, 10)],
    );
    return { model, optimizer: adamw(model), x: cr.randn([64, 1, 28, 28]), y: cr.randint(0, 10, [64]), loss: cr.crossEntropy };
  }),
  training('gpt_mini', 2 * 3 * 8 * 128 * (4 * (12 * 128 * 128 + 2 * 128 * 128) + 96 * 128), () => {
    const model = new Gpt(96, 128, 4, 128, 4);
    const optimizer = new AdamW(model.parameters(), { lr: 3e-4 });
    const [x, y] = [cr.randint(0, 96, [8, 128]), cr.randint(0, 96, [8, 128])];
    return { model, optimizer, x, y, loss: (logits, ids) => cr.crossEntropy(logits.reshape([-1, 96]), ids.reshape([-1])) };
  }),
  training('lstm', 2 * 3 * 32 * 64 * 4 * 256 * (64 + 256), () => {
    const model = new LstmClassifier();
    const optimizer = new Adam(model.parameters());
    return { model, optimizer, x: cr.randn([32, 64, 64]), y: cr.randint(0, 10, [32]), loss: cr.crossEntropy };
  }),
  training('resnet20', 3 * 64 * resnet20Flops - 2 * 64 * 3 * 16 * 9 * 1024, () => {
    const model = resnet20();
    const optimizer = new SGD(model.parameters(), { lr: 0.1, momentum: 0.9, weightDecay: 1e-4 });
    return { model, optimizer, x: cr.randn([64, 3, 32, 32]), y: cr.randint(0, 10, [64]), loss: cr.crossEntropy };
  }),
  {
    name: 'op16',
    group: 'overhead',
    flops: 0,
    /** A thousand ops on 16 floats that record gradients; times are per op. */
    perCall: 1000,
    make() {
      const [a, b] = [cr.randn([16]).requiresGrad_(), cr.randn([16])];
      return () => {
        for (let i = 0; i < 1000; i++) a.mul(b);
      };
    },
  },
];
