// What every module can do: state, modes, hooks, containers, sharing, and the errors of loading and constructing.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { LibError, ones, type Tensor, tensor, zeros } from '../../dist/index.js';
import * as nn from '../../dist/nn/index.js';

const values = (x: Tensor): number[] => [...x.detach().reshape([-1]).toArray()].map(Number);

/** The model of fixtures/nn.py. Its fields are declared in another order than PyTorch reports them. */
class Block extends nn.Module {
  readonly scale = new nn.Buffer(ones([1]));
  readonly norm: nn.BatchNorm1d;
  readonly gain: nn.Parameter;
  readonly layers: readonly nn.Linear[];
  constructor(width: number) {
    super();
    this.norm = new nn.BatchNorm1d(width);
    this.gain = new nn.Parameter(ones([width]));
    this.layers = [new nn.Linear(width, width), new nn.Linear(width, width, { bias: false })];
  }
  override forward(x: Tensor): Tensor {
    return this.layers.reduce((h, layer) => layer.forward(h), this.norm.forward(x)).mul(this.gain);
  }
}
class Model extends nn.Module {
  readonly head = new nn.Linear(4, 2);
  readonly token = new nn.Parameter(zeros([1, 4]));
  readonly blocks = new nn.Sequential(new Block(4), new Block(4));
  readonly tied = this.head;
  readonly mask = new nn.Buffer(zeros([2]), { persistent: false });
  override forward(x: Tensor): Tensor {
    return this.tied.forward(this.blocks.forward(x.add(this.token))).add(this.mask);
  }
}

const { model: torch } = JSON.parse(readFileSync(new URL('../../fixtures/nn.json', import.meta.url), 'utf8')) as {
  readonly model: Readonly<Record<'state' | 'parameters' | 'buffers' | 'modules', readonly string[]>>;
};
const names = (entries: Iterable<readonly [string, unknown]>): string[] => Array.from(entries, ([name]) => name);
/** PyTorch keeps a list of layers in a module of its own (ModuleList); here it may be a plain array. */
const withoutLists = torch.modules.filter((name) => !name.endsWith('.layers'));

describe('modules: names and order as in PyTorch', () => {
  const model = new Model();
  test('stateDict', () => assert.deepEqual(names(model.stateDict()), torch.state));
  test('namedParameters', () => assert.deepEqual(names(model.namedParameters()), torch.parameters));
  test('namedBuffers', () => assert.deepEqual(names(model.namedBuffers()), torch.buffers));
  test('namedModules', () => assert.deepEqual(names(model.namedModules()), withoutLists));
  test('prefixes', () => {
    assert.deepEqual(names(new nn.Linear(2, 1).namedParameters('net.0')), ['net.0.weight', 'net.0.bias']);
    assert.deepEqual(names(new nn.Linear(2, 1).stateDict('net')), ['net.weight', 'net.bias']);
  });
  test('ModuleList names its modules by position, as a plain array field does', () => {
    const list = new nn.ModuleList([new nn.Linear(1, 1), new nn.Linear(1, 1, { bias: false })]);
    assert.deepEqual(names(list.stateDict()), ['0.weight', '0.bias', '1.weight']);
    assert.equal([...list].length, 2);
    assert.equal(list[1]?.bias, null);
  });
});

describe('modules: sharing', () => {
  test('a shared parameter is counted once, saved under both names, and gets the gradient of both uses', () => {
    const first = new nn.Linear(3, 3, { bias: false });
    const second = new nn.Linear(3, 3, { bias: false });
    Object.assign(second, { weight: first.weight });
    const model = new nn.Sequential(first, second);
    assert.equal(model.parameters().length, 1);
    assert.deepEqual(names(model.stateDict()), ['0.weight', '1.weight']);
    const x = tensor([[1, 2, 3]]);
    model.forward(x).sum().backward();
    const w = first.weight.detach();
    // d/dW of sum(x Wᵀ Wᵀ): both factors contribute.
    const inner = x.matmul(w.t());
    const expected = ones([3, 1])
      .matmul(inner)
      .add(w.sum({ dim: 0 }).reshape([3, 1]).matmul(x));
    const got = values(first.weight.grad as Tensor);
    for (const [i, v] of values(expected).entries()) assert.ok(Math.abs(v - (got[i] as number)) < 1e-4, `${got} for ${values(expected)}`);
  });
});

describe('modules: modes', () => {
  test('train and eval reach every module inside', () => {
    const model = new Model();
    assert.ok(model.modules().every((m) => m.training));
    assert.equal(model.eval(), model);
    assert.ok(model.modules().every((m) => !m.training));
    model.blocks.train();
    assert.deepEqual([model.training, model.blocks.training, model.blocks[0]?.training, model.head.training], [false, true, true, false]);
    model.train();
    assert.ok(model.modules().every((m) => m.training));
  });

  test('freezing, forgetting gradients, applying a function', () => {
    const model = new Model();
    model
      .forward(ones([3, 4]))
      .sum()
      .backward();
    assert.ok(model.parameters().every((p) => p.grad !== null));
    model.zeroGrad();
    assert.ok(model.parameters().every((p) => p.grad === null));
    model.requiresGrad_(false);
    assert.ok(model.parameters().every((p) => !p.requiresGrad));
    const order: string[] = [];
    new nn.Sequential(new nn.ReLU(), new nn.Sequential(new nn.Tanh())).apply((m) => order.push(m.constructor.name));
    assert.deepEqual(order, ['ReLU', 'Tanh', 'Sequential', 'Sequential']);
  });
});

describe('modules: hooks', () => {
  test('a hook sees inputs and output, may replace the output, and can be removed', () => {
    const layer = new nn.Linear(2, 2);
    const x = ones([1, 2]);
    const plain = values(layer.forward(x));
    const seen: unknown[] = [];
    const removeFirst = layer.registerForwardHook((module, inputs, output) => void seen.push(module, inputs[0], output));
    const removeSecond = layer.registerForwardHook((_, __, output) => (output as Tensor).mul(2));
    const hooked = layer.forward(x);
    assert.equal(seen[0], layer);
    assert.equal(seen[1], x);
    assert.deepEqual(values(seen[2] as Tensor), plain);
    assert.deepEqual(
      values(hooked),
      plain.map((v) => 2 * v),
    );
    assert.deepEqual(names(layer.stateDict()), ['weight', 'bias']);
    removeSecond();
    assert.deepEqual(values(layer.forward(x)), plain);
    removeFirst();
    layer.forward(x);
    assert.equal(seen.length, 6);
    assert.ok(!Object.hasOwn(layer, 'forward'));
  });

  test('hooks fire for modules inside others', () => {
    const model = new nn.Sequential(new nn.Linear(2, 3), new nn.ReLU());
    const shapes: string[] = [];
    for (const m of model.modules())
      m.registerForwardHook((module, _, out) => void shapes.push(`${module.constructor.name} ${(out as Tensor).shape}`));
    model.forward(ones([5, 2]));
    assert.deepEqual(shapes, ['Linear 5,3', 'ReLU 5,3', 'Sequential 5,3']);
  });
});

describe('modules: loading', () => {
  const throwsText = (run: () => unknown, text: string): void =>
    assert.throws(run, (error: unknown) => {
      assert.ok(error instanceof LibError);
      assert.equal(error.message, text);
      return true;
    });

  test('values are copied, also into views that others hold', () => {
    const [a, b] = [new nn.Linear(3, 2), new nn.Linear(3, 2)];
    a.loadStateDict(b.stateDict());
    assert.deepEqual(values(a.weight), values(b.weight));
    assert.notEqual(a.weight, b.weight);
    assert.ok(a.weight.requiresGrad && a.weight.isLeaf);
  });

  test('missing and unexpected names, and nothing is changed', () => {
    const layer = new nn.Linear(1, 1);
    const before = values(layer.weight);
    throwsText(
      () =>
        layer.loadStateDict(
          new Map([
            ['weight', tensor([[9]])],
            ['gain', ones([1])],
          ]),
        ),
      'loadStateDict: names and shapes must match, got missing [bias], unexpected [gain].\n  Hint: pass { strict: false } to load what matches.',
    );
    assert.deepEqual(values(layer.weight), before);
    layer.loadStateDict(
      new Map([
        ['weight', tensor([[9]])],
        ['gain', ones([1])],
      ]),
      { strict: false },
    );
    assert.deepEqual(values(layer.weight), [9]);
  });

  test('wrong shapes, strict or not', () => {
    const layer = new nn.Linear(2, 1, { bias: false });
    for (const strict of [true, false]) {
      throwsText(
        () => layer.loadStateDict(new Map([['weight', ones([2, 2])]]), { strict }),
        'loadStateDict: names and shapes must match, got missing [], unexpected [], wrong shapes [weight: (2, 2) for (1, 2)].',
      );
    }
  });

  test('buffers that are not persistent are neither saved nor asked for', () => {
    const model = new Model();
    assert.ok(!model.stateDict().has('mask'));
    model.loadStateDict(new Model().stateDict());
  });
});

describe('modules: what constructors refuse', () => {
  const cases: readonly (readonly [run: () => unknown, says: string])[] = [
    [() => new nn.Linear(0, 3), 'Linear: inFeatures must be a positive integer, got 0.'],
    [() => new nn.Linear(3, 2.5), 'Linear: outFeatures must be a whole number, got 2.5.'],
    [() => new nn.Conv2d(3, 4, 3, { groups: 2 }), 'Conv2d: groups must divide inChannels and outChannels, got 2 for 3 and 4.'],
    [() => new nn.Conv2d(3, 4, [3]), 'Conv2d: kernelSize must have 2 sizes, got [3].'],
    [() => new nn.Conv1d(3, 4, 0), 'Conv1d: kernelSize must be a positive integer, got 0.'],
    [() => new nn.Dropout(1.5), 'Dropout: p must be a probability in [0, 1], got 1.5.'],
    [() => new nn.GroupNorm(3, 4), 'GroupNorm: numGroups must divide numChannels, got 3 for 4.'],
    [() => new nn.Embedding(4, 2, { paddingIdx: 4 }), 'Embedding: paddingIdx must be a row, got 4 of 4.'],
    [
      () => new nn.BatchNorm1d(2).forward(ones([2, 2, 2, 2])),
      'BatchNorm1d: the input must have 2 or 3 dimensions, got shape (2, 2, 2, 2).',
    ],
    [() => new nn.ModuleList().forward(), 'ModuleList: it holds modules and has no forward, got a call.'],
    [() => new nn.Sequential(3 as unknown as nn.Module), 'Sequential: layers must be a module, got 3.'],
  ];
  for (const [run, says] of cases) test(says, () => assert.throws(run, (error: Error) => error.message.startsWith(says)));
});

test('a model prints as in PyTorch', () => {
  const model = new nn.Sequential(new nn.Linear(2, 3), new nn.ReLU());
  assert.equal(model.toString(), 'Sequential(\n  (0): Linear(inFeatures=2, outFeatures=3, bias=true)\n  (1): ReLU()\n)');
});
