// Objectives of several parts against their formulas, pairings of outputs and losses, and dropout as an ensemble.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as library from '../../dist/index.js';
import { cumulativeLinkLoss, manualSeed, ones, randn, type Tensor, tensor, zeros } from '../../dist/index.js';
import * as nn from '../../dist/nn/index.js';

const value = (x: Tensor): number => x.itemNow();
const values = (x: Tensor): number[] => [...x.detach().reshape([-1]).toArray()].map(Number);
const close = (got: number, want: number, tolerance = 1e-5): void =>
  assert.ok(Math.abs(got - want) <= tolerance * Math.max(1, Math.abs(want)), `${got}, wanted ${want}`);

test('the VAE objective is reconstruction plus β times the divergence, by example', () => {
  const [x, out, mean, logVariance] = [zeros([2, 3]), zeros([2, 3]), ones([2, 4]), zeros([2, 4])];
  const { loss, reconstruction, divergence } = nn.vaeLoss(out, x, mean, logVariance, { beta: 0.5 });
  close(value(reconstruction), 3 * Math.LN2);
  close(value(divergence), 2);
  close(value(loss), 3 * Math.LN2 + 1);
  assert.deepEqual([nn.betaWarmup(0, 10), nn.betaWarmup(5, 10), nn.betaWarmup(20, 10, 2)], [0, 0.5, 2]);
});

test('diffusion: signal left falls from 1 to about 4e-5; a perfect guess of noise costs nothing', () => {
  const left = nn.diffusionSchedule();
  const all = values(left);
  close(all[0] as number, 1 - 1e-4);
  close(all.at(-1) as number, 4.0358e-5, 1e-3);
  assert.ok(all.every((v, i) => i === 0 || v < (all[i - 1] as number)));
  manualSeed(1);
  const x0 = randn([64, 3, 2, 2]);
  const guess = (noisy: Tensor, t: Tensor): Tensor => {
    const kept = left.indexSelect(0, t).reshape([-1, 1, 1, 1]);
    return noisy.sub(x0.mul(kept.sqrt())).div(kept.neg().add(1).sqrt());
  };
  assert.ok(value(nn.diffusionLoss(guess, x0, left)) < 1e-6);
  close(value(nn.diffusionLoss((noisy) => noisy.mul(0), x0, left)), 1, 0.2);
});

test('style does not see where things are, content does', () => {
  manualSeed(2);
  const f = randn([1, 3, 4, 4]);
  const moved = f.flip([2, 3]);
  close(value(nn.styleLoss([f], [moved])), 0);
  assert.ok(value(nn.contentLoss([f], [moved])) > 0.1);
  assert.throws(() => nn.styleLoss([f], []), /as many of both and at least one, got 1 and 0\./);
});

test('detection counts by objects and leaves undecided anchors out', () => {
  const [logits, boxes] = [zeros([1, 3, 2]), ones([1, 3, 4])];
  const classes = tensor([
    [
      [1, 0],
      [0, 0],
      [0, 0],
    ],
  ]);
  const matched = tensor([[1, 0, -1]], { dtype: 'int32' });
  const { classification, regression } = nn.detectionLoss(logits, boxes, { classes, boxes: zeros([1, 3, 4]), matched });
  close(value(classification), Math.LN2 * 0.25 * (0.25 + 3 * 0.75));
  close(value(regression), 4 * 0.5);
});

test('penalties', () => {
  const w = [tensor([1, -2]), tensor([3])];
  close(value(nn.l1Penalty(w, 0.5)), 3);
  close(value(nn.l2Penalty(w, 0.5)), 3.5);
  close(value(nn.ewcPenalty(w, [zeros([2]), tensor([1])], [tensor([1, 0]), tensor([2])], 2)), 1 + 8);
});

test('ordinal helpers', () => {
  const thresholds = nn.orderedThresholds(tensor([-1, -5, 2]));
  const [a, b, c] = values(thresholds) as [number, number, number];
  assert.ok(a === -1 && a < b && b < c);
  const total = [0, 1, 2, 3].map((k) => Math.exp(-value(cumulativeLinkLoss(tensor([0.3]), thresholds, tensor([k], { dtype: 'int32' })))));
  close(
    total.reduce((x, y) => x + y, 0),
    1,
  );
  assert.deepEqual(
    values(
      nn.rankOfLogits(
        tensor([
          [2, 1, -1],
          [-1, -2, -3],
        ]),
      ),
    ),
    [2, 0],
  );
  assert.deepEqual(values(nn.rankOfValues(tensor([-2, 1.4, 9]), 4)), [0, 1, 3]);
});

describe('pairings', () => {
  const rows = library as unknown as Readonly<Record<string, { readonly row?: { readonly expects?: string } } | undefined>>;
  for (const { output, expects, losses } of nn.lossPairings) {
    for (const loss of losses) {
      test(`${loss} behind ${output} reads ${expects}`, () => {
        assert.equal(rows[loss]?.row?.expects, expects);
        assert.equal(nn.checkPairing(output, expects), null);
      });
    }
  }
  test('mismatches are found', () => {
    assert.match(nn.checkPairing('softmax', new nn.CrossEntropyLoss().expects)?.fix ?? '', /take the softmax away/);
    assert.match(nn.checkPairing('sigmoid', new nn.MSELoss().expects)?.problem ?? '', /gradient of this loss vanishes/);
    assert.match(nn.checkPairing('identity', new nn.BCELoss().expects)?.fix ?? '', /convert the output to probabilities/);
    assert.match(nn.checkPairing('softmax', 'probabilities', { labels: 'several' })?.fix ?? '', /one sigmoid a label/);
  });
});

test('Monte-Carlo dropout wakes dropout alone and puts modes back', () => {
  manualSeed(3);
  const model = new nn.Sequential(new nn.Linear(4, 32), new nn.BatchNorm1d(32), new nn.Dropout(0.5), new nn.Linear(32, 3)).eval();
  const x = randn([5, 4]);
  const got = nn.monteCarloDropout(model, () => model.forward(x).softmax(), { samples: 60 });
  assert.ok(values(got.variance).every((v) => v > 0));
  assert.ok(values(got.mutualInformation).every((v, i) => v > 0 && v < (values(got.entropy)[i] as number)));
  assert.ok(model.modules().every((m) => !m.training));
  assert.deepEqual(values((model[1] as nn.BatchNorm1d).numBatchesTracked as Tensor), [0]);
});

test('the scaled softmax of a linear map is the geometric mean of all sub-networks', () => {
  manualSeed(4);
  const [x, w] = [randn([6]), randn([6, 3])];
  const got = nn.enumerateSubnetworks(6, (mask) => x.mul(mask).matmul(w).softmax(), { p: 0.5 });
  assert.equal(got.subnetworks, 64);
  values(got.geometric).forEach((v, i) => close(v, values(got.scaled)[i] as number));
  close(
    values(got.arithmetic).reduce((a, b) => a + b, 0),
    1,
  );
});

describe('a loss of your own is tried', () => {
  const [p, t] = [tensor([[0.5, -1, 0.2]]), tensor([1], { dtype: 'int32' })];
  test('cross entropy passes and goes with the logit of the target', () => {
    const got = nn.checkLoss((x, y) => library.crossEntropy(x, y), p, t, { metric: (x) => values(x.softmax())[1] as number });
    assert.ok(got.passed && got.convex && got.correlation > 0.99, got.problems.join());
  });
  test('what is wrong is said: no gradient, no number, no relation, no convexity', () => {
    assert.deepEqual(nn.checkLoss((x) => x.detach().sum(), p, t).problems, ['no gradient reaches the prediction']);
    assert.match(nn.checkLoss((x) => x.log().sum(), p, t).problems.join(), /the loss is NaN/);
    const against = nn.checkLoss((x) => x.square().sum(), p, t, { metric: (x) => value(x.square().sum()) });
    assert.match(against.problems.join(), /rank correlation of -1\.00, below 0\.5/);
    assert.ok(!nn.checkLoss((x) => x.sin().sum(), p, t, { noise: 8 }).convex);
  });
  test('a loss that walks through the batch is found', () => {
    const [x, y] = [randn([6, 2]), randn([6, 2])];
    const walking = (a: Tensor, b: Tensor): Tensor =>
      a.unbind().reduce((sum, row, i) => sum.add(row.sub(b.select(0, i)).square().sum()), tensor(0, { dtype: a.dtype }));
    assert.match(nn.checkLoss(walking, x, y).problems.join(), /computed example by example/);
    assert.ok(nn.checkLoss((a, b) => library.mseLoss(a, b), x, y).batched);
  });
  test('losses at their edges: saturated logits, masked classes, ranks that do not exist', () => {
    const slope = (loss: (z: Tensor) => Tensor, logits: number[][]): number[] => {
      const z = tensor(logits, { requiresGrad: true });
      loss(z).backward();
      return values(z.grad as Tensor);
    };
    assert.deepEqual(
      slope((z) => library.focalLoss(z, tensor([[1, 0]]), { gamma: 0.5 }), [[1e4, -1e4]]),
      [0, 0],
    );
    assert.deepEqual(
      slope((z) => library.focalCrossEntropy(z, t.sub(1), { gamma: 0.5 }), [[1e4, 0]]),
      [0, 0],
    );
    assert.ok(slope((z) => library.bootstrappedCrossEntropy(z, t.sub(1)), [[1, Number.NEGATIVE_INFINITY]]).every((g) => g === 0));
    assert.throws(() => library.coralLoss(tensor([[0, 0]]), t.mul(3)), /out of range/);
  });
  test('gradients at the origin of angles are 0', () => {
    const [a, b] = [tensor([0], { requiresGrad: true }), tensor([0], { requiresGrad: true })];
    library.atan2(a, b).sum().backward();
    assert.deepEqual([values(a.grad as Tensor), values(b.grad as Tensor)], [[0], [-0]]);
  });
});

test('the mean of targets that are all ignored is NaN, with a warning', () => {
  const said: string[] = [];
  const before = library.setWarningListener((text) => said.push(text));
  try {
    const targets = tensor([-100, -100], { dtype: 'int32' });
    assert.ok(Number.isNaN(value(library.crossEntropy(randn([2, 3]), targets))));
    assert.ok(Number.isNaN(value(library.nllLoss(randn([2, 3]), targets))));
    assert.deepEqual(
      said.map((text) => text.split(':')[0]),
      ['crossEntropy', 'nllLoss'],
    );
  } finally {
    library.setWarningListener(before);
  }
});
