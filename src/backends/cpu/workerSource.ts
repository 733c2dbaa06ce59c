/**
 * What a thread of the WASM engine runs: it enters the pool and stays there, so it never returns to its event loop.
 * Text, for bundlers do not agree on how a worker's file is named. Node: `new Worker(text, { eval: true })`; browsers: a Blob.
 */
export const workerSource = `
function start({ module, memory, id, stack }, ready) {
  const { exports } = new WebAssembly.Instance(module, { env: { memory } });
  exports.__stack_pointer.value = stack;
  ready();
  exports.pool_worker(id);
}
if (typeof require === 'function') {
  const { parentPort, workerData } = require('node:worker_threads');
  start(workerData, () => parentPort.postMessage('ready'));
} else {
  onmessage = ({ data }) => start(data, () => postMessage('ready'));
}
`;
