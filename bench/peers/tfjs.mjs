// The workloads in TensorFlow.js on its WASM backend (SIMD, one thread), which computes synchronously.
import { createRequire } from 'node:module';
import { dirname } from 'node:path';
import { serve } from './serve.mjs';

const require = createRequire(import.meta.url);
const tf = require('@tensorflow/tfjs'); // both packages as CommonJS, so that they share one tfjs-core
const wasm = require('@tensorflow/tfjs-backend-wasm');

wasm.setWasmPaths(`${dirname(require.resolve('@tensorflow/tfjs-backend-wasm'))}/`);
wasm.setThreadsCount(1);
await tf.setBackend('wasm');
if (!(await tf.env().getAsync('WASM_HAS_SIMD_SUPPORT'))) throw new Error('tfjs found no SIMD here, so its times would not be comparable');

const matmul = (m, k, n) => () => {
  const [a, b] = [tf.randomNormal([m, k]), tf.randomNormal([k, n])];
  return { run: () => tf.matMul(a, b).dispose(), release: () => tf.dispose([a, b]) };
};

/** One step: forward, loss, backward, optimizer step; `minimize` frees what it makes. */
const training = (layers, optimizer, data, loss) => () => {
  const model = tf.sequential({ layers: layers() });
  const [x, y] = data();
  const opt = optimizer();
  return {
    run: () => void opt.minimize(() => loss(y, model.apply(x, { training: true }))),
    release() {
      model.dispose();
      opt.dispose();
      tf.dispose([x, y]);
    },
  };
};

const { dense, conv2d, batchNormalization, maxPooling2d, flatten, reLU } = tf.layers;
const labels = () => tf.tidy(() => tf.oneHot(tf.randomUniform([64], 0, 10, 'int32'), 10).toFloat());
// tfjs has no AdamW; Adam does a little less work per step, to the advantage of tfjs.
const adam = () => tf.train.adam(1e-3);
const sgd = () => tf.train.sgd(0.1);

const xorLayers = () => [dense({ units: 8, activation: 'tanh', inputShape: [2] }), dense({ units: 1 })];
const mnistLayers = () => [
  dense({ units: 256, activation: 'relu', inputShape: [784] }),
  dense({ units: 128, activation: 'relu' }),
  dense({ units: 10 }),
];
const wideLayers = () => [
  dense({ units: 4096, activation: 'gelu', inputShape: [1024] }),
  dense({ units: 4096, activation: 'gelu' }),
  dense({ units: 1024 }),
];
const cnnLayers = () => [
  ...[conv2d({ filters: 32, kernelSize: 3, padding: 'same', inputShape: [28, 28, 1] }), batchNormalization(), reLU()],
  maxPooling2d({ poolSize: 2 }),
  ...[conv2d({ filters: 64, kernelSize: 3, padding: 'same' }), batchNormalization(), reLU(), maxPooling2d({ poolSize: 2 })],
  ...[flatten(), dense({ units: 128, activation: 'relu' }), dense({ units: 10 })],
];

/** A thousand ops on 16 floats under a gradient tape, the one place where tfjs records them; backward covers only the last. */
const op16 = () => {
  const [a, b] = [tf.randomNormal([16]), tf.randomNormal([16])];
  const record = tf.grad((x) => {
    let y = x;
    for (let i = 0; i < 1000; i++) y = x.mul(b);
    return y;
  });
  return { run: () => record(a).dispose(), perCall: 1000, release: () => tf.dispose([a, b]) };
};

const bits = () => [tf.randomNormal([4, 2]), tf.randomUniform([4, 1])];
const digits = (shape) => () => [tf.randomNormal(shape), labels()];
const regression = () => [tf.randomNormal([256, 1024]), tf.randomNormal([256, 1024])];
const { sigmoidCrossEntropy, softmaxCrossEntropy, meanSquaredError } = tf.losses;

await serve(tf.version.tfjs, {
  ...Object.fromEntries([64, 256, 512, 1024, 2048].map((n) => [`matmul${n}`, matmul(n, n, n)])),
  matmul64x784x256: matmul(64, 784, 256),
  matmul1x4096x4096: matmul(1, 4096, 4096),
  xor_mlp: training(xorLayers, sgd, bits, sigmoidCrossEntropy),
  mnist_mlp: training(mnistLayers, adam, digits([64, 784]), softmaxCrossEntropy),
  wide_mlp: training(wideLayers, adam, regression, meanSquaredError),
  cnn: training(cnnLayers, adam, digits([64, 28, 28, 1]), softmaxCrossEntropy),
  op16,
});
