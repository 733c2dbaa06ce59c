import { LibError } from '../core/errors.js';
import { describeEngine } from '../index.js';
import { type SearchDimension, type SearchSpace, searchExperiment } from '../train/search.js';
import { loadExperiment } from './load.js';

export interface SearchFlags {
  readonly space: Readonly<Record<string, unknown>>;
  readonly method?: 'grid' | 'random' | 'bayesian';
  readonly trials?: number;
  readonly seed?: number;
  readonly monitor?: string;
  readonly set?: Readonly<Record<string, unknown>>;
}

/** One dimension as it is written: `1e-4..1e-1:log`, `16..256:int`, `16,32,64`. */
function dimension(key: string, text: string): SearchDimension {
  const range = /^([^.,]+(?:\.[^.,]+)?)\.\.([^:,]+)((?::(?:log|int))*)$/.exec(text);
  if (range === null) return text.split(',').map(choice);
  const [low, high] = [Number(range[1]), Number(range[2])];
  if (Number.isNaN(low) || Number.isNaN(high))
    throw new LibError('option', `search: a range must be of numbers, got ${key}=${text}.`, '--space optimizer.lr=1e-4..1e-1:log');
  const marks = range[3] ?? '';
  return { low, high, log: marks.includes(':log'), integer: marks.includes(':int') };
}

function choice(text: string): string | number | boolean {
  if (text === 'true' || text === 'false') return text === 'true';
  const value = Number(text);
  return text.trim() === '' || Number.isNaN(value) ? text : value;
}

const choicesOf = (key: string, value: unknown): SearchDimension =>
  typeof value === 'string' ? dimension(key, value) : ((Array.isArray(value) ? value : [value]) as readonly number[]);

/** `chainrule search`: trains an experiment with other values, a line a trial, and prints the command that trains the best. */
export async function searchFile(
  file: string,
  { space, method = 'random', trials = 20, seed = 0, monitor, set }: SearchFlags,
): Promise<void> {
  const print = (text: string): void => void process.stdout.write(`${text}\n`);
  const dimensions: SearchSpace = Object.fromEntries(Object.entries(space).map(([key, value]) => [key, choicesOf(key, value)]));
  print(`engine: ${describeEngine()}`);
  const exp = await loadExperiment(file);
  print(`search: ${method}, at most ${trials} trials, on validation data; the test data are not touched`);
  const { best } = await searchExperiment(exp, dimensions, {
    method,
    trials,
    seed,
    print,
    ...(set && { set }),
    ...(monitor !== undefined && { monitor }),
  });
  const values = Object.entries({ ...set, ...best.point }).map(([key, value]) => `--set ${key}=${String(value)}`);
  print(`\nbest: trial ${best.trial + 1}, ${monitor ?? exp.monitor ?? 'loss'} ${best.value.toPrecision(4)}`);
  print(`train and test it: npx chainrule train ${file} ${values.join(' ')}`);
}
