// Layers that take their sizes from the first input, or from a state; and options by place or by name.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as nn from '../../dist/entries/nn.js';
import { SGD } from '../../dist/entries/optim.js';
import { compile, manualSeed, ones, randn, zeros } from '../../dist/index.js';

describe('lazy layers', () => {
  const model = (): nn.Sequential =>
    new nn.Sequential(new nn.LazyConv2d(4, 3), new nn.LazyBatchNorm2d(), new nn.Flatten(), new nn.LazyLinear(5));

  test('become the layers of that size at the first call', () => {
    const lazy = model();
    assert.ok(nn.hasUninitializedParams(lazy));
    assert.deepEqual([...lazy.forward(zeros([2, 3, 6, 6])).shape], [2, 5]);
    assert.ok(!nn.hasUninitializedParams(lazy));
    const [conv, norm, , head] = lazy.children();
    assert.ok(conv instanceof nn.Conv2d && norm instanceof nn.BatchNorm2d && head instanceof nn.Linear);
    assert.deepEqual([conv.inChannels, norm.numFeatures, head.inFeatures], [3, 4, 64]);
    manualSeed(1);
    const once = new nn.LazyLinear(5);
    once.forward(zeros([2, 7]));
    manualSeed(1);
    const whole = new nn.Linear(7, 5);
    assert.deepEqual([...once.weight.toArray()], [...whole.weight.toArray()]);
    assert.deepEqual(Object.keys(once).sort(), Object.keys(whole).sort());
  });

  test('parameters stay the same objects: an optimizer may hold them already', () => {
    const layer = new nn.LazyLinear(2);
    const { weight } = layer;
    assert.ok(weight instanceof nn.UninitializedParameter);
    const optimizer = new SGD(layer.parameters(), { lr: 1 });
    layer
      .forward(ones([1, 3]))
      .sum()
      .backward();
    const before = [...weight.toArray()];
    optimizer.step();
    assert.equal(layer.weight, weight);
    assert.equal(Object.getPrototypeOf(weight), nn.Parameter.prototype);
    assert.deepEqual(
      [...weight.toArray()].map((v, i) => Math.round(((before[i] as number) - v) * 1e5) / 1e5),
      [1, 1, 1, 1, 1, 1],
    );
  });

  test('a state gives sizes too', () => {
    const trained = model();
    const x = randn([2, 3, 6, 6]);
    trained.forward(x);
    const fresh = model();
    fresh.loadStateDict(trained.stateDict());
    assert.deepEqual([...fresh.eval().forward(x).toArray()], [...trained.eval().forward(x).toArray()]);
    const up = new nn.LazyConvTranspose1d(4, 3, { groups: 2 });
    up.loadStateDict(new nn.ConvTranspose1d(6, 4, 3, { groups: 2 }).stateDict());
    assert.equal((up as unknown as nn.ConvTranspose1d).inChannels, 6);
  });

  test('hooks, clones and modes are kept; a capture is no first call', () => {
    const layer = new nn.LazyLinear(2).eval();
    let calls = 0;
    layer.registerForwardHook(() => {
      calls++;
    });
    const copy = layer.clone();
    layer.forward(zeros([1, 3]));
    layer.forward(zeros([1, 3]));
    assert.deepEqual([calls, layer.training], [2, false]);
    assert.deepEqual([...copy.forward(zeros([1, 4])).shape], [1, 2]);
    assert.throws(
      () => compile((x: ReturnType<typeof zeros>) => new nn.LazyLinear(2).forward(x))(zeros([1, 3])),
      /the first call sets sizes/,
    );
    assert.throws(() => new nn.LazyConv2d(2, 3).forward(zeros([3])), /must have 3 or 4 dimensions/);
  });
});

test('options of activations and dropout go by place or by name', () => {
  const x = randn([3, 4]);
  const same = (a: nn.Module, b: nn.Module): void => assert.deepEqual([...a.forward(x).toArray()], [...b.forward(x).toArray()]);
  same(new nn.LeakyReLU(0.3), new nn.LeakyReLU({ negativeSlope: 0.3 }));
  same(new nn.Softplus(2, 1), new nn.Softplus({ beta: 2, threshold: 1 }));
  same(new nn.Softplus(1, 0.5), new nn.Softplus({ threshold: 0.5 }));
  same(new nn.Hardtanh(-0.5, 0.5), new nn.Hardtanh({ minVal: -0.5, maxVal: 0.5 }));
  same(new nn.Softmax(0), new nn.Softmax({ dim: 0 }));
  same(new nn.ELU(), new nn.ELU({}));
  assert.equal(new nn.Dropout({ p: 0.1, inverted: false }).p, 0.1);
  assert.equal(new nn.Dropout(0.1, { inverted: false }).inverted, false);
});

test('norms without a shift; empty batches', () => {
  const norm = new nn.BatchNorm1d(3, { bias: false });
  assert.deepEqual([...norm.stateDict().keys()], ['weight', 'runningMean', 'runningVar', 'numBatchesTracked']);
  assert.deepEqual([...norm.forward(zeros([0, 3, 2])).shape], [0, 3, 2]);
  assert.deepEqual([...(norm.runningMean?.toArray() ?? [])], [0, 0, 0]);
  assert.equal(new nn.GroupNorm(1, 2, { bias: false }).bias, null);
  assert.throws(() => new nn.BatchNorm2d(3, { eps: 0 }), /eps must be positive, got 0/);
  assert.throws(
    () => new nn.LSTMCell(2, 3).forward(zeros([1, 2]), [zeros([1, 4]), zeros([1, 4])]),
    /states must be tensors of shape \(1, 3\)/,
  );
  assert.throws(() => new nn.CircularPad1d(1).forward(zeros([2, 2, 2, 2])), /must have 2 or 3 dimensions/);
});
