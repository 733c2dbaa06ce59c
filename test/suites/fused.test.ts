// Fused kernels at the sizes where they split their work: values and gradients are those of the reference, which composes the rows.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import {
  arange,
  compile,
  grad,
  layerNorm,
  manualSeed,
  rand,
  randn,
  rmsNorm,
  scaledDotProductAttention,
  type Tensor,
  withDevice,
} from '../../dist/index.js';
import type { AttentionOptions } from '../../dist/ops/attention.js';
import { gruLayer, lstmLayer, rnnLayer } from '../../dist/ops/recurrentLayers.js';
import type { Backend } from '../../dist/program/backend.js';
import { expectClose } from '../../dist/testing/compare.js';
import { engineNames, everyVariant, open, reference } from '../support/backends.js';

type Sizes = readonly [batch: number, heads: number, queries: number, keys: number, width: number, values: number];
const sizes: readonly Sizes[] = [
  [1, 1, 1, 1, 1, 1],
  [2, 3, 5, 7, 4, 3],
  [1, 2, 130, 131, 20, 33],
  [8, 1, 129, 129, 32, 16],
  [1, 1, 40, 300, 64, 64],
  [1, 1, 300, 40, 8, 8],
];
const masks: Readonly<Record<string, (n: number, m: number) => AttentionOptions>> = {
  'no mask': () => ({ scale: 0.3 }),
  causal: () => ({ isCausal: true }),
  'a bool mask that leaves a query nothing': (n, m) => ({
    attnMask: rand([n, m])
      .gt(0.3)
      .logicalAnd(
        arange(n)
          .reshape([n, 1])
          .ne(Math.floor(n / 2)),
      ),
  }),
  'added floats': (n, m) => ({ attnMask: rand([m, n]).mul(3).t() }),
};

/** y and the gradients of q, k, v for one draw of numbers. */
function attend([b, h, n, m, d, e]: Sizes, options: (n: number, m: number) => AttentionOptions): readonly Tensor[] {
  manualSeed(1);
  const leaf = (rows: number, width: number): Tensor => randn([b, rows, h, width]).requiresGrad_();
  const leaves = [leaf(n, d), leaf(m, d), leaf(m, e)];
  const [q, k, v] = leaves.map((x) => x.transpose(1, 2)) as [Tensor, Tensor, Tensor];
  const y = scaledDotProductAttention(q, k, v, options(n, m));
  return [y, ...grad(y, leaves, { gradient: randn(y.shape) })];
}

type Walk = readonly [time: number, batch: number, hidden: number];
const walks: readonly Walk[] = [
  [1, 1, 1],
  [3, 2, 5],
  [5, 65, 33],
  [4, 7, 70],
];

interface Layer {
  readonly gates: number;
  run(x: Tensor, states: readonly Tensor[], weights: readonly Tensor[], options: object): readonly Tensor[];
}
const plain = (nonlinearity: 'tanh' | 'relu'): Layer => ({
  gates: 1,
  run: (x, [h], [w, u], options) => rnnLayer(x, h as Tensor, w as Tensor, u as Tensor, { ...options, nonlinearity }),
});
const layers: Readonly<Record<string, Layer>> = {
  lstm: { gates: 4, run: (x, [h, c], [w, u], options) => lstmLayer(x, h as Tensor, c as Tensor, w as Tensor, u as Tensor, options) },
  gru: { gates: 3, run: (x, [h], [w, u], options) => gruLayer(x, h as Tensor, w as Tensor, u as Tensor, options) },
  tanh: plain('tanh'),
  relu: plain('relu'),
};

/** Outputs and last states, and all gradients, of one layer over a sequence. */
function recur({ gates, run }: Layer, [time, batch, hidden]: Walk, reverse: boolean, biased: boolean): readonly Tensor[] {
  manualSeed(1);
  const rows = gates * hidden;
  const leaf = (...shape: number[]): Tensor => randn(shape).mul(0.3).requiresGrad_();
  const x = leaf(time, batch, 3);
  const states = gates === 4 ? [leaf(batch, hidden), leaf(batch, hidden)] : [leaf(batch, hidden)];
  const weights = [leaf(rows, 3), leaf(rows, hidden)];
  const biases = biased ? { biasIh: leaf(rows), biasHh: leaf(rows) } : {};
  const results = run(x, states, weights, { ...biases, reverse });
  const loss = results.map((y) => y.mul(randn(y.shape)).sum()).reduce((a, b) => a.add(b));
  return [...results, ...grad(loss, [x, ...states, ...weights, ...Object.values(biases)])];
}

function agrees(device: Backend, make: () => readonly Tensor[], terms: number): void {
  const [found, expected] = [device, reference].map((d) => withDevice(d, () => make().map((t) => [...t.contiguous().toArray()])));
  const tolerance = { rtol: 2e-5, atol: 1e-6 * Math.sqrt(terms) };
  for (const [i, values] of (found as number[][]).entries())
    expectClose(values, (expected as number[][])[i] as number[], tolerance, `result ${i}`);
}

for (const { name, backend, why } of everyVariant) {
  describe(name, { skip: backend === null && `no ${name}: ${why}` }, () => {
    const device = backend as Backend;
    for (const [what, options] of Object.entries(masks)) {
      test(`attention with ${what} on ${name}`, () => {
        for (const size of sizes) agrees(device, () => attend(size, options), Math.max(...size));
      });
    }

    test(`layer norm and RMS norm on ${name}`, () => {
      for (const [rows, size] of [
        [1, 1],
        [3, 7],
        [50, 33],
        [700, 130],
        [2, 3001],
      ] as const) {
        for (const [norm, biased] of [
          [layerNorm, true],
          [layerNorm, false],
          [rmsNorm, false],
        ] as const) {
          const normed = (): readonly Tensor[] => {
            manualSeed(1);
            const leaves = [randn([rows, size]).add(3), randn([size]), ...(biased ? [randn([size])] : [])].map((t) =>
              t.detach().requiresGrad_(),
            );
            const [x, weight, bias] = leaves as [Tensor, Tensor, Tensor?];
            const y = norm(x, [size], { weight, ...(bias && { bias }), eps: 1e-5 });
            return [y, ...grad(y, leaves, { gradient: randn(y.shape) })];
          };
          agrees(device, normed, rows + size);
        }
      }
    });

    for (const [what, layer] of Object.entries(layers)) {
      test(`a walk over ${what} cells on ${name}`, () => {
        for (const size of walks) {
          for (const turn of [false, true]) agrees(device, () => recur(layer, size, turn, size[1] !== 7), size[0] * size[1] * size[2]);
        }
      });
    }

    test(`second derivatives of recurrent layers on ${name}`, () => {
      for (const { gates, run } of Object.values(layers)) {
        const twice = (): readonly Tensor[] => {
          manualSeed(2);
          const shapes = [
            [3, 2, 2],
            [2, 3],
            [2, 3],
            [3 * gates, 2],
            [3 * gates, 3],
          ];
          const [x, h, c, w, u] = shapes.map((s) => randn(s).mul(0.3).requiresGrad_()) as [Tensor, Tensor, Tensor, Tensor, Tensor];
          const wanted = gates === 4 ? [x, h, c, w, u] : [x, h, w, u];
          const y = run(x, [h, c], [w, u], { biasHh: u.select(1, 0) }).map((t) => t.square().sum());
          const first = grad(
            y.reduce((a, b) => a.add(b)),
            wanted,
            { createGraph: true },
          );
          return grad(
            first.map((g) => g.square().sum()).reduce((a, b) => a.add(b)),
            wanted,
          );
        };
        agrees(device, twice, 1000);
      }
    });

    test(`second derivatives of attention on ${name}`, () => {
      const twice = (): readonly Tensor[] => {
        manualSeed(2);
        const leaves = [randn([2, 3, 4]), randn([2, 5, 4]), randn([2, 5, 2])].map((x) => x.requiresGrad_());
        const y = scaledDotProductAttention(...(leaves as [Tensor, Tensor, Tensor]));
        const first = grad(y.square().sum(), leaves, { createGraph: true });
        return grad(
          first.map((g) => g.square().sum()).reduce((a, b) => a.add(b)),
          leaves,
        );
      };
      agrees(device, twice, 100);
    });
  });
}

for (const name of engineNames) {
  const [one, three] = await Promise.all([1, 3].map((threads) => open(name, { threads })));
  describe(name, { skip: !one?.backend && `no ${name}: ${one?.why}` }, () => {
    test(`attention: the same bits on ${name} with 1 and 3 threads`, () => {
      const bytes = (device: Backend, size: Sizes): Buffer[] =>
        withDevice(device, () =>
          attend(size, () => ({ isCausal: true })).map((t) => Buffer.from(t.contiguous().toArray().buffer as ArrayBuffer)),
        );
      for (const size of [sizes[2], sizes[3]] as Sizes[]) {
        assert.deepEqual(bytes(three?.backend as Backend, size), bytes(one?.backend as Backend, size));
      }
    });

    test(`recurrent layers: the same bits on ${name} with 1 and 3 threads`, () => {
      const bytes = (device: Backend): Buffer[] =>
        withDevice(device, () =>
          Object.values(layers).flatMap((layer) =>
            recur(layer, [3, 70, 70], false, true).map((t) => Buffer.from(t.contiguous().toArray().buffer as ArrayBuffer)),
          ),
        );
      assert.deepEqual(bytes(three?.backend as Backend), bytes(one?.backend as Backend));
    });

    test(`attention on ${name} keeps no matrix of weights`, () => {
      withDevice(one?.backend as Backend, () => {
        const x = randn([1, 512, 16]).requiresGrad_();
        const step = compile(() => grad(scaledDotProductAttention(x, x, x, { isCausal: true }).sum(), [x]));
        step();
        assert.ok((step.programs[0]?.arenaBytes ?? 0) < 512 * 512 * 4);
      });
    });
  });
}
