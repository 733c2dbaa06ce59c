// Pruning, consolidation, mixing of batches, replay, advice.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { cutmix, gaussianNoise, mixup, ReplayBuffer } from '../../dist/data/index.js';
import * as cr from '../../dist/index.js';
import { manualSeed, Parameter, type Tensor, tensor } from '../../dist/index.js';
import { Linear, prune, ReLU, Sequential } from '../../dist/nn/index.js';
import * as optim from '../../dist/optim/index.js';
import { adviseActivation, adviseInit, adviseNormalization, adviseOptimizer, adviseRegularization } from '../../dist/train/index.js';

const numbers = (t: Tensor | null | undefined): number[] => [...(t?.detach().reshape([-1]).toArray() ?? [])] as number[];
const close = (got: readonly number[], want: readonly number[], within = 1e-6): void => {
  assert.equal(got.length, want.length);
  got.forEach((g, i) => {
    assert.ok(Math.abs(g - (want[i] as number)) <= within * (1 + Math.abs(want[i] as number)), `element ${i} is ${g}, wanted ${want[i]}`);
  });
};

describe('pruning', () => {
  const weights = (): Parameter =>
    new Parameter(
      tensor([
        [0.1, -5, 3],
        [-0.2, 4, 0.3],
      ]),
    );

  test('by size: of one parameter and of several together', () => {
    const w = weights();
    prune.l1Unstructured(w, { amount: 0.5 }).apply_();
    close(numbers(w), [0, -5, 3, 0, 4, 0]);
    const [a, b] = [new Parameter(tensor([1, 2])), new Parameter(tensor([0.5, 3]))];
    const masks = prune.globalUnstructured([a, b], { amount: 2 });
    masks.apply_();
    assert.deepEqual([numbers(a), numbers(b), masks.sparsity()], [[0, 2], [0, 3], 0.5]);
    assert.throws(() => prune.l1Unstructured(weights(), { amount: 7 }), /amount must be a share in \[0, 1\) or an integer up to the 6/);
  });

  test('again, of what is left', () => {
    const w = weights();
    const first = prune.l1Unstructured(w, { amount: 2 });
    const second = prune.l1Unstructured(w, { amount: 0.5, masks: first });
    assert.deepEqual(numbers(second.entries[0]?.[1]), [0, 1, 0, 0, 1, 0]);
  });

  test('slices, and at random', () => {
    const w = weights();
    prune.lnStructured(w, { amount: 1 / 3, dim: 1, n: 1 }).apply_();
    assert.deepEqual(
      numbers(w).map((v) => v === 0),
      [true, false, false, true, false, false],
    );
    assert.equal(prune.randomUnstructured([weights()], { amount: 3 }).sparsity(), 0.5);
  });

  test('attached masks keep pruned weights at zero in training', () => {
    const w = weights();
    const detach = prune.l1Unstructured(w, { amount: 3 }).attach();
    const optimizer = new optim.Adam([w], { lr: 0.1 });
    for (let i = 0; i < 3; i++) optimizer.step(() => w.sub(1).square().sum().backward());
    assert.deepEqual(
      numbers(w).map((v) => v === 0),
      [true, false, false, true, false, true],
    );
    detach();
    optimizer.step(() => w.sub(1).square().sum().backward());
    assert.ok(numbers(w).every((v) => v !== 0));
  });

  test('lottery ticket: survivors go back to where they began', async () => {
    manualSeed(3);
    const model = new Sequential(new Linear(4, 8), new ReLU(), new Linear(8, 1));
    const initial = new Map([...model.stateDict()].map(([k, t]) => [k, numbers(t)]));
    const [x, y] = [cr.randn([32, 4]), cr.randn([32, 1])];
    const rounds: number[] = [];
    const masks = await prune.lotteryTicket(model, {
      rounds: 3,
      train: (m, round) => {
        rounds.push(round);
        const optimizer = new optim.Adam(model.parameters(), { lr: 0.05 });
        for (let i = 0; i < 10; i++) {
          optimizer.zeroGrad();
          optimizer.step(() => cr.mseLoss(model.forward(x), y).backward());
          m.apply_();
        }
      },
    });
    assert.deepEqual(rounds, [0, 1, 2]);
    assert.equal(Math.round((1 - masks.sparsity()) * 40), 21); // 40 -> 32 -> 26 -> 21
    for (const [name, t] of model.stateDict()) {
      const mask = numbers(masks.entries.find(([p]) => p === t)?.[1]);
      close(
        numbers(t),
        (initial.get(name) as number[]).map((v, i) => (mask[i] === 0 ? 0 : v)),
      );
    }
  });
});

describe('elastic weight consolidation', () => {
  test('the Fisher information of logistic regression is p (1 - p) x²; with labels it is empirical', () => {
    manualSeed(5);
    const w = new Parameter(tensor([[0], [1.2]]));
    const logs = (x: number): Tensor => w.mul(x).reshape([2]).logSoftmax({ dim: 0 });
    const xs = Array.from({ length: 3000 }, (_, i) => (i % 3) - 1);
    const [fisher] = optim.fisherDiagonal([w], xs, logs) as [Tensor];
    const p = 1 / (1 + Math.exp(-1.2));
    close(numbers(fisher), [p * (1 - p) * (2 / 3), p * (1 - p) * (2 / 3)], 0.02);
    const [empirical] = optim.fisherDiagonal([w], [1], logs, { labels: [0] }) as [Tensor];
    close(numbers(empirical), [p * p, p * p]);
    assert.throws(() => optim.fisherDiagonal([w], [1], logs, { labels: [] }), /one class of 2 for each example/);
  });

  test('the penalty holds what matters', () => {
    const w = new Parameter(tensor([1, 2]));
    const memory = new optim.EWC([w], [tensor([1, 10])]);
    const optimizer = new optim.SGD([w], { lr: 0.05 });
    for (let i = 0; i < 200; i++) {
      optimizer.zeroGrad();
      optimizer.step(() => w.square().sum().div(2).add(memory.penalty(1)).backward());
    }
    close(numbers(w), [1 / 2, 20 / 11], 1e-4); // (w + F (w - w*)) = 0
  });
});

describe('mixing', () => {
  const labels = tensor([0, 1, 2, 1], { dtype: 'int32' });

  test('mixup mixes inputs and targets alike', () => {
    const x = tensor([[1], [2], [4], [8]]);
    for (let seed = 0; seed < 20; seed++) {
      const mixed = mixup(x, labels, { numClasses: 3, alpha: 0.4, seed });
      assert.ok(mixed.lambda >= 0 && mixed.lambda <= 1);
      close(numbers(mixed.y.sum({ dim: 1 })), [1, 1, 1, 1]);
      const partner = numbers(mixed.x).map((v, i) => (v - mixed.lambda * (numbers(x)[i] as number)) / (1 - mixed.lambda));
      if (mixed.lambda < 0.99)
        close(
          [...partner].sort((a, b) => a - b),
          [1, 2, 4, 8],
          1e-3,
        );
      assert.deepEqual(numbers(mixup(x, labels, { numClasses: 3, alpha: 0.4, seed }).x), numbers(mixed.x));
    }
    assert.throws(() => mixup(x, labels), /class numbers need the number of classes/);
    assert.throws(() => mixup(x, labels, { alpha: 0 }), /alpha must be a finite number > 0, got 0/);
  });

  test('λ has the variance of a Beta distribution', () => {
    for (const alpha of [0.2, 1, 4]) {
      const draws = Array.from({ length: 4000 }, (_, seed) => mixup(tensor([[1.5]]), tensor([[1.5]]), { alpha, seed }).lambda);
      const mean = draws.reduce((a, b) => a + b) / draws.length;
      const variance = draws.reduce((a, b) => a + (b - mean) ** 2, 0) / draws.length;
      assert.ok(Math.abs(mean - 0.5) < 0.03, `${mean}`);
      assert.ok(Math.abs(variance - 1 / (4 * (2 * alpha + 1))) < 0.01, `${alpha}: ${variance}`);
    }
  });

  test('cutmix pastes a rectangle and counts its area', () => {
    const x = tensor([1, 2, 4, 8])
      .reshape([4, 1, 1, 1])
      .mul(cr.ones([4, 2, 6, 5]));
    for (let seed = 0; seed < 20; seed++) {
      const mixed = cutmix(x, labels, { numClasses: 3, seed });
      for (let i = 0; i < 4; i++) {
        const own = numbers(mixed.x.select(0, i)).filter((v) => v === 2 ** i).length;
        assert.ok(own === 60 || Math.abs(own / 60 - mixed.lambda) < 1e-9, `${own} ${mixed.lambda}`);
      }
    }
  });

  test('noise is added in training only', () => {
    manualSeed(2);
    const x = cr.zeros([20_000]);
    const noisy = gaussianNoise(x, 0.5);
    assert.ok(Math.abs(noisy.std().itemNow() - 0.5) < 0.01);
    assert.equal(gaussianNoise(x, 0.5, { training: false }), x);
  });
});

describe('replay', () => {
  test('every item has the same chance to stay', () => {
    const counts = new Array<number>(20).fill(0);
    for (let seed = 0; seed < 2000; seed++) {
      const buffer = new ReplayBuffer<number>(5, { seed });
      buffer.add(counts.keys());
      for (const i of buffer.sample(5)) counts[i] = (counts[i] ?? 0) + 1;
    }
    for (const c of counts) assert.ok(Math.abs(c - 500) < 100, `${counts}`);
  });

  test('half of a batch is old; saved and loaded, draws go on', () => {
    const buffer = new ReplayBuffer<string>(3, { seed: 4 });
    assert.deepEqual(buffer.mix(['a', 'b']), ['a', 'b']);
    buffer.add(['x', 'y', 'z', 'v']);
    const batch = buffer.mix(['a', 'b', 'c', 'd']);
    assert.deepEqual(batch.slice(0, 2), ['a', 'b']);
    assert.ok(batch.slice(2).every((item) => 'xyzv'.includes(item)));
    const other = new ReplayBuffer<string>(3);
    other.loadStateDict(JSON.parse(JSON.stringify(buffer.stateDict())));
    assert.deepEqual(other.sample(2), buffer.sample(2));
  });
});

test('advice fits the situation and gives reasons', () => {
  const first = (list: readonly { readonly use: string; readonly because: string }[]): string => {
    assert.ok(list.every((a) => a.because.length > 10));
    return list[0]?.use ?? '';
  };
  assert.match(first(adviseOptimizer({ architecture: 'transformer' })), /AdamW with a warm-up/);
  assert.match(first(adviseOptimizer({ optimizer: 'Adam', weightDecay: 0.1 })), /in place of Adam/);
  assert.match(first(adviseOptimizer({ sparseEmbeddings: true })), /SparseAdam/);
  assert.match(first(adviseOptimizer({ smallFullBatch: true })), /LBFGS/);
  assert.match(first(adviseOptimizer({})), /AdamW/);
  assert.match(first(adviseActivation({ deadUnits: 0.5 }).hidden), /LeakyReLU/);
  assert.equal(first(adviseActivation({}).hidden), 'ReLU');
  assert.match(adviseActivation({ task: 'multiclass' }).output?.use ?? '', /crossEntropy/);
  assert.match(first(adviseInit({ activation: 'tanh' })), /xavier/);
  assert.match(first(adviseInit({})), /kaiming/);
  assert.match(first(adviseNormalization({ architecture: 'cnn', batchSize: 4 })), /GroupNorm/);
  assert.match(first(adviseNormalization({ architecture: 'cnn', batchSize: 128 })), /BatchNorm/);
  assert.match(first(adviseRegularization({ architecture: 'cnn', normalization: 'batch' })), /no dropout between/);
});
