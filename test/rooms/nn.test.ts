// Layers against PyTorch's own (fixtures/nn.py): names and order of state, counts, shapes, values, default initialization.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { manualSeed, type Tensor, tensor } from '../../dist/index.js';
import * as nn from '../../dist/nn/index.js';

interface Value {
  readonly shape: readonly number[];
  readonly values: readonly number[];
}
type State = Readonly<Record<string, Value>>;
interface LayerRow {
  readonly name: string;
  readonly args: readonly unknown[];
  readonly options: object;
  readonly input: readonly number[];
  readonly integers: boolean;
  readonly parameters: number;
  readonly before: State;
  readonly after: State | null;
  readonly training: Value;
  readonly evaluation: Value;
}
interface LossRow {
  readonly name: string;
  readonly options: object;
  readonly input: Value;
  readonly target: Value & { readonly integers: boolean };
  readonly loss: Value;
}
interface Fixture {
  readonly layers: readonly LayerRow[];
  readonly losses: readonly LossRow[];
}

const fixture = JSON.parse(readFileSync(new URL('../../fixtures/nn.json', import.meta.url), 'utf8')) as Fixture;

const series = (size: number): number[] => Array.from({ length: size }, (_, i) => 2 * Math.sin(1.7 * i));
const sizeOf = (shape: readonly number[]): number => shape.reduce((n, d) => n * d, 1);
const fromValue = ({ shape, values }: Value, dtype: 'float32' | 'int32' = 'float32'): Tensor => tensor(values, { dtype }).reshape(shape);

function assertValue(got: Tensor, want: Value, what: string): void {
  assert.deepEqual([...got.shape], want.shape, `${what}: shape`);
  [...got.detach().reshape([-1]).toArray()].forEach((g, i) => {
    const w = want.values[i] as number;
    assert.ok(Math.abs(Number(g) - w) <= 1e-5 + 1e-5 * Math.abs(w), `${what}: element ${i} is ${g}, PyTorch has ${w}`);
  });
}

type AnyLayer = nn.Module<readonly [Tensor, ...Tensor[]]>;
type Constructor = new (...args: readonly unknown[]) => AnyLayer;

/** PyTorch's call in this library's words: positional arguments, then the options if there are any. */
function construct({ name, args, options }: Pick<LayerRow, 'name' | 'args' | 'options'>): AnyLayer {
  const layer = (nn as unknown as Readonly<Record<string, Constructor | undefined>>)[name];
  assert.ok(layer, `chainrule/nn has no ${name}`);
  return new layer(...args, ...(Object.keys(options).length > 0 ? [options] : []));
}

function assertState(layer: AnyLayer, want: State): void {
  for (const [name, value] of layer.stateDict()) assertValue(value, want[name] as Value, name);
}

describe('layers as in PyTorch', () => {
  for (const row of fixture.layers) {
    test(`${row.name}(${[...row.args, row.options].map((a) => JSON.stringify(a)).join(', ')}) of (${row.input.join(', ')})`, () => {
      const layer = construct(row);
      assert.deepEqual([...layer.stateDict().keys()], Object.keys(row.before));
      assert.equal(
        layer.parameters().reduce((n, p) => n + p.size, 0),
        row.parameters,
        'number of parameters',
      );
      layer.loadStateDict(new Map(Object.entries(row.before).map(([name, value]) => [name, fromValue(value)])));
      const values = series(sizeOf(row.input));
      const x = row.integers
        ? tensor(
            values.map((_, i) => (i * 5) % 7),
            { dtype: 'int32' },
          ).reshape(row.input)
        : tensor(values).reshape(row.input);
      assertValue(layer.forward(x), row.training, 'training');
      assertState(layer, row.after ?? row.before);
      layer.eval();
      assertValue(layer.forward(x), row.evaluation, 'evaluation');
      assertState(layer, row.after ?? row.before);
    });
  }

  for (const row of fixture.losses) {
    test(`${row.name}(${JSON.stringify(row.options)})`, () => {
      const target = fromValue(row.target, row.target.integers ? 'int32' : 'float32');
      assertValue(construct({ ...row, args: [] }).forward(fromValue(row.input), target), row.loss, 'loss');
    });
  }
});

/** Values of a tensor with what their distribution has: bounds and spread. */
function spread(x: Tensor): { readonly low: number; readonly high: number; readonly mean: number; readonly std: number } {
  const values = [...x.detach().reshape([-1]).toArray()].map(Number);
  const mean = values.reduce((a, b) => a + b, 0) / values.length;
  const std = Math.sqrt(values.reduce((a, b) => a + (b - mean) ** 2, 0) / values.length);
  return { low: Math.min(...values), high: Math.max(...values), mean, std };
}

function assertUniform(x: Tensor | null, bound: number): void {
  assert.ok(x);
  const { low, high, mean, std } = spread(x);
  assert.ok(low >= -bound && high <= bound, `in ±${bound}, got ${low} to ${high}`);
  assert.ok(low < -0.95 * bound && high > 0.95 * bound, `up to ±${bound}, got ${low} to ${high}`);
  assert.ok(
    Math.abs(mean) < 0.1 * bound && Math.abs(std / (bound / Math.sqrt(3)) - 1) < 0.1,
    `uniform within ±${bound}, got mean ${mean}, std ${std}`,
  );
}

describe('default initialization as in PyTorch', () => {
  test('linear and convolution layers: uniform within ±1/√fanIn, weights and biases', () => {
    manualSeed(3);
    const linear = new nn.Linear(64, 1000);
    assertUniform(linear.weight, 1 / 8);
    assertUniform(linear.bias, 1 / 8);
    const conv = new nn.Conv2d(8, 1000, 3, { groups: 2 });
    assertUniform(conv.weight, 1 / 6);
    assertUniform(conv.bias, 1 / 6);
    // PyTorch counts a transposed convolution's fan-in on the weight (in, out/groups, k, k): out/groups · k · k.
    const up = new nn.ConvTranspose2d(10, 512, 2, { groups: 2 });
    assertUniform(up.weight, 1 / 32);
    assertUniform(up.bias, 1 / 32);
  });

  test('embeddings: standard normal, the padding row zero', () => {
    const { weight } = new nn.Embedding(500, 20, { paddingIdx: 3 });
    assert.deepEqual(spread(weight.select(0, 3)).high, 0);
    const { low, high, mean, std } = spread(weight);
    assert.ok(Math.abs(mean) < 0.05 && Math.abs(std - 1) < 0.05 && low < -3 && high > 3, `mean ${mean}, std ${std}`);
  });

  test('norms: scale 1, shift 0, statistics 0 and 1', () => {
    const norm = new nn.BatchNorm2d(4);
    const values = Object.fromEntries(
      [...norm.stateDict()].map(([name, t]) => [name, [...t.detach().reshape([-1]).toArray()].map(Number)]),
    );
    const [zeros, ones] = [
      [0, 0, 0, 0],
      [1, 1, 1, 1],
    ];
    assert.deepEqual(values, { weight: ones, bias: zeros, runningMean: zeros, runningVar: ones, numBatchesTracked: [0] });
  });

  test('the same seed gives the same weights, another seed others', () => {
    const weights = (seed: number): number[] => {
      manualSeed(seed);
      return [...new nn.Linear(4, 4).weight.detach().reshape([-1]).toArray()].map(Number);
    };
    assert.deepEqual(weights(5), weights(5));
    assert.notDeepEqual(weights(5), weights(6));
  });
});

describe('dropout', () => {
  test('drops a share p in training and scales the rest; passes everything in evaluation', () => {
    manualSeed(1);
    const layer = new nn.Dropout(0.25);
    const x = tensor(series(10_000));
    const got = [...layer.forward(x).toArray()].map(Number);
    const kept = got.filter((v) => v !== 0).length;
    assert.ok(Math.abs(kept / 10_000 - 0.75) < 0.02, `${kept} of 10000 kept`);
    for (const [i, v] of got.entries()) assert.ok(v === 0 || Math.abs(v - (2 * Math.sin(1.7 * i)) / 0.75) < 1e-5);
    layer.eval();
    assert.deepEqual([...layer.forward(x).toArray()], [...x.toArray()]);
  });
});
