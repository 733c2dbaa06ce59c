// chainrule/func: derivatives of functions, and functions mapped over examples, against loops and finite differences.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as f from '../../dist/entries/func.js';
import * as cr from '../../dist/index.js';
import { compile, crossEntropy, manualSeed, mseLoss, noGrad, Parameter, randn, type Tensor, tensor } from '../../dist/index.js';
import { Conv2d, Flatten, GELU, GroupNorm, LayerNorm, Linear, MaxPool2d, type Module, ReLU, Sequential } from '../../dist/nn/index.js';
import { withDevice } from '../../dist/tensor/device.js';
import { expectClose } from '../../dist/testing/compare.js';
import { everyBackend } from '../support/backends.js';

const says = (phrase: RegExp) => (error: Error) => error.name === 'LibError' && phrase.test(error.message);
const close = (a: Tensor, b: Tensor, rtol = 1e-5, atol = 1e-6): void => {
  assert.deepEqual(a.shape, b.shape);
  expectClose(a.detach().toArray(), b.detach().toArray(), { rtol, atol });
};
const f64 = (shape: number[]): Tensor => randn(shape, { dtype: 'float64' });
const rowsOf = (x: Tensor): Tensor[] => Array.from({ length: x.sizeAt(0) }, (_, i) => x.select(0, i));
const byLoop = (fn: (...rows: Tensor[]) => Tensor, ...xs: Tensor[]): Tensor =>
  cr.stack(Array.from({ length: xs[0]?.sizeAt(0) ?? 0 }, (_, i) => fn(...xs.map((x) => x.select(0, i)))));

describe('derivatives', () => {
  test('grad of grad of grad', () => {
    const third = f.grad(f.grad(f.grad((x: Tensor) => x.sin())));
    const x = tensor(0.4, { dtype: 'float64' });
    assert.ok(Math.abs(third(x).itemNow() + Math.cos(0.4)) < 1e-12);
    const [value, slope] = f.valueAndGrad((a: Tensor, b: Tensor) => a.mul(b).sum(), { argnums: 1 })(tensor([2, 3]), tensor([5, 7]));
    assert.deepEqual([value.itemNow(), slope.tolist(), slope.requiresGrad], [31, [2, 3], false]);
  });

  test('Jacobians by both modes, Hessians and their products', () => {
    const w = f64([3, 4]);
    const fn = (x: Tensor): Tensor => w.matmul(x).tanh().mul(x.sum());
    const x = f64([4]);
    const [r, c] = [f.jacrev(fn)(x), f.jacfwd(fn)(x)];
    assert.deepEqual(r.shape, [3, 4]);
    close(r, c, 1e-10, 1e-12);
    close(f.jacobian(fn)(x), r, 1e-10, 1e-12);
    const scalar = (t: Tensor): Tensor => fn(t).square().sum();
    const h = f.hessian(scalar)(x);
    close(h, h.t(), 1e-8, 1e-8);
    close(h, f.jacrev(f.grad(scalar))(x.clone().requiresGrad_()).detach(), 1e-8, 1e-8);
    const v = f64([4]);
    close(f.hvp(scalar, x, v)[1], h.matmul(v), 1e-8, 1e-8);
  });

  test('several arguments, containers and what else a function gives', () => {
    const [a, b] = [f64([3]), f64([3])];
    const [da, db] = f.grad((x: Tensor, y: Tensor) => x.square().mul(y).sum(), { argnums: [0, -1] })(a, b);
    close(da, a.mul(b).mul(2), 1e-12);
    close(db, a.square(), 1e-12);
    // f((2,), { w: (2, 2) }) gives { y: (2,), all: [] }.
    const net = (x: Tensor, p: { readonly w: Tensor }) => ({ y: p.w.matmul(x).tanh(), all: [p.w.square().sum()] as const });
    const [x, p] = [f64([2]), { w: f64([2, 2]) }];
    const [back, fore] = [f.jacrev(net, { argnums: [0, 1] })(x, p), f.jacfwd(net, { argnums: [0, 1] })(x, p)];
    assert.deepEqual([back.y[1].w.shape, back.all[0][0].shape], [[2, 2, 2], [2]]);
    for (const [r, c] of [
      [back.y[0], fore.y[0]],
      [back.y[1].w, fore.y[1].w],
      [back.all[0][0], fore.all[0][0]],
      [back.all[0][1].w, fore.all[0][1].w],
    ] as const)
      close(r, c, 1e-10, 1e-12);
    close(back.all[0][1].w, p.w.mul(2), 1e-12);
    // vᵀ(J u) both ways: jvp and vjp through containers.
    const [v, u, n] = [{ y: f64([2]), all: [f64([])] as const }, f64([2]), { w: f64([2, 2]) }];
    const [, t] = f.jvp(net, [x, p], [u, n]);
    const [value, pull] = f.vjp(net, x, p);
    const [gx, gp] = pull(v);
    close(value.y, net(x, p).y, 1e-12);
    close(v.y.mul(t.y).sum().add(v.all[0].mul(t.all[0])), gx.mul(u).sum().add(gp.w.mul(n.w).sum()), 1e-10);
    const [only] = f.jvp(net, [x, p], [null, n]).slice(1) as [typeof t];
    close(only.all[0], p.w.mul(n.w).sum().mul(2), 1e-10);
    const blocks = f.hessian((q: { readonly w: Tensor }, z: Tensor) => net(z, q).y.sum(), { argnums: [0, 1] })(p, x);
    close(blocks[0].w[1], blocks[1][0].w.permute([1, 2, 0]), 1e-8, 1e-10);
    const scored = (z: Tensor): readonly [Tensor, string] => [z.square().sum(), 'said'];
    assert.equal(f.grad(scored, { hasAux: true })(x)[1], 'said');
    const [g, [loss, word]] = f.gradAndValue(scored, { hasAux: true })(x);
    close(g, x.mul(2), 1e-12);
    assert.deepEqual([loss.ndim, word], [0, 'said']);
    close(f.jacrev(scored, { hasAux: true })(x)[0], f.jacfwd(scored, { hasAux: true })(x)[0], 1e-12);
  });

  test('errors', () => {
    assert.throws(() => f.jacrev((x: Tensor) => x, { argnums: [0, 0] })(randn([2])), says(/positions that differ/));
    assert.throws(() => f.grad((x: Tensor) => x.sum(), { hasAux: true })(randn([2])), says(/must give \[result, anything else\]/));
    assert.throws(() => f.jvp((x: Tensor) => x, [randn([2])], [randn([3])]), says(/its input's shape, got \(3,\) for \(2,\)/));
    assert.throws(() => f.vjp((x: Tensor) => [x, x], randn([2]))[1]([randn([2])]), says(/a tensor for each of the value's, got 1 for 2/));
    assert.throws(() => f.grad((x: Tensor) => x)(randn([2])), says(/must give one number/));
    assert.throws(() => f.grad((x: Tensor) => x.sum(), { argnums: 1 })(randn([2])), says(/argument 1 must be a tensor or hold some/));
  });
});

describe('vmap', () => {
  let w: Tensor;
  const cases: Readonly<Record<string, (x: Tensor, y: Tensor) => Tensor>> = {
    pointwise: (x, y) => x.mul(y).add(w).sigmoid().clamp({ min: 0.3 }),
    'broadcast of lower rank': (x, y) => x.add(y.select(0, 1)).mul(y.select(1, 0).sum()),
    reductions: (x, y) =>
      x
        .sum({ dim: 0 })
        .add(y.amax({ dim: 1 }))
        .add(x.argmax({ dim: 1 })),
    products: (x, y) => x.matmul(w).matmul(y).add(w.matmul(x)).add(cr.linear(y, w)),
    'matrix times vector': (x, y) => x.mv(y.select(0, 0)),
    views: (x, y) =>
      x
        .t()
        .narrow(0, 1, 2)
        .add(y.reshape([2, 8]).select(0, 1).reshape([2, 4])),
    joins: (x, y) => cr.cat([x, y, w], { dim: 1 }).add(cr.stack([x.select(0, 0), y.select(0, 1)]).sum()),
    pads: (x, y) =>
      cr
        .pad(x, [1, 2], { value: 3 })
        .sum({ dim: 1 })
        .add(y.flip([0]).sum({ dim: 1 })),
    gather: (x, y) => x.gather(1, y.argsort({ dim: 1 })).add(x.indexSelect(0, tensor(Int32Array.of(3, 0, 1, 1)))),
    scatter: (x, y) => x.scatterAdd(0, y.argsort({ dim: 0 }), y),
    scans: (x, y) => x.cumsum(0).add(y.cumsum(1)).add(x.cummax(1).values),
    sorts: (x, y) => x.sort({ dim: 0 }).values.add(y.topk(4).values),
    softmax: (x, y) => x.softmax().add(cr.layerNorm(y, [4])),
    'in place': (x, y) => x.clone().mul_(2).add_(y),
    types: (x, y) => x.gt(y).to('float32').add(x.to('float64').to('float32')),
    where: (x, y) => cr.where(x.gt(0), y, w),
    attention: (x, y) => cr.scaledDotProductAttention(x, y, w, { isCausal: true }),
    convolution: (x, y) => cr.conv2d(x.reshape([1, 1, 4, 4]), y.reshape([4, 1, 2, 2])),
    'shared weights': (x, y) => cr.conv1d(x.unsqueeze(0), w.unsqueeze(2), { padding: 1 }).add(y.sum()),
    pooling: (x, y) => cr.maxPool2d(x.unsqueeze(0), 2).add(cr.avgPool2d(y.unsqueeze(0), 2)),
    nested: (x, y) => cr.vmap((a: Tensor, b: Tensor) => a.mul(b).sum().add(w.sum()))(x, y),
  };
  for (const { name: engine, backend } of everyBackend) {
    if (backend === null) continue;
    test(`equals a loop on ${engine}`, () => {
      withDevice(backend, () => {
        w = randn([4, 4]);
        for (const [name, fn] of Object.entries(cases)) {
          const [x, y] = [randn([3, 4, 4]), randn([3, 4, 4])];
          try {
            close(cr.vmap(fn)(x, y), byLoop(fn as (...rows: Tensor[]) => Tensor, x, y));
          } catch (error) {
            throw new Error(`${name}: ${(error as Error).message}`, { cause: error });
          }
        }
      });
    });
  }

  test('dims of arguments and results', () => {
    const [x, y] = [randn([2, 5, 3]), randn([3])];
    const fn = (a: Tensor, b: Tensor): Tensor => a.mul(b).sum({ dim: 0 });
    const mapped = cr.vmap(fn, { inDims: [1, null], outDims: 1 })(x, y);
    assert.deepEqual(mapped.shape, [3, 5]);
    close(mapped, byLoop((a) => fn(a, y), x.transpose(0, 1)).t());
    assert.deepEqual(cr.vmap((a: Tensor) => [a, y] as const)(x)[1].shape, [2, 3]);
  });

  test('random numbers: none without a word, one for all, or each its own', () => {
    const noisy = (x: Tensor): Tensor => x.add(randn([6]));
    const x = cr.zeros([4, 6]);
    assert.throws(() => cr.vmap(noisy)(x), says(/must be told what examples get/));
    const same = rowsOf(cr.vmap(noisy, { randomness: 'same' })(x)).map((r) => String(r.tolist()));
    assert.equal(new Set(same).size, 1);
    manualSeed(5);
    const different = cr.vmap(noisy, { randomness: 'different' })(x).reshape([24]).tolist();
    const next = randn([1]).itemNow();
    assert.equal(new Set(different as number[]).size, 24);
    assert.ok(!(different as number[]).includes(next));
  });

  const cnn = (): Sequential =>
    new Sequential(
      ...[new Conv2d(1, 4, 3, { padding: 1 }), new GroupNorm(2, 4), new ReLU(), new MaxPool2d(2)],
      ...[new Conv2d(4, 6, 3), new ReLU(), new Flatten(), new Linear(6, 3)],
    );
  const mlp = (): Sequential => new Sequential(new Linear(36, 8), new LayerNorm(8), new GELU(), new Linear(8, 3));
  const nets: Readonly<Record<string, readonly [() => Module & { forward(x: Tensor): Tensor }, number[]]>> = {
    MLP: [mlp, [36]],
    CNN: [cnn, [1, 6, 6]],
  };
  for (const [name, [make, shape]] of Object.entries(nets)) {
    test(`gradients per example of an ${name}, eagerly and compiled`, () => {
      const model = make();
      const params = [...model.namedParameters()];
      const [x, y] = [randn([5, ...shape]), tensor(Int32Array.of(0, 1, 2, 1, 0))];
      const loss = (p: readonly Tensor[], a: Tensor, b: Tensor): Tensor => {
        const named = new Map(params.map(([key], i) => [key, p[i] as Tensor]));
        return crossEntropy(f.functionalCall(model, named, a.unsqueeze(0)), b.reshape([1]));
      };
      const gradients = (a: Tensor, b: Tensor): readonly Tensor[] => {
        const leaves = params.map(([, p]) => p.detach().requiresGrad_());
        return cr.grad(loss(leaves, a, b), leaves);
      };
      const perExample = cr.vmap(gradients);
      const found = perExample(x, y);
      const compiled = compile(perExample)(x, y);
      params.forEach((_, i) => {
        close(
          found[i] as Tensor,
          byLoop((a, b) => gradients(a, b)[i] as Tensor, x, y),
          1e-4,
          1e-6,
        );
        close(compiled[i] as Tensor, found[i] as Tensor, 1e-5, 1e-6);
      });
    });
  }

  test('gradients go through: of arguments, shared arguments and parameters', () => {
    const weight = new Parameter(randn([4, 2]));
    const [x, y] = [randn([3, 4]).requiresGrad_(), randn([2]).requiresGrad_()];
    const fn = (a: Tensor, b: Tensor): Tensor => a.matmul(weight).add(b).tanh();
    const mapped = cr.vmap(fn, { inDims: [0, null] })(x.mul(2), y);
    const plain = x.mul(2).matmul(weight).add(y).tanh();
    const seed = randn([3, 2]);
    const [g, h] = [mapped, plain].map((z) => cr.grad(z.mul(seed).sum(), [x, y, weight]));
    g?.forEach((t, i) => void close(t, h?.[i] as Tensor));
    const second = (z: Tensor): Tensor => {
      const [dx] = cr.grad(z.square().sum(), [x], { createGraph: true }) as [Tensor];
      return cr.grad(dx.square().sum(), [weight])[0] as Tensor;
    };
    close(second(cr.vmap((a: Tensor) => a.matmul(weight).tanh())(x)), second(x.matmul(weight).tanh()), 1e-4, 1e-5);
  });

  test('a step of meta-learning: gradients through an inner step', () => {
    const model = new Linear(2, 1);
    const [x, y] = [randn([6, 2]), randn([6, 1])];
    const names = [...model.namedParameters()].map(([key]) => key);
    const inner = (p: readonly Tensor[]): Tensor =>
      mseLoss(f.functionalCall(model, new Map(names.map((key, i) => [key, p[i] as Tensor])), x), y);
    const outer = (): Tensor => {
      const weights = model.parameters() as Tensor[];
      const gradients = cr.grad(inner(weights), weights, { createGraph: true });
      return inner(weights.map((p, i) => p.sub((gradients[i] as Tensor).mul(0.1))));
    };
    outer().backward();
    const analytic = (model.weight.grad as Tensor).toArray()[0] as number;
    const at = (step: number): number => {
      noGrad(() => model.weight.narrow(1, 0, 1).add_(step));
      const value = outer().itemNow();
      noGrad(() => model.weight.narrow(1, 0, 1).sub_(step));
      return value;
    };
    assert.ok(Math.abs((at(1e-2) - at(-1e-2)) / 2e-2 - analytic) < 2e-3 * Math.max(1, Math.abs(analytic)));
  });

  test('errors', () => {
    assert.throws(() => cr.vmap((x: Tensor) => tensor(x.itemNow()))(randn([2])), says(/one example is not known inside vmap/));
    assert.throws(() => cr.vmap((a: Tensor, b: Tensor) => a.add(b))(randn([2]), randn([3])), says(/must have one size, got 2, 3/));
    assert.throws(() => cr.vmap((a: Tensor) => a, { inDims: 3 })(randn([2])), says(/inDims must be dims/));
    assert.throws(() => cr.vmap((a: Tensor) => a, { inDims: null })(randn([2])), says(/at least one tensor/));
    const shared = cr.zeros([2]);
    assert.throws(() => cr.vmap((a: Tensor) => shared.add_(a))(randn([3, 2])), says(/into a tensor that all share/));
    assert.throws(
      () => f.functionalCall(new Linear(2, 2), new Map([['wieght', randn([2, 2])]]), randn([1, 2])),
      says(/did you mean 'weight'/),
    );
  });
});
