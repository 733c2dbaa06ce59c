#!/usr/bin/env node
// npm run bench:precision -- [--case cnn,gpt_mini] [--steps 500] [--seeds 1 | 3-8] [--dtype bfloat16] [--engine native] [--threads 2] [--no-control]
// Trains on real data (MNIST digits; the characters of this repository's documents) in float32 and under autocast, from the same
// weights on the same batches, and prints where the losses end: the mean of the last 20, and of the last 100. Training amplifies any
// rounding, so a third run, in float32 from weights that differ by 1e-6, says how far two runs of one precision come to lie apart.
// Over several seeds ± is the standard error of the mean.
import { readdirSync, readFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import * as cr from 'chainrule';
import { mnist } from 'chainrule/data';
import { cases } from './workloads.mjs';

const { values: options } = parseArgs({
  options: {
    case: { type: 'string', default: 'cnn,gpt_mini' },
    steps: { type: 'string', default: '500' },
    seeds: { type: 'string', default: '1' },
    dtype: { type: 'string', default: 'bfloat16' },
    engine: { type: 'string', default: 'native' },
    threads: { type: 'string', default: '2' },
    'no-control': { type: 'boolean', default: false },
  },
});
const steps = Number(options.steps);
const [first, last = first] = options.seeds.split('-').map(Number);
const seeds = Array.from({ length: last - first + 1 }, (_, i) => first + i);
const LAST = [20, 100];

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

const control = options['no-control'] ? {} : { again: { scale: 1 + 1e-6 } };
const ways = { float32: {}, ...control, [options.dtype]: { cast: true } };

function train(name, seed, batchOf, { cast = false, scale = 1 }) {
  cr.manualSeed(seed);
  const { model, optimizer, loss } = cases.find((c) => c.name === name).build();
  if (scale !== 1) cr.noGrad(() => model.parameters().forEach((p) => void p.mul_(scale)));
  const body = (x, y) => loss(model.forward(x), y);
  const step = cr.compile((x, y) => {
    optimizer.zeroGrad();
    const value = cast ? cr.autocast(() => body(x, y), { dtype: options.dtype }) : body(x, y);
    value.backward();
    optimizer.step();
    return value;
  });
  const stream = numbers(seed);
  const random = () => stream.next().value;
  return Array.from({ length: steps }, () => step(...batchOf(random)).itemNow());
}

const mean = (values) => values.reduce((a, b) => a + b, 0) / values.length;

await cr.setEngine({ engine: options.engine, threads: Number(options.threads) });
for (const name of options.case.split(',')) {
  const batchOf = await data[name]();
  const runs = [];
  const tell = (what, some) => {
    for (const n of LAST) {
      const of = (losses) => mean(losses.slice(-n));
      const base = mean(some.map((run) => of(run.float32)));
      const rest = Object.keys(ways)
        .slice(1)
        .map((way) => {
          const off = some.map((run) => (100 * (of(run[way]) - of(run.float32))) / base);
          const spread = Math.sqrt(mean(off.map((x) => (x - mean(off)) ** 2)) / Math.max(1, off.length - 1));
          return `${way} ${mean(off).toFixed(2)}${off.length > 1 ? ` ± ${spread.toFixed(2)}` : ''} %`;
        });
      console.log(`${name.padEnd(9)} ${what.padEnd(8)} last ${`${n}`.padEnd(4)} float32 ${base.toFixed(5)}, ${rest.join(', ')}`);
    }
  };
  for (const seed of seeds) {
    runs.push(Object.fromEntries(Object.entries(ways).map(([way, how]) => [way, train(name, seed, batchOf, how)])));
    tell(`seed ${seed}`, runs.slice(-1));
  }
  if (seeds.length > 1) tell('mean', runs);
}
process.exit(0);
