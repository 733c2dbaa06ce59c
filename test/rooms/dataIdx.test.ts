// IDX files: every element type, packed or not; broken ones say which file and which byte.
import assert from 'node:assert/strict';
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { gzipSync } from 'node:zlib';
import { DataLoader, decodeIdx, mnist, readIdx, WorkerDataset } from '../../dist/data/index.js';
import '../../dist/index.js';

const folder = mkdtempSync(join(tmpdir(), 'chainrule-idx-'));
after(() => rmSync(folder, { recursive: true, force: true }));

const says = (phrase: RegExp) => (error: Error) => error.name === 'LibError' && phrase.test(error.message);

function idx(type: number, shape: readonly number[], elements: Uint8Array): Uint8Array {
  const bytes = new Uint8Array(4 + 4 * shape.length + elements.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, (type << 8) | shape.length);
  for (const [i, d] of shape.entries()) view.setUint32(4 + 4 * i, d);
  bytes.set(elements, 4 + 4 * shape.length);
  return bytes;
}
const bigEndian = (bytes: number, values: readonly number[], set: (view: DataView, at: number, value: number) => void): Uint8Array => {
  const out = new Uint8Array(bytes * values.length);
  for (const [i, v] of values.entries()) set(new DataView(out.buffer), i * bytes, v);
  return out;
};

describe('decodeIdx', () => {
  const cases: [code: number, dtype: string, values: number[], bytes: Uint8Array][] = [
    [8, 'uint8', [0, 7, 255], Uint8Array.of(0, 7, 255)],
    [9, 'int32', [-128, 0, 127], Uint8Array.of(128, 0, 127)],
    [11, 'int32', [-300, 2, 300], bigEndian(2, [-300, 2, 300], (v, at, x) => v.setInt16(at, x))],
    [12, 'int32', [-70000, 2, 70000], bigEndian(4, [-70000, 2, 70000], (v, at, x) => v.setInt32(at, x))],
    [13, 'float32', [-1.5, 0, 2.25], bigEndian(4, [-1.5, 0, 2.25], (v, at, x) => v.setFloat32(at, x))],
    [14, 'float64', [-0.1, 0, 1e300], bigEndian(8, [-0.1, 0, 1e300], (v, at, x) => v.setFloat64(at, x))],
  ];
  for (const [code, dtype, values, bytes] of cases) {
    test(`type 0x${code.toString(16).padStart(2, '0')} is ${dtype}`, () => {
      const array = decodeIdx(idx(code, [3, 1], bytes));
      assert.deepEqual([array.dtype, array.shape, [...array.data]], [dtype, [3, 1], values]);
    });
  }

  const good = idx(8, [2, 3], Uint8Array.of(1, 2, 3, 4, 5, 6));
  const broken: [what: string, bytes: Uint8Array, phrase: RegExp][] = [
    ['empty', new Uint8Array(0), /digits: an IDX file starts with 4 bytes, got 0 bytes: truncated at byte 0/],
    ['cut in the header', good.slice(0, 7), /digits: expected a header of 12 bytes, got 7: truncated at byte 7/],
    ['cut in the data', good.slice(0, 15), /digits: expected 18 bytes, got 15: truncated at byte 15/],
    ['too long', Uint8Array.of(...good, 0), /digits: expected 18 bytes, got 19: more than the header says, from byte 18/],
    ['a picture', Uint8Array.of(0x89, 0x50, 0x4e, 0x47), /two zero bytes, got the magic number 0x89504e47 at byte 0/],
    ['an unknown type', idx(10, [1], Uint8Array.of(1)), /the element type is one of .*, got 0x0a at byte 2/],
  ];
  for (const [what, bytes, phrase] of broken) {
    test(`${what} is an error`, () => assert.throws(() => decodeIdx(bytes, { file: 'digits' }), says(phrase)));
  }
});

describe('readIdx', () => {
  test('unpacks gzip, and says when that is cut', async () => {
    const packed = gzipSync(idx(8, [4], Uint8Array.of(1, 2, 3, 4)));
    writeFileSync(join(folder, 'packed.gz'), packed);
    assert.deepEqual((await readIdx(join(folder, 'packed.gz'))).tolist(), [1, 2, 3, 4]);
    writeFileSync(join(folder, 'cut.gz'), packed.subarray(0, 20));
    await assert.rejects(readIdx(join(folder, 'cut.gz')), says(/cut\.gz: the gzip data \(20 bytes\) must be complete/));
  });

  test('names a file that is not there', async () => {
    await assert.rejects(readIdx(join(folder, 'none')), says(/the file must be readable, got .*none: no such file/));
    await assert.rejects(readIdx(folder), says(/it is a folder/));
  });
});

describe('mnist', () => {
  const images = (n: number): Uint8Array =>
    idx(
      8,
      [n, 28, 28],
      Uint8Array.from({ length: n * 784 }, (_, i) => i % 256),
    );
  const classes = (n: number): Uint8Array =>
    idx(
      8,
      [n],
      Uint8Array.from({ length: n }, (_, i) => i % 10),
    );
  const files = {
    'train-images-idx3-ubyte': images(6),
    'train-labels-idx1-ubyte': classes(6),
    't10k-images-idx3-ubyte': images(4),
    't10k-labels-idx1-ubyte': classes(4),
  };
  const rootWith = (name: string, changes: Readonly<Record<string, Uint8Array>>): string => {
    const root = join(folder, name);
    mkdirSync(root);
    for (const [file, bytes] of Object.entries({ ...files, ...changes })) writeFileSync(join(root, file), bytes);
    return root;
  };

  test('the real files have 60,000 and 10,000 digits', async () => {
    const { raw, test: held } = await mnist();
    const [x, y] = raw.train.tensors;
    assert.deepEqual([x.shape, x.dtype, y.shape, y.dtype], [[60000, 1, 28, 28], 'uint8', [60000], 'int32']);
    assert.equal(held.length, 10000);
    assert.deepEqual([...raw.train.getBatch(Int32Array.of(0, 1, 2, 3, 4))[1].toArray()], [5, 0, 4, 1, 9]);
    const [image] = held.getBatch(Int32Array.of(0));
    assert.deepEqual([image.shape, image.dtype], [[1, 1, 28, 28], 'float32']);
    assert.ok(Math.abs(Math.min(...(await image.data())) + 0.1307 / 0.3081) < 1e-5);
  });

  test('reads packed files, too', async () => {
    const root = join(folder, 'packed');
    mkdirSync(root);
    for (const [file, bytes] of Object.entries(files)) writeFileSync(join(root, `${file}.gz`), gzipSync(bytes));
    assert.equal((await mnist({ root })).train.length, 6);
  });

  const wrong: [name: string, changes: Readonly<Record<string, Uint8Array>>, phrase: RegExp][] = [
    [
      'truncated',
      { 'train-images-idx3-ubyte': images(6).slice(0, 1000) },
      /train-images-idx3-ubyte: expected 4720 bytes, got 1000: truncated at byte 1000/,
    ],
    [
      'mislabelled',
      { 'train-images-idx3-ubyte': classes(6) },
      /train-images-idx3-ubyte: the file must hold images: .*, got 1 dimension \(magic number 2049, a file of labels\) at byte 0/,
    ],
    ['swapped', { 't10k-labels-idx1-ubyte': images(4) }, /t10k-labels-idx1-ubyte: the file must hold labels.*a file of images\) at byte 0/],
    [
      'counts',
      { 'train-labels-idx1-ubyte': classes(5) },
      /train-images-idx3-ubyte and train-labels-idx1-ubyte must count the same items, got 6 images and 5 labels/,
    ],
  ];
  for (const [name, changes, phrase] of wrong) {
    test(`${name}: says which file and which byte`, () => assert.rejects(mnist({ root: rootWith(name, changes) }), says(phrase)));
  }

  test('a missing folder is named', () => assert.rejects(mnist({ root: join(folder, 'nowhere') }), says(/nowhere\/t?.*: no such file/)));

  test('a worker reads the same digits', async () => {
    const root = rootWith('worker', {});
    const data = await WorkerDataset.openIdx({
      images: join(root, 'train-images-idx3-ubyte'),
      labels: join(root, 'train-labels-idx1-ubyte'),
    });
    const { raw } = await mnist({ root });
    const seen: number[][] = [];
    for await (const [x, y] of new DataLoader(data, { batchSize: 4 })) {
      assert.deepEqual([x.dtype, x.shape.slice(1)], ['uint8', [1, 28, 28]]);
      seen.push([...y.toArray(), x.sum().itemNow()]);
    }
    const expected = [...new DataLoader(raw.train, { batchSize: 4 })].map(([x, y]) => [...y.toArray(), x.sum().itemNow()]);
    assert.deepEqual(seen, expected);
    data.close();
    const broken = { images: join(root, 'train-labels-idx1-ubyte'), labels: join(root, 'train-labels-idx1-ubyte') };
    await assert.rejects(WorkerDataset.openIdx(broken), says(/must hold images/));
  });
});
