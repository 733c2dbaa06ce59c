/** What kind of mistake an error is about. Stable API: texts may improve between releases, codes do not change. */
export type ErrorCode = 'shape' | 'dtype' | 'index' | 'value' | 'grad' | 'capture' | 'state' | 'device' | 'file' | 'data' | 'option';

/** Every error the library throws on purpose: `<op>: <rule>, got <facts>.` and at most one hint with the way out. */
export class LibError extends Error {
  constructor(
    readonly code: ErrorCode,
    message: string,
    readonly hint?: string,
  ) {
    super(hint === undefined ? message : `${message}\n  Hint: ${hint}`);
    this.name = 'LibError';
  }
}

/** What `throw new LibError(…)` is in the build for browsers (scripts/build/browser.mjs), where it takes fewer bytes. */
export function raise(code: ErrorCode, message: string, hint?: string): never {
  throw new LibError(code, message, hint);
}

const raising =
  (code: ErrorCode) =>
  (message: string, hint?: string): never =>
    raise(code, message, hint);
/** {@link raise} with the codes that occur most: the browser's build throws by these (scripts/build/browser.mjs). */
export const raiseShape: (message: string, hint?: string) => never = raising('shape');
export const raiseValue: typeof raiseShape = raising('value');
export const raiseDtype: typeof raiseShape = raising('dtype');
export const raiseOption: typeof raiseShape = raising('option');
export const raiseIndex: typeof raiseShape = raising('index');

/** A kernel met data it cannot work on. Backends know no ops: whoever ran the kernel adds the op's name. */
export class KernelError extends Error {
  constructor(
    readonly code: ErrorCode,
    readonly facts: string,
    /** What was asked of the data, where the code does not say it. */
    readonly rule?: string,
  ) {
    super(facts);
    this.name = 'KernelError';
  }
}

/** For states that no user input should reach. */
export function internal(what: string): Error {
  return new Error(`internal: ${what}. This is a bug in chainrule: please open an issue with the stack trace.`);
}

/** The closest of `known` to a misspelt `word`, or undefined when nothing is near. */
export function nearest(word: string, known: Iterable<string>): string | undefined {
  let best: string | undefined;
  let bestDistance = Math.max(2, Math.floor(word.length / 3)) + 1;
  for (const candidate of known) {
    const d = editDistance(word.toLowerCase(), candidate.toLowerCase());
    if (d < bestDistance) {
      best = candidate;
      bestDistance = d;
    } else if (word.length > 3 && candidate.startsWith(word)) best ??= candidate;
  }
  return best;
}

function editDistance(a: string, b: string): number {
  let row = Array.from({ length: b.length + 1 }, (_, j) => j);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const swap = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(swap, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? Number.POSITIVE_INFINITY;
}

/** What PyTorch has and is done otherwise here. */
const otherwise: Readonly<Record<string, string>> = {
  numWorkers: 'WorkerDataset.open(module, { workers }) reads items in other threads.',
  pinMemory: 'leave it out: engines read the memory of tensors as it is.',
  persistentWorkers: 'workers of a WorkerDataset live until it is closed.',
  prefetchFactor: "it is called 'prefetch' and counts batches.",
  collateFn: "it is called 'collate'.",
  generator: 'give a seed, or call manualSeed().',
  inplace: 'functions and methods whose names end in _ write in place.',
  out: 'results are new tensors; copy_() writes them elsewhere.',
  sizeAverage: "give reduction: 'mean' or 'sum'.",
  argnum: "it is called 'argnums'.",
};

/** The error of an option that does not exist, with the nearest one that does; `path`: the option that it is in. */
export function unknownOption(op: string, key: string, known: readonly string[], path = ''): LibError {
  const guess = nearest(key, known);
  const rule = `options${path && ` of ${path}`} must be among ${known.join(', ')}`;
  return new LibError('option', `${op}: ${rule}, got '${key}'.`, guess ? `did you mean '${guess}'?` : otherwise[key]);
}
