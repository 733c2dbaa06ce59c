// Corrections of often-told versions, where code could follow the wrong one (docs/fundamentals.md lists them all).
import assert from 'node:assert/strict';
import {
  coralLoss,
  cumulativeLinkLoss,
  dryRun,
  focalLoss,
  gradcheck,
  groupNorm,
  jvp,
  ones,
  Parameter,
  randn,
  type Tensor,
  tensor,
} from '../../dist/index.js';
import * as models from '../../dist/models/index.js';
import * as nn from '../../dist/nn/index.js';
import { SGD } from '../../dist/optim/index.js';
import { near, provesClaims, range, value, values } from '../support/claims.js';

const second = (x: Tensor): number => value(x.square().mean());

provesClaims({
  'COR-04 BERT, GPT-2 and ViT use GELU, the first Transformer ReLU, Llama and Mistral SwiGLU': () => {
    const used = (build: () => nn.AnyModule): string[] =>
      dryRun(() =>
        build()
          .modules()
          .flatMap((m) => {
            if (m instanceof nn.GatedFeedForward) return [`gated ${m.activation}`];
            const { activation } = m as unknown as { readonly activation?: unknown };
            return typeof activation === 'string' ? [activation] : typeof activation === 'function' ? [activation.name] : [];
          }),
      );
    for (const [build, name] of [
      [models.bertBase, 'gelu'],
      [models.gpt2Small, 'gelu'],
      [models.vitB16, 'gelu'],
      [models.transformerBase, 'relu'],
      [models.llama2_7b, 'gated silu'],
      [models.mistral7b, 'gated silu'],
    ] as const)
      assert.deepEqual([...new Set(used(build))], [name]);
  },
  'COR-14 batch norm divides by the biased variance and stores the unbiased one': () => {
    const norm = new nn.BatchNorm1d(3, { momentum: 1, eps: 1e-30 });
    const x = randn([10, 3]);
    near(norm.forward(x).var({ dim: 0, correction: 0 }), [1, 1, 1], 1e-12);
    near(norm.runningVar as Tensor, x.var({ dim: 0, correction: 1 }), 1e-12);
  },
  'COR-16 evaluation switches statistics, scale and shift still learn': () => {
    const norm = new nn.BatchNorm1d(3).eval();
    norm
      .forward(randn([8, 3]))
      .square()
      .sum()
      .backward();
    assert.ok(values(norm.weight?.grad as Tensor).every((g) => g !== 0));
  },
  'COR-17 one value for each channel is an error in training': () => {
    assert.throws(() => new nn.BatchNorm1d(3).forward(randn([1, 3])), /more than one value/);
    assert.ok(new nn.BatchNorm1d(3).eval().forward(randn([1, 3])));
  },
  "COR-18 group norm pools a group's channels and all positions": () => {
    const y = groupNorm(randn([2, 6, 5]).mul(4).add(1), 3, { eps: 0 }).reshape([2, 3, 10]);
    near(y.mean({ dim: 2 }), [0, 0, 0, 0, 0, 0], 1e-12);
    near(y.var({ dim: 2, correction: 0 }), [1, 1, 1, 1, 1, 1], 1e-12);
  },
  'COR-26 He shrinks GELU and SiLU layer by layer': () => {
    for (const [f, share] of [[(x: Tensor) => x.gelu(), 0.425] as const, [(x: Tensor) => x.silu(), 0.356] as const]) {
      near(second(f(randn([1000000]))), share, 2e-3);
      near(1 / nn.init.exactGain(f) ** 2, share, 5e-4);
      const he = range(20).reduce((h) => f(h.matmul(randn([128, 128]).mul(Math.sqrt(2 / 128)))), randn([64, 128]));
      assert.ok(second(he) < 0.2);
    }
  },
  'COR-28 a step costs about three times its forward pass': () => {
    const model = new nn.Sequential(...range(10).map(() => new nn.Linear(32, 32)));
    const { forwardFlops, backwardFlops } = nn.summary(model, [64, 32], { dtype: 'float64' });
    near((forwardFlops + backwardFlops) / forwardFlops, 3 - 1 / 10, 0.03);
  },
  'COR-33 slopes of L1 hover about zero instead of reaching it': () => {
    const w = new Parameter(tensor([0.0303, -0.0551]));
    const optimizer = new SGD([w], { lr: 0.1 });
    for (const _ of range(100)) {
      optimizer.zeroGrad();
      nn.l1Penalty([w], 0.1).backward();
      optimizer.step();
    }
    assert.ok(values(w).every((v) => v !== 0 && Math.abs(v) <= 0.0101));
  },
  'COR-50 focal loss weighs positives by 0.25 unless told otherwise': () => {
    const [z, y] = [randn([20]), randn([20]).gt(0).double()];
    near(focalLoss(z, y), focalLoss(z, y, { alpha: 0.25, gamma: 2 }), 0);
    near(nn.init.priorBias_(tensor([0, 0])), [-4.59512, -4.59512], 1e-5);
  },
  'COR-52 CORAL and proportional odds differ, and agree for two ranks': () => {
    const [score, y] = [randn([12]), randn([12]).gt(0).int()];
    near(coralLoss(score.unsqueeze(1).sub(0.3), y), cumulativeLinkLoss(score, tensor([0.3]), y), 1e-12);
    const [thresholds, ranks] = [tensor([-0.5, 0.8]), y.mul(2)];
    const apart = value(coralLoss(score.unsqueeze(1).sub(thresholds), ranks)) - value(cumulativeLinkLoss(score, thresholds, ranks));
    assert.ok(Math.abs(apart) > 1e-2);
  },
  'COR-55 a positive head has a gradient everywhere': () => {
    const head = new nn.PositiveHead(2);
    const z = tensor([[-20]]).requiresGrad_();
    head.predict(z).sum().backward();
    assert.ok(value(z.grad as Tensor) > 0);
  },
  'COR-57 differences at 1e-5 in float64 are better than at 1e-7': () => {
    const f = (x: Tensor): Tensor => x.tanh().pow(3).add(x.square().neg().exp());
    const x = randn([50]);
    const exact = jvp(f, [x], [ones([50])])[1] as Tensor;
    const error = (eps: number): number => {
      const numeric = f(x.add(eps))
        .sub(f(x.sub(eps)))
        .div(2 * eps);
      return value(numeric.sub(exact).abs().max());
    };
    assert.ok(error(1e-5) < 1e-9 && error(1e-7) > 10 * error(1e-5));
    assert.ok(gradcheck((v) => f(v), [x.requiresGrad_()]).passed);
  },
  'COR-59 backward fills leaves and changes no parameter': () => {
    const w = new Parameter(randn([3]));
    const before = values(w);
    const inner = w.mul(2);
    inner.square().sum().backward();
    assert.deepEqual(values(w), before);
    assert.ok(w.grad !== null && inner.grad === null);
  },
});
