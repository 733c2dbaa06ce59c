import { existsSync } from 'node:fs';
import { join, relative } from 'node:path';
import { describeEngine } from '../index.js';
import type { TrainEvent } from '../train/events.js';
import { withValues } from '../train/experiment.js';
import { loadRun } from '../train/nodeRecorder.js';
import { type ExperimentResult, runExperiment } from '../train/runExperiment.js';
import { loadExperiment } from './load.js';
import { formatScore, Progress } from './progress.js';
import { Curves, drawConfusion } from './report.js';
import { count, duration, type Style, styleFor } from './style.js';

export interface TrainFlags {
  readonly epochs?: number;
  readonly set?: Readonly<Record<string, unknown>>;
  readonly seed?: number;
  readonly batchSize?: number;
  readonly out: string;
  readonly name?: string;
  readonly resume?: string;
  readonly quiet?: boolean;
  readonly compile?: boolean;
  readonly color?: boolean;
  readonly engine?: string;
  readonly threads?: number;
}

/** `chainrule train`: runs an experiment file and tells what happens. */
export async function train(file: string, flags: TrainFlags): Promise<void> {
  const { stdout } = process;
  const style = styleFor(stdout, flags.color);
  const print = (text: string): void => void (flags.quiet === true || stdout.write(`${text}\n`));
  print(`engine: ${describeEngine()}`);
  const resume = flags.resume === undefined ? undefined : await loadRun(flags.resume);
  const exp = await loadExperiment(file);
  const set = { ...(resume?.config.set as object | undefined), ...valuesOf(flags) };
  const { epochs = 1 } = withValues(exp, set);
  const runDir = flags.resume ?? newFolder(flags.out, flags.name ?? `${exp.name}-${stamp(new Date())}`);
  print(`run:    ${shown(runDir)}`);
  const progress = new Progress({ style, out: stdout, epochs });
  const curves = new Curves();
  const onEvent = (event: TrainEvent): void => {
    curves.handle(event);
    if (event.type === 'start') print(`model:  ${count(event.parameters)} parameters, ${event.batches} batches of ${event.batchSize}`);
    if (flags.quiet !== true) progress.handle(event);
  };
  const interrupt = listenForInterrupt(() => progress.line('interrupted: finishing this step and saving (Ctrl-C again ends at once)'));
  try {
    const onEvaluate = (done: number): void => void (flags.quiet === true || progress.evaluating(done));
    const result = await runExperiment(exp, { set, runDir, signal: interrupt.signal, onEvent, onEvaluate, ...(resume && { resume }) });
    progress.stop();
    if (flags.quiet !== true) print(pictures(result, curves, exp.classes, style));
    stdout.write(`${summary(result, runDir, `${file} --resume ${shown(runDir)}${enginePart(flags)}`, style)}\n`);
    process.exitCode = exitCode(result);
  } finally {
    progress.stop();
    interrupt.stop();
  }
}

function valuesOf({ set, epochs, seed, batchSize, compile }: TrainFlags): Readonly<Record<string, unknown>> {
  return {
    ...set,
    ...(epochs !== undefined && { epochs }),
    ...(seed !== undefined && { seed }),
    ...(batchSize !== undefined && { batchSize }),
    ...(compile === false && { compile }),
  };
}

const enginePart = ({ engine, threads }: TrainFlags): string =>
  `${engine === undefined ? '' : ` --engine ${engine}`}${threads === undefined ? '' : ` --threads ${threads}`}`;

const shown = (path: string): string => {
  const near = relative(process.cwd(), path);
  return near === '' || near.startsWith('..') ? path : near;
};

/** 20260131-235959, in local time. */
function stamp(now: Date): string {
  const two = (n: number): string => String(n).padStart(2, '0');
  const day = `${now.getFullYear()}${two(now.getMonth() + 1)}${two(now.getDate())}`;
  return `${day}-${two(now.getHours())}${two(now.getMinutes())}${two(now.getSeconds())}`;
}

/** A folder that does not exist yet. */
function newFolder(out: string, name: string): string {
  let folder = join(out, name);
  for (let i = 2; existsSync(folder); i++) folder = join(out, `${name}-${i}`);
  return folder;
}

/** The first Ctrl-C (or request to end) asks the run to stop, a second one ends the process. */
function listenForInterrupt(onFirst: () => void): { readonly signal: AbortSignal; stop(): void } {
  const controller = new AbortController();
  const listener = (): void => {
    if (controller.signal.aborted) process.exit(130);
    onFirst();
    controller.abort();
  };
  process.on('SIGINT', listener);
  process.on('SIGTERM', listener);
  return {
    signal: controller.signal,
    stop() {
      process.off('SIGINT', listener);
      process.off('SIGTERM', listener);
    },
  };
}

function pictures({ test, history }: ExperimentResult, curves: Curves, classes: readonly string[] | undefined, style: Style): string {
  const drawn = curves.draw(history, style);
  const confusion = test?.tables.confusion;
  const table =
    confusion === undefined
      ? ''
      : `${style.bold('confusion matrix')}  ${style.dim('rows: true, columns: predicted')}\n${drawConfusion(confusion, classes, style)}`;
  return [drawn, table]
    .filter((part) => part !== '')
    .map((part) => `\n${part}`)
    .join('\n');
}

function summary(
  { test, best, stopped, seconds, steps, epochs }: ExperimentResult,
  runDir: string,
  continued: string,
  { bold, green, yellow }: Style,
): string {
  const lines = [''];
  if (test !== null) {
    const scores = Object.entries(test.scores).sort(([a], [b]) => Number(a === 'loss') - Number(b === 'loss'));
    lines.push(bold(green(`test ${scores.map(([name, value]) => formatScore(name, value)).join('  ')}`)));
  }
  const how = stopped === 'finished' ? 'trained' : yellow(stopped === 'interrupted' ? 'interrupted' : `stopped: ${stopped};`);
  lines.push(`${how} after ${epochs} epoch${epochs === 1 ? '' : 's'}, ${count(steps)} steps, ${duration(seconds)}`);
  if (best !== null) lines.push(`best validation ${formatScore(best.monitor, best.value)} in epoch ${best.epoch + 1}`);
  const kept = [best === null && epochs === 0 ? null : 'best.safetensors', 'last.safetensors', 'events.jsonl'].filter((f) => f !== null);
  const there = kept.filter((name) => existsSync(join(runDir, name)));
  lines.push(`saved in ${shown(runDir)}: ${there.join(', ')}`);
  if (there.includes('last.safetensors')) {
    const more = stopped === 'interrupted' ? '' : ` --epochs ${epochs + Math.max(1, epochs)}`;
    lines.push(`go on with: npx chainrule train ${continued}${more}`);
  }
  return lines.join('\n');
}

function exitCode({ stopped, steps }: ExperimentResult): number {
  if (stopped === 'interrupted') return 130;
  return /NaN|Infinity/.test(stopped) && steps > 0 ? 1 : 0;
}
