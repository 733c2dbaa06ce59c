// profile(): counts that are known by hand, calls that are real, and a trace that tracing pages can open.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { compile, conv2d, manualSeed, type Profile, profile, randn, type Tensor } from '../../dist/index.js';
import { Linear } from '../../dist/nn/index.js';
import { Adam } from '../../dist/optim/index.js';

const row = (p: Profile, name: RegExp): Profile['rows'][number] => {
  const found = p.rows.find((r) => name.test(r.name));
  assert.ok(found, `no row ${name} among ${p.rows.map((r) => r.name).join(', ')}`);
  return found;
};

describe('profile', () => {
  test('arithmetic and bytes of products and convolutions', () => {
    const product = row(
      profile((a: Tensor, b: Tensor) => a.matmul(b), [randn([5, 7]), randn([7, 11])], { runs: 2 }),
      /matmul/,
    );
    assert.deepEqual([product.flops, product.bytes, product.calls], [2 * 5 * 7 * 11, 4 * (35 + 77 + 55), 1]);
    const conv = row(
      profile((x: Tensor, w: Tensor) => conv2d(x, w, { stride: 2, groups: 2 }), [randn([3, 4, 9, 9]), randn([6, 2, 3, 3])], { runs: 2 }),
      /conv/,
    );
    assert.equal(conv.flops, 2 * 3 * 6 * 16 * 2 * 9);
  });

  test('equal steps are one row, and what a broadcast repeats is read once', () => {
    const p = profile((x: Tensor, b: Tensor) => [x.add(b).sum(), x.mul(2).add(b).sum()], [randn([100, 8]), randn([8])], { runs: 1 });
    const bytes = p.rows.filter((r) => r.shapes.startsWith('100x8 8')).map((r) => r.bytes);
    assert.ok(bytes.length > 0 && bytes.every((n) => n === 4 * (800 + 8 + 1) || n === 4 * (800 + 8 + 800)), `${bytes}`);
    const twice = profile((x: Tensor) => [x.matmul(x), x.t().contiguous().matmul(x)], [randn([6, 6])], { runs: 1 });
    assert.equal(row(twice, /matmul/).calls, 2);
  });

  test('its runs are calls: a training step trains', () => {
    const train = (calls: number, runs: number | null): number[] => {
      manualSeed(2);
      const model = new Linear(3, 1);
      const optimizer = new Adam(model.parameters());
      const step = compile((x: Tensor) => {
        optimizer.zeroGrad();
        const loss = model.forward(x).square().mean();
        loss.backward();
        optimizer.step();
        return loss;
      });
      const x = randn([4, 3]);
      for (let i = 0; i < calls; i++) step(x);
      if (runs !== null) profile(step, [x], { runs });
      return model.parameters().flatMap((p) => [...p.toArray()]);
    };
    assert.deepEqual(train(0, 3), train(7, null)); // one to capture, then three whole ones and three kernel by kernel
  });

  test('memory by lifetime, a table and a trace', () => {
    const p = profile((x: Tensor) => x.matmul(x).matmul(x).sum(), [randn([32, 32])], { runs: 1 });
    assert.equal(p.memory.arguments, 4096);
    assert.ok(p.memory.arena >= 2 * 4096 && p.memory.arena <= 3 * 4096, `${p.memory.arena}`);
    assert.deepEqual(
      p.memory.atPeak.slice(0, 2).map((l) => l.bytes),
      [4096, 4096],
    );
    assert.match(String(p), /^kernel +shapes +calls +ms/m);
    const { traceEvents } = JSON.parse(p.trace()) as { traceEvents: { ph: string; ts?: number; dur?: number; name: string }[] };
    const spans = traceEvents.filter((e) => e.ph === 'X');
    assert.equal(spans.length, 3);
    for (const [i, e] of spans.entries()) {
      const before = spans[i - 1];
      if (before !== undefined) assert.ok(Math.abs((e.ts ?? 0) - (before.ts ?? 0) - (before.dur ?? 0)) < 1e-9);
    }
  });

  test('its option is checked', () => {
    assert.throws(() => profile((x: Tensor) => x.exp(), [randn([2])], { runs: 0 }), /runs must be a positive integer, got 0/);
  });
});
