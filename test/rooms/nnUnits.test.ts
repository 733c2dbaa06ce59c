// Units, heads, containers and shared weights against their formulas; what blocks refuse.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { LibError, manualSeed, noGrad, ones, randn, type Tensor, tensor, zeros } from '../../dist/index.js';
import * as nn from '../../dist/nn/index.js';
import { expectClose, expectTensorsClose, tolerances } from '../../dist/testing/compare.js';
import { scaled } from '../../dist/testing/properties.js';

const values = (x: Tensor): number[] => Array.from(x.detach().toArray());
const _exact = { rtol: 0, atol: 0 };
const close = scaled(tolerances.float32, 32);

describe('units', () => {
  test('maxout forms ReLU and the absolute value exactly; the gradient goes to the winner', () => {
    const unit = new nn.Maxout(1, 1);
    const set = (w: readonly number[]): void =>
      noGrad(() => void [unit.linear.weight.copy_(tensor(w).reshape([2, 1])), unit.linear.bias?.zero_()]);
    const x = tensor([[-2], [-0.5], [1.5]], { requiresGrad: true });
    set([1, 0]);
    assert.deepEqual(values(unit.forward(x)), [0, 0, 1.5]);
    set([1, -1]);
    assert.deepEqual(values(unit.forward(x)), [2, 0.5, 1.5]);
    unit.forward(x).sum().backward();
    assert.deepEqual(values(x.grad as Tensor), [-1, -1, 1]);
  });

  test('the perceptron steps at each mistake in turn, at most (R / γ)² times on separable data', () => {
    manualSeed(10);
    const truth = tensor([0.6, -0.8]);
    const raw = randn([200, 2]);
    const margin = raw.matmul(truth);
    const x = raw.add(margin.sign().mul(0.2).unsqueeze(1).mul(truth)); // at least 0.2 from the line
    const y = margin.gt(0).to('float32');
    const unit = new nn.Perceptron(2);
    const { mistakes, updates } = unit.fit(x, y);
    assert.equal(mistakes, 0);
    assert.deepEqual(values(unit.forward(x)), values(y));
    const [points, labels] = [x.tolist() as number[][], values(y)];
    const reach = Math.max(...points.map(([a = 0, b = 0]) => a * a + b * b + 1));
    assert.ok(updates <= reach / 0.2 ** 2, `${updates} updates`);
    const w: [number, number, number] = [0, 0, 0];
    let counted = 0;
    for (let epoch = 0, wrong = 1; wrong > 0 && epoch < 1000; epoch++) {
      wrong = 0;
      for (const [i, [a = 0, b = 0]] of points.entries()) {
        const step = (labels[i] as number) - Number(w[0] * a + w[1] * b + w[2] > 0);
        if (step !== 0) wrong++;
        w[0] += step * a;
        w[1] += step * b;
        w[2] += step;
      }
      counted += wrong;
    }
    assert.equal(updates, counted);
    expectClose(values(unit.weight), w.slice(0, 2), close, 'weights');
  });

  test('a perceptron gives up after maxEpochs on XOR', () => {
    const x = tensor([
      [0, 0],
      [0, 1],
      [1, 0],
      [1, 1],
    ]);
    const result = new nn.Perceptron(2).fit(x, tensor([0, 1, 1, 0]), { maxEpochs: 7 });
    assert.equal(result.epochs, 7);
    assert.ok(result.mistakes > 0);
  });
});

describe('heads', () => {
  const x = randn([5, 3]);
  const all = (y: Tensor, holds: (v: number) => boolean): boolean => values(y).every(holds);
  test('predictions are in range', () => {
    for (const head of [new nn.BinaryHead(3), new nn.MultiLabelHead(3, 4)])
      assert.ok(all(head.predict(head.forward(x)), (p) => p > 0 && p < 1));
    for (const link of ['softplus', 'exp'] as const) {
      const head = new nn.PositiveHead(3, 2, link);
      assert.ok(all(head.predict(head.forward(x)), (v) => v > 0));
    }
    const classes = new nn.ClassHead(3, 4);
    assert.ok(all(classes.predict(classes.forward(x)).sum({ dim: -1 }), (s) => Math.abs(s - 1) < 1e-6));
    const soft = new nn.GaussianHead(3, 2, 'softplus');
    const [, logVariance] = soft.forward(randn([4, 3]).mul(1e3));
    assert.ok([...logVariance.toArray()].every((v) => Number.isFinite(v) && v >= Math.log(0.99e-6)));
    assert.throws(() => new nn.GaussianHead(3, 2, 'relu' as 'exp'), /must be 'exp' or 'softplus'/);
    const gaussian = new nn.GaussianHead(3, 2);
    assert.ok(all(gaussian.predict(gaussian.forward(x)).std, (s) => s > 0));
    const real = new nn.RegressionHead(3);
    assert.equal(real.predict(x), x);
    const ctc = new nn.CtcHead(3, 4);
    assert.deepEqual([...ctc.forward(x).shape], [5, 5]);
    assert.ok(all(ctc.predict(ctc.forward(x)).exp().sum({ dim: -1 }), (s) => Math.abs(s - 1) < 1e-6));
  });
  test('an ordinal prediction counts the ranks that are exceeded', () => {
    const head = new nn.OrdinalHead(3, 4);
    assert.deepEqual(
      values(
        head.predict(
          tensor([
            [-1, -2, -3],
            [1, -1, -2],
            [3, 2, 1],
          ]),
        ),
      ),
      [0, 1, 3],
    );
    assert.deepEqual([...head.forward(x).shape], [5, 3]);
  });
  test('detection and segmentation give classes for each place; rare objects begin as rare', () => {
    const detector = new nn.DetectionHead(2, 3, { anchors: 2, prior: 0.01 });
    const { scores, boxes } = detector.forward(zeros([2, 2, 4, 5]));
    assert.deepEqual(
      [[...scores.shape], [...boxes.shape]],
      [
        [2, 40, 3],
        [2, 40, 4],
      ],
    );
    assert.ok(all(detector.predict({ scores, boxes }).scores, (p) => Math.abs(p - 0.01) < 1e-6));
    const pixels = new nn.SegmentationHead(2, 3);
    assert.deepEqual([...pixels.predict(pixels.forward(zeros([1, 2, 4, 5]))).shape], [1, 3, 4, 5]);
  });
});

describe('containers and sharing', () => {
  test('dictionaries and lists name their state as PyTorch does', () => {
    const dict = new nn.ModuleDict({ up: new nn.Linear(1, 2), down: new nn.Linear(2, 1, { bias: false }) });
    assert.deepEqual([...dict.stateDict().keys()], ['up.weight', 'up.bias', 'down.weight']);
    assert.deepEqual([dict.keys(), [...dict].length, dict.get('up').outFeatures], [['up', 'down'], 2, 2]);
    const list = new nn.ParameterList([new nn.Parameter(ones([1])), new nn.Parameter(ones([2]))]);
    assert.deepEqual([[...list.stateDict().keys()], [...list].length], [['0', '1'], 2]);
    const named = new nn.ParameterDict({ gain: new nn.Parameter(ones([3])) });
    assert.deepEqual([[...named.stateDict().keys()], named.get('gain').size, [...named].length], [['gain'], 3, 1]);
  });

  test('tied weights are counted once, and gradients add up', () => {
    class Net extends nn.Module {
      readonly token = new nn.Embedding(5, 3);
      readonly head = new nn.Linear(3, 5, { bias: false });
      override forward(ids: Tensor): Tensor {
        return this.head.forward(this.token.forward(ids));
      }
    }
    const model = new Net();
    nn.tieWeights(model, 'head.weight', 'token.weight');
    assert.equal(model.parameters().length, 1);
    const ids = tensor([1, 4], { dtype: 'int32' });
    model.forward(ids).sum().backward();
    const table = model.token.weight.detach();
    const rows = table.indexSelect(0, ids).sum({ dim: 0 }).expand([5, 3]); // as output layer
    const looked = zeros([5, 3]).indexAdd(0, ids, table.sum({ dim: 0 }).expand([2, 3])); // as embedding
    expectTensorsClose(model.token.weight.grad as Tensor, rows.add(looked), close, 'gradient');
  });
});

describe('errors of blocks', () => {
  const x = randn([2, 3, 4]);
  const wrong: readonly (readonly [says: string, call: () => unknown])[] = [
    ['SinusoidalEncoding: the input must be (…, time, 5), got shape (2, 3, 4)', () => new nn.SinusoidalEncoding(5).forward(x)],
    ['LearnedEncoding: positions must be below 2, got 0..2', () => new nn.LearnedEncoding(2, 4).forward(x)],
    ["activation must be 'gelu', 'relu', 'sigmoid' or 'silu', got 'tanh'", () => new nn.FeedForward(4, { activation: 'tanh' as 'relu' })],
    ['numHeads must divide the width, and numKvHeads numHeads, got 3 and 3 for width 4', () => new nn.SelfAttention(4, 3)],
    ["positions must be 'alibi', 'none' or 'rotary', got 'learned'", () => new nn.SelfAttention(4, 2, { positions: 'learned' as 'none' })],
    ["norm must be 'layer' or 'rms', got 'batch'", () => new nn.TransformerBlock(4, 2, { norm: 'batch' as 'rms' })],
    ['in whole patches, got shape (1, 3, 5, 4) for patches of 2', () => new nn.PatchEmbedding(2).forward(randn([1, 3, 5, 4]))],
    ['MixtureOfExperts: topK must be at most numExperts, got 3 of 2', () => new nn.MixtureOfExperts(4, { numExperts: 2, topK: 3 })],
    ['MixtureOfExperts: capacityFactor must be positive, got 0', () => new nn.MixtureOfExperts(4, { capacityFactor: 0 })],
    ['MixtureOfExperts: the input must be (…, 5), got shape (2, 3, 4)', () => new nn.MixtureOfExperts(5).forward(x)],
    ['LoRALinear: r must be a positive integer, got 0', () => new nn.LoRALinear(new nn.Linear(2, 2), { r: 0 })],
    ['applyLoRA: the model must have linear layers to adapt, got none', () => nn.applyLoRA(new nn.ReLU())],
    ['Maxout: pieces must be a positive integer, got 0', () => new nn.Maxout(2, 2, { pieces: 0 })],
    ['Perceptron: x must be (samples, 2) and y (samples,), got (3, 2) and (4,)', () => new nn.Perceptron(2).fit(randn([3, 2]), ones([4]))],
    [
      'Residual: branch and shortcut must give one shape, got (2, 3, 5) and (2, 3, 4)',
      () => new nn.Residual(new nn.Linear(4, 5)).forward(x),
    ],
    ['Parallel: there must be at least one branch, got none', () => new nn.Parallel([])],
    ['DetectionHead: prior must be a probability in (0, 1), got 1', () => new nn.DetectionHead(2, 2, { prior: 1 })],
    ["ModuleDict: names must not be those of the module's own members, got 'forward'", () => new nn.ModuleDict({ forward: new nn.ReLU() })],
    ["ModuleDict: the name must be one of a, got 'b'", () => new nn.ModuleDict({ a: new nn.ReLU() }).get('b')],
    ["tieWeights: names must be those of parameters, got 'w'", () => nn.tieWeights(new nn.Linear(1, 1), 'w', 'weight')],
    ['tieWeights: shapes must be equal, got (1, 2) and (1,)', () => nn.tieWeights(new nn.Linear(2, 1), 'weight', 'bias')],
  ];
  for (const [says, call] of wrong) {
    test(says, () => {
      assert.throws(call, (error) => error instanceof LibError && error.message.includes(says));
    });
  }
});
