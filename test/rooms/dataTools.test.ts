// Splits, folds, leaks, standardization, imbalance, label noise and readers of files: what each promises, over tables of cases.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { deflateSync } from 'node:zlib';
import {
  Characters,
  ClassBalancedSampler,
  checkLeaks,
  classCounts,
  classWeights,
  conditioning,
  type Dataset,
  DistributedSampler,
  findLeaks,
  kFold,
  labelNoise,
  oversample,
  parseCsv,
  readCsv,
  readImage,
  readText,
  StackDataset,
  Standardizer,
  SubsetRandomSampler,
  splitDataset,
  splitIndices,
  TensorDataset,
  undersample,
} from '../../dist/data/index.js';
import { manualSeed, randn, type Tensor, tensor } from '../../dist/index.js';
import { crc32 } from '../../dist/io/crc32.js';

const says = (phrase: RegExp) => (error: Error) => error.name === 'LibError' && phrase.test(error.message);
const sorted = (values: Iterable<number>): number[] => [...values].sort((a, b) => a - b);
const range = (n: number): number[] => Array.from({ length: n }, (_, i) => i);
const shareOf = (part: ArrayLike<number>, labels: readonly number[], c: number): number =>
  Array.from(part).filter((i) => labels[i] === c).length;

const N = 103;
const labels = range(N).map((i) => (i % 10 === 0 ? 2 : i % 3 === 0 ? 1 : 0));
const groups = range(N).map((i) => `g${Math.floor(i / 4)}`);

describe('splits', () => {
  for (const [name, options] of Object.entries({ plain: {}, stratified: { stratify: labels }, grouped: { groups } })) {
    test(`${name}: disjoint, complete, of the sizes asked for, the same for the same seed`, () => {
      const parts = splitIndices(N, { validation: 0.2, test: 0.1, seed: 3, ...options });
      const all = [...parts.train, ...parts.validation, ...parts.test];
      assert.deepEqual(sorted(all), range(N));
      const slack = name === 'grouped' ? 3 : 1;
      assert.ok(Math.abs(parts.validation.length - 0.2 * N) <= slack && Math.abs(parts.test.length - 0.1 * N) <= slack);
      assert.deepEqual(splitIndices(N, { validation: 0.2, test: 0.1, seed: 3, ...options }), parts);
      assert.notDeepEqual(splitIndices(N, { validation: 0.2, test: 0.1, seed: 4, ...options }), parts);
    });
  }
  test('stratified parts have the proportions of the whole; groups stay together', () => {
    const parts = splitIndices(N, { validation: 0.2, test: 0.2, stratify: tensor(Int32Array.from(labels)), seed: 1 });
    for (const c of [0, 1, 2]) {
      const total = labels.filter((l) => l === c).length;
      for (const [part, share] of [
        [parts.train, 0.6],
        [parts.validation, 0.2],
        [parts.test, 0.2],
      ] as const) {
        assert.ok(Math.abs(shareOf(part, labels, c) - share * total) <= 1.5, `class ${c}: ${shareOf(part, labels, c)} of ${total}`);
      }
    }
    for (const fold of kFold(N, { k: 4, groups, stratify: labels, seed: 1 })) {
      const inside = new Set([...fold.validation].map((i) => groups[i]));
      assert.ok([...fold.train].every((i) => !inside.has(groups[i])));
    }
  });
  test('folds: every item is validated once a repeat, classes evenly', () => {
    const folds = kFold(N, { k: 5, repeats: 3, stratify: labels, seed: 2 });
    assert.equal(folds.length, 15);
    for (const repeat of [0, 1, 2]) {
      assert.deepEqual(sorted(folds.filter((f) => f.repeat === repeat).flatMap((f) => [...f.validation])), range(N));
    }
    for (const f of folds) {
      assert.deepEqual(sorted([...f.train, ...f.validation]), range(N));
      for (const c of [0, 1, 2]) assert.ok(Math.abs(shareOf(f.validation, labels, c) - labels.filter((l) => l === c).length / 5) <= 1.5);
    }
    assert.notDeepEqual(folds[0]?.validation, folds[5]?.validation);
  });
  test('leaks are found, within a part they are none', () => {
    const parts = { train: tensor([[1, 2], [3, 4], [1, 2]]), validation: tensor([[5, 6]]), test: tensor([[9, 9], [3, 4]]) }; // biome-ignore format: a table
    assert.deepEqual(findLeaks(parts), [{ parts: ['train', 'test'], rows: [1, 1] }]);
    assert.throws(() => checkLeaks(parts), says(/must not share rows, got 1 shared, first row 1 of train and 1 of test/));
    const data = new TensorDataset(randn([40, 3]), randn([40]));
    checkLeaks({ ...splitDataset(data, { seed: 1 }) });
  });
  test('wrong calls', () => {
    assert.throws(() => splitIndices(0), says(/there must be items/));
    assert.throws(() => splitIndices(9, { validation: 0.6, test: 0.5 }), says(/must leave items/));
    assert.throws(() => splitIndices(9, { validation: -1 }), says(/validation must be in/));
    assert.throws(() => splitIndices(9, { stratify: [1] }), says(/stratify must have one entry/));
    assert.throws(() => kFold(9, { k: 10 }), says(/k must be in 2..9/));
    assert.throws(() => kFold(9, { k: 3, groups: new Array(9).fill(1) }), says(/at least k = 3 groups/));
    assert.throws(() => kFold(9, { repeats: 0 }), says(/repeats must be/));
  });
});

describe('standardize', () => {
  test('mean 0, deviation 1 where fitted; inverse; constant features; better conditioning', () => {
    manualSeed(1);
    const x = randn([200, 3], { dtype: 'float64' })
      .mul(tensor([1, 50, 0], { dtype: 'float64' }))
      .add(tensor([100, -3, 7], { dtype: 'float64' }));
    const s = new Standardizer().fit(x);
    const y = s.transform(x);
    for (const [c, m] of y.mean({ dim: 0 }).toArray().entries()) assert.ok(Math.abs(m) < 1e-9, `${c}`);
    assert.deepEqual(
      [...y.std({ dim: 0, correction: 0 }).toArray()].map((v) => Math.round(v * 1e9) / 1e9),
      [1, 1, 0],
    );
    assert.ok(s.inverse(y).sub(x).abs().max().itemNow() < 1e-9);
    const two = x.narrow(1, 0, 2);
    assert.ok(conditioning(two) > 1e4 && conditioning(new Standardizer().fitTransform(two)) < 2);
    const centred = conditioning(new Standardizer({ scale: false }).fitTransform(two));
    assert.ok(centred < conditioning(two) && centred > 1000);
    const copy = new Standardizer();
    assert.throws(() => copy.transform(x), says(/fit must come first/));
    copy.loadStateDict(s.stateDict());
    assert.deepEqual(copy.transform(x).toArray(), y.toArray());
    assert.throws(() => copy.transform(two), says(/items must be as those/));
  });
});

describe('imbalance', () => {
  const counts = [...classCounts(labels)];
  test('weights make classes count the same', () => {
    const w = [...classWeights(labels).toArray()];
    for (const c of [0, 1, 2]) assert.ok(Math.abs((w[c] as number) * (counts[c] as number) - N / 3) < 1e-4);
    const root = [...classWeights(labels, { scheme: 'sqrt' }).toArray()];
    assert.ok(root.every((v, c) => Math.abs(v * v - (w[c] as number)) < 1e-5));
    assert.deepEqual([...classWeights(labels, { scheme: 'effective', beta: 0 }).toArray()], [1, 1, 1]);
    assert.equal(classWeights([0, 2], { numClasses: 4 }).toArray()[1], 0);
    assert.throws(() => classWeights([0, 1.5]), says(/labels must be classes/));
    assert.throws(() => classWeights([0], { scheme: 'x' as never }), says(/scheme must be/));
  });
  test('over- and undersampling level the classes', () => {
    const over = oversample(labels, { seed: 1 });
    const under = undersample(labels, { seed: 1 });
    for (const c of [0, 1, 2]) {
      assert.equal(shareOf(over, labels, c), Math.max(...counts));
      assert.equal(shareOf(under, labels, c), Math.min(...counts));
    }
    assert.equal(new Set(under).size, under.length);
    assert.equal(new Set(over).size, N);
  });
  test('the class-balanced sampler: classes in equal shares, items of a class in turn, another order each epoch', () => {
    const sampler = new ClassBalancedSampler(labels, { seed: 1, numSamples: 3000 });
    const order = sampler.order(0);
    for (const c of [0, 1, 2]) {
      assert.ok(Math.abs(shareOf(order, labels, c) - 1000) < 100);
      const times = new Map<number, number>();
      for (const i of order) if (labels[i] === c) times.set(i, (times.get(i) ?? 0) + 1);
      assert.ok(Math.max(...times.values()) - Math.min(...times.values()) <= 1);
    }
    assert.deepEqual(sampler.order(0), order);
    assert.notDeepEqual(sampler.order(1), order);
  });
  test('label noise: exact rates, kinds, the clean copy', () => {
    const many = range(1000).map((i) => i % 4);
    const moved = (kind: 'symmetric' | 'pair' | 'uniform', rate: number) => labelNoise(many, { rate, kind, seed: 5 });
    const { noisy, clean, flipped } = moved('symmetric', 0.3);
    assert.equal(
      flipped.reduce((a, b) => a + b, 0),
      300,
    );
    assert.deepEqual([...clean], many);
    const shifts = [1, 2, 3].map((d) => noisy.filter((v, i) => (v - (clean[i] as number) + 4) % 4 === d).length);
    assert.ok(
      shifts.every((n) => Math.abs(n - 100) < 35),
      `${shifts}`,
    );
    const pair = moved('pair', 0.2);
    assert.ok(pair.noisy.every((v, i) => v === clean[i] || v === ((clean[i] as number) + 1) % 4));
    const random = moved('uniform', 1);
    assert.ok(Math.abs(random.flipped.reduce((a, b) => a + b, 0) - 750) < 50);
    assert.deepEqual([...labelNoise([0, 1], { rate: 1, kind: [[0, 1], [1, 0]], seed: 1 }).noisy], [1, 0]); // biome-ignore format: a table
    assert.throws(() => labelNoise([0, 1], { rate: 2 }), says(/rate must be in/));
    assert.throws(() => labelNoise([0, 1], { rate: 1, kind: [[1]] }), says(/kind must be/));
    assert.throws(() => labelNoise([0, 0], { rate: 1 }), says(/two classes/));
  });
});

describe('files', () => {
  test('csv: quotes, line ends, numbers, classes', async () => {
    const table = parseCsv('\ufeffname,x,y\r\n"a, ""b""",1,\r\nc,2.5,-3e2\n');
    assert.deepEqual(table.columns, ['name', 'x', 'y']);
    assert.deepEqual(table.column('name'), ['a, "b"', 'c']);
    assert.deepEqual([...table.numbers(['x', 'y']).toArray()], [1, Number.NaN, 2.5, -300]);
    const { labels: l, names } = table.classes('name');
    assert.deepEqual(
      [[...l.toArray()], names],
      [
        [0, 1],
        ['a, "b"', 'c'],
      ],
    );
    assert.deepEqual(parseCsv('1;2\n3;4', { header: false, separator: ';' }).numbers().tolist(), [[1, 2], [3, 4]]); // biome-ignore format: a table
    assert.deepEqual(parseCsv('a,b\n1,\n"line\nbreak",2').rows, [['1', ''], ['line\nbreak', '2']]); // biome-ignore format: a table
    assert.deepEqual((await readCsv(new TextEncoder().encode('é\n1'))).columns, ['é']);
    assert.throws(() => parseCsv('a,b\n1'), says(/rows must have 2 fields/));
    assert.throws(() => parseCsv('a\n"1'), says(/quotes must be closed/));
    assert.throws(() => parseCsv('a\n"1"2'), says(/closing quote/));
    assert.throws(() => table.numbers(['name']), says(/must hold numbers/));
    assert.throws(() => table.column('z'), says(/columns are name, x, y/));
    await assert.rejects(readText(Uint8Array.of(0xff, 0xfe)), says(/must be UTF-8/));
  });
  test('characters and back', () => {
    const c = new Characters('hello wörld');
    assert.equal(c.decode(c.encode('dröhle')), 'dröhle');
    assert.throws(() => c.encode('x'), says(/must be of the vocabulary/));
  });
  test('netpbm: plain and raw, grey and colors, 8 and 16 bits, comments', async () => {
    const text = (s: string, ...more: number[]) => readImage(Uint8Array.from([...new TextEncoder().encode(s), ...more]));
    assert.deepEqual((await text('P2 # c\n2 1 # d\n1\n0 1')).tolist(), [[[0, 255]]]);
    assert.deepEqual((await text('P3\n1 2\n255\n1 2 3 4 5 6')).tolist(), [
      [[1], [4]],
      [[2], [5]],
      [[3], [6]],
    ]);
    assert.deepEqual((await text('P5 2 1 255\n', 7, 8)).tolist(), [[[7, 8]]]);
    assert.deepEqual((await text('P6 1 1 65535\n', 1, 0, 0, 2, 255, 255)).tolist(), [[[256]], [[2]], [[65535]]]);
    await assert.rejects(text('P5 2 2 255\n', 7), says(/pixels need 4 bytes, got 1/));
    await assert.rejects(text('P2 1 1 3\n9'), says(/at most 3/));
    await assert.rejects(text('P2 x'), says(/width must be a number/));
    await assert.rejects(text('GIF89'), says(/must be PNG, PGM or PPM/));
  });
});

/** A PNG by the book: each line with the filter asked for. */
function png(
  width: number,
  height: number,
  depth: number,
  color: number,
  lines: (pass: number) => number[][],
  extra: Record<string, number[]> = {},
  interlace = 0,
): Uint8Array {
  const chunk = (type: string, data: Uint8Array | number[]): number[] => {
    const body = [...new TextEncoder().encode(type), ...data];
    const u32 = (v: number): number[] => [v >>> 24, (v >>> 16) & 255, (v >>> 8) & 255, v & 255];
    return [...u32(data.length), ...body, ...u32(crc32([Uint8Array.from(body)]))];
  };
  const header = [0, 0, 0, width, 0, 0, 0, height, depth, color, 0, 0, interlace];
  const raw = range(interlace ? 7 : 1).flatMap((pass) => lines(pass).flat());
  const parts = Object.entries(extra).flatMap(([type, data]) => chunk(type, data));
  const packed = deflateSync(Uint8Array.from(raw));
  const half = packed.length >> 1;
  return Uint8Array.from([
    ...[0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a],
    ...chunk('IHDR', header),
    ...parts,
    ...chunk('IDAT', packed.subarray(0, half)),
    ...chunk('IDAT', packed.subarray(half)),
    ...chunk('IEND', []),
  ]);
}
const paeth = (a: number, b: number, c: number): number => {
  const d = [a, b, c].map((v) => Math.abs(a + b - c - v));
  const least = Math.min(...d);
  return [a, b, c][d.indexOf(least)] as number;
};
/** What the filters of the standard make of lines of bytes. */
function filtered(rows: readonly (readonly number[])[], step: number, kinds: readonly number[]): number[][] {
  return rows.map((row, y) => {
    const kind = kinds[y % kinds.length] as number;
    const guess = (i: number): number => {
      const [a, b, c] = [row[i - step] ?? 0, rows[y - 1]?.[i] ?? 0, i < step ? 0 : (rows[y - 1]?.[i - step] ?? 0)];
      return [0, a, b, (a + b) >> 1, paeth(a, b, c)][kind] as number;
    };
    return [kind, ...row.map((v, i) => (v - guess(i) + 256) & 255)];
  });
}

describe('png', () => {
  const bytes = (n: number, seed: number): number[] => range(n).map((i) => (i * i * 31 + seed * 57 + (i >> 2) * 91) & 255);
  const cases = [[0, 8, 1], [2, 8, 3], [4, 8, 2], [6, 8, 4], [0, 16, 1], [2, 16, 3], [6, 16, 4]] as const; // biome-ignore format: a table
  for (const [color, depth, samples] of cases) {
    test(`color type ${color} with ${depth} bits, all filters`, async () => {
      const [w, h, wide] = [5, 7, depth / 8];
      const rows = range(h).map((y) => bytes(w * samples * wide, y));
      const image = await readImage(png(w, h, depth, color, () => filtered(rows, samples * wide, [0, 1, 2, 3, 4])));
      const value = (y: number, i: number): number =>
        wide === 1 ? (rows[y]?.[i] as number) : 256 * (rows[y]?.[2 * i] as number) + (rows[y]?.[2 * i + 1] as number);
      const expected = range(samples).map((c) => range(h).map((y) => range(w).map((x) => value(y, x * samples + c))));
      assert.deepEqual(image.tolist(), expected);
      assert.equal(image.dtype, wide === 1 ? 'uint8' : 'int32');
    });
  }
  for (const depth of [1, 2, 4]) {
    test(`grey and palette with ${depth} bits`, async () => {
      const per = 8 / depth;
      const [w, top] = [per + 1, (1 << depth) - 1];
      const values = range(w).map((x) => (x * 3 + 1) & top);
      const packed = [0, 0];
      for (const [x, v] of values.entries())
        packed[Math.floor(x / per)] = (packed[Math.floor(x / per)] as number) | (v << (8 - depth - (x % per) * depth));
      const grey = await readImage(png(w, 1, depth, 0, () => [[0, ...packed]]));
      assert.deepEqual(grey.tolist(), [[values.map((v) => (v * 255) / top)]]);
      const palette = range(top + 1).flatMap((i) => [i, 100 + i, 200 + i]);
      const colors = await readImage(png(w, 1, depth, 3, () => [[0, ...packed]], { PLTE: palette, tRNS: [9] }));
      assert.deepEqual(colors.tolist(), [
        [values],
        [values.map((v) => 100 + v)],
        [values.map((v) => 200 + v)],
        [values.map((v) => (v === 0 ? 9 : 255))],
      ]);
    });
  }
  test('interlaced', async () => {
    const [w, h] = [9, 6];
    const at = (x: number, y: number): number => 20 * y + x;
    const passes = [[0, 0, 8, 8], [4, 0, 8, 8], [0, 4, 4, 8], [2, 0, 4, 4], [0, 2, 2, 4], [1, 0, 2, 2], [0, 1, 1, 2]]; // biome-ignore format: a table
    const lines = (pass: number): number[][] => {
      const [x0 = 0, y0 = 0, dx = 1, dy = 1] = passes[pass] as number[];
      const rows = range(h).filter((y) => y >= y0 && (y - y0) % dy === 0);
      const columns = range(w).filter((x) => x >= x0 && (x - x0) % dx === 0);
      return columns.length === 0
        ? []
        : filtered(
            rows.map((y) => columns.map((x) => at(x, y))),
            1,
            [4, 2],
          );
    };
    const image: Tensor = await readImage(png(w, h, 8, 0, lines, {}, 1));
    assert.deepEqual(image.tolist(), [range(h).map((y) => range(w).map((x) => at(x, y)))]);
  });
  test('broken files say what is wrong', async () => {
    const good = png(2, 2, 8, 0, () => [[0, 1, 2], [0, 3, 4]]); // biome-ignore format: a table
    await assert.rejects(readImage(good.subarray(0, 40)), says(/chunks must be complete/));
    await assert.rejects(readImage(good.map((b, i) => (i === 20 ? b + 1 : b))), says(/checksum of IHDR/));
    await assert.rejects(readImage(png(2, 2, 3, 0, () => [])), says(/color type and depth/));
    await assert.rejects(readImage(png(2, 2, 8, 3, () => [[0, 0, 0], [0, 0, 0]])), says(/must have one/)); // biome-ignore format: a table
    await assert.rejects(readImage(png(2, 2, 8, 0, () => [[0, 1, 2]])), says(/must have 2 lines/));
    await assert.rejects(readImage(png(2, 1, 8, 0, () => [[7, 1, 2]])), says(/filters of lines/));
  });
});

test('datasets side by side; samplers over some items, or over a worker’s share', () => {
  const numbers = (values: readonly number[]): Dataset<number> => ({ length: values.length, get: (i) => values[i] as number });
  assert.deepEqual(new StackDataset([numbers([1, 2]), numbers([3, 4])]).get(-1), [2, 4]);
  assert.deepEqual(new StackDataset({ x: numbers([1, 2]), y: numbers([3, 4]) }).get(0), { x: 1, y: 3 });
  assert.throws(() => new StackDataset([numbers([1]), numbers([1, 2])]), /lengths must agree, got 1 and 2/);
  const some = new SubsetRandomSampler([4, 7, 9, 11], { seed: 3 });
  assert.deepEqual(
    [...some.order(0)].sort((a, b) => a - b),
    [4, 7, 9, 11],
  );
  assert.deepEqual([...some.order(2)], [...some.order(2)]);
  const share = (rank: number, options = {}): number[] => [...new DistributedSampler(7, { numReplicas: 3, rank, ...options }).order(1)];
  assert.deepEqual(
    [0, 1, 2].map((r) => share(r, { shuffle: false })),
    [
      [0, 3, 6],
      [1, 4, 0],
      [2, 5, 1],
    ],
  ); // as PyTorch pads
  assert.deepEqual(
    [0, 1, 2].map((r) => share(r, { shuffle: false, dropLast: true })),
    [
      [0, 3],
      [1, 4],
      [2, 5],
    ],
  );
  assert.deepEqual([...new Set([0, 1, 2].flatMap((r) => share(r)))].sort(), [0, 1, 2, 3, 4, 5, 6]);
  assert.throws(() => new DistributedSampler(7, { numReplicas: 2, rank: 2 }), /rank must be in 0..1, got 2/);
});
