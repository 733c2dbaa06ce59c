#!/usr/bin/env node
// npm run bench:precision -- [--case cnn,gpt_mini] [--steps 500] [--seeds 1 | 3-8] [--dtype bfloat16] [--engine native] [--threads 2]
//   [--runs float32,again,bfloat16,torch] [--log losses.jsonl]
// Trains on real data (MNIST digits; the characters of this repository's documents) in float32 and under autocast, from the same
// weights on the same batches, and prints where the losses end: the mean of the last 20, and of the last 100. Training amplifies any
// rounding, so `again`, in float32 from weights that differ by 1e-6, says how far two runs of one precision come to lie apart. `torch`
// lets PyTorch (BENCH_PYTHON) train the same weights on the same batches, in both types. Over several seeds ± is the standard error
// of the mean. With --log, losses are added to a file, what it holds is not run again, and means are over all of it.
import { appendFileSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { parseArgs } from 'node:util';
import * as cr from 'chainrule';
import { mnist } from 'chainrule/data';
import { startTorch } from './peers.mjs';
import { cases } from './workloads.mjs';

const { values: options } = parseArgs({
  options: {
    case: { type: 'string', default: 'cnn,gpt_mini' },
    steps: { type: 'string', default: '500' },
    seeds: { type: 'string', default: '1' },
    dtype: { type: 'string', default: 'bfloat16' },
    engine: { type: 'string', default: 'native' },
    threads: { type: 'string', default: '2' },
    runs: { type: 'string', default: 'float32,again,bfloat16' },
    log: { type: 'string' },
  },
});
const threads = Number(options.threads);
const steps = Number(options.steps);
const [first, last = first] = options.seeds.split('-').map(Number);
const seeds = Array.from({ length: last - first + 1 }, (_, i) => first + i);

/** A small generator of its own, so that the batches are the same in both runs. */
function* numbers(seed) {
  let state = seed >>> 0;
  for (;;) {
    state = (Math.imul(state, 1664525) + 1013904223) >>> 0;
    yield state / 2 ** 32;
  }
}

async function digits() {
  const { train } = await mnist();
  return (random, count = 64) => {
    const rows = Int32Array.from({ length: count }, () => Math.floor(random() * train.length));
    const [x, y] = train.getBatch(rows);
    return [x, y];
  };
}

/** Characters as the numbers of printable ASCII; anything else is a line's end. */
function characters() {
  const root = new URL('../', import.meta.url);
  const files = ['README.md', 'CONTRIBUTING.md', ...readdirSync(new URL('docs/', root), { recursive: true }).map((f) => `docs/${f}`)];
  const pages = files.filter((f) => f.endsWith('.md')).map((f) => readFileSync(new URL(f, root), 'utf8'));
  const text = pages.join('\n');
  const ids = Int32Array.from(text, (c) => (c >= ' ' && c <= '~' ? c.charCodeAt(0) - 32 : 95));
  const [batch, time] = [8, 128];
  return (random) => {
    const starts = Array.from({ length: batch }, () => Math.floor(random() * (ids.length - time - 1)));
    const rows = (shift) =>
      cr.tensor(Int32Array.from(starts.flatMap((s) => [...ids.subarray(s + shift, s + shift + time)]))).reshape([batch, time]);
    return [rows(0), rows(1)];
  };
}

const data = { cnn: digits, gpt_mini: characters };

/** The model of a case at its first weights, and its batches, the same for every run of a seed. */
function start(name, seed, batchOf) {
  cr.manualSeed(seed);
  const stream = numbers(seed);
  return { ...cases.find((c) => c.name === name).build(), batch: () => batchOf(() => stream.next().value) };
}

function train({ model, optimizer, loss, batch }, { cast = false, scale = 1 }) {
  if (scale !== 1) cr.noGrad(() => model.parameters().forEach((p) => void p.mul_(scale)));
  const body = (x, y) => loss(model.forward(x), y);
  const step = cr.compile((x, y) => {
    optimizer.zeroGrad();
    const value = cast ? cr.autocast(() => body(x, y), { dtype: options.dtype }) : body(x, y);
    value.backward();
    optimizer.step();
    return value;
  });
  return Array.from({ length: steps }, () => step(...batch()).itemNow());
}

const bytesOf = async (tensors) =>
  Buffer.concat(await Promise.all(tensors.map(async (t) => Buffer.from(new Uint8Array((await t.data()).slice().buffer)))));

/** Files that a rival trains from: weights, inputs, labels. */
async function writeTraining({ model, batch }, folder) {
  const named = Array.from(model.namedParameters());
  const batches = Array.from({ length: steps }, batch);
  const [x, y] = batches[0];
  const files = { weights: named.map(([, p]) => p), x: batches.map((b) => b[0]), y: batches.map((b) => b[1]) };
  for (const [file, tensors] of Object.entries(files)) writeFileSync(join(folder, file), await bytesOf(tensors));
  const paths = Object.fromEntries(Object.keys(files).map((file) => [file, join(folder, file)]));
  const shapes = { xShape: [steps, ...x.shape], yShape: [steps, ...y.shape], integers: x.dtype === 'int32' };
  return { ...paths, ...shapes, names: named.map(([key, p]) => [key, p.shape]) };
}

async function trainTorch(name, started, dtypes) {
  const peer = await startTorch(threads);
  if (peer === null) throw new Error('torch: BENCH_PYTHON must name a Python with PyTorch');
  const folder = mkdtempSync(join(tmpdir(), 'chainrule-'));
  try {
    const files = await writeTraining(started, folder);
    const losses = [];
    for (const dtype of dtypes) losses.push((await peer.request({ case: name, train: files, dtype })).losses);
    return losses;
  } finally {
    rmSync(folder, { recursive: true });
    peer.stop();
  }
}

const ways = { float32: {}, again: { scale: 1 + 1e-6 }, [options.dtype]: { cast: true } };

/** The losses of each run of a seed, by its name. */
async function losses(name, seed, batchOf) {
  const runs = {};
  for (const run of options.runs.split(',')) {
    const started = start(name, seed, batchOf);
    if (run === 'torch') [runs['torch float32'], runs[`torch ${options.dtype}`]] = await trainTorch(name, started, [null, options.dtype]);
    else runs[run] = train(started, ways[run]);
  }
  return runs;
}

const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;
/** The run that another is compared with. */
const baseOf = (run) => (run.startsWith('torch') ? 'torch float32' : 'float32');

/** Where losses end in float32, and how much higher in each other run, over all seeds that have both. */
function tell(name, what, seedRuns) {
  for (const last of [20, 100]) {
    const end = (run) => mean(run.slice(-last));
    const parts = Array.from(new Set(seedRuns.flatMap(Object.keys))).map((run) => {
      const both = seedRuns.filter((runs) => runs[run] && runs[baseOf(run)]);
      if (both.length === 0) return '';
      const base = mean(both.map((runs) => end(runs[baseOf(run)])));
      if (run === baseOf(run)) return `${run} ${base.toFixed(5)}`;
      const off = both.map((runs) => (100 * (end(runs[run]) - end(runs[baseOf(run)]))) / base);
      const error = Math.sqrt(mean(off.map((x) => (x - mean(off)) ** 2)) / Math.max(1, off.length - 1));
      return `${run} ${mean(off).toFixed(2)}${off.length > 1 ? ` ± ${error.toFixed(2)}` : ''} %`;
    });
    console.log(`${name.padEnd(9)} ${what.padEnd(9)} last ${`${last}`.padEnd(4)} ${parts.filter((part) => part !== '').join(', ')}`);
  }
}

const readLog = () => (options.log && existsSync(options.log) ? readFileSync(options.log, 'utf8').trim().split('\n').map(JSON.parse) : []);

await cr.setEngine({ engine: options.engine, threads });
const logged = readLog().filter((line) => line.steps === steps);
for (const name of options.case.split(',')) {
  const batchOf = await data[name]();
  const lines = logged.filter((line) => line.case === name);
  for (const seed of seeds) {
    if (lines.some((line) => line.seed === seed && line.asked === options.runs)) continue;
    const runs = await losses(name, seed, batchOf);
    lines.push({ case: name, seed, steps, asked: options.runs, runs });
    if (options.log) appendFileSync(options.log, `${JSON.stringify(lines.at(-1))}\n`);
    tell(name, `seed ${seed}`, [runs]);
  }
  const bySeed = Array.from(new Set(lines.map((line) => line.seed)), (seed) => lines.filter((line) => line.seed === seed));
  if (bySeed.length > 1)
    tell(
      name,
      `${bySeed.length} seeds`,
      bySeed.map((some) => Object.assign({}, ...some.map((line) => line.runs))),
    );
}
process.exit(0);
