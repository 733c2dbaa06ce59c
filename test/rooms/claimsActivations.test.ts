// What can be expressed, and what activations do: identities and closed forms in float64.
import assert from 'node:assert/strict';
import {
  bernoulli,
  grad,
  heaviside,
  jvp,
  leakyRelu,
  linspace,
  matmul,
  mseLoss,
  ones,
  Parameter,
  rand,
  randn,
  relu,
  rrelu,
  sigmoid,
  swish,
  type Tensor,
  tanh,
  tensor,
  zeros,
} from '../../dist/index.js';
import * as nn from '../../dist/nn/index.js';
import { Adam, SGD } from '../../dist/optim/index.js';
import { mean, near, provesClaims, range, singularValues, solve, value, values, within } from '../support/claims.js';

const largest = (x: Tensor): number => value(x.abs().max());
/** f′ at every element. */
function slopes(f: (x: Tensor) => Tensor, x: Tensor): Tensor {
  const at = x.clone().requiresGrad_();
  return grad(f(at).sum(), [at])[0] as Tensor;
}
const phi = (x: Tensor): Tensor =>
  x
    .square()
    .mul(-0.5)
    .exp()
    .div(Math.sqrt(2 * Math.PI));
const Phi = (x: Tensor): Tensor => x.div(Math.SQRT2).erf().add(1).mul(0.5);
const elu = (x: Tensor): Tensor => x.elu();

/** Mean squared distance of y from the best a + b x + c x². */
function quadraticFit(x: readonly number[], y: readonly number[]): number {
  const moment = (p: number): number => mean(x.map((v) => v ** p));
  const right = range(3).map((p) => mean(x.map((v, i) => v ** p * (y[i] as number))));
  const [a, b, c] = solve(
    range(3).map((p) => range(3).map((q) => moment(p + q))),
    right,
  ) as [number, number, number];
  return mean(x.map((v, i) => ((y[i] as number) - a - b * v - c * v * v) ** 2));
}

/** Mean distance of the tent map's k-th power from the best continuous line with `knots` even knots: what so many ReLUs can do. */
function shallowError(k: number, knots: number): number {
  const points = range(4096).map((i) => (i + 0.5) / 4096);
  const y = values(tent(tensor(points), k));
  const size = knots + 2;
  const a = range(size).map(() => new Array<number>(size).fill(0));
  const b = new Array<number>(size).fill(0);
  const hat = (v: number): readonly [number, number] => {
    const at = Math.min(knots, Math.floor(v * (knots + 1)));
    return [at, v * (knots + 1) - at];
  };
  for (const [i, v] of points.entries()) {
    const [at, share] = hat(v);
    const parts = [
      [at, 1 - share],
      [at + 1, share],
    ] as const;
    for (const [p, u] of parts) {
      b[p] = (b[p] as number) + u * (y[i] as number);
      for (const [q, w] of parts) (a[p] as number[])[q] = ((a[p] as number[])[q] as number) + u * w;
    }
  }
  const heights = solve(a, b);
  return mean(
    points.map((v, i) => {
      const [at, share] = hat(v);
      return Math.abs((heights[at] as number) * (1 - share) + (heights[at + 1] as number) * share - (y[i] as number));
    }),
  );
}
/** Two ReLUs fold [0, 1] once; k times 2ᵏ pieces. */
const tent = (x: Tensor, k: number): Tensor =>
  range(k).reduce(
    (y) =>
      relu(y)
        .mul(2)
        .sub(relu(y.sub(0.5)).mul(4)),
    x,
  );

function stack(widths: readonly number[]): nn.Sequential {
  return new nn.Sequential(...widths.slice(1).map((out, i) => new nn.Linear(widths[i] as number, out)));
}
function collapsed(layers: readonly nn.Linear[]): readonly [weight: Tensor, bias: Tensor] {
  const [first, ...rest] = layers as [nn.Linear, ...nn.Linear[]];
  return rest.reduce<readonly [Tensor, Tensor]>(
    ([w, b], layer) => [layer.weight.matmul(w), layer.weight.matmul(b).add(layer.bias as Tensor)],
    [first.weight, first.bias as Tensor],
  );
}

provesClaims({
  'CLM-01 stacked affine maps are one affine map': () => {
    const model = stack([12, 40, 7, 30, 20, 9, 11]);
    const [w, b] = collapsed([...model] as nn.Linear[]);
    const x = randn([1000, 12]);
    near(model.forward(x), x.matmul(w.t()).add(b), 1e-10);
  },
  'CLM-02 the rank of the collapsed map is that of the narrowest layer': () => {
    const [w] = collapsed([...stack([12, 20, 3, 20, 12])] as nn.Linear[]);
    const found = singularValues(w);
    assert.ok((found[2] as number) > 1e-3 * (found[0] as number) && (found[3] as number) < 1e-10 * (found[0] as number), found.join());
  },
  'CLM-04 the perceptron makes at most (R / γ)² mistakes': () => {
    for (let draw = 0; draw < 20; draw++) {
      const direction = randn([2]);
      const all = randn([400, 2]);
      const signed = values(all.matmul(direction));
      const kept = range(400)
        .filter((i) => Math.abs(signed[i] as number) > 0.2)
        .slice(0, 200);
      const x = all.indexSelect(0, tensor(kept, { dtype: 'int32' }));
      const y = tensor(kept.map((i) => Number((signed[i] as number) > 0)));
      const margin = Math.min(...kept.map((i) => Math.abs(signed[i] as number))) / Math.sqrt(value(direction.square().sum()));
      const radius2 = value(x.square().sum({ dim: 1 }).max()) + 1; // the bias is a weight of the constant 1
      const { updates, mistakes } = new nn.Perceptron(2).fit(x, y);
      assert.equal(mistakes, 0);
      assert.ok(updates <= radius2 / margin ** 2, `${updates} updates, at most ${radius2 / margin ** 2}`);
    }
  },
  'CLM-05 steps give no gradient': () => {
    const [w1, w2] = [new Parameter(randn([4, 8])), new Parameter(randn([8, 1]))];
    const before = values(w1);
    const optimizer = new SGD([w1, w2], { lr: 0.1 });
    const [x, y] = [randn([32, 4]), randn([32, 1])];
    for (let i = 0; i < 100; i++) {
      optimizer.zeroGrad();
      const hidden = heaviside(x.matmul(w1), zeros([]));
      mseLoss(hidden.matmul(w2), y).backward();
      assert.ok(w1.grad === null || values(w1.grad).every((g) => g === 0));
      optimizer.step();
    }
    assert.deepEqual(values(w1), before);
  },
  'CLM-07 squares are not universal: the best fit of sin(2x) is bounded away': () => {
    const x = values(linspace(-Math.PI, Math.PI, 256));
    const y = x.map((v) => Math.sin(2 * v));
    const best = quadraticFit(x, y);
    within(best, 0.42, 0.43);
    const [w, b, out] = [new Parameter(randn([1, 8])), new Parameter(randn([8])), new Parameter(randn([8, 1]).mul(0.1))];
    const shift = new Parameter(zeros([1]));
    const optimizer = new Adam([w, b, out, shift], { lr: 0.02 });
    const [xs, ys] = [tensor(x).reshape([-1, 1]), tensor(y).reshape([-1, 1])];
    let loss = Number.POSITIVE_INFINITY;
    for (let i = 0; i < 300; i++) {
      optimizer.zeroGrad();
      const now = mseLoss(xs.matmul(w).add(b).square().matmul(out).add(shift), ys);
      loss = value(now);
      now.backward();
      optimizer.step();
    }
    within(loss, best - 1e-9, 1);
  },
  'CLM-08 folding k times makes 2ᵏ pieces, which shallow nets of few units cannot': () => {
    for (let k = 1; k <= 10; k++) {
      const fine = 4 * 2 ** k;
      const y = values(tent(tensor(range(fine + 1).map((i) => i / fine)), k));
      const rises = range(fine).map((i) => (y[i + 1] as number) > (y[i] as number));
      assert.equal(rises.filter((up, i) => i > 0 && up !== rises[i - 1]).length + 1, 2 ** k);
    }
    for (const knots of [8, 20, 32, 63, 64]) within(shallowError(7, knots), 0.24, 0.251, `${knots} knots`);
    assert.ok(shallowError(7, 127) < 1e-9);
  },
  'CLM-10 maxout forms convex pieces; k tangents miss x² by 1 / k²': () => {
    const x = linspace(-1, 1, 2001);
    const unit = (pieces: readonly (readonly [slope: number, shift: number])[]): Tensor => {
      const layer = new nn.Maxout(1, 1, { pieces: pieces.length });
      layer.linear.weight.detach().copy_(tensor(pieces.map(([slope]) => [slope])));
      layer.linear.bias?.detach().copy_(tensor(pieces.map(([, shift]) => shift)));
      return layer.forward(x.reshape([-1, 1])).reshape([-1]);
    };
    const lines = [
      [0, 0],
      [1.7, 0],
    ] as const;
    near(unit(lines), x.mul(1.7).relu(), 1e-12);
    near(unit([[1, 0] as const, [-1, 0] as const]), x.abs(), 1e-12);
    for (const k of [2, 4, 8]) {
      const centers = range(k).map((i) => -1 + (2 * i + 1) / k);
      near(largest(unit(centers.map((c) => [2 * c, -c * c] as const)).sub(x.square())) * k * k, 1, 0.01);
    }
  },
  'CLM-13 slopes peak at 0: sigmoid 0.25, tanh 1': () => {
    const x = linspace(-8, 8, 16001);
    for (const [f, peak] of [[sigmoid, 0.25] as const, [tanh, 1] as const]) {
      const found = slopes(f, x);
      near(found.max(), peak, 1e-9);
      near(x.select(0, value(found.argmax())), 0, 1e-12);
    }
  },
  'CLM-14 identities of tanh, softplus, Swish and leaky ReLU': () => {
    const x = linspace(-8, 8, 1601);
    near(x.tanh(), x.mul(2).sigmoid().mul(2).sub(1), 1e-12);
    near(
      slopes((v) => v.softplus(), x),
      x.sigmoid(),
      1e-12,
    );
    const above = values(x.softplus().sub(x.relu()));
    assert.ok(above.every((v) => v > 0 && v <= Math.LN2 + 1e-15) && Math.abs(Math.max(...above) - Math.LN2) < 1e-12);
    near(swish(x, { beta: 1e-6 }), x.div(2), 1e-4);
    near(swish(x, { beta: 1e6 }), x.relu(), 1e-4);
    for (const slope of [0.01, 0.5, 1]) near(leakyRelu(x, { negativeSlope: slope }), x.maximum(x.mul(slope)), 1e-12);
  },
  'CLM-15 GELU is the mean of a random gate; its two approximations are close': () => {
    for (const x of [-3, -2, -1, -0.5, 0, 0.5, 1, 2, 3]) {
      const p = value(Phi(tensor(x)));
      const draws = 1e6;
      const mean = x * value(bernoulli(zeros([draws]).add(p)).mean());
      near(mean, value(tensor(x).gelu()), 4 * Math.abs(x) * Math.sqrt((p * (1 - p)) / draws));
    }
    const x = linspace(-8, 8, 16001);
    within(largest(x.gelu().sub(x.gelu({ approximate: 'tanh' }))), 4e-4, 4.8e-4);
    within(largest(x.gelu().sub(x.mul(x.mul(1.702).sigmoid()))), 0.02, 0.0204);
  },
  'CLM-16 GELU and SiLU dip below zero, and so do their slopes': () => {
    const x = linspace(-5, 5, 200001);
    for (const [f, low, at, slope] of [
      [(v: Tensor) => v.gelu(), -0.16997, -0.7518, -0.1289],
      [(v: Tensor) => v.silu(), -0.27846, -1.2785, -0.0998],
    ] as const) {
      near(f(x).min(), low, 1e-4);
      near(x.select(0, value(f(x).argmin())), at, 1e-4);
      near(slopes(f, x).min(), slope, 1e-4);
    }
    assert.ok(values(slopes(elu, x)).every((v) => v > 0));
  },
  'CLM-24 behind all-positive units a neuron sees gradients of one sign': () => {
    const [x, w1, w2] = [randn([1000, 16]), randn([16, 16]), randn([16, 8])];
    const sameSign = (f: (v: Tensor) => Tensor): number => {
      const hidden = f(x.matmul(w1)).unsqueeze(1);
      const own = w2.expand([1000, 16, 8]).clone().requiresGrad_(); // each example has weights of its own
      const [g] = grad(matmul(hidden, own).tanh().sum(), [own]) as [Tensor];
      const signs = g.sign().sum({ dim: 1 }).abs();
      return mean(values(signs.eq(16).double()));
    };
    assert.equal(sameSign(sigmoid), 1);
    within(sameSign(tanh), 0, 0.01);
  },
  'CLM-26 SELU keeps mean 0 and variance 1': () => {
    const simpson = (from: number, to: number, f: (x: Tensor) => Tensor): number => {
      const n = 20000;
      const x = linspace(from, to, n + 1);
      const weights = range(n + 1).map((i) => (i === 0 || i === n ? 1 : i % 2 === 1 ? 4 : 2));
      return (value(f(x).mul(phi(x)).mul(tensor(weights)).sum()) * (to - from)) / (3 * n);
    };
    const whole = (f: (x: Tensor) => Tensor): number => simpson(-14, 0, f) + simpson(0, 14, f);
    near(
      whole((x) => x.selu()),
      0,
      1e-9,
    );
    near(
      whole((x) => x.selu().square()),
      1,
      1e-9,
    );
  },
  'CLM-28 RReLU: a random slope in training, 11/48 in evaluation': () => {
    near(rrelu(ones([100000]).neg(), { training: true }).mean(), -0.2292, 1e-3);
    near(new nn.RReLU().eval().forward(tensor([-1])), -11 / 48, 1e-16);
  },
  'CLM-30 softmax: shifts change nothing, ratios are of exponentials, no overflow': () => {
    const z = randn([50, 6]);
    const p = z.softmax();
    near(z.add(123).softmax(), p, 1e-12);
    const ratio = p.select(1, 0).div(p.select(1, 1));
    near(ratio.div(z.select(1, 0).sub(z.select(1, 1)).exp()), ones([50]), 1e-12);
    near(tensor([1e4, -1e4, 0]).softmax(), [1, 0, 0], 1e-12);
  },
  'CLM-31 one softmax cannot put two labels above a half, sigmoids can': () => {
    const z = randn([1000, 5]).mul(3);
    assert.ok(values(z.softmax().gt(0.5).double().sum({ dim: 1 })).every((count) => count <= 1));
    assert.ok(values(z.sigmoid().gt(0.5).double().sum({ dim: 1 })).some((count) => count >= 2));
    near(z.softmax().sum({ dim: 1 }), ones([1000]), 1e-12);
    const two = z.narrow(1, 0, 2);
    near(two.softmax().select(1, 1), two.select(1, 1).sub(two.select(1, 0)).sigmoid(), 1e-12);
  },
  'CLM-32 a gated block has half as many weights again, and as many at 8/3 of the width': () => {
    const weights = (module: nn.Module<readonly [Tensor]>): number =>
      module.parameters().reduce((n, p) => n + (p.ndim === 2 ? p.size : 0), 0);
    for (const d of [64, 128, 256, 512, 1024]) {
      const plain = weights(new nn.FeedForward(d));
      assert.equal(plain, 8 * d * d);
      assert.equal(weights(new nn.SwiGLU(d, { hidden: 4 * d })) / plain, 1.5);
      near(weights(new nn.SwiGLU(d, { hidden: Math.round((8 * d) / 3) })) / plain, 1, 0.01);
    }
  },
  'CLM-216 slopes by dual numbers are those of the tables': () => {
    const x = linspace(-6, 6, 400); // no point at a kink
    const step = x.gt(0).double();
    const table: Readonly<Record<string, readonly [f: (x: Tensor) => Tensor, slope: Tensor]>> = {
      sigmoid: [sigmoid, x.sigmoid().mul(x.neg().sigmoid())],
      tanh: [tanh, x.tanh().square().neg().add(1)],
      relu: [relu, step],
      leakyRelu: [(v) => v.leakyRelu({ negativeSlope: 0.1 }), step.mul(0.9).add(0.1)],
      elu: [elu, step.add(step.neg().add(1).mul(x.exp()))],
      selu: [(v) => v.selu(), step.add(step.neg().add(1).mul(x.exp()).mul(1.6732632423543772)).mul(1.0507009873554805)],
      softplus: [(v) => v.softplus(), x.sigmoid()],
      gelu: [(v) => v.gelu(), Phi(x).add(x.mul(phi(x)))],
      silu: [(v) => v.silu(), x.sigmoid().add(x.mul(x.sigmoid()).mul(x.neg().sigmoid()))],
    };
    for (const [name, [f, slope]] of Object.entries(table)) {
      near(jvp(f, [x], [ones([400])])[1], slope, 1e-10, name);
      near(slopes(f, x), slope, 1e-10, name);
    }
    const zero = tensor([0]);
    near(slopes(relu, zero), 0, 0);
    near(
      slopes((v) => v.abs(), zero),
      0,
      0,
    );
    near(
      slopes((v) => v.leakyRelu({ negativeSlope: 0.1 }), zero),
      0.1,
      0,
    );
  },
  'CLM-223 heads: ranges, sums and decisions': () => {
    const z = randn([200, 4]).mul(4);
    const predicted = new nn.ClassHead(3, 4).predict(z);
    near(predicted.sum({ dim: 1 }), ones([200]), 1e-12);
    assert.deepEqual(values(predicted.argmax({ dim: 1 })), values(z.argmax({ dim: 1 })));
    const labels = new nn.MultiLabelHead(3, 4).predict(z);
    assert.deepEqual(values(labels.gt(0.5)), values(z.gt(0)));
    assert.ok(values(labels).every((p) => p > 0 && p < 1));
    assert.ok(values(new nn.PositiveHead(3, 4).predict(z)).every((v) => v > 0));
    const ranks = new nn.OrdinalHead(3, 5).predict(z);
    assert.deepEqual(values(ranks), values(z.gt(0).double().sum({ dim: 1 })));
    assert.ok(values(rand([9])).every((v) => v >= 0 && v < 1));
  },
});
