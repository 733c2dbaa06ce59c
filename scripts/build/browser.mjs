import { existsSync, readFileSync, rmSync } from 'node:fs';
import { join, relative } from 'node:path';
import { parse } from 'acorn';
import { filesBelow, hash, inRoot, stamp, writeWhole } from './files.mjs';

/** What only Node runs. */
const nodeOnly = /^(browser|wasm|native|cli|aot\.js|.*Node\.js)/;
/** What rows have for the suites alone. */
const testOnly = new Set(['samples', 'errors', 'torch']);

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
    const short = withoutTests(text.replace(/^\/\/# sourceMappingURL=.*$/m, ''));
    saved += text.length - short.length;
    writeWhole(join(dist, 'browser', file), short);
  }
  known.set(key);
  return { summary: `${sources.length} modules without ${Math.round(saved / 1000)} kB of samples` };
}

/** A module with the test-only parts of its rows cut out: a row is an object literal with a generator method `samples`. */
function withoutTests(text) {
  const cuts = [];
  visit(parse(text, { ecmaVersion: 'latest', sourceType: 'module' }), (node) => {
    if (node.type !== 'ObjectExpression' || !node.properties.some(isSamples)) return;
    for (const p of node.properties) {
      if (p.type === 'Property' && !p.computed && testOnly.has(p.key.name))
        cuts.push([p.start, p.end, p.key.name === 'samples' ? '*samples(){}' : '']);
    }
  });
  let out = '';
  let at = 0;
  for (const [start, end, instead] of cuts.sort((a, b) => a[0] - b[0])) {
    if (start < at) continue;
    out += text.slice(at, start) + instead;
    at = end;
    if (instead === '') while (/[\s,]/.test(text[at] ?? '')) at++; // the comma behind it
  }
  return out + text.slice(at);
}

const isSamples = (p) => p.type === 'Property' && p.key.name === 'samples' && (p.value.generator === true || p.value.type === 'Identifier');

function visit(node, look) {
  look(node);
  for (const value of Object.values(node)) {
    if (Array.isArray(value)) for (const item of value) if (typeof item?.type === 'string') visit(item, look);
    if (typeof value?.type === 'string') visit(value, look);
  }
}
