// Options that PyTorch's optimizers take beside those of the method: implementations, rates in tensors, names of parameters.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { compile, Parameter, tensor } from '../../dist/index.js';
import * as optim from '../../dist/optim/index.js';

describe('options in PyTorch’s words', () => {
  const make = (): Parameter[] => [new Parameter(tensor([1, 2])), new Parameter(tensor([3]))];
  const grow = (params: readonly Parameter[]): void => {
    for (const p of params) p.grad = tensor([...p.shape].map(() => 1)).expand(p.shape);
  };

  test('how PyTorch computes a step changes nothing here; recorded steps are refused', () => {
    const runs = [{}, { foreach: true, capturable: true }, { fused: true }, { foreach: null, differentiable: false }].map((options) => {
      const params = make();
      const optimizer = new optim.Adam(params, { lr: 0.1, ...options });
      grow(params);
      optimizer.step();
      return params.map((p) => [...p.toArray()]);
    });
    for (const run of runs) assert.deepEqual(run, runs[0]);
    assert.throws(() => new optim.SGD(make(), { differentiable: true }), /steps are not recorded/);
    assert.throws(() => new optim.SGD(make(), { foreach: true, fused: true }), /two ways/);
    assert.throws(() => new optim.SGD(make(), { fused: 1 as unknown as boolean }), /fused must be true or false or null, got 1/);
  });

  test('a rate in a tensor is read at each step, and written by schedules', () => {
    const lr = tensor(0.5);
    const params = make();
    const optimizer = new optim.SGD(params, { lr });
    const schedule = new optim.StepLR(optimizer, 1, { gamma: 0.1 });
    grow(params);
    optimizer.step();
    assert.deepEqual([...(params[0] as Parameter).toArray()], [0.5, 1.5]);
    schedule.step();
    assert.ok(Math.abs(lr.itemNow() - 0.05) < 1e-7);
    lr.fill_(1);
    optimizer.step();
    assert.deepEqual([...(params[0] as Parameter).toArray()], [-0.5, 0.5]);
    assert.equal(optimizer.stateDict().paramGroups[0]?.lr, 1);
    assert.throws(() => new optim.SGD(make(), { lr: tensor([1, 2]) }), /one element, got 2/);
  });

  test('a compiled step reads the tensor as well', () => {
    const lr = tensor(0.5);
    const [p] = make() as [Parameter, Parameter];
    const optimizer = new optim.SGD([p], { lr });
    const step = compile(() => {
      optimizer.zeroGrad();
      p.sum().backward();
      optimizer.step();
    });
    step();
    lr.fill_(2);
    step();
    assert.deepEqual([...p.toArray()], [-1.5, -0.5]);
  });

  test('parameters may come with their names, or one alone', () => {
    const [a, b] = make() as [Parameter, Parameter];
    const optimizer = new optim.Adam(
      [
        ['first', a],
        ['second', b],
      ],
      { lr: 0.1 },
    );
    assert.deepEqual(optimizer.paramGroups[0]?.paramNames, ['first', 'second']);
    grow([a, b]);
    optimizer.step();
    const saved = optim.toTorchState(optimizer.stateDict());
    assert.deepEqual(saved.param_groups[0]?.param_names, ['first', 'second']);
    const other = new optim.Adam([['x', a] as const, ['y', b] as const]);
    other.loadStateDict(saved);
    assert.deepEqual(other.paramGroups[0]?.paramNames, ['first', 'second']);
    assert.throws(() => new optim.SGD([['a', a], b] as unknown as Parameter[]), /with names or none, got 1 of 2/);
    assert.throws(() => new optim.SGD([{ params: [a] }, { params: [['b', b]] }]), /with names or none/);
    assert.equal(new optim.SGD([{ params: a, lr: 1 }, { params: [b] }]).paramGroups[0]?.params[0], a);
  });
});
