// The engine against the reference backend where rows are long enough for vectors: windows of every width in planes that lie apart,
// and loops compiled ahead of time over rows of strided and repeated operands.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { KernelError } from '../../dist/core/errors.js';
import { contiguousStrides, sizeOf } from '../../dist/core/shape.js';
import { specOf } from '../../dist/core/spec.js';
import { input } from '../../dist/expr/expr.js';
import type { Kernel, WindowGeometry } from '../../dist/program/kernel.js';
import { cpuBackends } from '../support/cpuBackends.js';
import { compareRuns, type Operand, Random } from '../support/kernelCases.js';

/** A slice of a larger dense operand: `shape` at the front of each dim of `whole`, a few elements in. */
function sliceOf(whole: Operand, full: readonly number[], shape: readonly number[]): Operand {
  const { dtype } = whole.spec;
  const strides = contiguousStrides(full).map((s, d) => (shape[d] === 1 && full[d] !== 1 ? 0 : s));
  return { ...whole, spec: specOf(dtype, shape, strides), offset: Math.min(3, sizeOf(full) - sizeOf(shape)) };
}

/** [height, width, kernel, stride, padding] of flat windows. */
const windows: readonly (readonly [number, number, number, number, number])[] = [
  ...[2, 3, 6, 7, 8, 14, 15, 28, 32, 33, 34, 66, 90].map((width) => [6, width, 2, 2, 0] as const),
  ...[2, 3, 4, 9].map((height) => [height, 12, 2, 2, 0] as const),
  ...[7, 28, 33, 70].map((width) => [9, width, 3, 2, 1] as const),
  ...[5, 40].map((width) => [7, width, 2, 1, 1] as const),
  [24, 40, 8, 8, 0], // so wide that a window is read by rows
  [20, 45, 5, 5, 0],
  [19, 60, 17, 17, 0],
  [18, 40, 6, 4, 2],
];

const geometryOf = (planes: number, [height, width, kernel, stride, padding]: (typeof windows)[number]): WindowGeometry => {
  const outputs = [height, width].map((n) => Math.floor((n + 2 * padding - kernel) / stride) + 1) as [number, number];
  const [k, s, p] = [kernel, stride, padding];
  const sizes = { kernel: [1, k, k], stride: [1, s, s], padding: [0, p, p], dilation: [1, 1, 1] } as const;
  return { planes, input: [1, height, width], output: [1, ...outputs], ...sizes, adaptive: false };
};

const backends = cpuBackends();
const skip = backends.length === 0 && 'no native engine';
const check = (kernel: Kernel, inputs: readonly Operand[], outputs: readonly Operand[], options = {}): void =>
  compareRuns(backends, kernel, inputs, outputs, options);

describe('rows', { skip }, () => {
  test('the first k of long lines: few and many, ties, NaN, both directions, lines that lie apart', () => {
    const r = new Random(23);
    for (const [length, k] of [
      [40, 1],
      [100, 3],
      [700, 10],
      [700, 60],
      [1424, 74],
      [2500, 128],
      [3000, 300],
      [90, 89],
    ] as const) {
      for (const dtype of ['float32', 'float64', 'int32', 'bfloat16'] as const) {
        for (const domain of ['plain', 'few', 'special'] as const) {
          const x = r.dense(dtype, [3, length], domain);
          const across = { ...x, spec: specOf(dtype, [length, 3], [1, length]) };
          for (const descending of [false, true]) {
            check({ family: 'sort', dim: 1, descending, k }, [x], [r.dense(dtype, [3, k]), r.dense('int32', [3, k])]);
            check({ family: 'sort', dim: 0, descending, k }, [across], [r.dense(dtype, [k, 3]), r.dense('int32', [k, 3])]);
          }
        }
      }
    }
  });

  test('largest values of windows and their places, in planes of every width', () => {
    const r = new Random(11);
    for (const window of windows) {
      for (const domain of ['plain', 'few', 'special'] as const) {
        const geometry = geometryOf(6, window);
        const [x, y] = [
          [2, 3, ...geometry.input.slice(1)],
          [2, 3, ...geometry.output.slice(1)],
        ] as const;
        const kernel: Kernel = { family: 'window', by: 'max', divisor: 'real', geometry };
        const apart = (shape: readonly number[]): readonly number[] => [2, 5, ...shape.slice(2)];
        const wholes = [r.dense('float32', apart(x), domain), r.dense('float32', apart(y)), r.dense('int32', apart(y))] as const;
        const shapes = [x, y, y];
        const [from, values, places] = wholes.map((whole, k) => sliceOf(whole, whole.spec.shape, shapes[k] ?? x)) as [
          Operand,
          Operand,
          Operand,
        ];
        check(kernel, [from], [values, places]);
      }
    }
  });

  test('gradients of windows go to their winners', () => {
    const r = new Random(12);
    for (const window of windows) {
      const geometry = geometryOf(6, window);
      const [x, y] = [
        [2, 3, ...geometry.input.slice(1)],
        [2, 3, ...geometry.output.slice(1)],
      ] as const;
      const winners = Array.from({ length: sizeOf(y) }, (_, i) => winnerOf(geometry, i % sizeOf(geometry.output), r));
      const gradient = sliceOf(r.dense('float32', [2, 4, ...y.slice(2)], 'positive'), [2, 4, ...y.slice(2)], y);
      const kernel: Kernel = { family: 'window', by: 'maxAdjoint', divisor: 'real', geometry };
      const into = sliceOf(r.dense('float32', [2, 4, ...x.slice(2)]), [2, 4, ...x.slice(2)], x);
      check(kernel, [gradient, r.values('int32', y, winners)], [into]);
    }
  });

  test('gradients of means over windows of one column', () => {
    const r = new Random(15);
    for (const [high, padding, stride] of [
      [5, 2, 1],
      [4, 1, 2],
    ] as const) {
      const out = Math.floor((9 + 2 * padding - high) / stride) + 1;
      const sizes = { kernel: [1, high, 1], stride: [1, stride, 1], padding: [0, padding, 0], dilation: [1, 1, 1] } as const;
      const geometry: WindowGeometry = { planes: 3, input: [1, 9, 700], output: [1, out, 700], ...sizes, adaptive: false };
      for (const divisor of ['padded', 'real'] as const) {
        const kernel: Kernel = { family: 'window', by: 'meanAdjoint', divisor, geometry };
        check(kernel, [r.dense('float32', [3, out, 700])], [r.dense('float32', [3, 9, 700])], { terms: 20 });
      }
    }
  });

  test('means over wide and uneven windows, and their gradients', () => {
    const r = new Random(18);
    const wide = windows.map((window) => geometryOf(6, window));
    const uneven = [
      [5, 7, 3, 4],
      [32, 33, 7, 7],
      [9, 70, 9, 31],
      [6, 40, 5, 1],
      [70, 20, 1, 3],
    ].map(([height = 1, width = 1, down = 1, across = 1]): WindowGeometry => {
      const none = { kernel: [1, 1, 1], stride: [1, 1, 1], padding: [0, 0, 0], dilation: [1, 1, 1] } as const;
      return { planes: 6, input: [1, height, width], output: [1, down, across], ...none, adaptive: true };
    });
    for (const geometry of [...wide, ...uneven]) {
      const [x, y] = [geometry.input, geometry.output].map((size) => [6, ...size.slice(1)]) as [number[], number[]];
      for (const divisor of geometry.adaptive ? (['real'] as const) : (['padded', 'real'] as const)) {
        const terms = sizeOf(geometry.input);
        check({ family: 'window', by: 'mean', divisor, geometry }, [r.dense('float32', x)], [r.dense('float32', y)], { terms });
        check({ family: 'window', by: 'meanAdjoint', divisor, geometry }, [r.dense('float32', y)], [r.dense('float32', x)], { terms });
      }
    }
  });

  test('rows chosen from rows of every length, by indices that they share', () => {
    const r = new Random(19);
    for (const size of [1, 5, 16, 31, 32, 33, 63, 64, 65, 200]) {
      for (const n of [16, 33, 64, 130, 200]) {
        for (const wrap of [false, true]) {
          const places = Array.from({ length: n }, () => r.below(size) - (wrap && r.below(2) > 0 ? size : 0));
          const index: Operand = { ...r.values('int32', [1, n], places), spec: specOf('int32', [5, n], [0, 1]) };
          check({ family: 'gather', dim: 1, wrap }, [r.dense('float32', [5, size]), index], [r.dense('float32', [5, n])]);
        }
      }
      const bad = r.values('int32', [1, 40], [...new Array<number>(38).fill(0), size, 0]);
      const index: Operand = { ...bad, spec: specOf('int32', [5, 40], [0, 1]) };
      const gather: Kernel = { family: 'gather', dim: 1, wrap: false };
      assert.throws(() => check(gather, [r.dense('float32', [5, size]), index], [r.dense('float32', [5, 40])]), KernelError);
    }
  });

  test('running sums and products of lines of every length, and rows that are read or written backwards', () => {
    const r = new Random(16);
    for (const n of [1, 2, 7, 8, 9, 16, 31, 33, 300]) {
      for (const by of ['sum', 'prod'] as const) {
        const kernel: Kernel = { family: 'scan', by, dim: 1 };
        check(kernel, [r.dense('float32', [11, n], 'unit')], [r.dense('float32', [11, n])], { terms: 4 });
        check(kernel, [r.view('float32', [11, n], 'unit')], [r.view('float32', [11, n])], { terms: 4 });
      }
      const mirrored = (): Operand => {
        const whole = r.dense('float32', [5, n]);
        return { ...whole, spec: specOf('float32', [5, n], [n, -1]), offset: n - 1 };
      };
      check({ family: 'copy' }, [mirrored()], [r.dense('float32', [5, n])]);
      check({ family: 'copy' }, [r.dense('float32', [5, n])], [mirrored()]);
    }
  });

  test('sums scattered by indices that several lines share', () => {
    const r = new Random(17);
    for (const lines of [3, 4, 7, 9]) {
      const places = r.values(
        'int32',
        [2, 1, 50],
        Array.from({ length: 100 }, () => r.below(13)),
      );
      const index: Operand = { ...places, spec: specOf('int32', [2, lines, 50], [50, 0, 1]) };
      const kernel: Kernel = { family: 'scatter', dim: 2, by: 'sum', wrap: false };
      const [self, values] = [r.dense('float32', [2, lines, 13]), r.dense('float32', [2, lines, 50])];
      check(kernel, [self, index, values], [r.dense('float32', [2, lines, 13])], { terms: 100 });
    }
  });

  test('pointwise loops over slices, and numbers that stay for a row, a plane or all', () => {
    const r = new Random(13);
    const expr = input(0).add(input(1));
    for (const [batch, channels, columns] of [
      [3, 4, 31],
      [3, 4, 49],
      [2, 5, 196],
      [70, 2, 64],
      [2, 3, 1100],
      [9, 1, 2500],
    ] as const) {
      const shape = [batch, channels, columns];
      const full = [batch, channels + 2, columns];
      const others = [shape, [batch, 1, 1], [1, channels, 1], [batch, channels, 1], [1, 1, 1], [1, 1, columns]];
      for (const other of others) {
        const kernel: Kernel = { family: 'map', exprs: [expr], compute: 'float32' };
        check(
          kernel,
          [sliceOf(r.dense('float32', full), full, shape), r.dense('float32', other)],
          [sliceOf(r.dense('float32', full), full, shape)],
        );
      }
    }
  });

  test('sums of pointwise loops over slices', () => {
    const r = new Random(14);
    const off = input(0).sub(input(1));
    for (const [batch, channels, columns] of [
      [64, 3, 49],
      [64, 2, 64],
      [5, 2, 784],
      [3, 2, 5000],
      [9, 1, 40],
      [7, 70, 20],
      [6, 130, 8],
      [10, 40, 49],
    ] as const) {
      const shape = [batch, channels, columns];
      const full = [batch, channels + 2, columns];
      const plain = { family: 'reduce', by: 'sum', dims: [0, 2], compute: 'float32', shape, expr: input(0) } as const;
      const result = r.dense('float32', [1, channels, 1]);
      check(plain, [sliceOf(r.dense('float32', full, 'positive'), full, shape)], [result], { terms: batch * columns });
      for (const other of [[1, channels, 1], [batch, channels, 1], shape]) {
        const reduce = { family: 'reduce', by: 'sum', dims: [0, 2], compute: 'float32', shape } as const;
        const inputs = [sliceOf(r.dense('float32', full), full, shape), r.dense('float32', other)];
        check({ ...reduce, expr: off.mul(off) }, inputs, [r.dense('float32', [1, channels, 1])], { terms: batch * columns });
      }
    }
  });
});

/** A place in the plane that window `i` could have chosen. */
function winnerOf({ input: [, height, width], output: [, , wide], stride, padding, kernel }: WindowGeometry, i: number, r: Random): number {
  const along = (o: number, axis: 1 | 2, size: number): number => {
    const at = o * stride[axis] - padding[axis] + r.below(kernel[axis]);
    return Math.min(Math.max(at, 0), size - 1);
  };
  return along(Math.floor(i / wide), 1, height) * width + along(i % wide, 2, width);
}
