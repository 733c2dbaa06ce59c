// Residual paths and norms: identities in float64.
import assert from 'node:assert/strict';
import { batchNorm, cat, grad, groupNorm, instanceNorm, layerNorm, ones, randn, rmsNorm, type Tensor, tensor } from '../../dist/index.js';
import * as nn from '../../dist/nn/index.js';
import { near, provesClaims, range, value, values } from '../support/claims.js';

const moments = (x: Tensor, dim: number | number[]): readonly [mean: Tensor, variance: Tensor] => [
  x.mean({ dim }),
  x.var({ dim, correction: 0 }),
];

provesClaims({
  'CLM-141 a residual block has the Jacobian I + F′': () => {
    const branches = range(5).map(() => new nn.Linear(4, 4, { bias: false }));
    const x = randn([4]).requiresGrad_();
    const y = branches.reduce<Tensor>((h, branch) => new nn.Residual(branch).forward(h), x);
    const identity = tensor(range(4).map((i) => range(4).map((j) => Number(i === j))));
    const product = branches.reduce<Tensor>((m, branch) => identity.add(branch.weight).matmul(m), identity);
    for (const i of range(4)) near(grad(y.select(0, i), [x], { retainGraph: true })[0] as Tensor, product.select(0, i), 1e-12);
    for (const branch of branches) nn.init.zeros_(branch.weight);
    const same = branches.reduce<Tensor>((h, branch) => new nn.Residual(branch).forward(h), x);
    near(grad(same.sum(), [x])[0] as Tensor, ones([4]), 0);
  },
  'CLM-142 a branch -x cancels the path': () => {
    const x = randn([4]).requiresGrad_();
    const branch = new nn.Linear(4, 4, { bias: false });
    branch.weight.detach().copy_(tensor(range(4).map((i) => range(4).map((j) => (i === j ? -1 : 0)))));
    near(grad(new nn.Residual(branch).forward(x).sum(), [x])[0] as Tensor, [0, 0, 0, 0], 0);
  },
  'CLM-146 batch norm gives mean 0 and variance 1, and can be undone': () => {
    const x = randn([32, 3, 4, 5]).mul(3).add(2);
    const norm = new nn.BatchNorm2d(3);
    const y = norm.forward(x);
    const [mean, variance] = moments(x, [0, 2, 3]);
    const [center, spread] = moments(y, [0, 2, 3]);
    near(center, [0, 0, 0], 1e-10);
    near(spread, variance.div(variance.add(1e-5)), 1e-10);
    norm.weight?.detach().copy_(variance.add(1e-5).sqrt());
    norm.bias?.detach().copy_(mean);
    near(norm.forward(x), x, 1e-10);
  },
  'CLM-147 in evaluation an example does not see its batch': () => {
    const norm = new nn.BatchNorm1d(4);
    const others = randn([64, 4]);
    norm.forward(others.mul(2).add(1));
    const rows = (training: boolean): number[][] =>
      [2, 8, 64].map((count) =>
        values(
          norm
            .train(training)
            .forward(others.narrow(0, 0, count))
            .select(0, 0),
        ),
      );
    const alone = values(norm.eval().forward(others.narrow(0, 0, 1)));
    for (const row of rows(false)) assert.deepEqual(row, alone);
    const [two, eight] = rows(true) as [number[], number[]];
    assert.ok(Math.max(...two.map((v, i) => Math.abs(v - (eight[i] as number)))) > 1e-3);
  },
  'CLM-151 a share of 0.1 of the new is 0.9 of the old': () => {
    const [a, b] = [new nn.BatchNorm1d(3), new nn.BatchNorm1d(3, { momentum: 0.9, momentumOf: 'old' })];
    for (let i = 0; i < 20; i++) {
      const x = randn([16, 3]);
      a.forward(x);
      b.forward(x);
      near(a.runningMean as Tensor, b.runningMean as Tensor, 1e-14);
      near(a.runningVar as Tensor, b.runningVar as Tensor, 1e-14);
    }
  },
  'CLM-155 weights before batch norm have no scale and are orthogonal to their gradient': () => {
    const [x, w, target] = [randn([64, 5]), randn([5, 4]), randn([64, 4])];
    const run = (scale: number): readonly [y: Tensor, g: Tensor, w: Tensor] => {
      const weight = w.mul(scale).requiresGrad_();
      const y = batchNorm(x.matmul(weight), { training: true, eps: 1e-30 });
      return [y, grad(y.mul(target).tanh().sum(), [weight])[0] as Tensor, weight];
    };
    const [y, g, weight] = run(1);
    const [scaled, smaller] = run(8);
    near(scaled, y, 1e-10);
    near(smaller.mul(8), g, 1e-10);
    const cosine = value(g.mul(weight).sum()) / Math.sqrt(value(g.square().sum()) * value(weight.square().sum()));
    near(cosine, 0, 1e-10);
  },
  'NRM-15 scale invariance is found, and said as an effective step': () => {
    const [x, target] = [randn([64, 5]), randn([64, 4])];
    const free = new nn.Linear(5, 4, { bias: false });
    free.forward(x).mul(target).tanh().sum().backward();
    assert.ok(!nn.scaleInvariance(free.weight, 0.1).invariant);
    const layer = new nn.Linear(5, 4, { bias: false });
    const norm = new nn.BatchNorm1d(4, { eps: 1e-30 });
    assert.throws(() => nn.scaleInvariance(layer.weight, 0.1), /must have a gradient/);
    norm.forward(layer.forward(x)).mul(target).tanh().sum().backward();
    const found = nn.scaleInvariance(layer.weight, 0.1, { tolerance: 1e-10 });
    assert.ok(found.invariant, `cosine ${found.cosine}`);
    near(found.effectiveStep, 0.1 / value(layer.weight.square().sum()), 1e-12);
    near(found.norm ** 2, value(layer.weight.square().sum()), 1e-12);
  },
  'CLM-156 layer norm standardizes each token by itself': () => {
    const norm = new nn.LayerNorm(8, { eps: 0 });
    const [x, other] = [randn([1, 3, 8]), randn([5, 3, 8])];
    const y = norm.forward(x);
    assert.deepEqual(values(norm.forward(cat([x, other])).narrow(0, 0, 1)), values(y));
    const [mean, variance] = moments(y, 2);
    near(mean, [0, 0, 0], 1e-12);
    near(variance, [1, 1, 1], 1e-12);
  },
  'CLM-157 how norms are related': () => {
    const x = randn([3, 6, 4, 5]);
    near(groupNorm(x, 1), layerNorm(x, [6, 4, 5]), 1e-10);
    near(groupNorm(x, 6), instanceNorm(x), 1e-10);
    const one = x.narrow(0, 0, 1);
    near(batchNorm(one, { training: true }), instanceNorm(one), 1e-10);
    const centered = x.sub(x.mean({ dim: 3, keepdim: true }));
    near(rmsNorm(centered, [5], { eps: 1e-5 }), layerNorm(centered, [5]), 1e-10);
  },
  'CLM-158 instance norm takes contrast and brightness away': () => {
    const x = randn([2, 3, 6, 6]);
    for (const [a, b] of [[3, 5] as const, [0.2, -4] as const])
      near(instanceNorm(x.mul(a).add(b), { eps: 1e-12 }), instanceNorm(x, { eps: 1e-12 }), 1e-6);
  },
});
