// Modules given options out of range: what PyTorch refuses (fixtures/refusals.py), when they are made or called, is refused here with one
// error of the library; what it takes, is taken. In pages for production too: these are checks of the modules themselves.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { type Tensor, tensor } from '../../dist/index.js';
import { refusal } from '../support/refusal.js';

interface Row {
  readonly name: string;
  readonly args: readonly unknown[];
  readonly options: Readonly<Record<string, unknown>>;
  readonly inputs: readonly { readonly shape: readonly number[]; readonly values: readonly number[]; readonly integers: boolean }[];
  /** PyTorch's words, or null where it is content. */
  readonly refuses: string | null;
}
type Layer = new (...args: readonly unknown[]) => { forward(...inputs: readonly Tensor[]): unknown };

const { rows } = JSON.parse(readFileSync(new URL('../../fixtures/refusals.json', import.meta.url), 'utf8')) as {
  readonly rows: readonly Row[];
};
/** The modules themselves, without the check of kinds before them. */
const nn = (await import(new URL('../../dist/entries/nn.js', import.meta.url).href)) as Readonly<Record<string, Layer>>;

/** Where both are right in their own way, by the beginning of the call. */
const otherwise: Readonly<Record<string, string>> = {
  'CrossEntropyLoss({"weight":[0.5,1,2],"labelSmoothing":-1': 'PyTorch checks it for some kinds of targets only',
  'CrossEntropyLoss({"labelSmoothing":-1': 'PyTorch checks it for some kinds of targets only',
  'BatchNorm1d(3, {"momentum":-1': 'a share of statistics is between 0 and 1',
  'BatchNorm1d(3, {"momentum":2': 'a share of statistics is between 0 and 1',
  'InstanceNorm1d(-1, {})': 'PyTorch does not look at the features of a norm without parameters',
  'InstanceNorm1d(1.5, {})': 'PyTorch does not look at the features of a norm without parameters',
  'InstanceNorm1d(50, {})': 'PyTorch does not look at the features of a norm without parameters',
  'InstanceNorm1d(0, {})': 'PyTorch does not look at the features of a norm without parameters',
  'InstanceNorm2d(2, {"affine":true,"trackRunningStats":true,"momentum":-1': 'a share of statistics is between 0 and 1',
  'InstanceNorm2d(2, {"affine":true,"trackRunningStats":true,"momentum":2': 'a share of statistics is between 0 and 1',
  'InstanceNorm3d(2, {"trackRunningStats":true,"eps":-1': 'PyTorch looks at it for batch norms only',
  'InstanceNorm3d(2, {"trackRunningStats":true,"eps":0': 'PyTorch looks at it for batch norms only',
  'Linear(3, 0': 'layers have features',
  'Bilinear(3, 2, 0': 'layers have features',
  'Embedding(7, 0': 'layers have features',
  'EmbeddingBag(7, 0': 'layers have features',
  'LPPool1d(-1': 'a norm has a positive order',
  'LPPool2d(-1': 'a norm has a positive order',
  'LPPool3d(-1': 'a norm has a positive order',
  'LPPool3d(2, 50': 'a window that ceilMode cuts off, as in lpPool1d and lpPool2d of both',
  'AdaptiveAvgPool1d(0': 'a size of the output is at least 1',
  'AdaptiveAvgPool2d([0': 'a size of the output is at least 1',
  'AdaptiveAvgPool3d(0': 'a size of the output is at least 1',
  'AdaptiveMaxPool1d(0': 'a size of the output is at least 1',
  'AdaptiveMaxPool2d([0': 'a size of the output is at least 1',
  'AdaptiveMaxPool3d(0': 'a size of the output is at least 1',
  'FractionalMaxPool2d(2, {"outputSize":0': 'a size of the output is at least 1',
  'FractionalMaxPool3d(2, {"outputSize":0': 'a size of the output is at least 1',
  'MaxUnpool1d(0': 'a window has a size',
  'MaxUnpool2d(0': 'a window has a size',
};

const tensors = new Set(['weight', 'posWeight', 'randomSamples']);

function call({ name, args, options, inputs }: Row): void {
  const given = Object.entries(options).map(([key, v]) => [key.replace('_', ''), v] as const);
  const values = given.map(([key, v]) => [key, tensors.has(key) ? tensor(v as number[]) : v] as const);
  const layer = nn[name] as Layer;
  const module = new layer(...args, ...(values.length > 0 ? [Object.fromEntries(values)] : []));
  module.forward(...inputs.map(({ shape, values, integers }) => tensor(values, { shape, dtype: integers ? 'int32' : 'float64' })));
}

for (const row of rows) {
  const shapes = row.inputs.map(({ shape }) => `(${shape})`).join(', ');
  const what = `${row.name}(${[...row.args, row.options].map((a) => JSON.stringify(a)).join(', ')})`;
  const reason = Object.entries(otherwise).find(([start]) => what.startsWith(start))?.[1];
  const accepted = (row.refuses === null) === (reason === undefined);
  test(`${what} of ${shapes} is ${accepted ? 'fine' : 'refused'}${reason === undefined ? '' : `: ${reason}`}`, () => {
    const said = refusal(() => call(row));
    if (accepted) assert.equal(said, null);
    else assert.ok(said !== null, `PyTorch: ${row.refuses}`);
  });
}
