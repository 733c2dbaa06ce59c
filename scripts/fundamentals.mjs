// docs/fundamentals.md from scripts/fundamentals/: what of the fundamentals is there, where, and which test proves it.
//   node scripts/fundamentals.mjs [--check]
// --check writes nothing: it fails when the page is out of date, or when a row names an export or a test that does not exist.
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { root } from './build/files.mjs';
import { Exports, parts } from './fundamentals/exports.mjs';
import { areas, claimSuites, corrections, exactClaims } from './fundamentals/table.mjs';

const page = join(root, 'docs', 'fundamentals.md');
const tests = join(root, 'test');
const known = new Exports(root);
const problems = [];
const sources = new Map();

function sourceOf(file) {
  if (!sources.has(file)) sources.set(file, existsSync(file) ? readFileSync(file, 'utf8') : undefined);
  return sources.get(file);
}

/** `suites/gradients: text` → file and text. */
function testOf(id, test) {
  const at = test.indexOf(': ');
  const [name, text] = [test.slice(0, at), test.slice(at + 2)];
  const source = sourceOf(join(tests, `${name}.test.ts`));
  if (at < 0 || source === undefined) problems.push(`${id}: there is no test file test/${name}.test.ts`);
  else if (!source.includes(text)) problems.push(`${id}: test/${name}.test.ts has no '${text}'`);
  return { name, text };
}

async function checkRow({ id, provides, tests, pending, wording }) {
  for (const name of provides) {
    if (!(await known.exists(name))) problems.push(`${id}: the package does not export '${name}'`);
  }
  for (const test of tests) testOf(id, test);
  if (pending && provides.length + tests.length > 0) problems.push(`${id}: is pending, and is provided`);
  if (pending || wording) return;
  if (tests.length === 0) problems.push(`${id}: no test proves it`);
  if (provides.length === 0 && !id.startsWith('COR')) problems.push(`${id}: nothing provides it`);
}

/** Every number of a kind once, in order. */
function checkNumbers(kind, rows, count) {
  const wanted = Array.from({ length: count }, (_, i) => `${kind}-${String(i + 1).padStart(2, '0')}`);
  const got = rows.map(({ id }) => id);
  for (const id of wanted) if (!got.includes(id)) problems.push(`${id}: has no row`);
  for (const [i, id] of got.entries()) if (id !== wanted[i]) problems.push(`${id}: stands in the place of ${wanted[i]}`);
}

/** IDs of exact claims that are tests: every test's name starts with one. */
function claimTests() {
  const found = new Map();
  for (const file of readdirSync(join(tests, 'rooms')).filter((name) => /^claims.*\.test\.ts$/.test(name))) {
    for (const [, id] of readFileSync(join(tests, 'rooms', file), 'utf8').matchAll(/['"`](CLM-\d+)\b/g)) {
      const number = Number(id.slice(4));
      if (!exactClaims.includes(number)) problems.push(`${id}: test/rooms/${file} names it, but it is no exact claim`);
      found.set(number, `rooms/${file}`);
    }
  }
  for (const [number, suites] of Object.entries(claimSuites)) {
    for (const suite of suites) found.set(Number(number), `${testOf(claim(number), suite).name}.test.ts`);
  }
  return found;
}

const claim = (number) => `CLM-${String(number).padStart(2, '0')}`;
const cell = (text) => text.replaceAll('|', '\\|');

function providedBy({ provides, pending, wording }) {
  if (pending) return '*not yet*';
  if (wording) return 'wording only';
  return provides
    .map((name) => {
      const { entry, path } = parts(name);
      const shown = `${entry === '' ? '' : `${entry}/`}${path.join('.')}`;
      return `[\`${shown}\`](../${known.fileOf(name)})`;
    })
    .join(', ');
}

function provedBy({ id, tests }) {
  return tests
    .map((test) => testOf(id, test))
    .map(({ name, text }) => `[${name}](../test/${name}.test.ts): ${cell(text)}`)
    .join('<br>');
}

const table = (rows) => [
  '| ID | What | Provided by | Proved by |',
  '| --- | --- | --- | --- |',
  ...rows.map((row) => `| ${row.id} | ${cell(row.title)} | ${providedBy(row)} | ${provedBy(row)} |`),
];

function pageText(claims) {
  const rows = areas.flatMap((area) => area.rows);
  const missing = rows.filter((row) => row.pending);
  const shown = corrections.filter((row) => !row.wording);
  const lines = [
    '# Fundamentals',
    '',
    'What of the fundamentals of deep learning this package has, the file that has it, and the test that proves it. This page is printed by',
    '`node scripts/fundamentals.mjs`; a test fails when it is out of date, or names an export or a test that does not exist.',
    '',
    `**${rows.length - missing.length} of ${rows.length}** rows are there. Not yet: ${missing.map(({ id }) => id).join(', ') || 'none'}.`,
    '',
    ...areas.flatMap(({ title, rows }) => [`## ${title}`, '', ...table(rows), '']),
    '## Corrections',
    '',
    `Often-told versions that are wrong or vague, and what holds here. ${shown.length} of ${corrections.length} can be run, and are.`,
    '',
    ...table(corrections),
    '',
    '## Exact claims',
    '',
    `Identities and closed forms that tests check in float64, by number: ${claims.size} of ${exactClaims.length}.`,
    '',
    ...[...new Set(claims.values())].sort().map((file) => {
      const ids = [...claims].filter(([, f]) => f === file).map(([n]) => n);
      return `- [${file.replace('.test.ts', '')}](../test/${file}): ${ids
        .sort((a, b) => a - b)
        .map((n) => claim(n))
        .join(', ')}`;
    }),
    '',
    `Not yet: ${
      exactClaims
        .filter((n) => !claims.has(n))
        .map((n) => claim(n))
        .join(', ') || 'none'
    }.`,
    '',
  ];
  return lines.join('\n');
}

for (const { kind, rows, count } of areas) checkNumbers(kind, rows, count);
checkNumbers('COR', corrections, 76);
for (const row of [...areas.flatMap((area) => area.rows), ...corrections]) await checkRow(row);
const claims = claimTests();
if (problems.length === 0) {
  const text = pageText(claims);
  if (!process.argv.includes('--check')) writeFileSync(page, text);
  else if (sourceOf(page) !== text) problems.push('docs/fundamentals.md is out of date: run `node scripts/fundamentals.mjs`');
}
for (const problem of new Set(problems)) console.error(problem);
process.exitCode = problems.length === 0 ? 0 : 1;
