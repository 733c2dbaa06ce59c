// The training loop: its order, modes, weighting, checkpoints and resumption.
import assert from 'node:assert/strict';
import { existsSync, mkdtempSync, readFileSync, rmSync, symlinkSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, describe, test } from 'node:test';
import { DataLoader, type Dataset, TensorDataset } from '../../dist/data/index.js';
import { crossEntropy, manualSeed, mseLoss, randn, type Tensor, tensor, zeros } from '../../dist/index.js';
import { loadSafetensors } from '../../dist/io/index.js';
import { BatchNorm1d, Dropout, Linear, type Module, ReLU, Sequential } from '../../dist/nn/index.js';
import { AdamW, CosineAnnealingLR, OneCycleLR, SGD } from '../../dist/optim/index.js';
import {
  accuracy,
  confusionMatrix,
  earlyStopping,
  evaluate,
  type FitOptions,
  fit,
  loadRun,
  lrLogging,
  plateau,
  readEvents,
  referencePreset,
  runningMean,
  type TrainEvent,
} from '../../dist/train/index.js';

const folder = mkdtempSync(join(tmpdir(), 'chainrule-train-'));
after(() => rmSync(folder, { recursive: true, force: true }));
const says = (phrase: RegExp) => (error: Error) => error.name === 'LibError' && phrase.test(error.message);

/** Two classes of points, far enough apart to be learned in a few steps. */
function points(n: number, seed = 1): TensorDataset<readonly [Tensor, Tensor]> {
  manualSeed(seed);
  const y = Int32Array.from({ length: n }, (_, i) => i % 2);
  const centers = tensor(
    Float32Array.from({ length: 2 * n }, (_, i) => ((i >> 1) % 2 === 0 ? -1 : 1)),
    { shape: [n, 2] },
  );
  return new TensorDataset(randn([n, 2]).mul(0.5).add(centers), tensor(y));
}
const network = (): Sequential => new Sequential(new Linear(2, 8), new BatchNorm1d(8), new ReLU(), new Dropout(0.2), new Linear(8, 2));
const weightsOf = (model: Module): number[] => [...model.stateDict().values()].flatMap((t) => [...t.toArray()]);
const close = (a: readonly number[], b: readonly number[], by: number): void => {
  for (const [i, v] of a.entries()) assert.ok(Math.abs(v - (b[i] as number)) <= by, `${v} and ${b[i]}`);
};

/** A run with everything in it: dropout, batch norm, momentum, a schedule, clipping and shuffling. */
function job(extra: Partial<FitOptions> = {}): { model: Sequential; options: FitOptions } {
  const [train, validation] = [points(50), points(20, 2)];
  manualSeed(7);
  const model = network();
  const options: FitOptions = {
    model,
    train,
    validation,
    loss: crossEntropy,
    optimizer: (m) => new AdamW(m.parameters(), { lr: 0.01 }),
    schedule: (o, { totalSteps }) => new OneCycleLR(o, 0.02, { totalSteps }),
    metrics: [accuracy(), confusionMatrix()],
    epochs: 4,
    batchSize: 8,
    clipGradNorm: 1,
    seed: 3,
    ...extra,
  };
  return { model, options };
}

describe('fit', () => {
  test('learns, tells what happens in order, and leaves a run folder', async () => {
    const events: TrainEvent[] = [];
    const runDir = join(folder, 'learns');
    const { model, options } = job({ runDir, onEvent: (e) => events.push(e), config: { made: 'here' } });
    const result = await fit(options);
    assert.equal(result.stopped, 'finished');
    assert.deepEqual([result.epochs, result.steps, result.history.length], [4, 28, 4]);
    assert.ok((result.history.at(-1)?.validation?.accuracy ?? 0) > 0.9);
    const kinds = events.map((e) => e.type);
    assert.equal(kinds[0], 'start');
    assert.equal(kinds.at(-1), 'end');
    assert.equal(kinds.filter((k) => k === 'step').length, 28);
    assert.deepEqual(kinds.slice(1, 10), [...Array<string>(7).fill('step'), 'epoch', 'validation']);
    const logged = await readEvents(runDir);
    assert.deepEqual(
      logged.map((e) => e.type),
      kinds,
    );
    assert.ok(logged.every((e) => Number.isInteger(e.time)));
    assert.equal(JSON.parse(readFileSync(join(runDir, 'config.json'), 'utf8')).made, 'here');
    assert.match(JSON.parse(readFileSync(join(runDir, 'environment.json'), 'utf8')).engine, /\w/);
    assert.ok(model.training);
  });

  test('the same seed gives the same bits', async () => {
    const [a, b] = [job(), job()];
    await fit(a.options);
    manualSeed(99);
    await fit(b.options);
    assert.deepEqual(weightsOf(a.model), weightsOf(b.model));
  });

  test('does zero, forward, loss, backward, clip, step, schedule in this order', async () => {
    const calls: string[] = [];
    const model = new Linear(2, 2);
    const optimizer = new SGD(model.parameters(), { lr: 0.1 });
    const schedule = new CosineAnnealingLR(optimizer, 100).per('batch');
    const spy = <T extends object>(target: T, method: keyof T & string): void => {
      const original = (target[method] as (...args: unknown[]) => unknown).bind(target);
      const value = (...args: unknown[]): unknown => {
        calls.push(method);
        return original(...args);
      };
      Object.defineProperty(target, method, { enumerable: false, value });
    };
    spy(optimizer, 'zeroGrad');
    spy(model, 'forward');
    const loss = (y: Tensor, t: Tensor): Tensor => {
      calls.push('loss');
      return crossEntropy(y, t);
    };
    const step = optimizer.step.bind(optimizer);
    optimizer.step = () => {
      const norm = Math.hypot(...model.parameters().flatMap((p) => [...(p.grad as Tensor).toArray()]));
      assert.ok(norm <= 1e-3 * 1.01, `${norm}`);
      calls.push('step');
      step();
    };
    Object.defineProperty(schedule, 'step', { value: () => void calls.push('schedule') });
    await fit({
      model,
      train: new DataLoader(points(4), { batchSize: 4 }),
      loss,
      optimizer,
      schedule,
      scheduleEvery: 'step',
      clipGradNorm: 1e-3,
      compile: false,
    });
    assert.deepEqual(calls, ['zeroGrad', 'forward', 'loss', 'step', 'schedule']);
  });

  test('accumulating equals one large batch, also in a short last group', async () => {
    const run = async (batchSize: number, accumulate: number): Promise<number[]> => {
      manualSeed(5);
      const model = new Linear(2, 2);
      const train = new DataLoader(points(22), { batchSize });
      let steps = 0;
      const optimizer = new SGD(model.parameters(), { lr: 0.1, momentum: 0.9 });
      await fit({
        model,
        train,
        loss: crossEntropy,
        optimizer,
        accumulate,
        epochs: 2,
        onEvent: (e) => void (e.type === 'step' && steps++),
      });
      assert.equal(steps, 6);
      return weightsOf(model);
    };
    close(await run(8, 1), await run(2, 4), 1e-6);
    close(await run(9, 1), await run(3, 3), 1e-6);
  });

  test('means are weighted by examples', async () => {
    const data = new TensorDataset(tensor([[0], [0], [3]]), zeros([3, 1]));
    const identity = new Sequential();
    const { scores, examples } = await evaluate(identity, new DataLoader(data, { batchSize: 2 }), {
      loss: mseLoss,
      metrics: [runningMean('mae', (y, t) => y.sub(t).abs().mean())],
    });
    assert.deepEqual([scores.loss, scores.mae, examples], [3, 1, 3]);
  });

  test('validation is in evaluation mode without gradients; modes come back, also after an error', async () => {
    const modes: string[] = [];
    class Spy extends Linear {
      override forward(x: Tensor): Tensor {
        const y = super.forward(x);
        modes.push(`${this.training ? 'train' : 'eval'} ${y.requiresGrad ? 'grad' : 'no grad'}`);
        return y;
      }
    }
    const model = new Spy(2, 2);
    model.eval();
    const data = new DataLoader(points(4), { batchSize: 4 });
    const optimizer = new SGD(model.parameters(), { lr: 0.1 });
    await fit({ model, train: data, validation: data, loss: crossEntropy, optimizer });
    assert.deepEqual(modes, ['train grad', 'eval no grad']);
    assert.equal(model.training, false);
    model.train();
    const broken = (): Tensor => {
      throw new Error('a broken loss');
    };
    await assert.rejects(evaluate(model, data, { loss: broken }), /a broken loss/);
    assert.equal(model.training, true);
    assert.ok(model.forward(zeros([1, 2])).requiresGrad, 'gradients are recorded again');
  });

  test('keeps the best weights by validation', async () => {
    // Validation wants 0 and training moves away from it: the first epoch is the best.
    const model = new Linear(1, 1, { bias: false });
    model.loadStateDict(new Map([['weight', tensor([[0.1]])]]));
    const at = (y: number): DataLoader<readonly [Tensor, Tensor], readonly [Tensor, Tensor]> =>
      new DataLoader(new TensorDataset(tensor([[1]]), tensor([[y]])), {});
    const runDir = join(folder, 'best');
    const { best, history } = await fit({
      model,
      train: at(5),
      validation: at(0),
      loss: mseLoss,
      optimizer: new SGD(model.parameters(), { lr: 0.1 }),
      epochs: 4,
      runDir,
    });
    assert.equal(best?.epoch, 0);
    assert.equal(history.length, 4);
    close([model.weight.toArray()[0] as number], [0.1 + 0.2 * 4.9], 1e-6);
    const saved = await loadSafetensors(join(runDir, 'best.safetensors'));
    assert.deepEqual(saved.get('weight')?.tolist(), model.weight.tolist());
  });
});

describe('resuming', () => {
  test('after epochs gives the bits of an uninterrupted run', async () => {
    const whole = job({ runDir: join(folder, 'whole') });
    await fit(whole.options);
    const stop = new AbortController();
    const runDir = join(folder, 'halves');
    const first = job({ runDir, signal: stop.signal, onEvent: (e) => void (e.type === 'epoch' && e.epoch === 1 && stop.abort()) });
    assert.equal((await fit(first.options)).stopped, 'interrupted');
    const second = job({ runDir, resume: await loadRun(runDir) });
    const result = await fit(second.options);
    assert.deepEqual([result.epochs, result.history.length, result.steps], [4, 4, 28]);
    assert.deepEqual(weightsOf(second.model), weightsOf(whole.model));
  });

  test('in the middle of an epoch does, too, and the scores go on', async () => {
    const whole = job();
    const { history } = await fit(whole.options);
    const stop = new AbortController();
    const runDir = join(folder, 'middle');
    let more = false;
    const first = job({ runDir, signal: stop.signal, onEvent: (e) => void (e.type === 'step' && e.step === 10 && stop.abort()) });
    // The next step is taken before the loop sees the signal only if the signal comes after it was looked at.
    const interrupted = await fit(first.options);
    assert.equal(interrupted.stopped, 'interrupted');
    assert.ok(interrupted.steps >= 10 && interrupted.steps < 14, `${interrupted.steps}`);
    const onEvent = (e: TrainEvent): void => {
      if (e.type === 'start') more = e.resumed;
    };
    const second = job({ runDir, resume: await loadRun(runDir), onEvent });
    const result = await fit(second.options);
    assert.ok(more);
    assert.deepEqual(weightsOf(second.model), weightsOf(whole.model));
    assert.deepEqual(
      result.history.map((h) => [h.train, h.validation]),
      history.map((h) => [h.train, h.validation]),
    );
  });

  test('a finished run asks for more epochs, and takes them', async () => {
    const runDir = join(folder, 'more');
    await fit(job({ runDir, epochs: 1 }).options);
    await assert.rejects(
      fit(job({ resume: await loadRun(runDir), epochs: 1 }).options),
      says(/needs epochs that are left, got 1 done of 1[\s\S]*more epochs than 1/),
    );
    assert.equal((await fit(job({ resume: await loadRun(runDir), epochs: 2 }).options)).epochs, 2);
  });

  test('a folder that is no run', async () => {
    await assert.rejects(loadRun(join(folder, 'nowhere')), says(/must be the folder of a run with a checkpoint, got no such folder/));
    await assert.rejects(loadRun(folder), says(/a folder without last\.safetensors/));
  });
});

describe('callbacks', () => {
  const flat = (
    callbacks: FitOptions['callbacks'],
    extra: Partial<FitOptions> = {},
  ): Promise<{ events: TrainEvent[]; stopped: string; epochs: number }> => {
    const events: TrainEvent[] = [];
    const model = new Linear(2, 2);
    // Nothing is learned: every epoch is as good as the first.
    const optimizer = new SGD(model.parameters(), { lr: 0 });
    const train = new DataLoader(points(8), { batchSize: 4 });
    const options: FitOptions = { model, train, validation: train, loss: crossEntropy, optimizer, epochs: 10, ...extra };
    return fit({ ...options, ...(callbacks && { callbacks }), onEvent: (e) => void events.push(e) }).then((r) => ({
      events,
      stopped: r.stopped,
      epochs: r.epochs,
    }));
  };

  test('earlyStopping', async () => {
    const { stopped, epochs } = await flat([earlyStopping({ patience: 3 })]);
    assert.deepEqual([stopped, epochs], ['no better loss for 3 epochs', 4]);
    await assert.rejects(flat([earlyStopping({ monitor: 'acuracy' })]), says(/monitor must be one of loss/));
  });

  test('plateau cuts the rate and says so', async () => {
    const model = new Linear(2, 2);
    const optimizer = new SGD(model.parameters(), { lr: 1 });
    const frozen = { forward: () => ({ output: zeros([1, 2]).requiresGrad_(), target: tensor(Int32Array.of(0)) }) };
    const { events } = await flat([plateau({ patience: 1, factor: 0.5 })], { model, optimizer, epochs: 5, ...frozen });
    const notes = events.flatMap((e) => (e.type === 'note' ? [e.text] : []));
    assert.equal(notes[0], 'plateau: learning rate 1 -> 0.5');
  });

  test('a loss that is NaN stops, and is not saved over the last good state', async () => {
    const runDir = join(folder, 'nan');
    let step = 0;
    const loss = (y: Tensor, t: Tensor): Tensor => crossEntropy(++step === 5 ? y.mul(Number.NaN) : y, t);
    const { options, model } = job({
      runDir,
      loss,
      validation: undefined as never,
      epochs: 2,
      compile: false,
      callbacks: [lrLogging({ every: 1 })],
    });
    const { validation: _, ...rest } = options;
    const result = await fit(rest);
    assert.match(result.stopped, /the loss became NaN in step 5/);
    assert.ok(!existsSync(join(runDir, 'last.safetensors')));
    assert.ok((await readEvents(runDir)).some((e) => e.type === 'note' && e.level === 'warning'));
    assert.ok(model.training);
  });

  test('custom ones are called with events', async () => {
    const seen: string[] = [];
    await flat([
      {
        name: 'mine',
        onStart: () => void seen.push('start'),
        onStep: (e) => void seen.push(`step ${e.step}`),
        onEpoch(_, validation, run) {
          seen.push(`epoch ${validation?.epoch}`);
          run.stop('enough');
        },
        onEnd: () => void seen.push('end'),
      },
    ]);
    assert.deepEqual(seen, ['start', 'step 1', 'step 2', 'epoch 0', 'end']);
  });
});

describe('wrong options', () => {
  const wrong: [extra: Readonly<Record<string, unknown>>, phrase: RegExp][] = [
    [{ epoch: 3 }, /got 'epoch'[\s\S]*did you mean 'epochs'\?/],
    [{ epochs: 0 }, /epochs must be an integer >= 1, got 0/],
    [{ clipGradNorm: Number.NaN }, /clipGradNorm must be a number, got NaN/],
    [{ accumulate: 1.5 }, /accumulate must be a whole number/],
    [{ loss: 'mse' }, /loss must be a function, got 'mse'/],
    [{ optimizer: undefined }, /optimizer must be a function or an object, got nothing/],
    [{ monitor: 'acuracy' }, /monitor must be one of loss, accuracy, confusion, got 'acuracy'[\s\S]*did you mean 'accuracy'/],
    [{ train: { length: 0, get: () => 0 } as Dataset<number> }, /the dataset must have items/],
    [{ train: { length: 2, get: () => 'text' } as Dataset<string> }, /batches must be \[input, target\] tensors/],
    [{ optimizer: (m: Module) => new SGD(m.parameters(), { lr: Number.NaN }) }, /lr must be .*, got NaN/],
    [{ loss: (y: Tensor) => y }, /the loss must be one number, got shape \(8, 2\)/],
  ];
  for (const [extra, phrase] of wrong) {
    test(`${Object.keys(extra)[0]}: ${String(Object.values(extra)[0])}`.slice(0, 60), () =>
      assert.rejects(async () => fit(job(extra as Partial<FitOptions>).options), says(phrase)),
    );
  }

  test('a full disk while saving ends the run with one error; the state of before stays', async (t) => {
    if (!existsSync('/dev/full')) return t.skip('no /dev/full here');
    const runDir = join(folder, 'full');
    await fit(job({ runDir, epochs: 1 }).options);
    const before = readFileSync(join(runDir, 'last.safetensors'));
    symlinkSync('/dev/full', join(runDir, 'last.safetensors.tmp'));
    const more = fit(job({ runDir, resume: await loadRun(runDir), epochs: 2 }).options);
    await assert.rejects(more, says(/\d+ bytes must fit into .*last\.safetensors, got no space left on the disk/));
    assert.deepEqual(readFileSync(join(runDir, 'last.safetensors')), before);
    assert.equal((await loadRun(runDir)).config.made, undefined);
  });
});

test('the reference preset: AdamW, decay, clipping, a cosine by epochs, the best weights', async () => {
  const events: TrainEvent[] = [];
  const preset = referencePreset({ epochs: 4 });
  const [model, train, validation] = [network(), points(64), points(20, 2)];
  const result = await fit({ ...preset, model, train, validation, onEvent: (e) => events.push(e) });
  const rates = result.history.map(({ lr }) => lr[0] as number);
  close(
    rates,
    [0, 1, 2, 3].map((t) => (1e-3 * (1 + Math.cos((Math.PI * t) / 4))) / 2),
    1e-9,
  );
  assert.ok(events.every((e) => e.type !== 'step' || e.gradNorm !== undefined));
  assert.equal(result.best?.monitor, 'loss');
  const { weightDecay } = (preset.optimizer as (m: Module) => AdamW)(model).defaults;
  assert.deepEqual([referencePreset().epochs, weightDecay], [50, 0.01]);
});
