// Functions given an argument or option out of range: what PyTorch refuses (scripts/ranges.mjs) is refused here with one error of the
// library; what it takes, is taken.
import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { test } from 'node:test';
import { snakeCase } from '../../dist/core/names.js';
import { withDevice } from '../../dist/index.js';
import { samplesOf } from '../../dist/testing/properties.js';
import { castFloats } from '../../dist/testing/samples.js';
import { type VariedCall, variedCalls } from '../../dist/testing/variants.js';
import { reference } from '../support/backends.js';
import { otherwise } from '../support/otherRanges.js';
import { refusal } from '../support/refusal.js';
import { publicOps } from '../support/table.js';

const { rows } = JSON.parse(readFileSync(new URL('../../fixtures/ranges.json', import.meta.url), 'utf8')) as {
  readonly rows: Readonly<Record<string, string>>;
};

type Call = (...args: readonly unknown[]) => unknown;

/** Our arguments of a varied call. */
function argsOf(sample: readonly unknown[], { place, value }: VariedCall): readonly unknown[] {
  if (typeof place === 'number') return sample.map((v, i) => (i === place ? value : v));
  const options = sample.at(-1) as Readonly<Record<string, unknown>>;
  return [...sample.slice(0, -1), Object.fromEntries(Object.entries(options).map(([k, v]) => [k, snakeCase(k) === place ? value : v]))];
}

for (const op of publicOps) {
  const calls = withDevice(reference, () => variedCalls(op.row));
  if (calls.length === 0) continue;
  test(`${op.row.name}: what PyTorch takes and refuses`, () => {
    const known = new Map((rows[op.row.name] ?? '').split(' ').map((said) => [said.slice(0, 8), said.slice(8)]));
    const samples = withDevice(reference, () => samplesOf(op.row));
    for (const call of calls) {
      const theirs = known.get(call.inputs.slice(0, 8));
      assert.ok(theirs !== undefined, `${call.change}: no fixture: run \`node scripts/ranges.mjs --python <a Python with torch>\``);
      const change = `${op.row.name} ${call.change}`;
      const args = argsOf(samples[call.sample] as readonly unknown[], call);
      const said = refusal(() => (op as unknown as Call)(...(castFloats(args, 'float64') as readonly unknown[])));
      const agree = (theirs === '+') === (said === null);
      if (otherwise.has(change)) assert.ok(!agree, `${call.change}: both say the same now`);
      else if (!otherwise.has(change.replace(/ = .*/, '')))
        assert.ok(agree, `${call.change}: PyTorch ${theirs === '+' ? 'takes' : 'refuses'} it, we say: ${said}`);
    }
  });
}
