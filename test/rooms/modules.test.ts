// Activations, losses and norms as modules against PyTorch's own (fixtures/modules.py): state names and values, outputs and gradients.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { getDefaultDtype, grad, setDefaultDtype, type Tensor, tensor } from '../../dist/index.js';
import * as nn from '../../dist/nn/index.js';
import { expectClose } from '../../dist/testing/compare.js';

interface Value {
  readonly shape: readonly number[];
  readonly values: readonly number[];
}
type State = Readonly<Record<string, Value>>;
interface Run {
  readonly output: Value;
  readonly gradients: readonly Value[];
}
interface Row {
  readonly name: string;
  readonly args: readonly unknown[];
  readonly options: Readonly<Record<string, unknown>>;
  readonly wrap: readonly (readonly [name: 'weightNorm' | 'spectralNorm', options: object])[];
  readonly inputs: readonly (Value & { readonly integers: boolean })[];
  readonly before: State;
  readonly after: State;
  readonly training: Run;
  readonly evaluation: Run;
}
type AnyModule = nn.Module<readonly Tensor[]>;
type Constructor = new (...args: readonly unknown[]) => AnyModule;
type Precision = 'float32' | 'float64';

const { modules } = JSON.parse(readFileSync(new URL('../../fixtures/modules.json', import.meta.url), 'utf8')) as {
  readonly modules: readonly Row[];
};
const tolerances = { float64: { rtol: 1e-7, atol: 1e-7 }, float32: { rtol: 1e-5, atol: 1e-5 } } as const;

const made = ({ shape, values }: Value, dtype: 'int32' | Precision): Tensor => tensor(values, { shape, dtype });

function assertValue(got: Tensor, want: Value, precision: Precision, what: string): void {
  assert.deepEqual([...got.shape], want.shape, `${what}: shape`);
  expectClose(got.detach().toArray(), want.values, tolerances[precision], what);
}

function construct({ name, args, options, wrap }: Row, precision: Precision): AnyModule {
  const layer = (nn as unknown as Readonly<Record<string, Constructor | undefined>>)[name];
  assert.ok(layer, `chainrule/nn has no ${name}`);
  const tensors = new Set(['weight', 'posWeight']);
  const given = Object.entries(options).map(([k, v]) => [k, tensors.has(k) ? tensor(v as number[], { dtype: precision }) : v]);
  const module = new layer(...args, ...(given.length > 0 ? [Object.fromEntries(given)] : []));
  const wrappers = { weightNorm: nn.weightNorm, spectralNorm: nn.spectralNorm } as const;
  return wrap.reduce((m, [how, wrapOptions]) => wrappers[how](m, wrapOptions), module);
}

function assertRun(module: AnyModule, { inputs }: Row, want: Run, precision: Precision, what: string): void {
  const leaves = inputs.map((x) => (x.integers ? made(x, 'int32') : made(x, precision).requiresGrad_()));
  const result = module.forward(...leaves) as Tensor | { readonly output: Tensor };
  const y = 'output' in result ? result.output : result;
  assertValue(y, want.output, precision, `${what} output`);
  const weights = tensor(
    want.output.values.map((_, i) => Math.sin(i * 1.3 + 0.4)),
    { shape: want.output.shape, dtype: precision },
  );
  const wanted = [...leaves.filter((x) => x.requiresGrad), ...module.parameters()];
  const found = grad(y.mul(weights).sum(), wanted, { allowUnused: true });
  for (const [k, g] of found.entries()) {
    const value = want.gradients[k] as Value;
    if (g === null)
      assert.ok(
        value.values.every((v) => v === 0),
        `${what}: gradient ${k} is missing`,
      );
    else assertValue(g, value, precision, `${what} gradient ${k}`);
  }
}

function assertState(module: AnyModule, want: State, precision: Precision, what: string): void {
  const state = module.stateDict();
  assert.deepEqual([...state.keys()], Object.keys(want), `${what}: names`);
  for (const [name, value] of state) assertValue(value, want[name] as Value, precision, `${what} ${name}`);
}

for (const row of modules) {
  for (const precision of ['float64', 'float32'] as const) {
    const call = [...row.args, row.options, ...row.wrap.flat()].map((a) => JSON.stringify(a)).join(', ');
    test(`${row.name}(${call}) of ${row.inputs.map(({ shape }) => `(${shape})`).join(', ')} in ${precision}`, () => {
      const before = getDefaultDtype();
      setDefaultDtype(precision);
      try {
        const module = construct(row, precision);
        module.loadStateDict(
          new Map(Object.entries(row.before).map(([name, value]) => [name, made(value, module.stateDict().get(name)?.dtype as Precision)])),
        );
        assertState(module, row.before, precision, 'before');
        assertRun(module, row, row.training, precision, 'training');
        assertState(module, row.after, precision, 'after');
        module.eval();
        assertRun(module, row, row.evaluation, precision, 'evaluation');
        assertState(module, row.after, precision, 'after evaluation');
      } finally {
        setDefaultDtype(before);
      }
    });
  }
}
