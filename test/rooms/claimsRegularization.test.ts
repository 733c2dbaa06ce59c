// Dropout, stochastic depth and adapters: identities and expectations in float64.
import assert from 'node:assert/strict';
import { mseLoss, ones, randn, type Tensor, tensor } from '../../dist/index.js';
import * as nn from '../../dist/nn/index.js';
import { SGD } from '../../dist/optim/index.js';
import { mean, near, provesClaims, range, value, values } from '../support/claims.js';

provesClaims({
  'CLM-162 dropout keeps the mean; the classic form scales in evaluation': () => {
    const x = ones([1000000]);
    for (const p of [0.1, 0.3, 0.5]) {
      near(new nn.Dropout(p).forward(x).mean(), 1, 0.005);
      const classic = new nn.Dropout(p, { inverted: false });
      near(value(classic.forward(x).mean()) / value(classic.eval().forward(x).mean()), 1, 0.005);
    }
  },
  'CLM-163 scaled weights are the geometric mean of all sub-networks of a softmax layer': () => {
    const [x, w] = [randn([10]), randn([10, 4])];
    const got = nn.enumerateSubnetworks(10, (mask) => x.mul(mask).matmul(w).softmax(), { p: 0.5 });
    assert.equal(got.subnetworks, 1024);
    near(got.geometric, got.scaled, 1e-12);
    assert.ok(value(got.arithmetic.sub(got.scaled).abs().max()) > 1e-3);
  },
  'CLM-168 dropout before batch norm shifts variances': () => {
    const drop = new nn.Dropout(0.5);
    const x = randn([1000000]);
    for (const [input, ratio] of [[x, 2] as const, [x.relu(), 2.47] as const])
      near(value(drop.forward(input).var()) / value(input.var()), ratio, 0.02);
  },
  'CLM-169 dropout of channels drops whole maps': () => {
    const y = new nn.Dropout2d(0.3).forward(ones([100, 50, 4, 4]));
    const maps = values(y.sum({ dim: [2, 3] }));
    assert.ok(maps.every((v) => v === 0 || Math.abs(v - 16 / 0.7) < 1e-9));
    near(mean(maps.map((v) => Number(v === 0))), 0.3, 3 * Math.sqrt(0.21 / 5000));
  },
  'CLM-170 stochastic depth: (3 L - 1) / 4 blocks on average, and evaluation is the mean': () => {
    const rates = nn.dropPathRates(54, 0.5);
    near(
      rates.reduce((s, p) => s + 1 - p, 0),
      40.25,
      0.5,
    );
    const drops = rates.map((p) => new nn.DropPath(p));
    const kept = drops.map((drop) =>
      mean(
        values(
          drop
            .forward(ones([10000, 1]))
            .gt(0)
            .double(),
        ),
      ),
    );
    near(
      kept.reduce((a, b) => a + b, 0),
      40.25,
      0.5,
    );
    const last = drops.at(-1) as nn.DropPath;
    near(last.forward(ones([100000, 1])).mean(), last.eval().forward(ones([1, 1])), 0.01);
  },
  'CLM-188 an adapter begins as nothing and leaves the base alone': () => {
    const base = new nn.Linear(6, 5);
    const [x, y] = [randn([20, 6]), randn([20, 5])];
    const before = [values(base.forward(x)), values(base.weight), values(base.bias as Tensor)];
    const adapted = new nn.LoRALinear(base, { r: 2 });
    assert.deepEqual(values(adapted.forward(x)), before[0]);
    const trainable = adapted.parameters().filter((p) => p.requiresGrad);
    assert.equal(
      trainable.reduce((n, p) => n + p.size, 0),
      2 * (6 + 5),
    );
    const optimizer = new SGD(trainable, { lr: 0.1 });
    for (const _ of range(20)) {
      optimizer.zeroGrad();
      mseLoss(adapted.forward(x), y).backward();
      optimizer.step();
    }
    assert.ok(
      value(
        adapted
          .forward(x)
          .sub(tensor(before[0] as number[]).reshape([20, 5]))
          .abs()
          .max(),
      ) > 1e-3,
    );
    assert.deepEqual([values(base.forward(x)), values(base.weight), values(base.bias as Tensor)], before);
  },
});
