// The reference backend's arithmetic, against small cases worked out by hand and properties that only right answers have.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import type { DType } from '../../dist/core/dtype.js';
import { specOf } from '../../dist/core/spec.js';
import { input, scalar } from '../../dist/expr/expr.js';
import type { ConvGeometry, WindowGeometry } from '../../dist/program/kernel.js';
import { backend, bytesOf, dense, dot, f32, f64, i32, near, noise, run, runOne, strided, valuesOf } from './referenceRun.js';

describe('map', () => {
  test('broadcasts, transposes and shifts by strides', () => {
    const x = strided([3, 2], [1, 3], [9, 1, 2, 3, 4, 5, 6], 1); // the transpose of ((1, 2, 3), (4, 5, 6))
    const y = dense([2], [10, 20]);
    const sum = { family: 'map', exprs: [input(0).add(input(1))], compute: 'float32' } as const;
    assert.deepEqual(runOne(sum, [x, y], f32(3, 2)), [11, 24, 12, 25, 13, 26]);
  });

  test('reads backwards where a stride is negative', () => {
    const copyOf = { family: 'map', exprs: [input(0)], compute: 'float32' } as const;
    assert.deepEqual(runOne(copyOf, [strided([3], [-1], [1, 2, 3], 2)], f32(3)), [3, 2, 1]);
  });

  test('has several outputs, scalars, and int32 arithmetic that wraps', () => {
    const exprs = [input(0).mul(scalar(0)), input(0).less(scalar(1))];
    const outputs = run(
      { family: 'map', exprs, compute: 'int32' },
      [dense([2], [2 ** 30, 3], 'int32')],
      [i32(2), specOf('bool', [2])],
      [5, 4],
    );
    assert.deepEqual(outputs, [
      [2 ** 30, 15],
      [0, 1],
    ]);
  });

  test('an element stored as 0.1 equals the number 0.1', () => {
    assert.deepEqual(
      runOne({ family: 'map', exprs: [input(0).equal(0.1)], compute: 'float32' }, [dense([], [0.1])], specOf('bool', [])),
      [1],
    );
  });

  test('an output may be an input', () => {
    const storage = backend.allocate(12);
    backend.upload(storage, 0, bytesOf([1, 2, 3], 'float32'));
    const operand = { buffer: 0, spec: f32(2), offset: 0 };
    const kernel = { family: 'map', exprs: [input(0).mul(input(0)).add(1)], compute: 'float32' } as const;
    backend
      .compile({ steps: [{ kernel, inputs: [operand], outputs: [operand], scalarBase: 0 }], buffers: 1, scalars: 0 })
      .run([storage], [4], []);
    assert.deepEqual(valuesOf(backend.downloadNow(storage, 0, 12), 'float32'), [1, 5, 10]);
  });

  test('empty tensors are no work', () => {
    assert.deepEqual(runOne({ family: 'map', exprs: [input(0)], compute: 'float32' }, [dense([0, 3], [])], f32(0, 3)), []);
  });

  test('every storage type holds what it can', () => {
    const through = (dtype: DType, values: number[]): number[] =>
      runOne({ family: 'map', exprs: [input(0)], compute: 'float32' }, [dense([values.length], values)], specOf(dtype, [values.length]));
    assert.deepEqual(through('float16', [1 / 3, 70000]), [0.333251953125, Number.POSITIVE_INFINITY]);
    assert.deepEqual(through('bfloat16', [1 / 3, 257]), [0.333984375, 256]);
    assert.deepEqual(through('uint8', [1.9, 257]), [1, 1]);
    assert.deepEqual(through('bool', [0.5, 0]), [1, 0]);
    assert.deepEqual(through('int32', [-1.9, 7]), [-1, 7]);
  });
});

describe('reduce', () => {
  const values = [3, Number.NaN, 1, 4, 1, 5];
  const over = (by: 'sum' | 'prod' | 'max' | 'min' | 'argmax' | 'argmin', dims: number[]) =>
    ({ family: 'reduce', by, dims, expr: input(0), shape: [2, 3], compute: 'float32' }) as const;

  test('over some dims, left out or kept', () => {
    const x = dense([2, 3], [1, 2, 3, 4, 5, 6]);
    assert.deepEqual(runOne(over('sum', [0]), [x], f32(3)), [5, 7, 9]);
    assert.deepEqual(runOne(over('sum', [1]), [x], f32(2, 1)), [6, 15]);
    assert.deepEqual(runOne(over('prod', [0, 1]), [x], f32()), [720]);
    assert.deepEqual(runOne(over('max', [0]), [strided([2, 3], [1, 2], [1, 2, 3, 4, 5, 6])], f32(1, 3)), [2, 4, 6]);
  });

  test('max and min carry NaN, and argmax finds it', () => {
    const x = dense([2, 3], values);
    assert.deepEqual(runOne(over('max', [1]), [x], f32(2)), [Number.NaN, 5]);
    assert.deepEqual(runOne(over('min', [1]), [x], f32(2)), [Number.NaN, 1]);
    assert.deepEqual(runOne(over('argmax', [1]), [x], i32(2)), [1, 2]);
    assert.deepEqual(runOne(over('argmin', [0, 1]), [x], i32()), [1]);
    assert.deepEqual(runOne(over('argmin', [1]), [x], i32(2)), [1, 1]);
  });

  test('the first of equals wins', () => {
    assert.deepEqual(runOne(over('argmax', [0, 1]), [dense([2, 3], [0, 7, 2, 7, 7, 1])], i32(1, 1)), [1]);
  });

  test('folds an expression of broadcast inputs, then finishes', () => {
    const kernel = { ...over('sum', [1]), expr: input(0).mul(input(1)), finish: input(0).mul(scalar(0)) };
    assert.deepEqual(runOne(kernel, [dense([2, 3], [1, 2, 3, 4, 5, 6]), dense([3], [1, 0, -1])], f32(2), [10]), [-20, -20]);
  });

  test('of nothing is the neutral element', () => {
    const empty = { ...over('sum', [1]), shape: [2, 0] };
    assert.deepEqual(runOne(empty, [dense([2, 0], [])], f32(2)), [0, 0]);
    assert.deepEqual(runOne({ ...empty, by: 'prod' }, [dense([2, 0], [])], f32(2)), [1, 1]);
  });

  test('accumulates in float64', () => {
    const n = 100_000;
    const kernel = { ...over('sum', [0]), shape: [n] };
    assert.deepEqual(runOne(kernel, [strided([n], [0], [0.1])], f32()), [Math.fround(Math.fround(0.1) * n)]);
  });
});

describe('gemm', () => {
  const matmul = { family: 'gemm', views: 'dense', bias: false } as const;

  test('with transposes, batches that broadcast, and a bias', () => {
    const a = dense([2, 3], [1, 2, 3, 4, 5, 6]);
    const at = strided([3, 2], [1, 3], [1, 2, 3, 4, 5, 6]);
    assert.deepEqual(runOne(matmul, [a, at], f32(2, 2)), [14, 32, 32, 77]);
    assert.deepEqual(runOne({ ...matmul, bias: true }, [a, at, dense([2], [100, 200])], f32(2, 2)), [114, 232, 132, 277]);
    const b = dense([2, 1, 2, 1], [1, 10, 100, 1000]); // batch (2, 1)
    const c = dense([3, 1, 2], [1, 2, 3, 4, 5, 6]); // batch (3)
    assert.deepEqual(runOne(matmul, [c, b], f32(2, 3, 1, 1)), [21, 43, 65, 2100, 4300, 6500]);
  });

  test('of no columns is zero, or the bias', () => {
    assert.deepEqual(runOne({ ...matmul, bias: true }, [dense([1, 0], []), dense([0, 2], []), dense([2], [7, 8])], f32(1, 2)), [7, 8]);
  });

  test('of integers wraps', () => {
    const big = dense([1, 2], [65537, 3], 'int32');
    assert.deepEqual(runOne(matmul, [big, { ...big, spec: i32(2, 1) }], i32(1, 1)), [131073 + 9]);
  });

  const geometry: ConvGeometry = {
    batch: 2,
    inChannels: 4,
    outChannels: 6,
    groups: 2,
    input: [3, 5, 6],
    kernel: [2, 3, 2],
    output: [3, 3, 3],
    stride: [1, 2, 2],
    padding: [1, 1, 1],
    dilation: [2, 1, 2],
  };
  const [xSpec, wSpec, ySpec] = [f64(2, 4, 3, 5, 6), f64(6, 2, 2, 3, 2), f64(2, 6, 3, 3, 3)];

  test('a convolution by hand, with padding, stride and bias', () => {
    const flat: ConvGeometry = {
      ...oneByOne,
      input: [1, 1, 4],
      kernel: [1, 1, 3],
      output: [1, 1, 2],
      stride: [1, 1, 2],
      padding: [0, 0, 1],
    };
    const conv = { family: 'gemm', views: 'conv', geometry: flat, bias: true } as const;
    const [x, w] = [dense([1, 1, 4], [1, 2, 3, 4]), dense([1, 1, 3], [1, 10, 100])];
    assert.deepEqual(runOne(conv, [x, w, dense([1], [0.5])], f32(1, 1, 2)), [210.5, 432.5]);
  });

  test('a grouped, dilated 3-D convolution agrees with the sum that defines it', () => {
    const [x, w] = [noise(xSpec.size, 1), noise(wSpec.size, 2)];
    const y = runOne(
      { family: 'gemm', views: 'conv', geometry, bias: false },
      [dense(xSpec.shape, x, 'float64'), dense(wSpec.shape, w, 'float64')],
      ySpec,
    );
    const at = (shape: readonly number[], index: readonly number[]): number => index.reduce((flat, i, d) => flat * (shape[d] ?? 1) + i, 0);
    for (const [b, o, pz, py, px] of indicesOf(ySpec.shape) as Five[]) {
      let sum = 0;
      for (const [c, uz, uy, ux] of indicesOf([2, 2, 3, 2]) as Four[]) {
        const [z, r, q] = [pz - 1 + 2 * uz, 2 * py - 1 + uy, 2 * px - 1 + 2 * ux];
        if (z < 0 || z >= 3 || r < 0 || r >= 5 || q < 0 || q >= 6) continue;
        const group = Math.floor(o / 3);
        sum += (x[at(xSpec.shape, [b, group * 2 + c, z, r, q])] ?? 0) * (w[at(wSpec.shape, [o, c, uz, uy, ux])] ?? 0);
      }
      near(y[at(ySpec.shape, [b, o, pz, py, px])] ?? Number.NaN, sum);
    }
  });

  test('both gradients of a convolution are its adjoints', () => {
    const [x, w, g] = [noise(xSpec.size, 3), noise(wSpec.size, 4), noise(ySpec.size, 5)];
    const [tx, tw, tg] = [dense(xSpec.shape, x, 'float64'), dense(wSpec.shape, w, 'float64'), dense(ySpec.shape, g, 'float64')];
    const conv = { family: 'gemm', geometry, bias: false } as const;
    const forward = dot(runOne({ ...conv, views: 'conv' }, [tx, tw], ySpec), g);
    near(dot(x, runOne({ ...conv, views: 'convInput' }, [tg, tw], xSpec)), forward);
    near(dot(w, runOne({ ...conv, views: 'convWeight' }, [tg, tx], wSpec)), forward);
  });
});

type Four = [number, number, number, number];
type Five = [number, number, number, number, number];
const oneByOne: ConvGeometry = {
  batch: 1,
  inChannels: 1,
  outChannels: 1,
  groups: 1,
  input: [1, 1, 1],
  kernel: [1, 1, 1],
  output: [1, 1, 1],
  stride: [1, 1, 1],
  padding: [0, 0, 0],
  dilation: [1, 1, 1],
};

/** Every index of a shape, in row-major order. */
function indicesOf(shape: readonly number[]): number[][] {
  return shape.reduce<number[][]>((heads, size) => heads.flatMap((head) => Array.from({ length: size }, (_, i) => [...head, i])), [[]]);
}

describe('window', () => {
  const row = (options: Partial<WindowGeometry>): WindowGeometry => ({
    planes: 1,
    input: [1, 1, 4],
    kernel: [1, 1, 2],
    output: [1, 1, 2],
    stride: [1, 1, 2],
    padding: [0, 0, 0],
    dilation: [1, 1, 1],
    adaptive: false,
    ...options,
  });
  const max = (geometry: WindowGeometry) => ({ family: 'window', by: 'max', divisor: 'real', geometry }) as const;

  test('max: the first of equals, NaN before all, never the padding', () => {
    const [values, winners] = run(max(row({})), [dense([1, 4], [2, 2, 1, Number.NaN])], [f32(1, 2), i32(1, 2)]);
    assert.deepEqual(
      [values, winners],
      [
        [2, Number.NaN],
        [0, 3],
      ],
    );
    const padded = row({ kernel: [1, 1, 3], output: [1, 1, 2], stride: [1, 1, 3], padding: [0, 0, 1] });
    const below = run(max(padded), [dense([1, 4], [-5, -6, -7, Number.NEGATIVE_INFINITY])], [f32(1, 2), i32(1, 2)]);
    assert.deepEqual(below, [
      [-5, -7],
      [0, 2],
    ]);
  });

  test('max in two dims, two planes, with dilation', () => {
    const geometry = row({ planes: 2, input: [1, 3, 3], kernel: [1, 2, 2], output: [1, 1, 1], stride: [1, 1, 1], dilation: [1, 2, 2] });
    const x = dense([2, 3, 3], [1, 9, 2, 9, 9, 9, 4, 9, 3, 0, 0, 0, 0, 5, 0, 0, 0, 0]);
    assert.deepEqual(run(max(geometry), [x], [f32(2), i32(2)]), [
      [4, 0],
      [6, 0],
    ]);
  });

  test('mean: the three divisors', () => {
    // Windows (pad, 1, 2, 3) and, as in ceil mode, (3, 4, pad, beyond the padding).
    const geometry = row({ kernel: [1, 1, 4], output: [1, 1, 2], stride: [1, 1, 3], padding: [0, 0, 1] });
    const x = dense([1, 4], [1, 2, 3, 4]);
    const mean = (divisor: 'padded' | 'real' | number) => runOne({ family: 'window', by: 'mean', geometry, divisor }, [x], f64(1, 2));
    assert.deepEqual(mean('padded'), [6 / 4, 7 / 3]);
    assert.deepEqual(mean('real'), [2, 3.5]);
    assert.deepEqual(mean(2), [3, 3.5]);
  });

  test('adaptive windows overlap where sizes do not divide', () => {
    const geometry = row({ input: [1, 1, 5], output: [1, 1, 3], adaptive: true });
    const x = dense([1, 5], [1, 2, 3, 4, 5]);
    assert.deepEqual(runOne({ family: 'window', by: 'mean', geometry, divisor: 'real' }, [x], f32(1, 3)), [1.5, 3, 4.5]);
    assert.deepEqual(run(max(geometry), [x], [f32(1, 3), i32(1, 3)]), [
      [2, 4, 5],
      [1, 3, 4],
    ]);
  });

  test('meanAdjoint is the adjoint of mean', () => {
    const padded = row({ planes: 3, input: [2, 5, 6], kernel: [2, 3, 2], output: [2, 3, 4], stride: [1, 2, 2], padding: [1, 1, 1] });
    for (const geometry of [padded, row({ planes: 3, input: [2, 5, 6], output: [1, 3, 4], adaptive: true })]) {
      for (const divisor of ['padded', 'real', 5] as const) {
        const [outer, inner] = [f64(3, ...geometry.output), f64(3, ...geometry.input)];
        const [x, g] = [noise(inner.size, 1), noise(outer.size, 2)];
        const y = runOne({ family: 'window', by: 'mean', geometry, divisor }, [dense(inner.shape, x, 'float64')], outer);
        const back = runOne({ family: 'window', by: 'meanAdjoint', geometry, divisor }, [dense(outer.shape, g, 'float64')], inner);
        near(dot(y, g), dot(x, back));
      }
    }
  });
});
