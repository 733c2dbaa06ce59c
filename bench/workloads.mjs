// The workloads that speed is judged by, as a PyTorch user would write them. Names and sizes are those of peers/torchPeer.py.
import * as cr from 'chainrule';
import { BatchNorm2d, Conv2d, Flatten, GELU, Linear, MaxPool2d, ReLU, Sequential, Tanh } from 'chainrule/nn';
import { AdamW, SGD } from 'chainrule/optim';

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

/** One step: zero the gradients, forward, loss, backward, optimizer step. */
const training = (name, flops, build) => ({
  name,
  group: 'workloads',
  flops,
  make() {
    const { model, optimizer, x, y, loss } = build();
    return () => {
      optimizer.zeroGrad();
      const l = loss(model.forward(x), y);
      l.backward();
      optimizer.step();
    };
  },
});

const adamw = (model) => new AdamW(model.parameters(), { lr: 1e-3 });

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
