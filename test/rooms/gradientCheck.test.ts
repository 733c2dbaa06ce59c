// The checker of a model's gradients: what passes, what fails, and that it leaves no trace.
import assert from 'node:assert/strict';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { customGradient } from '../../dist/entries/func.js';
import * as nn from '../../dist/entries/nn.js';
import { getRandomState, noGrad, randn, setDefaultDtype, type Tensor } from '../../dist/index.js';

describe('gradients of a model against differences', () => {
  beforeEach(() => setDefaultDtype('float64'));
  afterEach(() => setDefaultDtype('float32'));
  const cubeWith = (factor: number) =>
    customGradient(
      (x: Tensor) => x.pow(3),
      (g, _, x) => [g.mul(x.square()).mul(factor)],
    );

  test('a network with dropout and batch norm passes, large parameters along random directions, and nothing is changed', () => {
    const model = new nn.Sequential(new nn.Linear(3, 80), new nn.BatchNorm1d(80), new nn.Dropout(0.5), new nn.Tanh(), new nn.Linear(80, 1));
    const x = randn([16, 3]);
    const before = JSON.stringify([[...model.stateDict()].map(([, t]) => t.tolist()), getRandomState()]);
    const { verdict, parameters, problems } = nn.checkGradients(model, () => model.forward(x).square().mean());
    assert.deepEqual([verdict, problems], ['pass', []]);
    assert.deepEqual(
      parameters.map((p) => p.name),
      [...model.namedParameters()].map(([name]) => name),
    );
    assert.equal(JSON.stringify([[...model.stateDict()].map(([, t]) => t.tolist()), getRandomState()]), before);
    assert.ok(model.parameters().every((p) => p.grad === null) && model.modules().every((m) => m.training));
  });
  test('wrong gradients fail, nearly right ones are suspicious', () => {
    const layer = new nn.Linear(3, 2);
    const x = randn([4, 3]);
    for (const [factor, verdict] of [
      [3, 'pass'],
      [3.0001, 'suspicious'],
      [3.1, 'fail'],
    ] as const) {
      const got = nn.checkGradients(layer, () => cubeWith(factor)(layer.forward(x)).mean());
      assert.deepEqual([got.verdict, got.problems.length > 0], [verdict, verdict !== 'pass']);
    }
  });
  test('bends are counted and left out', () => {
    const layer = new nn.Linear(3, 2);
    noGrad(() => layer.parameters().map((p) => p.fill_(0)));
    const { verdict, parameters, problems } = nn.checkGradients(layer, () =>
      layer
        .forward(randn([4, 3]))
        .relu()
        .sum(),
    );
    assert.deepEqual([verdict, parameters.map((p) => p.kinks)], ['pass', [6, 2]]);
    assert.match(problems[0] as string, /^weight: 6 differences straddle a bend/);
  });
  test('float32, no parameters, no number and foolish steps are refused', () => {
    const layer = new nn.Linear(3, 2);
    const loss = (): Tensor => layer.forward(randn([4, 3]));
    assert.throws(() => nn.checkGradients(layer, loss), /the loss must be one number, got shape \[4, 2\]\./);
    assert.throws(() => nn.checkGradients(layer, loss, { eps: 1 }), /eps must be from 1e-8 to 1e-2, got 1\./);
    assert.throws(() => nn.checkGradients(new nn.ReLU(), loss), /must have parameters that require grad/);
    setDefaultDtype('float32');
    assert.throws(() => nn.checkGradients(new nn.Linear(3, 2), loss), /parameters must be float64, got float32 for weight\./);
  });
});
