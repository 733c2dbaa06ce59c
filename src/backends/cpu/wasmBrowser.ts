import type { WasmHost } from './wasm.js';
import { workerSource } from './workerSource.js';

export const browserHost: WasmHost = {
  processors: navigator.hardwareConcurrency,
  threads: globalThis.crossOriginIsolated === true,
  decode: (base64) => Uint8Array.from(atob(base64), (c) => c.charCodeAt(0)),
  compile: (bytes) => WebAssembly.compile(bytes),
  startWorker: (data) =>
    new Promise((resolve, reject) => {
      const url = URL.createObjectURL(new Blob([workerSource], { type: 'text/javascript' }));
      const worker = new Worker(url);
      worker.onerror = (event) => reject(new Error(`a thread of the WASM engine did not start: ${event.message}`));
      worker.onmessage = () => {
        URL.revokeObjectURL(url);
        resolve();
      };
      worker.postMessage(data);
    }),
};
