// Compiled equals eager, bit by bit, over the whole table and on every backend: values, gradients, writes in place; fused too.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import { cached } from '../../dist/core/cache.js';
import { compile, grad, LibError, manualSeed, noGrad, type Tensor, type TensorData, tensor } from '../../dist/index.js';
import type { Backend } from '../../dist/program/backend.js';
import { withDevice } from '../../dist/tensor/device.js';
import { expectClose, functionalWeights } from '../../dist/testing/compare.js';
import { mapTensors, seededRandom, tensorsIn } from '../../dist/testing/samples.js';
import type { AnyOp } from '../../dist/testing/table.js';
import { everyBackend, reference } from '../support/backends.js';
import { ops, readsValues } from '../support/table.js';

type Call = (...args: readonly unknown[]) => unknown;

const isFloat = ({ dtype }: Tensor): boolean => ['float32', 'float64', 'float16', 'bfloat16'].includes(dtype);

/** Draws of the row's samples: the first is captured, the others replayed. */
const seeds = [7, 7, 8];

/** Results and, where there are any, gradients of a weighted sum of all of them by every input. */
function withGradients(call: Call): Call {
  return (...args) => {
    const results = call(...args);
    const leaves = tensorsIn(args).filter((t) => t.requiresGrad);
    const losses = tensorsIn(results).flatMap((y, k) => {
      if (!y.requiresGrad || !isFloat(y)) return [];
      const weights = tensor(functionalWeights(y.size, k), { shape: y.shape, dtype: y.dtype, device: y.device });
      return [y.mul(weights).sum().to('float64')];
    });
    if (losses.length === 0) return [results];
    const total = losses.reduce((a, b) => a.add(b));
    return [results, ...grad(total, leaves, { allowUnused: true })];
  };
}

const asLeaves = (args: readonly unknown[]): readonly unknown[] =>
  mapTensors(args, (t) => (isFloat(t) ? t.clone().requiresGrad_() : t.clone())) as readonly unknown[];

interface Outcome {
  /** Tensors' values, and everything else as text. */
  readonly values: readonly TensorData[];
  readonly rest: string;
  readonly captureError: boolean;
}

function outcome(call: Call, args: readonly unknown[]): Outcome {
  manualSeed(17);
  const values: TensorData[] = [];
  const show = (t: Tensor): string => {
    values.push(t.toArray());
    return `${t.dtype} (${t.shape})`;
  };
  const text = (_: string, v: unknown): unknown => (typeof v === 'number' ? String(v) : v);
  try {
    return { rest: JSON.stringify(mapTensors(call(...args), show), text), values, captureError: false };
  } catch (error) {
    if (!(error instanceof LibError)) throw error;
    return { values, rest: error.message, captureError: error.code === 'capture' };
  }
}

type Compare = (actual: TensorData, expected: TensorData, what: string) => void;
const sameBits: Compare = (actual, expected, what) => assert.deepStrictEqual(actual, expected, what);
const close: Compare = (actual, expected, what) => expectClose(actual, expected, { rtol: 1e-6, atol: 1e-6 }, what);

interface Way {
  readonly name: string;
  readonly fuse: boolean;
  readonly compare: Compare;
}

type Prepare = (args: readonly unknown[]) => readonly unknown[];

/** Compares each sample's first capture and its replays with eager calls. Gives whether the op was refused. */
function agrees(op: AnyOp, call: Call, prepare: Prepare, ways: readonly Way[]): boolean {
  const rounds = seeds.map((seed) => [...op.row.samples(seededRandom(seed))] as (readonly unknown[])[]);
  const eager = new Map<string, Outcome>();
  let refused = false;
  for (const { name, fuse, compare } of ways) {
    (rounds[0] ?? []).forEach((_, i) => {
      const compiled = compile(call, { fuse });
      rounds.forEach((round, k) => {
        const args = round[i];
        if (args === undefined) return;
        const what = `${name} ${op.row.name}, sample ${i}, call ${k}`;
        const actual = outcome(compiled, prepare(args));
        refused ||= actual.captureError;
        if (actual.captureError) {
          assert.ok(actual.rest.startsWith(`${op.row.name}: values must be there to be read, got a tensor`), actual.rest);
          return;
        }
        const expected = cached(eager, `${seeds[k]} ${i}`, () => outcome(call, prepare(args)));
        assert.equal(actual.rest, expected.rest, what);
        expected.values.forEach((e, n) => compare(actual.values[n] as TensorData, e, `${what}, tensor ${n}`));
        if (k === 1) assert.ok(compiled.programs.length <= 1, `${what}: equal calls were captured twice`);
      });
    });
  }
  return refused;
}

const cloned = (args: readonly unknown[]): readonly unknown[] => mapTensors(args, (t) => t.clone()) as readonly unknown[];

function checkBackend(name: string, backend: Backend): void {
  // The reference computes in float64: there, a value that skips memory skips a rounding.
  const ways: readonly Way[] = [
    { name: 'compiled', fuse: false, compare: sameBits },
    { name: 'fused', fuse: true, compare: backend === reference ? close : sameBits },
  ];
  const refused = new Set<string>();
  for (const op of ops) {
    test(`${op.row.name}: compiled, and fused, equals eager on ${name}`, () => {
      withDevice(backend, () => {
        const call: Call = (...args) => (op as unknown as Call)(...(op.row.prepare?.(...args) ?? args));
        if (agrees(op, withGradients(call), asLeaves, ways)) refused.add(op.row.name);
        if (!('inPlace' in op)) return;
        const inPlace = (op as unknown as { readonly inPlace: Call }).inPlace;
        agrees(op, (...args) => noGrad(() => [inPlace(...args), args[0]]), cloned, ways);
      });
    });
  }
  test(`only ops that read values are refused while capturing on ${name}`, () => {
    assert.deepEqual([...refused].sort(), readsValues);
  });
}

for (const { name, backend } of everyBackend) if (backend !== null) checkBackend(name, backend);
