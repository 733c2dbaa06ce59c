// Training procedures: divergence, float16, anomaly hunting, fine-tuning, continual and meta-learning, adversarial and greedy training.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { blobs, fewShotSines, TensorDataset } from '../../dist/data/index.js';
import { crossEntropy, manualSeed, mseLoss, randn, type Tensor, tensor } from '../../dist/index.js';
import { applyLoRA, BatchNorm1d, Linear, type Module, Parameter, ReLU, Sequential, Tanh } from '../../dist/nn/index.js';
import { Adam, CosineAnnealingWarmRestarts, SGD, StepLR } from '../../dist/optim/index.js';
import { formatMlpTrace, type MlpLayer, mlpStep, mlpTrace } from '../../dist/testing/index.js';
import {
  adapt,
  adversarialTraining,
  biasOnly,
  continualLearning,
  discriminativeRates,
  type FitOptions,
  fit,
  freezeBatchNorm,
  gradualUnfreezing,
  greedyPretraining,
  headOnly,
  metaLearning,
  type StepEvent,
  type TrainEvent,
} from '../../dist/train/index.js';

const says = (phrase: RegExp) => (error: Error) => error.name === 'LibError' && phrase.test(error.message);
const list = (t: Tensor): number[] => [...t.toArray()];
const weightsOf = (model: Module): number[] => [...model.stateDict().values()].flatMap(list);
const data = blobs({ samples: 64, centers: 3, seed: 5 });
const set = new TensorDataset(data.x, data.y);
const net = (): Sequential => new Sequential(new Linear(2, 8), new ReLU(), new Linear(8, 3));

function options(model: Module, events: TrainEvent[], extra: Partial<FitOptions> = {}): FitOptions {
  const optimizer = new SGD(model.parameters(), { lr: 0.05, momentum: 0.9 });
  return { model, train: set, loss: crossEntropy, optimizer, batchSize: 8, epochs: 6, seed: 1, onEvent: (e) => events.push(e), ...extra };
}
const steps = (events: readonly TrainEvent[]): StepEvent[] => events.filter((e) => e.type === 'step');

describe('divergence', () => {
  /** A loss that is `factor` times too large in some of its calls. */
  const broken = (calls: readonly number[], factor: number) => {
    let call = 0;
    return (y: Tensor, t: Tensor): Tensor => crossEntropy(y, t).mul(calls.includes(++call) ? factor : 1);
  };
  test('stops at NaN and after several losses far above the median, not after one', async () => {
    for (const [calls, factor, stops] of [
      [[20], Number.NaN, 20],
      [[20, 21, 22], 1e4, 22],
      [[20, 22, 24], 50, null],
    ] as const) {
      const events: TrainEvent[] = [];
      const model = net();
      const optimizer = new SGD(model.parameters(), { lr: 1e-4 });
      const result = await fit(options(model, events, { loss: broken(calls, factor), optimizer, divergence: 'stop', compile: false }));
      assert.equal(result.steps, stops ?? 48, result.stopped);
      assert.match(result.stopped, stops === null ? /finished/ : /the loss (became NaN|was above 10 times its median)/);
    }
  });
  for (const compile of [false, true]) {
    test(`goes back to good weights with smaller rates, and says so (compile ${compile})`, async () => {
      const events: TrainEvent[] = [];
      manualSeed(3);
      const model = net();
      const optimizer = new SGD(model.parameters(), { lr: 0.05, momentum: 0.9 });
      // Far too large a rate from step 25 on.
      const schedule = Object.assign(new StepLR(optimizer, 24, { gamma: 1e6 }), { unit: 'batch' as const });
      const result = await fit(
        options(model, events, {
          optimizer,
          schedule,
          divergence: { action: 'restore', lrFactor: 1e-4, maxRestores: 5 },
          epochs: 5,
          compile,
        }),
      );
      const notes = events.filter((e) => e.type === 'note' && e.level === 'warning').map((e) => (e.type === 'note' ? e.text : ''));
      assert.ok(
        notes.length >= 1 && /back to the state of step \d+ with learning rates times 0.0001/.test(notes[0] as string),
        notes.join('\n'),
      );
      assert.equal(result.stopped, 'finished');
      assert.ok(weightsOf(model).every(Number.isFinite));
      const rates = steps(events).map((e) => e.lr[0] as number);
      assert.ok((rates.at(-1) as number) < Math.max(...rates) / 100);
      assert.ok(
        steps(events)
          .slice(-5)
          .every((e) => e.loss < 2),
      );
    });
  }
  test('by default warns once a level and goes on; losses below zero are judged by their distance', async () => {
    const [events, quiet]: TrainEvent[][] = [[], []];
    const warnings = (of: readonly TrainEvent[] = []): number => of.filter((e) => e.type === 'note' && e.level === 'warning').length;
    const range = Array.from({ length: 29 }, (_, i) => 20 + i);
    const model = net();
    const optimizer = new SGD(model.parameters(), { lr: 1e-4 });
    const result = await fit(options(model, events as TrainEvent[], { loss: broken(range, 1e3), optimizer, compile: false }));
    assert.deepEqual([result.stopped, warnings(events)], ['finished', 1]);
    const below = (y: Tensor, t: Tensor): Tensor => crossEntropy(y, t).sub(5);
    const other = new SGD(model.parameters(), { lr: 1e-4 });
    const calm = await fit(options(model, quiet as TrainEvent[], { loss: below, optimizer: other, divergence: 'stop' }));
    assert.deepEqual([calm.stopped, warnings(quiet)], ['finished', 0]);
  });
  test('warm restarts are noted', async () => {
    const events: TrainEvent[] = [];
    const model = net();
    const optimizer = new SGD(model.parameters(), { lr: 1e-3 });
    const schedule = new CosineAnnealingWarmRestarts(optimizer, 10, { tMult: 2 }).per('batch');
    await fit(options(model, events, { optimizer, schedule }));
    const at = events.flatMap((e) => (e.type === 'note' && /begins anew/.test(e.text) ? [e.step] : []));
    assert.deepEqual(at.length, 2, `${at}`);
  });
  test('gives up after so many returns; options are checked', async () => {
    const events: TrainEvent[] = [];
    const model = net();
    const loss = (y: Tensor, t: Tensor): Tensor => crossEntropy(y, t).mul(Number.NaN);
    const result = await fit(options(model, events, { loss, divergence: { action: 'restore', maxRestores: 2 } }));
    assert.match(result.stopped, /became NaN/);
    assert.equal(events.filter((e) => e.type === 'note' && /back to the state/.test(e.text)).length, 2);
    await assert.rejects(fit(options(model, [], { divergence: { factor: 1 } })), says(/divergence: factor must be/));
    await assert.rejects(
      fit(options(model, [], { divergence: 'go on' as never })),
      says(/divergence must be 'note', 'restore' or 'stop' or options/),
    );
  });
});

describe('fit: float16 and anomalies', () => {
  test('float16 learns as float32 does, compiled or not, with clipping; overflows skip steps and halve the scale', async () => {
    const final: number[] = [];
    for (const extra of [{}, { precision: 'float16' }, { precision: 'float16', compile: false }] as const) {
      const events: TrainEvent[] = [];
      manualSeed(8);
      const model = net();
      const optimizer = new SGD(model.parameters(), { lr: 0.05, momentum: 0.9 });
      await fit(
        options(model, events, { optimizer, clipGradNorm: 1, ...extra, ...('precision' in extra && { gradScaler: { initScale: 1024 } }) }),
      );
      final.push(steps(events).at(-1)?.loss as number);
      assert.ok(
        steps(events).every((e) => (e.gradNorm as number) < 100),
        'norms are those of unscaled gradients',
      );
      assert.ok(model.parameters().every((p) => p.dtype === 'float32'));
    }
    const [exact = 0, ...halves] = final;
    for (const h of halves) assert.ok(Math.abs(h - exact) < 0.02 + 0.1 * exact, `${final}`);
    const model = net();
    const before = weightsOf(model);
    await fit(options(model, [], { precision: 'float16', gradScaler: { initScale: 2 ** 120 }, epochs: 1 }));
    assert.deepEqual(weightsOf(model), before);
    await assert.rejects(
      fit(options(model, [], { precision: 'float8' as never })),
      says(/precision must be 'bfloat16', 'float16' or 'float32'/),
    );
  });
  test('detectAnomaly names module and step', async () => {
    const model = net();
    let call = 0;
    const loss = (y: Tensor, t: Tensor): Tensor => (++call === 3 ? y.sub(y).log().sum() : crossEntropy(y, t));
    await assert.rejects(fit(options(model, [], { loss, detectAnomaly: true })), says(/got Infinity from log at step 3/));
  });
});

describe('fine-tuning', () => {
  const model = (): Sequential => new Sequential(new Linear(2, 8), new BatchNorm1d(8), new ReLU(), new Linear(8, 3));
  const part = (m: Module, of: RegExp): number[] => [...m.stateDict()].filter(([name]) => of.test(name)).flatMap(([, t]) => list(t));
  const [first = '', norm = '', last = ''] = [...model().namedChildren()].map(([name]) => name).filter((_, i) => i !== 2);
  const inside = (name: string): RegExp => new RegExp(`^${name.replace('.', '\\.')}\\.`);

  test('head only, biases only, frozen batch norm: the rest is bit-identical', async () => {
    const a = model();
    const before = part(a, inside(first));
    freezeBatchNorm(a);
    const norms = part(a, inside(norm));
    await fit(options(a, [], { optimizer: new SGD(headOnly(a, last), { lr: 0.1 }), epochs: 1 }));
    assert.deepEqual(part(a, inside(first)), before);
    assert.deepEqual(part(a, inside(norm)), norms);
    const b = model();
    const weights = part(b, /weight$/);
    const biases = part(b, /bias$/);
    await fit(options(b, [], { optimizer: new SGD(biasOnly(b), { lr: 0.1 }), epochs: 1 }));
    assert.deepEqual(part(b, /weight$/), weights);
    assert.notDeepEqual(part(b, /bias$/), biases);
    assert.throws(() => headOnly(b, 'nowhere'), says(/paths must be modules of the model/));
  });
  test('discriminative rates: every parameter once, smaller towards the input', () => {
    const m = model();
    const groups = discriminativeRates(m, [first, last], { lr: 0.1, decay: 0.5 });
    assert.deepEqual(
      groups.map((g) => g.lr),
      [0.05, 0.1],
    );
    const all = groups.flatMap((g) => g.params);
    assert.equal(new Set(all).size, all.length);
    assert.equal(all.length, m.parameters().length);
    new SGD(groups, { lr: 0.1 });
    assert.throws(() => discriminativeRates(m, [first], { lr: 1, decay: 2 }), says(/decay must be in/));
  });
  for (const compile of [false, true]) {
    test(`gradual unfreezing opens one part an epoch (compile ${compile})`, async () => {
      const m = model();
      const states: boolean[][] = [];
      const watch = {
        name: 'watch',
        onEpoch: () => void states.push([first, last].map((p, i) => part(m, inside(p)).some((v, j) => v !== start[i]?.[j]))),
      };
      const start = [first, last].map((p) => part(m, inside(p)));
      await fit(options(m, [], { callbacks: [watch, gradualUnfreezing([first, last])], epochs: 3, compile }));
      assert.deepEqual(states, [[false, true], [true, true], [true, true]]); // biome-ignore format: a table
    });
  }
});

describe('continual learning', () => {
  /** The second task has its classes where the first has others: both can be learned, together. */
  const task = (sign: number) => {
    const { x, y } = blobs({ samples: 90, centers: 3, seed: 1, std: 1.5 });
    const cut = (from: number, count: number) => ({ x: x.narrow(0, from, count).mul(sign), y: y.narrow(0, from, count) });
    return { train: cut(0, 60), test: cut(60, 30) };
  };
  test('R[i][j], forgetting, and less of it with replay or EWC', async () => {
    const forgot: Record<string, number> = {};
    for (const strategy of ['none', 'replay', 'ewc'] as const) {
      manualSeed(2);
      const model = new Sequential(new Linear(2, 32), new ReLU(), new Linear(32, 3));
      const { accuracy, forgetting, averageAccuracy } = await continualLearning({
        model,
        tasks: [task(1), task(-1)],
        optimizer: (p) => new Adam(p, { lr: 0.02 }),
        strategy,
        epochs: 8,
        lambda: 1e6, // sure predictions have little Fisher information
      });
      assert.ok((accuracy[0]?.[0] as number) > 0.85, `${strategy}: ${accuracy}`);
      assert.ok(Math.abs(forgetting - ((accuracy[0]?.[0] as number) - (accuracy[1]?.[0] as number))) < 1e-9);
      assert.ok(Math.abs(averageAccuracy - ((accuracy[1]?.[0] as number) + (accuracy[1]?.[1] as number)) / 2) < 1e-9);
      forgot[strategy] = forgetting;
    }
    assert.ok((forgot.none as number) > 0.5, JSON.stringify(forgot));
    for (const s of ['replay', 'ewc']) assert.ok((forgot[s] as number) < (forgot.none as number) - 0.2, JSON.stringify(forgot));
    await assert.rejects(continualLearning({ model: net(), tasks: [task(1)], optimizer: (p) => new SGD(p, { lr: 1 }) }), says(/two tasks/));
  });
  test('LoRA: the base weights stay bit-identical', async () => {
    const model = new Sequential(new Linear(2, 8), new ReLU(), new Linear(8, 3));
    const base = model.parameters().map(list);
    const own = model.parameters();
    applyLoRA(model, { r: 2 });
    await continualLearning({ model, tasks: [task(1), task(-1)], optimizer: (p) => new SGD(p, { lr: 0.1 }), strategy: 'lora', epochs: 2 });
    assert.deepEqual(own.map(list), base);
  });
});

describe('several models, several objectives', () => {
  test('MAML: second derivatives change the meta-gradient; adapting goes further than before', () => {
    manualSeed(6);
    const model = new Sequential(new Linear(1, 16), new Tanh(), new Linear(16, 1));
    const [sine] = fewShotSines({ tasks: 1, seed: 3 });
    const metaGradient = (firstOrder: boolean): number[] => {
      const { support, query } = sine as NonNullable<typeof sine>;
      model.zeroGrad();
      metaLearning({
        model,
        tasks: () => [{ support, query }],
        optimizer: new SGD(model.parameters(), { lr: 0 }),
        steps: 1,
        innerLr: 0.05,
        firstOrder,
      });
      return model.parameters().flatMap((p) => list(p.grad as Tensor));
    };
    const [full, first] = [metaGradient(false), metaGradient(true)];
    assert.ok(full.some((g, i) => Math.abs(g - (first[i] as number)) > 1e-4));
    const losses = metaLearning({
      model,
      tasks: (step) => fewShotSines({ tasks: 4, seed: 100 + step }),
      optimizer: new Adam(model.parameters(), { lr: 0.01 }),
      steps: 120,
    });
    const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;
    assert.ok(mean(losses.slice(-30)) < 0.85 * mean(losses.slice(0, 10)), `${mean(losses.slice(0, 10))} to ${mean(losses.slice(-30))}`);
    const before = weightsOf(model);
    adapt(model, (sine as NonNullable<typeof sine>).support, { innerSteps: 3 });
    assert.deepEqual(weightsOf(model), before);
    assert.throws(() => adapt(model, { x: randn([1, 1]), y: randn([1, 1]) }, { innerSteps: 0 }), says(/innerSteps/));
  });
  test('a GAN: each optimizer moves its own model, and the samples go where the data are', () => {
    manualSeed(1);
    const generator = new Sequential(new Linear(2, 16), new ReLU(), new Linear(16, 1));
    const discriminator = new Sequential(new Linear(1, 16), new ReLU(), new Linear(16, 1));
    const real = (): Tensor => randn([64, 1]).mul(0.3).add(4);
    const history = adversarialTraining({
      generator,
      discriminator,
      generatorOptimizer: new Adam(generator.parameters(), { lr: 0.01, betas: [0.5, 0.999] }),
      discriminatorOptimizer: new Adam(discriminator.parameters(), { lr: 0.01, betas: [0.5, 0.999] }),
      real,
      latent: 2,
      steps: 400,
    });
    assert.equal(history.length, 400);
    const mean = generator
      .forward(randn([500, 2]))
      .mean()
      .itemNow();
    assert.ok(Math.abs(mean - 4) < 1.2, `${mean}`);
  });
  test('greedy pretraining: each layer learns to give back its input', async () => {
    manualSeed(1);
    const x = randn([128, 3]).matmul(randn([3, 8]));
    const layers = [new Linear(8, 5), new Linear(5, 3)];
    const decoders = [new Linear(5, 8), new Linear(3, 5)];
    const losses = await greedyPretraining({
      layers,
      decoders,
      data: x,
      optimizer: (l, d) => new Adam([...l.parameters(), ...d.parameters()], { lr: 0.02 }),
      steps: 150,
      loss: mseLoss,
    });
    for (const l of losses) assert.ok((l.at(-1) as number) < 0.2 * (l[0] as number), `${l[0]} to ${l.at(-1)}`);
    await assert.rejects(greedyPretraining({ layers, decoders: [], data: x, optimizer: () => { throw new Error(); }, steps: 1 }), says(/must have a decoder/)); // biome-ignore format: short
  });
});

test('the reference network and autograd agree: losses, error signals, gradients and 20 steps of training', () => {
  manualSeed(12);
  const sizes = [3, 5, 4, 3];
  const linears = sizes.slice(1).map((n, i) => new Linear(sizes[i] as number, n));
  const x = randn([7, 3], { dtype: 'float64' });
  const y = [0, 1, 2, 0, 1, 2, 2];
  const params = linears.map(
    (l) =>
      [new Parameter(l.weight.detach().to('float64').clone()), new Parameter((l.bias as Tensor).detach().to('float64').clone())] as const,
  );
  let layers: MlpLayer[] = params.map(([w, b]) => ({ weight: w.tolist() as number[][], bias: b.tolist() as number[] }));
  const optimizer = new SGD(params.flat(), { lr: 0.3 });
  const close = (a: readonly number[], b: readonly number[]): void =>
    a.forEach((v, i) => assert.ok(Math.abs(v - (b[i] as number)) < 1e-12, `${v} and ${b[i]}`));
  for (let step = 0; step < 20; step++) {
    const trace = mlpTrace(layers, x.tolist() as number[][], y);
    const signals: Tensor[] = [];
    let a: Tensor = x;
    for (const [l, [w, b]] of params.entries()) {
      const z = a.matmul(w.transpose(0, 1)).add(b);
      z.retainGrad();
      signals.push(z);
      a = l + 1 < params.length ? z.relu() : z;
    }
    optimizer.zeroGrad();
    const loss = crossEntropy(a, tensor(Int32Array.from(y)));
    loss.backward();
    close([trace.loss], [loss.itemNow()]);
    for (const [l, [w, b]] of params.entries()) {
      close((trace.deltas[l] as number[][]).flat(), list(signals[l]?.grad as Tensor));
      close((trace.gradients[l] as MlpLayer).weight.flat(), list(w.grad as Tensor));
      close((trace.gradients[l] as MlpLayer).bias, list(b.grad as Tensor));
    }
    optimizer.step();
    layers = mlpStep(layers, trace.gradients, 0.3);
    close(
      layers.flatMap((l) => l.weight.flat()),
      params.flatMap(([w]) => list(w)),
    );
    if (step === 0) assert.match(formatMlpTrace(trace), /layer 1: a = .*\n {9}z = [\s\S]*softmax: [\s\S]*loss: \d/);
  }
});
