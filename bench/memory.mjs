// Ten thousand eager training steps without any dispose: does the resident set stay flat? Each engine in a process of its own.
import { spawnSync } from 'node:child_process';
import { fileURLToPath } from 'node:url';

const STEPS = 10_000;

export async function memoryCases(engines) {
  return engines.flatMap((engine) => {
    const run = spawnSync(process.execPath, [fileURLToPath(import.meta.url), engine], { encoding: 'utf8' });
    return run.status === 0 ? [JSON.parse(run.stdout)] : [];
  });
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const engine = process.argv[2];
  const cr = await import('chainrule');
  const { cases } = await import('./workloads.mjs');
  await cr.setEngine({ engine, threads: 1 });
  const step = cases.find((c) => c.name === 'mnist_mlp').make();
  let base = 0;
  let most = 0;
  for (let i = 0; i < STEPS; i++) {
    step();
    if (engine !== 'native') await new Promise((done) => setImmediate(done)); // what `await loss.item()` would do
    if (i >= 500 && i % 100 === 0) most = Math.max(most, process.memoryUsage.rss());
    if (i === 500) base = most;
  }
  const grownMb = (most - base) / 2 ** 20;
  process.stdout.write(
    JSON.stringify({
      name: 'memory_mnist_mlp',
      engine,
      threads: 1,
      mode: 'eager',
      steps: STEPS,
      grownMb,
      rssMb: most / 2 ** 20,
      peers: {},
    }),
  );
}
