// Reads what everything public takes from its TypeScript type, so that calls from plain JavaScript are held to the same words: the rows
// of the table of ops (src/ops/signatures.ts; commit it), and everything else that the entries export (dist/checked, see
// src/ops/hold.ts).   node scripts/signatures.mjs [--check]
import { mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { basename, join } from 'node:path';
import { parseArgs } from 'node:util';
import { filesBelow, inRoot } from './build/files.mjs';
import { close, constructorOf, exportsOf, membersOf, methodsOf, signatureOf, typeOf } from './signatures/encode.mjs';

const { values } = parseArgs({ options: { check: { type: 'boolean', default: false } } });
process.env.CHAINRULE_BACKEND = 'reference';
const built = (file) => import(file.replace(/([\\/])src([\\/])/, '$1dist$2').replace(/\.ts$/, '.js'));

/** Signatures of the rows and of methods that are no rows. */
async function rowSignatures() {
  const library = await import('../dist/index.js');
  const { methods } = await import('../dist/ops/index.js');
  const { opsIn } = await import('../dist/testing/table.js');
  const ops = opsIn(library, methods, library.linalg, library.special, library.masked, library.signal.windows, library.fft);
  const rows = new Map(ops.map((op) => [op, op.row.name]));
  const found = new Map();
  for (const file of filesBelow(inRoot('src', 'ops'))) {
    const made = await built(file);
    for (const [exported, symbol] of exportsOf(file)) {
      const name = rows.get(made[exported]);
      if (name !== undefined) found.set(name, signatureOf(typeOf(symbol), name, { row: true }));
    }
  }
  for (const file of ['random', 'cast', 'assign', 'inPlace', 'facts', 'fresh']) {
    for (const [name, symbol] of exportsOf(inRoot('src', 'ops', `${file}.ts`))) {
      if (typeof methods[name] === 'function' && !rows.has(methods[name])) {
        found.set(name, signatureOf(typeOf(symbol), name, { row: true }));
      }
    }
  }
  const missing = [...rows.values()].filter((name) => !found.has(name));
  if (missing.length) console.error(`no signature: ${missing.join(' ')}`);
  return found;
}

const isClass = (value) => /^class\b/.test(Function.prototype.toString.call(value));
/** A signature that holds somebody to something. */
const says = (signature) => signature !== null && /:(?!\*( |;|$))/.test(signature);

/** Signatures of what an entry exports beside rows, by name. */
function entrySignatures(pairs, exports) {
  const found = {};
  for (const [name, symbol] of pairs) {
    const value = exports[name];
    if (value?.[Symbol.toStringTag] === 'Module') found[name] = entrySignatures(membersOf(symbol), value);
    if (typeof value !== 'function' || 'row' in value || name === 'Tensor') continue;
    const signature = isClass(value) ? constructorOf(typeOf(symbol), name) : signatureOf(typeOf(symbol), name);
    if (says(signature)) found[name] = signature;
    if (isClass(value)) for (const [path, one] of methodSignatures(symbol, name, value)) found[path] = one;
  }
  return found;
}

/** Methods of a class that take options; those that it inherits are in the tables of their owners. */
function* methodSignatures(symbol, name, value) {
  for (const isStatic of [true, false]) {
    const isOwn = (method) => [isStatic ? value : value.prototype, ...hidden(value, isStatic)].some((home) => Object.hasOwn(home, method));
    for (const [method, type] of methodsOf(symbol, isStatic)) {
      const signature = isOwn(method) ? signatureOf(type, method) : '';
      if (signature.includes('{')) yield [`${name}.${isStatic ? 'static.' : ''}${method}`, signature];
    }
  }
}

/** Classes between this one and the next public one: their methods are this one's. */
function* hidden(value, isStatic) {
  for (
    let base = Object.getPrototypeOf(value);
    base !== Function.prototype && !publicClasses.has(base);
    base = Object.getPrototypeOf(base)
  ) {
    yield isStatic ? base : base.prototype;
  }
}
const publicClasses = new Set();

const sources = [inRoot('src', 'index.ts'), ...filesBelow(inRoot('src', 'entries'))];
const entries = [];
for (const file of sources) {
  const exports = await built(file);
  entries.push({ file, name: basename(file, '.ts'), exports });
  for (const value of Object.values(exports)) if (typeof value === 'function') publicClasses.add(value);
}

const found = await rowSignatures();
const tables = entries.map(({ file, name, exports }) => [name, entrySignatures(exportsOf(file), exports)]);
close();

/** As the formatter would have it. */
const entry = ([name, signature]) => {
  const key = /^\w+$/.test(name) ? name : `'${name}'`;
  const line = `  ${key}: '${signature}',\n`;
  return line.length <= 141 || key.length <= 4 ? line : `  ${key}:\n    '${signature}',\n`;
};
const text = `/** Made by scripts/signatures.mjs from the types of the ops: what each takes, in the language of kinds.ts. */
export const signatures: Readonly<Record<string, string>> = {
${[...found].sort().map(entry).join('')}};
`;
const target = inRoot('src', 'ops', 'signatures.ts');
if (values.check && readFileSync(target, 'utf8') !== text) {
  console.error('src/ops/signatures.ts is not what the types say: run `node scripts/signatures.mjs` and commit it');
  process.exit(1);
}
if (!values.check) writeFileSync(target, text);

const folder = inRoot('dist', 'checked');
rmSync(folder, { recursive: true, force: true });
mkdirSync(folder, { recursive: true });
/** Words that are exported under another name than they have inside. */
const reservedWords = new Set(['var', 'delete', 'default', 'in', 'new', 'with', 'switch', 'case', 'null', 'true', 'false']);
const write = (name, lines) => writeFileSync(join(folder, name), `${lines.join('\n')}\n`);
write('signatures.js', [
  '// Made by scripts/signatures.mjs from the types of the entries.',
  ...tables.map(([name, table]) => `export const ${name} = ${JSON.stringify(table, null, 2)};`),
]);
write('signatures.d.ts', [
  "import type { Signatures } from '../ops/hold.js';",
  ...tables.map(([name]) => `export declare const ${name}: Signatures;`),
]);
for (const { name, exports } of entries) {
  const inner = name === 'index' ? '../index.js' : `../entries/${name}.js`;
  const [reserved, plain] = [true, false].map((is) => Object.keys(exports).filter((key) => reservedWords.has(key) === is));
  write(`${name}.js`, [
    `// Made by scripts/signatures.mjs: ${inner} with its exports held to their types.`,
    `import * as $inner from '${inner}';`,
    "import { hold as $hold } from '../ops/hold.js';",
    `import { ${name} as $signatures } from './signatures.js';`,
    'const $held = $hold($inner, $signatures);',
    `export const { ${plain.join(', ')} } = $held;`,
    ...reserved.map((key) => `const $${key} = $held.${key};\nexport { $${key} as ${key} };`),
  ]);
  write(`${name}.d.ts`, [`export * from '${inner}';`]);
}
const count = (table) => Object.values(table).reduce((n, one) => n + (typeof one === 'string' ? 1 : count(one)), 0);
console.log(`${found.size} ops, ${tables.map(([name, table]) => `${name} ${count(table)}`).join(', ')}`);
