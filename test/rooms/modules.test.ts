// Layers, losses and norms as modules against PyTorch's own (fixtures/modules.py): state names and values, outputs, gradients and
// second gradients.
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
  /** Of the weighted gradients; null where all are zero, or PyTorch has no rule for any. */
  readonly seconds: readonly (Value | null)[] | null;
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
  const tensors = new Set(['weight', 'posWeight', 'randomSamples']);
  const given = Object.entries(options)
    .map(([k, v]) => [k.replace('_', ''), v] as const)
    .map(([k, v]) => [k, tensors.has(k) ? tensor(v as number[], { dtype: precision }) : v]);
  const module = new layer(...args, ...(given.length > 0 ? [Object.fromEntries(given)] : []));
  const wrappers = { weightNorm: nn.weightNorm, spectralNorm: nn.spectralNorm, orthogonal: nn.orthogonal } as const;
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
  if (wanted.length === 0) return;
  const found = grad(y.mul(weights).sum(), wanted, { allowUnused: true, createGraph: precision === 'float64' });
  for (const [k, g] of found.entries()) {
    const value = want.gradients[k] as Value;
    if (g === null)
      assert.ok(
        value.values.every((v) => v === 0),
        `${what}: gradient ${k} is missing`,
      );
    else assertValue(g, value, precision, `${what} gradient ${k}`);
  }
  if (precision === 'float64' && want.seconds !== null) assertSeconds(found, wanted, want.seconds, what);
}

function assertSeconds(gradients: readonly (Tensor | null)[], by: readonly Tensor[], want: readonly (Value | null)[], what: string): void {
  const terms = gradients.map((g, k) => {
    if (!g?.requiresGrad) return null;
    const weights = Array.from({ length: g.size }, (_, i) => Math.cos(i * 1.1 + k));
    return g.mul(tensor(weights, { shape: g.shape, dtype: g.dtype })).sum();
  });
  const sum = terms.filter((t) => t !== null).reduce<Tensor | null>((a, b) => (a === null ? b : a.add(b)), null);
  const found = sum === null ? by.map(() => null) : grad(sum, by, { allowUnused: true });
  found.forEach((g, k) => {
    const values = want[k]?.values ?? new Float64Array(by[k]?.size ?? 0);
    expectClose(g?.toArray() ?? new Float64Array(values.length), values, tolerances.float64, `${what} second gradient ${k}`);
  });
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

test('every module that PyTorch has under the same name is compared with it', () => {
  const read = (file: string): Readonly<Record<string, unknown>> =>
    JSON.parse(readFileSync(new URL(`../../fixtures/${file}.json`, import.meta.url), 'utf8'));
  const rows = [read('modules').modules, read('sequence').layers, read('nn').layers, read('nn').losses].flat();
  const compared = new Set(rows.map((row) => (row as Row).name));
  // Containers hold names and order, which fixtures/nn.py compares in a model of its own; the rest are bases of others.
  const others = new Set(['Module', 'Sequential', 'ModuleList', 'ModuleDict', 'ParameterList', 'ParameterDict', 'Parameter', 'Buffer']);
  const theirs = (read('modules').names as readonly string[]).filter((name) => name in nn && !others.has(name));
  assert.ok(theirs.length > 110, `only ${theirs.length} names in common`);
  assert.deepEqual(
    theirs.filter((name) => !compared.has(name)),
    [],
    'give these a row in fixtures/modules.py',
  );
});
