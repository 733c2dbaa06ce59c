// Compares modules and optimizers with PyTorch's own lists of inputs for them: results, state, gradients, trajectories, refused calls.
//   python fixtures/moddb.py build/moddb.jsonl && node scripts/moddb.mjs build/moddb.jsonl [--only regexp] [--verbose] [--errors]
import { readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    only: { type: 'string', default: '' },
    verbose: { type: 'boolean', default: false },
    errors: { type: 'boolean', default: false },
  },
});
const cr = await import('../dist/checked/index.js');
const nn = await import('../dist/checked/nn.js');
const optim = await import('../dist/checked/optim.js');
const { functionalWeights, expectClose, tolerances } = await import('../dist/testing/compare.js');
const { camel, decode, kindOf, leavesOf, numbers } = await import('./torchCalls.mjs');
const { isTensor, LibError, tensor, grad } = cr;
cr.setDefaultDtype('float64');

/** Names of state as PyTorch has them: paths in camelCase. */
const stateName = (name) => name.split('.').map(camel).join('.');
const encoderLayer = ({ dModel, nhead, activation, ...options }) =>
  new nn.TransformerEncoderLayer(dModel, nhead, { ...options, activation: activation.function ?? activation });
const plain = (v) => {
  if (v?.function) return v.function;
  if (v?.encoderLayer) return encoderLayer(decode(v.encoderLayer, []));
  return null;
};
const value = (v, leaves) => plain(v) ?? decode(v, leaves);
const optionsOf = (opt, leaves) =>
  Object.fromEntries(
    Object.entries(opt).flatMap(([k, v]) =>
      (v === null && k !== 'momentum') || v?.ignored ? [] : [[camel(k.replace(/^_/, '')), value(v, leaves)]],
    ),
  );

/** Ways to say a call: optional arguments by name, or the first of them in order as well. */
function* calls({ pos, opt, names }, leaves) {
  const required = pos.map((v) => value(v, leaves));
  const options = optionsOf(opt, leaves);
  const given = Object.keys(options).length ? [options] : [];
  yield [...required, ...given];
  const entries = Object.entries(options);
  for (let n = 1; n <= entries.length; n++) {
    const rest = Object.fromEntries(entries.slice(n));
    yield [...required, ...entries.slice(0, n).map(([, v]) => v), ...(entries.length > n ? [rest] : [])];
  }
  for (let cut = 0; cut < required.length; cut++) {
    const named = Object.fromEntries(names.slice(cut).map((name, i) => [camel(name), required[cut + i]]));
    yield [...required.slice(0, cut), { ...named, ...options }];
  }
}

function firstThat(ways, run) {
  let first = null;
  for (const way of ways) {
    try {
      return run(way);
    } catch (error) {
      first ??= error;
    }
  }
  throw first ?? new Error('no way to call it');
}

/** PyTorch forgives extra arguments in a few places (Identity); so names are only asked where there is a class. */
function build(line) {
  const Class = nn[line.module];
  return firstThat(calls(line.ctor, []), (args) => new Class(...args));
}

const close = (found, expected, what) => {
  if (`${found.shape}` !== `${expected.shape}`) throw new Error(`${what}: shape (${found.shape}) instead of (${expected.shape})`);
  if (kindOf(found.dtype) !== kindOf(expected.tensor)) throw new Error(`${what}: ${found.dtype} instead of ${expected.tensor}`);
  expectClose(found.toArray(), numbers(expected), tolerances.float64, what);
};

const draws = /^(Dropout|AlphaDropout|FractionalMaxPool|RReLU)/;

function checkModule(line) {
  let last = null;
  for (const Way of [0, 1, 2, 3, 4, 5]) {
    try {
      checkCall(line, Way);
      return;
    } catch (error) {
      if (error.message === 'no more ways') break;
      if (last === null || error.message.includes('must agree')) last = error;
    }
  }
  throw last;
}

function checkCall(line, index) {
  cr.manualSeed(1);
  const module = build(line);
  module.train(line.training);
  const leaves = [];
  const ways = [...calls(line.forward, leaves)];
  if (index >= ways.length) throw new Error('no more ways');
  if (nn.hasUninitializedParams?.(module)) cr.noGrad(() => module.forward(...ways[index]));
  const state = line.state.map(([name, t]) => [stateName(name), decode(t, [])]);
  module.loadStateDict(new Map(state));
  const floats = leaves.filter((t) => t.dtype === 'float64');
  for (const [i, t] of floats.entries()) if (line.grads && line.grads[i] !== 'fixed') t.requiresGrad_();
  const out = leavesOf(module.forward(...ways[index])).filter((v) => v !== null && v !== undefined);
  const expected = line.out.filter((v) => v !== null);
  if (out.length !== expected.length) throw new Error(`${out.length} results instead of ${expected.length}`);
  if (draws.test(line.module)) return;
  out.forEach((y, i) => close(y, expected[i], `result ${i}`));
  const after = module.stateDict();
  for (const [name, t] of line.after) close(after.get(stateName(name)), t, name);
  if (line.grads) checkGradients(line, module, floats, out);
}

function checkGradients(line, module, floats, out) {
  const terms = out
    .filter((y) => isTensor(y) && y.requiresGrad)
    .map((y, k) => y.mul(tensor(functionalWeights(y.size, k), { shape: y.shape, dtype: y.dtype })).sum());
  const wanted = [...floats, ...module.parameters()].filter((t) => t.requiresGrad);
  const found = grad(
    terms.reduce((p, q) => p.add(q)),
    wanted,
    { allowUnused: true },
  );
  const check = (t, e, what) => {
    const g = found[wanted.indexOf(t)] ?? null;
    const theirs = e === null ? new Float64Array(g?.size ?? 0) : numbers(e);
    expectClose(g?.toArray() ?? new Float64Array(theirs.length), theirs, tolerances.float64, what);
  };
  floats.forEach((t, i) => line.grads[i] === 'fixed' || check(t, line.grads[i], `gradient ${i}`));
  const named = [...module.namedParameters()];
  named.forEach(([name, t], i) => check(t, line.paramGrads[i], `gradient of ${name}`));
}

/** forward's optional arguments go by position here. */
const positional = ({ pos, opt }) => [...pos, ...Object.values(opt)].map((v) => value(v, []));

/** Whether we refuse what PyTorch refuses. */
function refusesModule(line) {
  try {
    const module = new nn[line.module](...calls(line.ctor, []).next().value);
    module.train(line.training);
    if (line.forward) module.forward(...positional(line.forward));
  } catch (error) {
    if (error instanceof LibError) return;
    throw error;
  }
  throw new Error(`no error (PyTorch: ${line.error})`);
}

const shapes = [
  [3, 4],
  [5, 2],
];
const weightsOf = (shape, salt) => tensor(functionalWeights(shape[0] * shape[1], salt), { shape, dtype: 'float64' });

function optimizerOf(line, params) {
  const Class = optim[line.optimizer];
  const options = Object.fromEntries(
    Object.entries(line.options).map(([k, v]) => [camel(k), typeof v === 'string' ? camel(v) : decode(v, [])]),
  );
  return new Class(params, options);
}

function checkOptimizer(line) {
  const params = shapes.map((s, k) => new nn.Parameter(weightsOf(s, 2 + k)));
  const targets = shapes.map((s, k) => weightsOf(s, 5 + k));
  const optimizer = optimizerOf(line, params);
  if (line.error !== undefined) throw new Error(`no error (PyTorch: ${line.error})`);
  const closure = () => {
    optimizer.zeroGrad();
    const parts = params.map((p, k) =>
      p
        .sub(targets[k])
        .square()
        .mul(k + 1)
        .sum(),
    );
    const loss = parts.reduce((a, b) => a.add(b));
    loss.backward();
    if (line.optimizer === 'SparseAdam') asRows(params);
    return loss;
  };
  for (let step = 0; step < 30; step++) {
    optimizer.step(closure);
    const at = { 0: 0, 1: 1, 9: 2, 29: 3 }[step];
    if (at !== undefined) params.forEach((p, k) => close(p.detach(), line.trail[at][k], `step ${step + 1}, parameter ${k}`));
  }
}

function asRows(params) {
  for (const p of params) {
    const indices = cr.arange(p.sizeAt(0), { dtype: 'int32' });
    p.sparseGrad = new nn.SparseRows(indices, p.grad, p.shape);
    p.grad = null;
  }
}

function run(line) {
  if (line.module !== undefined && line.error !== undefined) return refusesModule(line);
  if (line.module !== undefined) return checkModule(line);
  try {
    return checkOptimizer(line);
  } catch (error) {
    if (line.error !== undefined && error instanceof LibError) return undefined;
    throw error;
  }
}

const wanted = new RegExp(values.only);
const lines = readFileSync(positionals[0], 'utf8')
  .trimEnd()
  .split('\n')
  .map((l) => JSON.parse(l))
  .filter((l) => wanted.test(l.module ?? l.optimizer));
const groups = new Map();
for (const line of lines) groups.set(line.module ?? line.optimizer, [...(groups.get(line.module ?? line.optimizer) ?? []), line]);
const total = { names: 0, missing: 0, clean: 0, calls: 0, agree: 0, errors: 0, refused: 0, skipped: 0 };
for (const [name, group] of groups) {
  total.names++;
  if (!(nn[name] ?? optim[name])) {
    total.missing++;
    console.log(`missing: ${name}`);
    continue;
  }
  const failures = new Map();
  for (const line of group) {
    if (line.skipped) {
      total.skipped++;
      continue;
    }
    const kind = line.error === undefined ? ['calls', 'agree'] : ['errors', 'refused'];
    total[kind[0]]++;
    try {
      run(line);
      total[kind[1]]++;
    } catch (error) {
      if (process.env.STACK) console.log(error.stack);
      const why = `${line.error === undefined ? '' : 'error: '}${error.name === 'Error' ? '' : `${error.name}: `}${error.message.split('\n')[0]}`;
      failures.set(why.slice(0, 170), [...(failures.get(why.slice(0, 170)) ?? []), line]);
    }
  }
  if (failures.size === 0) total.clean++;
  for (const [why, list] of [...failures].slice(0, values.verbose ? 99 : 4)) {
    console.log(`${name}: ${list.length}x ${why}`);
    if (!values.verbose) continue;
    const [{ desc, ctor, forward, options, training }] = list;
    const short = JSON.stringify({ desc, training, ctor, forward, options }, (k, v) =>
      k === 'data' || k === 'a' ? undefined : v?.tensor ? `${v.tensor}[${v.shape}]` : v,
    );
    console.log(`        ${short.slice(0, 400)}`);
  }
}
console.log(JSON.stringify(total));
