// Derivatives: identities in float64.
import assert from 'node:assert/strict';
import * as func from '../../dist/entries/func.js';
import {
  checkpoint,
  compile,
  conv2d,
  crossEntropy,
  dryRun,
  grad,
  jvp,
  maxPool2d,
  noGrad,
  ones,
  randint,
  randn,
  type Tensor,
  tensor,
  zeros,
} from '../../dist/index.js';
import * as nn from '../../dist/nn/index.js';
import { type MlpLayer, mlpTrace } from '../../dist/testing/referenceMlp.js';
import { near, provesClaims, range, value, values, within } from '../support/claims.js';

const gradient = (f: (x: Tensor) => Tensor, x: Tensor): Tensor => {
  const leaf = x.clone().requiresGrad_();
  return grad(f(leaf), [leaf])[0] as Tensor;
};
const dot = (a: Tensor, b: Tensor): number => value(a.mul(b).sum());

/** What conv2d is, number by number. */
function correlate(x: Tensor, w: Tensor, stride: number, padding: number, dilation: number): number[] {
  const [inC, h, width] = [x.sizeAt(1), x.sizeAt(2), x.sizeAt(3)];
  const [outC, k] = [w.sizeAt(0), w.sizeAt(2)];
  const [X, W] = [values(x), values(w)];
  const size = (n: number): number => Math.floor((n + 2 * padding - dilation * (k - 1) - 1) / stride) + 1;
  const out: number[] = [];
  for (let o = 0; o < outC; o++)
    for (let r = 0; r < size(h); r++)
      for (let c = 0; c < size(width); c++) {
        let sum = 0;
        for (let i = 0; i < inC; i++)
          for (let a = 0; a < k; a++)
            for (let b = 0; b < k; b++) {
              const [y, z] = [r * stride + a * dilation - padding, c * stride + b * dilation - padding];
              if (y < 0 || z < 0 || y >= h || z >= width) continue;
              sum += (X[(i * h + y) * width + z] as number) * (W[((o * inC + i) * k + a) * k + b] as number);
            }
        out.push(sum);
      }
  return out;
}

/** A random graph of 50 nodes whose sums fan out, in a given valid order of evaluation. */
function randomGraph(x: Tensor, edges: readonly (readonly [number, number])[], order: readonly number[]): Tensor {
  const nodes = new Map<number, Tensor>([
    [0, x],
    [1, x.tanh()],
  ]);
  for (const n of order) {
    const [a, b] = edges[n - 2] as readonly [number, number];
    nodes.set(n, (nodes.get(a) as Tensor).mul(0.7).add((nodes.get(b) as Tensor).sin()));
  }
  return (nodes.get(edges.length + 1) as Tensor).sum();
}

provesClaims({
  'CLM-63 backward by hand equals autograd': () => {
    const [x, y] = [randn([16, 5]), randint(0, 3, [16]).int()];
    const layers = [new nn.Linear(5, 7), new nn.Linear(7, 6), new nn.Linear(6, 3)];
    const loss = crossEntropy(
      layers.reduce<Tensor>((h, layer, i) => (i === 0 ? layer.forward(h) : layer.forward(h.relu())), x),
      y,
    );
    loss.backward();
    const rows = (m: Tensor): number[][] => range(m.sizeAt(0)).map((i) => values(m.select(0, i)));
    const plain = layers.map(({ weight, bias }) => ({ weight: rows(weight), bias: values(bias as Tensor) }));
    const step = mlpTrace(plain, rows(x), values(y));
    near(loss, step.loss, 1e-12);
    for (const [l, layer] of layers.entries()) {
      const byHand = step.gradients[l] as MlpLayer;
      near(layer.weight.grad as Tensor, byHand.weight.flat(), 1e-12);
      near(layer.bias?.grad as Tensor, [...byHand.bias], 1e-12);
    }
  },
  'CLM-66 backward of L equal layers costs (2 L - 1) / L of forward': () => {
    for (const depth of [2, 5, 9]) {
      const model = new nn.Sequential(...range(depth).map(() => new nn.Linear(64, 64, { bias: false })));
      const { forwardFlops } = nn.summary(model, [8, 64], { dtype: 'float64' });
      assert.equal(forwardFlops, 2 * depth * 8 * 64 * 64);
      const products = 2 * depth - 1; // each layer: by its weight, and by its input but for the first
      const each = forwardFlops / depth;
      const spent = flopsOfBackward(model, [8, 64]);
      near(spent / each, products, 0.02 * products);
    }
  },
  'CLM-68 passes: one backward for many inputs, one forward tangent for many outputs': () => {
    for (const n of [1, 4, 16]) {
      const m = randn([n, n]);
      const f = (x: Tensor): Tensor => m.matmul(x).sin().sum();
      const x = randn([n]);
      const reverse = gradient(f, x);
      const forward = range(n).map((i) => value(jvp(f, [x], [tensor(range(n).map((j) => Number(i === j)))])[1] as Tensor));
      near(reverse, forward, 1e-10);
      const g = (t: Tensor): Tensor => m.select(0, 0).mul(t).cos();
      const t = randn([]);
      const rows = range(n).map((i) => value(gradient((v) => g(v).select(0, i), t)));
      near(jvp(g, [t], [ones([])])[1] as Tensor, rows, 1e-10);
    }
    // One pass is as many steps for any size; the other mode needs a pass for each input, or output.
    const steps = (body: () => unknown): number =>
      dryRun((counts) => {
        body();
        return counts().steps;
      });
    const passes = [1, 16, 256].map((n) => {
      const [w, x, t] = [ones([n]), ones([n]), ones([])];
      const down = (v: Tensor): Tensor => v.mul(w).sin().sum();
      const up = (v: Tensor): Tensor => w.mul(v).cos();
      return [steps(() => gradient(down, x)), steps(() => jvp(up, [t], [t])), steps(() => range(n).map(() => jvp(down, [x], [x]))) / n];
    });
    for (const counted of passes) assert.deepEqual(counted, passes[0]);
  },
  'CLM-69 ⟨u, J v⟩ = ⟨Jᵀ u, v⟩': () => {
    for (let i = 0; i < 10; i++) {
      const net = new nn.Sequential(new nn.Linear(6, 9), new nn.Tanh(), new nn.Linear(9, 4), new nn.Softplus());
      const f = (x: Tensor): Tensor => net.forward(x);
      const [x, v, u] = [randn([6]), randn([6]), randn([4])];
      const left = dot(u, jvp(f, [x], [v])[1] as Tensor);
      const right = dot(
        gradient((z) => f(z).mul(u).sum(), x),
        v,
      );
      near(left / right, 1, 1e-10);
    }
  },
  'CLM-70 two backward passes give twice the gradient': () => {
    const w = randn([4, 3]).requiresGrad_();
    const loss = (): Tensor => randomless.matmul(w).tanh().sum();
    const randomless = randn([5, 4]);
    loss().backward();
    const once = values(w.grad as Tensor);
    loss().backward();
    assert.deepEqual(
      values(w.grad as Tensor),
      once.map((g) => g + g),
    );
  },
  'CLM-72 four quarters are one batch, but not with batch norm': () => {
    const [x, y] = [randn([64, 6]), randint(0, 3, [64]).int()];
    const difference = (norm: boolean): number => {
      const model = new nn.Sequential(new nn.Linear(6, 8), ...(norm ? [new nn.BatchNorm1d(8)] : []), new nn.ReLU(), new nn.Linear(8, 3));
      const weight = model.parameters()[0] as Tensor;
      crossEntropy(model.forward(x), y).backward();
      const whole = (weight.grad as Tensor).clone();
      model.zeroGrad();
      for (const i of range(4))
        crossEntropy(model.forward(x.narrow(0, 16 * i, 16)), y.narrow(0, 16 * i, 16))
          .div(4)
          .backward();
      return Math.sqrt(dot((weight.grad as Tensor).sub(whole), (weight.grad as Tensor).sub(whole)) / dot(whole, whole));
    };
    assert.ok(difference(false) < 1e-10);
    assert.ok(difference(true) > 0.05);
  },
  'CLM-73 checkpoints: the same gradients for a third more work': () => {
    const layers = range(64).map(() => new nn.Linear(16, 16));
    const segment = (from: number) => (h: Tensor) => layers.slice(from, from + 8).reduce<Tensor>((v, layer) => layer.forward(v).tanh(), h);
    const loss = (x: Tensor, keep: boolean): Tensor =>
      range(8)
        .reduce<Tensor>((h, i) => (keep ? segment(8 * i)(h) : checkpoint(segment(8 * i), h)), x)
        .square()
        .sum();
    const x = randn([32, 16]);
    const run = (keep: boolean): number[] => {
      for (const layer of layers) layer.zeroGrad();
      loss(x, keep).backward();
      return layers.flatMap((layer) => values(layer.weight.grad as Tensor));
    };
    near(run(false), run(true), 1e-12);
    const work = (keep: boolean): number =>
      dryRun((counts) => {
        loss(x, keep).backward();
        return counts().flops;
      });
    within(work(false) / work(true), 1.25, 1.37);
    const forwards = (keep: boolean): number =>
      dryRun((counts) => {
        loss(x, keep);
        return counts().flops;
      });
    const again = (work(false) - work(true)) / forwards(true); // what is computed twice, in forward passes
    within(1 + again, 1.8, 2);
    const model = new nn.Sequential(
      ...range(8).map((i) => new nn.Sequential(...layers.slice(8 * i, 8 * i + 8).flatMap((l) => [l, new nn.Tanh()]))),
    );
    within(nn.checkpointReport(model, [x]).memoryRatio, 0, 0.35);
  },
  'CLM-75 saved values that were changed are noticed; outputs that nobody saved may be changed': () => {
    const x = randn([5]).requiresGrad_();
    const y = x.sigmoid();
    y.relu_();
    y.sub_(1);
    assert.throws(() => y.sum().backward(), /changed|modified|in place/);
    const affine = (inPlace: boolean): Tensor => {
      const z = x.mul(3).add(0.2);
      return grad((inPlace ? z.relu_() : z.relu()).square().sum(), [x])[0] as Tensor;
    };
    assert.deepEqual(values(affine(true)), values(affine(false)));
  },
  'CLM-76 max pooling sends gradients to the winners': () => {
    const x = tensor([
      [
        [
          [1, 5, 5, 2],
          [0, 3, 4, 9],
          [7, 7, 1, 0],
          [2, 6, 8, 8],
        ],
      ],
    ]);
    near(
      gradient((v) => maxPool2d(v, 2).sum(), x),
      [0, 1, 0, 0, 0, 0, 0, 1, 1, 0, 0, 0, 0, 0, 1, 0],
      0,
    );
    const overlapping = gradient((v) => maxPool2d(v, 2, { stride: 1 }).sum(), x);
    near(overlapping.sum(), 9, 0);
    assert.equal(values(overlapping)[3 + 4], 2);
    assert.ok(values(overlapping).every((g, i) => g === 0 || i !== 0));
  },
  'CLM-77 convolutions backward: a turned kernel for the input, a correlation for the weight': () => {
    for (const [stride, padding, dilation] of [[1, 0, 1] as const, [2, 1, 1] as const, [1, 2, 2] as const]) {
      const [x, w] = [randn([1, 2, 7, 6]).requiresGrad_(), randn([3, 2, 3, 3]).requiresGrad_()];
      const y = conv2d(x, w, { stride, padding, dilation });
      near(y, correlate(x, w, stride, padding, dilation), 1e-10);
      const delta = randn([...y.shape]);
      const [dx, dw] = grad(y.mul(delta).sum(), [x, w]) as [Tensor, Tensor];
      // Both are linear, so unit inputs say what they must be.
      const unit = (shape: readonly number[], i: number): Tensor =>
        tensor(range(shape.reduce((a, b) => a * b)).map((j) => Number(i === j))).reshape([...shape]);
      for (const i of [0, 5, 40, 83]) {
        near(values(dx)[i] as number, mul(correlate(unit(x.shape, i), w, stride, padding, dilation), values(delta)), 1e-10);
      }
      for (const i of [0, 8, 30, 53]) {
        near(values(dw)[i] as number, mul(correlate(x, unit(w.shape, i), stride, padding, dilation), values(delta)), 1e-10);
      }
      if (stride > 1) continue;
      const turned = w.detach().flip([2, 3]).transpose(0, 1);
      near(dx, conv2d(delta, turned, { dilation, padding: dilation * 2 - padding }), 1e-10);
    }
  },
  'CLM-78 factors of a path multiply, paths add, one zero closes a path': () => {
    const x = tensor(2);
    near(
      gradient((v) => v.mul(3).mul(5), x),
      15,
      0,
    );
    near(
      gradient((v) => v.mul(3).add(v.mul(5)), x),
      8,
      0,
    );
    near(
      gradient((v) => v.mul(3).mul(0).mul(5), x),
      0,
      0,
    );
    near(
      gradient((v) => v.mul(3).mul(0).add(v), x),
      1,
      0,
    );
  },
  'CLM-79 second derivatives': () => {
    const third = func.grad(func.grad((x: Tensor) => x.mul(x).mul(x)));
    near(third(tensor(1.7)), 6 * 1.7, 1e-12);
    const m = randn([5, 5]);
    const f = (x: Tensor): Tensor => m.matmul(x).tanh().square().sum();
    const [x, v] = [randn([5]), randn([5])];
    const [, product] = func.hvp(f, x, v);
    const eps = 1e-5;
    const numeric = gradient(f, x.add(v.mul(eps)))
      .sub(gradient(f, x.sub(v.mul(eps))))
      .div(2 * eps);
    near(product.sub(numeric).abs().max().div(product.abs().max()), 0, 1e-6);
    const h = func.hessian(f)(x);
    near(h, h.t(), 1e-10);
  },
  'CLM-81 through time gradients of a shared weight are summed, and truncation drops terms': () => {
    const [steps, x, w0] = [20, randn([20, 3]), randn([3, 3]).mul(0.5)];
    const run = (weights: readonly Tensor[], cut: number): Tensor => {
      let h = zeros([3]);
      for (const t of range(steps)) {
        if (t > 0 && t % cut === 0) h = h.detach();
        h = (weights[t] as Tensor).matmul(h).add(x.select(0, t)).tanh();
      }
      return h.square().sum();
    };
    const shared = w0.clone().requiresGrad_();
    const whole = grad(
      run(
        range(steps).map(() => shared),
        steps,
      ),
      [shared],
    )[0] as Tensor;
    const own = range(steps).map(() => w0.clone().requiresGrad_());
    const each = grad(run(own, steps), own) as Tensor[];
    near(
      each.reduce((a, b) => a.add(b)),
      whole,
      1e-12,
    );
    const cut = (every: number): Tensor =>
      grad(
        run(
          range(steps).map(() => shared),
          every,
        ),
        [shared],
      )[0] as Tensor;
    near(cut(20), whole, 0);
    assert.ok(value(cut(5).sub(whole).abs().max()) > 1e-6);
  },
  'CLM-82 gradients of a linear recurrence scale as ρᵀ': () => {
    const q = nn.init.orthogonal_(zeros([8, 8]));
    for (const [rho, want] of [[0.9, 2.656e-5] as const, [1.1, 1.378e4] as const]) {
      const g = gradient(
        (h) =>
          range(100)
            .reduce((v) => q.mul(rho).matmul(v), h)
            .mul(unitVector)
            .sum(),
        zeros([8]),
      );
      const norm = Math.sqrt(dot(g, g));
      near(norm / rho ** 100, 1, 1e-6);
      near(norm / want, 1, 1e-3);
    }
  },
  'CLM-217 replays equal eager runs; any valid order gives one gradient': () => {
    const edges = range(48, 2).map((n) => [pick(n), pick(n)] as const);
    const x = randn([6]);
    const inOrder = range(48, 2);
    // Another valid order: after its inputs, each node as late as the others allow.
    const done = new Set([0, 1]);
    const other: number[] = [];
    while (other.length < inOrder.length) {
      const ready = inOrder.filter((n) => !done.has(n) && (edges[n - 2] as readonly number[]).every((e) => done.has(e)));
      const next = ready.at(-1) as number;
      done.add(next);
      other.push(next);
    }
    const eager = gradient((v) => randomGraph(v, edges, inOrder), x);
    near(
      gradient((v) => randomGraph(v, edges, other), x),
      eager,
      1e-13,
    );
    const step = compile((v: Tensor) => {
      const leaf = v.detach().requiresGrad_();
      return grad(randomGraph(leaf, edges, inOrder), [leaf])[0] as Tensor;
    });
    for (let i = 0; i < 3; i++) assert.deepEqual(values(step(x)), values(eager));
  },
  'CLM-218 what is kept for backward grows with depth and batch, and is nothing without gradients': () => {
    const kept = (depth: number, batch: number): number =>
      nn.summary(new nn.Sequential(...range(depth).flatMap(() => [new nn.Linear(16, 16), new nn.Tanh()])), [batch, 16], {
        dtype: 'float64',
      }).activationBytes;
    const slope = kept(4, 8) - kept(2, 8);
    for (const depth of [8, 16, 32]) assert.equal(kept(depth, 8), kept(2, 8) + (slope * (depth - 2)) / 2);
    for (const batch of [16, 32, 128]) assert.equal(kept(8, batch), (kept(8, 8) * batch) / 8);
    const layer = new nn.Linear(16, 16);
    assert.ok(!noGrad(() => layer.forward(randn([8, 16])).tanh()).requiresGrad);
  },
});

const unitVector = tensor([1, 0, 0, 0, 0, 0, 0, 0], { dtype: 'float64' });
function mul(a: readonly number[], b: readonly number[]): number {
  return a.reduce((s, v, i) => s + v * (b[i] as number), 0);
}
function pick(below: number): number {
  return randint(0, below, []).itemNow();
}
/** Arithmetic of one backward pass without the gradient of the input. */
function flopsOfBackward(model: nn.Sequential, shape: number[]): number {
  return dryRun((counts) => {
    const y = model.forward(zeros(shape)).sum();
    const before = counts().flops;
    y.backward();
    return counts().flops - before;
  });
}
