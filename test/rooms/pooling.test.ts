// Max pooling on planes wide enough for whole vectors: values, winners and gradients are the reference's, ties and NaN included.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as cr from '../../dist/index.js';
import type { Backend } from '../../dist/program/backend.js';
import { withDevice } from '../../dist/tensor/device.js';
import { engines, reference } from '../support/backends.js';

const cases: readonly (readonly [shape: readonly number[], kernel: number, options: cr.MaxPoolOptions])[] = [
  [[2, 3, 8, 72], 2, {}],
  [[2, 3, 9, 71], 2, {}],
  [[1, 2, 70, 34], 2, { stride: 1 }],
  [[3, 2, 40, 40], 3, { stride: 2, padding: 1 }],
  [[2, 2, 33, 66], 2, { ceilMode: true }],
  [[2, 2, 30, 66], 3, { stride: 3, dilation: 2, padding: 2 }],
];

function pooled(device: Backend, [shape, kernel, options]: (typeof cases)[number]): readonly number[][] {
  return withDevice(device, () => {
    cr.manualSeed(5);
    const size = shape.reduce((a, b) => a * b, 1);
    // Few distinct values make many ties.
    const x = cr.tensor(Array.from({ length: size }, (_, i) => (i % 97 === 3 ? Number.NaN : (i * 7919) % 11))).reshape(shape);
    const leaf = x.requiresGrad_();
    const [y, winners] = cr.maxPool2dWithIndices(leaf, kernel, options);
    y.mul(cr.arange(y.size).add(1).reshape(y.shape)).sum().backward();
    return [y, winners, leaf.grad as cr.Tensor].map((t) => Array.from(t.toArray(), Number));
  });
}

for (const { name, backend, why } of engines) {
  describe(name, { skip: backend === null && why }, () => {
    for (const sample of cases) {
      test(`${sample[0].join(' x ')}, kernel ${sample[1]}, ${JSON.stringify(sample[2])}`, () => {
        if (backend !== null) assert.deepEqual(pooled(backend, sample), pooled(reference, sample));
      });
    }
  });
}
