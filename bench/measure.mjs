// Timing with medians; comparisons interleave the rivals within one run, for the machine is shared and its speed drifts.
export const median = (values) => [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;

function processorTime() {
  const { user, system } = process.cpuUsage();
  return (user + system) / 1e3;
}
/** Milliseconds; with BENCH_CLOCK=cpu those that this process's threads ran for, which other work on the machine does not lengthen. */
export const now = process.env.BENCH_CLOCK === 'cpu' ? processorTime : () => performance.now();

/** Median milliseconds of one call, over about `seconds`. */
export function timeCalls(run, seconds) {
  const times = [];
  const end = performance.now() + seconds * 1e3;
  while (performance.now() < end || times.length < 3) {
    const t = now();
    run();
    times.push(now() - t);
  }
  return median(times);
}

/** How many calls the clock can time together. */
function batchOf(run) {
  for (let batch = 1; ; batch *= 2) {
    const t = now();
    for (let i = 0; i < batch; i++) run();
    if (now() - t > 0.5 || batch > 1e6) return batch;
  }
}

const batched = (run, batch) => () => {
  for (let i = 0; i < batch; i++) run();
};

/** Like timeCalls for calls too short for the clock: batches of calls are timed together. */
export function timeShortCalls(run, seconds) {
  const batch = batchOf(run);
  return timeCalls(batched(run, batch), seconds) / batch;
}

const LONGEST_PROBE = 20;

/**
 * Samples of calls, each between two probes of the machine's peak of about its own length (at most 20 ms), for the peak moves within tens
 * of milliseconds. `probe(ms)` gives GFLOP/s; `flops` are those of a call. The probe behind a sample is the one before the next.
 */
export function timeBeside(run, flops, probe, seconds) {
  const batch = batchOf(run);
  const sample = batched(run, batch);
  const timed = () => {
    const t = now();
    sample();
    return now() - t;
  };
  const length = Math.min(LONGEST_PROBE, timed());
  const samples = [];
  const end = performance.now() + seconds * 1e3;
  let before = probe(length);
  while (performance.now() < end || samples.length < 3) {
    const took = timed();
    const after = probe(length);
    const peak = (before + after) / 2;
    samples.push({ ms: took / batch, peak, share: (flops * batch) / took / 1e6 / peak });
    before = after;
  }
  return samples;
}

/** Rounds of (ours, each rival) in turn: medians, and the median of the per-round ratios. */
export async function interleave(ours, rivals, rounds) {
  const own = [];
  const theirs = Object.fromEntries(Object.keys(rivals).map((name) => [name, []]));
  for (let r = 0; r < rounds; r++) {
    own.push(await ours());
    for (const [name, ask] of Object.entries(rivals)) theirs[name].push(await ask());
  }
  const peers = {};
  for (const [name, times] of Object.entries(theirs)) {
    if (times.some((t) => t === null)) continue;
    peers[name] = { ms: median(times), ratio: median(times.map((t, i) => t / own[i])) };
  }
  return { ms: median(own), peers };
}
