// The synthetic tasks: shapes, the same data for the same seed, and the property that each is named for.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as data from '../../dist/entries/data.js';
import { isTensor, type Tensor } from '../../dist/index.js';

const values = (t: Tensor): number[] => Array.from(t.toArray(), Number);

/** Name, generator, and the shapes of its tensors by field. */
const table: readonly (readonly [string, (seed: number) => object, Readonly<Record<string, readonly number[]>>])[] = [
  ['blobs', (seed) => data.blobs({ samples: 9, seed }), { x: [9, 2], y: [9] }],
  ['blobs in space', (seed) => data.blobs({ samples: 9, features: 5, seed }), { x: [9, 5], y: [9] }],
  ['moons', (seed) => data.moons({ samples: 8, seed }), { x: [8, 2], y: [8] }],
  ['spirals', (seed) => data.spirals({ samples: 9, arms: 3, seed }), { x: [9, 2], y: [9] }],
  ['xor', (seed) => data.xor({ samples: 8, seed }), { x: [8, 2], y: [8] }],
  ['sines', (seed) => data.sines({ samples: 7, seed }), { x: [7, 1], y: [7, 1] }],
  ['sawtooth', (seed) => data.sawtooth({ samples: 7, seed }), { x: [7, 1], y: [7, 1] }],
  ['linearWithOutliers', (seed) => data.linearWithOutliers({ samples: 50, features: 3, seed }), { x: [50, 3], y: [50, 1], outlier: [50] }],
  ['fraudTable', (seed) => data.fraudTable({ samples: 1000, seed }), { x: [1000, 6], y: [1000] }],
  ['ordinalAges', (seed) => data.ordinalAges({ samples: 20, seed }), { x: [20, 8], y: [20] }],
  ['bagOfWords', (seed) => data.bagOfWords({ samples: 20, seed }), { x: [20, 200], y: [20] }],
  ['gaussianMixture', (seed) => data.gaussianMixture({ samples: 20, seed }), { x: [20, 2], y: [20] }],
  ['gaussianMixture on a line', (seed) => data.gaussianMixture({ samples: 20, dims: 1, seed }), { x: [20, 1], y: [20] }],
  ['density2d', (seed) => ({ x: data.density2d('checkerboard', { samples: 20, seed }) }), { x: [20, 2] }],
  ['prototypeDigits', (seed) => data.prototypeDigits({ samples: 12, shift: 1, seed }), { x: [12, 1, 8, 8], y: [12] }],
  ['shiftedPatterns', (seed) => data.shiftedPatterns({ samples: 12, seed }), { x: [12, 1, 32], y: [12] }],
  ['shapes', (seed) => data.shapes({ samples: 3, seed }), { x: [3, 1, 16, 16], mask: [3, 1, 16, 16], classes: [3, 16, 16] }],
  ['tripletIdentities', (seed) => data.tripletIdentities({ samples: 6, seed }), { anchor: [6, 16], positive: [6, 16], negative: [6, 16] }],
  ['copySequences', (seed) => data.copySequences({ samples: 4, length: 5, seed }), { x: [4, 5], y: [4, 5] }],
  ['reverseSequences', (seed) => data.reverseSequences({ samples: 4, length: 5, seed }), { x: [4, 5], y: [4, 5] }],
  ['recallSequences', (seed) => data.recallSequences({ samples: 4, length: 5, seed }), { x: [4, 5], y: [4] }],
  ['addingSequences', (seed) => data.addingSequences({ samples: 4, length: 6, seed }), { x: [4, 6, 2], y: [4, 1] }],
  [
    'ctcStrings',
    (seed) => data.ctcStrings({ samples: 4, seed }),
    { x: [4, 24, 6], targets: [4, 4], inputLengths: [4], targetLengths: [4] },
  ],
  ['textWindows', (seed) => data.textWindows(data.tinyText().ids, { samples: 4, seed }), { x: [4, 32], y: [4, 32] }],
];

for (const [name, make, shapes] of table) {
  test(`synthetic: ${name} has its shapes, and a seed gives its data again`, () => {
    const [a, b, other] = [make(1), make(1), make(2)].map((made) =>
      Object.fromEntries(Object.entries(made).filter(([, value]) => isTensor(value))),
    ) as [Record<string, Tensor>, Record<string, Tensor>, Record<string, Tensor>];
    for (const [field, shape] of Object.entries(shapes)) {
      assert.deepEqual([...(a[field] as Tensor).shape], shape, field);
      assert.deepEqual(values(a[field] as Tensor), values(b[field] as Tensor), field);
    }
    const [first] = Object.keys(shapes) as [string];
    assert.notDeepEqual(values(a[first] as Tensor), values(other[first] as Tensor));
  });
}

test('synthetic: a seed and the name of the task decide, not what else was drawn', () => {
  const alone = values(data.moons({ seed: 3 }).x);
  data.xor({ seed: 3 });
  assert.deepEqual(values(data.moons({ seed: 3 }).x), alone);
});

test('synthetic: tasks are what they say', () => {
  const truth = data.xor({ samples: 4, noise: 0 });
  assert.deepEqual(values(truth.y), [0, 1, 1, 0]);
  assert.equal(data.fraudTable({ samples: 10_000 }).y.sum().itemNow(), 10);
  const saw = data.sawtooth({ samples: 64 });
  assert.ok(values(saw.y).every((v) => v >= -1 && v < 1));
  const sine = data.sines({ samples: 16 });
  assert.ok(sine.x.sin().sub(sine.y).abs().max().itemNow() < 1e-6);
  const adding = data.addingSequences({ samples: 8 });
  assert.ok(
    adding.x
      .select(2, 0)
      .mul(adding.x.select(2, 1))
      .sum({ dim: 1 })
      .sub(adding.y.squeeze({ dim: 1 }))
      .abs()
      .max()
      .itemNow() < 1e-6,
  );
  const reversed = data.reverseSequences({ samples: 2 });
  assert.deepEqual(values(reversed.x.flip([1])), values(reversed.y));
  const ages = data.ordinalAges({ samples: 100, ranks: 5 });
  assert.deepEqual([...new Set(values(ages.y))].sort(), [0, 1, 2, 3, 4]);
  const { targets, targetLengths, inputLengths, labels } = data.ctcStrings({ samples: 16 });
  assert.deepEqual(
    values(targetLengths),
    labels.map((l) => l.length),
  );
  assert.deepEqual(values(targets.select(0, 0)).slice(0, labels[0]?.length), labels[0]);
  assert.ok(values(inputLengths).every((n, i) => n >= 2 * (labels[i]?.length ?? 0)));
});

test('synthetic: shapes are where their boxes say, and the mask is where classes are', () => {
  const { mask, classes, objects } = data.shapes({ samples: 8, size: 20, objects: 2 });
  assert.deepEqual(
    values(mask),
    values(classes).map((c) => (c > 0 ? 1 : 0)),
  );
  for (const [n, list] of objects.entries()) {
    assert.equal(list.length, 2);
    for (const {
      box: [l, t, r, b],
      kind,
    } of list) {
      const inside = classes
        .select(0, n)
        .narrow(0, t, b - t)
        .narrow(1, l, r - l);
      const hits = values(inside).filter((c) => c === kind + 1).length;
      assert.ok(hits > 0.5 * inside.size && (kind === 1 || hits === inside.size));
    }
  }
});

test('synthetic: text has one vocabulary for all seeds, and windows go one step on', () => {
  const [a, b] = [data.tinyText({ seed: 1 }), data.tinyText({ seed: 2, sentences: 3 })];
  assert.deepEqual(a.vocabulary, b.vocabulary);
  assert.equal(
    values(a.ids)
      .map((i) => a.vocabulary[i])
      .join(''),
    a.text,
  );
  const { x, y } = data.textWindows(a.ids, { samples: 3, length: 10 });
  assert.deepEqual(values(x.narrow(1, 1, 9)), values(y.narrow(1, 0, 9)));
});

test('synthetic: bad options are refused', () => {
  const refuses = (make: () => unknown, says: RegExp): void => assert.throws(make, says);
  refuses(() => data.blobs({ samples: 0 }), /blobs: samples must be a positive integer, got 0/);
  refuses(() => data.moons({ seed: -1 }), /moons: seed must be a non-negative integer, got -1/);
  refuses(() => data.prototypeDigits({ classes: [10] }), /prototypeDigits: classes must be digits/);
  refuses(() => data.tripletIdentities({ identities: 1 }), /identities must be at least 2/);
  refuses(() => data.addingSequences({ length: 1 }), /length must be at least 2/);
  refuses(() => data.textWindows(data.tinyText({ sentences: 1 }).ids, { length: 1000 }), /longer than 1000/);
});
