// Every row that PyTorch has: values and gradients on our samples equal PyTorch's, in float32 and float64; second gradients in float64.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import type { DType, Tensor } from '../../dist/index.js';
import { isTensor, withDevice } from '../../dist/index.js';
import type { Backend } from '../../dist/program/backend.js';
import { expectClose, tolerances } from '../../dist/testing/compare.js';
import { type PlainCall, torchCalls } from '../../dist/testing/fixtures.js';
import { callOf, sampleGradients, sampleSecondGradients, samplesOf, scaled, termsOf } from '../../dist/testing/properties.js';
import { castFloats } from '../../dist/testing/samples.js';
import type { AnyOp } from '../../dist/testing/table.js';
import { everyBackend, reference } from '../support/backends.js';
import { ops } from '../support/table.js';

type Encoded = { readonly type: string; readonly shape: readonly number[]; readonly data: string } | { readonly plain: unknown };
type Precision = 'float32' | 'float64';
interface Computed {
  readonly values: readonly Encoded[];
  readonly gradients: readonly Slope[];
  /** Gradients of a weighted sum of the gradients, in float64; none where all are zero. */
  readonly seconds?: readonly Slope[];
}
/** 'unknown': PyTorch does not differentiate by this argument. */
type Slope = Encoded | 'unknown' | null;
type Fixture = { readonly row: string; readonly sample: number; readonly inputs: string; readonly error?: string } & Readonly<
  Partial<Record<Precision, Computed>>
>;

const remake = 'run `node scripts/fixtures.mjs --python <a Python with torch>`';
const [, ...lines] = readFileSync(new URL('../../fixtures/torch.jsonl', import.meta.url), 'utf8')
  .trimEnd()
  .split('\n');
const fixtures = new Map(lines.map((line) => JSON.parse(line) as Fixture).map((f) => [`${f.row}/${f.inputs}`, f]));

/** The fixture of a call; fails when the call has changed since fixtures were made, or PyTorch refused it. */
function fixtureOf({ row, sample, inputs }: PlainCall): Fixture {
  const fixture = fixtures.get(`${row}/${inputs}`);
  assert.ok(fixture, `sample ${sample} of ${row} has no fixture, or has changed since it was made: ${remake}`);
  assert.equal(
    fixture.error,
    undefined,
    `PyTorch refused sample ${sample} of ${row}: give the row a torch call that works, or torch: null`,
  );
  return fixture;
}

function decode(encoded: Encoded): { readonly kind: string; readonly shape: readonly number[]; readonly data: ArrayLike<number> } {
  if ('plain' in encoded) return { kind: typeof encoded.plain, shape: [], data: [Number(encoded.plain)] };
  const { buffer, byteOffset, byteLength } = Buffer.from(encoded.data, 'base64');
  const bytes = buffer.slice(byteOffset, byteOffset + byteLength) as ArrayBuffer;
  const data =
    encoded.type === 'float64' ? new Float64Array(bytes) : encoded.type.includes('float') ? new Float32Array(bytes) : new Int32Array(bytes);
  return { kind: encoded.type, shape: encoded.shape, data };
}

/** Tensors and plain values of a result, in order. */
function leavesOf(value: unknown): unknown[] {
  if (isTensor(value) || value === null || typeof value !== 'object') return [value];
  return Object.values(value).flatMap(leavesOf);
}

const kindOf = (dtype: DType): string => (dtype === 'int32' || dtype === 'uint8' ? 'int' : dtype);

function checkValues(op: AnyOp, sample: number, precision: Precision, expected: Computed, tolerance: typeof tolerances.float32): void {
  const args = castFloats(samplesOf(op.row)[sample], precision) as readonly unknown[];
  const results = leavesOf(callOf(op)(...args));
  const what = `${op.row.name} sample ${sample} ${precision}`;
  assert.equal(results.length, expected.values.length, `${what}: PyTorch gives ${expected.values.length} results`);
  for (const [k, result] of results.entries()) {
    const { kind, shape, data } = decode(expected.values[k] as Encoded);
    if (!isTensor(result)) {
      assert.equal(typeof result === 'string' ? result : Number(result), kind === 'string' ? result : data[0], what);
      continue;
    }
    assert.deepEqual([...result.shape], [...shape], `${what}, result ${k}: shapes differ`);
    if (kind !== 'number' && kind !== 'boolean')
      assert.equal(kindOf(result.dtype), kind === 'uint8' ? 'int' : kind, `${what}, result ${k}: types differ`);
    expectClose((result as Tensor).toArray(), data, tolerance, `${what}, result ${k}`);
  }
}

/** No gradient and a gradient of zeros are the same statement. */
function checkGradients(
  gradients: readonly (ArrayLike<number> | null)[],
  expected: readonly Slope[],
  tolerance: typeof tolerances.float32,
  what: string,
): void {
  const count = Math.max(gradients.length, expected.length);
  for (let k = 0; k < count; k++) {
    const theirs = expected[k] ?? null;
    if (theirs === 'unknown') continue;
    const ours = gradients[k] ?? null;
    const data = theirs === null ? new Float64Array(ours?.length ?? 0) : decode(theirs).data;
    expectClose(ours ?? new Float64Array(data.length), data, tolerance, `${what} ${k}`);
  }
}

function check(op: AnyOp, precision: Precision): void {
  const gradients = sampleGradients(op, precision);
  for (const call of torchCalls(op.row)) {
    const expected = fixtureOf(call)[precision] as Computed;
    const terms = termsOf(op, samplesOf(op.row)[call.sample] as readonly unknown[]);
    const tolerance = precision === 'float64' ? tolerances.float64 : scaled(tolerances.float32, terms);
    checkValues(op, call.sample, precision, expected, tolerance);
    checkGradients(
      gradients[call.sample] ?? [],
      expected.gradients,
      tolerance,
      `${op.row.name} sample ${call.sample} ${precision}, gradient`,
    );
  }
}

function checkSeconds(op: AnyOp): void {
  const calls = torchCalls(op.row);
  const fixture = (sample: number): Computed => fixtureOf(calls[sample] as PlainCall).float64 as Computed;
  const seconds = sampleSecondGradients(op, (sample, k) => fixture(sample).gradients[k] !== 'unknown');
  for (const call of calls) {
    const expected = fixture(call.sample);
    checkGradients(
      seconds[call.sample] ?? [],
      expected.seconds as readonly Slope[],
      tolerances.float64,
      `${op.row.name} sample ${call.sample}, second gradient`,
    );
  }
}

const compared = ops.filter(({ row }) => row.torch !== null);

test('most rows are compared with PyTorch', () => {
  assert.ok(compared.length > 0.8 * ops.length, `only ${compared.length} of ${ops.length}`);
});

for (const { name, backend, why } of everyBackend) {
  describe(`PyTorch against ${name}`, { skip: backend === null && `no ${name}: ${why}` }, () => {
    for (const op of compared) {
      for (const precision of ['float32', 'float64'] as const) {
        test(`${op.row.name}: ${name} computes PyTorch's values and gradients in ${precision}`, () => {
          withDevice(backend as Backend, () => check(op, precision));
        });
      }
      if (op.row.differentiable) {
        test(`${op.row.name}: ${name} computes PyTorch's second gradients`, () => withDevice(backend as Backend, () => checkSeconds(op)));
      }
    }
  });
}

test('fixtures hold no calls that no row makes any more', () => {
  const current = new Set(
    withDevice(reference, () => compared.flatMap(({ row }) => torchCalls(row).map((call) => `${call.row}/${call.inputs}`))),
  );
  const old = [...fixtures.keys()].filter((key) => !current.has(key)).map((key) => key.split('/')[0]);
  assert.deepEqual([...new Set(old)], [], `stale fixtures: ${remake}`);
});
