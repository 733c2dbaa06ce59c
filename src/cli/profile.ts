import { writeFileSync } from 'node:fs';
import { describeEngine } from '../index.js';
import { profileExperiment } from '../train/profileExperiment.js';
import { loadExperiment } from './load.js';

export interface ProfileFlags {
  readonly set?: Readonly<Record<string, unknown>>;
  readonly batchSize?: number;
  readonly runs?: number;
  readonly trace?: string;
}

/** A loop that waits longer than this share of its time is worth a word. */
const LONG_WAIT = 0.1;

/** `chainrule profile`: one table of kernels, and whether the step waits for data. */
export async function profileFile(file: string, { set, batchSize, runs, trace }: ProfileFlags): Promise<void> {
  const print = (text: string): void => void process.stdout.write(`${text}\n`);
  print(`engine: ${describeEngine()}`);
  const exp = await loadExperiment(file);
  const values = { ...set, ...(batchSize !== undefined && { batchSize }) };
  const { profile, data } = await profileExperiment(exp, { set: values, ...(runs !== undefined && { runs }) });
  print(`\n${profile}\n`);
  print(`data: ${data.ms.toFixed(2)} ms a batch, ${(100 * data.share).toFixed(0)} % of the loop's time over ${data.batches} batches`);
  if (data.share > LONG_WAIT)
    print('  Hint: the step waits for its data: load in workers (WorkerDataset), or prepare tensors once before training.');
  if (trace !== undefined) {
    writeFileSync(trace, profile.trace());
    print(`trace: ${trace} (open it in chrome://tracing or ui.perfetto.dev)`);
  }
}
