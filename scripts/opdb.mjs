// Compares the library with PyTorch's operator database: values, types and gradients of its sample calls, and calls that must fail.
//   python fixtures/opdb.py build/opdb.jsonl float64 && node scripts/opdb.mjs build/opdb.jsonl [--only regexp] [--verbose] [--errors]
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    only: { type: 'string', default: '' },
    verbose: { type: 'boolean', default: false },
    errors: { type: 'boolean', default: false },
    all: { type: 'boolean', default: false },
  },
});
const cr = await import('../dist/index.js');
const { camel, decode, kindOf, leavesOf, numbers } = await import('./torchCalls.mjs');
const { functionalWeights, expectClose, tolerances } = await import('../dist/testing/compare.js');
const { isTensor, LibError, Tensor, tensor, grad } = cr;

const second = { __radd__: 'add', __rmul__: 'mul', __rand__: 'bitwiseAnd', __ror__: 'bitwiseOr', __rxor__: 'bitwiseXor', __rsub__: 'rsub' };
const other = {
  __rdiv__: (x, y) => cr.div(lifted(y, x), x),
  __rpow__: (x, y) => cr.pow(lifted(y, x), x),
  __rmod__: (x, y) => cr.remainder(lifted(y, x), x),
  __rmatmul__: (x, y) => cr.matmul(y, x),
  __getitem__: getItem,
  polygamma: (x, n) => x.polygamma(n),
  'special.polygamma': (x, n) => x.polygamma(n),
  'nn.functional.embedding_bag': (weight, indices, options) => cr.embeddingBag(indices, weight, options),
  'nn.functional.embedding': (weight, indices, options) => cr.embedding(indices, weight, options),
  meshgrid: (...tensors) =>
    cr.meshgrid(
      tensors.flat().filter(isTensor),
      tensors.flat().find((t) => !isTensor(t)),
    ),
  broadcast_shapes: (...shapes) => [...cr.broadcastShapes(...shapes)],
  lu: (x, _pivot, getInfos, options) => cr.lu(x, { getInfos, ...options }),
  broadcast_tensors: (...tensors) => cr.broadcastTensors(tensors.flat()),
  block_diag: (...tensors) => cr.blockDiag(tensors.flat()),
  cartesian_prod: (...tensors) => cr.cartesianProd(tensors.flat()),
  einsum: (operands, equation) => cr.einsum(equation, ...operands),
  'nn.functional.unfold': (...args) => cr.unfold(...args),
  unfold: (x, ...rest) => x.unfold(...rest),
  unfold_copy: (x, ...rest) => x.unfoldCopy(...rest),
  item: (x) => x.itemNow(),
  zero_: (x) => x.clone().zero_(),
  // Samples that PyTorch's list wraps: two factors of the matrix, the results that carry gradients.
  'linalg.pinv': (a, b, options) =>
    isTensor(b) && b.ndim === a.ndim && b.sizeAt(-1) === a.sizeAt(-1) && !options
      ? cr.linalg.pinv(a.matmul(b.mT()))
      : cr.linalg.pinv(a, ...[b, options].filter(Boolean)),
  svd_lowrank: (a, b, options) => cr.svdLowrank(a.matmul(b.mT()), withoutNull(options)),
  pca_lowrank: (a, b, options) => cr.pcaLowrank(a.matmul(b.mT()), withoutNull(options)),
  // Their samples are real; ours are pairs.
  ...Object.fromEntries(
    ['hfft', 'irfft', 'fft', 'ifft']
      .flatMap((kind) => [kind, `${kind}2`, `${kind}n`])
      .map((name) => [
        `fft.${name}`,
        (x, options) => cr.fft[name](isTensor(x) ? cr.stack([x, x.mul(0)], { dim: -1 }) : x, withoutNull(options)),
      ]),
  ),
  _segment_reduce: (x, reduce, options) => cr.segmentReduce(x, reduce, withoutNull(options)),
  where: (x, mask, y) => cr.where(mask, x, y),
  'torch.ops.aten._safe_softmax.default': (x, { dim, ...options }) => cr.safeSoftmax(x, dim, withoutNull(options)),
  'torch.ops.aten._scaled_dot_product_flash_attention_for_cpu': (...args) => cr.scaledDotProductFlashAttentionForCpu(...args),
  // The list's own function: pools, and hands ones back.
  max_pool2d_with_indices_backward: (x, { kernelSize, stride = kernelSize, padding, dilation, ceilMode }) => {
    const [y, indices] = cr.maxPool2dWithIndices(x, kernelSize, { stride, padding, dilation, ceilMode });
    return cr.maxPool2dWithIndicesBackward(cr.onesLike(y), x, kernelSize, stride, padding, dilation, ceilMode, indices);
  },
  // Without running statistics, PyTorch's overload leaves them out.
  _native_batch_norm_legit: (x, weight, bias, ...rest) =>
    cr.nativeBatchNormLegit(x, weight, bias, ...(rest.length < 5 ? [null, null] : []), ...rest),
  // Its overload with factors for sizes is a mode of the public function.
  _upsample_bilinear2d_aa: (x, { outputSize, scaleFactors, alignCorners, ...scales }) =>
    outputSize
      ? cr.upsampleBilinear2dAa(x, outputSize, alignCorners, scales)
      : cr.interpolate(x, { mode: 'bilinear', antialias: true, scaleFactor: scaleFactors, alignCorners }),
};
/** Functions under one name of the list. */
const variants = {
  'normal in_place': (x, ...rest) => x.clone().normal_(...rest),
  'normal number_mean': (std, mean, ...rest) => cr.normal(mean, std, ...rest),
};
const withoutNull = (options = {}) => Object.fromEntries(Object.entries(options).filter(([, v]) => v !== null));
const lifted = (y, x) => (isTensor(y) ? y : tensor(y, { dtype: x.dtype }));

/** x[key]: basic indexing by views, tensors by index(). */
function getItem(x, key) {
  const keys = Array.isArray(key) && !key.every((k) => typeof k === 'number') ? key : [key];
  if (Array.isArray(key) && key.every((k) => typeof k === 'number')) return x.index([tensor(key, { dtype: 'int32' })]);
  let y = x;
  let d = 0;
  const lists = [];
  const spans = (k) => (k === null ? 0 : k?.ellipsis ? 0 : isTensor(k) && k.dtype === 'bool' ? k.ndim : 1);
  const used = keys.reduce((n, k) => n + spans(k), 0);
  for (const k of keys) {
    if (typeof k === 'number') y = y.select(d, k);
    else if (k === null) y = y.unsqueeze(d++);
    else if (k?.ellipsis) d += x.ndim - used;
    else if (k?.slice && !Array.isArray(k) && !isTensor(k))
      y = y.slice(
        ...new Array(d++).fill(null),
        k.slice.map((v, i) => (i === 2 ? (v ?? 1) : v)),
      );
    else {
      lists[d] = isTensor(k) ? k : tensor(k, { dtype: 'int32' });
      d += isTensor(k) && k.dtype === 'bool' ? k.ndim : 1;
    }
  }
  return lists.length ? y.index(Array.from(lists, (k) => k ?? null)) : y;
}

function functionOf(full) {
  const name = full.replace(/^torch\.(?!_|ops\.)/, '');
  if (other[name]) return other[name];
  const base = name
    .split('.')
    .at(-1)
    .replace(/^_(?!_)/, '');
  const c = second[name] ?? camel(base);
  const [scope] = name.split('.');
  if (scope === 'masked') return cr.masked?.[c] ?? null;
  const place = name
    .split('.')
    .slice(0, -1)
    .reduce((at, key) => at?.[key], cr);
  if (name.includes('.') && place?.[c]) return place[c];
  for (const key of [c, `${c}_`]) {
    if (typeof cr[key] === 'function') return cr[key];
    if (key in Tensor.prototype) return (x, ...rest) => x[key](...rest);
  }
  return null;
}

/** The ways to call us: by the schemas, then with more or fewer arguments as options. */
function* waysOf(line) {
  yield* waysFrom(line, line.a);
  // A number where we want a tensor: PyTorch takes it for one of no dims.
  if (typeof line.a[0] === 'number' && line.a.length > 1) yield* waysFrom(line, [scalarTensor(line.a[0]), ...line.a.slice(1)]);
}
function* waysFrom({ k, forms }, a) {
  const options = (names) => {
    const entries = Object.entries(names).map(([key, v]) => [camel(key), v]);
    return entries.length ? [{ map: Object.fromEntries(entries) }] : [];
  };
  const at = ([from, i]) => (from === 'a' ? a[i] : k[i]);
  for (const { pos, opt } of forms) {
    const named = Object.fromEntries(Object.entries(opt).map(([n, p]) => [n, at(p)]));
    yield [...pos.map(at), ...options(named)];
    // PyTorch's overloads may call required what we have as an option, or the other way round.
    for (let cut = 1; cut < pos.length; cut++) {
      yield [...pos.slice(0, cut).map(at), ...options({ ...Object.fromEntries(pos.slice(cut).map((p) => [p[2], at(p)])), ...named })];
    }
    const firsts = Object.entries(named);
    for (let n = 1; n <= firsts.length; n++) {
      yield [...pos.map(at), ...firsts.slice(0, n).map(([, v]) => v), ...options(Object.fromEntries(firsts.slice(n)))];
    }
  }
  yield [...a, ...options(k)];
  for (let cut = 2; cut < a.length; cut++) if (a[cut] === null) yield [...a.slice(0, cut), ...options(k)];
  if (a.length > 1 && !Array.isArray(a[1])) yield [a[0], a.slice(1), ...options(k)];
}
const scalarTensor = (v) => ({
  tensor: Number.isInteger(v) ? 'int32' : 'float32',
  shape: [],
  data: Buffer.from((Number.isInteger(v) ? Int32Array : Float32Array).of(v).buffer).toString('base64'),
});
const drawsAtRandom =
  /^(exponential|normal|uniform|cauchy|geometric|log_normal|bernoulli|multinomial|rand.*|empty.*|new_empty.*|nn.functional.(.*dropout.*|rrelu|fractional.*))$/;

/** By the op, or by the probability of dropping that it was given. */
const isRandom = (line) =>
  drawsAtRandom.test(line.op) || line.k.dropout_p > 0 || (line.op.endsWith('head_attention_forward') && line.a[10] > 0);

function check(f, line, way) {
  const leaves = [];
  const args = way.map((v) => decode(v, leaves));
  const wide = leaves.filter((t) => t.dtype === line.dtype);
  const ordered = orderOf(line, way, wide);
  if (line.grads) for (const [i, t] of ordered.entries()) if (t && line.grads[i] !== undefined) t.requiresGrad_();
  cr.manualSeed(1);
  const out = leavesOf(f(...args));
  const expected = line.out;
  if (line.op === 'linalg.lstsq' && expected.length === 2) out.length = 2; // the list's own choice: solution and residuals
  if (out.length !== expected.length) throw new Error(`${out.length} results instead of ${expected.length}`);
  out.forEach((y, i) => {
    const e = expected[i];
    if (!isTensor(y)) return compareNumber(y, e);
    if (!e?.tensor) throw new Error(`a tensor instead of ${JSON.stringify(e)}`);
    if (`${y.shape}` !== `${e.shape}`) throw new Error(`result ${i}: shape (${y.shape}) instead of (${e.shape})`);
    if (kindOf(y.dtype) !== kindOf(e.tensor)) throw new Error(`result ${i}: ${y.dtype} instead of ${e.tensor}`);
    if (!isRandom(line))
      expectClose(
        y.toArray(),
        numbers(e),
        tolerances[line.dtype === 'float32' || e.tensor === 'float32' ? 'float32' : 'float64'],
        `result ${i}`,
      );
  });
  if (!line.grads || isRandom(line)) return;
  const floats = out.filter((y) => isTensor(y) && cr.isFloat?.(y.dtype) !== false && y.dtype.includes('float'));
  const terms = floats
    .map((y, k) => (y.requiresGrad ? y.mul(tensor(functionalWeights(y.size, k), { shape: y.shape, dtype: y.dtype })).sum() : null))
    .filter(Boolean);
  const some = line.grads.some((g) => g !== null && numbers(g).some((v) => v !== 0));
  if (terms.length === 0) {
    if (some) throw new Error('no gradient');
    return;
  }
  const known = ordered.filter((t) => t?.requiresGrad);
  const found = grad(
    terms.reduce((p, q) => p.add(q)),
    known,
    { allowUnused: true },
  );
  line.grads.forEach((e, i) => {
    const t = ordered[i];
    const g = t ? found[known.indexOf(t)] : null;
    const theirs = e === null ? new Float64Array(g?.size ?? 0) : numbers(e);
    expectClose(g?.toArray() ?? new Float64Array(theirs.length), theirs, tolerances[line.dtype], `gradient ${i}`);
  });
}

function compareNumber(y, e) {
  const theirs = e?.tensor ? numbers(e)[0] : e?.number ? decode(e, []) : e;
  if (e?.tensor && e.shape.length) throw new Error('a number instead of a tensor');
  expectClose([Number(y)], [Number(theirs)], tolerances.float64, 'number');
}

/** Our leaves in the order of PyTorch's: first the arguments, then the keywords. */
function orderOf({ a, k, dtype }, way, wide) {
  const theirs = tensorsOf([a, Object.values(k)]).filter((t) => t.tensor === dtype);
  const ours = tensorsOf(way).filter((t) => t.tensor === dtype);
  return theirs.map((t) => wide[ours.indexOf(t)] ?? null);
}
const tensorsOf = (v) => (v === null || typeof v !== 'object' ? [] : v.tensor ? [v] : Object.values(v).flatMap(tensorsOf));

function attempt(f, line) {
  let first = null;
  for (const way of waysOf(line)) {
    try {
      check(f, line, way);
      return null;
    } catch (error) {
      // The most telling failure: a wrong value says more than a refused call.
      if (process.env.STACK) console.log(error.stack);
      const message = error instanceof LibError || error.constructor === Error ? error.message : `${error.name}: ${error.message}`;
      if (first === null || (!first.includes('must agree') && message.includes('must agree'))) first = message;
    }
  }
  return first ?? 'no way to call it';
}

/** What PyTorch refuses and we take on purpose: numbers for tensors, more than 64 dims, 1.0 for 1, a layout that is not ours to choose. */
const extensions = [/^$/, /up to 64 dims/, /strided tensors only/, /got \\\(int, int, float/];

function refuses(f, line) {
  if (line.k.out) return null; // there is no such option
  for (const way of waysOf(line)) {
    let args;
    try {
      args = way.map((v) => decode(v, []));
    } catch {
      return null; // cannot even be written down
    }
    try {
      leavesOf(f(...args));
      return extensions.some((e) => e.test(line.error)) ? null : `no error (PyTorch: ${line.error})`;
    } catch (error) {
      return error instanceof LibError ? null : `${error.name}: ${error.message} (PyTorch: ${line.error})`;
    }
  }
  return null;
}

const wanted = new RegExp(values.only);
const lines = readFileSync(positionals[0], 'utf8')
  .trimEnd()
  .split('\n')
  .map((l) => JSON.parse(l));
const ops = new Map();
for (const line of lines) {
  const entry = ops.get(line.op) ?? { calls: [], errors: [], skipped: {}, aliases: [] };
  ops.set(line.op, entry);
  if (line.skipped) Object.assign(entry, { skipped: line.skipped, aliases: line.aliases });
  else (line.error === undefined ? entry.calls : entry.errors).push(line);
}
const total = { names: 0, covered: 0, calls: 0, agree: 0, errors: 0, refused: 0, clean: 0 };
const missing = [];
for (const [name, { calls, errors, aliases }] of ops) {
  if (!wanted.test(name)) continue;
  total.names++;
  const f = functionOf(name);
  if (!f) {
    missing.push(name);
    continue;
  }
  total.covered++;
  const failures = new Map();
  for (const line of calls) {
    line.dtype = positionals[0].includes('32') ? 'float32' : 'float64';
    total.calls++;
    const why = attempt(variants[`${name} ${line.variant}`] ?? f, line);
    if (why === null) total.agree++;
    else failures.set(why.split('\n')[0].slice(0, 150), [...(failures.get(why.split('\n')[0].slice(0, 150)) ?? []), line]);
  }
  if (failures.size === 0) total.clean++;
  let bad = 0;
  for (const list of failures.values()) bad += list.length;
  if (bad) console.log(`${name}: ${bad} of ${calls.length} differ`);
  let shown = 0;
  for (const [why, list] of failures) {
    if (shown++ >= (values.all ? 99 : 3)) break;
    console.log(`    ${list.length}x ${why}`);
    if (values.verbose) {
      const short = JSON.stringify([list[0].a, list[0].k, list[0].forms[0]], (key, v) =>
        key === 'data' ? undefined : v?.tensor ? `${v.tensor}[${v.shape}]` : v,
      );
      console.log(`        ${short.slice(0, 300)}`);
    }
  }
  if (values.errors) {
    for (const line of errors) {
      total.errors++;
      const why = refuses(variants[`${name} ${line.variant}`] ?? f, line);
      if (why === null) total.refused++;
      else console.log(`    ${name} error: ${why.split('\n')[0].slice(0, 200)}`);
    }
  }
  for (const alias of aliases) if (!functionOf(alias)) console.log(`    alias missing: ${alias}`);
}
console.log(`missing (${missing.length}): ${missing.join(' ')}`);
console.log(JSON.stringify(total));
