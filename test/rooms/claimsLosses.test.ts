// Losses: values, gradients and optima that are identities or closed forms, in float64.
import assert from 'node:assert/strict';
import { hessian } from '../../dist/entries/func.js';
import {
  binaryCrossEntropyWithLogits,
  coralLoss,
  crossEntropy,
  ctcLoss,
  diceLoss,
  focalCrossEntropy,
  focalLoss,
  gaussianKl,
  grad,
  gradcheck,
  hingeLoss,
  huberLoss,
  iouLoss,
  klDiv,
  l1Loss,
  mseLoss,
  nllLoss,
  oneHot,
  Parameter,
  perplexity,
  rand,
  randint,
  randn,
  smoothL1Loss,
  type Tensor,
  tensor,
  tripletMarginLoss,
  zeros,
} from '../../dist/index.js';
import * as nn from '../../dist/nn/index.js';
import { LBFGS } from '../../dist/optim/index.js';
import { mean, near, provesClaims, range, value, values, within } from '../support/claims.js';

const gradient = (f: (x: Tensor) => Tensor, x: Tensor): Tensor => {
  const leaf = x.clone().requiresGrad_();
  return grad(f(leaf), [leaf])[0] as Tensor;
};
const classes = (count: number, from: number): Tensor => randint(0, from, [count]).int();

/** Where a loss of some numbers is least. */
function minimize(start: Tensor, loss: (x: Tensor) => Tensor): Tensor {
  const x = new Parameter(start);
  const optimizer = new LBFGS([x], { lr: 1, maxIter: 500, toleranceGrad: 1e-12, toleranceChange: 1e-15, lineSearchFn: 'strongWolfe' });
  optimizer.step(() => {
    optimizer.zeroGrad();
    const now = loss(x);
    now.backward();
    return now;
  });
  return x.detach();
}
/** Eigenvalue signs by elimination: is a symmetric matrix positive semidefinite up to `slack`? */
function isConvex(h: number[][], slack: number): boolean {
  const m = h.map((row, i) => row.map((v, j) => v + (i === j ? slack : 0)));
  for (let k = 0; k < m.length; k++) {
    const pivot = (m[k] as number[])[k] as number;
    if (pivot <= 0) return false;
    for (let i = k + 1; i < m.length; i++) {
      const factor = ((m[i] as number[])[k] as number) / pivot;
      for (let j = k; j < m.length; j++)
        (m[i] as number[])[j] = ((m[i] as number[])[j] as number) - factor * ((m[k] as number[])[j] as number);
    }
  }
  return true;
}

/** Hessians by logits z of Σ_k -onehot log p, and of Σ_k (p - onehot)², from softmax's derivatives. */
function hessians(p: readonly number[], y: number): readonly [ce: number[][], mse: number[][]] {
  const k = p.length;
  const delta = (i: number, j: number): number => Number(i === j);
  const P = (i: number): number => p[i] as number;
  const ce = range(k).map((i) => range(k).map((j) => delta(i, j) * P(i) - P(i) * P(j)));
  const slope = (c: number, i: number): number => P(c) * (delta(c, i) - P(i));
  const bend = (c: number, i: number, j: number): number => slope(c, j) * (delta(c, i) - P(i)) - P(c) * slope(i, j);
  const mse = range(k).map((i) =>
    range(k).map((j) => range(k).reduce((s, c) => s + 2 * slope(c, i) * slope(c, j) + 2 * (P(c) - delta(c, y)) * bend(c, i, j), 0)),
  );
  return [ce, mse];
}

/** The probability of a labelling as the sum over all paths: paths collapse by merging repeats and dropping the blank 0. */
function allPaths(probabilities: readonly (readonly number[])[], label: readonly number[]): number {
  const steps = probabilities.length;
  const symbols = (probabilities[0] as number[]).length;
  let total = 0;
  for (let code = 0; code < symbols ** steps; code++) {
    const path = range(steps).map((t) => Math.floor(code / symbols ** t) % symbols);
    const said = path.filter((s, t) => s !== 0 && s !== path[t - 1]);
    if (said.length !== label.length || said.some((s, i) => s !== label[i])) continue;
    total += path.reduce((product, s, t) => product * ((probabilities[t] as number[])[s] as number), 1);
  }
  return total;
}

provesClaims({
  'CLM-34 the three canonical pairs have the gradient ŷ - y': () => {
    for (let i = 0; i < 100; i++) {
      const [z, y] = [randn([8, 5]).mul(3), classes(8, 5)];
      near(
        gradient((x) => crossEntropy(x, y, { reduction: 'sum' }), z),
        z.softmax().sub(oneHot(y, { numClasses: 5 })),
        1e-12,
      );
      const t = rand([8, 5]);
      near(
        gradient((x) => binaryCrossEntropyWithLogits(x, t, { reduction: 'sum' }), z),
        z.sigmoid().sub(t),
        1e-12,
      );
      near(
        gradient((x) => mseLoss(x, t, { reduction: 'sum' }).mul(0.5), z),
        z.sub(t),
        1e-12,
      );
    }
  },
  'CLM-35 squared error behind a sigmoid learns nothing from sure mistakes': () => {
    const [z, y] = [tensor([-10]), tensor([1])];
    const squared = value(gradient((x) => mseLoss(x.sigmoid(), y), z));
    const cross = value(gradient((x) => binaryCrossEntropyWithLogits(x, y), z));
    near(Math.abs(squared), 9.08e-5, 1e-7);
    near(Math.abs(cross), 0.99995, 1e-5);
    assert.ok(cross / squared > 1e4);
  },
  'CLM-38 cross entropy is convex in the logits, squared error behind softmax is not': () => {
    let bent = 0;
    for (let i = 0; i < 1000; i++) {
      const z = randn([5]).mul(2);
      const y = i % 5;
      const [ce, mse] = hessians(values(z.softmax()), y);
      assert.ok(isConvex(ce, 1e-10));
      if (!isConvex(mse, 1e-10)) bent++;
      if (i >= 20) continue; // the formulas above are what the library differentiates to
      const hot = oneHot(tensor(y).int(), { numClasses: 5 });
      near(hessian((x: Tensor) => crossEntropy(x.unsqueeze(0), tensor([y]).int()))(z), ce.flat(), 1e-12);
      near(hessian((x: Tensor) => mseLoss(x.softmax(), hot.double(), { reduction: 'sum' }))(z), mse.flat(), 1e-12);
    }
    within(bent, 100, 1000);
  },
  'CLM-39 losses that are equal': () => {
    const [z, y] = [randn([20, 6]), classes(20, 6)];
    const [p, logQ] = [randn([20, 6]).softmax(), z.logSoftmax()];
    const cross = p.mul(logQ).sum().neg();
    near(
      p
        .mul(p.log())
        .sum()
        .neg()
        .add(klDiv(logQ, p, { reduction: 'sum' })),
      cross,
      1e-12 * 100,
    );
    near(crossEntropy(z, y), nllLoss(logQ, y), 1e-12);
    const two = randn([20, 2]);
    const bit = classes(20, 2);
    near(crossEntropy(two, bit), binaryCrossEntropyWithLogits(two.select(1, 1).sub(two.select(1, 0)), bit.double()), 1e-12);
    const [a, b] = [randn([50]).mul(3), randn([50])];
    for (const width of [0.3, 1, 2.5]) near(smoothL1Loss(a, b, { beta: width }), huberLoss(a, b, { delta: width }).div(width), 1e-12);
    near(focalLoss(a, bitsOf(b), { gamma: 0, alpha: null }), binaryCrossEntropyWithLogits(a, bitsOf(b)), 1e-12);
    near(focalCrossEntropy(z, y, { gamma: 0 }), crossEntropy(z, y), 1e-12);
  },
  'CLM-40 cross entropy is least at the entropy of its target': () => {
    const p = randn([4]).softmax();
    const entropy = value(p.mul(p.log()).sum().neg());
    const z = minimize(zeros([1, 4]), (x) => crossEntropy(x, p.unsqueeze(0)));
    near(crossEntropy(z, p.unsqueeze(0)), entropy, 1e-8);
    assert.ok(entropy > 0);
    near(crossEntropy(tensor([[800, 0, 0]]), tensor([0]).int()), 0, 0);
    assert.ok(value(crossEntropy(randn([9, 4]).mul(9), classes(9, 4))) > 0);
  },
  'CLM-41 perplexity is e^nats and 2^bits; V for a uniform model': () => {
    const [z, y] = [randn([30, 50]), classes(30, 50)];
    const { nats, bits, perplexity: found } = nn.languageLoss(z, y);
    near(value(perplexity(z, y)) / Math.exp(value(nats)), 1, 1e-12);
    near(2 ** value(bits) / value(found), 1, 1e-12);
    near(value(perplexity(zeros([30, 50]), y)) / 50, 1, 1e-12);
  },
  'CLM-43 squared error fits the mean, absolute error the median': () => {
    const data = [...values(randn([90])), ...values(randn([10]).add(50))];
    const sorted = [...data].sort((a, b) => a - b);
    const x = tensor(data);
    const best = minimize(zeros([]), (c) => mseLoss(c.expand([100]), x));
    near(best, mean(data), 1e-3);
    const slopeAt = (c: number): number => value(gradient((v) => l1Loss(v.expand([100]), x, { reduction: 'sum' }), tensor(c)));
    const [low, high] = [sorted[49] as number, sorted[50] as number];
    near(slopeAt((low + high) / 2), 0, 0);
    assert.ok(slopeAt(low - 1e-6) < 0 && slopeAt(high + 1e-6) > 0);
  },
  'CLM-45 gradients by the error: proportional, constant, clipped': () => {
    const errors = tensor([0.1, 1, 10, 100]);
    const by = (loss: typeof mseLoss): number[] => values(gradient((x) => loss(x, zeros([4]), { reduction: 'sum' }), errors));
    near(by(mseLoss), [0.2, 2, 20, 200], 1e-13);
    near(by(l1Loss), [1, 1, 1, 1], 0);
    near(by(huberLoss), [0.1, 1, 1, 1], 1e-15);
  },
  'CLM-47 the hinge does not care beyond its margin': () => {
    for (const y of [1, -1]) {
      const f = tensor([0.5, 1, 2]).mul(y);
      near(
        gradient((x) => hingeLoss(x, tensor([y, y, y]), { reduction: 'sum' }), f),
        [-y, 0, 0],
        0,
      );
      near(hingeLoss(tensor([1.5 * y]), tensor([y])), 0, 0);
    }
  },
  'CLM-48 focal weights: 0.01 at 0.9, 0.001024 at 0.968': () => {
    for (const [p, weight] of [[0.9, 0.01] as const, [0.968, 0.001024] as const]) {
      const z = tensor([Math.log(p / (1 - p))]);
      const one = tensor([1]);
      near(value(focalLoss(z, one, { alpha: null })) / value(binaryCrossEntropyWithLogits(z, one)), weight, 1e-12);
    }
  },
  'CLM-50 J = D / (2 - D)': () => {
    for (let i = 0; i < 20; i++) {
      const [a, b] = [bitsOf(randn([1, 1, 8, 8])), bitsOf(randn([1, 1, 8, 8]))];
      const dice = 1 - value(diceLoss(a, b, { smooth: 0 }));
      near(1 - value(iouLoss(a, b, { smooth: 0 })), dice / (2 - dice), 1e-12);
    }
  },
  'CLM-51 CTC sums over all alignments': () => {
    for (const [steps, label] of [[6, [1, 2, 3]] as const, [5, [1, 1]] as const, [4, [2]] as const, [6, [3, 3, 1]] as const]) {
      const z = randn([steps, 1, 4]);
      const rows = range(steps).map((t) => values(z.select(0, t).softmax()));
      const loss = (x: Tensor): Tensor =>
        ctcLoss(x.logSoftmax(), tensor([[...label]]).int(), tensor([steps]).int(), tensor([label.length]).int(), { reduction: 'sum' });
      near(loss(z), -Math.log(allPaths(rows, label)), 1e-10);
      assert.ok(gradcheck(loss, [z.requiresGrad_()]).passed);
    }
  },
  'CLM-54 easy triplets cost nothing and teach nothing': () => {
    const [anchor, positive, negative] = [zeros([1, 3]), tensor([[0.1, 0, 0]]), tensor([[5, 0, 0]])];
    const loss = (a: Tensor): Tensor => tripletMarginLoss(a, positive, negative, { margin: 1 });
    near(loss(anchor), 0, 0);
    near(gradient(loss, anchor), [0, 0, 0], 0);
  },
  'CLM-55 CORAL keeps ranks in order, heads of their own do not': () => {
    const [x, weight] = [randn([100000, 4]), randn([4, 1])];
    const logits = x.matmul(weight).add(tensor([1.5, 0.2, -0.7, -2]));
    const violations = (z: Tensor): number =>
      value(
        z
          .narrow(1, 1, 3)
          .gt(z.narrow(1, 0, 3))
          .double()
          .sum(),
      );
    assert.equal(violations(logits), 0);
    assert.ok(violations(x.matmul(randn([4, 4]))) > 0);
    const y = classes(10, 5);
    const few = logits.narrow(0, 0, 10);
    const above = y
      .unsqueeze(1)
      .double()
      .gt(tensor([0, 1, 2, 3]))
      .double();
    near(coralLoss(few, y), binaryCrossEntropyWithLogits(few, above, { reduction: 'none' }).sum({ dim: 1 }).mean(), 1e-12);
  },
  'CLM-57 smoothed labels have a finite best gap': () => {
    for (const [k, gap] of [[10, 4.5109] as const, [3, 3.3322] as const]) {
      const y = tensor([0]).int();
      const z = values(minimize(zeros([1, k]), (x) => crossEntropy(x, y, { labelSmoothing: 0.1 })));
      near((z[0] as number) - (z[1] as number), gap, 1e-3);
      assert.ok(z.slice(2).every((v) => Math.abs(v - (z[1] as number)) < 1e-4));
    }
    const still = gradient((x) => crossEntropy(x, tensor([0]).int()), tensor([[12, ...new Array<number>(9).fill(0)]]));
    assert.ok((values(still)[0] as number) < 0);
  },
  'CLM-59 log-sum-exp stays finite in float32 where the formula does not': () => {
    const z = tensor([[1000, -1000, 0]], { dtype: 'float32' });
    assert.ok(!Number.isFinite(value(z.exp().sum().log())));
    near(z.logsumexp({ dim: 1 }), 1000, 1e-6);
    near(crossEntropy(z, tensor([1]).int()), 2000, 1e-6);
  },
  'CLM-60 the divergence of a VAE is what sampling gives': () => {
    const [mu, s] = [0.7, 1.6];
    const draws = 1e6;
    const x = randn([draws]).mul(s).add(mu);
    const each = x.square().mul(0.5).sub(x.sub(mu).div(s).square().mul(0.5)).sub(Math.log(s));
    const error = Math.sqrt(value(each.var()) / draws);
    near(gaussianKl(tensor([[mu]]), tensor([[2 * Math.log(s)]])), value(each.mean()), 4 * error);
  },
  'CLM-61 a prior bias starts rare objects as rare': () => {
    const head = new nn.Linear(8, 1);
    nn.init.priorBias_(head.bias as Tensor, 0.01);
    near(head.bias as Tensor, -4.5951, 1e-4);
    nn.init.normal_(head.weight, 0, 0.01);
    const x = randn([20000, 8]);
    near(head.forward(x).sigmoid().mean(), 0.01, 0.002);
    const y = rand([20000, 1]).lt(0.001).double();
    const ratio = value(binaryCrossEntropyWithLogits(head.forward(x), y)) / value(binaryCrossEntropyWithLogits(zeros([20000, 1]), y));
    within(ratio, 0, 0.05);
  },
  'CLM-62 losses are likelihoods': () => {
    const [z, t] = [randn([40]), randn([40])];
    const normal = z
      .sub(t)
      .square()
      .mul(0.5)
      .add(0.5 * Math.log(2 * Math.PI));
    near(
      mseLoss(z, t, { reduction: 'none' })
        .mul(0.5)
        .add(0.5 * Math.log(2 * Math.PI)),
      normal,
      1e-12,
    );
    const bits = bitsOf(t);
    const p = z.sigmoid();
    const chance = bits.mul(p).add(bits.neg().add(1).mul(p.neg().add(1)));
    near(binaryCrossEntropyWithLogits(z, bits, { reduction: 'none' }), chance.log().neg(), 1e-12);
    const [scores, y] = [randn([40, 5]), classes(40, 5)];
    const ofClass = scores
      .softmax()
      .mul(oneHot(y, { numClasses: 5 }))
      .sum({ dim: 1 });
    near(crossEntropy(scores, y, { reduction: 'none' }), ofClass.log().neg(), 1e-12);
  },
});

function bitsOf(x: Tensor): Tensor {
  return x.gt(0).double();
}
