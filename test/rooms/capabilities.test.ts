// Options of the fundamentals that PyTorch has not: mining of triplets, half squares, blocks that compute again, clipping by example.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { TensorDataset } from '../../dist/data/index.js';
import * as nn from '../../dist/entries/nn.js';
import { clipGradPerExample_, SGD } from '../../dist/entries/optim.js';
import { experiment, runExperiment, TestLock } from '../../dist/entries/train.js';
import { compile, grad, manualSeed, mseLoss, randn, type Tensor, tensor, zeros } from '../../dist/index.js';
import { expectClose } from '../../dist/testing/compare.js';

const close = (a: Tensor, b: readonly number[], tolerance = 1e-5): void =>
  expectClose(a.toArray(), b, { rtol: tolerance, atol: tolerance });

describe('triplets are mined within a batch', () => {
  const labels = [0, 0, 1, 1, 2, 0, 1, 3];
  const margin = 0.3;
  /** By definition, over plain numbers. */
  function expected(x: readonly (readonly number[])[], mining: 'hard' | 'semiHard' | 'all', root: boolean): number {
    const d = x
      .map((a) => x.map((b) => a.reduce((n, v, i) => n + (v - (b[i] as number)) ** 2, 0)))
      .map((row) => row.map((v) => (root ? Math.sqrt(v) : v)));
    const at = (i: number, j: number): number => d[i]?.[j] as number;
    const ids = labels.map((_, i) => i);
    const others = (a: number): number[] => ids.filter((n) => labels[n] !== labels[a]);
    const positives = (a: number): number[] => ids.filter((p) => p !== a && labels[p] === labels[a]);
    const losses = ids.flatMap((a) => {
      if (positives(a).length === 0) return [];
      const distances = positives(a).map((p) => at(a, p));
      const negative = others(a).map((n) => at(a, n));
      if (mining === 'hard') return [Math.max(...distances) - Math.min(...negative) + margin];
      if (mining === 'all') return distances.flatMap((p) => negative.map((n) => p - n + margin)).filter((l) => l > 0);
      return distances.map((p) => {
        const farther = negative.filter((n) => n > p);
        return p - (farther.length > 0 ? Math.min(...farther) : Math.max(...negative)) + margin;
      });
    });
    return losses.reduce((n, l) => n + Math.max(l, 0), 0) / losses.length;
  }

  for (const mining of ['hard', 'semiHard', 'all'] as const) {
    for (const squared of [true, false]) {
      test(`${mining}, ${squared ? 'squared' : 'plain'} distances: eager, compiled, and a gradient`, () => {
        manualSeed(4);
        const x = randn([8, 3]).requiresGrad_();
        const ids = tensor(labels, { dtype: 'int32' });
        const options = { mining, margin, squared, normalized: false };
        const loss = nn.minedTripletLoss(x, ids, options);
        const rows = Array.from({ length: 8 }, (_, i) => [...x.detach().select(0, i).toArray()]);
        close(loss.reshape([1]), [expected(rows, mining, !squared)], 1e-4);
        const run = compile((a: Tensor) => nn.minedTripletLoss(a, ids, options));
        close(run(x).reshape([1]), [loss.itemNow()], 1e-5);
        const [g] = grad(loss, [x]) as [Tensor];
        assert.ok([...g.toArray()].every(Number.isFinite) && g.abs().sum().itemNow() > 0);
      });
    }
  }

  test('no triplets, no loss; the FaceNet form works on the unit sphere', () => {
    const x = randn([3, 2]).requiresGrad_();
    for (const mining of ['hard', 'semiHard', 'all'] as const)
      assert.equal(nn.minedTripletLoss(x, tensor([1, 2, 3], { dtype: 'int32' }), { mining }).itemNow(), 0);
    const ids = tensor([0, 0, 1], { dtype: 'int32' });
    close(new nn.MinedTripletLoss().forward(x.detach().mul(5), ids).reshape([1]), [nn.minedTripletLoss(x, ids).itemNow()]);
    assert.throws(() => nn.minedTripletLoss(x, ids, { mining: 'easy' as 'hard' }), /mining must be/);
    assert.throws(() => nn.minedTripletLoss(x, tensor([0, 1], { dtype: 'int32' })), /labels \(n\)/);
  });
});

test('half a squared error: its sum has the gradient input − target', () => {
  const x = randn([3, 2]).requiresGrad_();
  const y = randn([3, 2]);
  const [g] = grad(new nn.MSELoss({ reduction: 'sum', half: true }).forward(x, y), [x]) as [Tensor];
  close(g, [...x.detach().sub(y).toArray()]);
  close(new nn.MSELoss({ half: true }).forward(x, y).detach().reshape([1]), [mseLoss(x, y).itemNow() / 2]);
});

describe('blocks that compute again', () => {
  const model = (): nn.Sequential =>
    new nn.Sequential(
      new nn.Sequential(new nn.Linear(6, 24), new nn.BatchNorm1d(24), new nn.ReLU(), new nn.Dropout(0.3)),
      new nn.Sequential(new nn.Linear(24, 24), new nn.GELU()),
      new nn.Linear(24, 2),
    );
  const run = (m: nn.Sequential, x: Tensor): number[][] => {
    manualSeed(2);
    m.zeroGrad();
    m.forward(x).square().sum().backward();
    return [
      ...m.parameters().map((p) => [...(p.grad as Tensor).toArray()]),
      ...[...m.stateDict().values()].map((t) => [...t.toArray()].map(Number)),
    ];
  };

  test('same gradients, same statistics, fewer bytes; off again as before', () => {
    manualSeed(1);
    const a = model();
    const b = a.clone();
    const x = randn([20, 6]);
    const off = nn.checkpointBlocks(b, { blocks: b.children().slice(0, 2) });
    assert.deepEqual(run(b, x), run(a, x));
    const kept = nn.summary(b, [20, 6]).activationBytes;
    off();
    assert.ok(kept < nn.summary(b, [20, 6]).activationBytes);
    assert.ok(!Object.hasOwn(b.children()[0] as object, 'forward'));
    assert.deepEqual(run(b, x), run(a, x));
    assert.throws(
      () => nn.checkpointBlocks(new nn.Sequential(new nn.Linear(2, 2), new nn.ReLU())),
      /inside the model, got none\.\n {2}Hint: say which/,
    );
    assert.throws(() => nn.checkpointBlocks(b, { blocks: [new nn.Linear(1, 1)] }), /inside the model, got a Linear from elsewhere/);
  });

  test('the report compares memory and time, and leaves gradients alone', () => {
    const m = model();
    const report = nn.checkpointReport(m, [randn([20, 6])], { blocks: m.children().slice(0, 2) });
    assert.ok(report.memoryRatio < 0.8 && report.checkpointed.milliseconds > 0, String(report));
    assert.match(String(report), /activations \d+ → \d+ bytes/);
    assert.ok(m.parameters().every((p) => p.grad === null));
  });
});

test('gradients are clipped by example', () => {
  manualSeed(6);
  const net = new nn.Linear(3, 1);
  const [x, y] = [randn([5, 3]), randn([5, 1]).mul(3)];
  const loss = (a: Tensor, b: Tensor): Tensor => mseLoss(net.forward(a), b);
  const norms = clipGradPerExample_(net, loss as (...example: Tensor[]) => Tensor, [x, y], 0.5);
  const expected = new Float64Array(4);
  for (let i = 0; i < 5; i++) {
    const g = grad(loss(x.narrow(0, i, 1), y.narrow(0, i, 1)), net.parameters()).flatMap((t) => [...t.toArray()]);
    const norm = Math.hypot(...g);
    assert.ok(Math.abs(norm - (norms.toArray()[i] as number)) < 1e-4);
    g.forEach((v, k) => {
      expected[k] = (expected[k] as number) + (v * Math.min(1, 0.5 / (norm + 1e-6))) / 5;
    });
  }
  expectClose(
    net.parameters().flatMap((p) => [...(p.grad as Tensor).toArray()]),
    expected,
    { rtol: 1e-4, atol: 1e-5 },
  );
  assert.throws(() => clipGradPerExample_(net, loss as (...example: Tensor[]) => Tensor, [], 1), /parameters and examples/);
});

test('an experiment touches locked test data once', async () => {
  const data = new TensorDataset(randn([8, 2]), zeros([8, 1]));
  const lock = new TestLock(data);
  const exp = experiment({
    name: 'lines',
    model: () => new nn.Linear(2, 1),
    data: () => ({ train: data, test: lock }),
    loss: mseLoss,
    optimizer: (m) => new SGD(m.parameters(), { lr: 0.1 }),
  });
  const { test: first } = await runExperiment(exp);
  assert.ok(Number.isFinite(first?.scores.loss));
  await assert.rejects(runExperiment(exp), /may be tested once, got a further use by 'lines'/);
  await runExperiment(exp, { testOverride: 'the metric was wrong' });
  assert.equal(lock.report(), 'lines: tested 2 times (the metric was wrong)');
});
