import { LibError } from '../core/errors.js';
import type { Platform, WorkerPort } from './platform.js';

async function read(op: string, source: string | URL): Promise<Uint8Array> {
  const response = await fetch(source).catch((error: unknown) => {
    throw new LibError('file', `${op}: the address must be readable, got ${source}: ${error instanceof Error ? error.message : error}.`);
  });
  if (!response.ok) throw new LibError('file', `${op}: the address must be readable, got ${source}: status ${response.status}.`);
  return new Uint8Array(await response.arrayBuffer());
}

function startWorker(script: URL, name: string): WorkerPort {
  const worker = new Worker(script, { type: 'module', name });
  return {
    post: (message) => worker.postMessage(message),
    onMessage: (listener) => worker.addEventListener('message', (event) => listener(event.data)),
    onError: (listener) => worker.addEventListener('error', (event) => listener(new Error(event.message))),
    terminate: () => worker.terminate(),
  };
}

/** A message to oneself comes after what is already waiting; timers would be held back to 4 ms. */
function yieldNow(): Promise<void> {
  return new Promise((resume) => {
    const { port1, port2 } = new MessageChannel();
    port1.onmessage = () => {
      port1.close();
      resume();
    };
    port2.postMessage(null);
  });
}

export const platform: Platform = {
  readFile: read,
  writeFile(op, path) {
    const hint = 'use encodeSafetensors() and let the page offer the bytes as a download.';
    return Promise.reject(new LibError('file', `${op}: pages cannot write files, got ${path}.`, hint));
  },
  packageFile: () => undefined,
  dataWorker: new URL('../data/workerBrowser.js', import.meta.url),
  startWorker,
  yieldNow,
};
