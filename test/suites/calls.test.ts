// Every function and class that an entry exports, given what its TypeScript type does not allow: one error in the library's style before
// anything runs, for each argument and each option at every depth. Rows of the table of ops have suites/options.
import assert from 'node:assert/strict';
import { readdirSync, readFileSync } from 'node:fs';
import { describe, test } from 'node:test';
import * as checked from '../../dist/checked/signatures.js';
import * as data from '../../dist/entries/data.js';
import * as func from '../../dist/entries/func.js';
import * as init from '../../dist/entries/init.js';
import * as io from '../../dist/entries/io.js';
import * as metrics from '../../dist/entries/metrics.js';
import * as models from '../../dist/entries/models.js';
import * as nn from '../../dist/entries/nn.js';
import * as optim from '../../dist/entries/optim.js';
import * as testing from '../../dist/entries/testing.js';
import * as train from '../../dist/entries/train.js';
import * as index from '../../dist/index.js';
import { LibError } from '../../dist/index.js';
import type { Signatures } from '../../dist/ops/hold.js';
import { errorStyle } from '../../dist/testing/properties.js';
import { type Argument, formsOf, keysOf, rightFor, wrongFor } from '../support/signatures.js';

type Exports = Readonly<Record<string, unknown>>;
type Call = (...args: readonly unknown[]) => unknown;
type Class = new (...args: readonly unknown[]) => unknown;

const tables: Readonly<Record<keyof typeof checked, Signatures>> = checked;
const entries: Readonly<Record<keyof typeof checked, Exports>> = {
  index,
  data,
  func,
  init,
  io,
  metrics,
  models,
  nn,
  optim,
  testing,
  train,
};
const isClass = (value: unknown): value is Class =>
  typeof value === 'function' && Object.getOwnPropertyDescriptor(value, 'prototype')?.writable === false;

interface Case {
  readonly name: string;
  readonly signature: string;
  readonly call: Call;
}

/** Everything that a table holds to its signature. */
function* casesOf(exports: Exports, table: Signatures, prefix: string): Generator<Case> {
  for (const [path, signature] of Object.entries(table)) {
    const [first = '', ...place] = path.split('.');
    const value = exports[first];
    if (typeof signature === 'object') yield* casesOf(value as Exports, signature, `${prefix}${path}.`);
    else yield { name: `${prefix}${path}`, signature, call: callOf(value, place) };
  }
}

function callOf(value: unknown, place: readonly string[]): Call {
  if (place.length === 0) return isClass(value) ? (...args) => new value(...args) : (value as Call);
  const { prototype } = value as { readonly prototype: object };
  const home = (place[0] === 'static' ? value : prototype) as Readonly<Record<string, Call>>;
  const self: unknown = place[0] === 'static' ? value : Object.create(prototype);
  return (...args) => Reflect.apply(home[place.at(-1) as string] as Call, self, args);
}

async function refusal(call: Call, args: readonly unknown[]): Promise<string> {
  try {
    await call(...args);
  } catch (error) {
    assert.ok(error instanceof LibError, `not an error of the library: ${String(error)}`);
    assert.match(error.message, errorStyle);
    return error.message;
  }
  return 'no error';
}

/** What is wrong inside options: an unknown key, and what each key does not take; with the words that the error must have. */
function* wrongIn(code: string, path: string): Generator<readonly [value: object, says: RegExp]> {
  const keys = keysOf(code);
  if (keys === null) return;
  const right = rightFor(code.slice(code.indexOf('{'))) as object;
  const [first = ''] = keys.keys();
  const place = path === '' ? 'options' : `options of ${path}`.replaceAll(/[[\].]/g, '\\$&');
  const typo = `${first}x`;
  if (!keys.has(typo)) yield [{ ...right, [typo]: 1 }, new RegExp(`${place} must be among .*'${typo}'\\.\n {2}Hint: did you mean '`)];
  for (const [key, kind] of keys) {
    const inside = path === '' ? key : `${path}.${key}`;
    for (const value of wrongFor(kind)) yield [{ ...right, [key]: value }, new RegExp(`${inside} must be `.replaceAll('.', '\\.'))];
    for (const [value, says] of wrongIn(kind, inside)) yield [{ ...right, [key]: value }, says];
  }
}

/** Every way in which one argument can be wrong. */
function* wrongArguments({ name, code }: Argument): Generator<readonly [value: unknown, says: RegExp]> {
  for (const value of wrongFor(code)) yield [value, new RegExp(`(${name}|options) must be `)];
  yield* wrongIn(code, name.startsWith('options') ? '' : name);
}

async function checkCase({ signature, call }: Case): Promise<void> {
  const forms = formsOf(signature);
  const form = forms.at(-1) as readonly Argument[];
  const right = form.map(({ code }) => rightFor(code));
  for (const [i, argument] of form.entries()) {
    for (const [value, says] of wrongArguments(argument)) {
      const message = await refusal(call, [...right.slice(0, i), value, ...right.slice(i + 1)]);
      if (forms.length === 1) assert.match(message, says);
      else assert.notEqual(message, 'no error', `${argument.name} = ${String(value)}`);
    }
  }
}

for (const [entry, exports] of Object.entries(entries)) {
  describe(entry, () => {
    const cases = [...casesOf(exports, tables[entry as keyof typeof checked], '')];
    for (const one of cases) test(`${entry}.${one.name}: refuses what its types refuse`, () => checkCase(one));
  });
}

/** Functions whose source takes options, but whose types are no closed list of keys, with the reason. */
const open: Readonly<Record<string, string>> = {
  'io.encodeModel': 'metadata: texts under names of the own choice',
  'nn.ModuleDict': 'modules under names of the own choice',
  'nn.ParameterDict': 'parameters under names of the own choice',
  'testing.hasSamples': 'takes an op',
};

/** Every exported function as it is inside, namespaces opened, with its signature. */
function* functionsIn(exports: Exports, table: Signatures, prefix: string): Generator<readonly [string, object, string | undefined]> {
  for (const [name, value] of Object.entries(exports)) {
    const signature = Object.hasOwn(table, name) ? table[name] : undefined;
    if (typeof signature === 'object') yield* functionsIn(value as Exports, signature, `${prefix}${name}.`);
    else if (typeof value === 'function') yield [`${prefix}${name}`, value, signature];
  }
}

/** Classes that nobody makes one of: those that extend them are held. */
function abstractClasses(): Set<string> {
  const root = new URL('../../src/', import.meta.url);
  const files = readdirSync(root, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
  return new Set(
    files.flatMap((file) => [...readFileSync(new URL(file, root), 'utf8').matchAll(/abstract class (\w+)/g)].map((m) => m[1] as string)),
  );
}

test('no function that takes options is left out', async () => {
  const left: string[] = [];
  const abstract = abstractClasses();
  for (const entry of Object.keys(entries)) {
    const file = new URL(`../../dist/${entry === 'index' ? '' : 'entries/'}${entry}.js`, import.meta.url);
    const inner = (await import(file.href)) as Exports;
    for (const [name, value, signature] of functionsIn(inner, tables[entry as keyof typeof checked], `${entry}.`)) {
      const source = Function.prototype.toString.call(value);
      const head = isClass(value) ? /\n {4}constructor\((.*)\) \{$/m.exec(source)?.[1] : /^[^(]*\((.*)\) \{$/m.exec(source)?.[1];
      if (head === undefined || 'row' in value || name in open || abstract.has(name.split('.').at(-1) as string)) continue;
      if (/\boptions\b|\{/.test(head) && !signature?.includes('{')) left.push(`${name}(${head}): ${signature}`);
    }
  }
  assert.deepEqual(left, []);
});

test('classes stay what they are: instances, subclasses, their own options', () => {
  class Gate extends nn.Linear {
    readonly open: boolean;
    constructor(size: number, { open, ...rest }: nn.LinearOptions & { readonly open?: boolean } = {}) {
      super(size, size, { ...rest, ...(open && { open }) });
      this.open = open ?? false;
    }
  }
  const gate = new Gate(2, { open: true, bias: false });
  assert.ok(gate instanceof nn.Linear && gate instanceof nn.Module && gate instanceof Gate);
  assert.equal(gate.constructor, Gate);
  assert.equal(new nn.Linear(2, 2).constructor, nn.Linear);
  assert.equal(nn.Linear.name, 'Linear');
  assert.equal(nn.Parameter, index.Parameter);
  assert.ok(new index.Parameter(index.zeros([1])) instanceof nn.Parameter);
  assert.equal(func.vmap, index.vmap);
});
