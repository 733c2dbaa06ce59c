// Every option of every op, given something wrong: an error in the library's style, whatever it is, and never a crash of JavaScript.
import assert from 'node:assert/strict';
import { test } from 'node:test';
import * as library from '../../dist/index.js';
import { isTensor, LibError, linalg, special, withDevice } from '../../dist/index.js';
import { methods } from '../../dist/ops/index.js';
import { signatures } from '../../dist/ops/signatures.js';
import { errorStyle, samplesOf } from '../../dist/testing/properties.js';
import { opsIn } from '../../dist/testing/table.js';
import { reference } from '../support/backends.js';
import { formsOf, keysOf, wrongFor } from '../support/signatures.js';

type Call = (...args: readonly unknown[]) => unknown;
const ops = opsIn(library, methods, linalg, special).filter(({ row }) => row.name in signatures);

/** The options of a signature (of the last of its forms), each with the kinds it takes. */
const optionsOf = (signature: string): ReadonlyMap<string, string> =>
  keysOf(
    formsOf(signature)
      .at(-1)
      ?.find(({ name }) => name === 'options')?.code ?? '',
  ) ?? new Map();

const sampleOf = (row: (typeof ops)[number]['row']): readonly unknown[] | undefined => {
  const isOptions = (v: unknown): boolean => typeof v === 'object' && v !== null && !isTensor(v) && !Array.isArray(v);
  return samplesOf(row).map((args) => (isOptions(args.at(-1)) ? args.slice(0, -1) : args))[0];
};

function refusal(op: Call, args: readonly unknown[]): string {
  try {
    op(...args);
  } catch (error) {
    assert.ok(error instanceof LibError, `not an error of the library: ${String(error)}`);
    assert.match(error.message, errorStyle);
    return error.message;
  }
  return 'no error';
}

for (const op of ops) {
  const { row } = op;
  const options = optionsOf(signatures[row.name] as string);
  test(`${row.name}: refuses what its ${options.size} options are not`, () =>
    withDevice(reference, () => {
      const args = sampleOf(row);
      if (args === undefined) return;
      for (const [key, kinds] of options) {
        for (const value of wrongFor(kinds)) {
          const message = refusal(op as unknown as Call, [...args, { [key]: value }]);
          assert.ok(message.includes(`${key} must be`), `${key} = ${String(value)}: ${message}`);
        }
      }
      const [first] = options.keys();
      const unknown = first === undefined ? 'nonsense' : `${first}s`;
      const message = refusal(op as unknown as Call, [...args, { [unknown]: 1 }]);
      if (first !== undefined && !options.has(unknown)) assert.match(message, /options must be among .*did you mean/s);
    }));
  // Numbers that are of the right kind and out of range: a result or an error of the library, never a crash.
  test(`${row.name}: survives numbers out of range`, () =>
    withDevice(reference, () => {
      const args = sampleOf(row);
      if (args === undefined) return;
      for (const [key, kinds] of options) {
        if (!/(^|\|)[nri](\||$)/.test(kinds)) continue;
        for (const value of [-1, -1000, 0, 0.5, 50]) refusal(op as unknown as Call, [...args, { [key]: value }]);
      }
    }));
  test(`${row.name}: refuses what its arguments are not`, () =>
    withDevice(reference, () => {
      const args = sampleOf(row);
      if (args === undefined) return;
      args.forEach((_, i) => {
        for (const value of [{}, () => 0, 'nonsense', null, undefined, Number.NaN, 1.5, -1]) {
          refusal(op as unknown as Call, [...args.slice(0, i), value, ...args.slice(i + 1)]);
        }
      });
    }));
}
