// Passes over captured programs: what they drop and join, and that nothing else changes.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { cat, compile, manualSeed, Parameter, randn, stack, type Tensor, tensor } from '../../dist/index.js';
import { Adam, type Optimizer, SGD } from '../../dist/optim/index.js';
import { withDevice } from '../../dist/tensor/device.js';
import { everyBackend } from '../support/backends.js';

const steps = (fn: (x: Tensor) => unknown, x: Tensor, fuse = true): number => {
  const f = compile(fn, { fuse });
  f(x);
  return f.programs[0]?.steps ?? 0;
};

describe('cheap values that are read again far away', () => {
  const [x, scale] = [randn([64, 48]), randn([1, 48])];
  /** A ReLU and, many steps later, its mask; `last` is read with it. */
  const far =
    (last: 'x' | 'another') =>
    (t: Tensor): Tensor[] => {
      const y = t.mul(scale).relu();
      let z = y.cumsum(0);
      for (let i = 0; i < 12; i++) z = z.cumsum(i % 2);
      return [y.cumsum(1), z.mul(y.le(0)).add(last === 'x' ? t : z)];
    };
  const maskReads = (fn: (t: Tensor) => Tensor[]): number => {
    const f = compile(fn);
    f(x);
    return f.replayOf(x)?.steps.find(({ name }) => name === 'le')?.inputs.length ?? 0;
  };

  test('are computed again where their inputs are at hand, with the same bits', () => {
    const bits = (fuse: boolean): unknown => compile(far('x'), { fuse })(x).map((t) => t.toArray());
    assert.deepEqual(bits(true), bits(false));
    assert.deepEqual([maskReads(far('x')), maskReads(far('another'))], [2, 1]);
  });

  test('not where something in between writes over an input', () => {
    const fn = (t: Tensor): Tensor[] => {
      const inside = t.mul(1.5);
      const y = inside.mul(scale).relu();
      let z = y.cumsum(0);
      for (let i = 0; i < 12; i++) z = z.cumsum(i % 2);
      inside.add_(z);
      return [y.cumsum(1), z.mul(y.le(0)).add(inside)];
    };
    const [found, expected] = [true, false].map((fuse) => compile(fn, { fuse })(x).map((t) => t.toArray()));
    assert.deepEqual(found, expected);
  });
});

describe('common subexpressions', () => {
  const x = randn([6, 5]);
  test('equal work is done once', () => {
    const repeated = (t: Tensor): unknown => [t.matmul(t.t()).sum(), t.matmul(t.t()).max()];
    assert.equal(steps(repeated, x), 3);
    assert.equal(steps(repeated, x, false), 4);
    assert.equal(
      steps((t) => [t.cumsum(0).mul(2).sum(), t.cumsum(0).mul(3).sum()], x),
      3,
    );
  });

  test('random numbers, other numbers, and values written over in between are not', () => {
    assert.equal(
      steps((t) => t.add(randn([6, 5])).matmul(randn([5, 2])), x),
      4,
    );
    const f = compile((t: Tensor) => {
      const a = t.cumsum(0).sum();
      t.mul_(2);
      return [a, t.cumsum(0).sum()];
    });
    const [a, b] = f(tensor([1, 2])).map((t) => t.itemNow());
    assert.deepEqual([a, b], [4, 8]);
  });

  test('two arguments may be one tensor, and one may be written', () => {
    const f = compile((s: Tensor, t: Tensor) => {
      const before = s.cumsum(0).sum();
      t.add_(1);
      return before.add(s.cumsum(0).sum());
    });
    const t = tensor([1, 1]);
    assert.equal(f(t, t).itemNow(), 3 + 6);
    assert.equal(f(tensor([1, 1]), tensor([1, 1])).itemNow(), 3 + 3);
  });
});

describe('updates of all parameters in one step', () => {
  const sizes = [[3], [300, 301], [1], [7, 5], [50_000]];
  const makers: Readonly<Record<string, (params: Parameter[]) => Optimizer>> = {
    'sgd with momentum': (params) => new SGD(params, { lr: 0.1, momentum: 0.9, nesterov: true, weightDecay: 0.01 }),
    'adam, two groups': ([first, ...others]) =>
      new Adam([{ params: [first as Parameter], lr: 0.5 }, { params: others }], { lr: 0.1, amsgrad: true }),
  };
  for (const { name: engine, backend } of everyBackend) {
    if (backend === null) continue;
    for (const [name, make] of Object.entries(makers)) {
      test(`${name} on ${engine}: the bits of eager steps`, () => {
        const train = (compiled: boolean): { values: number[]; steps: number } =>
          withDevice(backend, () => {
            manualSeed(4);
            const params = sizes.map((shape) => new Parameter(randn(shape)));
            const optimizer = make(params);
            const fn = (given: Tensor): void => {
              const scale = given.mul(1); // a caller's tensor could be one of the parameters
              for (const p of params) p.grad = p.detach().mul(scale);
              for (const p of params) (p.grad as Tensor).mul_(scale);
              optimizer.step();
            };
            const replay = compile(fn, { fuse: backend.name !== 'reference' });
            const step = compiled ? replay : fn;
            for (let i = 0; i < 3; i++) step(tensor(0.5 + i));
            return { values: params.flatMap((p) => [...p.toArray()]), steps: replay.programs[0]?.steps ?? 0 };
          });
        const [a, b] = [train(true), train(false)];
        assert.deepEqual(a.values, b.values);
        if (backend.name !== 'reference') assert.ok(a.steps < sizes.length, `${a.steps} steps`);
      });
    }
  }
});

describe('values that are only joined are written where they belong', () => {
  const x = randn([4, 6]);
  const w = randn([6, 6]);
  test('products and pointwise results, beside others, in any layout of the join', () => {
    const joins: readonly ((t: Tensor, u: Tensor) => Tensor)[] = [
      (t, u) => cat([t.matmul(u), t.mul(2), t.matmul(u.t())], { dim: 1 }).cumsum(0),
      (t, u) => cat([t.matmul(u).reshape([2, 2, 6]), t.exp().reshape([2, 2, 6])], { dim: 2 }).cumsum(1),
      (t, u) => cat([t, t.matmul(u)]).matmul(u),
      (t, u) => stack([t.exp(), t.matmul(u)], { dim: 2 }).cumsum(0), // every second number: copied
    ];
    for (const { backend } of everyBackend) {
      if (backend === null) continue;
      for (const fn of joins) {
        const [t, u]: readonly Tensor[] = [x.to(backend), w.to(backend)];
        assert.deepEqual(
          [...compile(fn)(t as Tensor, u as Tensor).toArray()],
          [...compile(fn, { fuse: false })(t as Tensor, u as Tensor).toArray()],
        );
      }
    }
    const count = (fn: (t: Tensor) => Tensor): number => steps(fn, x);
    assert.equal(
      count((t) => cat([t.matmul(w), t.matmul(w.t())], { dim: 1 }).cumsum(0)),
      3,
    );
    assert.equal(
      count((t) => cat([t, t.matmul(w)]).cumsum(0)),
      3,
    );
  });

  test('what is read elsewhere, or returned, stays where it is', () => {
    const shared = compile((t: Tensor) => {
      const y = t.matmul(w);
      return [cat([y, t.exp()], { dim: 1 }).cumsum(0), y.cumsum(1)];
    });
    const plain = compile((t: Tensor) => [cat([t.matmul(w), t.exp()], { dim: 1 }).cumsum(0), t.matmul(w).cumsum(1)], { fuse: false });
    assert.deepEqual(
      shared(x).map((y) => [...y.toArray()]),
      plain(x).map((y) => [...y.toArray()]),
    );
  });
});
