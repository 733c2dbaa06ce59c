#!/usr/bin/env node
// npm run bench -- [--json] [--only matmul,workloads,overhead,memory,layers] [--engine native,wasm] [--threads 1,2] [--seconds 1] [--clock cpu] [--peers torch,compile,jax,tfjs,jaxjs,one | --no-peers] [--dispose]
import { cpus, totalmem } from 'node:os';
import { parseArgs } from 'node:util';
import * as cr from 'chainrule';
import { openCrossing } from './crossing.mjs';
import { layers } from './layers.mjs';
import { formatTable } from './layerTable.mjs';
import { memoryCases } from './memory.mjs';
import { peakCases } from './peak.mjs';
import { pythons, startJax, startJaxjs, startOne, startTfjs, startTorch } from './peers.mjs';
import { countStolen } from './stolen.mjs';
import { cases } from './workloads.mjs';

const { values: options } = parseArgs({
  options: {
    json: { type: 'boolean', default: false },
    only: { type: 'string', default: 'matmul,workloads,overhead,memory' },
    case: { type: 'string' },
    engine: { type: 'string', default: 'native,wasm' },
    threads: { type: 'string', default: '1,2' },
    seconds: { type: 'string', default: '1' },
    rounds: { type: 'string', default: '5' },
    clock: { type: 'string', default: 'wall' },
    modes: { type: 'string', default: 'eager,compiled' },
    peers: { type: 'string', default: 'torch,tfjs,jaxjs' },
    'no-peers': { type: 'boolean', default: false },
    dispose: { type: 'boolean', default: false },
  },
});
process.env.BENCH_CLOCK = options.clock; // for the peers too
const { interleave, median, now, timeBeside, timeCalls, timeShortCalls } = await import('./measure.mjs');
const groups = options.only.split(',');
const seconds = Number(options.seconds);
const rounds = Number(options.rounds);
const note = (text) => process.stderr.write(`${text}\n`);

/** Starts an engine; undefined where this machine has none of the kind. */
async function openEngine(engine, threads) {
  try {
    return await cr.setEngine({ engine, threads });
  } catch (error) {
    note(`${engine}: ${error.message.split('\n')[0]}`);
    return undefined;
  }
}

/** Rivals that stand beside this engine: native code beside PyTorch, WASM beside other JavaScript libraries too. */
async function openPeers(engine, threads) {
  if (options['no-peers']) return {};
  const each = (how, name) => pythons.map((python, i) => [i === 0 ? name : `${name}${i + 1}`, () => startTorch(threads, python, how)]);
  const known = {
    torch: each('eager', 'torch'),
    compile: each('compile', 'compile'),
    jax: [['jax', () => startJax(threads)]],
    tfjs: [['tfjs', startTfjs]],
    jaxjs: [['jaxjs', startJaxjs]],
    one: [['one', () => startOne(engine)]],
  };
  const isBeside = (name) =>
    name === 'one' ? threads > 1 || options.modes.includes('bfloat16') : !name.endsWith('js') || (engine === 'wasm' && threads === 1);
  const starts = options.peers.split(',').flatMap((name) => {
    if (known[name] === undefined) throw new Error(`--peers: ${name} is none of ${Object.keys(known).join(', ')}`);
    return isBeside(name) ? known[name] : [];
  });
  const entries = await Promise.all(starts.map(async ([name, start]) => [name, await start()]));
  const there = entries.filter(([, peer]) => peer !== null);
  const versions = entries.map(([name, peer]) => `${name} ${peer === null ? 'not installed' : peer.version}`);
  note(`beside ${engine}, ${threads} thread${threads > 1 ? 's' : ''}: ${versions.join(', ')}`);
  return Object.fromEntries(there);
}

/** GFLOP/s of as many cores as the engine has threads, all computing at once for some milliseconds. */
function probeOf(backend, threads) {
  const short = 2 ** 16;
  backend.peakGflops({ iterations: short, threads });
  const started = performance.now();
  backend.peakGflops({ iterations: short, threads });
  const perMs = (3 * short) / (performance.now() - started);
  const least = short / 4;
  // Where another process holds a core, probes on all of them wait for it: the peak is never taken for less than that of one.
  const one = threads > 1 ? backend.peakGflops({ iterations: 2 ** 20, clock: now }) : 0;
  return (ms) => {
    const iterations = Math.max(least, Math.round(ms * perMs));
    return Math.max(one, threads * backend.peakGflops({ iterations, clock: now, threads, times: 1 }));
  };
}

/** Gives a result back at once, as PyTorch does when the last reference to it goes. */
function dispose(result) {
  if (cr.isTensor(result)) result[Symbol.dispose]();
}

async function runCase(item, mode, peers, backend, threads) {
  const crossings = [];
  const stolen = countStolen();
  const call = mode === 'eager' ? item.make() : cr.compile(item.make({ cast: mode === 'bfloat16' }));
  const run = options.dispose ? () => dispose(call()) : call;
  const theirs = mode === 'eager' ? mode : 'compiled'; // in float32
  run();
  const per = item.perCall ?? 1;
  const part = seconds / rounds;
  const probe = probeOf(backend, threads);
  const clock = timeCalls(run, 0.01) < 0.2 ? timeShortCalls : timeCalls;
  const samples = [];
  const ours = async () => {
    await new Promise((done) => setImmediate(done)); // lets finalizers of the round before run
    if (threads > 1) crossings.push(crossing.measure());
    if (!(item.flops > 0)) return clock(run, part) / per;
    const round = timeBeside(run, item.flops, probe, 2 * part); // half of it goes to the probes
    samples.push(...round);
    return median(round.map((s) => s.ms)) / per;
  };
  const rivals = Object.fromEntries(
    Object.entries(peers).map(([name, peer]) => [name, () => peer.ask(item.name, part, { ...item.request, mode: theirs })]),
  );
  const result = await interleave(ours, rivals, rounds);
  for (const [name, facts] of Object.entries(result.peers)) facts.version = peers[name].version;
  const crossingNs = threads > 1 ? { median: median(crossings), max: Math.max(...crossings) } : undefined;
  const host = { stolen: stolen(), crossingNs };
  if (samples.length === 0) return { ms: result.ms, peakGflops: probe(10) / threads, ...host, peers: result.peers };
  const peakGflops = median(samples.map((s) => s.peak)) / threads;
  const shareOfPeak = median(samples.map((s) => s.share));
  return { ms: result.ms, peakGflops, gflops: item.flops / result.ms / 1e6, shareOfPeak, ...host, peers: result.peers };
}

const crossing = await openCrossing();
const modesOf = { workloads: ['eager', 'compiled', 'bfloat16'], layers: ['compiled'] };
const results = [];
let fmaPeakGflops = Number.NaN;
for (const engine of options.engine.split(',')) {
  for (const threads of options.threads.split(',').map(Number)) {
    const selection = await openEngine(engine, threads);
    if (selection === undefined) continue;
    const peak = selection.backend.peakGflops();
    if (engine === 'native' && threads === 1) fmaPeakGflops = peak;
    const peers = await openPeers(engine, threads);
    for (const item of [...cases, ...layers]) {
      if (!groups.includes(item.group) || (options.case && !options.case.split(',').includes(item.name))) continue;
      for (const mode of modesOf[item.group] ?? ['eager']) {
        if (!options.modes.split(',').includes(mode)) continue;
        const facts = await runCase(item, mode, peers, selection.backend, threads);
        results.push({ name: item.name, engine, threads, mode, ...facts });
        note(formatCase(results.at(-1)));
      }
    }
    for (const peer of Object.values(peers)) peer.stop();
  }
}
if (groups.includes('memory')) {
  for (const facts of await memoryCases(options.engine.split(','))) {
    results.push(facts);
    note(`memory ${facts.engine}: ${facts.steps} steps, resident set grew ${facts.grownMb.toFixed(1)} MB after the first 500`);
  }
  for (const facts of await peakCases(options.engine.split(','), !options['no-peers'])) {
    results.push(facts);
    const rivals = Object.entries(facts.peers).map(([peer, p]) => `  ${peer} ${p.grownMb.toFixed(0)} MB (x${p.ratio.toFixed(2)})`);
    const arena = facts.arenaMb === undefined ? '' : `, arena ${facts.arenaMb.toFixed(0)} MB`;
    note(`${facts.name} ${facts.engine} ${facts.mode}: peak of ${facts.grownMb.toFixed(0)} MB${arena}${rivals.join('')}`);
  }
}

/** What the host did meanwhile, where a figure suffers by it. */
function formatHost({ stolen, crossingNs }) {
  const kept = stolen > 0.05 ? `  (the host kept ${(100 * stolen).toFixed(0)} % of the processors)` : '';
  const far = crossingNs?.max > 250 ? `  (cores ${crossingNs.median.toFixed(0)} to ${crossingNs.max.toFixed(0)} ns apart)` : '';
  return kept + far;
}

function formatCase({ name, engine, threads, mode, ms, gflops, shareOfPeak, peers, ...host }) {
  const speed = gflops === undefined ? '' : `  ${gflops.toFixed(1)} GFLOP/s, ${(100 * shareOfPeak).toFixed(0)} % of peak`;
  const rivals = Object.entries(peers).map(([peer, p]) => `  ${peer} ${p.ms.toPrecision(3)} ms (x${p.ratio.toFixed(2)})`);
  return `${name.padEnd(20)} ${engine} ${threads}t ${mode.padEnd(8)}  ${ms.toPrecision(4).padStart(9)} ms${speed}${rivals.join('')}${formatHost(host)}`;
}

const machine = {
  cpu: cpus()[0]?.model,
  cores: cpus().length,
  memoryGb: Math.round(totalmem() / 2 ** 30),
  node: process.version,
  platform: process.platform,
  arch: process.arch,
};
if (options.json) process.stdout.write(`${JSON.stringify({ machine, fmaPeakGflops, cases: results }, null, 2)}\n`);
else if (groups.includes('layers')) process.stdout.write(formatTable(results, layers));
process.exit(0);
