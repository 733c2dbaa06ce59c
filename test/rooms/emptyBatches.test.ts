// Batches of no examples: results are empty, gradients of parameters are 0, and nothing fails.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as nn from '../../dist/entries/nn.js';
import { hingeEmbeddingLoss, isTensor, type Tensor, zeros } from '../../dist/index.js';

const picture = (): Tensor => zeros([0, 4, 6, 6]).requiresGrad_();
const tensorsIn = (v: unknown): Tensor[] => (isTensor(v) ? [v] : Object.values(v as object).flatMap(tensorsIn));

type AnyCall = nn.Module<readonly [x: Tensor], unknown>;
const layers: readonly (readonly [name: string, make: () => AnyCall, x: () => Tensor])[] = [
  ['Conv2d', () => new nn.Conv2d(4, 3, 3), picture],
  ['Conv2d, depthwise', () => new nn.Conv2d(4, 4, 3, { groups: 4, stride: 2 }), picture],
  ['Conv2d, 1×1', () => new nn.Conv2d(4, 8, 1), picture],
  ['ConvTranspose2d', () => new nn.ConvTranspose2d(4, 3, 3), picture],
  ['InstanceNorm2d', () => new nn.InstanceNorm2d(4, { affine: true, trackRunningStats: true }), picture],
  ['GroupNorm', () => new nn.GroupNorm(2, 4), picture],
  ['BatchNorm2d, evaluating', () => new nn.BatchNorm2d(4).eval(), picture],
  ['AdaptiveAvgPool2d', () => new nn.AdaptiveAvgPool2d(2), picture],
  ['DetectionHead', () => new nn.DetectionHead(4, 3, { anchors: 2 }), picture],
  ['Linear', () => new nn.Linear(4, 3), () => zeros([0, 4]).requiresGrad_()],
  ['LSTM', () => new nn.LSTM(4, 3, { batchFirst: true }), () => zeros([0, 5, 4]).requiresGrad_()],
  ['SelfAttention', () => new nn.SelfAttention(4, 2, { causal: true }), () => zeros([0, 5, 4]).requiresGrad_()],
  ['TransformerBlock', () => new nn.TransformerBlock(4, 2), () => zeros([0, 5, 4]).requiresGrad_()],
];

describe('no examples', () => {
  for (const [name, make, input] of layers) {
    test(name, () => {
      const [layer, x] = [make(), input()];
      const results = tensorsIn(layer.forward(x));
      assert.ok(results.some((y) => y.size === 0 && y.ndim > 1));
      results
        .map((y) => y.sum())
        .reduce((a, b) => a.add(b))
        .backward();
      assert.deepEqual(x.grad?.shape, x.shape);
      for (const p of layer.parameters()) assert.ok([...(p.grad as Tensor).toArray()].every((g) => g === 0));
    });
  }
  test('anchors of a detection head keep their number', () => {
    assert.deepEqual([...new nn.DetectionHead(4, 3, { anchors: 2 }).forward(picture()).scores.shape], [0, 72, 3]);
  });
  test('pooling is undone, and losses ask for gradients of both sides', () => {
    const [y, indices] = new nn.MaxPool2d(2, { returnIndices: true }).forward(picture());
    assert.deepEqual([...new nn.MaxUnpool2d(2).forward(y, indices).shape], [0, 4, 6, 6]);
    const [x, target] = [zeros([0, 3]).requiresGrad_(), zeros([0, 3]).requiresGrad_()];
    hingeEmbeddingLoss(x, target).backward();
    assert.deepEqual([x.grad?.shape, target.grad?.shape], [x.shape, x.shape]);
  });
});
