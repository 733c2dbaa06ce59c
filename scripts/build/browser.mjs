import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { parse } from 'acorn';
import { filesBelow, hash, inRoot, stamp, writeWhole } from './files.mjs';

/** What only Node runs. */
const nodeOnly = /^(browser|wasm|native|cli|aot\.js|.*Node\.js)/;
/** What rows have for the suites alone. */
const testOnly = new Set(['samples', 'errors', 'torch', 'reference', 'prepare', 'kinks']);
/** The same in rules that become rows: objects with an expression. */
const testOnlyRule = new Set(['torch', 'domain', 'points', 'kinks', 'more', 'calls', 'wrong']);

/** Makers of rows, and the first of their arguments that is for the suites alone. */
const forSuites = { composed: 2, derived: 3, windowRow: 2, lpRow: 2, unpoolRow: 2, copied: 2, pieces: 2, unchanged: 1, sampler: 1 };

/** dist/browser/: the modules of dist/ without the samples of ops, which a page would load and never use. */
export function buildBrowser() {
  const dist = inRoot('dist');
  const files = filesBelow(dist).map((file) => relative(dist, file).replaceAll('\\', '/'));
  const sources = files.filter((file) => file.endsWith('.js') && !nodeOnly.test(file));
  const texts = new Map(sources.map((file) => [file, readFileSync(join(dist, file), 'utf8')]));
  const key = hash(readFileSync(new URL(import.meta.url)), ...[...texts].flat());
  const known = stamp('browser');
  if (known.matches(key) && existsSync(inRoot('dist', 'browser', 'index.js'))) return { summary: `${sources.length} modules, unchanged` };
  for (const file of files) if (file.startsWith('browser/') && !texts.has(file.slice('browser/'.length))) rmSync(join(dist, file));
  let saved = 0;
  for (const [file, text] of texts) {
    const short = withShortErrors(withoutTests(text.replace(/^\/\/# sourceMappingURL=.*$/m, '')));
    saved += text.length - short.length;
    writeWhole(join(dist, 'browser', file), short);
  }
  known.set(key);
  return { summary: `${sources.length} modules without ${Math.round(saved / 1000)} kB of samples` };
}

/** Errors are thrown by a call, which bundlers write shorter: it may stand in expressions. */
function withShortErrors(text) {
  const imports = /^import \{ ([^}]*\bLibError\b[^}]*) \} from '([^']*core\/errors\.js|\.\/errors\.js)';$/m;
  return imports.test(text) ? text.replace(imports, "import { $1, raise } from '$2';").replaceAll('throw new LibError(', 'raise(') : text;
}

/** A module with the test-only parts of its rows cut out: a row is an object literal with a generator method `samples`. */
function withoutTests(text) {
  const cuts = [];
  visit(parse(text, { ecmaVersion: 'latest', sourceType: 'module' }), (node) => {
    const surplus = isNamedRow(node) ? node.arguments.slice(forSuites[node.callee.name]) : [];
    if (surplus.length > 0) {
      const kept = surplus.at(-1).properties?.find((p) => p.key?.name === 'differentiable');
      cuts.push([surplus[0].start, surplus.at(-1).end, kept ? `[], { ${text.slice(kept.start, kept.end)} }` : '[]']);
    }
    if (node.type !== 'ObjectExpression') return;
    const names = node.properties.some(isSamples) ? testOnly : node.properties.some(isExpression) ? testOnlyRule : new Set();
    for (const p of node.properties) {
      if (p.type === 'Property' && !p.computed && names.has(p.key.name)) cuts.push([p.start, p.end]);
      if (p.type === 'SpreadElement' && names.size > 0 && holdsOnly(p.argument, names)) cuts.push([p.start, p.end]);
    }
  });
  let out = '';
  let at = 0;
  for (const [start, end, instead] of cuts.sort((a, b) => a[0] - b[0])) {
    if (start < at) continue;
    out += text.slice(at, start);
    at = end;
    if (instead !== undefined) out += instead;
    else while (/[\s,]/.test(text[at] ?? '')) at++; // the comma behind it
  }
  return out + text.slice(at);
}

/** `given && { torch: given }`. */
const holdsOnly = ({ type, right }, names) =>
  type === 'LogicalExpression' && right.type === 'ObjectExpression' && right.properties.every((p) => names.has(p.key?.name));

const isNamedRow = ({ type, callee, arguments: [name] = [] }) =>
  type === 'CallExpression' && Object.hasOwn(forSuites, callee.name ?? '') && typeof name?.value === 'string';
const isExpression = (p) => p.type === 'Property' && /^(expr|compute)$/.test(p.key.name);
const isSamples = (p) => p.type === 'Property' && p.key.name === 'samples' && (p.value.generator === true || p.value.type === 'Identifier');

function visit(node, look) {
  look(node);
  for (const value of Object.values(node)) {
    if (Array.isArray(value)) for (const item of value) if (typeof item?.type === 'string') visit(item, look);
    if (typeof value?.type === 'string') visit(value, look);
  }
}
