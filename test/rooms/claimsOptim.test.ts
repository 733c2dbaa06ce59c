// Optimizers, schedules, clipping and half precision: identities and closed forms in float64.
import assert from 'node:assert/strict';
import { clipGradNorm_, clipGradValue_, Parameter, randn, type Tensor, tensor } from '../../dist/index.js';
import * as nn from '../../dist/nn/index.js';
import * as optim from '../../dist/optim/index.js';
import { near, provesClaims, range, value, values, within } from '../support/claims.js';

type Make = (p: Parameter[]) => optim.Optimizer;
/** Parameters after each step, when the gradient at step t (from 0) is given. */
function walk(
  make: Make,
  start: readonly number[],
  gradient: (t: number, x: readonly number[]) => readonly number[],
  steps: number,
): number[][] {
  const p = new Parameter(tensor([...start]));
  const optimizer = make([p]);
  return range(steps).map((t) => {
    p.grad = tensor([...gradient(t, values(p))]);
    optimizer.step();
    return values(p);
  });
}
const noise = (steps: number, size: number): number[][] => range(steps).map(() => values(randn([size])));
const last = (path: readonly number[][]): readonly number[] => path.at(-1) as number[];
const first = (path: readonly number[][]): number => (path[0] as number[])[0] as number;

provesClaims({
  'CLM-101 descent is stable below 2 / λ only': () => {
    const after = (rate: number): number =>
      Math.abs(
        last(
          walk(
            (p) => new optim.SGD(p, { lr: rate / 4 }),
            [1],
            (_t, [x]) => [4 * (x as number)],
            400,
          ),
        )[0] as number,
      );
    within(after(1.99), 0, 0.02);
    within(after(2.01), 50, 60);
  },
  'CLM-104 momentum: rate outside is rate inside until the rate changes; the average is the sum at η (1 - β)': () => {
    const g = noise(60, 5);
    const run = (options: optim.SGDOptions, drop = false): number[][] => {
      const p = new Parameter(tensor([1, 2, 3, 4, 5]));
      const optimizer = new optim.SGD([p], options);
      return g.map((row, t) => {
        if (drop && t === 30) for (const group of optimizer.paramGroups) group.lr = (options.lr as number) / 10;
        p.grad = tensor(row);
        optimizer.step();
        return values(p);
      });
    };
    const sum = { lr: 0.05, momentum: 0.9 };
    const inside = { ...sum, momentumConvention: 'rateInside' } as const;
    near(last(run(sum)), last(run(inside)), 1e-12);
    near(last(run({ ...sum, lr: 0.5, momentumConvention: 'average' })), last(run(sum)), 1e-12);
    const apart = last(run(sum, true)).map((v, i) => Math.abs(v - (last(run(inside, true))[i] as number)));
    assert.ok(Math.max(...apart) > 1e-3);
  },
  'CLM-105 the two forms of Nesterov meet after the shift': () => {
    const curvature = [0.5, 1, 3];
    const slope = (x: readonly number[]): number[] => x.map((v, i) => v * (curvature[i] as number));
    const [lr, beta] = [0.05, 0.9];
    const framework = walk(
      (p) => new optim.SGD(p, { lr, momentum: beta, nesterov: true }),
      [1, -2, 3],
      (_t, x) => slope(x),
      40,
    );
    let [x, v] = [
      [1, -2, 3],
      [0, 0, 0],
    ] as [number[], number[]];
    for (const shifted of framework) {
      const ahead = slope(x.map((xi, i) => xi - beta * (v[i] as number)));
      v = v.map((vi, i) => beta * vi + lr * (ahead[i] as number));
      x = x.map((xi, i) => xi - (v[i] as number));
      near(
        shifted,
        x.map((xi, i) => xi - beta * (v[i] as number)),
        1e-12,
      );
    }
  },
  "CLM-108 AdaGrad's rate falls as 1/√t, RMSprop's settles": () => {
    const steps = (make: Make, count: number): number[] => {
      const path = walk(make, [0], () => [1], count).map((p) => p[0] as number);
      return path.map((v, i) => (i === 0 ? 0 : (path[i - 1] as number)) - v);
    };
    const ada = steps((p) => new optim.Adagrad(p, { lr: 0.01 }), 100);
    near((ada[99] as number) / (ada[0] as number), 0.1, 1e-8);
    const rms = steps((p) => new optim.RMSprop(p, { lr: 0.01, alpha: 0.99 }), 1000);
    near((rms[999] as number) / 0.01, 1, 1e-4);
    near((rms[0] as number) / 0.01, 10, 1e-5);
  },
  "CLM-110 Adam's first step is η at any scale": () => {
    for (const scale of [1e-3, 1, 1e3]) {
      const path = walk(
        (p) => new optim.Adam(p, { lr: 0.01 }),
        [0, 0],
        () => [scale, -scale],
        1,
      );
      near(
        last(path).map((v) => v / 0.01),
        [-1, 1],
        1e-4,
      );
    }
  },
  'CLM-112 without bias correction steps start 3.16 and peak 6.57 times too large': () => {
    const path = walk(
      (p) => new optim.Adam(p, { lr: 1, biasCorrection: false }),
      [0],
      () => [1],
      200,
    ).map((p) => p[0] as number);
    const steps = path.map((v, i) => (i === 0 ? 0 : (path[i - 1] as number)) - v);
    near(steps[0] as number, 3.1623, 1e-4);
    near(Math.max(...steps), 6.57, 0.01);
  },
  'CLM-113 a penalty is decay for descent, not for Adam': () => {
    const g = noise(50, 4);
    const start = [1, -2, 3, -4];
    const penalty = (make: Make): readonly number[] =>
      last(walk(make, start, (t, x) => (g[t] as number[]).map((v, i) => v + 0.1 * (x[i] as number)), 50));
    const sgd = penalty((p) => new optim.SGD(p, { lr: 0.01 }));
    near(
      last(
        walk(
          (p) => new optim.SGD(p, { lr: 0.01, weightDecay: 0.1 }),
          start,
          (t) => g[t] as number[],
          50,
        ),
      ),
      sgd,
      1e-12,
    );
    let decayed = [...start];
    for (const row of g) decayed = decayed.map((v, i) => v * (1 - 0.01 * 0.1) - 0.01 * (row[i] as number));
    near(decayed, sgd, 1e-12);
    const adam = penalty((p) => new optim.Adam(p, { lr: 0.01 }));
    near(
      last(
        walk(
          (p) => new optim.Adam(p, { lr: 0.01, weightDecay: 0.1 }),
          start,
          (t) => g[t] as number[],
          50,
        ),
      ),
      adam,
      1e-12,
    );
    const apart = last(
      walk(
        (p) => new optim.AdamW(p, { lr: 0.01, weightDecay: 0.1 }),
        start,
        (t) => g[t] as number[],
        50,
      ),
    );
    assert.ok(Math.max(...apart.map((v, i) => Math.abs(v - (adam[i] as number)))) > 1e-3);
  },
  'CLM-114 without gradients AdamW shrinks by (1 - η λ)ᵗ, a penalty in Adam steps by η whatever λ is': () => {
    const path = walk(
      (p) => new optim.AdamW(p, { lr: 0.01, weightDecay: 0.3 }),
      [2, -5],
      () => [0, 0],
      100,
    );
    for (const [t, p] of path.entries()) near(p, [2 * (1 - 0.003) ** (t + 1), -5 * (1 - 0.003) ** (t + 1)], 1e-12);
    for (const weightDecay of [1e-3, 0.1]) {
      near(
        (2 -
          first(
            walk(
              (p) => new optim.Adam(p, { lr: 0.01, weightDecay }),
              [2],
              () => [0],
              1,
            ),
          )) /
          0.01,
        1,
        1e-3,
      );
    }
  },
  "CLM-117 AMSGrad's rate never rises": () => {
    const g = noise(300, 3).map((row, t) => row.map((v) => v * (t % 50 === 0 ? 20 : 1)));
    const p = new Parameter(tensor([0, 0, 0]));
    const optimizer = new optim.Adam([p], { lr: 0.01, amsgrad: true, betas: [0.9, 0.99] });
    let before = [0, 0, 0];
    for (const row of g) {
      p.grad = tensor(row);
      optimizer.step();
      const state = optimizer.stateDict().state[0] as Readonly<Record<string, Tensor>>;
      const now = values(state.maxExpAvgSq as Tensor);
      assert.ok(now.every((v, i) => v >= (before[i] as number)));
      before = now;
    }
  },
  'CLM-118 AdaMax divides by the decayed maximum, and steps at most 1.01 η': () => {
    const g = noise(200, 2);
    const p = new Parameter(tensor([0, 0]));
    const optimizer = new optim.Adamax([p], { lr: 0.01, eps: 0 });
    let before = [0, 0];
    for (const [t, row] of g.entries()) {
      p.grad = tensor(row);
      optimizer.step();
      const u = values((optimizer.stateDict().state[0] as Readonly<Record<string, Tensor>>).expInf as Tensor);
      near(
        u,
        row.map((_, k) => Math.max(...range(t + 1).map((i) => 0.999 ** (t - i) * Math.abs((g[i] as number[])[k] as number)))),
        1e-12,
      );
      const now = values(p);
      assert.ok(now.every((v, k) => Math.abs(v - (before[k] as number)) <= 1.01 * 0.01));
      before = now;
    }
  },
  'CLM-119 AdaBelief strides where gradients are steady, and is Adam where they alternate': () => {
    const step = (make: Make, gradient: (t: number) => number): number => {
      const path = walk(make, [0], (t) => [gradient(t)], 200);
      return Math.abs(((path[199] as number[])[0] as number) - ((path[198] as number[])[0] as number));
    };
    const belief: Make = (p) => new optim.AdaBelief(p, { lr: 1e-3 });
    const adam: Make = (p) => new optim.Adam(p, { lr: 1e-3 });
    assert.ok(step(belief, () => 1) > 5 * step(adam, () => 1));
    const turn = (t: number): number => (t % 2 === 0 ? 1 : -1);
    near(step(belief, turn) / step(adam, turn), 1, 0.1);
  },
  'CLM-120 Lion moves every coordinate by η and keeps one average': () => {
    const p = new Parameter(tensor([1, 2, 3]));
    const optimizer = new optim.Lion([p], { lr: 0.25 });
    for (const row of noise(20, 2)) {
      const before = values(p);
      p.grad = tensor([...row, 0]);
      optimizer.step();
      const moved = values(p).map((v, i) => Math.abs(v - (before[i] as number)));
      near(moved, [0.25, 0.25, 0], 1e-14);
    }
    const tensors = (o: optim.Optimizer): number =>
      Object.values(o.stateDict().state[0] as object).filter((v) => typeof v === 'object' && (v as Tensor).size === 3).length;
    assert.equal(tensors(optimizer), 1);
    const adam = new optim.Adam([p], { lr: 0.1 });
    adam.step();
    assert.equal(tensors(adam), 2);
  },
  'CLM-122 lazy Adam leaves rows alone that are not used; Adam moves them once it has seen them': () => {
    const moved = (sparse: boolean): boolean => {
      const table = new nn.Embedding(10, 3, { sparse });
      const optimizer = sparse ? new optim.SparseAdam(table.parameters(), { lr: 0.1 }) : new optim.Adam(table.parameters(), { lr: 0.1 });
      const use = (row: number): void => {
        optimizer.zeroGrad();
        table
          .forward(tensor([row]).int())
          .square()
          .sum()
          .backward();
        optimizer.step();
      };
      use(4);
      const before = values(table.weight.select(0, 4));
      const untouched = values(table.weight.select(0, 7));
      for (let i = 0; i < 5; i++) use(2);
      assert.deepEqual(values(table.weight.select(0, 7)), untouched);
      return values(table.weight.select(0, 4)).some((v, i) => v !== before[i]);
    };
    assert.ok(!moved(true));
    assert.ok(moved(false));
  },
  'CLM-128 descent stays on the ridge of a saddle, noise leaves it': () => {
    const run = (sigma: number): number => {
      const kicks = noise(200, 1);
      const path = walk(
        (p) => new optim.SGD(p, { lr: 0.05 }),
        [1, 0],
        (t, [x, y]) => [2 * (x as number), -2 * (y as number) + sigma * ((kicks[t] as number[])[0] as number)],
        200,
      );
      return Math.abs(last(path)[1] as number);
    };
    assert.equal(run(0), 0);
    assert.ok(run(1e-3) > 1);
  },
  'CLM-129 schedules at their ends and middles': () => {
    const rates = (make: (o: optim.Optimizer) => optim.Scheduler, steps: number): number[] => {
      const optimizer = new optim.SGD([new Parameter(tensor([0]))], { lr: 1 });
      const schedule = make(optimizer);
      return range(steps + 1).map(() => {
        const rate = optimizer.paramGroups[0]?.lr as number;
        optimizer.step();
        schedule.step();
        return rate;
      });
    };
    const at = (r: readonly number[], i: number, want: number): void => near(r[i] as number, want, 1e-12);
    for (const v of rates((o) => new optim.ConstantLR(o, { factor: 1 }), 9)) near(v, 1, 0);
    const stepped = rates((o) => new optim.StepLR(o, 10), 25);
    at(stepped, 9, 1);
    at(stepped, 10, 0.1);
    at(stepped, 25, 0.01);
    at(
      rates((o) => new optim.ExponentialLR(o, 0.9), 7),
      7,
      0.9 ** 7,
    );
    const cosine = rates((o) => new optim.CosineAnnealingLR(o, 100, { etaMin: 0.2 }), 100);
    at(cosine, 50, 0.6);
    at(cosine, 100, 0.2);
    at(
      rates((o) => new optim.LinearDecayLR(o, 40), 40),
      20,
      0.5,
    );
    at(
      rates((o) => new optim.WarmupLR(o, 25), 30),
      0,
      1 / 25,
    );
    const llm = rates((o) => new optim.WarmupCosineLR(o, 100), 100);
    near(Math.max(...llm), 1, 1e-12);
    at(llm, 100, 0.1);
    const cycle = rates((o) => new optim.OneCycleLR(o, 2, { totalSteps: 100 }), 99);
    assert.equal(cycle.indexOf(Math.max(...cycle)), 29);
    at(cycle, 0, 2 / 25);
    at(cycle, 99, 2 / 25 / 1e4);
    const restarts = rates((o) => new optim.CosineAnnealingWarmRestarts(o, 10), 25);
    at(restarts, 10, 1);
    at(restarts, 5, 0.5);
  },
  'CLM-134 clipping by norm keeps the direction, by value turns it': () => {
    let [turned, clipped] = [0, 0];
    for (let i = 0; i < 100; i++) {
      const g = randn([6]).mul(3);
      const cosine = (other: Tensor): number =>
        value(g.mul(other).sum()) / Math.sqrt(value(g.square().sum()) * value(other.square().sum()));
      const p = new Parameter(randn([6]));
      p.grad = g.clone();
      const norm = value(clipGradNorm_([p], 1));
      near(norm, Math.sqrt(value(g.square().sum())), 1e-12);
      near(cosine(p.grad), 1, 1e-12);
      assert.ok(value(p.grad.square().sum()) <= 1 + 1e-12);
      p.grad = g.clone();
      clipGradValue_([p], 1);
      if (value(g.abs().max()) <= 1) continue;
      clipped++;
      if (cosine(p.grad) < 1 - 1e-12) turned++;
    }
    assert.ok(clipped > 50 && turned >= 0.9 * clipped);
  },
  'CLM-136 clipping does not help vanishing gradients': () => {
    const layers = range(6).map(() => new nn.Linear(8, 8));
    const x = randn([16, 8]);
    const loss = (): Tensor =>
      layers
        .reduce<Tensor>((h, layer) => layer.forward(h).sigmoid(), x)
        .square()
        .sum();
    const ratio = (): number => {
      const norms = [layers[0], layers[5]].map((layer) => Math.sqrt(value(((layer as nn.Linear).weight.grad as Tensor).square().sum())));
      return (norms[0] as number) / (norms[1] as number);
    };
    loss().backward();
    const before = ratio();
    clipGradNorm_(
      layers.flatMap((layer) => layer.parameters()),
      1e-3,
    );
    within(ratio() / before, 1 - 1e-12, 1 + 1e-12);
    within(before, 0, 1e-2);
  },
  'CLM-137 small gradients are lost in float16, kept by scaling, and kept in bfloat16': () => {
    const g = randn([20000]).mul(2.5).exp().mul(1e-7);
    const lost = (x: Tensor): number => value(x.eq(0).double().mean());
    within(lost(g.to('float16')), 0.2, 0.5);
    near(lost(g.mul(2 ** 14).to('float16')), 0, 1e-3);
    assert.equal(lost(g.to('bfloat16')), 0);
    const error = g.to('bfloat16').double().div(g).sub(1).abs().max();
    within(value(error), 0, 2 ** -8);
  },
});
