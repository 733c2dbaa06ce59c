// What a run counts: steps, examples, token ids.
import assert from 'node:assert/strict';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, test } from 'node:test';
import { TensorDataset } from '../../dist/data/index.js';
import { crossEntropy, manualSeed, mseLoss, randn, type Tensor, tensor } from '../../dist/index.js';
import { type AnyModule, Embedding, Linear, Sequential } from '../../dist/nn/index.js';
import { SGD } from '../../dist/optim/index.js';
import { fit, loadRun, type StepEvent } from '../../dist/train/index.js';

const runDir = mkdtempSync(join(tmpdir(), 'chainrule-counters-'));
after(() => rmSync(runDir, { recursive: true, force: true }));
const optimizer = (m: AnyModule): SGD => new SGD(m.parameters(), { lr: 0.1 });

test('steps, samples and tokens are counted, over epochs, groups and resumption', async () => {
  const counts: (readonly [step: number, samples: number, tokens?: number])[] = [];
  const ids = (): Tensor =>
    tensor(
      Int32Array.from({ length: 50 }, (_, i) => i % 7),
      { shape: [10, 5] },
    );
  const run = async (epochs: number, resumed: boolean): Promise<void> => {
    manualSeed(1);
    await fit({
      model: new Sequential(new Embedding(7, 4), new Linear(4, 7)),
      train: new TensorDataset(ids(), ids()),
      loss: (y, t) => crossEntropy(y.reshape([-1, 7]), t.reshape([-1])),
      optimizer,
      batchSize: 4,
      accumulate: 2,
      epochs,
      runDir,
      ...(resumed && { resume: await loadRun(runDir) }),
      onEvent: (e) => void (e.type === 'step' && counts.push([e.step, e.samples, e.tokens])),
    });
  };
  await run(1, false);
  await run(2, true);
  assert.deepEqual(counts, [
    [1, 8, 40],
    [2, 10, 50],
    [3, 18, 90],
    [4, 20, 100],
  ]);
});

test('rows of numbers are no tokens', async () => {
  const steps: StepEvent[] = [];
  const train = new TensorDataset(randn([10, 4]), randn([10, 1]));
  await fit({
    model: new Linear(4, 1),
    train,
    loss: mseLoss,
    optimizer,
    epochs: 2,
    onEvent: (e) => void (e.type === 'step' && steps.push(e)),
  });
  assert.equal(steps.at(-1)?.samples, 20);
  assert.ok(steps.every((e) => !('tokens' in e)));
});
