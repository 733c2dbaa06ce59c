// Compiled training steps: equal to eager ones, also while everything that may change does.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as cr from '../../dist/index.js';
import { manualSeed, Parameter, randn, type Tensor, tensor } from '../../dist/index.js';
import { BatchNorm2d, Conv2d, Dropout, Flatten, Linear, MaxPool2d, type Module, ReLU, Sequential, Tanh } from '../../dist/nn/index.js';
import * as optim from '../../dist/optim/index.js';
import { Adam, AdamW, clipGradNorm_, type Optimizer, SGD } from '../../dist/optim/index.js';
import type { Backend } from '../../dist/program/backend.js';
import { withDevice } from '../../dist/tensor/device.js';
import { everyBackend, reference } from '../support/backends.js';

/** The reference computes in float64, so a value that skips memory there skips a rounding too: the suites compare that. */
const compile: typeof cr.compile = (fn) => cr.compile(fn, { fuse: cr.defaultDevice() !== reference });

interface Setup {
  readonly model: Module;
  readonly optimizer: Optimizer;
  readonly loss: (output: Tensor, target: Tensor) => Tensor;
  batch(size: number): readonly [x: Tensor, y: Tensor];
  readonly maxNorm?: number;
}

type Step = (x: Tensor, y: Tensor) => Tensor;

const stepOf =
  ({ model, optimizer, loss, maxNorm }: Setup): Step =>
  (x, y) => {
    optimizer.zeroGrad();
    const value = loss(model.forward(x), y);
    if (!model.training) return value;
    value.backward();
    if (maxNorm !== undefined) clipGradNorm_(model.parameters(), maxNorm);
    optimizer.step();
    return value;
  };

const classes = (size: number): Tensor => cr.randint(0, 5, [size]);

const setups: Readonly<Record<string, () => Setup>> = {
  xor_mlp() {
    const model = new Sequential(new Linear(2, 8), new Tanh(), new Linear(8, 1));
    const optimizer = new SGD(model.parameters(), { lr: 0.1, momentum: 0.9, dampening: 0.3 });
    return { model, optimizer, loss: cr.binaryCrossEntropyWithLogits, batch: (n) => [randn([n, 2]), cr.rand([n, 1])] };
  },
  mnist_mlp() {
    const model = new Sequential(new Linear(20, 16), new ReLU(), new Dropout(0.3), new Linear(16, 8), new ReLU(), new Linear(8, 5));
    const optimizer = new AdamW(model.parameters(), { lr: 1e-2 });
    return { model, optimizer, loss: cr.crossEntropy, batch: (n) => [randn([n, 20]), classes(n)], maxNorm: 1 };
  },
  cnn() {
    const model = new Sequential(
      ...[new Conv2d(1, 4, 3, { padding: 1 }), new BatchNorm2d(4), new ReLU(), new MaxPool2d(2), new Dropout(0.2)],
      ...[new Flatten(), new Linear(4 * 9, 5)],
    );
    const optimizer = new AdamW(model.parameters(), { lr: 1e-2, amsgrad: true });
    return { model, optimizer, loss: cr.crossEntropy, batch: (n) => [randn([n, 1, 6, 6]), classes(n)] };
  },
};

type Make = (params: Parameter[]) => Optimizer;
/** Every optimizer, in the variants that run other programs. */
const optimizers: Readonly<Record<string, Make>> = {
  SGD: (p) => new SGD(p, { weightDecay: 0.1 }),
  'SGD with momentum': (p) => new SGD(p, { momentum: 0.9, dampening: 0.1, maximize: true }),
  'SGD, rate inside': (p) => new SGD(p, { momentum: 0.9, momentumConvention: 'rateInside' }),
  'SGD, Nesterov': (p) => new SGD(p, { momentum: 0.9, nesterov: true }),
  Adam: (p) => new Adam(p, { weightDecay: 0.1 }),
  'Adam, uncorrected': (p) => new Adam(p, { biasCorrection: false }),
  'Adam, AMSGrad': (p) => new Adam(p, { amsgrad: true }),
  AdamW: (p) => new AdamW(p, { maximize: true }),
  Adagrad: (p) => new optim.Adagrad(p, { lrDecay: 0.1 }),
  RMSprop: (p) => new optim.RMSprop(p),
  'RMSprop, centered with momentum': (p) => new optim.RMSprop(p, { centered: true, momentum: 0.5, eps: 1e-3 }),
  NAdam: (p) => new optim.NAdam(p, { weightDecay: 0.1, decoupledWeightDecay: true }),
  Adamax: (p) => new optim.Adamax(p),
  Adadelta: (p) => new optim.Adadelta(p),
  RAdam: (p) => new optim.RAdam(p, { betas: [0.9, 0.9] }),
  Rprop: (p) => new optim.Rprop(p),
  ASGD: (p) => new optim.ASGD(p, { t0: 4 }),
  Adafactor: (p) => new optim.Adafactor(p, { weightDecay: 0.1 }),
  Muon: (p) => new optim.Muon(p, { nsDtype: 'float32' }),
  AdaBelief: (p) => new optim.AdaBelief(p),
  Lion: (p) => new optim.Lion(p, { weightDecay: 0.1 }),
  LAMB: (p) => new optim.LAMB(p, { weightDecay: 0.1 }),
  LARS: (p) => new optim.LARS(p, { weightDecay: 0.1 }),
};

/** Those whose steps cannot be one program, and the file that tests them. */
const elsewhere: Readonly<Record<string, string>> = {
  LBFGS: 'optimClosures: it calls a closure as often as values tell it to',
  HessianFree: 'optimClosures: it calls a closure as often as values tell it to',
  SparseAdam: 'sparseRows: its gradients are rows',
};

test('every optimizer that is exported has a row', () => {
  const names = Object.entries(optim).flatMap(([name, value]) =>
    typeof value === 'function' && value.prototype instanceof optim.Optimizer ? [name] : [],
  );
  const rows = new Set([...Object.keys(optimizers).map((key) => key.split(',')[0]?.split(' ')[0]), ...Object.keys(elsewhere)]);
  assert.deepEqual(
    names.filter((name) => !rows.has(name)),
    [],
  );
});

interface Run {
  readonly losses: number[];
  readonly state: (readonly [string, number[]])[];
  readonly gradients: (number[] | null)[];
  readonly random: unknown;
}

/** Trains from one seed; `before` may change anything between steps. */
function train(
  make: () => Setup,
  wrap: (step: Step) => Step,
  steps: number,
  before: (setup: Setup, step: number) => number = () => 4,
): Run {
  manualSeed(3);
  const setup = make();
  const step = wrap(stepOf(setup));
  const losses: number[] = [];
  for (let i = 0; i < steps; i++) {
    const size = before(setup, i);
    losses.push(step(...setup.batch(size)).itemNow());
  }
  const { model } = setup;
  return {
    losses,
    state: [...model.stateDict()].map(([name, t]) => [name, [...t.toArray()]] as const),
    gradients: model.parameters().map((p) => p.grad && [...p.grad.toArray()]),
    random: cr.getRandomState(),
  };
}

const eager = (step: Step): Step => step;

function suite(backend: Backend): void {
  const check = (name: string, body: () => void): void => void test(name, () => withDevice(backend, body));

  for (const [name, make] of Object.entries(setups)) {
    check(`${name}: 50 compiled steps are the eager ones, bit by bit`, () => {
      assert.deepEqual(train(make, compile, 50), train(make, eager, 50));
    });
    check(`${name}: lr, mode, batch size and dropout may change mid-run`, () => {
      const change = ({ model, optimizer }: Setup, i: number): number => {
        for (const group of optimizer.paramGroups) group.lr = 0.05 / (1 + i);
        model.train(i % 5 !== 4);
        for (const m of model.modules()) if (m instanceof Dropout && i === 12) Object.assign(m, { p: 0.6 });
        return i % 7 === 6 ? 3 : 4;
      };
      let compiled: { readonly programs: readonly unknown[] } | undefined;
      const wrap = (step: Step): Step => {
        const c = compile(step);
        compiled = c;
        return c;
      };
      assert.deepEqual(train(make, wrap, 30, change), train(make, eager, 30, change));
      // (training, evaluation) x (4, 3), and a second probability
      assert.ok((compiled?.programs.length ?? 99) <= 8, `${compiled?.programs.length} programs`);
    });
  }

  for (const [name, optimizerOf] of Object.entries(optimizers)) {
    check(`${name}: compiled steps are the eager ones, with rates that change`, () => {
      const make = (): Setup => {
        const model = new Sequential(new Linear(4, 3, { bias: name !== 'Muon' }), new Tanh(), new Linear(3, 5, { bias: name !== 'Muon' }));
        return { model, optimizer: optimizerOf(model.parameters()), loss: cr.crossEntropy, batch: (n) => [randn([n, 4]), classes(n)] };
      };
      const change = ({ optimizer }: Setup, i: number): number => {
        for (const group of optimizer.paramGroups) group.lr = 0.05 / (1 + i);
        return 4;
      };
      let programs: readonly unknown[] = [];
      const wrap = (step: Step): Step => {
        const compiled = compile(step);
        return (x, y) => {
          const result = compiled(x, y);
          programs = compiled.programs;
          return result;
        };
      };
      assert.deepEqual(train(make, wrap, 12, change), train(make, eager, 12, change));
      assert.equal(programs.length, 1);
    });
  }

  check('options that choose another program are guarded', () => {
    const change = ({ optimizer }: Setup, i: number): number => {
      const [group] = optimizer.paramGroups;
      if (i % 10 === 3) Object.assign(group as object, { maximize: true });
      if (i % 10 === 5) Object.assign(group as object, { maximize: false, momentum: i === 5 ? 0 : 0.9 });
      return 4;
    };
    assert.deepEqual(train(setups.xor_mlp as () => Setup, compile, 30, change), train(setups.xor_mlp as () => Setup, eager, 30, change));
  });

  check('loaded optimizer state is what the next step uses', () => {
    let saved: ReturnType<Optimizer['stateDict']> | undefined;
    const change = ({ optimizer }: Setup, i: number): number => {
      if (i === 5) {
        const { state, paramGroups } = optimizer.stateDict();
        const copy = Object.entries(state).map(([k, s]) => [
          k,
          Object.fromEntries(Object.entries(s).map(([n, v]) => [n, typeof v === 'number' ? v : v.clone()])),
        ]);
        saved = { state: Object.fromEntries(copy), paramGroups };
      }
      if (i === 9 && saved) optimizer.loadStateDict(saved);
      return 4;
    };
    const make = setups.mnist_mlp as () => Setup;
    assert.deepEqual(train(make, compile, 14, change), train(make, eager, 14, change));
  });

  check('layers may be frozen and unfrozen', () => {
    const change = ({ model }: Setup, i: number): number => {
      model.parameters()[0]?.requiresGrad_(i % 6 < 3);
      return 4;
    };
    const make = setups.mnist_mlp as () => Setup;
    assert.deepEqual(train(make, compile, 12, change), train(make, eager, 12, change));
  });

  check('gradients accumulate over calls, and zeroGrad outside starts afresh', () => {
    const accumulate = (wrap: (f: (x: Tensor) => Tensor) => (x: Tensor) => Tensor): unknown => {
      const w = new Parameter(tensor([1, 2, 3]));
      const optimizer = new Adam([w], { lr: 0.1 });
      const backward = wrap((x) => {
        const loss = w.mul(x).square().sum();
        loss.backward();
        return loss;
      });
      const seen: unknown[] = [];
      for (let i = 0; i < 9; i++) {
        seen.push(backward(tensor([i, 1, 2])).itemNow(), [...(w.grad?.toArray() ?? [])]);
        if (i % 3 !== 2) continue;
        optimizer.step();
        optimizer.zeroGrad({ setToNone: i !== 5 });
      }
      return [seen, [...w.toArray()]];
    };
    assert.deepEqual(
      accumulate(compile),
      accumulate((f) => f),
    );
  });

  check('an optimizer step alone can be compiled', () => {
    const run = (wrap: (f: () => void) => () => void): unknown => {
      const w = new Parameter(tensor([1, 2, 3]));
      const optimizer = new SGD([w], { lr: 0.1, momentum: 0.5 });
      const step = wrap(() => optimizer.step());
      for (let i = 0; i < 5; i++) {
        w.grad = tensor([i, 1, -i]);
        step();
      }
      w.grad = null;
      step();
      return [...w.toArray()];
    };
    assert.deepEqual(
      run(compile),
      run((f) => f),
    );
  });

  check('results keep the structure that was returned, are new in each call, and carry no graph', () => {
    const w = new Parameter(tensor([2, 3]));
    const f = compile((x: Tensor, options: { readonly by: number }) => {
      const y = w.mul(x).mul(options.by);
      return { y, pair: [y.sum(), x, 'text', null], views: [y.reshape([2, 1]), x.slice([1, 2])], w };
    });
    const x = tensor([1, 10]);
    const first = f(x, { by: 2 });
    const second = f(tensor([5, 5]), { by: 2 });
    assert.deepEqual([...first.y.toArray()], [4, 60]);
    assert.deepEqual([...second.y.toArray()], [20, 30]);
    assert.equal(first.pair[1], x);
    assert.deepEqual(first.pair.slice(2), ['text', null]);
    assert.equal(first.w, w);
    assert.deepEqual([first.views[0]?.shape, [...(first.views[1] as Tensor).toArray()]], [[2, 1], [10]]);
    assert.equal(first.y.requiresGrad, false);
    assert.deepEqual([...f(x, { by: 3 }).y.toArray()], [6, 90]);
    assert.equal(f.programs.length, 2);
  });

  check('a returned gradient is a copy, and leaves that are arguments get gradients of their own', () => {
    const w = new Parameter(tensor([2, 3]));
    const f = compile((x: Tensor) => {
      w.grad = null;
      w.mul(x).sum().backward();
      return w.grad as Tensor | null;
    });
    const [one, two] = [tensor([1, 2], { requiresGrad: true }), tensor([3, 4], { requiresGrad: true })];
    const first = f(one);
    f(two);
    assert.deepEqual([...(first?.toArray() ?? [])], [1, 2]);
    assert.deepEqual([...(w.grad?.toArray() ?? [])], [3, 4]);
    assert.deepEqual(
      [one, two].map((t) => [...(t.grad?.toArray() ?? [])]),
      [
        [2, 3],
        [2, 3],
      ],
    );
  });

  check('writes to tensors from outside and to arguments happen at each call, and count', () => {
    const total = tensor([0, 0]);
    const f = compile((x: Tensor) => {
      total.add_(x);
      x.mul_(2);
    });
    const x = tensor([1, 2]);
    const before = [total.storage.version, x.storage.version];
    for (let i = 0; i < 3; i++) f(x);
    assert.deepEqual(
      [[...total.toArray()], [...x.toArray()]],
      [
        [7, 14],
        [8, 16],
      ],
    );
    assert.deepEqual(
      [total.storage.version, x.storage.version],
      before.map((v) => v + 3),
    );
  });

  check('random numbers go on as in eager calls', () => {
    const f = (): Tensor => cr.cat([cr.rand([3]), cr.randn([3]), cr.randint(0, 9, [3]).float()]);
    const draw = (g: () => Tensor): number[][] => {
      manualSeed(5);
      return [0, 1, 2].map(() => [...g().toArray()]);
    };
    assert.deepEqual(draw(compile(f)), draw(f));
  });

  check('storages are neither made nor kept by replays beyond their results', () => {
    manualSeed(1);
    const setup = (setups.cnn as () => Setup)();
    const step = compile(stepOf(setup));
    const [x, y] = setup.batch(4);
    step(x, y);
    step(x, y);
    const sizes: number[] = [];
    const { allocate } = backend;
    backend.allocate = (bytes) => {
      sizes.push(bytes);
      return allocate.call(backend, bytes);
    };
    try {
      for (let i = 0; i < 20; i++) step(x, y);
    } finally {
      backend.allocate = allocate;
    }
    assert.deepEqual(
      sizes,
      Array.from({ length: 20 }, () => 4),
    ); // the loss
  });
}

for (const { name, backend } of everyBackend) if (backend !== null) describe(name, () => suite(backend));
