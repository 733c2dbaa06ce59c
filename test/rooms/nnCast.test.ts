// Modules cast to another type, as torch.nn.Module.to does it: in place, floating parameters and buffers only, gradients along.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { BatchNorm1d, Embedding, LayerNorm, LazyLinear, Linear, LSTM, Sequential } from '../../dist/entries/nn.js';
import { Adam, SGD } from '../../dist/entries/optim.js';
import { compile, type DType, LibError, type Module, manualSeed, noGrad, randn, type Tensor, zeros } from '../../dist/index.js';
import { reference } from '../support/backends.js';

const model = (): Sequential => new Sequential(new Linear(3, 4), new BatchNorm1d(4), new Linear(4, 2));
const typesOf = (m: Module<readonly never[], unknown>): ReadonlyMap<string, DType> =>
  new Map([...m.stateDict()].map(([name, t]) => [name, t.dtype]));

test('parameters and buffers of floating type are cast, counters stay, objects and gradients stay the same ones', () => {
  const m = model();
  m.forward(randn([5, 3]))
    .sum()
    .backward();
  const [parameters, buffers] = [m.parameters(), [...m.namedBuffers()].map(([, b]) => b)];
  const grads = parameters.map((p) => p.grad as Tensor);
  const before = grads.map((g) => g.toArray());
  assert.equal(m.double(), m);
  for (const [name, dtype] of typesOf(m)) assert.equal(dtype, name.endsWith('numBatchesTracked') ? 'int32' : 'float64', name);
  assert.ok(m.parameters().every((p, i) => p === parameters[i] && p.requiresGrad && p.isLeaf));
  assert.ok([...m.namedBuffers()].every(([, b], i) => b === buffers[i]));
  grads.forEach((g, i) => {
    assert.equal(g, parameters[i]?.grad);
    assert.equal(g.dtype, 'float64');
    assert.deepEqual([...g.toArray()], [...(before[i] ?? [])], 'float32 to float64 is exact');
  });
  for (const [call, dtype] of [
    [m.float, 'float32'],
    [m.half, 'float16'],
    [m.bfloat16, 'bfloat16'],
  ] as const) {
    call.call(m);
    assert.deepEqual(new Set(parameters.map((p) => p.dtype)), new Set([dtype]));
  }
});

test('a cast model computes in its type, and what it computes is the float32 model’s up to rounding', () => {
  manualSeed(3);
  const m = new Sequential(new Linear(6, 8), new LayerNorm(8), new Linear(8, 4)).eval();
  const x = randn([3, 6]);
  const want = m.forward(x).toArray();
  for (const [dtype, error] of [
    ['float64', 1e-6],
    ['float16', 0.01],
    ['bfloat16', 0.08],
  ] as const) {
    const y = m.clone().to(dtype).forward(x.to(dtype));
    assert.equal(y.dtype, dtype);
    y.toArray().forEach((v, i) => {
      assert.ok(Math.abs(v - (want[i] ?? 0)) < error, `${dtype}: ${v} for ${want[i]}`);
    });
  }
  const lstm = new LSTM(3, 5).double();
  assert.equal(lstm.forward(randn([4, 2, 3], { dtype: 'float64' }))[0].dtype, 'float64');
});

test('optimizers made before go on, in the new type', () => {
  for (const make of [
    (m: Sequential) => new SGD(m.parameters(), { lr: 0.1, momentum: 0.9 }),
    (m: Sequential) => new Adam(m.parameters()),
  ]) {
    manualSeed(5);
    const [early, late] = [model(), model()];
    late.loadStateDict(early.stateDict());
    const optimizer = make(early);
    const [x, y] = [randn([6, 3], { dtype: 'float64' }), randn([6, 2], { dtype: 'float64' })];
    early.double();
    const other = make(late.double());
    for (let i = 0; i < 3; i++) {
      for (const [m, o] of [
        [early, optimizer],
        [late, other],
      ] as const) {
        o.zeroGrad();
        m.forward(x).sub(y).square().mean().backward();
        o.step();
      }
    }
    assert.deepEqual(
      early.parameters().map((p) => [...p.toArray()]),
      late.parameters().map((p) => [...p.toArray()]),
    );
    assert.deepEqual(new Set(early.parameters().map((p) => p.dtype)), new Set(['float64']));
  }
});

test('a compiled step is captured again after a cast, there and back, also without gradients', () => {
  const m = new Linear(3, 2);
  const run = compile((x: Tensor) => noGrad(() => m.forward(x)));
  const x = randn([4, 3]);
  run(x);
  m.double().float();
  noGrad(() => m.weight.fill_(1));
  noGrad(() => m.bias?.fill_(0));
  assert.deepEqual([...run(x).toArray()], [...m.forward(x).toArray()]);
  m.double();
  assert.equal(run(x.double()).dtype, 'float64');
});

test('shared parameters are cast once, frozen ones stay frozen, lazy ones take the type they were given', () => {
  const [embedding, head] = [new Embedding(7, 4), new Linear(4, 7, { bias: false })];
  (head as { weight: Tensor }).weight = embedding.weight;
  const tied = new Sequential(head).double();
  assert.equal(embedding.weight, head.weight);
  assert.equal(tied.parameters().length, 1);
  assert.equal(embedding.weight.dtype, 'float64');
  const frozen = new Linear(2, 2).requiresGrad_(false).bfloat16();
  assert.equal(frozen.weight.requiresGrad, false);
  const lazy = new LazyLinear(2).double();
  assert.equal(lazy.forward(zeros([3, 5], { dtype: 'float64' })).dtype, 'float64');
});

test('state dicts are loaded into the type that the module has', () => {
  const [half, full] = [new Linear(2, 2).bfloat16(), new Linear(2, 2)];
  half.loadStateDict(full.stateDict());
  assert.equal(half.weight.dtype, 'bfloat16');
  assert.deepEqual([...half.weight.toArray()], [...full.weight.to('bfloat16').toArray()]);
});

test('to() takes tensors, devices and options; other types and captures are refused', () => {
  const m = model();
  assert.equal(m.to(zeros([1], { dtype: 'float64' })).parameters()[0]?.dtype, 'float64');
  const before = m.parameters()[0]?.storage;
  assert.equal(m.to('float64').parameters()[0]?.storage, before, 'nothing to do');
  m.to({ device: reference, dtype: 'float32' });
  assert.ok([...m.stateDict().values()].every((t) => t.device === reference));
  assert.equal(m.forward(randn([4, 3], { device: reference })).device, reference);
  for (const bad of ['int32', 'bool', zeros([1], { dtype: 'int32' })] as const)
    assert.throws(
      () => m.to(bad),
      (e) => e instanceof LibError && /Module\.to: the type must be a floating one, got/.test(e.message),
    );
  assert.throws(() => m.to('float8' as DType), /Module\.to: /);
  assert.throws(() => compile(() => m.double().parameters().length)(), /Module\.to: .*capturing/);
});
