// The protocol of the JavaScript peers: reads one JSON line per request {"case", "mode", "seconds"}, answers {"ms"} or {"error"}.
import { createInterface } from 'node:readline';
import { median, now } from '../measure.mjs';

/** Median milliseconds of one call, over about `seconds`; a call may return a promise, which is awaited within its time. */
async function timeCalls(run, seconds) {
  const times = [];
  const end = performance.now() + seconds * 1e3;
  while (performance.now() < end || times.length < (times[0] > 1e3 ? 1 : 3)) {
    const t = now();
    const pending = run();
    if (pending !== undefined) await pending;
    times.push(now() - t);
  }
  return median(times);
}

/** Answers requests until stdin closes. A maker gives { run, perCall = 1, release } for a mode; one case is alive at a time. */
export async function serve(version, makers) {
  const answer = (facts) => process.stdout.write(`${JSON.stringify(facts)}\n`);
  console.log = console.error; // stdout carries answers only
  const failed = new Map(); // a case that failed once is not built again in every round
  let live = { name: '', mode: '', release: () => undefined };

  const time = async (name, mode, seconds) => {
    if (live.name !== name || live.mode !== mode) {
      live.release();
      live = { name, mode, perCall: 1, ...makers[name](mode) };
      await live.run(); // compiles and warms up outside the timing
    }
    return (await timeCalls(live.run, seconds)) / live.perCall;
  };

  answer({ version });
  for await (const line of createInterface({ input: process.stdin })) {
    const { case: name, mode, seconds } = JSON.parse(line);
    if (makers[name] === undefined) failed.set(name, `no case ${name}`);
    if (!failed.has(name)) {
      try {
        answer({ ms: await time(name, mode, seconds) });
        continue;
      } catch (error) {
        failed.set(name, error.message.split('\n')[0]);
      }
    }
    answer({ error: failed.get(name) });
  }
}
