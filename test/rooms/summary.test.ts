// summary() and dryRun(): counts that are known by hand, of models that are never computed.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { dryRun, rand, randn, type Tensor } from '../../dist/index.js';
import { BatchNorm1d, Conv2d, Dropout, Linear, Module, ReLU, Sequential, summary } from '../../dist/nn/index.js';

describe('summary', () => {
  test('shapes, parameters, arithmetic and memory', () => {
    const model = new Sequential(new Linear(4, 8), new ReLU(), new Linear(8, 2));
    const s = summary(model, [16, 4]);
    assert.deepEqual(
      s.rows.map((r) => [r.path, r.type, r.parameters, r.outputShapes[0]]),
      [
        ['', 'Sequential', 58, [16, 2]],
        ['0', 'Linear', 40, [16, 8]],
        ['1', 'ReLU', 0, [16, 8]],
        ['2', 'Linear', 18, [16, 2]],
      ],
    );
    const products = 2 * 16 * (4 * 8 + 8 * 2);
    assert.ok(s.forwardFlops >= products && s.forwardFlops < 1.2 * products, `${s.forwardFlops}`);
    assert.equal(s.rows[1]?.flops, 2 * 16 * 4 * 8);
    assert.deepEqual([s.parameters, s.parameterBytes, s.inputBytes], [58, 232, 256]);
    assert.equal(s.activationBytes, 4 * 16 * 8); // the second layer's input is all that is kept: ReLU keeps its output
    const conv = summary(new Conv2d(3, 6, 3, { padding: 1, bias: false }), [2, 3, 8, 8]);
    assert.equal(conv.forwardFlops, 2 * 2 * 64 * 6 * 27);
    assert.equal(conv.backwardFlops >= conv.forwardFlops, true);
    assert.match(String(s), /^ {2}Linear \(0\) +\(16, 8\) +40 /m);
  });

  test('shared parameters once, repeated calls, frozen ones, and parts that are not called', () => {
    class Tied extends Module {
      readonly a = new Linear(3, 3);
      readonly again: Linear = this.a;
      readonly unused = new Linear(2, 2);
      override forward(x: Tensor): Tensor {
        return this.again.forward(this.a.forward(x));
      }
    }
    const model = new Tied();
    model.unused.requiresGrad_(false);
    const s = summary(model, [[1, 3]]);
    assert.deepEqual([s.parameters, s.trainable], [18, 12]);
    assert.equal(s.rows.find((r) => r.path === 'a')?.calls, 2);
    assert.equal(s.rows.find((r) => r.path === 'unused')?.calls, 0);
  });

  test('changes nothing: no statistics, no random numbers, no gradients, no hooks', () => {
    const model = new Sequential(new Linear(4, 4), new BatchNorm1d(4), new Dropout(0.5));
    const before = model.stateDict().get('1.runningMean')?.tolist();
    const keys = model.modules().map((m) => Reflect.ownKeys(m).length);
    summary(model, [5, 4]);
    assert.deepEqual(model.stateDict().get('1.runningMean')?.tolist(), before);
    assert.ok(model.parameters().every((p) => p.grad === null));
    assert.deepEqual(
      model.modules().map((m) => Reflect.ownKeys(m).length),
      keys,
    );
    const [a, b] = [rand([1]).itemNow(), dryRun(() => randn([100])).size];
    assert.equal(b, 100);
    assert.notEqual(a, rand([1]).itemNow());
  });

  test('models of any size take no memory', () => {
    const before = process.memoryUsage().rss;
    const model = dryRun(() => new Sequential(new Linear(200_000, 200_000), new Linear(200_000, 10)));
    const s = summary(model, [1, 200_000]);
    assert.equal(s.parameters, 200_000 * 200_001 + 200_000 * 10 + 10);
    assert.ok(process.memoryUsage().rss - before < 2e8);
  });

  test('errors', () => {
    assert.throws(() => summary(new Linear(2, 2), [-1, 2]), /the input must be a shape/);
    assert.throws(() => dryRun(() => randn([2]).itemNow()), /is not known/);
  });
});
