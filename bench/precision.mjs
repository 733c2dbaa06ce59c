#!/usr/bin/env node
// npm run bench:precision -- [--case cnn,gpt_mini] [--steps 500] [--seeds 1] [--dtype bfloat16] [--engine native] [--threads 2]
// Trains on real data (MNIST digits; the characters of this repository's documents) in float32 and under autocast, from the same
// weights on the same batches, and prints where the losses end: the mean of the last 20.
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
  },
});
const steps = Number(options.steps);
const LAST = 20;

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

function train(name, seed, batchOf, cast) {
  cr.manualSeed(seed);
  const { model, optimizer, loss } = cases.find((c) => c.name === name).build();
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

const endOf = (losses) => losses.slice(-LAST).reduce((a, b) => a + b, 0) / LAST;

await cr.setEngine({ engine: options.engine, threads: Number(options.threads) });
for (const name of options.case.split(',')) {
  const batchOf = await data[name]();
  for (let seed = 1; seed <= Number(options.seeds); seed++) {
    const [full, half] = [false, true].map((cast) => train(name, seed, batchOf, cast));
    const [a, b] = [endOf(full), endOf(half)];
    const at = [0, 9, 99, 249].filter((i) => i < steps).map((i) => `${full[i].toFixed(4)}/${half[i].toFixed(4)}`);
    console.log(
      `${name.padEnd(9)} seed ${seed}  steps 1, 10, 100, 250: ${at.join(' ')}  ` +
        `mean of the last ${LAST}: float32 ${a.toFixed(5)}, ${options.dtype} ${b.toFixed(5)} (${(100 * (b / a - 1)).toFixed(2)} %)`,
    );
  }
}
process.exit(0);
