import { readFileSync } from 'node:fs';
import { Command, CommanderError, InvalidArgumentError, Option } from 'commander';
import { formatError } from './errors.js';
import type { ProfileFlags } from './profile.js';
import type { SearchFlags } from './search.js';
import type { TrainFlags } from './train.js';

// Commands are imported when they run: `--help` must not wait for an engine, and flags choose the engine before it starts.

const { version } = JSON.parse(readFileSync(new URL('../../package.json', import.meta.url), 'utf8')) as { version: string };

/** Runs the command line; sets the exit code: 0, 1 for errors, 2 for wrong usage, 130 after Ctrl-C. */
export async function main(argv: readonly string[]): Promise<void> {
  try {
    await program().parseAsync([...argv], { from: 'user' });
  } catch (error) {
    if (error instanceof CommanderError) {
      process.exitCode = error.exitCode === 0 ? 0 : 2;
      return;
    }
    process.exitCode = 1;
    process.stderr.write(`${formatError(error, argv.includes('--debug'))}\n`);
  }
}

function program(): Command {
  const chainrule = new Command('chainrule')
    .description('Train neural networks that are described in experiment files.')
    .version(version, '-V, --version', 'print the version')
    .helpOption('-h, --help', 'print this help')
    .helpCommand('help [command]', 'print the help of a command')
    .exitOverride()
    .showSuggestionAfterError()
    .addHelpText(
      'after',
      `
Examples:
  $ chainrule train examples/mnist.ts
  $ chainrule train examples/mnist.ts --epochs 1 --set optimizer.lr=3e-4
  $ chainrule search examples/mnist.ts --space optimizer.lr=1e-4..1e-2:log
  $ chainrule profile examples/mnist.ts
  $ chainrule info

Environment:
  CHAINRULE_BACKEND  native, wasm or reference: like --engine
  CHAINRULE_THREADS  like --threads
  NO_COLOR           print without colors`,
    );
  addTrain(chainrule);
  addSearch(chainrule);
  addProfile(chainrule);
  addInfo(chainrule);
  return chainrule;
}

function addTrain(parent: Command): void {
  const command = parent
    .command('train')
    .description('Train the experiment that a TypeScript or JavaScript file exports, and test it in the end.')
    .argument('<file>', 'experiment file: export default experiment({ … })')
    .option('--epochs <n>', 'passes over the training data', integer(1))
    .option('--set <key=value>', 'change a plain value of the experiment; can be repeated', collect)
    .option('--seed <n>', 'seed of all random numbers', integer(0))
    .option('--batch-size <n>', 'examples in a batch', integer(1))
    .option('--out <folder>', 'where run folders are made', 'runs')
    .option('--name <name>', "name of the run (default: the experiment's name and the time)")
    .option('--resume <run>', 'go on with an earlier run: its folder')
    .option('--no-compile', 'run op by op instead of replaying captured steps')
    .option('--quiet', 'print errors and the result only');
  common(command).addHelpText(
    'after',
    `
Examples:
  $ chainrule train examples/mnist.ts --epochs 3 --seed 1
  $ chainrule train examples/mnist.ts --set optimizer.lr=3e-4 --set optimizer.weightDecay=0
  $ chainrule train examples/mnist.ts --engine wasm --threads 1
  $ chainrule train examples/mnist.ts --resume runs/mnist-20260101-120000 --epochs 6

Ctrl-C finishes the current step and saves a checkpoint (exit code 130); --resume goes on from it.`,
  );
  command.action(async (file: string, flags: TrainFlags) => {
    chooseEngine(flags);
    const { train } = await import('./train.js');
    await train(file, flags);
  });
}

function addSearch(parent: Command): void {
  const command = parent
    .command('search')
    .description('Train an experiment with other values, within a fixed budget, and tell which are best on validation data.')
    .argument('<file>', 'experiment file: export default experiment({ … })')
    .requiredOption('--space <key=values>', 'a value to search: low..high, with :log or :int, or choices a,b,c; can be repeated', collect)
    .addOption(new Option('--method <name>', 'how points are chosen (default: random)').choices(['grid', 'random', 'bayesian']))
    .option('--trials <n>', 'trainings at most (default: 20)', integer(1))
    .option('--seed <n>', 'seed of the search', integer(0))
    .option('--monitor <score>', "the validation score: loss or a metric's name")
    .option('--set <key=value>', 'change a plain value for all trials; can be repeated', collect);
  common(command).addHelpText(
    'after',
    `
Examples:
  $ chainrule search examples/mnist.ts --space optimizer.lr=1e-4..1e-2:log --trials 10 --set epochs=1
  $ chainrule search examples/mnist.ts --method grid --space batchSize=32,64,128 --monitor accuracy`,
  );
  command.action(async (file: string, flags: SearchFlags) => {
    chooseEngine(flags as EngineFlags);
    const { searchFile } = await import('./search.js');
    await searchFile(file, flags);
  });
}

function addProfile(parent: Command): void {
  const command = parent
    .command('profile')
    .description("Time an experiment's training step kernel by kernel, and say how long it waits for data. Nothing is saved.")
    .argument('<file>', 'experiment file: export default experiment({ … })')
    .option('--runs <n>', 'training steps that are timed (default: 10)', integer(1))
    .option('--trace <file>', 'write a trace that chrome://tracing opens')
    .option('--set <key=value>', 'change a plain value of the experiment; can be repeated', collect)
    .option('--batch-size <n>', 'examples in a batch', integer(1));
  common(command).addHelpText(
    'after',
    `
Examples:
  $ chainrule profile examples/mnist.ts
  $ chainrule profile examples/mnist.ts --threads 1 --trace trace.json`,
  );
  command.action(async (file: string, flags: ProfileFlags) => {
    chooseEngine(flags as EngineFlags);
    const { profileFile } = await import('./profile.js');
    await profileFile(file, flags);
  });
}

function addInfo(parent: Command): void {
  const command = parent
    .command('info')
    .description('Print versions, the engine and why it was chosen, instruction sets, threads and memory.');
  common(command).addHelpText(
    'after',
    `
Examples:
  $ chainrule info
  $ chainrule info --engine wasm`,
  );
  command.action(async (flags: EngineFlags) => {
    chooseEngine(flags);
    const { info } = await import('./info.js');
    info();
  });
}

export interface EngineFlags {
  readonly engine?: string;
  readonly threads?: number;
}

function common(command: Command): Command {
  return command
    .addOption(new Option('--engine <name>', 'what computes (default: the fastest there is)').choices(['native', 'wasm', 'reference']))
    .option('--threads <n>', 'threads of the engine (default: one per processor)', integer(1))
    .option('--no-color', 'print without colors')
    .option('--debug', 'print the stack of errors')
    .helpOption('-h, --help', 'print this help');
}

/** The package reads these when it is imported; worker threads inherit them. */
function chooseEngine({ engine, threads }: EngineFlags): void {
  if (engine !== undefined) process.env.CHAINRULE_BACKEND = engine;
  if (threads !== undefined) process.env.CHAINRULE_THREADS = String(threads);
}

const integer =
  (least: number) =>
  (text: string): number => {
    const value = Number(text);
    if (text.trim() !== '' && Number.isSafeInteger(value) && value >= least) return value;
    throw new InvalidArgumentError(`It must be an integer >= ${least}.`);
  };

/** `optimizer.lr=3e-4`: JSON where it is JSON, else text. */
function collect(text: string, before: Readonly<Record<string, unknown>> = {}): Record<string, unknown> {
  const at = text.indexOf('=');
  if (at < 1) throw new InvalidArgumentError('It must be key=value.');
  const [key, value] = [text.slice(0, at), text.slice(at + 1)];
  try {
    return { ...before, [key]: JSON.parse(value) as unknown };
  } catch {
    return { ...before, [key]: value };
  }
}
