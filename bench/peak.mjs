// The memory of a training step at its peak, beside PyTorch: how far the resident set rises over that of a process that has loaded the
// library and done nothing yet. Model, optimizer state, gradients and data count. Each measurement is a process of its own (Linux only).
import { spawnSync } from 'node:child_process';
import { existsSync, readFileSync, writeFileSync } from 'node:fs';
import { fileURLToPath } from 'node:url';
import { startTorch } from './peers.mjs';

const STEPS = 5;
const names = ['resnet20', 'gpt_mini'];
const modes = ['eager', 'compiled'];

export async function peakCases(engines, withPeers) {
  if (!existsSync('/proc/self/clear_refs')) return [];
  const results = [];
  for (const name of names) {
    const torch = withPeers ? await torchPeak(name) : null;
    for (const engine of engines.filter((e) => e !== 'reference')) {
      for (const mode of modes) {
        const run = spawnSync(process.execPath, [fileURLToPath(import.meta.url), engine, name, mode], { encoding: 'utf8' });
        if (run.status !== 0) continue;
        const facts = JSON.parse(run.stdout);
        const peers = torch && { torch: { ...torch, ratio: torch.grownMb / facts.grownMb } };
        results.push({ name: `peak_${name}`, engine, threads: 1, mode, steps: STEPS, ...facts, peers: peers ?? {} });
      }
    }
  }
  return results;
}

async function torchPeak(name) {
  const peer = await startTorch(1);
  if (peer === null) return null;
  const { grownMb } = await peer.request({ case: name, steps: STEPS });
  peer.stop();
  return grownMb === undefined ? null : { grownMb, version: peer.version };
}

/** Megabytes of a line in the process's status. */
function resident(key) {
  const line = readFileSync('/proc/self/status', 'utf8')
    .split('\n')
    .find((l) => l.startsWith(key)); // prettier-ignore
  return Number(/\d+/.exec(line)[0]) / 1024;
}

async function measure([engine, name, mode]) {
  const cr = await import('chainrule');
  const { cases } = await import('./workloads.mjs');
  await cr.setEngine({ engine, threads: 1 });
  cr.ones([4]).add(1);
  writeFileSync('/proc/self/clear_refs', '5'); // the peak so far is forgotten
  const base = resident('VmRSS');
  const step = cases.find((c) => c.name === name).make();
  const run = mode === 'compiled' ? cr.compile(step) : step;
  for (let i = 0; i < STEPS; i++) {
    run();
    await new Promise((done) => setImmediate(done)); // what `await loss.item()` would do
  }
  const arena = mode === 'compiled' ? { arenaMb: run.programs[0].arenaBytes / 2 ** 20 } : {};
  return { grownMb: resident('VmHWM') - base, ...arena };
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  process.stdout.write(JSON.stringify(await measure(process.argv.slice(2))));
}
