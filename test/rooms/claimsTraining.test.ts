// Counting, averaging and scores.
import assert from 'node:assert/strict';
import { DataLoader, TensorDataset } from '../../dist/data/index.js';
import * as metrics from '../../dist/entries/metrics.js';
import { manualSeed, randn, type Tensor, tensor, zeros } from '../../dist/index.js';
import * as nn from '../../dist/nn/index.js';
import { Adam } from '../../dist/optim/index.js';
import { mean, near, provesClaims, range, value, values } from '../support/claims.js';

provesClaims({
  'CLM-191 F1 shows what accuracy hides': () => {
    const [said, is] = [zeros([1000, 1]).sub(1), tensor(range(1000).map((i) => [Number(i === 0)]))];
    near(metrics.accuracy(said, is), 0.999, 1e-12);
    near(metrics.f1(said, is), 0, 0);
    near(metrics.balancedAccuracy(said, is), 0.5, 1e-12);
  },
  'CLM-193 a seed decides every bit, another seed another run': () => {
    const run = (seed: number): number[] => {
      manualSeed(seed);
      const model = new nn.Sequential(new nn.Linear(4, 8), new nn.Dropout(0.2), new nn.Tanh(), new nn.Linear(8, 1));
      const optimizer = new Adam(model.parameters());
      const x = randn([32, 4]);
      for (const _ of range(20)) {
        optimizer.zeroGrad();
        model.forward(x).square().mean().backward();
        optimizer.step();
      }
      return model.parameters().flatMap((p) => values(p));
    };
    assert.deepEqual(run(3), run(3));
    assert.notDeepEqual(run(3), run(4));
  },
  'CLM-215 1000 examples in batches of 32 are 32 steps, the last of 8; means go by examples': () => {
    const x = randn([1000]);
    const data = new TensorDataset(x);
    const batches = [...new DataLoader(data, { batchSize: 32 })] as (readonly [Tensor])[];
    assert.equal(batches.length, 32);
    assert.equal(batches.at(-1)?.[0].size, 8);
    assert.equal([...new DataLoader(data, { batchSize: 32, dropLast: true })].length, 31);
    const means = batches.map(([b]) => value(b.mean()));
    const weighted = batches.reduce((s, [b], i) => s + b.size * (means[i] as number), 0) / 1000;
    near(weighted, value(x.mean()), 1e-12);
    assert.ok(Math.abs(mean(means) - value(x.mean())) > 1e-6);
  },
});
