// What the page and the worker of browser.test.ts do: a user's program, bundled as a user would.
import { crossEntropy, describeEngine, manualSeed, noGrad, type Tensor, tensor } from 'chainrule';
import { DataLoader, mnist } from 'chainrule/data';
import { Conv2d, Flatten, Linear, MaxPool2d, ReLU, Sequential, Tanh } from 'chainrule/nn';
import { Adam, AdamW } from 'chainrule/optim';
import { accuracy, fit } from 'chainrule/train';

export interface Report {
  readonly engine: string;
  readonly isolated: boolean;
  readonly processors: number;
  readonly xor: { readonly loss: number; readonly steps: number; readonly milliseconds: number };
  readonly digits: { readonly accuracy: number; readonly examples: number; readonly milliseconds: number };
}

/** The loop written out, on four points. */
async function trainXor(): Promise<Report['xor']> {
  manualSeed(0);
  const started = performance.now();
  const x = tensor([
    [0, 0],
    [0, 1],
    [1, 0],
    [1, 1],
  ]);
  const y = tensor([[0], [1], [1], [0]]);
  const model = new Sequential(new Linear(2, 8), new Tanh(), new Linear(8, 1));
  const optimizer = new Adam(model.parameters(), { lr: 0.05 });
  let loss = Number.POSITIVE_INFINITY;
  let steps = 0;
  for (; loss >= 0.01 && steps < 1000; steps++) {
    optimizer.zeroGrad();
    const error: Tensor = model.forward(x).sub(y).square().mean();
    error.backward();
    optimizer.step();
    loss = await error.item();
  }
  return { loss, steps, milliseconds: performance.now() - started };
}

/** The digits that the server has, with fit() and a loop over the held-out ones. */
async function trainDigits(): Promise<Report['digits']> {
  const started = performance.now();
  const { train, test } = await mnist({ root: '/mnist' });
  const model = new Sequential(
    new Conv2d(1, 8, 3, { padding: 1 }),
    new ReLU(),
    new MaxPool2d(2),
    new Flatten(),
    new Linear(8 * 14 * 14, 10),
  );
  const optimizer = new AdamW(model.parameters(), { lr: 3e-3 });
  await fit({ model, optimizer, train, loss: crossEntropy, metrics: [accuracy()], epochs: 3, batchSize: 50, seed: 1 });
  model.eval();
  let right = 0;
  for (const [images, labels] of new DataLoader(test, { batchSize: 250 })) {
    right += await noGrad(() => model.forward(images).argmax({ dim: 1 }).eq(labels).sum()).item();
  }
  return { accuracy: right / test.length, examples: train.length, milliseconds: performance.now() - started };
}

export async function trainBoth(): Promise<Report> {
  const xor = await trainXor();
  const digits = await trainDigits();
  const processors = navigator.hardwareConcurrency;
  return { engine: describeEngine(), isolated: globalThis.crossOriginIsolated, processors, xor, digits };
}
