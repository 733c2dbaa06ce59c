// torch.nn.utils and torch.func's helpers: parameters as vectors, fused layers, joint norms, stacked states, masks.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as func from '../../dist/entries/func.js';
import * as nn from '../../dist/entries/nn.js';
import { clipGradsWithNorm_, getTotalNorm } from '../../dist/entries/optim.js';
import { asTensor, canCast, isGradEnabled, manualSeed, ones, promoteTypes, randn, type Tensor, tensor, zeros } from '../../dist/index.js';
import { expectClose } from '../../dist/testing/compare.js';

const near = (a: Tensor, b: Tensor): void => expectClose(a.toArray(), b.toArray(), { rtol: 1e-5, atol: 1e-5 });

test('parameters become a vector and are set from one', () => {
  const model = new nn.Sequential(new nn.Linear(2, 3), new nn.Linear(3, 1));
  const vector = nn.parametersToVector(model.parameters());
  assert.deepEqual([...vector.shape], [2 * 3 + 3 + 3 + 1]);
  nn.vectorToParameters(vector.detach().mul(2), model.parameters());
  near(nn.parametersToVector(model.parameters()), vector.detach().mul(2));
  assert.throws(() => nn.vectorToParameters(zeros([3]), model.parameters()), /as many elements/);
});

/** A norm with statistics and affine values that are not those of the beginning. */
function worn<N extends nn.BatchNorm1d | nn.BatchNorm2d>(norm: N, x: Tensor): N {
  for (let i = 0; i < 3; i++) norm.forward(x.mul(2).add(i));
  norm.weight?.detach().copy_(randn(norm.weight.shape));
  norm.bias?.detach().copy_(randn(norm.bias.shape));
  norm.eval();
  return norm;
}

test('layers fused with their batch norm compute what both did', () => {
  manualSeed(3);
  const x = randn([4, 2, 6, 5]);
  const conv = new nn.Conv2d(2, 4, 3, { bias: false });
  const norm = worn(new nn.BatchNorm2d(4), conv.forward(x).detach());
  conv.eval();
  near(nn.fuseConvBnEval(conv, norm).forward(x), norm.forward(conv.forward(x)));
  const up = new nn.ConvTranspose2d(2, 3, 3);
  const upNorm = worn(new nn.BatchNorm2d(3), up.forward(x).detach());
  up.eval();
  near(nn.fuseConvBnEval(up, upNorm).forward(x), upNorm.forward(up.forward(x)));
  const rows = randn([8, 3]);
  const linear = new nn.Linear(3, 5);
  const flat = worn(new nn.BatchNorm1d(5), linear.forward(rows).detach());
  linear.eval();
  near(nn.fuseLinearBnEval(linear, flat).forward(rows), flat.forward(linear.forward(rows)));
  assert.throws(() => nn.fuseLinearBnEval(new nn.Linear(3, 5), flat), /evaluation mode/);
});

test('gradients are clipped by a norm that is known', () => {
  const p = new nn.Parameter(tensor([0, 0]));
  p.grad = tensor([3, 4]);
  const total = getTotalNorm([p.grad]);
  assert.equal(total.itemNow(), 5);
  clipGradsWithNorm_([p], 1, total);
  expectClose((p.grad as Tensor).toArray(), [0.6, 0.8], { rtol: 1e-5, atol: 1e-5 });
});

test('masks that prune nothing, what is said, or slices at random', () => {
  const p = new nn.Parameter(ones([4, 3]));
  assert.equal(nn.prune.identity(p).sparsity(), 0);
  nn.prune.customFromMask(p, tensor([[1], [0], [1], [1]]).expand([4, 3])).apply_();
  assert.equal(p.sum().itemNow(), 9);
  const masks = nn.prune.randomStructured(new nn.Parameter(ones([4, 3])), { amount: 0.5 });
  assert.equal(masks.sparsity(), 0.5);
  assert.throws(() => nn.prune.customFromMask(p, ones([2])), /the parameter's shape/);
});

test('several models run at once over their stacked state', () => {
  const models = [0, 1, 2].map(() => new nn.Linear(2, 3));
  const [parameters, buffers] = func.stackModuleState(models as unknown as nn.AnyModule[]);
  assert.equal(buffers.size, 0);
  const x = randn([5, 2]);
  const one = (weight: Tensor, bias: Tensor): Tensor =>
    func.functionalCall(
      models[0] as nn.Linear,
      new Map([
        ['weight', weight],
        ['bias', bias],
      ]),
      x,
    );
  const all = func.vmap(one)(parameters.get('weight') as Tensor, parameters.get('bias') as Tensor);
  models.forEach((m, i) => {
    near(all.select(0, i), m.forward(x));
  });
});

test('gradAndValue, linearize and vhp', () => {
  const x = tensor([1, 2]);
  const cube = (t: Tensor): Tensor => t.pow(3).sum();
  const [g, y] = func.gradAndValue(cube)(x);
  assert.equal(y.itemNow(), 9);
  near(g, tensor([3, 12]));
  const [value, tangents] = func.linearize((t) => t.square(), x);
  near(value, tensor([1, 4]));
  near(tangents(tensor([1, 10])), tensor([2, 40]));
  near(func.vhp(cube, x, tensor([1, 1]))[1], tensor([6, 12]));
});

test('batch norms without running statistics use those of the batch', () => {
  const model = func.replaceAllBatchNormModules_(new nn.Sequential(new nn.BatchNorm1d(2)));
  model.eval();
  const y = model.forward(randn([16, 2]).mul(5).add(3));
  assert.ok(Math.abs(y.mean().itemNow()) < 1e-5);
});

test('what is known without values, and tensors from either kind of data', () => {
  const x = asTensor([1, 2]);
  assert.equal(asTensor(x), x);
  assert.equal(asTensor(x, { dtype: 'int32' }).dtype, 'int32');
  assert.ok(isGradEnabled());
  assert.deepEqual([canCast('float32', 'int32'), canCast('int32', 'float32'), promoteTypes('int32', 'float64')], [false, true, 'float64']);
  assert.ok(x.isFloatingPoint() && x.isSigned() && x.numel() === 2 && x.elementSize() === 4);
  const drawn = zeros([200]).random_(3, 6).toArray();
  assert.deepEqual([...new Set(drawn)].sort(), [3, 4, 5]);
});
