// Norms beyond single calls: conventions, freezing, synchronized and measured statistics, parametrizations, warnings.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { cat, compile, grad, manualSeed, noGrad, randn, setDefaultDtype, setWarningListener, type Tensor } from '../../dist/index.js';
import * as nn from '../../dist/nn/index.js';

const values = (x: Tensor | null): number[] => [...(x as Tensor).detach().reshape([-1]).toArray()].map(Number);
function near(got: Tensor | null, want: Tensor | null, tolerance: number, what: string): void {
  const [a, b] = [values(got), values(want)];
  assert.equal(a.length, b.length, what);
  for (const [i, v] of a.entries()) assert.ok(Math.abs(v - (b[i] as number)) <= tolerance, `${what}: ${v} for ${b[i]} at ${i}`);
}
function inFloat64(body: () => void): void {
  setDefaultDtype('float64');
  try {
    body();
  } finally {
    setDefaultDtype('float32');
  }
}

test('momentum 0.9 of the old statistics is 0.1 of the new', () => {
  manualSeed(1);
  const [a, b] = [new nn.BatchNorm1d(3), new nn.BatchNorm1d(3, { momentum: 0.9, momentumOf: 'old' })];
  for (let i = 0; i < 3; i++) {
    const x = randn([20, 3]);
    a.forward(x);
    b.forward(x);
  }
  near(a.runningMean, b.runningMean, 1e-6, 'mean');
  near(a.runningVar, b.runningVar, 1e-6, 'variance');
  assert.throws(() => new nn.BatchNorm1d(3, { momentum: 2 }), /BatchNorm1d: momentum must be in \[0, 1\] or null, got 2\./);
});

test('frozen statistics stay through train(), frozen affine parameters get no gradient', () => {
  manualSeed(2);
  const norm = new nn.BatchNorm1d(3);
  norm.forward(randn([20, 3]));
  const before = [values(norm.runningMean), values(norm.numBatchesTracked)];
  norm.freeze({ affine: false }).train();
  const x = randn([20, 3]);
  const y = norm.forward(x);
  assert.deepEqual([values(norm.runningMean), values(norm.numBatchesTracked)], before);
  norm.eval();
  assert.deepEqual(values(norm.forward(x)), values(y));
  assert.ok(norm.weight?.requiresGrad);
  norm.freeze();
  assert.ok(!norm.weight?.requiresGrad && !norm.bias?.requiresGrad);
  norm.unfreeze().train();
  norm.forward(x);
  assert.deepEqual(values(norm.numBatchesTracked), [2]);
});

test('synchronized over replicas of any size: output, gradients and statistics of the concatenated batch', () =>
  inFloat64(() => {
    manualSeed(3);
    const [one, many] = [new nn.BatchNorm2d(3), new nn.BatchNorm2d(3)];
    const parts = [2, 5, 1].map((n) => randn([n, 3, 2, 2]));
    const weights = randn([8, 3, 2, 2]);
    const run = (norm: nn.BatchNorm2d, xs: Tensor[], forward: () => Tensor): Tensor[] => {
      const y = forward();
      return [y, ...grad(y.mul(weights).sum(), [...xs, norm.weight as Tensor, norm.bias as Tensor])];
    };
    const leaves = parts.map((x) => x.clone().requiresGrad_());
    const whole = cat(parts).requiresGrad_();
    const got = run(many, leaves, () => cat(nn.syncBatchNorm(many, leaves)));
    const want = run(one, [whole], () => one.forward(whole));
    near(got[0] as Tensor, want[0] as Tensor, 1e-10, 'output');
    near(cat(got.slice(1, 4)), want[1] as Tensor, 1e-10, 'gradient of the input');
    near(got[4] as Tensor, want[2] as Tensor, 1e-10, 'gradient of the weight');
    near(many.runningMean, one.runningMean, 1e-10, 'mean');
    near(many.runningVar, one.runningVar, 1e-10, 'variance');
    assert.deepEqual(values(many.numBatchesTracked), [1]);
  }));

test('measured statistics are the plain average over the batches; modes and momenta come back', () => {
  manualSeed(4);
  const model = new nn.Sequential(new nn.BatchNorm1d(3), new nn.Dropout(0.5));
  const norm = model[0] as nn.BatchNorm1d;
  const batches = [randn([20, 3]), randn([20, 3]).add(2)];
  norm.forward(batches[1] as Tensor);
  model.eval();
  nn.reestimateStatistics(model, batches, (x) => model.forward(x));
  near(norm.runningMean, cat(batches).mean({ dim: 0 }), 1e-6, 'mean');
  assert.equal(norm.momentum, 0.1);
  assert.ok(!norm.training && !model.training);
});

test('a cumulative average is captured: each replay counts', () => {
  manualSeed(5);
  const [eager, compiled] = [new nn.BatchNorm1d(2, { momentum: null }), new nn.BatchNorm1d(2, { momentum: null })];
  const step = compile((x: Tensor) => compiled.forward(x));
  for (let i = 0; i < 4; i++) {
    const x = randn([20, 2]);
    near(step(x), eager.forward(x), 1e-6, 'output');
  }
  near(compiled.runningMean, eager.runningMean, 1e-6, 'mean');
});

test('few values for each channel are warned of once', () => {
  const said: string[] = [];
  const before = setWarningListener((text) => said.push(text));
  try {
    const norm = new nn.BatchNorm1d(2);
    norm.forward(randn([32, 2]));
    assert.deepEqual(said, []);
    norm.forward(randn([4, 2]));
    norm.forward(randn([4, 2]));
    assert.equal(said.length, 1);
    assert.match(said.join(), /^batchNorm: training with 4 values for each channel: /);
    assert.throws(() => norm.forward(randn([1, 2])), /more than one value for each channel/);
  } finally {
    setWarningListener(before);
  }
});

test('norms placed in two ways are found', () => {
  const { Sequential, Linear, BatchNorm1d, ReLU, Dropout, LayerNorm, Residual } = nn;
  const before = () => new Sequential(new Linear(4, 4), new BatchNorm1d(4), new Dropout(0.1), new ReLU());
  const after = () => new Sequential(new Linear(4, 4), new ReLU(), new BatchNorm1d(4));
  assert.equal(nn.checkNormPlacement(new Sequential(before(), before(), new Linear(4, 2))), null);
  assert.equal(nn.checkNormPlacement(new Sequential(after(), after())), null);
  assert.equal(nn.checkNormPlacement(new Linear(4, 2)), null);
  const found = nn.checkNormPlacement(new Sequential(before(), after(), before()));
  assert.equal(found?.problem, 'norms are placed in two ways: norm before activation (0.1, 2.1) and activation before norm (1.2)');
  assert.match(found?.fix ?? '', /norm before activation is its rule/);
  const block = (normPosition: 'pre' | 'post') => new nn.TransformerBlock(8, 2, { normPosition });
  assert.equal(nn.checkNormPlacement(new Sequential(block('pre'), new Residual(new Linear(8, 8), { pre: new LayerNorm(8) }))), null);
  const mixed = nn.checkNormPlacement(
    new Sequential(block('post'), new nn.TransformerEncoderLayer(8, 2, { normFirst: true }), block('post')),
  );
  assert.equal(mixed?.problem, 'norms are placed in two ways: post-norm (0, 2) and pre-norm (1)');
  const residual = new Residual(new Linear(8, 8), { post: new Sequential(new LayerNorm(8), new ReLU()) });
  assert.deepEqual(nn.normPlacements(residual), [{ name: '', placement: 'post-norm' }]);
});

describe('parametrizations', () => {
  test('weight norm keeps the weight; removing it gives a parameter of the same value', () => {
    manualSeed(6);
    const layer = new nn.Linear(3, 4);
    const weight = layer.weight.detach().clone();
    nn.weightNorm(layer);
    near(layer.weight, weight, 1e-6, 'weight');
    assert.ok(nn.isParametrized(layer, 'weight') && !nn.isParametrized(layer, 'bias'));
    assert.equal(layer.parameters().length, 3);
    nn.removeParametrizations(layer, 'weight');
    near(layer.weight, weight, 1e-6, 'weight');
    assert.ok(!nn.isParametrized(layer));
    assert.deepEqual([...layer.stateDict().keys()].toSorted(), ['bias', 'weight']);
  });

  test('spectral norm: the largest singular value becomes 1', () =>
    inFloat64(() => {
      manualSeed(7);
      const plain = new nn.Linear(5, 4);
      noGrad(() => plain.weight.select(0, 0).mul_(4)); // one value well above the others, so that few steps find it
      const layer = nn.spectralNorm(plain, { nPowerIterations: 100 });
      const w = noGrad(() => layer.weight.clone());
      let v = randn([5]);
      for (let i = 0; i < 500; i++) {
        v = w.t().mv(w.mv(v));
        v = v.div(v.norm());
      }
      assert.ok(Math.abs(w.mv(v).norm().itemNow() - 1) < 1e-8);
    }));

  test('a step of your own, and a second one behind it', () => {
    class Symmetric extends nn.Parametrization {
      override forward(...[x]: Tensor[]): Tensor {
        const upper = (x as Tensor).triu();
        return upper.add(upper.triu({ diagonal: 1 }).t());
      }
    }
    class Doubled extends nn.Parametrization {
      override forward(...[x]: Tensor[]): Tensor {
        return (x as Tensor).mul(2);
      }
      override rightInverse(value: Tensor): Tensor {
        return value.div(2);
      }
    }
    const layer = nn.registerParametrization(new nn.Linear(3, 3), 'weight', new Symmetric());
    near(layer.weight, layer.weight.t(), 0, 'symmetric');
    const before = layer.weight.detach().clone();
    nn.registerParametrization(layer, 'weight', new Doubled());
    near(layer.weight, before, 1e-6, 'value kept');
  });

  test('what cannot be parametrized says so', () => {
    assert.throws(
      () => nn.weightNorm(new nn.Linear(2, 2), { name: 'scale' }),
      /'scale' must be a parameter of the module, got undefined\./,
    );
    assert.throws(() => nn.removeParametrizations(new nn.Linear(2, 2), 'weight'), /'weight' must be parametrized/);
    assert.throws(
      () => nn.spectralNorm(new nn.Linear(2, 2), { nPowerIterations: 0 }),
      /nPowerIterations must be a positive integer, got 0\./,
    );
  });
});
