// Initialization of whole models: gains, rules with their report, residual and recurrent starts, LSUV and the audit.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { empty, manualSeed, randn, type Tensor, tensor } from '../../dist/index.js';
import {
  Embedding,
  FeedForward,
  GELU,
  init,
  LayerNorm,
  Linear,
  LSTM,
  type Module,
  ReLU,
  SELU,
  Sequential,
  SwiGLU,
  Tanh,
  TransformerBlock,
  TransformerEncoderLayer,
} from '../../dist/nn/index.js';

const values = (x: Tensor | null): number[] => [...(x as Tensor).detach().reshape([-1]).toArray()].map(Number);
function std(x: Tensor): number {
  const all = values(x);
  const mean = all.reduce((a, b) => a + b, 0) / all.length;
  return Math.sqrt(all.reduce((a, b) => a + (b - mean) ** 2, 0) / all.length);
}
const close = (got: number, want: number, rtol: number): void =>
  assert.ok(Math.abs(got - want) <= rtol * Math.abs(want), `${got}, wanted ${want}`);

describe('exact gains', () => {
  const gains = [
    ['relu', (x: Tensor) => x.relu(), Math.SQRT2],
    ['tanh', (x: Tensor) => x.tanh(), 1.5925],
    ['gelu', (x: Tensor) => x.gelu(), 1.5335],
    ['silu', (x: Tensor) => x.silu(), 1.6765],
    ['elu', (x: Tensor) => x.elu(), 1.2452],
    ['selu', (x: Tensor) => x.selu(), 1],
  ] as const;
  for (const [name, f, gain] of gains) test(name, () => close(init.exactGain(f), gain, 5e-5));
});

describe('deviations', () => {
  const weight = (): Tensor => empty([150, 120]);
  const cases = [
    ['lecunNormal_', (w: Tensor) => init.lecunNormal_(w), 1 / Math.sqrt(120)],
    ['lecunUniform_', (w: Tensor) => init.lecunUniform_(w), 1 / Math.sqrt(120)],
    ['torchDefault_', (w: Tensor) => init.torchDefault_(w), 1 / Math.sqrt(3 * 120)],
    ['truncNormalExact_', (w: Tensor) => init.truncNormalExact_(w, 0, 0.02), 0.02],
  ] as const;
  for (const [name, fill, want] of cases) {
    test(name, () => {
      manualSeed(3);
      close(std(fill(weight())), want, 0.02);
    });
  }
});

test('initialize goes by the activation that follows, and reports', () => {
  manualSeed(4);
  const model = new Sequential(
    new Embedding(9, 4),
    new Linear(4, 64),
    new LayerNorm(64),
    new ReLU(),
    new Linear(64, 64),
    new Tanh(),
    new Linear(64, 64),
    new SELU(),
    new Linear(64, 3),
  );
  const report = init.initialize(model);
  assert.deepEqual(
    report.filter(({ name }) => name.endsWith('weight')).map(({ name, rule }) => [name, rule]),
    [
      ['0.weight', 'normal(0, 1)'],
      ['1.weight', 'kaimingNormal fanIn relu'],
      ['4.weight', 'xavierUniform'],
      ['6.weight', 'lecunNormal'],
      ['8.weight', 'xavierNormal'],
    ],
  );
  close(std((model[6] as Linear).weight), 1 / 8, 0.05);
  assert.ok(values((model[1] as Linear).bias).every((b) => b === 0));
});

test('GPT-2: 0.02, residual writers smaller by √(2 nLayer), biases 0, norms 1 and 0', () => {
  manualSeed(5);
  class Block extends Sequential {
    readonly outProj: Linear = new Linear(100, 100);
    readonly norm: LayerNorm = new LayerNorm(100);
    readonly inner: Linear = new Linear(100, 100);
  }
  const block = new Block();
  init.gpt2Init(block, { nLayer: 8 });
  close(std(block.outProj.weight), 0.02 / 4, 0.05);
  close(std(block.inner.weight), 0.02, 0.05);
  assert.ok(values(block.inner.bias).every((b) => b === 0) && values(block.norm.weight).every((w) => w === 1));
  const writers = (model: Module): string[] =>
    init.gpt2Init(model, { nLayer: 8 }).flatMap((r) => (r.rule.includes('0.005') ? [r.name] : []));
  assert.deepEqual(writers(new TransformerBlock(8, 2)), ['attention.out.weight', 'feedForward.linear2.weight']);
  assert.deepEqual(writers(new TransformerEncoderLayer(8, 2)), ['selfAttn.outProj.weight', 'linear2.weight']);
});

test('initialize knows the activation inside feed-forward blocks, and starts biases where asked', () => {
  const rules = (model: Module): string[] => init.initialize(model, { bias: 0.01 }).map((r) => r.rule);
  const he = 'kaimingNormal fanIn relu';
  assert.deepEqual(rules(new FeedForward(4, { activation: 'relu' })), [he, 'constant 0.01', 'xavierNormal', 'constant 0.01']);
  assert.deepEqual(rules(new FeedForward(4, { activation: 'sigmoid' }))[0], 'xavierUniform');
  assert.deepEqual(rules(new SwiGLU(4)), [he, 'xavierNormal', 'xavierNormal']);
});

test('biases of priors and base rates; branches that start at 0', () => {
  close(values(init.priorBias_(empty([1])))[0] as number, -4.59512, 1e-5);
  const rates = values(init.baseRateBias_(empty([2]), [30, 10]));
  close(rates[0] as number, Math.log(0.75), 1e-6);
  close(values(init.baseRateBias_(empty([1]), [0.1]))[0] as number, Math.log(1 / 9), 1e-6);
  const branch = new Sequential(new Linear(3, 3), new GELU(), new Linear(3, 3));
  init.zeroBranch_(branch);
  assert.ok(values(branch.forward(randn([2, 3]))).every((v) => v === 0));
  assert.throws(() => init.priorBias_(empty([1]), 1), /the prior must be in \(0, 1\), got 1\./);
  assert.throws(() => init.baseRateBias_(empty([2]), [1, 0]), /a positive rate for each of the 2 classes/);
});

test('recurrent layers: orthogonal gates, forget bias 1', () => {
  manualSeed(6);
  const lstm = new LSTM(3, 4);
  init.recurrentInit(lstm as unknown as Linear);
  const state = lstm.stateDict();
  const hidden = [...state].find(([name]) => /[hH]h/.test(name) && name.startsWith('weight'))?.[1] as Tensor;
  const gate = hidden.detach().narrow(0, 4, 4);
  const product = values(gate.matmul(gate.t()));
  assert.ok(product.every((v, i) => Math.abs(v - (i % 5 === 0 ? 1 : 0)) < 1e-5));
  const biases = [...state].filter(([name]) => name.startsWith('bias')).map(([, b]) => values(b));
  assert.deepEqual(
    biases.flat().filter((b) => b !== 0),
    [1, 1, 1, 1],
  );
});

test('a pretrained backbone with a fresh head', () => {
  const [old, fresh] = [new Sequential(new Linear(2, 3), new Linear(3, 4)), new Sequential(new Linear(2, 3), new Linear(3, 4))];
  const report = init.loadBackbone(fresh, new Map([...old.stateDict(), ['extra', tensor([1])]]), { heads: ['1'] });
  assert.deepEqual(report, { loaded: ['0.weight', '0.bias'], missing: ['1.weight', '1.bias'], unexpected: ['extra'] });
  assert.deepEqual(values((fresh[0] as Linear).weight), values((old[0] as Linear).weight));
  assert.notDeepEqual(values((fresh[1] as Linear).weight), values((old[1] as Linear).weight));
});

describe('audit', () => {
  const deep = (): Sequential => new Sequential(...Array.from({ length: 8 }, () => [new Linear(256, 256), new ReLU()]).flat());
  const loss = (model: Sequential, x: Tensor) => (): Tensor => model.forward(x).square().mean();
  test("He is healthy in a deep net of ReLUs, PyTorch's default is not, twins are found", () => {
    manualSeed(7);
    const model = deep();
    const x = randn([128, 256]);
    assert.ok(!init.auditInit(model, loss(model, x)).healthy);
    init.initialize(model);
    const { healthy, problems, layers } = init.auditInit(model, loss(model, x));
    for (const { zeroFraction } of layers) close(zeroFraction, 0.5, 0.2);
    assert.ok(healthy, problems.join('; '));
    assert.equal(layers.length, 8);
    init.constant_((model[2] as Linear).weight, 0.1);
    assert.ok(init.auditInit(model, loss(model, x)).problems.some((p) => p.startsWith('2: 255 units')));
  });
  test('LSUV gives every layer unit variance', () => {
    manualSeed(8);
    const model = deep();
    const x = randn([128, 256]);
    const report = init.lsuv(model, () => model.forward(x));
    assert.equal(report.length, 8);
    for (const { name, variance } of report) assert.ok(Math.abs(variance - 1) < 0.1, `${name}: ${variance}`);
  });
  test('advice names an initializer and its reason', () => {
    assert.equal(init.adviseInit('ReLU').weights, 'kaimingNormal_');
    assert.equal(init.adviseInit('SELU').weights, 'lecunNormal_');
    assert.match(init.adviseInit('GELU').reason, /not scale-free/);
  });
});
