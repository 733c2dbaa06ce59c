// Training holds no more memory after a thousand steps than after a few, with nothing for the user to call.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { manualSeed, noGrad, randn, type Tensor, withDevice } from '../../dist/index.js';
import type { Backend } from '../../dist/program/backend.js';
import { everyBackend } from '../support/backends.js';

setFlagsFromString('--expose_gc');
const collect = runInNewContext('gc') as () => void;

interface Net {
  step(): Tensor;
}

/** 64 x 128 -> 64 -> 10 with plain gradient descent: about 150 kB of temporaries a step. */
function network(): Net {
  manualSeed(1);
  const [x, target] = [randn([64, 128]), randn([64, 10])];
  const parameters = [randn([128, 64]).mul(0.05), randn([64]).mul(0.1), randn([64, 10]).mul(0.1)].map((p) => p.detach().requiresGrad_());
  const [w1, b1, w2] = parameters as [Tensor, Tensor, Tensor];
  return {
    step() {
      for (const p of parameters) p.grad = null;
      const loss = x.matmul(w1).add(b1).relu().matmul(w2).sub(target).square().mean();
      loss.backward();
      noGrad(() => {
        for (const p of parameters) p.sub_((p.grad as Tensor).mul(0.05));
      });
      return loss.detach();
    },
  };
}

/** Bytes that tensors occupy once everything unreachable is gone. */
async function liveBytes(device: Backend): Promise<number> {
  for (let i = 0; i < 3; i++) {
    collect();
    await new Promise((resolve) => setImmediate(resolve)); // finalizers run between turns
  }
  const own = (device as { engineInfo?: () => { readonly memory: number | undefined } }).engineInfo?.().memory;
  return own ?? process.memoryUsage().arrayBuffers;
}

const MB = 2 ** 20;

for (const { name, backend, why } of everyBackend) {
  describe(name, { skip: backend === null && `no ${name}: ${why}` }, () => {
    const device = backend as Backend;
    const steps = name === 'reference' ? 200 : 1_000; // the reference is slow, and leaves its memory to the collector

    test(`live bytes stay flat over ${steps} eager steps (${name})`, async () => {
      const net = withDevice(device, network);
      const run = async (count: number): Promise<void> => {
        for (let i = 0; i < count; i++) {
          const loss = withDevice(device, () => net.step());
          if (name !== 'native') await loss.item(); // WASM memory is reclaimed between turns only
        }
      };
      await run(50);
      const early = await liveBytes(device);
      await run(steps);
      const late = await liveBytes(device);
      assert.ok(late - early < 0.5 * MB, `${(early / MB).toFixed(2)} MB after 50 steps, ${(late / MB).toFixed(2)} MB after ${steps + 50}`);
    });

    test(`memory in use stays bounded while training (${name})`, async () => {
      const net = withDevice(device, network);
      let peak = 0;
      const before = await liveBytes(device);
      for (let i = 0; i < steps / 4; i++) {
        const loss = withDevice(device, () => net.step());
        if (name !== 'native') await loss.item();
        const own = (device as { engineInfo?: () => { readonly memory: number | undefined } }).engineInfo?.().memory;
        peak = Math.max(peak, own ?? process.memoryUsage().arrayBuffers);
      }
      assert.ok(peak - before < 256 * MB, `grew by ${((peak - before) / MB).toFixed(1)} MB in ${steps / 4} steps`);
    });
  });
}

test('a graph that is dropped without backward is collected', async () => {
  const x = randn([256, 256]).requiresGrad_();
  const device = x.device;
  const before = await liveBytes(device);
  const build = (): void => {
    for (let i = 0; i < 50; i++) x.mul(2).tanh().exp().mean();
  };
  build();
  const after = await liveBytes(device);
  assert.ok(after - before < 2 * MB, `${((after - before) / MB).toFixed(1)} MB more`);
});
