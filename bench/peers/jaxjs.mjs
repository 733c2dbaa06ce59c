// The workloads in jax-js on its WASM backend. A whole training step is one jit, as JAX users write it; every call waits for its results.
import { readFileSync } from 'node:fs';
import { blockUntilReady, defaultDevice, init, jit, lax, nn, numpy as np, random, tree, valueAndGrad, vjp } from '@jax-js/jax';
import { serve } from './serve.mjs';

const { version } = JSON.parse(readFileSync(new URL('./node_modules/@jax-js/jax/package.json', import.meta.url), 'utf8'));
await init('wasm');
defaultDevice('wasm');

let seed = 0;
const normal = (shape) => random.normal(random.key(seed++), shape);
const uniform = (shape, bound) => random.uniform(random.key(seed++), shape, { minval: -bound, maxval: bound });
const labels = () => random.randint(random.key(seed++), { minval: 0, maxval: 10, shape: [64] });

const matmul = (m, k, n) => () => {
  const [a, b] = [normal([m, k]), normal([k, n])];
  return {
    run: async () => (await np.matmul(a.ref, b.ref).blockUntilReady()).dispose(),
    release: () => tree.dispose([a, b]),
  };
};

// jax-js publishes no optimizers; these are its users' own, inside the jit. Functions consume their arguments; `.ref` keeps one.
const sgd = (lr) => ({
  init: () => [],
  update: (params, grads, state) => [tree.map((p, g) => p.sub(g.mul(lr)), params, grads), state],
});

const adamw = ({ lr = 1e-3, beta1 = 0.9, beta2 = 0.999, eps = 1e-8, decay = 0.01 } = {}) => ({
  init: (params) => ({
    m: tree.map((p) => np.zeros(p.shape), params),
    v: tree.map((p) => np.zeros(p.shape), params),
    power1: np.array(1),
    power2: np.array(1),
  }),
  update(params, grads, state) {
    const [power1, power2] = [state.power1.mul(beta1), state.power2.mul(beta2)];
    const m = tree.map((m, g) => m.mul(beta1).add(g.ref.mul(1 - beta1)), state.m, grads);
    const v = tree.map((v, g) => v.mul(beta2).add(np.square(g).mul(1 - beta2)), state.v, grads);
    const scale = np.array(lr).div(np.subtract(1, power1.ref));
    const spread = np.reciprocal(np.sqrt(np.subtract(1, power2.ref)));
    const stepped = (p, m, v) => p.mul(1 - lr * decay).sub(m.ref.mul(scale.ref).div(np.sqrt(v.ref).mul(spread.ref).add(eps)));
    const next = tree.map(stepped, params, m, v);
    tree.dispose([scale, spread]);
    return [next, { m, v, power1, power2 }];
  },
});

/** `loss(params, stats, x, y)` gives [loss, new stats]; stats are what a step updates without gradients. */
const training = (build) => () => {
  const { init: make, stats: makeStats = () => [], optimizer, loss, x, y } = build();
  const step = jit((params, stats, state, x, y) => {
    const [[value, newStats], grads] = valueAndGrad(loss, { hasAux: true })(tree.ref(params), stats, x, y);
    return [...optimizer.update(params, grads, state), newStats, value];
  });
  let [params, stats] = [make(), makeStats()];
  let state = optimizer.init(params);
  let value;
  return {
    async run() {
      value?.dispose();
      [params, state, stats, value] = step(params, stats, state, x.ref, y.ref);
      await blockUntilReady([params, state, stats, value]);
    },
    release() {
      tree.dispose([params, state, stats, value, x, y]);
      step.dispose();
    },
  };
};

const linear = (inputs, outputs) => {
  const bound = 1 / Math.sqrt(inputs);
  return { w: uniform([inputs, outputs], bound), b: uniform([outputs], bound) };
};
const conv = (inputs, outputs) => {
  const bound = 1 / Math.sqrt(inputs * 9);
  return { w: uniform([outputs, inputs, 3, 3], bound), b: uniform([outputs, 1, 1], bound) };
};
const applyLinear = ({ w, b }, x) => np.matmul(x, w).add(b);
const applyConv = ({ w, b }, x) => lax.convGeneralDilated(x, w, [1, 1], 'SAME').add(b);
const maxPool = (x) => lax.reduceWindow(x, np.max, [2, 2], [2, 2]);

const mlp = (sizes, activation) => ({
  init: () => sizes.slice(1).map((size, i) => linear(sizes[i], size)),
  forward: (params, x) => params.reduce((h, layer, i) => (i === 0 ? applyLinear(layer, h) : applyLinear(layer, activation(h))), x),
});

const crossEntropy = (logits, y) =>
  nn
    .logSoftmax(logits)
    .mul(nn.oneHot(y, 10))
    .sum()
    .mul(-1 / 64);
const binaryCrossEntropy = (z, y) => nn.softplus(z.ref).sub(z.mul(y)).mean();
const squaredError = (prediction, y) => np.square(prediction.sub(y)).mean();

const mlpTraining = ({ sizes, activation, optimizer, criterion, data }) =>
  training(() => {
    const model = mlp(sizes, activation);
    const loss = (params, stats, x, y) => [criterion(model.forward(params, x), y), stats];
    return { init: model.init, optimizer, loss, ...data() };
  });

/** Normalizes over batch and pixels; running statistics move by a tenth, the variance by its unbiased value. */
function batchNorm({ gain, bias }, { mean, variance }, x) {
  const axes = [0, 2, 3];
  const count = x.size / x.shape[1];
  const center = np.mean(x.ref, axes, { keepdims: true });
  const offset = x.sub(center.ref);
  const spread = np.mean(np.square(offset.ref), axes, { keepdims: true });
  const stats = {
    mean: mean.mul(0.9).add(lax.stopGradient(center).mul(0.1)),
    variance: variance.mul(0.9).add(lax.stopGradient(spread.ref).mul((0.1 * count) / (count - 1))),
  };
  return [
    offset
      .mul(np.reciprocal(np.sqrt(spread.add(1e-5))))
      .mul(gain)
      .add(bias),
    stats,
  ];
}

const cnn = training(() => {
  const channels = (value, n) => np.full([1, n, 1, 1], value);
  const norm = (n) => ({ gain: channels(1, n), bias: channels(0, n) });
  const start = (n) => ({ mean: channels(0, n), variance: channels(1, n) });
  const loss = ({ conv1, norm1, conv2, norm2, fc1, fc2 }, [stats1, stats2], x, y) => {
    const [h1, next1] = batchNorm(norm1, stats1, applyConv(conv1, x));
    const [h2, next2] = batchNorm(norm2, stats2, applyConv(conv2, maxPool(nn.relu(h1))));
    const flat = maxPool(nn.relu(h2)).reshape([64, 64 * 49]);
    return [crossEntropy(applyLinear(fc2, nn.relu(applyLinear(fc1, flat))), y), [next1, next2]];
  };
  return {
    init: () => ({
      ...{ conv1: conv(1, 32), norm1: norm(32), conv2: conv(32, 64), norm2: norm(64) },
      ...{ fc1: linear(64 * 49, 128), fc2: linear(128, 10) },
    }),
    stats: () => [start(32), start(64)],
    optimizer: adamw(),
    loss,
    x: normal([64, 1, 28, 28]),
    y: labels(),
  };
});

/** A thousand ops on 16 floats, recorded by vjp, the one place where jax-js records them outside a jit. */
const op16 = () => {
  const [a, b] = [normal([16]), normal([16])];
  const thousand = (x) => {
    const outputs = Array.from({ length: 1000 }, () => x.ref.mul(b.ref));
    x.dispose();
    return outputs;
  };
  const run = async () => {
    const [outputs, backward] = vjp(thousand, [a.ref]);
    await blockUntilReady(outputs); // ops are deferred until somebody waits
    tree.dispose(outputs);
    backward.dispose();
  };
  return { run, perCall: 1000, release: () => tree.dispose([a, b]) };
};

const classes = () => ({ x: normal([64, 784]), y: labels() });
const mnist = { sizes: [784, 256, 128, 10], activation: nn.relu, optimizer: adamw(), criterion: crossEntropy, data: classes };
const exactGelu = (x) => nn.gelu(x, { approximate: false });
const regression = () => ({ x: normal([256, 1024]), y: normal([256, 1024]) });
const wide = { sizes: [1024, 4096, 4096, 1024], activation: exactGelu, optimizer: adamw(), criterion: squaredError, data: regression };
const bits = () => ({ x: normal([4, 2]), y: random.uniform(random.key(seed++), [4, 1]) });
const xor = { sizes: [2, 8, 1], activation: np.tanh, optimizer: sgd(0.1), criterion: binaryCrossEntropy, data: bits };

await serve(version, {
  ...Object.fromEntries([64, 256, 512, 1024, 2048].map((n) => [`matmul${n}`, matmul(n, n, n)])),
  matmul64x784x256: matmul(64, 784, 256),
  matmul1x4096x4096: matmul(1, 4096, 4096),
  xor_mlp: mlpTraining(xor),
  mnist_mlp: mlpTraining(mnist),
  wide_mlp: mlpTraining(wide),
  cnn,
  op16,
});
