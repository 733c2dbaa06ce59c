// Pointwise steps that run on the blocks of a product: the same bits as one by one, with any number of threads.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as cr from '../../dist/index.js';
import { withDevice } from '../../dist/tensor/device.js';
import { engineNames, open } from '../support/backends.js';

interface Setup {
  /** (…, k) */
  readonly x: readonly number[];
  /** (k, n) */
  readonly w: readonly number[];
  readonly run: (x: cr.Tensor, w: cr.Tensor, more: cr.Tensor) => cr.Tensor | readonly cr.Tensor[];
  /** Of a further argument; default: (n). */
  readonly more?: readonly number[];
  /** Steps that are products with something behind them; default 1. */
  readonly joined?: number;
}

const linear = (x: cr.Tensor, w: cr.Tensor, bias: cr.Tensor): cr.Tensor => cr.linear(x, w.t(), bias);

const setups: Readonly<Record<string, Setup>> = {
  'bias and relu': { x: [256, 100], w: [100, 192], run: (x, w, b) => linear(x, w, b).relu() },
  'gelu, and what it read': {
    x: [300, 700],
    w: [700, 130],
    run: (x, w, b) => {
      const z = linear(x, w, b);
      return [z.gelu(), z.cos(), z];
    },
  },
  'a residual, columns that are no whole vector': {
    x: [257, 64],
    w: [64, 101],
    more: [257, 101],
    run: (x, w, r) => x.matmul(w).add(r),
  },
  'more columns than rows': { x: [24, 300], w: [300, 1500], run: (x, w, b) => linear(x, w, b).tanh() },
  'a mask and a number': {
    x: [8, 128, 64],
    w: [64, 96],
    more: [8, 128, 96],
    run: (x, w, m) => cr.where(m.gt(0), x.matmul(w).mul(1.25), 0),
  },
  'a factor for each row': { x: [4, 70, 33], w: [33, 80], more: [4, 70, 1], run: (x, w, r) => x.matmul(w).mul(r) },
  'a batch of products': { x: [6, 64, 32], w: [6, 32, 64], more: [64], run: (x, w, b) => x.bmm(w).add(b).relu() },
  'one product for two readers': { x: [256, 100], w: [100, 192], run: (x, w) => [x.matmul(w).relu(), x.matmul(w).exp()] },
  'an update of what the product reads': {
    x: [200, 200],
    w: [200, 200],
    run: (x, w) => {
      const y = x.mul(1);
      return y.add_(y.matmul(w));
    },
    joined: 0,
  },
};

function run(
  { x: left, w: right, run: body, more }: Setup,
  fuse: boolean,
): { readonly values: readonly cr.TensorData[]; readonly joined: number } {
  cr.manualSeed(5);
  const [x, w] = [cr.randn(left), cr.randn(right)];
  const last = cr.randn(more ?? right.slice(-1));
  const step = cr.compile((a: cr.Tensor, b: cr.Tensor, c: cr.Tensor) => [body(a, b, c)].flat(), { fuse });
  const values = step(x, w, last).map((t) => t.toArray());
  const joined = step.replayOf(x, w, last)?.steps.filter(({ kernel }) => kernel.family === 'product').length;
  return { values, joined: joined ?? 0 };
}

interface Narrow {
  readonly dtype: 'bfloat16' | 'float16';
  /** m, k, n */
  readonly shape: readonly [number, number, number];
  /** The narrow product is a result too. */
  readonly kept?: boolean;
}
const narrow: readonly Narrow[] = [
  { dtype: 'bfloat16', shape: [257, 101, 90] },
  { dtype: 'bfloat16', shape: [64, 64, 160], kept: true },
  { dtype: 'bfloat16', shape: [1400, 37, 1504] }, // written past the caches
  { dtype: 'float16', shape: [100, 65, 48] },
];

function widen(dtype: Narrow['dtype'], [m, k, n]: Narrow['shape'], kept: boolean, fuse: boolean) {
  cr.manualSeed(6);
  const [a, b] = [cr.randn([m, k]).to(dtype), cr.randn([k, n]).to(dtype)];
  const step = cr.compile(
    (x: cr.Tensor, w: cr.Tensor) => {
      const y = x.matmul(w);
      return kept ? [y.to('float32'), y] : [y.to('float32')];
    },
    { fuse },
  );
  const values = step(a, b).map((t) => t.toArray());
  const rounded = step.replayOf(a, b)?.steps.filter(({ kernel }) => kernel.family === 'gemm' && kernel.rounded).length;
  return { values, rounded };
}

interface Cast {
  readonly dtype: 'bfloat16' | 'float16';
  readonly rows: number;
  /** Of the float32 matrix. */
  readonly shape: readonly [number, number];
  readonly body: (x: cr.Tensor, w: cr.Tensor, narrow: cr.Tensor) => readonly cr.Tensor[];
  /** Casts that are left. */
  readonly casts: number;
}
const both: Cast['body'] = (x, _, w) => [x.matmul(w.t()), x.matmul(w.t()).matmul(w)];
const casts: Record<string, Cast> = {
  'a linear layer and its gradient': { dtype: 'bfloat16', rows: 37, shape: [1030, 1024], body: both, casts: 0 },
  'as float16': { dtype: 'float16', rows: 5, shape: [1030, 1024], body: both, casts: 0 },
  'a row': { dtype: 'bfloat16', rows: 1, shape: [1024, 1025], body: (x, _, w) => [x.matmul(w.t())], casts: 0 },
  'a part of the matrix': {
    dtype: 'bfloat16',
    rows: 9,
    shape: [1200, 1024],
    body: (x, _, w) => [x.matmul(w.narrow(0, 7, 1000).t())],
    casts: 0,
  },
  'the matrix is written before': {
    dtype: 'bfloat16',
    rows: 9,
    shape: [1024, 1024],
    body: (x, w, narrow) => {
      const before = x.matmul(narrow);
      w.mul_(2);
      return [before, before.matmul(narrow)];
    },
    casts: 1,
  },
  'a result too': { dtype: 'bfloat16', rows: 9, shape: [1024, 1024], body: (x, _, w) => [x.matmul(w), w], casts: 1 },
  'of many rows': { dtype: 'bfloat16', rows: 513, shape: [1024, 1024], body: (x, _, w) => [x.matmul(w)], casts: 1 },
  small: { dtype: 'bfloat16', rows: 9, shape: [64, 65], body: (x, _, w) => [x.matmul(w.t())], casts: 1 },
};

function castOnce({ dtype, rows, shape: [n, k], body }: Cast, fuse: boolean) {
  cr.manualSeed(7);
  const [x, w] = [cr.randn([rows, k]).to(dtype), cr.randn([n, k])];
  const step = cr.compile((a: cr.Tensor, b: cr.Tensor) => body(a, b, b.to(dtype)).map((y) => y.add(0)), { fuse });
  const values = step(x, w).map((t) => t.toArray());
  const left = step
    .replayOf(x, w)
    ?.steps.filter(({ kernel, outputs }) => kernel.family === 'copy' && outputs[0]?.spec.dtype === dtype).length;
  return { values, left };
}

for (const engine of engineNames) {
  const backends = await Promise.all([1, 2, 3].map((threads) => open(engine, { threads })));
  const [one] = backends;
  describe(engine, { skip: one?.backend === null && one.why }, () => {
    for (const [name, setup] of Object.entries(setups)) {
      test(`${name}: the bits of single steps`, () => {
        const results = backends.flatMap(({ backend }) => {
          if (backend === null) return [];
          return [false, true].map((fuse) => withDevice(backend, () => run(setup, fuse)));
        });
        for (const [i, { values, joined }] of results.entries()) {
          assert.deepEqual(values, results[0]?.values);
          assert.equal(joined, i % 2 === 0 ? 0 : (setup.joined ?? 1));
        }
      });
    }

    for (const [name, cast] of Object.entries(casts)) {
      test(`float32 matrix cast for products, ${name}: ${cast.casts === 0 ? 'read as it is' : 'cast'}, the same bits`, () => {
        const results = backends.flatMap(({ backend }) => {
          if (backend === null) return [];
          return [false, true].map((fuse) => withDevice(backend, () => castOnce(cast, fuse)));
        });
        for (const [i, { values, left }] of results.entries()) {
          assert.deepEqual(values, results[0]?.values);
          assert.equal(left, i % 2 === 1 ? cast.casts : 1);
        }
      });
    }

    for (const { dtype, shape, kept = false } of narrow) {
      test(`${dtype} ${shape.join(' x ')}${kept ? ', read twice' : ''}: made as float32 in one step, of rounded numbers`, () => {
        const results = backends.flatMap(({ backend }) => {
          if (backend === null) return [];
          return [false, true].map((fuse) => withDevice(backend, () => widen(dtype, shape, kept, fuse)));
        });
        for (const [i, { values, rounded }] of results.entries()) {
          assert.deepEqual(values, results[0]?.values);
          assert.equal(rounded, i % 2 === 1 && !kept ? 1 : 0);
        }
      });
    }
  });
}
