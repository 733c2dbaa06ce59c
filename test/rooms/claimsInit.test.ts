// How nets start: variances, gains, symmetry and identity, in float64.
import assert from 'node:assert/strict';
import { crossEntropy, empty, grad, randint, randn, type Tensor, zeros } from '../../dist/index.js';
import * as nn from '../../dist/nn/index.js';
import { LBFGS, SGD } from '../../dist/optim/index.js';
import { near, provesClaims, range, singularValues, value, values, variance } from '../support/claims.js';

const { init } = nn;
const second = (x: Tensor): number => value(x.square().mean());
const labels = (count: number, from: number): Tensor => randint(0, from, [count]).int();

/** Geometric mean of what each of `depth` layers does to the second moment. */
function growth(depth: number, width: number, layer: (x: Tensor) => Tensor): number {
  const x = randn([64, width]);
  const y = range(depth).reduce((h) => layer(h), x);
  return (second(y) / second(x)) ** (1 / depth);
}
const weight = (fill: (w: Tensor) => Tensor, width = 512): Tensor => fill(empty([width, width])).t();

/** Largest difference between hidden units, in what comes in and what goes out. */
function difference(first: nn.Linear, second: nn.Linear): number {
  const rows = first.weight.detach();
  const columns = second.weight.detach();
  const apart = (x: Tensor, dim: number): number => value(x.amax({ dim }).sub(x.amin({ dim })).max());
  return Math.max(apart(rows, 0), apart(columns, 1));
}

function softmaxRegression(start: Tensor, x: Tensor, y: Tensor): number {
  const layer = new nn.Linear(4, 3);
  layer.weight.detach().copy_(start);
  init.zeros_(layer.bias as Tensor);
  const loss = (): Tensor => crossEntropy(layer.forward(x), y);
  const optimizer = new LBFGS(layer.parameters(), {
    lr: 1,
    maxIter: 200,
    toleranceGrad: 1e-10,
    toleranceChange: 1e-14,
    lineSearchFn: 'strongWolfe',
  });
  optimizer.step(() => {
    optimizer.zeroGrad();
    const now = loss();
    now.backward();
    return now;
  });
  return value(loss());
}

provesClaims({
  'CLM-90 gains for leaky slopes keep the second moment': () => {
    for (const a of [0.01, 0.2, 0.5]) {
      const gain = init.calculateGain('leakyRelu', a);
      near(gain, Math.sqrt(2 / (1 + a * a)), 1e-15);
      const factor = growth(50, 512, (x) =>
        x.matmul(weight((w) => init.kaimingNormal_(w, { a, nonlinearity: 'leakyRelu' }))).leakyRelu({ negativeSlope: a }),
      );
      near(factor, 1, 0.05, `slope ${a}`);
    }
  },
  'CLM-92 equal weights stay equal': () => {
    const [x, y] = [randn([64, 64]), labels(64, 10)];
    for (const constant of [0, 0.1, null]) {
      const [first, last] = [new nn.Linear(64, 32), new nn.Linear(32, 10)];
      for (const layer of [first, last]) {
        if (constant !== null) init.constant_(layer.weight, constant);
        init.zeros_(layer.bias as Tensor);
      }
      const optimizer = new SGD([...first.parameters(), ...last.parameters()], { lr: 0.1 });
      let loss = 0;
      for (let i = 0; i < 200; i++) {
        optimizer.zeroGrad();
        const now = crossEntropy(last.forward(first.forward(x).relu()), y);
        loss = value(now);
        now.backward();
        optimizer.step();
      }
      if (constant === null) assert.ok(difference(first, last) > 1e-3 && loss < 1);
      else assert.equal(difference(first, last), 0);
      if (constant === 0) {
        assert.ok(values(first.weight).every((v) => v === 0) && values(last.weight).every((v) => v === 0));
        near(loss, Math.log(10), 0.2);
      }
    }
  },
  'CLM-93 a convex layer may start at zero': () => {
    const [x, y] = [randn([200, 4]), labels(200, 3)];
    near(softmaxRegression(zeros([3, 4]), x, y), softmaxRegression(randn([3, 4]), x, y), 1e-6);
  },
  "CLM-94 the framework's default has variance 1 / (3 fanIn), and a ReLU net loses a factor 6 at each layer": () => {
    const w = init.torchDefault_(empty([512, 512]));
    near(variance(values(w)) * 512 * 3, 1, 0.02);
    near(variance(values(new nn.Linear(512, 512).weight)) * 512 * 3, 1, 0.02);
    const factor = growth(20, 512, (x) => x.matmul(weight((w) => init.torchDefault_(w))).relu());
    near(factor * 6, 1, 0.05);
  },
  'CLM-95 products of orthogonal matrices keep all singular values, products of Gaussian ones do not': () => {
    const product = (make: () => Tensor, count: number): number[] => {
      const found = singularValues(range(count - 1).reduce((m) => m.matmul(make()), make()));
      return [(found[0] as number) / (found[63] as number), found[0] as number];
    };
    const [condition, largest] = product(() => init.orthogonal_(empty([64, 64])), 50) as [number, number];
    near(condition, 1, 1e-9);
    near(largest, 1, 1e-9);
    const [gaussian] = product(() => randn([64, 64]).div(8), 10) as [number];
    assert.ok(gaussian > 1e8, `${gaussian}`);
  },
  'CLM-98 branches that start at zero make the identity': () => {
    const blocks = range(6).map(() => {
      const branch = new nn.Sequential(new nn.Linear(8, 16), new nn.ReLU(), new nn.Linear(16, 8));
      init.zeroBranch_(branch);
      return new nn.Residual(branch);
    });
    const x = randn([10, 8]).requiresGrad_();
    const y = blocks.reduce<Tensor>((h, block) => block.forward(h), x);
    assert.deepEqual(values(y), values(x));
    const sent = randn([10, 8]);
    assert.deepEqual(values(grad(y.mul(sent).sum(), [x])[0] as Tensor), values(sent));
  },
  'CLM-214 fans, and the variances that follow': () => {
    const cases = [
      [[128, 256], 256, 128],
      [[128, 64, 3, 3], 576, 1152],
    ] as const;
    for (const [shape, fanIn, fanOut] of cases) assert.deepEqual(init.fans('test', [...shape]), { fanIn, fanOut });
    const depthwise = new nn.Conv2d(64, 64, 3, { groups: 64 });
    assert.deepEqual(init.fans('test', depthwise.weight.shape, 64), { fanIn: 9, fanOut: 9 });
    const [wide, fo] = [[400, 300], 400] as const;
    const schemes: readonly (readonly [(w: Tensor) => Tensor, number])[] = [
      [(w) => init.lecunNormal_(w), 1 / 300],
      [(w) => init.lecunUniform_(w), 1 / 300],
      [(w) => init.xavierNormal_(w), 2 / (300 + fo)],
      [(w) => init.xavierUniform_(w), 2 / (300 + fo)],
      [(w) => init.kaimingNormal_(w), 2 / 300],
      [(w) => init.kaimingUniform_(w), 2 / 300],
      [(w) => init.kaimingNormal_(w, { mode: 'fanOut' }), 2 / fo],
      [(w) => init.torchDefault_(w), 1 / 900],
      [(w) => init.truncNormalExact_(w, 0, 0.02), 0.0004],
    ];
    for (const [i, [fill, want]] of schemes.entries()) near(variance(values(fill(empty([...wide])))) / want, 1, 0.02, `scheme ${i}`);
  },
});
