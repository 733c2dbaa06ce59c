// Every module that chainrule/nn exports: compiled is eager, states and copies are whole, modes reach everything; native and WASM.
import assert from 'node:assert/strict';
import { describe, test } from 'node:test';
import * as nn from '../../dist/entries/nn.js';
import { compile, getRandomState, isTensor, manualSeed, noGrad, type Tensor, tensor, withDevice } from '../../dist/index.js';
import { Module } from '../../dist/nn/index.js';
import type { Backend } from '../../dist/program/backend.js';
import { functionalWeights } from '../../dist/testing/compare.js';
import { engines } from '../support/backends.js';
import { type AnyModule, type ModuleRow, moduleRows } from '../support/moduleRows.js';

const names = Object.entries(nn)
  .filter(([, value]) => typeof value === 'function' && ((value as unknown) === Module || value.prototype instanceof Module))
  .map(([name]) => name);

test('every class has a row, and every row a class', () => {
  assert.deepEqual(Object.keys(moduleRows).sort(), [...names].sort());
});

/** Every tensor in a result, in order. */
function tensorsIn(value: unknown): Tensor[] {
  if (isTensor(value)) return [value];
  if (typeof value !== 'object' || value === null) return [];
  return Object.values(value).flatMap(tensorsIn);
}

/** One number that every element of a result moves. */
function lossOf(result: unknown): Tensor {
  const floats = tensorsIn(result).filter((t) => t.requiresGrad);
  const parts = floats.map((t, i) => t.mul(tensor(functionalWeights(t.numel(), i), { shape: t.shape, dtype: 'float32' })).sum());
  return parts.reduce((a, b) => a.add(b));
}

const numbers = (t: Tensor): number[] => [...t.detach().toArray()].map(Number);
const forward = ({ call }: ModuleRow, module: AnyModule, inputs: readonly Tensor[]): unknown =>
  call ? call(module, inputs) : module.forward(...(inputs as readonly never[]));

/** The module and its inputs, from one seed. */
function made(row: ModuleRow): { readonly module: AnyModule; readonly inputs: readonly Tensor[] } {
  manualSeed(7);
  const module = row.make();
  const inputs = row.inputs();
  for (const x of inputs) if (x.dtype === 'float32') x.requiresGrad_();
  return { module, inputs };
}

type Wrap = (run: (...inputs: Tensor[]) => Tensor[]) => (...inputs: Tensor[]) => Tensor[];

/** Results, gradients, state and random numbers after three calls forward and backward. */
function trace(row: ModuleRow, training: boolean, wrap: Wrap): unknown {
  const { module, inputs } = made(row);
  module.train(training);
  const learned = module.parameters().some((p) => p.requiresGrad) || inputs.some((x) => x.requiresGrad);
  const step = wrap((...given) => {
    const result = forward(row, module, given);
    if (learned && tensorsIn(result).some((t) => t.requiresGrad)) lossOf(result).backward();
    return tensorsIn(result).map((t) => t.detach());
  });
  const results = [0, 1, 2].map(() => step(...inputs).map(numbers));
  const gradients = [...inputs, ...module.parameters()].map((t) => t.grad && numbers(t.grad));
  return { results, gradients, state: [...module.stateDict()].map(([name, t]) => [name, numbers(t)]), random: getRandomState() };
}

function evaluated(row: ModuleRow, module: AnyModule, inputs: readonly Tensor[]): number[][] {
  if (row.draws) manualSeed(9);
  return noGrad(() => tensorsIn(forward(row, module, inputs)).map(numbers));
}

function checkCompiled(row: ModuleRow): void {
  for (const training of [true, false]) {
    const eager = trace(row, training, (run) => run);
    assert.deepEqual(trace(row, training, compile), eager, training ? 'training' : 'evaluation');
  }
}

function checkState(row: ModuleRow): void {
  const { module, inputs } = made(row);
  forward(row, module, inputs); // statistics move
  manualSeed(8);
  const other = row.make();
  other.loadStateDict(module.stateDict());
  assert.deepEqual([...other.stateDict().keys()], [...module.stateDict().keys()]);
  assert.deepEqual(evaluated(row, other.eval(), inputs), evaluated(row, module.eval(), inputs));
}

function checkClone(row: ModuleRow): void {
  const { module, inputs } = made(row);
  module.eval();
  const before = evaluated(row, module, inputs);
  const copy = module.clone();
  assert.equal(copy.constructor, module.constructor);
  assert.deepEqual(evaluated(row, copy, inputs), before);
  const own = new Set([...module.parameters(), ...module.modules()]);
  assert.ok(
    [...copy.parameters(), ...copy.modules()].every((x) => !own.has(x)),
    'something is shared',
  );
  noGrad(() => {
    for (const t of copy.stateDict().values()) t.fill_(1);
  });
  assert.deepEqual(evaluated(row, module, inputs), before);
}

function checkModes(row: ModuleRow): void {
  const { module, inputs } = made(row);
  assert.ok(module.modules().every((m) => m.training));
  module.eval();
  assert.ok(module.modules().every((m) => !m.training));
  const random = getRandomState();
  const state = [...module.stateDict().values()].map(numbers);
  assert.deepEqual(evaluated(row, module, inputs), evaluated(row, module, inputs));
  if (!row.draws) assert.deepEqual(getRandomState(), random);
  assert.deepEqual([...module.stateDict().values()].map(numbers), state);
  assert.ok(
    module
      .train()
      .modules()
      .every((m) => m.training),
  );
}

const checks = {
  'compiled forward and backward are the eager ones': checkCompiled,
  'a loaded state gives the same results': checkState,
  'a clone computes the same and shares nothing': checkClone,
  'evaluation is deterministic and changes nothing': checkModes,
} as const;

for (const name of names) {
  const rows = moduleRows[name];
  if (rows === undefined || rows === 'abstract') continue;
  describe(name, () => {
    for (const engine of engines) {
      for (const [what, check] of Object.entries(checks)) {
        test(`${name}: ${what} (${engine.name})`, { skip: !engine.backend && `no ${engine.name}: ${engine.why}` }, () => {
          for (const row of rows) withDevice(engine.backend as Backend, () => check(row));
        });
      }
    }
  });
}
