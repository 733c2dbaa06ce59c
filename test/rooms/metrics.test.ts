// What metrics measure, against their definitions counted out in the open, and batch by batch against all at once.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { manualSeed, randint, randn, type Tensor, tensor } from '../../dist/index.js';
import * as metrics from '../../dist/metrics/index.js';
import { accuracy, confusionMatrix, type Metric, topK } from '../../dist/metrics/index.js';

const says = (phrase: RegExp) => (error: Error) => error.name === 'LibError' && phrase.test(error.message);
const near = (a: number, b: number, by = 1e-6): void => assert.ok(Object.is(a, b) || Math.abs(a - b) <= by, `${a} and ${b}`);

/** The value of a metric over batches of the rows. */
function streamed(metric: Metric, output: Tensor, target: Tensor, batch = 5): number | number[][] {
  const tally: number[] = [];
  const n = output.shape[0] as number;
  for (let i = 0; i < n; i += batch) {
    const count = Math.min(batch, n - i);
    const [o, t] = [output.narrow(0, i, count), target.narrow(0, i, count)];
    metric.add(tally, metric.measure(o, t).toArray(), { examples: count, output: o.shape, target: t.shape });
  }
  return metric.value(structuredClone(tally));
}
const list = (t: Tensor): number[] => [...t.toArray()];
const mean = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0) / values.length;

manualSeed(11);
const [N, C] = [83, 4];
const logits = randn([N, C], { dtype: 'float64' });
const classes = randint(0, C, [N]);
const scores = randn([N], { dtype: 'float64' }).mul(4).round().div(4); // with ties
const binary = randint(0, 2, [N]);
const [P, T] = [list(logits.argmax({ dim: 1 })), list(classes)];
const [S, B] = [list(scores), list(binary)];

const count = (test: (i: number) => boolean): number => Array.from({ length: N }, (_, i) => i).filter(test).length;
/** By definition, class by class. */
function perClass(
  p: readonly number[],
  t: readonly number[],
  c: number,
): Record<'precision' | 'recall' | 'f1' | 'iou' | 'support', number> {
  const tp = p.filter((v, i) => v === c && t[i] === c).length;
  const called = p.filter((v) => v === c).length;
  const support = t.filter((v) => v === c).length;
  const [precision, recall] = [called === 0 ? 0 : tp / called, support === 0 ? 0 : tp / support];
  const f1 = precision + recall === 0 ? 0 : (2 * precision * recall) / (precision + recall);
  return { precision, recall, f1, iou: tp / (called + support - tp || 1), support };
}

describe('classification', () => {
  const few = tensor([
    [3, 1, 0],
    [0, 1, 2],
    [1, 0, 0],
    [0, 5, 1],
  ]);
  const right = tensor(Int32Array.of(0, 1, 0, 1));

  test('accuracy of classes, soft targets, logits and answers', () => {
    assert.equal(accuracy(few, right), 0.75);
    const soft = [[1, 0, 0], [0, 1, 0], [0.4, 0.3, 0.3], [0, 0, 1]]; // biome-ignore format: a table
    assert.equal(accuracy(few, soft), 0.5);
    assert.equal(streamed(accuracy(), few, tensor(soft), 3), 0.5);
    assert.equal(accuracy(tensor([[1], [-1], [2]]), tensor([[1], [1], [1]])), 2 / 3);
    assert.equal(accuracy([0.2, 0.7, 0.6], [0, 1, 0], { threshold: 0.5 }), 2 / 3);
    assert.equal(accuracy([2, 1, 0], [2, 1, 1]), 2 / 3);
    assert.equal(accuracy(few, [0, -100, 0, -100], { ignoreIndex: -100 }), 1);
    near(streamed(accuracy(), logits, classes) as number, count((i) => P[i] === T[i]) / N);
    near(
      streamed(accuracy({ ignoreIndex: 2 }), logits, classes) as number,
      count((i) => P[i] === T[i] && T[i] !== 2) / count((i) => T[i] !== 2),
    );
    assert.throws(() => accuracy(few, tensor([1, 2])), says(/targets must be class indices/));
    assert.throws(() => accuracy([1, 2], undefined as never), says(/target must be .*, got nothing/));
  });

  test('topK', () => {
    assert.equal(streamed(topK(2), few, right), 1);
    assert.equal(metrics.topKAccuracy(few, right, { k: 1 }), 0.75);
    assert.throws(() => topK(0), says(/k must be a positive integer/));
  });

  test('the confusion matrix counts, whatever the form and the number of classes', () => {
    assert.deepEqual(confusionMatrix(few, right), [[2, 0, 0], [0, 1, 1], [0, 0, 0]]); // biome-ignore format: a table
    const expected = Array.from({ length: C }, (_, t) => Array.from({ length: C }, (_, p) => count((i) => P[i] === p && T[i] === t)));
    assert.deepEqual(confusionMatrix(logits, classes), expected);
    for (const batch of [3, 20, 83]) assert.deepEqual(streamed(confusionMatrix(), logits, classes, batch), expected);
    assert.deepEqual(confusionMatrix(P, T), expected);
    assert.deepEqual(streamed(confusionMatrix(), tensor(Int32Array.from(P)), classes, 2), expected);
    assert.equal(confusionMatrix([0, 1], [0, 1], { numClasses: 5 }).length, 5);
    assert.deepEqual(confusionMatrix([1, 1], [1, -100]), [[0, 0], [0, 1]]); // biome-ignore format: a table
    assert.throws(() => confusionMatrix(logits, classes.add(1)), says(/classes must be in 0..3/));
    assert.throws(() => confusionMatrix(few, tensor(Int32Array.of(0, 3, 0, 0))), says(/classes must be in 0..2/));
    assert.throws(() => confusionMatrix({ numClasses: 0 }), says(/numClasses must be a positive/));
  });

  const { precision, recall, f1, iou } = metrics;
  for (const [name, metric] of Object.entries({ precision, recall, f1, iou }) as ['f1' | 'iou', typeof f1][]) {
    test(`${name}: macro, weighted, micro and binary`, () => {
      const each = Array.from({ length: C }, (_, c) => perClass(P, T, c));
      near(metric(logits, classes), mean(each.map((e) => e[name])));
      near(streamed(metric(), logits, classes, 40) as number, mean(each.map((e) => e[name])));
      near(metric(logits, classes, { average: 'weighted' }), each.reduce((s, e) => s + e[name] * e.support, 0) / N);
      const hits = count((i) => P[i] === T[i]);
      near(metric(logits, classes, { average: 'micro' }), name === 'iou' ? hits / (2 * N - hits) : hits / N);
      const called = S.map((s) => Number(s > 0));
      near(metric(scores, binary), perClass(called, B, 1)[name]);
      near(metric(called, B, { positive: 0 }), perClass(called, B, 0)[name]);
      assert.equal(metric([0, 0], [0, 0]), 0);
      assert.throws(() => metric(logits, classes, { average: 'binary' }), says(/needs two classes/));
      assert.throws(() => metric({ average: 'all' as never }), says(/average must be 'binary', 'macro', 'micro' or 'weighted'/));
    });
  }

  test('J = D / (2 - D); classes that do not occur are no part of the mean', () => {
    const d = metrics.dice(scores, binary);
    near(metrics.iou(scores, binary), d / (2 - d));
    assert.equal(metrics.f1([0, 0, 3], [0, 0, 3]), 1);
    near(metrics.balancedAccuracy(P, T), mean(Array.from({ length: C }, (_, c) => perClass(P, T, c).recall)));
    const report = metrics.classReport(P, T)[2] as metrics.ClassReport;
    for (const key of ['precision', 'recall', 'f1', 'support'] as const) near(report[key], perClass(P, T, 2)[key]);
  });
});

describe('ranking', () => {
  test('rocAuc is the chance that a positive scores higher, ties half', () => {
    let [wins, pairs] = [0, 0];
    for (let i = 0; i < N; i++) {
      for (let j = 0; j < N; j++) {
        if (B[i] !== 1 || B[j] !== 0) continue;
        pairs++;
        wins += Number((S[i] as number) > (S[j] as number)) + 0.5 * Number(S[i] === S[j]);
      }
    }
    near(metrics.rocAuc(scores, binary), wins / pairs, 1e-12);
    near(streamed(metrics.rocAuc(), scores, binary) as number, wins / pairs, 1e-12);
    assert.ok(Number.isNaN(metrics.rocAuc([1, 2], [1, 1])));
    assert.throws(() => metrics.rocAuc([1, 2], [1, 2]), says(/must be 0 or 1/));
  });

  test('average precision sums precision at each recall step', () => {
    const thresholds = [...new Set(S)].sort((a, b) => b - a);
    let [sum, before] = [0, 0];
    for (const t of thresholds) {
      const called = S.map((s) => Number(s >= t));
      const { precision, recall } = perClass(called, B, 1);
      sum += (recall - before) * precision;
      before = recall;
    }
    near(metrics.averagePrecision(scores, binary), sum, 1e-12);
    assert.ok(metrics.rankCurve(scores, binary).length === thresholds.length);
  });

  test('several classes: one against the rest; two columns are one score', () => {
    const p = logits.softmax({ dim: 1 });
    const each = Array.from({ length: C }, (_, c) =>
      metrics.rocAuc(
        p.select(1, c),
        T.map((t) => Number(t === c)),
      ),
    );
    near(metrics.rocAuc(logits, classes), mean(each), 1e-12);
    near(metrics.rocAuc(p, classes, { from: 'probabilities' }), mean(each), 1e-12);
    const weighted = each.reduce((s, v, c) => s + v * T.filter((t) => t === c).length, 0) / N;
    near(metrics.rocAuc(logits, classes, { average: 'weighted' }), weighted, 1e-12);
    const two = tensor([[0, 1], [1, 0.5], [0, 0.25]]); // biome-ignore format: a table
    assert.equal(metrics.rocAuc(two, [1, 0, 1]), 1);
  });

  test('tuneThreshold finds the best of all thresholds, on validation scores', () => {
    for (const goal of ['f1', 'accuracy', 'youden'] as const) {
      const { threshold, score } = metrics.tuneThreshold(scores, binary, { goal });
      const at = (t: number): number => {
        const called = S.map((s) => Number(s > t));
        const r = perClass(called, B, 1);
        if (goal === 'f1') return r.f1;
        return goal === 'accuracy' ? count((i) => called[i] === B[i]) / N : r.recall + perClass(called, B, 0).recall - 1;
      };
      near(at(threshold), score, 1e-12);
      for (const t of [...S, -99, 99]) assert.ok(at(t) <= score + 1e-12, `${goal} at ${t}`);
    }
    assert.throws(() => metrics.tuneThreshold([1], [1], { goal: 'x' as never }), says(/goal must be/));
    assert.throws(() => metrics.tuneThreshold([], []), says(/there must be scores/));
    near(metrics.verificationAccuracy(scores, binary), metrics.tuneThreshold(scores, binary, { goal: 'accuracy' }).score, 1e-12);
  });
});

describe('regression', () => {
  const [y, t] = [randn([N, 3], { dtype: 'float64' }), randn([N, 3], { dtype: 'float64' }).add(100)];
  const e = list(y.sub(t));
  test('errors are means over elements', () => {
    near(metrics.meanSquaredError(y, t), mean(e.map((v) => v * v)), 1e-9);
    near(streamed(metrics.rootMeanSquaredError(), y, t) as number, Math.sqrt(mean(e.map((v) => v * v))), 1e-9);
    near(streamed(metrics.meanAbsoluteError(), y, t) as number, mean(e.map(Math.abs)), 1e-9);
    const sorted = e.map(Math.abs).sort((a, b) => a - b);
    near(streamed(metrics.medianAbsoluteError(), y, t) as number, sorted[(sorted.length - 1) / 2] as number, 1e-9);
    assert.equal(metrics.medianAbsoluteError([0, 0], [1, 3]), 2);
    assert.throws(() => metrics.meanSquaredError(y, t.select(1, 0)), says(/must have one shape/));
  });
  test('r2 does not cancel for large means, and does not depend on the batches', () => {
    const guess = t.add(randn([N, 3], { dtype: 'float64' }).mul(0.5));
    const columns = [0, 1, 2].map((c) => {
      const [a, b] = [list(guess.select(1, c)), list(t.select(1, c))];
      const m = mean(b);
      return 1 - b.reduce((s, v, i) => s + (v - (a[i] as number)) ** 2, 0) / b.reduce((s, v) => s + (v - m) ** 2, 0);
    });
    near(metrics.r2Score(guess, t), mean(columns), 1e-9);
    for (const batch of [1, 7, 50]) near(streamed(metrics.r2Score(), guess, t, batch) as number, mean(columns), 1e-9);
    assert.deepEqual([metrics.r2Score([1, 1], [1, 1]), metrics.r2Score([1, 2], [1, 1])], [1, 0]);
  });
  test('ranks: error of each form, and outputs that contradict themselves', () => {
    const outputs = [[3, 1, -1], [2, -1, -2], [-1, 2, 3]]; // biome-ignore format: a table
    near(metrics.ordinalError(outputs, [2, 3, 2]), 2 / 3);
    near(
      metrics.ordinalError(
        [
          [0, 1, 0],
          [1, 0, 0],
        ],
        [1, 2],
        { from: 'classes' },
      ),
      1,
    );
    near(metrics.ordinalError([1, 4], [1, 2], { from: 'ranks' }), 1);
    near(metrics.rankViolations(outputs, [0, 0, 0]), 1 / 3);
  });
});

describe('calibration and tokens', () => {
  const p = logits.softmax({ dim: 1 });
  const rows = p.tolist() as number[][];
  const sure = rows.map((r) => Math.max(...r));
  test('ece is the weighted gap of 15 bins (low, high]', () => {
    let gap = 0;
    for (let b = 0; b < 15; b++) {
      const inside = sure.flatMap((c, i) => (c > b / 15 && c <= (b + 1) / 15 ? [i] : []));
      const accuracyOf = inside.filter((i) => P[i] === T[i]).length;
      gap += Math.abs(accuracyOf - inside.reduce((s, i) => s + (sure[i] as number), 0)) / N;
    }
    near(metrics.expectedCalibrationError(logits, classes), gap, 1e-9);
    near(streamed(metrics.expectedCalibrationError(), logits, classes) as number, gap, 1e-9);
    near(metrics.expectedCalibrationError(p, classes, { from: 'probabilities' }), gap, 1e-9);
    const bins = metrics.calibrationBins(logits, classes);
    assert.equal(
      bins.reduce((s, b) => s + b.count, 0),
      N,
    );
    near(
      bins.reduce((s, b) => s + (b.count === 0 ? 0 : (b.count / N) * Math.abs(b.confidence - b.accuracy)), 0),
      gap,
      1e-9,
    );
    near(metrics.expectedCalibrationError([10, -10], [1, 0]), 0, 1e-4);
    assert.throws(() => metrics.expectedCalibrationError({ bins: 0 }), says(/bins must be/));
    assert.throws(() => metrics.meanConfidence(p, classes, { from: 'odds' as never }), says(/from must be/));
  });
  test('confidence, entropy and likelihood', () => {
    near(streamed(metrics.meanConfidence(), logits, classes) as number, mean(sure), 1e-9);
    near(
      streamed(metrics.predictiveEntropy(), logits, classes) as number,
      mean(rows.map((r) => -r.reduce((s, v) => s + v * Math.log(v), 0))),
      1e-9,
    );
    const nll = mean(rows.map((r, i) => -Math.log(r[T[i] as number] as number)));
    near(metrics.negativeLogLikelihood(logits, classes), nll, 1e-9);
    near(metrics.negativeLogLikelihood(p, classes, { from: 'probabilities' }), nll, 1e-9);
    near(streamed(metrics.perplexity(), logits, classes) as number, Math.exp(nll), 1e-8);
    near(2 ** metrics.bitsPerToken(logits, classes), metrics.perplexity(logits, classes), 1e-8);
    const padded = tensor(Int32Array.from(T, (t, i) => (i % 3 === 0 ? -100 : t)));
    const kept = rows.flatMap((r, i) => (i % 3 === 0 ? [] : [-Math.log(r[T[i] as number] as number)]));
    near(streamed(metrics.perplexity(), logits, padded, 7) as number, Math.exp(mean(kept)), 1e-8);
  });
});

describe('sequences', () => {
  test('edit distance is a metric on strings, and counts code points', () => {
    assert.equal(metrics.editDistance('kitten', 'sitting'), 3);
    assert.equal(metrics.editDistance('a😀', 'a'), 1);
    const words = ['', 'ab', 'ba', 'abc', 'cabd', 'xyz'];
    for (const a of words) {
      for (const b of words) {
        const d = metrics.editDistance(a, b);
        assert.equal(d, metrics.editDistance(b, a));
        assert.equal(d === 0, a === b);
        assert.ok(d >= Math.abs(a.length - b.length) && d <= Math.max(a.length, b.length));
        for (const c of words) assert.ok(metrics.editDistance(a, c) <= d + metrics.editDistance(b, c));
      }
    }
  });
  test('error rates go over all texts together', () => {
    assert.equal(metrics.characterErrorRate(['abc', 'x'], ['abd', 'xyz']), 3 / 6);
    assert.equal(metrics.wordErrorRate('a  b c', 'a b d e'), 2 / 4);
    assert.equal(metrics.tokenErrorRate([Int32Array.of(1, 2)], [[1, 3, 2]]), 1 / 3);
    assert.throws(() => metrics.wordErrorRate(['a'], ['a', 'b']), says(/one prediction for each target/));
  });
});

describe('embeddings', () => {
  const x = randn([30, 5], { dtype: 'float64' });
  const labels = randint(0, 3, [30]);
  test('recall@k looks at the k nearest others', () => {
    const points = x.tolist() as number[][];
    const l = list(labels);
    for (const k of [1, 3]) {
      const hits = points.map((p, i) => {
        const order = points.map((q, j) => ({ j, d: Math.hypot(...p.map((v, c) => v - (q[c] as number))) })).filter(({ j }) => j !== i);
        return Number(
          order
            .sort((a, b) => a.d - b.d)
            .slice(0, k)
            .some(({ j }) => l[j] === l[i]),
        );
      });
      near(metrics.recallAtK(x, labels, { k }), mean(hits));
      near(streamed(metrics.recallAtK({ k }), x, labels) as number, mean(hits));
    }
    assert.equal(metrics.recallAtK([[1, 0], [10, 1], [0, 1]], [0, 0, 1], { distance: 'cosine' }), 1); // biome-ignore format: a table
    assert.throws(() => metrics.recallAtK({ k: 0 }), says(/k must be/));
  });
  test('alignment and uniformity', () => {
    const u = x.div(x.square().sum({ dim: 1, keepdim: true }).sqrt());
    const points = u.tolist() as number[][];
    const pairs = points.flatMap((p, i) =>
      points.slice(0, i).map((q) => Math.exp(-2 * p.reduce((s, v, c) => s + (v - (q[c] as number)) ** 2, 0))),
    );
    near(metrics.uniformity(u), Math.log(mean(pairs)), 1e-9);
    near(metrics.alignment(u, u.neg(), { alpha: 3 }), 8, 1e-9);
    assert.throws(() => metrics.uniformity([[1, 2]]), says(/at least two/));
  });
});

describe('boxes', () => {
  const boxes: metrics.Box[] = [[0, 0, 2, 2], [0, 0, 2, 1.9], [5, 5, 6, 6], [1, 0, 3, 2]]; // biome-ignore format: a table
  test('overlap and suppression', () => {
    near(metrics.boxIou(boxes[0] as metrics.Box, boxes[3] as metrics.Box), 1 / 3);
    assert.equal(metrics.boxIou([0, 0, 0, 0], [0, 0, 0, 0]), 0);
    assert.deepEqual(metrics.nonMaximumSuppression(boxes, [0.8, 0.9, 0.3, 0.5]), [1, 3, 2]);
    assert.deepEqual(metrics.nonMaximumSuppression(boxes, [0.8, 0.9, 0.3, 0.5], { iouThreshold: 0.3 }), [1, 2]);
    assert.throws(() => metrics.nonMaximumSuppression(boxes, [1]), says(/as many/));
  });
  test('average precision: hits, misses, doubles and classes', () => {
    const truth = [{ boxes: boxes.slice(0, 1) }, { boxes: [boxes[2] as metrics.Box] }];
    // Best first: right, double, wrong place, right: precision 1, 1/2, 1/3, 2/4 at recall 1/2, 1/2, 1/2, 1.
    const found = [
      { boxes: [boxes[0] as metrics.Box, boxes[1] as metrics.Box, [9, 9, 10, 10] as const], scores: [0.9, 0.8, 0.7] },
      { boxes: [boxes[2] as metrics.Box], scores: [0.6] },
    ];
    near(metrics.boxAveragePrecision(found, truth).mean, 0.5 * 1 + 0.5 * 0.5);
    near(metrics.boxAveragePrecision(found, truth, { interpolation: 11 }).mean, (6 + 5 * 0.5) / 11);
    near(metrics.boxAveragePrecision(found, truth, { interpolation: 101 }).mean, (51 + 50 * 0.5) / 101);
    const labelled = [{ ...(found[0] as metrics.Detections), labels: [1, 0, 0] }, found[1] as metrics.Detections];
    near(metrics.boxAveragePrecision(labelled, truth).mean, 0.5 * 1 + 0.5 * (2 / 3)); // right, wrong, right: 1, 1/2, 2/3
    assert.throws(() => metrics.boxAveragePrecision([], truth), says(/one entry an image/));
  });
});

test('the generalization gap has the sign of trouble', () => {
  const gap = metrics.generalizationGap(
    { train: { loss: 0.1, accuracy: 0.99, odd: 1 }, validation: { loss: 0.4, accuracy: 0.9, odd: 3 } },
    [{ name: 'odd', better: 'lower' }],
  );
  near(gap.loss as number, 0.3);
  near(gap.accuracy as number, 0.09);
  assert.equal(gap.odd, 2);
  assert.deepEqual(metrics.generalizationGap({ train: { loss: 1 }, validation: null }), {});
});
