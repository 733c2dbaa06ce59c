// torch.nn.utils.prune in PyTorch's form: modules whose parameters are masked. Masks are those that PyTorch 2.15 makes.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as nn from '../../dist/entries/nn.js';
import { arange, compile, eye, manualSeed, ones, randn, type Tensor, tensor, zeros } from '../../dist/index.js';

const { prune } = nn;
type Masked = nn.Linear & { readonly weightOrig: nn.Parameter; readonly weightMask: Tensor; readonly biasMask: Tensor };

function linear(scale = 1): Masked {
  const layer = new nn.Linear(4, 3);
  const values = Array.from({ length: 12 }, (_, i) => scale * Math.sin(1.7 * i + 0.3));
  layer.weight.detach().copy_(tensor(values, { shape: [3, 4] }));
  layer.bias?.detach().copy_(tensor([1, Math.cos(1), Math.cos(2)]));
  return layer as Masked;
}
const rows = (mask: Tensor): string[] => {
  const bits = [...mask.toArray()].join('');
  return Array.from({ length: bits.length / 4 }, (_, i) => bits.slice(4 * i, 4 * i + 4));
};

describe('pruned modules', () => {
  test('methods one after another see what is left', () => {
    const layer = linear();
    prune.l1Unstructured(layer, 'weight', 0.3);
    prune.lnStructured(layer, 'weight', 1, 2, 0);
    assert.deepEqual(rows(layer.weightMask), ['0111', '0000', '1010']);
    prune.l1Unstructured(layer, 'weight', 0.5);
    assert.deepEqual(rows(layer.weightMask), ['0100', '0000', '1010']);
    assert.deepEqual([...layer.stateDict().keys()], ['bias', 'weightOrig', 'weightMask']);
    assert.ok(prune.isPruned(new nn.Sequential(layer)));
  });

  test('scores may stand for the weights; slices of other dims; masks from elsewhere', () => {
    const layer = linear();
    prune.l1Unstructured(layer, 'weight', 0.25, { importanceScores: arange(12).to('float32').reshape([3, 4]) });
    assert.deepEqual(rows(layer.weightMask), ['0001', '1111', '1111']);
    prune.lnStructured(layer, 'weight', 0.5, 1, 1);
    assert.deepEqual(rows(layer.weightMask), ['0000', '1010', '1010']);
    prune.customFromMask(layer, 'weight', tensor([1, 0, 1, 1]).expand([3, 4]));
    assert.deepEqual(rows(layer.weightMask), ['0000', '1010', '1010']);
  });

  test('globally: the smallest of all parameters together', () => {
    const [a, b] = [linear(), linear(0.5)];
    const all = [[a, 'weight'] as const, [b, 'weight'] as const, [b, 'bias'] as const];
    prune.globalUnstructured(all, prune.L1Unstructured, { amount: 0.4 });
    assert.deepEqual([...rows(a.weightMask), ...rows(b.weightMask)], ['0111', '1110', '1010', '0101', '0010', '1010']);
    assert.deepEqual([...b.biasMask.toArray()], [1, 1, 1]);
    prune.globalUnstructured(all.slice(0, 2), prune.L1Unstructured, { amount: 0.5 });
    assert.deepEqual([...rows(a.weightMask), ...rows(b.weightMask)], ['0101', '1110', '1010', '0000', '0000', '0000']);
    assert.throws(() => prune.globalUnstructured(all, prune.RandomStructured as never, { amount: 0.5 }), /must be unstructured/);
  });

  test('the parameter reads masked, gradients pass the mask, and remove() makes it plain', () => {
    const layer = linear();
    const original = layer.weight;
    prune.customFromMask(layer, 'weight', tensor([1, 0, 0, 0]).expand([3, 4]));
    assert.equal(layer.weightOrig, original);
    layer
      .forward(ones([1, 4]))
      .sum()
      .backward();
    assert.deepEqual(rows((original.grad as Tensor).ne(0).to('int32')), ['1000', '1000', '1000']);
    const copy = layer.clone();
    const run = compile((x: Tensor) => copy.forward(x));
    assert.deepEqual([...run(ones([1, 4])).toArray()], [...layer.forward(ones([1, 4])).toArray()]);
    assert.ok(prune.isPruned(copy));
    prune.remove(layer, 'weight');
    assert.ok(!prune.isPruned(layer) && prune.isPruned(copy));
    assert.equal(layer.weight, original);
    assert.deepEqual([...layer.stateDict().keys()].sort(), ['bias', 'weight']);
    assert.deepEqual(rows(original.detach().ne(0).to('int32')), ['1000', '1000', '1000']);
    assert.throws(() => prune.remove(layer, 'weight'), /must be pruned/);
  });

  test('random methods prune as many as they say; your own method has its rule', () => {
    manualSeed(5);
    const kept = (layer: nn.Linear): number => layer.weight.detach().ne(0).sum().itemNow();
    assert.equal(kept(prune.randomUnstructured(linear(), 'weight', 5)), 7);
    assert.equal(kept(prune.randomStructured(linear(), 'weight', 1, 1)), 9);
    assert.equal(kept(prune.identity(linear(), 'weight')), 12);
    class EveryOther extends prune.BasePruningMethod {
      override readonly pruningType = 'unstructured';
      override computeMask(t: Tensor, mask: Tensor): Tensor {
        return mask.mul(arange(t.size).remainder(2).reshape(t.shape));
      }
    }
    const layer = linear();
    EveryOther.apply(layer, 'weight');
    EveryOther.apply(layer, 'weight');
    assert.deepEqual(rows(layer.weightMask), ['0001', '0001', '0001']);
    assert.equal(
      new prune.L1Unstructured(2)
        .prune(tensor([1, -3, 2]))
        .sum()
        .itemNow(),
      -3,
    );
    assert.throws(() => prune.l1Unstructured(linear(), 'weight', 13), /integer up to the 12 weights/);
    assert.throws(() => prune.l1Unstructured(linear(), 'wieght', 1), /'wieght' must be a parameter/);
    assert.throws(() => prune.lnStructured(linear(), 'bias', 1, 2, 0), /two or more dims/);
  });
});

describe('parametrizations', () => {
  const near = (a: Tensor, b: Tensor): void => assert.ok(a.sub(b).abs().max().itemNow() < 1e-5);
  test('orthogonal keeps columns, or rows, orthonormal; values can be assigned', () => {
    for (const orthogonalMap of ['matrixExp', 'cayley', 'householder'] as const) {
      const tall = nn.orthogonal(new nn.Linear(3, 5), { orthogonalMap });
      const start = tall.weight.detach();
      assert.ok(start.ndim === 2);
      near(start.t().matmul(start), eye(3));
      const list = (tall as unknown as { parametrizations: { weight: nn.ParametrizationList } }).parametrizations.weight;
      const [learned] = list.originals() as [nn.Parameter];
      const moved = randn([5, 3]).tril({ diagonal: -1 });
      learned.detach().add_(moved);
      near(tall.weight.detach().t().matmul(tall.weight.detach()), eye(3));
      (tall as { weight: Tensor }).weight = start;
      near(tall.weight.detach(), start);
    }
    const wide = nn.orthogonal(new nn.Linear(5, 3), { useTrivialization: false });
    near(wide.weight.detach().matmul(wide.weight.detach().t()), eye(3));
    const plain = nn.orthogonal(new nn.Linear(2, 2), { useTrivialization: false });
    assert.throws(() => Object.assign(plain, { weight: eye(2) }), /without trivialization/);
    assert.throws(() => nn.orthogonal(new nn.Linear(2, 2), { name: 'bias' }), /must be \(…, m, n\)/);
    assert.throws(() => nn.orthogonal(new nn.Linear(2, 2), { orthogonalMap: 'expm' as 'cayley' }), /orthogonalMap must be/);
  });

  test('cached reads compute once; parametrizations move to another module', () => {
    const layer = nn.weightNorm(new nn.Linear(3, 2));
    const twice = (): boolean => new Set([layer.weight, layer.weight]).size === 2;
    assert.deepEqual([nn.cached(twice), twice()], [false, true]);
    const other = nn.transferParametrizationsAndParams(layer, new nn.Linear(3, 2));
    near(other.weight.detach(), layer.weight.detach());
    assert.ok(nn.isParametrized(other, 'weight') && nn.typeBeforeParametrizations(other) === nn.Linear);
    nn.removeWeightNorm(other);
    assert.ok(!nn.isParametrized(other));
    assert.deepEqual([...other.forward(zeros([1, 3])).shape], [1, 2]);
  });
});
