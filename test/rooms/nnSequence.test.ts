// Recurrent and attention layers against PyTorch's own (fixtures/sequence.py): state, outputs, gradients twice; eager, compiled, every backend.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import { compile, type DType, grad, isTensor, setDefaultDtype, type Tensor, tensor, withDevice } from '../../dist/index.js';
import * as nn from '../../dist/nn/index.js';
import type { Backend } from '../../dist/program/backend.js';
import { expectClose, tolerances } from '../../dist/testing/compare.js';
import { scaled } from '../../dist/testing/properties.js';
import { everyBackend } from '../support/backends.js';

interface Value {
  readonly shape: readonly number[];
  readonly values: readonly number[];
}
interface Made {
  readonly name: string;
  readonly args: readonly unknown[];
  readonly options: Readonly<Record<string, unknown>>;
}
interface Row extends Made {
  readonly inputs: readonly unknown[];
  readonly call: Readonly<Record<string, unknown>>;
  readonly state: readonly string[];
  readonly outputs: readonly Value[];
  readonly gradients: readonly (Value | null)[];
  /** Of a weighted sum of the gradients. */
  readonly seconds: readonly (Value | null)[];
}
/** An input as fixtures/sequence.py describes it. */
interface Described {
  readonly shape?: readonly number[];
  readonly tuple?: readonly unknown[];
  readonly packed?: readonly number[];
  readonly lengths?: readonly number[];
  readonly options?: nn.PackOptions;
  readonly bool?: readonly (readonly boolean[])[];
  readonly float?: readonly (readonly (number | null)[])[];
}

const { layers } = JSON.parse(readFileSync(new URL('../../fixtures/sequence.json', import.meta.url), 'utf8')) as {
  readonly layers: readonly Row[];
};

type AnyLayer = nn.Module<readonly unknown[], unknown>;
type Constructor = new (...args: readonly unknown[]) => AnyLayer;
const isRecord = (x: unknown): x is Readonly<Record<string, unknown>> => typeof x === 'object' && x !== null && !Array.isArray(x);

function construct({ name, args, options }: Made): AnyLayer {
  const layer = (nn as unknown as Readonly<Record<string, Constructor | undefined>>)[name];
  assert.ok(layer, `chainrule/nn has no ${name}`);
  const plain = (value: unknown): unknown => (isRecord(value) ? construct(value as unknown as Made) : value);
  const settings = Object.fromEntries(Object.entries(options).map(([k, v]) => [k, plain(v)]));
  return new layer(...args.map(plain), ...(Object.keys(options).length > 0 ? [settings] : []));
}

function series(shape: readonly number[], phase: number, dtype: DType, scale = 1): Tensor {
  const size = shape.reduce((n, d) => n * d, 1);
  return tensor(
    Array.from({ length: size }, (_, i) => scale * Math.sin(phase + 1.7 * i)),
    { shape, dtype },
  );
}

/** The shapes of a description's floating inputs, in order. */
function leafShapes(given: unknown): (readonly number[])[] {
  if (!isRecord(given)) return [];
  const { shape, packed, tuple = [] } = given as Described;
  return [...(shape ? [shape] : []), ...(packed ? [packed] : []), ...tuple.flatMap(leafShapes)];
}

function assemble(given: unknown, leaves: readonly Tensor[], next: () => Tensor, dtype: DType): unknown {
  if (given === 'same') return leaves[0];
  if (!isRecord(given)) return given;
  const { shape, tuple, packed, lengths = [], options = {}, bool, float } = given as Described;
  if (shape) return next();
  if (tuple) return tuple.map((g) => assemble(g, leaves, next, dtype));
  if (packed) return nn.packPaddedSequence(next(), lengths, options);
  if (bool) return tensor(bool, { dtype: 'bool' });
  const rows = (float ?? []).map((row) => row.map((v) => v ?? Number.NEGATIVE_INFINITY));
  return tensor(rows, { dtype });
}

function results(value: unknown): Tensor[] {
  if (isTensor(value)) return [value];
  if (value instanceof nn.PackedSequence) return [value.data];
  return Array.isArray(value) ? value.flatMap(results) : [];
}

/** The forward call, and the gradients of its weighted sum by all leaves and parameters. */
function step(row: Row, layer: AnyLayer, dtype: DType, createGraph = false): (leaves: readonly Tensor[]) => (Tensor | null)[] {
  return (leaves) => {
    let at = 0;
    const next = (): Tensor => leaves[at++] as Tensor;
    const inputs = row.inputs.map((given) => assemble(given, leaves, next, dtype));
    const call = Object.fromEntries(Object.entries(row.call).map(([k, v]) => [k, assemble(v, leaves, next, dtype)]));
    const outputs = results(layer.forward(...inputs, ...(Object.keys(call).length > 0 ? [call] : [])));
    const losses = outputs.map((y, k) => y.mul(series(y.shape, 0.9 + k, dtype).add(0.3)).sum());
    const loss = losses.reduce((a, b) => a.add(b));
    return [...outputs, ...grad(loss, [...leaves, ...layer.parameters()], { allowUnused: true, createGraph })];
  };
}

/** Second gradients in float64, by everything that the first are taken by. */
function compareSeconds(row: Row): void {
  setDefaultDtype('float64');
  try {
    const layer = construct(row);
    layer.loadStateDict(new Map(Array.from(layer.namedParameters(), ([name, p], i) => [name, series(p.shape, 5 + i, 'float64', 0.5)])));
    const leaves = leavesOf(row, 'float64');
    const gradients = step(row, layer, 'float64', true)(leaves).slice(row.outputs.length);
    const terms = gradients.flatMap((g, k) => (g?.requiresGrad ? [g.mul(series(g.shape, 2.1 + k, 'float64').add(0.3)).sum()] : []));
    const wanted = [...leaves, ...layer.parameters()];
    const found = grad(
      terms.reduce((a, b) => a.add(b)),
      wanted,
      { allowUnused: true },
    );
    found.forEach((g, k) => {
      const none = new Float64Array(wanted[k]?.size ?? 0);
      expectClose(g?.toArray() ?? none, row.seconds[k]?.values ?? none, tolerances.float64, `second gradient ${k}`);
    });
  } finally {
    setDefaultDtype('float32');
  }
}

const leavesOf = (row: Row, dtype: DType): Tensor[] =>
  [...row.inputs, ...Object.values(row.call)].flatMap(leafShapes).map((s, i) => series(s, i, dtype).requiresGrad_());

function compare(row: Row, dtype: 'float32' | 'float64', compiled: boolean): void {
  setDefaultDtype(dtype);
  try {
    const layer = construct(row);
    assert.deepEqual([...layer.stateDict().keys()], row.state);
    layer.loadStateDict(new Map(Array.from(layer.namedParameters(), ([name, p], i) => [name, series(p.shape, 5 + i, dtype, 0.5)])));
    const leaves = leavesOf(row, dtype);
    const run = compiled ? compile(step(row, layer, dtype)) : step(row, layer, dtype);
    if (compiled) run(leaves);
    const got = run(leaves);
    const want = [...row.outputs, ...row.gradients];
    assert.equal(got.length, want.length);
    const tolerance = dtype === 'float64' ? tolerances.float64 : scaled(tolerances.float32, 32);
    for (const [i, w] of want.entries()) {
      const g = got[i] ?? null;
      const what = i < row.outputs.length ? `output ${i}` : `gradient ${i - row.outputs.length}`;
      if (g !== null && w !== null) assert.deepEqual([...g.shape], w.shape, what);
      const none = new Float64Array(g?.size ?? w?.values.length ?? 0);
      expectClose(g?.toArray() ?? none, w?.values ?? none, tolerance, what);
    }
  } finally {
    setDefaultDtype('float32');
  }
}

const text = (value: unknown): string => JSON.stringify(value)?.replaceAll('"', '') ?? '';

for (const { name, backend, why } of everyBackend) {
  describe(`sequence layers as in PyTorch on ${name}`, { skip: backend === null && `no ${name}: ${why}` }, () => {
    for (const row of layers) {
      test(`${row.name}(${[...row.args, row.options].map(text).join(', ')}) of ${text([row.inputs, row.call])}`, () => {
        withDevice(backend as Backend, () => {
          compare(row, 'float64', false);
          compare(row, 'float32', false);
          compare(row, 'float32', true);
          compareSeconds(row);
        });
      });
    }
  });
}
