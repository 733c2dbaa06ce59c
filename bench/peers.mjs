// Rivals run in processes of their own and answer one request at a time.
import { spawn } from 'node:child_process';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const here = (file) => fileURLToPath(new URL(file, import.meta.url));

/** Starts a rival; null when it is not installed. `ask` gives milliseconds per call, or null where it cannot run the case. */
export async function startPeer(command, args, env = {}) {
  const child = spawn(command, args, { env: { ...process.env, ...env }, stdio: ['pipe', 'pipe', 'ignore'] });
  const lines = createInterface({ input: child.stdout })[Symbol.asyncIterator]();
  child.stdin.on('error', () => undefined);
  const started = await Promise.race([lines.next(), new Promise((done) => child.once('error', () => done({ done: true })))]);
  if (started.done) return null;
  const { version } = JSON.parse(started.value);
  const request = async (facts) => {
    child.stdin.write(`${JSON.stringify(facts)}\n`);
    const answer = await lines.next();
    return answer.done ? {} : JSON.parse(answer.value);
  };
  const ask = async (name, seconds, more = {}) => (await request({ case: name, seconds, ...more })).ms ?? null;
  return { version, ask, request, stop: () => child.kill() };
}

/** BENCH_PYTHON may name several Pythons, separated by commas. */
export const pythons = (process.env.BENCH_PYTHON ?? 'python3').split(',');
export const startTorch = (threads, python = pythons[0], how = 'eager') =>
  startPeer(python, [here('peers/torchPeer.py'), `${threads}`, how], {
    OMP_NUM_THREADS: `${threads}`,
    OPENBLAS_NUM_THREADS: `${threads}`,
    MKL_NUM_THREADS: `${threads}`,
  });
/** BENCH_JAX names a Python with JAX. XLA takes its number of threads from that of the processors, which NPROC stands for. */
export const startJax = (threads) =>
  startPeer(process.env.BENCH_JAX ?? 'python3', [here('peers/jaxPeer.py')], {
    NPROC: `${threads}`,
    OMP_NUM_THREADS: `${threads}`,
    JAX_PLATFORMS: 'cpu',
    ...(threads === 1 ? { XLA_FLAGS: '--xla_cpu_multi_thread_eigen=false' } : {}),
  });
export const startTfjs = () => startPeer(process.execPath, [here('peers/tfjs.mjs')]);
export const startJaxjs = () => startPeer(process.execPath, [here('peers/jaxjs.mjs')]);
/** This library again, with one thread. */
export const startOne = (engine) => startPeer(process.execPath, [here('one.mjs'), engine]);
