// Prints src/ops/signatures.ts: the arguments and options that every op takes, read from its TypeScript type, so that calls from
// plain JavaScript are held to the same words (src/ops/checkCall.ts).   node scripts/signatures.mjs [--check]
import { readFileSync, writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { API, SignatureKind, SymbolFlags, TypeFlags } from 'typescript/unstable/sync';
import { filesBelow, inRoot } from './build/files.mjs';

const { values } = parseArgs({ options: { check: { type: 'boolean', default: false } } });
const api = new API({ cwd: inRoot() });
const { checker, program } = api.updateSnapshot({ openProjects: [inRoot('tsconfig.json')] }).getProjects()[0];
const functionType = 185; // SyntaxKind.FunctionType

/** Numbers that count or name a place: they are integers wherever they occur. */
const integers = new Set(
  `ranges dim dims dim0 dim1 dim2 dimA dimB axis start end step index length size sizes shape diagonal offset k n num steps stride dilation
  groups kernelSize padding outputPadding outputSize numClasses repeats shifts split chunks sections unfoldDim startDim endDim blankIdx
  ignoreIndex paddingIdx factor decimals N axis0 axis1 batchSizes bins blank destination source divisorOverride edgeOrder embedDimToCheck ind
  inputLengths targetLengths minlength niter normalizedShape numGroups numHeads numLayers pads r storageOffset strides pcaLowrank.q
  svdLowrank.q mvlgamma.p`.split(/\s+/),
);
/** Options that are values like those of a tensor: NaN is one of them. Elsewhere an option that is NaN is a mistake. */
const anyNumbers = new Set('value min max nan posinf neginf fillValue alpha beta'.split(' '));

const resolved = (s) => (s.flags & SymbolFlags.Alias ? checker.getAliasedSymbol(s) : s);
const exportsOf = (path) => {
  const module = checker.getSymbolAtLocation(program.getSourceFile(path));
  return module ? checker.getExportsOfModule(module).map((s) => [s.name, resolved(s)]) : [];
};

/** The types of a union, undefined left out. */
const partsOf = (type) =>
  (type.isUnionType() ? type.getTypes() : [type]).filter((t) => !(t.flags & (TypeFlags.Undefined | TypeFlags.Void)));

function encode(type, name, op, depth = 0, level = 0) {
  if (level > 2) return '*'; // nested lists of any depth
  const words = [];
  const codes = new Set();
  for (const part of partsOf(type)) {
    if (part.isStringLiteralType()) words.push(part.value);
    else codes.add(encodeOne(part, name, op, depth, level));
  }
  if (words.length) codes.add(`<${words.join(',')}>`);
  if (codes.has('*')) return '*';
  return [...codes].sort().join('|');
}

function encodeOne(type, name, op, depth, level) {
  const { flags } = type;
  if (flags & (TypeFlags.Number | TypeFlags.NumberLiteral)) {
    if (op === 'localResponseNorm' && name === 'k') return 'r';
    if (integers.has(name) || integers.has(`${op}.${name}`)) return 'i';
    return depth === 0 || anyNumbers.has(name) ? 'n' : 'r';
  }
  if (flags & (TypeFlags.Boolean | TypeFlags.BooleanLiteral)) return 'b';
  if (flags & TypeFlags.String) return 's';
  if (flags & TypeFlags.Null) return 'z';
  if (type.isIntersectionType() && depth === 0) return encodeOptions(type, op);
  if (!type.isObjectType()) return '*';
  if (checker.isTupleType(type) || checker.isArrayType(type)) {
    const elements = checker.getTypeArguments(type).map((t) => encode(t, name, op, depth, level + 1));
    return `[${[...new Set(elements)].join('|')}]`;
  }
  const symbol = type.getSymbol()?.name;
  if (symbol === 'Tensor') return 'T';
  if (checker.getSignaturesOfType(type, SignatureKind.Call).length) return 'f';
  return depth === 0 && name.startsWith('options') ? encodeOptions(type, op) : 'o';
}

function encodeOptions(type, op) {
  const entries = checker.getPropertiesOfType(type).map((p) => `${p.name}:${encode(checker.getTypeOfSymbol(p), p.name, op, 1)}`);
  return entries.length ? `{${entries.join(' ')}}` : 'o';
}

function signatureOf(type, op, kind = SignatureKind.Call) {
  const forms = checker.getSignaturesOfType(type, kind).map((signature) =>
    checker
      .signatureToSignatureDeclaration(signature, functionType)
      .parameters.map((p, i) => {
        const name = p.name.text ?? 'options'; // taken apart on the spot
        if (p.dotDotDotToken) {
          const list = checker.getRestTypeOfSignature(signature); // `any` where the rest is part of a tuple of arguments
          const each = list.flags & TypeFlags.Any ? checker.getParameterType(signature, i) : list;
          return `...${name}:${encode(each, name, op)}`;
        }
        return `${name}${p.questionToken ? '?' : ''}:${encode(checker.getParameterType(signature, i), name, op)}`;
      })
      .join(' '),
  );
  return forms.join(';');
}

process.env.CHAINRULE_BACKEND = 'reference';
const library = await import('../dist/index.js');
const { methods } = await import('../dist/ops/index.js');
const { opsIn } = await import('../dist/testing/table.js');
const rows = new Map(
  opsIn(library, methods, library.linalg, library.special, library.masked, library.signal.windows, library.fft).map((op) => [
    op,
    op.row.name,
  ]),
);
const found = new Map();
for (const file of filesBelow(inRoot('src', 'ops'))) {
  const made = await import(file.replace(/([\\/])src([\\/])/, '$1dist$2').replace(/\.ts$/, '.js'));
  for (const [exported, symbol] of exportsOf(file)) {
    const name = rows.get(made[exported]);
    if (name !== undefined) found.set(name, signatureOf(checker.getTypeOfSymbol(symbol), name));
  }
}

for (const [name, symbol] of ['random', 'cast', 'assign', 'inPlace', 'facts', 'fresh'].flatMap((file) =>
  exportsOf(inRoot('src', 'ops', `${file}.ts`)),
)) {
  if (typeof methods[name] !== 'function' || rows.has(methods[name])) continue;
  found.set(name, signatureOf(checker.getTypeOfSymbol(symbol), name));
}
api.close();
const missing = [...rows.values()].filter((name) => !found.has(name));
if (missing.length) console.error(`no signature: ${missing.join(' ')}`);
/** As the formatter would have it. */
const entry = ([name, signature]) => {
  const key = /^\w+$/.test(name) ? name : `'${name}'`;
  const line = `  ${key}: '${signature}',\n`;
  return line.length <= 141 || key.length <= 2 ? line : `  ${key}:\n    '${signature}',\n`;
};
const text = `/** Made by scripts/signatures.mjs from the types of the ops: what each takes, in the language of checkCall.ts. */
export const signatures: Readonly<Record<string, string>> = {
${[...found].sort().map(entry).join('')}};
`;
const target = inRoot('src', 'ops', 'signatures.ts');
if (values.check && readFileSync(target, 'utf8') !== text) {
  console.error('src/ops/signatures.ts is not what the types say: run `node scripts/signatures.mjs` and commit it');
  process.exit(1);
}
if (!values.check) writeFileSync(target, text);
console.log(`src/ops/signatures.ts: ${found.size} functions, ${text.length} bytes`);
