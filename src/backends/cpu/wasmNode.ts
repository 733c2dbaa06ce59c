import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import { checkFormat } from './format.js';
import type { WasmHost } from './wasm.js';
import { workerSource } from './workerSource.js';

export const nodeHost: WasmHost = {
  processors: availableParallelism(),
  threads: true,
  checkFormat,
  decode: (base64) => new Uint8Array(Buffer.from(base64, 'base64')),
  compile: (bytes) => new WebAssembly.Module(bytes),
  startWorker: (workerData) =>
    new Promise((resolve, reject) => {
      const worker = new Worker(workerSource, { eval: true, workerData });
      worker.once('error', reject);
      worker.once('message', () => {
        worker.unref();
        resolve();
      });
    }),
};
