// Gradients of your own, steps with a stand-in gradient, and functions of whole collections of tensors.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as func from '../../dist/entries/func.js';
import * as nn from '../../dist/entries/nn.js';
import { compile, crossEntropy, jvp, mseLoss, randint, randn, type Tensor, tensor } from '../../dist/index.js';
import { expectClose } from '../../dist/testing/compare.js';

const close = (a: Tensor, b: Tensor | readonly number[], tolerance = 1e-5): void =>
  expectClose(a.toArray(), 'toArray' in b ? b.toArray() : b, { rtol: tolerance, atol: tolerance });

describe('a gradient of your own', () => {
  const cube = func.customGradient(
    (x: Tensor) => x.pow(3),
    (g, _, x) => [g.mul(x.square()).mul(3)],
  );
  const x = tensor([1, 2]);

  test('is what backward uses, in place of the chain rule', () => {
    const doubled = func.customGradient(
      (a: Tensor, b: Tensor) => a.mul(b),
      (g, y, a) => [g.mul(y), g.mul(a).mul(2)],
    );
    const [a, b] = [tensor([2, 3], { requiresGrad: true }), tensor([5, 7], { requiresGrad: true })];
    doubled(a, b).sum().backward();
    close(a.grad as Tensor, [10, 21]);
    close(b.grad as Tensor, [4, 6]);
  });
  test('has second derivatives, tangents, a mapped and a compiled form', () => {
    close(
      func
        .hessian((t: Tensor) => cube(t).sum())(x)
        .flatten(),
      [6, 0, 0, 12],
    );
    close(jvp(cube, [x], [tensor([1, 10])])[1], [3, 120]);
    close(func.vmap(func.grad((t: Tensor) => cube(t)))(x), [3, 12]);
    const w = tensor([1, 2], { requiresGrad: true });
    const step = compile(() => {
      w.grad = null;
      cube(w).sum().backward();
      return w.grad as unknown as Tensor;
    });
    for (let i = 0; i < 3; i++) close(step(), [3, 12]);
  });
  test('must have one part for each input', () => {
    const short = func.customGradient(
      (a: Tensor, b: Tensor) => a.mul(b),
      (g) => [g],
    );
    const a = tensor([2], { requiresGrad: true });
    assert.throws(() => short(a, a).backward({ gradient: tensor([1]) }), /one gradient for each of 2 inputs, got 1\./);
    assert.throws(() => cube(3 as unknown as Tensor), /inputs must be tensors, got number at 0\./);
  });
});

test('straight through: a step forward, the identity near 0 backward, and steps that learn', () => {
  const x = tensor([-2, -1, -0.5, 0, 0.5, 3], { requiresGrad: true });
  const y = nn.straightThroughStep(x);
  close(y, [0, 0, 0, 0, 1, 1]);
  y.sum().backward();
  close(x.grad as Tensor, [0, 1, 1, 1, 1, 0]);
  const wide = tensor([-2, 3], { requiresGrad: true });
  new nn.StraightThroughStep({ width: 2 }).forward(wide).sum().backward();
  close(wide.grad as Tensor, [1, 0]);
  assert.throws(() => nn.straightThroughStep(x, { width: 0 }), /width must be positive, got 0\./);
});

describe('collections of tensors', () => {
  const model = new nn.Sequential(new nn.Linear(4, 5), new nn.Tanh(), new nn.Linear(5, 3));
  const weights = Object.fromEntries([...model.namedParameters()].map(([name, p]) => [name, p.detach()]));
  const [x, y] = [randn([6, 4]), randint(0, 3, [6])];
  const loss = (w: typeof weights, one: Tensor, label: Tensor): Tensor =>
    crossEntropy(func.functionalCall(model, w, one.unsqueeze(0)), label.unsqueeze(0));

  test('the gradient by an object of parameters is such an object, per example under vmap', () => {
    const each = func.vmap(func.grad(loss), { inDims: [null, 0, 0] })(weights, x, y);
    model.zeroGrad();
    crossEntropy(model.forward(x), y).backward();
    for (const [name, p] of model.namedParameters()) {
      assert.deepEqual([...(each[name] as Tensor).shape], [6, ...p.shape]);
      close((each[name] as Tensor).mean({ dim: 0 }), p.grad as Tensor);
    }
  });
  test('lists and maps go in and come out', () => {
    const [value, [a, b]] = func.valueAndGrad((pair: readonly [Tensor, Tensor]) => pair[0].mul(pair[1]).sum())([
      tensor([2, 3]),
      tensor([5, 7]),
    ]);
    assert.equal(value.itemNow(), 31);
    close(a, [5, 7]);
    close(b, [2, 3]);
    const rows = func.vmap((given: Map<string, Tensor>) => ({
      sum: (given.get('w') as Tensor).sum(),
      twice: [(given.get('w') as Tensor).mul(2)],
    }));
    const { sum, twice } = rows(
      new Map([
        [
          'w',
          tensor([
            [1, 2],
            [3, 4],
          ]),
        ],
      ]),
    );
    close(sum, [3, 7]);
    close(twice[0] as Tensor, [2, 4, 6, 8]);
  });
  test('several models run at once over maps of their stacked state, and gradients come back stacked', () => {
    const models = [0, 1, 2].map(() => new nn.Sequential(new nn.Linear(2, 3), new nn.BatchNorm1d(3)).eval());
    const [parameters, buffers] = func.stackModuleState(models);
    const input = randn([5, 2]);
    const all = func.vmap((p: Map<string, Tensor>, b: Map<string, Tensor>) =>
      func.functionalCall(models[0] as nn.Sequential, new Map([...p, ...b]), input),
    )(parameters, buffers);
    models.forEach((m, i) => {
      close(all.select(0, i), m.forward(input));
    });
    mseLoss(all, randn(all.shape)).backward();
    for (const p of parameters.values()) assert.deepEqual(p.grad?.shape, p.shape);
  });
});
