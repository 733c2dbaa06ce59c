// checkpoint(): the same gradients, masks and statistics with less memory, eagerly and compiled.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { autocast, checkpoint, compile, grad, manualSeed, noGrad, Parameter, rand, randn, type Tensor, tensor } from '../../dist/index.js';
import { BatchNorm1d, Dropout, GELU, Linear, type Module, Sequential, Tanh } from '../../dist/nn/index.js';
import { SGD } from '../../dist/optim/index.js';

const says = (phrase: RegExp) => (error: Error) => error.name === 'LibError' && phrase.test(error.message);
type Wrap = (block: Module & { forward(x: Tensor): Tensor }, x: Tensor) => Tensor;
const wraps: Readonly<Record<'plain' | 'checkpointed', Wrap>> = {
  plain: (block, x) => block.forward(x),
  checkpointed: (block, x) => checkpoint((t: Tensor) => block.forward(t), x),
};

const block = (): Sequential =>
  new Sequential(new Linear(8, 8), new BatchNorm1d(8), new GELU(), new Dropout(0.4), new Linear(8, 8), new Tanh());

/** Parameters, statistics and losses after three steps over three blocks. */
function train(wrap: Wrap, compiled: boolean): number[] {
  manualSeed(8);
  const blocks = [block(), block(), block()];
  const optimizer = new SGD(
    blocks.flatMap((b) => [...b.parameters()]),
    { lr: 0.1, momentum: 0.9 },
  );
  const run = (x: Tensor): Tensor => {
    optimizer.zeroGrad();
    const loss = blocks
      .reduce((h, b) => wrap(b, h), x)
      .square()
      .mean();
    loss.backward();
    optimizer.step();
    return loss;
  };
  const step = compiled ? compile(run, { verify: 2 }) : run;
  const losses = Array.from({ length: 3 }, () => step(randn([5, 8])).itemNow());
  return [...losses, ...blocks.flatMap((b) => [...b.stateDict().values()].flatMap((t) => [...t.toArray()])), rand([1]).itemNow()];
}

describe('compile({ memoryBudget })', () => {
  const step = (memoryBudget: number) => {
    manualSeed(2);
    const layers = Array.from({ length: 8 }, () => [new Linear(32, 32), new BatchNorm1d(32)] as const);
    const optimizer = new SGD(
      layers.flatMap((l) => l.flatMap((m) => m.parameters())),
      { lr: 0.1 },
    );
    const f = compile(
      (x: Tensor) => {
        optimizer.zeroGrad();
        const out = layers.reduce((h, [linear, norm]) => h.add(norm.forward(linear.forward(h)).gelu().dropout({ p: 0.2 })), x);
        const loss = out.square().mean();
        loss.backward();
        optimizer.step();
        return loss;
      },
      { memoryBudget },
    );
    const values = [0, 1, 2].map(() => f(randn([512, 32])).itemNow());
    return { values, bytes: f.programs[0]?.arenaBytes ?? 0, steps: f.programs[0]?.steps ?? 0 };
  };

  test('fits by computing values again, with the same bits', () => {
    const free = step(Number.POSITIVE_INFINITY);
    const tight = step(0.75 * free.bytes);
    assert.deepEqual(tight.values, free.values);
    assert.ok(tight.bytes < 0.85 * free.bytes && tight.steps > free.steps, `${tight.bytes} of ${free.bytes}`);
    assert.deepEqual(step(1).values, free.values);
  });

  test('its option is checked', () => {
    assert.throws(() => compile((x: Tensor) => x, { memoryBudget: 0 }), says(/must be a positive number of bytes, got 0/));
  });
});

describe('checkpoint', () => {
  test('dropout masks, running statistics, gradients and streams are those of a plain run, bit for bit', () => {
    assert.deepEqual(train(wraps.checkpointed, false), train(wraps.plain, false));
    assert.deepEqual(train(wraps.checkpointed, true), train(wraps.plain, true));
  });

  test('captured programs hold less', () => {
    const arena = (wrap: Wrap): number => {
      manualSeed(1);
      const blocks = Array.from({ length: 9 }, () => new Sequential(new Linear(64, 64), new Tanh(), new Linear(64, 64), new Tanh()));
      const thirds = [0, 3, 6].map((i) => new Sequential(...blocks.slice(i, i + 3)));
      const f = compile((x: Tensor) =>
        thirds
          .reduce((h, b) => wrap(b, h), x)
          .sum()
          .backward(),
      );
      f(randn([256, 64]));
      return f.programs[0]?.arenaBytes ?? 0;
    };
    const [plain, less] = [arena(wraps.plain), arena(wraps.checkpointed)];
    assert.ok(less < 0.7 * plain, `${less} of ${plain} bytes`);
  });

  test('several arguments and results, plain values, and gradients of what is not an argument', () => {
    const w = new Parameter(randn([3]));
    const f = (x: Tensor, k: number, y: Tensor): readonly [Tensor, Tensor] => [x.mul(w).mul(k), x.add(y).exp()];
    const [x, y] = [randn([3]).requiresGrad_(), randn([3]).requiresGrad_()];
    const value = ([a, b]: readonly [Tensor, Tensor]): Tensor => a.sum().add(b.square().sum());
    const expected = grad(value(f(x.mul(2), 3, y)), [x, y, w]);
    const found = grad(value(checkpoint(f, x.mul(2), 3, y)), [x, y, w]);
    for (const [i, g] of expected.entries()) assert.deepEqual(found[i]?.tolist(), g.tolist());
  });

  test('second derivatives', () => {
    const second = (wrap: (x: Tensor) => Tensor): unknown => {
      const x = tensor([0.3, -0.7], { dtype: 'float64', requiresGrad: true });
      const [g] = grad(wrap(x.mul(1.5)).sum(), [x], { createGraph: true }) as [Tensor];
      return grad(g.square().sum(), [x])[0]?.tolist();
    };
    const f = (x: Tensor): Tensor => x.sin().mul(x.exp());
    assert.deepEqual(
      second((x) => checkpoint(f, x)),
      second(f),
    );
  });

  test('nested, under autocast, and without gradients', () => {
    const layers = [new Linear(4, 4), new Linear(4, 4)] as const;
    const inner = (x: Tensor): Tensor => checkpoint((t: Tensor) => layers[0].forward(t).tanh(), x);
    const run = (f: (x: Tensor) => Tensor): unknown => {
      for (const l of layers) for (const p of l.parameters()) p.grad = null;
      const loss = autocast(() => layers[1].forward(f(tensor([[1, 2, 3, 4]]))).sum());
      loss.backward();
      return layers.flatMap((l) => l.parameters().map((p) => p.grad?.tolist()));
    };
    assert.deepEqual(
      run((x) => checkpoint((t: Tensor) => inner(t).exp(), x)),
      run((x) => layers[0].forward(x).tanh().exp()),
    );
    assert.equal(noGrad(() => checkpoint((t: Tensor) => t.mul(2), randn([2]).requiresGrad_())).node, null);
  });

  test('a tensor of the graph that is no argument is an error', () => {
    const h = randn([2]).requiresGrad_().exp();
    assert.throws(() => checkpoint((x: Tensor) => x.mul(h), randn([2]).requiresGrad_()), says(/must be arguments, got one that exp made/));
  });
});
