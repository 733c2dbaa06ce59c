// compile({ verify }) and fit({ compile }): what a program would freeze is found, and the loop goes on rightly.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { type Expr, topological } from '../../dist/expr/expr.js';
import {
  compile,
  crossEntropy,
  manualSeed,
  mseLoss,
  noGrad,
  rand,
  randint,
  randn,
  type Tensor,
  tensor,
  withDevice,
} from '../../dist/index.js';
import {
  BatchNorm1d,
  BatchNorm2d,
  Conv2d,
  Dropout,
  Flatten,
  Linear,
  MaxPool2d,
  type Module,
  ReLU,
  Sequential,
} from '../../dist/nn/index.js';
import { Adam, AdamW, clipGradNorm_, SGD } from '../../dist/optim/index.js';
import { type Backend, nextBackendId } from '../../dist/program/backend.js';
import type { Program, Step } from '../../dist/program/program.js';
import { type FitOptions, fit, type TrainEvent } from '../../dist/train/index.js';
import { type Candidate, engines, everyBackend } from '../support/backends.js';
import { type Workload, workloads } from '../support/workloads.js';

const says = (phrase: RegExp) => (error: Error) => error.name === 'LibError' && phrase.test(error.message);
const weightsOf = (model: Module): number[] => [...model.stateDict().values()].flatMap((t) => [...t.toArray()]);

const isHere = (c: Candidate): c is Candidate & { readonly backend: Backend } => c.backend !== null;

/** A step with everything that a replay has to keep up: state, counts, running statistics, dropout. */
function stepOf(verify: number): { step: (x: Tensor, y: Tensor) => Tensor; model: Module; optimizer: Adam } {
  manualSeed(3);
  const model = new Sequential(new Linear(4, 8), new BatchNorm1d(8), new ReLU(), new Dropout(0.3), new Linear(8, 2));
  const optimizer = new Adam(model.parameters(), { lr: 0.01, amsgrad: true });
  const step = compile(
    (x: Tensor, y: Tensor) => {
      optimizer.zeroGrad();
      const loss = mseLoss(model.forward(x), y);
      loss.backward();
      clipGradNorm_(model.parameters(), 1);
      optimizer.step();
      return loss;
    },
    { verify },
  );
  return { step, model, optimizer };
}

describe('compile({ verify })', () => {
  test('checks without changing anything: the same bits with it and without', () => {
    const train = (verify: number): number[] => {
      const { step, model, optimizer } = stepOf(verify);
      const losses = Array.from({ length: 6 }, (_, i) => {
        for (const group of optimizer.paramGroups) group.lr = 0.01 / (i + 1);
        return step(randn([6, 4]), randn([6, 2])).itemNow();
      });
      return [...losses, ...weightsOf(model), ...model.parameters().flatMap((p) => [...(p.grad as Tensor).toArray()])];
    };
    assert.deepEqual(train(4), train(0));
  });

  test('a number that changes is named', () => {
    let scale = 0;
    const f = compile((x: Tensor) => x.add(1).mul(++scale), { verify: 2 });
    f(tensor([1, 2]));
    assert.throws(() => f(tensor([1, 2])), says(/step 2, mul, used the number 1 and now uses 2/));
  });

  test('other branches, tensors, constants and results are found', () => {
    let calls = 0;
    const table = [tensor([1, 2]), tensor([3, 4])];
    const cases: readonly (readonly [(x: Tensor) => unknown, RegExp])[] = [
      [(x) => (++calls % 2 ? x.exp() : x.sin()), /step 1 was exp and is now sin/],
      [(x) => x.mul(table[++calls % 2] as Tensor), /reads or writes another tensor/],
      [(x) => x.mul(tensor([++calls, 2])), /reads or writes another tensor/],
      [(x) => ({ y: x.exp(), calls: ++calls }), /other plain values/],
      [(x) => (++calls % 2 ? [x.exp(), x] : [x, x.exp()]), /the result is another tensor/],
    ];
    for (const [fn, phrase] of cases) {
      const f = compile(fn, { verify: 2 });
      f(tensor([1, 2]));
      assert.throws(() => f(tensor([1, 2])), says(phrase));
    }
    const constant = compile((x: Tensor) => x.mul(tensor([3, 2])), { verify: 2 });
    constant(tensor([1, 2]));
    assert.deepEqual([...constant(tensor([5, 6])).toArray()], [15, 12]);
  });

  for (const { name, backend } of everyBackend.filter(isHere)) {
    test(`a kernel that computes something else is found and named (${name})`, () => {
      const wrong = brokenWhereFused(backend);
      const x = withDevice(wrong, () => rand([40, 30]).requiresGrad_());
      const cases: readonly (readonly [() => unknown, RegExp])[] = [
        [() => x.mul(2).exp().add(1), /in result 1, \(40, 30\)/],
        [() => x.mul(2).exp().add(1).sum({ dim: 1 }), /in sum, a sum of shape \(40\)/],
        [() => x.mul(2).exp().add(1).mean(), /in mean, a sum of shape \(\)/],
        [() => noGrad(() => void x.mul_(x.mul(2).exp())), /in written tensor 1, \(40, 30\), of mul/],
        [() => x.sin().mul(2).square().sum().backward(), /in written tensor 1, \(40, 30\), of /],
      ];
      for (const [fn, phrase] of cases) assert.throws(compile(fn, { verify: 1 }), says(phrase));
    });
  }

  for (const { name, backend } of engines.filter(isHere)) {
    test(`sums that are added in another order, and what Adam makes of roundings, are no differences (${name})`, () => {
      withDevice(backend, () => {
        manualSeed(7);
        for (const { model, batch } of [convNet(), residualNet()]) {
          const optimizer = new Adam(model.parameters(), { lr: 0.01 });
          const step = compile(
            (x: Tensor, y: Tensor) => {
              optimizer.zeroGrad();
              const loss = crossEntropy(model.forward(x) as Tensor, y);
              loss.backward();
              optimizer.step();
              return loss;
            },
            { verify: 10 },
          );
          for (let i = 0; i < 10; i++) assert.ok(Number.isFinite(step(...batch()).itemNow()));
        }
      });
    });
  }

  test('its option is checked', () => {
    assert.throws(() => compile((x: Tensor) => x, { verify: -1 }), says(/verify must be a count of calls, got -1/));
  });
});

/** Computes fused expressions a little wrong: relatively by 1e-4. */
function brokenWhereFused(device: Backend): Backend {
  const wrong = (e: Expr): Expr => (topological([e]).filter(({ node }) => node.kind === 'apply').length > 1 ? e.mul(1.0001) : e);
  const broken = <S extends Step>(step: S): S => {
    const { kernel } = step;
    if (kernel.family === 'map') return { ...step, kernel: { ...kernel, exprs: kernel.exprs.map(wrong) } };
    if (kernel.family === 'reduce') return { ...step, kernel: { ...kernel, expr: wrong(kernel.expr) } };
    return kernel.family === 'loop' ? { ...step, kernel: { ...kernel, steps: kernel.steps.map(broken) } } : step;
  };
  return Object.create(device, {
    id: { value: nextBackendId() },
    compile: { value: (program: Program) => device.compile({ ...program, steps: program.steps.map(broken) }) },
  });
}

interface Net {
  readonly model: Module;
  batch(): readonly [x: Tensor, y: Tensor];
}

/** The biases before batch norm have gradients that are zero on paper. */
function convNet(): Net {
  const model = new Sequential(
    ...[new Conv2d(1, 8, 3, { padding: 1 }), new BatchNorm2d(8), new ReLU(), new MaxPool2d(2)],
    ...[new Conv2d(8, 16, 3, { padding: 1 }), new BatchNorm2d(16), new ReLU(), new MaxPool2d(2)],
    ...[new Flatten(), new Dropout(0.2), new Linear(16 * 16, 32), new BatchNorm1d(32), new ReLU(), new Linear(32, 10)],
  );
  return { model, batch: () => [randn([12, 1, 16, 16]), randint(0, 10, [12])] };
}

function residualNet(): Net {
  const { model, batch } = (workloads.resnet20 as () => Workload)();
  return { model, batch: () => batch(6) };
}

/** Three batches of eight and one of four, so that two programs are made. */
function job(extra: Partial<FitOptions>): { model: Module; options: FitOptions; notes: string[] } {
  manualSeed(11);
  const notes: string[] = [];
  const model = new Sequential(new Linear(2, 8), new BatchNorm1d(8), new ReLU(), new Dropout(0.2), new Linear(8, 2));
  const x = randn([28, 2]);
  const y = tensor(Int32Array.from({ length: 28 }, (_, i) => i % 2));
  const { TensorDataset } = data;
  const options: FitOptions = {
    model,
    train: new TensorDataset(x, y),
    validation: new TensorDataset(x, y),
    loss: crossEntropy,
    optimizer: (m) => new AdamW(m.parameters(), { lr: 0.01 }),
    epochs: 3,
    batchSize: 8,
    clipGradNorm: 1,
    seed: 3,
    onEvent: (e: TrainEvent) => void (e.type === 'note' && notes.push(e.text)),
    ...extra,
  };
  return { model, options, notes };
}
const data = await import('../../dist/data/index.js');

describe('fit({ compile })', () => {
  for (const accumulate of [1, 3]) {
    test(`compiled and eager runs agree, accumulating ${accumulate}`, async () => {
      const [a, b] = [job({ compile: true, accumulate }), job({ compile: false, accumulate })];
      const [x, y] = [await fit(a.options), await fit(b.options)];
      for (const [i, w] of weightsOf(a.model).entries()) {
        const other = weightsOf(b.model)[i] as number;
        assert.ok(Math.abs(w - other) <= 1e-5 * Math.max(1, Math.abs(other)), `${w} and ${other}`);
      }
      assert.ok(Math.abs((x.best?.value ?? 0) - (y.best?.value ?? 1)) < 1e-5);
      assert.deepEqual([...a.notes, ...b.notes], []);
    });
  }

  const reading = {
    forward: (model: unknown, [x, target]: readonly [Tensor, Tensor]) => {
      const output = (model as Sequential).forward(x) as Tensor;
      return { output: output.sum().itemNow() > 1e9 ? output.mul(2) : output, target };
    },
  };

  test('a model that reads values runs eagerly, with a note; with compile: true that is an error', async () => {
    const [a, b] = [job(reading), job({ compile: false })];
    await fit(a.options);
    await fit(b.options);
    assert.deepEqual(weightsOf(a.model), weightsOf(b.model));
    assert.match(a.notes[0] ?? '', /the training step runs eagerly, for item(Now)?: values must be there to be read/);
    await assert.rejects(fit(job({ ...reading, compile: true }).options), says(/is not known while compile/));
  });

  test('JavaScript state that a program froze is found, also when it changes late', async () => {
    let late = false;
    const loss = (y: Tensor, t: Tensor): Tensor => crossEntropy(late ? y.mul(2) : y, t);
    const callbacks = [
      {
        name: 'late',
        onEpoch: ({ epoch }: { readonly epoch: number }) => {
          late = epoch > 2;
        },
      },
    ];
    const { options, notes } = job({ loss, epochs: 20, callbacks, validation: undefined as never });
    const { validation: _, ...rest } = options;
    await fit(rest);
    assert.match(notes[0] ?? '', /runs eagerly, for it does not do the same at each call: step \d+ was/);
  });

  test('batches of ever new lengths are not captured forever', async () => {
    const { TensorDataset, DataLoader } = data;
    const batches = Array.from({ length: 60 }, (_, i) => i + 2);
    const source = {
      length: batches.length,
      batchSize: 8,
      async *batchesOf() {
        for (const n of batches) yield [randn([n, 2]), tensor(new Int32Array(n))] as const;
      },
      [Symbol.asyncIterator]() {
        return this.batchesOf();
      },
    };
    const { options, notes } = job({ epochs: 1 });
    const { validation: _, ...rest } = options;
    await fit({ ...rest, train: source });
    assert.match(notes.join(), /keep changing: \d+ captures/);
    assert.ok(new DataLoader(new TensorDataset(randn([2, 2])), { batchSize: 1 }).length === 2);
  });

  test('learning rates and modes that change in the middle of a run are followed', async () => {
    const optimizer = (m: Module): SGD => new SGD(m.parameters(), { lr: 0 });
    const { options, model } = job({ optimizer: optimizer as never, epochs: 2 });
    const before = weightsOf(model).filter((_, i) => i < 16);
    await fit(options);
    assert.deepEqual(
      weightsOf(model).filter((_, i) => i < 16),
      before,
    );
  });
});
