// Hooks of modules and tensors, and the hunt for the first value that is not finite.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { AnomalyError, detectAnomaly, full, Module, manualSeed, randn, type Tensor, tensor } from '../../dist/index.js';
import { Linear, ReLU, Sequential } from '../../dist/nn/index.js';

const list = (t: Tensor | null): number[] => [...(t as Tensor).toArray()];

describe('hooks', () => {
  test('a pre-hook changes inputs, a forward hook the output, in that order; both can be removed', () => {
    const layer = new Linear(2, 1);
    const x = randn([3, 2]);
    const plain = list(layer.forward(x));
    const calls: string[] = [];
    const removers = [
      layer.registerForwardHook((m, [input], y) => {
        calls.push('after');
        assert.equal(m, layer);
        assert.deepEqual(list(input as Tensor), list(x.mul(2)));
        return (y as Tensor).add(1);
      }),
      layer.registerForwardPreHook((_, [input]) => {
        calls.push('before');
        return [(input as Tensor).mul(2)];
      }),
      layer.registerForwardPreHook(() => undefined),
    ];
    const y = list(layer.forward(x));
    assert.deepEqual(calls, ['before', 'after']);
    const expected = list(
      x
        .mul(2)
        .matmul(layer.weight.transpose(0, 1))
        .add(layer.bias as Tensor)
        .add(1),
    );
    for (const [i, v] of y.entries()) assert.ok(Math.abs(v - (expected[i] as number)) < 1e-5);
    for (const remove of removers) remove();
    assert.deepEqual(list(layer.forward(x)), plain);
    assert.ok(!Object.hasOwn(layer, 'forward'));
  });

  test('a full backward hook sees the gradients at both ends of the module, not those of other uses, and may replace them', () => {
    manualSeed(2);
    const layer = new Linear(2, 3);
    const x = randn([4, 2], { requiresGrad: true });
    const seen: (readonly (Tensor | null)[])[] = [];
    const remove = layer.registerFullBackwardHook((m, gradInput, gradOutput) => {
      assert.equal(m, layer);
      seen.push(gradInput, gradOutput);
      return undefined;
    });
    const w = randn([4, 3]);
    const run = (): number[] => {
      x.grad = null;
      layer.forward(x).mul(w).sum().add(x.sum()).backward();
      return list(x.grad);
    };
    const whole = run();
    assert.deepEqual(list(seen[1]?.[0] as Tensor), list(w));
    assert.deepEqual(list(seen[0]?.[0] as Tensor), list(w.matmul(layer.weight.detach())));
    assert.ok(whole.every((g, i) => Math.abs(g - (list(seen[0]?.[0] as Tensor)[i] as number) - 1) < 1e-5));
    remove();
    const off = layer.registerFullBackwardHook((_, [g]) => [(g as Tensor).mul(0)]);
    assert.deepEqual(run(), new Array(8).fill(1));
    off();
    assert.deepEqual(run(), whole);
  });

  test('first layers, whose input needs no gradient, call the hook too; each of several calls has its own', () => {
    const layer = new Linear(2, 2);
    const sizes: number[][] = [];
    layer.registerFullBackwardHook((_, gradInput, [g]) => {
      sizes.push([gradInput.length, (g as Tensor).shape[0] as number]);
      return undefined;
    });
    layer
      .forward(randn([5, 2]))
      .sum()
      .add(layer.forward(randn([7, 2])).sum())
      .backward();
    assert.deepEqual(sizes.sort(), [[0, 5], [0, 7]]); // biome-ignore format: a table
    assert.ok(layer.weight.grad !== null);
  });

  test('several inputs and outputs', () => {
    class Both extends Module<readonly [Tensor, Tensor], [Tensor, Tensor]> {
      override forward(a: Tensor, b: Tensor): [Tensor, Tensor] {
        return [a.mul(b), a.add(b)];
      }
    }
    const both = new Both();
    const [a, b] = [tensor([2], { requiresGrad: true }), tensor([3])];
    let got: number[][] = [];
    both.registerFullBackwardHook((_, gi, go) => {
      got = [gi.map((g) => (g === null ? -1 : g.itemNow())), go.map((g) => (g === null ? -1 : g.itemNow()))];
      return undefined;
    });
    const [product] = both.forward(a, b);
    product.sum().backward();
    assert.deepEqual([got[0]?.[0], got[1]], [3, [1, -1]]);
    assert.deepEqual(list(a.grad), [3]);
  });

  test('gradient hooks of parameters and of results', () => {
    const layer = new Linear(2, 2);
    const remove = layer.weight.registerHook((g) => g.mul(10));
    const y = layer.forward(tensor([[1, 2]]));
    y.registerHook((g) => g.mul(0.5));
    y.sum().backward();
    assert.deepEqual(list(layer.weight.grad), [5, 10, 5, 10]);
    remove();
    layer.weight.grad = null;
    layer
      .forward(tensor([[1, 2]]))
      .sum()
      .backward();
    assert.deepEqual(list(layer.weight.grad), [1, 2, 1, 2]);
  });
});

describe('detectAnomaly', () => {
  class Log extends Module {
    override forward(x: Tensor): Tensor {
      return x.log();
    }
  }
  const caught = (body: () => unknown, options: Parameters<typeof detectAnomaly>[1] = {}): AnomalyError => {
    try {
      detectAnomaly(body, options);
    } catch (error) {
      assert.ok(error instanceof AnomalyError, String(error));
      return error;
    }
    throw new Error('nothing was found');
  };

  test('names the op, the module, shapes and statistics of the first bad value of the forward pass', () => {
    const model = new Sequential(new Linear(2, 3), new Sequential(new ReLU(), new Log()), new Linear(3, 1));
    const error = caught(() => model.forward(full([4, 2], 1)), { model, step: 17 });
    const { op, phase, module, moduleType, found, shape, inputs, step } = error.anomaly;
    const [only] = inputs;
    assert.deepEqual([op, phase, moduleType, found, shape, step], ['log', 'forward', 'Log', 'Infinity', [4, 3], 17]);
    assert.match(module as string, /1\.(layers\.)?1$/);
    assert.equal(only?.min, 0);
    assert.match(
      error.message,
      /values must stay finite, got Infinity from log in module '.*' \(Log\) at step 17: \(4, 3\) of inputs \[float32 \(4, 3\)/,
    );
    assert.ok(!Object.hasOwn(model, 'forward'));
    model.forward(full([4, 2], 1)); // not watched any more
  });

  test('and of the backward pass, with the op and module of the forward pass', () => {
    class Root extends Module {
      override forward(x: Tensor): Tensor {
        return x.sqrt().mul(0); // fine at 0, its gradient is 0 times infinity
      }
    }
    const model = new Sequential(new ReLU(), new Root());
    const x = full([3], 0).requiresGrad_();
    const { anomaly } = caught(() => model.forward(x).sum().backward(), { model });
    assert.deepEqual([anomaly.phase, anomaly.gradientOf, anomaly.moduleType, anomaly.found], ['backward', 'sqrt', 'Root', 'NaN']);
  });

  test('a NaN from outside, an in-place op, NaN alone', () => {
    assert.match(caught(() => tensor([Number.NaN, 1]).add(1)).message, /Hint: a NaN came in from outside/);
    assert.equal(caught(() => tensor([0, 1]).log_()).anomaly.found, 'Infinity');
    assert.equal(caught(() => { const x = tensor([0]).log(); return x.sub(x); }, { infinity: false }).anomaly.op, 'sub'); // biome-ignore format: short
  });

  test('infinities that are asked for pass: masks and their softmax; results and gradients are the same', () => {
    const x = randn([2, 4], { requiresGrad: true });
    const run = (): number[] => {
      x.grad = null;
      const mask = tensor([[true, false, false, true], [false, false, true, false]] as never, { dtype: 'bool' }); // biome-ignore format: a table
      x.maskedFill(mask, Number.NEGATIVE_INFINITY).softmax({ dim: 1 }).square().sum().backward();
      return list(x.grad);
    };
    const plain = run();
    assert.deepEqual(detectAnomaly(run), plain);
    const all = tensor([[true, true, true, true], [false, false, true, false]] as never, { dtype: 'bool' }); // biome-ignore format: a table
    assert.equal(caught(() => x.maskedFill(all, Number.NEGATIVE_INFINITY).softmax({ dim: 1 })).anomaly.found, 'NaN');
  });
});
