import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { pathToFileURL } from 'node:url';
import { parse } from 'acorn';
import { filesBelow, hash, inRoot, stamp, writeWhole } from './files.mjs';

/** What only Node runs. */
const nodeOnly = /^(browser|wasm|native|cli|aot\.js|.*Node\.js)/;
/** What rows have for the suites alone. */
const testOnly = new Set(['samples', 'errors', 'torch', 'reference', 'prepare', 'kinks']);
/** The same in rules that become rows: objects with an expression. */
const testOnlyRule = new Set(['torch', 'domain', 'points', 'kinks', 'more', 'calls', 'wrong']);

/** Makers of rows, and the first of their arguments that is for the suites alone. */
const forSuites = { composed: 2, derived: 3, windowRow: 2, lpRow: 2, unpoolRow: 2, copied: 1, pieces: 1, unchanged: 1, sampler: 1 };

/** dist/browser/: the modules of dist/ without the samples of ops, which a page would load and never use, and in fewer words. */
export async function buildBrowser() {
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
    const whole = text.replace(/^\/\/# sourceMappingURL=.*$/m, '');
    const short = withShortMembers(
      withShortErrors(withShortForms(withoutTests(file === methodsFile ? await withListedMethods(whole) : whole))),
    );
    saved += text.length - short.length;
    writeWhole(join(dist, 'browser', file), short);
  }
  known.set(key);
  return { summary: `${sources.length} modules without ${Math.round(saved / 1000)} kB of samples` };
}

/** Private members by short names, where the word occurs in the sources as nothing but such a member: bundlers must keep them. */
const withShortMembers = (text) => [...shortMembers].reduce((t, [name, short]) => t.replace(new RegExp(`\\b${name}\\b`, 'g'), short), text);
const shortMembers = namesOfMembers();
function namesOfMembers() {
  const codeBelow = (...folder) =>
    filesBelow(inRoot('src', ...folder))
      .map((file) => readFileSync(file, 'utf8').replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, ''))
      .join('\n');
  const code = codeBelow();
  const own = '\\bprivate (?:static )?(?:readonly )?(?:get |set )?';
  const count = (pattern) => code.match(new RegExp(pattern, 'g')).length;
  // Only of rooms whose objects nobody lists by the names of their members.
  const declared = ['capture', 'backends', 'program'].flatMap((room) => [...codeBelow(room).matchAll(new RegExp(`${own}(\\w+)`, 'g'))]);
  const names = [...new Set(declared.map(([, name]) => name))].filter(
    (name) => count(`\\b${name}\\b`) === count(`(?:\\bthis\\.|${own})${name}\\b`),
  );
  return new Map(names.map((name, i) => [name, `_${i.toString(36)}`]));
}

/** Errors are thrown by a call, which bundlers write shorter: it may stand in expressions. Each code that occurs often has its own. */
function withShortErrors(text) {
  const imports = /^import \{ ([^}]*\bLibError\b[^}]*) \} from '([^']*core\/errors\.js|\.\/errors\.js)';$/m;
  if (!imports.test(text)) return text;
  const names = Object.values(raisers).join(', ');
  return text
    .replace(imports, `import { $1, raise, ${names} } from '$2';`)
    .replace(/throw new LibError\((\s*'(\w+)',\s*)?/g, (_, first = '', code) => (raisers[code] ? `${raisers[code]}(` : `raise(${first}`));
}
const declared = readFileSync(inRoot('src', 'core', 'errors.ts'), 'utf8').matchAll(/^export const raise(\w+)/gm);
const raisers = Object.fromEntries(Array.from(declared, ([, code]) => [code.toLowerCase(), `raise${code}`]));

/** What bundlers and compression cannot see: composites that are a name and a function, numbers by their short names, fields. */
function withShortForms(text) {
  const edits = [];
  let composites = 0;
  let shapes = 0;
  visit(parse(text, { ecmaVersion: 'latest', sourceType: 'module' }), (node) => {
    if (isInfinity(node)) edits.push([node.start, node.end, infinities[node.property.name]]);
    if (isShapeText(node)) shapes = edits.push(...shortShapeText(node));
    if (node.type === 'ClassDeclaration' && node.superClass === null) edits.push(...assignedFields(node.body.body));
    const short = isComposite(node) ? shortComposite(node, text) : [];
    composites += short.length > 0 ? 1 : 0;
    edits.push(...short);
    if (isBareComposed(node)) composites += edits.push([node.callee.start, node.callee.end, 'composite']);
  });
  let out = edited(text, edits);
  const definers = /^import \{ ([^}]*\bdefine\w+\b[^}]*) \} from '\.\/define\.js';/m;
  if (composites > 0) {
    const has = definers.test(out);
    out = has ? out.replace(definers, "import { $1, composite } from './define.js';") : `import { composite } from './define.js';\n${out}`;
  }
  return shapes > 0 ? out.replace(/^import \{ ([^}]*\bformatShape\b[^}]*) \}/m, 'import { $1, shapeText }') : out;
}

const isShapeText = ({ type, callee, arguments: [shape] = [] }) =>
  type === 'CallExpression' && callee.name === 'formatShape' && shape.type === 'MemberExpression' && shape.property.name === 'shape';
/** `formatShape(x.shape)` as `shapeText(x)`. */
const shortShapeText = ({ callee, arguments: [shape] }) => [
  [callee.start, callee.end, 'shapeText'],
  [shape.object.end, shape.end, ''],
];

const infinities = { POSITIVE_INFINITY: 'Infinity', NEGATIVE_INFINITY: '-Infinity', NaN: 'NaN' };
const isInfinity = ({ type, object, property }) =>
  type === 'MemberExpression' && object.name === 'Number' && Object.hasOwn(infinities, property.name ?? '');

/** Fields without values that the constructor sets before all else, in their order: they need no declaration. */
function assignedFields(members) {
  const bare = members.filter((m) => m.type === 'PropertyDefinition' && !m.static && m.value === null && m.key.type === 'Identifier');
  const first = members.find((m) => m.kind === 'constructor')?.value.body.body ?? [];
  const sets = (statement, name) =>
    statement?.expression?.type === 'AssignmentExpression' &&
    statement.expression.left.object?.type === 'ThisExpression' &&
    statement.expression.left.property.name === name;
  return bare.every((field, i) => sets(first[i], field.key.name)) ? bare.map((field) => [field.start, field.end, '']) : [];
}

const isComposite = ({ type, callee, arguments: [row] = [] }) =>
  type === 'CallExpression' &&
  callee.name === 'defineComposite' &&
  row.type === 'ObjectExpression' &&
  row.properties[0].key?.name === 'name';

/** `composed(name, compose)`, whose samples are cut out. */
const isBareComposed = ({ type, callee, arguments: given }) =>
  type === 'CallExpression' && callee.name === 'composed' && given.length === 2;

/** `defineComposite({ name, compose(…) {…}, … })` as `composite(name, (…) => {…}, { … })`. */
function shortComposite({ callee, arguments: [row] }, text) {
  const at = row.properties.findIndex((p) => p.key?.name === 'compose');
  if (at < 0 || row.properties.some((p) => p.type === 'SpreadElement')) return [];
  const [name, { value: compose, method }] = [row.properties[0], row.properties[at]];
  const { params, body } = compose;
  const before = method ? `, (${params.map((p) => text.slice(p.start, p.end)).join(', ')}) => ` : ', ';
  const others = row.properties.filter((p) => p !== name && p !== row.properties[at]).map((p) => text.slice(p.start, p.end));
  return [
    [callee.start, callee.end, 'composite'],
    [row.start, name.value.start, ''],
    [name.value.end, method ? body.start : compose.start, before],
    [compose.end, row.end, others.length > 0 ? `, { ${others.join(', ')} }` : ''],
  ];
}

const methodsFile = 'ops/index.js';
/** The table of methods as lists of rows, which know their names: a bundler would write `name: () => row` for each. */
async function withListedMethods(text) {
  let out = text;
  for (const [line, table, file] of text.matchAll(/^import \* as (\w+) from '\.\/(\w+\.js)';$/gm)) {
    const entries = Object.entries(await import(pathToFileURL(inRoot('dist', 'ops', file)).href));
    const local = (name) => `${table}_${name}`;
    const [named, others] = [entries.filter(([name, op]) => op.row?.name === name), entries.filter(([name, op]) => op.row?.name !== name)];
    const list = `byName([${named.map(([name]) => local(name)).join(', ')}])`;
    const rest = others.map(([name]) => `${name}: ${local(name)}`).join(', ');
    out = out
      .replace(line, `import { ${entries.map(([name]) => `${name} as ${local(name)}`).join(', ')} } from './${file}';`)
      .replace(`...${table},`, `...${list}, ${rest}${rest && ','}`);
  }
  return `${out}function byName(ops) { return Object.fromEntries(ops.map((op) => [op.row.name, op])); }\n`;
}

/** A module with the test-only parts of its rows cut out: a row is an object literal with a generator method `samples`. */
function withoutTests(text) {
  const cuts = [];
  visit(parse(text, { ecmaVersion: 'latest', sourceType: 'module' }), (node) => {
    const surplus = isNamedRow(node) ? node.arguments.slice(forSuites[node.callee.name]) : [];
    if (surplus.length > 0)
      cuts.push(needless(node) ? [node.arguments[1].end, surplus.at(-1).end, ''] : [surplus[0].start, surplus.at(-1).end, '[]']);
    if (node.type !== 'ObjectExpression') return;
    const names = node.properties.some(isSamples) ? testOnly : node.properties.some(isExpression) ? testOnlyRule : new Set();
    for (const p of node.properties) {
      if (p.type === 'Property' && !p.computed && (names.has(p.key.name) || (names.size > 0 && saysWhether(p))))
        cuts.push([p.start, p.end]);
      if (p.type === 'SpreadElement' && names.size > 0 && holdsOnly(p.argument, names)) cuts.push([p.start, p.end]);
    }
  });
  return edited(text, cuts);
}

/** The text with what stands at [start, end) replaced, or cut out together with the comma behind it. */
function edited(text, edits) {
  let out = '';
  let at = 0;
  for (const [start, end, instead] of edits.sort((a, b) => a[0] - b[0])) {
    if (start < at) continue;
    out += text.slice(at, start);
    at = end;
    if (instead !== undefined) out += instead;
    else while (/[\s,]/.test(text[at] ?? '')) at++;
  }
  return out + text.slice(at);
}

/** `given && { torch: given }`. */
const holdsOnly = ({ type, right }, names) =>
  type === 'LogicalExpression' && right.type === 'ObjectExpression' && right.properties.every((p) => names.has(p.key?.name));

/** `differentiable: false`, of composites: a list of outputs is for autograd. */
const saysWhether = ({ key, value }) => key.name === 'differentiable' && typeof value.value === 'boolean';

const isNamedRow = ({ type, callee, arguments: [first, , third] = [] }) =>
  type === 'CallExpression' &&
  Object.hasOwn(forSuites, callee.name ?? '') &&
  (/^(copied|pieces)$/.test(callee.name) ? first?.type === 'Identifier' : typeof first?.value === 'string' || makesSamples(third));
const needless = ({ callee }) => callee.name === 'composed';
const makesSamples = (node) => node?.type === 'ArrowFunctionExpression' && node.params[0]?.name === 'random';
const isExpression = (p) => p.type === 'Property' && /^(expr|compute)$/.test(p.key.name);
const isSamples = (p) => p.type === 'Property' && p.key.name === 'samples' && (p.value.generator === true || p.value.type === 'Identifier');

function visit(node, look) {
  look(node);
  for (const value of Object.values(node)) {
    if (Array.isArray(value)) for (const item of value) if (typeof item?.type === 'string') visit(item, look);
    if (typeof value?.type === 'string') visit(value, look);
  }
}
