// Results do not depend on the number of threads: the same bits with one, two and three.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { cat, conv2d, manualSeed, rand, randn, type Tensor, withDevice } from '../../dist/index.js';
import type { Backend } from '../../dist/program/backend.js';
import { expectClose, tolerances } from '../../dist/testing/compare.js';
import { sameBits } from '../../dist/testing/properties.js';
import { engineNames, open } from '../support/backends.js';
import { ops } from '../support/table.js';

/** Samples are small, and may run on one thread whatever is asked for: these are not. */
const large: Readonly<Record<string, () => Tensor>> = {
  'random numbers': () => randn([70_001]),
  map: () => randn([300_001]).tanh().mul(3).exp(),
  'sum of all': () => randn([300_001]).sum(),
  'sum of rows': () => randn([301, 1_003]).sum({ dim: 1 }),
  'sum of columns': () => randn([1_003, 301]).sum({ dim: 0 }),
  matmul: () => randn([157, 211]).matmul(randn([211, 193])),
  'matmul with a long inner dim': () => randn([7, 20_001]).matmul(randn([20_001, 9])),
  'gradients of a small network': networkGradients,
  'convolutions and their gradients': convolutionGradients,
};

function convolutionGradients(): Tensor {
  const x = randn([5, 20, 21, 17]).requiresGrad_();
  const [w1, w2] = [randn([40, 20, 3, 3]).requiresGrad_(), randn([36, 40, 3, 3]).requiresGrad_()];
  conv2d(conv2d(x, w1, { padding: 1 }), w2, { stride: 2 })
    .square()
    .mean()
    .backward();
  return cat([x, w1, w2].map((t) => (t.grad as Tensor).flatten()));
}

function networkGradients(): Tensor {
  const x = randn([257, 129]);
  const [w1, w2] = [randn([129, 131]).requiresGrad_(), randn([131, 7]).requiresGrad_()];
  x.matmul(w1).tanh().matmul(w2).square().mean().backward();
  return cat([(w1.grad as Tensor).flatten(), (w2.grad as Tensor).flatten()]);
}

const bytesOn = (device: Backend, make: () => Tensor): Buffer =>
  withDevice(device, () => {
    manualSeed(5);
    const { buffer } = make().toArray();
    return Buffer.from(buffer as ArrayBuffer);
  });

for (const name of engineNames) {
  const [one, two, three] = await Promise.all([1, 2, 3].map((threads) => open(name, { threads })));
  describe(name, { skip: !one?.backend && `no ${name}: ${one?.why}` }, () => {
    for (const [what, make] of Object.entries(large)) {
      test(`${what}: the same bits on ${name} with 1, 2 and 3 threads`, () => {
        const expected = bytesOn(one?.backend as Backend, make);
        for (const other of [two, three]) assert.ok(expected.equals(bytesOn(other?.backend as Backend, make)), other?.why);
      });
    }
    for (const op of ops) {
      test(`${op.row.name}: the same bits on ${name} with 1 and 2 threads`, () => {
        sameBits(op, one?.backend as Backend, two?.backend as Backend);
      });
    }
  });
}

test('seeded streams are the same on every engine', async () => {
  const draw = (make: () => Tensor) => (device: Backend) => {
    manualSeed(3);
    return [...withDevice(device, make).toArray()];
  };
  const opened = await Promise.all(['reference', ...engineNames].map((name) => open(name)));
  const devices = opened.flatMap(({ backend }) => backend ?? []);
  const [bits, ...sameBitsElsewhere] = devices.map(draw(() => rand([1_000])));
  for (const other of sameBitsElsewhere) assert.deepEqual(other, bits);
  const [normal, ...others] = devices.map(draw(() => randn([1_000]))); // goes through log, sin and cos
  for (const other of others) expectClose(other, normal as number[], tolerances.float32, 'randn');
});
