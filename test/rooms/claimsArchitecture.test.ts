// What layers cost and see: counts and identities.
import assert from 'node:assert/strict';
import { cat, dryRun, grad, ones, randn, scaledDotProductAttention, type Tensor, zeros } from '../../dist/index.js';
import * as nn from '../../dist/nn/index.js';
import { near, provesClaims, range, value, values } from '../support/claims.js';

const count = (module: nn.Module<never, unknown>): number => module.parameters().reduce((n, p) => n + p.size, 0);
const flops = (module: nn.Module, shape: number[]): number => nn.summary(module, shape, { dtype: 'float64' }).forwardFlops;
const conv = (inC: number, outC: number, k: number, options: nn.ConvOptions = {}): nn.Conv2d =>
  new nn.Conv2d(inC, outC, k, { bias: false, ...options });

/** How many inputs one output in the middle sees. */
function extent(layers: readonly nn.Conv1d[], length: number): number {
  for (const layer of layers) nn.init.ones_(layer.weight);
  const x = ones([1, 1, length]).requiresGrad_();
  const y = layers.reduce<Tensor>((h, layer) => layer.forward(h), x);
  const [g] = grad(y.select(2, Math.floor(y.sizeAt(2) / 2)).sum(), [x]) as [Tensor];
  const seen = values(g).flatMap((v, i) => (v === 0 ? [] : [i]));
  return (seen.at(-1) as number) - (seen[0] as number) + 1;
}
const conv1d = (k: number, options: nn.ConvOptions = {}): nn.Conv1d => new nn.Conv1d(1, 1, k, { bias: false, ...options });

provesClaims({
  'CLM-12 convolutions commute with shifts, and their weights do not depend on the size': () => {
    const layer = new nn.Conv1d(3, 5, 3, { padding: 0 });
    const around = (x: Tensor): Tensor => layer.forward(cat([x.narrow(2, x.sizeAt(2) - 1, 1), x, x.narrow(2, 0, 1)], { dim: 2 }));
    const x = randn([2, 3, 20]);
    for (const s of [1, 7, 13]) near(around(x.roll(s, { dims: 2 })), around(x).roll(s, { dims: 2 }), 1e-10);
    assert.equal(count(layer), 3 * 5 * 3 + 5);
  },
  'CLM-194 the receptive field is 1 + Σ (k - 1) d Π s': () => {
    assert.equal(
      extent(
        [1, 2, 4, 8].map((dilation) => conv1d(3, { dilation })),
        101,
      ),
      31,
    );
    assert.equal(
      extent(
        range(4).map(() => conv1d(3)),
        101,
      ),
      9,
    );
    assert.equal(extent([conv1d(3, { stride: 2 }), conv1d(5, { stride: 2 }), conv1d(3, { dilation: 2 })], 201), 1 + 2 + 4 * 2 + 2 * 2 * 4);
  },
  'CLM-195 depthwise-separable convolutions cost 1 / out + 1 / k² of plain ones': () => {
    const plain = conv(64, 128, 3, { padding: 1 });
    const separable = new nn.Sequential(conv(64, 64, 3, { padding: 1, groups: 64 }), conv(64, 128, 1));
    near(count(separable) / count(plain), 1 / 128 + 1 / 9, 1e-12);
    near(flops(separable, [1, 64, 16, 16]) / flops(plain, [1, 64, 16, 16]), 1 / 128 + 1 / 9, 1e-12);
  },
  'CLM-196 bottlenecks save weights': () => {
    assert.equal(count(new nn.Sequential(conv(256, 64, 1), conv(64, 64, 3, { padding: 1 }), conv(64, 256, 1))), 69632);
    assert.equal(count(conv(256, 256, 3)), 589824);
  },
  'CLM-197 weights and arithmetic are different things': () => {
    const layer = conv(4, 8, 3, { padding: 1 });
    assert.equal(flops(layer, [1, 4, 64, 64]) / flops(layer, [1, 4, 8, 8]), 64);
    const table = new nn.Embedding(10000, 64);
    assert.equal(count(table), 640000);
    const { forwardFlops } = nn.summary(table, [[8]], { dtype: 'int32' });
    assert.ok(forwardFlops <= 8 * 64, `${forwardFlops}`);
  },
  'CLM-198 twice the side: four times the convolution, sixteen times the scores': () => {
    const layer = conv(4, 8, 3, { padding: 1 });
    assert.equal(flops(layer, [1, 4, 32, 32]) / flops(layer, [1, 4, 16, 16]), 4);
    const tokens = (side: number): number =>
      new nn.PatchEmbedding(4, { inChannels: 1, embedDim: 8 }).forward(randn([1, 1, side, side])).sizeAt(1);
    assert.equal(tokens(32) / tokens(16), 4);
    const scores = (count: number): number =>
      dryRun((counts) => {
        scaledDotProductAttention(zeros([1, 1, count, 8]), zeros([1, 1, count, 8]), zeros([1, 1, count, 8]));
        return counts().flops;
      });
    near(scores(tokens(32)) / scores(tokens(16)), 16, 0.2);
  },
  'CLM-199 attention without positions permutes with its tokens; a causal mask leaks nothing': () => {
    const x = randn([1, 7, 8]);
    const open = new nn.SelfAttention(8, 2);
    near(open.forward(x.flip([1])), open.forward(x).flip([1]), 1e-10);
    const causal = new nn.SelfAttention(8, 2, { causal: true });
    const leaf = x.clone().requiresGrad_();
    const [g] = grad(causal.forward(leaf).select(1, 3).sum(), [leaf]) as [Tensor];
    assert.ok(values(g.narrow(1, 4, 3)).every((v) => v === 0));
    assert.ok(value(g.narrow(1, 0, 4).abs().max()) > 0);
  },
  'CLM-200 a feed-forward block has twice the weights of attention': () => {
    for (const d of [64, 128, 256, 512]) {
      const weights = (m: nn.Module<never, unknown>): number => m.parameters().reduce((n, p) => n + (p.ndim === 2 ? p.size : 0), 0);
      assert.equal(weights(new nn.FeedForward(d)), 8 * d * d);
      assert.equal(weights(new nn.SelfAttention(d, 4)), 4 * d * d);
    }
  },
  'CLM-204 of eight experts two work; uniform routing costs the coefficient': () => {
    const layer = new nn.MixtureOfExperts(4, { numExperts: 8, topK: 2, hidden: 8, capacityFactor: 8 });
    assert.equal(layer.topK / layer.numExperts, 0.25);
    nn.init.zeros_(layer.router.weight);
    const [, balance] = layer.forward(randn([32, 4]));
    near(balance, 0.01, 1e-12);
  },
});
