// Averages of weights, loss scaling, penalties, clipping by sample.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as cr from '../../dist/index.js';
import { manualSeed, noGrad, Parameter, type Tensor, tensor } from '../../dist/index.js';
import * as nn from '../../dist/nn/index.js';
import { BatchNorm1d, Embedding, LayerNorm, Linear, PReLU, Sequential } from '../../dist/nn/index.js';
import * as optim from '../../dist/optim/index.js';

const numbers = (t: Tensor | null | undefined): number[] => [...(t?.detach().reshape([-1]).toArray() ?? [])] as number[];
const close = (got: readonly number[], want: readonly number[], within = 1e-6): void => {
  assert.equal(got.length, want.length);
  got.forEach((g, i) => {
    assert.ok(Math.abs(g - (want[i] as number)) <= within * (1 + Math.abs(want[i] as number)), `element ${i} is ${g}, wanted ${want[i]}`);
  });
};

describe('averaged models', () => {
  const values = [3, -1, 4, 1, -5, 9];
  const run = (options: optim.AveragedModelOptions, wrap: (f: () => void) => () => void = (f) => f): number[] => {
    const model = new Linear(1, 1, { bias: false });
    const averaged = new optim.AveragedModel(model, options);
    const update = wrap(() => averaged.updateParameters(model));
    return values.map((v) => {
      noGrad(() => model.weight.fill_(v));
      update();
      return averaged.forward(tensor([[1]])).itemNow();
    });
  };
  const mean = values.map((_, i) => values.slice(0, i + 1).reduce((a, b) => a + b) / (i + 1));
  let last = values[0] as number;
  const ema = values.map((v, i) => {
    if (i > 0) last = 0.9 * last + 0.1 * v;
    return last;
  });

  test('equal weights', () => close(run({}), mean));
  test('exponential', () => close(run({ decay: 0.9 }), ema));
  test('by a function', () => {
    close(run({ avgFn: optim.getEmaAvgFn(0.9) }), ema);
    close(run({ multiAvgFn: optim.getEmaMultiAvgFn(0.9) }), ema);
    close(run({ multiAvgFn: optim.getSwaMultiAvgFn() }), run({ avgFn: optim.getSwaAvgFn() }));
    close(run({ avgFn: optim.getSwaAvgFn() }), mean);
  });
  test('compiled', () => {
    close(run({}, cr.compile), mean);
    close(run({ decay: 0.9 }, cr.compile), ema);
  });

  test('buffers are copied or averaged, counts are kept in the state, the model itself is not touched', () => {
    const model = new Sequential(new Linear(2, 3), new BatchNorm1d(3));
    const [copying, averaging] = [new optim.AveragedModel(model), new optim.AveragedModel(model, { useBuffers: true })];
    for (let i = 0; i < 3; i++) {
      model.forward(cr.randn([8, 2]));
      for (const a of [copying, averaging]) a.updateParameters(model);
    }
    const mean = (m: { stateDict(): ReadonlyMap<string, Tensor> }, key: string): number[] => numbers(m.stateDict().get(key));
    assert.deepEqual(mean(copying, 'module.1.runningMean'), mean(model, '1.runningMean'));
    assert.notDeepEqual(mean(averaging, 'module.1.runningMean'), mean(model, '1.runningMean'));
    assert.deepEqual(mean(copying, 'nAveraged'), [3]);
    const again = new optim.AveragedModel(model);
    again.loadStateDict(copying.stateDict());
    noGrad(() => model.parameters().forEach((p) => void p.fill_(0)));
    again.updateParameters(model);
    close(
      numbers(again.module.parameters()[0]),
      numbers(copying.module.parameters()[0]).map((v) => v * 0.75),
    );
  });

  test('updateBn measures the statistics of a whole pass', async () => {
    manualSeed(7);
    const model = new Sequential(new Linear(2, 3), new BatchNorm1d(3));
    model.forward(cr.randn([4, 2]).mul(100));
    model.eval();
    const batches = [1, 2, 3].map(() => cr.randn([6, 2]));
    await optim.updateBn(
      batches.map((b) => [b, null]),
      model,
    );
    const norm = model.modules().find((m) => (m as object) instanceof BatchNorm1d) as unknown as BatchNorm1d;
    const hidden = batches.map((b) => (model.modules().find((m) => (m as object) instanceof Linear) as unknown as Linear).forward(b));
    close(numbers(norm.runningMean), numbers(cr.stack(hidden.map((h) => h.mean({ dim: 0 }))).mean({ dim: 0 })), 1e-5);
    assert.deepEqual([norm.momentum, norm.training, norm.numBatchesTracked?.itemNow()], [0.1, false, 3]);
  });
});

describe('GradScaler', () => {
  const setup = (options: optim.GradScalerOptions = {}) => {
    const w = new Parameter(tensor([1, 2]));
    const optimizer = new optim.SGD([w], { lr: 0.5 });
    const scaler = new optim.GradScaler({ initScale: 8, growthInterval: 2, ...options });
    const step = (scale = 1): boolean => {
      optimizer.zeroGrad();
      scaler.scale(w.square().sum().mul(scale)).backward();
      const stepped = scaler.step(optimizer);
      scaler.update();
      return stepped;
    };
    return { w, optimizer, scaler, step };
  };

  test('steps as without scaling, grows after clean steps, backs off and skips on overflow', () => {
    const { w, scaler, step } = setup();
    assert.equal(step(), true);
    assert.deepEqual([numbers(w), scaler.getScale()], [[0, 0], 8]);
    step();
    assert.equal(scaler.getScale(), 16);
    noGrad(() => w.fill_(3));
    assert.equal(step(Number.POSITIVE_INFINITY), false);
    assert.deepEqual([numbers(w), scaler.getScale()], [[3, 3], 8]);
  });

  test('unscale_ comes before clipping, once', () => {
    const { w, optimizer, scaler } = setup();
    scaler.scale(w.square().sum()).backward();
    assert.deepEqual(numbers(w.grad), [16, 32]);
    scaler.unscale_(optimizer);
    assert.deepEqual(numbers(w.grad), [2, 4]);
    assert.throws(() => scaler.unscale_(optimizer), /unscale_ may be called once/);
    scaler.step(optimizer);
    scaler.update();
    assert.throws(() => scaler.update(), /update must come after step/);
  });

  test('a compiled forward and backward follow the scale', () => {
    const { w, optimizer, scaler } = setup();
    const pass = cr.compile(() => {
      optimizer.zeroGrad();
      scaler.scale(w.mul(3).sum()).backward();
    });
    for (const scale of [8, 32, 2]) {
      scaler.update(scale);
      pass();
      assert.deepEqual(numbers(w.grad), [3 * scale, 3 * scale]);
    }
    assert.throws(() => cr.compile(() => scaler.step(optimizer))(), /not known while compile\(\) is capturing/);
  });

  test('static, disabled, saved', () => {
    const fixed = setup({ dynamic: false });
    for (let i = 0; i < 5; i++) fixed.step();
    assert.equal(fixed.scaler.getScale(), 8);
    const off = setup({ enabled: false });
    off.step();
    assert.deepEqual([numbers(off.w), off.scaler.getScale()], [[0, 0], 1]);
    const other = new optim.GradScaler();
    other.loadStateDict(fixed.scaler.stateDict());
    assert.equal(other.getScale(), 8);
    assert.throws(() => new optim.GradScaler({ growthFactor: 1 }), /growthFactor must be a finite number > 1, got 1/);
  });
});

describe('penalties', () => {
  test('decay groups leave biases, norms, slopes and, if asked, embeddings alone', () => {
    const [table, linear, norm, slope] = [new Embedding(4, 3), new Linear(3, 2), new LayerNorm(2), new PReLU()];
    const model = new Sequential(table, linear, norm, slope);
    const shapes = (options: optim.DecayGroupsOptions): unknown =>
      optim.decayGroups(model, options).map((g) => [g.weightDecay, g.params.map((p) => p.shape.join('x'))]);
    assert.deepEqual(shapes({ weightDecay: 0.1 }), [
      [0.1, ['4x3', '2x3']],
      [0, ['2', '2', '2', '1']],
    ]);
    assert.deepEqual(shapes({ excludeEmbeddings: true })?.[0 as never], [0.01, ['2x3']]);
    assert.deepEqual((shapes({ exclude: (name) => name.startsWith('1.') }) as unknown[][])[0], [0.01, ['4x3']]);
    new optim.AdamW(optim.decayGroups(model), { lr: 1e-3 });
  });

  test('L1 and L2 and their gradients; zero at zero', () => {
    const w = new Parameter(tensor([-2, 0, 3]));
    const l1 = nn.l1Penalty([w], 0.5);
    assert.equal(l1.itemNow(), 2.5);
    l1.backward();
    assert.deepEqual(numbers(w.grad), [-0.5, 0, 0.5]);
    w.grad = null;
    const l2 = nn.l2Penalty([w], 0.5);
    assert.equal(l2.itemNow(), 3.25);
    l2.backward();
    assert.deepEqual(numbers(w.grad), [-1, 0, 1.5]);
  });

  test('only the proximal step makes weights exactly zero (lasso)', () => {
    manualSeed(1);
    const x = cr.randn([60, 8], { dtype: 'float64' });
    const truth = tensor([[2], [-3], [0], [0], [0], [0], [0], [0]], { dtype: 'float64' });
    const y = x.matmul(truth);
    const fit = (proximal: boolean): Parameter => {
      const w = new Parameter(cr.randn([8, 1], { dtype: 'float64' }));
      const optimizer = new optim.SGD([w], { lr: 0.05 });
      const step = cr.compile(() => {
        optimizer.zeroGrad();
        const loss = x.matmul(w).sub(y).square().mean().div(2);
        (proximal ? loss : loss.add(nn.l1Penalty([w], 0.1))).backward();
        optimizer.step();
        if (proximal) optim.proximalL1_(optimizer, 0.1);
      });
      for (let i = 0; i < 400; i++) step();
      return w;
    };
    const [near, exact] = [fit(false), fit(true)];
    assert.equal(optim.sparsityOf([near]).zeros, 0);
    assert.deepEqual(optim.sparsityOf([exact]), { zeros: 6, total: 8, sparsity: 0.75 });
    assert.equal(optim.sparsityOf([near], { threshold: 0.05 }).zeros, 6);
    assert.ok((numbers(exact)[0] as number) > 1.5);
  });

  test('max-norm limits each unit by itself', () => {
    const w = new Parameter(
      tensor([
        [3, 4],
        [0.3, 0.4],
        [0, 0],
      ]),
    );
    optim.maxNorm_([w, new Parameter(tensor([9]))], 2);
    close(numbers(w), [1.2, 1.6, 0.3, 0.4, 0, 0]);
    const columns = new Parameter(
      tensor([
        [3, 0.3],
        [4, 0.4],
      ]),
    );
    optim.maxNorm_([columns], 2, { dim: 1 });
    close(numbers(columns), [1.2, 0.3, 1.6, 0.4]);
  });
});

describe('clipping by sample', () => {
  test('the mean of gradients that were clipped one by one', () => {
    const w = new Parameter(tensor([1, 1]));
    const x = tensor([
      [3, 4],
      [0.3, 0.4],
      [0, 0],
    ]);
    const norms = optim.clipPerSample_([w], x.mul(w).sum({ dim: 1 }), 1);
    close(numbers(norms), [5, 0.5, 0]);
    close(numbers(w.grad), [(0.6 + 0.3) / 3, (0.8 + 0.4) / 3], 1e-5);
    assert.throws(() => optim.clipPerSample_([w], w.sum(), 1), /one loss for each sample/);
  });
});
