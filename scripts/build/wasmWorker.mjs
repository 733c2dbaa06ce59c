import { parentPort } from 'node:worker_threads';
import { commands, runLLVM } from '@yowasp/clang';

const quiet = () => {};
const ready = runLLVM(null, {}, { fetchProgress: quiet });

// One job at a time: { command, args, files, output } -> { data, text, failed }. null ends the thread.
parentPort.on('message', async (job) => {
  if (job === null) {
    parentPort.close();
    return;
  }
  const { command, args, files, output } = job;
  const chunks = [];
  const collect = (bytes) => bytes !== null && chunks.push(Buffer.from(bytes));
  const text = () => Buffer.concat(chunks).toString('utf8');
  try {
    await ready;
    const result = await commands[command](args, files, { stdout: collect, stderr: collect, fetchProgress: quiet });
    const data = result[output];
    parentPort.postMessage({ data, text: text() });
  } catch (error) {
    parentPort.postMessage({ text: text() || String(error), failed: true });
  }
});
