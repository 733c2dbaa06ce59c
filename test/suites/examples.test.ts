// Every @example in the sources runs, and gives what its comment says.
import assert from 'node:assert/strict';
import { mkdtempSync, readdirSync, readFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { test } from 'node:test';
import { transform } from 'esbuild';
import * as data from '../../dist/data/index.js';
import * as library from '../../dist/index.js';
import { isTensor, LibError, randint, randn, tensor } from '../../dist/index.js';
import * as io from '../../dist/io/index.js';
import * as nn from '../../dist/nn/index.js';
import * as optim from '../../dist/optim/index.js';
import { expectClose } from '../../dist/testing/compare.js';

interface Example {
  readonly place: string;
  readonly file: string;
  readonly code: string;
}

const source = new URL('../../src/', import.meta.url);
process.chdir(mkdtempSync(join(tmpdir(), 'chainrule-examples-'))); // some examples write files

function examplesIn(file: string): Example[] {
  const text = readFileSync(new URL(file, source), 'utf8');
  return [...text.matchAll(/\/\*\*[\s\S]*?\*\//g)].flatMap(({ 0: comment, index }) => {
    const line = text.slice(0, index).split('\n').length;
    const body = comment.replace(/^\s*\/?\*+ ?/gm, '').replace(/\s*\*?\/\s*$/, '');
    return body
      .split('@example')
      .slice(1)
      .map((part) => ({ place: `src/${file}:${line}`, file, code: (part.split(/^@\w/m)[0] ?? '').trim() }));
  });
}

const files = readdirSync(source, { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'));
const examples = files.map((file) => file.replaceAll('\\', '/')).flatMap(examplesIn);

/** What examples may speak of without making it first. */
function surroundings(): Readonly<Record<string, unknown>> {
  const model = new nn.Sequential(new nn.Linear(4, 8), new nn.ReLU(), new nn.Linear(8, 3));
  const features = randn([30, 4]);
  const labels = randint(0, 3, [30]);
  const train = new data.TensorDataset(features, labels);
  return {
    model,
    optimizer: new optim.SGD(model.parameters(), { lr: 0.1 }),
    train,
    dataset: train,
    logits: randn([5, 3]),
    labels: labels.slice([0, 5]),
    images: randn([2, 1, 4, 4]),
    weight: Object.assign(tensor([1, 2], { requiresGrad: true }), { grad: tensor([1, 1]) }),
    classes: [0, 1, 1],
    seed: { low: 1, high: 2 },
    layer: 3,
    a: randn([2, 3, 4]),
    b: randn([2, 4, 3]),
    x: randn([4, 5, 6]),
    rows: tensor([0, 2], { dtype: 'int32' }),
    columns: tensor([1, 3], { dtype: 'int32' }),
  };
}

/** Helpers that the package does not export are known to the examples beside them. */
const ownModule = (file: string): Promise<object> =>
  import(new URL(`../../dist/${file.replace(/\.ts$/, '.js')}`, import.meta.url).href) as Promise<object>;

const AsyncFunction = Object.getPrototypeOf(async () => {}).constructor as new (
  ...parts: string[]
) => (...args: unknown[]) => Promise<unknown>;

/** Runs an example; gives the value of its last line, where that is an expression. */
/** `fft`, `linalg` and their like, one of whose functions may have its name. */
const namespaces = Object.fromEntries(Object.entries(library).filter(([, value]) => typeof value === 'object'));

async function evaluate({ code, file }: Example): Promise<unknown> {
  const own = await ownModule(file);
  const scope: Record<string, unknown> = { ...data, ...io, ...nn, ...optim, ...library, ...surroundings(), ...own, ...namespaces };
  const { code: plain } = await transform(code, { loader: 'ts', target: 'es2022' });
  const lines = plain.trim().split('\n');
  const isExpression = !/^(const|let|for|class|if|return|import|export)\b/.test(lines.at(-1) ?? '');
  const body = isExpression && lines.length === 1 ? `return (${plain.trim().replace(/;$/, '')});` : plain;
  const declared = new Set(
    [...plain.matchAll(/\b(?:const|let|class|function)\s+(?:\[([^\]]*)\]|\{([^}]*)\}|(\w+))/g)].flatMap(([, ...names]) =>
      names.join(',').split(/\W+/),
    ),
  );
  const names = Object.keys(scope).filter((name) => !declared.has(name) && name !== 'var'); // the name of an op, but no variable's
  return new AsyncFunction(...names, `'use strict';\n${body}`)(...names.map((name) => scope[name]));
}

function checkComment(value: unknown, comment: string, place: string): void {
  const shape = /^\((\d+(?:, \d+)*,?)\)$/.exec(comment)?.[1];
  if (shape !== undefined && isTensor(value)) {
    assert.deepEqual([...value.shape], shape.split(',').filter(Boolean).map(Number), place);
    return;
  }
  if (typeof value === 'number') {
    expectClose([value], [Number.parseFloat(comment)], { rtol: 1e-12, atol: 0 }, place);
    return;
  }
  const expected = listsIn(comment);
  const tensors = [value].flat().filter(isTensor);
  if (expected === null || expected.length === 0) return; // prose, or nothing said
  if (tensors.length === 0) {
    assert.deepEqual(value, expected[0], place);
    return;
  }
  assert.equal(tensors.length, expected.length, `${place}: the comment speaks of ${expected.length} results`);
  for (const [i, t] of tensors.entries()) expectClose(t.toArray(), [expected[i]].flat(9) as number[], { rtol: 1e-3, atol: 1e-4 }, place);
}

/** `[0, 1], [2]` as two lists. */
function listsIn(comment: string): readonly unknown[] | null {
  try {
    return JSON.parse(`[${comment}]`) as readonly unknown[];
  } catch {
    return null;
  }
}

test('examples were found', () => assert.ok(examples.length > 20, `only ${examples.length}`));

for (const { place, file, code } of examples) {
  const outline = /…|\.{3} *[})]|import\.meta|runDir|readIdx\('|\bkernel, samples\b|testLoader|\bexp\b|await fit\(|sentences|\braw\b/.test(
    code,
  );
  test(`the example at ${place} runs`, { skip: outline && 'examples that are outlines, or need files and long runs' }, async () => {
    const [, comment = ''] = /\/\/ (.+)$/.exec(code) ?? [];
    const value = await evaluate({ place, file, code }).catch((error: unknown) => {
      throw error instanceof LibError ? error : new Error(`${place}: ${(error as Error).message}\n${code}`);
    });
    checkComment(value, comment, place);
  });
}
