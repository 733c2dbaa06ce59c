// Experiments as measurements: intervals, cross-validation, search, curves, decompositions and the lock on the test set.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { blobs, labelNoise, Standardizer, TensorDataset } from '../../dist/data/index.js';
import { crossEntropy, manualSeed, randn, type Tensor, tensor } from '../../dist/index.js';
import { Linear, ReLU, Sequential } from '../../dist/nn/index.js';
import { SGD } from '../../dist/optim/index.js';
import {
  accuracy,
  biasVariance,
  comparePaired,
  crossValidate,
  estimate,
  experiment,
  fitScalingLaw,
  GaussianProcess,
  gridOf,
  growModel,
  learningCurve,
  overSeeds,
  scalingExtrapolation,
  search,
  searchExperiment,
  studentCdf,
  studentQuantile,
  suspiciousLabels,
  sweep,
  TestLock,
  type TestUse,
} from '../../dist/train/index.js';

const says = (phrase: RegExp) => (error: Error) => error.name === 'LibError' && phrase.test(error.message);
const near = (a: number, b: number, by: number): void => assert.ok(Math.abs(a - b) <= by, `${a} and ${b}`);

describe('intervals', () => {
  test("Student's distribution: tables, symmetry, density integrated", () => {
    for (const [p, n, t] of [
      [0.975, 1, 12.7062],
      [0.975, 4, 2.77645],
      [0.95, 10, 1.81246],
      [0.995, 30, 2.75],
    ] as const) {
      near(studentQuantile(p, n), t, 1e-4);
      near(studentQuantile(1 - p, n), -t, 1e-4);
      near(studentCdf(studentQuantile(p, n), n), p, 1e-12);
    }
    const wholes = { 1: Math.PI, 2: 2 * Math.SQRT2 }; // integrals of the density without its factor
    for (const n of [1, 2] as const) {
      const density = (t: number): number => (1 + (t * t) / n) ** (-(n + 1) / 2);
      const cells = Array.from({ length: 20000 }, (_, i) => density(((i + 0.5) / 20000) * 1.5));
      const area = (cells.reduce((a, b) => a + b, 0) * 1.5) / 20000;
      near(studentCdf(1.5, n), 0.5 + area / wholes[n], 1e-8);
    }
    assert.throws(() => studentQuantile(1, 3), says(/p must be in/));
  });
  test('95 of 100 intervals hold the mean', () => {
    manualSeed(4);
    const draws = [...randn([5000]).add(3).toArray()];
    let held = 0;
    for (let i = 0; i < 1000; i++) {
      const { interval } = estimate(draws.slice(5 * i, 5 * i + 5));
      held += Number(interval[0] <= 3 && 3 <= interval[1]);
    }
    near(held / 1000, 0.95, 0.02);
    assert.throws(() => estimate([]), says(/there must be values/));
    assert.ok(Number.isNaN(estimate([1]).std));
  });
  test('paired comparison takes out what the seeds share', async () => {
    const shared = [1, 5, 9, 13, 2];
    const [a, b] = [shared.map((v, i) => v + 0.1 * (i % 2)), shared.map((v) => v - 0.5)];
    const paired = comparePaired(a, b);
    assert.ok(paired.differs && paired.p < 0.001);
    near(paired.mean, 0.54, 1e-9);
    assert.ok(!comparePaired([1, 2, 3], [1.1, 1.9, 3.05]).differs);
    assert.throws(() => comparePaired([1], [1]), says(/two at least/));
    const seen: number[] = [];
    const { loss } = await overSeeds((seed) => ({ loss: seed * seed }), { seeds: [3, 4], onRun: (s) => seen.push(s) });
    assert.deepEqual([loss?.mean, seen], [12.5, [3, 4]]);
    await assert.rejects(
      overSeeds(() => ({}), { seeds: [1, 1] }),
      says(/two different seeds/),
    );
  });
});

const data = blobs({ samples: 90, centers: 3, seed: 2 });
const recipe = {
  model: () => new Sequential(new Linear(2, 8), new ReLU(), new Linear(8, 3)),
  loss: crossEntropy,
  optimizer: (m: Sequential) => new SGD(m.parameters(), { lr: 0.1, momentum: 0.9 }),
  metrics: [accuracy()],
  batchSize: 16,
  epochs: 4,
} as const;

describe('cross-validation', () => {
  test('scores of each fold, out-of-fold outputs in the order of the items, the same for the same seed', async () => {
    const dataset = new TensorDataset(data.x, data.y);
    const run = () =>
      crossValidate({
        ...recipe,
        optimizer: (m) => new SGD(m.parameters(), { lr: 0.1, momentum: 0.9 }),
        dataset,
        k: 3,
        repeats: 2,
        stratify: data.y,
        seed: 1,
        prepare: ({ train, validation }) => {
          const rows = (d: typeof train): Tensor[] => d.getBatch?.(Int32Array.from({ length: d.length }, (_, i) => i)) as Tensor[];
          const s = new Standardizer().fit(rows(train)[0] as Tensor);
          const scaled = (d: typeof train) => new TensorDataset(s.transform(rows(d)[0] as Tensor), rows(d)[1] as Tensor);
          return { train: scaled(train), validation: scaled(validation) };
        },
      });
    const result = await run();
    assert.equal(result.folds.length, 6);
    assert.deepEqual(result.outOfFold.shape, [90, 3]);
    const right = result.outOfFold.argmax({ dim: 1 }).eq(data.y).to('float32').mean().itemNow();
    const first = result.folds.filter((f) => f.repeat === 0);
    near(right, first.reduce((s, f) => s + (f.scores.accuracy as number) * f.validation.length, 0) / 90, 1e-6);
    assert.ok(right > 0.9);
    near(result.scores.accuracy?.mean as number, result.folds.reduce((s, f) => s + (f.scores.accuracy as number), 0) / 6, 1e-12);
    assert.deepEqual((await run()).outOfFold.toArray(), result.outOfFold.toArray());
  });
  test('wrong labels are among the most suspicious ones', async () => {
    const { noisy, flipped } = labelNoise(data.y, { rate: 0.1, seed: 3 });
    const { outOfFold } = await crossValidate({
      ...recipe,
      optimizer: (m) => new SGD(m.parameters(), { lr: 0.1 }),
      dataset: new TensorDataset(data.x, tensor(noisy)),
      k: 3,
      seed: 0,
    });
    const worst = suspiciousLabels(outOfFold, noisy).slice(0, 9);
    const found = worst.filter(({ index }) => flipped[index]);
    assert.ok(found.length >= 7, `${found.length} of 9`);
    assert.ok(found.every(({ index, predicted }) => predicted === data.y.toArray()[index]));
    assert.throws(() => suspiciousLabels(outOfFold, [1]), says(/a label each/));
  });
});

describe('search', () => {
  const bowl = (p: Readonly<Record<string, unknown>>): number =>
    (Math.log10(p.lr as number) + 2) ** 2 + ((p.width as number) - 20) ** 2 / 400;
  const space = { lr: { low: 1e-5, high: 1, log: true }, width: { low: 4, high: 64, integer: true } } as const;
  test('grids hold all combinations; too large ones are refused', async () => {
    const points = gridOf({ a: [1, 2], b: { low: 1, high: 100, log: true }, c: ['x'] });
    assert.deepEqual(
      points.map((p) => [p.a, Math.round(p.b as number), p.c]),
      [1, 2].flatMap((a) => [1, 10, 100].map((b) => [a, b, 'x'])),
    );
    await assert.rejects(search(bowl, space, { method: 'grid', trials: 4 }), says(/grid must fit into the budget, got 9 points for 4/));
    assert.equal((await search(bowl, space, { method: 'grid', trials: 9 })).trials.length, 9);
  });
  test('random draws are log-uniform and repeatable, within the budget', async () => {
    const { trials } = await search(bowl, space, { trials: 200, seed: 1 });
    assert.equal(trials.length, 200);
    for (const decade of [1e-5, 1e-4, 1e-3, 1e-2, 1e-1]) {
      const inside = trials.filter((t) => (t.point.lr as number) >= decade && (t.point.lr as number) < 10 * decade).length;
      assert.ok(inside > 20 && inside < 62, `${inside} from ${decade}`);
    }
    assert.ok(trials.every((t) => Number.isInteger(t.point.width) && (t.point.width as number) >= 4 && (t.point.width as number) <= 64));
    assert.deepEqual(
      (await search(bowl, space, { trials: 5, seed: 1 })).trials.map((t) => t.point),
      trials.slice(0, 5).map((t) => t.point),
    );
  });
  test('expected improvement needs fewer trials than chance, over seeds; what diverges does not stop it', async () => {
    let [wins, ties] = [0, 0];
    for (let seed = 0; seed < 8; seed++) {
      const value = async (method: 'random' | 'bayesian') =>
        (await search((p) => ((p.lr as number) > 0.3 ? Number.NaN : bowl(p)), space, { method, trials: 20, seed })).best.value;
      const [random, bayesian] = [await value('random'), await value('bayesian')];
      wins += Number(bayesian < random);
      ties += Number(bayesian === random);
      assert.ok(bayesian < 0.1, `${bayesian}`);
    }
    assert.ok(wins + ties >= 7, `${wins} wins`);
    const { best } = await search((p) => -bowl(p), space, { method: 'bayesian', trials: 15, mode: 'max' });
    assert.ok(best.value > -0.3);
  });
  test('the Gaussian process goes through what it saw and is unsure elsewhere', () => {
    const xs = [0, 0.3, 0.5, 0.9];
    const gp = new GaussianProcess(
      xs.map((x) => [x]),
      xs.map((x) => Math.sin(5 * x) + 10),
    );
    for (const x of xs) near(gp.at([x]).mean, Math.sin(5 * x) + 10, 0.1);
    assert.ok(gp.at([0.7]).std > 2 * gp.at([0.3]).std);
  });
  test('searches an experiment by dotted path, on validation scores, never on test data', async () => {
    let tested = 0;
    const set = new TensorDataset(data.x, data.y);
    const exp = experiment({
      model: recipe.model,
      data: () => ({ train: set, validation: set, get test() { tested++; return set; } }), // biome-ignore format: short
      loss: crossEntropy,
      optimizer: { type: SGD, lr: 1e-3 },
      metrics: [accuracy()],
      epochs: 2,
      monitor: 'accuracy',
    });
    const lines: string[] = [];
    const { best, trials } = await searchExperiment(
      exp,
      { 'optimizer.lr': [1e-6, 0.1], batchSize: [8] },
      { method: 'grid', print: (l) => lines.push(l) },
    );
    assert.equal(best.point['optimizer.lr'], 0.1);
    assert.equal(trials.length, 2);
    assert.match(lines[1] as string, /^trial 2 {2}optimizer\.lr=0\.1 {2}batchSize=8 {2}accuracy [\d.]+ {2}[\d.]+ s {2}best so far$/);
    assert.ok(tested <= 2, 'the getter runs when data are taken apart, no evaluation does');
    await assert.rejects(searchExperiment(exp, { 'optimizer.rate': [1] }), says(/values that can be set/));
    await assert.rejects(searchExperiment(exp, { 'optimizer.lr': { low: 0, high: 1, log: true } }), says(/must be positive/));
    await assert.rejects(search(bowl, {}), says(/must have dimensions/));
    await assert.rejects(search(bowl, space, { method: 'x' as never }), says(/method must be/));
  });
});

describe('curves and decompositions', () => {
  test('a scaling law is found again from its points, also with an offset of zero', () => {
    for (const [E, A, alpha] of [
      [1.7, 400, 0.34],
      [0, 3, 0.1],
      [0.5, 1e4, 1.2],
    ] as const) {
      const x = [1e3, 3e3, 1e4, 1e5, 1e6];
      const law = fitScalingLaw(
        x,
        x.map((v) => E + A * v ** -alpha),
      );
      near(law.alpha, alpha, 1e-3 * alpha);
      near(law.E, E, 2e-3 * Math.max(E, 1));
      near(law.A / A, 1, 0.02);
      assert.ok(law.r2 > 0.999999);
      const { errors } = scalingExtrapolation(
        x,
        x.map((v) => E + A * v ** -alpha),
        { held: 1 },
      );
      near(errors[0] as number, 0, 0.01);
    }
    assert.throws(() => fitScalingLaw([1, 2], [1, 2]), says(/3 different/));
    assert.throws(() => fitScalingLaw([1, 2, 3], [1, -2, 3]), says(/must be positive/));
  });
  test('bias², variance and noise add up to the measured error', async () => {
    // Predicting by the mean of 4 noisy draws of 1, shrunk by 0.8: bias² 0.04, variance 0.64 · 0.25 / 4.
    const noise = (i: number): number => Math.sqrt(12 * 0.25) * (((i * 0.6180339887498949) % 1) - 0.5);
    let at = 0;
    const parts = await biasVariance(() => [0.8 * ([0, 1, 2, 3].reduce((s) => s + 1 + noise(at++ * 7 + 3), 0) / 4)], [1], {
      resamples: 4000,
      noise: 0.25,
    });
    near(parts.bias2, 0.04, 0.005);
    near(parts.total, parts.bias2 + parts.variance + 0.25, 1e-12);
    near(parts.measured, parts.total, 1e-9);
    await assert.rejects(
      biasVariance(() => [1], [1, 2]),
      says(/as many as true values/),
    );
    await assert.rejects(
      biasVariance(() => [1], [1], { resamples: 1 }),
      says(/at least 2/),
    );
  });
  test('sweeps find the best, the interpolation threshold and the peak of double descent', async () => {
    const errors = [[1, 1.2], [0.5, 0.7], [0.2, 0.9], [0, 2], [0, 0.8], [0, 0.6]] as const; // biome-ignore format: a table
    const seen: number[] = [];
    const result = await sweep(
      [1, 2, 4, 8, 16, 32],
      (w) => ({ train: errors[Math.log2(w)]?.[0] as number, validation: errors[Math.log2(w)]?.[1] as number }),
      { onPoint: (p) => seen.push(p.value) },
    );
    assert.deepEqual([result.best.value, result.interpolation?.value, result.peaks.map((p) => p.value)], [32, 8, [8]]);
    assert.deepEqual(seen, [1, 2, 4, 8, 16, 32]);
    await assert.rejects(
      sweep([], () => ({ train: 0, validation: 0 })),
      says(/there must be values/),
    );
  });
  test('the design procedure grows until overfitting and says what is next', async () => {
    const run = (table: readonly (readonly [number, number])[]) =>
      growModel(
        table.map((_, i) => i),
        (i) => ({ train: table[i]?.[0] as number, validation: table[i]?.[1] as number }),
      );
    assert.equal(
      (
        await run([
          [1, 1.1],
          [0.5, 0.7],
          [0.1, 0.8],
        ])
      ).next,
      'regularize',
    );
    assert.equal(
      (
        await run([
          [1, 1.05],
          [0.99, 1.05],
        ])
      ).next,
      'enough',
    );
    assert.equal(
      (
        await run([
          [1, 1.1],
          [0.5, 0.7],
        ])
      ).next,
      'grow',
    );
    assert.equal(
      (
        await run([
          [1, 1.1],
          [0.5, 0.7],
          [0.1, 0.8],
        ])
      ).chosen.value,
      1,
    );
  });
  test('learning curves of a history', () => {
    const record = (epoch: number, v: number | null) => ({
      epoch,
      step: epoch,
      train: { loss: epoch },
      validation: v === null ? null : { loss: v },
      lr: [],
      seconds: 0,
    });
    const curve = learningCurve([record(0, 3), record(1, null)]);
    assert.deepEqual(curve, { epochs: [1, 2], train: [0, 1], validation: [3, Number.NaN] });
    assert.throws(() => learningCurve([record(0, 1)], 'lost'), says(/score must be one of loss/));
  });
});

test('the test set is used once an experiment; more needs a reason, which is told', async () => {
  const written: TestUse[] = [];
  const lock = new TestLock([1, 2, 3], { onUse: (u) => void written.push(u) });
  assert.equal(await lock.use('a', (d) => d.length), 3);
  await assert.rejects(
    lock.use('a', (d) => d.length),
    says(/may be tested once, got a further use by 'a'/),
  );
  await assert.rejects(
    lock.use('a', (d) => d.length, { override: ' ' }),
    says(/may be tested once/),
  );
  assert.equal(await lock.use('b', (d) => d[0]), 1);
  await lock.use('a', () => 0, { override: 'a bug in the metric' });
  assert.equal(lock.report(), 'a: tested 2 times (a bug in the metric)\nb: tested once');
  const again = new TestLock([1], { log: written });
  await assert.rejects(
    again.use('b', () => 0),
    says(/tested once/),
  );
  assert.ok(!JSON.stringify(lock).includes('1')); // the data cannot be had otherwise
});
