// Packed sequences, truncated backpropagation, dropout between layers, copies of modules, and the errors of the sequence layers.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import { compile, grad, LibError, manualSeed, noGrad, randn, type Tensor, tensor } from '../../dist/index.js';
import * as nn from '../../dist/nn/index.js';
import { expectTensorsClose, tolerances } from '../../dist/testing/compare.js';

const values = (x: Tensor): number[] => Array.from(x.detach().toArray());
const exact = { rtol: 0, atol: 0 };

describe('packed sequences', () => {
  const x = tensor([
    [1, 2, 3],
    [4, 0, 5],
    [6, 0, 0],
  ]); // (time, batch): lengths 3, 1, 2

  test('rows of a step stand together, longest sequence first', () => {
    const packed = nn.packPaddedSequence(x, [3, 1, 2], { enforceSorted: false });
    assert.deepEqual(packed.batchSizes, [3, 2, 1]);
    assert.deepEqual(packed.sortedIndices, [0, 2, 1]);
    assert.deepEqual(packed.unsortedIndices, [0, 2, 1]);
    assert.deepEqual(values(packed.data), [1, 3, 2, 4, 5, 6]);
  });

  for (const batchFirst of [false, true]) {
    test(`unpacking is the inverse, ${batchFirst ? 'batch' : 'time'} first; gradients go to what was packed`, () => {
      manualSeed(1);
      const lengths = [2, 4, 1];
      const padded = randn(batchFirst ? [3, 4, 2] : [4, 3, 2], { requiresGrad: true });
      const packed = nn.packPaddedSequence(padded, lengths, { batchFirst, enforceSorted: false });
      const [back, found] = nn.padPackedSequence(packed, { batchFirst, paddingValue: 7, totalLength: 5 });
      assert.deepEqual(found, lengths);
      assert.deepEqual([...back.shape], batchFirst ? [3, 5, 2] : [5, 3, 2]);
      const [gradient] = grad(back.sum(), [padded]);
      for (const [b, n] of lengths.entries()) {
        const of = (t: Tensor): Tensor => t.select(batchFirst ? 0 : 1, b);
        expectTensorsClose(of(back).narrow(0, 0, n), of(padded).narrow(0, 0, n), exact, `sequence ${b}`);
        assert.deepEqual(new Set(values(of(back).narrow(0, n, 5 - n))), new Set([7]));
        assert.deepEqual(
          values(of(gradient as Tensor)),
          Array.from({ length: 8 }, (_, i) => Number(i < 2 * n)),
        );
      }
    });
  }

  test('lists of sequences: padding on either side, packing, unpacking', () => {
    const list = [tensor([1, 2, 3]), tensor([4]), tensor([5, 6])];
    assert.deepEqual(nn.padSequence(list, { batchFirst: true, paddingValue: -1 }).tolist(), [
      [1, 2, 3],
      [4, -1, -1],
      [5, 6, -1],
    ]);
    assert.deepEqual(nn.padSequence(list, { paddingSide: 'left', batchFirst: true }).tolist(), [
      [1, 2, 3],
      [0, 0, 4],
      [0, 5, 6],
    ]);
    const back = nn.unpackSequence(nn.packSequence(list, { enforceSorted: false }));
    assert.deepEqual(
      back.map((s) => s.tolist()),
      list.map((s) => s.tolist()),
    );
    const unpadded = nn.unpadSequence(nn.padSequence(list), tensor([3, 1, 2], { dtype: 'int32' }));
    assert.deepEqual(
      unpadded.map((s) => s.tolist()),
      list.map((s) => s.tolist()),
    );
  });

  type States = Tensor | readonly Tensor[];
  interface AnyNet {
    forward(x: Tensor): readonly [Tensor, States];
    forward(x: nn.PackedSequence): readonly [nn.PackedSequence, States];
  }
  for (const Net of [nn.LSTM, nn.GRU, nn.RNN]) {
    test(`${Net.name}: a packed batch gives what each sequence gives alone`, () => {
      manualSeed(2);
      const net = new Net(3, 4, { bidirectional: true, numLayers: 2 }) as unknown as AnyNet;
      const lengths = [2, 5, 3];
      const padded = randn([5, 3, 3]);
      const packed = nn.packPaddedSequence(padded, lengths, { enforceSorted: false });
      const [output, state] = net.forward(packed);
      const [back] = nn.padPackedSequence(output);
      const lastOf = (s: States): readonly Tensor[] => (Array.isArray(s) ? s : [s as Tensor]);
      for (const [b, n] of lengths.entries()) {
        const [alone, own] = net.forward(padded.narrow(1, b, 1).narrow(0, 0, n));
        expectTensorsClose(back.narrow(1, b, 1).narrow(0, 0, n), alone, tolerances.float32, `outputs of ${b}`);
        for (const [i, s] of lastOf(state).entries()) {
          expectTensorsClose(s.narrow(1, b, 1), lastOf(own)[i] as Tensor, tolerances.float32, `state ${i} of ${b}`);
        }
      }
    });
  }
});

describe('truncated backpropagation through time', () => {
  const setUp = (): { readonly net: nn.RNN; readonly x: Tensor; readonly h0: Tensor } => {
    manualSeed(3);
    return { net: new nn.RNN(2, 3), x: randn([6, 1, 2]), h0: randn([1, 1, 3]) };
  };
  const gradients = (net: nn.RNN): number[][] => net.parameters().map((p) => values(p.grad as Tensor));

  test('a window over the whole sequence is the full gradient', () => {
    const { net, x, h0 } = setUp();
    net.forward(x, h0)[0].square().sum().backward();
    const full = gradients(net);
    net.zeroGrad();
    const last = nn.truncatedBackward(
      6,
      h0,
      (start, end, h) => {
        const [y, next] = net.forward(x.narrow(0, start, end - start), h);
        return [y.square().sum(), next];
      },
      { stepSize: 2, window: 6 },
    );
    assert.equal(last.requiresGrad, false);
    for (const [i, g] of gradients(net).entries()) {
      for (const [k, v] of g.entries()) assert.ok(Math.abs(v - (full[i]?.[k] ?? 0)) < 1e-5, `${v} for ${full[i]?.[k]}`);
    }
  });

  test('without a window each stretch stands alone', () => {
    const { net, x, h0 } = setUp();
    const losses: number[] = [];
    const run = (start: number, end: number, h: Tensor): readonly [Tensor, Tensor] => {
      const [y, next] = net.forward(x.narrow(0, start, end - start), h);
      return [y.square().sum(), next];
    };
    nn.truncatedBackward(6, h0, run, { stepSize: 4, afterStretch: (loss) => losses.push(loss.itemNow()) });
    assert.equal(losses.length, 2);
    const truncated = gradients(net);
    net.zeroGrad();
    const [first, h] = run(0, 4, h0);
    first.backward();
    run(4, 6, nn.detachState(h))[0].backward();
    assert.deepEqual(truncated, gradients(net));
  });

  test('compiled: the same gradients, of several tensors of state too', () => {
    manualSeed(4);
    const net = new nn.LSTM(2, 3);
    const [x, h, c] = [randn([6, 2, 2]), randn([1, 2, 3]), randn([1, 2, 3])];
    const step = (x: Tensor, h: Tensor, c: Tensor): readonly Tensor[] => {
      net.zeroGrad();
      const run = (start: number, end: number, state: readonly [Tensor, Tensor]): readonly [Tensor, readonly [Tensor, Tensor]] => {
        const [y, next] = net.forward(x.narrow(0, start, end - start), state);
        return [y.square().sum(), next];
      };
      return nn.truncatedBackward(6, [h, c] as const, run, { stepSize: 2, window: 4 });
    };
    const all = (states: readonly Tensor[]): Tensor[] => [...states, ...net.parameters().map((p) => (p.grad as Tensor).clone())];
    const want = all(step(x, h, c));
    const compiled = compile(step);
    for (const what of ['captured', 'replayed']) {
      all(compiled(x, h, c)).forEach((t, i) => expectTensorsClose(t, want[i] as Tensor, tolerances.float32, `${what} ${i}`));
    }
  });

  test('a state of several tensors is detached whole', () => {
    const h = tensor([1], { requiresGrad: true }).mul(2);
    const [a, [b]] = nn.detachState([h, [h.add(1)]] as const);
    assert.deepEqual([a.requiresGrad, b.requiresGrad, values(a), values(b)], [false, false, [2], [3]]);
  });
});

describe('dropout in sequence layers', () => {
  const x = randn([4, 3, 6]);
  const cases = {
    LSTM: new nn.LSTM(6, 5, { numLayers: 2, dropout: 0.5 }),
    TransformerEncoderLayer: new nn.TransformerEncoderLayer(6, 2, { dimFeedforward: 7, dropout: 0.5 }),
    MultiheadAttention: new nn.MultiheadAttention(6, 2, { dropout: 0.5 }),
  } as const;
  const calls: Readonly<Record<string, (x: Tensor) => Tensor>> = {
    LSTM: (x) => cases.LSTM.forward(x)[0],
    TransformerEncoderLayer: (x) => cases.TransformerEncoderLayer.forward(x),
    MultiheadAttention: (x) => cases.MultiheadAttention.forward(x, x, x)[0],
  };
  for (const [name, layer] of Object.entries(cases)) {
    test(`${name}: drops afresh in training, compiled as well; nothing in evaluation`, () => {
      const call = calls[name] as (x: Tensor) => Tensor;
      const compiled = compile((x: Tensor) => noGrad(() => call(x)));
      const draw = (f: (x: Tensor) => Tensor): number[][] => {
        manualSeed(5);
        return [values(f(x)), values(f(x))];
      };
      const [first, second] = draw(call);
      assert.notDeepEqual(first, second);
      assert.deepEqual(draw(compiled), [first, second]);
      layer.eval();
      assert.deepEqual(draw(call)[0], draw(call)[1]);
      assert.deepEqual(draw(compiled), draw(call));
      layer.train();
    });
  }
});

describe('initial values of sequence layers', () => {
  const range = (x: Tensor): readonly [low: number, high: number] => [Math.min(...values(x)), Math.max(...values(x))];
  const within = (x: Tensor, bound: number): boolean => {
    const [low, high] = range(x);
    return low >= -bound && high <= bound && low < -0.9 * bound && high > 0.9 * bound;
  };
  test('recurrent: uniform within ±1/√hidden, everything', () => {
    manualSeed(11);
    for (const net of [new nn.LSTM(16, 64), new nn.GRUCell(16, 64)]) {
      for (const [name, p] of net.namedParameters()) assert.ok(within(p, 1 / 8), name);
    }
  });
  test('attention: Glorot uniform over all three projections, no bias; the output layer as any linear one', () => {
    manualSeed(12);
    const layer = new nn.MultiheadAttention(32, 4);
    assert.ok(within(layer.inProjWeight as Tensor, Math.sqrt(6 / 128)));
    assert.ok(within(layer.outProj.weight, 1 / Math.sqrt(32)));
    assert.deepEqual(
      [range(layer.inProjBias as Tensor), range(layer.outProj.bias as Tensor)],
      [
        [0, 0],
        [0, 0],
      ],
    );
  });
  test('transformer: Glorot uniform for every matrix', () => {
    manualSeed(13);
    const net = new nn.Transformer({ dModel: 16, nhead: 2, numEncoderLayers: 1, numDecoderLayers: 1, dimFeedforward: 48 });
    for (const [name, p] of net.namedParameters()) {
      if (p.ndim === 2) assert.ok(within(p, Math.sqrt(6 / (p.sizeAt(0) + p.sizeAt(1)))), name);
    }
  });
  test('forget gates open where asked', () => {
    const net = new nn.LSTM(2, 3, { bidirectional: true, numLayers: 2, forgetBias: 1 });
    const cell = new nn.LSTMCell(2, 3, { forgetBias: 1 });
    const sums = ['0', '0Reverse', '1', '1Reverse'].map((s) => [net[`biasIhL${s}`], net[`biasHhL${s}`]]);
    for (const [ih, hh] of [...sums, [cell.biasIh, cell.biasHh]]) {
      assert.deepEqual(values((ih as Tensor).add(hh as Tensor).narrow(0, 3, 3)), [1, 1, 1]);
      assert.notDeepEqual(values(hh as Tensor).slice(0, 3), [0, 0, 0]);
    }
  });
});

describe('copies of modules', () => {
  class Tied extends nn.Module {
    readonly first = new nn.Linear(2, 2);
    readonly layers: readonly nn.Module[] = [new nn.Dropout(0.25), this.first];
    readonly norm = new nn.BatchNorm1d(2);
    override forward(x: Tensor): Tensor {
      return this.norm.forward(this.first.forward(x));
    }
  }
  test('have their own values, the same names, modes and options; what is shared stays shared', () => {
    const model = new Tied();
    model.norm.eval();
    model.first.bias?.requiresGrad_(false);
    const copy = model.clone();
    assert.ok(copy instanceof Tied);
    assert.deepEqual([...copy.stateDict().keys()], [...model.stateDict().keys()]);
    assert.equal(copy.layers[1], copy.first);
    assert.notEqual(copy.first, model.first);
    assert.deepEqual([copy.training, copy.norm.training, copy.first.bias?.requiresGrad], [true, false, false]);
    noGrad(() => copy.first.weight.fill_(3));
    assert.ok(values(model.first.weight).every((v) => v !== 3));
    assert.equal((copy.layers[0] as nn.Dropout).p, 0.25);
  });
});

describe('errors of sequence layers', () => {
  const x = randn([3, 2, 4]);
  const wrong: readonly (readonly [says: string, call: () => unknown])[] = [
    ['LSTM: numLayers must be a positive integer, got 0', () => new nn.LSTM(2, 2, { numLayers: 0 })],
    ['LSTM: forgetBias must come with biases, got 1 and bias = false', () => new nn.LSTM(2, 2, { bias: false, forgetBias: 1 })],
    ['GRU: dropout must be a probability in [0, 1], got 2', () => new nn.GRU(2, 2, { dropout: 2 })],
    ['LSTM: projSize must be an integer from 0 to below hiddenSize, got 4 for 4', () => new nn.LSTM(2, 4, { projSize: 4 })],
    ["RNN: nonlinearity must be 'relu' or 'tanh', got 'gelu'", () => new nn.RNN(2, 2, { nonlinearity: 'gelu' as 'relu' })],
    ['LSTM: the input must have 2 (unbatched) or 3 dimensions, got shape (4,)', () => new nn.LSTM(4, 2).forward(randn([4]))],
    ['LSTM: the input must be (…, 5), got shape (3, 2, 4)', () => new nn.LSTM(5, 2).forward(x)],
    [
      'states must be (layers · directions = 2, batch, hidden), got (1, 2, 2)',
      () => new nn.GRU(4, 2, { bidirectional: true }).forward(x, randn([1, 2, 2])),
    ],
    ['LSTMCell: the input must be (batch, features) or (features,), got (3, 2, 4)', () => new nn.LSTMCell(4, 2).forward(x)],
    ['packPaddedSequence: lengths must fall, got [1, 3]', () => nn.packPaddedSequence(x, [1, 3])],
    ['packPaddedSequence: there must be one length for each sequence, got 3 for 2', () => nn.packPaddedSequence(x, [3, 2, 1])],
    ['packPaddedSequence: lengths must be integers in 1..3, got 4', () => nn.packPaddedSequence(x, [4, 2])],
    [
      'totalLength must be at least the longest, got 2 for 3',
      () => nn.padPackedSequence(nn.packPaddedSequence(x, [3, 2]), { totalLength: 2 }),
    ],
    ['padSequence: there must be at least one sequence, got none', () => nn.padSequence([])],
    ["paddingSide must be 'left' or 'right', got 'up'", () => nn.padSequence([x], { paddingSide: 'up' as 'left' })],
    [
      'truncatedBackward: window must be a multiple of stepSize, got 3 for 2',
      () => nn.truncatedBackward(4, x, (_, __, s) => [s.sum(), s], { stepSize: 2, window: 3 }),
    ],
    ['MultiheadAttention: numHeads must divide embedDim, got 3 for 4', () => new nn.MultiheadAttention(4, 3)],
    [
      'must have 2 (unbatched) or 3 dims and widths 4, 3, 4, got (3, 2, 4), (3, 2, 4), (3, 2, 4)',
      () => new nn.MultiheadAttention(4, 2, { kdim: 3 }).forward(x, x, x),
    ],
    ['isCausal must come with the attnMask that it describes', () => new nn.MultiheadAttention(4, 2).forward(x, x, x, { isCausal: true })],
    [
      "activation must be 'gelu' or 'relu' or a function, got 'elu'",
      () => new nn.TransformerEncoderLayer(4, 2, { activation: 'elu' as 'relu' }),
    ],
    [
      'Transformer: src and tgt must have 2 or 3 dims, one batch size and width 4',
      () =>
        new nn.Transformer({ dModel: 4, nhead: 2, numEncoderLayers: 1, numDecoderLayers: 1, dimFeedforward: 4 }).forward(
          x,
          randn([3, 1, 4]),
        ),
    ],
  ];
  for (const [says, call] of wrong) {
    test(says, () => {
      assert.throws(call, (error) => error instanceof LibError && error.message.includes(says));
    });
  }
});
