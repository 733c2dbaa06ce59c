// Blocks that PyTorch has no module for, against their formulas: positions, feed-forward, attention blocks, experts, adapters, units.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  compile,
  grad,
  gradcheck,
  manualSeed,
  noGrad,
  ones,
  randn,
  setDefaultDtype,
  type Tensor,
  tensor,
  withDevice,
  zeros,
} from '../../dist/index.js';
import * as nn from '../../dist/nn/index.js';
import type { Backend } from '../../dist/program/backend.js';
import { expectClose, expectTensorsClose, tolerances } from '../../dist/testing/compare.js';
import { scaled } from '../../dist/testing/properties.js';
import { everyBackend, reference } from '../support/backends.js';

const values = (x: Tensor): number[] => Array.from(x.detach().toArray());
const exact = { rtol: 0, atol: 0 };
const close = scaled(tolerances.float32, 32);

/** Each block on a small input; what it gives is read by the suites below. */
const blocks: Readonly<Record<string, () => readonly [module: nn.Module<readonly [Tensor], unknown>, shape: readonly number[]]>> = {
  SinusoidalEncoding: () => [new nn.SinusoidalEncoding(5, 9), [2, 4, 5]],
  LearnedEncoding: () => [new nn.LearnedEncoding(6, 4), [2, 3, 4]],
  RotaryEncoding: () => [new nn.RotaryEncoding(), [2, 3, 4]],
  FeedForward: () => [new nn.FeedForward(3, { hidden: 5 }), [2, 3]],
  SwiGLU: () => [new nn.SwiGLU(3), [2, 3]],
  GeGLU: () => [new nn.GeGLU(3, { hidden: 4, bias: true }), [2, 3]],
  ReGLU: () => [new nn.ReGLU(3, { hidden: 4 }), [2, 3]],
  GLU: () => [new nn.GatedFeedForward(3, 'sigmoid', { hidden: 4 }), [2, 3]],
  'SelfAttention, causal and rotary': () => [new nn.SelfAttention(4, 2, { causal: true, positions: 'rotary' }), [2, 3, 4]],
  'SelfAttention, ALiBi': () => [new nn.SelfAttention(4, 2, { positions: 'alibi' }), [2, 3, 4]],
  'TransformerBlock, pre-norm': () => [new nn.TransformerBlock(4, 2, { causal: true }), [2, 3, 4]],
  'TransformerBlock as in Llama': () => [
    new nn.TransformerBlock(8, 4, {
      norm: 'rms',
      gated: true,
      activation: 'silu',
      bias: false,
      numKvHeads: 2,
      positions: 'rotary',
      causal: true,
    }),
    [1, 3, 8],
  ],
  'TransformerBlock, post-norm': () => [new nn.TransformerBlock(4, 1, { normPosition: 'post', activation: 'relu', hidden: 5 }), [2, 3, 4]],
  PatchEmbedding: () => [new nn.PatchEmbedding(2, { inChannels: 1, embedDim: 3, classToken: true }), [2, 1, 4, 6]],
  MixtureOfExperts: () => [new nn.MixtureOfExperts(3, { numExperts: 4, hidden: 5 }), [2, 3, 3]],
  'MixtureOfExperts, one choice': () => [new nn.MixtureOfExperts(3, { numExperts: 3, hidden: 2, topK: 1, capacityFactor: 0.5 }), [7, 3]],
  LoRALinear: () => [new nn.LoRALinear(new nn.Linear(4, 3), { r: 2 }), [2, 4]],
  Maxout: () => [new nn.Maxout(3, 2, { pieces: 3 }), [4, 3]],
  Residual: () => [new nn.Residual(new nn.Linear(3, 2), { shortcut: new nn.Linear(3, 2), pre: new nn.Tanh(), scale: 0.5 }), [4, 3]],
  Parallel: () => [new nn.Parallel([new nn.Linear(3, 2), new nn.Linear(3, 1)]), [4, 3]],
  DenselyConnected: () => [new nn.DenselyConnected([new nn.Linear(3, 2), new nn.Linear(5, 1)]), [4, 3]],
  OrdinalHead: () => [new nn.OrdinalHead(3, 4), [2, 3]],
  GaussianHead: () => [new nn.GaussianHead(3), [2, 3]],
  DetectionHead: () => [new nn.DetectionHead(2, 3, { anchors: 2 }), [1, 2, 3, 3]],
};

function tensorsOf(result: unknown): Tensor[] {
  if (typeof result !== 'object' || result === null) return [];
  if ('spec' in result) return [result as Tensor];
  return Object.values(result).flatMap(tensorsOf);
}

/** The results, and the gradients of their squares' sum by the input and all parameters. */
function step(module: nn.Module<readonly [Tensor], unknown>): (x: Tensor) => (Tensor | null)[] {
  return (x) => {
    const outputs = tensorsOf(module.forward(x));
    const loss = outputs.map((y) => y.square().sum()).reduce((a, b) => a.add(b));
    const leaves = [x, ...module.parameters().filter((p) => p.requiresGrad)];
    return [...outputs, ...grad(loss, leaves, { allowUnused: true })];
  };
}

for (const { name, backend, why } of everyBackend) {
  describe(`blocks on ${name}`, { skip: backend === null && `no ${name}: ${why}` }, () => {
    for (const [block, make] of Object.entries(blocks)) {
      test(`${block}: values and gradients are the reference's, eager and compiled`, () => {
        const run = (device: Backend, compiled: boolean): (Float64Array | null)[] =>
          withDevice(device, () => {
            manualSeed(4);
            const [module, shape] = make();
            const x = randn(shape, { requiresGrad: true });
            const call = compiled ? compile(step(module)) : step(module);
            call(x);
            return call(x).map((t) => t && Float64Array.from(t.toArray()));
          });
        const want = run(reference, false);
        for (const compiled of [false, true]) {
          run(backend as Backend, compiled).forEach((got, i) => {
            const expected = want[i] ?? new Float64Array(got?.length ?? 0);
            expectClose(got ?? new Float64Array(expected.length), expected, close, `tensor ${i}${compiled ? ', compiled' : ''}`);
          });
        }
      });
    }
  });
}

describe('blocks: gradients agree with differences', () => {
  const smooth = Object.entries(blocks).filter(([name]) => !/one choice|ReGLU|post-norm/.test(name)); // those have bends
  for (const [block, make] of smooth) {
    test(block, () => {
      setDefaultDtype('float64');
      try {
        manualSeed(6);
        const [module, shape] = make();
        const x = randn(shape, { requiresGrad: true });
        const { passed, errors } = gradcheck((x) => tensorsOf(module.forward(x as Tensor)), [x]);
        assert.ok(passed, `relative errors ${errors.join(', ')}`);
      } finally {
        setDefaultDtype('float32');
      }
    });
  }
});

describe('positions', () => {
  test('sines and cosines of position / 10000^(2i / width)', () => {
    const table = nn.sinusoidalPositions(4, 5, { dtype: 'float64' });
    for (const [i, v] of values(table).entries()) {
      const [position, at] = [Math.floor(i / 5), i % 5];
      const angle = position / 10000 ** ((2 * Math.floor(at / 2)) / 5);
      assert.ok(Math.abs(v - (at % 2 === 0 ? Math.sin(angle) : Math.cos(angle))) < 1e-12);
    }
    const encoding = new nn.SinusoidalEncoding(5, 9);
    assert.deepEqual([...encoding.stateDict()], []);
    expectTensorsClose(encoding.forward(zeros([1, 2, 5]), { offset: 2 }), table.narrow(0, 2, 2).float().unsqueeze(0), exact, 'offset');
  });

  test('rotary: scores depend on distances alone', () => {
    const [q, k] = [randn([1, 6], { dtype: 'float64' }), randn([1, 6], { dtype: 'float64' })];
    for (const interleaved of [false, true]) {
      const score = (at: number, by: number): number => {
        const turned = (x: Tensor, offset: number): Tensor => x.rotaryEmbedding({ offset, interleaved });
        return turned(q, at + by)
          .mul(turned(k, at))
          .sum()
          .itemNow();
      };
      assert.ok(Math.abs(score(0, 5) - score(1000, 5)) < 1e-11);
      assert.ok(Math.abs(score(0, 5) - score(0, 6)) > 1e-3);
    }
  });

  test('ALiBi: slopes as published, biases by distance', () => {
    assert.deepEqual(
      nn.alibiSlopes(8),
      [1, 2, 3, 4, 5, 6, 7, 8].map((i) => 2 ** -i),
    );
    assert.deepEqual(nn.alibiSlopes(3), [2 ** -4, 2 ** -8, 2 ** -2]);
    assert.deepEqual(
      nn.alibiBias(1, 2, 3).tolist(),
      [
        [
          [-1 / 256, 0, -1 / 256],
          [-2 / 256, -1 / 256, 0],
        ],
      ].map((head) => head.map((row) => row.map((v) => v || -0))),
    );
    const causal = nn.alibiBias(2, 3, 3, { causal: true });
    assert.deepEqual(values(causal.isinf()), [0, 1, 1, 0, 0, 1, 0, 0, 0, 0, 1, 1, 0, 0, 1, 0, 0, 0]);
  });
});

describe('feed-forward blocks', () => {
  test('SwiGLU is W₂ (silu(W₁ x) ⊙ W₃ x)', () => {
    const block = new nn.SwiGLU(3, { hidden: 4 });
    const x = randn([2, 3]);
    const [a, b] = [block.linear1.forward(x), block.linear3.forward(x)];
    expectTensorsClose(block.forward(x), block.linear2.forward(a.mul(a.sigmoid()).mul(b)), close, 'SwiGLU');
  });
  test('three matrices: half as many parameters again at equal width, as many at 8/3 · width', () => {
    const count = (m: nn.Module): number => m.parameters().reduce((n, p) => n + p.size, 0);
    for (const d of [48, 96, 192]) {
      const plain = count(new nn.FeedForward(d, { bias: false }));
      assert.equal(count(new nn.SwiGLU(d, { hidden: 4 * d })), 1.5 * plain);
      assert.equal(count(new nn.SwiGLU(d)), plain);
    }
    assert.equal(new nn.SwiGLU(64).linear1.outFeatures, 176);
  });
});

describe('transformer blocks', () => {
  for (const normFirst of [true, false]) {
    test(`with ${normFirst ? 'pre' : 'post'}-norm: the layer of PyTorch with the same weights`, () => {
      manualSeed(7);
      const layer = new nn.TransformerEncoderLayer(6, 2, {
        dimFeedforward: 7,
        dropout: 0,
        activation: 'gelu',
        batchFirst: true,
        normFirst,
      });
      const block = new nn.TransformerBlock(6, 2, { hidden: 7, causal: true, normPosition: normFirst ? 'pre' : 'post' });
      const names = {
        ...{ 'attention.qkv.weight': 'selfAttn.inProjWeight', 'attention.qkv.bias': 'selfAttn.inProjBias' },
        ...{ 'attention.out': 'selfAttn.outProj', 'feedForward.linear': 'linear' },
      };
      const theirs = layer.stateDict();
      const renamed = (name: string): string => Object.entries(names).reduce((s, [from, to]) => s.replace(from, to), name);
      block.loadStateDict(new Map(Array.from(block.stateDict().keys(), (name) => [name, theirs.get(renamed(name)) as Tensor])));
      const x = randn([2, 4, 6]);
      const srcMask = nn.generateSquareSubsequentMask(4);
      expectTensorsClose(block.forward(x), layer.forward(x, { srcMask }), close, 'causal');
      const attnMask = tensor([1, 1, 0, 1], { dtype: 'bool' }).expand([4, 4]);
      const both = srcMask.maskedFill(attnMask.logicalNot(), Number.NEGATIVE_INFINITY);
      expectTensorsClose(block.forward(x, { attnMask }), layer.forward(x, { srcMask: both }), close, 'causal and masked');
    });
  }

  test('shared heads of keys and values are repeated ones', () => {
    const shared = new nn.SelfAttention(8, 4, { numKvHeads: 2, bias: false });
    const full = new nn.SelfAttention(8, 4, { bias: false });
    const heads = shared.qkv.weight.narrow(0, 8, 8).reshape([2, 2, 2, 8]).repeatInterleave(2, { dim: 1 }).reshape([16, 8]);
    noGrad(() => {
      full.qkv.weight.narrow(0, 0, 8).copy_(shared.qkv.weight.narrow(0, 0, 8));
      full.qkv.weight.narrow(0, 8, 16).copy_(heads);
      full.out.weight.copy_(shared.out.weight);
    });
    const x = randn([2, 3, 8]);
    expectTensorsClose(shared.forward(x), full.forward(x), close, 'grouped queries');
  });

  test('patches are tokens, row by row, after the class token', () => {
    const embed = new nn.PatchEmbedding(2, { inChannels: 1, embedDim: 4, classToken: true });
    noGrad(() => {
      embed.proj.weight.copy_(tensor([1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]).reshape([4, 1, 2, 2]));
      embed.proj.bias?.zero_();
    });
    const image = tensor(Array.from({ length: 24 }, (_, i) => i)).reshape([1, 1, 4, 6]);
    const tokens = embed.forward(image);
    assert.deepEqual([...tokens.shape], [1, 7, 4]);
    assert.deepEqual(tokens.narrow(1, 2, 1).tolist(), [[[2, 3, 8, 9]]]);
    assert.deepEqual(tokens.narrow(1, 4, 1).tolist(), [[[12, 13, 18, 19]]]);
    expectTensorsClose(tokens.narrow(1, 0, 1), embed.classToken as Tensor, exact, 'class token');
  });
});

describe('mixture of experts', () => {
  const make = (options: nn.MixtureOfExpertsOptions): nn.MixtureOfExperts => {
    manualSeed(8);
    return new nn.MixtureOfExperts(4, { numExperts: 4, hidden: 3, ...options });
  };
  /** Token by token, expert by expert. */
  function byHand(moe: nn.MixtureOfExperts, x: Tensor, topK: number): Tensor[] {
    return Array.from({ length: x.sizeAt(0) }, (_, t) => {
      const token = x.narrow(0, t, 1);
      const { values: shares, indices } = moe.router.forward(token).softmax().topk(topK);
      const total = topK === 1 ? 1 : shares.sum().itemNow();
      return values(indices)
        .map((e, i) => {
          const of = (p: Tensor): Tensor => p.select(0, e);
          const hidden = token.matmul(of(moe.weight1)).add(of(moe.bias1)).gelu();
          return hidden
            .matmul(of(moe.weight2))
            .add(of(moe.bias2))
            .mul((values(shares)[i] as number) / total);
        })
        .reduce((a, b) => a.add(b));
    });
  }

  for (const topK of [1, 2]) {
    test(`the weighted sum of ${topK === 1 ? 'the best expert' : 'the best experts'} where there is room`, () => {
      const moe = make({ topK, capacityFactor: 4 });
      const x = randn([6, 4]);
      const [y] = moe.forward(x);
      byHand(moe, x, topK).forEach((row, t) => expectTensorsClose(y.narrow(0, t, 1), row, close, `token ${t}`));
    });
  }

  test('a full expert passes later tokens by', () => {
    const moe = make({ topK: 1, capacityFactor: 1 });
    noGrad(() => moe.router.weight.copy_(zeros([4, 4])));
    const x = randn([8, 4]);
    const [y] = moe.forward(x); // all go to expert 0, which has room for 2
    byHand(moe, x, 1).forEach((row, t) => expectTensorsClose(y.narrow(0, t, 1), t < 2 ? row : zeros([1, 4]), close, `token ${t}`));
  });

  test('the balance loss is its factor at uniform routing, more when one expert is preferred; a quarter of the experts works', () => {
    const moe = make({ numExperts: 8, topK: 2, balance: 0.01 });
    const x = randn([64, 4]);
    noGrad(() => moe.router.weight.copy_(zeros([8, 4])));
    assert.ok(Math.abs(moe.forward(x)[1].itemNow() - 0.01) < 1e-8);
    noGrad(() => moe.router.weight.select(0, 0).copy_(ones([4]).mul(3)));
    assert.ok(moe.forward(x.abs())[1].itemNow() > 0.02);
    const { total, active } = moe.countParameters();
    assert.equal(
      total,
      moe.parameters().reduce((n, p) => n + p.size, 0),
    );
    assert.equal((active - 32) / (total - 32), 0.25);
  });
});

describe('low-rank adapters', () => {
  const train = (model: nn.Module, x: Tensor): void => {
    for (const p of model.parameters().filter((p) => p.requiresGrad)) {
      p.grad = null;
      const loss = model.forward(x).square().sum();
      loss.backward();
      const g = p.grad as Tensor | null;
      if (g !== null) noGrad(() => p.add_(g, { alpha: -0.1 }));
    }
  };

  test('begin as nothing, learn r (in + out) numbers, leave the base as it was', () => {
    manualSeed(9);
    const model = new nn.Sequential(new nn.Linear(6, 5), new nn.Tanh(), new nn.Linear(5, 2));
    const x = randn([4, 6]);
    const before = values(model.forward(x));
    const weights = [model[0], model[2]].map((l) => values((l as nn.Linear).weight));
    const adapters = nn.applyLoRA(model, { r: 2 });
    assert.equal(adapters.length, 2);
    assert.deepEqual(values(model.forward(x)), before);
    const learned = model.parameters().filter((p) => p.requiresGrad);
    assert.equal(
      learned.reduce((n, p) => n + p.size, 0),
      2 * (6 + 5) + 2 * (5 + 2),
    );
    train(model, x);
    train(model, x);
    const after = model.forward(x);
    assert.notDeepEqual(values(after), before);
    for (const adapter of adapters) adapter.merge();
    expectTensorsClose(model.forward(x), after, close, 'merged');
    for (const adapter of adapters) adapter.unmerge();
    expectTensorsClose(model.forward(x), after, exact, 'unmerged');
    assert.deepEqual(
      adapters.map((a) => values(a.base.weight)),
      weights,
    );
  });

  test('a compiled model follows merging and unmerging', () => {
    const adapter = new nn.LoRALinear(new nn.Linear(3, 3), { r: 1 });
    noGrad(() => adapter.loraB.fill_(0.5));
    const x = randn([2, 3]);
    const call = compile((x: Tensor) => adapter.forward(x));
    for (const change of [() => adapter, () => adapter.merge(), () => adapter.unmerge()]) {
      change();
      expectTensorsClose(call(x), adapter.forward(x), close, String(adapter.merged));
    }
  });

  test('targets are picked by name; attention keeps its own output layer', () => {
    const layer = new nn.TransformerEncoderLayer(4, 2, { dimFeedforward: 5, dropout: 0 });
    nn.applyLoRA(layer, { r: 1, targets: (name) => name !== 'linear2' });
    assert.ok((layer.linear1 as unknown) instanceof nn.LoRALinear);
    assert.ok(layer.linear2 instanceof nn.Linear && layer.selfAttn.outProj instanceof nn.Linear);
    assert.deepEqual([...layer.forward(randn([3, 2, 4])).shape], [3, 2, 4]);
  });
});
