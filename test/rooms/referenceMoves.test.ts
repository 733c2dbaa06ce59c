// The reference backend's gathers, scans, sorts, copies and draws, and programs of several steps.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type DType, dtypes } from '../../dist/core/dtype.js';
import { KernelError } from '../../dist/core/errors.js';
import { type Spec, specOf } from '../../dist/core/spec.js';
import { input, scalar } from '../../dist/expr/expr.js';
import { backend, dense, dot, f32, f64, i32, near, noise, run, runOne, strided, valuesOf } from './referenceRun.js';

describe('gather and scatter', () => {
  const gatherRows = { family: 'gather', dim: 0, wrap: true } as const;
  const table = dense([3, 2], [1, 2, 3, 4, 5, 6]);

  test('gather by element, by row, and from the end', () => {
    const columns = { family: 'gather', dim: 1, wrap: false } as const;
    assert.deepEqual(runOne(columns, [table, dense([2, 3], [0, 1, 1, 1, 0, 0], 'int32')], f32(2, 3)), [1, 2, 2, 4, 3, 3]);
    const ids = { spec: specOf('int32', [2, 2], [1, 0]), values: [2, -3], offset: 0 };
    assert.deepEqual(runOne(gatherRows, [table, ids], f32(2, 2)), [5, 6, 1, 2]);
    assert.deepEqual(runOne(gatherRows, [dense([], [7]), dense([], [0], 'int32')], f32()), [7]);
  });

  test('an index outside is an error with its facts', () => {
    const expected = (facts: string) => (error: unknown) => error instanceof KernelError && error.code === 'index' && error.facts === facts;
    const index = dense([1, 2], [0, 3], 'int32');
    assert.throws(
      () => runOne(gatherRows, [table, index], f32(1, 2)),
      expected('index 3 at element 1 is out of range for dimension of size 3'),
    );
    const scatter = { family: 'scatter', dim: 0, by: 'sum', wrap: false } as const;
    assert.throws(
      () => runOne(scatter, [table, dense([1, 2], [-1, 0], 'int32'), dense([1, 2], [1, 1])], f32(3, 2)),
      expected('index -1 at element 0 is out of range for dimension of size 3'),
    );
  });

  test('scatter sets, adds, multiplies and compares in order', () => {
    const scatter = (by: 'set' | 'sum' | 'prod' | 'max' | 'min') =>
      runOne(
        { family: 'scatter', dim: 0, by, wrap: true },
        [dense([3], [1, 2, 3]), dense([3], [0, -1, 0], 'int32'), dense([3], [5, 7, 4])],
        f32(3),
      );
    assert.deepEqual(scatter('set'), [4, 2, 7]);
    assert.deepEqual(scatter('sum'), [10, 2, 10]);
    assert.deepEqual(scatter('prod'), [20, 2, 21]);
    assert.deepEqual(scatter('max'), [5, 2, 7]);
    assert.deepEqual(scatter('min'), [1, 2, 3]);
  });

  test('scatter-add is the adjoint of gather', () => {
    const index = dense(
      [4, 5],
      noise(20, 9).map((v) => Math.floor((v + 1) * 3)),
      'int32',
    ); // 0..5
    const [x, g] = [noise(30, 1), noise(20, 2)];
    const y = runOne({ family: 'gather', dim: 0, wrap: false }, [dense([6, 5], x, 'float64'), index], f64(4, 5));
    const zeros = dense([6, 5], new Array<number>(30).fill(0), 'float64');
    const back = runOne({ family: 'scatter', dim: 0, by: 'sum', wrap: false }, [zeros, index, dense([4, 5], g, 'float64')], f64(6, 5));
    near(dot(y, g), dot(x, back));
  });
});

describe('scan', () => {
  const along = (by: 'sum' | 'prod' | 'max' | 'min' | 'logSumExp', dim: number) => ({ family: 'scan', by, dim }) as const;

  test('sums and products along either dim', () => {
    const x = dense([2, 3], [1, 2, 3, 4, 5, 6]);
    assert.deepEqual(runOne(along('sum', 1), [x], f32(2, 3)), [1, 3, 6, 4, 9, 15]);
    assert.deepEqual(runOne(along('prod', 0), [x], f32(2, 3)), [1, 2, 3, 4, 10, 18]);
    assert.deepEqual(runOne(along('prod', 0), [dense([3], [65537, 65537, 2], 'int32')], i32(3)), [65537, 131073, 262146]);
    assert.deepEqual(runOne(along('sum', 0), [dense([], [4])], f32()), [4]);
  });

  test('max and min: the last of equals, and NaN from then on', () => {
    const x = dense([6], [1, 3, 3, 2, Number.NaN, 9]);
    assert.deepEqual(run(along('max', 0), [x], [f32(6), i32(6)]), [
      [1, 3, 3, 3, Number.NaN, Number.NaN],
      [0, 1, 2, 2, 4, 4],
    ]);
    assert.deepEqual(run(along('min', 0), [dense([4], [2, 1, 1, 5])], [f32(4), i32(4)]), [
      [2, 1, 1, 1],
      [0, 1, 2, 2],
    ]);
  });

  test('logSumExp neither overflows nor loses infinities', () => {
    const [lowest, low, equal, high] = runOne(
      along('logSumExp', 0),
      [dense([4], [Number.NEGATIVE_INFINITY, -1000, -1000, 1000], 'float64')],
      f64(4),
    );
    assert.equal(lowest, Number.NEGATIVE_INFINITY);
    assert.equal(low, -1000);
    near(equal ?? 0, -1000 + Math.LN2, 1e-15);
    assert.equal(high, 1000);
  });
});

describe('sort', () => {
  test('stable in both directions, NaN as the largest', () => {
    const x = dense([5], [2, Number.NaN, 1, 2, Number.NaN]);
    const outputs = [f32(5), i32(5)];
    assert.deepEqual(run({ family: 'sort', dim: 0, descending: false }, [x], outputs), [
      [1, 2, 2, Number.NaN, Number.NaN],
      [2, 0, 3, 1, 4],
    ]);
    assert.deepEqual(run({ family: 'sort', dim: 0, descending: true }, [x], outputs), [
      [Number.NaN, Number.NaN, 2, 2, 1],
      [1, 4, 0, 3, 2],
    ]);
  });

  test('keeps the first k, along the first dim', () => {
    const x = dense([3, 2], [1, 6, 2, 5, 3, 4]);
    assert.deepEqual(run({ family: 'sort', dim: 0, descending: true, k: 2 }, [x], [f32(2, 2), i32(2, 2)]), [
      [3, 6, 2, 5],
      [2, 0, 1, 1],
    ]);
  });

  test('gives an ordered permutation', () => {
    const [x, shape] = [noise(60, 7), [3, 20]];
    const [values = [], order = []] = run(
      { family: 'sort', dim: 1, descending: false },
      [dense(shape, x, 'float64')],
      [f64(...shape), i32(...shape)],
    );
    for (let row = 0; row < 3; row++) {
      const line = order.slice(row * 20, row * 20 + 20);
      assert.deepEqual(
        [...line].sort((a, b) => a - b),
        Array.from({ length: 20 }, (_, i) => i),
      );
      assert.deepEqual(
        values.slice(row * 20, row * 20 + 20),
        line.map((i) => x[row * 20 + i]),
      );
    }
    assert.ok(values.every((v, i) => i % 20 === 0 || (values[i - 1] ?? 0) <= v));
  });
});

describe('copy', () => {
  test('casts, fills, joins and pads', () => {
    assert.deepEqual(runOne({ family: 'copy' }, [strided([2, 2], [1, 2], [1.5, 2, -3.5, 4])], i32(2, 2)), [1, -3, 2, 4]);
    assert.deepEqual(runOne({ family: 'copy', fill: 3 }, [], f32(2)), [3, 3]);
    const places = [
      { offset: 0, strides: [3, 1] },
      { offset: 2, strides: [3, 1] },
    ];
    assert.deepEqual(
      runOne({ family: 'copy', places }, [dense([2, 2], [1, 2, 3, 4]), dense([2, 1], [5, 6])], f32(2, 3)),
      [1, 2, 5, 3, 4, 6],
    );
    const middle = { family: 'copy', fill: -1, places: [{ offset: 1, strides: [1] }] } as const;
    assert.deepEqual(runOne(middle, [dense([2], [7, 8])], f32(4)), [-1, 7, 8, -1]);
  });

  test('adds where windows overlap', () => {
    const unfold = { family: 'copy', fill: 0, accumulate: true, places: [{ offset: 0, strides: [1, 1] }] } as const;
    assert.deepEqual(runOne(unfold, [dense([3, 2], [1, 2, 3, 4, 5, 6])], f32(4)), [1, 5, 9, 6]);
  });
});

describe('random', () => {
  const draw = (by: 'uniform' | 'normal' | 'integers', spec: Spec, scalars: readonly number[]) =>
    runOne({ family: 'random', by }, [], spec, scalars);

  test('fills are repeatable, continue at an offset, and have their moments', () => {
    const uniform = draw('uniform', f64(4000), [1, 2, 0]);
    assert.deepEqual(draw('uniform', f64(4000), [1, 2, 0]), uniform);
    assert.notDeepEqual(draw('uniform', f64(4000), [2, 2, 0]), uniform);
    assert.ok(uniform.every((v) => v >= 0 && v < 1));
    near(uniform.reduce((a, b) => a + b, 0) / 4000, 0.5, 0.02);
    const normal = draw('normal', f32(4000), [1, 2, 0]);
    near(normal.reduce((a, b) => a + b * b, 0) / 4000, 1, 0.05);
    const integers = draw('integers', i32(1000), [1, 2, 0, -2, 3]);
    assert.deepEqual(
      [...new Set(integers)].sort((a, b) => a - b),
      [-2, -1, 0, 1, 2],
    );
  });

  test('are those of the stream, word by word', () => {
    // The published vector of Philox4x32-10 for counter 0 and key 0.
    const words = [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8];
    assert.deepEqual(
      draw('uniform', f32(4), [0, 0, 0]),
      words.map((w) => (w >>> 8) * 2 ** -24),
    );
    assert.deepEqual(draw('uniform', f32(8), [0, 0, 0]).slice(4), draw('uniform', f32(4), [0, 0, 1]));
    assert.deepEqual(
      draw('integers', specOf('uint8', [4]), [0, 0, 0, 0, 256]),
      words.map((w) => w >>> 24),
    );
  });

  test('a 16-bit uniform is never 1', () => {
    for (const dtype of ['float16', 'bfloat16'] as const) {
      const values = draw('uniform', specOf(dtype, [20_000]), [3, 4, 0]);
      assert.ok(values.every((v) => v >= 0 && v < 1));
      assert.ok(Math.max(...values) > 0.99);
    }
  });
});

test('a program is its steps, each with its own scalars', () => {
  const add = { family: 'map', exprs: [input(0).add(scalar(0))], compute: 'float32' } as const;
  const [a, b] = [0, 1].map((buffer) => ({ buffer, spec: f32(2), offset: 0 }));
  assert.ok(a && b);
  const steps = [
    { kernel: add, inputs: [a], outputs: [b], scalarBase: 0 },
    { kernel: add, inputs: [b], outputs: [a], scalarBase: 1 },
  ];
  const storages = [backend.allocate(8), backend.allocate(8)];
  backend.compile({ steps, buffers: 2, scalars: 2 }).run(storages, [0, 0], [1, 10]);
  assert.deepEqual(
    storages.map((s) => valuesOf(backend.downloadNow(s, 0, 8), 'float32')),
    [
      [11, 11],
      [1, 1],
    ],
  );
});

test('every storage type goes through every family that moves data', () => {
  for (const dtype of Object.keys(dtypes) as DType[]) {
    const [values, spec] = [[1, 0, 1, 1, 0, 0], specOf(dtype, [2, 3])];
    const x = dense(spec.shape, values, dtype);
    assert.deepEqual(runOne({ family: 'copy' }, [x], spec), values);
    assert.deepEqual(runOne({ family: 'gather', dim: 0, wrap: false }, [x, dense([2, 3], [0, 0, 0, 1, 1, 1], 'int32')], spec), values);
    assert.deepEqual(runOne({ family: 'sort', dim: 1, descending: true }, [x], spec), [1, 1, 0, 1, 0, 0]);
  }
});
