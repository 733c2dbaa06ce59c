// The text of aot.h: one C++ loop per program of the op table, and the hashes by which tapes name them.
// The build writes it to build/aot.h; `node scripts/printAot.mjs` prints it.
import { pathToFileURL } from 'node:url';

const dist = (path) => import(new URL(`../dist/${path}`, import.meta.url).href);
const { toBytecode, toCpp } = await dist('expr/bytecode.js');
const { arity, topological } = await dist('expr/expr.js');

/** Instructions of a few machine instructions: loops of only these are unrolled. */
const cheap = new Set(
  'add sub mul div max min less lessEqual equal notEqual select neg abs sign floor ceil trunc round sqrt reciprocal isnan not'.split(' '),
);

/** The header for the given programs: `{ exprs, nativeOnly }` each; by default those of dist/aot.js. */
export async function printAot(programs) {
  const known = new Map();
  for (const { exprs, nativeOnly = false } of programs ?? (await dist('aot.js')).aotPrograms()) {
    const [lo, hi] = toBytecode(exprs, 'float32').hash;
    const key = `${lo}:${hi}`;
    if (!known.has(key)) known.set(key, { exprs, lo, hi, nativeOnly });
  }
  const list = [...known.values()].sort((a, b) => a.nativeOnly - b.nativeOnly);
  const common = list.filter(({ nativeOnly }) => !nativeOnly).length;
  const hashes = list.map(({ lo, hi }) => `{${cInt(lo)}, ${cInt(hi)}}`);
  const names = list.map((_, i) => `aot_${i}`);
  const loops = list.map(({ exprs }, i) => printLoop(exprs, i));
  return `// Printed by scripts/printAot.mjs: do not edit.
#ifdef CHAINRULE_AOT_HASHES_ONLY
constexpr AotHash aot_hashes[] = {
${split(hashes, common, '{0, 0}')}
};
constexpr int32_t AOT_COUNT = ${list.length === 0 ? 0 : 'int32_t(sizeof aot_hashes / sizeof aot_hashes[0])'};
#else
${loops.slice(0, common).join('\n')}
#ifndef __wasm__
${loops.slice(common).join('\n')}
#endif
static const AotLoop aot_loops[] = {
${split(names, common, 'nullptr')}
};
#endif
`;
}

/** A list whose items from `common` on are left out of the WASM builds. */
function split(items, common, none) {
  if (items.length === 0) return none;
  const each = (part) => part.map((item) => `${item},`).join(' ');
  return [each(items.slice(0, common)), '#ifndef __wasm__', each(items.slice(common)), '#endif'].join('\n');
}

function printLoop(exprs, number) {
  const { inputs, scalars } = arity(exprs);
  const each = (count, f) => Array.from({ length: count }, (_, i) => f(i));
  const nodes = topological(exprs).filter(({ node }) => node.kind === 'apply');
  const isShort = nodes.length <= 6 && nodes.every(({ node }) => cheap.has(node.op));
  const read = (load) => each(inputs, (k) => load(k));
  const results = each(exprs.length, (k) => `r${k}`);
  const whole = `body(${[...read((k) => `load(p${k}.at(i))`), ...results].join(', ')});`;
  const part = `body(${[...read((k) => `load_first(p${k}.at(i), left)`), ...results].join(', ')});`;
  const parameters = [...each(inputs, (k) => `V in${k}`), ...each(exprs.length, (k) => `V& out${k}`)];
  const setup = [
    ...each(inputs, (k) => `[[maybe_unused]] const AotInput p${k}(in[${k}]);`),
    ...each(scalars, (k) => `[[maybe_unused]] const V s${k} = broadcast(float(scalars[${k}]));`),
    ...each(exprs.length, (k) => `float* const q${k} = static_cast<float*>(out[${k}]);`),
  ];
  const writeWhole = each(exprs.length, (k) => `store(q${k} + i, r${k});`).join(' ');
  const writePart = each(exprs.length, (k) => `store_first(q${k} + i, r${k}, left);`).join(' ');
  return `static void aot_${number}(int64_t n, void* const* in, const double* scalars, void* const* out) {
  typedef vf V;
  (void)in, (void)scalars;
${setup.map((line) => `  ${line}`).join('\n')}
  const auto body = [&](${parameters.join(', ')}) __attribute__((always_inline)) {
${toCpp(exprs, literal)
  .split('\n')
  .map((line) => `    ${line}`)
  .join('\n')}
  };
  V ${results.join(', ')};
  int64_t i = 0;
${isShort ? shortLoop(whole, part, writeWhole, writePart) : longLoop(inputs, results, writeWhole, writePart)}
}`;
}

function shortLoop(whole, part, writeWhole, writePart) {
  return `  SHORT_LOOP
  for (; i + LANES <= n; i += LANES) { ${whole} ${writeWhole} }
  if (i < n) { const int left = int(n - i); ${part} ${writePart} }`;
}

/** One copy of a long body serves whole vectors and the last one. */
function longLoop(inputs, results, writeWhole, writePart) {
  const reads = Array.from({ length: inputs }, (_, k) => `const V x${k} = whole ? load(p${k}.at(i)) : load_first(p${k}.at(i), left);`);
  const call = [...Array.from({ length: inputs }, (_, k) => `x${k}`), ...results].join(', ');
  return `#pragma GCC unroll 1
  for (; i < n; i += LANES) {
    const bool whole = i + LANES <= n;
    const int left = int(n - i);
    ${reads.join(' ')}
    body(${call});
    if (whole) { ${writeWhole} }
    else { ${writePart} }
  }`;
}

function literal(value) {
  if (Number.isNaN(value)) return 'all<V>(__builtin_nanf(""))';
  if (!Number.isFinite(Math.fround(value))) return `all<V>(${value < 0 ? '-' : ''}__builtin_inff())`;
  const digits = Object.is(value, -0) ? '-0' : String(Math.fround(value));
  return `all<V>(${/[.e]/.test(digits) ? digits : `${digits}.0`}f)`;
}

function cInt(value) {
  return value === -(2 ** 31) ? '(-2147483647 - 1)' : String(value);
}

if (import.meta.url === pathToFileURL(process.argv[1] ?? '').href) process.stdout.write(await printAot());
