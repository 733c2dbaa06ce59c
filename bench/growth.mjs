#!/usr/bin/env node
// How the time of a compiled training step grows with batch, width, depth and sequence length.   npm run bench:growth -- [--svg docs/growth.svg]
import { writeFileSync } from 'node:fs';
import { parseArgs } from 'node:util';
import * as cr from 'chainrule';
import { LayerNorm, Linear, Module, ReLU, Sequential, TransformerBlock } from 'chainrule/nn';
import { SGD } from 'chainrule/optim';
import { growthChart } from './growthChart.mjs';
import { median, timeCalls } from './measure.mjs';

const { values: options } = parseArgs({
  options: { svg: { type: 'string' }, engine: { type: 'string', default: 'native' }, threads: { type: 'string', default: '1' } },
});

function stepOf(model, input, target) {
  const optimizer = new SGD(model.parameters(), { lr: 1e-4 });
  return cr.compile(() => {
    optimizer.zeroGrad();
    const loss = cr.mseLoss(model.forward(input), target);
    loss.backward();
    optimizer.step();
    return loss;
  });
}

/** x + Linear(ReLU(LayerNorm(x))): a net of any depth trains. */
class Residual extends Module {
  constructor(width) {
    super();
    this.norm = new LayerNorm(width);
    this.linear = new Linear(width, width);
  }
  forward(x) {
    return x.add(this.linear.forward(this.norm.forward(x).relu()));
  }
}

const mlp = (width, batch) => {
  const model = new Sequential(new Linear(width, width), new ReLU(), new Linear(width, width));
  return stepOf(model, cr.randn([batch, width]), cr.randn([batch, width]));
};
const residual = (depth) => {
  const model = new Sequential(...Array.from({ length: depth }, () => new Residual(64)));
  return stepOf(model, cr.randn([32, 64]), cr.randn([32, 64]));
};
const attention = (time) => {
  const block = new TransformerBlock(64, 2, { causal: true });
  return stepOf(block, cr.randn([1, time, 64]), cr.randn([1, time, 64]));
};

const series = [
  { name: 'batch', unit: 'examples, width 256', sizes: [8, 16, 32, 64, 128, 256, 512, 1024], make: (n) => mlp(256, n), order: 1 },
  { name: 'width', unit: 'units, batch 64', sizes: [16, 32, 64, 128, 256, 512, 1024, 2048], make: (n) => mlp(n, 64), order: 2 },
  { name: 'depth', unit: 'residual layers of width 64', sizes: [8, 16, 32, 64, 128, 256, 512, 1000], make: residual, order: 1 },
  { name: 'sequence', unit: 'positions, one block', sizes: [16, 32, 64, 128, 256, 512, 1024, 2048], make: attention, order: 1 },
];

await cr.setEngine({ engine: options.engine, threads: Number(options.threads) });
const results = [];
for (const { name, unit, sizes, make, order } of series) {
  const points = [];
  for (const size of sizes) {
    const started = performance.now();
    const step = make(size);
    step();
    const captureMs = performance.now() - started;
    for (let i = 0; i < 3; i++) step();
    const ms = median([0, 1, 2].map(() => timeCalls(step, 0.15)));
    const [{ arenaBytes, steps }] = step.programs;
    points.push({ size, ms, captureMs, arenaBytes, steps });
    const per = (1e3 * ms) / size ** order;
    console.log(
      `${name.padEnd(9)} ${String(size).padStart(5)}  ${ms.toFixed(3).padStart(9)} ms  ${per.toPrecision(3).padStart(8)} us per ${order === 1 ? 'one' : 'one²'}  capture ${captureMs.toFixed(0)} ms  ${steps} kernels  ${(arenaBytes / 1e6).toFixed(1)} MB`,
    );
  }
  results.push({ name, unit, order, points });
}
if (options.svg !== undefined) writeFileSync(options.svg, growthChart(results));
process.exit(0);
