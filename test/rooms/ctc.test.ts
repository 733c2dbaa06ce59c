// CTC against the sum over all alignments, its derivatives against differences, and the decoders against enumeration.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { compile, ctcLoss, gradcheck, logSoftmax, manualSeed, randn, type Tensor, tensor } from '../../dist/index.js';
import { ctcBeamSearch, ctcGreedyDecode } from '../../dist/nn/index.js';

const values = (x: Tensor): number[] => [...x.detach().reshape([-1]).toArray()].map(Number);
const int = (data: readonly (number | readonly number[])[]): Tensor => tensor(data as number[], { dtype: 'int32' });
const logits = (shape: readonly number[], seed: number): Tensor => {
  manualSeed(seed);
  return randn(shape, { dtype: 'float64' });
};

function collapse(path: readonly number[], blank: number): number[] {
  return path.filter((c, t) => c !== blank && c !== path[t - 1]);
}

/** The probability of every labelling of (steps, classes) log-probabilities, by going through all paths. */
function enumerate(logProbs: readonly number[], steps: number, classes: number, blank: number): Map<string, number> {
  const total = new Map<string, number>();
  for (let code = 0; code < classes ** steps; code++) {
    const path = Array.from({ length: steps }, (_, t) => Math.floor(code / classes ** t) % classes);
    const p = Math.exp(path.reduce((sum, c, t) => sum + (logProbs[t * classes + c] as number), 0));
    const key = collapse(path, blank).join();
    total.set(key, (total.get(key) ?? 0) + p);
  }
  return total;
}

for (const [labels, blank] of [
  [[1, 2], 0],
  [[1, 1], 0],
  [[0, 2, 0], 1],
  [[], 2],
  [[2], 0],
] as const) {
  test(`the loss of [${labels}] with blank ${blank} is that of all alignments`, () => {
    const logProbs = logSoftmax(logits([5, 3], 3), { dim: -1 });
    const wanted = -Math.log(enumerate(values(logProbs), 5, 3, blank).get(labels.join()) as number);
    const padded = ctcLoss(logProbs.unsqueeze(1), int([[...labels, 0]]), [5], [labels.length], { blank, reduction: 'sum' }).itemNow();
    assert.ok(Math.abs(padded - wanted) < 1e-12 * Math.max(1, wanted), `${padded}, wanted ${wanted}`);
    if (labels.length === 0) return;
    const single = ctcLoss(logProbs, int(labels), [5], [labels.length], { blank, reduction: 'sum' }).itemNow();
    assert.equal(single, padded, 'without a batch, concatenated');
  });
}

const batch = (x: Tensor): Tensor =>
  ctcLoss(
    logSoftmax(x, { dim: -1 }),
    int([
      [1, 2, 2],
      [3, 1, 0],
    ]),
    [7, 5],
    [3, 2],
    { reduction: 'none' },
  );

test('through logSoftmax, first and second derivatives agree with differences', () => {
  const { passed, errors } = gradcheck(batch, [logits([7, 2, 4], 4).requiresGrad_()], { second: true });
  assert.ok(passed, errors.join());
});

test('padding beyond the lengths changes nothing', () => {
  const x = logSoftmax(logits([7, 2, 4], 5), { dim: -1 });
  const rows = int([
    [1, 2],
    [3, 3],
  ]);
  const wide = int([
    [1, 2, 9],
    [3, 3, -1],
  ]);
  const call = (probs: Tensor, targets: Tensor): number[] => values(ctcLoss(probs, targets, [6, 5], [2, 1], { reduction: 'none' }));
  assert.deepEqual(call(x, wide), call(x, rows));
  assert.deepEqual(call(x.narrow(0, 0, 6), rows), call(x, rows));
});

test('targets that no alignment fits cost infinity, or nothing with zeroInfinity', () => {
  const x = logSoftmax(logits([2, 1, 3], 6), { dim: -1 }).requiresGrad_();
  assert.equal(ctcLoss(x, int([[1, 1]]), [2], [2]).itemNow(), Number.POSITIVE_INFINITY);
  const loss = ctcLoss(x, int([[1, 1]]), [2], [2], { zeroInfinity: true });
  assert.equal(loss.itemNow(), 0);
  loss.backward();
  assert.ok(values(x.grad as Tensor).every((g) => g === 0));
});

test('a compiled step gives the same loss and gradient', () => {
  const run = (x: Tensor): [Tensor, Tensor] => {
    const leaf = x.detach().requiresGrad_();
    const loss = batch(leaf).sum();
    loss.backward();
    return [loss.detach(), leaf.grad as Tensor];
  };
  const x = logits([7, 2, 4], 7);
  const [compiled, eager] = [compile(run)(x), run(x)];
  for (const k of [0, 1] as const) assert.deepEqual(values(compiled[k]), values(eager[k]));
});

describe('decoding', () => {
  const x = logSoftmax(logits([5, 3], 8), { dim: -1 });
  test('a beam as wide as there are prefixes finds every labelling with its probability', () => {
    const wanted = enumerate(values(x), 5, 3, 0);
    const [found] = ctcBeamSearch(x, { beamWidth: 1000 });
    assert.equal(found?.length, wanted.size);
    for (const { labels, logProb } of found ?? []) {
      assert.ok(Math.abs(logProb - Math.log(wanted.get(labels.join()) as number)) < 1e-12);
    }
    assert.deepEqual(
      found,
      found?.toSorted((a, b) => b.logProb - a.logProb),
    );
  });
  test('greedy: best class at each step, repeats merged, blanks left out, as far as the length', () => {
    const probs = tensor([
      [0, 1, 0],
      [0, 1, 0],
      [1, 0, 0],
      [0, 1, 0],
      [0, 0, 1],
    ])
      .add(1e-3)
      .log();
    assert.deepEqual(ctcGreedyDecode(probs), [[1, 1, 2]]);
    assert.deepEqual(ctcGreedyDecode(probs.unsqueeze(1), { inputLengths: [4] }), [[1, 1]]);
    assert.deepEqual(ctcGreedyDecode(probs, { blank: 1 }), [[0, 2]]);
  });
  test('bad options say so', () => {
    assert.throws(() => ctcBeamSearch(x, { beamWidth: 0 }), /beamWidth must be a positive integer, got 0\./);
    assert.throws(() => ctcGreedyDecode(x, { blank: 3 }), /blank must be a class, 0 to 2, got 3\./);
    assert.throws(() => ctcGreedyDecode(x, { inputLengths: [9] }), /inputLengths must be 1 whole numbers from 0 to 5, got 9\./);
  });
});
