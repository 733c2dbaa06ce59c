import { parentPort } from 'node:worker_threads';
import { commands, runLLVM } from '@yowasp/clang';

const quiet = () => {};
const ready = runLLVM(null, {}, { fetchProgress: quiet });

/** All of optimize() that makes these modules smaller: a fifth of its time, and as few bytes. */
const passes = [
  'duplicate-function-elimination',
  'dce',
  'remove-unused-brs',
  'remove-unused-names',
  'optimize-instructions',
  'simplify-locals',
  'coalesce-locals',
  'reorder-locals',
  'merge-blocks',
  'vacuum',
  'rse',
  'vacuum',
  'reorder-functions',
];

/** Rewrites a module to a smaller one that does the same. */
async function optimize(bytes) {
  const { default: binaryen } = await import('binaryen');
  const module = binaryen.readBinary(bytes);
  module.setFeatures(binaryen.Features.All);
  binaryen.setShrinkLevel(1);
  module.runPasses(passes);
  const smaller = module.emitBinary();
  module.dispose();
  return smaller;
}

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
    if (command === 'optimize') {
      parentPort.postMessage({ data: await optimize(files[output]), text: '' });
      return;
    }
    await ready;
    const result = await commands[command](args, files, { stdout: collect, stderr: collect, fetchProgress: quiet });
    const data = result[output];
    parentPort.postMessage({ data, text: text() });
  } catch (error) {
    parentPort.postMessage({ text: text() || String(error), failed: true });
  }
});
