// The engine against the reference backend: seeded random kernels of the pointwise, reducing, copying and indexing families, over
// element types, strides, offsets and broadcasts. Whole buffers are compared, so writes outside of a view are noticed too.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type ComputeType, computeType, type DType } from '../../dist/core/dtype.js';
import { KernelError } from '../../dist/core/errors.js';
import { applyInstruction, constant, type Expr, input, scalar } from '../../dist/expr/expr.js';
import { instructions, opcodes } from '../../dist/expr/instructions.js';
import type { GatherKernel, Kernel, ReduceKernel, ScatterKernel } from '../../dist/program/kernel.js';
import { cpuBackends } from '../support/cpuBackends.js';
import { compareRuns, type Operand, Random } from '../support/kernelCases.js';

const allTypes: readonly DType[] = ['float32', 'float64', 'bfloat16', 'float16', 'int32', 'uint8', 'bool'];
const computes: readonly ComputeType[] = ['float32', 'float64', 'int32'];
const shapes: readonly (readonly number[])[] = [
  [],
  [1],
  [7],
  [16],
  [1000],
  [3, 5],
  [40, 33],
  [2, 3, 4],
  [5, 1, 6],
  [2, 17, 9, 3],
  [64, 130],
  [3, 2, 2, 2, 5],
  [130, 3, 200],
  [20000],
];

const backends = cpuBackends();
const skip = backends.length === 0 && 'no native engine';
const check = (kernel: Kernel, inputs: readonly Operand[], outputs: readonly Operand[], options = {}): void =>
  compareRuns(backends, kernel, inputs, outputs, options);

describe('kernels: map', { skip }, () => {
  for (const op of opcodes) {
    test(`${op} in every compute type`, () => {
      const r = new Random(op.length);
      const args = Array.from({ length: instructions[op].arity }, (_, i) => input(i));
      const exprs = [applyInstruction(op, args)];
      for (const compute of computes) {
        const shape = [3, 41];
        const dtype = compute as DType;
        for (const domain of ['plain', 'unit', 'positive', 'special'] as const) {
          const isBits = /^(and|or|xor|bitNot|shift.*|polygamma)$/.test(op);
          if (domain === 'special' && (compute === 'int32' || isBits)) continue;
          const isSmall = (i: number): boolean => (op === 'polygamma' && i === 0) || (op === 'pow' && i === 1 && compute === 'int32');
          const inputs = args.map((_, i) => r.dense(dtype, shape, isSmall(i) ? 'order' : domain));
          check({ family: 'map', exprs, compute }, inputs, [r.dense(dtype, shape)], { loose: /gamma|erfinv/.test(op) });
        }
      }
    });
  }

  test('mixed types, strides and broadcasts', () => {
    const r = new Random(1);
    for (let i = 0; i < 150; i++) {
      const shape = r.pick(shapes);
      const compute = r.pick(computes);
      const exprs = Array.from({ length: r.below(3) + 1 }, () => randomExpr(r, 3, compute));
      const readable = compute === 'int32' ? allTypes.slice(4) : allTypes;
      const inputs = [0, 1, 2].map(() => r.view(r.pick(readable), r.broadcastable(shape)));
      // A float a hair below a whole number would be cut to another integer.
      const outputs = exprs.map(() => r.view(r.pick(compute === 'int32' ? allTypes : allTypes.slice(0, 4)), shape));
      check({ family: 'map', exprs, compute }, inputs, outputs, { scalars: [compute === 'int32' ? 3 : 0.5, -2], terms: 100 });
    }
  });

  test('floats are cut to integers', () => {
    const r = new Random(11);
    for (const dtype of ['int32', 'uint8', 'bool'] as const) {
      for (const compute of ['float32', 'float64'] as const) {
        check({ family: 'map', exprs: [input(0).abs()], compute }, [r.dense(compute, [300], 'special')], [r.dense(dtype, [300])]);
      }
    }
  });

  test('updates in place, several outputs over their inputs', () => {
    const r = new Random(2);
    const [p, g, m] = [input(0), input(1), input(2)];
    const moved = m.mul(scalar(0)).add(g);
    for (const exprs of [
      [p.sub(moved.mul(scalar(1))), moved],
      [m.add(p.mul(g)), p.sub(m)],
      [m, p],
      [p.sub(g), p.sub(g)],
    ]) {
      for (const shape of [[5], [70, 3], [40000]]) {
        const x = [0, 1, 2].map(() => r.dense('float32', shape));
        check({ family: 'map', exprs, compute: 'float32' }, x, [x[0] as Operand, x[2] as Operand], { scalars: [0.9, 0.1], terms: 100 });
      }
    }
  });
});

describe('kernels: reduce', { skip }, () => {
  for (const by of ['sum', 'prod', 'max', 'min', 'argmax', 'argmin'] as const) {
    test(`${by} over every pattern of dims`, () => {
      const r = new Random(by.length);
      for (let i = 0; i < 120; i++) {
        const shape = r.pick(shapes.slice(1));
        const dims = [...shape.keys()].filter(() => r.below(2) === 0);
        const dtype = r.pick(allTypes);
        const compute = computeType(dtype);
        const ordered = by.startsWith('arg');
        const keepdim = r.below(2) === 0;
        const kept = keepdim ? shape.map((d, k) => (dims.includes(k) ? 1 : d)) : shape.filter((_, k) => !dims.includes(k));
        const wide = r.below(2) === 0 && !ordered;
        const expr = wide ? input(0).mul(input(1)) : input(0);
        const finish = wide && by !== 'prod' ? { finish: input(0).mul(scalar(0)).add(1) } : {};
        const kernel: ReduceKernel = { family: 'reduce', by, dims, shape, compute, expr, ...finish };
        const inputs = wide ? [r.view(dtype, shape, 'few'), r.view(dtype, r.broadcastable(shape), 'few')] : [r.view(dtype, shape, 'few')];
        check(kernel, inputs, [r.view(ordered ? 'int32' : dtype, kept)], { scalars: [2], terms: 2000 });
      }
    });
  }

  test('many elements in few outputs, NaN, and nothing at all', () => {
    const r = new Random(3);
    for (const by of ['sum', 'max', 'argmin'] as const) {
      const cases = [
        [[300000], [0]],
        [[60000, 5], [0]],
        [[3, 90000], [1]],
        [
          [4, 8, 4096],
          [0, 2],
        ],
        [[0, 3], [0]],
      ] as const;
      for (const [shape, dims] of cases) {
        for (const domain of ['plain', 'special'] as const) {
          if (by === 'sum' && domain === 'special') continue;
          const kernel: ReduceKernel = { family: 'reduce', by, dims, shape, compute: 'float32', expr: input(0) };
          const kept = shape.filter((_, d) => !(dims as readonly number[]).includes(d));
          check(kernel, [r.dense('float32', shape, domain)], [r.dense(by === 'argmin' ? 'int32' : 'float32', kept)], { terms: 300000 });
        }
      }
    }
  });
});

describe('kernels: copy', { skip }, () => {
  test('between all types', () => {
    const r = new Random(4);
    for (const from of allTypes) {
      for (const to of allTypes) {
        for (const shape of [[5], [30, 41], [3, 700]]) {
          check({ family: 'copy' }, [r.view(from, shape, 'byte')], [r.view(to, shape)]);
          check({ family: 'copy' }, [r.view(from, r.broadcastable(shape), 'byte')], [r.dense(to, shape)]);
        }
      }
    }
  });

  test('permutations', () => {
    const r = new Random(5);
    for (let i = 0; i < 60; i++) {
      const shape = r.pick(shapes);
      const dtype = r.pick(allTypes);
      check({ family: 'copy' }, [r.view(dtype, shape, 'byte')], [r.dense(dtype, shape)]);
    }
  });

  test('places: concatenation, padding, overlapping sums', () => {
    const r = new Random(6);
    for (const dtype of allTypes) {
      const out = r.dense(dtype, [6, 10]);
      const places = [
        { offset: 0, strides: [10, 1] },
        { offset: 34, strides: [10, 1] },
      ];
      check({ family: 'copy', fill: 1, places }, [r.view(dtype, [3, 10], 'byte'), r.view('float32', [3, 4], 'byte')], [out]);
      const windows = [{ offset: 1, strides: [2, 1] }];
      check({ family: 'copy', fill: 0, accumulate: true, places: windows }, [r.view(dtype, [20, 5], 'byte')], [r.dense(dtype, [50])]);
      const rows = [{ offset: 0, strides: [0, 10, 1] }];
      check({ family: 'copy', accumulate: true, places: rows }, [r.view(dtype, [3, 6, 10], 'byte')], [out]);
      check({ family: 'copy', fill: 3 }, [], [r.view(dtype, [9, 5])]);
    }
  });
});

/** Indices below `size` for entries along `dim`: one for each element, or one for all that share a place in `dim`. */
function indices(r: Random, shape: readonly number[], dim: number, size: number): Operand {
  const alike = shape.map((d, k) => (k === dim ? d : 1));
  return r.view('int32', r.below(2) === 0 ? shape : alike, size);
}

describe('kernels: gather and scatter', { skip }, () => {
  test('gather along every dim', () => {
    const r = new Random(7);
    for (let i = 0; i < 120; i++) {
      const shape = r.pick(shapes.slice(1));
      const dim = r.below(shape.length);
      const size = r.below(9) + 1;
      const index = indices(r, shape, dim, size);
      const dtype = r.pick(allTypes);
      const kernel: GatherKernel = { family: 'gather', dim, wrap: false };
      check(
        kernel,
        [
          r.view(
            dtype,
            shape.map((d, k) => (k === dim ? size : d)),
          ),
          index,
        ],
        [r.view(dtype, shape)],
      );
    }
  });

  test('scatter along every dim, in order', () => {
    const r = new Random(8);
    for (let i = 0; i < 200; i++) {
      const shape = r.pick(shapes.slice(1));
      const dim = r.below(shape.length);
      const size = r.below(9) + 1;
      const index = indices(r, shape, dim, size);
      const dtype = r.pick(allTypes);
      const by = r.pick(['set', 'sum', 'prod', 'max', 'min'] as const);
      const whole = shape.map((d, k) => (k === dim ? size : d));
      const self = r.dense(dtype, whole, 'few');
      const kernel: ScatterKernel = { family: 'scatter', dim, by, wrap: false };
      if (/16/.test(dtype) && (by === 'sum' || by === 'prod')) continue; // the engine rounds after every step, the oracle at the end
      check(kernel, [self, index, r.view(dtype, shape, 'few')], [r.below(2) === 0 ? self : r.view(dtype, whole)], { terms: 20000 });
    }
  });

  test('negative indices wrap, others are errors that say which', () => {
    const r = new Random(9);
    const x = r.dense('float32', [5, 3]);
    const index = r.values('int32', [2, 1], [-1, -5]);
    check({ family: 'gather', dim: 0, wrap: true }, [x, index], [r.dense('float32', [2, 3])]);
    for (const [values, wrap] of [
      [[0, 5], true],
      [[-6, 0], true],
      [[-1, 9], false],
    ] as const) {
      const bad = r.values('int32', [2, 1], values);
      const gather: GatherKernel = { family: 'gather', dim: 0, wrap };
      assert.throws(() => check(gather, [x, bad], [r.dense('float32', [2, 3])]), KernelError);
      const scatter: ScatterKernel = { family: 'scatter', dim: 0, by: 'sum', wrap };
      assert.throws(() => check(scatter, [x, bad, r.dense('float32', [2, 3])], [r.dense('float32', [5, 3])]), KernelError);
    }
  });
});

describe('kernels: random', { skip }, () => {
  for (const by of ['uniform', 'normal', 'integers'] as const) {
    test(`${by} gives the oracle's numbers`, () => {
      const r = new Random(10);
      const types: readonly DType[] = by === 'integers' ? ['int32', 'uint8', 'float32'] : ['float32', 'float64', 'bfloat16', 'float16'];
      for (const dtype of types) {
        for (const shape of [[1], [37], [1000], [50001]]) {
          check({ family: 'random', by }, [], [r.dense(dtype, shape)], { scalars: [0xa4093822, 0x299f31d0, 5, 0, 200] });
        }
      }
    });
  }
});

/** A small random program of instructions that are harmless for any number. */
function randomExpr(r: Random, depth: number, compute: ComputeType): Expr {
  if (depth === 0) return r.pick([input(0), input(1), input(2), scalar(0), scalar(1), constant(3)]);
  const next = (): Expr => randomExpr(r, depth - 1, compute);
  const a = next();
  switch (r.below(compute === 'int32' ? 7 : 9)) {
    case 0:
      return a.add(next());
    case 1:
      return a.sub(next());
    case 2:
      return a.mul(next());
    case 3:
      return a.max(next());
    case 4:
      return a.less(next()).select(a, next());
    case 5:
      return a.abs();
    case 6:
      return a.min(next());
    case 7:
      return a.tanh();
    default:
      return a.sigmoid();
  }
}
