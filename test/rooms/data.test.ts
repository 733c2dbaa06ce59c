// Datasets, samplers and loaders: what an epoch visits, in which order, and what wrong data says.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { pathToFileURL } from 'node:url';
import {
  BatchSampler,
  balancedWeights,
  ConcatDataset,
  DataLoader,
  type Dataset,
  defaultCollate,
  MapDataset,
  mapBatches,
  normalize,
  padCollate,
  RandomSampler,
  randomSplit,
  SequentialSampler,
  Subset,
  TensorDataset,
  toFloat,
  WeightedRandomSampler,
  WorkerDataset,
} from '../../dist/data/index.js';
import { manualSeed, rand, type Tensor, tensor } from '../../dist/index.js';

const folder = mkdtempSync(join(tmpdir(), 'chainrule-data-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const numbers = (n: number): TensorDataset<readonly [Tensor, Tensor]> =>
  new TensorDataset(
    tensor(
      Float32Array.from({ length: 2 * n }, (_, i) => i),
      { shape: [n, 2] },
    ),
    tensor(Int32Array.from({ length: n }, (_, i) => i)),
  );
const labels = (batches: Iterable<readonly [Tensor, Tensor]>): number[][] => [...batches].map(([, y]) => [...y.toArray()]);
const sorted = (values: readonly number[]): number[] => [...values].sort((a, b) => a - b);
const says = (phrase: RegExp) => (error: Error) => error.name === 'LibError' && phrase.test(error.message);

describe('DataLoader', () => {
  test('an epoch visits every item once, in batches of ceil(n / batchSize)', () => {
    const loader = new DataLoader(numbers(10), { batchSize: 4, shuffle: true, seed: 3 });
    const seen = labels(loader);
    assert.equal(loader.length, 3);
    assert.deepEqual(
      seen.map((b) => b.length),
      [4, 4, 2],
    );
    assert.deepEqual(sorted(seen.flat()), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert.notDeepEqual(seen.flat(), sorted(seen.flat()));
  });

  test('a batch sampler decides what makes up batches', () => {
    const halves = {
      length: 2,
      batchSize: 3,
      *batches(epoch: number) {
        for (const from of [3, 0]) yield Int32Array.from([0, 1, 2], (i) => ((i + epoch) % 3) + from);
      },
    };
    const loader = new DataLoader(numbers(6), { batchSampler: halves });
    assert.deepEqual([loader.length, loader.batchSize], [2, 3]);
    assert.deepEqual(labels(loader), [
      [3, 4, 5],
      [0, 1, 2],
    ]);
    assert.deepEqual(labels(loader), [
      [4, 5, 3],
      [1, 2, 0],
    ]);
    assert.throws(() => new DataLoader(numbers(6), { batchSampler: halves, shuffle: true }), /decides about all of a batch, got shuffle/);
  });

  test('rows stay together', () => {
    for (const [x, y] of new DataLoader(numbers(9), { batchSize: 4, shuffle: true, seed: 1 })) {
      const rows = x.tolist() as number[][];
      assert.deepEqual(
        rows,
        Array.from(y.toArray(), (i) => [2 * i, 2 * i + 1]),
      );
    }
  });

  test('each epoch has an order of its own, and the same seed the same orders', () => {
    const make = (): DataLoader<readonly [Tensor, Tensor], readonly [Tensor, Tensor]> =>
      new DataLoader(numbers(20), { batchSize: 20, shuffle: true, seed: 5 });
    const [a, b] = [make(), make()];
    const first = labels(a);
    assert.deepEqual(labels(b), first);
    const second = labels(a);
    assert.notDeepEqual(second, first);
    assert.deepEqual(labels(b), second);
  });

  test('draws elsewhere do not shift the order; manualSeed decides it when there is no seed', () => {
    const orderWith = (seed: number, draws: number): number[][] => {
      manualSeed(seed);
      for (let i = 0; i < draws; i++) rand([3]);
      return labels(new DataLoader(numbers(16), { batchSize: 16, shuffle: true }));
    };
    assert.deepEqual(orderWith(1, 0), orderWith(1, 5));
    assert.notDeepEqual(orderWith(1, 0), orderWith(2, 0));
  });

  test('dropLast leaves the short batch out', () => {
    const loader = new DataLoader(numbers(10), { batchSize: 4, dropLast: true });
    assert.deepEqual(labels(loader), [
      [0, 1, 2, 3],
      [4, 5, 6, 7],
    ]);
  });

  test('goes on in the middle of an epoch', async () => {
    const loader = new DataLoader(numbers(10), { batchSize: 3, shuffle: true, seed: 2 });
    const whole = labels(loader);
    const rest: number[][] = [];
    for await (const [, y] of loader.batchesOf(0, 2)) rest.push([...y.toArray()]);
    assert.deepEqual(rest, whole.slice(2));
  });

  test('its state brings back the next epoch', () => {
    const loader = new DataLoader(numbers(8), { batchSize: 8, shuffle: true, seed: 2 });
    labels(loader);
    const state = structuredClone(loader.stateDict());
    const expected = labels(loader);
    const other = new DataLoader(numbers(8), { batchSize: 8, shuffle: true, seed: 2 });
    other.loadStateDict(state);
    assert.deepEqual(labels(other), expected);
    const wrong = new DataLoader(numbers(8), { batchSize: 8, shuffle: true, seed: 3 });
    assert.throws(() => wrong.loadStateDict(state), says(/seed of before/));
  });

  test('prefetch prepares batches ahead, in order', async () => {
    const asked: number[] = [];
    const items: Dataset<number> = { length: 6, get: (i) => (asked.push(i) > 0 ? i : -1) };
    const seen: number[] = [];
    for await (const batch of new DataLoader(items, { prefetch: 2 })) {
      const value = (await batch.item()) as number;
      if (value < 3) assert.ok(asked.length >= value + 3, `${asked.length} prepared at ${value}`);
      seen.push(value);
    }
    assert.deepEqual(seen, [0, 1, 2, 3, 4, 5]);
  });

  test('wrong settings are told', () => {
    const data = numbers(3);
    const empty: Dataset<number> = { length: 0, get: () => 0 };
    assert.throws(() => new DataLoader(empty), says(/DataLoader: the dataset must have items, got an empty one/));
    for (const batchSize of [0, -1, 1.5, Number.NaN])
      assert.throws(() => new DataLoader(data, { batchSize }), says(/batchSize must be a (positive integer|whole number)/));
    assert.throws(
      () => new DataLoader(data, { batchSize: 5, dropLast: true }),
      says(/dropLast must leave a batch, got 3 items and batchSize 5/),
    );
    assert.throws(() => new DataLoader(data, { shuffle: true, sampler: new SequentialSampler(3) }), says(/exclude each other/));
    assert.throws(() => new DataLoader(data, { shuffle: true, seed: -1 }), says(/seed must be a non-negative integer, got -1/));
    assert.throws(() => new DataLoader(data, { prefetch: -2 }), says(/prefetch must be/));
  });
});

describe('datasets', () => {
  test('TensorDataset gives tuples of rows and rejects ragged tensors', () => {
    const [x, y] = numbers(4).get(2);
    assert.deepEqual([x.tolist(), y.tolist()], [[4, 5], 2]);
    assert.throws(
      () => new TensorDataset(tensor([[1], [2]]), tensor([1, 2, 3])),
      says(/first dimensions must agree, got \(2, 1\) and \(3,\)/),
    );
    assert.throws(() => numbers(4).get(4), says(/the index must be in 0\.\.3, got 4/));
  });

  test('Subset, ConcatDataset, MapDataset and mapBatches', () => {
    const both = new ConcatDataset([new Subset(numbers(5), [4, 0]), numbers(2)]);
    assert.deepEqual(
      [0, 1, 2, 3].map((i) => both.get(i)[1].itemNow()),
      [4, 0, 0, 1],
    );
    assert.deepEqual(labels(new DataLoader(both, { batchSize: 4 })), [[4, 0, 0, 1]]);
    const doubled = new MapDataset(numbers(3), ([, y]) => 2 * y.itemNow());
    assert.deepEqual(
      [...new DataLoader(doubled, { batchSize: 3 })].map((b) => b.tolist()),
      [[0, 2, 4]],
    );
    const halves = mapBatches(numbers(4), ([x, y]) => [x.div(2), y] as const);
    assert.deepEqual(halves.get(1)[0].tolist(), [1, 1.5]);
    assert.deepEqual(
      [...new DataLoader(halves, { batchSize: 2 })].map(([x]) => x.tolist()),
      [
        [
          [0, 0.5],
          [1, 1.5],
        ],
        [
          [2, 2.5],
          [3, 3.5],
        ],
      ],
    );
    assert.throws(() => new Subset(numbers(3), [3]), says(/index must be in 0\.\.2, got 3/));
  });

  test('randomSplit gives disjoint parts of the asked sizes', () => {
    const data = numbers(10);
    const [a, b] = randomSplit(data, [7, 3], { seed: 1 });
    assert.deepEqual(sorted([...a.indices, ...b.indices]), [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    assert.deepEqual([a.length, b.length], [7, 3]);
    assert.deepEqual([...randomSplit(data, [7, 3], { seed: 1 })[0].indices], [...a.indices]);
    assert.deepEqual(
      randomSplit(data, [0.5, 0.25, 0.25], { seed: 1 }).map((p) => p.length),
      [6, 2, 2],
    );
    assert.throws(() => randomSplit(data, [7, 4]), says(/sizes must add up to 10 items .* which make 11/));
  });

  test('normalize is (x / 255 - mean) / std on bytes', () => {
    const x = tensor(Uint8Array.of(0, 255, 51, 0), { shape: [1, 2, 1, 2] });
    assert.deepEqual(toFloat(x).tolist(), [[[[0, 1]], [[0.20000000298023224, 0]]]]);
    const per = normalize([0.5, 0], [0.5, 2])(x).toArray();
    for (const [i, v] of [-1, 1, 0.1, 0].entries()) assert.ok(Math.abs((per[i] as number) - v) < 1e-6);
    assert.throws(() => normalize(0, 0), says(/std positive/));
    assert.throws(() => normalize([0, 0, 0], 1)(x), says(/one number per channel/));
  });
});

describe('samplers', () => {
  test('RandomSampler repeats whole permutations, or draws with replacement', () => {
    const twice = new RandomSampler(5, { seed: 1, numSamples: 10 }).order(0);
    assert.deepEqual(sorted([...twice]), [0, 0, 1, 1, 2, 2, 3, 3, 4, 4]);
    const drawn = new RandomSampler(3, { seed: 1, replacement: true, numSamples: 3000 }).order(0);
    for (const i of [0, 1, 2]) assert.ok(Math.abs(drawn.filter((x) => x === i).length - 1000) < 120);
  });

  test('WeightedRandomSampler draws in proportion; balancedWeights make classes equal', () => {
    const classes = [0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    const order = new WeightedRandomSampler(balancedWeights(classes), 4000, { seed: 1 }).order(0);
    const rare = order.filter((i) => i === 9).length;
    assert.ok(Math.abs(rare - 2000) < 160, `${rare} of 4000`);
    const once = new WeightedRandomSampler([0, 1, 5, 1], 3, { seed: 1, replacement: false }).order(0);
    assert.deepEqual(sorted([...once]), [1, 2, 3]);
    assert.throws(() => new WeightedRandomSampler([1, -1], 2), says(/weights must be finite and >= 0, got -1/));
    assert.throws(() => new WeightedRandomSampler([1, 0], 2, { replacement: false }), says(/enough weights/));
  });

  test('BatchSampler cuts an order', () => {
    const cut = (dropLast: boolean): number[][] =>
      [...new BatchSampler(new SequentialSampler(5), 2, dropLast).batches(0)].map((b) => [...b]);
    assert.deepEqual(cut(false), [[0, 1], [2, 3], [4]]);
    assert.deepEqual(cut(true), [
      [0, 1],
      [2, 3],
    ]);
  });
});

describe('collate', () => {
  test('fields become tensors; numbers are float32 unless told', () => {
    const [x, y] = defaultCollate(
      [
        [[0, 1], 1],
        [[1, 1], 0],
      ] as [number[], number][],
      { dtypes: ['float32', 'int32'] },
    );
    assert.deepEqual([x.shape, x.dtype, y.shape, y.dtype], [[2, 2], 'float32', [2], 'int32']);
    const { name, image } = defaultCollate([
      { name: 'a', image: Uint8Array.of(1, 2) },
      { name: 'b', image: Uint8Array.of(3, 4) },
    ]);
    assert.deepEqual(
      [name, image.dtype, image.tolist()],
      [
        ['a', 'b'],
        'uint8',
        [
          [1, 2],
          [3, 4],
        ],
      ],
    );
    const [rows] = defaultCollate([[tensor([1, 2])], [tensor([3, 4])]]);
    assert.deepEqual(rows?.tolist(), [
      [1, 2],
      [3, 4],
    ]);
  });

  test('ragged items say which, and what to do', () => {
    const ragged = [
      [[1, 2, 3], 0],
      [[1, 2, 3], 1],
      [[1, 2], 0],
    ] as [number[], number][];
    assert.throws(
      () => defaultCollate(ragged),
      says(/field 0 of all items must have one shape, got \(3,\) in item 0 and \(2,\) in item 2[\s\S]*padCollate/),
    );
    assert.throws(() => defaultCollate([[1, 2], [1]]), says(/same fields, got item 1/));
    assert.throws(() => defaultCollate([null]), says(/must hold numbers, arrays or tensors, got null/));
    assert.throws(() => defaultCollate([[[[1, 2], [3]]]]), says(/rectangular/));
  });

  test('padCollate pads and masks', () => {
    const { data, mask, lengths } = padCollate({ value: -1, dtypes: ['int32'] })([[1, 2, 3], [4]]);
    assert.deepEqual(data.tolist(), [
      [1, 2, 3],
      [4, -1, -1],
    ]);
    assert.deepEqual(mask.tolist(), [
      [1, 1, 1],
      [1, 0, 0],
    ]);
    assert.deepEqual([data.dtype, mask.dtype, ...lengths], ['int32', 'bool', 3, 1]);
  });
});

describe('WorkerDataset', () => {
  const module = join(folder, 'squares.mjs');
  writeFileSync(
    module,
    `const get = (i) => { if (i === 7) throw new Error('item 7 is broken'); return [Float32Array.of(i, i * i), i]; };
     export default ({ n }) => ({ length: n, get });
     export const notData = 5;`,
  );

  test('reads in a thread, in order, and moves what it read', async () => {
    const data = await WorkerDataset.open<[Tensor, Tensor]>(pathToFileURL(module), { options: { n: 5 }, dtypes: ['float32', 'int32'] });
    const loader = new DataLoader(data, { batchSize: 2 });
    const seen: unknown[] = [];
    for await (const [x, y] of loader) seen.push([x.tolist(), y.tolist(), y.dtype]);
    assert.deepEqual(seen, [
      [
        [
          [0, 0],
          [1, 1],
        ],
        [0, 1],
        'int32',
      ],
      [
        [
          [2, 4],
          [3, 9],
        ],
        [2, 3],
        'int32',
      ],
      [[[4, 16]], [4], 'int32'],
    ]);
    assert.throws(() => [...loader], says(/use for await/));
    data.close();
  });

  test('a closed one says so', async () => {
    const data = await WorkerDataset.open<[Tensor, Tensor]>(pathToFileURL(module), { options: { n: 5 } });
    data.close();
    await assert.rejects(data.fetchBatch(Int32Array.of(1)), says(/the worker must keep running, got: it ended with code/));
  });

  test('errors of the thread arrive here', async () => {
    const data = await WorkerDataset.open<[Tensor, Tensor]>(pathToFileURL(module), { options: { n: 9 } });
    await assert.rejects(data.fetchBatch(Int32Array.of(6, 7)), says(/item 7 is broken/));
    data.close();
    await assert.rejects(
      WorkerDataset.open(pathToFileURL(module), { export: 'notData' }),
      says(/'notData' .* must be a dataset with length and get/),
    );
    await assert.rejects(WorkerDataset.open(pathToFileURL(join(folder, 'none.mjs'))), says(/none\.mjs/));
  });
});
