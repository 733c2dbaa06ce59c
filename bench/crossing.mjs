// How long a cache line takes to another core and back. The two cores of a virtual machine may lie on one chiplet at one time and on
// two at another (110 or 400-500 ns here): steps whose threads share data are then slower, products of large matrices are not.
import { once } from 'node:events';
import { isMainThread, Worker, workerData } from 'node:worker_threads';

const PING = 0;
const PONG = 32; // on a cache line of its own
const TURN = 64; // counts measurements: the other thread sleeps between them
const TRIPS = 2000;

function answer(cells) {
  for (let turn = 0; ; turn++) {
    Atomics.wait(cells, TURN, turn);
    for (let trip = 1; trip <= TRIPS; trip++) {
      while (Atomics.load(cells, PING) !== trip);
      Atomics.store(cells, PONG, trip);
    }
  }
}

function timeTrips(cells) {
  const t = performance.now();
  for (let trip = 1; trip <= TRIPS; trip++) {
    Atomics.store(cells, PING, trip);
    while (Atomics.load(cells, PONG) !== trip);
  }
  return ((performance.now() - t) * 1e6) / TRIPS;
}

/** Starts the other thread: `measure()` gives nanoseconds there and back, the best of a few times, `close()` ends it. */
export async function openCrossing() {
  const cells = new Int32Array(new SharedArrayBuffer(384));
  const worker = new Worker(new URL(import.meta.url), { workerData: cells });
  await once(worker, 'online');
  worker.unref();
  const measureOnce = () => {
    cells[PING] = 0;
    cells[PONG] = 0;
    Atomics.add(cells, TURN, 1);
    Atomics.notify(cells, TURN);
    return timeTrips(cells);
  };
  return { measure: () => Math.min(measureOnce(), measureOnce(), measureOnce()), close: () => worker.terminate() };
}

if (!isMainThread) answer(workerData);
